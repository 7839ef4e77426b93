//! Runs every command of the README and of the pages in docs/, because a new user's first commands
//! must work.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::path::Path;
use std::process::Stdio;

use spikeproof::lab::{Options, start};
use tokio::process::Command;

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the shell blocks of the README, in order.
fn blocks() -> Vec<String> {
    blocks_of("README.md")
}

fn blocks_of(page: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(project().join(page)).unwrap();
    readme
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// Runs a block as a newcomer would: from the project's folder, `spikeproof` in PATH.
async fn run(block: &str, environment: Vec<(String, String)>) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_spikeproof"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euc", block])
        .current_dir(project())
        .env("PATH", path)
        .env("SPIKEPROOF_RUNS_DIR", folder.path())
        .envs(environment)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text.into_owned())
}

#[tokio::test]
async fn the_make_targets_exist() {
    let makefile = std::fs::read_to_string(project().join("Makefile")).unwrap();
    let mut named = 0;
    for line in blocks()
        .iter()
        .flat_map(|block| block.lines())
        .filter_map(|line| line.strip_prefix("make "))
    {
        let target = line.split_whitespace().next().unwrap();
        assert!(
            makefile.contains(&format!("\n{target}:")),
            "README says `make {target}`"
        );
        named += 1;
    }
    assert!(named >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_run_and_the_first_run_against_aws_are_as_written() {
    let lab = start(Options::default()).await.unwrap();
    let blocks: Vec<String> = blocks()
        .into_iter()
        .filter(|block| block.contains("spikeproof "))
        .collect();
    let [local, cloud] = blocks.as_slice() else {
        panic!("the README has {} blocks of commands", blocks.len())
    };

    // The lab's target stands for the reader's own server.
    let local = local.replace("http://127.0.0.1:8080", lab.target_url());
    let (code, text) = run(&local, Vec::new()).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("PASSED"), "{text}");

    // The lab's endpoint stands for AWS.
    let export = cloud
        .lines()
        .find(|line| line.starts_with("export "))
        .unwrap();
    let (code, text) = run(&cloud.replace(export, ""), lab.environment()).await;
    assert_eq!(code, Some(0), "{text}");
    for words in [
        "spike-and-recover: valid",
        "PASSED",
        "scale-out",
        "nothing left of 1 run",
    ] {
        assert!(text.contains(words), "`{words}` is not in:\n{text}");
    }
    assert_eq!(lab.inventory().await.unwrap(), Vec::<String>::new());
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_on_scaling_are_as_written() {
    let lab = start(Options::default()).await.unwrap();
    let [block] = blocks_of("docs/scaling.md")
        .try_into()
        .unwrap_or_else(|_| panic!("one block"));
    // Generators on this machine, the lab's group, and a watch that sees nothing happen.
    let block = block
        .replace("spikeproof run ", "spikeproof run --fleet local ")
        .replace(
            "shop-web --for 20m",
            "lab-web --for 2s --out $SPIKEPROOF_RUNS_DIR/watch.jsonl",
        )
        .replace('\n', " ; echo \"exit $?\"\n");
    let (_, text) = run(&format!("set +e\n{block}"), lab.environment()).await;
    let exits: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("exit "))
        .collect();
    // Exit 5: nothing scaled during the watch. Exit 2: one run cannot be compared.
    assert_eq!(
        exits,
        ["exit 0", "exit 0", "exit 5", "exit 0", "exit 0", "exit 2"],
        "{text}"
    );
    for words in [
        "scale-out takes at least 3s",
        "PASSED",
        "what if: target 40, min 3",
        "it takes two runs to compare",
    ] {
        assert!(text.contains(words), "`{words}` is not in:\n{text}");
    }
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_on_permissions_are_as_written() {
    let [print, held] = blocks_of("docs/permissions.md")
        .try_into()
        .unwrap_or_else(|_| panic!("two blocks"));
    // The page writes files to the current folder; the test writes them to a temporary one.
    let files = ["operator.json", "reaper.json", "boundary.json"];
    let text = files.iter().fold(print + &held, |text, file| {
        text.replace(file, &format!("$SPIKEPROOF_RUNS_DIR/{file}"))
    });
    let (code, text) = run(&text, Vec::new()).await;
    assert_eq!(code, Some(0), "{text}");
    for words in [
        "PASSED",
        "the emulated account is empty",
        "permissions of the operator:",
        ", 0 denied",
        "never used: iam:DetachRolePolicy",
    ] {
        assert!(text.contains(words), "`{words}` is not in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_on_teardown_are_as_written() {
    let lab = start(Options::default()).await.unwrap();
    let [reap, proofs] = blocks_of("docs/teardown.md")
        .try_into()
        .unwrap_or_else(|_| panic!("two blocks"));
    let (code, text) = run(&reap, lab.environment()).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(text.matches("nothing left of 0 runs").count(), 2, "{text}");
    lab.stop().await;
    // Each proof takes minutes, and `tests/teardown` runs a sample. This test checks only the
    // commands that make would run.
    for line in proofs.lines() {
        let (code, text) = run(&line.replace("make ", "make --dry-run "), Vec::new()).await;
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("--test teardown"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_on_limits_are_as_written() {
    let lab = start(Options::default()).await.unwrap();
    let [ask, run_it] = blocks_of("docs/limits.md")
        .try_into()
        .unwrap_or_else(|_| panic!("two blocks"));
    let (code, text) = run(&ask, lab.environment()).await;
    assert_eq!(code, Some(0), "{text}");
    // The lab's target, and the hash of the account in the example.
    let mark = spikeproof::limits::ownership_token("123456789012");
    for words in ["the target is this machine's own", &mark] {
        assert!(text.contains(words), "`{words}` is not in:\n{text}");
    }
    let (code, text) = run(
        &run_it.replace("spikeproof run ", "spikeproof run --fleet local "),
        lab.environment(),
    )
    .await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("target: this machine's own"), "{text}");
    lab.stop().await;

    let page = std::fs::read_to_string(project().join("docs/limits.md")).unwrap();
    let file = page
        .split("```yaml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let organisation = spikeproof::limits::Organisation::parse(file).unwrap();
    assert_eq!(
        (
            organisation.max_tasks,
            organisation.hosts.map(|hosts| hosts.len())
        ),
        (Some(10), Some(2))
    );
}

#[tokio::test]
async fn the_exit_codes_are_those_of_the_program() {
    let readme = std::fs::read_to_string(project().join("README.md")).unwrap();
    for line in spikeproof::outcome::EXIT_CODES.lines().skip(1) {
        let code = line.split_whitespace().next().unwrap();
        assert!(readme.contains(&format!("| {code} |")), "exit code {code}");
    }
}

#[tokio::test]
async fn every_command_has_help_and_is_in_the_readme() {
    let readme = std::fs::read_to_string(project().join("README.md")).unwrap();
    for command in [
        "run",
        "init",
        "check",
        "report",
        "advise",
        "watch",
        "compare",
        "reap",
        "lab",
        "image",
        "permissions",
        "schema",
    ] {
        let (code, text) = run(&format!("spikeproof {command} --help"), Vec::new()).await;
        assert_eq!(code, Some(0));
        assert!(text.contains("Usage: spikeproof"), "{text}");
        assert!(
            readme.contains(&format!("spikeproof {command}")),
            "{command}"
        );
    }
}
