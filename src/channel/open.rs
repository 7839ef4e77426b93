//! From `s3://bucket/prefix` or `file:///folder` to a channel.

use std::sync::Arc;

use async_trait::async_trait;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{CredentialProvider, ObjectStore};

use super::{Channel, ChannelError};
use crate::aws::Aws;

/// Opens a location. `aws` is only asked for buckets.
pub fn open(location: &str, aws: Option<&Aws>) -> Result<Channel, ChannelError> {
    let refused = || ChannelError::Location(location.to_owned());
    if let Some(folder) = location.strip_prefix("file://") {
        let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder)?);
        return Ok(Channel::new(store, Path::default()));
    }
    let (bucket, prefix) = location.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).ok_or_else(refused)?;
    let aws = aws.ok_or_else(refused)?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&aws.region)
        .with_credentials(Arc::new(Credentials(aws.credentials.clone())));
    if let Some(endpoint) = &aws.endpoint {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    Ok(Channel::new(Arc::new(builder.build()?), Path::from(prefix)))
}

/// object_store knows no profiles and no SSO: it gets what the AWS chain finds.
#[derive(Debug)]
struct Credentials(SharedCredentialsProvider);

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let found = self
            .0
            .provide_credentials()
            .await
            .map_err(|source| object_store::Error::Generic { store: "S3", source: Box::new(source) })?;
        Ok(Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        }))
    }
}
