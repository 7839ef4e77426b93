//! Start: the plan goes out, the tasks become ready, and they get one instant to start at.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::plan::RunPlan;
use super::provision::Provisioned;
use super::readiness::{Readiness, wait_until_ready};
use super::state::RunState;
use super::{Context, RunError};
use crate::channel::message::{self, Start};
use crate::channel::{Channel, ChannelError};
use crate::events::Phase;
use crate::journal::Record;
use crate::journal::names::{ResourceKind, ResourceNames, Thing};
use crate::report::words;
use crate::scenario;
use crate::verdict::Warning;

/// From the start order to the start: every task polls several times in between.
const HEADROOM: Duration = Duration::from_secs(4);

/// Tasks that have an instant to start at.
pub(super) struct Started {
    pub at: Timestamp,
    /// The slots that carry the load, in the order of their shares.
    pub slots: Vec<u32>,
    /// Which task of each slot carries the load.
    pub attempts: BTreeMap<u32, u32>,
    /// Tasks that did not start, each with its reason.
    pub shortfall: Vec<Warning>,
}

pub(super) async fn start(
    cx: &Context,
    state: &RunState,
    provisioned: &Provisioned,
) -> Result<Started, RunError> {
    let failed = |error| RunError::caused_by(Phase::Start, error);
    let channel = &provisioned.channel;
    publish_plan(cx, state, channel).await.map_err(failed)?;
    state.send_heartbeat(&cx.events).await.map_err(failed)?;
    record_intent(state)?;
    let started = Started::now(wait_until_ready(cx, state, channel).await?);
    let order = started.order();
    state.send_start_order(order).await.map_err(failed)?;
    // Every task that carries load has read them, and later ones do not join. Destroy tries again.
    if let Err(error) = state.delete_secrets().await {
        cx.events
            .warn(format!("secrets.json is still on the channel: {error}"));
    }
    for task in &started.shortfall {
        cx.events.warn(words::warning(task));
    }
    Ok(started)
}

/// Writes the files and the secrets before the plan: a task that reads the plan and finds no
/// secrets knows that it is too late.
async fn publish_plan(
    cx: &Context,
    state: &RunState,
    channel: &Channel,
) -> Result<(), ChannelError> {
    let plan = &state.plan;
    let divided = publish_files(plan, channel).await?;
    let secrets = &plan.surroundings.secrets;
    state.put_secrets(secrets).await?;
    let message = message::Plan {
        version: message::VERSION,
        run: plan.run.to_string(),
        scenario: cx.options.scenario.text.clone(),
        surroundings: plan.surroundings.clone(),
        secrets: !secrets.is_empty(),
        seed: plan.seed,
        address_policy: plan.authorization.address_policy,
        files: plan.files.keys().cloned().collect(),
        divided,
    };
    channel.put_plan(&message).await
}

/// Writes the files that the scenario names. Each slot is sent only its own rows of a data file.
/// Returns the files that were divided.
async fn publish_files(plan: &RunPlan, channel: &Channel) -> Result<Vec<String>, ChannelError> {
    let mut divided = Vec::new();
    for (number, (name, bytes)) in plan.files.iter().enumerate() {
        let is_divisible = plan.divisible.contains(name) && plan.sizing.tasks > 1;
        let parts = is_divisible.then(|| scenario::divide(name, bytes, plan.sizing.tasks));
        let Some(parts) = parts.flatten() else {
            channel.put_file(number, bytes).await?;
            continue;
        };
        divided.push(name.clone());
        for (slot, part) in (0..).zip(parts) {
            channel.put_part(number, slot, part).await?;
        }
    }
    Ok(divided)
}

/// Tasks on Fargate must be found by destroy; local processes end with this one.
fn record_intent(state: &RunState) -> Result<(), RunError> {
    if state.plan.cloud.is_none() {
        return Ok(());
    }
    let thing = Thing {
        kind: ResourceKind::Tasks,
        name: ResourceNames::of(&state.plan.run).cluster,
    };
    state.record_intent(Record::Intent { thing })
}

impl Started {
    fn now(readiness: Readiness) -> Self {
        let now = Timestamp::now();
        Self {
            at: now.checked_add(HEADROOM).unwrap_or(now),
            slots: readiness.ready.iter().copied().collect(),
            shortfall: readiness.shortfall().collect(),
            attempts: readiness.attempts,
        }
    }

    fn order(&self) -> Start {
        let attempt = |slot: &u32| self.attempts.get(slot).copied().unwrap_or(1);
        Start {
            at: self.at,
            slots: self.slots.clone(),
            attempts: self.slots.iter().map(attempt).collect(),
        }
    }
}
