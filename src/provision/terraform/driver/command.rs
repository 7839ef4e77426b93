//! Arguments and environment of each subcommand. Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use super::super::provider::ProviderSource;

/// Variables that terraform gets from the user's environment. All others, above all `TF_*`, could
/// change its behavior.
const KEPT: &[&str] = &["PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT"];
const KEPT_PREFIXES: &[&str] = &["AWS_", "SSL_", "XDG_", "LC_"];
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"];

pub(super) const CONFIGURATION: &str = "terraform.rc";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subcommand {
    Init,
    Apply,
    Destroy,
    DestroyGently,
}

impl Subcommand {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Apply => "apply",
            Self::Destroy | Self::DestroyGently => "destroy",
        }
    }
}

/// Returns the arguments. No variable is among them: every user of the machine can read a command
/// line.
pub(super) fn arguments(command: Subcommand) -> Vec<&'static str> {
    match command {
        // The state lies in the run's folder, beside the module. (`init -json` came later than
        // 1.5.)
        Subcommand::Init => vec![
            "init",
            "-input=false",
            "-no-color",
            "-backend-config=path=../terraform.tfstate",
        ],
        Subcommand::Apply | Subcommand::Destroy => {
            vec![
                command.word(),
                "-json",
                "-auto-approve",
                "-input=false",
                "-lock-timeout=60s",
            ]
        }
        Subcommand::DestroyGently => {
            [arguments(Subcommand::Destroy), vec!["-parallelism=2"]].concat()
        }
    }
}

/// Returns the environment of terraform; `checked` if it can compare what is in its cache with the
/// module's checksums. Pure.
pub(super) fn environment(
    user: BTreeMap<OsString, OsString>,
    folder: &Path,
    source: &ProviderSource,
    checked: bool,
) -> BTreeMap<OsString, OsString> {
    let mut environment: BTreeMap<OsString, OsString> = user
        .into_iter()
        .filter(|(name, _)| name.to_str().is_some_and(kept))
        .collect();
    let mut set = |name: &str, value: OsString| environment.insert(name.into(), value);
    set("TF_IN_AUTOMATION", "1".into());
    set("TF_INPUT", "0".into());
    set("CHECKPOINT_DISABLE", "1".into());
    match source {
        ProviderSource::Configured(file) => set("TF_CLI_CONFIG_FILE", file.into()),
        ProviderSource::Mirror(_) => set("TF_CLI_CONFIG_FILE", folder.join(CONFIGURATION).into()),
        ProviderSource::Registry { cache } => {
            if let Some(cache) = cache {
                set("TF_PLUGIN_CACHE_DIR", cache.into());
                // Without a checksum to compare with, terraform would fetch the provider each time.
                // What is in the cache was compared with the archive's when it was fetched.
                if !checked {
                    set("TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE", "1".into());
                }
            }
            set("TF_CLI_CONFIG_FILE", folder.join(CONFIGURATION).into())
        }
    };
    environment
}

fn kept(name: &str) -> bool {
    KEPT.contains(&name)
        || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || PROXIES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
}
