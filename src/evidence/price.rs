//! Money: what one instance costs an hour, and who says so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timeline;
use model::cost;
use model::units::Usd;

/// What one instance, or one task, costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// US dollars for an hour.
    pub usd: f64,
    /// `--instance-price`, or kind of the instance, date and region of the list price.
    pub source: String,
}

impl Price {
    /// One's own price, else that of the one kind of instance that was seen.
    pub fn of(own: Option<f64>, timeline: &Timeline) -> Option<Self> {
        own.map(|usd| Self {
            usd,
            source: "--instance-price".to_owned(),
        })
        .or_else(|| known(timeline))
    }

    /// Cost of so many minutes of one instance; parts of a minute count.
    pub fn minutes(&self, instance_minutes: f64) -> Usd {
        Usd(self.usd * instance_minutes / 60.0)
    }
}

fn known(timeline: &Timeline) -> Option<Price> {
    let kind = kind(timeline)?;
    let usd = cost::target::hour(kind)?;
    let what = if is_task(kind) {
        "as a Fargate task on x86, the"
    } else {
        "Linux on demand, the"
    };
    let source = format!(
        "{kind}, {what} price of {} in us-east-1; other regions differ (--instance-price takes yours)",
        date(kind)
    );
    Some(Price { usd, source })
}

fn is_task(kind: &str) -> bool {
    kind.contains("CPU units")
}

fn date(kind: &str) -> &'static str {
    if is_task(kind) {
        cost::PRICES.date
    } else {
        cost::target::DATE
    }
}

/// The kind of all instances that were seen; nothing where they differ.
fn kind(timeline: &Timeline) -> Option<&str> {
    let mut kinds = timeline
        .groups()
        .flat_map(|(_, group)| &group.instances)
        .map(|instance| instance.kind.as_str());
    let first = kinds.next().filter(|kind| !kind.is_empty())?;
    kinds.all(|kind| kind == first).then_some(first)
}

/// The list price of some instance-minutes, and the month of the list; nothing where no price is
/// known.
pub fn listed(timeline: &Timeline, instance_minutes: f64) -> Option<(Usd, &'static str)> {
    let (price, kind) = known(timeline).zip(kind(timeline))?;
    Some((price.minutes(instance_minutes), date(kind)))
}
