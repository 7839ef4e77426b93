//! `spikeproof image`: packs the generator image without Docker.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};

use super::CommandOutput;
use crate::image::{self, Image, ImageError, architecture, own_arch};
use crate::outcome::Exit;
use crate::scenario::Arch;

/// Packs the generator image without Docker.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum ImageCommand {
    /// Write the image as an OCI layout, for skopeo, podman or a registry tool
    Pack(PackArgs),
    /// Write the image's files into a folder, as the context of images/generator/Dockerfile
    Rootfs(PackArgs),
}

#[derive(Debug, Clone, clap::Args)]
struct PackArgs {
    /// The folder to write to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// A static Linux binary of spikeproof [default: this one]
    // Error messages name the flag of `run`, so that flag works here too.
    #[arg(long, alias = "generator-binary", value_name = "PATH")]
    binary: Option<PathBuf>,
    /// The processor of the tasks [default: this machine's]
    #[arg(long, value_enum)]
    arch: Option<ArchArg>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ArchArg {
    #[value(name = "x86_64")]
    X86_64,
    Arm64,
}

pub(super) fn run(args: ImageArgs) -> CommandOutput {
    let result = match &args.command {
        ImageCommand::Pack(args) => with_binary(args, pack),
        ImageCommand::Rootfs(args) => with_binary(args, rootfs),
    };
    match result {
        Ok(text) => CommandOutput::out(text, Exit::Passed),
        Err(error) => CommandOutput::error(error, Exit::CouldNotRun),
    }
}

fn with_binary(
    args: &PackArgs,
    write: impl FnOnce(&Path, Arch, &Path) -> Result<String, ImageError>,
) -> Result<String, ImageError> {
    let binary = args.binary.clone().map_or_else(own_binary, Ok)?;
    let arch = match args.arch {
        None => own_arch(),
        Some(ArchArg::X86_64) => Arch::X86_64,
        Some(ArchArg::Arm64) => Arch::Arm64,
    };
    write(&binary, arch, &args.folder)
}

fn own_binary() -> Result<PathBuf, ImageError> {
    std::env::current_exe().map_err(|source| ImageError::File {
        path: "this program".to_owned(),
        source,
    })
}

fn pack(binary: &Path, arch: Arch, folder: &Path) -> Result<String, ImageError> {
    let work = tempfile::tempdir().map_err(|source| ImageError::File {
        path: "a temporary folder".to_owned(),
        source,
    })?;
    let image: Image = image::pack(binary, arch, work.path())?;
    image::write_layout(&image, architecture(arch), folder)?;
    Ok(format!(
        "{}  linux/{}\n{:.1} MB compressed, {:.1} MB in the container, written to {}\n",
        image.manifest_digest,
        architecture(arch),
        image.layer_size as f64 / 1e6,
        image.unpacked_size as f64 / 1e6,
        folder.display()
    ))
}

fn rootfs(binary: &Path, arch: Arch, folder: &Path) -> Result<String, ImageError> {
    image::write_rootfs(binary, arch, folder)?;
    Ok(format!(
        "files of the image for linux/{} written to {}\n",
        architecture(arch),
        folder.display()
    ))
}
