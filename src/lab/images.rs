//! The registry: layers as they were pushed, checked as ECR checks them, and unpacked for the tasks
//! that run them.
//!
//! moto keeps repositories and manifests; it neither keeps a layer's bytes nor checks a digest, so
//! that is done here.

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::World;
use super::call::{ApiCall, ApiError, LabResponse, answer, answer_json};
use super::ids::digest;

/// ECR refuses smaller parts, but for the last one.
const SMALLEST_PART: usize = 5 << 20;

#[derive(Debug)]
pub(crate) struct Images {
    /// `blobs/<digest>` and `roots/<digest>/`.
    folder: PathBuf,
    uploads: Mutex<HashMap<String, PendingUpload>>,
    /// One image is unpacked at a time, and once.
    unpacking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct PendingUpload {
    bytes: Vec<u8>,
    parts: Vec<usize>,
}

/// An image on disk, ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Unpacked {
    pub root: PathBuf,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub working_folder: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
struct Descriptor {
    digest: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RunConfig {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
}

/// Why an image cannot be pulled: the rest of a `CannotPullContainerError`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    #[error("{0}: no registry in the name")]
    NoRegistry(String),
    #[error("{0}: the lab pulls from ECR only")]
    NotEcr(String),
    #[error("{0}")]
    Lookup(#[source] ApiError),
    #[error("{0}: not found")]
    NotFound(String),
    #[error("layer {digest} was never pushed")]
    NotPushed {
        digest: String,
        source: std::io::Error,
    },
    #[error("manifest: {0}")]
    Manifest(#[source] serde_json::Error),
    #[error("image config: {0}")]
    Config(#[source] serde_json::Error),
    #[error("the layer cannot be unpacked: {0}")]
    Layer(#[source] std::io::Error),
    #[error("the layer leaves its folder: {0}")]
    Escape(String),
    #[error("{0}")]
    Folder(#[source] std::io::Error),
    #[error("{0}")]
    Unpacker(#[source] tokio::task::JoinError),
}

impl Images {
    pub(crate) fn new(folder: PathBuf) -> std::io::Result<Self> {
        for part in ["blobs", "roots"] {
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(folder.join(part))?;
        }
        Ok(Self {
            folder,
            uploads: Mutex::default(),
            unpacking: tokio::sync::Mutex::default(),
        })
    }

    fn uploads(&self) -> std::sync::MutexGuard<'_, HashMap<String, PendingUpload>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.folder.join("blobs").join(hexadecimal(digest))
    }

    fn read(&self, digest: &str) -> Result<Vec<u8>, PullError> {
        std::fs::read(self.blob(digest)).map_err(|source| PullError::NotPushed {
            digest: digest.to_owned(),
            source,
        })
    }

    /// Adds a part that moto accepted.
    fn add_part(&self, input: &Value) -> Result<(), ApiError> {
        let blob = input["layerPartBlob"].as_str().unwrap_or_default();
        let bytes = aws_smithy_types::base64::decode(blob).map_err(|error| {
            ApiError::new(
                "InvalidParameterException",
                format!("layerPartBlob: {error}"),
            )
        })?;
        let mut uploads = self.uploads();
        let upload = uploads
            .entry(input["uploadId"].as_str().unwrap_or_default().to_owned())
            .or_default();
        upload.parts.push(bytes.len());
        upload.bytes.extend(bytes);
        Ok(())
    }

    /// Checks what was uploaded against the digest it is said to have, and keeps it.
    fn complete(&self, input: &Value) -> Result<(), ApiError> {
        let claimed = input["layerDigests"][0].as_str().unwrap_or_default();
        let upload = self
            .uploads()
            .remove(input["uploadId"].as_str().unwrap_or_default());
        let Some(PendingUpload { bytes, parts }) = upload else {
            return Err(ApiError::new(
                "EmptyUploadException",
                "The specified layer upload does not contain any layer parts.",
            ));
        };
        if parts.iter().rev().skip(1).any(|&size| size < SMALLEST_PART) {
            return Err(ApiError::new(
                "LayerPartTooSmallException",
                "Layer parts must be at least 5 MiB in size.",
            ));
        }
        let found = digest(&bytes);
        if found != claimed {
            let message = format!("Layer digest mismatch: calculated {found}, provided {claimed}");
            return Err(ApiError::new("InvalidLayerException", message));
        }
        std::fs::write(self.blob(&found), bytes)
            .map_err(|error| ApiError::new("ServerException", error.to_string()))
    }

    /// Checks for PutImage that the parts of the manifest are there; returns the manifest's true
    /// digest.
    fn check_manifest(&self, input: &Value) -> Result<String, ApiError> {
        let text = input["imageManifest"].as_str().unwrap_or_default();
        let manifest: Manifest = serde_json::from_str(text).map_err(|error| {
            ApiError::new(
                "InvalidParameterException",
                format!("imageManifest: {error}"),
            )
        })?;
        let missing = |part: &&Descriptor| !self.blob(&part.digest).is_file();
        if let Some(part) = manifest
            .layers
            .iter()
            .chain([&manifest.config])
            .find(missing)
        {
            let message = format!("The specified layers could not be found: {}", part.digest);
            return Err(ApiError::new("LayersNotFoundException", message));
        }
        let found = digest(text.as_bytes());
        match input["imageDigest"].as_str() {
            Some(claimed) if claimed != found => {
                let message = format!("The manifest's digest is {found}, not {claimed}");
                Err(ApiError::new("ImageDigestDoesNotMatchException", message))
            }
            _ => Ok(found),
        }
    }
}

/// Answers ECR's calls that carry images; `Ok(None)` leaves the answer to moto.
pub(crate) async fn answer_call(
    world: &World,
    call: &ApiCall,
) -> Result<Option<LabResponse>, ApiError> {
    let images = &world.images;
    match call.action.as_str() {
        "UploadLayerPart" => {
            let answer = world.moto.forward(call).await?;
            if answer.status().is_success() {
                images.add_part(&call.json()?)?;
            }
            Ok(Some(answer))
        }
        "CompleteLayerUpload" => images.complete(&call.json()?).map(|()| None),
        "PutImage" => {
            let mut input = call.json()?;
            // Without the digest moto invents one that is not the manifest's.
            input["imageDigest"] = images.check_manifest(&input)?.into();
            let call = ApiCall {
                body: input.to_string().into(),
                ..call.clone()
            };
            world.moto.forward(&call).await.map(Some)
        }
        "GetDownloadUrlForLayer" => {
            let input = call.json()?;
            let digest = input["layerDigest"].as_str().unwrap_or_default();
            if !images.blob(digest).is_file() {
                return Err(ApiError::new(
                    "LayersNotFoundException",
                    format!("{digest} could not be found"),
                ));
            }
            let (endpoint, pass) = (&world.endpoint, world.layers.text());
            let url = format!("{endpoint}/_lab/layers/{pass}/{digest}");
            Ok(Some(answer_json(
                &json!({ "downloadUrl": url, "layerDigest": digest }),
            )))
        }
        _ => Ok(None),
    }
}

/// Returns a layer's bytes, for its download URL.
pub(crate) fn download(world: &World, digest: &str) -> LabResponse {
    match world.images.read(digest) {
        Ok(bytes) => answer(StatusCode::OK, "application/octet-stream", bytes),
        Err(problem) => answer(StatusCode::NOT_FOUND, "text/plain", problem.to_string()),
    }
}

/// Fetches the image as Fargate would, by repository and digest or tag.
pub(crate) async fn pull(world: &World, reference: &str) -> Result<Unpacked, PullError> {
    let (repository, id) = parse(reference)?;
    let input = json!({ "repositoryName": repository, "imageIds": [id] });
    let target = "AmazonEC2ContainerRegistry_V20150921.BatchGetImage";
    let found = world
        .moto
        .json("ecr", target, &input)
        .await
        .map_err(PullError::Lookup)?;
    let Some(manifest) = found["images"][0]["imageManifest"].as_str() else {
        return Err(PullError::NotFound(reference.to_owned()));
    };
    let _one_at_a_time = world.images.unpacking.lock().await;
    let root = world
        .images
        .folder
        .join("roots")
        .join(hexadecimal(&digest(manifest.as_bytes())));
    let manifest: Manifest = serde_json::from_str(manifest).map_err(PullError::Manifest)?;
    let config = world.images.read(&manifest.config.digest)?;
    if !root.is_dir() {
        let layers = manifest
            .layers
            .iter()
            .map(|layer| world.images.read(&layer.digest))
            .collect::<Result<_, _>>()?;
        unpack_apart(layers, root.clone()).await?;
    }
    unpacked(root, &config)
}

/// Unpacks on a thread of its own, because decompression is slow. The folder appears whole or not
/// at all.
async fn unpack_apart(layers: Vec<Vec<u8>>, root: PathBuf) -> Result<(), PullError> {
    let work = move || {
        let partial = root.with_extension("partial");
        std::fs::create_dir_all(&partial).map_err(PullError::Folder)?;
        layers
            .iter()
            .try_for_each(|layer| unpack(layer, &partial))?;
        std::fs::rename(&partial, &root).map_err(PullError::Folder)
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(PullError::Unpacker)?
}

/// Unpacks a layer: a tar, mostly compressed. A path that leaves the folder is refused, not
/// skipped.
fn unpack(layer: &[u8], folder: &Path) -> Result<(), PullError> {
    let reader: Box<dyn std::io::Read + '_> = match layer {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::GzDecoder::new(layer)),
        _ => Box::new(layer),
    };
    for entry in tar::Archive::new(reader)
        .entries()
        .map_err(PullError::Layer)?
    {
        let mut entry = entry.map_err(PullError::Layer)?;
        let inside = entry.unpack_in(folder).map_err(PullError::Layer)?;
        if !inside {
            let path = entry.path_bytes();
            return Err(PullError::Escape(
                String::from_utf8_lossy(&path).into_owned(),
            ));
        }
    }
    Ok(())
}

fn unpacked(root: PathBuf, config: &[u8]) -> Result<Unpacked, PullError> {
    let whole: Value = serde_json::from_slice(config).map_err(PullError::Config)?;
    let run: RunConfig = match &whole["config"] {
        Value::Null => RunConfig::default(),
        run => RunConfig::deserialize(run).map_err(PullError::Config)?,
    };
    let pair = |line: String| {
        line.split_once('=')
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    Ok(Unpacked {
        root,
        entrypoint: run.entrypoint.unwrap_or_default(),
        command: run.cmd.unwrap_or_default(),
        environment: run
            .env
            .unwrap_or_default()
            .into_iter()
            .filter_map(pair)
            .collect(),
        working_folder: run.working_dir.filter(|folder| !folder.is_empty()),
    })
}

/// Reads `<account>.dkr.ecr.<region>.amazonaws.com/<repository>@sha256:...` or `:tag`.
fn parse(reference: &str) -> Result<(&str, Value), PullError> {
    let (host, name) = reference
        .split_once('/')
        .ok_or_else(|| PullError::NoRegistry(reference.to_owned()))?;
    if !host.contains(".dkr.ecr.") {
        return Err(PullError::NotEcr(reference.to_owned()));
    }
    Ok(match name.split_once('@') {
        Some((repository, digest)) => (repository, json!({ "imageDigest": digest })),
        None => {
            let (repository, tag) = name.split_once(':').unwrap_or((name, "latest"));
            (repository, json!({ "imageTag": tag }))
        }
    })
}

/// Returns the part of a digest that is safe as a file name.
fn hexadecimal(digest: &str) -> String {
    digest
        .trim_start_matches("sha256:")
        .chars()
        .filter(char::is_ascii_hexdigit)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_by_digest_or_tag() {
        let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        for (name, repository, id) in [
            (
                "spikeproof/sp-1@sha256:ab",
                "spikeproof/sp-1",
                json!({ "imageDigest": "sha256:ab" }),
            ),
            ("app:v1", "app", json!({ "imageTag": "v1" })),
            ("app", "app", json!({ "imageTag": "latest" })),
        ] {
            assert_eq!(parse(&format!("{host}/{name}")).unwrap(), (repository, id));
        }
        assert!(parse("docker.io/library/nginx").is_err());
        assert!(parse("nginx").is_err());
    }

    #[test]
    fn a_layer_that_leaves_its_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        // `set_path` refuses such names: write it raw.
        header.as_mut_bytes()[..11].copy_from_slice(b"../evil.txt");
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, &b"evil"[..]).unwrap();
        let problem =
            unpack(&builder.into_inner().unwrap(), &folder.path().join("root")).unwrap_err();
        assert!(matches!(problem, PullError::Escape(_)), "{problem}");
        assert!(!folder.path().join("evil.txt").exists());
    }

    #[test]
    fn a_layer_with_a_wrong_digest_is_refused_as_ecr_does() {
        let folder = tempfile::tempdir().unwrap();
        let images = Images::new(folder.path().to_owned()).unwrap();
        let part = json!({ "uploadId": "u", "layerPartBlob": "bGF5ZXI=" });
        images.add_part(&part).unwrap();
        let wrong = json!({ "uploadId": "u", "layerDigests": ["sha256:00"] });
        assert_eq!(
            images.complete(&wrong).unwrap_err().code,
            "InvalidLayerException"
        );
        assert_eq!(
            images.complete(&wrong).unwrap_err().code,
            "EmptyUploadException"
        );
        images.add_part(&part).unwrap();
        let right = digest(b"layer");
        images
            .complete(&json!({ "uploadId": "u", "layerDigests": [right] }))
            .unwrap();
        assert_eq!(images.read(&right).unwrap(), b"layer");
    }
}
