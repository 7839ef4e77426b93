//! Region, endpoint and credentials of AWS: the one place that reads the environment's AWS
//! configuration.

use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sts::error::SdkError;
use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityError;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector};
use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;

pub mod clock;
mod cloud;
pub mod failure;
mod github;
mod network;
pub mod permissions;
pub mod query;

pub use cloud::Cloud;
pub use network::{Network, NetworkError};

use clock::ApiClock;
use failure::Failure;
use github::JobIdentity;

/// The caller's AWS: region, credentials (refreshed by their chain), and the endpoint where it is
/// not AWS's own.
#[derive(Debug, Clone)]
pub struct Aws {
    /// The region, for example `eu-central-1`.
    pub region: String,
    /// `AWS_ENDPOINT_URL` or the profile's `endpoint_url`; `None` for AWS itself.
    pub endpoint: Option<String>,
    /// Renewed by their own chain, also in the middle of a destroy.
    pub credentials: SharedCredentialsProvider,
    /// The configuration that the clients of the SDK are made from.
    pub sdk: SdkConfig,
}

/// Why AWS cannot be called, or does not know the caller.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// Neither environment nor profile names a region.
    #[error("no AWS region: set AWS_REGION, or `region` in your AWS profile")]
    NoRegion,
    /// No link of the chain has credentials.
    #[error(
        "no AWS credentials: run `aws sso login` or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    NoCredentials,
    /// STS refused `GetCallerIdentity`, or was not reached.
    #[error("AWS did not say whose credentials these are: {}", explain(source.as_ref()))]
    Refused {
        /// The kind of the failure, by its code.
        failure: Failure,
        /// The SDK's error.
        source: Box<SdkError<GetCallerIdentityError>>,
    },
}

impl AwsError {
    /// Returns the kind of the failure; `Unknown` where the region is missing.
    pub fn failure(&self) -> Failure {
        match self {
            Self::NoRegion => Failure::Unknown,
            Self::NoCredentials => Failure::Credentials,
            Self::Refused { failure, .. } => *failure,
        }
    }
}

/// The chain's answer, kept until shortly before it expires. The SDK's own clients cache by
/// themselves; the channel and the signed queries would otherwise ask STS, SSO or the container's
/// endpoint at every call.
#[derive(Debug)]
struct Cached {
    chain: SharedCredentialsProvider,
    known: tokio::sync::Mutex<Option<(Credentials, SystemTime)>>,
}

/// A GitHub job's own identity, and the usual chain if GitHub or STS does not give one. A job that
/// only reaps thus has credentials too.
#[derive(Debug)]
struct Either {
    job: SharedCredentialsProvider,
    chain: SharedCredentialsProvider,
}

impl Either {
    async fn get(&self) -> provider::Result {
        match self.job.provide_credentials().await {
            Ok(credentials) => Ok(credentials),
            // The first error says more: the chain of such a job seldom has anything.
            Err(error) => self.chain.provide_credentials().await.map_err(|_| error),
        }
    }
}

impl ProvideCredentials for Either {
    fn provide_credentials<'a>(&'a self) -> provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        provider::future::ProvideCredentials::new(self.get())
    }
}

/// Time before the expiry at which credentials are renewed: a request under way must not outlive
/// them.
const REFRESH_EARLY: Duration = Duration::from_mins(2);
/// A browser is not waited for; a slow helper of a company takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Age at which credentials without an expiry are renewed.
const REFRESH_AFTER: Duration = Duration::from_mins(5);

impl Cached {
    fn new(chain: SharedCredentialsProvider) -> Self {
        Self {
            chain,
            known: tokio::sync::Mutex::new(None),
        }
    }

    /// Ends, also when a helper of the chain (`credential_process`, SSO) hangs: all of a destroy
    /// waits behind it.
    async fn get(&self) -> provider::Result {
        timeout(PATIENCE, self.ask())
            .await
            .unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(PATIENCE)))
    }

    async fn ask(&self) -> provider::Result {
        let mut known = self.known.lock().await;
        if let Some((credentials, until)) = known.as_ref()
            && SystemTime::now() < *until
        {
            return Ok(credentials.clone());
        }
        let credentials = self.chain.provide_credentials().await?;
        let until = match credentials.expiry() {
            Some(expiry) => expiry - REFRESH_EARLY,
            None => SystemTime::now() + REFRESH_AFTER,
        };
        *known = Some((credentials.clone(), until));
        Ok(credentials)
    }
}

impl ProvideCredentials for Cached {
    fn provide_credentials<'a>(&'a self) -> provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        provider::future::ProvideCredentials::new(self.get())
    }
}

/// The identity of the caller: every resource of a run belongs to this account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account number, twelve digits.
    pub account: String,
    /// The ARN of the user or of the role's session.
    pub arn: String,
    /// The time by which this machine's clock is ahead of AWS's; negative if it is behind.
    pub ahead: SignedDuration,
}

impl Aws {
    /// Reads the usual chain: environment, profiles, SSO, web identity, container, instance.
    pub async fn from_environment() -> Result<Self, AwsError> {
        let sdk = aws_config::defaults(BehaviorVersion::latest())
            // Describes and reads are many and small: an answer that takes longer is retried.
            .timeout_config(
                aws_config::timeout::TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(5))
                    .operation_attempt_timeout(Duration::from_secs(30))
                    .build(),
            )
            .load()
            .await;
        let region = sdk
            .region()
            .map(ToString::to_string)
            .ok_or(AwsError::NoRegion)?;
        let job = JobIdentity::of(|name| std::env::var(name).ok(), &sdk)
            .map(SharedCredentialsProvider::new);
        let chain = match (job, sdk.credentials_provider()) {
            (Some(job), Some(chain)) => SharedCredentialsProvider::new(Either { job, chain }),
            (job, chain) => job.or(chain).ok_or(AwsError::NoCredentials)?,
        };
        let credentials = SharedCredentialsProvider::new(Cached::new(chain));
        let sdk = sdk
            .into_builder()
            .credentials_provider(credentials.clone())
            .build();
        let endpoint = sdk.endpoint_url().map(str::to_owned);
        Ok(Self {
            region,
            endpoint,
            credentials,
            sdk,
        })
    }

    /// Returns the end of the credentials if they are session keys in the environment. Everything
    /// else in the chain (profiles, SSO, web identity, the host's or container's role) is asked
    /// again and gives new ones.
    pub async fn session_ends(&self) -> Option<Timestamp> {
        std::env::var_os("AWS_SESSION_TOKEN").filter(|token| !token.is_empty())?;
        if JobIdentity::of(|name| std::env::var(name).ok(), &self.sdk).is_some() {
            return None;
        }
        let known = self.credentials.provide_credentials().await.ok()?.expiry();
        Timestamp::try_from(known.or_else(environment_expiry)?).ok()
    }

    /// Returns the current session of a GitHub job as variables for a program that takes keys from
    /// its environment: the keys there may have ended. Empty if there is no such job, because every
    /// other chain is asked anew by its user.
    pub async fn renewed_keys(&self) -> Vec<(OsString, OsString)> {
        if JobIdentity::of(|name| std::env::var(name).ok(), &self.sdk).is_none() {
            return Vec::new();
        }
        self.credentials
            .provide_credentials()
            .await
            .map(|keys| environment_of(&keys))
            .unwrap_or_default()
    }

    /// True for an AWS on this machine, such as the lab: its tasks are processes here.
    pub fn is_local(&self) -> bool {
        self.endpoint.as_deref().is_some_and(is_loopback)
    }

    /// Asks STS. The cheapest proof that credentials, region and network are right.
    pub async fn caller(&self) -> Result<Caller, AwsError> {
        let clock = ApiClock::default();
        let config = aws_sdk_sts::config::Builder::from(&self.sdk)
            .interceptor(clock.clone())
            .build();
        let sent = Timestamp::now();
        let identity = aws_sdk_sts::Client::from_conf(config)
            .get_caller_identity()
            .send()
            .await
            .map_err(refused)?;
        let ahead = clock
            .last()
            .map(|date| clock::ahead(sent, date, Timestamp::now()));
        Ok(Caller {
            account: identity.account().unwrap_or_default().to_owned(),
            arn: identity.arn().unwrap_or_default().to_owned(),
            ahead: ahead.unwrap_or_default(),
        })
    }
}

/// Returns the error of a refused GetCallerIdentity. The default chain always exists, so only this
/// call shows that it has no credentials.
fn refused(error: SdkError<GetCallerIdentityError>) -> AwsError {
    let has_none = |cause: &(dyn std::error::Error + 'static)| {
        matches!(
            cause.downcast_ref(),
            Some(CredentialsError::CredentialsNotLoaded(_))
        )
    };
    if failure::causes(&error).any(has_none) {
        return AwsError::NoCredentials;
    }
    AwsError::Refused {
        failure: Failure::of_sdk(&error),
        source: Box::new(error),
    }
}

/// Makes a connector like those of the SDK's clients. If the rest of a run needs a proxy, so does
/// its proof.
fn connector(settings: HttpConnectorSettings) -> SharedHttpConnector {
    let connector = aws_smithy_http_client::Connector::builder()
        .connector_settings(settings)
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
            aws_smithy_http_client::tls::rustls_provider::CryptoMode::AwsLc,
        ))
        .build();
    SharedHttpConnector::new(connector)
}

fn environment_of(keys: &Credentials) -> Vec<(OsString, OsString)> {
    let token = keys
        .session_token()
        .map(|token| ("AWS_SESSION_TOKEN", token));
    let all = [
        ("AWS_ACCESS_KEY_ID", keys.access_key_id()),
        ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key()),
    ];
    all.into_iter()
        .chain(token)
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// Tools that write session keys into the environment say there when they end.
fn environment_expiry() -> Option<SystemTime> {
    let text = std::env::var("AWS_CREDENTIAL_EXPIRATION")
        .or_else(|_| std::env::var("AWS_SESSION_EXPIRATION"))
        .ok()?;
    SystemTime::try_from(text.parse::<Timestamp>().ok()?).ok()
}

fn is_loopback(endpoint: &str) -> bool {
    let host = url::Url::parse(endpoint)
        .ok()
        .and_then(|url| url.host().map(|host| host.to_owned()));
    match host {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Returns the whole chain of an SDK error in one line: its own `Display` says only "service
/// error".
pub fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = failure::causes(error).map(ToString::to_string).collect();
    parts.dedup();
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Nobody(fn() -> CredentialsError);

    impl ProvideCredentials for Nobody {
        fn provide_credentials<'a>(&'a self) -> provider::future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            provider::future::ProvideCredentials::ready(Err(self.0()))
        }
    }

    #[tokio::test]
    async fn where_a_job_gets_no_identity_the_usual_chain_is_asked() {
        let keys = |id: &str| {
            SharedCredentialsProvider::new(Credentials::new(id, "secret", None, None, "test"))
        };
        let busy = || {
            SharedCredentialsProvider::new(Nobody(|| {
                CredentialsError::provider_error("status 503")
            }))
        };
        let empty = SharedCredentialsProvider::new(Nobody(CredentialsError::not_loaded_no_source));
        let ask = async |job, chain| Either { job, chain }.get().await;
        assert_eq!(
            ask(keys("JOB"), keys("CHAIN"))
                .await
                .unwrap()
                .access_key_id(),
            "JOB"
        );
        assert_eq!(
            ask(busy(), keys("CHAIN")).await.unwrap().access_key_id(),
            "CHAIN"
        );
        let neither = ask(busy(), empty).await.unwrap_err();
        assert!(
            explain(&neither).contains("status 503"),
            "{}",
            explain(&neither)
        );
    }

    #[tokio::test]
    async fn a_chain_without_any_credentials_says_what_to_do_and_does_not_pass_by_itself() {
        let nobody = Nobody(CredentialsError::not_loaded_no_source);
        let chain =
            aws_config::meta::credentials::CredentialsProviderChain::first_try("nobody", nobody);
        let credentials = SharedCredentialsProvider::new(chain);
        let sdk = aws_config::defaults(BehaviorVersion::latest())
            .region(aws_config::Region::new("us-east-1"))
            .credentials_provider(credentials.clone())
            .load()
            .await;
        let error = Aws {
            region: "us-east-1".to_owned(),
            endpoint: None,
            credentials,
            sdk,
        }
        .caller()
        .await
        .unwrap_err();
        assert!(matches!(error, AwsError::NoCredentials), "{error}");
        assert_eq!(error.failure(), Failure::Credentials);
    }

    #[tokio::test(start_paused = true)]
    async fn a_chain_that_hangs_is_an_error_of_credentials_for_all_who_wait() {
        #[derive(Debug)]
        struct Hangs;
        impl ProvideCredentials for Hangs {
            fn provide_credentials<'a>(&'a self) -> provider::future::ProvideCredentials<'a>
            where
                Self: 'a,
            {
                provider::future::ProvideCredentials::new(std::future::pending())
            }
        }
        let cached = Cached::new(SharedCredentialsProvider::new(Hangs));
        let begun = tokio::time::Instant::now();
        let (one, other) = tokio::join!(cached.get(), cached.get());
        assert!(begun.elapsed() < 2 * PATIENCE);
        for error in [one.unwrap_err(), other.unwrap_err()] {
            assert!(
                matches!(error, CredentialsError::ProviderTimedOut(_)),
                "{error}"
            );
        }
    }

    #[test]
    fn a_session_is_told_in_the_words_that_terraform_reads() {
        let keys = Credentials::new("id", "secret", Some("token".to_owned()), None, "test");
        let told: Vec<_> = environment_of(&keys)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(
            told,
            [
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_SESSION_TOKEN"
            ]
        );
        assert_eq!(
            environment_of(&Credentials::new("id", "secret", None, None, "test")).len(),
            2
        );
    }

    #[test]
    fn only_an_endpoint_on_this_machine_is_local() {
        for (endpoint, local) in [
            ("http://127.0.0.1:4566", true),
            ("http://[::1]:4566/", true),
            ("http://localhost:4566", true),
            ("https://vpce-1.ecs.eu-west-1.vpce.amazonaws.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://127.0.0.1@example.com", false),
            ("http://10.0.0.1:4566", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_loopback(endpoint), local, "{endpoint}");
        }
    }
}
