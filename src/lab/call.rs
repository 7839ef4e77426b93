//! One AWS call as it comes over the wire, and the shapes of an answer: JSON, query XML, REST XML,
//! CBOR.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, Response, StatusCode, Uri};
use serde_json::{Map, Value, json};

use super::cbor;
use super::keys::Principal;
use super::tree::Tree;

pub(crate) type LabResponse = Response<Full<Bytes>>;

/// The wire protocol of the caller, in which it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Json,
    Query,
    Cbor,
    Rest,
}

/// A request with its body, and what it asks for.
#[derive(Debug, Clone)]
pub(crate) struct ApiCall {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The signing name, such as `ecs` or `monitoring`; empty where the request is not signed.
    pub(crate) service: String,
    /// The API action, such as `RunTask`; for REST only the bucket actions are told apart.
    pub(crate) action: String,
    pub(crate) protocol: Protocol,
    /// Who has signed the call; `None` until the signature has been checked.
    pub(crate) caller: Option<Principal>,
}

/// An error in AWS's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Such as `AccessDenied`.
    pub code: String,
    /// The text for people.
    pub message: String,
}

impl ApiError {
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
        }
    }
}

impl ApiCall {
    pub(crate) fn read(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Self {
        let service = service(&headers, &uri).unwrap_or_default();
        let (protocol, action) = operation(&method, &uri, &headers, &body);
        Self {
            method,
            uri,
            headers,
            body,
            service,
            action,
            protocol,
            caller: None,
        }
    }

    /// Returns the call as one that this caller has signed.
    pub(crate) fn signed_by(self, caller: Principal) -> Self {
        Self {
            caller: Some(caller),
            ..self
        }
    }

    /// Returns the body of a JSON call.
    pub(crate) fn json(&self) -> Result<Value, ApiError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            ApiError::new(
                "SerializationException",
                format!("the body is not JSON: {error}"),
            )
        })
    }

    /// Returns the parameters of a query call.
    pub(crate) fn form(&self) -> QueryParameters {
        QueryParameters::read(&self.body)
    }

    /// Returns the parameters, whatever the protocol; a query has texts only.
    pub(crate) fn parameters(&self) -> Result<Value, ApiError> {
        match self.protocol {
            Protocol::Json => self.json(),
            Protocol::Cbor => cbor::decode(&self.body)
                .map_err(|error| ApiError::new("SerializationException", error.to_string())),
            Protocol::Query => Ok(self.form().tree()),
            Protocol::Rest => Ok(Value::Object(Map::new())),
        }
    }

    /// Answers in the protocol of the call.
    pub(crate) fn give(&self, output: &Tree) -> LabResponse {
        match self.protocol {
            Protocol::Json => answer(StatusCode::OK, self.json_type(), output.json().to_string()),
            Protocol::Cbor => answer(StatusCode::OK, "application/cbor", cbor::encode(output)),
            Protocol::Query => answer_query(&self.action, &output.xml()),
            Protocol::Rest => answer(StatusCode::OK, "application/xml", output.xml()),
        }
    }

    /// Returns the caller's own version of JSON.
    pub(crate) fn json_type(&self) -> &'static str {
        let kind = self.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        match kind.is_some_and(|kind| kind.starts_with(b"application/x-amz-json-1.0")) {
            true => "application/x-amz-json-1.0",
            false => "application/x-amz-json-1.1",
        }
    }

    pub(crate) fn refuse(&self, fault: &ApiError) -> LabResponse {
        let ApiError { code, message } = fault;
        let (kind, body): (&'static str, Vec<u8>) = match self.protocol {
            Protocol::Json => {
                let body = json!({ "__type": code, "message": message }).to_string();
                (self.json_type(), body.into_bytes())
            }
            Protocol::Cbor => {
                let body = Tree::map([
                    ("__type", Tree::text(code)),
                    ("message", Tree::text(message)),
                ]);
                ("application/cbor", cbor::encode(&body))
            }
            Protocol::Query => ("text/xml", self.query_error(code, message).into_bytes()),
            Protocol::Rest => {
                let inner = element("Code", code) + &element("Message", message);
                (
                    "application/xml",
                    format!("<?xml version=\"1.0\"?><Error>{inner}</Error>").into_bytes(),
                )
            }
        };
        // The status tells the clients whose fault the error is, and whether to try again.
        let theirs = ["ServiceUnavailable", "InternalFailure"].contains(&code.as_str());
        let (status, whose) = match theirs {
            true => (StatusCode::SERVICE_UNAVAILABLE, "Receiver"),
            false => (StatusCode::BAD_REQUEST, "Sender"),
        };
        let mut refusal = answer(status, kind, body);
        // A client that asks for it gets the code that the query protocol has for the error.
        if self.headers.contains_key("x-amzn-query-mode")
            && let Ok(value) = HeaderValue::from_str(&format!("{code};{whose}"))
        {
            refusal.headers_mut().insert("x-amzn-query-error", value);
        }
        refusal
    }

    /// Returns an error of the query protocol. EC2 wraps its errors differently from all other
    /// services.
    fn query_error(&self, code: &str, message: &str) -> String {
        let inner = element("Code", code) + &element("Message", message);
        if self.service == "ec2" {
            return format!(
                "<Response><Errors><Error>{inner}</Error></Errors><RequestID>lab</RequestID></Response>"
            );
        }
        format!(
            "<ErrorResponse><Error><Type>Sender</Type>{inner}</Error><RequestId>lab</RequestId></ErrorResponse>"
        )
    }
}

pub(crate) fn answer_json(body: &Value) -> LabResponse {
    answer(
        StatusCode::OK,
        "application/x-amz-json-1.1",
        body.to_string(),
    )
}

/// Returns `<ActionResponse><ActionResult>...`, the envelope of the query protocol.
pub(crate) fn answer_query(action: &str, result: &str) -> LabResponse {
    let body = format!(
        "<{action}Response><{action}Result>{result}</{action}Result>\
         <ResponseMetadata><RequestId>lab</RequestId></ResponseMetadata></{action}Response>"
    );
    answer(StatusCode::OK, "text/xml", body)
}

pub(crate) fn answer(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> LabResponse {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if kind == "application/cbor" {
        response
            .headers_mut()
            .insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    }
    response
}

/// Returns `<name>text</name>`, escaped.
pub(crate) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", quick_xml::escape::escape(text))
}

/// Returns `<name><member>...</member>...</name>`.
pub(crate) fn members(name: &str, items: impl IntoIterator<Item = String>) -> String {
    let items: String = items
        .into_iter()
        .map(|item| format!("<member>{item}</member>"))
        .collect();
    format!("<{name}>{items}</{name}>")
}

/// The most parts that a parameter's name has: `MetricDataQueries.member.1.MetricStat...` has ten.
const MOST_PARTS: usize = 32;

/// Puts a text into a tree of objects.
fn put(at: &mut Value, path: &[&str], text: &str) {
    let Some((first, rest)) = path.split_first() else {
        *at = Value::from(text);
        return;
    };
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    if let Some(entries) = at.as_object_mut() {
        let entry = entries.entry(*first).or_insert(Value::Null);
        put(entry, rest, text);
    }
}

/// Makes lists of the objects whose only entry is `member`.
fn with_lists(value: Value) -> Value {
    let Value::Object(mut entries) = value else {
        return value;
    };
    if entries.len() == 1
        && let Some(Value::Object(items)) = entries.remove("member")
    {
        let mut items: Vec<(u32, Value)> = items
            .into_iter()
            .map(|(number, item)| (number.parse().unwrap_or(u32::MAX), with_lists(item)))
            .collect();
        items.sort_by_key(|(number, _)| *number);
        return Value::Array(items.into_iter().map(|(_, item)| item).collect());
    }
    let entries = entries.into_iter();
    Value::Object(
        entries
            .map(|(name, value)| (name, with_lists(value)))
            .collect(),
    )
}

/// The parameters of a query call, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueryParameters(Vec<(String, String)>);

impl QueryParameters {
    pub(crate) fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(
            pairs
                .map(|(key, value)| (unescape(key), unescape(value)))
                .collect(),
        )
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the value of a key as a number; `None` if it is absent or no number.
    pub(crate) fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.get(key)?.parse().ok()
    }

    /// Returns the tree that the same parameters have in JSON, with a text at each leaf.
    pub(crate) fn tree(&self) -> Value {
        let mut root = Value::Object(Map::new());
        for (name, text) in &self.0 {
            let path: Vec<&str> = name.splitn(MOST_PARTS, '.').collect();
            put(&mut root, &path, text);
        }
        with_lists(root)
    }

    /// Returns every parameter except those that name the call.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let own = |(name, _): &&(String, String)| name != "Action" && name != "Version";
        self.0.iter().filter(own).cloned().collect()
    }

    /// Returns `Key.member.1`, `Key.member.2` ...; empty if the caller named none.
    pub(crate) fn members(&self, key: &str) -> Vec<&str> {
        let prefix = format!("{key}.member.");
        self.0
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                let digits = std::str::from_utf8(&digits).unwrap_or("3F");
                bytes.push(u8::from_str_radix(digits, 16).unwrap_or(b'?'));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the service of `Credential=AKID/DATE/REGION/SERVICE/aws4_request`, in the header or in a
/// presigned URL.
fn service(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let header = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let signed = header.or_else(|| uri.query().map(unescape))?;
    let credential = signed.split_once("Credential=")?.1;
    credential
        .split([',', '&', ' '])
        .next()?
        .split('/')
        .nth(3)
        .map(str::to_owned)
}

fn operation(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> (Protocol, String) {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    if let Some((_, action)) = header("x-amz-target").rsplit_once('.') {
        return (Protocol::Json, action.to_owned());
    }
    if let Some((_, action)) = uri.path().rsplit_once("/operation/") {
        return (Protocol::Cbor, action.to_owned());
    }
    if header("content-type").starts_with("application/x-www-form-urlencoded") {
        return (
            Protocol::Query,
            QueryParameters::read(body)
                .get("Action")
                .unwrap_or_default()
                .to_owned(),
        );
    }
    let is_bucket = uri.path().trim_matches('/').split('/').count() == 1 && uri.path().len() > 1;
    let plain = uri
        .query()
        .is_none_or(|query| query.is_empty() || query.starts_with("x-id="));
    let action = match method.as_str() {
        "PUT" if is_bucket && plain => "CreateBucket",
        "DELETE" if is_bucket && plain => "DeleteBucket",
        _ => "",
    };
    (Protocol::Rest, action.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        method: &str,
        uri: &str,
        headers: &[(&'static str, &str)],
        body: &'static str,
    ) -> (String, String, Protocol) {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let call = ApiCall::read(
            method.parse().unwrap(),
            uri.parse().unwrap(),
            headers,
            Bytes::from(body),
        );
        (call.service, call.action, call.protocol)
    }

    #[test]
    fn a_call_is_recognized_by_its_scope_and_its_operation() {
        let signed = |service: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=AKID/20261124/eu-west-1/{service}/aws4_request, SignedHeaders=host"
            )
        };
        let json = [
            ("authorization", &*signed("ecs")),
            ("x-amz-target", "AmazonEC2ContainerServiceV20141113.RunTask"),
        ];
        assert_eq!(
            read("POST", "/", &json, "{}"),
            ("ecs".into(), "RunTask".into(), Protocol::Json)
        );
        let form = [
            ("authorization", &*signed("ec2")),
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
        ];
        assert_eq!(
            read(
                "POST",
                "/",
                &form,
                "Action=DeleteSecurityGroup&GroupId=sg-1"
            ),
            ("ec2".into(), "DeleteSecurityGroup".into(), Protocol::Query)
        );
        let cbor = [("authorization", &*signed("monitoring"))];
        assert_eq!(
            read(
                "POST",
                "/service/GraniteServiceVersion20100801/operation/DescribeAlarms",
                &cbor,
                ""
            ),
            ("monitoring".into(), "DescribeAlarms".into(), Protocol::Cbor)
        );
        let rest = [("authorization", &*signed("s3"))];
        assert_eq!(
            read("PUT", "/bucket", &rest, ""),
            ("s3".into(), "CreateBucket".into(), Protocol::Rest)
        );
        assert_eq!(read("PUT", "/bucket?versioning", &rest, "").1, "");
        assert_eq!(read("PUT", "/bucket/key", &rest, "").1, "");
        assert_eq!(
            read("GET", "/_lab/credentials", &[], ""),
            (String::new(), String::new(), Protocol::Rest)
        );
    }

    #[test]
    fn form_values_are_unescaped() {
        let form = QueryParameters::read(b"Action=X&Names.member.1=a%2Fb+c&Names.member.2=d");
        assert_eq!(form.members("Names"), ["a/b c", "d"]);
    }

    #[test]
    fn names_of_a_query_are_a_tree() {
        let form = QueryParameters::read(
            b"Q.member.2.Id=b&Q.member.1.Id=a&Q.member.10.Id=c&Q.member.1.Stat.Period=60&None=&Odd=1&Odd.x=2",
        );
        assert_eq!(
            form.tree(),
            json!({
                "Q": [{ "Id": "a", "Stat": { "Period": "60" } }, { "Id": "b" }, { "Id": "c" }],
                "None": "", "Odd": { "x": "2" },
            })
        );
        let deep = ".".repeat(100_000) + "=1";
        assert!(QueryParameters::read(deep.as_bytes()).tree().is_object());
    }

    #[test]
    fn a_refusal_has_the_form_of_its_protocol_and_the_code_of_the_query_protocol_on_request() {
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            (
                "x-amz-target",
                "GraniteServiceVersion20100801.DescribeAlarms",
            ),
            ("x-amzn-query-mode", "true"),
        ];
        let headers = headers.map(|(name, value)| {
            let name: hyper::header::HeaderName = name.parse().unwrap();
            (name, value.parse().unwrap())
        });
        let call = ApiCall::read(
            Method::POST,
            "/".parse().unwrap(),
            headers.into_iter().collect(),
            Bytes::from("{}"),
        );
        let refusal = call.refuse(&ApiError::new("InvalidNextToken", "no such page"));
        let header = |name: &str| refusal.headers()[name].to_str().unwrap();
        assert_eq!(refusal.status(), StatusCode::BAD_REQUEST);
        assert_eq!(header("content-type"), "application/x-amz-json-1.0");
        assert_eq!(header("x-amzn-query-error"), "InvalidNextToken;Sender");
    }
}
