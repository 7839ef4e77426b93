//! The little that moto answers otherwise than AWS's models say.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde_json::Value;

use super::call::{ApiCall, LabResponse, Protocol, answer};

/// moto gives the bucket's contents in place of this setting, which no caller here changes.
const REQUEST_PAYMENT: &str = "<RequestPaymentConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                               <Payer>BucketOwner</Payer></RequestPaymentConfiguration>";
/// A header of calls, which moto repeats in its answers.
const CHECKSUM_ALGORITHM: &str = "x-amz-sdk-checksum-algorithm";

/// Returns moto's answer as AWS gives it.
pub(crate) async fn as_aws(call: &ApiCall, mut given: LabResponse) -> LabResponse {
    given.headers_mut().remove(CHECKSUM_ALGORITHM);
    if asks_who_pays(call) && given.status().is_success() {
        return answer(StatusCode::OK, "application/xml", REQUEST_PAYMENT);
    }
    match call.protocol {
        Protocol::Json => json(call, given).await,
        Protocol::Query | Protocol::Cbor | Protocol::Rest => given,
    }
}

/// True if the call is GetBucketRequestPayment; some clients write the query with a `=`.
fn asks_who_pays(call: &ApiCall) -> bool {
    let mut pairs = call.uri.query().unwrap_or_default().split('&');
    let is_asked = pairs.any(|pair| pair.split('=').next() == Some("requestPayment"));
    call.service == "s3" && call.method == Method::GET && is_asked
}

/// JSON has the content type of the call, and a member without a value is absent rather than null.
async fn json(call: &ApiCall, given: LabResponse) -> LabResponse {
    let (mut parts, body) = given.into_parts();
    let Ok(body) = body.collect().await;
    let mut body = body.to_bytes();
    let tree = serde_json::from_slice::<Value>(&body).ok();
    // An action without an output has no body.
    let is_json = body.is_empty() || tree.is_some();
    if let Some(mut tree) = tree {
        drop_nulls(&mut tree);
        body = Bytes::from(tree.to_string());
        parts.headers.remove(CONTENT_LENGTH);
    }
    if is_json {
        let kind = HeaderValue::from_static(call.json_type());
        parts.headers.insert(CONTENT_TYPE, kind);
    }
    Response::from_parts(parts, Full::new(body))
}

/// Removes every member that is null.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|_, entry| !entry.is_null());
            entries.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;

    fn call(method: &str, uri: &str, service: &str, target: Option<&str>) -> ApiCall {
        let mut headers = HeaderMap::new();
        if let Some(target) = target {
            headers.insert("x-amz-target", target.parse().unwrap());
        }
        let (method, uri) = (method.parse().unwrap(), uri.parse().unwrap());
        ApiCall {
            service: service.to_owned(),
            ..ApiCall::read(method, uri, headers, Bytes::new())
        }
    }

    async fn amended(call: &ApiCall, body: &'static str) -> (HeaderMap, String) {
        let mut given = answer(StatusCode::OK, "text/html", body);
        let length = HeaderValue::from(body.len());
        given.headers_mut().insert(CONTENT_LENGTH, length);
        given
            .headers_mut()
            .insert(CHECKSUM_ALGORITHM, HeaderValue::from_static("CRC32"));
        let (parts, body) = as_aws(call, given).await.into_parts();
        let Ok(body) = body.collect().await;
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        (parts.headers, body)
    }

    #[tokio::test]
    async fn json_is_called_json_and_has_no_nulls() {
        let call = call("POST", "/", "logs", Some("Logs_20140328.DescribeLogGroups"));
        let (headers, body) =
            amended(&call, r#"{"groups":[{"name":"a","kms":null}],"next":null}"#).await;
        assert_eq!(body, r#"{"groups":[{"name":"a"}]}"#);
        assert_eq!(headers[CONTENT_TYPE], "application/x-amz-json-1.1");
        // The length was that of the body before.
        assert!(!headers.contains_key(CONTENT_LENGTH));
        let (headers, body) = amended(&call, "").await;
        assert_eq!(body, "");
        assert_eq!(headers[CONTENT_TYPE], "application/x-amz-json-1.1");
        let (headers, body) = amended(&call, "<h1>Internal Server Error</h1>").await;
        assert_eq!(body, "<h1>Internal Server Error</h1>");
        assert_eq!(headers[CONTENT_TYPE], "text/html");
    }

    #[tokio::test]
    async fn s3_tells_who_pays_and_repeats_no_header_of_the_call() {
        for uri in ["/bucket?requestPayment", "/bucket?requestPayment=&x-id=A"] {
            let (_, body) = amended(&call("GET", uri, "s3", None), "<List/>").await;
            assert!(body.contains("<Payer>BucketOwner</Payer>"), "{uri}: {body}");
        }
        let (headers, body) = amended(&call("GET", "/bucket/key", "s3", None), "text").await;
        assert_eq!(body, "text");
        assert!(!headers.contains_key(CHECKSUM_ALGORITHM));
    }
}
