//! Odd servers, each written down byte by byte: what is counted, and what reaches them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::coming::Taken;
use super::connection::{Connection, Endpoint};
use super::scenario_tests::{measure, parsed, tally};
use super::wire::Keep;
use model::measure::{Broken, Ending, Failure, RefusedRedirect, Results, Select, Tally};
use model::plan::Share;
use model::redact::{self, Secrets};

/// A request as a server saw it.
#[derive(Debug, Clone)]
struct Seen {
    /// Number of its connection, from 1, and its own number on that connection.
    connection: usize,
    number: usize,
    head: String,
}

impl Seen {
    fn line(&self) -> String {
        let line = self.head.lines().next().unwrap();
        let line = line.trim_end_matches(" HTTP/1.1");
        format!("{} {line}", self.connection)
    }
}

/// The reaction of a server to a request.
enum Act {
    /// It reads the body, sends this, and waits for the next request.
    Send(String),
    /// It sends this and closes the connection.
    SendAndClose(String),
    /// It sends this without a look at the body, and closes the connection.
    SendEarly(String),
    /// It sends this without a look at the body, and keeps the connection open.
    SendEarlyAndHold(String),
    Close,
}

struct Odd {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl Odd {
    async fn open(act: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, act) = (Arc::new(Mutex::new(Vec::new())), Arc::new(act));
        let log = Arc::clone(&seen);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            for connection in 1.. {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let (log, act) = (Arc::clone(&log), Arc::clone(&act));
                open.spawn(async move {
                    drop(serve(stream, connection, &log, act.as_ref()).await);
                });
            }
        });
        Self {
            address,
            seen,
            _tasks: tasks,
        }
    }

    fn lines(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(Seen::line).collect()
    }

    fn heads(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|seen| seen.head.clone()).collect()
    }

    /// Runs one iteration of these steps.
    async fn run(&self, steps: &str) -> Results {
        run(&format!("http://{}", self.address), steps).await
    }
}

async fn run(url: &str, steps: &str) -> Results {
    let text = format!(
        "name: t\ntarget: {{ url: \"{url}\" }}\nphases: [{{ users: 1, hold: 1ms, grace: 5s }}]\nsteps: [{steps}]\n"
    );
    let big = "b".repeat(8 * 1024 * 1024);
    measure(parsed(&text, &[("big.bin", &big)]), Share::WHOLE, 1).await
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    log: &Mutex<Vec<Seen>>,
    act: &(dyn Fn(&Seen) -> Act + Send + Sync),
) -> std::io::Result<()> {
    for number in 1.. {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let seen = Seen {
            connection,
            number,
            head,
        };
        log.lock().unwrap().push(seen.clone());
        let did = act(&seen);
        if matches!(did, Act::Send(_) | Act::SendAndClose(_) | Act::Close) {
            let length = seen.head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                (name == "content-length").then(|| value.parse().unwrap())
            });
            let mut body = vec![0; length.unwrap_or(0)];
            stream.read_exact(&mut body).await?;
        }
        match did {
            Act::Send(text) => stream.write_all(text.as_bytes()).await?,
            Act::SendAndClose(text) | Act::SendEarly(text) => {
                return stream.write_all(text.as_bytes()).await;
            }
            Act::SendEarlyAndHold(text) => {
                stream.write_all(text.as_bytes()).await?;
                std::future::pending::<()>().await;
            }
            Act::Close => return Ok(()),
        }
    }
    Ok(())
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn ok() -> String {
    answer("200 OK", "", "ok")
}

fn failures(results: &Results) -> Vec<(Failure, u64)> {
    let all = results.failures().into_iter();
    all.map(|(_, failure, count)| (failure, count)).collect()
}

fn statuses(results: &Results) -> Vec<(u16, u64, u64)> {
    let all = results.statuses(Select::default()).into_iter();
    all.map(|(status, (answers, failed))| (status, answers, failed))
        .collect()
}

#[tokio::test]
async fn a_request_on_a_kept_connection_that_ends_is_sent_again_once_on_a_new_one() {
    let closes_at_the_second = |seen: &Seen| match seen.number {
        1 => Act::Send(ok()),
        _ => Act::Close,
    };
    for method in ["get", "head", "put", "delete", "options"] {
        let odd = Odd::open(move |seen| match method {
            "head" if seen.number == 1 => Act::Send(answer("200 OK", "", "")),
            _ => closes_at_the_second(seen),
        })
        .await;
        let results = odd
            .run(&format!("{{ {method}: /a }}, {{ {method}: /b }}"))
            .await;
        let (tally, word) = (tally(&results), method.to_uppercase());
        assert_eq!((tally.ok, tally.errors(), tally.reconnects), (2, 0, 1));
        let lines = [(1, "/a"), (1, "/b"), (2, "/b")];
        let lines = lines.map(|(connection, path)| format!("{connection} {word} {path}"));
        assert_eq!(odd.lines(), lines);
        let second = results.merged(Select {
            step: Some(1),
            ..Select::default()
        });
        assert_eq!(second.tally.reconnects, 1);
    }
    for method in ["post", "patch"] {
        let odd = Odd::open(closes_at_the_second).await;
        let results = odd
            .run(&format!("{{ {method}: /a }}, {{ {method}: /b }}"))
            .await;
        let lost = Tally {
            ok: 1,
            lost: 1,
            bytes: 2,
            ..Tally::default()
        };
        assert_eq!(tally(&results), lost);
        assert_eq!(odd.lines().len(), 2, "never sent again");
    }
}

#[tokio::test]
async fn the_latency_of_a_request_that_was_sent_again_counts_from_its_first_intent() {
    let odd = Odd::open(|seen| match (seen.connection, seen.number) {
        (_, 1) => Act::Send(ok()),
        _ => {
            std::thread::sleep(Duration::from_millis(150));
            Act::Close
        }
    })
    .await;
    let results = odd.run("{ get: /a }, { get: /b }").await;
    let second = results.merged(Select {
        step: Some(1),
        ..Select::default()
    });
    assert_eq!(second.tally.reconnects, 1);
    assert!(second.latency.max().unwrap() >= Duration::from_millis(150));
}

#[tokio::test]
async fn nothing_else_is_sent_again() {
    // A new connection, a second attempt, and an answer that had begun.
    type Case = (fn(&Seen) -> Act, Broken, u64, usize);
    let cases: [Case; 3] = [
        (|_| Act::Close, Broken::ClosedBeforeAnswer, 0, 1),
        (
            |seen| match (seen.connection, seen.number) {
                (1, 1) => Act::Send(ok()),
                _ => Act::Close,
            },
            Broken::ClosedBeforeAnswer,
            1,
            3,
        ),
        (
            |seen| match seen.number {
                1 => Act::Send(ok()),
                _ => Act::SendAndClose("HTTP/1.1 2".to_owned()),
            },
            Broken::ClosedInHead,
            0,
            2,
        ),
    ];
    for (act, reason, reconnects, requests) in cases {
        let odd = Odd::open(act).await;
        let steps = if requests == 1 {
            "{ get: /a }"
        } else {
            "{ get: /a }, { get: /b }"
        };
        let results = odd.run(steps).await;
        let tally = tally(&results);
        assert_eq!((tally.broken, tally.reconnects), (1, reconnects));
        assert_eq!(failures(&results), [(Failure::Broken(reason), 1)]);
        assert_eq!(odd.lines().len(), requests);
    }
}

#[tokio::test]
async fn every_broken_connection_has_its_reason() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "v".repeat(300 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(5_001));
    for (text, reason) in [
        ("SSH-2.0-OpenSSH_9.6\r\n", Broken::NotHttp),
        ("HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n", Broken::UnreadableHead),
        (&long, Broken::HeadTooLong),
        (&many, Broken::TooManyHeaders),
        (
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            Broken::ProtocolChanged,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: ten\r\n\r\n",
            Broken::UnreadableLength,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz",
            Broken::UnreadableChunks,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
            Broken::ClosedBeforeLength,
        ),
        ("HTTP/1.1 200 OK\r\nserver: x\r\n", Broken::ClosedInHead),
        ("", Broken::ClosedBeforeAnswer),
    ] {
        let sent = text.to_owned();
        let odd = Odd::open(move |_| Act::SendAndClose(sent.clone())).await;
        let results = odd.run("{ get: /a }").await;
        let broken = Tally {
            broken: 1,
            broken_unanswered: u64::from(reason == Broken::ClosedBeforeAnswer),
            ..Tally::default()
        };
        assert_eq!(tally(&results), broken, "{reason:?}");
        assert_eq!(failures(&results), [(Failure::Broken(reason), 1)]);
        assert_eq!(results.anything_came(), !text.is_empty(), "{reason:?}");
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_is_what_counts() {
    for (status, headers, hold) in [
        ("413 Payload Too Large", "connection: close\r\n", false),
        ("413 Payload Too Large", "", false),
        ("401 Unauthorized", "", true),
        ("401 Unauthorized", "connection: close\r\n", true),
    ] {
        let odd = Odd::open(move |_| {
            let text = answer(status, headers, "no");
            if hold {
                Act::SendEarlyAndHold(text)
            } else {
                Act::SendEarly(text)
            }
        })
        .await;
        let code: u16 = status[..3].parse().unwrap();
        let step = "{ post: /up, file: big.bin }, { put: /up, file: big.bin }";
        let results = odd.run(step).await;
        assert_eq!(statuses(&results), [(code, 2, 2)], "{status}");
        assert_eq!(
            (tally(&results).status_4xx, tally(&results).errors()),
            (2, 2)
        );
        assert_eq!(odd.lines(), ["1 POST /up", "2 PUT /up"]);
    }
}

#[tokio::test]
async fn an_unknown_coding_is_a_body_that_no_check_reads_and_not_a_broken_connection() {
    let body = "{\"id\": 1}";
    for (coding, right) in [("UTF-8", true), ("none", true), ("compress", false)] {
        let odd = Odd::open(move |_| {
            Act::Send(answer(
                "200 OK",
                &format!("content-encoding: {coding}\r\n"),
                body,
            ))
        })
        .await;
        let steps = "{ get: /a, check: { status: 200, contains: id } }, { get: /b }, { get: /c, capture: { id: $.id } }";
        let results = odd.run(steps).await;
        let tally = tally(&results);
        let unknown = || Failure::UnknownCoding {
            coding: coding.to_owned(),
        };
        if right {
            assert_eq!((tally.ok, tally.errors()), (3, 0), "{coding}");
            assert_eq!(failures(&results), []);
        } else {
            assert_eq!((tally.ok, tally.check, tally.broken), (1, 2, 0));
            assert_eq!(failures(&results), [(unknown(), 1), (unknown(), 1)]);
            assert_eq!(statuses(&results), [(200, 3, 2)]);
            let failed = results
                .checks()
                .into_iter()
                .filter(|(_, (_, failed))| *failed > 0);
            let failed: Vec<_> = failed.map(|(check, _)| check).collect();
            assert_eq!(
                failed,
                [(0, 0, 1), (0, 2, 0)],
                "the check and the capture, by name"
            );
        }
        assert_eq!(odd.seen.lock().unwrap().last().unwrap().connection, 1);
    }
}

#[tokio::test]
async fn statuses_are_counted_by_number_per_step_also_where_a_check_refused_them() {
    let odd = Odd::open(|seen| {
        let path = seen.head.split(' ').nth(1).unwrap();
        Act::Send(answer(&format!("{} Odd", &path[1..4]), "", ""))
    })
    .await;
    let results = odd
        .run("{ get: /200 }, { get: /204, check: { status: 200 } }, { get: /418 }, { get: /599 }, { get: /200 }")
        .await;
    assert_eq!(
        statuses(&results),
        [(200, 2, 0), (204, 1, 1), (418, 1, 1), (599, 1, 1)]
    );
    let second = Select {
        step: Some(1),
        ..Select::default()
    };
    let of_second: Vec<_> = results.statuses(second).into_iter().collect();
    assert_eq!(of_second, [(204, (1, 1))]);
}

#[tokio::test]
async fn odd_heads_are_taken() {
    let many: String = (0..130)
        .map(|number| format!("x-{number}: v\r\n"))
        .collect();
    let large: String = (0..16)
        .map(|number| format!("x-{number}: {}\r\n", "v".repeat(4 * 1024)))
        .collect();
    for headers in [
        "Access-Control-Allow-Credentials : true\r\n",
        "X-Note: first,\r\n second\r\n",
        "PHP Warning: Startup: no library\r\n",
        &many,
        &large,
    ] {
        let text = answer("200 OK", headers, "ok");
        let odd = Odd::open(move |_| Act::Send(text.clone())).await;
        let results = odd.run("{ get: /a, check: { contains: ok } }").await;
        assert_eq!((tally(&results).ok, tally(&results).errors()), (1, 0));
    }
    let text = answer("200 OK", "X-Note: first,\r\n second\r\n", "");
    let odd = Odd::open(move |_| Act::Send(text.clone())).await;
    let step = "{ get: /a, check: { header: { x-note: \"first, second\" } } }";
    assert_eq!(tally(&odd.run(step).await).ok, 1);
}

/// Opens a server that redirects `/from` to another one, and that other server.
async fn redirecting(status: &'static str) -> (Odd, Odd) {
    let other = Odd::open(|_| Act::Send(answer("200 OK", "set-cookie: o=2\r\n", ""))).await;
    let to = other.address;
    let first = Odd::open(move |seen| {
        let headers = if seen.head.contains(" /from") {
            format!("location: http://{to}/to\r\nset-cookie: s=1\r\n")
        } else {
            "x-token: t0ken\r\n".to_owned()
        };
        let status = if seen.head.contains(" /from") {
            status
        } else {
            "200 OK"
        };
        Act::Send(answer(status, &headers, ""))
    })
    .await;
    (first, other)
}

#[tokio::test]
async fn no_secret_and_no_value_follows_a_redirect_to_another_port() {
    let mut secrets = Secrets::default();
    secrets.insert("WIRED", "c4nary-on-the-wire");
    redact::keep(&secrets);
    let (first, other) = redirecting("302 Found").await;
    let step = "{ get: /login, capture: { token: { header: x-token } } }, { get: /from, headers: { authorization: Basic x, x-key: c4nary-on-the-wire, x-auth: \"{{ token }}\", user-agent: \"{{ token }}\", accept-language: de } }, { get: /from }, { get: /home }";
    let results = first.run(step).await;
    assert_eq!((tally(&results).ok, tally(&results).redirects), (4, 2));
    let heads = other.heads();
    assert_eq!(heads.len(), 2);
    for head in &heads {
        for part in ["authorization", "x-key", "c4nary", "s=1", "t0ken"] {
            assert!(!head.contains(part), "{part}: {head}");
        }
    }
    assert!(heads[0].contains("accept-language: de"), "{}", heads[0]);
    assert!(!heads[0].contains("cookie") && heads[1].contains("cookie: o=2\r\n"));
    let home = first.heads().pop().unwrap();
    assert!(
        home.contains("cookie: s=1\r\n") && !home.contains("o=2"),
        "{home}"
    );
    // A body would have to go along.
    let (first, other) = redirecting("307 Temporary Redirect").await;
    let location = format!("http://{}/to", other.address);
    let has_secret = RefusedRedirect::RedirectWithSecret {
        location: location.clone(),
    };
    let has_values = RefusedRedirect::RedirectWithBody { location };
    for (body, reason) in [
        ("json: { k: plain }", None),
        ("json: { k: c4nary-on-the-wire }", Some(has_secret)),
        ("json: { k: \"{{ token }}\" }", Some(has_values)),
    ] {
        let login = "{ get: /login, capture: { token: { header: x-token } } }";
        let results = first
            .run(&format!("{login}, {{ post: /from, {body} }}"))
            .await;
        let failed = u64::from(reason.is_some());
        let reasons: Vec<_> = reason
            .into_iter()
            .map(|reason| (Failure::Redirect(reason), 1))
            .collect();
        assert_eq!(failures(&results), reasons, "{body}");
        assert_eq!(
            (tally(&results).check, tally(&results).ok),
            (failed, 2 - failed)
        );
    }
    assert_eq!(other.lines(), ["1 POST /to"]);
}

#[tokio::test]
async fn a_redirect_to_another_endpoint_leaves_the_connections_of_all_sessions_open() {
    let (first, other) = redirecting("302 Found").await;
    let text = format!(
        "name: t\ntarget: {{ url: \"http://{}\" }}\nconnection: {{ pool: shared }}\nphases: [{{ users: 1, hold: 1ms, grace: 5s }}]\nsteps: [{{ get: /from }}, {{ get: /from }}]\n",
        first.address
    );
    let results = measure(parsed(&text, &[]), Share::WHOLE, 1).await;
    assert_eq!((tally(&results).ok, tally(&results).redirects), (2, 2));
    assert_eq!(first.lines(), ["1 GET /from", "1 GET /from"]);
    assert_eq!(other.lines(), ["1 GET /to", "1 GET /to"]);
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_has_its_reason_with_its_location() {
    let elsewhere = |location: &str| RefusedRedirect::RedirectElsewhere {
        location: location.to_owned(),
    };
    for (headers, check, reason) in [
        ("", "", Some(RefusedRedirect::RedirectWithoutLocation)),
        ("", ", check: { status: 302 }", None),
        (
            "location: http://other.example/x?session=1\r\n",
            "",
            Some(elsewhere("http://other.example/x")),
        ),
        (
            "location: intent://open\r\n",
            "",
            Some(RefusedRedirect::RedirectNotUnderstood {
                location: "intent://open".to_owned(),
            }),
        ),
    ] {
        let odd = Odd::open(move |_| Act::Send(answer("302 Found", headers, ""))).await;
        let results = odd.run(&format!("{{ get: /a{check} }}")).await;
        let reasons: Vec<_> = reason
            .into_iter()
            .map(|reason| (Failure::Redirect(reason), 1))
            .collect();
        let failed = reasons.len() as u64;
        assert_eq!(failures(&results), reasons);
        assert_eq!(tally(&results).check, failed);
        assert_eq!(statuses(&results), [(302, 1, failed)]);
    }
}

/// One frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// Opens a server of HTTP/2 that answers each request with the frames of a function, which gets the
/// connection and the number of the request on it. Returns its address and the number of requests.
async fn two(
    frames: impl Fn(usize, usize, u32) -> Vec<u8> + Send + Sync + 'static,
) -> (SocketAddr, Arc<Mutex<usize>>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (count, frames) = (Arc::new(Mutex::new(0)), Arc::new(frames));
    let (counted, mut tasks) = (Arc::clone(&count), JoinSet::new());
    tasks.spawn(async move {
        let mut open = JoinSet::new();
        for connection in 1.. {
            let Ok((mut stream, _)) = listener.accept().await else {
                return;
            };
            let (counted, frames) = (Arc::clone(&counted), Arc::clone(&frames));
            open.spawn(async move {
                let mut preface = [0; 24];
                stream.read_exact(&mut preface).await?;
                stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
                let mut number = 0;
                loop {
                    let mut head = [0; 9];
                    stream.read_exact(&mut head).await?;
                    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                    let mut payload = vec![0; length as usize];
                    stream.read_exact(&mut payload).await?;
                    if head[3] == SETTINGS && head[4] == 0 {
                        stream.write_all(&frame(SETTINGS, 1, 0, &[])).await?;
                    }
                    if head[3] == HEADERS {
                        number += 1;
                        *counted.lock().unwrap() += 1;
                        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                        let answer = frames(connection, number, id);
                        if answer.is_empty() {
                            return std::io::Result::Ok(());
                        }
                        stream.write_all(&answer).await?;
                    }
                }
            });
        }
    });
    (address, count, tasks)
}

/// `:status: 200`, and the end of the stream.
fn ok_two(id: u32) -> Vec<u8> {
    frame(HEADERS, 5, id, &[0x88])
}

async fn run_two(address: SocketAddr, steps: &str) -> Results {
    let text = format!(
        "name: t\ntarget: {{ url: \"http://{address}\", http: \"2\" }}\nphases: [{{ users: 1, hold: 1ms, grace: 5s }}]\nsteps: [{steps}]\n"
    );
    measure(parsed(&text, &[]), Share::WHOLE, 1).await
}

#[tokio::test]
async fn what_http_2_says_it_did_not_begin_is_sent_again_whatever_the_method() {
    // REFUSED_STREAM on the first connection, or a GOAWAY with the last stream before this one.
    for goes_away in [false, true] {
        for steps in ["{ get: /a }, { post: /b }", "{ post: /a }, { get: /b }"] {
            let (address, count, _tasks) =
                two(
                    move |connection, number, id| match (connection, number, goes_away) {
                        (1, 2, false) => frame(RST_STREAM, 0, id, &7_u32.to_be_bytes()),
                        (1, 2, true) => {
                            let mut last = (id - 2).to_be_bytes().to_vec();
                            last.extend([0; 4]);
                            frame(GOAWAY, 0, 0, &last)
                        }
                        _ => ok_two(id),
                    },
                )
                .await;
            let results = run_two(address, steps).await;
            let tally = tally(&results);
            assert_eq!(
                (tally.ok, tally.errors(), tally.reconnects),
                (2, 0, 1),
                "{goes_away} {steps}: {:?}",
                failures(&results)
            );
            assert_eq!(*count.lock().unwrap(), 3);
        }
    }
}

#[tokio::test]
async fn a_head_over_http_2_that_is_too_long_breaks_the_rules() {
    const CONTINUATION: u8 = 9;
    // Each header counts 133 bytes: its name, its value and 32.
    let header = [&[0, 1, b'a', 100][..], &[b'x'; 100]].concat();
    for (headers, reasons) in [
        (1_900, vec![]),
        (2_100, vec![(Failure::Broken(Broken::ProtocolError), 1)]),
    ] {
        let block = [vec![0x88], header.repeat(headers)].concat();
        let head = move |id| {
            let mut parts = block.chunks(16_000);
            let mut frames = frame(HEADERS, 1, id, parts.next().unwrap());
            frames.extend(parts.flat_map(|part| frame(CONTINUATION, 0, id, part)));
            frames.extend(frame(CONTINUATION, 4, id, &[]));
            frames
        };
        let (address, _, _tasks) = two(move |_, _, id| head(id)).await;
        let results = run_two(address, "{ get: /a }").await;
        assert_eq!(failures(&results), reasons, "{headers}");
        assert_eq!(tally(&results).ok, u64::from(reasons.is_empty()));
    }
}

/// A server of HTTP/2 that permits one stream at once. It answers the first request, and goes away
/// when it is told to, with an answer to the second.
async fn one_stream_at_once(
    listener: TcpListener,
    went: Arc<Notify>,
    goes: Arc<Notify>,
) -> std::io::Result<usize> {
    let mut stream = permitting_one_stream(&listener).await?;
    let mut requests = 0;
    while let Some(id) = next_request(&mut stream).await? {
        requests += 1;
        if requests == 2 {
            went.notify_one();
            goes.notified().await;
            let last = [&id.to_be_bytes()[..], &[0; 4]].concat();
            stream.write_all(&frame(GOAWAY, 0, 0, &last)).await?;
        }
        stream.write_all(&ok_two(id)).await?;
    }
    Ok(requests)
}

/// SETTINGS with `SETTINGS_MAX_CONCURRENT_STREAMS`.
fn permits(streams: u8) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, streams])
}

async fn permitting_one_stream(listener: &TcpListener) -> std::io::Result<TcpStream> {
    let (mut stream, _) = listener.accept().await?;
    stream.read_exact(&mut [0; 24]).await?;
    stream.write_all(&permits(1)).await?;
    Ok(stream)
}

/// Returns the stream of the next request over HTTP/2; `None` at the end of the connection.
async fn next_request(stream: &mut TcpStream) -> std::io::Result<Option<u32>> {
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return Ok(None);
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).await?;
        if head[3] == HEADERS {
            let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            return Ok(Some(id));
        }
    }
}

/// Opens a connection of HTTP/2 that two sessions share.
async fn shared_by_two(address: SocketAddr) -> (Connection, Connection) {
    let origin = Endpoint {
        https: false,
        port: address.port(),
    };
    let stream = TcpStream::connect(address).await.unwrap();
    let open = Rc::default();
    let over = Connection::over(stream, address, origin, None, true, &open);
    let (first, _) = over.await.ok().unwrap();
    let second = first.shared().unwrap();
    (first, second)
}

fn post_two(address: SocketAddr) -> hyper::Request<Full<Bytes>> {
    let body = Full::new(Bytes::from_static(b"{}"));
    let request = hyper::Request::post(format!("http://{address}/"));
    request.body(body).unwrap()
}

#[tokio::test]
async fn a_request_that_waits_for_a_stream_goes_out_when_the_server_permits_another_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut stream = permitting_one_stream(&listener).await?;
        let mut unanswered = Vec::new();
        let mut requests = 0;
        while let Some(id) = next_request(&mut stream).await? {
            requests += 1;
            unanswered.push(id);
            match requests {
                // The second one is not answered before the third has come.
                2 => stream.write_all(&permits(2)).await?,
                _ => {
                    for id in unanswered.drain(..) {
                        stream.write_all(&ok_two(id)).await?;
                    }
                }
            }
        }
        std::io::Result::Ok(requests)
    });
    let client = async {
        let (mut first, mut second) = shared_by_two(address).await;
        let keep = Keep::default();
        // The server has said by then how many streams it permits.
        let mut begins = None;
        let answer = first.exchange_two(post_two(address), keep, &mut begins);
        answer.await.unwrap();
        let (mut long, mut waits) = (None, None);
        let (long, waits) = tokio::join!(
            first.exchange_two(post_two(address), keep, &mut long),
            second.exchange_two(post_two(address), keep, &mut waits),
        );
        assert_eq!((long.unwrap().status, waits.unwrap().status), (200, 200));
    };
    let local = tokio::task::LocalSet::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), local.run_until(client)).await;
    assert!(ended.is_ok(), "the third request never came");
    drop(local);
    let requests = server.join_next().await.unwrap().unwrap();
    assert_eq!(requests.unwrap(), 3);
}

#[tokio::test]
async fn a_request_that_comes_after_the_end_of_a_connection_waits_for_nobody() {
    async fn begin<F: Future>(mut request: Pin<&mut F>) {
        let begun = poll_fn(|cx| Poll::Ready(request.as_mut().poll(cx).is_pending()));
        assert!(begun.await);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut stream = permitting_one_stream(&listener).await?;
        let id = next_request(&mut stream).await?.unwrap();
        stream.write_all(&ok_two(id)).await?;
        next_request(&mut stream).await
    });
    let client = async {
        let (mut first, mut second) = shared_by_two(address).await;
        let (mut third, mut other) = (first.shared().unwrap(), first.shared().unwrap());
        let keep = Keep::default();
        let mut begins = None;
        let answer = first.exchange_two(post_two(address), keep, &mut begins);
        answer.await.unwrap();
        let mut none = [None; 3];
        let [one, two, three] = &mut none;
        // It has the one stream until the end of the test.
        let mut under_way = Box::pin(first.exchange_two(post_two(address), keep, one));
        begin(under_way.as_mut()).await;
        let mut waits = Box::pin(second.exchange_two(post_two(address), keep, two));
        begin(waits.as_mut()).await;
        let buffer = Rc::new(RefCell::new(vec![0; 1].into_boxed_slice()));
        while other.alive(&buffer).await {
            tokio::task::yield_now().await;
        }
        // The end has woken the one that waits, which is given up before it runs.
        let mut comes = Box::pin(third.exchange_two(post_two(address), keep, three));
        let begun = poll_fn(|cx| Poll::Ready(comes.as_mut().poll(cx)));
        let begun = begun.await;
        drop(waits);
        let cut = match begun {
            Poll::Ready(answer) => answer.unwrap_err(),
            Poll::Pending => comes.await.unwrap_err(),
        };
        assert_eq!(
            (cut.ending, cut.taken),
            (Ending::Broken(Broken::GoneAway), Taken::No)
        );
    };
    let local = tokio::task::LocalSet::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), local.run_until(client)).await;
    assert!(ended.is_ok(), "the third request waits for ever");
}

#[tokio::test]
async fn a_request_that_waits_for_a_stream_of_a_connection_that_goes_away_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (went, goes) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut server = JoinSet::new();
    server.spawn(one_stream_at_once(
        listener,
        Arc::clone(&went),
        Arc::clone(&goes),
    ));
    let client = async {
        let (mut first, mut second) = shared_by_two(address).await;
        let post = || post_two(address);
        let keep = Keep::default();
        // The server has said by then how many streams it permits.
        first.exchange_two(post(), keep, &mut None).await.unwrap();
        let (mut begun, mut never) = (None, None);
        let (under_way, waits, ()) = tokio::join!(
            first.exchange_two(post(), keep, &mut begun),
            second.exchange_two(post(), keep, &mut never),
            async {
                went.notified().await;
                goes.notify_one();
            }
        );
        assert_eq!(under_way.unwrap().status, 200);
        let cut = waits.unwrap_err();
        assert_eq!(
            (cut.ending, cut.taken),
            (Ending::Broken(Broken::GoneAway), Taken::No)
        );
    };
    tokio::task::LocalSet::new().run_until(client).await;
    let requests = server.join_next().await.unwrap().unwrap();
    assert_eq!(requests.unwrap(), 2);
}

#[tokio::test]
async fn http_2_has_its_reasons_too() {
    let reset = |code: u32| {
        move |_: usize, _: usize, id: u32| frame(RST_STREAM, 0, id, &code.to_be_bytes())
    };
    let (address, count, _tasks) = two(reset(7)).await;
    let results = run_two(address, "{ get: /a }").await;
    assert_eq!(
        failures(&results),
        [(Failure::Broken(Broken::StreamRefused), 1)]
    );
    assert_eq!((tally(&results).reconnects, *count.lock().unwrap()), (1, 2));

    let (address, count, _tasks) = two(reset(2)).await;
    let results = run_two(address, "{ get: /a }").await;
    assert_eq!(
        failures(&results),
        [(Failure::Broken(Broken::StreamReset), 1)]
    );
    assert_eq!((tally(&results).reconnects, *count.lock().unwrap()), (0, 1));

    // A kept connection that ends without a word, as over HTTP/1.1.
    let closes = |connection: usize, number: usize, id: u32| match (connection, number) {
        (1, 2) => Vec::new(),
        _ => ok_two(id),
    };
    let (address, _, _tasks) = two(closes).await;
    let results = run_two(address, "{ get: /a }, { get: /b }").await;
    assert_eq!((tally(&results).ok, tally(&results).reconnects), (2, 1));
    let (address, _, _tasks) = two(closes).await;
    let results = run_two(address, "{ post: /a }, { post: /b }").await;
    assert_eq!((tally(&results).ok, tally(&results).lost), (1, 1));

    let odd = Odd::open(|_| Act::Send(ok())).await;
    let results = run_two(odd.address, "{ get: /a }").await;
    assert_eq!(
        failures(&results),
        [(Failure::Broken(Broken::ProtocolError), 1)]
    );
}
