//! A local load tester: neither AWS nor terraform, generators as child processes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use spikeproof::limits::OwnershipProof;
use spikeproof::report::RunReport;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpListener, TcpSocket};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Answers everything with 200 and the method, and counts.
struct Server {
    port: u16,
    seen: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&seen);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, counted) = (tls.clone(), Arc::clone(&counted));
                open.spawn(async move {
                    match tls {
                        None => serve(stream, counted).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, counted).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            port,
            seen,
            _tasks: tasks,
        }
    }

    fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    counted: Arc<AtomicU64>,
) {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        counted.fetch_add(1, Ordering::Relaxed);
        let method = request.method().to_string();
        async move { Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(method)))) }
    });
    drop(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

struct Trial {
    folder: TempDir,
}

impl Trial {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn scenario(&self, phases: &str, thresholds: &str) -> PathBuf {
        let path = self.folder.path().join("scenario.yaml");
        let text = format!(
            "name: local\nphases: [ {phases} ]\nflows:\n  - {{ name: read, weight: 3, steps: [ {{ get: /items }} ] }}\n  \
             - {{ name: write, weight: 1, steps: [ {{ post: /items, json: {{ a: 1 }}, check: {{ status: 200 }} }} ] }}\n\
             thresholds: [ '{thresholds}' ]\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, scenario: &Path, url: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spikeproof"));
        command
            .args(["run", "--fleet", "local", "--url", url])
            .arg(scenario)
            .env("SPIKEPROOF_RUNS_DIR", self.folder.path().join("runs"))
            // A local run must need neither AWS nor terraform, so both are missing.
            .env_remove("AWS_REGION")
            .env("PATH", "/nonexistent")
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn report(&self) -> RunReport {
        let run = std::fs::read_dir(self.folder.path().join("runs"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let text = std::fs::read_to_string(run.join("report.json")).unwrap();
        let schema = jsonschema::draft202012::new(&spikeproof::report::schema::json_schema());
        if let Err(fault) = schema
            .unwrap()
            .validate(&serde_json::from_str(&text).unwrap())
        {
            panic!("report.json: {fault} at {}", fault.instance_path());
        }
        serde_json::from_str(&text).unwrap()
    }

    /// Checks that no generator of this trial is alive: their channel is in its folder.
    fn no_generator_is_alive(&self) {
        let folder = self.folder.path().canonicalize().unwrap();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let ours =
                String::from_utf8_lossy(&environment).contains(&folder.display().to_string());
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            assert!(
                !(ours && line.contains("spikeproof generate")),
                "alive: {line}"
            );
        }
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_equals_what_the_target_received() {
    let (server, trial) = (Server::start(None).await, Trial::new());
    let scenario = trial.scenario(
        "{ name: up, rate: 100/s, ramp: 1s }, { name: steady, rate: 100/s, hold: 2s }",
        "errors < 1%",
    );
    let url = format!("http://127.0.0.1:{}", server.port);
    let output = trial
        .command(&scenario, &url)
        .args(["--tasks", "3"])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let load = trial.report().load.unwrap();
    // A ramp of a second to 100/s is 50 iterations, two seconds of it 200.
    assert_eq!(load.whole.tally.ok, 250);
    assert_eq!(server.seen(), 250);
    // Weights 3 and 1.
    let reads = load
        .steps
        .iter()
        .find(|step| step.name.starts_with("read"))
        .unwrap()
        .tally
        .ok;
    assert!((150..=225).contains(&reads), "{reads} of 250 were reads");
    trial.no_generator_is_alive();
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_runs_are_judged_together() {
    let (server, trial) = (Server::start(None).await, Trial::new());
    let scenario = trial.scenario("{ name: steady, rate: 50/s, hold: 1s }", "errors < 1%");
    let url = format!("http://127.0.0.1:{}", server.port);
    let output = trial
        .command(&scenario, &url)
        .args(["--repeat", "2"])
        .output()
        .await
        .unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("every judgement holds in all 2 runs"),
        "{said}"
    );
    assert!(
        said.contains("every judgement came out the same in every run"),
        "{said}"
    );
    assert_eq!(
        std::fs::read_dir(trial.folder.path().join("runs"))
            .unwrap()
            .count(),
        2
    );
    assert_eq!(server.seen(), 100);
    trial.no_generator_is_alive();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_with_a_private_authority_is_loaded_over_tls() {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let pem = key.cert.pem();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.signing_key.serialize_pem().as_bytes()).unwrap(),
        )
        .unwrap();
    let server = Server::start(Some(TlsAcceptor::from(Arc::new(config)))).await;
    let trial = Trial::new();
    let roots = trial.folder.path().join("roots.pem");
    std::fs::write(&roots, pem).unwrap();
    let scenario = trial.scenario("{ name: steady, users: 3, hold: 2s }", "errors < 1%");
    // A name, so that the static binary has to resolve one.
    let url = format!("https://localhost:{}", server.port);
    let output = trial
        .command(&scenario, &url)
        .env("SSL_CERT_FILE", &roots)
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(server.seen() > 10);

    // A certificate without a trusted authority gives no connection.
    let distrusted = trial.folder.path().join("other.pem");
    std::fs::write(
        &distrusted,
        rcgen::generate_simple_self_signed(vec!["other".to_owned()])
            .unwrap()
            .cert
            .pem(),
    )
    .unwrap();
    let seen = server.seen();
    let output = trial
        .command(&scenario, &url)
        .env("SSL_CERT_FILE", &distrusted)
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(server.seen(), seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_not_there_fails_the_threshold() {
    // The port stays bound, so that no other process listens there.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = socket.local_addr().unwrap();
    let trial = Trial::new();
    let scenario = trial.scenario("{ name: steady, rate: 20/s, hold: 1s }", "errors < 1%");
    let output = trial
        .command(&scenario, &format!("http://{closed}"))
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("20 no connection"),
        "{}",
        text(&output)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_a_run_and_its_generators() {
    for signal in [Signal::INT, Signal::TERM] {
        let (server, trial) = (Server::start(None).await, Trial::new());
        let scenario = trial.scenario("{ name: steady, rate: 50/s, hold: 10m }", "errors < 1%");
        let mut child = trial
            .command(&scenario, &format!("http://127.0.0.1:{}", server.port))
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut heard = String::new();
        while !heard.contains("load phase steady") {
            assert!(stderr.read_line(&mut heard).await.unwrap() > 0, "{heard}");
        }
        kill_process(
            Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap(),
            signal,
        )
        .unwrap();
        let output = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(output.status.code(), Some(130), "{heard}{}", text(&output));
        // Ctrl-C judges the data so far; SIGTERM destroys at once.
        assert_eq!(trial.report().judged.is_some(), signal == Signal::INT);
        trial.no_generator_is_alive();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generator_whose_orchestrator_was_killed_ends_by_its_lease() {
    let (server, trial) = (Server::start(None).await, Trial::new());
    let scenario = trial.scenario("{ name: steady, rate: 10/s, hold: 10m }", "errors < 1%");
    let mut child = trial
        .command(&scenario, &format!("http://127.0.0.1:{}", server.port))
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut heard = String::new();
    while !heard.contains("load phase steady") {
        assert!(stderr.read_line(&mut heard).await.unwrap() > 0, "{heard}");
    }
    child.kill().await.unwrap();
    // The lease is 30 s from the last heartbeat; the poll and the last flush come on top.
    let mut waited = 0;
    while std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        trial.no_generator_is_alive();
    }))
    .is_err()
    {
        waited += 1;
        assert!(
            waited < 45,
            "a generator is alive {waited} s after its orchestrator was killed"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let seen = server.seen();
    assert!(seen > 0);
}

#[tokio::test]
async fn every_mistake_of_a_scenario_is_reported_with_exit_3() {
    let trial = Trial::new();
    let path = trial.folder.path().join("scenario.yaml");
    std::fs::write(
        &path,
        "name: x\nphasen: []\nflows:\n  - name: a\n    steps: [ { gett: / } ]\n",
    )
    .unwrap();
    let output = trial
        .command(&path, "http://127.0.0.1:1")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    for words in ["did you mean `phases`", "did you mean `get`"] {
        assert!(
            text(&output).contains(words),
            "`{words}` is not in:\n{}",
            text(&output)
        );
    }
    assert!(!trial.folder.path().join("runs").exists());
}

impl Trial {
    /// Checks that nothing was begun: neither a run's folder nor a request.
    async fn refused(
        &self,
        scenario: &Path,
        url: &str,
        args: &[&str],
        organisation: &str,
    ) -> String {
        let file = self.folder.path().join("organisation.yaml");
        std::fs::write(&file, organisation).unwrap();
        let mut command = self.command(scenario, url);
        command
            .args(args)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("SPIKEPROOF_ORGANISATION", &file);
        let output = command.output().await.unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", text(&output));
        assert!(!self.folder.path().join("runs").exists());
        text(&output)
    }
}

/// Removes every place in which a region or credentials could be.
fn without_aws<'c>(command: &'c mut Command, trial: &Trial) -> &'c mut Command {
    for name in [
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ] {
        command.env_remove(name);
    }
    let nowhere = trial.folder.path().join("no-such-file");
    command
        .env("HOME", trial.folder.path())
        .env("AWS_CONFIG_FILE", &nowhere)
        .env("AWS_SHARED_CREDENTIALS_FILE", &nowhere)
        .env("AWS_EC2_METADATA_DISABLED", "true")
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_is_asked_for_or_not_judged_where_the_group_cannot_be_watched() {
    let (server, trial) = (Server::start(None).await, Trial::new());
    let url = format!("http://127.0.0.1:{}", server.port);
    let scenario = trial.scenario("{ name: steady, rate: 20/s, hold: 1s }", "errors < 1%");
    let plain = std::fs::read_to_string(&scenario).unwrap();
    let group = format!("target: {{ url: '{url}', group: web }}\n");

    // Asked for: a verdict without it would say too much.
    std::fs::write(
        &scenario,
        format!("{plain}{group}scaling: {{ out_within: 2m }}\n"),
    )
    .unwrap();
    let mut command = trial.command(&scenario, &url);
    let output = without_aws(&mut command, &trial).output().await.unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    for words in [
        "`scaling` is to be judged, but web cannot be watched: no AWS region",
        "leave `scaling` out: then only the load is judged",
    ] {
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
    }
    assert!(!trial.folder.path().join("runs").exists());
    assert_eq!(server.seen(), 0);

    // Not asked for: the load is judged, and the headline says that the group is not.
    std::fs::write(&scenario, format!("{plain}{group}")).unwrap();
    let mut command = trial.command(&scenario, &url);
    let output = without_aws(&mut command, &trial).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let judged = trial.report().judged.unwrap();
    assert!(
        judged
            .because
            .ends_with("; scaling was not judged: web was not watched"),
        "{}",
        judged.because
    );
    assert!(judged.scaling.is_empty());
    assert_eq!(server.seen(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_sends_one_request_to_the_target_if_it_is_asked_to() {
    let (server, trial) = (Server::start(None).await, Trial::new());
    let scenario = trial.scenario("{ name: steady, rate: 1/s, hold: 1s }", "errors < 1%");
    let check = async |url: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spikeproof"));
        command
            .args(["check", "--fleet", "local", "--url", url])
            .args(args)
            .arg(&scenario);
        let output = without_aws(&mut command, &trial).output().await.unwrap();
        (output.status.code(), text(&output))
    };
    let url = format!("http://127.0.0.1:{}", server.port);
    let (exit, said) = check(&url, &[]).await;
    assert_eq!((exit, server.seen()), (Some(0), 0), "{said}");
    let (exit, said) = check(&url, &["--probe"]).await;
    assert_eq!((exit, server.seen()), (Some(0), 1), "{said}");
    assert!(said.contains(&format!("{url} answers 200")), "{said}");

    // The port stays bound, so that no other process listens there.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let dead = format!("http://{}", socket.local_addr().unwrap());
    for (url, why) in [
        (dead.as_str(), "does not answer: "),
        // RFC 6761: no name below `invalid` ever has an address.
        (
            "http://shop.invalid",
            "does not answer: its name has no address",
        ),
    ] {
        let (exit, said) = check(url, &["--probe"]).await;
        assert_eq!(exit, Some(4), "{said}");
        assert!(said.contains(&format!("{url} {why}")), "{said}");
        // The plan is shown all the same.
        assert!(said.contains("steady"), "{said}");
    }
}

/// Stands for an AWS account that knows its caller and nothing else. Returns its port, and the
/// bodies of all requests.
async fn account(owner: &mut JoinSet<()>) -> (u16, Arc<Mutex<Vec<String>>>) {
    const CALLER: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/u</Arn><UserId>u</UserId>\
         <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    owner.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let kept = Arc::clone(&kept);
                async move {
                    let body = request.into_body().collect().await?.to_bytes();
                    let body = String::from_utf8_lossy(&body).into_owned();
                    let (status, answer) = match body.contains("GetCallerIdentity") {
                        true => (200_u16, CALLER),
                        false => (400, ""),
                    };
                    kept.lock().unwrap().push(body);
                    let mut response = Response::new(Full::new(Bytes::from(answer)));
                    *response.status_mut() = status.try_into().unwrap();
                    Ok::<_, hyper::Error>(response)
                }
            });
            open.spawn(async move {
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                drop(connection.await);
            });
        }
    });
    (port, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fargate_run_on_a_dead_target_is_refused_before_anything_is_made() {
    let (trial, mut owner) = (Trial::new(), JoinSet::new());
    let (port, asked) = account(&mut owner).await;
    let scenario = trial.scenario("{ name: steady, rate: 1/s, hold: 1s }", "errors < 1%");
    let terraform = trial.folder.path().join("terraform");
    let script =
        "#!/bin/sh\necho '{\"terraform_version\":\"1.9.0\",\"platform\":\"linux_amd64\"}'\n";
    std::fs::write(&terraform, script).unwrap();
    std::fs::set_permissions(&terraform, std::fs::Permissions::from_mode(0o700)).unwrap();
    // Another test's child may hold the open file for a moment, and then it cannot be run.
    while std::process::Command::new(&terraform).output().is_err() {
        tokio::task::yield_now().await;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_spikeproof"));
    command
        .args(["run", "--url", "http://shop.invalid", "--no-guard"])
        .args(["--permissions-boundary", "none"])
        .arg("--terraform")
        .args([&terraform, &scenario])
        .stdin(Stdio::null());
    without_aws(&mut command, &trial)
        .env("SPIKEPROOF_RUNS_DIR", trial.folder.path().join("runs"))
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    let output = command.output().await.unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    for words in [
        "http://shop.invalid does not answer: its name has no address",
        "`--no-probe`, if only the generators can reach it",
    ] {
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
    }
    assert!(!trial.folder.path().join("runs").exists());
    let asked = asked.lock().unwrap();
    assert!(
        !asked.is_empty() && asked.iter().all(|body| body.contains("GetCallerIdentity")),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_addresses_are_refused_before_the_run_begins() {
    let trial = Trial::new();
    let scenario = trial.scenario("{ name: steady, rate: 1/s, hold: 1s }", "errors < 1%");
    for (url, words) in [
        (
            "http://10.1.2.3",
            "no load goes to 10.1.2.3: a private address; `target.private: true` in the scenario",
        ),
        (
            "http://[fd12::1]",
            "no load goes to fd12::1: a private address; `target.private: true` in the scenario",
        ),
        ("http://[::ffff:192.168.0.1]", "a private address"),
        (
            "http://169.254.169.254",
            "instance metadata and task credentials live there; nothing permits it",
        ),
        (
            "http://169.254.1.1",
            "a link-local address; nothing permits it",
        ),
        ("http://0.0.0.0:8080", "an unspecified address"),
    ] {
        let said = trial.refused(&scenario, url, &[], "{}").await;
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unverified_target_gets_limited_load() {
    let trial = Trial::new();
    // Addresses reserved for documentation (RFC 5737).
    let (url, others) = (
        "http://192.0.2.1",
        ["--i-am-allowed", "192.0.2.9", "--i-am-allowed", "shop.test"],
    );
    let fast = trial.scenario("{ name: steady, rate: 51/s, hold: 1s }", "errors < 1%");
    let said = trial.refused(&fast, url, &others, "{}").await;
    for words in [
        "192.0.2.1 is not proven to be yours, so it gets at most 50 requests/s for 5m; this asks for up to 51 requests/s",
        "no AWS account is known here",
        "try: `target.group`, if the URL is the DNS name of that group's load balancer",
        "try: the file http://192.0.2.1/.well-known/spikeproof.txt, holding what `printf spikeproof:ACCOUNT_ID | sha256sum`",
        "try: `--i-am-allowed 192.0.2.1`, if its owner has agreed: the report records it (it was given for 192.0.2.9, shop.test)",
    ] {
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
    }
    let long = trial.scenario("{ name: steady, rate: 1/s, hold: 301s }", "errors < 1%");
    assert!(
        trial
            .refused(&long, url, &[], "{}")
            .await
            .contains("this asks for 5m1s of load")
    );
    let endless = trial.scenario("{ name: steady, users: 1, hold: 1s }", "errors < 1%");
    assert!(
        trial
            .refused(&endless, url, &[], "{}")
            .await
            .contains("users without `think`")
    );
    // `check` reports it too, and explains how to prove the target.
    let check = Command::new(env!("CARGO_BIN_EXE_spikeproof"))
        .args(["check", "--fleet", "local", "--url", "https://shop.test"])
        .arg(&fast)
        .output()
        .await
        .unwrap();
    let shown = text(&check);
    assert_eq!(check.status.code(), Some(0), "{shown}");
    assert!(
        shown.contains(
            "or by a TXT record _spikeproof.shop.test or the file https://shop.test/.well-known/"
        ),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_beyond_an_organisations_limits_is_refused_with_file_and_key() {
    let trial = Trial::new();
    let scenario = trial.scenario("{ name: steady, rate: 20/s, hold: 2s }", "errors < 1%");
    for (organisation, words) in [
        (
            "max_rate: 19/s",
            "`max_rate` is 19/s, and this asks for up to 20 requests/s",
        ),
        (
            "max_duration: 1s",
            "`max_duration` is 1s, and the plan takes 2s",
        ),
        ("max_tasks: 1", "`max_tasks` is 1, and this takes 2"),
        (
            "hosts: [\"*.example.com\"]",
            "`hosts` does not list 127.0.0.1",
        ),
        ("max_requests: 5", "max_requests"),
    ] {
        let said = trial
            .refused(
                &scenario,
                "http://127.0.0.1:9",
                &["--tasks", "2"],
                organisation,
            )
            .await;
        assert!(
            said.contains(words) && said.contains("organisation.yaml"),
            "`{words}` is not in:\n{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn load_stops_at_the_maximum_duration_and_the_data_so_far_is_judged() {
    let (server, trial) = (Server::start(None).await, Trial::new());
    let url = format!("http://127.0.0.1:{}", server.port);
    let scenario = trial.scenario("{ name: steady, rate: 20/s, hold: 11s }", "errors < 1%");
    let said = trial
        .refused(&scenario, &url, &["--max-duration", "10s"], "{}")
        .await;
    assert!(
        said.contains("the plan takes 11s, longer than --max-duration 10s"),
        "{said}"
    );

    let mut command = trial.command(&scenario, &url);
    let output = command
        .args(["--max-duration", "12s", "--i-am-allowed", "127.0.0.1"])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", text(&output));
    let report = trial.report();
    let judged = report.judged.unwrap();
    let why = "the load ended early: --max-duration (12s) is reached";
    assert!(
        judged.validity.iter().any(|one| one.because == why),
        "{:?}",
        judged.validity
    );
    assert!((1..220).contains(&server.seen()), "{}", server.seen());
    assert!(!report.interrupted);
    // The report records --i-am-allowed, even if something else proves the target.
    assert_eq!(report.standing.proof, Some(OwnershipProof::ThisMachine));
    assert!(report.standing.said_allowed);
    trial.no_generator_is_alive();
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_settings_of_the_environment_are_ignored() {
    let (server, trial) = (Server::start(None).await, Trial::new());
    let scenario = trial.scenario("{ name: steady, rate: 20/s, hold: 1s }", "errors < 1%");
    let mut command = trial.command(&scenario, &format!("http://127.0.0.1:{}", server.port));
    // No process listens on the proxy's port, and no host is exempt from the proxy.
    command.env_remove("NO_PROXY").env_remove("no_proxy");
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command
            .env(name, "http://127.0.0.1:9")
            .env(name.to_lowercase(), "http://127.0.0.1:9");
    }
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(server.seen(), 20);
}
