//! The engine against a small server that counts, stalls and fails on cue.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::scenario_tests::Shop;
use super::task::{GeneratorTask, carry_out_for_test, generate};
use super::{Work, begin};
use cloud::channel::message::{Control, Plan, SecretsMessage, Start, TaskEnd, VERSION};
use cloud::channel::{Channel, LEASE};
use model::limits::AddressPolicy;
use model::measure::{Results, Select, Tally};
use model::plan::{Schedule, Share};
use model::redact;
use model::scenario::{
    Action, LoadPhase, Method, Model, PhaseRole, Scenario, Substitutions, Template, Think, Url,
    example,
};

/// Answers by path: `/ok`, `/status/N`, `/hang`, `/close`, `/slow` (until 500 ms after the server's
/// start).
struct Server {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counted, accepted) = (Arc::clone(&requests), Arc::clone(&connections));
        let born = tokio::time::Instant::now();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                let counted = Arc::clone(&counted);
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    answer(request.uri().path().to_owned(), born)
                });
                open.spawn(async move {
                    drop(
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                });
            }
        });
        Self {
            address,
            requests,
            connections,
            _tasks: tasks,
        }
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// A store in which reports are never written.
#[derive(Debug)]
struct HangingReports(InMemory);

impl std::fmt::Display for HangingReports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hanging")
    }
}

#[async_trait]
impl ObjectStore for HangingReports {
    async fn put_opts(
        &self,
        to: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        if to.as_ref().contains("intervals") {
            std::future::pending::<()>().await;
        }
        self.0.put_opts(to, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.0.get_opts(from, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.0.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

async fn answer(
    path: String,
    born: tokio::time::Instant,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let mut status = 200;
    match path.as_str() {
        "/hang" => std::future::pending().await,
        "/cut" => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            return Err(std::io::Error::other("cut on cue"));
        }
        "/close" => return Err(std::io::Error::other("closed on cue")),
        "/slow" => tokio::time::sleep_until(born + Duration::from_millis(500)).await,
        _ => {
            status = ["/status/", "/later/"]
                .into_iter()
                .find_map(|start| path.strip_prefix(start))
                .map_or(200, |code| code.parse().unwrap());
        }
    }
    let connection = if path == "/last" {
        "close"
    } else {
        "keep-alive"
    };
    let mut response = Response::builder();
    if path.starts_with("/later/") {
        response = response.header("Retry-After", "2");
    }
    Ok(response
        .status(status)
        .header("connection", connection)
        .body(Full::from("hello"))
        .unwrap())
}

fn scenario(address: SocketAddr, path: &str, model: Model, level: f64, hold: Duration) -> Scenario {
    let phase = example::phase("only", model, level, hold, PhaseRole::Baseline);
    let mut scenario = example::scenario(vec![LoadPhase {
        grace: Duration::from_secs(2),
        ..phase
    }]);
    scenario.target.url = Url {
        https: false,
        host: "127.0.0.1".to_owned(),
        port: address.port(),
        path: String::new(),
    };
    scenario.target.timeout = Duration::from_secs(1);
    scenario.flows[0].think = Think::Constant(Duration::from_millis(20));
    scenario.flows[0].steps[0].path = Template::text(path);
    scenario
}

fn work(scenario: Scenario, share: Share, workers: u32) -> Work {
    Work {
        scenario: Arc::new(scenario),
        share,
        seed: 1,
        address_policy: AddressPolicy {
            loopback: true,
            private: false,
        },
        workers,
        start: Instant::now(),
        stop: CancellationToken::new(),
    }
}

/// Returns all results of a piece of work.
async fn measure(work: &Work) -> Results {
    let mut running = begin(work).unwrap();
    let mut results = Results::default();
    while let Some(interval) = running.next().await {
        results.add(0, &interval);
    }
    results
}

async fn tally(path: &str) -> Tally {
    let server = Server::start().await;
    let scenario = scenario(
        server.address,
        path,
        Model::Rate,
        10.0,
        Duration::from_millis(500),
    );
    measure(&work(scenario, Share::WHOLE, 1))
        .await
        .merged(Select::default())
        .tally
}

#[tokio::test]
async fn the_open_model_starts_exactly_what_the_schedule_says_whatever_the_number_of_workers() {
    for workers in [1, 3] {
        let server = Server::start().await;
        let scenario = scenario(
            server.address,
            "/ok",
            Model::Rate,
            100.0,
            Duration::from_secs(1),
        );
        let planned = Schedule::new(&scenario).iterations();
        let results = measure(&work(scenario, Share::WHOLE, workers)).await;
        assert_eq!(results.merged(Select::default()).tally.ok, planned);
        assert_eq!(server.requests(), planned);
    }
}

#[tokio::test]
async fn shares_of_two_tasks_add_up() {
    let server = Server::start().await;
    let mut sum = 0;
    for index in 0..2 {
        let scenario = scenario(
            server.address,
            "/ok",
            Model::Rate,
            101.0,
            Duration::from_millis(500),
        );
        let results = measure(&work(scenario, Share { index, of: 2 }, 2)).await;
        sum += results.merged(Select::default()).tally.ok;
    }
    assert_eq!(sum, 51);
}

#[tokio::test]
async fn a_session_keeps_one_connection() {
    let server = Server::start().await;
    let scenario = scenario(
        server.address,
        "/ok",
        Model::Users,
        4.0,
        Duration::from_secs(1),
    );
    let results = measure(&work(scenario, Share::WHOLE, 2)).await;
    let tally = results.merged(Select::default()).tally;
    assert_eq!(tally.requests(), server.requests());
    assert!(tally.ok > 20, "{tally:?}");
    assert_eq!(server.connections(), 4);
}

#[tokio::test]
async fn a_request_that_the_target_dropped_on_a_kept_connection_is_sent_again_once() {
    let server = Server::start().await;
    let mut scenario = scenario(
        server.address,
        "/ok",
        Model::Users,
        1.0,
        Duration::from_secs(1),
    );
    let mut second = scenario.flows[0].steps[0].clone();
    second.path = Template::text("/cut");
    scenario.flows[0].steps.push(second);
    scenario.flows[0].body.actions.push(Action::Request(1));
    let tally = measure(&work(scenario, Share::WHOLE, 1))
        .await
        .merged(Select::default())
        .tally;
    assert!(tally.broken > 2 && tally.ok >= tally.broken, "{tally:?}");
    // The new connection is cut as well, and there is no third attempt.
    assert_eq!(tally.reconnects, tally.broken);
    assert_eq!(tally.requests() + tally.reconnects, server.requests());
}

#[tokio::test]
async fn a_connection_that_the_server_closed_after_its_answer_is_no_error_for_any_method() {
    let server = Server::start().await;
    let mut scenario = scenario(
        server.address,
        "/last",
        Model::Users,
        2.0,
        Duration::from_millis(500),
    );
    scenario.flows[0].steps[0].method = Method::Post;
    scenario.flows[0].think = Think::None;
    let tally = measure(&work(scenario, Share::WHOLE, 1))
        .await
        .merged(Select::default())
        .tally;
    assert_eq!(tally.errors(), 0, "{tally:?}");
    assert_eq!(server.connections(), tally.ok);
}

#[tokio::test]
async fn a_store_that_hangs_holds_up_neither_the_lease_nor_the_end() {
    let server = Server::start().await;
    let store = Arc::new(HangingReports(InMemory::new()));
    let channel = Channel::new(store, Path::from("run")).unconditional();
    channel.put_control(&control(&[0]), None).await.unwrap();
    let scenario = scenario(
        server.address,
        "/ok",
        Model::Rate,
        20.0,
        Duration::from_mins(10),
    );
    let mut task = task(&channel, 0);
    task.lease = Duration::from_secs(3);
    let ended = timeout(Duration::from_secs(6), carry_out_for_test(&task, scenario))
        .await
        .expect("held up");
    // The task does not go on trying to deliver, because nobody reads the channel.
    assert_eq!(ended.unwrap(), TaskEnd::LeaseLapsed);
    let seen = server.requests();
    let _ = timeout(Duration::from_secs(2), std::future::pending::<()>()).await;
    assert_eq!(server.requests(), seen, "load after the end");
}

#[tokio::test]
async fn load_that_the_store_takes_no_report_of_ends() {
    let server = Server::start().await;
    let channel =
        Channel::new(Arc::new(HangingReports(InMemory::new())), Path::from("run")).unconditional();
    channel.put_control(&control(&[0]), None).await.unwrap();
    let scenario = scenario(
        server.address,
        "/ok",
        Model::Rate,
        20.0,
        Duration::from_mins(10),
    );
    let mut task = task(&channel, 0);
    task.lease = Duration::from_secs(3);
    let mut control = channel.control().await.unwrap();
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    let heartbeats = async {
        loop {
            interval.tick().await;
            control.heartbeat += 1;
            channel.put_control(&control, None).await.unwrap();
        }
    };
    let ended = tokio::select! {
        ended = timeout(Duration::from_mins(1), carry_out_for_test(&task, scenario)) => ended.unwrap().unwrap(),
        () = heartbeats => unreachable!(),
    };
    assert!(
        matches!(&ended, TaskEnd::Failed(why) if why.contains("took no report")),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_stalled_target_thins_out_nothing_and_its_queue_is_in_the_latency() {
    let server = Server::start().await;
    let scenario = scenario(
        server.address,
        "/slow",
        Model::Rate,
        100.0,
        Duration::from_secs(1),
    );
    let merged = measure(&work(scenario, Share::WHOLE, 1))
        .await
        .merged(Select::default());
    assert_eq!(merged.tally.ok, 100);
    // Half of all arrived during the stall, evenly: a quarter of them waited a quarter of a second
    // and more.
    assert!(
        merged.latency.percentile(80.0).unwrap() > Duration::from_millis(200),
        "{:?}",
        merged.latency.percentile(80.0)
    );
}

#[tokio::test]
async fn every_way_of_ending_has_its_own_class() {
    assert_eq!(
        tally("/ok").await,
        Tally {
            ok: 5,
            bytes: 25,
            ..Tally::default()
        }
    );
    assert_eq!(
        tally("/status/404").await,
        Tally {
            status_4xx: 5,
            bytes: 25,
            ..Tally::default()
        }
    );
    assert_eq!(
        tally("/status/503").await,
        Tally {
            status_5xx: 5,
            bytes: 25,
            ..Tally::default()
        }
    );
    assert_eq!(
        tally("/later/429").await,
        Tally {
            status_4xx: 5,
            limited: 5,
            status_4xx_retry_after: 5,
            bytes: 25,
            ..Tally::default()
        }
    );
    assert_eq!(
        tally("/later/503").await,
        Tally {
            status_5xx: 5,
            status_5xx_retry_after: 5,
            bytes: 25,
            ..Tally::default()
        }
    );
    assert_eq!(
        tally("/close").await,
        Tally {
            broken: 5,
            broken_unanswered: 5,
            ..Tally::default()
        }
    );
    assert_eq!(
        tally("/hang").await,
        Tally {
            timeout: 5,
            ..Tally::default()
        }
    );
    // Held, so that nobody else listens there.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let unused = socket.local_addr().unwrap();
    let scenario = scenario(unused, "/ok", Model::Rate, 10.0, Duration::from_millis(500));
    let refused = measure(&work(scenario, Share::WHOLE, 1))
        .await
        .merged(Select::default())
        .tally;
    assert_eq!(
        refused,
        Tally {
            connect: 5,
            ..Tally::default()
        }
    );
}

#[tokio::test]
async fn a_stop_cuts_requests_under_way_within_a_second() {
    let server = Server::start().await;
    let mut scenario = scenario(
        server.address,
        "/hang",
        Model::Users,
        8.0,
        Duration::from_mins(10),
    );
    scenario.target.timeout = Duration::from_mins(10);
    let work = work(scenario, Share::WHOLE, 2);
    let mut running = begin(&work).unwrap();
    running.next().await.unwrap();
    work.stop.cancel();
    timeout(Duration::from_secs(1), async {
        while running.next().await.is_some() {}
    })
    .await
    .unwrap();
}

fn channel() -> Channel {
    Channel::new(Arc::new(InMemory::new()), Path::from("run")).unconditional()
}

fn task(channel: &Channel, slot: u32) -> GeneratorTask {
    GeneratorTask {
        channel: channel.clone(),
        slot,
        attempt: 1,
        epoch: 1,
        max_lifetime: Duration::from_mins(1),
        identity: format!("test {slot}"),
        lease: LEASE,
    }
}

fn control(slots: &[u32]) -> Control {
    let at = Timestamp::now()
        .checked_add(Duration::from_millis(1_500))
        .unwrap();
    Control {
        version: VERSION,
        epoch: 1,
        heartbeat: 1,
        start: Some(Start {
            at,
            slots: slots.to_vec(),
            attempts: Vec::new(),
        }),
        stop: None,
    }
}

#[tokio::test]
async fn two_tasks_carry_out_a_plan_and_report_all_of_it() {
    let (server, channel) = (Server::start().await, channel());
    channel.put_control(&control(&[4, 7]), None).await.unwrap();
    let scenario = scenario(
        server.address,
        "/ok",
        Model::Rate,
        50.0,
        Duration::from_secs(3),
    );
    let (four, seven) = (task(&channel, 4), task(&channel, 7));
    let (a, b) = tokio::join!(
        carry_out_for_test(&four, scenario.clone()),
        carry_out_for_test(&seven, scenario)
    );
    assert_eq!(
        (a.unwrap(), b.unwrap()),
        (TaskEnd::Complete, TaskEnd::Complete)
    );

    let mut results = Results::default();
    for slot in [4, 7] {
        let end = channel.end(slot).await.unwrap().unwrap();
        assert!(end.intervals > 0);
        for seq in 0..end.intervals {
            results.add(
                slot,
                &channel
                    .report(slot, seq)
                    .await
                    .unwrap()
                    .expect("no gap")
                    .interval,
            );
        }
        assert_eq!(channel.report(slot, end.intervals).await.unwrap(), None);
    }
    assert_eq!(results.merged(Select::default()).tally.ok, 150);
    assert_eq!(server.requests(), 150);
}

#[tokio::test]
async fn tasks_draw_every_row_of_the_parts_that_they_were_sent() {
    let (shop, channel) = (Shop::open().await, channel());
    let scenario = format!(
        "name: x\ntarget: {{ url: '{}' }}\nphases: [{{ users: 16, hold: 500ms }}]\n\
         data: {{ u: {{ file: u.csv, order: once }} }}\nsteps: [{{ get: '/{{{{ u.id }}}}' }}]\n",
        shop.url()
    );
    let rows: Vec<String> = (10..37).map(|row| row.to_string()).collect();
    let file = format!("id\n{}\n", rows.join("\n"));
    let parts = model::scenario::divide("u.csv", file.as_bytes(), 2).unwrap();
    for (slot, part) in (0..).zip(parts) {
        channel.put_part(0, slot, part).await.unwrap();
    }
    let plan = Plan {
        scenario,
        files: vec!["u.csv".to_owned()],
        divided: vec!["u.csv".to_owned()],
        ..plan(false)
    };
    channel.put_plan(&plan).await.unwrap();
    channel.put_control(&control(&[0, 1]), None).await.unwrap();
    let (first, second) = (task(&channel, 0), task(&channel, 1));
    let (a, b) = tokio::join!(generate(&first), generate(&second));
    assert_eq!(
        (a.unwrap(), b.unwrap()),
        (TaskEnd::Complete, TaskEnd::Complete)
    );
    let mut lines = shop.log.lines();
    lines.sort_unstable();
    let wanted: Vec<String> = rows.iter().map(|row| format!("GET /{row}")).collect();
    assert_eq!(lines, wanted);
}

#[tokio::test]
async fn a_task_that_hears_no_beat_stops_by_itself() {
    let (server, channel) = (Server::start().await, channel());
    channel.put_control(&control(&[0]), None).await.unwrap();
    let scenario = scenario(
        server.address,
        "/ok",
        Model::Rate,
        20.0,
        Duration::from_mins(10),
    );
    let mut task = task(&channel, 0);
    task.lease = Duration::from_secs(3);
    let ended = timeout(Duration::from_secs(10), carry_out_for_test(&task, scenario))
        .await
        .unwrap();
    assert_eq!(ended.unwrap(), TaskEnd::LeaseLapsed);
    assert_eq!(
        channel.end(0).await.unwrap().unwrap().why,
        TaskEnd::LeaseLapsed
    );
}

#[tokio::test]
async fn a_task_without_a_share_sends_nothing() {
    let (server, channel) = (Server::start().await, channel());
    channel.put_control(&control(&[1]), None).await.unwrap();
    let scenario = scenario(
        server.address,
        "/ok",
        Model::Rate,
        20.0,
        Duration::from_mins(10),
    );
    assert_eq!(
        carry_out_for_test(&task(&channel, 0), scenario)
            .await
            .unwrap(),
        TaskEnd::NotNeeded
    );
    assert_eq!(server.requests(), 0);
}

fn plan(secrets: bool) -> Plan {
    let key = if secrets { "${secret:KEY}" } else { "none" };
    let scenario = format!(
        "name: x\ntarget: {{ url: http://127.0.0.1:9 }}\nphases: [{{ users: 1, hold: 1s }}]\n\
         steps: [{{ get: /, headers: {{ x-key: \"{key}\" }} }}]\n"
    );
    let substitutions = Substitutions::default();
    Plan {
        version: VERSION,
        run: "sp-0000000001".to_owned(),
        scenario,
        surroundings: substitutions,
        secrets,
        address_policy: model::limits::AddressPolicy {
            loopback: true,
            private: false,
        },
        seed: 1,
        files: Vec::new(),
        divided: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_sees_no_beat_ends_after_two_minutes_however_far_it_came() {
    for with_plan in [false, true] {
        let channel = channel();
        if with_plan {
            channel.put_plan(&plan(false)).await.unwrap();
        }
        let born = tokio::time::Instant::now();
        let ended = generate(&GeneratorTask {
            max_lifetime: Duration::from_hours(1),
            ..task(&channel, 0)
        })
        .await;
        assert_eq!(ended.is_ok(), with_plan, "{ended:?}");
        assert!(
            (120..125).contains(&born.elapsed().as_secs()),
            "{:?}",
            born.elapsed()
        );
        let why = channel.end(0).await.unwrap().unwrap().why;
        assert!(
            matches!(
                (&why, with_plan),
                (TaskEnd::LeaseLapsed, true) | (TaskEnd::Failed(_), false)
            ),
            "{why:?}"
        );
    }
}

#[tokio::test]
async fn a_task_that_finds_no_secrets_any_more_is_too_late() {
    let channel = channel();
    channel.put_plan(&plan(true)).await.unwrap();
    assert_eq!(
        generate(&task(&channel, 0)).await.unwrap(),
        TaskEnd::NotNeeded
    );
    assert_eq!(channel.ready(0).await.unwrap(), None);
}

#[tokio::test]
async fn what_a_task_says_holds_no_secret_even_if_the_plan_cannot_be_read() {
    let channel = channel();
    let mut broken = plan(true);
    // The secret is in the line that the problem shows.
    broken.scenario = broken.scenario.trim_end().to_owned() + " # c4nary-of-the-plan\n";
    channel.put_plan(&broken).await.unwrap();
    let mut secrets = redact::Secrets::default();
    secrets.insert("KEY", "c4nary-of-the-plan");
    channel
        .put_secrets(&SecretsMessage {
            version: VERSION,
            secrets,
        })
        .await
        .unwrap();
    assert!(generate(&task(&channel, 0)).await.is_err());
    let TaskEnd::Failed(why) = channel.end(0).await.unwrap().unwrap().why else {
        unreachable!()
    };
    assert!(
        why.contains("[secret KEY]") && !why.contains("c4nary"),
        "{why}"
    );
}

#[tokio::test]
async fn the_last_to_leave_a_folder_takes_the_secrets_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let channel =
        cloud::channel::open(&format!("file://{}", folder.path().display()), None).unwrap();
    channel.put_plan(&plan(true)).await.unwrap();
    let mut secrets = redact::Secrets::default();
    secrets.insert("KEY", "c4nary-in-a-folder");
    channel
        .put_secrets(&SecretsMessage {
            version: VERSION,
            secrets,
        })
        .await
        .unwrap();
    channel.put_control(&control(&[0]), None).await.unwrap();
    let ended = generate(&GeneratorTask {
        lease: Duration::ZERO,
        ..task(&channel, 0)
    })
    .await
    .unwrap();
    assert_eq!(ended, TaskEnd::LeaseLapsed);
    assert_eq!(channel.secrets().await.unwrap(), None);
}
