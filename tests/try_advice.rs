//! The trial of an advice against the lab: the group is changed with the user's consent only, and is
//! as before after every end of the run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use rustix::process::{Pid, Signal, kill_process};
use spikeproof::advice::Change;
use spikeproof::aws::{Aws, Cloud};
use spikeproof::journal::change::{GroupChange, Parameters, Setting};
use spikeproof::journal::names::{CHANGES_TAG, RUN_TAG, ResourceNames};
use spikeproof::journal::record::Run;
use spikeproof::journal::{self, Journal, Record};
use spikeproof::lab::{Lab, Options, PolicyFiles, Principal};
use spikeproof::report::{PutBack, RunReport};
use spikeproof::settings::Settings;
use spikeproof::units::RunId;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

const TARGET: &str = "TargetTrackingConfiguration.TargetValue";
const TAGGED: &str = "target: { tags: { 'spikeproof:may-change': 'yes' } }\n";
const LOOK: Duration = Duration::from_millis(100);

struct Trial {
    lab: Lab,
    folder: TempDir,
}

impl Trial {
    async fn new(lab_file: &str, permissions: PolicyFiles) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lab.yaml");
        std::fs::write(&file, lab_file).unwrap();
        let options = Options {
            file: Some(file),
            ..Options::default()
        };
        let lab = spikeproof::lab::start_held(options, permissions)
            .await
            .unwrap();
        Self { lab, folder }
    }

    async fn tagged() -> Self {
        Self::new(TAGGED, PolicyFiles::default()).await
    }

    fn runs(&self) -> PathBuf {
        self.folder.path().join("runs")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spikeproof"));
        command
            .args(args)
            .envs(self.lab.environment())
            .env("SPIKEPROOF_RUNS_DIR", self.runs())
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN")
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    async fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().await.unwrap()
    }

    /// Returns the values that callers have given a parameter of the group, in order.
    fn given(&self, parameter: &str) -> Vec<f64> {
        let configured = self.lab.truth().configured;
        let values = configured
            .iter()
            .filter_map(|one| one.settings.get(parameter));
        values.map(|value| value.parse().unwrap()).collect()
    }

    /// Returns the reports of all runs, the first one first.
    fn reports(&self) -> Vec<RunReport> {
        let mut folders: Vec<PathBuf> = std::fs::read_dir(self.runs())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        folders.sort();
        let read = |folder: PathBuf| {
            let text = std::fs::read_to_string(folder.join("report.json")).ok()?;
            Some(serde_json::from_str(&text).unwrap())
        };
        folders.into_iter().filter_map(read).collect()
    }

    async fn aws(&self) -> Aws {
        let key = self.lab.key(Principal::Operator);
        let keys = Credentials::new(&key.id, key.secret.text(), None, None, "test");
        let credentials = SharedCredentialsProvider::new(keys);
        let environment = self.lab.environment();
        let region = environment
            .iter()
            .find(|(name, _)| *name == "AWS_REGION")
            .map(|(_, region)| region.clone())
            .unwrap();
        let sdk = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(self.lab.endpoint())
            .region(Region::new(region.clone()))
            .credentials_provider(credentials.clone())
            .load()
            .await;
        Aws {
            region,
            endpoint: Some(self.lab.endpoint().to_owned()),
            credentials,
            sdk,
        }
    }

    /// Makes a bucket with the calls of the stand-in for terraform.
    async fn make_bucket(&self, name: &str) {
        let script = "
import sys, os, pathlib
source = pathlib.Path(sys.argv[1]).read_text().replace('\\nmain()\\n', '\\n')
exec(compile(source, sys.argv[1], 'exec'))
place = '<CreateBucketConfiguration><LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>' % os.environ['AWS_REGION']
call('s3', 'CreateBucket', place if os.environ['AWS_REGION'] != 'us-east-1' else '', method='PUT', path='/' + sys.argv[2])
";
        let made = Command::new("python3")
            .args(["-c", script, &path("tests/teardown/terraform"), name])
            .current_dir(self.folder.path())
            .envs(self.lab.environment())
            .output()
            .await
            .unwrap();
        assert!(made.status.success(), "{}", text(&made));
    }

    /// Writes the journal of a run that was killed after it had changed the group's target to 30.
    async fn killed_with_a_change(&self) -> GroupChange {
        let aws = self.aws().await;
        let settings = Settings::new(&aws);
        let before = settings.policies("lab-web").await.unwrap().remove(0);
        let during = with_target(&before, "30");
        let change = GroupChange {
            group: "lab-web".to_owned(),
            setting: Setting::Policy {
                name: before["PolicyName"].clone(),
            },
            before,
            during,
        };
        self.killed_with(&change, &[Record::Changed]).await;
        change
    }

    /// Makes a change, and writes the journal of a run that was killed after it, with these last
    /// records.
    async fn killed_with(&self, change: &GroupChange, last: &[Record]) {
        let aws = self.aws().await;
        let settings = Settings::new(&aws);
        let caller = aws.caller().await.unwrap();
        let cloud = Cloud { aws, caller };
        let run = RunId::parse("sp-0000000001").unwrap();
        let first = Record::Run(Run {
            run: run.clone(),
            region: cloud.aws.region.clone(),
            account: cloud.caller.account.clone(),
            scenario_name: "shop".to_owned(),
            url: "http://shop".to_owned(),
            endpoint: cloud.aws.endpoint.clone(),
            boot: journal::locks::boot(),
            profile: None,
            target: None,
            started: jiff::Timestamp::now(),
        });
        let mut journal = Journal::create(&self.runs().join(run.as_str()), first).unwrap();
        let intent = change.clone();
        journal
            .write(Record::IntentChange { change: intent })
            .unwrap();
        journal.write(Record::ChangeBegins).unwrap();
        settings.put(change).await.unwrap();
        for record in last {
            journal.write(record.clone()).unwrap();
        }
    }
}

fn with_target(policy: &Parameters, target: &str) -> Parameters {
    let mut changed = policy.clone();
    changed.insert(TARGET.to_owned(), target.to_owned());
    changed
}

fn text(output: &Output) -> String {
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn path(relative: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(relative)
        .display()
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn reap_puts_back_what_a_killed_run_had_changed() {
    let trial = Trial::tagged().await;
    let change = trial.killed_with_a_change().await;
    let listed = trial.run(&["reap", "--dry-run"]).await;
    let said = text(&listed);
    assert!(said.contains("changed setting of group lab-web"), "{said}");
    let reaped = trial.run(&["reap"]).await;
    assert_eq!(reaped.status.code(), Some(0), "{}", text(&reaped));
    assert_eq!(trial.given(TARGET), [30.0, 50.0]);
    let settings = Settings::new(&trial.aws().await);
    assert_eq!(settings.read(&change).await.unwrap(), Some(change.before));
    let again = trial.run(&["reap"]).await;
    assert!(text(&again).contains("nothing left"), "{}", text(&again));
    assert_eq!(trial.given(TARGET).len(), 2, "a second reap writes nothing");
    trial.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_somebody_else_is_left_and_told() {
    let trial = Trial::tagged().await;
    let change = trial.killed_with_a_change().await;
    let theirs = GroupChange {
        during: with_target(&change.before, "55"),
        ..change
    };
    let settings = Settings::new(&trial.aws().await);
    settings.put(&theirs).await.unwrap();
    let reaped = trial.run(&["reap"]).await;
    assert_eq!(reaped.status.code(), Some(0), "{}", text(&reaped));
    assert!(
        text(&reaped).contains("is 55, was 50 before the run and 30 in it"),
        "{}",
        text(&reaped)
    );
    assert_eq!(trial.given(TARGET), [30.0, 55.0]);
    trial.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_another_field_by_somebody_else_is_kept_and_told() {
    const SCALE_IN: &str = "TargetTrackingConfiguration.DisableScaleIn";
    let trial = Trial::tagged().await;
    let change = trial.killed_with_a_change().await;
    let settings = Settings::new(&trial.aws().await);
    let mut theirs = change.clone();
    theirs.during.insert(SCALE_IN.to_owned(), "true".to_owned());
    settings.put(&theirs).await.unwrap();
    let reaped = trial.run(&["reap"]).await;
    let said = text(&reaped);
    assert_eq!(reaped.status.code(), Some(0), "{said}");
    assert!(said.contains("DisableScaleIn is true"), "{said}");
    assert_eq!(trial.given(TARGET), [30.0, 30.0, 50.0]);
    let mut expected = with_target(&theirs.during, "50");
    let now = settings.read(&change).await.unwrap().unwrap();
    expected.insert(TARGET.to_owned(), now[TARGET].clone());
    assert_eq!(now, expected, "their field stays");
    trial.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_sizes_only_the_run_s_own_is_written() {
    let trial = Trial::tagged().await;
    let settings = Settings::new(&trial.aws().await);
    let before = settings.group("lab-web").await.unwrap().unwrap().sizes;
    let of = |field: &str, value: &str| {
        let mut sizes = before.clone();
        sizes.insert(field.to_owned(), value.to_owned());
        sizes
    };
    let change = |during: Parameters| GroupChange {
        group: "lab-web".to_owned(),
        setting: Setting::Sizes,
        before: before.clone(),
        during,
    };
    let ours = change(of("MaxSize", "50"));
    trial.killed_with(&ours, &[Record::Changed]).await;
    // A scheduled action or an operator raises the minimum.
    settings.put(&change(of("MinSize", "3"))).await.unwrap();
    let reaped = trial.run(&["reap"]).await;
    let said = text(&reaped);
    assert_eq!(reaped.status.code(), Some(0), "{said}");
    assert!(said.contains("MinSize is 3, was"), "{said}");
    let now = settings.read(&ours).await.unwrap().unwrap();
    assert_eq!(now, of("MinSize", "3"));
    assert_eq!(trial.given("MinSize"), [3.0]);
    trial.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_nobody_can_explain_is_left_and_not_called_clean() {
    let trial = Trial::tagged().await;
    let settings = Settings::new(&trial.aws().await);
    let before = settings.policies("lab-web").await.unwrap().remove(0);
    let change = |target: &str| GroupChange {
        group: "lab-web".to_owned(),
        setting: Setting::Policy {
            name: before["PolicyName"].clone(),
        },
        during: with_target(&before, target),
        before: before.clone(),
    };
    // Killed before it had read its own value back.
    trial.killed_with(&change("33"), &[]).await;
    settings.put(&change("33.5")).await.unwrap();
    let reaped = trial.run(&["reap"]).await;
    let said = text(&reaped);
    assert_eq!(reaped.status.code(), Some(6), "{said}");
    assert!(said.contains("set it by hand"), "{said}");
    assert_eq!(trial.given(TARGET), [33.0, 33.5]);
    settings
        .put(&GroupChange {
            before: with_target(&before, "1"),
            during: before.clone(),
            ..change("33")
        })
        .await
        .unwrap();
    let reaped = trial.run(&["reap"]).await;
    assert_eq!(reaped.status.code(), Some(0), "{}", text(&reaped));
    trial.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_in_the_destroy_of_the_first_run_is_against_the_second() {
    let trial = Trial::new(PINNED, PolicyFiles::default()).await;
    let cue = trial.folder.path().join("held");
    let mut child = trial
        .command(&[
            "run",
            "--try-advice=lab-web",
            "--unattended",
            &scenario(&trial, SHORT),
        ])
        .env(
            "SPIKEPROOF_FAILPOINT",
            format!("hold:destroy:{}", cue.display()),
        )
        .spawn()
        .unwrap();
    held(&trial, &mut child, &cue).await;
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = timeout(Duration::from_mins(2), child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(
        said.contains("the advice is not tried: the run was interrupted"),
        "{said}"
    );
    assert_eq!(trial.reports().len(), 1, "{said}");
    assert!(trial.lab.truth().configured.is_empty(), "{said}");
    assert_eq!(trial.lab.inventory().await.unwrap(), Vec::<String>::new());
    trial.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reap_on_another_machine_names_the_group_and_is_not_clean() {
    let trial = Trial::tagged().await;
    let aws = trial.aws().await;
    let settings = Settings::new(&aws);
    let before = settings.group("lab-web").await.unwrap().unwrap().sizes;
    let mut during = before.clone();
    during.insert("MaxSize".to_owned(), "50".to_owned());
    let change = GroupChange {
        group: "lab-web".to_owned(),
        setting: Setting::Sizes,
        before,
        during,
    };
    let run = RunId::parse("sp-0000000001").unwrap();
    let names = ResourceNames::of(&run);
    let tag = |key: &str, value: &str| {
        aws_sdk_ecs::types::Tag::builder()
            .key(key)
            .value(value)
            .build()
    };
    let made = aws_sdk_ecs::Client::new(&aws.sdk)
        .create_cluster()
        .cluster_name(&names.cluster)
        .tags(tag(RUN_TAG, run.as_str()))
        .tags(tag(CHANGES_TAG, "lab-web"))
        .send();
    made.await.unwrap();
    trial.make_bucket(&names.bucket).await;
    let location = format!("s3://{}/run", names.bucket);
    let channel = spikeproof::channel::open(&location, Some(&aws)).unwrap();
    let note = serde_json::to_vec(&[&change]).unwrap();
    channel.put_changes(note).await.unwrap();

    let discover = ["reap", "--discover", "--older-than", "0s"];
    let reaped = trial.run(&discover).await;
    let said = text(&reaped);
    assert_eq!(reaped.status.code(), Some(6), "{said}");
    assert!(said.contains("settings of the group lab-web"), "{said}");
    assert!(said.contains("MaxSize 50 in the run, "), "{said}");
    assert_eq!(trial.lab.inventory().await.unwrap(), Vec::<String>::new());
    assert!(trial.lab.truth().configured.is_empty(), "it is only told");
    trial.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_attempt_is_told_and_made_again() {
    let refuse =
        "faults: { refuse: [ { action: PutScalingPolicy, code: AccessDenied, every: 2 } ] }";
    let trial = Trial::new(&format!("{TAGGED}{refuse}\n"), PolicyFiles::default()).await;
    // The second call of the action is the first attempt to put the policy back.
    trial.killed_with_a_change().await;
    let reaped = trial.run(&["reap"]).await;
    let said = text(&reaped);
    assert_eq!(reaped.status.code(), Some(0), "{said}");
    assert!(said.contains("AccessDenied"), "{said}");
    assert_eq!(trial.given(TARGET), [30.0, 50.0]);
    trial.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_tag_or_the_name_nothing_is_begun() {
    let scenario = path("scenarios/spike-and-recover.yaml");
    let untagged = Trial::new("", PolicyFiles::default()).await;
    let output = untagged
        .run(&["run", "--try-advice=lab-web", "--unattended", &scenario])
        .await;
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("Key=spikeproof:may-change"), "{said}");
    assert!(!untagged.runs().exists(), "no run was begun");
    untagged.lab.stop().await;

    let refusing = TAGGED.replace("'yes'", "'no'");
    let refusing = Trial::new(&refusing, PolicyFiles::default()).await;
    let output = refusing
        .run(&["run", "--try-advice=lab-web", "--unattended", &scenario])
        .await;
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    assert!(!refusing.runs().exists(), "no run was begun");
    refusing.lab.stop().await;

    let trial = Trial::tagged().await;
    let output = trial.run(&["run", "--try-advice=lab-web", &scenario]).await;
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("no user watches here"), "{said}");
    assert!(said.contains("`--unattended`"), "{said}");
    let output = trial
        .run(&["run", "--try-advice=other", "--unattended", &scenario])
        .await;
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let said = text(&output);
    assert!(
        said.contains("names other, and the scenario's group is lab-web"),
        "{said}"
    );
    let local = [
        "run",
        "--fleet=local",
        "--try-advice=lab-web",
        "--unattended",
        &scenario,
    ];
    let output = trial.run(&local).await;
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    assert!(!trial.runs().exists(), "no run was begun");
    assert!(trial.lab.truth().configured.is_empty());
    trial.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_of_a_trial_is_enough_to_change_the_group_and_to_put_it_back() {
    let operator = Some(PathBuf::from(path("terraform/permissions/try-advice.json")));
    let permissions = PolicyFiles {
        operator,
        tasks: None,
    };
    let trial = Trial::new(TAGGED, permissions).await;
    let settings = Settings::new(&trial.aws().await);
    let group = settings.group("lab-web").await.unwrap().unwrap();
    assert!(group.may_change);
    let policy = settings.policies("lab-web").await.unwrap().remove(0);
    let mut higher = group.sizes.clone();
    higher.insert("MaxSize".to_owned(), "50".to_owned());
    for (setting, before, during) in [
        (
            Setting::Policy {
                name: policy["PolicyName"].clone(),
            },
            policy.clone(),
            with_target(&policy, "30"),
        ),
        (Setting::Sizes, group.sizes, higher),
    ] {
        let change = GroupChange {
            group: "lab-web".to_owned(),
            setting,
            before,
            during,
        };
        settings.put(&change).await.unwrap();
        let now = settings.read(&change).await.unwrap().unwrap();
        settings.put_back(&change, &now).await.unwrap();
        assert_eq!(settings.read(&change).await.unwrap(), Some(change.before));
    }
    let [usage, _] = trial.lab.permissions();
    assert_eq!(usage.denied, Vec::<String>::new());
    assert_eq!(usage.unused, Vec::<String>::new());
    trial.lab.stop().await;
}

/// Three instances at most, where the end of the ramp needs four: a higher maximum is the best change.
const PINNED: &str = "
target: { max: 3, tags: { 'spikeproof:may-change': 'yes' } }
policy: { high_datapoints: 1 }
";

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

/// A few seconds of load, for a run whose advice does not matter.
const SHORT: &str = "
name: short
target: { url: '${TARGET_URL}', group: '${TARGET_GROUP}', timeout: 5s }
phases:
  - { name: sustained, rate: 20/s, hold: 4s }
flows:
  - { name: home, steps: [ { get: / } ] }
thresholds: [ 'p95 < 5s in sustained' ]
scaling: { instance_header: x-instance-id, in_within: 1s }
";

fn scenario(trial: &Trial, content: &str) -> String {
    let path = trial.folder.path().join("scenario.yaml");
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

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

/// Waits until the run holds at the beginning of a phase.
async fn held(trial: &Trial, child: &mut Child, cue: &Path) {
    let there = timeout(Duration::from_mins(3), async {
        while !cue.exists() && child.try_wait().unwrap().is_none() {
            sleep(LOOK).await;
        }
    });
    let in_time = there.await.is_ok();
    let said = ["stdout", "stderr"].map(|name| trial.folder.path().join(name));
    let said = said.map(|path| std::fs::read_to_string(path).unwrap_or_default());
    assert!(in_time && cue.exists(), "{}", said.concat());
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
