//! Provision: terraform creates resources that cost nothing by the hour, the image is pushed into
//! the run's own repository, the channel opens, and the watch of the group begins. A local fleet
//! needs only a folder.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::plan::RunPlan;
use super::state::RunState;
use super::{Context, RunError, TaskRoles, trial};
use crate::aws::{Cloud, Network};
use crate::channel::{self, Channel};
use crate::events::{Event, Phase};
use crate::fleet::Orders;
use crate::fleet::fargate::{FargateFleet, Placement};
use crate::fleet::local::LocalFleet;
use crate::image::{self, Image};
use crate::journal::names::{CHANGES_TAG, ResourceNames, TARGET_TAG, target_tag};
use crate::journal::{self, Record};
use crate::scenario::Arch;
use crate::terraform::{Outputs, STATE, Terraform, Variables, session};
use crate::watch::Watch;

/// The first and only orchestration of a run; a reaper that takes over uses a higher one.
const EPOCH: u64 = 1;
/// From the first launch to the latest possible start, and from the load's end to its last flush.
const BEFORE_AND_AFTER: Duration = Duration::from_mins(8);
/// init may download a provider of hundreds of megabytes; the apply takes seconds.
const TERRAFORM_TIMEOUT: Duration = Duration::from_mins(20);

/// The observations of the group, in the run's folder.
pub(super) const WATCH_FILE: &str = "watch.jsonl";

/// The open channel, and the watch of the target if it has a group.
pub(super) struct Provisioned {
    pub channel: Channel,
    pub watch: Option<Watch>,
}

pub(super) async fn provision(cx: &Context, state: &RunState) -> Result<Provisioned, RunError> {
    let plan = &state.plan;
    let orders = Orders {
        run: plan.run.to_string(),
        epoch: EPOCH,
        max_lifetime: plan.schedule.latest_end() + BEFORE_AND_AFTER,
    };
    let channel = match &plan.cloud {
        None => local(state, orders).await?,
        Some(cloud) => {
            let channel = fargate(cx, state, cloud, orders).await;
            // Reported before the error that the end of the time has caused.
            state.check_limits(Phase::Provision).await?;
            channel?
        }
    };
    // The group is changed for a run that can begin, and is watched with the change on it.
    trial::put(cx, state, &channel).await?;
    let watch = begin_watch(plan).await?;
    Ok(Provisioned { channel, watch })
}

async fn begin_watch(plan: &RunPlan) -> Result<Option<Watch>, RunError> {
    let (Some(aws), Some(subject)) = (&plan.watched_in, &plan.scenario.target.subject) else {
        return Ok(None);
    };
    let watch = Watch::begin(aws, subject, &plan.folder.join(WATCH_FILE)).await;
    watch.map(Some).map_err(failed)
}

fn failed(error: impl Error + Send + Sync + 'static) -> RunError {
    RunError::caused_by(Phase::Provision, error)
}

fn subfolder(plan: &RunPlan, name: &str) -> Result<PathBuf, RunError> {
    let path = plan.folder.join(name);
    match journal::subfolder(&path) {
        Ok(()) => Ok(path),
        Err(error) => {
            let what = format!("could not create {}: {error}", path.display());
            Err(RunError::could_not(Phase::Provision, what).with_source(error))
        }
    }
}

async fn local(state: &RunState, orders: Orders) -> Result<Channel, RunError> {
    let folder = subfolder(&state.plan, "channel")?;
    let location = format!(
        "file://{}",
        folder.canonicalize().map_err(failed)?.display()
    );
    let channel = channel::open(&location, None).map_err(failed)?;
    let binary = std::env::current_exe().map_err(failed)?;
    let fleet = LocalFleet::new(binary, location, state.plan.folder.clone(), orders);
    state.attach(Box::new(fleet), channel.clone(), EPOCH).await;
    Ok(channel)
}

async fn fargate(
    cx: &Context,
    state: &RunState,
    cloud: &Cloud,
    orders: Orders,
) -> Result<Channel, RunError> {
    let plan = &state.plan;
    let fleet = &plan.scenario.fleet;
    let network = Network::find(&cloud.aws, &fleet.subnets)
        .await
        .map_err(failed)?;
    let image = match &fleet.image {
        Some(_) => None,
        None => Some(pack(cx, plan).await?),
    };
    let roles = &cx.options.roles;
    let variables = variables(plan, cloud, roles, network.vpc_id, image.as_ref());
    let outputs = apply(cx, state, cloud, &variables).await?;
    if let Some(image) = &image {
        tokio::select! {
            pushed = push(cx, plan, cloud, image) => pushed?,
            () = state.stop_conditions.token().cancelled() => {
                return Err(RunError::interrupted(Phase::Provision));
            }
        }
        // It is in the repository now, and every run's folder is kept.
        drop(std::fs::remove_file(&image.layer));
    }
    let location = format!("s3://{}/run", outputs.bucket);
    let channel = channel::open(&location, Some(&cloud.aws)).map_err(failed)?;
    copy_state(cx, plan, &channel).await;
    let placement = Placement {
        cluster: outputs.cluster,
        task_definition: outputs.task_definition,
        security_group: outputs.security_group,
        subnets: network.subnets,
    };
    let fleet = FargateFleet::new(&cloud.aws, placement, orders);
    state.attach(Box::new(fleet), channel.clone(), EPOCH).await;
    Ok(channel)
}

fn variables(
    plan: &RunPlan,
    cloud: &Cloud,
    roles: &TaskRoles,
    vpc_id: String,
    image: Option<&Image>,
) -> Variables {
    let fleet = &plan.scenario.fleet;
    let roles = roles.variables(&cloud.caller);
    Variables {
        run: plan.run.to_string(),
        region: cloud.aws.region.clone(),
        vpc_id,
        cpu: fleet.size.cpu_units,
        memory: fleet.size.memory_mib,
        arch: match fleet.arch {
            Arch::X86_64 => "X86_64".to_owned(),
            Arch::Arm64 => "ARM64".to_owned(),
        },
        image: fleet.image.clone().unwrap_or_default(),
        image_digest: image
            .map(|image| image.manifest_digest.clone())
            .unwrap_or_default(),
        permissions_boundary: roles.boundary,
        execution_role: roles.execution,
        task_role: roles.task,
        tags: tags(plan),
    }
}

/// Names the group under test, so that another run on the same one finds this one; and again if this
/// run changes it, so that a reap from any machine says so.
fn tags(plan: &RunPlan) -> BTreeMap<String, String> {
    let tag = |key: &str, name: &str| (key.to_owned(), target_tag(name));
    let subject = plan.scenario.target.subject.iter();
    let tested = subject.map(|subject| tag(TARGET_TAG, &subject.to_string()));
    let changes = plan.trial.changes.iter();
    let changed = changes.map(|change| tag(CHANGES_TAG, &change.group));
    tested.chain(changed).collect()
}

/// `terraform init` and `apply`. Both end at a stop condition, or at the timeout.
async fn apply(
    cx: &Context,
    state: &RunState,
    cloud: &Cloud,
    variables: &Variables,
) -> Result<Outputs, RunError> {
    let plan = &state.plan;
    let binary = plan
        .terraform
        .as_ref()
        .ok_or_else(|| RunError::could_not(Phase::Provision, "terraform is missing"))?;
    let terraform = session::in_folder(
        binary,
        &cloud.aws,
        &plan.folder,
        Arc::clone(&state.work_lock),
        &cx.events,
    )
    .await;
    let stop = state.stop_conditions.token().child_token();
    tokio::select! {
        applied = init_and_apply(cx, state, &terraform, variables, &stop) => applied,
        never = stop_after_timeout(cx, &stop) => match never {},
    }
}

/// The intent is in the journal before the apply.
async fn init_and_apply(
    cx: &Context,
    state: &RunState,
    terraform: &Terraform,
    variables: &Variables,
    stop: &CancellationToken,
) -> Result<Outputs, RunError> {
    terraform
        .init(variables, stop)
        .await
        .map_err(|error| interrupted_or(cx, error))?;
    if state.stop_conditions.token().is_cancelled() {
        return Err(RunError::interrupted(Phase::Provision));
    }
    state.record_intent(Record::IntentApply)?;
    let outputs = terraform.apply(stop).await.map_err(|error| {
        // Killed is not failed: the resources it was creating may still appear.
        if error.gave_up() {
            state.record(Record::ApplyFailed);
        }
        interrupted_or(cx, error)
    })?;
    state.record(Record::Applied);
    Ok(outputs)
}

async fn stop_after_timeout(cx: &Context, stop: &CancellationToken) -> Infallible {
    sleep(TERRAFORM_TIMEOUT).await;
    cx.events.warn(format!(
        "terraform has been at it for {} minutes: ending it",
        TERRAFORM_TIMEOUT.as_secs() / 60
    ));
    stop.cancel();
    std::future::pending().await
}

/// Copies the state into the bucket, where a lost disk does not matter. Without the copy,
/// everything is still deleted by name.
async fn copy_state(cx: &Context, plan: &RunPlan, channel: &Channel) {
    let Ok(state) = std::fs::read(plan.folder.join(STATE)) else {
        return;
    };
    if let Err(error) = channel.put_state(state).await {
        cx.events.note(format!(
            "terraform's state was not copied into the run's bucket: {error}"
        ));
    }
}

fn interrupted_or(cx: &Context, error: impl Error + Send + Sync + 'static) -> RunError {
    if cx.interrupt.stop_load().is_cancelled() {
        RunError::interrupted(Phase::Provision)
    } else {
        failed(error)
    }
}

/// Packs the generator: this binary, unless the user named another.
async fn pack(cx: &Context, plan: &RunPlan) -> Result<Image, RunError> {
    let binary = match &cx.options.generator_binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe().map_err(failed)?,
    };
    let (arch, folder) = (plan.scenario.fleet.arch, subfolder(plan, "image")?);
    let packed = tokio::task::spawn_blocking(move || image::pack(&binary, arch, &folder))
        .await
        .map_err(failed)?;
    packed.map_err(failed)
}

async fn push(cx: &Context, plan: &RunPlan, cloud: &Cloud, image: &Image) -> Result<(), RunError> {
    let repository = ResourceNames::of(&plan.run).repository;
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
