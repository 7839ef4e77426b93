//! AWS's closed lists of words, as types. `watch` parses them once; nothing compares their text
//! afterwards.
//!
//! Every list has an `Other`: AWS adds words. They serialize as AWS writes them, so records of
//! earlier versions are read as before.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An enum of AWS's words with `Other(String)`, read from and shown as the word itself.
macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$note])* $variant,)+
            /// A word that is not in the list; empty where AWS said none.
            Other(String),
        }

        impl $name {
            /// The word as AWS writes it.
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
        TargetTracking = "TargetTrackingScaling",
        Step = "StepScaling",
        Simple = "SimpleScaling",
        Predictive = "PredictiveScaling",
    }
}

vocabulary! {
    /// What a predictive policy does with its forecast.
    PredictiveMode {
        ForecastOnly = "ForecastOnly",
        ForecastAndScale = "ForecastAndScale",
    }
}

vocabulary! {
    /// The state of a CloudWatch alarm.
    AlarmState {
        Ok = "OK",
        Alarm = "ALARM",
        InsufficientData = "INSUFFICIENT_DATA",
    }
}

vocabulary! {
    /// How an alarm compares a datapoint with its threshold: CloudWatch's `ComparisonOperator`.
    AlarmComparison {
        Greater = "GreaterThanThreshold",
        GreaterOrEqual = "GreaterThanOrEqualToThreshold",
        Less = "LessThanThreshold",
        LessOrEqual = "LessThanOrEqualToThreshold",
        GreaterThanUpperBand = "GreaterThanUpperThreshold",
        LessThanLowerBand = "LessThanLowerThreshold",
        OutsideBand = "LessThanLowerOrGreaterThanUpperThreshold",
    }
}

impl AlarmComparison {
    /// Whether a value breaches a threshold. The operators of anomaly bands have none, and never
    /// breach here.
    pub fn is_breached(&self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Greater => value > threshold,
            Self::GreaterOrEqual => value >= threshold,
            Self::Less => value < threshold,
            Self::LessOrEqual => value <= threshold,
            _ => false,
        }
    }

    /// Fires when the metric is high.
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
        Pending = "Pending",
        PendingWait = "Pending:Wait",
        PendingProceed = "Pending:Proceed",
        InService = "InService",
        Terminating = "Terminating",
        TerminatingWait = "Terminating:Wait",
        TerminatingProceed = "Terminating:Proceed",
        TerminatingRetained = "Terminating:Retained",
        Terminated = "Terminated",
        EnteringStandby = "EnteringStandby",
        Standby = "Standby",
        Detaching = "Detaching",
        Detached = "Detached",
        WarmedPending = "Warmed:Pending",
        WarmedPendingWait = "Warmed:Pending:Wait",
        WarmedPendingProceed = "Warmed:Pending:Proceed",
        WarmedTerminating = "Warmed:Terminating",
        WarmedTerminatingWait = "Warmed:Terminating:Wait",
        WarmedTerminatingProceed = "Warmed:Terminating:Proceed",
        WarmedTerminated = "Warmed:Terminated",
        WarmedStopped = "Warmed:Stopped",
        WarmedRunning = "Warmed:Running",
        WarmedHibernated = "Warmed:Hibernated",
    }
}

impl Lifecycle {
    /// On its way out, or gone; not that of an instance in the warm pool.
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

    /// In the warm pool: it does not belong to the group's capacity yet.
    pub fn is_warm(&self) -> bool {
        // AWS may add states of the pool; its prefix is the documented part.
        self.as_str().starts_with("Warmed:")
    }
}

vocabulary! {
    /// The state of a target in its target group: `TargetHealthStateEnum`.
    TargetState {
        Initial = "initial",
        Healthy = "healthy",
        Unhealthy = "unhealthy",
        UnhealthyDraining = "unhealthy.draining",
        Unused = "unused",
        Draining = "draining",
        Unavailable = "unavailable",
    }
}

impl TargetState {
    /// It fails its checks, whether it drains or not.
    pub fn is_unhealthy(&self) -> bool {
        matches!(self, Self::Unhealthy | Self::UnhealthyDraining)
    }
}

vocabulary! {
    /// The status of a scaling activity that matters here; the others are steps on the way.
    ActivityStatus {
        Successful = "Successful",
        Failed = "Failed",
        Cancelled = "Cancelled",
        InProgress = "InProgress",
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
