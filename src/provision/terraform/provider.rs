//! The source of the AWS provider: a folder that the user prepared, or the registry through a
//! shared cache.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::locate::{Binary, Flavour};

/// The version the module pins.
pub(super) const VERSION: &str = "5.100.0";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProviderSource {
    /// The user's own CLI configuration is in charge.
    Configured(PathBuf),
    /// A folder in the layout of `terraform providers mirror`.
    Mirror(PathBuf),
    /// The registry; what was fetched once is kept in this folder.
    Registry { cache: PathBuf },
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
    ProviderSource::Registry {
        cache: cache
            .unwrap_or_else(std::env::temp_dir)
            .join("spikeproof/plugins"),
    }
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
    provider.join(VERSION).join(platform).is_dir()
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
            cache: path_of(".cache/spikeproof/plugins"),
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
