//! Who is refused: callers without a key, pages in a browser, and programs that no image has.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{HeaderMap, Request, Response};
use spikeproof::lab::{Lab, Principal};

use super::signed::Signer;
use super::{between, cluster_and_image, get_with, register, request, run_task, sdk_of};
use super::{send, start, wait_for};

/// Returns the id at the end of a task's ARN.
pub(crate) fn task_id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap()
}

/// Checks that a task's folder lies below one that other users cannot open.
pub(crate) fn the_folder_is_private(folder: &str) {
    let lab = Path::new(folder)
        .ancestors()
        .find(|folder| folder.join("moto.sock").exists())
        .unwrap_or_else(|| panic!("{folder} is not the lab's"));
    assert_eq!(mode(lab), 0o700);
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Service, method, path, headers and body of a call.
type Call = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

/// A fault of a call by its name, made before and after it is signed.
type Fault<'a> = (
    &'a str,
    &'a dyn Fn(&mut Signer),
    &'a dyn Fn(&mut Request<Full<Bytes>>),
);

/// One call of each wire form, the same in each test.
const CALLS: [Call; 4] = [
    (
        "sts",
        "POST",
        "/",
        &[("content-type", "application/x-www-form-urlencoded")],
        "Action=GetCallerIdentity&Version=2011-06-15",
    ),
    (
        "ecs",
        "POST",
        "/",
        &[
            ("content-type", "application/x-amz-json-1.1"),
            (
                "x-amz-target",
                "AmazonEC2ContainerServiceV20141113.ListClusters",
            ),
        ],
        "{}",
    ),
    ("s3", "GET", "/", &[], ""),
    // The lab's own list, which no emulator stands behind.
    (
        "autoscaling",
        "POST",
        "/",
        &[("content-type", "application/x-www-form-urlencoded")],
        "Action=DescribeAutoScalingGroups&Version=2011-01-01",
    ),
];

/// Makes a call after a change of its signer, and of the request that was signed.
async fn call(
    lab: &Lab,
    number: usize,
    signer: &dyn Fn(&mut Signer),
    change: &dyn Fn(&mut Request<Full<Bytes>>),
) -> Response<Bytes> {
    let (service, method, path, headers, body) = CALLS[number];
    let mut by = Signer::of(lab);
    signer(&mut by);
    let mut request = by.sign(service, method, path, headers, body);
    change(&mut request);
    send(lab.endpoint(), request).await
}

fn text(answer: &Response<Bytes>) -> String {
    String::from_utf8_lossy(answer.body()).into_owned()
}

fn opens_to_pages(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| name.as_str().starts_with("access-control-"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_must_be_signed_with_a_key_of_this_lab() {
    let lab = start("").await;
    let others = start("").await;
    let of_another = Signer::of(&others);
    let long_ago = SystemTime::now() - Duration::from_mins(20);
    for number in 0..CALLS.len() {
        let right = call(&lab, number, &|_| {}, &|_| {}).await;
        assert_eq!(right.status(), 200, "{number}: {}", text(&right));
        assert!(!opens_to_pages(right.headers()), "{:?}", right.headers());

        let wrong: [Fault<'_>; 7] = [
            ("unsigned", &|_| {}, &|request| {
                drop(request.headers_mut().remove("authorization"));
            }),
            (
                "another secret",
                &|by| "lab".clone_into(&mut by.secret),
                &|_| {},
            ),
            ("another key", &|by| "LAB".clone_into(&mut by.id), &|_| {}),
            (
                "another lab's key",
                &|by| {
                    by.id.clone_from(&of_another.id);
                    by.secret.clone_from(&of_another.secret);
                },
                &|_| {},
            ),
            ("an old date", &|by| by.at = long_ago, &|_| {}),
            ("another body", &|_| {}, &|request| {
                *request.body_mut() = Full::new(Bytes::from("Action=DeleteEverything"));
            }),
            ("another scheme", &|_| {}, &|request| {
                let basic = "Basic bGFiOmxhYg==".parse().unwrap();
                drop(request.headers_mut().insert("authorization", basic));
            }),
        ];
        for (what, signer, change) in wrong {
            let refused = call(&lab, number, signer, change).await;
            assert_eq!(refused.status(), 403, "{what} {number}: {}", text(&refused));
            assert!(!opens_to_pages(refused.headers()), "{what} {number}");
        }
    }
    // What the lab hands out itself is no call, and has a text of its own in the address.
    for path in [
        "credentials",
        "credentials/0",
        "metadata/0/0/task",
        "layers/0",
        "layers/0/0",
    ] {
        let refused = get_with(lab.endpoint(), &format!("/_lab/{path}"), &[]).await;
        assert_eq!(refused.status(), 403, "{path}");
    }
    // The tasks' key needs its session token.
    let mut key = lab.key(Principal::Tasks).clone();
    let sts = aws_sdk_ecs::Client::new(&sdk_of(&lab, &key).await);
    sts.list_clusters().send().await.unwrap();
    key.token = None;
    let sts = aws_sdk_ecs::Client::new(&sdk_of(&lab, &key).await);
    let refused = sts.list_clusters().send().await.unwrap_err();
    let code = refused.as_service_error().unwrap().meta().code().unwrap();
    assert_eq!(code, "UnrecognizedClientException");
    lab.stop().await;
    others.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_a_browser_gets_no_answer_not_even_with_a_key() {
    let lab = start("").await;
    let with = |name: &'static str, value: &'static str| {
        move |request: &mut Request<Full<Bytes>>| {
            drop(request.headers_mut().insert(name, value.parse().unwrap()));
        }
    };
    for number in 0..CALLS.len() {
        for (name, value) in [
            ("origin", "http://shop.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1"),
            ("sec-fetch-site", "cross-site"),
        ] {
            let refused = call(&lab, number, &|_| {}, &with(name, value)).await;
            assert_eq!(refused.status(), 403, "{name}: {value}");
            assert!(!opens_to_pages(refused.headers()), "{name}: {value}");
        }
        // The name is a page's own, and leads to this machine. The signature is right.
        for host in ["rebound.example", "lab", "127.0.0.2:80"] {
            let refused = call(&lab, number, &|by| host.clone_into(&mut by.host), &|_| {}).await;
            assert_eq!(refused.status(), 403, "{host}");
        }
        let port = lab.endpoint().rsplit(':').next().unwrap();
        let named = format!("localhost:{port}");
        let right = call(&lab, number, &|by| named.clone_into(&mut by.host), &|_| {}).await;
        assert_eq!(right.status(), 200, "{named}: {}", text(&right));
    }
    for base in [lab.endpoint(), lab.target_url()] {
        let host = base.trim_start_matches("http://");
        let preflight = Request::options("/")
            .header("host", host)
            .header("origin", "http://shop.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "x-amz-target")
            .body(Full::default())
            .unwrap();
        let refused = send(base, preflight).await;
        assert_eq!(refused.status(), 403, "{base}");
        assert!(!opens_to_pages(refused.headers()), "{base}");
    }
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_answers_its_own_names_and_pages_only() {
    let lab = start("").await;
    let base = lab.target_url();
    let port = base.rsplit(':').next().unwrap();
    let own = format!("http://127.0.0.1:{port}");
    let named = format!("localhost:{port}");
    let mut requests = Vec::new();
    for (headers, expected) in [
        (vec![], 200),
        (vec![("origin", own.as_str())], 200),
        (vec![("origin", "http://shop.example")], 403),
        (vec![("sec-fetch-site", "cross-site")], 403),
    ] {
        let status = get_with(base, "/", &headers).await.status().as_u16();
        assert_eq!(status, expected, "{headers:?}");
        requests.extend((status == 200).then_some(()));
    }
    for (host, expected) in [(named.as_str(), 200), ("rebound.example", 403)] {
        let request = Request::get("/").header("host", host);
        let status = send(base, request.body(Full::default()).unwrap())
            .await
            .status();
        assert_eq!(status, expected, "{host}");
        requests.extend((status == 200).then_some(()));
    }
    // What was refused is no load.
    assert_eq!(lab.truth().worlds.requests, requests.len() as u64);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_runs_the_images_program_with_the_definitions_command() {
    let lab = start("tasks: { provisioning: 0s, pending: 0s, deprovisioning: 0s }").await;
    let (ecs, image, place) = cluster_and_image(&lab).await;
    let out = tempfile::tempdir().unwrap();
    let written = out.path().join("written");
    register(&ecs, &image, "exit 3").await;

    // The command of the call is not the definition's.
    let other = aws_sdk_ecs::types::TaskOverride::builder()
        .container_overrides(
            aws_sdk_ecs::types::ContainerOverride::builder()
                .name("generator")
                .command("touch \"$OUT\"")
                .build(),
        )
        .build();
    let call = request(&ecs, &place, &written, "other").overrides(other);
    let refused = call.send().await.unwrap_err().into_service_error();
    assert!(refused.is_invalid_parameter_exception(), "{refused:?}");
    let left = lab.inventory().await.unwrap().join("\n");
    assert!(!left.contains("task c/"), "{left}");
    let own = run_task(&ecs, &place, &written, "own").await;
    let stopped = wait_for(&ecs, own.task_arn().unwrap(), "STOPPED").await;
    assert_eq!(stopped.containers()[0].exit_code(), Some(3));

    // This machine's programs are in no image.
    for entry_point in ["/bin/sh", "sh", "../../../../../../bin/sh"] {
        let container = aws_sdk_ecs::types::ContainerDefinition::builder()
            .name("generator")
            .image(&image)
            .entry_point(entry_point)
            .command("-c")
            .command("touch \"$OUT\"")
            .build();
        ecs.register_task_definition()
            .family("f")
            .network_mode(aws_sdk_ecs::types::NetworkMode::Awsvpc)
            .requires_compatibilities(aws_sdk_ecs::types::Compatibility::Fargate)
            .cpu("256")
            .memory("512")
            .container_definitions(container)
            .send()
            .await
            .unwrap();
        let task = run_task(&ecs, &place, &written, entry_point).await;
        let stopped = wait_for(&ecs, task.task_arn().unwrap(), "STOPPED").await;
        let reason = stopped.stopped_reason().unwrap();
        assert!(
            reason.starts_with("CannotStartContainerError") && reason.contains("no such program"),
            "{entry_point}: {reason}"
        );
    }
    assert!(!written.exists());
    lab.stop().await;
}

/// The emulator behind the front believes everybody, so nobody else may reach it.
#[tokio::test(flavor = "multi_thread")]
async fn moto_listens_on_no_port_and_its_socket_is_in_a_private_folder() {
    let lab = start("").await;
    let emulators: Vec<(String, String)> = children_of("self")
        .into_iter()
        .filter(|(_, command)| command.contains("moto_server"))
        .collect();
    assert!(!emulators.is_empty());
    for (pid, command) in emulators {
        let socket = between(&command, "unix://", "\0").to_owned();
        let folder = Path::new(&socket).parent().unwrap();
        // A lab of another test may have ended meanwhile.
        if folder.exists() {
            assert_eq!(mode(folder), 0o700, "{socket}");
        }
        assert_eq!(ports(&pid), Vec::<String>::new(), "{command}");
    }
    lab.stop().await;
}

/// Returns the ids and the commands of a process's children.
pub(crate) fn children_of(process: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))
        .unwrap()
        .flatten()
    {
        let ids = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for id in ids.split_whitespace() {
            let command = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            found.push((
                id.to_owned(),
                String::from_utf8_lossy(&command).into_owned(),
            ));
        }
    }
    found
}

/// Returns the addresses on which a process listens.
fn ports(pid: &str) -> Vec<String> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter();
    let sockets: Vec<String> = files
        .flatten()
        .flatten()
        .filter_map(|file| std::fs::read_link(file.path()).ok())
        .filter_map(|link| {
            let link = link.to_string_lossy().into_owned();
            let inode = link.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let mut found = Vec::new();
    for table in ["tcp", "tcp6"] {
        let table = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            // 0A is LISTEN.
            if columns[3] == "0A" && sockets.iter().any(|inode| inode == columns[9]) {
                found.push(columns[1].to_owned());
            }
        }
    }
    found
}
