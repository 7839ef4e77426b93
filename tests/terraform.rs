//! The embedded module against the real terraform: valid for the pinned provider, without anything
//! that costs by the hour, and described whole. Its own tests are in `terraform/tests`.
//!
//! Nothing is skipped quietly: without terraform or the provider these tests fail and say what to
//! install.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot run must fail, with the sentence that says why"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use spikeproof::journal::locks::WorkLock;
use spikeproof::terraform::{Binary, Terraform, Variables, locate};
use tokio_util::sync::CancellationToken;

async fn binary() -> Binary {
    locate(None, |name| std::env::var_os(name))
        .await
        .unwrap_or_else(|error| panic!("this test needs terraform: {error}"))
}

fn module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("terraform")
}

/// Returns the second words of the module's blocks of one kind: `variable "run" {` is `run`.
fn declared(kind: &str) -> BTreeSet<String> {
    let head = format!("{kind} \"");
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(module()).unwrap().flatten() {
        if entry
            .path()
            .extension()
            .is_some_and(|ending| ending == "tf")
        {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let blocks = text.lines().filter_map(|line| line.strip_prefix(&head));
            names.extend(blocks.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    names
}

/// None of these costs by the hour. A type that is new here needs a look at its price.
#[test]
fn nothing_in_the_module_costs_by_the_hour() {
    let free = [
        "aws_cloudwatch_log_group",
        "aws_ecr_repository",
        "aws_ecs_cluster",
        "aws_ecs_task_definition",
        "aws_iam_role",
        "aws_iam_role_policy",
        "aws_s3_bucket",
        "aws_s3_bucket_ownership_controls",
        "aws_s3_bucket_policy",
        "aws_s3_bucket_public_access_block",
        "aws_security_group",
    ];
    assert_eq!(declared("resource"), free.map(str::to_owned).into());
}

/// The provider gives every resource the run's tag, by which strangers' resources are told from a
/// run's own; it comes last, so that no tag of the user replaces it.
#[test]
fn every_resource_has_the_tag_of_its_run() {
    let text = std::fs::read_to_string(module().join("versions.tf")).unwrap();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let tags = "default_tags { tags = merge(var.tags, { \"spikeproof:run\" = var.run }) }";
    assert!(words.contains(tags), "{words}");
}

/// Returns the first cells of the table below a heading of the module's README, without their
/// backticks.
fn documented(heading: &str) -> BTreeSet<String> {
    let readme = std::fs::read_to_string(module().join("README.md")).unwrap();
    let section = readme.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    section
        .split("\n## ")
        .next()
        .unwrap()
        .lines()
        .filter_map(|row| row.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn the_readme_of_the_module_names_every_input_and_output() {
    assert_eq!(documented("Inputs"), declared("variable"));
    assert_eq!(documented("Outputs"), declared("output"));
}

/// Returns a folder with the module in it and the provider at hand, and the binary.
async fn initialised(run: &Path) -> PathBuf {
    let binary = binary().await;
    let path: PathBuf = binary.path.clone();
    let lock = Arc::new(WorkLock::take(run).unwrap().unwrap());
    let terraform = Terraform::new(binary, run, lock, std::env::vars_os(), |_| {});
    if let Err(error) = terraform
        .init(&variables(), &CancellationToken::new())
        .await
    {
        panic!(
            "this test needs the AWS provider 5.100.0, from the registry or from the folder that SPIKEPROOF_PLUGIN_DIR \
             names: {error}"
        );
    }
    path
}

fn variables() -> Variables {
    Variables {
        run: "sp-0000000001".into(),
        region: "us-east-1".into(),
        vpc_id: "vpc-1".into(),
        cpu: 1024,
        memory: 2048,
        arch: "X86_64".into(),
        image: String::new(),
        image_digest: format!("sha256:{}", "a".repeat(64)),
        permissions_boundary: String::new(),
        execution_role: String::new(),
        task_role: String::new(),
        tags: BTreeMap::new(),
    }
}

/// terraform must not run a provider that is not the tested one.
#[tokio::test]
async fn a_provider_with_another_checksum_is_refused() {
    let run = tempfile::tempdir().unwrap();
    let binary = binary().await;
    if binary.platform != "linux_amd64" || binary.path.ends_with("tofu") {
        println!("not run: the checksum of an unpacked package is known for linux_amd64 only");
        return;
    }
    let mirror = tempfile::tempdir().unwrap();
    let package = mirror
        .path()
        .join("registry.terraform.io/hashicorp/aws/5.100.0/linux_amd64");
    std::fs::create_dir_all(&package).unwrap();
    let program = package.join("terraform-provider-aws_v5.100.0_x5");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    let environment = std::env::vars_os().chain([(
        "SPIKEPROOF_PLUGIN_DIR".into(),
        mirror.path().as_os_str().to_owned(),
    )]);
    let lock = Arc::new(WorkLock::take(run.path()).unwrap().unwrap());
    let terraform = Terraform::new(binary, run.path(), lock, environment, |_| {});
    let refused = terraform
        .init(&variables(), &CancellationToken::new())
        .await
        .unwrap_err();
    let logs: String = std::fs::read_dir(run.path())
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".jsonl"))
        .map(|entry| std::fs::read_to_string(entry.path()).unwrap())
        .collect();
    assert!(logs.contains("checksums"), "{refused}: {logs}");
}

fn validate(path: &Path, folder: &Path) {
    let output = Command::new(path)
        .args(["validate", "-no-color"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn the_module_is_valid_for_the_pinned_provider() {
    let run = tempfile::tempdir().unwrap();
    let path = initialised(run.path()).await;
    validate(&path, &run.path().join("module"));
}

/// Every kind of change that advice offers, as the snapshots of its unit tests have it, is valid
/// Terraform.
#[tokio::test]
async fn the_advice_is_valid_for_the_pinned_provider() {
    let run = tempfile::tempdir().unwrap();
    let path = initialised(run.path()).await;
    let module = run.path().join("module");
    for entry in std::fs::read_dir(&module).unwrap().flatten() {
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "tf")
        {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let required =
        "terraform {\n  required_providers {\n    aws = { source = \"hashicorp/aws\" }\n  }\n}\n";
    std::fs::write(module.join("versions.tf"), required).unwrap();
    let advice = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/judge/advice");
    let folders = ["snapshots", "snippet/snapshots"];
    let files = folders.map(|folder| std::fs::read_dir(advice.join(folder)).unwrap());
    let mut resources = 0;
    for (number, entry) in files.into_iter().flatten().flatten().enumerate() {
        let snapshot = std::fs::read_to_string(entry.path()).unwrap();
        let text = snapshot.splitn(3, "---\n").nth(2).unwrap();
        for (index, change) in text.split("\n\n# ").enumerate() {
            let is_resource = change.starts_with("resource ") || change.starts_with("# ");
            let change = if is_resource {
                change.to_owned()
            } else {
                format!("# {change}")
            };
            // Several changes have a resource of one name; each is for itself.
            let own = change.replace(
                "\"spikeproof\" {",
                &format!("\"spikeproof_{number}_{index}\" {{"),
            );
            let own = own.replace("\"spike\" {", &format!("\"spike_{number}_{index}\" {{"));
            let own = own.replace(
                "policy.spike.arn",
                &format!("policy.spike_{number}_{index}.arn"),
            );
            let own = own.replace(
                "\"before_the_spike\" {",
                &format!("\"before_{number}_{index}\" {{"),
            );
            resources += own
                .lines()
                .filter(|line| line.starts_with("resource "))
                .count();
            std::fs::write(
                module.join(format!("change_{number}_{index}.tf")),
                format!("{own}\n"),
            )
            .unwrap();
        }
    }
    assert!(resources >= 15, "{resources}");
    validate(&path, &module);
}
