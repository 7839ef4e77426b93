//! Signed calls to services without an SDK here: EC2, IAM, CloudWatch Logs, and S3's bucket level.
//!
//! A dozen calls that look and delete by name. Signing, credentials, TLS and connections are the
//! SDK's own parts; only the few lines of each protocol are ours.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt as _;
use hyper::http::Request;
use jiff::fmt::rfc2822;
use tokio::time::{sleep, timeout};

use super::failure::Failure;
use super::{Aws, explain};

mod answer;

use answer::{code, is_whole, message};
pub use answer::{element, elements, members};

/// Limit for one answer: describes are small.
const ANSWER: Duration = Duration::from_secs(20);
/// Throttling and server errors are tried again, with a doubling pause.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(300);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A call that AWS refused, or that got no answer.
#[derive(Debug, thiserror::Error)]
#[error("{call}: {code}: {message}")]
pub struct QueryError {
    /// The action, for example `DescribeSubnets`.
    pub call: String,
    /// AWS's own code, or `Connection`, `Credentials`, `Timeout` where no answer came.
    pub code: String,
    /// AWS's message, or the cause of a failed connection.
    pub message: String,
    /// The kind of the failure, by code or HTTP status.
    pub failure: Failure,
    source: Option<BoxError>,
}

impl QueryError {
    /// True if the resource is not there, by AWS's own code. A bare 404 may be any web server's,
    /// and proves nothing.
    pub fn not_found(&self) -> bool {
        self.failure == Failure::Gone
    }

    /// An answer without a part that it should have.
    pub fn lacks(call: &str, part: &str) -> Self {
        Self {
            call: call.to_owned(),
            code: "Unreadable".to_owned(),
            message: format!("the answer has no {part}"),
            failure: Failure::Unknown,
            source: None,
        }
    }

    fn because(self, source: impl Into<BoxError>) -> Self {
        Self {
            source: Some(source.into()),
            ..self
        }
    }
}

/// A service as signing and endpoints know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The settings of Auto Scaling groups, read and written whole.
    Autoscaling,
    /// Subnets and security groups.
    Ec2,
    /// Roles and their policies; one endpoint for all regions.
    Iam,
    /// CloudWatch Logs: log groups.
    Logs,
    /// Buckets; objects go through the channel.
    S3,
    /// The Resource Groups Tagging API.
    Tagging,
}

impl Service {
    fn signing_name(self) -> &'static str {
        match self {
            Self::Autoscaling => "autoscaling",
            Self::Ec2 => "ec2",
            Self::Iam => "iam",
            Self::Logs => "logs",
            Self::S3 => "s3",
            Self::Tagging => "tagging",
        }
    }

    /// Returns the region to sign for. IAM is one per partition, and signed for that partition's
    /// home.
    fn signing_region(self, region: &str) -> &str {
        match (self, partition(region)) {
            (Self::Iam, Partition::Aws) => "us-east-1",
            (Self::Iam, Partition::China) => "cn-north-1",
            (Self::Iam, Partition::UsGov) => "us-gov-west-1",
            _ => region,
        }
    }

    fn endpoint(self, region: &str) -> String {
        let suffix = if partition(region) == Partition::China {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        match (self, partition(region)) {
            (Self::Iam, Partition::Aws) => "https://iam.amazonaws.com".to_owned(),
            (Self::Iam, Partition::China) => "https://iam.cn-north-1.amazonaws.com.cn".to_owned(),
            (Self::Iam, Partition::UsGov) => "https://iam.us-gov.amazonaws.com".to_owned(),
            _ => format!("https://{}.{region}.{suffix}", self.signing_name()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Partition {
    Aws,
    China,
    UsGov,
}

fn partition(region: &str) -> Partition {
    if region.starts_with("cn-") {
        Partition::China
    } else if region.starts_with("us-gov-") {
        Partition::UsGov
    } else {
        Partition::Aws
    }
}

/// The response to a call.
#[derive(Debug)]
struct Response {
    status: u16,
    /// AWS's error code.
    code: Option<String>,
    text: String,
    modified: Option<String>,
    date: Option<String>,
}

/// Makes signed calls as the caller.
#[derive(Debug, Clone)]
pub struct Query {
    aws: Aws,
    connector: SharedHttpConnector,
}

/// A request before signing.
#[derive(Debug, Clone)]
struct Call {
    service: Service,
    name: String,
    method: &'static str,
    /// Path and query, already encoded.
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Query {
    /// Calls with the credentials and the region of `aws`; sends nothing yet.
    pub fn new(aws: &Aws) -> Self {
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(ANSWER)
            .build();
        Self {
            aws: aws.clone(),
            connector: super::connector(settings),
        }
    }

    /// Calls an action of Auto Scaling, EC2 or IAM; returns the XML.
    pub async fn action(
        &self,
        service: Service,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, QueryError> {
        let version = match service {
            Service::Autoscaling => "2011-01-01",
            Service::Iam => "2010-05-08",
            _ => "2016-11-15",
        };
        let mut body = format!("Action={action}&Version={version}");
        for (name, value) in parameters {
            body.push_str(&format!("&{name}={}", encode(value)));
        }
        let headers = vec![(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
        )];
        let name = action.to_owned();
        let call = Call {
            service,
            name,
            method: "POST",
            path: "/".to_owned(),
            headers,
            body: body.into_bytes(),
        };
        self.xml(call).await
    }

    /// Calls an operation of CloudWatch Logs or of the tagging API; request and answer are JSON.
    pub async fn json(
        &self,
        service: Service,
        operation: &str,
        question: &serde_json::Value,
    ) -> Result<serde_json::Value, QueryError> {
        let version = if service == Service::Logs {
            "Logs_20140328"
        } else {
            "ResourceGroupsTaggingAPI_20170126"
        };
        let headers = vec![
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("{version}.{operation}")),
        ];
        let (name, path) = (operation.to_owned(), "/".to_owned());
        let body = question.to_string().into_bytes();
        let call = Call {
            service,
            name,
            method: "POST",
            path,
            headers,
            body,
        };
        let text = self.send(call.clone()).await?.text;
        // Deletes answer with nothing.
        if text.is_empty() {
            return Ok(serde_json::Value::Null);
        }
        serde_json::from_str(&text)
            .map_err(|source| unreadable(&call, source.to_string()).because(source))
    }

    /// Returns the age of an object by the store's own clock: its `Last-Modified` against the
    /// `Date` of the same answer, so no clock of ours is used. Whole seconds.
    pub async fn age(&self, bucket: &str, key: &str) -> Result<Duration, QueryError> {
        let (name, path) = ("GetObject".to_owned(), format!("/{bucket}/{key}"));
        let call = Call {
            service: Service::S3,
            name,
            method: "GET",
            path,
            headers: Vec::new(),
            body: Vec::new(),
        };
        let answer = self.send(call.clone()).await?;
        let stamp = |at: &Option<String>| at.as_deref().and_then(|at| rfc2822::parse(at).ok());
        match (stamp(&answer.modified), stamp(&answer.date)) {
            (Some(modified), Some(date)) => {
                Ok(Duration::try_from(date.duration_since(&modified)).unwrap_or_default())
            }
            _ => Err(unreadable(
                &call,
                "the answer does not say when the object was written, or what time it is",
            )),
        }
    }

    /// Calls a whole bucket, path style; `query` begins with `?` or is empty.
    pub async fn bucket(
        &self,
        method: &'static str,
        bucket: &str,
        tail: &str,
    ) -> Result<String, QueryError> {
        let (name, path) = (format!("{method} bucket"), format!("/{bucket}{tail}"));
        let call = Call {
            service: Service::S3,
            name,
            method,
            path,
            headers: Vec::new(),
            body: Vec::new(),
        };
        match method {
            // The list of what is in it.
            "GET" => self.xml(call).await,
            _ => Ok(self.send(call).await?.text),
        }
    }

    /// Sends a call and fails unless the answer is a whole XML document of AWS. A truncated list
    /// would otherwise be taken for a short one, and another server's page for an empty one.
    async fn xml(&self, call: Call) -> Result<String, QueryError> {
        let text = self.send(call.clone()).await?.text;
        match is_whole(&text) {
            true => Ok(text),
            false => Err(unreadable(
                &call,
                "the answer is no whole XML document of AWS",
            )),
        }
    }

    async fn send(&self, call: Call) -> Result<Response, QueryError> {
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            let result = self.send_once(&call).await;
            let failure = match &result {
                Ok(answer) => answer.failure(),
                Err(error) => error.failure,
            };
            if !failure.passes() || attempt == ATTEMPTS {
                let answer = result?;
                return if answer.status < 300 {
                    Ok(answer)
                } else {
                    Err(answer.refusal(&call))
                };
            }
            sleep(pause).await;
            pause *= 2;
            attempt += 1;
        }
    }

    async fn send_once(&self, call: &Call) -> Result<Response, QueryError> {
        let request = self.sign(call).await?;
        let answer = timeout(ANSWER, self.connector.call(request))
            .await
            .map_err(|_| late(call, "no answer in time"))?
            .map_err(|source| {
                error(call, "Connection", Failure::Network, explain(&source)).because(source)
            })?;
        let status = answer.status().as_u16();
        let header = |name: &str| answer.headers().get(name).map(str::to_owned);
        let (modified, date) = (header("last-modified"), header("date"));
        let body = timeout(ANSWER, answer.into_body().collect())
            .await
            .map_err(|_| late(call, "the answer broke off"))?
            .map_err(|source| {
                error(call, "Connection", Failure::Network, source.to_string()).because(source)
            })?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        let code = code(&text);
        Ok(Response {
            status,
            code,
            text,
            modified,
            date,
        })
    }

    async fn sign(&self, call: &Call) -> Result<HttpRequest, QueryError> {
        let no_credentials = |source: CredentialsError| {
            let failure = Failure::Credentials;
            error(call, "Credentials", failure, source.to_string()).because(source)
        };
        let base = match &self.aws.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => call.service.endpoint(&self.aws.region),
        };
        let credentials = self
            .aws
            .credentials
            .provide_credentials()
            .await
            .map_err(no_credentials)?;
        let identity = credentials.into();
        let mut settings = SigningSettings::default();
        if call.service == Service::S3 {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            // S3 takes a path as it is sent; all other services encode it once more.
            settings.percent_encoding_mode = PercentEncodingMode::Single;
        }
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(call.service.signing_region(&self.aws.region))
            .name(call.service.signing_name())
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|source| unsigned(call, source))?
            .into();
        let url = format!("{base}{}", call.path);
        let headers = call
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        let signable =
            SignableRequest::new(call.method, &url, headers, SignableBody::Bytes(&call.body))
                .map_err(|source| unsigned(call, source))?;
        let (instructions, _) = sign(signable, &parameters)
            .map_err(|source| unsigned(call, source))?
            .into_parts();
        let mut request = Request::builder().method(call.method).uri(&url);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let mut request = request
            .body(SdkBody::from(call.body.clone()))
            .map_err(|source| unsigned(call, source))?;
        instructions.apply_to_request_http1x(&mut request);
        HttpRequest::try_from(request).map_err(|source| unsigned(call, source))
    }
}

impl Response {
    fn failure(&self) -> Failure {
        let message = self.code.is_some().then(|| message(&self.text));
        Failure::of_answer(self.code.as_deref(), message.as_deref(), Some(self.status))
    }

    fn refusal(&self, call: &Call) -> QueryError {
        let status = self.status.to_string();
        let code = self.code.as_deref().unwrap_or(&status);
        error(call, code, self.failure(), message(&self.text))
    }
}

fn error(call: &Call, code: &str, failure: Failure, message: impl Into<String>) -> QueryError {
    QueryError {
        call: call.name.clone(),
        code: code.to_owned(),
        message: message.into(),
        failure,
        source: None,
    }
}

fn late(call: &Call, message: &str) -> QueryError {
    error(call, "Timeout", Failure::Network, message)
}

fn unreadable(call: &Call, message: impl Into<String>) -> QueryError {
    error(call, "Unreadable", Failure::Unknown, message)
}

fn unsigned(call: &Call, source: impl Into<BoxError>) -> QueryError {
    let source = source.into();
    error(call, "Signing", Failure::Unknown, source.to_string()).because(source)
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub fn encode(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_follow_the_partition() {
        for (service, region, endpoint, signed_for) in [
            (
                Service::Ec2,
                "eu-west-1",
                "https://ec2.eu-west-1.amazonaws.com",
                "eu-west-1",
            ),
            (
                Service::Iam,
                "eu-west-1",
                "https://iam.amazonaws.com",
                "us-east-1",
            ),
            (
                Service::Logs,
                "cn-north-1",
                "https://logs.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
            ),
            (
                Service::Iam,
                "us-gov-east-1",
                "https://iam.us-gov.amazonaws.com",
                "us-gov-west-1",
            ),
        ] {
            assert_eq!(service.endpoint(region), endpoint);
            assert_eq!(service.signing_region(region), signed_for);
        }
    }

    fn call() -> Call {
        Call {
            service: Service::S3,
            name: "GetObject".to_owned(),
            method: "GET",
            path: "/".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn answer(status: u16, code: Option<&str>) -> Response {
        Response {
            status,
            code: code.map(str::to_owned),
            text: String::new(),
            modified: None,
            date: None,
        }
    }

    #[test]
    fn load_is_waited_out_and_a_refusal_is_not() {
        for (status, code) in [
            (503, None),
            (429, None),
            (400, Some("Throttling")),
            (409, Some("OperationAborted")),
        ] {
            assert!(answer(status, code).failure().passes(), "{status} {code:?}");
        }
        for (status, code) in [
            (200, None),
            (403, Some("AccessDenied")),
            (404, Some("NoSuchEntity")),
            (400, Some("ExpiredToken")),
        ] {
            assert!(
                !answer(status, code).failure().passes(),
                "{status} {code:?}"
            );
        }
    }

    #[test]
    fn only_aws_says_that_something_is_not_there() {
        for code in [
            "InvalidGroup.NotFound",
            "NoSuchEntity",
            "NoSuchBucket",
            "ResourceNotFoundException",
        ] {
            let error = answer(404, Some(code)).refusal(&call());
            assert!(error.not_found(), "{error}");
        }
        for error in [
            answer(404, None).refusal(&call()),
            answer(403, Some("AccessDenied")).refusal(&call()),
            late(&call(), ""),
            unreadable(&call(), ""),
        ] {
            assert!(!error.not_found(), "{error}");
        }
    }

    #[tokio::test]
    async fn a_throttled_call_is_made_again_and_signed_again() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async move {
            let mut heard = Vec::new();
            for status in ["429 Too Many Requests", "503 Service Unavailable", "200 OK"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 16 * 1024];
                let read = stream.read(&mut request).await.unwrap();
                heard.push(String::from_utf8_lossy(&request[..read]).to_lowercase());
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 18\r\nconnection: close\r\n\r\n<GetRoleResponse/>");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            heard
        });
        let credentials =
            aws_credential_types::Credentials::new("TEST", "test", None, None, "test");
        let aws = Aws {
            region: "eu-west-1".to_owned(),
            endpoint: Some(endpoint),
            credentials: aws_credential_types::provider::SharedCredentialsProvider::new(
                credentials,
            ),
            sdk: aws_config::SdkConfig::builder().build(),
        };
        Query::new(&aws)
            .action(Service::Iam, "GetRole", &[("RoleName", "a")])
            .await
            .unwrap();
        for request in server.join_next().await.unwrap().unwrap() {
            assert!(request.contains("/us-east-1/iam/aws4_request"), "{request}");
        }
    }

    #[tokio::test]
    async fn a_chain_that_gives_nothing_is_a_failure_of_credentials_whatever_its_reason() {
        #[derive(Debug)]
        struct Late;
        impl aws_credential_types::provider::ProvideCredentials for Late {
            fn provide_credentials<'a>(
                &'a self,
            ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
            where
                Self: 'a,
            {
                aws_credential_types::provider::future::ProvideCredentials::ready(Err(
                    CredentialsError::provider_timed_out(ANSWER),
                ))
            }
        }
        let aws = Aws {
            region: "eu-west-1".to_owned(),
            endpoint: None,
            credentials: aws_credential_types::provider::SharedCredentialsProvider::new(Late),
            sdk: aws_config::SdkConfig::builder().build(),
        };
        let error = Query::new(&aws)
            .action(Service::Iam, "GetRole", &[])
            .await
            .unwrap_err();
        assert_eq!(error.failure, Failure::Credentials);
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.is::<CredentialsError>(), "{source}");
    }

    #[test]
    fn error_codes_are_read_from_xml_and_json() {
        let xml = "<ErrorResponse><Error><Code>NoSuchEntity</Code><Message>role a not found</Message></Error></ErrorResponse>";
        assert_eq!(
            (code(xml), message(xml)),
            (
                Some("NoSuchEntity".to_owned()),
                "role a not found".to_owned()
            )
        );
        let json = r#"{"__type":"com.amazonaws.logs#ResourceNotFoundException","message":"no such group"}"#;
        assert_eq!(code(json), Some("ResourceNotFoundException".to_owned()));
        assert_eq!(message(json), "no such group");
    }

    #[test]
    fn all_elements_of_a_name_are_found() {
        let xml = "<r><set><item><subnetId>a</subnetId></item><item><subnetId>b</subnetId></item></set></r>";
        assert_eq!(elements(xml, "subnetId"), ["a", "b"]);
        assert_eq!(element(xml, "vpcId"), None);
        assert_eq!(
            elements("<r><Key>a&amp;b &#39;c&apos;</Key></r>", "Key"),
            ["a&b 'c'"]
        );
    }

    #[test]
    fn what_broke_off_or_is_somebody_elses_page_is_no_answer() {
        let list = "<?xml version=\"1.0\"?>\n<ListRolesResponse><Roles><member><RoleName>a</RoleName></member></Roles>\
            <IsTruncated/></ListRolesResponse>\n";
        assert!(is_whole(list) && is_whole("<ListBucketResult xmlns=\"x\"/>"));
        for length in 1..list.trim_end().len() {
            assert!(!is_whole(&list[..length]), "{}", &list[..length]);
        }
        for page in [
            "",
            "ok",
            "{}",
            "<html><body/></html>",
            "<html><body><ListRolesResponse/></body></html>",
        ] {
            assert!(!is_whole(page), "{page}");
        }
    }

    #[test]
    fn values_are_encoded() {
        assert_eq!(encode("/spikeproof/a b~c"), "%2Fspikeproof%2Fa%20b~c");
    }
}
