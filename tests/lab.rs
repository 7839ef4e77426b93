//! The lab, called by the real Rust SDKs as the product calls AWS. Needs moto: see docs/lab.md.
#![allow(
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests are tests, which clippy.toml cannot see; a story is told in one piece"
)]

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_cloudwatch::types::{
    Dimension, HistoryItemType, Metric, MetricDataQuery, MetricStat, ScanBy, StateValue,
};
use aws_sdk_ecs::types::{
    AwsVpcConfiguration, Compatibility, ContainerDefinition, ContainerOverride, DesiredStatus,
    KeyValuePair, LaunchType, NetworkConfiguration, NetworkMode, Task, TaskOverride,
};
use aws_smithy_types::Blob;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use spikeproof::lab::{self, AccessKey, Lab, Options, Principal};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

#[path = "lab/door.rs"]
mod door;
#[path = "lab/killed.rs"]
mod killed;
#[path = "lab/signed.rs"]
mod signed;

use signed::Signer;

/// Long enough for a loaded machine; every wait ends.
const PATIENCE: Duration = Duration::from_mins(1);

async fn start(file: &str) -> Lab {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.yaml");
    std::fs::write(&path, file).unwrap();
    lab::start(Options {
        file: Some(path),
        ..Options::default()
    })
    .await
    .unwrap()
}

async fn sdk(lab: &Lab) -> SdkConfig {
    sdk_of(lab, lab.key(Principal::Operator)).await
}

async fn sdk_of(lab: &Lab, key: &AccessKey) -> SdkConfig {
    let token = key.token.as_ref().map(|token| token.text().to_owned());
    let secret = key.secret.text();
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(lab.endpoint())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new(&key.id, secret, token, None, "test"))
        .load()
        .await
}

/// Makes one HTTP exchange on a connection of its own.
async fn send(base: &str, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let stream = TcpStream::connect(base.trim_start_matches("http://"))
        .await
        .unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

async fn get(base: &str, path: &str) -> Response<Bytes> {
    get_with(base, path, &[]).await
}

async fn get_with(base: &str, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
    let mut request = Request::get(path).header("host", base.trim_start_matches("http://"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(base, request.body(Full::default()).unwrap()).await
}

/// Makes a query call for which the project has no SDK.
async fn query(lab: &Lab, service: &str, form: &str) -> (u16, String) {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let request = Signer::of(lab).sign(service, "POST", "/", &headers, form);
    let response = send(lab.endpoint(), request).await;
    (
        response.status().as_u16(),
        String::from_utf8_lossy(response.body()).into_owned(),
    )
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    text.split_once(from)
        .unwrap_or_else(|| panic!("no {from} in {text}"))
        .1
        .split_once(to)
        .unwrap()
        .0
}

/// Sends `per_second` requests a second until the instant; returns the statuses seen.
async fn load(url: String, per_second: u32, until: Instant) -> Vec<u16> {
    let mut requests = JoinSet::new();
    let mut pace = tokio::time::interval(Duration::from_secs(1) / per_second);
    while Instant::now() < until {
        pace.tick().await;
        let url = url.clone();
        requests.spawn(async move { get(&url, "/api/products").await.status().as_u16() });
    }
    requests.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spike_is_seen_through_every_api_by_which_one_watches_a_group() {
    // Small instances, so that the test's own client is not the limit: 50/s each.
    let lab = start(
        "target: { workers: 1, service_time: 20ms, boot_time: 1s, queue_limit: 500ms }\n\
         policy: { high_datapoints: 2, low_datapoints: 4, warm_up: 1s }",
    )
    .await;
    let config = sdk(&lab).await;
    let group_name = lab.group();
    let autoscaling = aws_sdk_autoscaling::Client::new(&config);
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&config);
    let balancing = aws_sdk_elasticloadbalancingv2::Client::new(&config);
    let began = SystemTime::now() - Duration::from_secs(2);

    let groups = autoscaling
        .describe_auto_scaling_groups()
        .auto_scaling_group_names(group_name)
        .send()
        .await
        .unwrap();
    let [group] = groups.auto_scaling_groups() else {
        panic!("one group expected")
    };
    assert_eq!(
        (group.min_size(), group.max_size(), group.desired_capacity()),
        (Some(2), Some(8), Some(2))
    );
    assert_eq!(
        group.instances()[0].lifecycle_state().unwrap().as_str(),
        "InService"
    );
    let unknown = autoscaling
        .describe_auto_scaling_groups()
        .auto_scaling_group_names("other")
        .send()
        .await
        .unwrap();
    assert!(unknown.auto_scaling_groups().is_empty());

    let policies = autoscaling
        .describe_policies()
        .auto_scaling_group_name(group_name)
        .send()
        .await
        .unwrap();
    let [policy] = policies.scaling_policies() else {
        panic!("one policy expected")
    };
    assert_eq!(
        policy
            .target_tracking_configuration()
            .unwrap()
            .target_value(),
        Some(50.0)
    );
    let alarm_names: Vec<&str> = policy
        .alarms()
        .iter()
        .filter_map(|alarm| alarm.alarm_name())
        .collect();
    assert!(
        alarm_names[0].starts_with("TargetTracking-lab-web-AlarmHigh-"),
        "{alarm_names:?}"
    );

    let statuses = load(
        lab.target_url().to_owned(),
        150,
        Instant::now() + Duration::from_secs(8),
    )
    .await;
    assert!(statuses.iter().all(|status| [200, 503].contains(status)));
    assert!(
        statuses.iter().filter(|status| **status == 200).count() > 500,
        "{}",
        statuses.len()
    );
    let answer = get(lab.target_url(), "/status/418").await;
    assert_eq!(answer.status(), 418);
    assert!(
        answer.headers()["x-instance-id"]
            .to_str()
            .unwrap()
            .starts_with("i-")
    );

    let alarms = cloudwatch
        .describe_alarms()
        .alarm_names(alarm_names[0])
        .send()
        .await
        .unwrap();
    let [high] = alarms.metric_alarms() else {
        panic!("one alarm expected")
    };
    assert_eq!(
        (high.threshold(), high.evaluation_periods(), high.period()),
        (Some(50.0), Some(2), Some(1))
    );
    assert!(high.state_transitioned_timestamp().is_some());

    let history = cloudwatch
        .describe_alarm_history()
        .alarm_name(alarm_names[0])
        .history_item_type(HistoryItemType::StateUpdate)
        .scan_by(ScanBy::TimestampAscending)
        .send()
        .await
        .unwrap();
    let to_alarm = history
        .alarm_history_items()
        .iter()
        .map(|item| {
            serde_json::from_str::<serde_json::Value>(item.history_data().unwrap()).unwrap()
        })
        .find(|data| data["newState"]["stateValue"] == StateValue::Alarm.as_str())
        .expect("the alarm fired");
    let datapoints = to_alarm["newState"]["stateReasonData"]["evaluatedDatapoints"]
        .as_array()
        .unwrap();
    assert_eq!(datapoints.len(), 2);
    assert!(
        datapoints[0]["timestamp"].as_str() > datapoints[1]["timestamp"].as_str(),
        "newest first"
    );
    assert!(
        datapoints
            .iter()
            .all(|datapoint| datapoint["value"].as_f64().unwrap() > 50.0)
    );
    let actions = cloudwatch
        .describe_alarm_history()
        .history_item_type(HistoryItemType::Action)
        .send()
        .await
        .unwrap();
    assert!(
        actions.alarm_history_items()[0]
            .history_summary()
            .unwrap()
            .starts_with("Successfully executed action")
    );

    let activities = autoscaling
        .describe_scaling_activities()
        .auto_scaling_group_name(group_name)
        .send()
        .await
        .unwrap();
    let newest = &activities.activities()[0];
    assert!(
        newest
            .cause()
            .unwrap()
            .contains("in state ALARM triggered policy"),
        "{newest:?}"
    );
    let details: serde_json::Value = serde_json::from_str(newest.details().unwrap()).unwrap();
    assert_eq!(details["InvokingAlarms"][0]["AlarmName"], alarm_names[0]);
    let paged: Vec<_> = autoscaling
        .describe_scaling_activities()
        .max_records(1)
        .into_paginator()
        .items()
        .send()
        .collect::<Result<_, _>>()
        .await
        .unwrap();
    assert_eq!(paged.len(), activities.activities().len());

    let target_group = group.target_group_arns()[0].clone();
    let health = balancing
        .describe_target_health()
        .target_group_arn(&target_group)
        .send()
        .await
        .unwrap();
    assert!(health.target_health_descriptions().len() > 2, "{health:?}");
    let attributes = balancing
        .describe_target_group_attributes()
        .target_group_arn(&target_group)
        .send()
        .await
        .unwrap();
    assert_eq!(attributes.attributes()[0].value(), Some("3"));
    let described = balancing
        .describe_target_groups()
        .target_group_arns(&target_group)
        .send()
        .await
        .unwrap();
    let balancer = described.target_groups()[0].load_balancer_arns()[0].clone();
    let balancers = balancing
        .describe_load_balancers()
        .load_balancer_arns(&balancer)
        .send()
        .await
        .unwrap();
    assert_eq!(
        balancers.load_balancers()[0]
            .dns_name()
            .map(|name| format!("http://{name}"))
            .as_deref(),
        Some(lab.target_url())
    );
    assert!(
        autoscaling
            .describe_warm_pool()
            .auto_scaling_group_name(group_name)
            .send()
            .await
            .unwrap()
            .instances()
            .is_empty()
    );
    let hooks = autoscaling
        .describe_lifecycle_hooks()
        .auto_scaling_group_name(group_name)
        .send()
        .await
        .unwrap();
    assert!(hooks.lifecycle_hooks().is_empty());
    assert!(
        autoscaling
            .describe_scheduled_actions()
            .send()
            .await
            .unwrap()
            .scheduled_update_group_actions()
            .is_empty()
    );

    let dimension = balancer.split_once("loadbalancer/").unwrap().1;
    let data = cloudwatch
        .get_metric_data()
        .start_time(began.into())
        .end_time((SystemTime::now() + Duration::from_secs(1)).into())
        .scan_by(ScanBy::TimestampAscending)
        .metric_data_queries(metric(
            "cpu",
            "AWS/EC2",
            "CPUUtilization",
            "AutoScalingGroupName",
            group_name,
            "Average",
        ))
        .metric_data_queries(metric(
            "n",
            "AWS/ApplicationELB",
            "RequestCount",
            "LoadBalancer",
            dimension,
            "Sum",
        ))
        .metric_data_queries(metric(
            "p99",
            "AWS/ApplicationELB",
            "TargetResponseTime",
            "LoadBalancer",
            dimension,
            "p99",
        ))
        .metric_data_queries(metric(
            "none",
            "AWS/EC2",
            "CPUUtilization",
            "AutoScalingGroupName",
            "other",
            "Average",
        ))
        .send()
        .await
        .unwrap();
    let [cpu, requests, latency, none] = data.metric_data_results() else {
        panic!("four results expected")
    };
    assert!(
        cpu.values().iter().any(|percent| *percent > 90.0),
        "{cpu:?}"
    );
    assert_eq!(cpu.timestamps().len(), cpu.values().len());
    assert!(
        requests.values().iter().sum::<f64>() > 500.0,
        "{requests:?}"
    );
    assert!(
        latency.values().iter().any(|seconds| *seconds > 0.1),
        "{latency:?}"
    );
    assert!(none.values().is_empty());

    let mut drained = false;
    let until = Instant::now() + PATIENCE;
    loop {
        let health = balancing
            .describe_target_health()
            .target_group_arn(&target_group)
            .send()
            .await
            .unwrap();
        let states = health
            .target_health_descriptions()
            .iter()
            .filter_map(|each| each.target_health()?.state());
        drained |= states.filter(|state| state.as_str() == "draining").count() > 0;
        let now = autoscaling
            .describe_auto_scaling_groups()
            .send()
            .await
            .unwrap();
        let group = &now.auto_scaling_groups()[0];
        if drained && group.desired_capacity() == Some(2) && group.instances().len() == 2 {
            break;
        }
        assert!(
            Instant::now() < until,
            "the group never came back: {group:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(lab.inventory().await.unwrap(), Vec::<String>::new());
    lab.stop().await;
}

fn metric(
    id: &str,
    namespace: &str,
    name: &str,
    dimension: &str,
    value: &str,
    stat: &str,
) -> MetricDataQuery {
    let dimension = Dimension::builder().name(dimension).value(value).build();
    let metric = Metric::builder()
        .namespace(namespace)
        .metric_name(name)
        .dimensions(dimension)
        .build();
    let stat = MetricStat::builder()
        .metric(metric)
        .period(1)
        .stat(stat)
        .build();
    MetricDataQuery::builder().id(id).metric_stat(stat).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_a_process_out_of_the_pushed_image() {
    let lab = start("tasks: { provisioning: 100ms, pending: 100ms, deprovisioning: 100ms }").await;
    let (ecs, image, place) = cluster_and_image(&lab).await;
    let script = "FOLDER=$(pwd) env > \"$OUT\"; trap 'exit 7' TERM; while :; do sleep 0.05; done";
    register(&ecs, &image, script).await;
    let out = tempfile::tempdir().unwrap();
    let written = out.path().join("env");

    let first = run_task(&ecs, &place, &written, "same").await;
    let again = run_task(&ecs, &place, &written, "same").await;
    assert_eq!(
        first.task_arn(),
        again.task_arn(),
        "the client token makes a retry safe"
    );
    let arn = first.task_arn().unwrap();
    assert_eq!(
        (first.last_status(), first.started_by()),
        (Some("PROVISIONING"), Some("test"))
    );
    let running = wait_for(&ecs, arn, "RUNNING").await;
    assert!(running.created_at() < running.started_at());

    let environment = wait_for_file(&written).await;
    let value = |name: &str| {
        environment
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    assert_eq!(value("FROM_IMAGE"), Some("yes"));
    assert_eq!(value("FROM_DEFINITION"), Some("yes"));
    assert_eq!(value("AWS_ENDPOINT_URL"), Some(lab.endpoint()));
    assert_eq!(
        value("CARGO_MANIFEST_DIR"),
        None,
        "nothing of the lab's own environment"
    );
    let metadata = value("ECS_CONTAINER_METADATA_URI_V4")
        .unwrap()
        .strip_prefix(lab.endpoint())
        .unwrap();
    let metadata = get(lab.endpoint(), &format!("{metadata}/task")).await;
    assert!(String::from_utf8_lossy(metadata.body()).contains(arn));
    let pass = value("AWS_CONTAINER_AUTHORIZATION_TOKEN").unwrap();
    let other = door::task_id(arn).replace(|_| true, "0");
    for (path, expected) in [
        (format!("/_lab/metadata/{}/{pass}", door::task_id(arn)), 200),
        (format!("/_lab/metadata/{}", door::task_id(arn)), 403),
        (format!("/_lab/metadata/{}/0", door::task_id(arn)), 403),
        (format!("/_lab/metadata/{other}/{pass}"), 403),
    ] {
        let status = get(lab.endpoint(), &path).await.status().as_u16();
        assert_eq!(status, expected, "{path}");
    }
    let credentials = value("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        .unwrap()
        .strip_prefix(lab.endpoint())
        .unwrap();
    for (pass, expected) in [(pass, 200), ("", 403), (&pass[1..], 403)] {
        let headers = [("authorization", pass)];
        let answer = get_with(lab.endpoint(), credentials, &headers).await;
        assert_eq!(answer.status().as_u16(), expected, "{pass}");
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        assert_eq!(text.contains("SecretAccessKey"), expected == 200, "{text}");
    }
    assert_eq!(get(lab.endpoint(), credentials).await.status(), 403);
    door::the_folder_is_private(value("FOLDER").unwrap());

    let listed = ecs
        .list_tasks()
        .cluster("c")
        .started_by("test")
        .send()
        .await
        .unwrap();
    assert_eq!(listed.task_arns(), [arn]);
    let refused = ecs.delete_cluster().cluster("c").send().await.unwrap_err();
    assert!(
        refused
            .into_service_error()
            .is_cluster_contains_tasks_exception()
    );
    let delete_group = format!(
        "Action=DeleteSecurityGroup&Version=2016-11-15&GroupId={}",
        place.security_group
    );
    let (status, body) = query(&lab, "ec2", &delete_group).await;
    assert_eq!(
        (status, between(&body, "<Code>", "<")),
        (400, "DependencyViolation")
    );
    let inventory = lab.inventory().await.unwrap().join("\n");
    for kind in [
        "cluster c",
        "task c/",
        "task definition f:1",
        "ECR repository app",
        "security group sg (",
    ] {
        assert!(inventory.contains(kind), "{kind}: {inventory}");
    }

    ecs.stop_task()
        .cluster("c")
        .task(arn)
        .reason("enough")
        .send()
        .await
        .unwrap();
    let stopped = wait_for(&ecs, arn, "STOPPED").await;
    assert_eq!(stopped.stop_code().unwrap().as_str(), "UserInitiated");
    assert_eq!(stopped.stopped_reason(), Some("enough"));
    assert_eq!(
        stopped.containers()[0].exit_code(),
        Some(7),
        "SIGTERM reached the process"
    );
    let listed = ecs
        .list_tasks()
        .cluster("c")
        .desired_status(DesiredStatus::Stopped)
        .send()
        .await
        .unwrap();
    assert_eq!(listed.task_arns(), [arn]);
    let missing = ecs
        .describe_tasks()
        .cluster("c")
        .tasks("nobody")
        .send()
        .await
        .unwrap();
    assert_eq!(missing.failures()[0].reason(), Some("MISSING"));
    assert_eq!(query(&lab, "ec2", &delete_group).await.0, 200);
    ecs.delete_cluster().cluster("c").send().await.unwrap();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_task_outlives_the_lab_even_if_it_ignores_sigterm() {
    let lab = start("tasks: { provisioning: 0s, pending: 0s }").await;
    let (ecs, image, place) = cluster_and_image(&lab).await;
    register(
        &ecs,
        &image,
        "trap '' TERM; echo AWS_ENDPOINT_URL $$ > \"$OUT\"; while :; do sleep 0.05; done",
    )
    .await;
    let out = tempfile::tempdir().unwrap();
    let written = out.path().join("pid");
    run_task(&ecs, &place, &written, "t").await;
    let text = wait_for_file(&written).await;
    let process = PathBuf::from("/proc").join(text.split_whitespace().nth(1).unwrap());
    let command = std::fs::read_to_string(process.join("cmdline")).unwrap();
    assert!(
        command.split('\0').next().unwrap().ends_with("/spikeproof"),
        "it runs the image's file: {command}"
    );
    assert!(process.exists());
    lab.stop().await;
    assert!(!process.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_have_their_size_and_a_client_that_goes_away_is_counted() {
    let lab = start(
        "target: { service_time: 800ms, transfer: { rate: 1MB/s, large: [{ path: /report, size: 64KB }] } }",
    )
    .await;
    let url = lab.target_url();
    let gone = tokio::time::timeout(Duration::from_millis(200), get(url, "/")).await;
    assert!(gone.is_err(), "it takes 800 ms");
    let large = get(url, "/report").await;
    assert_eq!((large.status().as_u16(), large.body().len()), (200, 64_000));
    let told: serde_json::Value = serde_json::from_slice(large.body()).unwrap();
    assert_eq!(told["path"], "/report");
    assert!(get(url, "/").await.body().len() < 1_000);
    let told = lab.truth().worlds;
    assert_eq!(
        (told.requests, told.given_up, told.large_answers),
        (3, 1, 1)
    );
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lab_file_makes_starts_and_calls_fail() {
    let lab = start(
        "tasks: { provisioning: 0s, pending: 0s, deprovisioning: 0s }\n\
         faults:\n\
         \x20 capacity_failures: 1\n\
         \x20 task_start_failures: [0]\n\
         \x20 refuse: [{ action: CreateRepository, code: LimitExceededException, message: no more }]\n",
    )
    .await;
    let config = sdk(&lab).await;
    let ecs = aws_sdk_ecs::Client::new(&config);
    let refused = aws_sdk_ecr::Client::new(&config)
        .create_repository()
        .repository_name("app")
        .send()
        .await
        .unwrap_err();
    assert!(refused.into_service_error().is_limit_exceeded_exception());
    let place = place(&lab).await;
    ecs.create_cluster().cluster_name("c").send().await.unwrap();
    register(
        &ecs,
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:none",
        "true",
    )
    .await;
    let nowhere = PathBuf::from("/nowhere");
    let call = |token: &str| {
        let token = token.to_owned();
        let (ecs, place, nowhere) = (&ecs, &place, &nowhere);
        async move { request(ecs, place, nowhere, &token).send().await.unwrap() }
    };
    let none = call("a").await;
    assert!(none.tasks().is_empty());
    assert!(
        none.failures()[0]
            .reason()
            .unwrap()
            .starts_with("Capacity is unavailable at this time")
    );
    for (token, reason) in [
        ("b", "ResourceInitializationError"),
        ("c", "CannotPullContainerError"),
    ] {
        let task = call(token).await.tasks()[0].clone();
        let stopped = wait_for(&ecs, task.task_arn().unwrap(), "STOPPED").await;
        assert_eq!(stopped.stop_code().unwrap().as_str(), "TaskFailedToStart");
        assert!(
            stopped.stopped_reason().unwrap().starts_with(reason),
            "{stopped:?}"
        );
    }
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_refuses_what_ecr_refuses() {
    let lab = start("").await;
    let ecr = aws_sdk_ecr::Client::new(&sdk(&lab).await);
    ecr.create_repository()
        .repository_name("app")
        .send()
        .await
        .unwrap();
    let upload = ecr
        .initiate_layer_upload()
        .repository_name("app")
        .send()
        .await
        .unwrap();
    let id = upload.upload_id().unwrap();
    let part = ecr
        .upload_layer_part()
        .repository_name("app")
        .upload_id(id)
        .part_first_byte(0)
        .part_last_byte(4);
    part.layer_part_blob(Blob::new("layer"))
        .send()
        .await
        .unwrap();
    let wrong = format!("sha256:{}", "0".repeat(64));
    let complete = ecr
        .complete_layer_upload()
        .repository_name("app")
        .upload_id(id)
        .layer_digests(wrong);
    assert!(
        complete
            .send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_invalid_layer_exception()
    );
    let manifest = manifest(&digest(b"config"), &digest(b"layer"));
    let put = ecr
        .put_image()
        .repository_name("app")
        .image_manifest(manifest)
        .image_tag("v1")
        .send()
        .await
        .unwrap_err();
    assert!(put.into_service_error().is_layers_not_found_exception());
    lab.stop().await;
}

/// The network of tasks: a default subnet and a security group of the emulated account.
struct Place {
    subnet: String,
    security_group: String,
}

async fn place(lab: &Lab) -> Place {
    let filter = "Filter.1.Name=default-for-az&Filter.1.Value.1=true";
    let (_, subnets) = query(
        lab,
        "ec2",
        &format!("Action=DescribeSubnets&Version=2016-11-15&{filter}"),
    )
    .await;
    let vpc = between(&subnets, "<vpcId>", "<");
    let create = format!(
        "Action=CreateSecurityGroup&Version=2016-11-15&GroupName=sg&GroupDescription=d&VpcId={vpc}"
    );
    let (_, group) = query(lab, "ec2", &create).await;
    Place {
        subnet: between(&subnets, "<subnetId>", "<").to_owned(),
        security_group: between(&group, "<groupId>", "<").to_owned(),
    }
}

/// Makes the cluster `c`. Returns the client, the reference of a pushed image, and the network.
async fn cluster_and_image(lab: &Lab) -> (aws_sdk_ecs::Client, String, Place) {
    let config = sdk(lab).await;
    let ecs = aws_sdk_ecs::Client::new(&config);
    let image = push_shell(&config).await;
    let place = place(lab).await;
    ecs.create_cluster().cluster_name("c").send().await.unwrap();
    (ecs, image, place)
}

async fn register(ecs: &aws_sdk_ecs::Client, image: &str, script: &str) {
    let container = ContainerDefinition::builder()
        .name("generator")
        .image(image)
        .command(script)
        .environment(
            KeyValuePair::builder()
                .name("FROM_DEFINITION")
                .value("yes")
                .build(),
        )
        .build();
    ecs.register_task_definition()
        .family("f")
        .network_mode(NetworkMode::Awsvpc)
        .requires_compatibilities(Compatibility::Fargate)
        .cpu("256")
        .memory("512")
        .container_definitions(container)
        .send()
        .await
        .unwrap();
}

fn request(
    ecs: &aws_sdk_ecs::Client,
    place: &Place,
    out: &std::path::Path,
    token: &str,
) -> aws_sdk_ecs::operation::run_task::builders::RunTaskFluentBuilder {
    let network = AwsVpcConfiguration::builder()
        .subnets(&place.subnet)
        .security_groups(&place.security_group);
    let variable = KeyValuePair::builder()
        .name("OUT")
        .value(out.to_str().unwrap())
        .build();
    let container = ContainerOverride::builder()
        .name("generator")
        .environment(variable)
        .build();
    ecs.run_task()
        .cluster("c")
        .task_definition("f")
        .launch_type(LaunchType::Fargate)
        .started_by("test")
        .client_token(token)
        .network_configuration(
            NetworkConfiguration::builder()
                .awsvpc_configuration(network.build().unwrap())
                .build(),
        )
        .overrides(
            TaskOverride::builder()
                .container_overrides(container)
                .build(),
        )
}

async fn run_task(
    ecs: &aws_sdk_ecs::Client,
    place: &Place,
    out: &std::path::Path,
    token: &str,
) -> Task {
    let output = request(ecs, place, out, token).send().await.unwrap();
    output
        .tasks()
        .first()
        .unwrap_or_else(|| panic!("{output:?}"))
        .clone()
}

async fn wait_for(ecs: &aws_sdk_ecs::Client, arn: &str, status: &str) -> Task {
    let until = Instant::now() + PATIENCE;
    loop {
        let described = ecs
            .describe_tasks()
            .cluster("c")
            .tasks(arn)
            .send()
            .await
            .unwrap();
        let task = described.tasks()[0].clone();
        if task.last_status() == Some(status) {
            return task;
        }
        assert!(
            Instant::now() < until && task.last_status() != Some("STOPPED"),
            "{task:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn wait_for_file(path: &std::path::Path) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.contains("AWS_ENDPOINT_URL") {
            return text;
        }
        assert!(Instant::now() < until, "nothing wrote {}", path.display());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Pushes an image whose one file is this machine's shell, and returns its reference by digest.
async fn push_shell(config: &SdkConfig) -> String {
    let ecr = aws_sdk_ecr::Client::new(config);
    let created = ecr
        .create_repository()
        .repository_name("app")
        .send()
        .await
        .unwrap();
    let uri = created
        .repository()
        .unwrap()
        .repository_uri()
        .unwrap()
        .to_owned();
    let mut layer = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    layer
        .append_path_with_name(std::fs::canonicalize("/bin/sh").unwrap(), "spikeproof")
        .unwrap();
    let layer = layer.into_inner().unwrap().finish().unwrap();
    let path = std::env::var("PATH").unwrap();
    let settings = serde_json::json!({ "architecture": "amd64", "os": "linux", "config": {
        "Entrypoint": ["/spikeproof", "-c"], "Env": ["FROM_IMAGE=yes", format!("PATH={path}")],
    }});
    let settings = settings.to_string().into_bytes();
    for blob in [&layer, &settings] {
        upload(&ecr, blob).await;
    }
    let manifest = manifest(&digest(&settings), &digest(&layer));
    let put = ecr
        .put_image()
        .repository_name("app")
        .image_manifest(&manifest)
        .image_tag("v1")
        .send()
        .await
        .unwrap();
    let id = put
        .image()
        .unwrap()
        .image_id()
        .unwrap()
        .image_digest()
        .unwrap();
    assert_eq!(
        id,
        digest(manifest.as_bytes()),
        "the digest is the manifest's own"
    );
    format!("{uri}@{id}")
}

fn manifest(config: &str, layer: &str) -> String {
    serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 1 },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer, "size": 1 }],
    })
    .to_string()
}

async fn upload(ecr: &aws_sdk_ecr::Client, blob: &[u8]) {
    let started = ecr
        .initiate_layer_upload()
        .repository_name("app")
        .send()
        .await
        .unwrap();
    let id = started.upload_id().unwrap();
    ecr.upload_layer_part()
        .repository_name("app")
        .upload_id(id)
        .part_first_byte(0)
        .part_last_byte(blob.len() as i64 - 1)
        .layer_part_blob(Blob::new(blob))
        .send()
        .await
        .unwrap();
    let complete = ecr
        .complete_layer_upload()
        .repository_name("app")
        .upload_id(id);
    complete.layer_digests(digest(blob)).send().await.unwrap();
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}
