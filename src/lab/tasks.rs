//! A Fargate task as a process of this machine: PROVISIONING, PENDING, RUNNING, STOPPING,
//! DEPROVISIONING, STOPPED.
//!
//! The binary comes out of the image that was pushed. Every process has a group of its own and is
//! waited for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::World;
use super::clock::LabInstant;
use super::images::{self, Unpacked};
use super::moto::signal;
use super::secret::Secret;

/// Time that a task gets between SIGTERM and SIGKILL when the lab itself ends.
const CLOSING: Duration = Duration::from_secs(1);
/// A file being written by one thread is briefly open in a child another thread forks: the kernel
/// then says "text file busy" to whoever runs it. It passes.
const BUSY_ATTEMPTS: u32 = 20;
/// Where Docker looks for a program if the image has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug, Clone)]
pub(crate) struct LabTask {
    pub id: String,
    pub arn: String,
    pub cluster: String,
    pub cluster_arn: String,
    /// The task definition, as moto describes it.
    pub definition: Value,
    pub subnets: Vec<String>,
    pub security_groups: Vec<String>,
    pub started_by: Option<String>,
    pub overrides: Value,
    pub tags: Value,
    /// RunTask's `clientToken`, and a digest of its parameters.
    pub token: Option<(String, String)>,
    /// Opens the task's own endpoints: credentials and metadata.
    pub pass: Secret,
    /// Number of the task in the order of starting, from 0.
    pub number: usize,
    pub last_status: &'static str,
    pub desired_status: &'static str,
    pub created: LabInstant,
    pub pull_started: Option<LabInstant>,
    pub pull_stopped: Option<LabInstant>,
    pub started: Option<LabInstant>,
    pub stopping: Option<LabInstant>,
    pub stopped: Option<LabInstant>,
    pub end: Option<TaskEnd>,
    pub asked_to_stop: Option<String>,
    pub stop: CancellationToken,
}

/// Why and how a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskEnd {
    pub code: &'static str,
    pub reason: String,
    pub container_reason: Option<String>,
    pub exit_code: Option<i32>,
}

impl TaskEnd {
    fn not_started(reason: String) -> Self {
        Self {
            code: "TaskFailedToStart",
            container_reason: Some(reason.clone()),
            reason,
            exit_code: None,
        }
    }

    fn stopped_by(task: &LabTask, exit_code: Option<i32>) -> Self {
        let reason = task
            .asked_to_stop
            .clone()
            .unwrap_or_else(|| "the lab ends".to_owned());
        Self {
            code: "UserInitiated",
            reason,
            container_reason: None,
            exit_code,
        }
    }

    fn by_itself(status: ExitStatus) -> Self {
        let reason = "Essential container in task exited".to_owned();
        Self {
            code: "EssentialContainerExited",
            reason,
            container_reason: None,
            exit_code: Some(exit_code(status)),
        }
    }
}

impl LabTask {
    pub(crate) fn lives(&self) -> bool {
        self.last_status != "STOPPED"
    }

    pub(crate) fn container(&self) -> &Value {
        &self.definition["containerDefinitions"][0]
    }

    fn stop_timeout(&self) -> Duration {
        Duration::from_secs(self.container()["stopTimeout"].as_u64().unwrap_or(30))
    }

    /// Returns the environment of the task definition, then that of the overrides.
    fn environment(&self) -> Vec<(String, String)> {
        let overridden = &self.container_override()["environment"];
        let lists = [&self.container()["environment"], overridden];
        let entries = lists.into_iter().filter_map(Value::as_array).flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        entries
            .map(|entry| (text(&entry["name"]), text(&entry["value"])))
            .collect()
    }

    fn container_override(&self) -> &Value {
        let name = &self.container()["name"];
        let list = self.overrides["containerOverrides"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        list.iter()
            .find(|entry| entry["name"] == *name)
            .unwrap_or(&Value::Null)
    }

    /// Returns the definition's command, else the image's. RunTask takes no other.
    fn command(&self, image: &Unpacked) -> Vec<String> {
        let words = |value: &Value| {
            let words = value
                .as_array()?
                .iter()
                .filter_map(|word| word.as_str().map(str::to_owned));
            Some(words.collect::<Vec<_>>()).filter(|words| !words.is_empty())
        };
        let entry_point = words(&self.container()["entryPoint"]);
        let command = words(&self.container()["command"]);
        // As with Docker: another entry point drops the image's own command.
        let default_command = if entry_point.is_some() {
            Vec::new()
        } else {
            image.command.clone()
        };
        let mut all = entry_point.unwrap_or_else(|| image.entrypoint.clone());
        all.extend(command.unwrap_or(default_command));
        all
    }
}

/// Owns every task: starts those it is told of, and returns when all are reaped after the lab began
/// to close.
pub(crate) async fn supervise(world: Arc<World>, mut launches: UnboundedReceiver<String>) {
    let mut living = JoinSet::new();
    loop {
        tokio::select! {
            () = world.closing.cancelled() => break,
            Some(id) = launches.recv() => { living.spawn(live(Arc::clone(&world), id)); }
            Some(_) = living.join_next() => {}
        }
    }
    while living.join_next().await.is_some() {}
}

/// Carries one task through its life.
async fn live(world: Arc<World>, id: String) {
    let Some(task) = world.tasks().get(&id).cloned() else {
        return;
    };
    let end = match bring_up(&world, &task).await {
        Ok(child) => run(&world, &task, child).await,
        Err(end) => end,
    };
    world.change(&id, |task, now| {
        task.end = Some(end);
        task.stopping.get_or_insert(now);
        (task.last_status, task.desired_status) = ("DEPROVISIONING", "STOPPED");
    });
    // The network interface goes before the task is STOPPED: until then it holds its security
    // group.
    if !world.closing.is_cancelled() {
        tokio::time::sleep(world.config.tasks.deprovisioning).await;
    }
    world.change(&id, |task, now| {
        task.stopped = Some(now);
        task.last_status = "STOPPED";
    });
}

/// Goes through PROVISIONING and PENDING, up to a running process.
async fn bring_up(world: &World, task: &LabTask) -> Result<Child, TaskEnd> {
    let (delays, faults) = (&world.config.tasks, &world.config.faults);
    pause(world, task, delays.provisioning).await?;
    world.change(&task.id, |task, now| {
        task.last_status = "PENDING";
        task.pull_started = Some(now);
    });
    pause(world, task, delays.pending + faults.start_delay).await?;
    if faults.every_task_fails || faults.task_start_failures.contains(&task.number) {
        return Err(TaskEnd::not_started(
            "ResourceInitializationError: the lab file says that this task fails".to_owned(),
        ));
    }
    let reference = task.container()["image"].as_str().unwrap_or_default();
    let image = images::pull(world, reference)
        .await
        .map_err(|problem| TaskEnd::not_started(format!("CannotPullContainerError: {problem}")))?;
    world.change(&task.id, |task, now| task.pull_stopped = Some(now));
    let child = start(world, task, &image)
        .await
        .map_err(|problem| TaskEnd::not_started(format!("CannotStartContainerError: {problem}")))?;
    world.change(&task.id, |task, now| {
        task.last_status = "RUNNING";
        task.started = Some(now);
    });
    Ok(child)
}

/// Waits, unless StopTask cuts the wait short.
async fn pause(world: &World, task: &LabTask, delay: Duration) -> Result<(), TaskEnd> {
    tokio::select! {
        () = tokio::time::sleep(delay) => Ok(()),
        () = task.stop.cancelled() => {
            let task = world.tasks().get(&task.id).cloned().unwrap_or_else(|| task.clone());
            Err(TaskEnd::stopped_by(&task, None))
        }
    }
}

/// Stays in RUNNING until the process ends by itself or is stopped.
async fn run(world: &World, task: &LabTask, mut child: Child) -> TaskEnd {
    let ended = tokio::select! {
        status = child.wait() => Some(status),
        () = task.stop.cancelled() => None,
    };
    let end = match ended {
        Some(Ok(status)) => TaskEnd::by_itself(status),
        Some(Err(error)) => TaskEnd::not_started(error.to_string()),
        None => {
            world.change(&task.id, |task, now| {
                (task.last_status, task.desired_status) = ("STOPPING", "STOPPED");
                task.stopping.get_or_insert(now);
            });
            let status = terminate(world, task, &mut child).await;
            let task = world
                .tasks()
                .get(&task.id)
                .cloned()
                .unwrap_or_else(|| task.clone());
            TaskEnd::stopped_by(&task, status.map(exit_code))
        }
    };
    tracing::debug!(task = task.id, ?end, "task ended");
    end
}

/// Sends SIGTERM, then SIGKILL after the stop time-out; always waits for the process.
async fn terminate(world: &World, task: &LabTask, child: &mut Child) -> Option<ExitStatus> {
    signal(child, rustix::process::Signal::TERM);
    let patience = async {
        tokio::select! {
            () = tokio::time::sleep(task.stop_timeout()) => {}
            () = async { world.closing.cancelled().await; tokio::time::sleep(CLOSING).await } => {}
        }
    };
    tokio::select! {
        status = child.wait() => return status.ok(),
        () = patience => {}
    }
    signal(child, rustix::process::Signal::KILL);
    child.wait().await.ok()
}

/// Why a task has no process: the rest of a `CannotStartContainerError`.
#[derive(Debug, thiserror::Error)]
enum TaskStartError {
    #[error("the image names no command")]
    NoCommand,
    #[error("{0}: the image has no such program")]
    NoProgram(String),
    #[error("{0}: the image has no such folder")]
    NoFolder(String),
    #[error("{0}")]
    Log(#[source] std::io::Error),
    #[error("{program}: {source}")]
    Spawn {
        program: String,
        source: std::io::Error,
    },
}

async fn start(world: &World, task: &LabTask, image: &Unpacked) -> Result<Child, TaskStartError> {
    let command = task.command(image);
    let (program, arguments) = command.split_first().ok_or(TaskStartError::NoCommand)?;
    let log = std::fs::File::create(world.folder.join(format!("task-{}.log", task.id)))
        .map_err(TaskStartError::Log)?;
    let errors = log.try_clone().map_err(TaskStartError::Log)?;
    let folder = match &image.working_folder {
        None => image.root.clone(),
        Some(folder) => inside(&image.root, &within(&image.root, folder))
            .ok_or_else(|| TaskStartError::NoFolder(folder.clone()))?,
    };
    let file = find_program(image, &folder, program)
        .ok_or_else(|| TaskStartError::NoProgram(program.clone()))?;
    let mut process = Command::new(file);
    process
        .args(arguments.iter().map(|word| mapped(&image.root, word)))
        .env_clear()
        .envs(environment(world, task, image))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .kill_on_drop(true);
    let failed = |source| TaskStartError::Spawn {
        program: program.clone(),
        source,
    };
    for _ in 1..BUSY_ATTEMPTS {
        match process.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => return other.map_err(failed),
        }
    }
    process.spawn().map_err(failed)
}

/// Finds a program as a container would, in the image alone: this machine's programs are none of it.
fn find_program(image: &Unpacked, folder: &Path, program: &str) -> Option<PathBuf> {
    let root = &image.root;
    let places = if program.starts_with('/') {
        vec![within(root, program)]
    } else if program.contains('/') {
        vec![folder.join(program)]
    } else {
        let path = image.environment.iter().find(|(name, _)| name == "PATH");
        let path = path.map_or(DEFAULT_PATH, |(_, path)| path.as_str());
        path.split(':')
            .map(|folder| within(root, folder).join(program))
            .collect()
    };
    places
        .iter()
        .find_map(|place| inside(root, place).filter(|file| file.is_file()))
}

/// Returns a place with all links followed; `None` if it is not there, or not in the image.
fn inside(root: &Path, place: &Path) -> Option<PathBuf> {
    let real = place.canonicalize().ok()?;
    let root = root.canonicalize().ok()?;
    real.starts_with(root).then_some(real)
}

/// Returns the image's environment, the task's, and Fargate's own variables; nothing of the lab's
/// environment. The loader's variables are left out: they would load code that the image has not.
fn environment(world: &World, task: &LabTask, image: &Unpacked) -> BTreeMap<String, String> {
    let endpoint = &world.endpoint;
    let mut all: BTreeMap<String, String> = image
        .environment
        .iter()
        .cloned()
        .chain(task.environment())
        .filter(|(name, _)| !name.starts_with("LD_"))
        .collect();
    for value in all.values_mut() {
        *value = mapped(&image.root, value);
    }
    let region = super::ids::REGION;
    for (name, value) in [
        ("AWS_REGION", region.to_owned()),
        ("AWS_DEFAULT_REGION", region.to_owned()),
        ("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE".to_owned()),
        (
            "ECS_CONTAINER_METADATA_URI_V4",
            format!("{endpoint}/_lab/metadata/{}/{}", task.id, task.pass.text()),
        ),
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{endpoint}/_lab/credentials/{}", task.id),
        ),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            task.pass.text().to_owned(),
        ),
        ("AWS_ENDPOINT_URL", endpoint.clone()),
    ] {
        all.insert(name.to_owned(), value);
    }
    all
}

/// Returns a path of the image where the image has it; any other word as it is.
fn mapped(root: &Path, word: &str) -> String {
    let inside = within(root, word);
    if word.starts_with('/') && inside.exists() {
        inside.to_string_lossy().into_owned()
    } else {
        word.to_owned()
    }
}

fn within(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Returns the exit code as a shell does: 128 and the signal's number for a process that was
/// killed.
fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image with one program, `bin/tool`, and two links that lead out of it.
    fn image(folder: &Path) -> Unpacked {
        let root = folder.join("root");
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::write(root.join("bin/tool"), "").unwrap();
        std::os::unix::fs::symlink("/bin/sh", root.join("bin/link")).unwrap();
        std::os::unix::fs::symlink("/", root.join("out")).unwrap();
        Unpacked {
            root,
            entrypoint: Vec::new(),
            command: Vec::new(),
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            working_folder: None,
        }
    }

    #[test]
    fn a_program_comes_out_of_the_image_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("beside"), "").unwrap();
        let image = image(folder.path());
        let tool = image.root.join("bin/tool").canonicalize().unwrap();
        for (program, found) in [
            ("/bin/tool", true),
            ("bin/tool", true),
            ("./bin/tool", true),
            ("tool", true),
            ("/bin/../bin/tool", true),
            ("/bin", false),
            ("/bin/sh", false),
            ("sh", false),
            ("bin/sh", false),
            ("/bin/link", false),
            ("link", false),
            ("/out/bin/sh", false),
            ("/../beside", false),
            ("../beside", false),
        ] {
            let expected = found.then(|| tool.clone());
            assert_eq!(
                find_program(&image, &image.root, program),
                expected,
                "{program}"
            );
        }
        assert_eq!(inside(&image.root, &within(&image.root, "/out")), None);
    }
}
