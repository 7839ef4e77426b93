//! What kind of trouble an error of AWS or terraform is, from its words: whether it passes, and how
//! long that takes.
//!
//! Words, because terraform's diagnostics and five SDKs share nothing else. Patterns as seen (see
//! `docs/teardown.md`).

use std::time::Duration;

/// What stands between a thing and its end. Ordered: of several, the last decides how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// It is gone: no trouble at all.
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
    Disk,
    Unknown,
    /// Throttled, or AWS's own failure.
    Load,
    Network,
    /// Not allowed; it may be gone: rights by tag turn "not found" into "denied".
    Denied,
    Clock,
    Credentials,
}

/// The first that is found in the text, case aside, decides.
const WORDS: &[(Trouble, &[&str])] = &[
    (
        Trouble::Credentials,
        &[
            "expiredtoken",
            "invalidclienttokenid",
            "unrecognizedclient",
            "token included in the request is expired",
            "token included in the request is invalid",
            "sso session",
            "no valid credential",
            // The SDK wraps it as a "dispatch failure": nobody in the chain has any.
            "the credential provider was not enabled",
            "no aws credentials",
            ": credentials: ",
        ],
    ),
    (
        Trouble::Clock,
        &[
            "requesttimetooskewed",
            "signature expired",
            "signature not yet current",
        ],
    ),
    (
        Trouble::StateTorn,
        &[
            "unsupported state file",
            "state file could not be parsed",
            "unexpected end of json",
        ],
    ),
    (Trouble::StateLocked, &["error acquiring the state lock"]),
    (
        Trouble::Disk,
        &["failed to save state", "no space left on device"],
    ),
    (
        Trouble::Provider,
        &[
            "plugin did not respond",
            "rpc error",
            "timeout while waiting for plugin",
            "plugin exited",
            "signal: 9",
        ],
    ),
    (
        Trouble::NotInitialised,
        &[
            "required plugins are not installed",
            "inconsistent dependency lock",
            "failed to query available provider",
            "could not load plugin",
        ],
    ),
    (
        Trouble::TasksAlive,
        &[
            "clustercontainstasks",
            "clustercontainsservices",
            "clustercontainscontainerinstances",
            "tasks have not stopped",
            "resourceinuse",
        ],
    ),
    (
        Trouble::Attached,
        &[
            "dependencyviolation",
            "invalidgroup.inuse",
            "has a dependent object",
        ],
    ),
    (
        Trouble::NotEmpty,
        &["bucketnotempty", "repositorynotempty", "deleteconflict"],
    ),
    (
        Trouble::Load,
        &[
            "throttl",
            "requestlimitexceeded",
            "toomanyrequests",
            "slowdown",
            "rate exceeded",
            "internalerror",
            "internalfailure",
            "internal server error",
            "serviceunavailable",
            "service unavailable",
            "operationaborted",
            "servererror",
            "bad gateway",
        ],
    ),
    (
        Trouble::Network,
        &[
            "connection reset",
            "connection refused",
            "no such host",
            "dns error",
            "i/o timeout",
            "tls handshake",
            "timed out",
            "timeout:",
            "dispatch failure",
            "connection:",
            "error sending request",
            "unexpected eof",
            "broke off",
        ],
    ),
    (
        Trouble::Denied,
        &[
            "accessdenied",
            "access denied",
            "unauthorizedoperation",
            "not authorized",
        ],
    ),
    (
        Trouble::Gone,
        &[
            "notfound",
            "nosuch",
            "inactivecluster",
            "does not exist",
            "missing",
        ],
    ),
];

impl Trouble {
    pub fn of(text: &str) -> Self {
        let text = text.to_lowercase();
        WORDS
            .iter()
            .find(|(_, words)| words.iter().any(|word| text.contains(word)))
            .map_or(Self::Unknown, |(trouble, _)| *trouble)
    }

    /// Whether nothing but time mends it: asking the same again is right.
    pub fn passes(self) -> bool {
        matches!(self, Self::Load | Self::Network)
    }

    /// Whether another run of terraform may do better, after so many.
    pub fn terraform_again(self, attempts: u32) -> bool {
        match self {
            Self::Load | Self::Network | Self::StateLocked | Self::Provider => attempts < 3,
            Self::StateTorn | Self::Unknown => attempts < 2,
            // What comes after terraform knows better what to do about these, or does without it.
            _ => false,
        }
    }

    /// How often it is worth deleting by name again; time itself is bounded elsewhere.
    pub fn by_name_again(self, attempts: u32) -> bool {
        match self {
            // The right will not come by itself; but a new role's or policy's own may, within
            // seconds.
            Self::Denied => attempts < 4,
            Self::Clock => attempts < 2,
            _ => true,
        }
    }

    /// The pause before the next attempt, without its jitter: it doubles, up to what this trouble
    /// usually takes.
    pub fn pause(self, attempts: u32) -> Duration {
        let longest = match self {
            Self::TasksAlive | Self::NotEmpty | Self::Gone => 4,
            Self::Attached | Self::Unknown | Self::Denied | Self::Clock => 15,
            _ => 30,
        };
        Duration::from_secs((1 << attempts.min(5)).min(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_known_by_its_words() {
        for (text, trouble) in [
            (
                "DeleteCluster: service error: ClusterContainsTasksException: the cluster has tasks",
                Trouble::TasksAlive,
            ),
            ("2 tasks have not stopped yet", Trouble::TasksAlive),
            (
                "deleting Security Group (sg-1): DependencyViolation: resource sg-1 has a dependent object",
                Trouble::Attached,
            ),
            (
                "BucketNotEmpty: The bucket you tried to delete is not empty",
                Trouble::NotEmpty,
            ),
            ("ThrottlingException: Rate exceeded", Trouble::Load),
            (
                "ListTasks: dispatch failure: io error: client error (Connect): Connection refused",
                Trouble::Network,
            ),
            ("GetRole: Timeout: no answer in time", Trouble::Network),
            (
                "ExpiredTokenException: The security token included in the request is expired",
                Trouble::Credentials,
            ),
            (
                "GetRole: Credentials: the chain has none",
                Trouble::Credentials,
            ),
            (
                "RequestTimeTooSkewed: The difference is too large",
                Trouble::Clock,
            ),
            (
                "AccessDenied: User: arn:aws:iam::1:user/u is not authorized to perform: iam:DeleteRole",
                Trouble::Denied,
            ),
            (
                "Error acquiring the state lock: resource temporarily unavailable",
                Trouble::StateLocked,
            ),
            (
                "Error acquiring the state lock: Unsupported state file format",
                Trouble::StateTorn,
            ),
            (
                "Plugin did not respond: The plugin encountered an error",
                Trouble::Provider,
            ),
            (
                "Error: Required plugins are not installed",
                Trouble::NotInitialised,
            ),
            ("write: no space left on device", Trouble::Disk),
            ("ListObjectsV2: NoSuchBucket", Trouble::Gone),
            ("something new", Trouble::Unknown),
        ] {
            assert_eq!(Trouble::of(text), trouble, "{text}");
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        assert_eq!(Trouble::Network.pause(0), Duration::from_secs(1));
        assert_eq!(Trouble::Network.pause(9), Duration::from_secs(30));
        assert_eq!(Trouble::TasksAlive.pause(9), Duration::from_secs(4));
        assert!(Trouble::Denied.by_name_again(3) && !Trouble::Denied.by_name_again(4));
        assert!(
            !Trouble::TasksAlive.terraform_again(0),
            "StopTask helps there, terraform does not"
        );
    }
}
