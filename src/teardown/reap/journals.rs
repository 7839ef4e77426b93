//! The runs of this host, by their journals.

use std::path::Path;

use super::clouds::Clouds;
use super::liveness::{BootOrigin, DEAD};
use super::target::{Examined, ReapTarget, Source};
use super::{Reaped, Reaping, Skipped, TeardownError};
use crate::proof::{PROOF, proves_gone};
use cloud::aws::Cloud;
use model::events::Events;
use model::units::RunId;
use provision::journal::names::{ResourceNames, Thing};
use provision::journal::{self, Record, locks};
use provision::terraform;

/// Looks at the runs of this host.
pub(super) async fn examine(
    wanted: &Reaping,
    clouds: &mut Clouds,
    events: &Events,
) -> Result<Vec<Examined>, TeardownError> {
    let mut examined = Vec::new();
    for found in journal::folders(&wanted.runs_dir)? {
        let Some(run) = run_of(&found.folder) else {
            continue;
        };
        if wanted.only.as_ref().is_some_and(|only| *only != run) {
            continue;
        }
        if !wanted.dry_run {
            remove_secrets_if_dead(&found.folder, &found.records);
        }
        let leftovers = leftovers(&run, &found);
        let entry = Reaped::new(run, leftovers);
        if entry.leftovers.is_empty() {
            examined.push(Examined::Settled(entry));
            continue;
        }
        // A journal that is not this run's cannot be carried out: this is said at once.
        if let Some(why) = &found.refused {
            let why = Skipped::Unable(why.to_string());
            examined.push(Examined::Settled(entry.became(Err(why))));
            continue;
        }
        let journal::Found {
            folder,
            records,
            damaged,
            ..
        } = found;
        if wanted.dry_run {
            examined.push(Examined::Settled(match locks::is_driven(&folder) {
                true => entry.became(Err(Skipped::Alive(
                    "it is driven by a process on this host".to_owned(),
                ))),
                false => entry,
            }));
            continue;
        }
        let cloud = match clouds.get(events).await {
            Ok(cloud) => same_place(&cloud, &records)
                .map(|()| cloud)
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        examined.push(match cloud {
            Ok(cloud) => Examined::Open(Box::new(ReapTarget {
                entry,
                cloud,
                source: Source::Folder {
                    folder,
                    records,
                    damaged,
                },
            })),
            Err(why) => Examined::Settled(entry.became(Err(Skipped::Unable(why)))),
        });
    }
    Ok(examined)
}

/// A run ran in another account, region or AWS: here every Describe would find nothing, and prove
/// nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RanElsewhere {
    #[error("it ran in account {}, {}; these credentials are for {}, {}", then.0, then.1, now.0, now.1)]
    Account {
        /// Account and region.
        then: (String, String),
        now: (String, String),
    },
    #[error(
        "it ran at {}, and AWS_ENDPOINT_URL leads to {}; if that was an emulator that has ended, remove the run's folder",
        then.as_deref().unwrap_or("AWS itself"),
        now.as_deref().unwrap_or("AWS itself")
    )]
    Endpoint {
        then: Option<String>,
        now: Option<String>,
    },
}

pub(crate) fn same_place(cloud: &Cloud, records: &[Record]) -> Result<(), RanElsewhere> {
    let Some(run) = journal::head(records) else {
        return Ok(());
    };
    let (account, region) = (&cloud.caller.account, &cloud.aws.region);
    if run.account != *account || run.region != *region {
        return Err(RanElsewhere::Account {
            then: (run.account.clone(), run.region.clone()),
            now: (account.clone(), region.clone()),
        });
    }
    let (then, now) = (run.endpoint.as_deref(), cloud.aws.endpoint.as_deref());
    if then.map(without_slash) != now.map(without_slash) {
        return Err(RanElsewhere::Endpoint {
            then: then.map(str::to_owned),
            now: now.map(str::to_owned),
        });
    }
    Ok(())
}

fn without_slash(url: &str) -> &str {
    url.trim_end_matches('/')
}

/// The things of a run that may be left. A journal that cannot be read may have said anything: then
/// everything may be left, and each setting that the rest of it names may be changed.
fn leftovers(run: &RunId, found: &journal::Found) -> Vec<Thing> {
    if found.damaged && !never_began(found) {
        let changes = journal::changes(&found.records);
        let settings = changes.iter().map(journal::GroupChange::thing);
        settings.chain(ResourceNames::of(run).things()).collect()
    } else {
        journal::leftovers(&found.records)
    }
}

/// True for a folder in which no run has begun: a killed process of an older version, or a report
/// that was copied here. Terraform's module tells of a run whose journal somebody has deleted.
fn never_began(found: &journal::Found) -> bool {
    found.has_no_journal() && !terraform::has_module(&found.folder)
}

fn run_of(folder: &Path) -> Option<RunId> {
    folder
        .file_name()
        .and_then(|name| RunId::parse(name.to_str()?))
}

/// An earlier run that may have left something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierRun {
    /// How many things may be left.
    pub things: usize,
    /// The command that removes them.
    pub reap: String,
}

/// The runs below `runs_dir` that may have leftovers and that no process drives.
pub fn unfinished(runs_dir: &Path) -> Vec<EarlierRun> {
    let mut unfinished = Vec::new();
    for found in journal::folders(runs_dir).unwrap_or_default() {
        let Some(run) = run_of(&found.folder) else {
            continue;
        };
        let things = leftovers(&run, &found);
        // A journal that cannot be read says for ever that all may be left. A later proof says more.
        let is_proven = || {
            found.records.is_empty()
                && found.refused.is_none()
                && proves_gone(&found.folder.join(PROOF), &things)
        };
        let things = things.len();
        // A run that is still driven is under way, not unfinished.
        if things > 0 && !locks::is_driven(&found.folder) && !is_proven() {
            let unknown = || journal::reap_command(runs_dir, &run);
            let command =
                journal::head(&found.records).map(|head| journal::reap_command_of(runs_dir, head));
            unfinished.push(EarlierRun {
                things,
                reap: command.unwrap_or_else(unknown),
            });
        }
    }
    unfinished
}

/// Removes the secrets that dead runs below `runs_dir` have left in their folders.
pub fn remove_secrets_of_dead_runs(runs_dir: &Path) {
    journal::folders(runs_dir)
        .unwrap_or_default()
        .iter()
        .for_each(|found| remove_secrets_if_dead(&found.folder, &found.records));
}

/// A local run that was killed while its tasks came up has left its secrets in its folder.
fn remove_secrets_if_dead(folder: &Path, records: &[Record]) {
    let secrets = folder.join("channel/secrets.json");
    if !secrets.exists() {
        return;
    }
    // While the run lives, its tasks need them. Where no lock tells, its heartbeat does.
    let heartbeat_is_old = || {
        let files = [secrets.as_path(), &folder.join("channel/control.json")];
        let written = files
            .into_iter()
            .filter_map(|file| std::fs::metadata(file).ok()?.modified().ok());
        written
            .max()
            .is_none_or(|last| last.elapsed().is_ok_and(|age| age >= DEAD))
    };
    // A journal that says nothing may be one of another host, whose locks are not seen here.
    let is_known = journal::head(records).is_some();
    let is_dead =
        (is_known && BootOrigin::of(records).uncertainty(folder).is_none()) || heartbeat_is_old();
    if is_dead && journal::is_abandoned(folder) {
        drop(std::fs::remove_file(secrets));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::proof::Proof;
    use cloud::aws::{Aws, Caller};
    use provision::journal::Journal;
    use provision::journal::record::Run;

    #[test]
    fn a_run_whose_journal_is_damaged_is_named_as_one_that_may_have_left_everything() {
        let home = tempfile::tempdir().unwrap();
        let (run, folder) = ("sp-0000000001", home.path().join("sp-0000000001"));
        let journal = with_secrets(home.path(), run, None);
        assert_eq!(unfinished(home.path()), [], "it is driven");
        drop(journal);
        assert_eq!(unfinished(home.path()), [], "nothing was meant");
        let file = std::fs::OpenOptions::new()
            .append(true)
            .open(folder.join(journal::JOURNAL));
        std::io::Write::write_all(&mut file.unwrap(), b"spoilt\n").unwrap();
        let told = unfinished(home.path());
        assert!(
            matches!(&told[..], [EarlierRun { things: 9, reap }] if reap.contains("spikeproof reap sp-0000000001")),
            "{told:?}"
        );
        std::fs::write(folder.join("journal.head"), "").unwrap();
        std::fs::write(folder.join(journal::JOURNAL), "").unwrap();
        assert_eq!(unfinished(home.path()).len(), 1, "also without its head");
    }

    #[test]
    fn a_folder_without_a_journal_warns_only_while_a_run_may_have_been_there() {
        let home = tempfile::tempdir().unwrap();
        let run = RunId::parse("sp-0000000001").unwrap();
        let folder = home.path().join(run.as_str());
        let warns = || !unfinished(home.path()).is_empty();
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("owner.lock"), "").unwrap();
        assert!(!warns(), "no run has begun");
        std::fs::create_dir(folder.join("module")).unwrap();
        assert!(warns(), "its journal was deleted");
        std::fs::remove_dir(folder.join("module")).unwrap();
        std::fs::write(folder.join(journal::JOURNAL), "").unwrap();
        assert!(warns(), "its journal was emptied");
        // A reap by name has proven all of it gone, but for one thing.
        let proof = |most: usize| {
            let things = ResourceNames::of(&run).things().into_iter().enumerate();
            let things = things.map(|(number, thing)| Proof {
                thing,
                gone: number < most,
                foreign: false,
                evidence: String::new(),
                at: jiff::Timestamp::UNIX_EPOCH,
            });
            let things: Vec<Proof> = things.collect();
            let written = serde_json::json!({ "run": run, "things": things });
            std::fs::write(folder.join(PROOF), written.to_string()).unwrap();
            things.len()
        };
        let all = proof(0);
        assert!(warns());
        proof(all - 1);
        assert!(warns());
        proof(all);
        assert!(!warns());
    }

    #[tokio::test]
    async fn a_run_of_another_address_is_of_another_place() {
        let at = |endpoint: Option<&str>| {
            let sdk = aws_config::SdkConfig::builder().build();
            let keys = aws_credential_types::Credentials::new("TEST", "test", None, None, "test");
            let credentials = aws_credential_types::provider::SharedCredentialsProvider::new(keys);
            let aws = Aws {
                region: String::new(),
                endpoint: endpoint.map(str::to_owned),
                credentials,
                sdk,
            };
            let caller = Caller {
                account: String::new(),
                arn: String::new(),
                ahead: jiff::SignedDuration::ZERO,
            };
            Cloud { aws, caller }
        };
        let home = tempfile::tempdir().unwrap();
        drop(with_secrets(home.path(), "sp-0000000001", None));
        let records = journal::read(&home.path().join("sp-0000000001"));
        assert_eq!(same_place(&at(None), &records), Ok(()));
        let why = same_place(&at(Some("http://127.0.0.1:5000")), &records).unwrap_err();
        let why = why.to_string();
        assert!(
            why.contains("it ran at AWS itself") && why.contains("http://127.0.0.1:5000"),
            "{why}"
        );
    }

    fn with_secrets(runs_dir: &Path, run: &str, boot: Option<String>) -> Journal {
        let journal = example::begun(
            runs_dir,
            Run {
                boot,
                ..example::run(run)
            },
        );
        let channel = runs_dir.join(run).join("channel");
        std::fs::create_dir(&channel).unwrap();
        std::fs::write(channel.join("secrets.json"), "{}").unwrap();
        journal
    }

    #[test]
    fn secrets_of_a_run_that_is_dead_are_removed_and_only_those() {
        let home = tempfile::tempdir().unwrap();
        let secrets = |run: &str| home.path().join(run).join("channel/secrets.json");
        let alive = with_secrets(home.path(), "sp-0000000001", locks::boot());
        drop(with_secrets(home.path(), "sp-0000000002", locks::boot()));
        // Perhaps of another host, whose locks are not seen here: while its heartbeat is young, it
        // lives.
        drop(with_secrets(
            home.path(),
            "sp-0000000003",
            Some("another".to_owned()),
        ));
        let there =
            || ["sp-0000000001", "sp-0000000002", "sp-0000000003"].map(|run| secrets(run).exists());
        remove_secrets_of_dead_runs(home.path());
        assert_eq!(there(), [true, false, true]);
        drop(alive);
        let old = std::time::SystemTime::now() - DEAD;
        std::fs::File::options()
            .write(true)
            .open(secrets("sp-0000000003"))
            .unwrap()
            .set_modified(old)
            .unwrap();
        remove_secrets_of_dead_runs(home.path());
        assert_eq!(there(), [false, false, false]);
        // The copy of a run's folder, and one without a journal.
        drop(with_secrets(home.path(), "sp-0000000004", locks::boot()));
        drop(with_secrets(home.path(), "sp-0000000005", locks::boot()));
        let copy = home.path().join("sp-0000000006");
        std::fs::rename(home.path().join("sp-0000000004"), &copy).unwrap();
        std::fs::remove_file(home.path().join("sp-0000000005/journal")).unwrap();
        for run in ["sp-0000000005", "sp-0000000006"] {
            let file = std::fs::File::options().write(true).open(secrets(run));
            file.unwrap().set_modified(old).unwrap();
        }
        // Of this one nobody knows where it runs, and its heartbeat is young.
        drop(with_secrets(home.path(), "sp-0000000007", locks::boot()));
        for file in [journal::JOURNAL, "journal.head"] {
            let path = home.path().join("sp-0000000007").join(file);
            std::fs::write(path, "spoilt\n").unwrap();
        }
        remove_secrets_of_dead_runs(home.path());
        assert!(secrets("sp-0000000007").exists());
        assert!(!secrets("sp-0000000005").exists() && !secrets("sp-0000000006").exists());
    }
}
