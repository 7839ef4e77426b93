//! Runs terraform: `init`, `apply`, `destroy`, in the folder of one run.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::locate::Binary;
use super::message::{Diagnostic, Message};
use super::provider::{ProviderSource, configuration};
use super::state::{self, Best};
use super::{diagnostic, module, provider};
use crate::journal::locks::WorkLock;

mod command;
mod error;
mod process;
mod stop;

use command::{CONFIGURATION, Subcommand, environment};
pub use error::TerraformError;
use error::{TerraformResult, failed, last_words, leaves_open, what};
use process::POLL;
use stop::{AFTER_FIRST_SIGINT, AFTER_SECOND_SIGINT};

/// The provider is some 150 MB packed; ten minutes are 2 Mbit/s.
const LONGEST_INIT: Duration = Duration::from_mins(10);

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
    /// ARN of the policy that bounds the roles that the module makes, or empty.
    pub permissions_boundary: String,
    /// ARN of a ready execution role, or empty for one that the module makes.
    pub execution_role: String,
    /// ARN of a ready role of the tasks, or empty for one that the module makes.
    pub task_role: String,
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

/// The result of one terraform command.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Exit code 0. For a destroy this proves nothing: over an empty state it is 0 too.
    pub ok: bool,
    /// We asked it to stop.
    pub cancelled: bool,
    /// Errors and warnings, in order; the first 200.
    pub diagnostics: Vec<Diagnostic>,
    /// Number of resources that were created, changed or deleted.
    pub resources: usize,
    /// Outputs of a successful apply; `None` for other commands.
    pub outputs: Option<Outputs>,
    /// Everything terraform said.
    pub log: PathBuf,
}

/// The folder of the module, in the run's folder.
const MODULE: &str = "module";

/// True if terraform has been at work in a run's folder.
pub fn has_module(folder: &Path) -> bool {
    folder.join(MODULE).is_dir()
}

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
    /// Makes the driver. `user` is the environment we were started with. `listen` gets every
    /// message while terraform runs. The lock is inherited by terraform and its plugins: it is free
    /// only when none of them lives, even if our process is gone.
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
        let checked = provider::is_locked_unpacked(&binary);
        Self {
            environment: environment(user, &folder, &source, checked),
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
        if provider::is_locked(&self.source, &self.binary) {
            let (name, text) = module::LOCK;
            let path = module.join(name);
            std::fs::write(&path, text).map_err(failed("write", &path))?;
        }
        if let Some(text) = configuration(&self.source, self.binary.flavour) {
            let path = self.folder.join(CONFIGURATION);
            state::replace(&path, text.as_bytes()).map_err(failed("write", &path))?;
        }
        let _alone = match &self.source {
            ProviderSource::Registry { cache: Some(cache) } => {
                Some(lock_cache(cache.clone()).await?)
            }
            _ => None,
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

    /// Destroys every resource in the best state; `gently` makes few calls at a time. An interrupt
    /// does not cancel it, because an interrupt asks for it; only the end of the patience does.
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
    // A file that existed before keeps its mode, so it is set.
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
        .map_err(failed("protect", path))?;
    file.write_all(&text).map_err(failed("write", path))
}

/// Locks the plugin cache until the file is dropped: two inits must not fill one cache at the same
/// time (terraform#31964).
async fn lock_cache(cache: PathBuf) -> TerraformResult<File> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(&cache).map_err(failed("create", &cache))?;
    // Somebody may have made it in the meantime.
    if !provider::is_private(&cache) {
        let why = std::io::Error::other("it is not private to this user");
        return Err(failed("use", &cache)(why));
    }
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

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
