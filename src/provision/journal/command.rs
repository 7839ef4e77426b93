//! Commands for people, that lead to a run from any folder and environment of this host.

use std::path::Path;

use super::{record, runs_dir};
use model::units::RunId;

/// Returns the same command for a run that others may have begun. It sets the run's region, profile
/// and endpoint if this environment has others.
pub fn reap_command_of(runs: &Path, run: &record::Run) -> String {
    in_its_place(run, |name| std::env::var(name).ok()) + &reap_command(runs, &run.run)
}

/// Returns the variables to set before a command, such as `AWS_REGION=...`, where this environment
/// would lead it elsewhere.
pub(super) fn in_its_place(run: &record::Run, env: impl Fn(&str) -> Option<String>) -> String {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let region = set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION"));
    let mut before = String::new();
    for (name, its, ours) in [
        ("AWS_PROFILE", run.profile.as_deref(), set("AWS_PROFILE")),
        (
            "AWS_ENDPOINT_URL",
            run.endpoint.as_deref(),
            set("AWS_ENDPOINT_URL"),
        ),
        (
            "AWS_REGION",
            Some(run.region.as_str()).filter(|region| !region.is_empty()),
            region,
        ),
    ] {
        if let Some(its) = its.filter(|its| ours.as_deref() != Some(its)) {
            before += &format!("{name}={} ", quoted(its));
        }
    }
    before
}

/// Returns the command that removes everything a run has left. It works from any folder of this
/// host, in the environment that the run had.
pub fn reap_command(runs: &Path, run: &RunId) -> String {
    let usual = runs_dir(None, |name| {
        std::env::var_os(name).filter(|_| name != "SPIKEPROOF_RUNS_DIR")
    });
    match std::path::absolute(runs) {
        Ok(runs) if usual.is_ok_and(|usual| usual == runs) => format!("spikeproof reap {run}"),
        runs => format!(
            "spikeproof reap {run} --runs-dir {}",
            quoted(&runs.unwrap_or_default().display().to_string())
        ),
    }
}

/// Quotes a text for a shell.
pub fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+:@".contains(letter);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
