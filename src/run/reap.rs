//! Reap: destroys what an earlier run's journal says is left.

use std::path::Path;

use super::RunError;
use super::destroy::{Destruction, dismantle};
use super::plan::Cloud;
use crate::aws::Aws;
use crate::events::{Events, Phase};
use crate::journal::names::{Names, Thing};
use crate::journal::{self, Journal, Record};
use crate::outcome::Exit;
use crate::terraform;
use crate::units::RunId;

/// What became of one earlier run.
#[derive(Debug)]
pub struct Reaped {
    pub run: RunId,
    /// What its journal said may be left.
    pub leftovers: Vec<Thing>,
    pub gone: Vec<String>,
    pub left: Vec<String>,
    /// Why it was not touched, if it was not.
    pub skipped: Option<String>,
}

/// Reaps one run, or every run of `runs_dir` that has leftovers. With `dry_run` only lists.
pub async fn reap(
    runs_dir: &Path,
    only: Option<&RunId>,
    dry_run: bool,
    binary: Option<&Path>,
    events: &Events,
) -> Result<Vec<Reaped>, RunError> {
    let mut reaped = Vec::new();
    let mut aws: Option<(Aws, crate::aws::Caller)> = None;
    for journal::Found { folder, records } in journal::folders(runs_dir).map_err(could_not)? {
        let Some(run) = folder.file_name().and_then(|name| RunId::parse(name.to_str()?)) else { continue };
        if only.is_some_and(|only| *only != run) {
            continue;
        }
        if !dry_run {
            forget_secrets(&folder);
        }
        // A journal that cannot be read may have said anything: then everything may be left.
        let unreadable = !records.iter().any(|record| matches!(record, Record::Run(_)));
        let leftovers = if unreadable { Names::of(&run).things() } else { journal::leftovers(&records) };
        let mut entry = Reaped { run, leftovers, gone: Vec::new(), left: Vec::new(), skipped: None };
        if entry.leftovers.is_empty() || dry_run {
            reaped.push(entry);
            continue;
        }
        let found = match aws.take() {
            Some(found) => found,
            None => find_aws().await?,
        };
        let cloud = Cloud {
            terraform: terraform::locate(binary, |name| std::env::var_os(name)).map_err(could_not)?,
            aws: found.0.clone(),
            caller: found.1.clone(),
        };
        aws = Some(found);
        match reap_one(&cloud, &folder, &records, &entry, events).await {
            Ok(destruction) => (entry.gone, entry.left) = (destruction.gone, destruction.left),
            Err(why) => {
                entry.left = entry.leftovers.iter().map(ToString::to_string).collect();
                entry.skipped = Some(why);
            }
        }
        reaped.push(entry);
    }
    match only {
        Some(only) if reaped.is_empty() => {
            let what = format!("there is no run {only} in {}", runs_dir.display());
            Err(RunError::could_not(Phase::Destroy, what)
                .hint("spikeproof reap --dry-run lists the runs that are here"))
        }
        _ => Ok(reaped),
    }
}

/// A local run that was killed while its tasks came up has left its secrets in its folder.
fn forget_secrets(folder: &Path) {
    let secrets = folder.join("channel/secrets.json");
    // Nobody else owns it: while the run lives, its tasks need them.
    if secrets.exists() && Journal::open(folder).is_ok() {
        let _ = std::fs::remove_file(secrets);
    }
}

fn could_not(error: impl std::fmt::Display) -> RunError {
    RunError::could_not(Phase::Destroy, error)
}

async fn find_aws() -> Result<(Aws, crate::aws::Caller), RunError> {
    let aws = Aws::from_environment().await.map_err(could_not)?;
    let caller = aws.caller().await.map_err(could_not)?;
    Ok((aws, caller))
}

async fn reap_one(
    cloud: &Cloud,
    folder: &Path,
    records: &[Record],
    entry: &Reaped,
    events: &Events,
) -> Result<Destruction, String> {
    let home = records.iter().find_map(|record| match record {
        Record::Run(run) => Some((run.account.as_str(), run.region.as_str())),
        _ => None,
    });
    let (account, region) = home.ok_or("its journal cannot be read; if the run never began, remove its folder")?;
    // With other credentials every Describe would find nothing, and prove nothing.
    if account != cloud.caller.account || region != cloud.aws.region {
        let (here, there) = (&cloud.caller.account, &cloud.aws.region);
        return Err(format!("it ran in account {account}, {region}; these credentials are for {here}, {there}"));
    }
    // Fails while the run (or another reaper) is alive on this host.
    let (mut journal, _) = Journal::open(folder).map_err(|error| error.to_string())?;
    journal.write(Record::IntentDestroy).map_err(|error| error.to_string())?;
    let destruction = dismantle(cloud, &entry.run, folder, &entry.leftovers, events).await;
    for thing in &entry.leftovers {
        let left = destruction.left.iter().any(|left| left.starts_with(&thing.to_string()));
        if !left {
            let _ = journal.write(Record::Gone { thing: thing.clone() });
        }
    }
    if destruction.left.is_empty() {
        let _ = journal.write(Record::Finished { exit: Exit::CouldNotRun });
    }
    Ok(destruction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::record::Run;

    #[test]
    fn secrets_of_a_run_that_is_dead_are_removed_and_only_those() {
        let home = tempfile::tempdir().unwrap();
        let run = RunId::parse("sp-0000000001").unwrap();
        let folder = home.path().join(run.as_str());
        let first = Record::Run(Run {
            run,
            region: String::new(),
            account: String::new(),
            scenario_name: "x".to_owned(),
            url: "http://x".to_owned(),
            endpoint: None,
            started: jiff::Timestamp::UNIX_EPOCH,
        });
        let alive = Journal::create(&folder, first).unwrap();
        std::fs::create_dir(folder.join("channel")).unwrap();
        std::fs::write(folder.join("channel/secrets.json"), "{}").unwrap();
        forget_secrets(&folder);
        assert!(folder.join("channel/secrets.json").exists());
        drop(alive);
        forget_secrets(&folder);
        assert!(!folder.join("channel/secrets.json").exists());
    }
}
