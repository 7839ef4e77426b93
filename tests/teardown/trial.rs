//! One lab, one run, and the questions that are asked after every trial.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use spikeproof::lab::{Lab, Options};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::weather::{CANARY, Weather};

/// A run, its guard and a reap together.
pub(crate) const PATIENCE: Duration = Duration::from_mins(4);

/// The promised end of the load, and a second for differing clocks.
const LOAD_ENDS: jiff::SignedDuration = jiff::SignedDuration::from_secs(35);

pub(crate) const LOOK: Duration = Duration::from_millis(50);

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

/// One lab, one run, and the faults that happen to it.
pub(crate) struct Trial {
    pub(crate) lab: Lab,
    pub(crate) weather: Arc<Weather>,
    pub(crate) folder: TempDir,
    /// Resources that were in the account before: a stranger's, with names and tags that look like
    /// ours.
    strangers: Vec<String>,
    real_terraform: bool,
    pub(crate) guard: bool,
    pub(crate) mount: Option<Mount>,
}

impl Trial {
    pub(crate) async fn new(real_terraform: bool, small_disk: bool) -> Self {
        let weather = Arc::new(Weather::default());
        let lab = spikeproof::lab::start(Options {
            tap: weather.tap(),
            ..Options::default()
        })
        .await
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("scenario.yaml"), SCENARIO).unwrap();
        let runs = folder.path().join("runs");
        std::fs::create_dir(&runs).unwrap();
        let mount = small_disk.then(|| Mount::new(&runs));
        let mut trial = Self {
            lab,
            weather,
            folder,
            strangers: Vec::new(),
            real_terraform,
            guard: true,
            mount,
        };
        trial.strangers().await;
        trial
    }

    /// Makes look-alikes: names like ours without the tag, the tag without a name of ours, names
    /// that only begin like ours.
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
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        self.strangers = self.lab.inventory().await.unwrap();
        assert_eq!(self.strangers.len(), 7, "{:?}", self.strangers);
    }

    pub(crate) fn runs(&self) -> PathBuf {
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

    pub(crate) fn start(&self, cue: Option<String>, output: Output) -> Child {
        let mut command = self.command(&["run"]);
        if !self.guard {
            command.arg("--no-guard");
        }
        command
            .env("SHOP_TOKEN", CANARY)
            .arg("scenario.yaml")
            .env("SPIKEPROOF_GENERATOR_BINARY", small_binary());
        if let Some(cue) = cue {
            command.env("SPIKEPROOF_FAILPOINT", cue);
        }
        if output == Output::Pipes {
            return command.spawn().unwrap();
        }
        // Output goes to files, so that a slow reader cannot hold anybody up.
        let file = |name: &str| std::fs::File::create(self.folder.path().join(name)).unwrap();
        command
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap()
    }

    pub(crate) fn said(&self) -> String {
        let read =
            |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        let guard = self.run_folder().map(|run| run.join("guard.log"));
        let guard = guard
            .and_then(|log| std::fs::read_to_string(log).ok())
            .unwrap_or_default();
        // If nobody read the output, the report tells the reason.
        let report = self.run_folder().map(|run| run.join("report.json"));
        let report = report
            .and_then(|path| std::fs::read_to_string(path).ok())
            .unwrap_or_default();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap_or_default();
        let because = &report["judged"]["because"];
        format!(
            "{}{}--- report ---\n{because} {}\n--- guard ---\n{guard}",
            read("stderr"),
            read("stdout"),
            report["error"]
        )
    }

    /// Returns the run's own folder, once there is one.
    pub(crate) fn run_folder(&self) -> Option<PathBuf> {
        let entries = std::fs::read_dir(self.runs()).ok()?;
        entries
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.is_dir() && path.join("owner.lock").exists())
    }

    /// Returns the things of ours that are left, without the stranger's.
    async fn left(&self) -> Vec<String> {
        let mut now = self.lab.inventory().await.unwrap();
        now.retain(|thing| !self.strangers.contains(thing));
        now
    }

    /// Waits until nothing of ours is there, and no process is at work that could still make or
    /// delete something.
    pub(crate) async fn emptied(&self, within: Duration) -> Result<(), String> {
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

    pub(crate) async fn reap(&self, arguments: &[&str], runs: &Path) -> Result<(), String> {
        let mut command = self.command(&["reap"]);
        command.args(arguments).env("SPIKEPROOF_RUNS_DIR", runs);
        let output = timeout(PATIENCE, command.output())
            .await
            .map_err(|_| "reap does not end")?
            .unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
        match output.status.code() {
            Some(0) => Ok(()),
            code => Err(format!("reap ended with {code:?}: {said}")),
        }
    }

    /// Returns the process ids of everything that works for this trial, except the run itself.
    fn alive(&self) -> Vec<(u32, String)> {
        tokio::task::block_in_place(|| self.working())
    }

    fn working(&self) -> Vec<(u32, String)> {
        let folder = self.folder.path().canonicalize().unwrap();
        let endpoint = self.lab.endpoint().to_owned();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let there = std::fs::read_link(entry.path().join("cwd"))
                .is_ok_and(|cwd| cwd.starts_with(&folder));
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let ours = String::from_utf8_lossy(&environment).contains(&endpoint);
            if !line.is_empty()
                && (there
                    || (ours && (line.contains(" generate") || line.contains("--when-orphaned"))))
            {
                found.push((pid, line));
            }
        }
        found
    }

    pub(crate) fn pids(&self, of: &str) -> Vec<u32> {
        self.alive()
            .into_iter()
            .filter(|(_, line)| line.contains(of))
            .map(|(pid, _)| pid)
            .collect()
    }

    pub(crate) fn terraforms(&self) -> Vec<u32> {
        [self.pids(" apply "), self.pids(" destroy ")].concat()
    }

    /// Asks the questions of every trial.
    pub(crate) async fn oracle(&self, killed: Option<Timestamp>) -> Result<(), String> {
        let left = self.left().await;
        if !left.is_empty() {
            return Err(format!("left: {left:?}"));
        }
        let now = self.lab.inventory().await.unwrap();
        if now != self.strangers {
            return Err(format!(
                "of the strangers' {:?} only {now:?} are there",
                self.strangers
            ));
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
        self.reap(
            &["--discover", "--older-than", "0s"],
            &self.folder.path().join("elsewhere"),
        )
        .await?;
        // The search reads for seconds, and other trials' labs are served by the same threads.
        let told = tokio::task::block_in_place(|| holding(self.folder.path(), CANARY.as_bytes()));
        if let Some(path) = told {
            return Err(format!("the secret is in {}", path.display()));
        }
        // One object holds the secret while tasks come up.
        let telling = self.weather.telling.lock().unwrap().clone();
        if let Some(call) = telling
            .iter()
            .find(|call| !call.contains("/run/secrets.json"))
        {
            return Err(format!("the secret was told AWS: {call}"));
        }
        if let Some(held) = self.run_folder().and_then(|run| held(&run)) {
            return Err(format!("{} is held", held.display()));
        }
        let again = self.lab.inventory().await.unwrap();
        if again == self.strangers {
            Ok(())
        } else {
            Err(format!("a second reap changed {again:?}"))
        }
    }

    pub(crate) async fn end(self) {
        drop(self.mount);
        self.lab.stop().await;
    }
}

/// Waits until the run ends; fails with its output if it does not end within [`PATIENCE`].
pub(crate) async fn ended(trial: &Trial, run: &mut Child) -> Result<ExitStatus, String> {
    match timeout(PATIENCE, run.wait()).await {
        Ok(status) => Ok(status.unwrap()),
        Err(_) => Err(format!("the run does not end:\n{}", trial.said())),
    }
}

/// Returns a lock of a run that some process holds.
fn held(run: &Path) -> Option<PathBuf> {
    ["owner.lock", "work.lock"]
        .map(|name| run.join(name))
        .into_iter()
        .find(|path| {
            std::fs::File::open(path)
                .is_ok_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
        })
}

/// Returns the first file below a folder that holds these bytes.
fn holding(folder: &Path, bytes: &[u8]) -> Option<PathBuf> {
    std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .find_map(|path| match path.is_dir() {
            true => holding(&path, bytes),
            false => {
                let content = std::fs::read(&path).unwrap_or_default();
                content
                    .windows(bytes.len())
                    .any(|window| window == bytes)
                    .then_some(path)
            }
        })
}

/// The destination of a run's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Files,
    /// Pipes that nobody reads, and that somebody may close.
    Pipes,
}

/// A small disk of its own under the runs.
pub(crate) struct Mount(PathBuf);

impl Mount {
    fn new(at: &Path) -> Self {
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=200m", "tmpfs"])
            .arg(at)
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "a full disk takes a disk of its own: run this as root"
        );
        Self(at.to_owned())
    }

    /// Takes every byte that is left.
    pub(crate) fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        let piece = vec![0_u8; 64 * 1024];
        while file.write_all(&piece).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(
            std::process::Command::new("umount")
                .arg("-l")
                .arg(&self.0)
                .status(),
        );
    }
}

fn stand_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/teardown/terraform")
}

/// Returns the binary without its debug information: an image of it is packed in a third of the
/// time.
fn small_binary() -> PathBuf {
    static SMALL: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut small = SMALL.lock().unwrap();
    small
        .get_or_insert_with(|| {
            let full = Path::new(env!("CARGO_BIN_EXE_spikeproof"));
            let stripped =
                full.with_file_name(format!("spikeproof-stripped-{}", std::process::id()));
            let status = std::process::Command::new("strip")
                .arg("-o")
                .arg(&stripped)
                .arg(full)
                .status();
            if status.is_ok_and(|status| status.success()) {
                stripped
            } else {
                full.to_owned()
            }
        })
        .clone()
}
