//! A run for tests, by its journal.

use std::path::Path;

use model::units::RunId;
use provision::journal::record::Run;
use provision::journal::{Journal, Record};

/// Returns a run without an account, a target, and a boot.
pub(crate) fn run(id: &str) -> Run {
    Run {
        run: RunId::parse(id).unwrap(),
        region: String::new(),
        account: String::new(),
        scenario_name: "x".to_owned(),
        url: "http://x".to_owned(),
        endpoint: None,
        boot: None,
        profile: None,
        target: None,
        started: jiff::Timestamp::UNIX_EPOCH,
    }
}

/// Makes the folder of a run that has begun. It is driven as long as its journal is held.
pub(crate) fn begun(runs_dir: &Path, run: Run) -> Journal {
    let folder = runs_dir.join(run.run.as_str());
    Journal::create(&folder, Record::Run(run)).unwrap()
}
