//! Cases of rare forms: answers, resets, redirects, and frames of HTTP/2.

use spikeproof::measure::{Broken, Failure, RefusedRedirect, Tally};

use super::step::{Case, Expected, Step, again, astray, broken, case, led, ok, right, unusable};

pub(super) fn rare_answers() -> Vec<Step> {
    let packed = |coding: &str| Failure::NotUnpacked {
        coding: coding.to_owned(),
    };
    vec![
        ok(
            "GET /gzip-transfer",
            "`Transfer-Encoding: gzip, chunked`; a check reads the body",
            1,
        ),
        ok("GET /chunks-of-old", "chunks in an answer of HTTP/1.0", 1),
        ok(
            "GET /last-coding",
            "`Transfer-Encoding: x-unchunked, identity`, and a close",
            1,
        ),
        ok("HEAD /head", "`Content-Length: 5` to a HEAD", 1),
        right("GET /not-modified", "304 with a `Content-Length` of 5", 304),
        right("GET /body-of-204", "204, and a body", 204),
        ok("GET /left-over", "two answers to one request", 1),
        ok("GET /old-keep", "HTTP/1.0 with `Connection: keep-alive`", 1),
        ok("GET /old", "HTTP/1.0 without a length, and a close", 1),
        ok(
            "POST /continue",
            "100 before the answer, as was asked for",
            1,
        ),
        right("POST /refused", "417 to a request that asks for 100", 417),
        ok("GET /gzip-tail", "bytes after the end of gzip", 1),
        ok("GET /gzip-twice", "gzip of two members", 1),
        unusable(
            "GET /br-cut",
            "`Content-Encoding: br`, without its end, and a check reads it",
            200,
            packed("br"),
        ),
        unusable(
            "GET /zstd-cut",
            "`Content-Encoding: zstd`, without its end, and a check reads it",
            200,
            packed("zstd"),
        ),
        broken(
            "GET /other-lengths",
            "two different `Content-Length`",
            Broken::UnreadableLength,
        ),
        ok("GET /long-digits", "a number of 400 digits is captured", 1),
        ok("digits", "404, unless all of its digits arrive", 1),
    ]
}

pub(super) fn resets() -> Vec<Step> {
    vec![
        broken(
            "GET /in-body",
            "half of a body, and a reset",
            Broken::ResetInAnswer,
        ),
        broken(
            "GET /in-head",
            "half of a head, and a reset",
            Broken::ResetInAnswer,
        ),
        broken(
            "GET /at-once",
            "a reset as soon as the connection is open",
            Broken::ResetBeforeAnswer,
        ),
        broken(
            "POST /posted",
            "the same before a POST",
            Broken::ResetBeforeAnswer,
        ),
        ok("GET /right", "", 1),
    ]
}

pub(super) fn odd_redirects() -> Vec<Step> {
    let none = |location: &str| RefusedRedirect::RedirectNotUnderstood {
        location: location.to_owned(),
    };
    let elsewhere = |location: &str| RefusedRedirect::RedirectElsewhere {
        location: location.to_owned(),
    };
    let ping = RefusedRedirect::TooManyRedirects {
        location: "/from/ping".to_owned(),
    };
    let round = Tally {
        check: 1,
        redirects: 5,
        ..Tally::default()
    };
    vec![
        astray(
            "GET /from/script",
            "a redirect to `javascript:`",
            none("javascript:alert(1)"),
        ),
        astray(
            "GET /from/file",
            "a redirect to `file:`",
            none("file:///etc/passwd"),
        ),
        astray(
            "GET /from/data",
            "a redirect to `data:`",
            none("data:text/html,x"),
        ),
        astray(
            "GET /from/backslashes",
            "a redirect to another host, written with backslashes",
            elsewhere("\\\\other.example\\x"),
        ),
        astray(
            "GET /from/user",
            "the same with a user and a password, which no report shows",
            elsewhere("http://other.example/x"),
        ),
        led("GET /from/dots", "a redirect with more `..` than folders"),
        led(
            "GET /from/blanks",
            "a redirect with blanks around and in it",
        ),
        led("GET /from/query", "a redirect to a query only"),
        led("GET /from/fragment", "a redirect with a fragment"),
        led("GET /from/utf-8", "a redirect in UTF-8"),
        led("GET /from/latin-1", "a redirect in Latin-1"),
        Step {
            expected: Expected::Counts(round),
            ..astray(
                "GET /from/ping",
                "two redirects to each other; the step follows 5",
                ping,
            )
        },
    ]
}

pub(super) fn rare_http2() -> Vec<Case> {
    vec![
        case("http2-rare", rare_streams()),
        case(
            "http2-late-streams",
            vec![
                ok(
                    "GET /a",
                    "HTTP/2: no stream is permitted at first, and some half a second later",
                    2,
                ),
                ok("GET /b", "", 2),
            ],
        ),
        Case {
            closes_idle: true,
            ..case(
                "http2-gone-at-once",
                vec![
                    again(
                        "POST /a",
                        "HTTP/2: GOAWAY before the first request, a POST",
                        1,
                        1,
                    ),
                    ok("GET /b", "", 1),
                ],
            )
        },
    ]
}

fn rare_streams() -> Vec<Step> {
    vec![
        ok(
            "GET /whole-then-reset",
            "HTTP/2: `RST_STREAM` without an error after a whole answer",
            1,
        ),
        ok(
            "POST /early",
            "HTTP/2: the same while a body of 8 MB is being sent",
            1,
        ),
        broken(
            "GET /half-then-no-error",
            "HTTP/2: `RST_STREAM` without an error after half of a body",
            Broken::StreamReset,
        ),
        broken(
            "GET /half-then-cancel",
            "HTTP/2: `RST_STREAM` with `CANCEL` after half of a body",
            Broken::StreamReset,
        ),
        ok("GET /hints", "HTTP/2: 103 before the answer", 1),
        ok("GET /trailers", "HTTP/2: a header after the body", 1),
        ok("GET /padded", "HTTP/2: a body with padding", 1),
        ok("GET /goodbye", "HTTP/2: GOAWAY right before the answer", 1),
        broken(
            "GET /too-short",
            "HTTP/2: a body shorter than its `content-length`",
            Broken::ProtocolError,
        ),
        broken(
            "GET /no-status",
            "HTTP/2: an answer without a status",
            Broken::ProtocolError,
        ),
        broken(
            "GET /upper-case",
            "HTTP/2: a header in upper case",
            Broken::ProtocolError,
        ),
        broken(
            "GET /pushed",
            "HTTP/2: a push, which was forbidden",
            Broken::ProtocolError,
        ),
        ok("GET /right", "", 1),
    ]
}
