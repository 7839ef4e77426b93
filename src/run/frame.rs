//! The frame around a run: what destroy needs, whatever became of the phases.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::beacon::Beacon;
use super::plan::Planned;
use super::{Context, RunError};
use crate::aws::Cloud;
use crate::channel::message::Start;
use crate::channel::{BEAT, Channel, ChannelError};
use crate::cost::{self, Cost};
use crate::events::{Event, Events, Phase};
use crate::fleet::Fleet;
use crate::journal::locks::{self, WorkLock};
use crate::journal::record::Run;
use crate::journal::reserve::{self, FileSystem};
use crate::journal::{self, Journal, Record};
use crate::limits::Standing;
use crate::scenario::{Arch, TaskSize};
use crate::teardown::guard::Guard;
use crate::terraform::Binary;
use crate::units::RunId;
use crate::verdict::Warning;

pub struct Frame {
    pub run: RunId,
    pub folder: PathBuf,
    pub cloud: Option<Cloud>,
    /// With which the cloud's resources are made and destroyed.
    pub terraform: Option<Binary>,
    /// What the report says of a run however far it came.
    pub about: About,
    pub fleet: tokio::sync::Mutex<Option<Box<dyn Fleet>>>,
    /// Held, and inherited by terraform, as long as anything of the run lives on this host.
    pub work: Arc<WorkLock>,
    beacon: tokio::sync::Mutex<Option<Beacon>>,
    /// Nothing, once the run has let go of its folder.
    journal: Mutex<Option<Journal>>,
    guard: tokio::sync::Mutex<Option<Guard>>,
    /// What was written to the journal, or was to be: a disk that forgets must not stop a destroy.
    written: Mutex<Vec<Record>>,
    took: Mutex<Vec<(Phase, Duration)>>,
}

#[derive(Debug, Clone)]
pub struct About {
    pub scenario: String,
    pub url: String,
    pub insecure: bool,
    pub seed: Option<u64>,
    pub group: Option<String>,
    pub begun: Timestamp,
    pub tasks: u32,
    pub estimate: Cost,
    pub size: TaskSize,
    pub arch: Arch,
    pub standing: Standing,
    pub warnings: Vec<Warning>,
}

impl Frame {
    /// Opens the run's folder and journal. From here on, whatever is made is known to be ours to
    /// destroy.
    pub fn open(cx: &Context, planned: &Planned) -> Result<Arc<Self>, RunError> {
        let failed = |error: &dyn std::fmt::Display| RunError::could_not(Phase::Plan, error);
        let scenario = &planned.scenario;
        let cloud = planned.cloud.as_ref();
        let record = Record::Run(Run {
            run: planned.run.clone(),
            region: cloud
                .map(|cloud| cloud.aws.region.clone())
                .unwrap_or_default(),
            account: cloud
                .map(|cloud| cloud.caller.account.clone())
                .unwrap_or_default(),
            scenario_name: scenario.name.clone(),
            url: scenario.target.url.to_string(),
            endpoint: cloud.and_then(|cloud| cloud.aws.endpoint.clone()),
            boot: locks::boot(),
            profile: std::env::var("AWS_PROFILE")
                .ok()
                .filter(|name| !name.is_empty()),
            started: planned.begun,
        });
        let journal =
            Journal::create(&planned.folder, record.clone()).map_err(|error| failed(&error))?;
        let work = WorkLock::take(&planned.folder).map_err(|error| failed(&error))?;
        let work = work.ok_or_else(|| failed(&"the new run's folder is already worked in"))?;
        stand_firm(cx, &planned.folder).map_err(|error| failed(&error))?;
        let (run, folder) = (planned.run.clone(), planned.folder.clone());
        let reap = cloud
            .is_some()
            .then(|| journal::reap_command(&cx.wanted.runs_dir, &run));
        cx.events.say(Event::RunNamed { run, folder, reap });
        let about = About {
            scenario: scenario.name.clone(),
            url: scenario.target.url.to_string(),
            insecure: scenario.target.tls.insecure,
            seed: Some(planned.seed),
            group: planned.group.as_ref().map(|group| group.name.clone()),
            begun: planned.begun,
            tasks: planned.sizing.tasks,
            estimate: planned.estimate,
            size: scenario.fleet.size,
            arch: scenario.fleet.arch,
            standing: planned.permit.standing.clone(),
            warnings: planned.warnings.clone(),
        };
        Ok(Arc::new(Self {
            run: planned.run.clone(),
            folder: planned.folder.clone(),
            cloud: planned.cloud.clone(),
            terraform: planned.terraform.clone(),
            about,
            fleet: tokio::sync::Mutex::new(None),
            work: Arc::new(work),
            beacon: tokio::sync::Mutex::new(None),
            journal: Mutex::new(Some(journal)),
            guard: tokio::sync::Mutex::new(None),
            written: Mutex::new(vec![record]),
            took: Mutex::new(Vec::new()),
        }))
    }

    /// Durable before the deed: if the journal cannot be written, the deed must not be done.
    pub fn intend(&self, record: Record) -> Result<(), RunError> {
        self.write(record)
            .map_err(|error| RunError::could_not(Phase::Provision, error))?;
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if journal.as_ref().is_some_and(Journal::is_full) {
            return Err(RunError::could_not(
                Phase::Provision,
                "the disk is full: nothing more is begun",
            ));
        }
        Ok(())
    }

    /// Afterwards: what cannot be written is only read as "may still exist".
    pub fn did(&self, record: Record) {
        let _ = self.write(record);
    }

    fn write(&self, record: Record) -> Result<(), crate::journal::JournalError> {
        self.written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(record.clone());
        match self
            .journal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
        {
            Some(journal) => journal.write(record),
            None => Ok(()),
        }
    }

    /// An apply was begun, and nobody knows what became of it.
    pub fn unsettled(&self) -> bool {
        crate::journal::unsettled(&self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From here on the run is destroyed even if this process is killed.
    pub async fn set_guard(&self, guard: Guard) {
        *self.guard.lock().await = Some(guard);
    }

    /// The run is over as far as this process is concerned: a guard that has nothing left to do
    /// goes home, and one that has takes over. Says which, if it is the latter.
    pub async fn let_go(&self, finished: bool) -> Option<String> {
        *self.journal.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut guard = self.guard.lock().await.take()?;
        if finished {
            guard.dismiss().await;
            return None;
        }
        let (pid, log) = (guard.pid()?, guard.log());
        Some(format!(
            "the guard (process {pid}) goes on destroying; its log: {}",
            log.display()
        ))
    }

    /// What the journal says may exist.
    pub fn leftovers(&self) -> Vec<crate::journal::names::Thing> {
        crate::journal::leftovers(&self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub async fn equip(&self, fleet: Box<dyn Fleet>, channel: Channel, epoch: u64) {
        *self.fleet.lock().await = Some(fleet);
        *self.beacon.lock().await = Some(Beacon::new(channel, epoch));
    }

    /// A sign of life, written where tasks and reapers see it; and a look at whether the guard
    /// still lives.
    pub async fn beat(&self, events: &Events) -> Result<(), ChannelError> {
        if let Some(news) = self.guard.lock().await.as_mut().and_then(Guard::check) {
            events.warn(news);
        }
        match self.beacon.lock().await.as_mut() {
            Some(beacon) => beacon.beat().await,
            None => Ok(()),
        }
    }

    /// Beats for as long as it is awaited: only where there is no load that a beat could keep
    /// alive.
    pub async fn keep_beating(&self, events: &Events) {
        loop {
            // A beat that is refused changes nothing here: everything is being taken down anyway.
            let _ = self.beat(events).await;
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Since the store last took a beat.
    pub async fn silence(&self) -> Duration {
        self.beacon
            .lock()
            .await
            .as_ref()
            .map(Beacon::silence)
            .unwrap_or_default()
    }

    pub async fn start(&self, start: Start) -> Result<(), ChannelError> {
        match self.beacon.lock().await.as_mut() {
            Some(beacon) => beacon.start(start).await,
            None => Ok(()),
        }
    }

    /// Secrets are on the channel only while tasks come up.
    pub async fn put_secrets(&self, secrets: &crate::redact::Secrets) -> Result<(), ChannelError> {
        match self.beacon.lock().await.as_mut() {
            Some(beacon) => beacon.put_secrets(secrets).await,
            None => Ok(()),
        }
    }

    pub async fn drop_secrets(&self) -> Result<(), ChannelError> {
        match self.beacon.lock().await.as_mut() {
            Some(beacon) => beacon.drop_secrets().await,
            None => Ok(()),
        }
    }

    /// The first act of every ending: it reaches every task within its next poll.
    pub async fn stop(&self, why: &str) -> Result<(), ChannelError> {
        match self.beacon.lock().await.as_mut() {
            Some(beacon) if !beacon.stopped() => beacon.stop(why).await,
            _ => Ok(()),
        }
    }

    pub fn took(&self, phase: Phase, took: Duration) {
        self.took
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((phase, took));
    }

    pub fn durations(&self) -> Vec<(Phase, Duration)> {
        self.took
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What the tasks have cost; nothing where they cost nothing.
    pub async fn cost(&self) -> Option<Cost> {
        self.cloud.as_ref()?;
        let fleet = self.fleet.lock().await;
        let times = fleet
            .as_ref()
            .map(|fleet| fleet.billed())
            .unwrap_or_default();
        Some(cost::of_tasks(self.about.size, self.about.arch, &times))
    }
}

/// Room on the disk for whatever must be written when it is full; and a word about a folder that is
/// not what it seems.
fn stand_firm(cx: &Context, folder: &std::path::Path) -> std::io::Result<()> {
    if let Some(free) = reserve::shortage(folder) {
        let what = format!(
            "only {} MB are free where runs are kept ({})",
            free / 1_000_000,
            folder.display()
        );
        return Err(std::io::Error::new(std::io::ErrorKind::StorageFull, what));
    }
    reserve::set_aside(folder)?;
    match reserve::file_system(folder) {
        FileSystem::Disk => {}
        FileSystem::Network => cx
            .events
            .warn("runs are kept on a network file system: its locks may not hold (--runs-dir)"),
        FileSystem::Memory => cx
            .events
            .warn("runs are kept in memory: their journals are gone with the power (--runs-dir)"),
    }
    Ok(())
}

#[cfg(test)]
pub mod example {
    use std::path::Path;

    use super::*;
    use crate::cost::of_tasks;
    use crate::run::{FleetKind, Interrupt, OrganisationFile, Repeats, Wanted};
    use crate::scenario::example::scenario;

    pub fn wanted(runs_dir: &Path) -> Wanted {
        Wanted {
            scenario_file: String::new(),
            scenario_text: String::new(),
            environment: std::collections::BTreeMap::new(),
            url: None,
            fleet: FleetKind::Fargate,
            tasks: None,
            runs_dir: runs_dir.to_owned(),
            terraform: None,
            generator_binary: None,
            image: None,
            guard: true,
            force: false,
            max_duration: None,
            allowed: Vec::new(),
            organisation: OrganisationFile::default(),
            repeats: Repeats::default(),
        }
    }

    /// A run that has a folder and a journal, and nothing else yet.
    pub fn begun(runs_dir: &Path) -> (Context, Arc<Frame>) {
        let events = Events::channel().0;
        let cx = Context {
            wanted: Arc::new(wanted(runs_dir)),
            events,
            interrupt: Interrupt::quiet(),
        };
        let run = RunId::parse("sp-0000000001").unwrap();
        let folder = runs_dir.join(run.as_str());
        let scenario = scenario(vec![]);
        let head = Run {
            run: run.clone(),
            region: "eu-west-1".to_owned(),
            account: "123456789012".to_owned(),
            scenario_name: scenario.name.clone(),
            url: scenario.target.url.to_string(),
            endpoint: None,
            started: Timestamp::UNIX_EPOCH,
            boot: locks::boot(),
            profile: None,
        };
        let journal = Journal::create(&folder, Record::Run(head.clone())).unwrap();
        let about = About {
            scenario: scenario.name.clone(),
            url: scenario.target.url.to_string(),
            insecure: false,
            seed: None,
            group: None,
            begun: Timestamp::UNIX_EPOCH,
            tasks: 2,
            estimate: of_tasks(scenario.fleet.size, scenario.fleet.arch, &[]),
            size: scenario.fleet.size,
            arch: scenario.fleet.arch,
            standing: Standing::default(),
            warnings: Vec::new(),
        };
        let frame = Frame {
            run,
            work: Arc::new(WorkLock::take(&folder).unwrap().unwrap()),
            folder,
            cloud: None,
            terraform: None,
            about,
            fleet: tokio::sync::Mutex::new(None),
            beacon: tokio::sync::Mutex::new(None),
            journal: Mutex::new(Some(journal)),
            guard: tokio::sync::Mutex::new(None),
            written: Mutex::new(vec![Record::Run(head)]),
            took: Mutex::new(Vec::new()),
        };
        (cx, Arc::new(frame))
    }
}
