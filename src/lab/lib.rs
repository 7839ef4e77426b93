//! An AWS on this machine: one endpoint for terraform, its AWS provider and the SDKs.
//!
//! moto does what it does well (identity, networks, buckets, repositories, clusters, task
//! definitions, logs). The lab does the rest for real: tasks are processes out of the pushed image,
//! the target serves HTTP with limited capacity, and its Auto Scaling group follows a policy on the
//! load it has.
//!
//! It leaves out everything that a run does not call. No product code knows of the lab: only the
//! endpoint differs.
//!
//! The lab runs programs, so it answers only those to whom it gave a key: each start draws new ones,
//! and `signature` checks them at every call.
//!
//! # Example
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let lab = lab::start(lab::Options::default()).await?;
//! println!("AWS_ENDPOINT_URL={}", lab.endpoint());
//! println!("group {} serves {}", lab.group(), lab.target_url());
//! lab.stop().await;
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod alarms; // the alarms of the group's policies, with their history in CloudWatch's texts
mod amend; // what moto answers otherwise than AWS
mod autoscaling; // Auto Scaling's API over the group
mod call; // an AWS call on the wire, and the shapes of an answer
mod cbor; // CBOR bodies, as newer clients of CloudWatch speak them
mod clock; // one clock that cannot jump
mod cloudwatch; // CloudWatch's API over the group
mod config; // the lab file, with a default for every key
mod document; // an IAM policy document, and whether it allows a need
mod door; // who may speak at a port at all: no foreign host, no page
mod ecs; // the task calls of ECS, with their refusals
mod elb; // the load balancer's API over the target
mod front; // the endpoint: answers a call, or passes it to moto
mod group; // the Auto Scaling group: instances that boot, serve, drain and go
mod ids; // identifiers that look like AWS's
mod images; // the registry: pushed layers, checked and unpacked
mod instance; // one instance of the group, and the record of its launch or end
mod inventory; // everything in the emulated account: the proof that nothing was left
mod keys; // the access keys that the lab hands out
mod live_policy; // a scaling policy of the group, and its alarms
mod metrics; // CloudWatch's samples of the target
mod moto; // moto as a child process
mod needs; // from a call to the IAM permissions it takes
mod permissions; // holds callers to policy documents
mod policies; // bucket policies, given back as they were put
mod queue; // one instance as a queue of requests
mod reconfigure; // changes of the group's settings by callers
mod recorder; // a file with every AWS call and its answer
mod resize; // changes of the group's size
mod route; // a request's way through load balancer, instance and backend
mod secret; // random texts, compared in constant time
mod service; // the target as an ECS service
mod shop; // a small API for scenarios with logins, captures and carts
mod signature; // whether a call is signed by a key of this lab
pub mod tap; // hears of every AWS call, and may refuse it
mod target; // the HTTP server that stands for load balancer and instances
mod tasks; // a Fargate task as a process of this machine
mod tree; // an answer, in the form of each protocol
pub mod truth; // every instant that the group lived through
mod worlds; // optional causes of slow or failed answers

use call::ApiError;
use clock::{Clock, LabInstant};
use config::{Config, InjectedError};
pub use config::{LabConfigError, PolicyConfigError};
pub use document::PolicyDocumentError;
use door::{Door, Pages};
use group::LabGroup;
use images::Images;
use keys::Keys;
pub use keys::{AccessKey, Principal};
use moto::Moto;
pub use moto::MotoError;
use permissions::Permissions;
pub use permissions::{PolicyFiles, Usage};
use recorder::Recorder;
pub use secret::Secret;
use tap::{Line, Tap};
use tasks::LabTask;
use worlds::connections::Place;

/// How to start a lab.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The lab file; without one, the defaults.
    pub file: Option<PathBuf>,
    /// 0: any free one.
    pub port: u16,
    /// The `moto_server` program; without one it is looked for.
    pub moto: Option<PathBuf>,
    /// Hears of each call and may refuse it; the default does neither.
    pub tap: Tap,
    /// A new file for every call and its answer; without one, none is written.
    pub calls: Option<PathBuf>,
}

/// The reason why the lab did not start, or could not list its account.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// No `moto_server` was found.
    #[error(
        "the lab needs moto: python3 -m venv .spikeproof/venv && .spikeproof/venv/bin/pip install 'moto[server]==5.2.5' \
         (or name the program with --moto or SPIKEPROOF_MOTO)"
    )]
    NoMoto,
    /// The moto program is too old, did not start, or did not listen in time.
    #[error("{} did not start: {problem}; the lab needs: pip install 'moto[server]==5.2.5'", program.display())]
    Moto {
        /// Path of the program.
        program: PathBuf,
        /// Its version, its early end, its silence, or the system's error.
        #[source]
        problem: MotoError,
    },
    /// The lab file cannot be read, or is wrong.
    #[error("lab file {}: {source}", path.display())]
    Config {
        /// Path of the lab file.
        path: PathBuf,
        /// The key or value that is wrong, or the system's error.
        source: LabConfigError,
    },
    /// A policy document cannot be read, or is wrong.
    #[error("lab file {}: {source}", path.display())]
    Policy {
        /// Path of the policy document.
        path: PathBuf,
        /// The statement that is wrong, or the system's error.
        source: PolicyDocumentError,
    },
    /// The endpoint of the lab or of its target could not be bound.
    #[error("the lab cannot listen on 127.0.0.1: {0}")]
    Port(#[source] std::io::Error),
    /// The work folder, a temporary one, could not be made or written.
    #[error("the lab's work folder: {0}")]
    Folder(#[source] std::io::Error),
    /// The file for the calls could not be made; it may exist.
    #[error("{}: {source}", path.display())]
    Calls {
        /// Path of the file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The system gave no random bytes for the keys.
    #[error("the lab's keys: {0}")]
    Keys(#[source] std::io::Error),
    /// moto did not list a resource of the account.
    #[error("the emulated account cannot be listed: {0}")]
    Inventory(#[source] ApiError),
}

/// A running lab. [`Lab::stop`] ends and waits for everything; dropping it only kills.
#[derive(Debug)]
pub struct Lab {
    world: Arc<World>,
    servers: JoinSet<()>,
    moto: Moto,
    /// The inventory of the account at the start.
    before: Vec<String>,
    folder: tempfile::TempDir,
}

/// The state that the lab's parts share.
#[derive(Debug)]
struct World {
    config: Config,
    clock: Clock,
    moto: moto::Client,
    endpoint: String,
    target_url: String,
    doors: Doors,
    keys: Keys,
    /// Opens the layers' download URLs.
    layers: Secret,
    folder: PathBuf,
    images: Images,
    group: Mutex<LabGroup>,
    tasks: Mutex<BTreeMap<String, LabTask>>,
    /// By bucket.
    policies: Mutex<BTreeMap<String, bytes::Bytes>>,
    capacity_refused: AtomicUsize,
    /// How many calls each refusal of the lab file has met.
    refused: Vec<AtomicUsize>,
    line: Line,
    recorder: Option<Recorder>,
    /// When the target was last asked for something: milliseconds since 1970, and 0 for never.
    last_request: AtomicU64,
    permissions: Permissions,
    launches: UnboundedSender<String>,
    closing: CancellationToken,
}

/// The checks at the lab's two ports.
#[derive(Debug)]
struct Doors {
    front: Door,
    target: Door,
}

/// The lab's two ports, before anybody listens.
struct Ports {
    front: TcpListener,
    target: TcpListener,
    doors: Doors,
    endpoint: String,
    target_url: String,
}

impl Ports {
    async fn bind(port: u16) -> std::io::Result<Self> {
        let front = TcpListener::bind(("127.0.0.1", port)).await?;
        let target = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (at, target_at) = (front.local_addr()?, target.local_addr()?);
        Ok(Self {
            doors: Doors {
                front: Door::new(at.port(), Pages::None),
                target: Door::new(target_at.port(), Pages::Own),
            },
            endpoint: format!("http://{at}"),
            target_url: format!("http://{target_at}"),
            front,
            target,
        })
    }
}

/// Starts moto, the target and the endpoint.
pub async fn start(options: Options) -> Result<Lab, LabError> {
    start_held(options, PolicyFiles::default()).await
}

/// The same, with callers held to these policy documents; where they name none, to those of the lab
/// file.
pub async fn start_held(options: Options, files: PolicyFiles) -> Result<Lab, LabError> {
    let config = options
        .file
        .as_deref()
        .map_or_else(|| Ok(Config::default()), Config::read)?;
    let permissions = Permissions::read(&files.or(&config.permissions))?;
    let folder = tempfile::Builder::new()
        .prefix("spikeproof-lab-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir()
        .map_err(LabError::Folder)?;
    let ports = Ports::bind(options.port).await.map_err(LabError::Port)?;
    let moto = Moto::start(options.moto.as_deref(), folder.path()).await?;
    let clock = Clock::start();
    let (launches, received) = tokio::sync::mpsc::unbounded_channel();
    let world = Arc::new(World {
        group: Mutex::new(LabGroup::new(&config, clock.now())),
        images: Images::new(folder.path().to_owned()).map_err(LabError::Folder)?,
        moto: moto.client.clone(),
        endpoint: ports.endpoint,
        target_url: ports.target_url,
        doors: ports.doors,
        keys: Keys::draw().map_err(LabError::Keys)?,
        layers: Secret::draw().map_err(LabError::Keys)?,
        folder: folder.path().to_owned(),
        tasks: Mutex::default(),
        policies: Mutex::default(),
        capacity_refused: AtomicUsize::new(0),
        refused: config
            .faults
            .refuse
            .iter()
            .map(|_| AtomicUsize::new(0))
            .collect(),
        line: Line::new(options.tap),
        recorder: options.calls.as_deref().map(record).transpose()?,
        last_request: AtomicU64::new(0),
        closing: CancellationToken::new(),
        config,
        clock,
        permissions,
        launches,
    });
    inventory::prepare(&world)
        .await
        .map_err(LabError::Inventory)?;
    let before = inventory::list(&world).await.map_err(LabError::Inventory)?;
    let mut servers = JoinSet::new();
    servers.spawn(tasks::supervise(Arc::clone(&world), received));
    servers.spawn(keep_time(Arc::clone(&world)));
    let (shared, door) = (Arc::clone(&world), Arc::clone(&world));
    servers.spawn(front::listen(
        ports.target,
        world.closing.clone(),
        move || door.group().connect(door.clock.now()),
        move |request| target::serve(Arc::clone(&shared), request),
    ));
    let shared = Arc::clone(&world);
    servers.spawn(front::listen(
        ports.front,
        world.closing.clone(),
        || Some(Place::default()),
        move |request| front::serve(Arc::clone(&shared), request),
    ));
    Ok(Lab {
        world,
        servers,
        moto,
        before,
        folder,
    })
}

fn record(path: &Path) -> Result<Recorder, LabError> {
    Recorder::create(path).map_err(|source| LabError::Calls {
        path: path.to_owned(),
        source,
    })
}

impl Lab {
    /// `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> &str {
        &self.world.endpoint
    }

    /// The system under test.
    pub fn target_url(&self) -> &str {
        &self.world.target_url
    }

    /// The system under test's Auto Scaling group.
    pub fn group(&self) -> &str {
        group::NAME
    }

    /// The access key of a principal.
    pub fn key(&self, principal: Principal) -> &AccessKey {
        self.world.keys.of(principal)
    }

    /// The environment in which a command sees the lab instead of AWS. It holds the operator's key.
    pub fn environment(&self) -> Vec<(String, String)> {
        let key = self.key(Principal::Operator);
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", &key.id),
            ("AWS_SECRET_ACCESS_KEY", key.secret.text()),
            ("AWS_REGION", ids::REGION),
            ("AWS_DEFAULT_REGION", ids::REGION),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("TARGET_URL", self.target_url()),
            ("TARGET_GROUP", self.group()),
            (
                "TARGET_SERVICE",
                &format!("{}/{}", service::CLUSTER, service::SERVICE),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Everything that the emulated account has in addition to the start, by each service's own
    /// list call.
    pub async fn inventory(&self) -> Result<Vec<String>, LabError> {
        let mut now = inventory::list(&self.world)
            .await
            .map_err(LabError::Inventory)?;
        now.retain(|thing| !self.before.contains(thing));
        Ok(now)
    }

    /// When the target was last asked for something.
    pub fn last_request(&self) -> Option<jiff::Timestamp> {
        let millis = self.world.last_request.load(Ordering::Relaxed);
        (millis > 0)
            .then(|| jiff::Timestamp::from_millisecond(millis as i64).ok())
            .flatten()
    }

    /// Which permissions the operator and the tasks have used so far.
    pub fn permissions(&self) -> [Usage; 2] {
        self.world.permissions.usage()
    }

    /// Every instant that the target's group has lived through.
    pub fn truth(&self) -> truth::Truth {
        let now = self.world.clock.now();
        let mut group = self.world.group();
        group.advance(now);
        truth::Truth::of(&group, now)
    }

    /// Ends every task, both servers and moto, waits for them, and removes the work folder.
    pub async fn stop(mut self) {
        self.world.closing.cancel();
        while self.servers.join_next().await.is_some() {}
        self.moto.stop().await;
        drop(self.folder.close());
    }
}

impl World {
    fn group(&self) -> MutexGuard<'_, LabGroup> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<String, LabTask>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn policies(&self) -> MutexGuard<'_, BTreeMap<String, bytes::Bytes>> {
        self.policies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut LabTask, LabInstant)) {
        let now = self.clock.now();
        if let Some(task) = self.tasks().get_mut(id) {
            change(task, now);
        }
    }

    /// The lab file's refusal of this action, while it lasts.
    fn refusal(&self, action: &str) -> Option<&InjectedError> {
        let met = self
            .config
            .faults
            .refuse
            .iter()
            .zip(&self.refused)
            .find(|(refusal, _)| refusal.action == action);
        let (refusal, count) = met?;
        let before = count.fetch_add(1, Ordering::Relaxed);
        refusal.meets(before).then_some(refusal)
    }

    /// Whether the lab file still has a refusal for want of capacity to give.
    fn refuses_capacity(&self) -> bool {
        let most = self.config.faults.capacity_failures;
        self.capacity_refused.load(Ordering::Relaxed) < most
            && self.capacity_refused.fetch_add(1, Ordering::Relaxed) < most
    }
}

/// Closes one period after the other, on whole multiples of the period as CloudWatch has them.
async fn keep_time(world: Arc<World>) {
    let period = world.config.policy.period;
    let whole = |moment: LabInstant| {
        LabInstant::from_secs(moment.as_secs() / period.as_secs() * period.as_secs())
    };
    let mut start = whole(world.clock.now());
    loop {
        let end = start + period;
        tokio::select! {
            () = world.closing.cancelled() => return,
            () = world.clock.sleep_until(end) => {}
        }
        let mut group = world.group();
        group.advance(end);
        group.close_period(start, end);
        start = end;
    }
}
