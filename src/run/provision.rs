//! Provision: terraform makes what costs nothing by the hour, the image goes into the run's own
//! repository, and the channel opens. A local fleet needs a folder only.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::frame::Frame;
use super::plan::Planned;
use super::{Context, RunError};
use crate::aws::{Cloud, Network};
use crate::channel::{self, Channel};
use crate::events::{Event, Phase};
use crate::fleet::Orders;
use crate::fleet::fargate::{FargateFleet, Placement};
use crate::fleet::local::LocalFleet;
use crate::image::{self, Image};
use crate::journal::names::Names;
use crate::journal::{self, Record};
use crate::scenario::Arch;
use crate::terraform::{Outputs, STATE, Variables, session};
use crate::watch::Watch;

/// The first and only orchestration of a run; a reaper that takes over uses a higher one.
const EPOCH: u64 = 1;
/// From the first launch to the latest possible start, and from the load's end to its last flush.
const AROUND: Duration = Duration::from_secs(480);
/// init may fetch a provider of hundreds of megabytes; what is applied takes seconds.
const TERRAFORM: Duration = Duration::from_secs(20 * 60);

/// What was seen of the group, in the run's folder.
pub const WATCH_FILE: &str = "watch.jsonl";

/// A run that has everything but tasks.
pub struct Provisioned {
    pub planned: Planned,
    pub channel: Channel,
    pub watch: Option<Watch>,
}

pub async fn provision(
    cx: &Context,
    frame: &Frame,
    planned: Planned,
) -> Result<Provisioned, RunError> {
    let orders = Orders {
        run: planned.run.to_string(),
        epoch: EPOCH,
        max_lifetime: planned.schedule.latest_end() + AROUND,
    };
    let channel = match &planned.cloud {
        None => local(frame, orders).await?,
        Some(cloud) => {
            let made = fargate(cx, frame, &planned, cloud, orders).await;
            // What the end of the time broke off is told as that.
            planned.bounds.hold(frame, Phase::Provision).await?;
            made?
        }
    };
    let watch = match (&planned.watched_in, &planned.scenario.target.subject) {
        (Some(aws), Some(subject)) => Some(
            Watch::begin(aws, subject, &planned.folder.join(WATCH_FILE))
                .await
                .map_err(|error| RunError::could_not(Phase::Provision, error))?,
        ),
        _ => None,
    };
    Ok(Provisioned {
        planned,
        channel,
        watch,
    })
}

fn failed(error: impl std::fmt::Display) -> RunError {
    RunError::could_not(Phase::Provision, error)
}

fn subfolder(frame: &Frame, name: &str) -> Result<PathBuf, RunError> {
    let path = frame.folder.join(name);
    journal::subfolder(&path)
        .map_err(|error| failed(format!("could not create {}: {error}", path.display())))?;
    Ok(path)
}

async fn local(frame: &Frame, orders: Orders) -> Result<Channel, RunError> {
    let folder = subfolder(frame, "channel")?
        .canonicalize()
        .map_err(failed)?;
    let location = format!("file://{}", folder.display());
    let channel = channel::open(&location, None).map_err(failed)?;
    let binary = std::env::current_exe().map_err(failed)?;
    let fleet = LocalFleet::new(binary, location, frame.folder.clone(), orders);
    frame.equip(Box::new(fleet), channel.clone(), EPOCH).await;
    Ok(channel)
}

async fn fargate(
    cx: &Context,
    frame: &Frame,
    planned: &Planned,
    cloud: &Cloud,
    orders: Orders,
) -> Result<Channel, RunError> {
    let fleet = &planned.scenario.fleet;
    let network = Network::find(&cloud.aws, &fleet.subnets)
        .await
        .map_err(failed)?;
    let image = match &fleet.image {
        Some(_) => None,
        None => Some(pack(cx, frame, planned).await?),
    };
    let variables = Variables {
        run: planned.run.to_string(),
        region: cloud.aws.region.clone(),
        vpc_id: network.vpc_id,
        cpu: fleet.size.cpu_units,
        memory: fleet.size.memory_mib,
        arch: match fleet.arch {
            Arch::X86_64 => "X86_64".to_owned(),
            Arch::Arm64 => "ARM64".to_owned(),
        },
        image: fleet.image.clone().unwrap_or_default(),
        image_digest: image
            .as_ref()
            .map(|image| image.manifest_digest.clone())
            .unwrap_or_default(),
        tags: BTreeMap::new(),
    };
    let outputs = apply(cx, frame, planned, cloud, &variables).await?;
    if let Some(image) = &image {
        tokio::select! {
            pushed = push(cx, cloud, planned, image) => pushed?,
            () = planned.bounds.stop().cancelled() => return Err(RunError::interrupted(Phase::Provision)),
        }
        // It is in the repository now, and every run's folder is kept.
        let _ = std::fs::remove_file(&image.layer);
    }
    let channel =
        channel::open(&format!("s3://{}/run", outputs.bucket), Some(&cloud.aws)).map_err(failed)?;
    keep_state(cx, frame, &channel).await;
    let placement = Placement {
        cluster: outputs.cluster,
        task_definition: outputs.task_definition,
        security_group: outputs.security_group,
        subnets: network.subnets,
    };
    frame
        .equip(
            Box::new(FargateFleet::new(&cloud.aws, placement, orders)),
            channel.clone(),
            EPOCH,
        )
        .await;
    Ok(channel)
}

/// `terraform init` and `apply`, with the intent in the journal before them.
async fn apply(
    cx: &Context,
    frame: &Frame,
    planned: &Planned,
    cloud: &Cloud,
    variables: &Variables,
) -> Result<Outputs, RunError> {
    let binary = planned
        .terraform
        .as_ref()
        .ok_or_else(|| failed("terraform is missing"))?;
    let terraform = session::in_folder(
        binary,
        &cloud.aws,
        &frame.folder,
        Arc::clone(&frame.work),
        &cx.events,
    )
    .await;
    let stop = planned.bounds.stop().child_token();
    let hurry = async {
        sleep(TERRAFORM).await;
        cx.events.warn(format!(
            "terraform has been at it for {} minutes: ending it",
            TERRAFORM.as_secs() / 60
        ));
        stop.cancel();
        std::future::pending::<Infallible>().await
    };
    let apply = async {
        terraform
            .init(variables, &stop)
            .await
            .map_err(|error| stopped_or(cx, error))?;
        if planned.bounds.stop().is_cancelled() {
            return Err(RunError::interrupted(Phase::Provision));
        }
        frame.intend(Record::IntentApply)?;
        let outputs = terraform.apply(&stop).await.map_err(|error| {
            // Killed is not failed: what it was making may still appear.
            if error.gave_up() {
                frame.did(Record::ApplyFailed);
            }
            stopped_or(cx, error)
        })?;
        frame.did(Record::Applied);
        Ok(outputs)
    };
    tokio::select! {
        applied = apply => applied,
        never = hurry => match never {},
    }
}

/// A copy of the state where a lost disk cannot take it. Without it everything is still deleted by
/// name.
async fn keep_state(cx: &Context, frame: &Frame, channel: &Channel) {
    let Ok(state) = std::fs::read(frame.folder.join(STATE)) else {
        return;
    };
    if let Err(error) = channel.put_state(state).await {
        cx.events.note(format!(
            "terraform's state was not copied into the run's bucket: {error}"
        ));
    }
}

fn stopped_or(cx: &Context, error: impl std::fmt::Display) -> RunError {
    if cx.interrupt.stop_load().is_cancelled() {
        RunError::interrupted(Phase::Provision)
    } else {
        failed(error)
    }
}

/// Packs the generator: this very binary, unless another was named.
async fn pack(cx: &Context, frame: &Frame, planned: &Planned) -> Result<Image, RunError> {
    let binary = match &cx.wanted.generator_binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe().map_err(failed)?,
    };
    let (arch, folder) = (planned.scenario.fleet.arch, subfolder(frame, "image")?);
    let packed = tokio::task::spawn_blocking(move || image::pack(&binary, arch, &folder))
        .await
        .map_err(failed)?;
    packed.map_err(failed)
}

async fn push(
    cx: &Context,
    cloud: &Cloud,
    planned: &Planned,
    image: &Image,
) -> Result<(), RunError> {
    let repository = Names::of(&planned.run).repository;
    let client = aws_sdk_ecr::Client::new(&cloud.aws.sdk);
    let digest = image::push(&client, &repository, "generator", image)
        .await
        .map_err(failed)?;
    cx.events.say(Event::ImagePushed {
        bytes: image.layer_size,
        digest,
    });
    Ok(())
}
