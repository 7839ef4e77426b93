//! Trials whose load is measured. Nothing else may run beside them.

use std::time::Duration;

use spikeproof::advice::Change;
use spikeproof::lab::PolicyFiles;
use spikeproof::report::PutBack;
use spikeproof::settings::Settings;
use tokio::time::{sleep, timeout};

use super::{LOOK, PINNED, Trial, held, scenario, text};

const SCENARIO: &str = "
name: spike
target: { url: '${TARGET_URL}', group: '${TARGET_GROUP}', timeout: 5s }
phases:
  - { name: sustained, rate: 120/s, hold: 6s }
  - { name: spike, rate: 640/s, ramp: 16s, hold: 8s }
  - { name: recovery, rate: 120/s, hold: 8s }
flows:
  - { name: home, steps: [ { get: / } ] }
thresholds: [ 'p95 < 400ms in spike' ]
scaling: { instance_header: x-instance-id, in_within: 40s }
";

#[tokio::test(flavor = "multi_thread")]
async fn the_recommended_change_is_tried_and_the_group_is_as_before() {
    let trial = Trial::new(PINNED, PolicyFiles::default()).await;
    let before = Settings::new(&trial.aws().await);
    let (group, policies) = (
        before.group("lab-web").await.unwrap().unwrap().sizes,
        before.policies("lab-web").await.unwrap(),
    );
    let output = trial
        .run(&[
            "run",
            "--try-advice=lab-web",
            "--unattended",
            &scenario(&trial, SCENARIO),
        ])
        .await;
    let said = text(&output);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{said}");
    assert!(said.contains("s over the limit predicted"), "{said}");

    let reports = trial.reports();
    let [first, second] = &reports[..] else {
        panic!("{said}");
    };
    assert!(first.trial.is_none());
    let tried = second.trial.clone().unwrap();
    assert_eq!(
        (&tried.first, tried.put_back),
        (&first.run, PutBack::AsBefore)
    );
    let measured = tried.measured.unwrap();
    assert!(measured.over_limit < tried.before.over_limit, "{tried:?}");

    // What was written is the change and the old setting, and nothing else.
    let maximum = match tried.change {
        Change::Maximum { max, with: None } => f64::from(max),
        other => panic!("{other:?}"),
    };
    assert_eq!(trial.given("MaxSize"), [maximum, 3.0]);
    assert_eq!(trial.lab.truth().configured.len(), 2);
    assert_eq!(trial.given("MinSize"), Vec::<f64>::new());
    let now = before.group("lab-web").await.unwrap().unwrap().sizes;
    assert_eq!(now, group);
    assert_eq!(before.policies("lab-web").await.unwrap(), policies);
    assert_eq!(second.destroyed.left, Vec::<String>::new());
    assert_eq!(trial.lab.inventory().await.unwrap(), Vec::<String>::new());
    trial.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_puts_the_group_back_when_the_run_is_killed_with_the_change_in_place() {
    let trial = Trial::new(PINNED, PolicyFiles::default()).await;
    let settings = Settings::new(&trial.aws().await);
    let before = settings.policies("lab-web").await.unwrap();
    let sizes = settings.group("lab-web").await.unwrap().unwrap().sizes;
    let cue = trial.folder.path().join("held");
    let log = |name: &str| std::fs::File::create(trial.folder.path().join(name)).unwrap();
    let mut child = trial
        .command(&[
            "run",
            "--try-advice=lab-web",
            "--unattended",
            &scenario(&trial, SCENARIO),
        ])
        .env(
            "SPIKEPROOF_FAILPOINT",
            format!("hold:start:{}", cue.display()),
        )
        .stdout(log("stdout"))
        .stderr(log("stderr"))
        .spawn()
        .unwrap();
    // The first run changes nothing, and goes on at once.
    held(&trial, &mut child, &cue).await;
    assert!(trial.lab.truth().configured.is_empty());
    std::fs::remove_file(&cue).unwrap();
    held(&trial, &mut child, &cue).await;
    let changed = trial.lab.truth().configured.len();
    assert!(changed > 0, "the change is in place");
    child.kill().await.unwrap();
    let put_back = timeout(Duration::from_secs(90), async {
        while settings.policies("lab-web").await.unwrap() != before
            || settings.group("lab-web").await.unwrap().unwrap().sizes != sizes
            || !trial.lab.inventory().await.unwrap().is_empty()
        {
            sleep(LOOK).await;
        }
    });
    assert!(put_back.await.is_ok(), "{:?}", trial.lab.truth().configured);
    assert_eq!(trial.lab.truth().configured.len(), 2 * changed);
    // Nothing is left for a reap, once the guard has ended.
    let reaped = trial.run(&["reap"]).await;
    assert_eq!(reaped.status.code(), Some(0), "{}", text(&reaped));
    assert_eq!(trial.lab.truth().configured.len(), 2 * changed);
    trial.lab.stop().await;
}
