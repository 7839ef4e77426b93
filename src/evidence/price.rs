//! Prices: the cost of one instance-hour, and its source.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timeline;
use model::cost;
use model::units::Usd;

/// The price of one instance, or of one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// US dollars for an hour.
    pub usd: f64,
    /// Source of the price: `--instance-price`, or the kind of the instance with date and region of
    /// the list price.
    pub source: String,
}

impl Price {
    /// Returns the user's own price, or else the list price if all instances seen are of one kind.
    pub fn of(own: Option<f64>, timeline: &Timeline) -> Option<Self> {
        own.map(|usd| Self {
            usd,
            source: "--instance-price".to_owned(),
        })
        .or_else(|| known(timeline))
    }

    /// Returns the cost of a number of minutes of one instance; parts of a minute count.
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

/// Returns the kind of all instances that were seen, or `None` if they differ.
fn kind(timeline: &Timeline) -> Option<&str> {
    let mut kinds = timeline
        .groups()
        .flat_map(|(_, group)| &group.instances)
        .map(|instance| instance.kind.as_str());
    let first = kinds.next().filter(|kind| !kind.is_empty())?;
    kinds.all(|kind| kind == first).then_some(first)
}

/// Returns the list price of some instance-minutes, and the month of the list; `None` if no price
/// is known.
pub fn listed(timeline: &Timeline, instance_minutes: f64) -> Option<(Usd, &'static str)> {
    let (price, kind) = known(timeline).zip(kind(timeline))?;
    Some((price.minutes(instance_minutes), date(kind)))
}
