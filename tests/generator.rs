//! One generator, started as in its container, without an orchestrator.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use spikeproof::channel::message::{Control, Plan, Start, TaskEnd, VERSION};
use spikeproof::channel::{self, Channel};
use spikeproof::scenario::Substitutions;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

const SESSIONS: usize = 20;
/// A limit for steps that are slow on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The state of one connection to a target that accepts requests and never answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Request,
    Closed,
}

async fn target_that_hangs() -> (u16, UnboundedReceiver<Seen>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, seen) = unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            open.spawn(async move {
                let mut bytes = [0; 4_096];
                let mut first = true;
                while stream.read(&mut bytes).await.is_ok_and(|length| length > 0) {
                    if std::mem::take(&mut first) {
                        let _ = tell.send(Seen::Request);
                    }
                }
                let _ = tell.send(Seen::Closed);
            });
        }
    });
    (port, seen, tasks)
}

async fn all(seen: &mut UnboundedReceiver<Seen>, wanted: Seen) {
    for _ in 0..SESSIONS {
        assert_eq!(seen.recv().await, Some(wanted));
    }
}

async fn told_to_start(channel: &Channel, port: u16) {
    let scenario = format!(
        "name: hanging\ntarget: {{ url: 'http://127.0.0.1:{port}', timeout: 10m }}\n\
         phases: [ {{ users: {SESSIONS}, hold: 10m }} ]\nsteps: [ {{ get: / }} ]\n"
    );
    let surroundings = Substitutions::default();
    let (run, files) = ("sp-0000000001".to_owned(), Vec::new());
    let address_policy = spikeproof::limits::AddressPolicy {
        loopback: true,
        private: false,
    };
    let plan = Plan {
        version: VERSION,
        run,
        scenario,
        surroundings,
        secrets: false,
        address_policy,
        seed: 1,
        files,
        divided: Vec::new(),
    };
    channel.put_plan(&plan).await.unwrap();
    let start = Some(Start {
        at: Timestamp::now(),
        slots: vec![0],
        attempts: vec![1],
    });
    channel
        .put_control(
            &Control {
                version: VERSION,
                epoch: 1,
                heartbeat: 1,
                start,
                stop: None,
            },
            None,
        )
        .await
        .unwrap();
}

fn generator(location: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_spikeproof"))
        .arg("generate")
        .env("SPIKEPROOF_CHANNEL", location)
        .env("SPIKEPROOF_RUN", "sp-0000000001")
        .env("SPIKEPROOF_SLOT", "0")
        .env("SPIKEPROOF_ATTEMPT", "1")
        .env("SPIKEPROOF_EPOCH", "1")
        .env("SPIKEPROOF_MAX_LIFETIME", "120")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_task_leaves_a_hanging_target_within_a_second() {
    let (port, mut seen, _target) = target_that_hangs().await;
    let folder = tempfile::tempdir().unwrap();
    let location = format!("file://{}", folder.path().canonicalize().unwrap().display());
    let channel = channel::open(&location, None).unwrap();
    told_to_start(&channel, port).await;
    let mut child = generator(&location);
    timeout(PATIENCE, all(&mut seen, Seen::Request))
        .await
        .unwrap();

    kill_process(
        Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap(),
        Signal::TERM,
    )
    .unwrap();
    timeout(Duration::from_secs(1), all(&mut seen, Seen::Closed))
        .await
        .expect("load after a second");
    assert!(
        timeout(PATIENCE, child.wait())
            .await
            .unwrap()
            .unwrap()
            .success()
    );
    assert_eq!(
        channel.end(0).await.unwrap().unwrap().why,
        TaskEnd::Terminated
    );
}
