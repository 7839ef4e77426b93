//! The permissions documents: rendered from the table, compared with the calls in the code, and
//! enough for a whole run in a lab that denies everything else.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ecs::types::ContainerDefinition;
use regex::Regex;
use serde_json::{Value, json};
use spikeproof::aws::Aws;
use spikeproof::aws::permissions::{CallOrigin, Need, Role, STATEMENTS, document};
use spikeproof::aws::query::{Query, Service};
use spikeproof::journal::names::{RUN_TAG, ResourceKind, ResourceNames, TARGET_TAG, target_tag};
use spikeproof::lab::{Lab, PolicyFiles, Principal, Usage};
use spikeproof::teardown::inventory::{Inventory, Presence};
use spikeproof::units::RunId;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

fn project(path: &str) -> PathBuf {
    PathBuf::from(trial::path(path))
}

fn file(role: Role) -> PathBuf {
    project(&format!("terraform/permissions/{}.json", role.name()))
}

fn needs() -> impl Iterator<Item = &'static Need> {
    STATEMENTS.iter().flat_map(|statement| statement.needs)
}

#[test]
fn the_documents_equal_the_table() {
    for role in Role::ALL {
        if std::env::var_os("SPIKEPROOF_BLESS").is_some() {
            std::fs::write(file(role), document(role)).unwrap();
        }
        let written = std::fs::read_to_string(file(role)).unwrap_or_default();
        assert!(
            written == document(role),
            "{} is not what src/cloud/aws/permissions.rs says: SPIKEPROOF_BLESS=1 cargo test --test permissions",
            file(role).display()
        );
    }
}

// Calls in the code.

/// Returns our own sources up to their tests, without the lab, which is AWS itself, and the engine,
/// which never calls it.
fn sources() -> Vec<(PathBuf, String)> {
    let mut folders = vec![project("src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.extend((name != "lab" && name != "engine").then_some(path));
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                sources.push((path, text.split("#[cfg(test)]").next().unwrap().to_owned()));
            }
        }
    }
    sources
}

/// The verbs that the SDKs' operations begin with.
const VERBS: &str = "add|assume|attach|authorize|batch|cancel|complete|copy|create|delete|deregister|describe|detach|disable|\
                     enable|execute|get|initiate|list|modify|put|register|remove|revoke|run|start|stop|submit|tag|terminate|\
                     untag|update|upload";

/// Fields and methods that only look like operations, and the one that needs no permission: it is
/// how one gets any.
const NO_OPERATIONS: [&str; 5] = [
    "assume_role_with_web_identity",
    "disable_scale_in",
    "start_time",
    "stop_load",
    "upload_id",
];

/// Returns the SDK operations that are called: `.describe_tasks()` is DescribeTasks. Every
/// operation begins with a builder that takes no argument.
fn sdk_calls(text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(&format!(r"\.((?:{VERBS})(?:_[a-z0-9]+)+)\(\)")).unwrap();
    let pascal = |name: &str| -> String {
        name.split('_')
            .map(|word| word[..1].to_uppercase() + &word[1..])
            .collect()
    };
    let names = pattern.captures_iter(text).map(|found| found[1].to_owned());
    names
        .filter(|name| !NO_OPERATIONS.contains(&name.as_str()))
        .map(|name| pascal(&name))
        .collect()
}

/// Returns the signed calls of `src/cloud/aws/query.rs`: actions, and S3's verbs.
fn query_calls(path: &Path, text: &str) -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    // rustfmt may put a method on a line of its own.
    let joined = Regex::new(r"\s+\.").unwrap().replace_all(text, ".");
    let mut scan = |door: &str, pattern: &str, name: &dyn Fn(&regex::Captures) -> String| {
        let found: Vec<String> = Regex::new(pattern)
            .unwrap()
            .captures_iter(text)
            .map(|found| name(&found))
            .collect();
        let opened = joined.matches(door).count();
        assert_eq!(
            found.len(),
            opened,
            "{}: a `{door}..)` that this test cannot read: {found:?}",
            path.display()
        );
        calls.extend(found);
    };
    scan(
        "query.action(",
        r#"query\s*\.action\(\s*Service::(\w+),\s*"(\w+)""#,
        &|found| format!("{}:{}", found[1].to_lowercase(), &found[2]),
    );
    scan(
        "query.json(",
        r#"query\s*\.json\(\s*Service::(\w+),\s*"(\w+)""#,
        &|found| {
            let service = if &found[1] == "Tagging" {
                "tag".to_owned()
            } else {
                found[1].to_lowercase()
            };
            format!("{service}:{}", &found[2])
        },
    );
    scan("query.age(", r"query\s*\.age\(", &|_| {
        "s3:GetObject".to_owned()
    });
    let bucket = r#"query\s*\.bucket\(\s*"(\w+)",\s*(?:\w+|""),\s*(?:&format!\(\s*)?"([^"]*)""#;
    scan(
        "query.bucket(",
        bucket,
        &|found| match (&found[1], &found[2]) {
            ("GET", tail) if tail.starts_with("?list-type=2") => "s3:ListBucket".to_owned(),
            ("GET", tail) if tail.starts_with("?bucket-region=") => {
                "s3:ListAllMyBuckets".to_owned()
            }
            ("DELETE", "") => "s3:DeleteBucket".to_owned(),
            ("DELETE", "/{}") => "s3:DeleteObject".to_owned(),
            (method, tail) => panic!(
                "{}: which IAM action is {method} of `{tail}`? Say it here",
                path.display()
            ),
        },
    );
    calls
}

/// Returns the calls of the channel, which speaks to S3 through object_store.
fn store_calls(text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(r"\bstore\s*\.([a-z_]+)\(").unwrap();
    let action = |verb: &str| match verb {
        "put" | "put_opts" => "s3:PutObject",
        "get" | "get_opts" | "get_range" | "head" => "s3:GetObject",
        "list" | "list_with_delimiter" => "s3:ListBucket",
        "delete" | "delete_stream" => "s3:DeleteObject",
        other => panic!("which IAM action is object_store's `{other}`? Say it here"),
    };
    pattern
        .captures_iter(text)
        .map(|found| action(&found[1]).to_owned())
        .collect()
}

/// Returns SDK operations by their name alone, and everything else with its service.
fn called() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut operations, mut actions) = (BTreeSet::new(), BTreeSet::new());
    let doors = Regex::new(r"pub async fn (\w+)").unwrap();
    for (path, text) in sources() {
        let folder = path.parent().unwrap();
        // Their files use clients that others made, and name no SDK.
        let calls = folder.ends_with("src/watch") || folder.ends_with("src/teardown/inventory");
        if calls || text.contains("aws_sdk_") {
            operations.extend(sdk_calls(&text));
        }
        if path.ends_with("src/cloud/aws/query.rs") {
            let doors: Vec<String> = doors
                .captures_iter(&text)
                .map(|found| found[1].to_owned())
                .collect();
            assert_eq!(
                doors,
                ["action", "json", "age", "bucket"],
                "a new way to call AWS: teach it to this test"
            );
        } else {
            actions.extend(query_calls(&path, &text));
        }
        if path.parent().unwrap().ends_with("src/cloud/channel") {
            actions.extend(store_calls(&text));
        }
    }
    (operations, actions)
}

#[test]
fn every_call_in_the_code_is_in_the_table_and_every_call_of_ours_in_the_table_is_in_the_code() {
    let (operations, actions) = called();
    assert!(
        operations.len() > 30 && actions.len() > 12,
        "{operations:?} {actions:?}"
    );
    let ours = |need: &&Need| need.caller == CallOrigin::Us;
    let table: BTreeSet<&str> = needs().filter(ours).map(|need| need.action).collect();
    let names: BTreeSet<&str> = table
        .iter()
        .map(|action| action.split(':').nth(1).unwrap())
        .collect();
    let unknown: Vec<&String> = operations
        .iter()
        .filter(|name| !names.contains(name.as_str()))
        .collect();
    assert!(
        unknown.is_empty(),
        "called, and not in src/cloud/aws/permissions.rs as ours: {unknown:?}"
    );
    let unknown: Vec<&String> = actions
        .iter()
        .filter(|action| !table.contains(action.as_str()))
        .collect();
    assert!(
        unknown.is_empty(),
        "called, and not in src/cloud/aws/permissions.rs as ours: {unknown:?}"
    );

    let is_called = |action: &str| {
        operations.contains(action.split(':').nth(1).unwrap()) || actions.contains(action)
    };
    let never: Vec<&str> = table
        .into_iter()
        .filter(|action| !is_called(action))
        .collect();
    assert!(
        never.is_empty(),
        "in the table as called by us, and called nowhere: {never:?}"
    );
}

// Policies in the module.

/// Just enough of Terraform's language for objects, lists, texts and references.
struct Hcl<'a>(&'a str);

impl Hcl<'_> {
    fn value(text: &str) -> Value {
        let without_comments: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .collect();
        let text = without_comments.join("\n");
        Hcl(&text).read()
    }

    fn skip(&mut self) {
        self.0 = self
            .0
            .trim_start_matches(|character: char| character.is_whitespace() || character == ',');
    }

    fn take(&mut self, mark: char) -> bool {
        self.skip();
        let rest = self.0.strip_prefix(mark);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn read(&mut self) -> Value {
        if self.take('{') {
            let mut object = serde_json::Map::new();
            while !self.take('}') {
                let key = self.word();
                assert!(self.take('=') || self.take(':'), "{}", self.0);
                object.insert(key, self.read());
            }
            return Value::Object(object);
        }
        if self.take('[') {
            let mut list = Vec::new();
            while !self.take(']') {
                list.push(self.read());
            }
            return Value::Array(list);
        }
        Value::String(self.word())
    }

    /// Returns a text, or a reference as `${it}`.
    fn word(&mut self) -> String {
        self.skip();
        if let Some(rest) = self.0.strip_prefix('"') {
            let (text, rest) = rest.split_once('"').unwrap();
            self.0 = rest;
            return text.to_owned();
        }
        let end = self
            .0
            .find(|c: char| !(c.is_alphanumeric() || "_.".contains(c)))
            .unwrap();
        assert!(end > 0, "{}", self.0);
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        if word.contains('.') {
            format!("${{{word}}}")
        } else {
            word.to_owned()
        }
    }
}

fn module(name: &str) -> String {
    std::fs::read_to_string(project("terraform").join(name)).unwrap()
}

/// Returns the inline policy of a resource of the module.
fn policy(text: &str, resource: &str) -> Value {
    let from = text
        .split(&format!("resource {resource} {{"))
        .nth(1)
        .unwrap();
    Hcl::value(from.split("jsonencode(").nth(1).unwrap())
}

/// Returns action, resource and condition of each statement; names are only for people.
fn meaning(policy: &Value) -> BTreeSet<String> {
    let list = |value: &Value| match value {
        Value::String(text) => BTreeSet::from([text.clone()]),
        many => many
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap().to_owned())
            .collect(),
    };
    let statements = policy["Statement"].as_array().unwrap().iter();
    let meaning_of = |statement: &Value| {
        let (actions, resources) = (list(&statement["Action"]), list(&statement["Resource"]));
        format!(
            "{} {actions:?} on {resources:?} if {}",
            statement["Effect"].as_str().unwrap(),
            statement["Condition"]
        )
    };
    statements.map(meaning_of).collect()
}

#[test]
fn the_generators_document_is_what_the_module_gives_to_tasks() {
    let role = policy(&module("roles.tf"), r#""aws_iam_role_policy" "task""#).to_string();
    let role: Value = serde_json::from_str(&role.replace(
        "${aws_s3_bucket.channel.arn}",
        "arn:aws:s3:::spikeproof-sp-*",
    ))
    .unwrap();
    let document: Value = serde_json::from_str(&document(Role::Generator)).unwrap();
    assert_eq!(meaning(&role), meaning(&document));
}

/// Returns the statements of the module's two roles, as they are in the documents.
fn statements_of_the_module() -> BTreeSet<String> {
    let roles = ["task", "execution"].map(|role| {
        let text = policy(
            &module("roles.tf"),
            &format!(r#""aws_iam_role_policy" "{role}""#),
        );
        let text = text
            .to_string()
            .replace(
                "${aws_s3_bucket.channel.arn}",
                "arn:aws:s3:::spikeproof-sp-*",
            )
            .replace(
                "${aws_ecr_repository.generator.arn}",
                "arn:aws:ecr:*:*:repository/spikeproof/sp-*",
            )
            .replace(
                "${aws_cloudwatch_log_group.run.arn}",
                "arn:aws:logs:*:*:log-group:/spikeproof/sp-*",
            );
        meaning(&serde_json::from_str(&text).unwrap())
    });
    roles.into_iter().flatten().collect()
}

/// A boundary that allows less makes tasks fail; one that allows more bounds less.
#[test]
fn the_boundary_is_what_the_module_gives_to_both_roles() {
    let allowed = |role| meaning(&serde_json::from_str(&document(role)).unwrap());
    assert_eq!(statements_of_the_module(), allowed(Role::Boundary));
    let [task, execution] = [Role::Generator, Role::Execution].map(allowed);
    assert_eq!(task.intersection(&execution).count(), 0);
    let both: BTreeSet<String> = task.union(&execution).cloned().collect();
    assert_eq!(both, allowed(Role::Boundary));
}

/// Whoever may make a role, say what it may do and pass it has every right of the account, unless
/// the role is bounded.
#[test]
fn no_document_makes_a_role_without_the_boundary() {
    for role in Role::ALL {
        let document: Value = serde_json::from_str(&document(role)).unwrap();
        for statement in document["Statement"].as_array().unwrap() {
            for action in statement["Action"].as_array().unwrap() {
                let action = action.as_str().unwrap().trim_start_matches("iam:");
                let widens = ["CreateRole", "PutRolePolicy"].contains(&action);
                let bound = &statement["Condition"]["ArnLike"]["iam:PermissionsBoundary"];
                let expected = match widens {
                    true => json!("arn:aws:iam::*:policy/spikeproof-boundary"),
                    false => Value::Null,
                };
                assert_eq!(*bound, expected, "{}: {action}", role.name());
                // Nobody takes a boundary away, changes its policy, or attaches another.
                for way_out in [
                    "PutRolePermissionsBoundary",
                    "DeleteRolePermissionsBoundary",
                    "AttachRolePolicy",
                    "UpdateAssumeRolePolicy",
                    "CreatePolicy",
                    "CreatePolicyVersion",
                    "SetDefaultPolicyVersion",
                ] {
                    assert_ne!(action, way_out, "{}", role.name());
                }
            }
        }
    }
}

#[test]
fn the_bucket_is_closed_to_the_public_takes_tls_only_has_one_owner_and_is_encrypted() {
    let text = module("bucket.tf");
    // Comments are left out, and the number of spaces is terraform fmt's affair.
    let text: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ");
    let block = |resource: &str| {
        let from = text
            .split(&format!("resource {resource} {{"))
            .nth(1)
            .unwrap_or_else(|| panic!("no {resource}"));
        from.split(" resource ").next().unwrap().to_owned()
    };
    let public = block(r#""aws_s3_bucket_public_access_block" "channel""#);
    for key in [
        "block_public_acls",
        "block_public_policy",
        "ignore_public_acls",
        "restrict_public_buckets",
    ] {
        assert!(public.contains(&format!("{key} = true")), "{public}");
    }
    assert!(
        block(r#""aws_s3_bucket_ownership_controls" "channel""#)
            .contains(r#"object_ownership = "BucketOwnerEnforced""#)
    );
    let bucket = block(r#""aws_s3_bucket" "channel""#);
    assert!(
        bucket.contains("server_side_encryption_configuration")
            && bucket.contains(r#"sse_algorithm = "AES256""#)
    );
    assert!(!bucket.contains("versioning"));
    let expected = json!({ "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "s3:*",
        "Resource": ["${aws_s3_bucket.channel.arn}", "${aws_s3_bucket.channel.arn}/*"],
        "Condition": { "Bool": { "aws:SecureTransport": "false" } },
    }] });
    let found = policy(&module("bucket.tf"), r#""aws_s3_bucket_policy" "channel""#);
    assert_eq!(meaning(&found), meaning(&expected));
    assert_eq!(found["Statement"][0]["Principal"], "*");
}

// A lab that denies everything else.

#[path = "support/trial.rs"]
mod trial;

use trial::{Trial, text};

impl Trial {
    /// Returns the operator's document without one action, and the generators' as it is.
    async fn without(action: &str) -> Self {
        let text = document(Role::Operator);
        let shorter = text
            .replace(&format!("\"{action}\","), "")
            .replace(&format!(",\n        \"{action}\"\n"), "\n");
        assert_ne!(text, shorter);
        let folder = tempfile::tempdir().unwrap();
        let operator = folder.path().join("operator.json");
        std::fs::write(&operator, shorter).unwrap();
        Self::new(
            "",
            PolicyFiles {
                operator: Some(operator),
                tasks: Some(file(Role::Generator)),
            },
        )
        .await
    }

    /// Returns a steady load with a file for the tasks. (A group that is watched and need not scale
    /// makes a run inconclusive.)
    fn scenario(&self, hold: &str, group: &str) -> String {
        std::fs::write(
            self.folder.path().join("users.csv"),
            "name\n".to_owned() + &"ada\n".repeat(400),
        )
        .unwrap();
        let path = self.folder.path().join("scenario.yaml");
        let text = format!(
            "name: permitted\n\
             target: {{ url: '${{TARGET_URL}}'{group} }}\n\
             data: {{ users: {{ file: users.csv }} }}\n\
             phases:\n  - {{ name: steady, rate: 20/s, hold: {hold} }}\n\
             flows:\n  - {{ name: browse, steps: [ {{ get: '/api/{{{{ users.name }}}}' }} ] }}\n\
             thresholds: [ 'errors < 1%' ]\n"
        );
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn usage(&self) -> [Usage; 2] {
        self.lab.permissions()
    }

    async fn nothing_is_left(self) {
        assert_eq!(self.lab.inventory().await.unwrap(), Vec::<String>::new());
        self.lab.stop().await;
    }
}

/// Actions that the operator's document allows, but that neither a whole run nor a killed and
/// reaped one needs in the lab. The second text says why each is there all the same.
const NEVER_USED: [(&str, &str); 9] = [
    (
        "application-autoscaling:DescribeScalableTargets",
        "the target was no ECS service",
    ),
    (
        "application-autoscaling:DescribeScalingActivities",
        "the target was no ECS service",
    ),
    (
        "application-autoscaling:DescribeScalingPolicies",
        "the target was no ECS service",
    ),
    (
        "application-autoscaling:DescribeScheduledActions",
        "the target was no ECS service",
    ),
    ("autoscaling:DescribeWarmPool", "the group had no warm pool"),
    (
        "ec2:RevokeSecurityGroupIngress",
        "our group has no way in; somebody may have opened one",
    ),
    ("ecs:DescribeServices", "the target was no ECS service"),
    (
        "iam:CreateServiceLinkedRole",
        "the lab's account has used Fargate before",
    ),
    (
        "iam:DetachRolePolicy",
        "our roles have none attached; somebody may have attached one",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_run_and_a_killed_and_reaped_one_pass_while_everything_else_is_denied() {
    let files = PolicyFiles {
        operator: Some(file(Role::Operator)),
        tasks: Some(file(Role::Generator)),
    };
    let trial = Trial::new("", files).await;
    let scenario = trial.scenario("5s", "");
    let output = trial.run(&["run", &scenario]).await;
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}\n{:#?}",
        text(&output),
        trial.usage()
    );
    let denied = trial.usage().map(|usage| usage.denied);
    assert_eq!(
        denied,
        [Vec::<String>::new(), Vec::new()],
        "{}",
        text(&output)
    );

    // And one of which nothing is known but its journal: then everything is deleted by name.
    let scenario = trial.scenario("10m", ", group: lab-web");
    let mut child = trial
        .command(&["run", "--no-guard", &scenario])
        .spawn()
        .unwrap();
    wait_for(&mut child, "load phase steady").await;
    child.kill().await.unwrap();
    forget_all_but_the_journals(&trial.folder.path().join("runs"));
    let reaped = trial.run(&["reap"]).await;
    assert_eq!(
        reaped.status.code(),
        Some(0),
        "{}\n{:#?}",
        text(&reaped),
        trial.usage()
    );

    let [operator, tasks] = trial.usage();
    assert_eq!(
        (operator.denied, tasks.denied),
        (Vec::new(), Vec::new()),
        "{}",
        text(&reaped)
    );
    // S3 asks for it where a key is missing, and moto does not.
    assert_eq!(tasks.unused, ["s3:ListBucket"]);
    let expected: Vec<&str> = NEVER_USED.iter().map(|(action, _)| *action).collect();
    assert_eq!(operator.unused, expected, "used: {:#?}", operator.used);
    // The calls that close the bucket were really made.
    for closing in [
        "BucketPublicAccessBlock",
        "BucketPolicy",
        "BucketOwnershipControls",
        "EncryptionConfiguration",
    ] {
        assert!(
            operator.used.contains(&format!("s3:Put{closing}")),
            "{closing}"
        );
    }
    trial.nothing_is_left().await;
}

/// The document requires the boundary, and the account must have it.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_makes_roles_without_the_boundary_is_denied() {
    let files = PolicyFiles {
        operator: Some(file(Role::Operator)),
        tasks: Some(file(Role::Generator)),
    };
    let trial = Trial::new("", files).await;
    let scenario = trial.scenario("5s", "");
    let output = trial
        .run(&["run", "--permissions-boundary", "none", &scenario])
        .await;
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let [operator, _] = trial.usage();
    let denied: BTreeSet<&str> = operator
        .denied
        .iter()
        .map(|denied| denied.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        denied,
        BTreeSet::from(["iam:CreateRole"]),
        "{}",
        text(&output)
    );

    let absent = trial
        .run(&["run", "--permissions-boundary", "absent", &scenario])
        .await;
    // Another policy than the document's cannot even be looked at: terraform is denied as well.
    assert_eq!(absent.status.code(), Some(4), "{}", text(&absent));
    trial.nothing_is_left().await;

    let free = Trial::new("", PolicyFiles::default()).await;
    let scenario = free.scenario("5s", "");
    let absent = free
        .run(&["run", "--permissions-boundary", "absent", &scenario])
        .await;
    assert_eq!(absent.status.code(), Some(4), "{}", text(&absent));
    for words in [
        "no policy arn:aws:iam::123456789012:policy/absent",
        "aws iam create-policy --policy-name absent",
    ] {
        assert!(text(&absent).contains(words), "{words}: {}", text(&absent));
    }
    let [operator, _] = free.usage();
    let made = |action: &&String| action.contains(":Create");
    assert_eq!(operator.used.iter().filter(made).count(), 0);
    free.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_given_roles_writes_nothing_to_iam() {
    let roles =
        ["execution", "task"].map(|name| format!("arn:aws:iam::123456789012:role/ready/{name}"));
    let options = [
        format!("--execution-role={}", roles[0]),
        format!("--task-role={}", roles[1]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let operator = folder.path().join("operator.json");
    let printed = Command::new(env!("CARGO_BIN_EXE_spikeproof"))
        .args(["permissions", "operator"])
        .args(&options)
        .output()
        .await
        .unwrap();
    std::fs::write(&operator, &printed.stdout).unwrap();
    let files = PolicyFiles {
        operator: Some(operator),
        tasks: Some(file(Role::Generator)),
    };
    let trial = Trial::new("", files).await;
    let scenario = trial.scenario("5s", "");
    let output = trial
        .run(&["run", &options[0], &options[1], &scenario])
        .await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let [operator, tasks] = trial.usage();
    assert_eq!(operator.denied, Vec::<String>::new(), "{}", text(&output));
    assert_eq!(tasks.denied, Vec::<String>::new());
    let iam = |action: &&String| action.starts_with("iam:");
    let all: BTreeSet<&String> = operator.used.iter().chain(&operator.unused).collect();
    let used: Vec<&String> = all.into_iter().filter(iam).collect();
    assert_eq!(used, ["iam:GetRole", "iam:PassRole"]);

    // The document passes these roles, and no other.
    let text_of_the_document: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let statements = text_of_the_document["Statement"].as_array().unwrap();
    let passes = statements
        .iter()
        .filter(|one| one["Action"] == json!(["iam:PassRole"]));
    let resources: Vec<&Value> = passes.map(|one| &one["Resource"]).collect();
    assert_eq!(resources, [&json!(roles)]);
    let other = trial
        .run(&[
            "run",
            "--execution-role",
            &roles[0],
            "--task-role",
            "arn:aws:iam::123456789012:role/admin",
            &scenario,
        ])
        .await;
    assert_eq!(other.status.code(), Some(4), "{}", text(&other));
    let [operator, _] = trial.usage();
    assert_eq!(
        operator.denied,
        ["iam:PassRole on arn:aws:iam::123456789012:role/admin"]
    );
    trial.nothing_is_left().await;
}

fn forget_all_but_the_journals(runs: &Path) {
    for run in std::fs::read_dir(runs).unwrap() {
        for entry in std::fs::read_dir(run.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else if !["journal", "journal.head", "owner.lock"]
                .contains(&path.file_name().unwrap().to_str().unwrap())
            {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

async fn wait_for(child: &mut tokio::process::Child, words: &str) {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut heard = String::new();
    let seen = tokio::time::timeout(Duration::from_mins(2), async {
        while !heard.contains(words) && stderr.read_line(&mut heard).await.unwrap() > 0 {}
    });
    assert!(
        seen.await.is_ok() && heard.contains(words),
        "never heard `{words}` in:\n{heard}"
    );
    child.stderr = Some(stderr.into_inner());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_document_lacks_is_named_and_nothing_is_left() {
    // One action that terraform needs, and one that our code needs.
    for action in ["ecr:CreateRepository", "ecr:PutImage"] {
        let trial = Trial::without(action).await;
        let output = trial.run(&["run", &trial.scenario("5s", "")]).await;
        assert_eq!(output.status.code(), Some(4), "{action}: {}", text(&output));
        assert!(
            text(&output).contains(&format!("not authorized to perform: {action}")),
            "{action}: {}",
            text(&output)
        );
        let [operator, _] = trial.usage();
        assert!(
            operator
                .denied
                .iter()
                .all(|denied| denied.starts_with(action)),
            "{:?}",
            operator.denied
        );
        trial.nothing_is_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchers_document_is_enough_to_watch_and_has_nothing_more() {
    let mut used = BTreeSet::new();
    let mut allowed = BTreeSet::new();
    for (lab_file, args) in [
        (
            "target: { warm_pool: 1 }\n",
            "watch --group=lab-web --for=2s --out=OUT",
        ),
        (
            "target: { service: true }\n",
            "watch --service=lab/web --for=2s --out=OUT",
        ),
        ("", "run --fleet=local SCENARIO"),
    ] {
        let files = PolicyFiles {
            operator: Some(file(Role::Watcher)),
            tasks: None,
        };
        let trial = Trial::new(lab_file, files).await;
        // Another run on the same group, whose heartbeat is asked for.
        let other = RunId::new(1_764_000_000, 7);
        let ecs = in_the_region_of_the_group(&trial.lab).await;
        let tag = |key: &str, value: &str| {
            let tag = aws_sdk_ecs::types::Tag::builder();
            tag.key(key).value(value).build()
        };
        ecs.create_cluster()
            .cluster_name(ResourceNames::of(&other).cluster)
            .tags(tag(RUN_TAG, other.as_str()))
            .tags(tag(TARGET_TAG, &target_tag("lab-web")))
            .send()
            .await
            .unwrap();
        let out = trial
            .folder
            .path()
            .join("watch.jsonl")
            .display()
            .to_string();
        let args = args
            .replace("OUT", &out)
            .replace("SCENARIO", &trial.scenario("3s", ", group: lab-web"));
        let output = trial.run(&args.split(' ').collect::<Vec<_>>()).await;
        let [operator, _] = trial.usage();
        assert_eq!(operator.denied, Vec::<String>::new(), "{}", text(&output));
        used.extend(operator.used.clone());
        allowed.extend(operator.used.into_iter().chain(operator.unused));
        let cluster = ecs
            .delete_cluster()
            .cluster(ResourceNames::of(&other).cluster);
        cluster.send().await.unwrap();
        trial.nothing_is_left().await;
    }
    let never: Vec<&String> = allowed.difference(&used).collect();
    assert_eq!(never, Vec::<&String>::new());
}

/// The one region in which a bucket is made without naming it in a body.
const REGION: &str = "us-east-1";

/// Returns a caller of the lab. The tasks' key is held to no document here, and so can make the
/// resources that the reaper must destroy.
async fn caller(lab: &Lab, principal: Principal) -> Aws {
    let key = lab.key(principal);
    let token = key.token.as_ref().map(|token| token.text().to_owned());
    let credentials = SharedCredentialsProvider::new(Credentials::new(
        &key.id,
        key.secret.text(),
        token,
        None,
        "test",
    ));
    let sdk = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(lab.endpoint())
        .region(Region::new(REGION))
        .credentials_provider(credentials.clone())
        .load()
        .await;
    Aws {
        region: REGION.to_owned(),
        endpoint: Some(lab.endpoint().to_owned()),
        credentials,
        sdk,
    }
}

/// Returns a client that is held to no document.
async fn in_the_region_of_the_group(lab: &Lab) -> aws_sdk_ecs::Client {
    let environment = lab.environment();
    let region = environment.iter().find(|(name, _)| name == "AWS_REGION");
    let sdk = caller(lab, Principal::Tasks).await.sdk;
    let config = aws_sdk_ecs::config::Builder::from(&sdk)
        .region(Region::new(region.unwrap().1.clone()))
        .build();
    aws_sdk_ecs::Client::from_conf(config)
}

async fn make(aws: &Aws, names: &ResourceNames) {
    let ecs = aws_sdk_ecs::Client::new(&aws.sdk);
    ecs.create_cluster()
        .cluster_name(&names.cluster)
        .send()
        .await
        .unwrap();
    let container = ContainerDefinition::builder()
        .name("generator")
        .image("spikeproof")
        .memory(64)
        .build();
    ecs.register_task_definition()
        .family(&names.family)
        .container_definitions(container)
        .send()
        .await
        .unwrap();
    let ecr = aws_sdk_ecr::Client::new(&aws.sdk);
    ecr.create_repository()
        .repository_name(&names.repository)
        .send()
        .await
        .unwrap();
    let query = Query::new(aws);
    let call = [
        ("GroupName", names.security_group.as_str()),
        ("GroupDescription", "generators"),
        ("TagSpecification.1.ResourceType", "security-group"),
        ("TagSpecification.1.Tag.1.Key", "spikeproof:run"),
        ("TagSpecification.1.Tag.1.Value", &names.security_group),
    ];
    query
        .action(Service::Ec2, "CreateSecurityGroup", &call)
        .await
        .unwrap();
    query
        .json(
            Service::Logs,
            "CreateLogGroup",
            &json!({ "logGroupName": names.log_group }),
        )
        .await
        .unwrap();
    for role in [&names.execution_role, &names.task_role] {
        let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
        let call = [
            ("RoleName", role.as_str()),
            ("Path", "/spikeproof/"),
            ("AssumeRolePolicyDocument", trust),
        ];
        query
            .action(Service::Iam, "CreateRole", &call)
            .await
            .unwrap();
        let policy = document(Role::Generator);
        let call = [
            ("RoleName", role.as_str()),
            ("PolicyName", "inline"),
            ("PolicyDocument", &policy),
        ];
        query
            .action(Service::Iam, "PutRolePolicy", &call)
            .await
            .unwrap();
    }
    query.bucket("PUT", &names.bucket, "").await.unwrap();
    query
        .bucket("PUT", &names.bucket, "/run/plan.json")
        .await
        .unwrap();
}

/// Actions of the reaper's document that destroying by name does not need here. The second text
/// says why each is there all the same.
const NEVER_REAPED: [(&str, &str); 12] = [
    ("ecs:DescribeTaskDefinition", "discovery"),
    ("ecs:DescribeTasks", "no task was left"),
    ("ecs:ListClusters", "discovery"),
    ("ecs:ListTaskDefinitionFamilies", "discovery"),
    ("ecs:StopTask", "no task was left"),
    (
        "iam:DetachRolePolicy",
        "our roles have none; somebody may have attached one",
    ),
    ("iam:ListRoles", "discovery"),
    ("s3:GetObject", "who owns a run"),
    ("s3:ListAllMyBuckets", "discovery"),
    ("s3:PutObject", "the stop order"),
    (
        "sts:GetCallerIdentity",
        "asked by the command, not by the inventory",
    ),
    ("tag:GetResources", "discovery"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_reapers_document_is_enough_to_destroy_by_name_and_to_prove_it() {
    let trial = Trial::new(
        "",
        PolicyFiles {
            operator: Some(file(Role::Reaper)),
            tasks: None,
        },
    )
    .await;
    let run = RunId::new(1_764_000_000, 7);
    let names = ResourceNames::of(&run);
    make(&caller(&trial.lab, Principal::Tasks).await, &names).await;
    let reaper = caller(&trial.lab, Principal::Operator).await;
    let inventory = Inventory::new(&reaper, &run);
    for thing in names.things() {
        let there = inventory.exists(&thing).await.unwrap();
        assert_eq!(
            matches!(there, Presence::There { .. }),
            thing.kind != ResourceKind::Tasks,
            "{thing}"
        );
        inventory
            .delete(&thing)
            .await
            .unwrap_or_else(|error| panic!("{thing}: {error}"));
        assert!(
            matches!(inventory.exists(&thing).await, Ok(Presence::Gone { .. })),
            "{thing}"
        );
    }
    let [usage, _] = trial.usage();
    assert_eq!(usage.denied, Vec::<String>::new());
    assert_eq!(usage.unused, NEVER_REAPED.map(|(action, _)| action));

    // And it makes nothing.
    let query = Query::new(&reaper);
    let created = query
        .json(
            Service::Logs,
            "CreateLogGroup",
            &json!({ "logGroupName": names.log_group }),
        )
        .await
        .unwrap_err();
    assert!(
        created
            .message
            .contains("not authorized to perform: logs:CreateLogGroup"),
        "{created}"
    );
    assert!(query.bucket("PUT", &names.bucket, "").await.is_err());
    trial.nothing_is_left().await;
}
