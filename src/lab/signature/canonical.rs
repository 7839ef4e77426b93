//! The canonical form of a request: what a signature is made over.

use hyper::HeaderMap;
use hyper::http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest as _, Sha256};

/// Everything except RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const RESERVED_IN_PATHS: &AsciiSet = &RESERVED.remove(b'/');

/// Returns the canonical request; `payload` is the digest of the body, or the word in its place.
pub(super) fn request(parts: &Parts, service: &str, signed: &[String], payload: &str) -> String {
    let headers: String = signed
        .iter()
        .map(|name| format!("{name}:{}\n", header(&parts.headers, name)))
        .collect();
    [
        parts.method.as_str(),
        &path(parts.uri.path(), service),
        &query(parts.uri.query().unwrap_or_default()),
        &headers,
        &signed.join(";"),
        payload,
    ]
    .join("\n")
}

/// Returns the digest of bytes, as hexadecimal digits.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// S3 takes a path as it is; for all other services it is encoded once more. Dots and doubled
/// slashes stay: no client sends them, and a signature over a normalised path does not fit.
fn path(path: &str, service: &str) -> String {
    if service == "s3" {
        let bytes: Vec<u8> = percent_decode_str(path).collect();
        return percent_encode(&bytes, RESERVED_IN_PATHS).to_string();
    }
    percent_encode(path.as_bytes(), RESERVED_IN_PATHS).to_string()
}

/// Sorts the parameters by their encoded names, then values, and leaves the signature out.
fn query(query: &str) -> String {
    let encoded = |text: &str| {
        let text = text.replace('+', " ");
        let bytes: Vec<u8> = percent_decode_str(&text).collect();
        percent_encode(&bytes, RESERVED).to_string()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .filter(|(name, _)| name != "X-Amz-Signature")
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// Joins the values of a header with commas; each is trimmed, and has single spaces.
fn header(headers: &HeaderMap, name: &str) -> String {
    let values: Vec<String> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .map(|value| value.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    values.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_have_one_form() {
        for (text, service, expected) in [
            ("/", "ecs", "/"),
            ("/a%20b", "iam", "/a%2520b"),
            ("/a%20b/c(d)", "s3", "/a%20b/c%28d%29"),
            ("/a b~c%7E", "s3", "/a%20b~c~"),
        ] {
            assert_eq!(path(text, service), expected, "{text} {service}");
        }
        for (text, expected) in [
            ("", ""),
            ("versioning", "versioning="),
            ("b=2&a=1&a=0", "a=0&a=1&b=2"),
            (
                "prefix=a/b&x=c+d&X-Amz-Signature=00",
                "prefix=a%2Fb&x=c%20d",
            ),
            ("list-type=2&&", "list-type=2"),
        ] {
            assert_eq!(query(text), expected, "{text}");
        }
    }
}
