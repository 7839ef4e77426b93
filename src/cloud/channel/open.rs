//! From `s3://bucket/prefix` or `file:///folder` to a channel.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, CredentialProvider, ObjectStore, RetryConfig};

use super::{Channel, ChannelError};
use crate::aws::Aws;

/// A heartbeat that hangs costs the lease, and a stop order that hangs costs the target: the
/// callers retry by themselves, so a single call gives up soon.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(5);
const GIVE_UP: Duration = Duration::from_secs(6);
const RETRIES: usize = 2;

/// Opens a location. `aws` is only asked for buckets.
pub fn open(location: &str, aws: Option<&Aws>) -> Result<Channel, ChannelError> {
    let refused = || ChannelError::Location(location.to_owned());
    if let Some(folder) = location.strip_prefix("file://") {
        let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder)?);
        return Ok(Channel::in_folder(store, folder));
    }
    let (bucket, prefix) = location
        .strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'))
        .ok_or_else(refused)?;
    let aws = aws.ok_or_else(refused)?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&aws.region)
        .with_credentials(Arc::new(Credentials(aws.credentials.clone())));
    let mut options = ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_timeout(ANSWER);
    if let Some(endpoint) = &aws.endpoint {
        builder = builder.with_endpoint(endpoint);
        options = options.with_allow_http(endpoint.starts_with("http://"));
    }
    let retry = RetryConfig {
        max_retries: RETRIES,
        retry_timeout: GIVE_UP,
        ..RetryConfig::default()
    };
    builder = builder.with_client_options(options).with_retry(retry);
    Ok(Channel::new(Arc::new(builder.build()?), Path::from(prefix)))
}

/// object_store knows no profiles and no SSO: it gets what the AWS chain finds.
#[derive(Debug)]
struct Credentials(SharedCredentialsProvider);

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let found =
            self.0
                .provide_credentials()
                .await
                .map_err(|source| object_store::Error::Generic {
                    store: "S3",
                    source: Box::new(source),
                })?;
        Ok(Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        }))
    }
}
