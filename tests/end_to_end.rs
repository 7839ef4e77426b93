//! Complete runs against the lab: real terraform, the real AWS provider, real generator processes,
//! and a target that slows down under load. Each test ends with a check that the account is empty.

#![allow(
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed, and a story is told in one piece"
)]

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use spikeproof::lab::PolicyFiles;
use spikeproof::limits::OwnershipProof;
use spikeproof::report::RunReport;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

#[path = "support/trial.rs"]
mod trial;

use trial::{Trial, path, text};

impl Trial {
    async fn usual(lab_file: &str) -> Self {
        Self::new(lab_file, PolicyFiles::default()).await
    }

    fn scenario(&self, text: &str) -> String {
        let path = self.folder.path().join("scenario.yaml");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn report(&self) -> RunReport {
        let run = std::fs::read_dir(self.runs())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        assert!(run.join("report.html").exists());
        serde_json::from_str(&std::fs::read_to_string(run.join("report.json")).unwrap()).unwrap()
    }

    /// Checks that nothing of ours is in the account, and that no generator is alive.
    async fn nothing_is_left(self) {
        assert_eq!(self.lab.inventory().await.unwrap(), Vec::<String>::new());
        let generators = generators(self.lab.endpoint());
        assert!(generators.is_empty(), "generators alive: {generators:?}");
        self.lab.stop().await;
    }
}

/// Returns generator processes that talk to this lab (others may be another test's).
fn generators(endpoint: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let (Ok(line), Ok(environment)) = (
            std::fs::read(entry.path().join("cmdline")),
            std::fs::read(entry.path().join("environ")),
        ) else {
            continue;
        };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("spikeproof generate")
            && String::from_utf8_lossy(&environment).contains(endpoint)
        {
            found.push(line);
        }
    }
    found
}

const SHORT: &str = "
name: short
target: { url: '${TARGET_URL}', timeout: 5s }
phases:
  - { name: steady, rate: 50/s, hold: 6s }
flows:
  - { name: browse, steps: [ { get: /api/products } ] }
thresholds: [ 'errors < 1%' ]
";

#[tokio::test(flavor = "multi_thread")]
async fn the_group_grows_under_a_spike_and_comes_back_and_nothing_is_left() {
    let trial = Trial::usual("").await;
    let output = trial
        .run(&["run", &path("scenarios/spike-and-recover.yaml")])
        .await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));

    let report = trial.report();
    assert_eq!(report.standing.proof, Some(OwnershipProof::ThisMachine));
    let judged = report.judged.unwrap();
    let reaction = judged.reaction.unwrap();
    assert!(
        reaction.out_took.is_some() && reaction.in_took.is_some(),
        "{reaction:?}"
    );
    assert!(reaction.desired_peak > reaction.desired_before);
    assert_eq!(reaction.desired_after, reaction.desired_before);
    assert_eq!(report.destroyed.left, Vec::<String>::new());
    assert!(report.destroyed.gone.len() >= 9, "{:?}", report.destroyed);

    // The lab's instances handle 4 requests at a time for 20 ms each: 200/s. The run must measure
    // that, and the model of the policy must agree with the group.
    let advice = report.advice.unwrap();
    let capacity = advice.capacity.unwrap();
    assert!((150.0..=230.0).contains(&capacity.at_limit), "{capacity:?}");
    let agreement = advice.agreement.unwrap();
    assert!(
        agreement.share() >= 0.8,
        "{agreement:?}: {:?}",
        advice.metric
    );
    assert!(
        advice.candidates.len() > 3
            && advice
                .candidates
                .iter()
                .any(|candidate| candidate.recommended)
    );

    // The target really slowed down, and recovered when the group had grown.
    let load = report.load.unwrap();
    let spike = load
        .phases
        .iter()
        .find(|phase| phase.row.name == "spike")
        .unwrap();
    let seconds = &load.seconds[spike.from.as_secs() as usize..spike.to.as_secs() as usize];
    let p95 = |seconds: &[spikeproof::report::ReportedSecond]| {
        let mut values: Vec<u64> = seconds.iter().filter_map(|second| second.p95).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    let third = seconds.len() / 3;
    let (early, late) = (
        p95(&seconds[1..third]),
        p95(&seconds[seconds.len() - third..]),
    );
    assert!(
        early > late * 3,
        "p95 early in the spike {early} us, at its end {late} us"
    );

    let again = trial.run(&["report"]).await;
    assert!(text(&again).contains("scale-out"), "{}", text(&again));
    let reap = trial.run(&["reap"]).await;
    assert_eq!(reap.status.code(), Some(0), "{}", text(&reap));
    trial.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sustained_scenario_passes_against_the_lab() {
    let trial = Trial::usual("").await;
    let output = trial
        .run(&["run", "--fleet", "local", &path("scenarios/sustained.yaml")])
        .await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("rate > 95/s"), "{}", text(&output));
    trial.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_threshold_is_exit_1_and_nothing_is_left() {
    let trial = Trial::usual("").await;
    let scenario =
        trial.scenario(&SHORT.replace("/api/products", "/api/products, check: { status: 418 }"));
    let output = trial.run(&["run", &scenario]).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("FAILED  errors < 1%"),
        "{}",
        text(&output)
    );
    trial.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_apply_is_exit_4_with_terraforms_own_reason_and_nothing_is_left() {
    let refuse = "faults: { refuse: [ { action: CreateRepository, code: AccessDeniedException, message: 'too many repositories' } ] }";
    let trial = Trial::usual(refuse).await;
    let scenario = trial.scenario(SHORT);
    let output = trial.run(&["run", &scenario]).await;
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    assert!(
        text(&output).contains("too many repositories"),
        "{}",
        text(&output)
    );
    assert!(trial.report().judged.is_none());
    trial.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_never_starts_is_exit_4_with_its_reason_and_nothing_is_left() {
    let trial = Trial::usual("faults: { every_task_fails: true }").await;
    let scenario = trial.scenario(SHORT);
    let output = trial.run(&["run", &scenario]).await;
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    assert!(
        text(&output).contains("could not start 2 of 2 tasks"),
        "{}",
        text(&output)
    );
    trial.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maximum_duration_reached_during_apply_ends_the_run_and_nothing_is_left() {
    let trial = Trial::usual("").await;
    let scenario = trial.scenario(SHORT);
    let output = trial.run(&["run", "--max-duration", "7s", &scenario]).await;
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let words = "provision: --max-duration (7s) is reached, before there was any load";
    assert!(text(&output).contains(words), "{}", text(&output));
    assert!(!trial.report().interrupted);
    trial.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_used_up_ends_the_run_and_nothing_is_left() {
    // One task fails and is replaced. So three are billed, each for a minute at least, although two
    // were estimated.
    let trial = Trial::usual("faults: { task_start_failures: [0] }").await;
    let scenario = trial.scenario(&format!(
        "{SHORT}fleet: {{ cpu: 1, tasks: 2 }}\nbudget: 0.004 USD\n"
    ));
    let output = trial.run(&["run", &scenario]).await;
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    assert!(
        text(&output).contains("the budget of $0.00400 is reached: the tasks cost "),
        "{}",
        text(&output)
    );
    assert!(
        text(&output).contains(", before there was any load"),
        "{}",
        text(&output)
    );
    trial.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_during_load_judges_the_data_so_far_and_nothing_is_left() {
    let trial = Trial::usual("").await;
    let scenario = trial.scenario(&SHORT.replace("hold: 6s", "hold: 10m"));
    let mut child = trial.command(&["run", &scenario]).spawn().unwrap();
    let before = wait_for(&mut child, "load phase steady").await;
    let heard = wait_for(&mut child, "req/s").await;
    interrupt(&child);
    let interrupted = jiff::Timestamp::now();
    let output = tokio::time::timeout(Duration::from_mins(2), child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(130),
        "{before}{heard}{}",
        text(&output)
    );
    assert!(text(&output).contains("INTERRUPTED"), "{}", text(&output));
    // Within two seconds, plus one for a busy machine.
    let went_on = trial
        .lab
        .last_request()
        .unwrap()
        .duration_since(interrupted);
    assert!(
        went_on < jiff::SignedDuration::from_secs(3),
        "load went on for {went_on:?}"
    );
    let report = trial.report();
    assert!(report.interrupted);
    assert!(
        report
            .judged
            .unwrap()
            .because
            .contains("the load ended early: interrupted")
    );
    trial.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_a_killed_run_are_reaped_from_its_journal() {
    let trial = Trial::usual("").await;
    let scenario = trial.scenario(&SHORT.replace("hold: 6s", "hold: 10m"));
    let mut child = trial
        .command(&["run", "--no-guard", &scenario])
        .spawn()
        .unwrap();
    wait_for(&mut child, "load phase steady").await;
    child.kill().await.unwrap();
    assert_ne!(trial.lab.inventory().await.unwrap(), Vec::<String>::new());

    let listed = trial.run(&["reap", "--dry-run"]).await;
    assert!(
        text(&listed).contains("9 things may be left"),
        "{}",
        text(&listed)
    );
    let reaped = trial.run(&["reap"]).await;
    assert_eq!(reaped.status.code(), Some(0), "{}", text(&reaped));
    let again = trial.run(&["reap"]).await;
    assert!(
        text(&again).contains("nothing left of 1 run"),
        "{}",
        text(&again)
    );
    trial.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_destroys_a_killed_run_without_help() {
    let trial = Trial::usual("").await;
    let scenario = trial.scenario(&SHORT.replace("hold: 6s", "hold: 10m"));
    let mut child = trial.command(&["run", &scenario]).spawn().unwrap();
    wait_for(&mut child, "load phase steady").await;
    child.kill().await.unwrap();
    assert_ne!(trial.lab.inventory().await.unwrap(), Vec::<String>::new());

    // Another reap waits for the guard's lock, or finds everything done.
    let emptied = tokio::time::timeout(Duration::from_secs(90), async {
        while !trial.lab.inventory().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let log = trial
        .runs()
        .read_dir()
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path()
        .join("guard.log");
    emptied.await.unwrap_or_else(|_| {
        panic!(
            "the guard did not: {}",
            std::fs::read_to_string(&log).unwrap()
        )
    });
    trial.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_reaped_from_another_machine_without_journal_or_terraform() {
    let trial = Trial::usual("").await;
    let scenario = trial.scenario(&SHORT.replace("hold: 6s", "hold: 10m"));
    let mut child = trial
        .command(&["run", "--no-guard", &scenario])
        .spawn()
        .unwrap();
    wait_for(&mut child, "load phase steady").await;
    let elsewhere = tempfile::tempdir().unwrap();
    let reap = async |arguments: &[&str]| {
        let mut command = trial.command(&["reap", "--discover"]);
        command
            .args(arguments)
            .env("SPIKEPROOF_RUNS_DIR", elsewhere.path())
            .env("PATH", "/nonexistent");
        command.output().await.unwrap()
    };
    let alive = reap(&[]).await;
    assert_eq!(alive.status.code(), Some(0), "{}", text(&alive));
    assert!(
        text(&alive).contains("left alone: its last heartbeat is"),
        "{}",
        text(&alive)
    );

    child.kill().await.unwrap();
    // Roles are visible from every region, other resources only from their own. Another region can
    // prove nothing.
    let run = trial
        .runs()
        .read_dir()
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .file_name();
    for (arguments, exit) in [
        (vec!["--older-than", "0s"], 0),
        (vec![run.to_str().unwrap(), "--force"], 6),
    ] {
        let before = trial.lab.inventory().await.unwrap();
        let mut command = trial.command(&["reap", "--discover"]);
        command
            .args(arguments)
            .env("SPIKEPROOF_RUNS_DIR", elsewhere.path())
            .env("AWS_REGION", "eu-north-1");
        let far = command.output().await.unwrap();
        assert_eq!(far.status.code(), Some(exit), "{}", text(&far));
        assert!(
            text(&far).contains("GetRole: of a run in eu-west-1, not in eu-north-1"),
            "{}",
            text(&far)
        );
        assert_eq!(trial.lab.inventory().await.unwrap(), before);
    }
    for (arguments, told) in [
        (vec!["--dry-run"], "a reap would watch for another"),
        (
            vec!["--dry-run", "--older-than", "2h"],
            "only what is older than 2h was asked for",
        ),
        (vec!["--dry-run", "--force"], "9 things may be left"),
    ] {
        let listed = reap(&arguments).await;
        assert!(text(&listed).contains(told), "{}", text(&listed));
    }
    let reaped = reap(&[]).await;
    assert_eq!(reaped.status.code(), Some(0), "{}", text(&reaped));
    assert!(
        text(&reaped).contains("9 things found gone"),
        "{}",
        text(&reaped)
    );
    let proof = std::fs::read_dir(elsewhere.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let proof: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(proof).unwrap()).unwrap();
    assert!(
        proof["things"]
            .as_array()
            .unwrap()
            .iter()
            .all(|thing| thing["gone"] == true),
        "{proof}"
    );
    let again = reap(&[]).await;
    assert!(
        text(&again).contains("nothing left of 0 runs"),
        "{}",
        text(&again)
    );
    trial.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_during_apply_destroys_the_resources_created_so_far() {
    let trial = Trial::usual("").await;
    let scenario = trial.scenario(SHORT);
    let mut child = trial.command(&["run", &scenario]).spawn().unwrap();
    // The first thing that exists.
    let heard = wait_for(&mut child, "created").await;
    interrupt(&child);
    let output = tokio::time::timeout(Duration::from_secs(150), child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.status.code(), Some(130), "{heard}{}", text(&output));
    trial.nothing_is_left().await;
}

/// Reads the run's output until a line contains these words.
async fn wait_for(child: &mut Child, words: &str) -> String {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut heard = String::new();
    let seen = tokio::time::timeout(Duration::from_mins(2), async {
        while !heard.contains(words) {
            if stderr.read_line(&mut heard).await.unwrap() == 0 {
                break;
            }
        }
    });
    seen.await
        .unwrap_or_else(|_| panic!("never heard `{words}` in:\n{heard}"));
    assert!(heard.contains(words), "never heard `{words}` in:\n{heard}");
    child.stderr = Some(stderr.into_inner());
    heard
}

fn interrupt(child: &Child) {
    let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
}
