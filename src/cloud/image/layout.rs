//! The image as an OCI layout: what `skopeo`, `podman` and `docker load` understand.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Image, ImageError, MANIFEST_TYPE};

/// Writes `oci-layout`, `index.json` and `blobs/` into a folder.
pub fn write(image: &Image, arch: &str, folder: &Path) -> Result<(), ImageError> {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).map_err(ImageError::file(&blobs))?;
    let blob = |digest: &str| -> PathBuf { blobs.join(digest.trim_start_matches("sha256:")) };
    let put =
        |path: PathBuf, bytes: &[u8]| std::fs::write(&path, bytes).map_err(ImageError::file(&path));

    put(blob(&image.config_digest), &image.config)?;
    put(blob(&image.manifest_digest), &image.manifest)?;
    let layer = blob(&image.layer_digest);
    std::fs::copy(&image.layer, &layer).map_err(ImageError::file(&layer))?;
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": MANIFEST_TYPE,
            "digest": image.manifest_digest,
            "size": image.manifest.len(),
            "platform": { "os": "linux", "architecture": arch },
            "annotations": { "org.opencontainers.image.ref.name": "spikeproof-generator" },
        }],
    });
    put(
        folder.join("index.json"),
        &serde_json::to_vec_pretty(&index)?,
    )?;
    put(
        folder.join("oci-layout"),
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::pack::digest;
    use crate::image::{architecture, own_arch, pack};

    #[test]
    fn every_blob_is_what_its_name_says_and_all_are_reachable() {
        let folder = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        let image = pack(&own, own_arch(), folder.path()).unwrap();
        let layout = folder.path().join("layout");
        write(&image, architecture(own_arch()), &layout).unwrap();

        let mut found = Vec::new();
        for entry in std::fs::read_dir(layout.join("blobs/sha256")).unwrap() {
            let entry = entry.unwrap();
            let name = format!("sha256:{}", entry.file_name().to_str().unwrap());
            assert_eq!(digest(&std::fs::read(entry.path()).unwrap()), name);
            found.push(name);
        }
        found.sort();
        let mut wanted = vec![
            image.manifest_digest.clone(),
            image.config_digest,
            image.layer_digest,
        ];
        wanted.sort();
        assert_eq!(found, wanted);
        let index: serde_json::Value =
            serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
        assert_eq!(
            index["manifests"][0]["digest"],
            image.manifest_digest.as_str()
        );
    }
}
