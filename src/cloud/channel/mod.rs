//! Orchestrator and generators talk over an object-store prefix.
//!
//! S3 in AWS, a folder locally, memory in tests: the same layout. No task is ever reached from
//! outside, so private subnets and CI runners work.
//!
//! ```text
//! plan.json                          orchestrator, once
//! secrets.json                       orchestrator, only if the scenario reads secrets: from before the plan until all
//!                                    tasks have read it
//! files/<n>                          orchestrator, once: the files that the scenario names
//! terraform.tfstate                  orchestrator, once: for a destroy whose disk was lost
//! control.json                       orchestrator, every few seconds: heartbeat, start, stop
//! tasks/<slot>/ready.json            task, once
//! tasks/<slot>/intervals/<seq>.json.gz   task, every few seconds, numbered without gaps
//! tasks/<slot>/end.json              task, last
//! ```
//!
//! One object of the same bucket is not below the prefix: `kept/changes.json`, which the orchestrator
//! writes before it changes the target's group. S3 deletes everything below the prefix after a day,
//! and a change must be known until it is undone.
//!
//! A task polls `control.json` once a second. It starts at the agreed instant, and stops on order,
//! at its lifetime's end, and when the heartbeat has not changed for the lease *by its own
//! monotonic clock*. Any read error counts as no change: the lease fails closed, and no wall clock
//! can kill a healthy run or keep a dead one alive.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutPayload, UpdateVersion};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub mod message;
mod open;

pub use open::open;

use message::{Control, End, Plan, Ready, Report, SecretsMessage, VERSION};

const SECRETS: &str = "secrets.json";

/// Interval at which the orchestrator rewrites `control.json`.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// Time that a task goes on without seeing a new heartbeat.
pub const LEASE: Duration = Duration::from_secs(30);
/// Interval at which a task reads `control.json`. Including the cut of open requests, a stop order
/// is carried out within 2 s.
pub const POLL: Duration = Duration::from_secs(1);

/// The name of the control object, under the prefix.
const CONTROL: &str = "control.json";
const STATE: &str = "terraform.tfstate";
/// From the bucket's root, where no lifecycle rule of `terraform/bucket.tf` reaches it.
const CHANGES: &str = "kept/changes.json";

/// A message that could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The object store failed, or the object is not there.
    #[error("channel: {0}")]
    Store(#[from] object_store::Error),
    /// The object is not the JSON that this version writes.
    #[error("channel: {path} is not what this version writes: {source}")]
    Message {
        /// The object, below the run's prefix.
        path: String,
        /// The error of the JSON parser.
        source: serde_json::Error,
    },
    /// The object names another version of the messages: a task or an orchestrator is another
    /// spikeproof's.
    #[error(
        "channel: {path} is of version {theirs} of the messages, and this spikeproof ({}) has version {VERSION}: the tasks \
         need the same spikeproof as the run (`--image`, `--generator-binary`)",
        env!("CARGO_PKG_VERSION")
    )]
    Version {
        /// The object, below the run's prefix.
        path: String,
        /// Its version.
        theirs: u64,
    },
    /// The messages are the same, but a task is another spikeproof's.
    #[error(
        "channel: {path} is of {}, and this is spikeproof {}: the tasks need the same spikeproof as the run (`--image`, \
         `--generator-binary`)",
        program(theirs),
        message::PROGRAM
    )]
    Program {
        /// The object, below the run's prefix.
        path: String,
        /// The version of the program; empty where it does not say it.
        theirs: String,
    },
    /// An interval's gzip is damaged, or could not be made.
    #[error("channel: {path} cannot be unpacked: {source}")]
    Packed {
        /// The object, below the run's prefix.
        path: String,
        /// The error of gzip.
        source: std::io::Error,
    },
    /// Another epoch has written `control.json` since.
    #[error(
        "channel: control.json was written by somebody else: another process has taken this run over"
    )]
    Fenced,
    /// The file of the secrets could not be created for its owner alone.
    #[error("channel: {path} cannot be kept private: {source}")]
    Private {
        /// The file.
        path: String,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// The text that names no channel.
    #[error("channel: `{0}` is neither a folder (file:///...) nor a bucket (s3://bucket/prefix)")]
    Location(String),
}

/// A run's prefix in an object store.
#[derive(Debug, Clone)]
pub struct Channel {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The store can write on condition that nobody else has written since.
    conditional: bool,
    /// The store's folder, if it is on this machine.
    folder: Option<PathBuf>,
}

impl Channel {
    /// Returns a channel in a store with conditional writes.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self {
            store,
            prefix,
            conditional: true,
            folder: None,
        }
    }

    /// Makes a channel in a store without conditional writes. There the locks of the run's own
    /// folder keep other writers out.
    pub fn unconditional(self) -> Self {
        Self {
            conditional: false,
            ..self
        }
    }

    fn in_folder(store: Arc<dyn ObjectStore>, folder: &str) -> Self {
        Self {
            store,
            prefix: Path::default(),
            conditional: false,
            folder: Some(PathBuf::from(folder)),
        }
    }

    /// Writes `plan.json`.
    pub async fn put_plan(&self, plan: &Plan) -> Result<(), ChannelError> {
        self.put("plan.json", plan).await
    }

    /// Reads `plan.json`; an error where it is not there.
    pub async fn plan(&self) -> Result<Plan, ChannelError> {
        self.get("plan.json").await
    }

    /// Writes the secrets. Only its owner may read the file of a local store; a bucket has its
    /// policies.
    pub async fn put_secrets(&self, secrets: &SecretsMessage) -> Result<(), ChannelError> {
        match &self.folder {
            Some(folder) => put_private(&folder.join(SECRETS), secrets),
            None => self.put(SECRETS, secrets).await,
        }
    }

    /// Reads the secrets; `None` once they have been deleted: then the run has begun without the
    /// task that asks.
    pub async fn secrets(&self) -> Result<Option<SecretsMessage>, ChannelError> {
        self.get_if_there(SECRETS).await
    }

    /// Deletes the secrets; succeeds if there are none.
    pub async fn delete_secrets(&self) -> Result<(), ChannelError> {
        match self.store.delete(&self.path(SECRETS)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// True if the store is a folder on this machine: no bucket deletion empties it.
    pub fn is_local(&self) -> bool {
        self.folder.is_some()
    }

    /// Writes the part of file `number` that belongs to a slot.
    pub async fn put_part(
        &self,
        number: usize,
        slot: u32,
        bytes: Vec<u8>,
    ) -> Result<(), ChannelError> {
        let path = self.path(&format!("files/{number}-{slot}"));
        self.store.put(&path, PutPayload::from(bytes)).await?;
        Ok(())
    }

    /// Returns the part of the file with this number that belongs to a slot.
    pub async fn part(&self, number: usize, slot: u32) -> Result<Vec<u8>, ChannelError> {
        let path = self.path(&format!("files/{number}-{slot}"));
        Ok(self.store.get(&path).await?.bytes().await?.into())
    }

    /// Writes file `number` of the plan's list.
    pub async fn put_file(&self, number: usize, bytes: &[u8]) -> Result<(), ChannelError> {
        self.store
            .put(
                &self.path(&format!("files/{number}")),
                PutPayload::from(bytes.to_vec()),
            )
            .await?;
        Ok(())
    }

    /// Returns the bytes of the file with this number in the plan; an error where it is not there.
    pub async fn file(&self, number: usize) -> Result<Vec<u8>, ChannelError> {
        Ok(self
            .store
            .get(&self.path(&format!("files/{number}")))
            .await?
            .bytes()
            .await?
            .into())
    }

    /// Writes `control.json` on condition that it is still as `known` (`None`: that there is none).
    /// [`ChannelError::Fenced`] if another epoch has written it: then the run is driven from
    /// elsewhere.
    pub async fn put_control(
        &self,
        control: &Control,
        known: Option<&UpdateVersion>,
    ) -> Result<UpdateVersion, ChannelError> {
        let mut known = known.cloned();
        loop {
            match self.put_if(control, known).await {
                Err(
                    object_store::Error::Precondition { .. }
                    | object_store::Error::AlreadyExists { .. },
                ) => {}
                written => return Ok(written?),
            }
            let (there, version) = self.control_and_version().await?;
            if there == *control {
                return Ok(version);
            }
            // An earlier write of our own, whose answer was lost, does not lock us out.
            if there.epoch != control.epoch {
                return Err(ChannelError::Fenced);
            }
            known = Some(version);
        }
    }

    async fn put_if(
        &self,
        control: &Control,
        known: Option<UpdateVersion>,
    ) -> object_store::Result<UpdateVersion> {
        let mode = match (self.conditional, known) {
            (false, _) => PutMode::Overwrite,
            (true, Some(known)) => PutMode::Update(known),
            (true, None) => PutMode::Create,
        };
        let json = serde_json::to_vec(control).map_err(|source| object_store::Error::Generic {
            store: "channel",
            source: Box::new(source),
        })?;
        Ok(self
            .store
            .put_opts(&self.path(CONTROL), PutPayload::from(json), mode.into())
            .await?
            .into())
    }

    /// Returns the content of `control.json`, and the version to write over it.
    pub async fn control_and_version(&self) -> Result<(Control, UpdateVersion), ChannelError> {
        let object = self.store.get(&self.path(CONTROL)).await?;
        let version = UpdateVersion {
            e_tag: object.meta.e_tag.clone(),
            version: object.meta.version.clone(),
        };
        let bytes = object.bytes().await?;
        let control = serde_json::from_slice(&bytes).map_err(|source| ChannelError::Message {
            path: CONTROL.to_owned(),
            source,
        })?;
        Ok((control, version))
    }

    /// Reads `control.json`; an error where it is not there.
    pub async fn control(&self) -> Result<Control, ChannelError> {
        self.get(CONTROL).await
    }

    /// Writes terraform's state, as it was when everything had been made.
    pub async fn put_state(&self, state: Vec<u8>) -> Result<(), ChannelError> {
        self.store
            .put(&self.path(STATE), PutPayload::from(state))
            .await?;
        Ok(())
    }

    /// Reads terraform's state as it was written; `None` if it was not.
    pub async fn state(&self) -> Result<Option<Vec<u8>>, ChannelError> {
        Ok(self.bytes_if_there(&self.path(STATE)).await?.map(Vec::from))
    }

    /// Writes what the run changes on its target's group, before it does. It stays until the bucket
    /// is deleted.
    pub async fn put_changes(&self, changes: Vec<u8>) -> Result<(), ChannelError> {
        self.store
            .put(&Path::from(CHANGES), PutPayload::from(changes))
            .await?;
        Ok(())
    }

    /// Reads what the run has changed, as it was written; `None` if it was not.
    pub async fn changes(&self) -> Result<Option<Vec<u8>>, ChannelError> {
        let found = self.bytes_if_there(&Path::from(CHANGES)).await?;
        Ok(found.map(Vec::from))
    }

    /// Writes `ready.json` of the task's slot.
    pub async fn put_ready(&self, ready: &Ready) -> Result<(), ChannelError> {
        self.put(&format!("tasks/{}/ready.json", ready.slot), ready)
            .await
    }

    /// Reads the message of the slot's task that it has come up; `None` if it has not yet. A task of
    /// another spikeproof is refused by its name.
    pub async fn ready(&self, slot: u32) -> Result<Option<Ready>, ChannelError> {
        let path = format!("tasks/{slot}/ready.json");
        let ready: Option<Ready> = self.get_if_there(&path).await?;
        match ready {
            Some(ready) if ready.program != message::PROGRAM => Err(ChannelError::Program {
                path,
                theirs: ready.program,
            }),
            ready => Ok(ready),
        }
    }

    /// Writes `end.json` of the task's slot.
    pub async fn put_end(&self, end: &End) -> Result<(), ChannelError> {
        self.put(&format!("tasks/{}/end.json", end.slot), end).await
    }

    /// Returns the last message of the slot's task; `None` while it runs.
    pub async fn end(&self, slot: u32) -> Result<Option<End>, ChannelError> {
        self.get_if_there(&format!("tasks/{slot}/end.json")).await
    }

    /// Writes an interval, packed, under its own sequence number.
    pub async fn put_report(&self, slot: u32, report: &Report) -> Result<(), ChannelError> {
        let path = interval_path(slot, report.seq);
        let json = serde_json::to_vec(report).map_err(|source| ChannelError::Message {
            path: path.clone(),
            source,
        })?;
        let packed = pack(&json).map_err(|source| ChannelError::Packed {
            path: path.clone(),
            source,
        })?;
        self.store
            .put(&self.path(&path), PutPayload::from(packed))
            .await?;
        Ok(())
    }

    /// Reads interval `seq` of a slot; `None` if it has not been written.
    pub async fn report(&self, slot: u32, seq: u32) -> Result<Option<Report>, ChannelError> {
        let path = interval_path(slot, seq);
        let Some(bytes) = self.bytes_if_there(&self.path(&path)).await? else {
            return Ok(None);
        };
        let json = unpack(&bytes).map_err(|source| ChannelError::Packed {
            path: path.clone(),
            source,
        })?;
        parse(&path, &json).map(Some)
    }

    /// Removes everything under the prefix: a bucket must be empty to be deleted.
    pub async fn clear(&self) -> Result<u64, ChannelError> {
        let mut removed = 0;
        let mut listing = self.store.list(Some(&self.prefix));
        let mut paths = Vec::new();
        while let Some(object) = listing.next().await {
            paths.push(object?.location);
        }
        for path in paths {
            self.store.delete(&path).await?;
            removed += 1;
        }
        Ok(removed)
    }

    fn path(&self, tail: &str) -> Path {
        Path::from(format!("{}/{tail}", self.prefix))
    }

    async fn put<T: Serialize>(&self, path: &str, message: &T) -> Result<(), ChannelError> {
        let json = serde_json::to_vec(message).map_err(|source| ChannelError::Message {
            path: path.to_owned(),
            source,
        })?;
        self.store
            .put(&self.path(path), PutPayload::from(json))
            .await?;
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ChannelError> {
        let bytes = self.store.get(&self.path(path)).await?.bytes().await?;
        parse(path, &bytes)
    }

    async fn get_if_there<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Option<T>, ChannelError> {
        match self.get(path).await {
            Ok(message) => Ok(Some(message)),
            Err(ChannelError::Store(object_store::Error::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn bytes_if_there(&self, path: &Path) -> Result<Option<bytes::Bytes>, ChannelError> {
        match self.store.get(path).await {
            Ok(object) => Ok(Some(object.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Names another spikeproof.
fn program(version: &str) -> String {
    match version {
        "" => "an older spikeproof".to_owned(),
        version => format!("spikeproof {version}"),
    }
}

/// Reads a message. One of another version is refused by its name, even if it looks like ours; the
/// orders of `control.json` keep their form, and are followed.
fn parse<T: DeserializeOwned>(path: &str, json: &[u8]) -> Result<T, ChannelError> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u64,
    }
    let named = serde_json::from_slice::<Versioned>(json).ok();
    let theirs = named.map(|named| named.version);
    let other = theirs.filter(|version| *version != u64::from(VERSION));
    match (serde_json::from_slice(json), other) {
        (Ok(message), None) => Ok(message),
        (Ok(message), Some(_)) if path == CONTROL => Ok(message),
        (_, Some(theirs)) => Err(ChannelError::Version {
            path: path.to_owned(),
            theirs,
        }),
        (Err(source), None) => Err(ChannelError::Message {
            path: path.to_owned(),
            source,
        }),
    }
}

impl ChannelError {
    /// True if waiting does not help: the same object would be refused again.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Version { .. } | Self::Program { .. })
    }
}

/// Writes a file whole or not at all, with mode 0600 from its first byte, as temporary files have.
fn put_private(path: &std::path::Path, message: &SecretsMessage) -> Result<(), ChannelError> {
    let name = || path.display().to_string();
    let json = serde_json::to_vec(message).map_err(|source| ChannelError::Message {
        path: name(),
        source,
    })?;
    let written =
        tempfile::NamedTempFile::new_in(path.parent().unwrap_or(path)).and_then(|mut file| {
            file.write_all(&json)?;
            Ok(file.persist(path)?)
        });
    written.map(drop).map_err(|source| ChannelError::Private {
        path: name(),
        source,
    })
}

fn interval_path(slot: u32, seq: u32) -> String {
    format!("tasks/{slot}/intervals/{seq:06}.json.gz")
}

fn pack(json: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(json)?;
    encoder.finish()
}

fn unpack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut json = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut json)?;
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::measure::Interval;

    fn channel() -> Channel {
        Channel::new(
            Arc::new(object_store::memory::InMemory::new()),
            Path::from("run"),
        )
    }

    #[tokio::test]
    async fn what_is_put_is_got_and_what_is_missing_is_none() {
        let channel = channel();
        assert_eq!(channel.ready(0).await.unwrap(), None);
        assert!(channel.control().await.is_err());

        let control = Control {
            version: message::VERSION,
            epoch: 1,
            heartbeat: 7,
            start: None,
            stop: None,
        };
        channel.put_control(&control, None).await.unwrap();
        assert_eq!(channel.control().await.unwrap(), control);

        let report = Report {
            version: message::VERSION,
            seq: 0,
            before_second: 5,
            interval: Interval::default(),
        };
        channel.put_report(3, &report).await.unwrap();
        assert_eq!(channel.report(3, 0).await.unwrap(), Some(report));
        assert_eq!(channel.report(3, 1).await.unwrap(), None);
        assert_eq!(channel.clear().await.unwrap(), 2);
        assert_eq!(channel.report(3, 0).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_note_of_changes_is_not_below_the_prefix_that_expires() {
        let channel = channel();
        channel.put_changes(b"{}".to_vec()).await.unwrap();
        channel.put_state(b"{}".to_vec()).await.unwrap();
        assert_eq!(channel.clear().await.unwrap(), 1);
        assert_eq!(channel.state().await.unwrap(), None);
        assert_eq!(channel.changes().await.unwrap(), Some(b"{}".to_vec()));
    }

    #[tokio::test]
    async fn a_message_of_another_version_is_refused_by_its_name() {
        let channel = channel();
        let ready = Ready {
            version: VERSION + 1,
            program: message::PROGRAM.to_owned(),
            slot: 0,
            attempt: 1,
            identity: "pid 1".to_owned(),
            cores: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        channel.put_ready(&ready).await.unwrap();
        let refused = channel.ready(0).await.unwrap_err();
        assert!(refused.is_final());
        let said = refused.to_string();
        assert!(
            said.starts_with(&format!(
                "channel: tasks/0/ready.json is of version {}",
                VERSION + 1
            )),
            "{said}"
        );
        // The same messages, but another program's.
        for (program, named) in [
            ("0.0.1", "is of spikeproof 0.0.1, and"),
            ("", "is of an older spikeproof, and"),
        ] {
            let ready = Ready {
                version: VERSION,
                program: program.to_owned(),
                ..ready.clone()
            };
            channel.put_ready(&ready).await.unwrap();
            let refused = channel.ready(0).await.unwrap_err();
            assert!(refused.is_final());
            let said = refused.to_string();
            assert!(said.contains(named) && said.contains("`--image`"), "{said}");
        }
        // One whose form has changed as well.
        let plan = br#"{ "version": 1, "what": "else" }"#;
        let path = channel.path("plan.json");
        let put = channel.store.put(&path, PutPayload::from_static(plan));
        put.await.unwrap();
        let refused = channel.plan().await.unwrap_err();
        assert!(
            matches!(refused, ChannelError::Version { theirs: 1, .. }),
            "{refused}"
        );
        // A stop order of another version is one all the same.
        let control = Control {
            version: VERSION + 1,
            epoch: 1,
            heartbeat: 1,
            start: None,
            stop: None,
        };
        channel.put_control(&control, None).await.unwrap();
        assert_eq!(channel.control().await.unwrap(), control);
    }

    #[tokio::test]
    async fn a_control_that_somebody_else_has_written_is_a_fence_and_a_lost_answer_is_none() {
        let channel = channel();
        let control = |epoch, heartbeat| Control {
            version: message::VERSION,
            epoch,
            heartbeat,
            start: None,
            stop: None,
        };
        let first = channel.put_control(&control(1, 1), None).await.unwrap();
        // Written, and the answer was lost: the same again, and the next without knowing of it.
        let again = channel.put_control(&control(1, 1), None).await.unwrap();
        assert_eq!(first, again);
        let second = channel.put_control(&control(1, 2), None).await.unwrap();

        let (seen, version) = channel.control_and_version().await.unwrap();
        assert_eq!((seen, &version), (control(1, 2), &second));
        channel
            .put_control(&control(2, 1), Some(&version))
            .await
            .unwrap();
        let fenced = channel.put_control(&control(1, 3), Some(&second)).await;
        assert!(matches!(fenced, Err(ChannelError::Fenced)), "{fenced:?}");
        assert_eq!(channel.control().await.unwrap(), control(2, 1));
    }

    #[tokio::test]
    async fn secrets_are_private_and_gone_when_dropped() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let location = format!("file://{}", folder.path().display());
        for channel in [channel(), open(&location, None).unwrap()] {
            let mut held = model::redact::Secrets::default();
            held.insert("TOKEN", "c4nary");
            let secrets = SecretsMessage {
                version: message::VERSION,
                secrets: held,
            };
            channel.put_secrets(&secrets).await.unwrap();
            assert_eq!(channel.secrets().await.unwrap(), Some(secrets));
            if channel.is_local() {
                let mode = folder
                    .path()
                    .join(SECRETS)
                    .metadata()
                    .unwrap()
                    .permissions()
                    .mode();
                assert_eq!(mode & 0o777, 0o600);
            }
            channel.delete_secrets().await.unwrap();
            channel.delete_secrets().await.unwrap();
            assert_eq!(channel.secrets().await.unwrap(), None);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
