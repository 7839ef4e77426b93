//! Deletes a run's things by name until each is found gone, or is not worth another attempt.
//!
//! `next` decides and is pure; `Round::perform` does. A round describes every remaining thing, then
//! deletes what is still there, then pauses.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Teardown;
use super::destroy::BOUND;
use super::inventory::{Inventory, Presence};
use super::proof::Destruction;
use cloud::aws::Cloud;
use cloud::aws::failure::Failure;
use model::events::Event;
use provision::journal;
use provision::journal::names::{ResourceKind, Thing};

/// Attempts without credentials before a thing is given up. On a terminal the user may renew them,
/// so attempts go on until the bound. Elsewhere only a refreshed chain helps, and this many are
/// enough.
const WITHOUT_CREDENTIALS: u32 = 4;

/// Describes each thing by name, deletes those still there, and looks again. Ends at `until`; each
/// thing is deleted once at least, however little time there is.
pub(crate) async fn delete_and_verify(
    teardown: &Teardown<'_>,
    things: &[Thing],
    until: Instant,
) -> Destruction {
    let mut round = Round::first(teardown, things);
    round.describe().await;
    loop {
        let is_late = Instant::now() >= until;
        match next(&round.open, round.number, round.stage, is_late) {
            NextStep::Finish => return round.finish(),
            step => round.perform(step).await,
        }
    }
}

/// A thing that has not been found gone.
#[derive(Debug)]
struct Remaining {
    thing: Thing,
    why: String,
    failure: Failure,
    /// Deletes so far.
    attempts: u32,
    given_up: bool,
}

/// The last call that this round has finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Described,
    Deleted,
}

/// The next action on the things that remain.
#[derive(Debug, PartialEq, Eq)]
enum NextStep {
    /// Delete every thing that has not been given up.
    Delete,
    /// Begin another round.
    Describe {
        renew_credentials: bool,
        /// Tasks that were found gone, and whose cluster says that it has some.
        stop_again: Option<Thing>,
        pause: Duration,
    },
    Finish,
}

/// Decides from what remains. Rounds count from 0; `is_late` says that the time is over.
fn next(open: &[Remaining], round: u32, stage: Stage, is_late: bool) -> NextStep {
    let all_given_up = open.iter().all(|remaining| remaining.given_up);
    match stage {
        Stage::Described if all_given_up || (round > 0 && is_late) => NextStep::Finish,
        Stage::Described => NextStep::Delete,
        Stage::Deleted => {
            let worst = open
                .iter()
                .map(|remaining| remaining.failure)
                .max()
                .unwrap_or(Failure::Unknown);
            let stop_again = tasks_to_stop_again(open);
            // The last look needs no pause before it.
            let is_last = all_given_up && stop_again.is_none();
            NextStep::Describe {
                renew_credentials: worst == Failure::Credentials,
                stop_again,
                pause: if is_last {
                    Duration::ZERO
                } else {
                    worst.pause(round)
                },
            }
        }
    }
}

/// Returns the tasks to stop again. A cluster that cannot be deleted because of its tasks has some,
/// even if the list of tasks was empty.
fn tasks_to_stop_again(open: &[Remaining]) -> Option<Thing> {
    let cluster = open.iter().find(|remaining| {
        remaining.thing.kind == ResourceKind::Cluster && remaining.failure == Failure::TasksAlive
    })?;
    let tasks = Thing {
        kind: ResourceKind::Tasks,
        name: cluster.thing.name.clone(),
    };
    let is_open = open.iter().any(|remaining| remaining.thing == tasks);
    (!is_open).then_some(tasks)
}

/// True if a thing is given up after this number of deletes.
fn gives_up(failure: Failure, attempts: u32, is_attended: bool) -> bool {
    let without_credentials =
        failure == Failure::Credentials && !is_attended && attempts >= WITHOUT_CREDENTIALS;
    without_credentials || !failure.by_name_again(attempts)
}

/// The things that remain in the present round, and those found gone so far.
struct Round<'a> {
    teardown: &'a Teardown<'a>,
    inventory: Inventory,
    number: u32,
    stage: Stage,
    open: Vec<Remaining>,
    destruction: Destruction,
}

impl<'a> Round<'a> {
    fn first(teardown: &'a Teardown<'a>, things: &[Thing]) -> Self {
        Self {
            teardown,
            inventory: teardown.inventory(),
            number: 0,
            stage: Stage::Described,
            open: things.iter().cloned().map(Remaining::new).collect(),
            destruction: Destruction::default(),
        }
    }

    async fn perform(&mut self, step: NextStep) {
        match step {
            NextStep::Delete => {
                for remaining in self.open.iter_mut().filter(|open| !open.given_up) {
                    remaining.delete(&self.inventory, self.teardown).await;
                }
                self.stage = Stage::Deleted;
            }
            NextStep::Describe {
                renew_credentials,
                stop_again,
                pause,
            } => {
                if renew_credentials
                    && let Some(cloud) = renewed_credentials(self.teardown, self.number).await
                {
                    self.inventory = self.teardown.inventory_in(&cloud.aws);
                }
                if let Some(tasks) = stop_again {
                    self.destruction.take_back(&tasks);
                    self.open.push(Remaining::new(tasks));
                }
                sleep(pause).await;
                self.number += 1;
                self.describe().await;
            }
            NextStep::Finish => {}
        }
    }

    /// Looks at each remaining thing; those found gone remain no more.
    async fn describe(&mut self) {
        let mut open = Vec::new();
        for mut remaining in std::mem::take(&mut self.open) {
            match look(&self.inventory, &remaining.thing).await {
                Ok(Found { evidence, foreign }) => {
                    if remaining.thing.kind == ResourceKind::GroupSetting {
                        let told = format!("{}: {evidence}", remaining.thing);
                        match foreign {
                            true => self.teardown.events.warn(told),
                            false => self.teardown.events.note(told),
                        }
                    }
                    self.teardown.events.say(Event::Gone {
                        name: remaining.thing.to_string(),
                    });
                    self.destruction
                        .add_gone(remaining.thing, evidence, foreign);
                }
                Err((why, failure)) => {
                    // The answer to a delete says more than that the thing is there.
                    if remaining.attempts == 0 || failure > remaining.failure {
                        (remaining.why, remaining.failure) = (why, failure);
                    }
                    open.push(remaining);
                }
            }
        }
        self.open = open;
        self.stage = Stage::Described;
    }

    fn finish(self) -> Destruction {
        let mut destruction = self.destruction;
        for remaining in self.open {
            self.teardown.events.say(Event::Left {
                name: remaining.thing.to_string(),
                why: remaining.why.clone(),
            });
            destruction.add_left(remaining.thing, remaining.why);
        }
        destruction
    }
}

impl Remaining {
    fn new(thing: Thing) -> Self {
        Self {
            thing,
            why: String::new(),
            failure: Failure::Unknown,
            attempts: 0,
            given_up: false,
        }
    }

    async fn delete(&mut self, inventory: &Inventory, teardown: &Teardown<'_>) {
        let deed = match self.thing.kind {
            ResourceKind::GroupSetting => "putting it back",
            _ => "deleting it by name",
        };
        teardown.events.note(format!(
            "{} is still there ({}): {deed}",
            self.thing, self.why
        ));
        self.attempts += 1;
        (self.why, self.failure) = match inventory.delete(&self.thing).await {
            // The next look finds it gone, or says that it is still there.
            Ok(()) => (
                "it was deleted, and is still listed".to_owned(),
                Failure::Unknown,
            ),
            Err(error) => (error.to_string(), error.failure()),
        };
        self.given_up = gives_up(self.failure, self.attempts, is_attended());
    }
}

/// The evidence that a thing is gone, or somebody else's.
struct Found {
    evidence: String,
    foreign: bool,
}

/// Returns the evidence that a thing is gone, or why that is not proven.
async fn look(inventory: &Inventory, thing: &Thing) -> Result<Found, (String, Failure)> {
    let found = |evidence, foreign| Ok(Found { evidence, foreign });
    match inventory.exists(thing).await {
        Ok(Presence::Gone { evidence }) => found(evidence, false),
        Ok(Presence::Foreign { evidence }) => found(evidence, true),
        Ok(Presence::There { evidence } | Presence::Elsewhere { evidence }) => {
            Err((evidence, Failure::Unknown))
        }
        Err(error) => Err((format!("could not be described: {error}"), error.failure())),
    }
}

/// Returns a chain made anew: profiles and tokens on the disk may have been renewed since.
async fn renewed_credentials(teardown: &Teardown<'_>, round: u32) -> Option<Cloud> {
    if round == 0 && is_attended() {
        let runs = teardown
            .lock
            .as_ref()
            .and_then(|folder| folder.path.parent());
        let reap = runs.map_or_else(
            || format!("spikeproof reap {} --discover", teardown.run),
            |runs| journal::reap_command(runs, teardown.run),
        );
        teardown.events.warn(format!(
            "AWS does not accept the credentials any more: renew them in another terminal (`aws sso login`); trying again \
             for {} minutes, then: {reap}",
            BOUND.as_secs() / 60
        ));
    }
    let cloud = Cloud::find().await.ok()?;
    // Another account would find nothing, and prove nothing.
    let same_account = cloud.caller.account == teardown.aws.caller.account;
    (same_account && cloud.aws.region == teardown.aws.aws.region).then_some(cloud)
}

/// True if a user may be sitting at the terminal.
fn is_attended() -> bool {
    use std::io::IsTerminal as _;
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(kind: ResourceKind) -> Thing {
        Thing {
            kind,
            name: "sp-0123456789".to_owned(),
        }
    }

    fn remaining(kind: ResourceKind, failure: Failure, given_up: bool) -> Remaining {
        Remaining {
            failure,
            given_up,
            attempts: 1,
            ..Remaining::new(thing(kind))
        }
    }

    fn again(
        renew_credentials: bool,
        stop_again: Option<ResourceKind>,
        pause: Duration,
    ) -> NextStep {
        NextStep::Describe {
            renew_credentials,
            stop_again: stop_again.map(thing),
            pause,
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    #[test]
    fn each_step_follows_from_what_remains() {
        use Failure::{Credentials, Denied, TasksAlive, Throttled, Unknown};
        use ResourceKind::{Bucket, Cluster, Role, Tasks};
        use Stage::{Deleted, Described};
        let (open, closed) = (false, true);
        for (things, round, stage, is_late, step) in [
            (vec![], 0, Described, false, NextStep::Finish),
            (
                vec![(Role, Unknown, open)],
                0,
                Described,
                false,
                NextStep::Delete,
            ),
            // However late it is, each thing is deleted once.
            (
                vec![(Role, Unknown, open)],
                0,
                Described,
                true,
                NextStep::Delete,
            ),
            (
                vec![(Role, Unknown, open)],
                1,
                Described,
                true,
                NextStep::Finish,
            ),
            (
                vec![(Role, Denied, closed)],
                1,
                Described,
                false,
                NextStep::Finish,
            ),
            (
                vec![(Role, Denied, closed), (Bucket, Throttled, open)],
                1,
                Described,
                false,
                NextStep::Delete,
            ),
            (
                vec![(Role, Unknown, open), (Bucket, Throttled, open)],
                2,
                Deleted,
                false,
                again(false, None, Throttled.pause(2)),
            ),
            // A last look, at once.
            (
                vec![(Role, Denied, closed)],
                3,
                Deleted,
                false,
                again(false, None, Duration::ZERO),
            ),
            (
                vec![(Role, Credentials, open), (Bucket, Throttled, open)],
                0,
                Deleted,
                false,
                again(true, None, Credentials.pause(0)),
            ),
            (
                vec![(Cluster, TasksAlive, closed)],
                1,
                Deleted,
                false,
                again(false, Some(Tasks), TasksAlive.pause(1)),
            ),
            (
                vec![(Cluster, TasksAlive, open), (Tasks, Unknown, open)],
                1,
                Deleted,
                false,
                again(false, None, Unknown.pause(1)),
            ),
        ] {
            let open: Vec<Remaining> = things
                .iter()
                .map(|(kind, failure, given_up)| remaining(*kind, *failure, *given_up))
                .collect();
            assert_eq!(
                next(&open, round, stage, is_late),
                step,
                "{things:?}, round {round}, {stage:?}, late: {is_late}"
            );
        }
    }

    #[test]
    fn without_credentials_only_a_user_at_the_terminal_is_waited_for() {
        for (failure, attempts, is_attended, expected) in [
            (Failure::Credentials, 3, false, false),
            (Failure::Credentials, 4, false, true),
            (Failure::Credentials, 40, true, false),
            (Failure::Denied, 3, false, false),
            (Failure::Denied, 4, true, true),
            (Failure::Throttled, 40, false, false),
        ] {
            assert_eq!(
                gives_up(failure, attempts, is_attended),
                expected,
                "{failure:?} after {attempts}"
            );
        }
    }

    #[test]
    fn tasks_that_are_stopped_again_are_not_proven_gone() {
        let mut destruction = Destruction::default();
        destruction.add_gone(
            thing(ResourceKind::Tasks),
            "ListTasks: 0 tasks".to_owned(),
            false,
        );
        destruction.add_gone(
            thing(ResourceKind::Role),
            "GetRole: NoSuchEntity".to_owned(),
            false,
        );
        destruction.take_back(&thing(ResourceKind::Tasks));
        assert_eq!(
            destruction.gone(),
            ["role sp-0123456789: GetRole: NoSuchEntity"]
        );
    }
}
