//! A secret reaches the target, and nothing else: no file of the run, no output, no process.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use spikeproof::lab::Options;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;

/// Needs escaping in a query and in HTML, and is found again by its beginning.
const CANARY: &str = "c4nary/9+x=y&z";
const BEGINNING: &str = "c4nary";

/// A request as the target received it: path and query, and two headers.
type Sent = Arc<Mutex<Vec<(String, String, String)>>>;

/// Echoes every request, as a careless target would.
struct Echo {
    port: u16,
    sent: Sent,
    _tasks: JoinSet<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = Sent::default();
        let kept = Arc::clone(&sent);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                let service = service_fn(move |request| {
                    let answer = echo(&request, &kept);
                    async move { Ok::<_, std::convert::Infallible>(answer) }
                });
                open.spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    drop(http.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self {
            port,
            sent,
            _tasks: tasks,
        }
    }
}

fn echo(request: &Request<hyper::body::Incoming>, kept: &Sent) -> Response<Full<Bytes>> {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    };
    let seen = (
        request.uri().to_string(),
        header("x-key"),
        header("authorization"),
    );
    let body = format!("{seen:?}");
    kept.lock().unwrap().push(seen);
    Response::new(Full::new(Bytes::from(body)))
}

fn scenario(folder: &Path, steps: &str) -> PathBuf {
    let path = folder.join("scenario.yaml");
    let text = format!(
        "name: canary\ntarget: {{ url: http://replaced, headers: {{ x-key: '${{secret:CANARY}}' }}, \
         auth: {{ basic: {{ user: ada, password: '${{secret:CANARY}}' }} }} }}\n\
         phases: [ {{ name: steady, rate: 20/s, hold: 2s }} ]\nsteps: [ {steps} ]\nthresholds: [ 'errors < 1%' ]\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn spikeproof(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spikeproof"));
    command
        .env("SPIKEPROOF_RUNS_DIR", folder.join("runs"))
        .env("SPIKEPROOF_LOG", "trace")
        .env("CANARY", CANARY)
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// True if the bytes hold the secret as it is, or as base64 holds it at each place it may begin in.
fn gives_away(bytes: &[u8]) -> bool {
    let middle = |before: &str| {
        let encoded = STANDARD.encode(format!("{before}{CANARY}"));
        encoded[4..12].to_owned()
    };
    let text = String::from_utf8_lossy(bytes);
    [BEGINNING.to_owned(), middle(""), middle("a"), middle("aa")]
        .iter()
        .any(|form| text.contains(form))
}

/// Returns every file below a folder, unpacked where it is packed.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        if path.extension().is_some_and(|ending| ending == "gz") {
            let packed = std::mem::take(&mut bytes);
            flate2::read::GzDecoder::new(packed.as_slice())
                .read_to_end(&mut bytes)
                .unwrap();
        }
        found.push((path, bytes));
    }
    found
}

/// Returns command line and environment of every generator of this channel. (The run itself is not
/// among them: its caller gave it the secret.)
fn generators(channel: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let ours = String::from_utf8_lossy(&environment).contains(channel);
        if ours && String::from_utf8_lossy(&line).contains("generate") {
            found.push([line, environment].concat());
        }
    }
    found
}

const STEPS: &str = "{ get: '/items?key=${secret:CANARY}', check: { contains: 'not ${secret:CANARY} twice' } }, \
                     { post: /items, json: { key: '${secret:CANARY}' } }";

/// Carries out a run and looks wherever a secret could be, while it runs and afterwards.
async fn nothing_gives_it_away(target: &Echo, folder: &Path, run: &mut Command) {
    let mut child = run.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("load phase steady") {
        assert!(stderr.read_line(&mut said).await.unwrap() > 0, "{said}");
    }
    let running = generators(&format!("{}", folder.canonicalize().unwrap().display()));
    let running = if running.is_empty() {
        generators("s3://spikeproof-sp-")
    } else {
        running
    };
    assert!(running.len() >= 2, "{said}");
    assert!(!running.iter().any(|process| gives_away(process)));
    let present: Vec<PathBuf> = files(&folder.join("runs"))
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert!(
        !present.iter().any(|path| path.ends_with("secrets.json")),
        "{present:?}"
    );
    stderr.read_to_string(&mut said).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}{stdout}");

    let sent = target.sent.lock().unwrap().clone();
    let basic = format!("Basic {}", STANDARD.encode(format!("ada:{CANARY}")));
    let expected = (format!("/items?key={CANARY}"), CANARY.to_owned(), basic);
    assert!(sent.len() >= 40 && sent.contains(&expected), "{sent:?}");

    assert!(!gives_away(said.as_bytes()), "{said}");
    assert!(
        !said.contains("secrets.json"),
        "it could not be deleted: {said}"
    );
    assert!(!gives_away(stdout.as_bytes()), "{stdout}");
    assert!(
        stdout.contains("${secret:CANARY}"),
        "the failing check is named as written: {stdout}"
    );
    let written = files(&folder.join("runs"));
    assert!(
        written
            .iter()
            .any(|(path, _)| path.ends_with("report.html"))
    );
    for (path, bytes) in written {
        assert!(
            !gives_away(&bytes),
            "{}: {}",
            path.display(),
            String::from_utf8_lossy(&bytes)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_reaches_the_target_and_nothing_else() {
    let (target, folder) = (Echo::start().await, tempfile::tempdir().unwrap());
    let scenario = scenario(folder.path(), STEPS);
    let url = format!("http://127.0.0.1:{}", target.port);
    let mut run = spikeproof(folder.path());
    run.args(["run", "--fleet", "local", "--tasks", "2", "--url", &url])
        .arg(&scenario)
        .env_remove("AWS_REGION");
    nothing_gives_it_away(&target, folder.path(), &mut run).await;
}

/// The environment of a task is what its definition and its overrides hold, and the run's folder
/// has terraform's variables and state.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_no_task_definition_override_or_state() {
    let (target, folder) = (Echo::start().await, tempfile::tempdir().unwrap());
    let lab = spikeproof::lab::start(Options::default()).await.unwrap();
    let scenario = scenario(folder.path(), STEPS);
    let url = format!("http://127.0.0.1:{}", target.port);
    let mut run = spikeproof(folder.path());
    run.args(["run", "--tasks", "2", "--url", &url])
        .arg(&scenario)
        .envs(lab.environment());
    run.env_remove("AWS_PROFILE")
        .env_remove("AWS_SESSION_TOKEN")
        .env_remove("SPIKEPROOF_LOG");
    nothing_gives_it_away(&target, folder.path(), &mut run).await;
    let states = files(folder.path())
        .into_iter()
        .filter(|(path, _)| path.to_string_lossy().contains("tfstate"))
        .count();
    assert!(states > 0);
    assert_eq!(lab.inventory().await.unwrap(), Vec::<String>::new());
    lab.stop().await;
}

#[tokio::test]
async fn what_is_said_of_a_file_shows_the_placeholder() {
    let folder = tempfile::tempdir().unwrap();
    let good = "{ get: '/items?key=${secret:CANARY}' }";
    // The value is also a text of the file: its line is shown, without it.
    let bad = "{ get: '/${secret:CANARY}', name: 'c4nary/9+x=y&z', check: { status: '${secret:CANARY}' } }";
    for (steps, code, words) in [(good, 0, "canary"), (bad, 3, "${secret:CANARY}")] {
        let scenario = scenario(folder.path(), steps);
        let output = spikeproof(folder.path())
            .arg("check")
            .arg(&scenario)
            .output()
            .await
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&said);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(words), "{text}");
        assert!(!gives_away(&said), "{text}");
    }
}
