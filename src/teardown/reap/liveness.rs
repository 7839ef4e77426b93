//! Checks whether a run is still alive by its last heartbeat: no lock and no process id says
//! anything of other hosts.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use super::{Reaping, Skipped};
use crate::Teardown;
use cloud::aws::query::{Query, QueryError};
use cloud::channel::LEASE;
use model::units::{self, RunId};
use provision::journal::names::ResourceNames;
use provision::journal::{self, Record, locks};

/// In the run's bucket: every heartbeat rewrites it.
const CONTROL: &str = "run/control.json";
/// A run whose heartbeat is this old has no load any more, and no process that could make some.
pub(super) const DEAD: Duration = Duration::from_secs(2 * LEASE.as_secs());
/// Between two looks at a heartbeat that may be the last.
const WATCH: Duration = Duration::from_secs(5);
/// Each after three of the SDK's own.
const ATTEMPTS: u32 = 4;
/// A run without a heartbeat may be about to write its first: no provisioning takes this long.
const YOUNG: Duration = Duration::from_hours(2);

/// Why a run must not be touched: it lives, or whether it does could not be determined.
pub(super) async fn ensure_dead(wanted: &Reaping, teardown: &Teardown<'_>) -> Result<(), Skipped> {
    let run = teardown.run;
    if wanted.force {
        return Ok(());
    }
    let since = old_enough(wanted, teardown)?;
    let mut last: Option<Duration> = None;
    let mut attempts = 0;
    loop {
        let age = match heartbeat_age(teardown).await {
            Ok(age) => Some(age),
            Err(error) if error.not_found() => None,
            Err(error) => {
                let failure = error.failure;
                if !failure.passes() || attempts >= ATTEMPTS {
                    return Err(undetermined(&error));
                }
                sleep(failure.pause(attempts)).await;
                attempts += 1;
                continue;
            }
        };
        let Some(age) = age else {
            return without_heartbeat(wanted, since);
        };
        match Liveness::of(age, last) {
            Liveness::Dead => return Ok(()),
            Liveness::Alive => {
                let why = format!(
                    "its last heartbeat is {} old, and a new one came while watching",
                    rounded(age)
                );
                return Err(Skipped::Alive(why));
            }
            Liveness::Unknown => {}
        }
        if last.is_none() {
            teardown.events.note(format!(
                "{run}: its last heartbeat is {} old: watching for another",
                rounded(age)
            ));
        }
        last = Some(age);
        sleep(WATCH).await;
    }
}

/// The same by one look: for a list, which does not wait.
pub(super) async fn seems_dead(wanted: &Reaping, teardown: &Teardown<'_>) -> Result<(), Skipped> {
    if wanted.force {
        return Ok(());
    }
    let since = old_enough(wanted, teardown)?;
    match heartbeat_age(teardown).await {
        Ok(age) if age < DEAD => {
            let why = format!(
                "its last heartbeat is {} old, and a reap would watch for another",
                rounded(age)
            );
            Err(Skipped::Alive(why))
        }
        Ok(_) => Ok(()),
        Err(error) if error.not_found() => without_heartbeat(wanted, since),
        Err(error) => Err(undetermined(&error)),
    }
}

/// True if the run has written a heartbeat of late. A run without a bucket has none.
pub(crate) async fn has_young_heartbeat(query: &Query, run: &RunId) -> Result<bool, QueryError> {
    match query.age(&ResourceNames::of(run).bucket, CONTROL).await {
        Ok(age) => Ok(age < DEAD),
        Err(error) if error.not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// True if the run has written a heartbeat once.
pub(super) async fn has_heartbeat(teardown: &Teardown<'_>) -> bool {
    heartbeat_age(teardown).await.is_ok()
}

async fn heartbeat_age(teardown: &Teardown<'_>) -> Result<Duration, QueryError> {
    let query = Query::new(&teardown.aws.aws);
    query
        .age(&ResourceNames::of(teardown.run).bucket, CONTROL)
        .await
}

/// How long ago the run was begun, if that is long enough.
fn old_enough(wanted: &Reaping, teardown: &Teardown<'_>) -> Result<Duration, Skipped> {
    let since = Duration::try_from(Timestamp::now().duration_since(teardown.run.begun()))
        .unwrap_or_default();
    match wanted.older_than.filter(|older| since < *older) {
        None => Ok(since),
        Some(older) => {
            let why = format!(
                "begun {} ago, and only what is older than {} was asked for",
                rounded(since),
                rounded(older)
            );
            Err(Skipped::Alive(why))
        }
    }
}

fn without_heartbeat(wanted: &Reaping, since: Duration) -> Result<(), Skipped> {
    if wanted.older_than.is_some() || since >= YOUNG {
        return Ok(());
    }
    let why = "without any heartbeat: it may be about to start (`--force` takes it)";
    Err(Skipped::Alive(format!(
        "begun {} ago and {why}",
        rounded(since)
    )))
}

/// Not knowing is not its death, and no sign that it lives.
fn undetermined(error: &QueryError) -> Skipped {
    Skipped::Unable(format!(
        "could not determine whether the run is still active: {error} (`--force` takes it)"
    ))
}

fn rounded(time: Duration) -> String {
    units::duration(Duration::from_secs(time.as_secs()))
}

/// Where a run was begun, as far as locks and process ids can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BootOrigin {
    /// On this host, since it was last started.
    ThisBoot,
    /// Under another boot id: on this host before that, or on another that shares the folder.
    AnotherBoot,
}

impl BootOrigin {
    /// A journal that names no boot is taken for one of this host: then there is nothing but its
    /// locks.
    pub(super) fn of(records: &[Record]) -> Self {
        let boot = journal::head(records).and_then(|run| run.boot.as_ref());
        match (boot, locks::boot()) {
            (Some(then), Some(now)) if *then != now => Self::AnotherBoot,
            _ => Self::ThisBoot,
        }
    }

    /// Why no lock tells whether the run lives, if none does. Neither locks nor process ids say
    /// anything of another boot or another host.
    pub(super) fn uncertainty(self, folder: &Path) -> Option<String> {
        match self {
            Self::AnotherBoot => Some(
                "it was begun on another host, or before this one was started again: ".to_owned(),
            ),
            Self::ThisBoot => locks::tells(folder)
                .err()
                .map(|error| format!("its owner lock cannot be asked ({error}): ")),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Liveness {
    Alive,
    Dead,
    Unknown,
}

impl Liveness {
    /// By the age of the last heartbeat, and by the age it had a look before.
    fn of(age: Duration, before: Option<Duration>) -> Self {
        match before {
            // It should have grown older.
            Some(before) if age < before => Self::Alive,
            // One look does not tell a run that is dead from one whose store was slow to take a
            // heartbeat.
            Some(_) if age >= DEAD => Self::Dead,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use provision::journal::record::Run;

    fn head(boot: Option<String>) -> Record {
        Record::Run(Run {
            boot,
            ..example::run("sp-0000000001")
        })
    }

    #[test]
    fn a_run_of_another_boot_was_begun_elsewhere() {
        for (records, origin) in [
            (vec![head(locks::boot())], BootOrigin::ThisBoot),
            (
                vec![head(Some("another".to_owned())), Record::IntentApply],
                BootOrigin::AnotherBoot,
            ),
            (vec![head(None)], BootOrigin::ThisBoot),
            (vec![], BootOrigin::ThisBoot),
        ] {
            assert_eq!(BootOrigin::of(&records), origin, "{records:?}");
        }
    }

    #[test]
    fn a_run_lives_as_long_as_its_heartbeat_does() {
        let s = Duration::from_secs;
        for (age, before, liveness) in [
            (s(0), None, Liveness::Unknown),
            (s(59), None, Liveness::Unknown),
            (s(60), None, Liveness::Unknown),
            (s(1), Some(s(600)), Liveness::Alive),
            (s(3), Some(s(4)), Liveness::Alive),
            (s(9), Some(s(4)), Liveness::Unknown),
            (s(60), Some(s(55)), Liveness::Dead),
        ] {
            assert_eq!(Liveness::of(age, before), liveness, "{age:?} {before:?}");
        }
    }
}
