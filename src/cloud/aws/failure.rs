//! The kinds of failure that AWS and terraform answer with: whether one passes, and how long that
//! takes.
//!
//! An error is classified once, where it arrives, from its code, its HTTP status or its type. Codes
//! as seen and as documented for the services that are called here (see `docs/teardown.md`).

use std::error::Error;
use std::io;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::github::IdentityError;

/// The reason why a thing could not be deleted. Ordered: if there are several, the greatest decides
/// how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// The thing is gone: no failure at all.
    Gone,
    /// Somebody wrote to it after it had been emptied.
    NotEmpty,
    /// Tasks are still in the cluster.
    TasksAlive,
    /// A network interface has not let go of its security group.
    Attached,
    /// The state is held by a live terraform.
    StateLocked,
    /// The state cannot be read.
    StateTorn,
    /// The provider died or hung.
    Provider,
    /// terraform has no provider here, and the registry did not answer.
    NotInitialised,
    /// The disk or a quota of this machine is full.
    Disk,
    /// Neither code, status nor type is known.
    Unknown,
    /// AWS itself failed, or was just changing the same thing.
    ServerError,
    /// Too many requests.
    Throttled,
    /// No connection, or no answer in time.
    Network,
    /// The call is not allowed. The thing may be gone: rights by tag turn "not found" into
    /// "denied".
    Denied,
    /// This machine's clock is too far from AWS's to sign a request.
    Clock,
    /// There are no credentials, or they are invalid or expired.
    Credentials,
}

/// Exact codes, of every protocol and service that is called here.
const CODES: &[(Failure, &[&str])] = &[
    (
        Failure::Credentials,
        &[
            "AuthFailure",
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSecurity",
            "InvalidToken",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            // EC2's code for a session that has ended.
            "RequestExpired",
            "TokenRefreshRequired",
            "UnrecognizedClientException",
            // A wrong secret, unless the message names the time: see `of_answer`.
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
        ],
    ),
    (
        Failure::Clock,
        &["RequestTimeTooSkewed", "RequestInTheFuture"],
    ),
    (
        Failure::Denied,
        &[
            "AccessDenied",
            "AccessDeniedException",
            "NotAuthorized",
            "UnauthorizedOperation",
        ],
    ),
    (
        Failure::Throttled,
        &[
            "BandwidthLimitExceeded",
            "EC2ThrottledException",
            "LimitExceededException",
            "PriorRequestNotComplete",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
            "ThrottledException",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
        ],
    ),
    (
        Failure::ServerError,
        &[
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "InternalServerException",
            "InternalServiceException",
            "InternalServiceFault",
            "OperationAborted",
            "OperationAbortedException",
            "ServerException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "Unavailable",
        ],
    ),
    (
        Failure::Network,
        &["RequestTimeout", "RequestTimeoutException"],
    ),
    (
        Failure::TasksAlive,
        &[
            "ClusterContainsContainerInstancesException",
            "ClusterContainsServicesException",
            "ClusterContainsTasksException",
            "ResourceInUse",
            "ResourceInUseException",
        ],
    ),
    (
        Failure::Attached,
        &["DependencyViolation", "InvalidGroup.InUse"],
    ),
    (
        Failure::NotEmpty,
        &[
            "BucketNotEmpty",
            "DeleteConflict",
            "DeleteConflictException",
            "RepositoryNotEmptyException",
        ],
    ),
    (
        Failure::Gone,
        &[
            "ClusterNotFoundException",
            "ImageNotFoundException",
            "InvalidGroup.NotFound",
            "InvalidNetworkInterfaceID.NotFound",
            "InvalidSecurityGroupID.NotFound",
            "InvalidSubnetID.NotFound",
            "InvalidVpcID.NotFound",
            "LoadBalancerNotFound",
            "NoSuchBucket",
            "NoSuchEntity",
            "NoSuchEntityException",
            "NoSuchKey",
            "NoSuchUpload",
            "NoSuchVersion",
            "ObjectNotFoundException",
            "RepositoryNotFoundException",
            "ResourceNotFound",
            "ResourceNotFoundException",
            "ServiceNotFoundException",
            "TargetGroupNotFound",
            "TaskSetNotFoundException",
        ],
    ),
];

impl Failure {
    /// Classifies AWS's error code, or the status if the code tells nothing. A 404 without a code
    /// may be any web server's.
    pub fn of_code(code: &str, http_status: Option<u16>) -> Self {
        let known = CODES.iter().find(|(_, codes)| codes.contains(&code));
        match (known, http_status) {
            (Some((failure, _)), _) => *failure,
            (None, _) if is_not_found(code) => Self::Gone,
            (None, Some(500..)) => Self::ServerError,
            (None, Some(429)) => Self::Throttled,
            (None, Some(403)) if code.is_empty() => Self::Denied,
            _ => Self::Unknown,
        }
    }

    /// Classifies an answer as [`Failure::of_code`] does. Two codes mean a wrong secret as well as
    /// a wrong clock; only their message tells which.
    pub fn of_answer(code: Option<&str>, message: Option<&str>, http_status: Option<u16>) -> Self {
        let (code, message) = (
            code.unwrap_or_default(),
            message.unwrap_or_default().to_lowercase(),
        );
        let is_signature = matches!(code, "SignatureDoesNotMatch" | "InvalidSignatureException");
        let is_late =
            message.contains("signature expired") || message.contains("signature not yet current");
        if is_signature && is_late {
            Self::Clock
        } else {
            Self::of_code(code, http_status)
        }
    }

    /// Returns `Disk` or `Network` if the kind of the error tells it, else `Unknown`.
    pub fn of_io(kind: io::ErrorKind) -> Self {
        use io::ErrorKind;
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Self::Disk
            }
            ErrorKind::BrokenPipe
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::TimedOut
            | ErrorKind::UnexpectedEof => Self::Network,
            _ => Self::Unknown,
        }
    }

    /// Classifies an SDK's error. An SDK asks for credentials while it sends, so missing ones look
    /// like a call that was never answered.
    pub fn of_sdk<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        match error {
            SdkError::ServiceError(_) => Self::of_answer(error.code(), error.message(), status),
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => {
                Self::of_chain(error).unwrap_or(Self::Network)
            }
            _ => Self::of_chain(error).unwrap_or_else(|| Self::of_code("", status)),
        }
    }

    /// Classifies by the first cause that tells, from the outside in. Missing credentials are
    /// examined further: an outage of their provider passes.
    fn of_chain(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut found = None;
        for cause in causes(error) {
            if let Some(credentials) = cause.downcast_ref::<CredentialsError>() {
                match credentials {
                    CredentialsError::ProviderError(_) | CredentialsError::Unhandled(_) => {
                        found = Some(Self::Credentials);
                    }
                    CredentialsError::ProviderTimedOut(_) => return Some(Self::Network),
                    _ => return Some(Self::Credentials),
                }
            } else if let Some(failure) = Self::of_cause(cause) {
                return Some(failure);
            }
        }
        found
    }

    fn of_cause(cause: &(dyn Error + 'static)) -> Option<Self> {
        let failure = if let Some(connector) = cause.downcast_ref::<ConnectorError>() {
            match connector.is_io() || connector.is_timeout() {
                true => Self::Network,
                false => Self::Unknown,
            }
        } else if let Some(answer) = cause.downcast_ref::<ErrorMetadata>() {
            Self::of_answer(answer.code(), answer.message(), None)
        } else if let Some(token) = cause.downcast_ref::<IdentityError>() {
            token.failure()
        } else {
            Self::of_io(cause.downcast_ref::<io::Error>()?.kind())
        };
        (failure != Self::Unknown).then_some(failure)
    }

    /// True if only time helps: the same call is worth repeating.
    pub fn passes(self) -> bool {
        matches!(self, Self::ServerError | Self::Throttled | Self::Network)
    }

    /// True if another run of terraform may do better, after this many attempts.
    pub fn terraform_again(self, attempts: u32) -> bool {
        match self {
            Self::ServerError
            | Self::Throttled
            | Self::Network
            | Self::StateLocked
            | Self::Provider => attempts < 3,
            Self::StateTorn | Self::Unknown => attempts < 2,
            // The steps after terraform handle these better, or do without it.
            _ => false,
        }
    }

    /// True if another delete by name is worth it, after this many attempts; time itself is bounded
    /// elsewhere.
    pub fn by_name_again(self, attempts: u32) -> bool {
        match self {
            // The right will not come by itself; but a new role's or policy's own may, within
            // seconds.
            Self::Denied => attempts < 4,
            Self::Clock => attempts < 2,
            _ => true,
        }
    }

    /// Returns the pause before the next attempt, without its jitter: it doubles, up to what this
    /// failure usually takes.
    pub fn pause(self, attempts: u32) -> Duration {
        let longest = match self {
            Self::TasksAlive | Self::NotEmpty | Self::Gone => 4,
            Self::Attached | Self::Unknown | Self::Denied | Self::Clock => 15,
            _ => 30,
        };
        Duration::from_secs((1 << attempts.min(5)).min(longest))
    }
}

/// True if the code has the form in which AWS reports missing things. `NoSuch...` is not among
/// them: S3's `NoSuchTagSet` is about a bucket that exists.
fn is_not_found(code: &str) -> bool {
    code.ends_with("NotFound") || code.ends_with("NotFoundException")
}

/// Returns the error and everything that caused it.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn a_failure_is_known_by_its_code() {
        for (code, status, failure) in [
            ("ClusterContainsTasksException", 400, Failure::TasksAlive),
            ("ResourceInUseException", 400, Failure::TasksAlive),
            ("DependencyViolation", 400, Failure::Attached),
            ("BucketNotEmpty", 409, Failure::NotEmpty),
            ("RepositoryNotEmptyException", 400, Failure::NotEmpty),
            ("DeleteConflict", 409, Failure::NotEmpty),
            ("ThrottlingException", 400, Failure::Throttled),
            ("Throttling", 400, Failure::Throttled),
            ("RequestLimitExceeded", 503, Failure::Throttled),
            ("SlowDown", 503, Failure::Throttled),
            ("InternalError", 500, Failure::ServerError),
            ("OperationAborted", 409, Failure::ServerError),
            ("RequestTimeout", 400, Failure::Network),
            ("ExpiredTokenException", 400, Failure::Credentials),
            ("ExpiredToken", 400, Failure::Credentials),
            ("RequestExpired", 400, Failure::Credentials),
            ("InvalidAccessKeyId", 403, Failure::Credentials),
            ("InvalidClientTokenId", 403, Failure::Credentials),
            ("AuthFailure", 401, Failure::Credentials),
            ("RequestTimeTooSkewed", 403, Failure::Clock),
            ("AccessDenied", 403, Failure::Denied),
            ("AccessDeniedException", 400, Failure::Denied),
            ("UnauthorizedOperation", 403, Failure::Denied),
            ("NoSuchBucket", 404, Failure::Gone),
            ("NoSuchEntity", 404, Failure::Gone),
            ("InvalidGroup.NotFound", 400, Failure::Gone),
            ("InvalidSecurityGroupRuleId.NotFound", 400, Failure::Gone),
            ("NoSuchTagSet", 404, Failure::Unknown),
            ("NotFoundYet", 404, Failure::Unknown),
            ("ResourceNotFoundException", 400, Failure::Gone),
            ("SomethingNew", 400, Failure::Unknown),
            ("SomethingNew", 403, Failure::Unknown),
            ("SomethingNew", 500, Failure::ServerError),
            ("", 503, Failure::ServerError),
            ("", 429, Failure::Throttled),
            ("", 403, Failure::Denied),
            ("", 404, Failure::Unknown),
            ("", 200, Failure::Unknown),
        ] {
            let known = Failure::of_code(code, Some(status));
            assert_eq!(known, failure, "{status} {code}");
        }
    }

    #[test]
    fn a_code_stands_in_the_table_once() {
        let mut codes: Vec<&str> = CODES
            .iter()
            .flat_map(|(_, codes)| *codes)
            .copied()
            .collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }

    #[test]
    fn only_the_message_tells_a_wrong_clock_from_a_wrong_secret() {
        let late = "Signature expired: 20260301T120000Z is now earlier than 20260301T121500Z";
        let early = "Signature not yet current: 20260301T123000Z is still later than ...";
        let wrong =
            "The request signature we calculated does not match the signature you provided.";
        for (code, message, failure) in [
            ("SignatureDoesNotMatch", late, Failure::Clock),
            ("InvalidSignatureException", early, Failure::Clock),
            ("SignatureDoesNotMatch", wrong, Failure::Credentials),
            ("AccessDenied", late, Failure::Denied),
        ] {
            let known = Failure::of_answer(Some(code), Some(message), Some(403));
            assert_eq!(known, failure, "{code} {message}");
        }
    }

    #[test]
    fn an_sdks_error_is_known_by_its_type() {
        let dispatch = |source: ConnectorError| {
            Failure::of_sdk(&SdkError::<ErrorMetadata, _>::dispatch_failure(source))
        };
        let credentials = |error| dispatch(ConnectorError::other(Box::new(error), None));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(
            dispatch(ConnectorError::io(refused.into())),
            Failure::Network
        );
        let answer = |code: &str, status: u16| {
            let error = ErrorMetadata::builder().code(code).build();
            let status = status.try_into().unwrap();
            let raw = HttpResponse::new(status, SdkBody::empty());
            Failure::of_sdk(&SdkError::service_error(error, raw))
        };
        assert_eq!(answer("AccessDeniedException", 400), Failure::Denied);
        assert_eq!(answer("SomethingNew", 500), Failure::ServerError);
        let timeout = SdkError::<ErrorMetadata, _>::timeout_error("too late");
        assert_eq!(Failure::of_sdk(&timeout), Failure::Network);

        let outage = || ConnectorError::timeout("no answer".into());
        let busy = ErrorMetadata::builder().code("ServiceUnavailable").build();
        let ended = ErrorMetadata::builder().code("ExpiredToken").build();
        for (error, failure) in [
            (
                CredentialsError::not_loaded_no_source(),
                Failure::Credentials,
            ),
            (CredentialsError::not_loaded(outage()), Failure::Credentials),
            (
                CredentialsError::invalid_configuration("a loop of roles"),
                Failure::Credentials,
            ),
            (
                CredentialsError::provider_error("exit code 1"),
                Failure::Credentials,
            ),
            (
                CredentialsError::provider_error(ended),
                Failure::Credentials,
            ),
            // The provider of the credentials may deliver them later.
            (CredentialsError::provider_error(outage()), Failure::Network),
            (
                CredentialsError::provider_timed_out(Duration::from_secs(30)),
                Failure::Network,
            ),
            (CredentialsError::provider_error(busy), Failure::ServerError),
            (
                CredentialsError::provider_error(IdentityError::Refused(503)),
                Failure::ServerError,
            ),
            (
                CredentialsError::provider_error(IdentityError::Refused(404)),
                Failure::Credentials,
            ),
        ] {
            let text = format!("{error:?}");
            assert_eq!(credentials(error), failure, "{text}");
        }
    }

    #[test]
    fn an_io_error_is_known_by_its_kind() {
        for (kind, failure) in [
            (io::ErrorKind::StorageFull, Failure::Disk),
            (io::ErrorKind::FileTooLarge, Failure::Disk),
            (io::ErrorKind::ConnectionReset, Failure::Network),
            (io::ErrorKind::NotFound, Failure::Unknown),
            (io::ErrorKind::PermissionDenied, Failure::Unknown),
        ] {
            assert_eq!(Failure::of_io(kind), failure, "{kind:?}");
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        assert_eq!(Failure::Network.pause(0), Duration::from_secs(1));
        assert_eq!(Failure::Network.pause(9), Duration::from_secs(30));
        assert_eq!(Failure::TasksAlive.pause(9), Duration::from_secs(4));
        assert!(Failure::Denied.by_name_again(3) && !Failure::Denied.by_name_again(4));
        assert!(
            !Failure::TasksAlive.terraform_again(0),
            "StopTask helps there, terraform does not"
        );
    }
}
