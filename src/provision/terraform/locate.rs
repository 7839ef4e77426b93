//! Finds the terraform (or tofu) binary, and refuses one that is too old before anything is
//! created.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;

/// The oldest version that the module's `required_version` accepts.
const OLDEST: (u64, u64) = (1, 5);

/// terraform says its version within a second; what stands in for it in PATH may have to fetch it
/// first.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program that a binary is, of the two that are supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// HashiCorp's `terraform`.
    Terraform,
    /// OpenTofu's `tofu`.
    OpenTofu,
}

/// The program that a run is provisioned with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// The program's file.
    pub path: PathBuf,
    /// Terraform or OpenTofu, by its own answer.
    pub flavour: Flavour,
    /// The version that it tells, for example `1.9.5`.
    pub version: String,
    /// `linux_amd64`: the folder name of this platform in a provider mirror.
    pub platform: String,
}

/// Why no program can be used.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// None of the documented places has one.
    #[error(
        "no terraform was found: install Terraform (or OpenTofu) 1.5 or newer so that `terraform` is in PATH, or name \
         it with --terraform"
    )]
    Missing,
    /// It does not start, or does not tell its version.
    #[error("{} is not a working terraform: {why}; name another with --terraform", path.display())]
    Broken {
        /// The program's file.
        path: PathBuf,
        /// The cause, in words.
        why: String,
    },
    /// It is older than version 1.5.
    #[error("{} is version {version}: install Terraform (or OpenTofu) 1.5 or newer", path.display())]
    Old {
        /// The program's file.
        path: PathBuf,
        /// The version that it tells.
        version: String,
    },
}

/// Returns the binary to use: `asked` (`--terraform`), or the first that exists in the documented
/// order.
pub async fn locate(
    asked: Option<&Path>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Binary, LocateError> {
    let path = candidates(asked, env)
        .into_iter()
        .find(|path| path.is_file())
        .ok_or(LocateError::Missing)?;
    // We run it from another folder.
    let path = std::path::absolute(&path).unwrap_or(path);
    let broken = |why: String| LocateError::Broken {
        path: path.clone(),
        why,
    };
    let output = Command::new(&path)
        .kill_on_drop(true)
        .args(["version", "-json"])
        .env("CHECKPOINT_DISABLE", "1")
        .env_remove("TF_CLI_ARGS")
        .env_remove("TF_CLI_ARGS_version")
        .stdin(Stdio::null())
        .output();
    let output = timeout(PATIENCE, output)
        .await
        .map_err(|_| {
            broken(format!(
                "`version` gave no answer within {} s",
                PATIENCE.as_secs()
            ))
        })?
        .map_err(|error| broken(error.to_string()))?;
    let answer: VersionOutput = serde_json::from_slice(&output.stdout)
        .map_err(|_| broken("`version -json` did not answer with a version".to_owned()))?;
    if !new_enough(&answer.version) {
        return Err(LocateError::Old {
            path,
            version: answer.version,
        });
    }
    let tofu = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().contains("tofu"));
    let flavour = if tofu {
        Flavour::OpenTofu
    } else {
        Flavour::Terraform
    };
    Ok(Binary {
        path,
        flavour,
        version: answer.version,
        platform: answer.platform,
    })
}

#[derive(Deserialize)]
struct VersionOutput {
    #[serde(rename = "terraform_version")]
    version: String,
    platform: String,
}

/// Returns the paths to look at, in order. A path that the user named is the only one: a typo must
/// not pick another binary.
fn candidates(asked: Option<&Path>, env: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    if let Some(path) = asked
        .map(Path::to_owned)
        .or_else(|| set("SPIKEPROOF_TERRAFORM").map(PathBuf::from))
    {
        return vec![path];
    }
    // GitHub's setup-terraform puts a wrapper in PATH that dies on SIGINT; the real binary lies
    // beside it.
    let unwrapped =
        set("TERRAFORM_CLI_PATH").map(|folder| PathBuf::from(folder).join("terraform-bin"));
    let folders: Vec<PathBuf> = set("PATH").iter().flat_map(std::env::split_paths).collect();
    let named = ["terraform", "tofu"]
        .into_iter()
        .flat_map(|name| folders.iter().map(move |f| f.join(name)));
    unwrapped.into_iter().chain(named).collect()
}

fn new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u64>().ok());
    matches!((parts.next(), parts.next()), (Some(Some(major)), Some(Some(minor))) if (major, minor) >= OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_looked_for_in_the_documented_order() {
        let check = |asked: Option<&str>, env: &[(&str, &str)], expected: &[&str]| {
            let read = |name: &str| {
                env.iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| value.into())
            };
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(candidates(asked.map(Path::new), read), expected);
        };
        check(
            Some("/x/tf"),
            &[("SPIKEPROOF_TERRAFORM", "/y"), ("PATH", "/bin")],
            &["/x/tf"],
        );
        check(
            None,
            &[("SPIKEPROOF_TERRAFORM", "/y"), ("PATH", "/bin")],
            &["/y"],
        );
        check(
            None,
            &[("TERRAFORM_CLI_PATH", "/w"), ("PATH", "/a:/b")],
            &[
                "/w/terraform-bin",
                "/a/terraform",
                "/b/terraform",
                "/a/tofu",
                "/b/tofu",
            ],
        );
        check(None, &[], &[]);
    }

    #[test]
    fn versions_before_1_5_are_refused() {
        for (version, expected) in [
            ("1.5.0", true),
            ("1.11.4", true),
            ("2.0.0-rc1", true),
            ("1.4.9", false),
            ("0.15.5", false),
            ("x", false),
        ] {
            assert_eq!(new_enough(version), expected, "{version}");
        }
    }

    #[tokio::test]
    async fn a_missing_binary_says_what_to_install() {
        let error = locate(None, |_| None).await.unwrap_err().to_string();
        assert!(
            error.contains("install Terraform (or OpenTofu) 1.5"),
            "{error}"
        );
    }
}
