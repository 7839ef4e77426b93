//! Runs terraform: `init`, `apply`, `destroy`, in the folder of one run.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::locate::Binary;
use super::message::{Diagnostic, Lines, Message, parse};
use super::provider::{ProviderSource, configuration};
use super::state::{self, Best};
use super::{diagnostic, module, provider};
use crate::journal::locks::{WorkLock, Worker};
use cloud::aws::failure::Failure;

/// How often the log is read and the state copied: often enough for a live view, rare enough to
/// cost nothing.
const POLL: Duration = Duration::from_millis(100);
/// After one SIGINT terraform finishes what runs; creating an ECS cluster alone takes 10 s, AWS
/// waiters return early.
const AFTER_FIRST_SIGINT: Duration = Duration::from_secs(90);
/// After the second terraform gives up within 5 s, and still saves and unlocks.
const AFTER_SECOND_SIGINT: Duration = Duration::from_secs(10);

/// What is kept of the user's environment. Everything else, above all `TF_*`, could change what
/// terraform does.
const KEPT: &[&str] = &["PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT"];
const KEPT_PREFIXES: &[&str] = &["AWS_", "SSL_", "XDG_", "LC_"];
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"];

/// The module's variables.
#[derive(Debug, Clone, Serialize)]
pub struct Variables {
    /// The run's id; every name derives from it.
    pub run: String,
    /// The AWS region.
    pub region: String,
    /// The VPC of the subnets that tasks are placed in.
    pub vpc_id: String,
    /// Fargate units: 1024 is one vCPU.
    pub cpu: u32,
    /// MiB.
    pub memory: u32,
    /// `X86_64` or `ARM64`.
    pub arch: String,
    /// Full reference, or empty for the run's own repository.
    pub image: String,
    /// `sha256:...` of the image in the run's own repository.
    pub image_digest: String,
    /// Further tags for everything that the module makes.
    pub tags: BTreeMap<String, String>,
}

/// The module's outputs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Outputs {
    /// The name of the ECS cluster.
    pub cluster: String,
    /// The ARN of the task definition.
    pub task_definition: String,
    /// The id of the security group of the tasks.
    pub security_group: String,
    /// The bucket of the channel.
    pub bucket: String,
    /// The ECR repository, without a tag.
    pub repository_url: String,
    /// The name of the log group.
    pub log_group: String,
}

/// How one command of terraform ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Exit code 0. For a destroy this proves nothing: over an empty state it is 0 too.
    pub ok: bool,
    /// We asked it to stop.
    pub cancelled: bool,
    /// Errors and warnings, in order; the first 200.
    pub diagnostics: Vec<Diagnostic>,
    /// How many resources were created, changed or deleted.
    pub resources: usize,
    /// Those of a successful apply; `None` for other commands.
    pub outputs: Option<Outputs>,
    /// Everything terraform said.
    pub log: PathBuf,
}

/// A command of terraform that failed.
#[derive(Debug, thiserror::Error)]
pub enum TerraformError {
    /// The file system failed, or the process could not be started.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// The verb, for example `open`.
        doing: &'static str,
        /// The file, folder or binary.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Terraform ended with an exit code that is not 0.
    #[error("terraform {command} failed: {}; everything it said is in {}", what(first.as_deref(), last_words), log.display())]
    Failed {
        /// The subcommand, for example `apply`.
        command: &'static str,
        /// Its exit code; `None` where a signal ended it.
        code: Option<i32>,
        /// Its first error; `None` where it gave none as a message.
        first: Option<Box<Diagnostic>>,
        /// The kind of the failure, by the text of that error.
        failure: Failure,
        /// One of its errors leaves open what was made: another attempt may do better.
        unclear: bool,
        /// The end of its output, for an error without a message.
        last_words: String,
        /// The file with all of its output.
        log: PathBuf,
    },
    /// It was asked to stop, and did.
    #[error("terraform {command} was interrupted; everything it said is in {}", log.display())]
    Cancelled {
        /// The subcommand, for example `apply`.
        command: &'static str,
        /// The file with all of its output.
        log: PathBuf,
    },
    /// An apply ended well, but printed no outputs that can be read.
    #[error("terraform apply succeeded without its outputs; everything it said is in {}", log.display())]
    NoOutputs {
        /// The file with all of its output.
        log: PathBuf,
    },
}

/// In the run's folder.
const MODULE: &str = "module";

/// Whether terraform has been at work in a run's folder.
pub fn has_module(folder: &Path) -> bool {
    folder.join(MODULE).is_dir()
}

impl TerraformError {
    /// Decides whether another attempt may do better.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Io { source, .. } => Failure::of_io(source.kind()),
            Self::Failed { failure, .. } => *failure,
            Self::Cancelled { .. } | Self::NoOutputs { .. } => Failure::Unknown,
        }
    }

    /// It said what was wrong and ended in order: it was neither killed nor told to stop, and
    /// neither a provider that died nor an answer that was lost hides something that was made all
    /// the same.
    pub fn gave_up(&self) -> bool {
        matches!(
            self,
            Self::Failed {
                code: Some(1),
                first: Some(_),
                unclear: false,
                ..
            }
        )
    }
}

/// A provider that died, a network that broke off, an AWS that failed or had too much to do.
fn leaves_open(error: &Diagnostic) -> bool {
    matches!(
        diagnostic::failure(&error.to_string()),
        Failure::Provider | Failure::Network | Failure::Throttled | Failure::ServerError
    )
}

fn what(first: Option<&Diagnostic>, last_words: &str) -> String {
    first.map_or_else(|| last_words.to_owned(), Diagnostic::to_string)
}

/// `init` speaks plain text: its error, without the frame drawn around it; else whatever it said
/// last.
fn last_words(log: &Path, status: ExitStatus) -> String {
    const MOST: usize = 4;
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.trim_matches(['│', '╷', '╵', ' ']))
        .filter(|line| !line.is_empty())
        .collect();
    let from = lines
        .iter()
        .position(|line| line.starts_with("Error:"))
        .unwrap_or(lines.len().saturating_sub(MOST));
    let said = lines
        .iter()
        .skip(from)
        .take(MOST)
        .copied()
        .collect::<Vec<_>>()
        .join(" ");
    if said.is_empty() {
        format!("it ended with {status} and said nothing")
    } else {
        said
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TerraformError {
    let path = path.to_owned();
    move |source| TerraformError::Io {
        doing,
        path,
        source,
    }
}

type TerraformResult<T> = std::result::Result<T, TerraformError>;

/// Terraform in the folder of one run.
pub struct Terraform {
    binary: Binary,
    folder: PathBuf,
    source: ProviderSource,
    /// The environment terraform gets: all of it.
    environment: BTreeMap<OsString, OsString>,
    listen: Box<dyn Fn(Message) + Send + Sync>,
    lock: Arc<WorkLock>,
    after_first_sigint: Duration,
    after_second_sigint: Duration,
}

impl Terraform {
    /// `user` is the environment we were started with. `listen` hears every message while terraform
    /// runs. The lock is inherited by terraform and its plugins: it is free when none of them lives
    /// any more, whatever became of us.
    pub fn new(
        binary: Binary,
        folder: &Path,
        lock: Arc<WorkLock>,
        user: impl IntoIterator<Item = (OsString, OsString)>,
        listen: impl Fn(Message) + Send + Sync + 'static,
    ) -> Self {
        let user: BTreeMap<OsString, OsString> = user.into_iter().collect();
        let source = provider::source(&binary, |name| {
            user.get(std::ffi::OsStr::new(name)).cloned()
        });
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        Self {
            environment: environment(user, &folder, &source),
            binary,
            folder,
            source,
            listen: Box::new(listen),
            lock,
            after_first_sigint: AFTER_FIRST_SIGINT,
            after_second_sigint: AFTER_SECOND_SIGINT,
        }
    }

    /// Unpacks the module, writes its variables, fetches the provider. Creates nothing in AWS.
    pub async fn init(
        &self,
        variables: &Variables,
        cancel: &CancellationToken,
    ) -> TerraformResult<Finished> {
        let module = self.module();
        module::unpack(&module).map_err(failed("unpack the terraform module to", &module))?;
        write_variables(&module.join("run.auto.tfvars.json"), variables)?;
        if let Some(text) = configuration(&self.source, self.binary.flavour) {
            let path = self.folder.join(CONFIGURATION);
            state::replace(&path, text.as_bytes()).map_err(failed("write", &path))?;
        }
        let _alone = match &self.source {
            ProviderSource::Registry { cache } => Some(lock_cache(cache.clone()).await?),
            ProviderSource::Configured(_) | ProviderSource::Mirror(_) => None,
        };
        self.succeed(Subcommand::Init, cancel).await
    }

    /// Creates everything. After an error or a cancel some of it may exist, known to the state or
    /// not.
    pub async fn apply(&self, cancel: &CancellationToken) -> TerraformResult<Outputs> {
        let finished = self.succeed(Subcommand::Apply, cancel).await?;
        finished
            .outputs
            .ok_or(TerraformError::NoOutputs { log: finished.log })
    }

    /// Destroys what the best state knows; `gently` makes few calls at a time. An interrupt does
    /// not cancel it (it is what an interrupt asks for), only patience that has ended.
    pub async fn destroy(
        &self,
        gently: bool,
        patience: &CancellationToken,
    ) -> TerraformResult<Finished> {
        self.best_state()?;
        self.succeed(
            if gently {
                Subcommand::DestroyGently
            } else {
                Subcommand::Destroy
            },
            patience,
        )
        .await
    }

    /// Puts the newest whole copy in place of a state that is missing, empty or torn.
    pub fn best_state(&self) -> TerraformResult<Best> {
        state::best_state(&self.folder)
            .map_err(failed("restore the terraform state in", &self.folder))
    }

    fn module(&self) -> PathBuf {
        self.folder.join(MODULE)
    }

    async fn succeed(
        &self,
        command: Subcommand,
        cancel: &CancellationToken,
    ) -> TerraformResult<Finished> {
        let (finished, status) = self.run(command, cancel).await?;
        let Finished {
            ok, cancelled, log, ..
        } = &finished;
        if *ok {
            return Ok(finished);
        }
        if *cancelled {
            return Err(TerraformError::Cancelled {
                command: command.word(),
                log: log.clone(),
            });
        }
        let errors = || {
            finished
                .diagnostics
                .iter()
                .filter(|diagnostic| diagnostic.is_error())
        };
        let first = errors().next().cloned().map(Box::new);
        let last_words = last_words(log, status);
        Err(TerraformError::Failed {
            command: command.word(),
            code: status.code(),
            failure: diagnostic::failure(&what(first.as_deref(), &last_words)),
            first,
            unclear: errors().any(leaves_open),
            last_words,
            log: log.clone(),
        })
    }

    async fn run(
        &self,
        command: Subcommand,
        cancel: &CancellationToken,
    ) -> TerraformResult<(Finished, ExitStatus)> {
        let (log, out) = fresh_log(&self.folder)?;
        let err = out.try_clone().map_err(failed("open", &log))?;
        let mut tail = Tail::new(File::open(&log).map_err(failed("open", &log))?);
        let inherited = self
            .lock
            .inheritable()
            .map_err(failed("lock", &self.folder))?;
        let mut child = Command::new(&self.binary.path)
            .args(arguments(command))
            .current_dir(self.module())
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            // A file, never a pipe: terraform must be able to finish and save after we died.
            .stdout(out)
            .stderr(err)
            // Neither a Ctrl-C nor a closed terminal reaches it.
            .process_group(0)
            .kill_on_drop(false)
            .spawn()
            .map_err(failed("run", &self.binary.path))?;
        drop(inherited);
        if let Some(worker) = child.id().and_then(Worker::of) {
            self.lock.tell(&worker);
        }
        let mut stop = StopSequence::new(self.after_first_sigint, self.after_second_sigint);
        let mut seen = StreamSummary::default();
        let status = loop {
            match timeout(POLL, child.wait()).await {
                Ok(status) => break status.map_err(failed("wait for", &self.binary.path))?,
                Err(_elapsed) => self.look(&mut tail, &mut seen),
            }
            if cancel.is_cancelled() {
                stop.press(&child, Instant::now());
            }
        };
        self.look(&mut tail, &mut seen);
        tail.rest()
            .into_iter()
            .for_each(|line| self.hear(&line, &mut seen));
        let finished = Finished {
            ok: status.success(),
            cancelled: stop.sent > 0,
            diagnostics: seen.diagnostics,
            resources: seen.resources,
            outputs: seen.outputs,
            log,
        };
        Ok((finished, status))
    }

    /// Hears what is new and copies the state. A copy that fails is no reason to disturb an apply.
    fn look(&self, tail: &mut Tail, seen: &mut StreamSummary) {
        while let Some(lines) = tail.next() {
            lines.iter().for_each(|line| self.hear(line, seen));
        }
        if let Err(error) = state::keep(&self.folder) {
            tracing::warn!(%error, "could not copy the terraform state");
        }
    }

    fn hear(&self, line: &str, seen: &mut StreamSummary) {
        let message = parse(line);
        match &message {
            Message::ApplyComplete(_) => seen.resources += 1,
            Message::Diagnostic(diagnostic) if seen.diagnostics.len() < MOST_DIAGNOSTICS => {
                seen.diagnostics.push(diagnostic.clone());
            }
            Message::Outputs(values) => {
                let values = values.clone().into_iter().collect();
                // A plan announces outputs without values: only the last, complete ones count.
                seen.outputs = serde_json::from_value(serde_json::Value::Object(values))
                    .ok()
                    .or(seen.outputs.take());
            }
            _ => {}
        }
        (self.listen)(message);
    }
}

/// Beyond these a person reads the log.
const MOST_DIAGNOSTICS: usize = 200;
const CONFIGURATION: &str = "terraform.rc";

#[derive(Default)]
struct StreamSummary {
    diagnostics: Vec<Diagnostic>,
    resources: usize,
    outputs: Option<Outputs>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subcommand {
    Init,
    Apply,
    Destroy,
    DestroyGently,
}

impl Subcommand {
    fn word(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Apply => "apply",
            Self::Destroy | Self::DestroyGently => "destroy",
        }
    }
}

/// The arguments. No variable is among them: every user of the machine can read a command line.
fn arguments(command: Subcommand) -> Vec<&'static str> {
    match command {
        // The state lies in the run's folder, beside the module. (`init -json` came later than
        // 1.5.)
        Subcommand::Init => vec![
            "init",
            "-input=false",
            "-no-color",
            "-backend-config=path=../terraform.tfstate",
        ],
        Subcommand::Apply | Subcommand::Destroy => {
            vec![
                command.word(),
                "-json",
                "-auto-approve",
                "-input=false",
                "-lock-timeout=60s",
            ]
        }
        Subcommand::DestroyGently => {
            [arguments(Subcommand::Destroy), vec!["-parallelism=2"]].concat()
        }
    }
}

/// The environment of terraform. Pure.
fn environment(
    user: BTreeMap<OsString, OsString>,
    folder: &Path,
    source: &ProviderSource,
) -> BTreeMap<OsString, OsString> {
    let mut environment: BTreeMap<OsString, OsString> = user
        .into_iter()
        .filter(|(name, _)| name.to_str().is_some_and(kept))
        .collect();
    let mut set = |name: &str, value: OsString| environment.insert(name.into(), value);
    set("TF_IN_AUTOMATION", "1".into());
    set("TF_INPUT", "0".into());
    set("CHECKPOINT_DISABLE", "1".into());
    match source {
        ProviderSource::Configured(file) => set("TF_CLI_CONFIG_FILE", file.into()),
        ProviderSource::Mirror(_) => set("TF_CLI_CONFIG_FILE", folder.join(CONFIGURATION).into()),
        ProviderSource::Registry { cache } => {
            set("TF_PLUGIN_CACHE_DIR", cache.into());
            // The lock file is made per run and never shared.
            set("TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE", "1".into());
            set("TF_CLI_CONFIG_FILE", folder.join(CONFIGURATION).into())
        }
    };
    environment
}

fn kept(name: &str) -> bool {
    KEPT.contains(&name)
        || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || PROXIES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
}

fn write_variables(path: &Path, variables: &Variables) -> TerraformResult<()> {
    let text = serde_json::to_vec_pretty(variables)
        .map_err(io::Error::from)
        .map_err(failed("write", path))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("create", path))?;
    // One that was there before keeps its mode.
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
        .map_err(failed("protect", path))?;
    file.write_all(&text).map_err(failed("write", path))
}

/// Two inits must not fill one plugin cache at the same time (terraform#31964). Free when the file
/// is dropped.
async fn lock_cache(cache: PathBuf) -> TerraformResult<File> {
    std::fs::create_dir_all(&cache).map_err(failed("create", &cache))?;
    let path = cache.join(".spikeproof.lock");
    let file = File::create(&path).map_err(failed("open", &path))?;
    // The other init ends: downloading the provider takes minutes at worst.
    let until = Instant::now() + LONGEST_INIT;
    while let Err(error) = file.try_lock() {
        if Instant::now() >= until {
            return Err(failed("lock (another init holds it)", &path)(error.into()));
        }
        sleep(POLL).await;
    }
    Ok(file)
}

/// The provider is some 150 MB packed; ten minutes are 2 Mbit/s.
const LONGEST_INIT: Duration = Duration::from_secs(600);

/// `terraform-<n>.jsonl`, with the first number that is free.
fn fresh_log(folder: &Path) -> TerraformResult<(PathBuf, File)> {
    let mut number = 1_u32;
    loop {
        let path = folder.join(format!("terraform-{number}.jsonl"));
        match OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(failed("create", &path)(error)),
        }
    }
}

/// Follows a growing file in bounded memory.
struct Tail {
    file: File,
    lines: Lines,
}

impl Tail {
    fn new(file: File) -> Self {
        Self {
            file,
            lines: Lines::default(),
        }
    }

    /// The lines of the next piece; none at the present end.
    fn next(&mut self) -> Option<Vec<String>> {
        let mut piece = vec![0; 64 * 1024];
        let length = self
            .file
            .read(&mut piece)
            .ok()
            .filter(|length| *length > 0)?;
        piece.get(..length).map(|piece| self.lines.push(piece))
    }

    fn rest(&mut self) -> Option<String> {
        self.lines.take()
    }
}

/// Stops terraform: one SIGINT to its pid, a long wait, a second, a short wait, then SIGKILL for
/// its group.
///
/// Never SIGTERM: terraform counts it as another interrupt, and provider plugins die of it.
struct StopSequence {
    patience: [Duration; 2],
    sent: usize,
    since: Option<Instant>,
}

impl StopSequence {
    fn new(first: Duration, second: Duration) -> Self {
        Self {
            patience: [first, second],
            sent: 0,
            since: None,
        }
    }

    /// Call it as often as you like once cancelled.
    fn press(&mut self, child: &Child, now: Instant) {
        let waited = self.since.map(|since| now - since);
        let due = match (
            waited,
            self.sent
                .checked_sub(1)
                .and_then(|last| self.patience.get(last)),
        ) {
            (None, _) => true,
            (Some(waited), Some(patience)) => waited >= *patience,
            (Some(_), None) => false,
        };
        let Some(pid) = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            .filter(|_| due)
        else {
            return;
        };
        // It may have ended by itself meanwhile; then there is nobody to tell.
        let _ = if self.sent < self.patience.len() {
            rustix::process::kill_process(pid, Signal::INT)
        } else {
            rustix::process::kill_process_group(pid, Signal::KILL)
        };
        self.sent += 1;
        self.since = Some(now);
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
