//! Any text with braces, at each place of a step: it is refused, or the request is one request,
//! whatever was captured.
#![no_main]

use model::scenario::{Substitutions, read, render};
use serde_json::{Value, json};

const ROWS: &[u8] = b"email,password\n\"a@b\r\nx: y\",p&w\n";

// The first byte is the place; a captured value follows the template after a zero.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [place, text @ ..] = bytes else { return };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let (template, captured) = text.split_once('\0').unwrap_or((text, "1"));
    let scenario = json!({
        "name": "s",
        "target": { "url": "http://shop.example.com" },
        "data": { "users": { "file": "users.csv" } },
        "phases": [{ "name": "p", "users": 1, "hold": "1s" }],
        "flows": [{ "name": "f", "steps": [
            { "get": "/first", "capture": { "item": "$.item" } },
            step(place % 8, template),
        ] }],
    })
    .to_string();
    let open = |_: &str| Ok(ROWS.to_vec());
    let read = match read(&scenario, &Substitutions::default(), &open) {
        Ok(read) => read,
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            render("any.yaml", &scenario, &problems, false);
            return;
        }
    };
    for request in engine::fuzzing::requests(&read.scenario, captured) {
        is_one_request(&request, place % 8 == 4 && !template.contains("raw"));
    }
});

fn step(place: u8, template: &str) -> Value {
    match place {
        0 => json!({ "get": format!("/{template}") }),
        1 => json!({ "get": format!("/a?b={template}") }),
        2 => json!({ "get": template }),
        3 => json!({ "get": "/", "headers": { "x-a": template } }),
        4 => json!({ "post": "/", "json": { "a": template, "b": [format!("x{template}")] } }),
        5 => json!({ "post": "/", "form": { "a": template } }),
        6 => json!({ "post": "/", "body": template }),
        _ => json!({ "get": "/", "if": template, "auth": { "bearer": template } }),
    }
}

fn is_one_request(bytes: &[u8], has_json: bool) {
    let mut room = [httparse::EMPTY_HEADER; 16];
    let mut head = httparse::Request::new(&mut room);
    let Ok(httparse::Status::Complete(used)) = head.parse(bytes) else {
        panic!("no request: {}", String::from_utf8_lossy(bytes));
    };
    let known = [
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
        "x-a",
        "authorization",
    ];
    let mut names: Vec<&str> = head.headers.iter().map(|header| header.name).collect();
    names.sort_unstable();
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    assert!(names.windows(2).all(|two| two[0] != two[1]), "{names:?}");
    let length = head
        .headers
        .iter()
        .find(|header| header.name == "content-length");
    let length = length.map_or("0", |header| {
        std::str::from_utf8(header.value).expect("digits")
    });
    let body = &bytes[used..];
    assert_eq!(length.parse(), Ok(body.len()), "another request behind it");
    if has_json && !body.is_empty() {
        serde_json::from_slice::<Value>(body).expect("JSON");
    }
}
