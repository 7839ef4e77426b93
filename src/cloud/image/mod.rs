//! Packs the generator as an OCI image and pushes it, without Docker.
//!
//! One layer with the static binary, CA roots and an empty `/tmp`; a config that runs it as a
//! numeric user; a manifest. The same bytes come out for the same binary, so an image is known by
//! its digest.

use std::path::{Path, PathBuf};

use model::scenario::Arch;

mod elf;
mod layout;
mod pack;
mod push;

pub use elf::{UnfitBinary, inspect};
pub use layout::write as write_layout;
pub use pack::{pack, write_rootfs};
pub use push::push;

/// Runs as this user and group: no name, for there is no passwd file.
pub const USER: u32 = 65532;
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A packed image: small parts in memory, the layer in a file.
#[derive(Debug, Clone)]
pub struct Image {
    /// The manifest's JSON.
    pub manifest: Vec<u8>,
    /// `sha256:...`: the image is known by it.
    pub manifest_digest: String,
    /// The config's JSON: architecture, user, entry point and layers.
    pub config: Vec<u8>,
    /// `sha256:...` of `config`.
    pub config_digest: String,
    /// The gzipped tar, a file in the folder that was given.
    pub layer: PathBuf,
    /// `sha256:...` of the compressed layer.
    pub layer_digest: String,
    /// Size of the compressed layer, in bytes: this much is pushed and pulled.
    pub layer_size: u64,
    /// Size of the files in the container, in bytes.
    pub unpacked_size: u64,
}

/// Why an image could not be packed or pushed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It cannot run in the image, which needs a static Linux program.
    #[error("{path} cannot be the generator: {why}")]
    Unfit {
        /// The binary.
        path: String,
        /// The reason.
        #[source]
        why: UnfitBinary,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// Config or manifest could not be written as JSON.
    #[error("the image's description could not be written: {0}")]
    Json(#[from] serde_json::Error),
    /// ECR refused a call, or was not reached.
    #[error("ECR {call}: {why}")]
    Push {
        /// The operation, for example `InitiateLayerUpload`.
        call: &'static str,
        /// AWS's answer, or why there is none.
        why: String,
    },
}

impl ImageError {
    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File {
            path: path.display().to_string(),
            source,
        }
    }
}

/// Returns the name OCI and Go use.
pub fn architecture(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "amd64",
        Arch::Arm64 => "arm64",
    }
}

/// Returns the architecture of this machine, where it is one that Fargate has.
pub fn own_arch() -> Arch {
    if cfg!(target_arch = "aarch64") {
        Arch::Arm64
    } else {
        Arch::X86_64
    }
}
