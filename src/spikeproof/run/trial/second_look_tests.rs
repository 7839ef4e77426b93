//! A run looks for others twice: before it begins, and just before it changes the group. These tests
//! let another run come in between the two.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use object_store::memory::InMemory;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::aws::{Aws, Caller};
use crate::channel::Channel;
use crate::journal::change::ChangeNote;
use crate::journal::names::{CHANGES_TAG, RUN_TAG, TARGET_TAG};
use crate::journal::record::Run;
use crate::journal::{Journal, Record};
use crate::run::beside;
use crate::run::plan::RunPlan;
use crate::run::state::RunState;
use crate::teardown::guard::{Guard, GuardOptions};
use crate::units::RunId;

const OTHER: &str = "sp-0000000009";

/// The other run, and where it shows.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Other {
    Nowhere,
    /// Under way on this host.
    OnThisHost,
    /// Under way elsewhere, with a young heartbeat.
    InTheAccount,
    /// Dead, with a note of a change in its bucket.
    NotPutBack,
    /// Nobody can tell: the account refuses the list.
    Unknown,
}

/// An account in which there is nothing but the other run.
#[derive(Debug)]
struct Account {
    other: Mutex<Other>,
    calls: Mutex<Vec<String>>,
}

impl Account {
    fn heard(&self, word: &str) -> bool {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().any(|call| call.contains(word))
    }

    /// Returns status and body.
    fn answer(&self, call: &str) -> (u16, String) {
        let tagged = serde_json::json!({ "ResourceTagMappingList": [ {
            "ResourceARN": format!("arn:aws:s3:::spikeproof-{OTHER}"),
            "Tags": [ { "Key": RUN_TAG, "Value": OTHER } ],
        } ] });
        let has = |word: &str| call.contains(word);
        match *self.other.lock().unwrap() {
            Other::Unknown if has("GetResources") => {
                (400, r#"{"__type":"AccessDeniedException"}"#.to_owned())
            }
            Other::InTheAccount if has("GetResources") && has(TARGET_TAG) => {
                (200, tagged.to_string())
            }
            Other::InTheAccount if has("/run/control.json") => (200, "{}".to_owned()),
            Other::NotPutBack if has("GetResources") && has(CHANGES_TAG) => {
                (200, tagged.to_string())
            }
            Other::NotPutBack if has("/kept/changes.json") => {
                let changes = vec![higher_maximum()];
                let read_back = true;
                let note = ChangeNote { changes, read_back };
                (200, serde_json::to_string(&note).unwrap())
            }
            _ if has("GetResources") => (200, r#"{"ResourceTagMappingList":[]}"#.to_owned()),
            _ => {
                let code = "<Error><Code>NoSuchKey</Code><Message>none</Message></Error>";
                (404, code.to_owned())
            }
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let (mut call, mut piece) = (String::new(), vec![0; 16 * 1024]);
        while !is_whole(&call) {
            match stream.read(&mut piece).await? {
                0 => return Ok(()),
                read => call.push_str(&String::from_utf8_lossy(&piece[..read])),
            }
        }
        let (status, body) = self.answer(&call);
        self.calls.lock().unwrap().push(call);
        // Date and time of the last change are the same: an object is never old.
        let now = "Mon, 02 Nov 2026 10:00:00 GMT";
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\ndate: {now}\r\n\
             last-modified: {now}\r\netag: \"1\"\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await
    }
}

fn is_whole(call: &str) -> bool {
    let Some((head, body)) = call.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_lowercase();
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.trim().parse().unwrap())
}

async fn account() -> (Cloud, Arc<Account>, JoinSet<()>) {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let account = Arc::new(Account {
        other: Mutex::new(Other::Nowhere),
        calls: Mutex::default(),
    });
    let (mut server, there) = (JoinSet::new(), account.clone());
    server.spawn(async move {
        let mut calls = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let there = there.clone();
            calls.spawn(async move { drop(there.serve(stream).await) });
        }
    });
    let keys = Credentials::new("TEST", "test", None, None, "test");
    let aws = Aws {
        region: "eu-west-1".to_owned(),
        endpoint: Some(endpoint),
        credentials: SharedCredentialsProvider::new(keys),
        sdk: SdkConfig::builder().build(),
    };
    let caller = Caller {
        account: "123456789012".to_owned(),
        arn: "arn".to_owned(),
        ahead: jiff::SignedDuration::ZERO,
    };
    (Cloud { aws, caller }, account, server)
}

fn higher_maximum() -> GroupChange {
    let sizes = |max: &str| Parameters::from([(MAX.to_owned(), max.to_owned())]);
    GroupChange::new("web", Setting::Sizes, sizes("8"), sizes("12"))
}

/// A run that is about to change the group, up to its first look.
async fn looked_once(runs_dir: &Path, cloud: &Cloud) -> (Context, RunPlan) {
    let mut cx = crate::run::example::context(runs_dir);
    let plan = TrialPlan::of(&crate::report::example::report()).unwrap();
    cx.trial = Trial::Of {
        group: "web".to_owned(),
        plan: Box::new(plan),
        found: Box::default(),
    };
    let mut plan = crate::run::example::plan(runs_dir);
    plan.scenario.target.subject = Some(Subject::Group("web".to_owned()));
    plan.cloud = Some(cloud.clone());
    plan.watched_in = Some(cloud.aws.clone());
    plan.trial.changes = vec![higher_maximum()];
    let target = beside::target(&plan.scenario, Some(&cloud.aws));
    let others = beside::look(&cx, target.as_ref(), Some(&cloud.aws), None).await;
    assert_eq!(alone(&cx.trial, Some(cloud), &others, None).await, Ok(()));
    (cx, plan)
}

/// Begins the other run on this host. It is under way as long as its journal is held.
fn other_on_this_host(runs_dir: &Path, cloud: &Cloud, like: &RunPlan) -> Journal {
    let run = RunId::parse(OTHER).unwrap();
    let folder = runs_dir.join(run.as_str());
    let first = Run {
        run,
        region: cloud.aws.region.clone(),
        account: cloud.caller.account.clone(),
        scenario_name: "other".to_owned(),
        url: "http://shop".to_owned(),
        endpoint: cloud.aws.endpoint.clone(),
        boot: journal::locks::boot(),
        profile: None,
        target: beside::target(&like.scenario, Some(&cloud.aws)).map(Box::new),
        started: jiff::Timestamp::now(),
    };
    Journal::create(&folder, Record::Run(first)).unwrap()
}

/// A program that waits as a guard does, for the end of the run's owner lock.
fn waiting_program(home: &TempDir) -> PathBuf {
    let path = home.path().join("guard");
    let script = "#!/bin/sh\n[ \"$1\" = reap ] || exit 0\nexec flock \"$5/$2/owner.lock\" true\n";
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    // A test beside this one may hold the script open for writing between its fork and exec.
    while std::process::Command::new(&path).status().is_err() {}
    path
}

async fn guarded(state: &RunState, program: PathBuf) {
    let options = GuardOptions {
        run: state.plan.run.clone(),
        folder: state.plan.folder.clone(),
        terraform: "terraform".into(),
        program,
    };
    state.set_guard(Guard::start(options).unwrap()).await;
    assert!(state.has_guard().await);
}

/// Puts the change while another run has come since the first look. Returns the refusal, and
/// whether the group was looked at.
async fn put_beside(other: Other) -> (Option<NotTried>, bool) {
    let home = tempfile::tempdir().unwrap();
    let runs_dir = home.path().join("runs");
    let (cloud, account, _server) = account().await;
    let (cx, plan) = looked_once(&runs_dir, &cloud).await;
    let journal =
        (other == Other::OnThisHost).then(|| other_on_this_host(&runs_dir, &cloud, &plan));
    let state = RunState::open(&cx, plan).unwrap();
    guarded(&state, waiting_program(&home)).await;
    *account.other.lock().unwrap() = other;

    let channel = Channel::new(Arc::new(InMemory::new()), "run".into());
    let refused = put(&cx, &state, &channel).await.unwrap_err();
    drop(journal);
    assert_eq!(refused.phase, Phase::Provision);
    assert_eq!(channel.changes().await.unwrap(), None, "nothing was begun");
    assert!(!account.heard("Action=UpdateAutoScalingGroup"));
    let why = refused.source.and_then(|source| source.downcast().ok());
    let looked = account.heard("Action=DescribeAutoScalingGroups");
    (why.map(|why| *why), looked)
}

#[tokio::test]
async fn a_run_that_came_after_the_first_look_keeps_the_group_untouched() {
    // Without another run the change goes on to the group, which this account does not have.
    let (why, looked) = put_beside(Other::Nowhere).await;
    assert!(looked);
    assert_eq!(why, None);
    for other in [Other::OnThisHost, Other::InTheAccount] {
        let (why, looked) = put_beside(other).await;
        assert!(!looked, "{other:?}");
        let run = OTHER.to_owned();
        let group = "web".to_owned();
        assert_eq!(why, Some(NotTried::AnotherRun { group, run }), "{other:?}");
    }
    let (why, looked) = put_beside(Other::NotPutBack).await;
    assert!(!looked);
    assert!(matches!(why, Some(NotTried::StillChanged { run, .. }) if run == OTHER));
    let (why, looked) = put_beside(Other::Unknown).await;
    assert!(!looked);
    assert!(
        matches!(why, Some(NotTried::OthersUnknown { .. })),
        "{why:?}"
    );
}
