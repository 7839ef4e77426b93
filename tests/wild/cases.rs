//! The cases, with the figures that are right, written by hand.

use spikeproof::measure::{Broken, Failure, RefusedRedirect, Tally, TlsFailure};

use super::rare::{odd_redirects, rare_answers, rare_http2, resets};
use super::step::{
    Case, Expected, Step, again, answered, astray, broken, broken_again, case, lost, ok, step,
    unusable,
};

/// Every case that is played, in the order of the page.
pub(crate) fn cases() -> Vec<Case> {
    let mut all = vec![case("odd-answers", odd_answers())];
    all.extend(heads_and_values());
    all.push(case("rare-answers", rare_answers()));
    all.extend(broken_ones());
    all.push(case("resets", resets()));
    all.push(case("odd-redirects", odd_redirects()));
    all.extend(sent_again());
    all.extend(http2());
    all.extend(rare_http2());
    all.extend(scenarios());
    all.extend(values());
    all
}

fn odd_answers() -> Vec<Step> {
    let denied = Tally {
        status_5xx: 1,
        ..Tally::default()
    };
    let no_content = Tally {
        ok: 1,
        ..Tally::default()
    };
    vec![
        ok(
            "GET /line-feeds",
            "lines that end without a carriage return",
            1,
        ),
        ok(
            "GET /empty-line-first",
            "an empty line before the status",
            1,
        ),
        ok("GET /no-phrase", "a status without a phrase", 1),
        ok("GET /no-name", "a header without a name", 1),
        ok(
            "GET /odd-names",
            "blanks and brackets in names of headers",
            1,
        ),
        ok(
            "GET /odd-values",
            "control characters and bytes of no encoding in headers",
            1,
        ),
        ok("GET /two-lengths", "the same `Content-Length` twice", 1),
        ok(
            "GET /length-and-chunks",
            "chunks, and a wrong `Content-Length`",
            1,
        ),
        ok(
            "GET /odd-chunks",
            "zeros, blanks and extensions in the lengths of chunks",
            1,
        ),
        ok("GET /trailer", "a header after the body", 1),
        ok("GET /hints", "statuses 103 and 102 before the answer", 1),
        step(
            "GET /no-content",
            "204 with a `Content-Length` of 5",
            no_content,
            Some(204),
        ),
        step("GET /status-999", "status 999", denied, Some(999)),
        ok("GET /right", "", 1),
    ]
}

fn heads_and_values() -> Vec<Case> {
    let compress = Failure::UnknownCoding {
        coding: "compress".to_owned(),
    };
    let gzip = Failure::NotUnpacked {
        coding: "gzip".to_owned(),
    };
    vec![
        case(
            "space-before-colon",
            vec![ok("GET /a", "a blank before the colon of a header", 1)],
        ),
        case(
            "folded-header",
            vec![ok(
                "GET /a",
                "a header that goes on in the next line; a check reads it as one",
                1,
            )],
        ),
        case("many-headers", vec![ok("GET /a", "130 headers", 1)]),
        case(
            "stray-header-line",
            vec![ok("GET /a", "a line in the head that is no header", 1)],
        ),
        case(
            "byte-order-mark",
            vec![
                ok(
                    "GET /a",
                    "JSON behind a byte order mark; a capture reads it",
                    1,
                ),
                ok("GET /b/{{ id }}", "", 1),
            ],
        ),
        case(
            "content-coding",
            vec![
                ok("GET /UTF-8", "`Content-Encoding: UTF-8`, a plain body", 1),
                ok("GET /none", "`Content-Encoding: none`, a plain body", 1),
                ok("GET /after/{{ id }}", "", 1),
                unusable(
                    "GET /compress",
                    "`Content-Encoding: compress`, and a check reads the body",
                    200,
                    compress,
                ),
                unusable(
                    "GET /gzip",
                    "`Content-Encoding: gzip`, a plain body, and a check reads it",
                    200,
                    gzip,
                ),
                ok(
                    "unread",
                    "`Content-Encoding: compress`, and nothing reads the body",
                    1,
                ),
            ],
        ),
        case(
            "long-number",
            vec![ok(
                "POST /a",
                "400, unless a number of 30 digits arrives as it is written",
                1,
            )],
        ),
        case(
            "path-characters",
            vec![
                ok("braces", "400, unless `{`, `}` and `\"` are encoded", 1),
                ok("bar", "400, unless a vertical bar is encoded", 1),
                ok("brackets", "400, unless `<`, `>` and `^` are encoded", 1),
            ],
        ),
    ]
}

fn broken_ones() -> Vec<Case> {
    let location = |location: &str| location.to_owned();
    let refused = Tally {
        ok: 1,
        ..Tally::default()
    };
    let round = Tally {
        check: 1,
        redirects: 3,
        ..Tally::default()
    };
    let no_tls = Tally {
        tls: 1,
        ..Tally::default()
    };
    let too_many = RefusedRedirect::TooManyRedirects {
        location: location("/round"),
    };
    vec![
        case("broken-answers", broken_answers()),
        case(
            "redirects-astray",
            vec![
                astray(
                    "GET /no-location",
                    "a redirect without `Location`",
                    RefusedRedirect::RedirectWithoutLocation,
                ),
                astray(
                    "GET /elsewhere",
                    "a redirect to another host",
                    RefusedRedirect::RedirectElsewhere {
                        location: location("http://other.example/x"),
                    },
                ),
                astray(
                    "GET /app",
                    "a redirect to `intent:`",
                    RefusedRedirect::RedirectNotUnderstood {
                        location: location("intent://open"),
                    },
                ),
                Step {
                    expected: Expected::Counts(round),
                    ..astray(
                        "GET /round",
                        "a redirect to itself; the step follows 3",
                        too_many,
                    )
                },
            ],
        ),
        case(
            "early-refusal",
            vec![step(
                "POST /up",
                "413 and a close, while a body of 8 MB is being sent",
                refused,
                Some(413),
            )],
        ),
        case(
            "http2-to-http1",
            vec![broken(
                "GET /a",
                "HTTP/1.1, where the scenario says `http: \"2\"`",
                Broken::ProtocolError,
            )],
        ),
        Case {
            scheme: "https",
            ..case(
                "plain-behind-tls",
                vec![Step {
                    failure: Some(Failure::Tls(TlsFailure::NotTls)),
                    ..step("GET /a", "plain HTTP on a port of https", no_tls, None)
                }],
            )
        },
    ]
}

fn broken_answers() -> Vec<Step> {
    vec![
        broken(
            "GET /other-protocol",
            "the greeting of SSH",
            Broken::NotHttp,
        ),
        broken(
            "GET /nul-in-header",
            "a NUL in a header",
            Broken::UnreadableHead,
        ),
        broken("GET /long-head", "a head of 300 KiB", Broken::HeadTooLong),
        broken(
            "GET /many-lines",
            "5,001 header lines",
            Broken::TooManyHeaders,
        ),
        broken("GET /switch", "status 101", Broken::ProtocolChanged),
        broken(
            "GET /length-in-words",
            "`Content-Length: ten`",
            Broken::UnreadableLength,
        ),
        broken(
            "GET /bad-chunks",
            "chunks whose length is no number",
            Broken::UnreadableChunks,
        ),
        broken(
            "GET /long-body",
            "17 MiB, and a check reads the body",
            Broken::BodyTooLong,
        ),
        broken(
            "GET /half-body",
            "half of a body, and a close",
            Broken::ClosedBeforeLength,
        ),
        broken(
            "GET /half-head",
            "half of a head, and a close",
            Broken::ClosedInHead,
        ),
        broken(
            "GET /silence",
            "nothing, and a close",
            Broken::ClosedBeforeAnswer,
        ),
        broken(
            "GET /reset",
            "nothing, and a reset",
            Broken::ResetBeforeAnswer,
        ),
        ok("GET /right", "", 1),
    ]
}

fn sent_again() -> Vec<Case> {
    vec![
        case(
            "kept-connection",
            vec![
                ok("GET /a", "", 1),
                again(
                    "PUT /b",
                    "a close at the second request of a connection, a PUT",
                    1,
                    1,
                ),
                lost(
                    "POST /c",
                    "a close at the second request of a connection, a POST",
                ),
                ok("GET /d", "", 1),
            ],
        ),
        case(
            "unasked-408",
            vec![
                ok("GET /a", "", 1),
                ok(
                    "GET /b",
                    "408 and a close while the user thinks, before a GET",
                    1,
                ),
                ok("POST /c", "the same before a POST", 1),
            ],
        ),
        Case {
            closes_idle: true,
            ..case(
                "idle-close",
                vec![answered(
                    "GET /a",
                    "a close after a silence as long as users think",
                    60,
                )],
            )
        },
        Case {
            closes_idle: true,
            ..case(
                "closes-unsaid",
                vec![
                    answered(
                        "POST /a",
                        "a close after each answer that is not announced; POSTs 50 ms after the answer",
                        100,
                    ),
                    answered("GET /b", "the same; GETs at once after the answer", 200),
                ],
            )
        },
    ]
}

fn http2() -> Vec<Case> {
    vec![
        case(
            "refused-stream",
            vec![
                again(
                    "GET /a",
                    "HTTP/2: `REFUSED_STREAM` for each fourth request of a connection, GETs",
                    10,
                    3,
                ),
                again("POST /b", "the same, POSTs", 10, 3),
            ],
        ),
        case(
            "refused-streams",
            vec![answered(
                "POST /a",
                "HTTP/2: `REFUSED_STREAM` for each fifth request of a connection that carries several at once",
                40,
            )],
        ),
        case(
            "http2-reasons",
            vec![
                broken_again(
                    "GET /refused",
                    "HTTP/2: `REFUSED_STREAM` twice",
                    Broken::StreamRefused,
                ),
                broken(
                    "GET /reset",
                    "HTTP/2: `RST_STREAM` with an error",
                    Broken::StreamReset,
                ),
                broken_again(
                    "GET /gone",
                    "HTTP/2: GOAWAY of an earlier stream, twice",
                    Broken::GoneAway,
                ),
                ok("GET /right", "", 1),
                lost(
                    "POST /lost",
                    "HTTP/2: a close at the second request, a POST",
                ),
                ok("GET /again", "", 1),
            ],
        ),
    ]
}

fn scenarios() -> Vec<Case> {
    let down = Tally {
        status_5xx: 40,
        status_5xx_retry_after: 40,
        ..Tally::default()
    };
    vec![
        case(
            "everything-fails",
            vec![step(
                "GET /a",
                "503 to all 40 requests, without a threshold: the run has failed",
                down,
                Some(503),
            )],
        ),
        case(
            "idle-phase",
            vec![ok(
                "GET /a",
                "two phases of four ask for nothing: they are not judged",
                40,
            )],
        ),
        case(
            "minute-rate",
            vec![ok("GET /a", "a rate of `1/min`, for 2 s", 1)],
        ),
    ]
}

/// Rows of data files and values of answers.
fn values() -> Vec<Case> {
    let one_unsent = Tally {
        ok: 1,
        unsent: 1,
        ..Tally::default()
    };
    let object = Failure::ObjectInPath {
        value: "item".to_owned(),
    };
    vec![
        case(
            "row-per-session",
            vec![
                // Once for each of the two sessions.
                ok("login", "", 2),
                ok(
                    "account",
                    "403, unless a session goes on with the row that it logged in with",
                    8,
                ),
            ],
        ),
        case(
            "poll",
            vec![
                ok("POST /jobs", "", 1),
                ok("poll", "`DONE` to the second of at most ten polls", 2),
                ok("GET /after", "", 1),
            ],
        ),
        case(
            "member-of-capture",
            vec![
                ok("list", "", 10),
                ok(
                    "item",
                    "404, unless id and price come from the same random element",
                    10,
                ),
            ],
        ),
        case(
            "object-in-path",
            vec![
                ok("newest", "", 2),
                ok("find", "an object of an answer, in a query", 2),
                Step {
                    failure: Some(object),
                    ..step(
                        "item",
                        "an object of an answer, then a text, each as all of a path's part",
                        one_unsent,
                        Some(200),
                    )
                },
            ],
        ),
        Case {
            file: "mended.yaml",
            ..case(
                "few-rows",
                vec![ok(
                    "GET /u/{{ u.id }}",
                    "one row for four sessions, with `share: all`",
                    4,
                )],
            )
        },
    ]
}
