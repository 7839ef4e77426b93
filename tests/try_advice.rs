//! The trial of an advice against the lab: the group is changed with the user's consent only, and
//! is as before after every end of the run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use rustix::process::{Pid, Signal, kill_process};
use spikeproof::aws::query::{Query, Service, elements};
use spikeproof::aws::{Aws, Cloud};
use spikeproof::channel::Channel;
use spikeproof::channel::message::{self, Control};
use spikeproof::journal::change::{ChangeNote, GroupChange, Parameters, Setting};
use spikeproof::journal::names::{CHANGES_TAG, RUN_TAG, ResourceNames, TARGET_TAG};
use spikeproof::journal::record::{Run, WatchedTarget};
use spikeproof::journal::{self, Journal, Record};
use spikeproof::lab::{PolicyFiles, Principal};
use spikeproof::report::RunReport;
use spikeproof::settings::Settings;
use spikeproof::units::RunId;
use spikeproof::verdict::{RunWarning, Warning};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

const TARGET: &str = "TargetTrackingConfiguration.TargetValue";
const TAGGED: &str = "target: { tags: { 'spikeproof:may-change': 'yes' } }\n";
const LOOK: Duration = Duration::from_millis(100);

#[path = "support/trial.rs"]
mod trial;
#[path = "try_advice/under_load.rs"]
mod under_load;

use trial::{Trial, path, text};

impl Trial {
    async fn tagged() -> Self {
        Self::new(TAGGED, PolicyFiles::default()).await
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

    /// Makes a bucket with these tags, with the calls of the stand-in for terraform.
    async fn make_bucket(&self, name: &str, tags: &[(&str, &str)]) {
        let script = "
import sys, os, pathlib, json
source = pathlib.Path(sys.argv[1]).read_text().replace('\\nmain()\\n', '\\n')
exec(compile(source, sys.argv[1], 'exec'))
place = '<CreateBucketConfiguration><LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>' % os.environ['AWS_REGION']
call('s3', 'CreateBucket', place if os.environ['AWS_REGION'] != 'us-east-1' else '', method='PUT', path='/' + sys.argv[2])
tags = ''.join('<Tag><Key>%s</Key><Value>%s</Value></Tag>' % (key, value) for key, value in json.loads(sys.argv[3]))
if tags:
    call('s3', 'PutBucketTagging', '<Tagging><TagSet>%s</TagSet></Tagging>' % tags, method='PUT', path='/' + sys.argv[2] + '?tagging=')
";
        let tags = serde_json::to_string(tags).unwrap();
        let stand_in = path("tests/teardown/terraform");
        let made = Command::new("python3")
            .args(["-c", script, &stand_in, name, &tags])
            .current_dir(self.folder.path())
            .envs(self.lab.environment())
            .output()
            .await
            .unwrap();
        assert!(made.status.success(), "{}", text(&made));
    }

    /// Makes the bucket of a run of another machine, with these tags beside the run's own.
    async fn run_elsewhere(&self, run: &str, tags: &[(&str, &str)]) -> Channel {
        let bucket = ResourceNames::of(&RunId::parse(run).unwrap()).bucket;
        let tags = [&[(RUN_TAG, run)][..], tags].concat();
        self.make_bucket(&bucket, &tags).await;
        let location = format!("s3://{bucket}/run");
        spikeproof::channel::open(&location, Some(&self.aws().await)).unwrap()
    }

    /// Deletes what S3 deletes of a run's bucket after a day, by the rule of the module.
    async fn a_day_passes(&self, run: &str) {
        let rules = std::fs::read_to_string(path("terraform/bucket.tf")).unwrap();
        let prefix = regex::Regex::new(r#"\bprefix += "([^"]+)""#).unwrap();
        let prefix = &prefix.captures(&rules).unwrap()[1];
        let bucket = ResourceNames::of(&RunId::parse(run).unwrap()).bucket;
        let query = Query::new(&self.aws().await);
        let page = query.bucket("GET", &bucket, "?list-type=2").await.unwrap();
        let mut keys = elements(&page, "Key");
        keys.retain(|key| key.starts_with(prefix));
        assert!(!keys.is_empty(), "{page}");
        for key in keys {
            let key = format!("/{key}");
            query.bucket("DELETE", &bucket, &key).await.unwrap();
        }
    }

    /// Raises the group's maximum to 50, as a run of another machine does, with its note.
    async fn changed_elsewhere(&self, tags: &[(&str, &str)]) -> (GroupChange, Channel) {
        let settings = Settings::new(&self.aws().await);
        let before = settings.group("lab-web").await.unwrap().unwrap().sizes;
        let mut during = before.clone();
        during.insert("MaxSize".to_owned(), "50".to_owned());
        let change = GroupChange::new("lab-web", Setting::Sizes, before, during);
        let channel = self.run_elsewhere("sp-0000000001", tags).await;
        let note = ChangeNote {
            changes: vec![change.clone()],
            read_back: true,
        };
        let note = serde_json::to_vec(&note).unwrap();
        channel.put_changes(note).await.unwrap();
        settings.put(&change).await.unwrap();
        (change, channel)
    }

    /// Writes the journal of a run that was killed after it had changed the group's target to 30.
    async fn killed_with_a_change(&self) -> GroupChange {
        let aws = self.aws().await;
        let settings = Settings::new(&aws);
        let before = settings.policies("lab-web").await.unwrap().remove(0);
        let during = with_target(&before, "30");
        let name = before["PolicyName"].clone();
        let mut change = GroupChange::new("lab-web", Setting::Policy { name }, before, during);
        change.aside = settings.aside(&change).await.unwrap();
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
    // Each put makes other alarms, and nobody can put their names back.
    assert!(
        text(&reaped).contains("its alarms are "),
        "{}",
        text(&reaped)
    );
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
    let change =
        |during: Parameters| GroupChange::new("lab-web", Setting::Sizes, before.clone(), during);
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
async fn a_desired_capacity_that_stays_raised_is_told_and_not_lowered() {
    let trial = Trial::tagged().await;
    let settings = Settings::new(&trial.aws().await);
    let group = settings.group("lab-web").await.unwrap().unwrap();
    let desired = group.desired.unwrap();
    let mut during = group.sizes.clone();
    during.insert("MinSize".to_owned(), (desired + 1).to_string());
    let mut raised = GroupChange::new("lab-web", Setting::Sizes, group.sizes, during);
    raised.aside = settings.aside(&raised).await.unwrap();
    trial.killed_with(&raised, &[Record::Changed]).await;
    let reaped = trial.run(&["reap"]).await;
    let said = text(&reaped);
    assert_eq!(reaped.status.code(), Some(0), "{said}");
    let stays = format!("the desired capacity is {}, and was {desired}", desired + 1);
    assert!(said.contains(&stays), "{said}");
    assert_eq!(trial.given("DesiredCapacity"), Vec::<f64>::new());
    trial.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_nobody_can_explain_is_left_and_not_called_clean() {
    let trial = Trial::tagged().await;
    let settings = Settings::new(&trial.aws().await);
    let before = settings.policies("lab-web").await.unwrap().remove(0);
    let change = |target: &str| {
        let name = before["PolicyName"].clone();
        let during = with_target(&before, target);
        GroupChange::new("lab-web", Setting::Policy { name }, before.clone(), during)
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

const DISCOVER: [&str; 4] = ["reap", "--discover", "--older-than", "0s"];

#[tokio::test(flavor = "multi_thread")]
async fn a_reap_on_another_machine_puts_the_group_back_even_days_later() {
    let trial = Trial::tagged().await;
    let (change, channel) = trial.changed_elsewhere(&[(CHANGES_TAG, "lab-web")]).await;
    channel.put_control(&heartbeat(), None).await.unwrap();
    trial.a_day_passes("sp-0000000001").await;
    assert!(channel.control().await.is_err(), "it has expired");
    let listed = trial.run(&[&DISCOVER[..], &["--dry-run"]].concat()).await;
    let said = text(&listed);
    assert!(said.contains("changed setting of group lab-web"), "{said}");
    assert!(said.contains("MaxSize 50 in the run, "), "{said}");
    assert_eq!(trial.given("MaxSize").len(), 1, "a list changes nothing");

    let reaped = trial.run(&DISCOVER).await;
    let said = text(&reaped);
    assert_eq!(reaped.status.code(), Some(0), "{said}");
    assert!(!said.contains("CHANGED"), "{said}");
    let before: f64 = change.before["MaxSize"].parse().unwrap();
    assert_eq!(trial.given("MaxSize"), [50.0, before]);
    // The note is gone with the bucket.
    assert_eq!(trial.lab.inventory().await.unwrap(), Vec::<String>::new());
    trial.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reap_on_another_machine_that_may_not_write_the_group_keeps_the_note() {
    let trial = Trial::new("", PolicyFiles::default()).await;
    trial.changed_elsewhere(&[(CHANGES_TAG, "lab-web")]).await;
    let reaped = trial.run(&DISCOVER).await;
    let said = text(&reaped);
    assert_eq!(reaped.status.code(), Some(6), "{said}");
    assert!(said.contains("does not carry the tag"), "{said}");
    assert!(said.contains("settings of the group lab-web"), "{said}");
    assert!(said.contains("MaxSize 50 in the run, "), "{said}");
    assert_eq!(trial.given("MaxSize"), [50.0], "it is only told");
    let left = trial.lab.inventory().await.unwrap();
    assert!(
        matches!(&left[..], [bucket] if bucket.contains("spikeproof-sp-0000000001")),
        "{left:?}"
    );
    trial.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_note_in_a_bucket_that_is_not_known_to_be_the_account_s_is_only_told() {
    let trial = Trial::tagged().await;
    trial.changed_elsewhere(&[]).await;
    let names = ResourceNames::of(&RunId::parse("sp-0000000001").unwrap());
    let tag = |key: &str, value: &str| {
        aws_sdk_ecs::types::Tag::builder()
            .key(key)
            .value(value)
            .build()
    };
    let made = aws_sdk_ecs::Client::new(&trial.aws().await.sdk)
        .create_cluster()
        .cluster_name(&names.cluster)
        .tags(tag(RUN_TAG, "sp-0000000001"))
        .tags(tag(CHANGES_TAG, "lab-web"))
        .send();
    made.await.unwrap();
    let reaped = trial.run(&DISCOVER).await;
    let said = text(&reaped);
    assert_eq!(reaped.status.code(), Some(6), "{said}");
    assert!(said.contains("MaxSize 50 in the run, "), "{said}");
    assert_eq!(trial.given("MaxSize"), [50.0], "it is only told");
    trial.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reap_on_another_machine_leaves_what_somebody_else_has_set_since() {
    let trial = Trial::tagged().await;
    let (change, channel) = trial.changed_elsewhere(&[(CHANGES_TAG, "lab-web")]).await;
    // It has read its own value back, and was alive until a moment ago.
    channel.put_control(&heartbeat(), None).await.unwrap();
    let mut theirs = change.clone();
    theirs.during.insert("MaxSize".to_owned(), "40".to_owned());
    let settings = Settings::new(&trial.aws().await);
    settings.put(&theirs).await.unwrap();
    let reaped = trial.run(&["reap", "--discover", "--force"]).await;
    let said = text(&reaped);
    assert_eq!(reaped.status.code(), Some(0), "{said}");
    assert!(said.contains("MaxSize is 40, was"), "{said}");
    assert_eq!(trial.given("MaxSize"), [50.0, 40.0]);
    assert_eq!(trial.lab.inventory().await.unwrap(), Vec::<String>::new());
    trial.lab.stop().await;
}

fn heartbeat() -> Control {
    Control {
        version: message::VERSION,
        epoch: 1,
        heartbeat: 1,
        start: None,
        stop: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_is_refused_beside_another_run_on_the_group() {
    let trial = Trial::tagged().await;
    let scenario = scenario(&trial, SHORT);
    let args = ["run", "--try-advice=lab-web", "--unattended", &scenario];
    let channel = trial
        .run_elsewhere("sp-0000000002", &[(TARGET_TAG, "lab-web")])
        .await;
    channel.put_control(&heartbeat(), None).await.unwrap();
    let output = trial.run(&args).await;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    let alive = "sp-0000000002 tests the group lab-web at the same time";
    assert!(said.contains(alive), "{said}");
    assert!(!trial.runs().exists(), "no run was begun");
    trial.lab.stop().await;

    // One that is dead, and has not put the group back.
    let trial = Trial::tagged().await;
    trial.changed_elsewhere(&[(CHANGES_TAG, "lab-web")]).await;
    let output = trial.run(&args).await;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("has not put it back yet"), "{said}");
    let remedy = "spikeproof reap sp-0000000001 --discover";
    assert!(said.contains(remedy), "{said}");
    trial.lab.stop().await;
}

/// A plain run warns of runs that were there before it, once, be they of this machine or Fargate tasks
/// of another, and of one that begins during its load.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_run_warns_of_other_runs_on_its_group() {
    let trial = Trial::new("", PolicyFiles::default()).await;
    let aws = trial.aws().await;
    let begun = |run: &str, group: &str| {
        let target = WatchedTarget {
            name: group.to_owned(),
            region: aws.region.clone(),
            endpoint: aws.endpoint.clone(),
        };
        let first = Record::Run(Run {
            run: RunId::parse(run).unwrap(),
            region: aws.region.clone(),
            account: "123456789012".to_owned(),
            scenario_name: "shop".to_owned(),
            url: "http://shop".to_owned(),
            endpoint: aws.endpoint.clone(),
            boot: journal::locks::boot(),
            profile: None,
            target: Some(Box::new(target)),
            started: jiff::Timestamp::now(),
        });
        Journal::create(&trial.runs().join(run), first).unwrap()
    };
    let _before = begun("sp-0000000001", "lab-web");
    let _of_another = begun("sp-0000000002", "lab-api");
    drop(begun("sp-0000000003", "lab-web"));
    // A run with Fargate tasks from another machine, and one that ended.
    let channel = trial
        .run_elsewhere("sp-0000000005", &[(TARGET_TAG, "lab-web")])
        .await;
    channel.put_control(&heartbeat(), None).await.unwrap();
    trial
        .run_elsewhere("sp-0000000006", &[(TARGET_TAG, "lab-web")])
        .await;
    let scenario = scenario(&trial, SHORT);
    let child = trial
        .command(&["run", "--fleet", "local", &scenario])
        .spawn()
        .unwrap();
    let load = async {
        while trial.lab.truth().worlds.requests == 0 {
            sleep(LOOK).await;
        }
    };
    timeout(Duration::from_mins(1), load).await.unwrap();
    let _during = begun("sp-0000000004", "lab-web");
    let output = timeout(Duration::from_mins(2), child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let said = text(&output);
    // So short and low a load cannot make the group grow.
    assert_eq!(output.status.code(), Some(5), "{said}");
    let reports = trial.reports();
    let [report] = &reports[..] else {
        panic!("{said}");
    };
    let others = report.warnings.iter().filter_map(|one| match &one.warning {
        Warning::Run(RunWarning::AnotherRun { subject, run }) => {
            Some((subject.as_str(), run.as_str(), &one.text))
        }
        _ => None,
    });
    let others: Vec<_> = others.collect();
    let found: Vec<_> = others.iter().map(|(of, run, _)| (*of, *run)).collect();
    assert_eq!(
        found,
        ["sp-0000000001", "sp-0000000005", "sp-0000000004"].map(|run| ("lab-web", run))
    );
    for (_, _, warning) in others {
        assert!(said.contains(warning), "`{warning}` is not in:\n{said}");
    }
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
async fn a_session_that_may_end_before_the_group_is_put_back_is_refused_in_spite_of_force() {
    let trial = Trial::tagged().await;
    // Enough for one run, and not for both with their longest waits.
    let ends = jiff::Timestamp::now() + Duration::from_mins(30);
    // The lab's key with a session is that of the tasks.
    let key = trial.lab.key(Principal::Tasks).clone();
    let scenario = scenario(&trial, SHORT);
    let output = trial
        .command(&[
            "run",
            "--try-advice=lab-web",
            "--unattended",
            "--force",
            &scenario,
        ])
        .env("AWS_ACCESS_KEY_ID", &key.id)
        .env("AWS_SECRET_ACCESS_KEY", key.secret.text())
        .env("AWS_SESSION_TOKEN", key.token.as_ref().unwrap().text())
        .env("AWS_CREDENTIAL_EXPIRATION", ends.to_string())
        .output()
        .await
        .unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("the AWS session ends in"), "{said}");
    assert!(said.contains("`--force` does not change that"), "{said}");
    assert!(!trial.runs().exists(), "no run was begun");
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
        let change = GroupChange::new("lab-web", setting, before, during);
        settings.put(&change).await.unwrap();
        let now = settings.read(&change).await.unwrap().unwrap();
        settings.put_back(&change, &now).await.unwrap();
        assert_eq!(settings.read(&change).await.unwrap(), Some(change.before));
    }
    let [usage, _] = trial.lab.permissions();
    assert_eq!(usage.denied, Vec::<String>::new());
    assert_eq!(usage.unused, Vec::<String>::new());
    // The same action with what launches other instances is denied.
    for other in [
        ("LaunchConfigurationName", "admin"),
        ("LaunchTemplate.LaunchTemplateName", "admin"),
        ("VPCZoneIdentifier", "subnet-1"),
    ] {
        let asked = [("AutoScalingGroupName", "lab-web"), ("MaxSize", "9"), other];
        let denied = Query::new(&trial.aws().await)
            .action(Service::Autoscaling, "UpdateAutoScalingGroup", &asked)
            .await
            .unwrap_err();
        assert_eq!(denied.code, "AccessDenied", "{other:?}: {denied}");
    }
    trial.lab.stop().await;
}

/// Three instances at most, where the end of the ramp needs four: a higher maximum is the best
/// change.
const PINNED: &str = "
target: { max: 3, tags: { 'spikeproof:may-change': 'yes' } }
policy: { high_datapoints: 1 }
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
