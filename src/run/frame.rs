//! The frame around a run: what destroy needs, whatever became of the phases.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::beacon::Beacon;
use super::plan::{Cloud, Planned};
use super::{Context, RunError};
use crate::channel::message::Start;
use crate::channel::{Channel, ChannelError};
use crate::cost::{self, Cost};
use crate::events::{Event, Phase};
use crate::fleet::Fleet;
use crate::journal::record::Run;
use crate::journal::{Journal, Record};
use crate::limits::Standing;
use crate::scenario::{Arch, TaskSize};
use crate::units::RunId;

pub struct Frame {
    pub run: RunId,
    pub folder: PathBuf,
    pub cloud: Option<Cloud>,
    /// What the report says of a run however far it came.
    pub about: About,
    pub fleet: tokio::sync::Mutex<Option<Box<dyn Fleet>>>,
    beacon: tokio::sync::Mutex<Option<Beacon>>,
    journal: Mutex<Journal>,
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
    pub warnings: Vec<String>,
}

impl Frame {
    /// Opens the run's folder and journal. From here on, whatever is made is known to be ours to destroy.
    pub fn open(cx: &Context, planned: &Planned) -> Result<Arc<Self>, RunError> {
        let failed = |error: &dyn std::fmt::Display| RunError::could_not(Phase::Plan, error);
        let scenario = &planned.scenario;
        let cloud = planned.cloud.as_ref();
        let record = Record::Run(Run {
            run: planned.run.clone(),
            region: cloud.map(|cloud| cloud.aws.region.clone()).unwrap_or_default(),
            account: cloud.map(|cloud| cloud.caller.account.clone()).unwrap_or_default(),
            scenario_name: scenario.name.clone(),
            url: scenario.target.url.to_string(),
            endpoint: cloud.and_then(|cloud| cloud.aws.endpoint.clone()),
            started: planned.begun,
        });
        let journal = Journal::create(&planned.folder, record.clone()).map_err(|error| failed(&error))?;
        let (run, folder) = (planned.run.clone(), planned.folder.clone());
        cx.events.say(Event::RunNamed { run, folder, in_cloud: cloud.is_some() });
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
            about,
            fleet: tokio::sync::Mutex::new(None),
            beacon: tokio::sync::Mutex::new(None),
            journal: Mutex::new(journal),
            written: Mutex::new(vec![record]),
            took: Mutex::new(Vec::new()),
        }))
    }

    /// Durable before the deed: if the journal cannot be written, the deed must not be done.
    pub fn intend(&self, record: Record) -> Result<(), RunError> {
        self.write(record).map_err(|error| RunError::could_not(Phase::Provision, error))
    }

    /// Afterwards: what cannot be written is only read as "may still exist".
    pub fn did(&self, record: Record) {
        let _ = self.write(record);
    }

    fn write(&self, record: Record) -> Result<(), crate::journal::JournalError> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(record.clone());
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).write(record)
    }

    /// What the journal says may exist.
    pub fn leftovers(&self) -> Vec<crate::journal::names::Thing> {
        crate::journal::leftovers(&self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub async fn equip(&self, fleet: Box<dyn Fleet>, channel: Channel, epoch: u64) {
        *self.fleet.lock().await = Some(fleet);
        *self.beacon.lock().await = Some(Beacon::new(channel, epoch));
    }

    pub async fn beat(&self) -> Result<(), ChannelError> {
        match self.beacon.lock().await.as_mut() {
            Some(beacon) => beacon.beat().await,
            None => Ok(()),
        }
    }

    pub async fn start(&self, start: Start) -> Result<(), ChannelError> {
        match self.beacon.lock().await.as_mut() {
            Some(beacon) => beacon.start(start).await,
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
        self.took.lock().unwrap_or_else(PoisonError::into_inner).push((phase, took));
    }

    pub fn durations(&self) -> Vec<(Phase, Duration)> {
        self.took.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the tasks have cost; nothing where they cost nothing.
    pub async fn cost(&self) -> Option<Cost> {
        self.cloud.as_ref()?;
        let fleet = self.fleet.lock().await;
        let times = fleet.as_ref().map(|fleet| fleet.billed()).unwrap_or_default();
        Some(cost::of_tasks(self.about.size, self.about.arch, &times))
    }
}
