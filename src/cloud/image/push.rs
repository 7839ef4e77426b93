//! Into ECR by its own API: the caller's credentials, no Docker and no registry token.

use std::io::SeekFrom;
use std::time::Duration;

use aws_sdk_ecr::Client;
use aws_sdk_ecr::config::timeout::TimeoutConfig;
use aws_sdk_ecr::operation::upload_layer_part::UploadLayerPartError;
use aws_sdk_ecr::primitives::Blob;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::{Image, ImageError, MANIFEST_TYPE};
use crate::aws::explain;

/// ECR takes parts of 5 to 20 MiB, only the last may be smaller.
const PART: usize = 10 * 1024 * 1024;
/// A part over an uplink of half a megabit, as base64; the 30 s that suit small questions would
/// need four.
const PART_TIME: Duration = Duration::from_mins(5);

/// Pushes layer, config and manifest, and returns the manifest's digest as ECR knows it.
pub async fn push(
    client: &Client,
    repository: &str,
    tag: &str,
    image: &Image,
) -> Result<String, ImageError> {
    let mut layer = tokio::fs::File::open(&image.layer)
        .await
        .map_err(ImageError::file(&image.layer))?;
    layer
        .seek(SeekFrom::Start(0))
        .await
        .map_err(ImageError::file(&image.layer))?;
    let upload = LayerUpload::begin(client, repository).await?;
    let mut at = 0;
    loop {
        let mut part = Vec::with_capacity(PART);
        (&mut layer)
            .take(PART as u64)
            .read_to_end(&mut part)
            .await
            .map_err(ImageError::file(&image.layer))?;
        if part.is_empty() {
            break;
        }
        at = upload.part(at, part).await?;
    }
    upload.complete(&image.layer_digest).await?;

    let upload = LayerUpload::begin(client, repository).await?;
    upload.part(0, image.config.clone()).await?;
    upload.complete(&image.config_digest).await?;

    let answer = client
        .put_image()
        .repository_name(repository)
        .image_tag(tag)
        .image_manifest_media_type(MANIFEST_TYPE)
        .image_manifest(String::from_utf8_lossy(&image.manifest))
        .image_digest(&image.manifest_digest)
        .send()
        .await;
    match answer {
        Ok(_) => Ok(image.manifest_digest.clone()),
        // A retry after a lost answer.
        Err(error) if error.code() == Some("ImageAlreadyExistsException") => {
            Ok(image.manifest_digest.clone())
        }
        Err(error) => Err(ImageError::Push {
            call: "PutImage",
            why: explain(&error),
        }),
    }
}

struct LayerUpload<'a> {
    client: &'a Client,
    repository: &'a str,
    id: String,
}

impl<'a> LayerUpload<'a> {
    async fn begin(client: &'a Client, repository: &'a str) -> Result<Self, ImageError> {
        let answer = client
            .initiate_layer_upload()
            .repository_name(repository)
            .send()
            .await
            .map_err(|error| ImageError::Push {
                call: "InitiateLayerUpload",
                why: explain(&error),
            })?;
        Ok(Self {
            client,
            repository,
            id: answer.upload_id().unwrap_or_default().to_owned(),
        })
    }

    /// Sends a part that begins at byte `first`, and returns where the next one does.
    async fn part(&self, first: i64, bytes: Vec<u8>) -> Result<i64, ImageError> {
        let next = first + bytes.len() as i64;
        let patient = TimeoutConfig::builder()
            .operation_attempt_timeout(PART_TIME)
            .build();
        let answer = self
            .client
            .upload_layer_part()
            .repository_name(self.repository)
            .upload_id(&self.id)
            .part_first_byte(first)
            .part_last_byte(next - 1)
            .layer_part_blob(Blob::new(bytes))
            .customize()
            .config_override(aws_sdk_ecr::config::Config::builder().timeout_config(patient))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(next),
            // The SDK sent it again after a lost answer: ECR has it already.
            Err(error) if error.as_service_error().and_then(received) == Some(next - 1) => Ok(next),
            Err(error) => Err(ImageError::Push {
                call: "UploadLayerPart",
                why: explain(&error),
            }),
        }
    }

    async fn complete(&self, digest: &str) -> Result<(), ImageError> {
        let answer = self
            .client
            .complete_layer_upload()
            .repository_name(self.repository)
            .upload_id(&self.id)
            .layer_digests(digest)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("LayerAlreadyExistsException") => Ok(()),
            Err(error) => Err(ImageError::Push {
                call: "CompleteLayerUpload",
                why: explain(&error),
            }),
        }
    }
}

/// Returns the last byte that ECR has, where it refuses a part for its place.
fn received(error: &UploadLayerPartError) -> Option<i64> {
    match error {
        UploadLayerPartError::InvalidLayerPartException(refused) => {
            refused.last_valid_byte_received()
        }
        _ => None,
    }
}
