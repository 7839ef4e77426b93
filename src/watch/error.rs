//! Calls that failed, and the gaps that they leave.

use aws_sdk_autoscaling::error::SdkError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use cloud::aws::explain;
use cloud::aws::failure::Failure;
use evidence::timeline::{Gap, GapReason};

/// A call of the watch that failed, or a target that cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The account and region have no Auto Scaling group of this name.
    #[error("there is no Auto Scaling group `{0}` in this account and region")]
    NoGroup(String),
    /// The account and region have no ECS service of this name.
    #[error("there is no ECS service `{0}` in this account and region: write `cluster/service`")]
    NoService(String),
    /// Nothing scales the service, so there is nothing to watch.
    #[error(
        "the ECS service `{0}` is not registered with Application Auto Scaling: nothing scales it (RegisterScalableTarget)"
    )]
    NotScalable(String),
    /// A call failed.
    #[error("{action}: {}", why(action, *failure, source.as_ref()))]
    Call {
        /// The IAM action that the call takes.
        action: &'static str,
        /// The kind of the failure, by its code.
        failure: Failure,
        /// The SDK's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file of the observations cannot be written.
    #[error("could not write what was seen to {path}: {source}")]
    Recording {
        /// The file.
        path: String,
        /// The error of the file system.
        source: std::io::Error,
    },
}

impl WatchError {
    /// The gap that the failed call leaves.
    pub(super) fn gap(&self) -> Gap {
        let (call, why, reason) = match self {
            Self::Call {
                action,
                failure,
                source,
            } => (
                *action,
                why(action, *failure, source.as_ref()),
                GapReason::Failed,
            ),
            Self::NoService(_) => ("ecs:DescribeServices", self.to_string(), GapReason::NoGroup),
            Self::NotScalable(_) => (
                "application-autoscaling:DescribeScalableTargets",
                self.to_string(),
                GapReason::Failed,
            ),
            Self::NoGroup(_) => (
                "autoscaling:DescribeAutoScalingGroups",
                self.to_string(),
                GapReason::NoGroup,
            ),
            Self::Recording { .. } => (
                "autoscaling:DescribeAutoScalingGroups",
                self.to_string(),
                GapReason::Failed,
            ),
        };
        Gap {
            call: call.to_owned(),
            why,
            reason,
        }
    }

    pub(super) fn is_throttle(&self) -> bool {
        matches!(
            self,
            Self::Call {
                failure: Failure::Throttled,
                ..
            }
        )
    }
}

/// A failed call by the IAM action it takes.
pub(super) fn call<E>(action: &'static str) -> impl Fn(SdkError<E, HttpResponse>) -> WatchError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    move |error| WatchError::Call {
        action,
        failure: Failure::of_sdk(&error),
        source: error.into(),
    }
}

fn why(action: &str, failure: Failure, source: &(dyn std::error::Error + 'static)) -> String {
    let why = explain(source);
    match failure {
        Failure::Denied => format!("not permitted: allow the action {action} ({why})"),
        _ => why,
    }
}
