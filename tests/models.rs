//! The lab and the product beside AWS's own models: each call of a run and each answer to it, and what
//! AWS's own command line and boto3 read in the lab. Needs `make models`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use aws_smithy_types::base64;
use jiff::Timestamp;
use serde_json::{Value, json};
use spikeproof::lab::truth::{InstanceTruth, Truth};
use spikeproof::lab::{self, Lab, Options, PolicyFiles};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

#[path = "support/trial.rs"]
mod trial;

use trial::{Trial, path, text};

/// Long enough for a loaded machine; every wait ends.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(100);
const SHORT: &str = "
name: short
target: { url: '${TARGET_URL}', group: '${TARGET_GROUP}', timeout: 5s }
phases:
  - { name: steady, rate: 50/s, hold: 6s }
flows:
  - { name: browse, steps: [ { get: /api/products } ] }
thresholds: [ 'errors < 1%' ]
";
/// Grows under a little load, and stays as it is afterwards: no alarm fires while it is read.
const GROWS: &str = "target: { workers: 1, service_time: 20ms, boot_time: 1s, queue_limit: 500ms }\n\
                     policy: { high_datapoints: 2, low_datapoints: 600, warm_up: 1s, scale_in: false }";

/// Returns a program of the virtual environment that has AWS's models and clients.
fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("SPIKEPROOF_MODELS")
        .map_or_else(|| PathBuf::from(path(".spikeproof/models")), PathBuf::from);
    let program = folder.join("bin").join(name);
    assert!(
        program.exists(),
        "{} is missing: make models",
        program.display()
    );
    program
}

/// Starts a lab that writes its calls to a file of the trial's folder.
async fn recorded(lab_file: &str) -> (Trial, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (file, calls) = (
        folder.path().join("lab.yaml"),
        folder.path().join("calls.jsonl"),
    );
    std::fs::write(&file, lab_file).unwrap();
    let options = Options {
        file: Some(file),
        calls: Some(calls.clone()),
        ..Options::default()
    };
    let lab = lab::start_held(options, PolicyFiles::default())
        .await
        .unwrap();
    (Trial { lab, folder }, calls)
}

/// Runs the program to its end.
async fn ends(trial: &Trial, args: &[&str], codes: &[i32]) {
    let output = trial.run(args).await;
    let code = output.status.code();
    let is_one = code.is_some_and(|code| codes.contains(&code));
    assert!(is_one, "{args:?}: {code:?}: {}", text(&output));
}

/// Kills a run under load, which leaves everything to a reaper.
async fn killed(trial: &Trial, scenario: &str) {
    let mut child = trial
        .command(&["run", "--no-guard", scenario])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let loaded = timeout(PATIENCE * 2, async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("load phase steady") {
                return true;
            }
        }
        false
    });
    assert!(loaded.await.unwrap(), "the run never came to its load");
    child.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_run_a_reap_and_a_watch_is_as_the_models_of_aws_say() {
    let (group, of_group) = recorded("").await;
    let scenario = group.folder.path().join("scenario.yaml");
    let scenario = scenario.to_str().unwrap();
    std::fs::write(scenario, SHORT).unwrap();
    // So short a load tells little of the group: 5 is inconclusive.
    ends(&group, &["run", scenario], &[0, 5]).await;
    std::fs::write(scenario, SHORT.replace("hold: 6s", "hold: 10m")).unwrap();
    killed(&group, scenario).await;
    ends(&group, &["reap", "--discover", "--force"], &[0]).await;
    assert_eq!(group.lab.inventory().await.unwrap(), Vec::<String>::new());
    watch(&group, ["--group", group.lab.group()]).await;
    group.lab.stop().await;

    let (service, of_service) = recorded("target: { service: true }").await;
    watch(&service, ["--service", "lab/web"]).await;
    service.lab.stop().await;

    assert_private(&of_group);
    let output = checked(&[&of_group, &of_service]).await;
    println!("{}", text(&output));
    assert!(
        output.status.success(),
        "not as AWS's models say: see above"
    );
    // The calls that prove that all four stories were recorded.
    let said = text(&output);
    for operation in [
        "ecs:RunTask",
        "ecr:PutImage",
        "s3:PutObject",
        "iam:CreateRole",
        "ec2:CreateSecurityGroup",
        "tagging:GetResources",
        "autoscaling:DescribeScalingActivities",
        "application-autoscaling:DescribeScalingActivities",
        "monitoring:GetMetricData",
        "elasticloadbalancing:DescribeTargetHealth",
    ] {
        assert!(said.contains(operation), "{operation} was not called");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_the_models_say_is_told() {
    let json_call = |target: &str, body: &str, answer: &str| {
        json!({
            "service": "ecs", "method": "POST", "path": "/", "status": 200,
            "headers": { "content-type": "application/x-amz-json-1.0", "x-amz-target": target },
            "answer_headers": { "content-type": "application/x-amz-json-1.1" },
            "body": { "base64": base64::encode(body) }, "answer": { "base64": base64::encode(answer) },
        })
    };
    let form = "Action=DescribePolicies&Version=2010-01-01&Group=lab";
    let xml = "<DescribePoliciesResponse><DescribePoliciesResult><ScalingPolicies><member>\
               <Enabled>maybe</Enabled></member></ScalingPolicies></DescribePoliciesResult>\
               <ResponseMetadata/></DescribePoliciesResponse>";
    let query_call = json!({
        "service": "autoscaling", "method": "POST", "path": "/", "status": 200,
        "headers": { "content-type": "application/x-www-form-urlencoded" }, "answer_headers": {},
        "body": { "base64": base64::encode(form) }, "answer": { "base64": base64::encode(xml) },
    });
    let ecs = "AmazonEC2ContainerServiceV20141113";
    let lines = [
        json_call(
            &format!("{ecs}.RunTask"),
            r#"{ "count": "two", "colour": "red", "launchType": "BALLOON" }"#,
            r#"{ "tasks": [{ "cpu": null, "createdAt": "now" }], "more": 1 }"#,
        ),
        json_call(&format!("{ecs}.FlyTask"), "{}", "{}"),
        query_call,
    ];
    let said = said_of(&lines).await;
    for told in [
        "ecs:RunTask request content-type: is application/x-amz-json-1.1",
        "ecs:RunTask request .count: is of type integer: 'two'",
        "ecs:RunTask request .colour: is no member",
        "ecs:RunTask request .taskDefinition: is required",
        "ecs:RunTask request .launchType: is one of the",
        "ecs:RunTask answer .tasks[].cpu: is absent rather than null",
        "ecs:RunTask answer .tasks[].createdAt: is of type timestamp: 'now'",
        "ecs:RunTask answer .more: is no member",
        "ecs:FlyTask request as a whole: is an operation of the model",
        "autoscaling:DescribePolicies request Version: is 2011-01-01",
        "autoscaling:DescribePolicies request .Group: is no member",
        "autoscaling:DescribePolicies answer .ScalingPolicies[].Enabled: is of type boolean: 'maybe'",
    ] {
        assert!(said.contains(told), "{told}\nin:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_the_models_say_is_told_in_cbor_rest_and_refusals() {
    let call = |service: &str, [method, path]: [&str; 2], headers: Value, body: &[u8]| {
        json!({
            "service": service, "method": method, "path": path, "status": 200,
            "headers": headers, "answer_headers": {},
            "body": { "base64": base64::encode(body) }, "answer": { "base64": "" },
        })
    };
    let describe = "/service/GraniteServiceVersion20100801/operation/DescribeAlarms";
    let cbor = json!({ "content-type": "application/cbor" });
    // A map of one entry, a text of ten bytes, and one of three.
    let asked = b"\xa1\x6aMaxRecords\x63two";
    let mut alarms = call("monitoring", ["POST", describe], cbor, asked);
    alarms["answer"]["base64"] = json!(base64::encode(b"\xa1\x6cMetricAlarms\x63two"));
    let tags = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value><Colour>red</Colour></Tag></TagSet></Tagging>";
    let colour = json!({ "x-amz-colour": "red" });
    let tagged = call("s3", ["PUT", "/bucket?tagging"], colour, tags);
    let list = json!({
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "AmazonEC2ContainerServiceV20141113.ListTasks",
    });
    let mut refused = call("ecs", ["POST", "/"], list, b"{}");
    refused["status"] = json!(400);
    refused["answer"]["base64"] = json!(base64::encode(r#"{ "__type": "x#NoSuchThing" }"#));

    let said = said_of(&[alarms, tagged, refused]).await;
    for told in [
        "monitoring:DescribeAlarms request .MaxRecords: is of type integer: 'two'",
        "monitoring:DescribeAlarms answer smithy-protocol: is rpc-v2-cbor",
        "monitoring:DescribeAlarms answer .MetricAlarms: is of type list: 'two'",
        "s3:PutBucketTagging request .Tagging.TagSet[].Colour: is no member",
        "s3:PutBucketTagging request x-amz-colour: is no member",
        "ecs:ListTasks answer error: has a message",
        "ecs:ListTasks answer error: is one of the operation's or of every operation's: 'NoSuchThing'",
    ] {
        assert!(said.contains(told), "{told}\nin:\n{said}");
    }
}

/// Holds calls to the models, which they deviate from; returns everything that is told.
async fn said_of(calls: &[Value]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calls.jsonl");
    let lines: Vec<String> = calls.iter().map(Value::to_string).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let output = checked(&[&file]).await;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

/// Holds recordings to the models.
async fn checked(recordings: &[&PathBuf]) -> Output {
    let mut command = Command::new(program("python"));
    command
        .arg(path("tests/models/check.py"))
        .args(recordings)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command.output().await.unwrap()
}

/// Watches the lab's own target for a while; the judgement does not matter.
async fn watch(trial: &Trial, subject: [&str; 2]) {
    let out = trial.folder.path().join("watch.jsonl");
    let mut args = vec!["watch", "--for", "6s", "--out", out.to_str().unwrap()];
    args.extend(subject);
    let output = trial.run(&args).await;
    assert!(out.exists(), "{}", text(&output));
}

/// Checks that nobody else can read a recording, and that it has none of what signs calls.
fn assert_private(calls: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = calls.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(calls).unwrap();
    for secret in ["Signature=", "authorization\"", "security-token\""] {
        assert!(!text.contains(secret), "{secret}");
    }
}

/// Asks the target for a page; what it answers does not matter.
async fn ask(url: String) {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
}

/// Loads the target for six seconds with more than it can answer, waits until the group has grown
/// and every metric of the load is there, and returns what really happened.
async fn grown(lab: &Lab) -> Truth {
    let mut requests = JoinSet::new();
    let mut pace = tokio::time::interval(Duration::from_secs(1) / 150);
    for _ in 0..900 {
        pace.tick().await;
        requests.spawn(ask(lab.target_url().to_owned()));
    }
    requests.join_all().await;
    let until = Instant::now() + PATIENCE;
    loop {
        let truth = lab.truth();
        let desired = truth.decisions.last().map(|decided| decided.to as usize);
        let lives = living(&truth);
        let is_grown =
            desired == Some(lives.len()) && lives.iter().all(|one| one.healthy.is_some());
        let last = lab.last_request().unwrap().as_millisecond();
        let is_quiet = Timestamp::now().as_millisecond() - last > 5_000;
        if is_grown && is_quiet {
            return truth;
        }
        assert!(Instant::now() < until, "the group never grew: {truth:?}");
        sleep(LOOK).await;
    }
}

fn living(truth: &Truth) -> Vec<&InstanceTruth> {
    let all = truth.instances.iter();
    all.filter(|one| one.gone.is_none() && one.draining.is_none())
        .collect()
}

/// Returns a command that sees the lab, and none of the developer's own AWS settings.
fn client(lab: &Lab, folder: &Path, name: &str) -> Command {
    let mut command = Command::new(program(name));
    command
        .envs(lab.environment())
        .env("HOME", folder)
        .env("AWS_CONFIG_FILE", folder.join("none"))
        .env("AWS_SHARED_CREDENTIALS_FILE", folder.join("none"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_DEFAULT_PROFILE")
        .env_remove("AWS_DEFAULT_OUTPUT")
        .env_remove("AWS_SESSION_TOKEN")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs AWS's command line, and returns what it prints.
async fn aws(lab: &Lab, folder: &Path, args: &[&str]) -> String {
    let output = client(lab, folder, "aws")
        .args(args)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "aws {args:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The same, as JSON.
async fn aws_json(lab: &Lab, folder: &Path, args: &[&str]) -> Value {
    let text = aws(lab, folder, args).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
}

/// Returns the words of a command line.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_and_boto3_read_what_the_group_did() {
    let (trial, calls) = recorded(GROWS).await;
    let (lab, folder) = (&trial.lab, trial.folder.path());
    let truth = grown(lab).await;
    let lives = living(&truth);

    let sizes = [
        &words("autoscaling describe-auto-scaling-groups --auto-scaling-group-names")[..],
        &[lab.group(), "--query"],
        &["AutoScalingGroups[0].[DesiredCapacity,length(Instances)]"],
    ];
    let sizes = aws_json(lab, folder, &sizes.concat()).await;
    assert_eq!(sizes, json!([lives.len(), lives.len()]));

    activities(lab, folder, &truth).await;
    alarms_and_metrics(lab, folder, &truth).await;
    target_health(lab, folder, &lives).await;

    let output = client(lab, folder, "python")
        .arg(path("tests/models/readers.py"))
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    for protocol in ["smithy-rpc-v2-cbor", "json", "query"] {
        assert_read(&read[protocol], &truth, protocol);
    }
    let output = checked(&[&calls]).await;
    assert!(output.status.success(), "{}", text(&output));
    trial.lab.stop().await;
}

/// Reads the activities as a table and by pages, and compares them with the launches.
async fn activities(lab: &Lab, folder: &Path, truth: &Truth) {
    let line = "autoscaling describe-scaling-activities --auto-scaling-group-name";
    let table = [
        &words(line)[..],
        &[lab.group()],
        &words(
            "--max-items 20 --query Activities[].[StartTime,Description,StatusCode] --output table",
        ),
    ];
    let table = aws(lab, folder, &table.concat()).await;
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.contains("Successful"))
        .collect();
    // Instances from the start have activities of their launch too.
    let launched = &truth.instances;
    assert_eq!(rows.len(), launched.len().min(20), "{table}");
    for one in launched {
        let seconds = one.launched.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        let is_told = |row: &&&str| row.contains(&one.id) && row.contains(&seconds);
        assert_eq!(rows.iter().filter(is_told).count(), 1, "{one:?}: {table}");
    }
    let ids = "--query Activities[].ActivityId --page-size";
    let mut read = Vec::new();
    for size in ["1", "100"] {
        let args = [&words(line)[..], &[lab.group()], &words(ids), &[size]];
        read.push(aws_json(lab, folder, &args.concat()).await);
    }
    assert_eq!(read[0].as_array().unwrap().len(), launched.len());
    assert_eq!(read[0], read[1]);
}

async fn alarms_and_metrics(lab: &Lab, folder: &Path, truth: &Truth) {
    let alarms = aws_json(lab, folder, &words("cloudwatch describe-alarms")).await;
    let alarms = alarms["MetricAlarms"].as_array().unwrap();
    let fired = &truth.alarms[0];
    let high = alarms.iter().find(|one| one["AlarmName"] == *fired.alarm);
    let high = high.unwrap_or_else(|| panic!("{} in {alarms:?}", fired.alarm));
    assert_eq!(
        (
            &high["Threshold"],
            &high["Period"],
            &high["EvaluationPeriods"]
        ),
        (&json!(50.0), &json!(1), &json!(2))
    );
    let queries = json!([{ "Id": "sum", "MetricStat": { "Period": 1, "Stat": "Sum", "Metric": {
        "Namespace": "AWS/ApplicationELB", "MetricName": "RequestCount",
        "Dimensions": [{ "Name": "LoadBalancer", "Value": "app/lab-web/50dc6c495c0c9188" }],
    } } }]);
    let first = truth.worlds.first_request.unwrap() - Duration::from_secs(1);
    let (from, to) = (first.to_string(), Timestamp::now().to_string());
    let args = [
        &words("cloudwatch get-metric-data --metric-data-queries")[..],
        &[
            &queries.to_string(),
            "--start-time",
            &from,
            "--end-time",
            &to,
        ],
        &words("--query MetricDataResults[0].[sum(Values),StatusCode]"),
    ];
    let read = aws_json(lab, folder, &args.concat()).await;
    assert_eq!(read, json!([truth.worlds.requests as f64, "Complete"]));
}

async fn target_health(lab: &Lab, folder: &Path, lives: &[&InstanceTruth]) {
    let arn = "AutoScalingGroups[0].TargetGroupARNs[0]";
    let args = words("autoscaling describe-auto-scaling-groups --query");
    let arn = aws_json(lab, folder, &[&args[..], &[arn]].concat()).await;
    let args = [
        &words("elbv2 describe-target-health --target-group-arn")[..],
        &[arn.as_str().unwrap(), "--query"],
        &["TargetHealthDescriptions[].[Target.Id,Target.Port,TargetHealth.State]"],
    ];
    let health = aws_json(lab, folder, &args.concat()).await;
    let expected: Vec<Value> = lives
        .iter()
        .map(|one| json!([one.id, 80, "healthy"]))
        .collect();
    assert_eq!(health, json!(expected));
}

/// Compares what boto3 read in one protocol with what happened.
fn assert_read(read: &Value, truth: &Truth, protocol: &str) {
    let alarms = read["alarms"].as_array().unwrap();
    assert!(alarms.len() > 1, "{protocol}: {read}");
    let high = alarms
        .iter()
        .find(|one| one[0] == *truth.alarms[0].alarm)
        .unwrap();
    assert_eq!(high[1], json!(50.0), "{protocol}");
    assert_eq!(
        (&high[2], &high[3], &high[4]),
        (&json!(1), &json!(2), &json!(true))
    );
    assert_eq!(high[6], json!("AWS/EC2"), "{protocol}");
    assert_eq!(read["alarms_by_pages"], read["alarms"], "{protocol}");
    assert_eq!(read["alarm_pages"], json!(alarms.len()), "{protocol}");
    let fired = truth.alarms.iter();
    let fired: Vec<Value> = fired
        .map(|one| json!([one.alarm, one.at.as_millisecond()]))
        .collect();
    assert_eq!(read["fired"], json!(fired), "{protocol}");

    let points = read["points"]["requests"].as_array().unwrap();
    let sum: f64 = points.iter().map(|one| one[1].as_f64().unwrap()).sum();
    assert!(
        (sum - truth.worlds.requests as f64).abs() < 0.5,
        "{protocol}: {sum} {points:?}"
    );
    assert!(
        !read["points"]["latency"].as_array().unwrap().is_empty(),
        "{protocol}"
    );
    assert_eq!(read["points_by_pages"], read["points"], "{protocol}");
    assert_eq!(read["has_pages"], json!(true), "{protocol}");
    assert_eq!(read["refusal"], json!("InvalidNextToken"), "{protocol}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_reads_a_service() {
    let trial = Trial::new("target: { service: true }", PolicyFiles::default()).await;
    let (lab, folder) = (&trial.lab, trial.folder.path());
    let truth = lab.truth();
    let count = living(&truth).len();
    let services = words(
        "ecs describe-services --cluster lab --services web other --query \
         [services[].[serviceName,desiredCount,runningCount,pendingCount,status],failures[].reason]",
    );
    let read = aws_json(lab, folder, &services).await;
    assert_eq!(
        read,
        json!([[["web", count, count, 0, "ACTIVE"]], ["MISSING"]])
    );
    trial.lab.stop().await;
}
