//! Destroy: the frame's end, whatever came before. Stop order, tasks, terraform, then by name what
//! is still there; and the proof: each thing that could have been made is described by its name and
//! found gone.
//!
//! Nothing gates it: there is no check that could keep it from beginning, and what fails on the way
//! is tried again by the kind of its trouble, within a bound. terraform's exit code proves nothing:
//! on an empty state `destroy` succeeds with nothing done.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::inventory::{Inventory, Presence};
use crate::aws::trouble::Trouble;
use crate::aws::{Aws, Cloud};
use crate::channel;
use crate::events::{Event, Events};
use crate::journal::locks::WorkLock;
use crate::journal::names::{Kind, Names, Thing};
use crate::journal::{self, Record};
use crate::terraform::state::{Best, adopt};
use crate::terraform::{Binary, Terraform, TerraformError, has_module, session};
use crate::units::RunId;

/// All of a destroy: an hour-long outage of a region is not waited for; tasks have ended long
/// before that.
pub const BOUND: Duration = Duration::from_secs(15 * 60);
/// One terraform destroy takes seconds; a security group whose interface hangs holds it for as long
/// as its provider waits.
const TERRAFORM: Duration = Duration::from_secs(6 * 60);
/// A create that was cut off may still come true, and a list may not know it yet.
const SETTLES: Duration = Duration::from_secs(20);
/// Where somebody sits who could renew credentials, they are waited for; elsewhere only a refreshed
/// chain helps.
const WITHOUT_CREDENTIALS: u32 = 4;

/// What was proven gone, and what was not, each with its evidence.
#[derive(Debug, Default)]
pub struct Destruction {
    pub gone: Vec<String>,
    pub left: Vec<String>,
    pub proof: Vec<Proof>,
}

/// What one Describe said of one thing that a run could have made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    pub thing: Thing,
    pub gone: bool,
    /// The call and its answer, or why it has none.
    pub evidence: String,
    pub at: Timestamp,
}

/// What is taken down, where, and with what. Needs no memory of the run: `reap` has one too.
pub struct Site<'a> {
    pub cloud: &'a Cloud,
    pub run: &'a RunId,
    /// The run's folder and its work lock, where they are on this host: only then terraform can
    /// help.
    pub host: Option<(&'a Path, Arc<WorkLock>)>,
    pub terraform: Option<&'a Binary>,
    /// An apply was cut off: what it was making may appear later.
    pub unsettled: bool,
    /// Nothing says that there was such a run but its id: what is called like it may be a
    /// stranger's.
    pub by_name: bool,
    pub events: &'a Events,
}

impl Site<'_> {
    pub fn inventory(&self) -> Inventory {
        self.inventory_of(&self.cloud.aws)
    }

    fn inventory_of(&self, aws: &Aws) -> Inventory {
        let inventory = Inventory::new(aws, self.run);
        if self.by_name {
            inventory.tagged_only()
        } else {
            inventory
        }
    }
}

/// Asks every task of the run to stop, by the name of its cluster, and waits for them: the only
/// thing that costs.
pub async fn stop_spending(site: &Site<'_>, things: &[Thing]) {
    let inventory = site.inventory();
    for tasks in things.iter().filter(|thing| thing.kind == Kind::Tasks) {
        if let Err(error) = inventory.delete(tasks).await {
            site.events.note(format!("{tasks}: {error}"));
        }
    }
}

/// Removes things of a run and proves it.
pub async fn dismantle(site: &Site<'_>, things: &[Thing]) -> Destruction {
    let until = Instant::now() + BOUND;
    stop_spending(site, things).await;
    terraform_destroy(site, until).await;
    let destruction = sweep(site, things, until).await;
    if !site.unsettled || !destruction.left.is_empty() {
        return destruction;
    }
    site.events.note(format!(
        "an apply was cut off: looking again in {} s for what may only now appear",
        SETTLES.as_secs()
    ));
    sleep(SETTLES).await;
    sweep(site, things, until).await
}

/// Whatever terraform says, the proof comes after it.
async fn terraform_destroy(site: &Site<'_>, until: Instant) {
    let (Some(binary), Some((folder, lock))) = (site.terraform, &site.host) else {
        return site
            .events
            .note("no terraform, or no state of this run here: going on by name");
    };
    if !has_module(folder) {
        return;
    }
    // Made anew for each attempt: a session that has been renewed meanwhile is only in a new
    // environment.
    let fresh = || {
        session::in_folder(
            binary,
            &site.cloud.aws,
            folder,
            Arc::clone(lock),
            site.events,
        )
    };
    let mut terraform = fresh().await;
    restore(site, folder, &terraform).await;
    let mut attempts = 0;
    while let Err(error) = one_destroy(&terraform, attempts > 0).await {
        attempts += 1;
        let trouble = Trouble::of(&error.to_string());
        // One that hung has had its time: what is deleted by name needs the rest.
        let hung = matches!(error, TerraformError::Cancelled { .. });
        if hung || !trouble.terraform_again(attempts) || Instant::now() + TERRAFORM >= until {
            return site.events.note(format!(
                "terraform destroy did not finish: {error}; going on by name"
            ));
        }
        site.events.note(format!(
            "terraform destroy did not finish: {error}; trying again"
        ));
        sleep(trouble.pause(attempts)).await;
        terraform = fresh().await;
    }
}

/// Ends, also when terraform hangs. The second time more gently: what died of load should not meet
/// it again.
async fn one_destroy(terraform: &Terraform, gently: bool) -> Result<(), TerraformError> {
    let patience = CancellationToken::new();
    let over = async {
        sleep(TERRAFORM).await;
        patience.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        finished = terraform.destroy(gently, &patience) => finished.map(|_| ()),
        () = over => Ok(()),
    }
}

/// Where no whole state is on this disk, the copy in the run's bucket is better than none.
async fn restore(site: &Site<'_>, folder: &Path, terraform: &Terraform) {
    match terraform.best_state() {
        Ok(Best::AsItIs) => {}
        Ok(Best::Restored { serial }) => site.events.note(format!(
            "terraform's state was damaged: copy {serial} restored"
        )),
        Ok(Best::None) => {
            let location = format!("s3://{}/run", Names::of(site.run).bucket);
            let Ok(channel) = channel::open(&location, Some(&site.cloud.aws)) else {
                return;
            };
            if let Ok(Some(state)) = channel.state().await
                && adopt(folder, site.run, &state).unwrap_or(false)
            {
                site.events
                    .note("terraform's state was lost: the copy in the run's bucket is used");
            }
        }
        Err(error) => site.events.note(error.to_string()),
    }
}

/// A thing that has not been found gone.
struct Open {
    thing: Thing,
    why: String,
    attempts: u32,
    given_up: bool,
}

impl Open {
    fn new(thing: Thing) -> Self {
        Self {
            thing,
            why: String::new(),
            attempts: 0,
            given_up: false,
        }
    }
}

/// A cluster that cannot be deleted for its tasks has some, whatever the list of them said: they
/// are asked to stop again.
fn reopen_tasks(open: &mut Vec<Open>, destruction: &mut Destruction) {
    let holds_tasks = |one: &&Open| {
        one.thing.kind == Kind::Cluster && Trouble::of(&one.why) == Trouble::TasksAlive
    };
    let Some(tasks) = open.iter().find(holds_tasks).map(|one| Thing {
        kind: Kind::Tasks,
        name: one.thing.name.clone(),
    }) else {
        return;
    };
    if open.iter().all(|one| one.thing != tasks) {
        destruction.take_back(&tasks);
        open.push(Open::new(tasks));
    }
}

/// Describes each thing by name, deletes what is still there, and looks again.
async fn sweep(site: &Site<'_>, things: &[Thing], until: Instant) -> Destruction {
    let mut inventory = site.inventory();
    let mut open: Vec<Open> = things.iter().cloned().map(Open::new).collect();
    let mut destruction = Destruction::default();
    for round in 0.. {
        let mut still = Vec::new();
        for mut one in open {
            match look(&inventory, &one.thing).await {
                Ok(evidence) => {
                    site.events.say(Event::Gone {
                        name: one.thing.to_string(),
                    });
                    destruction.gone(one.thing, evidence);
                }
                Err(why) => {
                    // What a delete said of it is more than that it is there.
                    if one.attempts == 0 || Trouble::of(&why) > Trouble::of(&one.why) {
                        one.why = why;
                    }
                    still.push(one);
                }
            }
        }
        open = still;
        // Each is deleted once at least, however little time there is.
        if (round > 0 && Instant::now() >= until) || open.iter().all(|one| one.given_up) {
            break;
        }
        for one in open.iter_mut().filter(|one| !one.given_up) {
            delete(&inventory, one, site.events).await;
        }
        let worst = open
            .iter()
            .map(|one| Trouble::of(&one.why))
            .max()
            .unwrap_or(Trouble::Unknown);
        if worst == Trouble::Credentials
            && let Some(aws) = renewed(site, round).await
        {
            inventory = site.inventory_of(&aws);
        }
        reopen_tasks(&mut open, &mut destruction);
        if open.iter().all(|one| one.given_up) {
            continue;
        }
        sleep(worst.pause(round)).await;
    }
    open.into_iter().for_each(|one| {
        site.events.say(Event::Left {
            name: one.thing.to_string(),
            why: one.why.clone(),
        });
        destruction.left(one.thing, one.why);
    });
    destruction
}

async fn delete(inventory: &Inventory, one: &mut Open, events: &Events) {
    events.note(format!(
        "{} is still there ({}): deleting it by name",
        one.thing, one.why
    ));
    one.attempts += 1;
    match inventory.delete(&one.thing).await {
        // Found gone at the next look, or else by its own word.
        Ok(()) => one.why = "it was deleted, and is still listed".to_owned(),
        Err(error) => one.why = error.to_string(),
    }
    let trouble = Trouble::of(&one.why);
    let waits =
        trouble == Trouble::Credentials && !is_attended() && one.attempts >= WITHOUT_CREDENTIALS;
    one.given_up = waits || !trouble.by_name_again(one.attempts);
}

/// A chain made anew: profiles and tokens on the disk may have been renewed since.
async fn renewed(site: &Site<'_>, round: u32) -> Option<Aws> {
    if round == 0 && is_attended() {
        let runs = site.host.as_ref().and_then(|(folder, _)| folder.parent());
        let reap = runs.map_or_else(
            || format!("spikeproof reap {} --discover", site.run),
            |runs| journal::reap_command(runs, site.run),
        );
        site.events.warn(format!(
            "AWS does not take the credentials any more: renew them in another terminal (`aws sso login`); trying again \
             for {} minutes, then: {reap}",
            BOUND.as_secs() / 60
        ));
    }
    let aws = Aws::from_environment().await.ok()?;
    let caller = aws.caller().await.ok()?;
    // Another account would find nothing, and prove nothing.
    (caller.account == site.cloud.caller.account && aws.region == site.cloud.aws.region)
        .then_some(aws)
}

/// Somebody may be sitting there.
fn is_attended() -> bool {
    use std::io::IsTerminal as _;
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The evidence that a thing is gone, or why that is not proven.
async fn look(inventory: &Inventory, thing: &Thing) -> Result<String, String> {
    match inventory.exists(thing).await {
        Ok(Presence::Gone { evidence } | Presence::Foreign { evidence }) => Ok(evidence),
        Ok(Presence::There { evidence } | Presence::Elsewhere { evidence }) => Err(evidence),
        Err(error) => Err(format!("could not be described: {error}")),
    }
}

impl Destruction {
    fn gone(&mut self, thing: Thing, evidence: String) {
        self.gone.push(format!("{thing}: {evidence}"));
        self.proof.push(Proof {
            thing,
            gone: true,
            evidence,
            at: Timestamp::now(),
        });
    }

    fn take_back(&mut self, thing: &Thing) {
        let line = format!("{thing}: ");
        self.gone.retain(|gone| !gone.starts_with(&line));
        self.proof.retain(|proof| proof.thing != *thing);
    }

    pub fn left(&mut self, thing: Thing, why: String) {
        self.left.push(format!("{thing}: {why}"));
        self.proof.push(Proof {
            thing,
            gone: false,
            evidence: why,
            at: Timestamp::now(),
        });
    }
}

/// Into the journal: what is proven gone is no leftover any more.
pub fn keep(destruction: &Destruction, mut write: impl FnMut(Record)) {
    for Proof {
        thing,
        gone,
        evidence,
        ..
    } in &destruction.proof
    {
        let thing = thing.clone();
        write(if *gone {
            Record::Gone { thing }
        } else {
            Record::Left {
                thing,
                why: evidence.clone(),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_were_found_gone_are_asked_again_when_their_cluster_says_it_has_some() {
        let thing = |kind| Thing {
            kind,
            name: "sp-0123456789".to_owned(),
        };
        let mut destruction = Destruction::default();
        destruction.gone(thing(Kind::Tasks), "ListTasks: 0 tasks".to_owned());
        destruction.gone(
            thing(Kind::TaskDefinition),
            "ListTaskDefinitions: 0 active revisions".to_owned(),
        );
        let mut open = vec![Open::new(thing(Kind::Cluster))];
        let is_open = |open: &[Open]| {
            open.iter()
                .filter(|one| one.thing.kind == Kind::Tasks)
                .count()
        };
        reopen_tasks(&mut open, &mut destruction);
        assert_eq!((is_open(&open), destruction.proof.len()), (0, 2));
        open[0].why =
            "DeleteCluster: ClusterContainsTasksException: the cluster has tasks".to_owned();
        for _ in 0..2 {
            reopen_tasks(&mut open, &mut destruction);
            assert_eq!(
                (
                    is_open(&open),
                    destruction.proof.len(),
                    destruction.gone.len()
                ),
                (1, 1, 1)
            );
        }
    }
}
