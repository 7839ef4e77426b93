//! Nothing is left behind: phases and mishaps, kills at every AWS call, and seeded chaos.
//!
//! Each trial has a lab of its own, real generators, and a stand-in for terraform without the provider's slow waits
//! (`tests/teardown/terraform`; some trials have the real one). After each the same questions are asked: is anything of
//! ours in the account, is what is a stranger's still there, did load stop in time, is anything alive, does a second reap
//! find nothing.
//!
//! `SPIKEPROOF_TEARDOWN`: `matrix`, `calls` or `chaos` for the whole of one, else a few of each. Calls take `FROM` and `UNTIL`,
//! chaos `N`, `SEED` and, to see one again, `TRIAL` and `CALLS`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests are tests, which clippy.toml cannot see"
)]

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use rustix::process::{Pid, Signal, kill_process};
use spikeproof::lab::tap::{Refused, Tap, Tapped, When};
use spikeproof::lab::{Lab, Options};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Trials at once: mostly they wait. `SPIKEPROOF_TEARDOWN_AT_ONCE` is another number.
const AT_ONCE: usize = 6;
/// A run, its guard and a reap together.
const PATIENCE: Duration = Duration::from_secs(240);
/// What the promise says, and a second for clocks.
const LOAD_ENDS: jiff::SignedDuration = jiff::SignedDuration::from_secs(35);
const LOOK: Duration = Duration::from_millis(50);

const SCENARIO: &str = "
name: short
target: { url: '${TARGET_URL}', timeout: 2s }
phases:
  - { name: steady, rate: 20/s, hold: 3s }
flows:
  - { name: browse, steps: [ { get: /api/products, headers: { x-token: '${secret:SHOP_TOKEN}' } } ] }
thresholds: [ 'errors < 50%' ]
fleet: { tasks: 2 }
";

/// What the scenario keeps secret: nowhere on the disk afterwards, and in one of all AWS calls.
const CANARY: &str = "c4nary-of-the-shop";

const PHASES: [&str; 8] = ["plan", "provision", "start", "load", "recover", "collect", "judge", "destroy"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    Error,
    Panic,
    Interrupt(u32),
    Terminate,
    Hangup,
    KillRun,
    KillTerraform,
    KillBoth,
    KillGuardToo,
    DiskFull,
    OutputClosed,
    CredentialsExpired,
    Throttled,
    LabDown,
    StateEmptied,
    StateDeleted,
    FolderDeleted,
    KillAndLabDown,
    FolderDeletedAndKill,
}

const MISHAPS: [Mishap; 21] = [
    Mishap::Error,
    Mishap::Panic,
    Mishap::Interrupt(1),
    Mishap::Interrupt(2),
    Mishap::Interrupt(3),
    Mishap::Terminate,
    Mishap::Hangup,
    Mishap::KillRun,
    Mishap::KillTerraform,
    Mishap::KillBoth,
    Mishap::KillGuardToo,
    Mishap::DiskFull,
    Mishap::OutputClosed,
    Mishap::CredentialsExpired,
    Mishap::Throttled,
    Mishap::LabDown,
    Mishap::StateEmptied,
    Mishap::StateDeleted,
    Mishap::FolderDeleted,
    Mishap::KillAndLabDown,
    Mishap::FolderDeletedAndKill,
];

impl Mishap {
    /// What a pipeline sees. `None`: killed, or whatever the run came to in spite of it.
    fn exits(self, phase: &str) -> &'static [i32] {
        let made_nothing = phase == "plan";
        match self {
            Self::Error | Self::Panic if phase == "destroy" => &[6],
            Self::Error | Self::Panic => &[4],
            Self::Interrupt(3) if made_nothing => &[130],
            // By then the plan has been carried out: the verdict stands, and everything is destroyed as it would have been.
            Self::Interrupt(1 | 2) | Self::Terminate | Self::Hangup if phase == "destroy" => &[0, 5],
            Self::Interrupt(3) => &[6, 130],
            Self::Interrupt(_) | Self::Terminate | Self::Hangup => &[130],
            Self::KillRun | Self::KillBoth | Self::KillGuardToo => &[],
            Self::KillAndLabDown | Self::FolderDeletedAndKill => &[],
            Self::KillTerraform if phase == "provision" => &[4],
            Self::KillTerraform => &[0, 5],
            // Nothing has been meant yet when provision begins.
            Self::CredentialsExpired if made_nothing || phase == "provision" => &[4],
            Self::CredentialsExpired => &[6],
            Self::DiskFull => &[0, 4, 5],
            Self::LabDown | Self::Throttled => &[0, 4, 5],
            // On a busy machine a load of three seconds may come out inconclusive.
            _ => &[0, 5],
        }
    }

    /// terraform works in two phases only.
    fn is_there(self, phase: &str) -> bool {
        let takes_terraform = matches!(self, Self::KillTerraform | Self::KillBoth);
        !takes_terraform || ["provision", "destroy"].contains(&phase)
    }

    fn is_signal(self) -> bool {
        matches!(self, Self::Interrupt(_) | Self::Terminate | Self::Hangup)
    }

    fn is_killed(self) -> bool {
        let alone = matches!(self, Self::KillRun | Self::KillBoth | Self::KillGuardToo);
        alone || matches!(self, Self::KillAndLabDown | Self::FolderDeletedAndKill)
    }
}

/// What the account's front does to the calls of a trial.
#[derive(Debug, Default)]
struct Weather {
    expired: AtomicBool,
    /// Of a hundred calls, so many are throttled.
    throttled: AtomicUsize,
    down: AtomicBool,
    dice: Mutex<Option<Pcg64Mcg>>,
    /// Kill the owner of this process id at this call.
    last_call: Mutex<Option<(usize, When, u32)>>,
    calls: AtomicUsize,
    /// Calls that had the secret in them.
    telling: Mutex<Vec<String>>,
}

impl Weather {
    /// For twenty seconds nothing is answered.
    fn break_down(self: &Arc<Self>) {
        let weather = Arc::clone(self);
        weather.down.store(true, Ordering::Relaxed);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(20));
            weather.down.store(false, Ordering::Relaxed);
        });
    }

    fn tap(self: &Arc<Self>) -> Tap {
        let weather = Arc::clone(self);
        Tap::new(move |tapped| weather.hear(tapped))
    }

    fn hear(&self, tapped: Tapped<'_>) -> Option<Refused> {
        let refused = |code: &str| Some(Refused { code: code.to_owned(), message: "on cue".to_owned() });
        self.calls.fetch_max(tapped.number, Ordering::Relaxed);
        // Larger ones are pieces of the image, which is packed from the binary alone.
        let body = if tapped.body.len() < 1 << 20 { tapped.body } else { &[] };
        let tells = |bytes: &[u8]| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        if tapped.when == When::Before && (tells(body) || tells(tapped.path.as_bytes())) {
            self.telling.lock().unwrap().push(format!("{} {} {}", tapped.service, tapped.action, tapped.path));
        }
        if let Some((number, when, pid)) = *self.last_call.lock().unwrap()
            && (tapped.number, tapped.when) == (number, when)
        {
            kill(pid, Signal::KILL);
            return refused("InternalFailure");
        }
        if tapped.when == When::After {
            return None;
        }
        if self.expired.load(Ordering::Relaxed) {
            return refused("ExpiredTokenException");
        }
        if self.down.load(Ordering::Relaxed) {
            return refused("ServiceUnavailable");
        }
        let throttled = self.throttled.load(Ordering::Relaxed) as u32;
        let mut dice = self.dice.lock().unwrap();
        let dice = dice.get_or_insert_with(|| Pcg64Mcg::seed_from_u64(1));
        if throttled > 0 && dice.random_range(0..100) < throttled { refused("ThrottlingException") } else { None }
    }
}

fn kill(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal);
}

/// One lab, one run, and whatever happens to it.
struct Trial {
    lab: Lab,
    weather: Arc<Weather>,
    folder: TempDir,
    /// What was in the account before: a stranger's, with names and tags that look like ours.
    strangers: Vec<String>,
    real_terraform: bool,
    guard: bool,
    mount: Option<Mount>,
}

impl Trial {
    async fn new(real_terraform: bool, small_disk: bool) -> Self {
        let weather = Arc::new(Weather::default());
        let lab = spikeproof::lab::start(Options { tap: weather.tap(), ..Options::default() }).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("scenario.yaml"), SCENARIO).unwrap();
        let runs = folder.path().join("runs");
        std::fs::create_dir(&runs).unwrap();
        let mount = small_disk.then(|| Mount::new(&runs));
        let mut trial = Self { lab, weather, folder, strangers: Vec::new(), real_terraform, guard: true, mount };
        trial.strangers().await;
        trial
    }

    /// Look-alikes: names like ours without the tag, the tag without a name of ours, names that only begin like ours.
    async fn strangers(&mut self) {
        let script = "
import sys, pathlib
source = pathlib.Path(sys.argv[1]).read_text().replace('\\nmain()\\n', '\\n')
exec(compile(source, sys.argv[1], 'exec'))
vpc = text_between(ec2('DescribeVpcs'), 'vpcId')
ecs('CreateCluster', clusterName='sp-backendapp')
ecs('CreateCluster', clusterName='production', tags=[{'key': 'spikeproof:run', 'value': 'sp-backendapp'}])
ec2('CreateSecurityGroup', GroupName='sp-backendapp', GroupDescription='a guest', VpcId=vpc)
logs('CreateLogGroup', logGroupName='/spikeproof/sp-backendapp-copy')
ecr('CreateRepository', repositoryName='my-spikeproof/sp-backendapp')
iam('CreateRole', RoleName='sp-backendapp-task', AssumeRolePolicyDocument=policy('sts:AssumeRole', Principal={'Service': 'ecs-tasks.amazonaws.com'}))
place = '<CreateBucketConfiguration><LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>' % os.environ['AWS_REGION']
call('s3', 'CreateBucket', place if os.environ['AWS_REGION'] != 'us-east-1' else '', method='PUT', path='/spikeproof-sp-production')
";
        let output = Command::new("python3")
            .args(["-c", script])
            .arg(stand_in())
            .current_dir(self.folder.path())
            .envs(self.lab.environment())
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.strangers = self.lab.inventory().await.unwrap();
        assert_eq!(self.strangers.len(), 7, "{:?}", self.strangers);
    }

    fn runs(&self) -> PathBuf {
        self.folder.path().join("runs")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spikeproof"));
        command
            .args(arguments)
            .envs(self.lab.environment())
            .env("SPIKEPROOF_RUNS_DIR", self.runs())
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN")
            .current_dir(self.folder.path())
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !self.real_terraform {
            command.env("SPIKEPROOF_TERRAFORM", stand_in());
        }
        command
    }

    fn start(&self, cue: Option<String>, output: Output) -> Child {
        let mut command = self.command(&["run"]);
        if !self.guard {
            command.arg("--no-guard");
        }
        command.env("SHOP_TOKEN", CANARY).arg("scenario.yaml").env("SPIKEPROOF_GENERATOR_BINARY", small_binary());
        if let Some(cue) = cue {
            command.env("SPIKEPROOF_MISHAP", cue);
        }
        if output == Output::Pipes {
            return command.spawn().unwrap();
        }
        // Whoever reads late must not hold anybody up.
        let file = |name: &str| std::fs::File::create(self.folder.path().join(name)).unwrap();
        command.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap()
    }

    fn said(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        let guard = self.run_folder().map(|run| run.join("guard.log"));
        let guard = guard.and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default();
        // Where nobody listened, the report tells.
        let report = self.run_folder().map(|run| run.join("report.json"));
        let report = report.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap_or_default();
        let because = &report["judged"]["because"];
        format!(
            "{}{}--- report ---\n{because} {}\n--- guard ---\n{guard}",
            read("stderr"),
            read("stdout"),
            report["error"]
        )
    }

    /// The run's own folder, once there is one.
    fn run_folder(&self) -> Option<PathBuf> {
        let entries = std::fs::read_dir(self.runs()).ok()?;
        entries.flatten().map(|entry| entry.path()).find(|path| path.is_dir() && path.join("owner.lock").exists())
    }

    /// Ours, and nobody else's.
    async fn left(&self) -> Vec<String> {
        let mut now = self.lab.inventory().await.unwrap();
        now.retain(|thing| !self.strangers.contains(thing));
        now
    }

    /// Nothing of ours is there, and nobody is at work who could still make something, or take it away.
    async fn emptied(&self, within: Duration) -> Result<(), String> {
        let at_work = || !self.terraforms().is_empty() || !self.pids("--when-orphaned").is_empty();
        let empty = async {
            while at_work() || !self.left().await.is_empty() {
                sleep(Duration::from_millis(200)).await;
            }
        };
        match timeout(within, empty).await {
            Ok(()) => Ok(()),
            Err(_) => Err(format!("left: {:?}", self.left().await)),
        }
    }

    async fn reap(&self, arguments: &[&str], runs: &Path) -> Result<(), String> {
        let mut command = self.command(&["reap"]);
        command.args(arguments).env("SPIKEPROOF_RUNS_DIR", runs);
        let output = timeout(PATIENCE, command.output()).await.map_err(|_| "reap does not end")?.unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        match output.status.code() {
            Some(0) => Ok(()),
            code => Err(format!("reap ended with {code:?}: {said}")),
        }
    }

    /// Process ids of whatever works for this trial, the run itself aside.
    fn alive(&self) -> Vec<(u32, String)> {
        tokio::task::block_in_place(|| self.working())
    }

    fn working(&self) -> Vec<(u32, String)> {
        let folder = self.folder.path().canonicalize().unwrap();
        let endpoint = self.lab.endpoint().to_owned();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let there = std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&folder));
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let ours = String::from_utf8_lossy(&environment).contains(&endpoint);
            if !line.is_empty() && (there || (ours && (line.contains(" generate") || line.contains("--when-orphaned"))))
            {
                found.push((pid, line));
            }
        }
        found
    }

    fn pids(&self, of: &str) -> Vec<u32> {
        self.alive().into_iter().filter(|(_, line)| line.contains(of)).map(|(pid, _)| pid).collect()
    }

    fn terraforms(&self) -> Vec<u32> {
        [self.pids(" apply "), self.pids(" destroy ")].concat()
    }

    /// The questions that are asked whatever happened.
    async fn oracle(&self, killed: Option<Timestamp>) -> Result<(), String> {
        let left = self.left().await;
        if !left.is_empty() {
            return Err(format!("left: {left:?}"));
        }
        let now = self.lab.inventory().await.unwrap();
        if now != self.strangers {
            return Err(format!("of the strangers' {:?} only {now:?} are there", self.strangers));
        }
        if let (Some(killed), Some(last)) = (killed, self.lab.last_request()) {
            let after = last.duration_since(killed);
            if after > LOAD_ENDS {
                return Err(format!("load went on for {after:?} after the kill"));
            }
        }
        // A guard that met a cut apply looks again after a while.
        let gone = timeout(Duration::from_secs(45), async {
            while !self.alive().is_empty() {
                sleep(LOOK).await;
            }
        });
        if gone.await.is_err() {
            return Err(format!("alive: {:?}", self.alive()));
        }
        self.reap(&[], &self.runs()).await?;
        self.reap(&["--discover", "--older-than", "0s"], &self.folder.path().join("elsewhere")).await?;
        // It reads for seconds, and other trials' labs are served by the same threads.
        let told = tokio::task::block_in_place(|| holding(self.folder.path(), CANARY.as_bytes()));
        if let Some(path) = told {
            return Err(format!("the secret is in {}", path.display()));
        }
        // One object holds it while tasks come up.
        let telling = self.weather.telling.lock().unwrap().clone();
        if let Some(call) = telling.iter().find(|call| !call.contains("/run/secrets.json")) {
            return Err(format!("the secret was told AWS: {call}"));
        }
        if let Some(held) = self.run_folder().and_then(|run| held(&run)) {
            return Err(format!("{} is held", held.display()));
        }
        let again = self.lab.inventory().await.unwrap();
        if again != self.strangers { Err(format!("a second reap changed {again:?}")) } else { Ok(()) }
    }

    async fn end(self) {
        drop(self.mount);
        self.lab.stop().await;
    }
}

/// A lock of a run that somebody holds.
fn held(run: &Path) -> Option<PathBuf> {
    ["owner.lock", "work.lock"].map(|name| run.join(name)).into_iter().find(|path| {
        std::fs::File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
    })
}

/// The first file below a folder that holds these bytes.
fn holding(folder: &Path, bytes: &[u8]) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).find_map(|path| match path.is_dir() {
        true => holding(&path, bytes),
        false => {
            let content = std::fs::read(&path).unwrap_or_default();
            content.windows(bytes.len()).any(|window| window == bytes).then_some(path)
        }
    })
}

/// Where a run says what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    Files,
    /// That nobody reads, and that somebody may close.
    Pipes,
}

/// A small disk of its own under the runs.
struct Mount(PathBuf);

impl Mount {
    fn new(at: &Path) -> Self {
        let status =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=200m", "tmpfs"]).arg(at).status();
        assert!(status.is_ok_and(|status| status.success()), "a full disk takes a disk of its own: run this as root");
        Self(at.to_owned())
    }

    /// Takes every byte that is left.
    fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        let piece = vec![0_u8; 64 * 1024];
        while file.write_all(&piece).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn stand_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/teardown/terraform")
}

/// The binary without its debug information: an image of it is packed in a third of the time.
fn small_binary() -> PathBuf {
    static SMALL: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut small = SMALL.lock().unwrap();
    small
        .get_or_insert_with(|| {
            let full = Path::new(env!("CARGO_BIN_EXE_spikeproof"));
            let stripped = full.with_file_name(format!("spikeproof-stripped-{}", std::process::id()));
            let status = std::process::Command::new("strip").arg("-o").arg(&stripped).arg(full).status();
            if status.is_ok_and(|status| status.success()) { stripped } else { full.to_owned() }
        })
        .clone()
}

/// Ends the run, however long it takes; what it said if it does not.
async fn ended(trial: &Trial, run: &mut Child) -> Result<ExitStatus, String> {
    match timeout(PATIENCE, run.wait()).await {
        Ok(status) => Ok(status.unwrap()),
        Err(_) => Err(format!("the run does not end:\n{}", trial.said())),
    }
}

/// Lets a mishap happen in a phase, and asks the questions.
async fn cell(phase: &str, mishap: Mishap) -> Result<(), String> {
    let mut trial = Trial::new(false, mishap == Mishap::DiskFull).await;
    let result = in_phase(&mut trial, phase, mishap).await.map_err(|why| format!("{why}\n{}", trial.said()));
    trial.end().await;
    result
}

async fn in_phase(trial: &mut Trial, phase: &str, mishap: Mishap) -> Result<(), String> {
    let hold = trial.folder.path().join("hold");
    let cue = match mishap {
        Mishap::Error => format!("error:{phase}"),
        Mishap::Panic => format!("panic:{phase}"),
        _ => format!("hold:{phase}:{}", hold.display()),
    };
    let output = if mishap == Mishap::OutputClosed { Output::Pipes } else { Output::Files };
    let mut run = trial.start(Some(cue), output);
    let pid = run.id().unwrap();
    let mut killed = None;
    if !matches!(mishap, Mishap::Error | Mishap::Panic) {
        let reached = timeout(PATIENCE, async {
            while !hold.exists() && matches!(run.try_wait(), Ok(None)) {
                sleep(LOOK).await;
            }
        });
        let _ = reached.await;
        if !hold.exists() {
            return Err(format!("{phase} is never reached"));
        }
        // Where terraform works in this phase, it is to be in the middle of it.
        if matches!(mishap, Mishap::KillTerraform | Mishap::KillBoth) {
            std::fs::remove_file(&hold).unwrap();
            let working = timeout(PATIENCE, async {
                while trial.terraforms().is_empty() {
                    sleep(LOOK / 10).await;
                }
            });
            working.await.map_err(|_| "terraform is never at work")?;
        }
        happen(trial, mishap, pid).await;
        // Where it is a pipe, nobody is at its other end any more.
        drop((run.stdout.take(), run.stderr.take()));
        if mishap.is_killed() {
            killed = Some(Timestamp::now());
        }
        // A signal ends the hold by itself: without it the phase might be over before the signal is heard.
        if !mishap.is_signal() {
            let _ = std::fs::remove_file(&hold);
        }
    }
    let status = ended(trial, &mut run).await?;
    let expected = mishap.exits(phase);
    if !mishap.is_killed() && !status.code().is_some_and(|code| expected.contains(&code)) {
        return Err(format!("exit {:?}, expected one of {expected:?}", status.code()));
    }
    after(trial, mishap).await?;
    trial.oracle(killed).await
}

async fn happen(trial: &mut Trial, mishap: Mishap, pid: u32) {
    let state = trial.run_folder();
    match mishap {
        Mishap::Error | Mishap::Panic | Mishap::OutputClosed => {}
        Mishap::Interrupt(times) => {
            for _ in 0..times {
                kill(pid, Signal::INT);
                // Two signals that come together are one.
                sleep(Duration::from_millis(150)).await;
            }
        }
        Mishap::Terminate => kill(pid, Signal::TERM),
        Mishap::Hangup => kill(pid, Signal::HUP),
        Mishap::KillRun => kill(pid, Signal::KILL),
        Mishap::KillTerraform => trial.terraforms().into_iter().for_each(|pid| kill(pid, Signal::KILL)),
        Mishap::KillBoth => {
            trial.terraforms().into_iter().for_each(|pid| kill(pid, Signal::KILL));
            kill(pid, Signal::KILL);
        }
        Mishap::KillGuardToo => {
            trial.pids("--when-orphaned").into_iter().for_each(|pid| kill(pid, Signal::KILL));
            kill(pid, Signal::KILL);
            trial.pids("--when-orphaned").into_iter().for_each(|pid| kill(pid, Signal::KILL));
        }
        Mishap::DiskFull => trial.mount.as_ref().unwrap().fill(),
        Mishap::CredentialsExpired => trial.weather.expired.store(true, Ordering::Relaxed),
        Mishap::Throttled => trial.weather.throttled.store(20, Ordering::Relaxed),
        Mishap::LabDown => trial.weather.break_down(),
        Mishap::KillAndLabDown => {
            trial.weather.break_down();
            kill(pid, Signal::KILL);
        }
        Mishap::StateEmptied => {
            if let Some(folder) = state.filter(|folder| folder.join("terraform.tfstate").exists()) {
                std::fs::write(folder.join("terraform.tfstate"), "").unwrap();
            }
        }
        Mishap::StateDeleted => {
            let folder = state.unwrap_or_default();
            let _ = std::fs::remove_file(folder.join("terraform.tfstate"));
            let _ = std::fs::remove_dir_all(folder.join("states"));
        }
        Mishap::FolderDeleted => {
            let _ = state.map(std::fs::remove_dir_all);
        }
        Mishap::FolderDeletedAndKill => {
            let _ = state.map(std::fs::remove_dir_all);
            kill(pid, Signal::KILL);
        }
    }
}

/// Whoever has to act next: nobody, the guard, or somebody with a reap.
async fn after(trial: &Trial, mishap: Mishap) -> Result<(), String> {
    match mishap {
        Mishap::KillGuardToo => {
            // Nobody is left to stop the load: the lease must.
            let over = timeout(Duration::from_secs(60), async {
                while !trial.pids(" generate").is_empty() {
                    sleep(LOOK).await;
                }
            });
            over.await.map_err(|_| "generators outlive their lease")?;
            trial.reap(&[], &trial.runs()).await?;
            trial.emptied(Duration::from_secs(5)).await
        }
        Mishap::CredentialsExpired => {
            trial.weather.expired.store(false, Ordering::Relaxed);
            // The guard may still be at it.
            trial.emptied(Duration::from_secs(60)).await.or(Ok::<(), String>(()))?;
            trial.reap(&[], &trial.runs()).await?;
            trial.emptied(Duration::from_secs(5)).await
        }
        Mishap::LabDown | Mishap::KillAndLabDown => {
            while trial.weather.down.load(Ordering::Relaxed) {
                sleep(LOOK).await;
            }
            trial.emptied(Duration::from_secs(120)).await
        }
        _ => trial.emptied(Duration::from_secs(120)).await,
    }
}

/// How many calls an undisturbed run makes.
async fn golden() -> usize {
    let trial = Trial::new(false, false).await;
    let mut run = trial.start(None, Output::Files);
    let status = ended(&trial, &mut run).await.unwrap();
    // On a busy machine a load of three seconds may come out inconclusive.
    assert!(matches!(status.code(), Some(0 | 5)), "{}", trial.said());
    trial.oracle(None).await.unwrap_or_else(|why| panic!("{why}\n{}", trial.said()));
    let calls = trial.weather.calls.load(Ordering::Relaxed);
    trial.end().await;
    calls
}

/// The orchestrator's last call is its n-th, applied or not: its guard destroys what there is.
async fn nth_call(number: usize, when: When) -> Result<(), String> {
    let trial = Trial::new(false, false).await;
    let mut run = trial.start(None, Output::Files);
    *trial.weather.last_call.lock().unwrap() = Some((number, when, run.id().unwrap()));
    let result = async {
        ended(&trial, &mut run).await?;
        let killed = Timestamp::now();
        trial.emptied(Duration::from_secs(120)).await?;
        trial.oracle(Some(killed)).await
    };
    let result = result.await.map_err(|why| format!("{why}\n{}", trial.said()));
    trial.end().await;
    result
}

/// One line says everything about a chaos trial.
#[derive(Debug)]
struct Plan {
    call: usize,
    when: When,
    guard: GuardsFate,
    failing: usize,
    lost: Lost,
    real_terraform: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GuardsFate {
    Lives,
    /// Killed while it destroys.
    KilledToo,
    None,
}

/// What is gone when somebody reaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Nothing,
    State,
    Journal,
    Folder,
}

impl Plan {
    fn roll(seed: u64, trial: usize, calls: usize) -> Self {
        let mut dice = Pcg64Mcg::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(trial as u64));
        let guard = match dice.random_range(0..10) {
            0..5 => GuardsFate::Lives,
            5..8 => GuardsFate::KilledToo,
            _ => GuardsFate::None,
        };
        let lost = match dice.random_range(0..8) {
            0..4 => Lost::Nothing,
            4 => Lost::State,
            5 => Lost::Journal,
            _ => Lost::Folder,
        };
        Self {
            call: dice.random_range(1..=calls),
            when: if dice.random_range(0..2) == 0 { When::Before } else { When::After },
            guard,
            failing: if dice.random_range(0..4) == 0 { 10 } else { 0 },
            lost,
            real_terraform: trial % 10 == 9,
        }
    }
}

async fn chaos(plan: &Plan) -> Result<(), String> {
    let mut trial = Trial::new(plan.real_terraform, false).await;
    trial.guard = plan.guard != GuardsFate::None;
    trial.weather.throttled.store(plan.failing, Ordering::Relaxed);
    let mut run = trial.start(None, Output::Files);
    *trial.weather.last_call.lock().unwrap() = Some((plan.call, plan.when, run.id().unwrap()));
    let result = async {
        let status = ended(&trial, &mut run).await?;
        let killed = Timestamp::now();
        *trial.weather.last_call.lock().unwrap() = None;
        // With the guard alone, nobody else does anything.
        if plan.guard == GuardsFate::Lives || status.code().is_some() {
            trial.emptied(Duration::from_secs(150)).await?;
            return trial.oracle(Some(killed)).await;
        }
        if plan.guard == GuardsFate::KilledToo {
            sleep(Duration::from_millis(40 * (plan.call as u64 % 40))).await;
            trial.pids("--when-orphaned").into_iter().for_each(|pid| kill(pid, Signal::KILL));
        }
        lose(&trial, plan.lost);
        reap_it(&trial, plan.lost).await?;
        trial.emptied(Duration::from_secs(5)).await?;
        trial.oracle(Some(killed)).await
    };
    let result = result.await.map_err(|why| format!("{why}\n{}", trial.said()));
    trial.end().await;
    result
}

fn lose(trial: &Trial, lost: Lost) {
    let Some(folder) = trial.run_folder() else { return };
    match lost {
        Lost::Nothing => {}
        Lost::State => {
            let _ = std::fs::remove_file(folder.join("terraform.tfstate"));
            let _ = std::fs::remove_dir_all(folder.join("states"));
        }
        Lost::Journal => {
            let _ = std::fs::remove_file(folder.join("journal"));
        }
        Lost::Folder => {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// With the folder from its journal, without it from a fresh one by name.
async fn reap_it(trial: &Trial, lost: Lost) -> Result<(), String> {
    // terraform may go on without its folder; what it still makes comes to light when it has ended.
    let quiet = timeout(Duration::from_secs(60), async {
        while !trial.terraforms().is_empty() && lost != Lost::Nothing {
            sleep(LOOK).await;
        }
    });
    let _ = quiet.await;
    match lost {
        Lost::Nothing | Lost::State => trial.reap(&[], &trial.runs()).await,
        Lost::Journal | Lost::Folder => {
            // Two at once do no harm.
            let hosts = ["another-host", "a-third-host"].map(|host| trial.folder.path().join(host));
            let arguments = ["--discover", "--older-than", "0s"];
            let (one, other) = tokio::join!(trial.reap(&arguments, &hosts[0]), trial.reap(&arguments, &hosts[1]));
            one.and(other)?;
            let _ = trial.run_folder().map(std::fs::remove_dir_all);
            Ok(())
        }
    }
}

/// Runs trials a few at a time, prints a line for each that fails, and says how many did.
async fn all<T, F>(trials: Vec<(String, T)>, run: impl Fn(T) -> F) -> usize
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(number("SPIKEPROOF_TEARDOWN_AT_ONCE", AT_ONCE)));
    let mut running = JoinSet::new();
    let verbose = std::env::var_os("SPIKEPROOF_TEARDOWN_VERBOSE").is_some();
    for (name, trial) in trials {
        let (slots, trial) = (Arc::clone(&slots), run(trial));
        running.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            let begun = Instant::now();
            let result = trial.await;
            if verbose {
                println!("{name}: {} in {:.0?}", if result.is_ok() { "clean" } else { "NOT CLEAN" }, begun.elapsed());
            }
            if let Err(why) = &result {
                println!("FAILED {name}: {why}");
            }
            usize::from(result.is_err())
        });
    }
    let mut failed = 0;
    while let Some(done) = running.join_next().await {
        failed += done.unwrap();
    }
    failed
}

fn whole(part: &str) -> bool {
    std::env::var("SPIKEPROOF_TEARDOWN").is_ok_and(|wanted| wanted == part)
}

/// A part was asked for, and it is another.
fn elsewhere(part: &str) -> bool {
    std::env::var("SPIKEPROOF_TEARDOWN").is_ok_and(|wanted| !wanted.is_empty() && wanted != part)
}

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map_or(usual, |text| text.parse().unwrap())
}

/// Of the whole matrix, where a few must do.
const SAMPLE: [(&str, Mishap); 8] = [
    ("plan", Mishap::Interrupt(1)),
    ("provision", Mishap::KillBoth),
    ("start", Mishap::Terminate),
    ("load", Mishap::Interrupt(3)),
    ("load", Mishap::DiskFull),
    ("recover", Mishap::FolderDeleted),
    ("judge", Mishap::Panic),
    ("destroy", Mishap::StateEmptied),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_mishap_in_every_phase_leaves_nothing() {
    if elsewhere("matrix") {
        return;
    }
    let cells: Vec<(&str, Mishap)> = match whole("matrix") {
        true => PHASES
            .iter()
            .flat_map(|phase| MISHAPS.iter().map(|mishap| (*phase, *mishap)))
            .filter(|(phase, mishap)| mishap.is_there(phase))
            .collect(),
        false => SAMPLE.to_vec(),
    };
    let only = std::env::var("CELL").unwrap_or_default();
    let cells: Vec<_> = cells
        .into_iter()
        .map(|(phase, mishap)| (format!("{phase} x {mishap:?}"), (phase, mishap)))
        .filter(|(name, _)| name.contains(&only))
        .collect();
    let count = cells.len();
    let failed = all(cells, |(phase, mishap)| cell(phase, mishap)).await;
    println!("{count} phases and mishaps, {failed} not clean");
    assert_eq!(failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_call_is_the_last_the_guard_destroys_the_rest() {
    if elsewhere("calls") {
        return;
    }
    let calls = golden().await;
    let step = if whole("calls") { 1 } else { 40 };
    let (from, until) = (number("FROM", 1), number("UNTIL", calls));
    let trials: Vec<_> = (from..=until)
        .step_by(step)
        .flat_map(|call| [When::Before, When::After].map(|when| (format!("call {call} {when:?}"), (call, when))))
        .collect();
    let count = trials.len();
    let failed = all(trials, |(call, when)| nth_call(call, when)).await;
    println!("{count} kills at one of {calls} calls, {failed} not clean");
    assert_eq!(failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn chaos_leaks_nothing() {
    if elsewhere("chaos") {
        return;
    }
    let count = number("N", 6);
    let seed = number("SEED", 20_261_125) as u64;
    // What an undisturbed run makes, and a little more: some runs are killed after their end.
    let calls = match number("CALLS", 0) {
        0 => golden().await + 10,
        given => given,
    };
    let trials: Vec<(String, Plan)> = (0..count)
        .filter(|trial| std::env::var("TRIAL").map_or(true, |only| only == trial.to_string()))
        .map(|trial| (trial, Plan::roll(seed, trial, calls)))
        .map(|(trial, plan)| (format!("SEED={seed} TRIAL={trial} N={count} CALLS={calls} {plan:?}"), plan))
        .collect();
    let runs = trials.len();
    let leaked = all(trials, |plan| async move { chaos(&plan).await }).await;
    println!("{runs} runs, {leaked} leaked");
    assert_eq!(leaked, 0);
}
