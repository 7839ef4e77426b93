//! The stage of a run: a lab of its own, the proxies that a case puts before it, and the run.
//!
//! Every test of groups plays its runs here. What comes of a run is left in files, which are read
//! as the test likes.

mod api;
mod http;
mod target;

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use http::Server;
use target::Target;

/// A run takes less than two minutes.
const PATIENCE: Duration = Duration::from_mins(5);

/// A run to play, in the words of its user.
pub(crate) struct Stage<'a> {
    /// The name for messages.
    pub(crate) name: &'a str,
    /// The text of the lab file.
    pub(crate) lab: &'a str,
    /// The text of the scenario.
    pub(crate) scenario: &'a str,
    /// The folder of a case: `proxy.json` puts a proxy before the target, `aws.json` one before
    /// AWS, and `generator.json` stops the generator. `beside.sh` is a program that runs beside the
    /// run, with the folder of its files as its argument.
    pub(crate) case: Option<&'a Path>,
}

/// `generator.json` of a case: its generator stops for a while, as on a machine without CPU.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stopped {
    /// In seconds after the first request.
    at: f64,
    /// For so many seconds.
    r#for: f64,
}

/// The lab; killed if it is dropped before its end.
struct Lab {
    process: Child,
    environment: HashMap<String, String>,
}

/// The proxies of a case; they end when they are dropped.
#[derive(Default)]
struct Proxies {
    target: Option<Target>,
    /// Before the lab's AWS.
    endpoint: Option<Server>,
}

impl Stage<'_> {
    /// Plays the run, and returns its folder with the report, and the ids of the instances that
    /// the proxy made sick. In `folder` are also `truth.json` of the lab, and `said.txt`.
    pub(crate) async fn play(&self, folder: &Path) -> (PathBuf, BTreeSet<String>) {
        let at = |file: &str| folder.join(file);
        std::fs::write(at("lab.yaml"), self.lab).unwrap();
        std::fs::write(at("scenario.yaml"), self.scenario).unwrap();
        let mut lab = Lab::start(folder).await;
        let mut environment = lab.environment.clone();
        let proxies = Proxies::start(self, &mut environment).await;
        let runs = at("runs");
        let mut stopping = JoinSet::new();
        if let Some(settings) = self.settings("generator.json") {
            let stopped: Stopped = serde_json::from_str(&read(&settings)).unwrap();
            let first = proxies.target.as_ref().unwrap().first_request();
            stopping.spawn(stop_generator(stopped, first, runs.clone()));
        }
        let mut beside = JoinSet::new();
        if let Some(program) = self.settings("beside.sh") {
            let first = proxies.target.as_ref().map(Target::first_request);
            beside.spawn(run_beside(program, first, folder.to_owned()));
        }
        let mut command = spikeproof();
        command
            .args(["run", "--fleet", "local", "--runs-dir"])
            .arg(&runs)
            .arg(at("scenario.yaml"))
            .envs(&environment)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = timeout(PATIENCE, command.output())
            .await
            .unwrap_or_else(|_| panic!("{}: no end", self.name))
            .unwrap();
        while let Some(stopped) = stopping.join_next().await {
            stopped.unwrap();
        }
        drop(beside);
        lab.stop().await;
        drop(proxies.endpoint);
        let said = format!(
            "{}: {}{}",
            self.name,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::write(at("said.txt"), &said).unwrap();
        let run = run_folder(&runs).unwrap_or_else(|| panic!("{said}"));
        assert!(run.join("report.json").exists(), "{said}");
        let sick = proxies.target.map(|target| target.sick());
        (run, sick.unwrap_or_default())
    }

    /// Returns the path of a file with settings, if the case has it.
    fn settings(&self, file: &str) -> Option<PathBuf> {
        let path = self.case?.join(file);
        path.exists().then_some(path)
    }
}

impl Proxies {
    /// Starts the proxies of a case, and puts their addresses in place of the lab's own.
    async fn start(stage: &Stage<'_>, environment: &mut HashMap<String, String>) -> Self {
        let mut proxies = Self::default();
        if let Some(settings) = stage.settings("proxy.json") {
            let url = environment.get_mut("TARGET_URL").unwrap();
            let proxy = Target::start(&settings, url).await;
            url.clone_from(&proxy.server.url);
            proxies.target = Some(proxy);
        }
        if let Some(settings) = stage.settings("aws.json") {
            let url = environment.get_mut("AWS_ENDPOINT_URL").unwrap();
            let proxy = api::start(&settings, url).await;
            url.clone_from(&proxy.url);
            proxies.endpoint = Some(proxy);
        }
        proxies
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the program without any environment of AWS: that of the lab follows.
fn spikeproof() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spikeproof"));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_"))
    {
        command.env_remove(name);
    }
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

/// Returns the folder of the only run, once there is one.
fn run_folder(runs: &Path) -> Option<PathBuf> {
    let mut entries = std::fs::read_dir(runs).ok()?;
    entries.find_map(|entry| {
        entry
            .ok()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
    })
}

impl Lab {
    /// Starts the lab of the folder's lab file. What it complains of is in `lab.txt` then.
    async fn start(folder: &Path) -> Self {
        let errors = folder.join("lab.txt");
        let mut command = spikeproof();
        command
            .args(["lab", "--group"])
            .arg(folder.join("lab.yaml"))
            .arg("--truth")
            .arg(folder.join("truth.json"))
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).unwrap());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut environment = HashMap::new();
        // The last line is a comment: the lab serves.
        while let Some(line) = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap() {
            if line.starts_with('#') {
                return Self {
                    process,
                    environment,
                };
            }
            let variable = line.strip_prefix("export ");
            if let Some((name, value)) = variable.and_then(|line| line.split_once('=')) {
                environment.insert(name.to_owned(), value.to_owned());
            }
        }
        panic!("the lab did not start: {}", read(&errors));
    }

    /// Stops the lab, which then writes its truth.
    async fn stop(&mut self) {
        let pid = Pid::from_raw(self.process.id().unwrap() as i32).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let ended = timeout(PATIENCE, self.process.wait()).await;
        assert!(ended.unwrap().unwrap().success(), "the lab failed");
    }
}

/// Runs a program of a case beside its run. It finds `proxy.log` in the folder from the load's first
/// request on.
async fn run_beside(
    program: PathBuf,
    first: Option<tokio::sync::watch::Receiver<Option<Instant>>>,
    folder: PathBuf,
) {
    let mut command = Command::new(&program);
    command.arg(&folder).kill_on_drop(true).stdin(Stdio::null());
    let mut process = command.spawn().unwrap();
    if let Some(mut first) = first {
        let runs = folder.join("runs");
        let is_load = |first: &Option<Instant>| first.is_some() && run_folder(&runs).is_some();
        first.wait_for(is_load).await.unwrap();
        std::fs::write(folder.join("proxy.log"), "the load's first request\n").unwrap();
    }
    process.wait().await.unwrap();
}

/// Stops the generator of the run, and lets it go on, both at their instants.
async fn stop_generator(
    stopped: Stopped,
    mut first: tokio::sync::watch::Receiver<Option<Instant>>,
    runs: PathBuf,
) {
    // Before there is a run's folder, it was a look at whether the target answers.
    let is_load = |first: &Option<Instant>| first.is_some() && run_folder(&runs).is_some();
    let first = first.wait_for(is_load).await.unwrap().unwrap();
    let run = run_folder(&runs).unwrap();
    let generator = generator(run.file_name().unwrap().to_str().unwrap());
    sleep_until(first + Duration::from_secs_f64(stopped.at)).await;
    kill_process(generator, Signal::STOP).unwrap();
    sleep(Duration::from_secs_f64(stopped.r#for)).await;
    kill_process(generator, Signal::CONT).unwrap();
}

/// Returns the one generator process of a run.
fn generator(run: &str) -> Pid {
    let variable = format!("SPIKEPROOF_RUN={run}");
    let has = |path: &Path, file: &str, wanted: &str| {
        let text = std::fs::read(path.join(file)).unwrap_or_default();
        text.split(|byte| *byte == 0)
            .any(|part| part == wanted.as_bytes())
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    let found: Vec<i32> = processes
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let pid = path.file_name()?.to_str()?.parse().ok()?;
            (has(&path, "cmdline", "generate") && has(&path, "environ", &variable)).then_some(pid)
        })
        .collect();
    assert_eq!(found.len(), 1, "generators of {run}");
    Pid::from_raw(found[0]).unwrap()
}
