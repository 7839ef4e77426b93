//! Reap: destroys what earlier runs left. From the journals on this host; or with nothing at hand but credentials, by the
//! names that derive from run ids. The guard of a killed run is a reaper too.
//!
//! Spending is stopped first, whatever else has to be waited for. All deletes are idempotent: two reapers do no harm, and
//! a second reap finds nothing to do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::RunError;
use super::destroy::{self, Destruction, Proof, Site, dismantle, stop_spending};
use super::plan::Cloud;
use crate::aws::inventory::{Inventory, Presence};
use crate::aws::query::Query;
use crate::aws::trouble::Trouble;
use crate::aws::{Aws, Caller, discover};
use crate::events::{Events, Phase};
use crate::journal::locks;
use crate::journal::names::{Names, Thing};
use crate::journal::{self, Journal, Record, ballast};
use crate::outcome::Exit;
use crate::terraform;
use crate::units::RunId;

mod alone;
mod fence;
mod life;

use alone::alone;
use fence::fence;
use life::alive;

/// In the run's folder, or beside the runs as `RUN.proof.json`: every expected name with the answer that says it is gone.
pub const PROOF: &str = "proof.json";

/// Runs that are asked for a sign of life: each may take a minute.
const LOOKED_AT_ONCE: usize = 8;
const LOOK: Duration = Duration::from_millis(250);
/// An outage that a reaper waits for before it says that something is left.
const UNREACHED: Duration = Duration::from_secs(10 * 60);

/// What became of one earlier run.
#[derive(Debug)]
pub struct Reaped {
    pub run: RunId,
    /// What may be left: as its journal says, or as was found.
    pub leftovers: Vec<Thing>,
    pub gone: Vec<String>,
    pub left: Vec<String>,
    /// Why it was not touched, if it was not.
    pub skipped: Option<Skipped>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skipped {
    /// It lives, or may: nothing is wrong.
    Alive(String),
    /// It could not be reaped.
    Unable(String),
}

impl Reaped {
    fn new(run: RunId, leftovers: Vec<Thing>) -> Self {
        Self { run, leftovers, gone: Vec::new(), left: Vec::new(), skipped: None }
    }

    fn became(mut self, result: Result<Destruction, Skipped>) -> Self {
        match result {
            Ok(destruction) => (self.gone, self.left) = (destruction.gone, destruction.left),
            Err(skipped) => {
                if matches!(skipped, Skipped::Unable(_)) {
                    self.left = self.leftovers.iter().map(ToString::to_string).collect();
                }
                self.skipped = Some(skipped);
            }
        }
        self
    }

    /// Something is left that should not be.
    pub fn is_dirty(&self) -> bool {
        !self.left.is_empty()
    }
}

/// What is to be reaped, and how.
#[derive(Debug, Clone)]
pub struct Reaping {
    pub runs_dir: PathBuf,
    pub only: Option<RunId>,
    /// Only lists.
    pub dry_run: bool,
    /// The terraform or tofu binary; one that is not there is done without.
    pub terraform: Option<PathBuf>,
    /// Runs that have no folder here too, found by name in the account.
    pub discover: bool,
    /// Of the runs that were found by name, only those begun so long ago. A run without any beat must be older than two
    /// hours unless this says otherwise.
    pub older_than: Option<Duration>,
    /// Also runs that give signs of life elsewhere.
    pub force: bool,
}

/// Reaps one run, or every run that has leftovers.
pub async fn reap(wanted: &Reaping, events: &Events) -> Result<Vec<Reaped>, RunError> {
    let mut found = Clouds::new(wanted);
    let mut reaped = journals(wanted, &mut found, events).await?;
    if wanted.discover {
        // A run that is clean by its journal may have got something back since.
        let known =
            reaped.iter().filter(|run| !run.leftovers.is_empty()).map(|run| run.run.clone()).collect::<Vec<_>>();
        reaped.extend(strangers(wanted, &mut found, &known, events).await?);
    }
    match &wanted.only {
        Some(only) if reaped.is_empty() => {
            let what = format!("there is no run {only} in {}", wanted.runs_dir.display());
            Err(could_not(what)
                .hint("spikeproof reap --dry-run lists the runs that are here; `--discover` looks in AWS"))
        }
        _ => Ok(reaped),
    }
}

/// The guard's whole life: waits until nobody drives the run, and destroys what it left. Nothing for a finished run.
pub async fn when_orphaned(wanted: &Reaping, run: &RunId, events: &Events) -> Result<Vec<Reaped>, RunError> {
    let folder = wanted.runs_dir.join(run.as_str());
    // Read while it is there: a folder that is deleted later must not hide where the run was.
    let records = journal::read(&folder);
    // Its owner was on this host, and is dead.
    let wanted = Reaping { only: Some(run.clone()), discover: false, dry_run: false, force: true, ..wanted.clone() };
    loop {
        let waiting = folder.clone();
        let waited =
            tokio::task::spawn_blocking(move || locks::wait_until_orphaned(&waiting)).await.map_err(could_not)?;
        if !folder.join(journal::JOURNAL).exists() {
            events.note(format!("{run} has lost its orchestrator and its folder: destroying what it made, by name"));
            return Ok(vec![without_folder(&wanted, run, &records, events).await?]);
        }
        waited.map_err(could_not)?;
        if journal::read(&folder).iter().any(|record| matches!(record, Record::Finished { .. })) {
            return Ok(Vec::new());
        }
        events.note(format!("{run} has lost its orchestrator: destroying what it made"));
        let reaped = reap(&wanted, events).await?;
        // Somebody was quicker: whoever it is may be killed too.
        if !reaped.iter().any(|run| matches!(run.skipped, Some(Skipped::Alive(_)))) {
            return Ok(reaped);
        }
        sleep(LOOK).await;
    }
}

/// A run whose folder is gone: everything that it could have made, by name.
async fn without_folder(
    wanted: &Reaping,
    run: &RunId,
    records: &[Record],
    events: &Events,
) -> Result<Reaped, RunError> {
    let entry = Reaped::new(run.clone(), Names::of(run).things());
    let cloud = match Clouds::new(wanted).get(events).await {
        Ok(cloud) => Cloud { terraform: None, ..cloud },
        Err(error) => return Ok(entry.became(Err(Skipped::Unable(error.to_string())))),
    };
    if let Err(why) = same_place(&cloud, records) {
        return Ok(entry.became(Err(Skipped::Unable(why))));
    }
    let site = Site { cloud: &cloud, run, host: None, unsettled: true, events };
    fence(&site).await;
    let things = ours(&site).await.0;
    let destruction = dismantle(&site, &things).await;
    prove(&wanted.runs_dir.join(format!("{run}.{PROOF}")), &site, &destruction);
    Ok(entry.became(Ok(destruction)))
}

/// With other credentials every Describe would find nothing, and prove nothing.
fn same_place(cloud: &Cloud, records: &[Record]) -> Result<(), String> {
    let home = records.iter().find_map(|record| match record {
        Record::Run(run) => Some((run.account.as_str(), run.region.as_str())),
        _ => None,
    });
    let (here, there) = (&cloud.caller.account, &cloud.aws.region);
    match home {
        Some((account, region)) if account != here || region != there => {
            Err(format!("it ran in account {account}, {region}; these credentials are for {here}, {there}"))
        }
        _ => Ok(()),
    }
}

/// The runs below `runs_dir` that have leftovers, each with how many: for a word at the start of the next run.
pub fn unfinished(runs_dir: &Path) -> Vec<(RunId, usize)> {
    let folders = journal::folders(runs_dir).unwrap_or_default();
    let run = |found: &journal::Found| RunId::parse(found.folder.file_name()?.to_str()?);
    // One that is still driven is not unfinished business but under way.
    let idle = |found: &journal::Found| !locks::is_driven(&found.folder);
    folders
        .iter()
        .filter(|found| !journal::leftovers(&found.records).is_empty() && idle(found))
        .filter_map(|found| Some((run(found)?, journal::leftovers(&found.records).len())))
        .collect()
}

/// A local run that was killed while its tasks came up has left its secrets in its folder.
fn forget_secrets(folder: &Path) {
    let secrets = folder.join("channel/secrets.json");
    // Nobody else owns it: while the run lives, its tasks need them.
    if secrets.exists() && Journal::open(folder).is_ok() {
        let _ = std::fs::remove_file(secrets);
    }
}

/// Of all runs below `runs_dir` that are dead.
pub fn forget_all_secrets(runs_dir: &Path) {
    journal::folders(runs_dir).unwrap_or_default().iter().for_each(|found| forget_secrets(&found.folder));
}

fn could_not(error: impl std::fmt::Display) -> RunError {
    RunError::could_not(Phase::Destroy, error)
}

/// The caller's AWS, asked once and only if there is something to do.
struct Clouds<'a> {
    wanted: &'a Reaping,
    known: Option<Cloud>,
}

impl<'a> Clouds<'a> {
    fn new(wanted: &'a Reaping) -> Self {
        Self { wanted, known: None }
    }

    /// Tries again while AWS cannot be reached: not knowing who we are must not end a destroy.
    async fn get(&mut self, events: &Events) -> Result<Cloud, RunError> {
        if let Some(cloud) = &self.known {
            return Ok(cloud.clone());
        }
        let until = Instant::now() + UNREACHED;
        let mut attempts = 0;
        let (aws, caller) = loop {
            let error = match find_aws().await {
                Ok(found) => break found,
                Err(error) => error,
            };
            let trouble = Trouble::of(&error.to_string());
            if !matches!(trouble, Trouble::Network | Trouble::Load) || Instant::now() >= until {
                return Err(error);
            }
            events.note(format!("{error}; trying again"));
            sleep(trouble.pause(attempts)).await;
            attempts += 1;
        };
        let terraform = terraform::locate(self.wanted.terraform.as_deref(), |name| std::env::var_os(name)).ok();
        let cloud = Cloud { aws, caller, terraform };
        self.known = Some(cloud.clone());
        Ok(cloud)
    }
}

async fn find_aws() -> Result<(Aws, Caller), RunError> {
    let aws = Aws::from_environment().await.map_err(could_not)?;
    let caller = aws.caller().await.map_err(could_not)?;
    Ok((aws, caller))
}

/// A run of this host.
struct Local {
    folder: PathBuf,
    records: Vec<Record>,
    entry: Reaped,
}

/// The runs of this host.
async fn journals(wanted: &Reaping, clouds: &mut Clouds<'_>, events: &Events) -> Result<Vec<Reaped>, RunError> {
    let mut runs = Vec::new();
    for journal::Found { folder, records, damaged } in journal::folders(&wanted.runs_dir).map_err(could_not)? {
        let Some(run) = folder.file_name().and_then(|name| RunId::parse(name.to_str()?)) else { continue };
        if wanted.only.as_ref().is_some_and(|only| *only != run) {
            continue;
        }
        if !wanted.dry_run {
            forget_secrets(&folder);
        }
        // A journal that cannot be read may have said anything: then everything may be left.
        let unreadable = damaged || !records.iter().any(|record| matches!(record, Record::Run(_)));
        let leftovers = if unreadable { Names::of(&run).things() } else { journal::leftovers(&records) };
        runs.push(Local { folder, records, entry: Reaped::new(run, leftovers) });
    }
    let dirty: Vec<&Local> = runs.iter().filter(|run| !run.entry.leftovers.is_empty()).collect();
    if wanted.dry_run || dirty.is_empty() {
        return Ok(runs.into_iter().map(|run| run.entry).collect());
    }
    let cloud = match clouds.get(events).await {
        Ok(cloud) => cloud,
        Err(error) => {
            let unable = |run: Local| match run.entry.leftovers.is_empty() {
                true => run.entry,
                false => run.entry.became(Err(Skipped::Unable(error.to_string()))),
            };
            return Ok(runs.into_iter().map(unable).collect());
        }
    };
    if dirty.len() > 1 {
        join_all(dirty.into_iter().map(|run| stop_first(&cloud, run, events))).await;
    }
    let mut reaped = Vec::new();
    for Local { folder, records, entry } in runs {
        if entry.leftovers.is_empty() {
            reaped.push(entry);
            continue;
        }
        let result = of_this_host(wanted, &cloud, &folder, &records, &entry, events).await;
        reaped.push(entry.became(result));
    }
    Ok(reaped)
}

/// What costs is stopped first, of all of them: to destroy one takes minutes. Only of those that are surely dead, and ours.
async fn stop_first(cloud: &Cloud, run: &Local, events: &Events) {
    let is_known = run.records.iter().any(|record| matches!(record, Record::Run(_)));
    let is_dead = is_of_this_boot(&run.records) && !locks::is_driven(&run.folder);
    if !is_known || !is_dead || same_place(cloud, &run.records).is_err() {
        return;
    }
    let site = Site { cloud, run: &run.entry.run, host: None, unsettled: false, events };
    fence(&site).await;
    stop_spending(&site, &run.entry.leftovers).await;
}

/// The locks say whether somebody drives it: it was begun on this host, since that was last started. (A folder may be shared
/// by hosts, and then they say nothing. Where nobody wrote it down, it is taken for so.)
fn is_of_this_boot(records: &[Record]) -> bool {
    let begun = records.iter().find_map(|record| match record {
        Record::Run(run) => run.boot.as_deref(),
        _ => None,
    });
    begun.is_none_or(|begun| locks::boot().is_none_or(|boot| boot == begun))
}

async fn of_this_host(
    wanted: &Reaping,
    cloud: &Cloud,
    folder: &Path,
    records: &[Record],
    entry: &Reaped,
    events: &Events,
) -> Result<Destruction, Skipped> {
    same_place(cloud, records).map_err(Skipped::Unable)?;
    ballast::release(folder);
    let mut site = Site { cloud, run: &entry.run, host: None, unsettled: journal::unsettled(records), events };
    if !is_of_this_boot(records)
        && let Some(why) = alive(wanted, &site).await
    {
        return Err(Skipped::Alive(format!(
            "it was begun on another host, or before this one was started again: {why}"
        )));
    }
    let mut journal = take_over(folder, &site, &entry.leftovers).await?;
    // A second look: the one that was waited for may have done everything.
    let again = journal::read(folder);
    if again.iter().any(|record| matches!(record, Record::Finished { .. })) && journal::leftovers(&again).is_empty() {
        return Ok(Destruction::default());
    }
    // Where only the folder's name says that there was such a run, a cluster of that name may be a stranger's.
    let known = records.iter().any(|record| matches!(record, Record::Run(_)));
    let things = if known { entry.leftovers.clone() } else { ours(&site).await.0 };
    let mut write = |record| {
        if let Some(journal) = journal.as_mut() {
            let _ = journal.write(record);
        }
    };
    write(Record::IntentDestroy);
    fence(&site).await;
    stop_spending(&site, &things).await;
    site.host = alone(folder, events).await.map(|lock| (folder, Arc::new(lock)));
    let destruction = dismantle(&site, &things).await;
    destroy::keep(&destruction, &mut write);
    prove(&folder.join(PROOF), &site, &destruction);
    if destruction.left.is_empty() {
        write(Record::Finished { exit: Exit::CouldNotRun });
    }
    Ok(destruction)
}

/// Becomes the one that drives the run, and waits for another reaper's end. Without a readable journal there is nothing to
/// write, and everything to destroy.
async fn take_over(folder: &Path, site: &Site<'_>, things: &[Thing]) -> Result<Option<Journal>, Skipped> {
    let begun = Instant::now();
    let mut said = false;
    loop {
        let holder = match Journal::open(folder) {
            Ok((journal, _)) => return Ok(Some(journal)),
            Err(journal::JournalError::Owned { holder, .. }) if holder.contains(journal::REAPER) => holder,
            // The run itself lives on this host.
            Err(error @ journal::JournalError::Owned { .. }) => return Err(Skipped::Alive(error.to_string())),
            // A journal that is gone must not keep what costs alive: names are enough.
            Err(error) => {
                site.events.warn(format!("{}: {error}; going on by name", site.run));
                return Ok(None);
            }
        };
        // Somebody is at it, and may be killed at any moment: what costs is stopped all the same, once.
        if !std::mem::replace(&mut said, true) {
            site.events.note(format!("{}: {holder} is at it: waiting for its end", site.run));
            fence(site).await;
            stop_spending(site, things).await;
        }
        if begun.elapsed() >= destroy::BOUND {
            return Err(Skipped::Unable(format!("{holder} does not end")));
        }
        sleep(LOOK).await;
    }
}

/// The runs that have something in the account, and no folder here.
async fn strangers(
    wanted: &Reaping,
    clouds: &mut Clouds<'_>,
    known: &[RunId],
    events: &Events,
) -> Result<Vec<Reaped>, RunError> {
    let mut cloud = clouds.get(events).await?;
    // Their state is not here, and terraform can do nothing without it.
    cloud.terraform = None;
    let discovered = discover::runs(&cloud.aws).await;
    for why in &discovered.unread {
        events.warn(format!("not every list could be read: {why}"));
    }
    let is_wanted = |run: &RunId| wanted.only.as_ref().is_none_or(|only| only == run) && !known.contains(run);
    // What costs is stopped first, of all of them: to destroy one takes minutes.
    let runs: Vec<RunId> = discovered.runs.into_iter().filter(is_wanted).collect();
    let mut looks: Vec<BoxFuture<'_, Option<Stranger>>> = Vec::new();
    for run in &runs {
        looks.push(Box::pin(stop_stranger(wanted, &cloud, run, events)));
    }
    let found: Vec<_> = futures_util::stream::iter(looks).buffered(LOOKED_AT_ONCE).collect().await;
    let mut reaped = Vec::new();
    for Stranger { entry, unsettled } in found.into_iter().flatten() {
        if wanted.dry_run {
            reaped.push(entry);
            continue;
        }
        let result = match unsettled {
            Ok(unsettled) => {
                let site = Site { cloud: &cloud, run: &entry.run, host: None, unsettled, events };
                let destruction = dismantle(&site, &entry.leftovers).await;
                let _ = std::fs::create_dir_all(&wanted.runs_dir);
                prove(&wanted.runs_dir.join(format!("{}.{PROOF}", entry.run)), &site, &destruction);
                Ok(destruction)
            }
            Err(skipped) => Err(skipped),
        };
        reaped.push(entry.became(result));
    }
    Ok(reaped)
}

/// A run without a folder here.
struct Stranger {
    entry: Reaped,
    /// It never gave a sign of life: it may have been killed in the middle of its apply. Or why it is not touched.
    unsettled: Result<bool, Skipped>,
}

/// Nothing where the run has nothing; else what it may have, and it costs nothing any more.
async fn stop_stranger(wanted: &Reaping, cloud: &Cloud, run: &RunId, events: &Events) -> Option<Stranger> {
    let site = Site { cloud, run, host: None, unsettled: false, events };
    let (things, there) = ours(&site).await;
    // Ghosts of the tagging API, and things that only look like a run's.
    if there.is_empty() {
        return None;
    }
    if wanted.dry_run {
        return Some(Stranger { entry: Reaped::new(run.clone(), there), unsettled: Ok(false) });
    }
    let entry = Reaped::new(run.clone(), things);
    if let Some(why) = alive(wanted, &site).await {
        return Some(Stranger { entry, unsettled: Err(Skipped::Alive(why)) });
    }
    let beats = Query::new(&cloud.aws).age(&Names::of(run).bucket, "run/control.json").await;
    fence(&site).await;
    stop_spending(&site, &entry.leftovers).await;
    Some(Stranger { entry, unsettled: Ok(beats.is_err()) })
}

/// What could be the run's own: every name but those that are somebody else's; and which of them are there. What cannot be
/// described counts as there.
async fn ours(site: &Site<'_>) -> (Vec<Thing>, Vec<Thing>) {
    let inventory = Inventory::new(&site.cloud.aws, site.run);
    let (mut own, mut there) = (Vec::new(), Vec::new());
    for thing in Names::of(site.run).things() {
        if matches!(inventory.exists(&thing).await, Ok(Presence::Gone { .. })) {
            own.push(thing);
            continue;
        }
        match inventory.is_ours(&thing).await {
            Ok(true) => {
                own.push(thing.clone());
                there.push(thing);
            }
            Ok(false) => {
                site.events.note(format!("{thing} has no tag of this run: it is somebody else's, not touched"))
            }
            Err(error) => site.events.note(format!("{thing}: whose it is could not be told ({error}): not touched")),
        }
    }
    (own, there)
}

#[derive(Serialize)]
struct ProofFile<'a> {
    run: &'a RunId,
    account: &'a str,
    region: &'a str,
    things: &'a [Proof],
}

/// A disk that takes no proof does not make it untrue.
pub fn prove(path: &Path, site: &Site<'_>, destruction: &Destruction) {
    let Cloud { aws, caller, .. } = site.cloud;
    let file = ProofFile { run: site.run, account: &caller.account, region: &aws.region, things: &destruction.proof };
    let written =
        serde_json::to_vec_pretty(&file).map_err(std::io::Error::from).and_then(|json| std::fs::write(path, json));
    if let Err(error) = written {
        site.events.note(format!("the proof could not be written: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::record::Run;

    #[test]
    fn locks_of_another_host_or_of_before_a_restart_say_nothing() {
        let begun = |boot: Option<String>| {
            let record = Run {
                run: RunId::parse("sp-0000000001").unwrap(),
                region: String::new(),
                account: String::new(),
                scenario_name: "x".to_owned(),
                url: "http://x".to_owned(),
                endpoint: None,
                boot,
                started: jiff::Timestamp::UNIX_EPOCH,
            };
            is_of_this_boot(&[Record::Run(record)])
        };
        assert!(begun(locks::boot()) && begun(None));
        assert!(!begun(Some("another".to_owned())));
    }

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
            boot: None,
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
