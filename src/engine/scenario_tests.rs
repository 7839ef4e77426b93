//! Scenarios as users write them, against a small shop that remembers what it was asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{Work, begin};
use model::limits::AddressPolicy;
use model::measure::{
    Broken, Ending, Failure, RefusedRedirect, Results, Saturation, Select, Tally, TlsFailure,
};
use model::plan::Share;
use model::scenario::{self, Scenario, Substitutions};

/// One request as the shop saw it.
#[derive(Debug, Clone)]
pub(crate) struct ShopRequest {
    pub line: String,
    pub headers: BTreeMap<String, String>,
    body: String,
    version: Version,
    connection: usize,
}

#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<ShopRequest>>>);

impl Log {
    pub(crate) fn all(&self) -> Vec<ShopRequest> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.all().into_iter().map(|seen| seen.line).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        let mut all: Vec<usize> = self.all().into_iter().map(|seen| seen.connection).collect();
        all.sort_unstable();
        all.dedup();
        all.len()
    }
}

pub(super) struct Shop {
    address: SocketAddr,
    pub log: Log,
    _tasks: JoinSet<()>,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::with(None).await
    }

    async fn with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Log::default();
        let (seen, mut tasks) = (log.clone(), JoinSet::new());
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            let mut number = 0;
            while let Ok((stream, _)) = listener.accept().await {
                number += 1;
                let (seen, tls) = (seen.clone(), tls.clone());
                open.spawn(async move {
                    let service = service_fn(move |request| answer(seen.clone(), number, request));
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    match tls {
                        None => drop(server.serve_connection(TokioIo::new(stream), service).await),
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                drop(server.serve_connection(TokioIo::new(stream), service).await);
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            log,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

type Reply = Result<Response<Full<Bytes>>, std::convert::Infallible>;

#[expect(clippy::too_many_lines, reason = "a page of the shop in each arm")]
async fn answer(log: Log, connection: usize, request: Request<hyper::body::Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let line = format!("{} {}", head.method, head.uri.path_and_query().unwrap());
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let mut headers: BTreeMap<String, String> = headers.collect();
    if let Some(authority) = head.uri.authority() {
        headers.insert(":authority".to_owned(), authority.to_string());
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    let cookies = headers.get("cookie").cloned().unwrap_or_default();
    log.0.lock().unwrap().push(ShopRequest {
        line,
        headers,
        body: body.clone(),
        version: head.version,
        connection,
    });
    let path = head.uri.path().to_owned();
    let json = |text: &str| {
        Response::builder()
            .header("content-type", "application/json")
            .body(Full::from(text.to_owned()))
    };
    let response = match path.as_str() {
        "/login" => Response::builder()
            .header("set-cookie", "sid=s1; Path=/")
            .header("x-token", "t-9")
            .body(Full::from("in")),
        "/whoami" => Response::builder().body(Full::from(cookies)),
        "/items" => json(
            r#"{"items": [{"id": 11}, {"id": 12}, {"id": 13}], "open": true, "next": "/page/2?x=1"}"#,
        ),
        "/empty" => json("{}"),
        "/moved" => Response::builder()
            .status(302)
            .header("location", "/there?a=b")
            .body(Full::from("")),
        "/moved-307" => Response::builder()
            .status(307)
            .header("location", "/there")
            .body(Full::from("")),
        "/loop" => Response::builder()
            .status(302)
            .header("location", "/loop")
            .body(Full::from("")),
        "/to" => {
            let to = percent_encoding::percent_decode_str(head.uri.query().unwrap())
                .decode_utf8()
                .unwrap()
                .into_owned();
            Response::builder()
                .status(302)
                .header("location", to)
                .body(Full::from(""))
        }
        "/away" => Response::builder()
            .status(302)
            .header("location", "http://other.example/")
            .body(Full::from("")),
        "/packed" => {
            use std::io::Write as _;
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(b"{\"packed\": \"yes\"}").unwrap();
            Response::builder()
                .header("content-encoding", "gzip")
                .body(Full::from(gzip.finish().unwrap()))
        }
        "/nothing-packed" => Response::builder()
            .header("content-encoding", "gzip")
            .body(Full::from("")),
        "/twice" => Response::builder()
            .header("x-t", "v1")
            .header("x-t", "v2")
            .body(Full::from("{\"price\": 10.0}")),
        // Every tag looks through all that are open.
        "/deep" => Response::builder().body(Full::from("<div>".repeat(400_000))),
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(700)).await;
            Response::builder().body(Full::from("slow"))
        }
        "/hang" => std::future::pending().await,
        "/from/one" => Response::builder()
            .header("X-Instance-Id", "i-1")
            .body(Full::from("")),
        "/from/two" => Response::builder()
            .status(500)
            .header("x-instance-id", "i-2")
            .body(Full::from("")),
        _ => Response::builder().body(Full::from(body)),
    };
    Ok(response.unwrap())
}

pub(super) fn parsed(text: &str, files: &[(&str, &str)]) -> Scenario {
    let open = |name: &str| {
        let found = files.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, content)| content.as_bytes().to_vec())
            .ok_or(scenario::FileError::NotInPlan)
    };
    match scenario::read(text, &Substitutions::default(), &open) {
        Ok(read) => read.scenario,
        Err(problems) => panic!("{}", scenario::render("test", text, &problems, false)),
    }
}

pub(super) async fn measure(scenario: Scenario, share: Share, workers: u32) -> Results {
    let (stop, start) = (CancellationToken::new(), Instant::now());
    let address_policy = AddressPolicy {
        loopback: true,
        private: false,
    };
    let work = Work {
        scenario: Arc::new(scenario),
        share,
        seed: 7,
        address_policy,
        workers,
        start,
        stop,
    };
    let mut running = begin(&work).unwrap();
    let mut results = Results::default();
    while let Some(interval) = running.next().await {
        results.add(0, &interval);
    }
    running.finish().unwrap();
    results
}

/// Runs one session (or what `phases` says) of these flows for a moment.
pub(super) async fn run(shop: &Shop, rest: &str) -> Results {
    let text = format!("name: t\ntarget: {{ url: \"{}\" }}\n{rest}\n", shop.url());
    let text = if text.contains("phases:") {
        text
    } else {
        format!("{text}phases: [{{ users: 1, hold: 300ms, grace: 2s }}]\n")
    };
    measure(parsed(&text, &[]), Share::WHOLE, 1).await
}

pub(super) fn tally(results: &Results) -> Tally {
    results.merged(Select::default()).tally
}

pub(super) fn saturation(results: &Results) -> Saturation {
    results
        .saturation()
        .fold(Saturation::default(), |mut all, (_, saturation)| {
            all.merge(saturation);
            all
        })
}

/// Returns each check's name, and whether it ever failed.
fn checks(scenario: &Scenario, results: &Results) -> Vec<(String, bool)> {
    let name = |flow: u16, step: u16, check: u16| {
        scenario.flows[flow as usize].steps[step as usize].check_names()[check as usize].clone()
    };
    results
        .checks()
        .into_iter()
        .map(|((flow, step, check), (_, failed))| (name(flow, step, check), failed == 0))
        .collect()
}

#[expect(clippy::too_many_lines, reason = "one method after the other")]
#[tokio::test]
async fn every_method_and_body_reaches_the_target_as_written() {
    let shop = Shop::open().await;
    let text = format!(
        r#"
name: t
target: {{ url: "{}/base", headers: {{ x-all: a }}, auth: {{ basic: {{ user: ada, password: pw }} }} }}
phases: [{{ users: 1, hold: 1ms }}]
flows:
  - name: f
    headers: {{ x-flow: b }}
    steps:
      - get: /get?q=1
      - post: /json
        json: {{ n: "{{{{ random(5, 5) }}}}", s: "n={{{{ random(5, 5) }}}}", list: [1, null, true] }}
      - post: /form
        form: {{ user: "a b&c", pick: "{{{{ pick([\"x/y\"]) }}}}" }}
      - put: /raw
        body: "plain {{{{ iteration() }}}}"
        headers: {{ content-type: text/special, x-flow: own }}
      - patch: /file
        file: note.txt
      - post: /parts
        multipart: {{ title: hi, doc: {{ file: note.txt }} }}
      - delete: /gone
        auth: {{ bearer: tok }}
      - head: /head
      - options: /options
"#,
        shop.url()
    );
    let results = measure(parsed(&text, &[("note.txt", "noted")]), Share::WHOLE, 1).await;
    assert_eq!(tally(&results).errors(), 0, "{:?}", tally(&results));
    let seen = shop.log.all();
    let lines: Vec<&str> = seen.iter().map(|seen| seen.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /base/get?q=1",
            "POST /base/json",
            "POST /base/form",
            "PUT /base/raw",
            "PATCH /base/file",
            "POST /base/parts",
            "DELETE /base/gone",
            "HEAD /base/head",
            "OPTIONS /base/options"
        ]
    );
    assert_eq!(seen[1].body, r#"{"n":5,"s":"n=5","list":[1,null,true]}"#);
    assert_eq!(seen[2].body, "user=a%20b%26c&pick=x%2Fy");
    assert_eq!(seen[3].body, "plain 1");
    assert_eq!(
        (
            seen[4].body.as_str(),
            seen[4].headers["content-type"].as_str()
        ),
        ("noted", "text/plain; charset=utf-8")
    );
    assert!(
        seen[5].body.contains(
            "name=\"doc\"; filename=\"note.txt\"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nnoted\r\n"
        ),
        "{}",
        seen[5].body
    );
    let header = |at: usize, name: &str| seen[at].headers.get(name).map(String::as_str);
    assert_eq!(
        [
            header(0, "x-all"),
            header(0, "x-flow"),
            header(0, "authorization")
        ],
        [Some("a"), Some("b"), Some("Basic YWRhOnB3")]
    );
    assert_eq!(
        [header(3, "content-type"), header(3, "x-flow")],
        [Some("text/special"), Some("own")]
    );
    assert_eq!(header(6, "authorization"), Some("Bearer tok"));
    assert_eq!(
        [
            header(0, "content-length"),
            header(6, "content-length"),
            header(3, "content-length")
        ],
        [None, None, Some("7")]
    );
    assert_eq!(shop.log.connections(), 1);
}

#[tokio::test]
async fn numbers_reach_the_target_with_the_digits_of_file_and_answer() {
    let shop = Shop::open().await;
    let results = run(
        &shop,
        r#"
phases: [{ users: 1, hold: 1ms, grace: 5s }]
steps:
  - post: /echo
    json: { id: 9007199254740993, big: 123456789012345678901234567890, price: 0.10, e: 1e3, zip: 01234, phone: +4930123456 }
    check: { json: { $.id: 9007199254740993, $.big: 123456789012345678901234567890, $.price: 0.1, $.e: 1000, $.zip: 01234 } }
    capture: { id: $.id, big: $.big, price: $.price, e: $.e, zip: $.zip, phone: $.phone, all: $ }
  - post: /json
    json: { id: "{{ id }}", big: "{{ big }}", price: "{{ price }}", e: "{{ e }}", zip: "{{ zip }}", phone: "{{ phone }}", all: "{{ all }}", own: "{{ all.price }}" }
  - post: /form
    form: { id: 9007199254740993, price: 0.10, zip: 01234, phone: +4930123456, big: "{{ big }}", e: "{{ e }}" }
  - get: "/p/{{ big }}/{{ price }}/{{ zip }}?phone={{ phone }}"
  - get: /equal
    if: id == 9007199254740993
  - get: /other
    if: id == 9007199254740992
  - get: /wrong
    check: { soft: true, json: { $.id: 1 } }
"#,
    )
    .await;
    assert_eq!(tally(&results).errors(), 0, "{:?}", tally(&results));
    let seen = shop.log.all();
    let sent = r#"{"id":9007199254740993,"big":123456789012345678901234567890,"price":0.10,"e":1e3,"zip":"01234","phone":"+4930123456"}"#;
    assert_eq!(seen[0].body, sent);
    let members = sent.trim_end_matches('}');
    assert_eq!(
        seen[1].body,
        format!("{members},\"all\":{sent},\"own\":0.10}}")
    );
    assert_eq!(
        seen[2].body,
        "id=9007199254740993&price=0.10&zip=01234&phone=%2B4930123456&big=123456789012345678901234567890&e=1e3"
    );
    assert_eq!(
        shop.log.lines()[3..],
        [
            "GET /p/123456789012345678901234567890/0.10/01234?phone=%2B4930123456",
            "GET /equal",
            "GET /wrong"
        ]
    );
}

#[tokio::test]
async fn characters_that_no_path_may_hold_are_encoded_once_and_lists_are_fields() {
    let shop = Shop::open().await;
    let results = run(
        &shop,
        r#"
phases: [{ users: 1, hold: 1ms, grace: 5s }]
steps:
  - post: /echo
    body: '{ "next": "/ü b?q=%20x|y" }'
    capture: { next: $.next }
  - get: "{{ raw(next) }}"
  - get: '/a b?filter={"x":1}&d=<1>^2&ü={{ next }}'
  - post: /form
    form: { tag: [red, "a b", "{{ next }}", 1.0], none: [], last: x }
"#,
    )
    .await;
    assert_eq!(tally(&results).errors(), 0, "{:?}", tally(&results));
    let next = "%2F%C3%BC%20b%3Fq%3D%2520x%7Cy";
    assert_eq!(
        shop.log.lines()[1..3],
        [
            "GET /%C3%BC%20b?q=%20x%7Cy".to_owned(),
            format!("GET /a%20b?filter=%7B%22x%22:1%7D&d=%3C1%3E%5E2&%C3%BC={next}"),
        ]
    );
    assert_eq!(
        shop.log.all()[3].body,
        format!("tag=red&tag=a%20b&tag={next}&tag=1.0&last=x")
    );
}

#[tokio::test]
async fn a_repeated_step_asks_its_condition_before_each_repetition() {
    let shop = Shop::open().await;
    let results = run(
        &shop,
        r#"
phases: [{ users: 1, hold: 1ms, grace: 5s }]
steps:
  - { get: /empty, capture: { open: { json: $.open, default: "" } } }
  - { get: /items, name: poll, repeat: 10, if: "not open", capture: { open: $.open } }
  - { get: /after }
"#,
    )
    .await;
    assert_eq!(tally(&results).errors(), 0, "{:?}", tally(&results));
    assert_eq!(shop.log.lines(), ["GET /empty", "GET /items", "GET /after"]);
}

#[tokio::test]
async fn a_look_that_takes_too_long_is_a_failed_step_and_strain_in_every_second() {
    let shop = Shop::open().await;
    let text = format!(
        "name: t\ntarget: {{ url: \"{}\" }}\nphases: [{{ users: 3, hold: 2s, grace: 9s }}]\nsteps: [{{ get: /deep, capture: {{ x: {{ css: div, pick: last }} }} }}]\n",
        shop.url()
    );
    let scenario = parsed(&text, &[]);
    let results = measure(scenario.clone(), Share::WHOLE, 1).await;
    let tally = tally(&results);
    assert_eq!((tally.check, tally.ok), (tally.requests(), 0), "{tally:?}");
    assert_eq!(
        checks(&scenario, &results),
        [
            ("capture x".to_owned(), false),
            ("look within 1s".to_owned(), false)
        ]
    );
    let seconds: Vec<Saturation> = results.saturation().map(|(_, second)| *second).collect();
    assert!(seconds.len() >= 3, "{seconds:?}");
    // The last second may have been just begun.
    for second in &seconds[..seconds.len() - 1] {
        assert!(second.beyond().is_some() && second.busy > 0, "{second:?}");
    }
}

#[tokio::test]
async fn a_session_logs_in_once_keeps_its_cookies_and_passes_values_on() {
    let shop = Shop::open().await;
    let results = run(
        &shop,
        r#"
phases: [{ users: 1, hold: 1s, grace: 2s }]
flows:
  - name: f
    think: 20ms
    auth: { bearer: "{{ token }}" }
    setup:
      - get: /login
        capture: { token: { header: x-token }, sid: { cookie: sid } }
    steps:
      - get: /items
        capture: { id: { json: "$.items[*].id", pick: last }, next: { json: $.next } }
      - get: /whoami?sid={{ sid }}&id={{ id }}
        check: { contains: "sid=s1" }
      - get: "{{ raw(next) }}"
"#,
    )
    .await;
    assert_eq!(tally(&results).errors(), 0, "{:?}", tally(&results));
    let seen = shop.log.all();
    assert_eq!(
        seen.iter().filter(|seen| seen.line == "GET /login").count(),
        1
    );
    assert_eq!(seen[2].line, "GET /whoami?sid=s1&id=13");
    assert_eq!(seen[3].line, "GET /page/2?x=1");
    assert_eq!(seen[3].headers["authorization"], "Bearer t-9");
    assert_eq!(seen[1].headers["cookie"], "sid=s1");
    assert!(seen.len() >= 7, "several iterations: {}", seen.len());
}

#[tokio::test]
async fn cookies_can_be_turned_off_and_sessions_do_not_share_them() {
    let shop = Shop::open().await;
    let text = |cookies| {
        format!(
            "name: t\ntarget: {{ url: \"{}\", cookies: {cookies} }}\nphases: [{{ users: 1, hold: 1ms }}]\nsteps: [{{ get: /login }}, {{ get: /whoami }}]\n",
            shop.url()
        )
    };
    measure(parsed(&text("false"), &[]), Share::WHOLE, 1).await;
    assert!(
        shop.log
            .all()
            .iter()
            .all(|seen| !seen.headers.contains_key("cookie"))
    );
    measure(
        parsed(&text("true").replace("users: 1", "users: 3"), &[]),
        Share::WHOLE,
        1,
    )
    .await;
    let seen = shop.log.all();
    assert!(
        seen.iter()
            .filter(|seen| seen.line == "GET /login")
            .all(|seen| !seen.headers.contains_key("cookie"))
    );
    assert_eq!(
        seen.iter()
            .filter(|seen| seen.headers.contains_key("cookie"))
            .count(),
        3
    );
}

#[tokio::test]
async fn a_missing_capture_fails_the_step_by_name_and_ends_the_iteration() {
    let shop = Shop::open().await;
    let text = format!(
        "name: t\ntarget: {{ url: \"{}\" }}\nphases: [{{ users: 1, hold: 1ms }}]\nsteps: [{{ get: /empty, capture: {{ product: $.id }} }}, {{ get: \"/p/{{{{ product }}}}\" }}]\n",
        shop.url()
    );
    let scenario = parsed(&text, &[]);
    let results = measure(scenario.clone(), Share::WHOLE, 1).await;
    assert_eq!(
        tally(&results),
        Tally {
            check: 1,
            checks_failed: 1,
            bytes: 2,
            ..Tally::default()
        }
    );
    assert_eq!(
        checks(&scenario, &results),
        [("capture product".to_owned(), false)]
    );
    assert_eq!(shop.log.lines(), ["GET /empty"]);
}

#[tokio::test]
async fn redirects_are_followed_counted_limited_and_stay_on_the_host() {
    for (step, tally_of, lines) in [
        (
            "{ get: /moved }",
            Tally {
                ok: 1,
                redirects: 1,
                ..Tally::default()
            },
            vec!["GET /moved", "GET /there?a=b"],
        ),
        (
            "{ post: /moved, body: x }",
            Tally {
                ok: 1,
                redirects: 1,
                ..Tally::default()
            },
            vec!["POST /moved", "GET /there?a=b"],
        ),
        (
            "{ post: /moved-307, body: x }",
            Tally {
                ok: 1,
                redirects: 1,
                bytes: 1,
                ..Tally::default()
            },
            vec!["POST /moved-307", "POST /there"],
        ),
        (
            "{ get: /moved, redirects: off }",
            Tally {
                ok: 1,
                ..Tally::default()
            },
            vec!["GET /moved"],
        ),
        (
            "{ get: /loop, redirects: 2 }",
            Tally {
                check: 1,
                redirects: 2,
                checks_failed: 1,
                ..Tally::default()
            },
            vec!["GET /loop"; 3],
        ),
        (
            "{ get: /away }",
            Tally {
                check: 1,
                checks_failed: 1,
                ..Tally::default()
            },
            vec!["GET /away"],
        ),
    ] {
        let shop = Shop::open().await;
        let results = run(
            &shop,
            &format!("phases: [{{ users: 1, hold: 1ms }}]\nsteps: [{step}]"),
        )
        .await;
        assert_eq!(tally(&results), tally_of, "{step}");
        assert_eq!(shop.log.lines(), lines, "{step}");
    }
}

#[tokio::test]
async fn packed_bodies_are_unpacked_before_they_are_checked() {
    let shop = Shop::open().await;
    let results =
        run(&shop, "steps: [{ get: /packed, check: { json: { $.packed: yes }, size: \"< 20B\" }, think: 50ms }]").await;
    assert!(
        tally(&results).ok > 0 && tally(&results).errors() == 0,
        "{:?}",
        tally(&results)
    );
    assert_eq!(
        shop.log.all()[0].headers["accept-encoding"],
        "gzip, br, zstd"
    );
}

#[tokio::test]
async fn soft_checks_count_only_as_checks() {
    let shop = Shop::open().await;
    let step = "{ get: /items, think: 50ms, check: [{ status: 200 }, { under: 1ns, soft: true, name: fast }] }";
    let text = format!(
        "name: t\ntarget: {{ url: \"{}\" }}\nphases: [{{ users: 1, hold: 200ms }}]\nsteps: [{step}]\n",
        shop.url()
    );
    let text = text.replace("1ns", "1ms").replace("/items", "/slow");
    let scenario = parsed(&text, &[]);
    let results = measure(scenario.clone(), Share::WHOLE, 1).await;
    let seen = tally(&results);
    assert_eq!(
        (
            seen.ok,
            seen.errors(),
            seen.checks_passed,
            seen.checks_failed
        ),
        (1, 0, 1, 1)
    );
    assert_eq!(
        checks(&scenario, &results),
        [("status 200".to_owned(), true), ("fast".to_owned(), false)]
    );
}

#[tokio::test]
async fn blocks_are_repeated_conditional_and_grouped() {
    let shop = Shop::open().await;
    let rest = r#"
phases: [{ users: 1, hold: 1ms }]
steps:
  - get: /items
    capture: { open: $.open }
  - group: twice
    repeat: 2
    steps:
      - get: /a
      - { get: /b, if: not open }
  - { get: /c, repeat: 3, if: open == true }
  - { get: /d, if: "random(1, 100) > 100" }
"#;
    let results = run(&shop, rest).await;
    assert_eq!(
        shop.log.lines(),
        [
            "GET /items",
            "GET /a",
            "GET /a",
            "GET /c",
            "GET /c",
            "GET /c"
        ]
    );
    assert_eq!(tally(&results).errors(), 0);
    let text = format!("name: t\ntarget: {{ url: \"{}\" }}\n{rest}", shop.url());
    assert_eq!(parsed(&text, &[]).named("twice"), [(0, 1), (0, 2)]);
}

#[tokio::test]
async fn rows_are_split_and_used_up() {
    let rows: String = std::iter::once("id\n".to_owned())
        .chain((0..10).map(|row| format!("{row}\n")))
        .collect();
    let shop = Shop::open().await;
    let text = format!(
        "name: t\ntarget: {{ url: \"{}\" }}\ndata: {{ users: {{ file: u.csv, order: once }} }}\nphases: [{{ users: 4, hold: 1s, burst: true }}]\nsteps: [{{ get: \"/{{{{ users.id }}}}\", think: 1ms }}]\n",
        shop.url()
    );
    let mut used_up = 0;
    for index in 0..2 {
        let results = measure(
            parsed(&text, &[("u.csv", &rows)]),
            Share { index, of: 2 },
            2,
        )
        .await;
        used_up += saturation(&results).without_data;
        assert_eq!(tally(&results).errors(), 0);
    }
    let mut lines = shop.log.lines();
    lines.sort();
    assert_eq!(
        lines,
        (0..10).map(|row| format!("GET /{row}")).collect::<Vec<_>>(),
        "each row once, over all tasks and workers"
    );
    assert_eq!(used_up, 4, "each session found nothing left once");

    let fail = text
        .replace("order: once", "order: sequential, when_used_up: fail")
        .replace("hold: 1s", "hold: 200ms");
    let results = measure(parsed(&fail, &[("u.csv", "id\n1\n")]), Share::WHOLE, 1).await;
    assert_eq!(tally(&results).ok, 1);
    assert!(tally(&results).unsent > 1, "{:?}", tally(&results));
}

#[tokio::test]
async fn the_steps_go_on_with_the_row_that_logged_in() {
    let shop = Shop::open().await;
    let text = format!(
        "name: t\ntarget: {{ url: \"{}\" }}\n\
         data: {{ u: {{ file: u.csv, order: once }}, p: {{ file: p.csv }} }}\n\
         phases: [{{ users: 2, hold: 1s, burst: true }}]\n\
         flows: [{{ name: f, pace: 50ms, setup: [{{ get: \"/in/{{{{ session() }}}}/{{{{ u.id }}}}\" }}],\n  \
         steps: [{{ get: \"/on/{{{{ session() }}}}/{{{{ u.id }}}}\" }}, {{ get: \"/p/{{{{ p.id }}}}\" }}] }}]\n",
        shop.url()
    );
    let files = [("u.csv", "id\na\nb\n"), ("p.csv", "id\n1\n2\n3\n")];
    let results = measure(parsed(&text, &files), Share::WHOLE, 1).await;
    assert_eq!(tally(&results).errors(), 0);
    // Two rows are enough for two sessions, however many iterations they have.
    assert_eq!(saturation(&results).without_data, 0);
    let lines = shop.log.lines();
    let different = |head: &str| {
        let some = lines.iter().filter(|line| line.starts_with(head));
        some.map(|line| line[head.len()..].to_owned())
            .collect::<std::collections::BTreeSet<_>>()
    };
    let (logged_in, went_on) = (different("GET /in/"), different("GET /on/"));
    assert_eq!((logged_in.len(), &went_on), (2, &logged_in));
    assert_eq!(different("GET /p/").len(), 3, "a new row each time");
}

#[tokio::test]
async fn a_seed_repeats_what_sessions_choose() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let shop = Shop::open().await;
        run(&shop, "phases: [{ rate: 200/s, hold: 300ms }]\nflows:\n  - { name: a, weight: 3, steps: [{ get: \"/a/{{ random(1, 1000000) }}\" }] }\n  - { name: b, steps: [{ get: \"/b/{{ uuid() }}\" }] }").await;
        let mut lines = shop.log.lines();
        lines.sort();
        assert_eq!(lines.len(), 60);
        runs.push(lines);
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn an_iteration_is_finished_within_its_grace_or_cut_and_counted() {
    let shop = Shop::open().await;
    let results = run(
        &shop,
        "phases: [{ users: 3, hold: 100ms, grace: 5s, burst: true }]\nsteps: [{ get: /slow }]",
    )
    .await;
    assert_eq!((tally(&results).ok, saturation(&results).cut), (3, 0));
    let shop = Shop::open().await;
    let results = run(
        &shop,
        "phases: [{ users: 3, hold: 100ms, grace: 100ms, burst: true }]\nsteps: [{ get: /hang }]",
    )
    .await;
    assert_eq!(
        (tally(&results).requests(), saturation(&results).cut),
        (0, 3)
    );
    let results = run(
        &shop,
        "phases: [{ rate: 30/s, hold: 100ms, grace: 100ms }]\nsteps: [{ get: /hang }]",
    )
    .await;
    assert_eq!(
        (tally(&results).requests(), saturation(&results).cut),
        (0, 3)
    );
}

#[tokio::test]
async fn a_pace_keeps_iterations_apart() {
    let shop = Shop::open().await;
    run(&shop, "phases: [{ users: 1, hold: 1s, grace: 1s }]\nflows: [{ name: f, pace: 250ms, steps: [{ get: / }] }]")
        .await;
    assert_eq!(shop.log.lines().len(), 4);
}

#[tokio::test]
async fn connections_are_kept_renewed_or_shared_as_the_file_says() {
    let phases =
        "phases: [{ users: 4, hold: 900ms, burst: true }]\nsteps: [{ get: /, think: 100ms }]";
    // Takes the number of connections, and the number of requests of four sessions.
    type Fits = fn(u64, u64) -> bool;
    let rules: [(&str, Fits); 5] = [
        ("reuse: session", |opened, _| opened == 4),
        ("reuse: request", |opened, requests| opened == requests),
        ("max_requests: 3", |opened, requests| {
            (requests.div_ceil(3)..=requests.div_ceil(3) + 4).contains(&opened)
        }),
        ("max_age: 250ms", |opened, requests| {
            opened > 4 && opened < requests
        }),
        // Thinking sessions leave theirs to others.
        ("pool: shared", |opened, _| opened <= 4),
    ];
    for (connection, fits) in rules {
        let shop = Shop::open().await;
        let results = run(&shop, &format!("connection: {{ {connection} }}\n{phases}")).await;
        let opened = shop.log.connections();
        let requests = tally(&results).ok;
        assert!(
            fits(opened as u64, requests),
            "{connection}: {opened} connections for {requests} requests"
        );
        assert_eq!(tally(&results).errors(), 0, "{connection}");
        assert_eq!(
            u64::from(saturation(&results).opened),
            opened as u64,
            "{connection}"
        );
        assert_eq!(
            results.addresses().map(|count| count.requests).sum::<u64>(),
            tally(&results).ok
        );
    }
}

#[tokio::test]
async fn phases_of_both_models_run_one_after_the_other() {
    let shop = Shop::open().await;
    let results = run(&shop, "mixed_models: true\nphases:\n  - { name: a, users: 2, hold: 300ms, grace: 1s }\n  - { name: b, rate: 50/s, hold: 400ms }\nsteps: [{ get: /, think: 20ms }]").await;
    let tally_of = |phase| {
        results
            .merged(Select {
                phase: Some(phase),
                ..Select::default()
            })
            .tally
    };
    assert_eq!(tally_of(1).ok, 20);
    assert!(tally_of(0).ok >= 10, "{:?}", tally_of(0));
}

#[tokio::test]
async fn what_was_asked_is_what_was_sent_also_when_the_level_falls() {
    let shop = Shop::open().await;
    let phases = "phases:\n  - { name: a, users: 30, hold: 2s, burst: true }\n  - { name: b, users: 3, hold: 2s }";
    let results = run(
        &shop,
        &format!("{phases}\nsteps: [{{ get: /, think: 100ms..300ms }}]"),
    )
    .await;
    // The last second ends with the load, and may not be told any more.
    let Saturation { asked, sent, .. } = saturation(&results);
    assert!(asked >= 63 && sent == asked, "{sent} of {asked}");
    let results = run(
        &shop,
        "phases: [{ rate: 300/s, hold: 2s }]\nsteps: [{ get: / }]",
    )
    .await;
    assert_eq!(
        (saturation(&results).asked, saturation(&results).sent),
        (600, 600)
    );
}

/// A certificate authority, and a server's and a client's certificate by it, as PEM and as rustls
/// wants them.
struct Authority {
    ca: String,
    client: (String, String),
    acceptor: TlsAcceptor,
}

fn authority(client_needed: bool) -> Authority {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let issue = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (server, server_key) = issue("localhost");
    let (client, client_key) = issue("client");
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let builder = ServerConfig::builder();
    let builder = match client_needed {
        true => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder(Arc::new(roots))
                .build()
                .unwrap(),
        ),
        false => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
    let mut config = builder
        .with_single_cert(vec![server.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Authority {
        ca: ca.pem(),
        client: (client.pem(), client_key.serialize_pem()),
        acceptor,
    }
}

async fn over_tls(shop: &Shop, authority: &Authority, target: &str, rest: &str) -> Results {
    let text = format!(
        "name: t\ntarget: {{ url: \"https://localhost:{}\", {target} }}\nphases: [{{ users: 2, hold: 600ms, burst: true }}]\nsteps: [{{ get: /items, think: 50ms, check: {{ json: {{ \"$.open\": true }} }} }}]\n{rest}\n",
        shop.address.port()
    );
    let files = [
        ("ca.pem", authority.ca.as_str()),
        ("client.pem", &authority.client.0),
        ("client.key", &authority.client.1),
    ];
    measure(parsed(&text, &files), Share::WHOLE, 1).await
}

#[tokio::test]
async fn no_request_follows_a_redirect_from_tls_to_plain_http() {
    let own = authority(false);
    let (shop, plain) = (
        Shop::with(Some(own.acceptor.clone())).await,
        Shop::open().await,
    );
    let to = format!("http://localhost:{}/items", plain.address.port());
    let text = format!(
        "name: t\ntarget: {{ url: \"https://localhost:{}\", tls: {{ ca: ca.pem }} }}\nphases: [{{ users: 1, hold: 1ms }}]\nsteps: [{{ get: \"/to?{to}\" }}]\n",
        shop.address.port()
    );
    let scenario = parsed(&text, &[("ca.pem", own.ca.as_str())]);
    let results = measure(scenario, Share::WHOLE, 1).await;
    let refused = RefusedRedirect::RedirectToHttp { location: to };
    assert_eq!(
        results.failures(),
        [((0, 0), Failure::Redirect(refused), 1)]
    );
    assert_eq!(shop.log.all().len(), 1);
    assert!(plain.log.all().is_empty());
}

#[tokio::test]
async fn tls_is_spoken_with_private_authorities_client_certificates_and_both_versions_of_http() {
    let own = authority(false);
    let shop = Shop::with(Some(own.acceptor.clone())).await;
    let results = over_tls(&shop, &own, "tls: { ca: ca.pem }", "").await;
    assert!(
        tally(&results).ok > 1 && tally(&results).errors() == 0,
        "{:?}",
        tally(&results)
    );
    assert!(
        shop.log
            .all()
            .iter()
            .all(|seen| seen.version == Version::HTTP_2),
        "what the server prefers"
    );
    assert_eq!(
        (
            saturation(&results).tls_full,
            saturation(&results).tls_resumed
        ),
        (2, 0),
        "new users do full handshakes"
    );
    assert!(results.parts(Select::default()).tls.count() == 2);

    let shop = Shop::with(Some(own.acceptor.clone())).await;
    let results = over_tls(
        &shop,
        &own,
        "http: \"1.1\", tls: { ca: ca.pem, min: \"1.3\" }",
        "connection: { reuse: request }",
    )
    .await;
    assert_eq!(tally(&results).errors(), 0);
    assert!(
        shop.log
            .all()
            .iter()
            .all(|seen| seen.version == Version::HTTP_11)
    );
    let saturation = saturation(&results);
    assert!(
        saturation.tls_full == 2 && saturation.tls_resumed > 0,
        "a session resumes its own: {saturation:?}"
    );

    // No authority has signed the certificate: an error, unless the scenario accepts any.
    let results = over_tls(&shop, &own, "timeout: 5s", "").await;
    assert!(
        tally(&results).tls > 0 && tally(&results).ok == 0,
        "{:?}",
        tally(&results)
    );
    assert_eq!(tls_failure(&results), TlsFailure::UnknownIssuer);
    let results = over_tls(&shop, &own, "tls: { insecure: true }", "").await;
    assert_eq!(tally(&results).errors(), 0);

    let strict = authority(true);
    let shop = Shop::with(Some(strict.acceptor.clone())).await;
    let results = over_tls(&shop, &strict, "http: \"1.1\", tls: { ca: ca.pem }", "").await;
    assert_eq!(tally(&results).ok, 0);
    assert_eq!(tls_failure(&results), TlsFailure::ClientCertificate);
    let results = over_tls(
        &shop,
        &strict,
        "tls: { ca: ca.pem, certificate: client.pem, key: client.key }",
        "",
    )
    .await;
    assert!(
        tally(&results).ok > 1 && tally(&results).errors() == 0,
        "{:?}",
        tally(&results)
    );
}

/// Returns the only reason for which there was no TLS.
fn tls_failure(results: &Results) -> TlsFailure {
    let mut all = results.failures().into_iter();
    match (all.next(), all.next()) {
        (Some((_, Failure::Tls(reason), count)), None) => {
            assert_eq!(count, tally(results).tls);
            reason
        }
        other => panic!("{other:?}"),
    }
}

/// A server with a certificate that it signed itself, for these names.
fn signed_by_itself(name: &str, is_ca: bool, expired: bool) -> Authority {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    if is_ca {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }
    if expired {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    let certificate = params.self_signed(&key).unwrap();
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], der)
        .unwrap();
    Authority {
        ca: certificate.pem(),
        client: (String::new(), String::new()),
        acceptor: TlsAcceptor::from(Arc::new(config)),
    }
}

#[tokio::test]
async fn a_certificate_that_signed_itself_is_told_apart_and_is_its_own_authority() {
    for is_ca in [false, true] {
        let own = signed_by_itself("localhost", is_ca, false);
        let shop = Shop::with(Some(own.acceptor.clone())).await;
        let results = over_tls(&shop, &own, "timeout: 5s", "").await;
        assert_eq!(tls_failure(&results), TlsFailure::SelfSigned, "{is_ca}");
        let results = over_tls(&shop, &own, "tls: { ca: ca.pem }", "").await;
        assert!(
            tally(&results).ok > 1 && tally(&results).errors() == 0,
            "{is_ca}: {:?} {:?}",
            tally(&results),
            results.failures()
        );
        // Its name and its time count all the same.
        let own = signed_by_itself("other.example", is_ca, false);
        let shop = Shop::with(Some(own.acceptor.clone())).await;
        let results = over_tls(&shop, &own, "tls: { ca: ca.pem }", "").await;
        let names = "other.example".to_owned();
        assert_eq!(tls_failure(&results), TlsFailure::WrongName { names });
        let own = signed_by_itself("localhost", is_ca, true);
        let shop = Shop::with(Some(own.acceptor.clone())).await;
        let results = over_tls(&shop, &own, "tls: { ca: ca.pem }", "").await;
        assert_eq!(tls_failure(&results), TlsFailure::CertificateExpired);
    }
    // Another certificate than the trusted one, and no TLS at all.
    let (own, trusted) = (
        signed_by_itself("localhost", true, false),
        signed_by_itself("localhost", true, false),
    );
    let shop = Shop::with(Some(own.acceptor.clone())).await;
    let results = over_tls(&shop, &trusted, "tls: { ca: ca.pem }", "").await;
    assert_eq!(tls_failure(&results), TlsFailure::SelfSigned);
    let shop = Shop::open().await;
    let results = over_tls(&shop, &trusted, "tls: { ca: ca.pem }", "").await;
    assert_eq!(tls_failure(&results), TlsFailure::NotTls);
}

#[tokio::test]
async fn http_2_without_tls_is_spoken_by_prior_knowledge() {
    for pool in ["session", "shared"] {
        let shop = Shop::open().await;
        let text = format!(
            "name: t\ntarget: {{ url: \"{}\", http: \"2\" }}\nconnection: {{ pool: {pool} }}\nphases: [{{ users: 5, hold: 300ms }}]\nsteps: [{{ post: /echo, json: {{ a: 1 }}, think: 20ms, check: {{ json: {{ $.a: 1 }} }} }}]\n",
            shop.url()
        );
        let results = measure(parsed(&text, &[]), Share::WHOLE, 1).await;
        assert!(
            tally(&results).ok > 2 && tally(&results).errors() == 0,
            "{:?}",
            tally(&results)
        );
        assert!(
            shop.log
                .all()
                .iter()
                .all(|seen| seen.version == Version::HTTP_2)
        );
        let most = if pool == "shared" { 4 } else { 5 };
        assert!(
            shop.log.connections() <= most,
            "{pool}: {}",
            shop.log.connections()
        );
    }
}

#[tokio::test]
async fn a_name_is_resolved_and_a_name_that_does_not_exist_is_no_connection() {
    let shop = Shop::open().await;
    let text = |host: &str| {
        format!(
            "name: t\ntarget: {{ url: \"http://{host}:{}\", timeout: 3s }}\nphases: [{{ users: 1, hold: 200ms, grace: 4s }}]\nsteps: [{{ get: /, think: 50ms }}]\n",
            shop.address.port()
        )
    };
    let results = measure(parsed(&text("localhost"), &[]), Share::WHOLE, 1).await;
    assert!(tally(&results).ok > 1, "{:?}", tally(&results));
    let results = measure(parsed(&text("nowhere.invalid"), &[]), Share::WHOLE, 1).await;
    assert!(
        tally(&results).connect > 0 && tally(&results).ok == 0,
        "{:?}",
        tally(&results)
    );
}

/// The whole stall must be in the numbers: in the open model, arrivals wait for its end from their
/// own instants on.
#[tokio::test]
async fn a_stall_of_a_second_is_reported_in_full() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    let begun = tokio::time::Instant::now();
    server.spawn(async move {
        let (from, until) = (
            begun + Duration::from_secs(1),
            begun + Duration::from_secs(2),
        );
        let mut open = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.spawn(async move {
                let service = service_fn(move |_: Request<hyper::body::Incoming>| async move {
                    let now = tokio::time::Instant::now();
                    if now >= from && now < until {
                        tokio::time::sleep_until(until).await;
                    }
                    Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(
                        &b"ok"[..],
                    )))
                });
                drop(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await,
                );
            });
        }
    });
    let text = format!(
        "name: t\ntarget: {{ url: \"http://{address}\" }}\nphases: [{{ rate: 500/s, hold: 3s }}]\nsteps: [{{ get: / }}]\n"
    );
    let results = measure(parsed(&text, &[]), Share::WHOLE, 1).await;
    let merged = results.merged(Select::default());
    assert_eq!(merged.tally.ok, 1_500);
    // A busy machine can only add to a wait.
    let within = |seen: Option<Duration>, wanted: f64| {
        let seen = seen.unwrap().as_secs_f64();
        assert!(
            (wanted * 0.95..wanted * 1.5).contains(&seen),
            "{seen} is not {wanted}"
        );
    };
    // 500 of the 1500 arrivals fell into the stall, evenly. The slowest waited all of it. The
    // 99.9th percentile of all is the 99.7th of those, and the 80th is in the middle of the stall's
    // upper part.
    within(merged.latency.max(), 1.0);
    within(merged.latency.percentile(99.9), 0.997);
    within(merged.latency.percentile(80.0), 0.4);
}

#[test]
fn endings_have_one_class_each() {
    let mut tally = Tally::default();
    for ending in [
        Ending::Ok,
        Ending::Check,
        Ending::Status5xx,
        Ending::Status4xx,
        Ending::Connect,
        Ending::Tls,
        Ending::Broken(Broken::NotHttp),
        Ending::Lost,
        Ending::Timeout,
    ] {
        tally.add(ending);
    }
    assert_eq!(
        (tally.requests(), tally.errors(), tally.classes().len()),
        (9, 8, 8)
    );
}
