//! The IAM actions that each role needs, with their resources and callers: the one table that the
//! documents in `terraform/permissions/` are rendered from.
//!
//! Tests check it from both sides. Every call in our code must be in the table, and every call that
//! it ascribes to us must be made. While a whole run passes, the lab denies everything that a
//! rendered document does not allow.

mod document;
mod need;

pub use document::{document, document_with_roles};
pub use need::{CallOrigin, Condition, Need, Role, Statement};
use need::{beside, terraform, us};

const OPERATOR: &[Role] = &[Role::Operator];
const REAPER: &[Role] = &[Role::Reaper];
/// A task, and the boundary of what any role of a run may do.
const GENERATOR: &[Role] = &[Role::Generator, Role::Boundary];
/// Fargate, before a task begins, and the same boundary.
const EXECUTION: &[Role] = &[Role::Execution, Role::Boundary];
/// The roles that destroy.
const BOTH: &[Role] = &[Role::Operator, Role::Reaper];
/// The roles that watch the target.
const LOOKING: &[Role] = &[Role::Operator, Role::Watcher];
/// The roles that read what a trial changes.
const READING: &[Role] = &[Role::Operator, Role::Watcher, Role::TryAdvice];
const TRYING: &[Role] = &[Role::TryAdvice];
/// The role that only watches.
const WATCHER: &[Role] = &[Role::Watcher];
const ANYONE: &[Role] = &[Role::Operator, Role::Watcher, Role::Reaper];

const CLUSTERS: &str = "arn:aws:ecs:*:*:cluster/sp-*";
const DEFINITIONS: &str = "arn:aws:ecs:*:*:task-definition/sp-*:*";
const TASKS: &str = "arn:aws:ecs:*:*:task/sp-*/*";
const ROLES: &str = "arn:aws:iam::*:role/spikeproof/*";
/// The policy that bounds the roles of runs, in every account under this name.
pub const BOUNDARY_NAME: &str = "spikeproof-boundary";
const BOUNDARY: &str = "arn:aws:iam::*:policy/spikeproof-boundary";
const BUCKETS: &str = "arn:aws:s3:::spikeproof-sp-*";
const OBJECTS: &str = "arn:aws:s3:::spikeproof-sp-*/*";
const REPOSITORIES: &str = "arn:aws:ecr:*:*:repository/spikeproof/sp-*";
const LOG_GROUPS: &str = "arn:aws:logs:*:*:log-group:/spikeproof/sp-*";
const SECURITY_GROUPS: &str = "arn:aws:ec2:*:*:security-group/*";

const GROUPS: &str = "arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*";

/// The group's tag of consent, with any value that is none of the refusals.
const CONSENT: Condition = (
    "StringLike",
    "aws:ResourceTag/spikeproof:may-change",
    &["?*"],
);
const NO_REFUSAL: Condition = (
    "StringNotEqualsIgnoreCase",
    "aws:ResourceTag/spikeproof:may-change",
    &["no", "false", "off", "0"],
);
const fn fargate(action: &'static str) -> Need {
    Need {
        action,
        who: EXECUTION,
        caller: CallOrigin::Beside,
        why: "Fargate fetches the image and writes the log",
    }
}

/// The table.
pub const STATEMENTS: &[Statement] = &[
    Statement {
        name: "ReadWhatHasNoArn",
        on: &["*"],
        when: &[],
        needs: &[
            us(
                "sts:GetCallerIdentity",
                ANYONE,
                "the account that everything belongs to",
            ),
            us(
                "ecs:ListTaskDefinitions",
                BOTH,
                "revisions of the run's family; the proof that none is active",
            ),
            us(
                "ecs:DeregisterTaskDefinition",
                BOTH,
                "ends the run's revisions; IAM knows no resource for it",
            ),
            us(
                "ec2:DescribeSecurityGroups",
                BOTH,
                "finds the run's group by name; the proof that it is gone",
            ),
            us(
                "logs:DescribeLogGroups",
                BOTH,
                "finds the run's log group by name; the proof that it is gone",
            ),
            us("ec2:DescribeSubnets", OPERATOR, "where tasks are placed"),
            us(
                "ecs:DescribeTaskDefinition",
                BOTH,
                "reads the definition back; whose it is, by its tag",
            ),
            terraform(
                "ec2:DescribeSecurityGroupRules",
                "the rules to take away before the group goes",
            ),
            terraform(
                "ec2:DescribeNetworkInterfaces",
                "who still holds the security group, where its deletion is refused",
            ),
        ],
    },
    Statement {
        name: "Discover",
        on: &["*"],
        when: &[],
        needs: &[
            us(
                "s3:ListAllMyBuckets",
                REAPER,
                "runs by the names of their buckets",
            ),
            us("iam:ListRoles", REAPER, "runs by the names of their roles"),
            us(
                "ecs:ListClusters",
                REAPER,
                "runs by the names of their clusters",
            ),
            us(
                "ecs:ListTaskDefinitionFamilies",
                REAPER,
                "runs by the names of their task definitions",
            ),
            us(
                "ecr:DescribeRepositories",
                REAPER,
                "runs by the names of their repositories",
            ),
            us(
                "tag:GetResources",
                ANYONE,
                "runs by the tag of their resources; runs that test the same group",
            ),
        ],
    },
    Statement {
        name: "MakeClustersAndDefinitions",
        // Neither exists yet: AWS's refusals of both name the resource `*`.
        on: &["*"],
        when: &[("StringLike", "aws:RequestTag/spikeproof:run", &["sp-*"])],
        needs: &[
            terraform("ecs:CreateCluster", "makes the cluster"),
            terraform("ecs:RegisterTaskDefinition", "makes the task definition"),
        ],
    },
    Statement {
        name: "ClustersAndDefinitions",
        on: &[CLUSTERS, DEFINITIONS],
        when: &[],
        needs: &[
            us(
                "ecs:DescribeClusters",
                BOTH,
                "the proof that the cluster is gone",
            ),
            us("ecs:DeleteCluster", BOTH, "deletes the cluster"),
            us(
                "ecs:DeleteTaskDefinitions",
                BOTH,
                "deletes deregistered revisions",
            ),
        ],
    },
    Statement {
        name: "TagWhatIsMade",
        on: &[CLUSTERS, DEFINITIONS, TASKS],
        when: &[(
            "StringEquals",
            "ecs:CreateAction",
            &["CreateCluster", "RegisterTaskDefinition", "RunTask"],
        )],
        needs: &[beside("ecs:TagResource", "tags given at creation")],
    },
    Statement {
        name: "RunTasks",
        on: &[DEFINITIONS],
        when: &[("ArnLike", "ecs:cluster", &[CLUSTERS])],
        needs: &[us("ecs:RunTask", OPERATOR, "starts generators")],
    },
    Statement {
        name: "SeeAndStopTasks",
        on: &["*"],
        when: &[("ArnLike", "ecs:cluster", &[CLUSTERS])],
        needs: &[
            us("ecs:StopTask", BOTH, "ends what costs"),
            us("ecs:DescribeTasks", BOTH, "what became of them"),
            us(
                "ecs:ListTasks",
                BOTH,
                "also those whose RunTask answer was lost; the proof that none is left",
            ),
        ],
    },
    Statement {
        name: "SeeRoles",
        // A role that is not there has no path: the proof that it is gone must not be denied for
        // that.
        on: &[ROLES, "arn:aws:iam::*:role/sp-*"],
        when: &[],
        needs: &[us("iam:GetRole", BOTH, "the proof that the role is gone")],
    },
    Statement {
        name: "Roles",
        on: &[ROLES],
        when: &[],
        needs: &[
            us("iam:ListRolePolicies", BOTH, "what must go before the role"),
            us("iam:DeleteRolePolicy", BOTH, "what must go before the role"),
            us(
                "iam:ListAttachedRolePolicies",
                BOTH,
                "what must go before the role",
            ),
            us("iam:DetachRolePolicy", BOTH, "what must go before the role"),
            us("iam:DeleteRole", BOTH, "deletes the role"),
            beside("iam:TagRole", "tags given at creation"),
            terraform("iam:GetRolePolicy", "reads it back"),
            terraform(
                "iam:ListInstanceProfilesForRole",
                "what must go before the role",
            ),
        ],
    },
    Statement {
        name: "BoundedRoles",
        // Without the boundary, whoever may make a role and pass it can give it any right, and use it.
        on: &[ROLES],
        when: &[("ArnLike", "iam:PermissionsBoundary", &[BOUNDARY])],
        needs: &[
            terraform("iam:CreateRole", "makes the roles"),
            terraform("iam:PutRolePolicy", "says what tasks may do"),
        ],
    },
    Statement {
        name: "SeeTheBoundary",
        on: &[BOUNDARY],
        when: &[],
        needs: &[us(
            "iam:GetPolicy",
            OPERATOR,
            "whether it exists, before roles are made below it",
        )],
    },
    Statement {
        name: "PassRolesToTasksOnly",
        on: &[ROLES],
        when: &[(
            "StringEquals",
            "iam:PassedToService",
            &["ecs-tasks.amazonaws.com"],
        )],
        needs: &[beside("iam:PassRole", "hands the run's roles to its tasks")],
    },
    Statement {
        name: "FirstFargateUse",
        on: &["arn:aws:iam::*:role/aws-service-role/ecs.amazonaws.com/*"],
        when: &[("StringEquals", "iam:AWSServiceName", &["ecs.amazonaws.com"])],
        needs: &[beside(
            "iam:CreateServiceLinkedRole",
            "once in an account that never used Fargate",
        )],
    },
    Statement {
        name: "MakeSecurityGroup",
        on: &[SECURITY_GROUPS],
        when: &[("StringLike", "aws:RequestTag/spikeproof:run", &["sp-*"])],
        needs: &[terraform(
            "ec2:CreateSecurityGroup",
            "makes the group of the tasks",
        )],
    },
    Statement {
        name: "MakeSecurityGroupInVpc",
        on: &["arn:aws:ec2:*:*:vpc/*"],
        when: &[],
        needs: &[terraform(
            "ec2:CreateSecurityGroup",
            "the network is a resource of the same action",
        )],
    },
    Statement {
        name: "TagSecurityGroup",
        on: &[SECURITY_GROUPS],
        when: &[("StringEquals", "ec2:CreateAction", &["CreateSecurityGroup"])],
        needs: &[beside("ec2:CreateTags", "tags given at creation")],
    },
    Statement {
        name: "ChangeSecurityGroup",
        on: &[SECURITY_GROUPS],
        when: &[("StringLike", "aws:ResourceTag/spikeproof:run", &["sp-*"])],
        needs: &[
            us("ec2:DeleteSecurityGroup", BOTH, "deletes the group"),
            terraform("ec2:AuthorizeSecurityGroupEgress", "every way out"),
            terraform(
                "ec2:RevokeSecurityGroupEgress",
                "takes the rules away first, and the default one at creation",
            ),
            terraform(
                "ec2:RevokeSecurityGroupIngress",
                "takes the rules away first",
            ),
        ],
    },
    Statement {
        name: "LogGroup",
        on: &[LOG_GROUPS],
        when: &[],
        needs: &[
            us("logs:DeleteLogGroup", BOTH, "deletes the log group"),
            terraform("logs:CreateLogGroup", "makes the log group"),
            terraform("logs:PutRetentionPolicy", "one day: the net below destroy"),
            beside("logs:TagResource", "tags given at creation"),
            terraform("logs:ListTagsForResource", "reads them back"),
        ],
    },
    Statement {
        name: "Repository",
        on: &[REPOSITORIES],
        when: &[],
        needs: &[
            us(
                "ecr:DescribeRepositories",
                BOTH,
                "the proof that the repository is gone",
            ),
            us("ecr:DeleteRepository", BOTH, "deletes it with its image"),
            us("ecr:InitiateLayerUpload", OPERATOR, "pushes the generator"),
            us("ecr:UploadLayerPart", OPERATOR, "pushes the generator"),
            us("ecr:CompleteLayerUpload", OPERATOR, "pushes the generator"),
            us("ecr:PutImage", OPERATOR, "pushes the generator"),
            terraform("ecr:CreateRepository", "makes the repository"),
            beside("ecr:TagResource", "tags given at creation"),
            terraform("ecr:ListTagsForResource", "reads them back"),
        ],
    },
    Statement {
        name: "Bucket",
        on: &[BUCKETS],
        when: &[],
        needs: &[
            us(
                "s3:ListBucket",
                BOTH,
                "what the bucket holds; the proof that it is gone",
            ),
            us("s3:DeleteBucket", BOTH, "deletes the bucket"),
            terraform("s3:CreateBucket", "makes the bucket"),
            terraform("s3:ListBucketVersions", "empties it before its deletion"),
            terraform("s3:GetBucketAcl", "reads every property back"),
            terraform("s3:GetBucketCORS", "reads every property back"),
            terraform("s3:GetBucketLogging", "reads every property back"),
            terraform(
                "s3:GetBucketObjectLockConfiguration",
                "reads every property back",
            ),
            terraform("s3:GetBucketOwnershipControls", "reads every property back"),
            terraform("s3:GetBucketPolicy", "reads every property back"),
            terraform("s3:GetBucketPublicAccessBlock", "reads every property back"),
            terraform("s3:GetBucketRequestPayment", "reads every property back"),
            terraform("s3:GetBucketTagging", "reads every property back"),
            terraform("s3:GetBucketVersioning", "reads every property back"),
            terraform("s3:GetBucketWebsite", "reads every property back"),
            terraform("s3:GetAccelerateConfiguration", "reads every property back"),
            terraform("s3:GetEncryptionConfiguration", "reads every property back"),
            terraform("s3:GetLifecycleConfiguration", "reads every property back"),
            terraform(
                "s3:GetReplicationConfiguration",
                "reads every property back",
            ),
            terraform(
                "s3:PutLifecycleConfiguration",
                "one day: the net below destroy",
            ),
            terraform("s3:PutEncryptionConfiguration", "encrypted"),
            terraform("s3:PutBucketPolicy", "TLS only"),
            terraform("s3:DeleteBucketPolicy", "goes before the bucket"),
            terraform("s3:PutBucketPublicAccessBlock", "never public"),
            terraform("s3:PutBucketOwnershipControls", "no access lists"),
            terraform("s3:PutBucketTagging", "tags of the run"),
        ],
    },
    Statement {
        name: "Channel",
        on: &[OBJECTS],
        when: &[],
        needs: &[
            us("s3:GetObject", BOTH, "what tasks report; who owns a run"),
            us(
                "s3:DeleteObject",
                BOTH,
                "a bucket must be empty to be deleted",
            ),
            us("s3:PutObject", OPERATOR, "plan, heartbeat and stop order"),
            terraform("s3:DeleteObjectVersion", "empties the bucket"),
        ],
    },
    Statement {
        name: "StopOrder",
        on: &["arn:aws:s3:::spikeproof-sp-*/run/control.json"],
        when: &[],
        needs: &[us(
            "s3:PutObject",
            REAPER,
            "stops the load of a run that nobody owns, and fences its owner off",
        )],
    },
    Statement {
        name: "Heartbeats",
        on: &["arn:aws:s3:::spikeproof-sp-*/run/control.json"],
        when: &[],
        needs: &[us(
            "s3:GetObject",
            WATCHER,
            "whether a run that tests the same group is alive",
        )],
    },
    Statement {
        name: "Orders",
        on: &[
            "arn:aws:s3:::spikeproof-sp-*/run/plan.json",
            "arn:aws:s3:::spikeproof-sp-*/run/secrets.json",
            "arn:aws:s3:::spikeproof-sp-*/run/files/*",
            "arn:aws:s3:::spikeproof-sp-*/run/control.json",
        ],
        when: &[],
        needs: &[us(
            "s3:GetObject",
            GENERATOR,
            "what to do, with which files, and whether to go on",
        )],
    },
    Statement {
        name: "Results",
        on: &["arn:aws:s3:::spikeproof-sp-*/run/tasks/*"],
        when: &[],
        needs: &[us("s3:PutObject", GENERATOR, "what was measured")],
    },
    Statement {
        name: "MissingIsMissing",
        on: &[BUCKETS],
        when: &[],
        needs: &[Need {
            action: "s3:ListBucket",
            who: GENERATOR,
            caller: CallOrigin::Beside,
            why: "without it a key that is missing answers 403 instead of 404",
        }],
    },
    Statement {
        name: "LogInToTheRegistry",
        on: &["*"],
        when: &[],
        needs: &[Need {
            action: "ecr:GetAuthorizationToken",
            who: EXECUTION,
            caller: CallOrigin::Beside,
            why: "Fargate fetches the image; IAM knows no resource for it",
        }],
    },
    Statement {
        name: "FetchTheImage",
        on: &[REPOSITORIES],
        when: &[],
        needs: &[
            fargate("ecr:BatchCheckLayerAvailability"),
            fargate("ecr:GetDownloadUrlForLayer"),
            fargate("ecr:BatchGetImage"),
        ],
    },
    Statement {
        name: "WriteTheLog",
        on: &["arn:aws:logs:*:*:log-group:/spikeproof/sp-*:*"],
        when: &[],
        needs: &[
            fargate("logs:CreateLogStream"),
            fargate("logs:PutLogEvents"),
        ],
    },
    Statement {
        name: "ReadTheTarget",
        on: &["*"],
        when: &[],
        needs: &[
            us(
                "autoscaling:DescribeAutoScalingGroups",
                READING,
                "limits and instances",
            ),
            us("autoscaling:DescribePolicies", READING, "how it decides"),
            us(
                "autoscaling:DescribeScalingActivities",
                LOOKING,
                "what it did",
            ),
            us(
                "autoscaling:DescribeLifecycleHooks",
                LOOKING,
                "what a launch waits for",
            ),
            us(
                "autoscaling:DescribeWarmPool",
                LOOKING,
                "where launches come from",
            ),
            us(
                "autoscaling:DescribeScheduledActions",
                LOOKING,
                "what else changes its size",
            ),
            us(
                "autoscaling:DescribeInstanceRefreshes",
                LOOKING,
                "what else replaces instances",
            ),
            us("cloudwatch:DescribeAlarms", LOOKING, "when it decides"),
            us(
                "cloudwatch:DescribeAlarmHistory",
                LOOKING,
                "when it decided",
            ),
            us("cloudwatch:GetMetricData", LOOKING, "on what"),
            us(
                "elasticloadbalancing:DescribeTargetGroups",
                LOOKING,
                "where the group serves",
            ),
            us(
                "elasticloadbalancing:DescribeTargetGroupAttributes",
                LOOKING,
                "how long it drains",
            ),
            us(
                "elasticloadbalancing:DescribeTargetHealth",
                LOOKING,
                "who serves",
            ),
            us(
                "elasticloadbalancing:DescribeLoadBalancers",
                LOOKING,
                "through what",
            ),
            us(
                "application-autoscaling:DescribeScalableTargets",
                LOOKING,
                "limits of a service",
            ),
            us(
                "application-autoscaling:DescribeScalingPolicies",
                LOOKING,
                "how a service decides",
            ),
            us(
                "application-autoscaling:DescribeScalingActivities",
                LOOKING,
                "what was done to it",
            ),
            us(
                "application-autoscaling:DescribeScheduledActions",
                LOOKING,
                "what else changes its size",
            ),
            us("ecs:DescribeServices", LOOKING, "the service"),
            us("ecs:ListTasks", LOOKING, "the service's tasks"),
            us("ecs:DescribeTasks", LOOKING, "the service's tasks"),
        ],
    },
    Statement {
        name: "ChangeThePolicyForATime",
        on: &[GROUPS],
        when: &[CONSENT, NO_REFUSAL],
        needs: &[us(
            "autoscaling:PutScalingPolicy",
            TRYING,
            "another target value for one run, and the old policy back",
        )],
    },
    Statement {
        name: "ChangeTheSizesForATime",
        on: &[GROUPS],
        when: &[
            CONSENT,
            NO_REFUSAL,
            ("Null", "autoscaling:InstanceTypes", &["true"]),
            ("Null", "autoscaling:LaunchConfigurationName", &["true"]),
            (
                "Null",
                "autoscaling:LaunchTemplateVersionSpecified",
                &["true"],
            ),
            ("Null", "autoscaling:VPCZoneIdentifiers", &["true"]),
        ],
        needs: &[us(
            "autoscaling:UpdateAutoScalingGroup",
            TRYING,
            "another minimum or maximum for one run, and the old ones back",
        )],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(role: Role) -> Vec<&'static str> {
        let needs = STATEMENTS.iter().flat_map(|statement| statement.needs);
        needs
            .filter(|need| need.who.contains(&role))
            .map(|need| need.action)
            .collect()
    }

    /// IAM counts no white space, and refuses a managed policy of more than 6,144 characters.
    #[test]
    fn every_document_is_small_enough_for_a_managed_policy() {
        for role in Role::ALL {
            let size = document(role)
                .chars()
                .filter(|character| !character.is_whitespace())
                .count();
            assert!(size <= 6144, "{}: {size}", role.name());
        }
    }

    #[test]
    fn the_reaper_and_the_watcher_create_nothing() {
        let makes = [
            "Create",
            "Run",
            "Register",
            "Authorize",
            "PassRole",
            "Tag",
            "PutRole",
            "PutBucket",
            "PutImage",
        ];
        for role in [Role::Reaper, Role::Watcher] {
            let made: Vec<&str> = actions(role)
                .into_iter()
                .filter(|action| {
                    makes
                        .iter()
                        .any(|word| action.split(':').nth(1).unwrap().starts_with(word))
                })
                .collect();
            assert!(made.is_empty(), "{}: {made:?}", role.name());
        }
        let writes = |action: &&&str| action.starts_with("s3:Put");
        assert_eq!(actions(Role::Reaper).iter().filter(writes).count(), 1);
    }

    /// Reading may be on everything; what deletes, stops or hands over only on what is named or
    /// tagged as a run's.
    #[test]
    fn whatever_changes_something_is_bound_to_the_names_of_runs() {
        let reads = ["Describe", "List", "Get"];
        for statement in STATEMENTS {
            let own = statement.on.iter().all(|name| {
                ["sp-", "role/spikeproof/"]
                    .iter()
                    .any(|part| name.contains(part))
            });
            for need in statement.needs {
                let verb = need.action.split(':').nth(1).unwrap();
                let harmless = reads.iter().any(|word| verb.starts_with(word));
                // IAM knows neither resource nor condition for it; a family's name is all that
                // binds it, in our code.
                let unbindable = verb == "DeregisterTaskDefinition";
                let bound =
                    own || !statement.when.is_empty() || statement.on == ["arn:aws:ec2:*:*:vpc/*"];
                assert!(
                    harmless || unbindable || bound,
                    "{}: {}",
                    statement.name,
                    need.action
                );
            }
        }
    }

    #[test]
    fn no_action_is_there_twice_for_the_same_role_in_one_statement_and_each_has_a_reason() {
        for statement in STATEMENTS {
            for (at, need) in statement.needs.iter().enumerate() {
                assert!(
                    !need.why.is_empty() && need.action.contains(':'),
                    "{need:?}"
                );
                let again = |other: &Need| {
                    other.action == need.action
                        && other.who.iter().any(|role| need.who.contains(role))
                };
                assert!(
                    !statement.needs[at + 1..].iter().any(again),
                    "{}: {}",
                    statement.name,
                    need.action
                );
            }
        }
    }
}
