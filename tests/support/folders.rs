//! Folders with cases: those of `tests/cases`, and any others, as the tests of reports and of advice
//! find them.

use std::path::{Path, PathBuf};

/// A lab file of a case.
pub(crate) struct Folder {
    /// The folder's name, with the lab file's if it is not the only one: `shared-database-min4`.
    pub(crate) name: String,
    /// With the scenario, and the settings of the proxies.
    pub(crate) path: PathBuf,
    /// The lab file.
    pub(crate) lab: PathBuf,
    /// The expectations that belong to the lab file; a folder of one's own need not have them.
    pub(crate) expect: Option<PathBuf>,
}

/// Returns each lab file of each case of `tests/cases`, by name.
pub(crate) fn cases() -> Vec<Folder> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let cases = below(&root);
    for case in &cases {
        assert!(case.expect.is_some(), "{}: nothing is expected", case.name);
    }
    cases
}

/// Returns the cases of the folders among `wanted`, which are paths or names between commas. Such a
/// folder is a case, or it holds cases.
pub(crate) fn given(wanted: &str) -> Vec<Folder> {
    let folders = wanted
        .split(',')
        .map(Path::new)
        .filter(|path| path.is_dir());
    let cases = folders.flat_map(|path| match case(path) {
        cases if cases.is_empty() => below(path),
        cases => cases,
    });
    cases.collect()
}

/// Returns the cases in a folder, by name.
fn below(folder: &Path) -> Vec<Folder> {
    let folders = paths(folder).into_iter().filter(|path| path.is_dir());
    let mut cases: Vec<Folder> = folders.flat_map(|path| case(&path)).collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// Returns the lab files of a case, by name; none if it is the folder of something else.
fn case(folder: &Path) -> Vec<Folder> {
    let path = folder.canonicalize().unwrap();
    let case = path.file_name().unwrap().to_str().unwrap();
    let mut found = Vec::new();
    for lab in paths(&path) {
        let file = lab.file_name().unwrap().to_str().unwrap();
        let other = file
            .strip_prefix("lab")
            .and_then(|rest| rest.strip_suffix(".yaml"));
        if let Some(other) = other {
            let expect = path.join(format!("expect{other}.yaml"));
            found.push(Folder {
                name: format!("{case}{other}"),
                expect: expect.exists().then_some(expect),
                path: path.clone(),
                lab,
            });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}
