//! The target is a guest's house: nothing that an answer says takes load to another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::scenario_tests::{Shop, measure, parsed, run, tally};
use super::{Work, begin};
use model::limits::AddressPolicy;
use model::measure::{Results, Tally};
use model::plan::Share;
use model::scenario::{Substitutions, no_files, percent_encoded, read};

/// Somebody else's server: another host of this machine, which would answer.
struct Stranger {
    address: SocketAddr,
    called: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

impl Stranger {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (called, mut task) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        let counted = Arc::clone(&called);
        task.spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            address,
            called,
            _task: task,
        }
    }

    fn called(&self) -> u64 {
        self.called.load(Ordering::Relaxed)
    }
}

/// Returns a flow that puts the shop's answer in every place where a template may stand.
fn flow_with(value: &str, http: &str) -> String {
    let value = serde_json::to_string(value).unwrap();
    format!(
        r#"
name: t
target: {{ url: "URL", http: "{http}", cookies: false }}
phases: [{{ users: 1, hold: 1ms, grace: 5s }}]
steps:
  - {{ post: /say, json: {{ v: {value} }}, capture: {{ v: $.v }} }}
  - get: "{{{{ raw(v) }}}}"
  - get: "/p{{{{ raw(v) }}}}"
  - get: "/{{{{ v }}}}?x={{{{ v }}}}"
  - get: /headers
    headers: {{ x-raw: "{{{{ raw(v) }}}}", x-plain: "{{{{ v }}}}" }}
    auth: {{ bearer: "{{{{ raw(v) }}}}" }}
  - post: /body
    form: {{ a: "{{{{ raw(v) }}}}" }}
"#
    )
}

#[tokio::test]
async fn no_captured_value_takes_a_request_to_another_host() {
    let stranger = Stranger::open().await;
    let other = stranger.address;
    for value in [
        format!("http://{other}/x"),
        format!("//{other}/x"),
        format!("///{other}/x"),
        format!("@{other}/x"),
        format!(":80@{other}/x"),
        format!(".{other}/x"),
        format!("\\\\{other}\\x"),
        format!("/x HTTP/1.1\r\nhost: {other}\r\n\r\nGET /smuggled"),
        format!("a\r\nhost: {other}"),
        format!("a\nhost: {other}\n\nGET /smuggled HTTP/1.1\n"),
    ] {
        for http in ["1.1", "2"] {
            let shop = Shop::open().await;
            let own = shop.url().trim_start_matches("http://").to_owned();
            let results = measure(
                parsed(&flow_with(&value, http).replace("URL", &shop.url()), &[]),
                Share::WHOLE,
                1,
            )
            .await;
            let seen = shop.log.all();
            for request in &seen {
                let host = request
                    .headers
                    .get(":authority")
                    .or_else(|| request.headers.get("host"));
                assert_eq!(host, Some(&own), "{value:?} {http}");
                assert!(
                    !request.line.contains(" /smuggled"),
                    "{value:?} {http}: {}",
                    request.line
                );
            }
            // A request that HTTP/2 cannot express is not sent. Over HTTP/1.1 each of the steps is
            // one request, no less and no more.
            match http {
                "1.1" => assert_eq!((seen.len(), tally(&results).ok), (6, 6), "{value:?}"),
                _ => assert!(!seen.is_empty(), "{value:?}"),
            }
        }
    }
    assert_eq!(stranger.called(), 0);
}

#[tokio::test]
async fn no_redirect_takes_a_request_to_another_host() {
    let stranger = Stranger::open().await;
    let (shop, other) = (Shop::open().await, stranger.address);
    let own = shop.url().trim_start_matches("http://").to_owned();
    for to in [
        format!("http://{other}/"),
        format!("https://{other}/"),
        format!("//{other}/"),
        format!("\\\\{other}\\"),
        format!("/\\{other}/"),
        format!("http:\\\\{other}/"),
        format!("http://{own}@{other}/"),
        format!("http://{own}:x@{other}/"),
        format!("http://{own}.{other}/"),
        format!("ftp://{own}/"),
    ] {
        let before = shop.log.all().len();
        let step = format!("{{ get: \"/to?{}\" }}", percent_encoded(&to));
        let results = run(
            &shop,
            &format!("phases: [{{ users: 1, hold: 1ms }}]\nsteps: [{step}]"),
        )
        .await;
        let astray = Tally {
            check: 1,
            checks_failed: 1,
            ..Tally::default()
        };
        assert_eq!(
            (tally(&results), shop.log.all().len() - before),
            (astray, 1),
            "{to}"
        );
    }
    assert_eq!(stranger.called(), 0);
    // A redirect of the same form to the own host is followed.
    let step = format!(
        "{{ get: \"/to?{}\" }}",
        percent_encoded(&format!("//{own}/there"))
    );
    run(
        &shop,
        &format!("phases: [{{ users: 1, hold: 1ms }}]\nsteps: [{step}]"),
    )
    .await;
    assert_eq!(shop.log.lines().last().unwrap(), "GET /there");
}

#[test]
fn a_scenario_cannot_name_another_host_either() {
    let text = |target: &str, step: &str| {
        format!(
            "name: t\ntarget: {{ url: \"{target}\" }}\nphases: [{{ users: 1, hold: 1s }}]\nsteps: [{step}]\n"
        )
    };
    for (target, step) in [
        ("http://shop", "{ get: \"http://other.example/\" }"),
        ("http://shop", "{ get: \"other.example/\" }"),
        (
            "http://shop",
            "{ get: /, headers: { host: other.example } }",
        ),
        (
            "http://shop",
            "{ get: /, headers: { HOST: \"{{ uuid() }}\" } }",
        ),
        (
            "http://shop",
            "{ get: /, headers: { \":authority\": other.example } }",
        ),
        (
            "http://shop",
            "{ get: /, headers: { x-a: \"a\\r\\nhost: other.example\" } }",
        ),
        ("http://{{ uuid() }}.example", "{ get: / }"),
        ("http://shop@other.example", "{ get: / }"),
    ] {
        let text = text(target, step);
        assert!(
            read(&text, &Substitutions::default(), &no_files).is_err(),
            "{text}"
        );
    }
    assert!(
        read(
            &text("http://shop", "{ get: / }"),
            &Substitutions::default(),
            &no_files
        )
        .is_ok()
    );
}

#[tokio::test]
async fn an_address_that_may_get_no_load_gets_no_connection_and_the_report_says_why() {
    let shop = Shop::open().await;
    let port = shop.url().rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "localhost"] {
        let text = format!(
            "name: t\ntarget: {{ url: \"http://{host}:{port}\" }}\nphases: [{{ rate: 20/s, hold: 500ms }}]\nsteps: [{{ get: / }}]\n"
        );
        let work = Work {
            scenario: Arc::new(parsed(&text, &[])),
            share: Share::WHOLE,
            seed: 1,
            address_policy: AddressPolicy {
                loopback: false,
                private: true,
            },
            workers: 1,
            start: Instant::now(),
            stop: CancellationToken::new(),
        };
        let (mut running, mut results) = (begin(&work).unwrap(), Results::default());
        while let Some(interval) = running.next().await {
            results.add(0, &interval);
        }
        running.finish().unwrap();
        assert_eq!(
            (tally(&results).ok, tally(&results).connect),
            (0, 10),
            "{host}"
        );
        let reasons = results.reasons();
        assert!(
            reasons[0].0.contains("`--fleet local` permits it"),
            "{host}: {reasons:?}"
        );
    }
    assert_eq!(shop.log.connections(), 0);
}
