//! The organisation's file: limits that no run of its members may exceed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::preview::Preview;
use super::{Context, RunError};
use crate::events::Phase;
use crate::files;
use crate::limits::{Organisation, RequestedLoad, RunLimits};

/// Far above any list of limits.
const LARGEST: u64 = 1 << 20;

/// Where the file is looked for.
#[derive(Debug, Clone)]
pub struct OrganisationFile {
    /// Wins if it exists: who may write there decides for everybody on this machine.
    pub fixed: PathBuf,
    /// `SPIKEPROOF_ORGANISATION`
    pub named: Option<PathBuf>,
}

impl Default for OrganisationFile {
    fn default() -> Self {
        Self {
            fixed: PathBuf::from("/etc/spikeproof/organisation.yaml"),
            named: None,
        }
    }
}

/// The limits, and the file that contains them.
#[derive(Debug, Clone, Default)]
pub(super) struct OrganisationRules {
    pub limits: Organisation,
    file: String,
}

/// The limits that hold while the run is in progress. An error if the organisation does not permit
/// the run, or if the plan alone takes longer than the limits allow.
pub(super) fn limits(
    cx: &Context,
    preview: &Preview,
    asked: &RequestedLoad,
) -> Result<RunLimits, RunError> {
    let rules = rules(&cx.options.scenario.organisation)?;
    rules.check(asked)?;
    let limits = RunLimits {
        max_duration: cx.options.max_duration,
        budget: rules.limits.budget(preview.scenario.budget),
        before: cx.repeats.before,
    };
    match limits.too_short_for(preview.schedule.end() * cx.repeats.left) {
        None => Ok(limits),
        Some(why) => Err(RunError::could_not(Phase::Plan, why)
            .hint("a shorter hold, or a larger --max-duration")),
    }
}

/// Reads the file. A file that cannot be read is an error, because its limits are unknown.
pub(super) fn rules(file: &OrganisationFile) -> Result<OrganisationRules, RunError> {
    match (std::fs::metadata(&file.fixed), &file.named) {
        (Err(error), None) if error.kind() == ErrorKind::NotFound => {
            Ok(OrganisationRules::default())
        }
        (Err(error), Some(named)) if error.kind() == ErrorKind::NotFound => read(named),
        _ => read(&file.fixed),
    }
}

fn read(path: &Path) -> Result<OrganisationRules, RunError> {
    let file = path.display().to_string();
    let text = files::read_text(path, LARGEST).map_err(|error| {
        RunError::could_not(Phase::Plan, format!("{file}: {error}")).with_source(error)
    })?;
    match Organisation::parse(&text) {
        Ok(limits) => Ok(OrganisationRules { limits, file }),
        Err(error) => {
            Err(RunError::could_not(Phase::Plan, format!("{file}: {error}")).with_source(error))
        }
    }
}

impl OrganisationRules {
    pub(super) fn check(&self, asked: &RequestedLoad) -> Result<(), RunError> {
        let broken = self.limits.broken_by(asked);
        if broken.is_empty() {
            return Ok(());
        }
        let what = format!(
            "{} does not permit this run: {}",
            self.file,
            broken.join("; ")
        );
        Err(RunError::could_not(Phase::Plan, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_file_wins_over_the_named_one_and_none_limits_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, tasks: Option<u32>| {
            let path = folder.path().join(name);
            if let Some(tasks) = tasks {
                std::fs::write(&path, format!("max_tasks: {tasks}\n")).unwrap();
            }
            path
        };
        let tasks = |fixed: PathBuf, named: Option<PathBuf>| {
            rules(&OrganisationFile { fixed, named })
                .map(|rules| rules.limits.max_tasks)
                .map_err(|error| error.what)
        };
        let (fixed, named, missing) = (
            file("fixed", Some(1)),
            file("named", Some(2)),
            file("missing", None),
        );
        assert_eq!(tasks(fixed.clone(), None), Ok(Some(1)));
        assert_eq!(tasks(fixed, Some(named.clone())), Ok(Some(1)));
        assert_eq!(tasks(missing.clone(), Some(named)), Ok(Some(2)));
        assert_eq!(tasks(missing.clone(), None), Ok(None));
        // A file that was named and does not exist limits nothing, although the user believes that
        // it does.
        assert!(
            tasks(missing.clone(), Some(missing.clone()))
                .unwrap_err()
                .contains("missing: No such file")
        );
        // A folder in its place cannot be read: no limit is known, so nothing is permitted.
        assert!(tasks(folder.path().to_owned(), None).is_err());
    }
}
