//! `spikeproof generate`: the command of the generator image.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::CommandOutput;
use crate::aws::{Aws, AwsError};
use crate::channel::message::TaskEnd;
use crate::channel::{self, ChannelError, LEASE};
use crate::engine::lifetime::Clocks;
use crate::engine::task::{GenerateError, GeneratorTask, generate};
use crate::outcome::Exit;

/// The metadata service is on the same host and answers at once. If it does not, the process id
/// identifies the task.
const METADATA: Duration = Duration::from_secs(2);

/// Carries out one task's share of the load. Every argument comes from the environment.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct GenerateArgs {
    /// `s3://bucket/prefix` or `file:///folder`
    #[arg(long, env = "SPIKEPROOF_CHANNEL")]
    channel: String,
    /// The run id
    #[arg(long, env = "SPIKEPROOF_RUN")]
    run: String,
    /// The slot of the fleet that this task fills
    #[arg(long, env = "SPIKEPROOF_SLOT")]
    slot: u32,
    /// The number of this task within its slot, from 1
    #[arg(long, env = "SPIKEPROOF_ATTEMPT")]
    attempt: u32,
    /// The epoch of the run's owner
    #[arg(long, env = "SPIKEPROOF_EPOCH")]
    epoch: u64,
    /// The task ends after this many seconds in any case
    #[arg(long, env = "SPIKEPROOF_MAX_LIFETIME")]
    max_lifetime: u64,
}

pub(super) async fn run(args: GenerateArgs) -> CommandOutput {
    match carry_out(&args).await {
        Ok(TaskEnd::Complete | TaskEnd::Stopped | TaskEnd::NotNeeded | TaskEnd::Terminated) => {
            CommandOutput::default()
        }
        Ok(why) => CommandOutput::error(
            format!("slot {} of {} ended: {why:?}", args.slot, args.run),
            Exit::CouldNotRun,
        ),
        Err(why) => CommandOutput::error(
            format!("slot {} of {}: {why}", args.slot, args.run),
            Exit::CouldNotRun,
        ),
    }
}

/// Why a slot carries out no load.
#[derive(Debug, thiserror::Error)]
enum SlotError {
    #[error("its lifetime cannot be bounded: {0}")]
    Lifetime(#[source] std::io::Error),
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error(transparent)]
    Generate(#[from] GenerateError),
}

async fn carry_out(args: &GenerateArgs) -> Result<TaskEnd, SlotError> {
    let lifetime = Duration::from_secs(args.max_lifetime);
    // The clocks start first, because every later step can hang.
    Clocks::after(lifetime)
        .start()
        .map_err(SlotError::Lifetime)?;
    let aws = match args.channel.starts_with("s3://") {
        true => Some(Aws::from_environment().await?),
        false => None,
    };
    let channel = channel::open(&args.channel, aws.as_ref())?;
    let task = GeneratorTask {
        channel,
        slot: args.slot,
        attempt: args.attempt,
        epoch: args.epoch,
        max_lifetime: lifetime,
        identity: identity().await,
        lease: LEASE,
    };
    Ok(generate(&task).await?)
}

/// The task's ARN, or the process id outside ECS.
async fn identity() -> String {
    let own = format!("pid {}", std::process::id());
    let Ok(metadata) = std::env::var("ECS_CONTAINER_METADATA_URI_V4") else {
        return own;
    };
    match timeout(METADATA, task_arn(&metadata)).await {
        Ok(Some(arn)) => arn,
        _ => own,
    }
}

async fn task_arn(metadata: &str) -> Option<String> {
    let uri: hyper::Uri = format!("{metadata}/task").parse().ok()?;
    let stream = TcpStream::connect((uri.host()?, uri.port_u16().unwrap_or(80)))
        .await
        .ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .ok()?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = Request::get(uri.path())
        .header("host", uri.authority()?.as_str())
        .body(Empty::<Bytes>::new())
        .ok()?;
    let answer = sender
        .send_request(request)
        .await
        .ok()?
        .into_body()
        .collect()
        .await
        .ok()?
        .to_bytes();
    let task: serde_json::Value = serde_json::from_slice(&answer).ok()?;
    Some(task.get("TaskARN")?.as_str()?.to_owned())
}
