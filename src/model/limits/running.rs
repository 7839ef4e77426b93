//! The limits that stop a run in progress.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Seconds, Usd, duration};

/// A limit on the cost, and its origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// US dollars, all repetitions together.
    pub limit: Usd,
    /// "the budget", "the organisation's `max_cost`"
    pub name: String,
}

/// The limits of a run in progress.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunLimits {
    /// `--max-duration`: provision, start, load and recover together.
    pub max_duration: Option<Duration>,
    /// The limit on the cost; `None` if neither scenario nor organisation sets one.
    pub budget: Option<Budget>,
    /// Counted too: all repetitions of one request share its limits.
    pub before: Before,
}

/// The usage of earlier repetitions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Before {
    /// Their provision, start, load and recover together.
    pub took: Duration,
    /// Their tasks' cost.
    pub spent: Usd,
}

/// The cost of the tasks so far, and the cost that remains if they are stopped now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    /// US dollars from the launch of the tasks until now.
    pub so_far: Usd,
    /// US dollars from now until the last task has stopped.
    pub stopping: Usd,
}

/// A limit that a run has reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum ReachedLimit {
    /// `--max-duration`.
    MaxDuration {
        /// The limit.
        limit_s: Seconds,
    },
    /// A limit on the cost of the tasks.
    Cost {
        /// The origin of the limit: the scenario's `budget`, or the organisation's `max_cost`.
        name: String,
        /// The limit.
        limit_usd: Usd,
        /// The cost so far, with that of earlier repetitions.
        so_far_usd: Usd,
        /// The cost from now until the last task has stopped.
        stopping_usd: Usd,
    },
}

impl RunLimits {
    /// Returns the limit that stops the run now, if there is one. Time comes before cost.
    pub fn reached(&self, elapsed: Duration, spent: Option<Spent>) -> Option<ReachedLimit> {
        self.out_of_time(elapsed)
            .or_else(|| self.out_of_money(spent?))
    }

    /// Returns why the run need not begin; `None` unless the plan alone takes longer.
    pub fn too_short_for(&self, plan: Duration) -> Option<String> {
        let most = self
            .max_duration
            .filter(|most| plan + self.before.took > *most)?;
        let used = match self.before.took {
            Duration::ZERO => String::new(),
            took => format!(" with the {} that earlier repetitions took", duration(took)),
        };
        Some(format!(
            "the plan takes {}{used}, longer than --max-duration {}",
            duration(plan),
            duration(most)
        ))
    }

    fn out_of_time(&self, elapsed: Duration) -> Option<ReachedLimit> {
        let most = self
            .max_duration
            .filter(|most| elapsed + self.before.took >= *most)?;
        let limit_s = most.into();
        Some(ReachedLimit::MaxDuration { limit_s })
    }

    fn out_of_money(&self, spent: Spent) -> Option<ReachedLimit> {
        let Budget { limit, name } = self.budget.as_ref()?;
        let Spent { so_far, stopping } = spent;
        let so_far = Usd(so_far.0 + self.before.spent.0);
        (so_far.0 + stopping.0 >= limit.0).then(|| ReachedLimit::Cost {
            name: name.clone(),
            limit_usd: *limit,
            so_far_usd: so_far,
            stopping_usd: stopping,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_run_stops_when_its_time_or_its_money_is_used_up() {
        let budget = |limit| {
            Some(Budget {
                limit: Usd(limit),
                name: "the budget".to_owned(),
            })
        };
        let limits = |seconds: Option<u32>, limit: Option<f64>| RunLimits {
            max_duration: seconds.map(|seconds| SECOND * seconds),
            budget: limit.and_then(budget),
            before: Before::default(),
        };
        let spent = |so_far, stopping| {
            Some(Spent {
                so_far: Usd(so_far),
                stopping: Usd(stopping),
            })
        };
        let money = ReachedLimit::Cost {
            name: "the budget".to_owned(),
            limit_usd: Usd(1.0),
            so_far_usd: Usd(0.9),
            stopping_usd: Usd(0.1),
        };
        let time = ReachedLimit::MaxDuration {
            limit_s: Duration::from_mins(1).into(),
        };
        for (limits, elapsed, spent, why) in [
            (limits(None, None), 1_000_000, spent(1e6, 1.0), None),
            (limits(Some(60), None), 59, None, None),
            (limits(Some(60), None), 60, None, Some(time.clone())),
            (limits(None, Some(1.0)), 60, spent(0.89, 0.1), None),
            (limits(None, Some(1.0)), 60, spent(0.9, 0.1), Some(money)),
            // Generators on this machine cost nothing.
            (limits(None, Some(1.0)), 60, None, None),
            // Both: the time is named first.
            (limits(Some(60), Some(1.0)), 61, spent(2.0, 0.1), Some(time)),
        ] {
            assert_eq!(
                limits.reached(SECOND * elapsed, spent),
                why,
                "{limits:?} {elapsed} {spent:?}"
            );
        }
    }

    #[test]
    fn a_plan_that_is_longer_than_its_limit_does_not_begin() {
        let limits = |seconds: u32| RunLimits {
            max_duration: Some(SECOND * seconds),
            ..RunLimits::default()
        };
        assert_eq!(limits(60).too_short_for(SECOND * 60), None);
        assert_eq!(RunLimits::default().too_short_for(SECOND * 3_600), None);
        let why = limits(60).too_short_for(SECOND * 90).unwrap();
        assert_eq!(why, "the plan takes 1m30s, longer than --max-duration 1m");
    }

    #[test]
    fn repetitions_share_what_a_run_may_use() {
        let budget = Some(Budget {
            limit: Usd(1.0),
            name: "the budget".to_owned(),
        });
        let before = Before {
            took: SECOND * 40,
            spent: Usd(0.5),
        };
        let limits = RunLimits {
            max_duration: Some(SECOND * 60),
            budget,
            before,
        };
        assert_eq!(limits.too_short_for(SECOND * 20), None);
        let why = "the plan takes 21s with the 40s that earlier repetitions took, longer than --max-duration 1m";
        assert_eq!(limits.too_short_for(SECOND * 21).as_deref(), Some(why));
        assert_eq!(limits.reached(SECOND * 19, None), None);
        assert!(limits.reached(SECOND * 20, None).is_some());
        let spent = |so_far| {
            Some(Spent {
                so_far: Usd(so_far),
                stopping: Usd(0.1),
            })
        };
        assert_eq!(limits.reached(SECOND, spent(0.39)), None);
        let reached = limits.reached(SECOND, spent(0.4));
        assert!(
            matches!(reached, Some(ReachedLimit::Cost { so_far_usd, .. }) if so_far_usd == Usd(0.9)),
            "{reached:?}"
        );
    }
}
