//! Prices: the cost of one instance-hour, and its source.

use crate::Timeline;
use model::cost;
use model::units::Usd;

/// The price of one instance, or of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    /// US dollars for an hour.
    pub usd: f64,
    /// Source of the price.
    pub source: PriceSource,
}

/// Source of a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PriceSource {
    /// The user's option `--instance-price`.
    Option,
    /// The list price of EC2 for Linux on demand, in us-east-1.
    Instance {
        /// The instance type, for example `t3.medium`.
        kind: String,
        /// The month of the list.
        date: &'static str,
    },
    /// The list price of Fargate on x86, in us-east-1.
    Task {
        /// The size, as the service describes it.
        size: String,
        /// The month of the list.
        date: &'static str,
    },
}

impl Price {
    /// Returns the user's own price, or else the list price if all instances seen are of one kind.
    pub fn of(own: Option<f64>, timeline: &Timeline) -> Option<Self> {
        own.map(|usd| Self {
            usd,
            source: PriceSource::Option,
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
    let (name, date) = (kind.to_owned(), date(kind));
    let source = if is_task(kind) {
        PriceSource::Task { size: name, date }
    } else {
        PriceSource::Instance { kind: name, date }
    };
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
