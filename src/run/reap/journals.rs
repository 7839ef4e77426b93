//! The runs of this host, by their journals.

use std::path::Path;

use super::case::{Case, Looked, Place};
use super::clouds::Clouds;
use super::life::{Begun, DEAD};
use super::{Reaped, Reaping, Skipped, could_not};
use crate::events::Events;
use crate::journal::names::Names;
use crate::journal::{self, Journal, Record, locks};
use crate::run::RunError;
use crate::run::plan::Cloud;
use crate::units::RunId;

/// Looks at the runs of this host.
pub(super) async fn look(wanted: &Reaping, clouds: &mut Clouds<'_>, events: &Events) -> Result<Vec<Looked>, RunError> {
    let mut looked = Vec::new();
    for journal::Found { folder, records, damaged } in journal::folders(&wanted.runs_dir).map_err(could_not)? {
        let Some(run) = folder.file_name().and_then(|name| RunId::parse(name.to_str()?)) else { continue };
        if wanted.only.as_ref().is_some_and(|only| *only != run) {
            continue;
        }
        if !wanted.dry_run {
            forget_secrets(&folder, &records);
        }
        // A journal that cannot be read may have said anything: then everything may be left.
        let leftovers = if damaged { Names::of(&run).things() } else { journal::leftovers(&records) };
        let entry = Reaped::new(run, leftovers);
        if entry.leftovers.is_empty() || wanted.dry_run {
            looked.push(Looked::Settled(entry));
            continue;
        }
        let cloud = clouds.get(events).await.map_err(|error| error.to_string());
        let cloud = cloud.and_then(|cloud| same_place(&cloud, &records).map(|()| cloud));
        looked.push(match cloud {
            Ok(cloud) => Looked::Open(Box::new(Case { entry, cloud, place: Place::Here { folder, records, damaged } })),
            Err(why) => Looked::Settled(entry.became(Err(Skipped::Unable(why)))),
        });
    }
    Ok(looked)
}

/// With other credentials every Describe would find nothing, and prove nothing.
pub(super) fn same_place(cloud: &Cloud, records: &[Record]) -> Result<(), String> {
    let home = journal::head(records).map(|run| (run.account.as_str(), run.region.as_str()));
    let (here, there) = (&cloud.caller.account, &cloud.aws.region);
    match home {
        Some((account, region)) if account != here || region != there => {
            Err(format!("it ran in account {account}, {region}; these credentials are for {here}, {there}"))
        }
        _ => Ok(()),
    }
}

/// The runs below `runs_dir` that have leftovers: how many things, and the command that removes them.
pub fn unfinished(runs_dir: &Path) -> Vec<(usize, String)> {
    let folders = journal::folders(runs_dir).unwrap_or_default();
    // One that is still driven is not unfinished business but under way.
    let idle = folders.iter().filter(|found| !locks::is_driven(&found.folder));
    let command =
        |found: &journal::Found| journal::head(&found.records).map(|head| journal::reap_command_of(runs_dir, head));
    let left = idle.map(|found| (journal::leftovers(&found.records).len(), found)).filter(|(things, _)| *things > 0);
    left.filter_map(|(things, found)| Some((things, command(found)?))).collect()
}

/// Of all runs below `runs_dir` that are dead.
pub fn forget_all_secrets(runs_dir: &Path) {
    journal::folders(runs_dir)
        .unwrap_or_default()
        .iter()
        .for_each(|found| forget_secrets(&found.folder, &found.records));
}

/// A local run that was killed while its tasks came up has left its secrets in its folder.
fn forget_secrets(folder: &Path, records: &[Record]) {
    let secrets = folder.join("channel/secrets.json");
    if !secrets.exists() {
        return;
    }
    // While the run lives, its tasks need them. Where no lock tells, its beat does.
    let beat_is_old = || {
        let files = [secrets.as_path(), &folder.join("channel/control.json")];
        let written = files.into_iter().filter_map(|file| std::fs::metadata(file).ok()?.modified().ok());
        written.max().is_none_or(|last| last.elapsed().is_ok_and(|age| age >= DEAD))
    };
    let is_dead = Begun::of(records) == Begun::Here || beat_is_old();
    if is_dead && Journal::open(folder).is_ok() {
        let _ = std::fs::remove_file(secrets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::record::Run;

    fn begun(runs_dir: &Path, run: &str, boot: Option<String>) -> Journal {
        let run = RunId::parse(run).unwrap();
        let folder = runs_dir.join(run.as_str());
        let first = Record::Run(Run {
            run,
            region: String::new(),
            account: String::new(),
            scenario_name: "x".to_owned(),
            url: "http://x".to_owned(),
            endpoint: None,
            boot,
            profile: None,
            started: jiff::Timestamp::UNIX_EPOCH,
        });
        let journal = Journal::create(&folder, first).unwrap();
        std::fs::create_dir(folder.join("channel")).unwrap();
        std::fs::write(folder.join("channel/secrets.json"), "{}").unwrap();
        journal
    }

    #[test]
    fn secrets_of_a_run_that_is_dead_are_removed_and_only_those() {
        let home = tempfile::tempdir().unwrap();
        let secrets = |run: &str| home.path().join(run).join("channel/secrets.json");
        let alive = begun(home.path(), "sp-0000000001", locks::boot());
        drop(begun(home.path(), "sp-0000000002", locks::boot()));
        // Of another host perhaps, whose locks are not seen here: as long as it beats, it lives.
        drop(begun(home.path(), "sp-0000000003", Some("another".to_owned())));
        let there = || ["sp-0000000001", "sp-0000000002", "sp-0000000003"].map(|run| secrets(run).exists());
        forget_all_secrets(home.path());
        assert_eq!(there(), [true, false, true]);
        drop(alive);
        let old = std::time::SystemTime::now() - DEAD;
        std::fs::File::options().write(true).open(secrets("sp-0000000003")).unwrap().set_modified(old).unwrap();
        forget_all_secrets(home.path());
        assert_eq!(there(), [false, false, false]);
    }
}
