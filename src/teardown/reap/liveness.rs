//! Whether a run lives, asked of its last beat: no lock and no process id says anything of other
//! hosts.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use super::{Reaping, Skipped};
use crate::aws::query::{Query, QueryError};
use crate::aws::trouble::Trouble;
use crate::channel::LEASE;
use crate::journal::names::Names;
use crate::journal::{self, Record, locks};
use crate::teardown::destroy::Site;
use crate::units;

/// In the run's bucket: what every beat rewrites.
const CONTROL: &str = "run/control.json";
/// A run whose beat is this old has no load any more, and nobody who could make some.
pub(super) const DEAD: Duration = Duration::from_secs(2 * LEASE.as_secs());
/// How often a beat that may be the last is looked at.
const WATCH: Duration = Duration::from_secs(5);
/// Each after three of its own.
const ATTEMPTS: u32 = 4;
/// A run without a beat may be about to write its first: no provisioning takes so long.
const YOUNG: Duration = Duration::from_secs(2 * 3600);

/// Where a run was begun, as far as locks and process ids can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// On this host, since it was last started.
    Here,
    /// Under another boot id: on this host before that, or on another that shares the folder.
    Elsewhere,
}

impl Begun {
    /// A journal that names no boot is taken for one of this host: then there is nothing but its
    /// locks.
    pub fn of(records: &[Record]) -> Self {
        let boot = journal::head(records).and_then(|run| run.boot.as_ref());
        match (boot, locks::boot()) {
            (Some(then), Some(now)) if *then != now => Self::Elsewhere,
            _ => Self::Here,
        }
    }

    /// Why no lock tells whether it lives, if none does. Neither locks nor process ids say anything
    /// of another boot, and none of another host.
    pub fn doubt(self, folder: &Path) -> Option<String> {
        match self {
            Self::Elsewhere => Some(
                "it was begun on another host, or before this one was started again: ".to_owned(),
            ),
            Self::Here => locks::tells(folder)
                .err()
                .map(|error| format!("its owner lock cannot be asked ({error}): ")),
        }
    }
}

/// Why a run must not be touched, if it must not: it lives, or that could not be told.
pub(super) async fn alive(wanted: &Reaping, site: &Site<'_>) -> Result<(), Skipped> {
    let run = site.run;
    if wanted.force {
        return Ok(());
    }
    let since = old_enough(wanted, site)?;
    let (query, bucket) = (Query::new(&site.cloud.aws), Names::of(run).bucket);
    let mut last: Option<Duration> = None;
    let mut attempts = 0;
    loop {
        let age = match query.age(&bucket, CONTROL).await {
            Ok(age) => Some(age),
            Err(error) if error.not_found() => None,
            Err(error) => {
                let trouble = Trouble::of(&error.to_string());
                if !trouble.passes() || attempts >= ATTEMPTS {
                    return Err(untold(&error));
                }
                sleep(trouble.pause(attempts)).await;
                attempts += 1;
                continue;
            }
        };
        let Some(age) = age else {
            return beatless(wanted, since);
        };
        match judge(age, last) {
            Life::Dead => return Ok(()),
            Life::Alive => {
                let why = format!(
                    "its last beat is {} old, and a new one came while watching",
                    say(age)
                );
                return Err(Skipped::Alive(why));
            }
            Life::Unknown => {}
        }
        if last.is_none() {
            site.events.note(format!(
                "{run}: its last beat is {} old: watching whether another comes",
                say(age)
            ));
        }
        last = Some(age);
        sleep(WATCH).await;
    }
}

/// Whether it seems to live, by one look: for a list, which waits for nobody.
pub(super) async fn at_a_glance(wanted: &Reaping, site: &Site<'_>) -> Result<(), Skipped> {
    if wanted.force {
        return Ok(());
    }
    let since = old_enough(wanted, site)?;
    match Query::new(&site.cloud.aws)
        .age(&Names::of(site.run).bucket, CONTROL)
        .await
    {
        Ok(age) if age < DEAD => {
            let why = format!(
                "its last beat is {} old, and a reap would watch whether another comes",
                say(age)
            );
            Err(Skipped::Alive(why))
        }
        Ok(_) => Ok(()),
        Err(error) if error.not_found() => beatless(wanted, since),
        Err(error) => Err(untold(&error)),
    }
}

/// How long ago it was begun, if that is long enough.
fn old_enough(wanted: &Reaping, site: &Site<'_>) -> Result<Duration, Skipped> {
    let since =
        Duration::try_from(Timestamp::now().duration_since(site.run.begun())).unwrap_or_default();
    match wanted.older_than.filter(|older| since < *older) {
        None => Ok(since),
        Some(older) => {
            let why = format!(
                "begun {} ago, and only what is older than {} was asked for",
                say(since),
                say(older)
            );
            Err(Skipped::Alive(why))
        }
    }
}

fn beatless(wanted: &Reaping, since: Duration) -> Result<(), Skipped> {
    if wanted.older_than.is_some() || since >= YOUNG {
        return Ok(());
    }
    let why = "without any beat: it may be about to start (`--force` takes it)";
    Err(Skipped::Alive(format!(
        "begun {} ago and {why}",
        say(since)
    )))
}

/// Not knowing is not its death, and no sign that it lives.
fn untold(error: &QueryError) -> Skipped {
    Skipped::Unable(format!(
        "whether it lives could not be told: {error} (`--force` takes it)"
    ))
}

/// The run has written a sign of life once.
pub(super) async fn beats(site: &Site<'_>) -> bool {
    Query::new(&site.cloud.aws)
        .age(&Names::of(site.run).bucket, CONTROL)
        .await
        .is_ok()
}

fn say(time: Duration) -> String {
    units::duration(Duration::from_secs(time.as_secs()))
}

#[derive(Debug, PartialEq, Eq)]
enum Life {
    Alive,
    Dead,
    Unknown,
}

/// By the age of the last beat, and by the age it had a look before.
fn judge(age: Duration, before: Option<Duration>) -> Life {
    match before {
        // It should have grown older.
        Some(before) if age < before => Life::Alive,
        // One look does not tell a run that is dead from one whose store was slow to take a beat.
        Some(_) if age >= DEAD => Life::Dead,
        _ => Life::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::record::Run;
    use crate::units::RunId;

    #[test]
    fn a_run_of_another_boot_was_begun_elsewhere() {
        let head = |boot: Option<String>| {
            Record::Run(Run {
                run: RunId::parse("sp-0000000001").unwrap(),
                region: String::new(),
                account: String::new(),
                scenario_name: "x".to_owned(),
                url: "http://x".to_owned(),
                endpoint: None,
                started: Timestamp::UNIX_EPOCH,
                boot,
                profile: None,
            })
        };
        assert_eq!(Begun::of(&[head(locks::boot())]), Begun::Here);
        assert_eq!(
            Begun::of(&[head(Some("another".to_owned())), Record::IntentApply]),
            Begun::Elsewhere
        );
        assert_eq!(
            (Begun::of(&[head(None)]), Begun::of(&[])),
            (Begun::Here, Begun::Here)
        );
    }

    #[test]
    fn a_run_lives_as_long_as_its_beat_does() {
        let s = Duration::from_secs;
        for (age, before, life) in [
            (s(0), None, Life::Unknown),
            (s(59), None, Life::Unknown),
            (s(60), None, Life::Unknown),
            (s(1), Some(s(600)), Life::Alive),
            (s(3), Some(s(4)), Life::Alive),
            (s(9), Some(s(4)), Life::Unknown),
            (s(60), Some(s(55)), Life::Dead),
        ] {
            assert_eq!(judge(age, before), life, "{age:?} {before:?}");
        }
    }
}
