//! Credentials of a GitHub job that may ask for identity tokens (`permissions: id-token: write`). A
//! session that ends is renewed for as long as the job runs, also in the middle of a destroy.
//!
//! The usual action writes a session's keys into the environment, and nothing renews those. With
//! `AWS_ROLE_ARN` beside them it is known which role they are a session of.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt as _;
use hyper::http::Request;
use serde::Deserialize;
use tokio::time::timeout;

use super::connector;
use super::failure::Failure;

/// The timeout of GitHub's token service and of STS.
const ANSWER: Duration = Duration::from_secs(20);
/// Whom the token is for, as AWS's identity provider for GitHub is set up.
const AUDIENCE: &str = "sts.amazonaws.com";

#[derive(Debug)]
pub(super) struct JobIdentity {
    url: String,
    bearer: String,
    role: String,
    connector: SharedHttpConnector,
    sts: aws_sdk_sts::Client,
}

#[derive(Deserialize)]
struct Token {
    value: String,
}

/// Why GitHub's token, or a session for it, could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    #[error("GitHub's identity token: no answer in time")]
    Late,
    #[error("GitHub's identity token: status {0}")]
    Refused(u16),
    #[error("GitHub's identity token")]
    NotReached(#[from] ConnectorError),
    #[error("GitHub's identity token: {0}")]
    BrokeOff(String),
    #[error("GitHub's identity token: {0}")]
    Unreadable(String),
    #[error("GitHub's identity token: STS gave no keys for it")]
    NoKeys,
}

impl IdentityError {
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Late | Self::BrokeOff(_) => Failure::Network,
            Self::Refused(status) => match Failure::of_code("", Some(*status)) {
                failure if failure.passes() => failure,
                _ => Failure::Credentials,
            },
            // Its own cause tells.
            Self::NotReached(_) => Failure::Unknown,
            Self::Unreadable(_) | Self::NoKeys => Failure::Credentials,
        }
    }
}

impl JobIdentity {
    /// Returns the job's identity; `None` unless the job may ask for tokens and the role is named.
    pub(super) fn of(env: impl Fn(&str) -> Option<String>, sdk: &SdkConfig) -> Option<Self> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let url = set("ACTIONS_ID_TOKEN_REQUEST_URL")?;
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(ANSWER);
        Some(Self {
            url: format!(
                "{url}{}audience={AUDIENCE}",
                if url.contains('?') { '&' } else { '?' }
            ),
            bearer: set("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?,
            role: set("AWS_ROLE_ARN")?,
            connector: connector(settings.build()),
            sts: aws_sdk_sts::Client::new(sdk),
        })
    }

    async fn assume(&self) -> provider::Result {
        let token = timeout(ANSWER, self.token())
            .await
            .unwrap_or(Err(IdentityError::Late))
            .map_err(CredentialsError::provider_error)?;
        let session = format!("spikeproof-{}", std::process::id());
        let answer = self
            .sts
            .assume_role_with_web_identity()
            .role_arn(&self.role)
            .role_session_name(session)
            .web_identity_token(token)
            .send()
            .await
            .map_err(CredentialsError::provider_error)?;
        let keys = answer
            .credentials()
            .ok_or_else(|| CredentialsError::provider_error(IdentityError::NoKeys))?;
        let ends = SystemTime::try_from(*keys.expiration()).ok();
        let (id, secret) = (keys.access_key_id(), keys.secret_access_key());
        Ok(Credentials::new(
            id,
            secret,
            Some(keys.session_token().to_owned()),
            ends,
            "GitHub job identity",
        ))
    }

    async fn token(&self) -> Result<String, IdentityError> {
        let unreadable = |why: &dyn std::error::Error| IdentityError::Unreadable(why.to_string());
        let request = Request::get(&self.url)
            .header("authorization", format!("bearer {}", self.bearer))
            .header("accept", "application/json")
            .body(SdkBody::empty())
            .map_err(|error| unreadable(&error))?;
        let request = HttpRequest::try_from(request).map_err(|error| unreadable(&error))?;
        let answer = self.connector.call(request).await?;
        let status = answer.status().as_u16();
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(|error| IdentityError::BrokeOff(error.to_string()))?
            .to_bytes();
        if status != 200 {
            return Err(IdentityError::Refused(status));
        }
        serde_json::from_slice(&body)
            .map(|token: Token| token.value)
            .map_err(|error| unreadable(&error))
    }
}

impl ProvideCredentials for JobIdentity {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const KEYS: &str = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
        <AccessKeyId>FRESH</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken>\
        <Expiration>2030-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
        </AssumeRoleWithWebIdentityResponse>";

    /// Answers this number of requests, each by its content, and returns them.
    async fn serve(listener: TcpListener, requests: usize) -> Vec<String> {
        let mut heard = Vec::new();
        while heard.len() < requests {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut piece = vec![0; 16 * 1024];
            let mut text = String::new();
            while !text.contains("audience=") && !text.contains("WebIdentityToken=") {
                let read = stream.read(&mut piece).await.unwrap();
                text.push_str(&String::from_utf8_lossy(&piece[..read]));
            }
            let body = if text.contains("audience=") {
                "{\"value\":\"signed-token\"}"
            } else {
                KEYS
            };
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            heard.push(text);
        }
        heard
    }

    #[tokio::test]
    async fn a_jobs_identity_token_becomes_a_session_of_the_role() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = format!("http://{}", listener.local_addr().unwrap());
        let mut server = tokio::task::JoinSet::new();
        server.spawn(serve(listener, 2));
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(&here)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let env = |name: &str| match name {
            "ACTIONS_ID_TOKEN_REQUEST_URL" => Some(format!("{here}/token?job=1")),
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN" => Some("bearer-of-the-job".to_owned()),
            "AWS_ROLE_ARN" => Some("arn:aws:iam::123456789012:role/ci".to_owned()),
            _ => None,
        };
        let identity = JobIdentity::of(env, &sdk).unwrap();
        let keys = identity.provide_credentials().await.unwrap();
        assert_eq!(
            (keys.access_key_id(), keys.session_token()),
            ("FRESH", Some("session"))
        );
        assert!(keys.expiry().is_some());
        let heard = server.join_next().await.unwrap().unwrap();
        assert!(
            heard[0].starts_with("GET /token?job=1&audience=sts.amazonaws.com"),
            "{}",
            heard[0]
        );
        assert!(
            heard[0]
                .to_lowercase()
                .contains("authorization: bearer bearer-of-the-job"),
            "{}",
            heard[0]
        );
        assert!(
            heard[1].contains("WebIdentityToken=signed-token"),
            "{}",
            heard[1]
        );

        assert!(
            JobIdentity::of(|name| env(name).filter(|_| name != "AWS_ROLE_ARN"), &sdk).is_none()
        );
    }
}
