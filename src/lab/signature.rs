//! Whether a call is signed by a key of this lab: AWS's Signature Version 4, in the header or in the
//! query.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
//!
//! Region and service are those that the caller names: the lab has them all. A call can be sent again
//! while its date holds, as in AWS.

use std::time::{Duration, SystemTime};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::call::{ApiCall, ApiError, LabResponse, Protocol, QueryParameters};
use super::keys::AccessKey;
use super::secret::same;

mod canonical;
mod chunks;

use canonical::digest;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far the date of a call may be from now, as in S3.
const SKEW: Duration = Duration::from_mins(15);
/// The longest life of a presigned URL.
const LONGEST: u64 = 7 * 24 * 3600;

/// Why a call is not believed to come from the one it names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("the lab answers signed calls only")]
    Missing,
    #[error("{0}")]
    Form(&'static str),
    #[error("the lab handed out no such access key")]
    UnknownKey,
    #[error("the security token is not the one of this access key")]
    WrongToken,
    #[error("the date of the call is more than 15 minutes from now")]
    Date,
    #[error("the presigned URL has expired")]
    Expired,
    #[error("the header `{0}` is not signed")]
    UnsignedHeader(String),
    #[error("the signature is not the one of this call")]
    Mismatch,
    #[error("the body is not the one of `x-amz-content-sha256`")]
    Body,
}

impl SignatureError {
    /// Returns the refusal in the words of the called service.
    pub(crate) fn answer(&self, call: &ApiCall) -> LabResponse {
        let mut answer = call.refuse(&ApiError::new(self.code(call.protocol), self.to_string()));
        *answer.status_mut() = match self {
            Self::Body => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        };
        answer
    }

    fn code(&self, protocol: Protocol) -> &'static str {
        let [query, json, s3] = match self {
            Self::Missing => [
                "MissingAuthenticationToken",
                "MissingAuthenticationTokenException",
                "AccessDenied",
            ],
            Self::Form(_) | Self::UnsignedHeader(_) => ["IncompleteSignature"; 3],
            Self::UnknownKey => [
                "InvalidClientTokenId",
                "UnrecognizedClientException",
                "InvalidAccessKeyId",
            ],
            Self::WrongToken => [
                "InvalidClientTokenId",
                "UnrecognizedClientException",
                "InvalidToken",
            ],
            Self::Date => [
                "RequestExpired",
                "InvalidSignatureException",
                "RequestTimeTooSkewed",
            ],
            Self::Expired => [
                "RequestExpired",
                "InvalidSignatureException",
                "AccessDenied",
            ],
            Self::Mismatch => [
                "SignatureDoesNotMatch",
                "InvalidSignatureException",
                "SignatureDoesNotMatch",
            ],
            Self::Body => ["XAmzContentSHA256Mismatch"; 3],
        };
        match protocol {
            Protocol::Query => query,
            Protocol::Json | Protocol::Cbor => json,
            Protocol::Rest => s3,
        }
    }
}

/// Who a call says it comes from, and its proof, before it is checked.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// The access key id.
    pub key: String,
    /// The signing name, such as `ecs`.
    pub service: String,
    region: String,
    /// The date of the call, as it says it: `20261124T101500Z`.
    stamp: String,
    at: SystemTime,
    signed: Vec<String>,
    signature: String,
    token: Option<String>,
    /// The life of a presigned URL; `None` if the signature is in a header.
    lives: Option<Duration>,
}

/// The texts of a claim, from the header or from the query.
struct Said {
    credential: String,
    signed: String,
    signature: String,
    stamp: String,
    token: Option<String>,
    lives: Option<Duration>,
}

impl Claim {
    /// Reads what a call says; believes nothing of it.
    pub(crate) fn read(parts: &Parts) -> Result<Self, SignatureError> {
        let query = QueryParameters::read(parts.uri.query().unwrap_or_default().as_bytes());
        let in_query = query.get("X-Amz-Signature").is_some();
        let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
        let said = match (headers.next(), headers.next(), in_query) {
            (None, ..) if in_query => Said::in_query(&query)?,
            (None, ..) => return Err(SignatureError::Missing),
            (Some(header), None, false) => {
                let header = header.to_str().map_err(|_| NOT_A_SIGNATURE)?;
                Said::in_header(header, &parts.headers)?
            }
            _ => return Err(SignatureError::Form("the call is signed more than once")),
        };
        said.claim()
    }

    /// Checks the proof with the key of the one that the call names.
    pub(crate) fn verify(
        &self,
        key: &AccessKey,
        parts: &Parts,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), SignatureError> {
        self.is_of_now(now)?;
        let token = match (&key.token, &self.token) {
            (None, None) => true,
            (Some(token), Some(said)) => token.is(said),
            _ => false,
        };
        if !token {
            return Err(SignatureError::WrongToken);
        }
        self.signs_what_matters(&parts.headers)?;
        let payload = self.payload(parts, body);
        let canonical = canonical::request(parts, &self.service, &self.signed, &payload);
        let seal = Seal {
            key: generate_signing_key(key.secret.text(), self.at, &self.region, &self.service)
                .as_ref()
                .to_vec(),
            stamp: &self.stamp,
            scope: &self.scope(),
        };
        let right = seal.of(ALGORITHM, &[&digest(canonical.as_bytes())]);
        if !same(&right, &self.signature) {
            return Err(SignatureError::Mismatch);
        }
        self.covers(&payload, &seal, body)
    }

    fn scope(&self) -> String {
        let (day, region, service) = (&self.stamp[..8], &self.region, &self.service);
        format!("{day}/{region}/{service}/aws4_request")
    }

    fn is_of_now(&self, now: SystemTime) -> Result<(), SignatureError> {
        let age = now.duration_since(self.at);
        match (age, self.lives) {
            (Err(early), _) if early.duration() > SKEW => Err(SignatureError::Date),
            (Err(_), _) => Ok(()),
            (Ok(age), Some(lives)) if age > lives => Err(SignatureError::Expired),
            (Ok(age), None) if age > SKEW => Err(SignatureError::Date),
            (Ok(_), _) => Ok(()),
        }
    }

    /// The host and AWS's own headers must be signed. A client may leave out the one in which it
    /// names itself.
    fn signs_what_matters(&self, headers: &HeaderMap) -> Result<(), SignatureError> {
        let signed = |name: &str| self.signed.iter().any(|one| one == name);
        let own = headers
            .keys()
            .map(HeaderName::as_str)
            .filter(|name| name.starts_with("x-amz-") && *name != "x-amz-user-agent");
        match own.chain(["host"]).find(|name| !signed(name)) {
            Some(name) => Err(SignatureError::UnsignedHeader(name.to_owned())),
            None => Ok(()),
        }
    }

    /// Returns the payload's part of the canonical request.
    fn payload(&self, parts: &Parts, body: &[u8]) -> String {
        match parts.headers.get("x-amz-content-sha256") {
            Some(said) => String::from_utf8_lossy(said.as_bytes()).trim().to_owned(),
            // S3's presigned URLs are made before there is a body.
            None if self.lives.is_some() && self.service == "s3" => UNSIGNED.to_owned(),
            None => digest(body),
        }
    }

    /// Checks the body against what was signed in its place. S3 alone takes bodies that are not
    /// signed; object stores and SDKs send them.
    fn covers(&self, payload: &str, seal: &Seal<'_>, body: &[u8]) -> Result<(), SignatureError> {
        match payload {
            UNSIGNED | "STREAMING-UNSIGNED-PAYLOAD-TRAILER" if self.service == "s3" => Ok(()),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" | "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
                chunks::verify(seal, &self.signature, body)
            }
            hash if hash == digest(body) => Ok(()),
            hash if hash.len() == 64 => Err(SignatureError::Body),
            _ => Err(SignatureError::Form(
                "`x-amz-content-sha256` is no digest, and no word that this service takes",
            )),
        }
    }
}

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const NOT_A_SIGNATURE: SignatureError =
    SignatureError::Form("the call is not signed with AWS4-HMAC-SHA256");
const NO_DATE: SignatureError = SignatureError::Form(
    "the call has no `x-amz-date` like 20261124T101500Z, or the scope another",
);

impl Said {
    fn in_header(header: &str, headers: &HeaderMap) -> Result<Self, SignatureError> {
        let fields = header.strip_prefix(ALGORITHM).ok_or(NOT_A_SIGNATURE)?;
        let field = |wanted: &str| {
            let pairs = fields
                .split(',')
                .filter_map(|pair| pair.trim().split_once('='));
            let mut values = pairs.filter(|(name, _)| *name == wanted);
            match (values.next(), values.next()) {
                (Some((_, value)), None) => Ok(value.to_owned()),
                _ => Err(SignatureError::Form(
                    "`authorization` needs Credential, SignedHeaders and Signature, each once",
                )),
            }
        };
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Ok(Self {
            credential: field("Credential")?,
            signed: field("SignedHeaders")?,
            signature: field("Signature")?,
            stamp: text("x-amz-date").ok_or(NO_DATE)?.to_owned(),
            token: text("x-amz-security-token").map(str::to_owned),
            lives: None,
        })
    }

    fn in_query(query: &QueryParameters) -> Result<Self, SignatureError> {
        if query.get("X-Amz-Algorithm") != Some(ALGORITHM) {
            return Err(NOT_A_SIGNATURE);
        }
        let field = |name: &str| {
            query.get(name).map(str::to_owned).ok_or(SignatureError::Form(
                "the query needs X-Amz-Credential, -Date, -Expires, -SignedHeaders and -Signature",
            ))
        };
        let lives = query
            .number("X-Amz-Expires")
            .filter(|seconds| (1..=LONGEST).contains(seconds))
            .ok_or(SignatureError::Form(
                "`X-Amz-Expires` must be 1 to 604800 seconds",
            ))?;
        Ok(Self {
            credential: field("X-Amz-Credential")?,
            signed: field("X-Amz-SignedHeaders")?,
            signature: field("X-Amz-Signature")?,
            stamp: field("X-Amz-Date")?,
            token: query.get("X-Amz-Security-Token").map(str::to_owned),
            lives: Some(Duration::from_secs(lives)),
        })
    }

    fn claim(self) -> Result<Claim, SignatureError> {
        let scope: Vec<&str> = self.credential.split('/').collect();
        let [key, day, region, service, "aws4_request"] = scope[..] else {
            return Err(SignatureError::Form(
                "the credential is not KEY/DATE/REGION/SERVICE/aws4_request",
            ));
        };
        let date = DateTime::strptime("%Y%m%dT%H%M%SZ", &self.stamp).map_err(|_| NO_DATE)?;
        let at = TimeZone::UTC.to_timestamp(date).map_err(|_| NO_DATE)?;
        let at = SystemTime::try_from(at).map_err(|_| NO_DATE)?;
        if self.stamp.get(..8) != Some(day) {
            return Err(NO_DATE);
        }
        Ok(Claim {
            key: key.to_owned(),
            service: service.to_owned(),
            region: region.to_owned(),
            at,
            signed: self.signed.split(';').map(str::to_owned).collect(),
            signature: self.signature,
            stamp: self.stamp,
            token: self.token,
            lives: self.lives,
        })
    }
}

/// The parts that every signature of one call has in common.
struct Seal<'a> {
    key: Vec<u8>,
    stamp: &'a str,
    scope: &'a str,
}

impl Seal<'_> {
    fn of(&self, algorithm: &str, parts: &[&str]) -> String {
        let (stamp, scope) = (self.stamp, self.scope);
        let text = format!("{algorithm}\n{stamp}\n{scope}\n{}", parts.join("\n"));
        calculate_signature(&self.key, text.as_bytes())
    }

    /// Returns the signature of a piece of a body.
    fn continued(&self, kind: &str, parts: &[&str]) -> String {
        self.of(&format!("{ALGORITHM}-{kind}"), parts)
    }
}

#[cfg(test)]
mod tests;
