//! From a binary to layer, config and manifest.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::{CONFIG_TYPE, Image, ImageError, LAYER_TYPE, MANIFEST_TYPE, USER, architecture, elf};
use model::scenario::Arch;

/// The path of the binary in the image, which the image runs.
const BINARY: &str = "spikeproof";
const ROOTS: &str = "etc/ssl/certs/ca-certificates.crt";
/// Everything in the image with its mode, in the order of the layer: the one list for layer and
/// folder.
const CONTENTS: [(&str, u32, EntryContent); 6] = [
    ("etc/", 0o755, EntryContent::Folder),
    ("etc/ssl/", 0o755, EntryContent::Folder),
    ("etc/ssl/certs/", 0o755, EntryContent::Folder),
    (ROOTS, 0o644, EntryContent::Roots),
    (BINARY, 0o755, EntryContent::Binary),
    // Everyone may write here, and nobody may delete another user's files.
    ("tmp/", 0o1777, EntryContent::Folder),
];

enum EntryContent {
    Folder,
    Roots,
    Binary,
}

/// Program headers lie right behind the ELF header.
const HEAD: u64 = 64 * 1024;

/// Packs `binary` into files in `folder`, which must be there.
pub fn pack(binary: &Path, arch: Arch, folder: &Path) -> Result<Image, ImageError> {
    fit(binary, arch)?;
    let layer = folder.join("layer.tar.gz");
    let packed = write_layer(binary, &layer).map_err(ImageError::file(&layer))?;
    let config = serde_json::to_vec(&json!({
        "architecture": architecture(arch),
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "Entrypoint": [format!("/{BINARY}"), "generate"],
            "Env": [format!("SSL_CERT_FILE=/{ROOTS}"), "PATH=/"],
            "WorkingDir": "/",
        },
        "rootfs": { "type": "layers", "diff_ids": [packed.unpacked_digest] },
        "history": [{ "created_by": concat!("spikeproof ", env!("CARGO_PKG_VERSION")) }],
    }))?;
    let config_digest = digest(&config);
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": { "mediaType": CONFIG_TYPE, "digest": config_digest, "size": config.len() },
        "layers": [{ "mediaType": LAYER_TYPE, "digest": packed.digest, "size": packed.size }],
    }))?;
    Ok(Image {
        manifest_digest: digest(&manifest),
        manifest,
        config,
        config_digest,
        layer,
        layer_digest: packed.digest,
        layer_size: packed.size,
        unpacked_size: packed.unpacked_size,
    })
}

/// Writes the image's files into a folder, for `docker build`: the same files as the layer has.
pub fn write_rootfs(binary: &Path, arch: Arch, folder: &Path) -> Result<(), ImageError> {
    use std::os::unix::fs::PermissionsExt as _;
    fit(binary, arch)?;
    std::fs::create_dir_all(folder).map_err(ImageError::file(folder))?;
    for (path, mode, content) in CONTENTS {
        let path = folder.join(path);
        match content {
            EntryContent::Folder => std::fs::create_dir_all(&path),
            EntryContent::Roots => std::fs::write(&path, root_certificates()),
            EntryContent::Binary => std::fs::copy(binary, &path).map(drop),
        }
        .map_err(ImageError::file(&path))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
            .map_err(ImageError::file(&path))?;
    }
    Ok(())
}

fn fit(binary: &Path, arch: Arch) -> Result<(), ImageError> {
    let mut head = Vec::new();
    let file = File::open(binary).map_err(ImageError::file(binary))?;
    file.take(HEAD)
        .read_to_end(&mut head)
        .map_err(ImageError::file(binary))?;
    elf::inspect(&head, arch).map_err(|why| ImageError::Unfit {
        path: binary.display().to_string(),
        why,
    })
}

struct PackedLayer {
    digest: String,
    size: u64,
    unpacked_digest: String,
    unpacked_size: u64,
}

fn write_layer(binary: &Path, layer: &Path) -> std::io::Result<PackedLayer> {
    let file = Hashing::new(BufWriter::new(File::create(layer)?));
    // No name and no time in the header: the same binary gives the same bytes.
    let gzip = GzBuilder::new().mtime(0).write(file, Compression::fast());
    let mut tar = tar::Builder::new(Hashing::new(gzip));

    for (path, mode, content) in CONTENTS {
        match content {
            EntryContent::Folder => tar.append(
                &entry(path, EntryType::Directory, mode, 0)?,
                std::io::empty(),
            )?,
            EntryContent::Roots => {
                let roots = root_certificates();
                tar.append(
                    &entry(path, EntryType::Regular, mode, roots.len() as u64)?,
                    roots.as_bytes(),
                )?;
            }
            EntryContent::Binary => {
                let source = File::open(binary)?;
                let size = source.metadata()?.len();
                // No more than the header says, should the file grow meanwhile.
                tar.append(
                    &entry(path, EntryType::Regular, mode, size)?,
                    BufReader::new(source.take(size)),
                )?;
            }
        }
    }

    let unpacked = tar.into_inner()?;
    let (gzip, unpacked_digest, unpacked_size) = unpacked.finish();
    let (mut file, digest, size) = gzip.finish()?.finish();
    file.flush()?;
    Ok(PackedLayer {
        digest,
        size,
        unpacked_digest,
        unpacked_size,
    })
}

fn entry(path: &str, kind: EntryType, mode: u32, size: u64) -> std::io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(path)?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(USER.into());
    header.set_gid(USER.into());
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

/// Returns the roots that browsers trust, as PEM.
fn root_certificates() -> String {
    let mut pem = String::new();
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = base64(root.as_ref());
        for line in encoded.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

fn base64(bytes: &[u8]) -> String {
    aws_smithy_types::base64::encode(bytes)
}

pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// Passes bytes on, and knows their digest and number.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    fn finish(self) -> (W, String, u64) {
        (
            self.inner,
            format!("sha256:{:x}", self.hash.finalize()),
            self.bytes,
        )
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hash.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::own_arch;

    #[test]
    fn the_same_binary_gives_the_same_image_with_everything_a_generator_needs() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let own = std::env::current_exe().unwrap();
        let [one, two] = folders
            .each_ref()
            .map(|folder| pack(&own, own_arch(), folder.path()).unwrap());
        assert_eq!(one.manifest_digest, two.manifest_digest);
        assert_eq!(one.layer_size, std::fs::metadata(&one.layer).unwrap().len());

        let gzip = flate2::read::GzDecoder::new(File::open(&one.layer).unwrap());
        let mut tar = tar::Archive::new(gzip);
        let entries: Vec<(String, u32, u64)> = tar
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                (
                    entry.path().unwrap().display().to_string(),
                    header.mode().unwrap(),
                    header.uid().unwrap(),
                )
            })
            .collect();
        let names: Vec<&str> = entries.iter().map(|(name, _, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["etc/", "etc/ssl/", "etc/ssl/certs/", ROOTS, BINARY, "tmp/"]
        );
        assert!(entries.iter().all(|(_, _, uid)| *uid == u64::from(USER)));
        assert!(root_certificates().matches("BEGIN CERTIFICATE").count() > 100);
    }

    #[test]
    fn a_script_is_refused_before_anything_is_written() {
        let (home, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let script = home.path().join("generator");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        let error = pack(&script, own_arch(), folder.path()).unwrap_err();
        assert!(error.to_string().contains("it is a script"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
