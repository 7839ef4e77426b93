//! The source of the AWS provider: a folder that the user prepared, or the registry through a
//! shared cache.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::locate::{Binary, Flavour};
use crate::trust;

/// The version the module pins.
pub(super) const VERSION: &str = "5.100.0";
/// The platform whose package was at hand when `terraform/.terraform.lock.hcl` was made: the file has
/// the checksum of its unpacked files (`h1:`). It has those of the archives (`zh:`) for all platforms.
const UNPACKED: &str = "linux_amd64";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProviderSource {
    /// The user's own CLI configuration is in charge.
    Configured(PathBuf),
    /// A folder in the layout of `terraform providers mirror`.
    Mirror(PathBuf),
    /// The registry; what was fetched once is kept in this folder. Without a folder that is the
    /// user's own, it is fetched for each run.
    Registry { cache: Option<PathBuf> },
}

/// Decides, looking only at `env` and at which files exist.
pub(super) fn source(binary: &Binary, env: impl Fn(&str) -> Option<OsString>) -> ProviderSource {
    let set = |name: &str| {
        env(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = set("SPIKEPROOF_PLUGIN_DIR") {
        return ProviderSource::Mirror(folder);
    }
    let home = set("HOME");
    let own = match binary.flavour {
        Flavour::Terraform => ".terraformrc",
        Flavour::OpenTofu => ".tofurc",
    };
    let configured = set("TF_CLI_CONFIG_FILE")
        .into_iter()
        .chain(home.iter().map(|home| home.join(own)));
    if let Some(file) = configured.into_iter().find(|file| file.is_file()) {
        return ProviderSource::Configured(file);
    }
    let data = set("XDG_DATA_HOME").or_else(|| home.as_ref().map(|home| home.join(".local/share")));
    let shared = [
        "/usr/local/share/terraform/plugins",
        "/usr/share/terraform/plugins",
    ]
    .map(PathBuf::from);
    let mirrors = home
        .iter()
        .map(|home| home.join(".terraform.d/plugins"))
        .chain(data.map(|data| data.join("terraform/plugins")))
        .chain(shared);
    if let Some(mirror) = mirrors
        .into_iter()
        .find(|folder| holds_provider(folder, binary))
    {
        return ProviderSource::Mirror(mirror);
    }
    let cache = set("XDG_CACHE_HOME").or_else(|| home.map(|home| home.join(".cache")));
    let cache = cache.map(|cache| cache.join("spikeproof/plugins"));
    ProviderSource::Registry {
        cache: cache.filter(|cache| is_private(cache)),
    }
}

/// True if nobody else can put a program into this cache: it and the folder above it are ours where
/// they exist, and nobody else can replace them. terraform runs what it finds there.
pub(super) fn is_private(cache: &Path) -> bool {
    cache
        .ancestors()
        .take(2)
        .all(|folder| match trust::distrust(folder) {
            Ok(found) => found.is_none(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                matches!(trust::distrust_above(folder), Ok(None))
            }
            Err(_) => false,
        })
}

/// True if the checksums that come with the module are about the package at this source: they are of
/// terraform's registry, and of archives, but for one platform.
pub(super) fn is_locked(source: &ProviderSource, binary: &Binary) -> bool {
    let fetched = match source {
        ProviderSource::Registry { .. } => true,
        ProviderSource::Mirror(folder) => !unpacked(folder, binary).is_dir(),
        ProviderSource::Configured(_) => false,
    };
    binary.flavour == Flavour::Terraform && (fetched || binary.platform == UNPACKED)
}

/// True if an unpacked package, such as one of the cache, can be compared with those checksums.
pub(super) fn is_locked_unpacked(binary: &Binary) -> bool {
    binary.flavour == Flavour::Terraform && binary.platform == UNPACKED
}

/// Returns the place of the unpacked provider in a mirror.
fn unpacked(mirror: &Path, binary: &Binary) -> PathBuf {
    let provider = mirror.join(registry(binary.flavour)).join("hashicorp/aws");
    provider.join(VERSION).join(&binary.platform)
}

fn registry(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Terraform => "registry.terraform.io",
        Flavour::OpenTofu => "registry.opentofu.org",
    }
}

fn holds_provider(mirror: &Path, binary: &Binary) -> bool {
    let provider = mirror.join(registry(binary.flavour)).join("hashicorp/aws");
    let platform = &binary.platform;
    unpacked(mirror, binary).is_dir()
        || provider
            .join(format!("terraform-provider-aws_{VERSION}_{platform}.zip"))
            .is_file()
}

/// Returns the text of our own CLI configuration; `None` if the user's is in charge.
pub(super) fn configuration(source: &ProviderSource, flavour: Flavour) -> Option<String> {
    match source {
        ProviderSource::Configured(_) => None,
        ProviderSource::Mirror(folder) => {
            let provider = format!("{}/hashicorp/aws", registry(flavour));
            // JSON strings are HCL strings, but for `${` and `%{`.
            let folder = serde_json::Value::from(folder.to_string_lossy()).to_string();
            let folder = folder.replace("${", "$${").replace("%{", "%%{");
            Some(format!(
                "provider_installation {{\n  filesystem_mirror {{\n    path    = {folder}\n    include = \
                 [\"{provider}\"]\n  }}\n  direct {{\n    exclude = [\"{provider}\"]\n  }}\n}}\n"
            ))
        }
        ProviderSource::Registry { .. } => {
            Some("provider_installation {\n  direct {}\n}\n".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(flavour: Flavour) -> Binary {
        Binary {
            path: "/tf".into(),
            flavour,
            version: "1.11.4".into(),
            platform: "linux_amd64".into(),
        }
    }

    #[test]
    fn the_provider_comes_from_the_first_place_that_has_it() {
        let home = tempfile::tempdir().unwrap();
        let path_of = |path: &str| home.path().join(path);
        let found = |flavour, extra: &[(&str, PathBuf)]| {
            source(&binary(flavour), |name| {
                let extra = extra
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| value.clone().into());
                extra.or_else(|| (name == "HOME").then(|| home.path().into()))
            })
        };
        let registry = ProviderSource::Registry {
            cache: Some(path_of(".cache/spikeproof/plugins")),
        };
        assert_eq!(found(Flavour::Terraform, &[]), registry);
        // A configuration file that is named but not there is nobody's wish.
        assert_eq!(
            found(
                Flavour::Terraform,
                &[("TF_CLI_CONFIG_FILE", path_of("none"))]
            ),
            registry
        );

        let mirror = ".terraform.d/plugins/registry.terraform.io/hashicorp/aws";
        std::fs::create_dir_all(path_of(mirror).join("5.100.0/linux_amd64")).unwrap();
        assert_eq!(
            found(Flavour::Terraform, &[]),
            ProviderSource::Mirror(path_of(".terraform.d/plugins"))
        );
        assert_eq!(found(Flavour::OpenTofu, &[]), registry);

        std::fs::write(path_of(".terraformrc"), "").unwrap();
        assert_eq!(
            found(Flavour::Terraform, &[]),
            ProviderSource::Configured(path_of(".terraformrc"))
        );
        assert_eq!(found(Flavour::OpenTofu, &[]), registry);
        assert_eq!(
            found(
                Flavour::Terraform,
                &[("SPIKEPROOF_PLUGIN_DIR", path_of("p"))]
            ),
            ProviderSource::Mirror(path_of("p"))
        );
    }

    #[test]
    fn the_cache_is_a_folder_that_nobody_else_can_write_to_or_there_is_none() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let found = |name: &str| {
            source(&binary(Flavour::Terraform), |asked| {
                (asked == name).then(|| home.path().into())
            })
        };
        // Without a home there is only the folder that everybody shares.
        let none = ProviderSource::Registry { cache: None };
        assert_eq!(found("NOBODY"), none);
        let ProviderSource::Registry { cache: Some(cache) } = found("XDG_CACHE_HOME") else {
            panic!("no cache");
        };
        std::fs::create_dir_all(&cache).unwrap();
        let set = |folder: &Path, mode| {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for (above, own, private) in [
            (0o755, 0o755, true),
            (0o700, 0o700, true),
            (0o755, 0o777, false),
            (0o1777, 0o755, false),
        ] {
            set(cache.parent().unwrap(), above);
            set(&cache, own);
            assert_eq!(is_private(&cache), private, "{above:o} {own:o}");
        }
        set(cache.parent().unwrap(), 0o755);
        set(home.path(), 0o777);
        assert!(!is_private(&cache), "everybody may rename what is in it");
        set(home.path(), 0o700);
        // A link leads to another place.
        let link = home_link(&cache);
        assert!(!is_private(&link.path().join("plugins")));
    }

    /// Returns a folder in which `plugins` leads elsewhere.
    fn home_link(cache: &Path) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(cache, folder.path().join("plugins")).unwrap();
        folder
    }

    #[test]
    fn the_checksums_hold_for_archives_and_for_one_unpacked_package() {
        let folder = tempfile::tempdir().unwrap();
        let other = |platform: &str| Binary {
            platform: platform.to_owned(),
            ..binary(Flavour::Terraform)
        };
        let packed = ProviderSource::Mirror(folder.path().join("packed"));
        let unpacked = ProviderSource::Mirror(folder.path().to_owned());
        for platform in ["linux_amd64", "linux_arm64"] {
            let place = super::unpacked(folder.path(), &other(platform));
            std::fs::create_dir_all(place).unwrap();
        }
        let fetched = ProviderSource::Registry { cache: None };
        let own = ProviderSource::Configured("/x".into());
        for (source, amd64, arm64) in [
            (&fetched, true, true),
            (&packed, true, true),
            (&unpacked, true, false),
            (&own, true, false),
        ] {
            let found =
                ["linux_amd64", "linux_arm64"].map(|platform| is_locked(source, &other(platform)));
            assert_eq!(found, [amd64, arm64], "{source:?}");
            assert!(!is_locked(source, &binary(Flavour::OpenTofu)), "{source:?}");
        }
    }

    #[test]
    fn our_configuration_names_the_mirror_for_the_one_provider() {
        let text = configuration(
            &ProviderSource::Mirror("/a \"b\"${c}".into()),
            Flavour::OpenTofu,
        )
        .unwrap();
        assert_eq!(
            text,
            r#"provider_installation {
  filesystem_mirror {
    path    = "/a \"b\"$${c}"
    include = ["registry.opentofu.org/hashicorp/aws"]
  }
  direct {
    exclude = ["registry.opentofu.org/hashicorp/aws"]
  }
}
"#
        );
        assert_eq!(
            configuration(&ProviderSource::Configured("/x".into()), Flavour::Terraform),
            None
        );
    }
}
