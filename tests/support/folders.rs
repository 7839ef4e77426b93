//! The folders of `tests/cases`, as the tests of reports and of advice find them.

use std::path::{Path, PathBuf};

/// A lab file of a case.
pub(crate) struct Folder {
    /// The folder's name, with the lab file's if it is not the only one: `shared-database-min4`.
    pub(crate) name: String,
    /// With the scenario, and the settings of the proxies.
    pub(crate) path: PathBuf,
    /// The lab file.
    pub(crate) lab: PathBuf,
    /// The expectations that belong to the lab file.
    pub(crate) expect: PathBuf,
}

/// Returns each lab file of each case, by name.
pub(crate) fn cases() -> Vec<Folder> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases = Vec::new();
    for path in paths(&root).into_iter().filter(|path| path.is_dir()) {
        let case = path.file_name().unwrap().to_str().unwrap();
        for lab in paths(&path) {
            let file = lab.file_name().unwrap().to_str().unwrap();
            let other = file
                .strip_prefix("lab")
                .and_then(|rest| rest.strip_suffix(".yaml"));
            if let Some(other) = other {
                cases.push(Folder {
                    name: format!("{case}{other}"),
                    expect: path.join(format!("expect{other}.yaml")),
                    path: path.clone(),
                    lab,
                });
            }
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}
