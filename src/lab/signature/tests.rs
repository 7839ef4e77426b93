//! The examples of AWS's own pages, calls that the SDK's signer has signed, and what is refused.

use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use hyper::Request;

use super::super::secret::Secret;
use super::*;

/// AWS's example of S3: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
const EXAMPLE_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const EXAMPLE_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EXAMPLE_STAMP: &str = "20130524T000000Z";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn key(secret: &str, token: Option<&str>) -> AccessKey {
    AccessKey {
        id: EXAMPLE_KEY.to_owned(),
        secret: Secret::of(secret),
        token: token.map(Secret::of),
    }
}

fn time(stamp: &str) -> SystemTime {
    let date = DateTime::strptime("%Y%m%dT%H%M%SZ", stamp).unwrap();
    SystemTime::try_from(TimeZone::UTC.to_timestamp(date).unwrap()).unwrap()
}

fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// The header of a call that is signed as in AWS's examples.
fn authorization(headers: &[(&str, &str)], signature: &str) -> String {
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    format!(
        "AWS4-HMAC-SHA256 Credential={EXAMPLE_KEY}/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders={},Signature={signature}",
        names.join(";")
    )
}

/// Checks one of AWS's examples at the time of the example.
fn check(
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    signature: &str,
    body: &[u8],
) -> Result<(), SignatureError> {
    let proof = authorization(headers, signature);
    let headers = [headers, &[("authorization", &*proof)]].concat();
    let parts = parts(method, uri, &headers);
    let key = key(EXAMPLE_SECRET, None);
    Claim::read(&parts)?.verify(&key, &parts, body, time(EXAMPLE_STAMP))
}

#[test]
fn the_header_of_the_documentation_is_right() {
    let headers = [
        ("host", "examplebucket.s3.amazonaws.com"),
        ("range", "bytes=0-9"),
        ("x-amz-content-sha256", EMPTY),
        ("x-amz-date", EXAMPLE_STAMP),
    ];
    let right = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
    let wrong = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb40";
    assert_eq!(check("GET", "/test.txt", &headers, right, b""), Ok(()));
    for (method, uri, signature) in [
        ("GET", "/test.txt", wrong),
        ("GET", "/test.txt", ""),
        ("GET", "/other.txt", right),
        ("GET", "/test.txt?acl", right),
        ("PUT", "/test.txt", right),
    ] {
        assert_eq!(
            check(method, uri, &headers, signature, b""),
            Err(SignatureError::Mismatch),
            "{method} {uri} {signature}"
        );
    }
    assert_eq!(
        check("GET", "/test.txt", &headers, right, b"x"),
        Err(SignatureError::Body)
    );
}

#[test]
fn the_presigned_url_of_the_documentation_is_right_until_it_expires() {
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256\
                 &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
                 &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
                 &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let headers = [("host", "examplebucket.s3.amazonaws.com")];
    let key = key(EXAMPLE_SECRET, None);
    let check = |query: &str, stamp: &str| {
        let parts = parts("GET", &format!("/test.txt?{query}"), &headers);
        Claim::read(&parts)?.verify(&key, &parts, b"", time(stamp))
    };
    assert_eq!(check(query, "20130524T235959Z"), Ok(()));
    assert_eq!(
        check(query, "20130525T000001Z"),
        Err(SignatureError::Expired)
    );
    assert_eq!(check(query, "20130523T234000Z"), Err(SignatureError::Date));
    for (from, to) in [
        ("86400", "604800"),
        ("X-Amz-SignedHeaders", "a=b&X-Amz-SignedHeaders"),
    ] {
        assert_eq!(
            check(&query.replace(from, to), "20130524T000000Z"),
            Err(SignatureError::Mismatch),
            "{to}"
        );
    }
    for (from, to) in [
        ("86400", "604801"),
        ("86400", "0"),
        ("-HMAC-SHA256", "-ECDSA-P256-SHA256"),
        ("&X-Amz-Date=20130524", "&X-Amz-Date=20130525"),
        ("%2Faws4_request", ""),
    ] {
        let problem = check(&query.replace(from, to), "20130524T000000Z");
        assert!(matches!(problem, Err(SignatureError::Form(_))), "{to}");
    }
}

/// A body of 66560 letters in pieces of 65536, 1024 and 0, with these signatures.
fn pieces(signatures: [&str; 3], trailer: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (size, signature) in [65536, 1024, 0].into_iter().zip(signatures) {
        body.extend(format!("{size:x};chunk-signature={signature}\r\n").bytes());
        body.extend(std::iter::repeat_n(b'a', size));
        body.extend(if size > 0 { &b"\r\n"[..] } else { b"" });
    }
    body.extend(trailer.bytes());
    body
}

#[test]
fn the_body_in_pieces_of_the_documentation_is_right() {
    let headers = [
        ("content-encoding", "aws-chunked"),
        ("content-length", "66824"),
        ("host", "s3.amazonaws.com"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("x-amz-date", EXAMPLE_STAMP),
        ("x-amz-decoded-content-length", "66560"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ];
    let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let signatures = [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ];
    let check = |body: &[u8]| {
        check(
            "PUT",
            "/examplebucket/chunkObject.txt",
            &headers,
            seed,
            body,
        )
    };
    let body = pieces(signatures, "\r\n");
    assert_eq!(body.len(), 66824);
    assert_eq!(check(&body), Ok(()));
    let mut other = body.clone();
    other[70000 - 4000] = b'b';
    assert_eq!(check(&other), Err(SignatureError::Mismatch));
    // A piece less, one more, and one in another's place.
    for size in [0, 100, 65536 + 85 + 2] {
        let problem = check(&body[..size]);
        assert!(matches!(problem, Err(SignatureError::Form(_))), "{size}");
    }
    let [first, second, last] = signatures;
    let swapped = pieces([second, first, last], "\r\n");
    assert_eq!(check(&swapped), Err(SignatureError::Mismatch));
    let unsigned = pieces(signatures, "x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n");
    assert_eq!(check(&unsigned), Err(SignatureError::Mismatch));
}

#[test]
fn headers_after_a_body_in_pieces_are_signed_too() {
    let headers = [
        ("content-encoding", "aws-chunked"),
        ("host", "s3.amazonaws.com"),
        (
            "x-amz-content-sha256",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        ),
        ("x-amz-date", EXAMPLE_STAMP),
        ("x-amz-decoded-content-length", "66560"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("x-amz-trailer", "x-amz-checksum-crc32c"),
    ];
    let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    let signatures = [
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ];
    let of_trailer = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435";
    for (checksum, expected) in [
        ("sOO8/Q==", Ok(())),
        ("AAAAAA==", Err(SignatureError::Mismatch)),
    ] {
        let trailer = format!(
            "x-amz-checksum-crc32c:{checksum}\n\r\nx-amz-trailer-signature:{of_trailer}\r\n\r\n"
        );
        let body = pieces(signatures, &trailer);
        let path = "/examplebucket/chunkObject.txt";
        assert_eq!(check("PUT", path, &headers, seed, &body), expected);
    }
}

/// A call to be signed by the SDK's signer.
struct Signed<'a> {
    service: &'a str,
    location: SignatureLocation,
    url: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: SignableBody<'a>,
    token: Option<&'a str>,
}

impl Signed<'_> {
    /// Signs with the example's key, as SDKs do.
    fn parts(&self, at: SystemTime) -> Parts {
        let token = self.token.map(str::to_owned);
        let identity = aws_credential_types::Credentials::new(
            EXAMPLE_KEY,
            EXAMPLE_SECRET,
            token,
            None,
            "test",
        )
        .into();
        let mut settings = SigningSettings::default();
        settings.signature_location = self.location;
        settings.expires_in =
            (self.location == SignatureLocation::QueryParams).then_some(Duration::from_mins(1));
        if self.service == "s3" {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.percent_encoding_mode = aws_sigv4::http_request::PercentEncodingMode::Single;
        }
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name(self.service)
            .time(at)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let headers = self.headers.iter().copied();
        let signable = SignableRequest::new("POST", self.url, headers, self.body.clone()).unwrap();
        let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
        let mut request = Request::post(self.url);
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        let mut parts = request.into_parts().0;
        // A request on a connection has the host in its header.
        let host = parts.uri.authority().unwrap().to_string();
        parts.headers.insert("host", host.parse().unwrap());
        parts.uri = parts
            .uri
            .path_and_query()
            .unwrap()
            .as_str()
            .parse()
            .unwrap();
        parts
    }
}

fn signed<'a>(service: &'a str, url: &'a str, body: &'a [u8]) -> Signed<'a> {
    Signed {
        service,
        location: SignatureLocation::Headers,
        url,
        headers: vec![("x-amz-target", "A.B"), ("accept", "a,   b")],
        body: SignableBody::Bytes(body),
        token: None,
    }
}

fn verify(
    parts: &Parts,
    token: Option<&str>,
    body: &[u8],
    now: SystemTime,
) -> Result<(), SignatureError> {
    Claim::read(parts)?.verify(&key(EXAMPLE_SECRET, token), parts, body, now)
}

#[test]
fn what_the_sdks_sign_is_right() {
    let now = time(EXAMPLE_STAMP);
    let base = "http://127.0.0.1:4566";
    for service in ["ecs", "s3"] {
        for path in [
            "/",
            "/service/x/operation/y",
            "/bucket/a%20b/c%2Bd/e%28f%29~",
            "/bucket?list-type=2&prefix=run%2Ftasks%2F&empty=",
        ] {
            for location in [SignatureLocation::Headers, SignatureLocation::QueryParams] {
                for token in [None, Some("a/token+")] {
                    let url = format!("{base}{path}");
                    let call = Signed {
                        location,
                        token,
                        ..signed(service, &url, b"body")
                    };
                    // A presigned URL of S3 is made without a body.
                    let call = match (service, location) {
                        ("s3", SignatureLocation::QueryParams) => Signed {
                            body: SignableBody::UnsignedPayload,
                            ..call
                        },
                        _ => call,
                    };
                    let parts = call.parts(now);
                    assert_eq!(
                        verify(&parts, token, b"body", now),
                        Ok(()),
                        "{service} {path} {location:?} {token:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_body_may_be_unsigned_for_s3_alone() {
    let now = time(EXAMPLE_STAMP);
    for (service, expected) in [("s3", true), ("ecs", false)] {
        for kind in [
            SignableBody::UnsignedPayload,
            SignableBody::StreamingUnsignedPayloadTrailer,
        ] {
            let call = Signed {
                body: kind,
                ..signed(service, "http://127.0.0.1:4566/b/k", b"")
            };
            let mut parts = call.parts(now);
            // Only the signer of S3 adds the header by itself.
            if service == "ecs" {
                parts
                    .headers
                    .insert("x-amz-content-sha256", "UNSIGNED-PAYLOAD".parse().unwrap());
            }
            let verified = verify(&parts, None, b"anything", now);
            assert_eq!(verified.is_ok(), expected, "{service}: {verified:?}");
        }
    }
}

#[test]
fn a_call_without_the_right_proof_is_refused() {
    let now = time(EXAMPLE_STAMP);
    let right = || signed("ecs", "http://127.0.0.1:4566/", b"{}").parts(now);
    assert_eq!(verify(&right(), None, b"{}", now), Ok(()));
    let minutes = |minutes| Duration::from_mins(minutes);
    assert_eq!(verify(&right(), None, b"{}", now + minutes(15)), Ok(()));
    for late in [now + minutes(16), now - minutes(16)] {
        let refused = verify(&right(), None, b"{}", late);
        assert_eq!(refused, Err(SignatureError::Date));
    }
    let other = verify(&right(), None, b"{ }", now);
    assert_eq!(other, Err(SignatureError::Mismatch), "another body");
    let wrong = key("another secret", None);
    let refused = Claim::read(&right())
        .unwrap()
        .verify(&wrong, &right(), b"{}", now);
    assert_eq!(refused, Err(SignatureError::Mismatch));
    // A token where there is none, none where there is one, and another one.
    let with = |token| {
        let call = signed("ecs", "http://127.0.0.1:4566/", b"{}");
        Signed { token, ..call }.parts(now)
    };
    for (said, known) in [(Some("t"), None), (None, Some("t")), (Some("u"), Some("t"))] {
        let refused = verify(&with(said), known, b"{}", now);
        assert_eq!(
            refused,
            Err(SignatureError::WrongToken),
            "{said:?} {known:?}"
        );
    }

    let change = |change: &dyn Fn(&mut HeaderMap)| {
        let mut parts = right();
        change(&mut parts.headers);
        verify(&parts, None, b"{}", now)
    };
    let set = |name: &'static str, value: &str| {
        change(&|headers| drop(headers.insert(name, value.parse().unwrap())))
    };
    assert_eq!(set("host", "127.0.0.1:4567"), Err(SignatureError::Mismatch));
    assert_eq!(set("x-amz-target", "A.C"), Err(SignatureError::Mismatch));
    assert_eq!(set("user-agent", "another"), Ok(()));
    assert_eq!(
        set("x-amz-acl", "public-read"),
        Err(SignatureError::UnsignedHeader("x-amz-acl".to_owned()))
    );
    for form in [
        "Bearer token",
        "AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo",
        "AWS4-HMAC-SHA256 Credential=K/20130524/eu-west-1/ecs/aws4_request, Signature=x",
        "AWS4-HMAC-SHA256 Credential=K/20130524/ecs, SignedHeaders=host, Signature=x",
        "AWS4-HMAC-SHA256 Credential=K/20130525/eu-west-1/ecs/aws4_request, SignedHeaders=host, Signature=x",
    ] {
        let refused = set("authorization", form);
        assert!(
            matches!(refused, Err(SignatureError::Form(_))),
            "{form}: {refused:?}"
        );
    }
    let refused = set("x-amz-date", "yesterday");
    assert!(
        matches!(refused, Err(SignatureError::Form(_))),
        "{refused:?}"
    );
    let unsigned = change(&|headers| drop(headers.remove("authorization")));
    assert_eq!(unsigned, Err(SignatureError::Missing));
    let twice = change(&|headers| {
        headers.append("authorization", "x".parse().unwrap());
    });
    assert!(matches!(twice, Err(SignatureError::Form(_))), "{twice:?}");
}

#[test]
fn a_refusal_has_the_services_own_code() {
    use super::super::call::Protocol::{Cbor, Json, Query, Rest};
    for (problem, protocol, code) in [
        (SignatureError::Missing, Query, "MissingAuthenticationToken"),
        (SignatureError::Missing, Rest, "AccessDenied"),
        (
            SignatureError::UnknownKey,
            Json,
            "UnrecognizedClientException",
        ),
        (SignatureError::UnknownKey, Query, "InvalidClientTokenId"),
        (SignatureError::UnknownKey, Rest, "InvalidAccessKeyId"),
        (SignatureError::Mismatch, Cbor, "InvalidSignatureException"),
        (SignatureError::Mismatch, Rest, "SignatureDoesNotMatch"),
        (SignatureError::Date, Rest, "RequestTimeTooSkewed"),
    ] {
        assert_eq!(problem.code(protocol), code, "{problem} {protocol:?}");
    }
}
