//! `spikeproof image`

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};

use super::Answer;
use crate::image::{self, Image, ImageError, architecture, own_arch};
use crate::outcome::Exit;
use crate::scenario::Arch;

/// Packs the generator's image without Docker.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Write the image as an OCI layout, for skopeo, podman or a registry tool
    Pack(Target),
    /// Write the image's files into a folder, as the context of images/generator/Dockerfile
    Rootfs(Target),
}

#[derive(Debug, Clone, clap::Args)]
struct Target {
    /// Where to write
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// A static Linux binary of spikeproof [default: this one]
    // Refusals name the flag of `run`: it works here too.
    #[arg(long, alias = "generator-binary", value_name = "PATH")]
    binary: Option<PathBuf>,
    /// The processor the tasks have [default: this machine's]
    #[arg(long, value_enum)]
    arch: Option<ArchArg>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ArchArg {
    #[value(name = "x86_64")]
    X86_64,
    Arm64,
}

pub fn run(args: Args) -> Answer {
    let result = match &args.command {
        Command::Pack(target) => with_binary(target, pack),
        Command::Rootfs(target) => with_binary(target, rootfs),
    };
    match result {
        Ok(text) => Answer::out(text, Exit::Passed),
        Err(error) => Answer::error(error, Exit::CouldNotRun),
    }
}

fn with_binary(
    target: &Target,
    write: impl FnOnce(&Path, Arch, &Path) -> Result<String, ImageError>,
) -> Result<String, ImageError> {
    let own = || {
        std::env::current_exe().map_err(|source| ImageError::File {
            path: "this program".to_owned(),
            source,
        })
    };
    let binary = target.binary.clone().map_or_else(own, Ok)?;
    let arch = match target.arch {
        None => own_arch(),
        Some(ArchArg::X86_64) => Arch::X86_64,
        Some(ArchArg::Arm64) => Arch::Arm64,
    };
    write(&binary, arch, &target.folder)
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
