//! One run of a case: a lab, the proxies that the case asks for, and the run against them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::api;
use super::target::Target;

/// A run takes less than two minutes.
const PATIENCE: Duration = Duration::from_mins(5);

/// A run's report, and what the proxies know beside it.
pub(crate) struct Seen {
    /// `report.json`.
    pub(crate) report: Value,
    /// The id of the instance that the proxy made sick.
    pub(crate) sick: Option<String>,
    /// The folder with the run, if it is kept.
    pub(crate) kept: Option<PathBuf>,
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

/// Runs a case with one of its lab files.
pub(crate) async fn run(name: &str, case: &Path, lab: &Path) -> Seen {
    let keep = std::env::var_os("SPIKEPROOF_CASES_DIR").map(|keep| Path::new(&keep).join(name));
    let folder = tempfile::tempdir().unwrap();
    let folder = keep.as_deref().unwrap_or(folder.path());
    std::fs::create_dir_all(folder).unwrap();
    let mut lab = Lab::start(lab, &folder.join("truth.json")).await;
    let mut environment = lab.environment.clone();
    let settings = case.join("proxy.json");
    let mut target = None;
    if settings.exists() {
        let proxy = Target::start(&settings, &environment["TARGET_URL"]).await;
        environment.insert("TARGET_URL".to_owned(), proxy.server.url.clone());
        target = Some(proxy);
    }
    let settings = case.join("aws.json");
    let mut endpoint = None;
    if settings.exists() {
        let proxy = api::start(&settings, &environment["AWS_ENDPOINT_URL"]).await;
        environment.insert("AWS_ENDPOINT_URL".to_owned(), proxy.url.clone());
        endpoint = Some(proxy);
    }
    let runs = folder.join("runs");
    let mut stopping = JoinSet::new();
    if let Ok(text) = std::fs::read_to_string(case.join("generator.json")) {
        let stopped: Stopped = serde_json::from_str(&text).unwrap();
        let first = target.as_ref().unwrap().first_request();
        stopping.spawn(stop_generator(stopped, first, runs.clone()));
    }
    let mut command = spikeproof();
    command
        .args(["run", "--fleet", "local", "--runs-dir"])
        .arg(&runs)
        .arg(case.join("scenario.yaml"))
        .envs(&environment)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = timeout(PATIENCE, command.output())
        .await
        .unwrap_or_else(|_| panic!("{name}: no end"))
        .unwrap();
    while let Some(stopped) = stopping.join_next().await {
        stopped.unwrap();
    }
    lab.stop().await;
    drop(endpoint);
    let said = || {
        let (out, err) = (&output.stdout, &output.stderr);
        format!(
            "{name}: {}{}",
            String::from_utf8_lossy(out),
            String::from_utf8_lossy(err)
        )
    };
    if keep.is_some() {
        std::fs::write(folder.join("said.txt"), said()).unwrap();
    }
    let run = run_folder(&runs).unwrap_or_else(|| panic!("{}", said()));
    let report =
        std::fs::read_to_string(run.join("report.json")).unwrap_or_else(|_| panic!("{}", said()));
    Seen {
        report: serde_json::from_str(&report).unwrap(),
        sick: target.and_then(|target| target.sick()),
        kept: keep,
    }
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
    async fn start(file: &Path, truth: &Path) -> Self {
        let mut command = spikeproof();
        command
            .args(["lab", "--group"])
            .arg(file)
            .arg("--truth")
            .arg(truth);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
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
        panic!("the lab did not start: {:?}", process.wait().await);
    }

    /// Stops the lab, which then writes its truth.
    async fn stop(&mut self) {
        let pid = Pid::from_raw(self.process.id().unwrap() as i32).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let ended = timeout(PATIENCE, self.process.wait()).await;
        assert!(ended.unwrap().unwrap().success(), "the lab failed");
    }
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
