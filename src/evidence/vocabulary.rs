//! AWS's closed lists of words, as types. `watch` parses them once; no later code compares their
//! text.
//!
//! Every list has an `Other`, because AWS adds words. The types serialize as AWS writes the words,
//! so records of earlier versions can be read.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Defines an enum of AWS's words with `Other(String)`, which reads and displays as the word
/// itself.
macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$note])* $variant,)+
            /// A word that is not in the list; empty where AWS gave none.
            Other(String),
        }

        impl $name {
            /// Returns the word as AWS writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::Other(String::new())
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                Self::from(word.as_str())
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

vocabulary! {
    /// The kind of a scaling policy: `PolicyType` of EC2 Auto Scaling and Application Auto Scaling.
    PolicyKind {
        /// Holds a metric at a target value, with alarms of its own.
        TargetTracking = "TargetTrackingScaling",
        /// Changes the capacity by steps, which depend on the distance of the metric from a
        /// threshold.
        Step = "StepScaling",
        /// Makes one change for an alarm, and then waits for its cooldown.
        Simple = "SimpleScaling",
        /// Scales ahead of time, by a forecast.
        Predictive = "PredictiveScaling",
    }
}

vocabulary! {
    /// The use that a predictive policy makes of its forecast.
    PredictiveMode {
        /// The forecast changes nothing.
        ForecastOnly = "ForecastOnly",
        /// The forecast raises the capacity.
        ForecastAndScale = "ForecastAndScale",
    }
}

vocabulary! {
    /// The state of a CloudWatch alarm.
    AlarmState {
        /// The metric keeps the threshold.
        Ok = "OK",
        /// The metric breaches the threshold.
        Alarm = "ALARM",
        /// Too few datapoints to decide.
        InsufficientData = "INSUFFICIENT_DATA",
    }
}

vocabulary! {
    /// The comparison of a datapoint with the threshold: CloudWatch's `ComparisonOperator`.
    AlarmComparison {
        /// Breached above the threshold.
        Greater = "GreaterThanThreshold",
        /// Breached at the threshold and above.
        GreaterOrEqual = "GreaterThanOrEqualToThreshold",
        /// Breached below the threshold.
        Less = "LessThanThreshold",
        /// Breached at the threshold and below.
        LessOrEqual = "LessThanOrEqualToThreshold",
        /// Breached above an anomaly band.
        GreaterThanUpperBand = "GreaterThanUpperThreshold",
        /// Breached below an anomaly band.
        LessThanLowerBand = "LessThanLowerThreshold",
        /// Breached on either side of an anomaly band.
        OutsideBand = "LessThanLowerOrGreaterThanUpperThreshold",
    }
}

impl AlarmComparison {
    /// Returns true if a value breaches a threshold. The operators of anomaly bands have no
    /// threshold, and never breach here.
    pub fn is_breached(&self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Greater => value > threshold,
            Self::GreaterOrEqual => value >= threshold,
            Self::Less => value < threshold,
            Self::LessOrEqual => value <= threshold,
            _ => false,
        }
    }

    /// Returns true if the alarm fires on a high metric.
    pub fn is_high(&self) -> bool {
        matches!(
            self,
            Self::Greater | Self::GreaterOrEqual | Self::GreaterThanUpperBand
        )
    }
}

vocabulary! {
    /// An instance's `LifecycleState`. A service's tasks are mapped to the same words.
    Lifecycle {
        /// It is launched.
        Pending = "Pending",
        /// It waits for a launch lifecycle hook.
        PendingWait = "Pending:Wait",
        /// Its launch hook was answered, and its launch goes on.
        PendingProceed = "Pending:Proceed",
        /// It counts as capacity of the group.
        InService = "InService",
        /// It is about to be terminated.
        Terminating = "Terminating",
        /// It waits for a termination lifecycle hook.
        TerminatingWait = "Terminating:Wait",
        /// Its termination hook was answered, and its termination goes on.
        TerminatingProceed = "Terminating:Proceed",
        /// It stays after a termination hook that was abandoned.
        TerminatingRetained = "Terminating:Retained",
        /// It is gone.
        Terminated = "Terminated",
        /// It is on its way to standby.
        EnteringStandby = "EnteringStandby",
        /// It is out of service by an operator's order, and still belongs to the group.
        Standby = "Standby",
        /// It is about to leave the group.
        Detaching = "Detaching",
        /// It has left the group, and still runs.
        Detached = "Detached",
        /// It is launched into the warm pool.
        WarmedPending = "Warmed:Pending",
        /// As `PendingWait`, on its way into the warm pool.
        WarmedPendingWait = "Warmed:Pending:Wait",
        /// As `PendingProceed`, on its way into the warm pool.
        WarmedPendingProceed = "Warmed:Pending:Proceed",
        /// It is about to be terminated in the warm pool.
        WarmedTerminating = "Warmed:Terminating",
        /// As `TerminatingWait`, in the warm pool.
        WarmedTerminatingWait = "Warmed:Terminating:Wait",
        /// As `TerminatingProceed`, in the warm pool.
        WarmedTerminatingProceed = "Warmed:Terminating:Proceed",
        /// It is gone from the warm pool.
        WarmedTerminated = "Warmed:Terminated",
        /// It waits in the warm pool, stopped.
        WarmedStopped = "Warmed:Stopped",
        /// It waits in the warm pool and runs.
        WarmedRunning = "Warmed:Running",
        /// It waits in the warm pool, hibernated.
        WarmedHibernated = "Warmed:Hibernated",
    }
}

impl Lifecycle {
    /// Returns true for an instance that is leaving or gone; false for instances in the warm pool.
    pub fn is_leaving(&self) -> bool {
        matches!(
            self,
            Self::Terminating
                | Self::TerminatingWait
                | Self::TerminatingProceed
                | Self::TerminatingRetained
                | Self::Terminated
        )
    }

    /// Returns true for an instance in the warm pool, which is not yet part of the group's
    /// capacity.
    pub fn is_warm(&self) -> bool {
        // AWS may add states of the pool; its prefix is the documented part.
        self.as_str().starts_with("Warmed:")
    }
}

vocabulary! {
    /// The state of a target in its target group: `TargetHealthStateEnum`.
    TargetState {
        /// It is registered, and its first health checks are under way.
        Initial = "initial",
        /// It passes its health checks and receives requests.
        Healthy = "healthy",
        /// It fails its health checks.
        Unhealthy = "unhealthy",
        /// It fails its health checks, and finishes the requests it has.
        UnhealthyDraining = "unhealthy.draining",
        /// It receives no requests, for example because its zone is not enabled.
        Unused = "unused",
        /// It was deregistered, and finishes the requests it has.
        Draining = "draining",
        /// Its health is unknown, because health checks are off.
        Unavailable = "unavailable",
    }
}

impl TargetState {
    /// Returns true if it fails its checks, whether it drains or not.
    pub fn is_unhealthy(&self) -> bool {
        matches!(self, Self::Unhealthy | Self::UnhealthyDraining)
    }
}

vocabulary! {
    /// The status of a scaling activity. Only the statuses that matter here have a variant of their
    /// own.
    ActivityStatus {
        /// It was carried out.
        Successful = "Successful",
        /// It failed; the activity's message says why.
        Failed = "Failed",
        /// It was canceled.
        Cancelled = "Cancelled",
        /// It is under way.
        InProgress = "InProgress",
    }
}

impl ActivityStatus {
    /// Returns true if it ended without success.
    pub(crate) fn is_unsuccessful(&self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_aws_is_kept_as_it_is_written_known_or_not() {
        for word in ["ALARM", "INSUFFICIENT_DATA", "SOMETHING_NEW", ""] {
            let state: AlarmState = serde_json::from_value(word.into()).unwrap();
            assert_eq!(serde_json::to_value(&state).unwrap(), word);
        }
        assert_eq!(AlarmState::from("ALARM"), AlarmState::Alarm);
    }

    #[test]
    fn only_the_groups_own_instances_leave() {
        let leaving = |word: &str| Lifecycle::from(word).is_leaving();
        assert!(leaving("Terminating") && leaving("Terminating:Wait") && leaving("Terminated"));
        assert!(!leaving("Warmed:Terminating") && !leaving("InService") && !leaving("Detaching"));
        assert!(Lifecycle::from("Warmed:SomethingNew").is_warm());
    }

    #[test]
    fn a_comparison_breaches_beyond_its_threshold_and_at_it_only_where_it_says_so() {
        for (word, below, at, above) in [
            ("GreaterThanThreshold", false, false, true),
            ("GreaterThanOrEqualToThreshold", false, true, true),
            ("LessThanThreshold", true, false, false),
            ("LessThanOrEqualToThreshold", true, true, false),
            ("GreaterThanUpperThreshold", false, false, false),
        ] {
            let comparison = AlarmComparison::from(word);
            let breached = [4.0, 5.0, 6.0].map(|value| comparison.is_breached(value, 5.0));
            assert_eq!(breached, [below, at, above], "{word}");
        }
    }
}
