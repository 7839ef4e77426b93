//! Classifies terraform's failures. Its diagnostics are prose, so known words decide, as they were
//! seen (see `docs/teardown.md`). Pure.

use cloud::aws::failure::Failure;

/// The first that is found in the text, case aside, decides.
const WORDS: &[(Failure, &[&str])] = &[
    (
        Failure::Credentials,
        &[
            "expiredtoken",
            "invalidaccesskeyid",
            "invalidclienttokenid",
            "unrecognizedclient",
            "token included in the request is expired",
            "token included in the request is invalid",
            "sso session",
            "no valid credential",
        ],
    ),
    (
        Failure::Clock,
        &[
            "requesttimetooskewed",
            "signature expired",
            "signature not yet current",
        ],
    ),
    (
        Failure::StateTorn,
        &[
            "unsupported state file",
            "state file could not be parsed",
            "unexpected end of json",
        ],
    ),
    (Failure::StateLocked, &["error acquiring the state lock"]),
    (
        Failure::Disk,
        &[
            "failed to save state",
            "no space left on device",
            "file too large",
            "sigxfsz",
        ],
    ),
    (
        Failure::Provider,
        &[
            "plugin did not respond",
            "rpc error",
            "timeout while waiting for plugin",
            "plugin exited",
            "signal: 9",
        ],
    ),
    (
        Failure::NotInitialised,
        &[
            "required plugins are not installed",
            "inconsistent dependency lock",
            "failed to query available provider",
            "could not load plugin",
        ],
    ),
    (
        Failure::TasksAlive,
        &[
            "clustercontainstasks",
            "clustercontainsservices",
            "clustercontainscontainerinstances",
            "resourceinuse",
        ],
    ),
    (
        Failure::Attached,
        &[
            "dependencyviolation",
            "invalidgroup.inuse",
            "has a dependent object",
        ],
    ),
    (
        Failure::NotEmpty,
        &["bucketnotempty", "repositorynotempty", "deleteconflict"],
    ),
    (
        Failure::Throttled,
        &[
            "throttl",
            "requestlimitexceeded",
            "toomanyrequests",
            "slowdown",
            "rate exceeded",
        ],
    ),
    (
        Failure::ServerError,
        &[
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
        Failure::Network,
        &[
            "connection reset",
            "connection refused",
            "no such host",
            "i/o timeout",
            "tls handshake",
            "timed out",
            "timeout:",
            "unexpected eof",
        ],
    ),
    (
        Failure::Denied,
        &[
            "accessdenied",
            "access denied",
            "unauthorizedoperation",
            "not authorized",
        ],
    ),
    (
        Failure::Gone,
        &[
            "notfound",
            "nosuch",
            "inactivecluster",
            "does not exist",
            "missing",
        ],
    ),
];

/// Returns the failure that a diagnostic, or the plain text of `init`, speaks of.
pub fn failure(said: &str) -> Failure {
    let said = said.to_lowercase();
    WORDS
        .iter()
        .find(|(_, words)| words.iter().any(|word| said.contains(word)))
        .map_or(Failure::Unknown, |(failure, _)| *failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_known_by_its_words() {
        for (said, expected) in [
            (
                "deleting ECS Cluster: ClusterContainsTasksException: the cluster has tasks",
                Failure::TasksAlive,
            ),
            (
                "deleting Security Group (sg-1): DependencyViolation: resource sg-1 has a dependent object",
                Failure::Attached,
            ),
            (
                "BucketNotEmpty: The bucket you tried to delete is not empty",
                Failure::NotEmpty,
            ),
            ("ThrottlingException: Rate exceeded", Failure::Throttled),
            (
                "api error InternalError: We encountered an internal error",
                Failure::ServerError,
            ),
            (
                "dial tcp 10.0.0.1:443: connect: connection refused",
                Failure::Network,
            ),
            (
                "ExpiredTokenException: The security token included in the request is expired",
                Failure::Credentials,
            ),
            ("No valid credential sources found", Failure::Credentials),
            (
                "RequestTimeTooSkewed: The difference is too large",
                Failure::Clock,
            ),
            (
                "AccessDenied: User: arn:aws:iam::1:user/u is not authorized to perform: iam:DeleteRole",
                Failure::Denied,
            ),
            (
                "Error acquiring the state lock: resource temporarily unavailable",
                Failure::StateLocked,
            ),
            (
                "Error acquiring the state lock: Unsupported state file format",
                Failure::StateTorn,
            ),
            (
                "Plugin did not respond: The plugin encountered an error",
                Failure::Provider,
            ),
            (
                "Error: Required plugins are not installed",
                Failure::NotInitialised,
            ),
            ("write: no space left on device", Failure::Disk),
            ("reading S3 Bucket: NoSuchBucket", Failure::Gone),
            ("something new", Failure::Unknown),
        ] {
            assert_eq!(failure(said), expected, "{said}");
        }
    }
}
