//! A file with every AWS call and its answer, one JSON object per line.
//!
//! Whoever reads it cannot act as a caller: signatures, tokens and the texts that open the lab's own
//! addresses are left out. So are the contents of S3's objects, among which are the secrets of a run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use aws_smithy_types::base64;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Response};
use serde::Serialize;

use super::World;
use super::call::{ApiCall, ApiError, LabResponse};
use super::keys::Principal;
use super::secret::Secret;

/// Headers by which a caller proves who it is.
const PROOFS: [&str; 2] = ["authorization", "x-amz-security-token"];
/// The beginnings of such parameters in a presigned URL.
const SIGNED: [&str; 3] = [
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
];
/// In place of a secret.
const HIDDEN: &str = "HIDDEN";

/// The open file.
#[derive(Debug)]
pub(super) struct Recorder(Mutex<File>);

/// One line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    caller: Option<&'static str>,
    service: &'a str,
    method: &'a str,
    path: String,
    headers: BTreeMap<&'a str, String>,
    body: Content,
    status: u16,
    answer_headers: BTreeMap<&'a str, String>,
    answer: Content,
}

/// A body.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    Base64(String),
    /// It is an object of S3, of so many bytes.
    LeftOut(usize),
}

impl Recorder {
    /// Makes the file, which only its owner can read. Fails if it is there already.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        Ok(Self(Mutex::new(file)))
    }

    /// Writes a call with its answer, which is given back. A call that cannot be written is answered
    /// with an error: the file has all calls or the caller knows.
    pub(crate) async fn record(
        &self,
        world: &World,
        call: &ApiCall,
        answer: LabResponse,
    ) -> LabResponse {
        let (parts, body) = answer.into_parts();
        let Ok(body) = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let secrets = secrets(world);
        let (asked, given) = (
            is_upload(call),
            is_download(call) && parts.status.is_success(),
        );
        let line = Line {
            caller: call.caller.map(Principal::word),
            service: &call.service,
            method: call.method.as_str(),
            path: path(call),
            headers: headers(&call.headers),
            body: content(&call.body, asked, &secrets),
            status: parts.status.as_u16(),
            answer_headers: headers(&parts.headers),
            answer: content(&body, given, &secrets),
        };
        match self.write(&line) {
            Ok(()) => Response::from_parts(parts, Full::new(body)),
            Err(error) => call.refuse(&ApiError::new(
                "InternalFailure",
                format!("the call could not be recorded: {error}"),
            )),
        }
    }

    fn write(&self, line: &Line<'_>) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes())
    }
}

/// Returns the texts that open something at the lab and that an answer may contain.
fn secrets(world: &World) -> Vec<&Secret> {
    let keys = [Principal::Operator, Principal::Tasks].map(|one| world.keys.of(one));
    let tokens = keys.into_iter().filter_map(|key| key.token.as_ref());
    let own = keys.into_iter().map(|key| &key.secret);
    tokens.chain(own).chain([&world.layers]).collect()
}

fn headers(all: &HeaderMap) -> BTreeMap<&str, String> {
    all.iter()
        .filter(|(name, _)| !PROOFS.contains(&name.as_str()))
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str(), value)
        })
        .collect()
}

/// Returns the path with the query, without a signature.
fn path(call: &ApiCall) -> String {
    let Some(query) = call.uri.query() else {
        return call.uri.path().to_owned();
    };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !SIGNED.iter().any(|name| pair.starts_with(name)))
        .collect();
    format!("{}?{}", call.uri.path(), kept.join("&"))
}

fn content(body: &Bytes, is_object: bool, secrets: &[&Secret]) -> Content {
    if is_object {
        return Content::LeftOut(body.len());
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return Content::Base64(base64::encode(body));
    };
    let mut text = text.to_owned();
    for secret in secrets {
        if text.contains(secret.text()) {
            text = text.replace(secret.text(), HIDDEN);
        }
    }
    Content::Base64(base64::encode(text))
}

/// True if the path names an object of S3, and no other part of it is asked for.
fn is_object(call: &ApiCall) -> bool {
    let path = call.uri.path().trim_start_matches('/');
    let key = path.split_once('/').map_or("", |(_, key)| key);
    call.service == "s3" && !key.is_empty() && !call.uri.query().is_some_and(names_a_part)
}

/// True if the query names something of an object that is not its content, such as `tagging`.
fn names_a_part(query: &str) -> bool {
    [
        "acl",
        "attributes",
        "legal-hold",
        "retention",
        "tagging",
        "torrent",
        "uploads",
    ]
    .iter()
    .any(|part| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some(part))
    })
}

fn is_upload(call: &ApiCall) -> bool {
    call.method == Method::PUT && is_object(call)
}

fn is_download(call: &ApiCall) -> bool {
    call.method == Method::GET && is_object(call)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, uri: &str) -> ApiCall {
        let call = ApiCall::read(
            method.parse().unwrap(),
            uri.parse().unwrap(),
            HeaderMap::new(),
            Bytes::new(),
        );
        ApiCall {
            service: "s3".to_owned(),
            ..call
        }
    }

    #[test]
    fn contents_of_objects_are_left_out_and_other_bodies_are_not() {
        for (method, uri, up, down) in [
            (
                "PUT",
                "/bucket/run/secrets.json?x-id=PutObject",
                true,
                false,
            ),
            ("GET", "/bucket/run/secrets.json", false, true),
            ("PUT", "/bucket/key?partNumber=1&uploadId=a", true, false),
            ("PUT", "/bucket/key?tagging", false, false),
            ("PUT", "/bucket?policy", false, false),
            ("GET", "/bucket/?list-type=2", false, false),
        ] {
            let call = call(method, uri);
            assert_eq!((is_upload(&call), is_download(&call)), (up, down), "{uri}");
        }
        let secret = Secret::of("open sesame");
        let body = Bytes::from("say open sesame twice");
        assert_eq!(content(&body, true, &[]), Content::LeftOut(21));
        assert_eq!(
            content(&body, false, &[&secret]),
            Content::Base64(base64::encode("say HIDDEN twice"))
        );
    }

    #[test]
    fn proofs_of_the_caller_are_left_out() {
        let signed = call(
            "GET",
            "/bucket/key?x-id=GetObject&X-Amz-Signature=abc&X-Amz-Credential=me&X-Amz-Date=now",
        );
        assert_eq!(path(&signed), "/bucket/key?x-id=GetObject&X-Amz-Date=now");
        let mut all = HeaderMap::new();
        for name in ["authorization", "x-amz-security-token", "x-amz-target"] {
            all.insert(name, "text".parse().unwrap());
        }
        assert_eq!(
            headers(&all).into_keys().collect::<Vec<_>>(),
            ["x-amz-target"]
        );
    }

    #[test]
    fn only_the_owner_can_read_the_file_and_no_other_file_is_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.jsonl");
        drop(Recorder::create(&path).unwrap());
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = Recorder::create(&path).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    }
}
