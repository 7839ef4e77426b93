//! Reaping against an AWS in which nothing of any run is left, and which remembers what it was
//! asked.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::target::{ReapTarget, Source};
use super::*;
use crate::example;
use crate::inventory::{Inventory, Presence};
use crate::proof::PROOF;
use cloud::aws::{Aws, Caller, Cloud};
use model::events::Event;
use provision::journal::names::{ResourceKind, ResourceNames, Thing};
use provision::journal::record::Run;
use provision::journal::{self, Journal, Record, locks, reserve};

/// The calls in order: head and body of each.
type Heard = Arc<Mutex<Vec<String>>>;

async fn empty_aws() -> (Cloud, Heard, JoinSet<()>) {
    empty_aws_but("nothing is refused").await
}

/// Calls with this word in them are refused.
async fn empty_aws_but(refused: &'static str) -> (Cloud, Heard, JoinSet<()>) {
    let denied = "<Error><Code>AccessDenied</Code><Message>not authorized</Message></Error>";
    aws_that_says(vec![(refused, 403, denied)]).await
}

/// A word of the call, and its response.
async fn aws_that_says(
    answers: Vec<(&'static str, u16, &'static str)>,
) -> (Cloud, Heard, JoinSet<()>) {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let heard = Heard::default();
    let (mut server, log) = (JoinSet::new(), heard.clone());
    server.spawn(async move {
        let mut calls = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            calls.spawn(answer(stream, log.clone(), answers.clone()));
        }
    });
    let credentials =
        SharedCredentialsProvider::new(Credentials::new("TEST", "test", None, None, "test"));
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(credentials.clone())
        .endpoint_url(&endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let aws = Aws {
        region: "eu-west-1".to_owned(),
        endpoint: Some(endpoint),
        credentials,
        sdk,
    };
    let caller = Caller {
        account: "123456789012".to_owned(),
        arn: "arn".to_owned(),
        ahead: jiff::SignedDuration::ZERO,
    };
    (Cloud { aws, caller }, heard, server)
}

async fn answer(mut stream: TcpStream, log: Heard, answers: Vec<(&str, u16, &'static str)>) {
    let mut call = String::new();
    let mut piece = vec![0; 16 * 1024];
    let whole = |call: &str| {
        let (head, body) = call.split_once("\r\n\r\n")?;
        let length = head
            .to_lowercase()
            .split("content-length: ")
            .nth(1)
            .map(|rest| {
                rest.split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .parse::<usize>()
                    .unwrap()
            });
        (body.len() >= length.unwrap_or(0)).then_some(())
    };
    while whole(&call).is_none() {
        match stream.read(&mut piece).await {
            Ok(read) if read > 0 => call.push_str(&String::from_utf8_lossy(&piece[..read])),
            _ => return,
        }
    }
    let other = answers.iter().find(|(word, ..)| call.contains(word));
    let (status, body) =
        other.map_or_else(|| empty_answer(&call), |(_, status, body)| (*status, *body));
    log.lock().unwrap().push(call);
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    drop(stream.write_all(text.as_bytes()).await);
}

/// Each service's own answer for "there is nothing".
fn empty_answer(call: &str) -> (u16, &'static str) {
    let has = |word: &str| call.contains(word);
    match () {
        () if has(".ListClusters") => (200, r#"{"clusterArns":[]}"#),
        () if has(".ListTaskDefinitionFamilies") => (200, r#"{"families":[]}"#),
        () if has(".GetResources") => (200, r#"{"ResourceTagMappingList":[]}"#),
        () if has("Action=ListRoles") => (200, "<ListRolesResponse><Roles/></ListRolesResponse>"),
        () if has("bucket-region=") => (
            200,
            "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>",
        ),
        () if has(".DescribeRepositories") && has(r"{}") => (200, r#"{"repositories":[]}"#),
        () if has(".ListTasks") => (
            400,
            r#"{"__type":"ClusterNotFoundException","message":"none"}"#,
        ),
        () if has(".DescribeClusters") => {
            (200, r#"{"clusters":[],"failures":[{"reason":"MISSING"}]}"#)
        }
        () if has(".ListTaskDefinitions") => (200, r#"{"taskDefinitionArns":[]}"#),
        () if has(".DescribeRepositories") => (
            400,
            r#"{"__type":"RepositoryNotFoundException","message":"none"}"#,
        ),
        () if has(".DescribeLogGroups") => (200, r#"{"logGroups":[]}"#),
        () if has("Action=DescribeSecurityGroups") => (
            200,
            "<DescribeSecurityGroupsResponse><securityGroupInfo/></DescribeSecurityGroupsResponse>",
        ),
        () if has("Action=GetRole") => (404, "<r><Error><Code>NoSuchEntity</Code></Error></r>"),
        () => (
            404,
            "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>",
        ),
    }
}

/// A run of which everything may be left, begun just now; nobody drives it.
fn left_by(
    runs_dir: &std::path::Path,
    cloud: &Cloud,
    chance: u32,
    boot: Option<String>,
) -> Examined {
    driven(runs_dir, cloud, chance, boot).0
}

/// As long as its journal is kept.
fn driven(
    runs_dir: &std::path::Path,
    cloud: &Cloud,
    chance: u32,
    boot: Option<String>,
) -> (Examined, Journal) {
    let run = RunId::new(jiff::Timestamp::now().as_second() as u64, chance);
    let folder = runs_dir.join(run.as_str());
    let head = Record::Run(Run {
        region: cloud.aws.region.clone(),
        account: cloud.caller.account.clone(),
        boot,
        ..example::run(run.as_str())
    });
    let mut journal = Journal::create(&folder, head.clone()).unwrap();
    journal.write(Record::IntentApply).unwrap();
    journal.write(Record::Applied).unwrap();
    let records = vec![head, Record::IntentApply, Record::Applied];
    let entry = Reaped::new(run.clone(), ResourceNames::of(&run).things());
    let source = Source::Folder {
        folder,
        records,
        damaged: false,
    };
    (
        Examined::Open(Box::new(ReapTarget {
            entry,
            cloud: cloud.clone(),
            source,
        })),
        journal,
    )
}

fn folder_of(examined: &Examined) -> PathBuf {
    let Examined::Open(target) = examined else {
        panic!("it is settled")
    };
    let Source::Folder { folder, .. } = &target.source else {
        panic!("it is not here")
    };
    folder.clone()
}

fn wanted(runs_dir: &std::path::Path, force: bool) -> Reaping {
    let runs_dir = runs_dir.to_owned();
    Reaping {
        runs_dir,
        only: None,
        dry_run: false,
        terraform: None,
        discover: false,
        older_than: None,
        force,
    }
}

#[tokio::test]
async fn no_run_is_destroyed_before_all_have_stopped_spending() {
    let home = tempfile::tempdir().unwrap();
    let (cloud, heard, _server) = empty_aws().await;
    let (wanted, events) = (wanted(home.path(), false), Events::channel().0);
    let examined: Vec<Examined> = (1..=3)
        .map(|number| left_by(home.path(), &cloud, number, locks::boot()))
        .collect();
    let runs: Vec<RunId> = examined
        .iter()
        .map(|examined| examined.entry().run.clone())
        .collect();
    let halted = stop_all(examined, &wanted, &events).await;
    let stopped = std::mem::take(&mut *heard.lock().unwrap());
    for run in &runs {
        let of_it = |word: &str| {
            stopped
                .iter()
                .any(|call| call.contains(word) && call.contains(run.as_str()))
        };
        assert!(
            of_it("/run/control.json") && of_it(".ListTasks"),
            "{run}: {stopped:?}"
        );
    }
    assert!(
        !stopped
            .iter()
            .any(|call| call.contains(".DescribeClusters")),
        "{stopped:?}"
    );
    let reaped = timeout(
        Duration::from_secs(30),
        destroy_each(halted, &wanted, &events),
    )
    .await
    .expect("nothing is there");
    assert_eq!(
        reaped
            .iter()
            .map(|reaped| reaped.run.clone())
            .collect::<Vec<_>>(),
        runs
    );
    for reaped in &reaped {
        assert_eq!(
            (reaped.gone.len(), reaped.left.len(), &reaped.skipped),
            (9, 0, &None)
        );
        let records = journal::read(&home.path().join(reaped.run.as_str()));
        assert!(
            matches!(records.last(), Some(Record::Finished { .. })),
            "{records:?}"
        );
    }
}

#[tokio::test]
async fn the_heartbeat_of_a_run_of_another_boot_is_checked_unless_forced() {
    let home = tempfile::tempdir().unwrap();
    let (cloud, _heard, _server) = empty_aws().await;
    let events = Events::channel().0;
    for (number, force, boot, skipped) in [
        (1, false, locks::boot(), false),
        (2, false, Some("another".to_owned()), true),
        (3, true, Some("another".to_owned()), false),
    ] {
        let examined = vec![left_by(home.path(), &cloud, number, boot)];
        let halted = stop_all(examined, &wanted(home.path(), force), &events).await;
        // Just begun and without a heartbeat: it may be about to start.
        let alive = matches!(
            &halted[..],
            [Halted::Settled(Reaped {
                skipped: Some(Skipped::Alive(_)),
                ..
            })]
        );
        assert_eq!(alive, skipped, "{number}");
    }
}

/// Somebody took it for a stale one; or the run is a colleague's, in a folder that several share.
#[tokio::test]
async fn the_heartbeat_of_a_run_whose_lock_cannot_be_asked_is_checked() {
    let home = tempfile::tempdir().unwrap();
    let (cloud, heard, _server) = empty_aws().await;
    let events = Events::channel().0;
    let (run, _driver) = driven(home.path(), &cloud, 1, locks::boot());
    std::fs::remove_file(folder_of(&run).join("owner.lock")).unwrap();
    let halted = stop_all(vec![run], &wanted(home.path(), false), &events).await;
    let [Halted::Settled(entry)] = &halted[..] else {
        panic!("it was taken")
    };
    assert!(
        matches!(&entry.skipped, Some(Skipped::Alive(why)) if why.contains("owner lock cannot be asked"))
    );
    assert!(
        !heard
            .lock()
            .unwrap()
            .iter()
            .any(|call| call.contains(".ListTasks"))
    );
}

#[tokio::test]
async fn a_run_whose_liveness_is_unknown_is_reported_as_not_reaped() {
    let home = tempfile::tempdir().unwrap();
    let (cloud, heard, _server) = empty_aws_but("/run/control.json").await;
    let events = Events::channel().0;
    let examined = vec![left_by(home.path(), &cloud, 1, Some("another".to_owned()))];
    let halted = stop_all(examined, &wanted(home.path(), false), &events).await;
    let [Halted::Settled(entry)] = &halted[..] else {
        panic!("it was taken")
    };
    assert!(
        matches!(&entry.skipped, Some(Skipped::Unable(why)) if why.contains("could not determine"))
    );
    assert!(entry.is_dirty());
    assert!(
        !heard
            .lock()
            .unwrap()
            .iter()
            .any(|call| call.contains(".ListTasks"))
    );
}

#[tokio::test]
async fn a_run_that_is_driven_here_keeps_its_reserved_disk_space() {
    let home = tempfile::tempdir().unwrap();
    let (cloud, heard, _server) = empty_aws().await;
    let (wanted, events) = (wanted(home.path(), false), Events::channel().0);
    let (run, driver) = driven(home.path(), &cloud, 1, locks::boot());
    let folder = folder_of(&run);
    reserve::set_aside(&folder).unwrap();
    let halted = stop_all(vec![run], &wanted, &events).await;
    assert!(matches!(
        &halted[..],
        [Halted::Settled(Reaped {
            skipped: Some(Skipped::Alive(_)),
            ..
        })]
    ));
    assert!(folder.join("ballast").exists());
    assert!(heard.lock().unwrap().is_empty());
    drop(driver);
    let orphan = left_by(home.path(), &cloud, 2, locks::boot());
    let folder = folder_of(&orphan);
    reserve::set_aside(&folder).unwrap();
    assert!(matches!(
        &stop_all(vec![orphan], &wanted, &events).await[..],
        [Halted::Stopped(_)]
    ));
    assert!(!folder.join("ballast").exists());
}

#[tokio::test]
async fn a_reaper_that_has_not_named_itself_in_the_lock_yet_is_not_taken_for_a_run() {
    let home = tempfile::tempdir().unwrap();
    let (cloud, heard, _server) = empty_aws().await;
    let (wanted, events) = (wanted(home.path(), false), Events::channel().0);
    let run = left_by(home.path(), &cloud, 1, locks::boot());
    let lock = folder_of(&run).join("owner.lock");
    std::fs::write(&lock, "").unwrap();
    let held = std::fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    // Asked in this order: it says who it is after it has been looked at once.
    let (halted, ()) = tokio::join!(stop_all(vec![run], &wanted, &events), async {
        std::fs::write(&lock, "a reaper, process 1 on elsewhere\n").unwrap();
    });
    assert!(
        matches!(&halted[..], [Halted::Stopped(_)]),
        "the other may be killed at any moment"
    );
    assert!(
        heard
            .lock()
            .unwrap()
            .iter()
            .any(|call| call.contains(".ListTasks"))
    );
}

#[tokio::test]
async fn a_run_with_a_damaged_journal_is_looked_for_twice() {
    let home = tempfile::tempdir().unwrap();
    let (cloud, _heard, _server) = empty_aws().await;
    for harmed in [false, true] {
        let (events, mut told) = Events::channel();
        let mut run = left_by(home.path(), &cloud, u32::from(harmed), locks::boot());
        if let Examined::Open(target) = &mut run
            && let Source::Folder { damaged, .. } = &mut target.source
        {
            *damaged = harmed;
        }
        let wanted = wanted(home.path(), false);
        let halted = stop_all(vec![run], &wanted, &events).await;
        let again = async {
            while let Some(event) = told.recv().await {
                if matches!(&event, Event::Note { message } if message.contains("looking again")) {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        let twice = tokio::select! {
            biased;
            () = again => true,
            _ = destroy_each(halted, &wanted, &events) => false,
        };
        assert_eq!(twice, harmed);
    }
}

#[tokio::test]
async fn a_task_that_is_listed_and_cannot_be_described_is_alive() {
    let thing = |kind| Thing {
        kind,
        name: "sp-0123456789".to_owned(),
    };
    let arn = r#"{"taskArns":["arn:aws:ecs:eu-west-1:123456789012:task/sp-0123456789/1"]}"#;
    let missing = r#"{"tasks":[],"failures":[{"reason":"MISSING"}]}"#;
    let (cloud, _heard, _server) = aws_that_says(vec![
        (".ListTasks", 200, arn),
        (".DescribeTasks", 200, missing),
    ])
    .await;
    let inventory = Inventory::new(&cloud.aws, &RunId::parse("sp-0123456789").unwrap());
    let there = inventory.exists(&thing(ResourceKind::Tasks)).await.unwrap();
    assert!(matches!(&there, Presence::There { .. }), "{there:?}");
}

#[tokio::test]
async fn an_empty_account_proves_nothing_if_the_runs_account_is_unknown() {
    let home = tempfile::tempdir().unwrap();
    let (cloud, _heard, _server) = empty_aws().await;
    let events = Events::channel().0;
    for (force, proof, unable) in [(false, "", true), (true, "", false), (false, PROOF, false)] {
        let run = RunId::new(jiff::Timestamp::now().as_second() as u64, 1);
        let folder = home.path().join(run.as_str());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("owner.lock"), "").unwrap();
        if !proof.is_empty() {
            std::fs::write(
                folder.join(proof),
                r#"{"account":"123456789012","region":"eu-west-1","things":[]}"#,
            )
            .unwrap();
        }
        let entry = Reaped::new(run.clone(), ResourceNames::of(&run).things());
        let source = Source::Folder {
            folder,
            records: Vec::new(),
            damaged: true,
        };
        let target = ReapTarget {
            entry,
            cloud: cloud.clone(),
            source,
        };
        let halted = stop_all(
            vec![Examined::Open(Box::new(target))],
            &wanted(home.path(), force),
            &events,
        )
        .await;
        let is_unable = matches!(
            &halted[..],
            [Halted::Settled(Reaped {
                skipped: Some(Skipped::Unable(_)),
                ..
            })]
        );
        assert_eq!(is_unable, unable, "force {force}, proof {proof}");
    }
}

#[tokio::test]
async fn refused_lists_are_reported_and_the_others_are_read() {
    for (refused, unread) in [
        ("nothing", None),
        (".ListClusters", Some("ListClusters")),
        ("Action=ListRoles", Some("ListRoles")),
    ] {
        let (cloud, heard, _server) = empty_aws_but(refused).await;
        let discovered = crate::discover::runs(&cloud.aws).await;
        assert!(discovered.runs.is_empty());
        let told: Vec<_> = discovered
            .unread
            .iter()
            .map(|why| why.split(':').next().unwrap())
            .collect();
        assert_eq!(
            told,
            unread.into_iter().collect::<Vec<_>>(),
            "{discovered:?}"
        );
        assert!(
            heard
                .lock()
                .unwrap()
                .iter()
                .any(|call| call.contains(".GetResources"))
        );
    }
}

#[tokio::test]
async fn a_run_that_is_named_is_looked_for_by_name_and_no_list_is_read() {
    let home = tempfile::tempdir().unwrap();
    let (cloud, heard, _server) = empty_aws().await;
    let (mut wanted, events) = (wanted(home.path(), false), Events::channel().0);
    let run = RunId::new(1_764_000_000, 7);
    (wanted.only, wanted.discover) = (Some(run.clone()), true);
    let mut clouds = Clouds::knowing(cloud);
    let found = discovered::examine(&wanted, &mut clouds, &[], &events)
        .await
        .unwrap();
    assert!(found.unread.is_empty());
    let [Examined::Settled(entry)] = &found.examined[..] else {
        panic!("there is nothing to destroy")
    };
    assert_eq!(
        (&entry.run, entry.is_dirty(), entry.leftovers.len()),
        (&run, false, 0)
    );
    let heard = heard.lock().unwrap();
    assert!(heard.iter().any(|call| call.contains("Action=GetRole")));
    assert!(
        !heard
            .iter()
            .any(|call| call.contains("ListRoles") || call.contains("GetResources"))
    );
}
