//! Groups of the lab, and runs against them: the part that tests of reports and of advice share.

mod stage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use spikeproof::evidence::Timeline;
use spikeproof::lab::truth::Truth;
use spikeproof::report::RunReport;
use spikeproof::watch;
use stage::Stage;

/// A file of a folder such as `tests/truth`: a lab group, a load, and what is expected of the two.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    bound(deserialize = "E: Deserialize<'de> + Default")
)]
pub(crate) struct Case<E> {
    /// The special feature of this group.
    pub(crate) about: String,
    #[serde(default)]
    pub(crate) lab: serde_json::Value,
    /// In place of the usual one.
    #[serde(default)]
    pub(crate) spike: Option<String>,
    /// In place of all the usual phases, and of the limit in the spike.
    #[serde(default)]
    pub(crate) phases: Vec<String>,
    #[serde(default)]
    pub(crate) threshold: Option<String>,
    /// Between a session's requests.
    #[serde(default)]
    pub(crate) think: Option<String>,
    /// In place of the one flow that asks for `/`.
    #[serde(default)]
    pub(crate) flows: Vec<String>,
    /// For a whole request, in place of 5 s.
    #[serde(default)]
    pub(crate) timeout: Option<String>,
    /// How long connections live, and who uses them; in place of the defaults.
    #[serde(default)]
    pub(crate) connection: Option<String>,
    #[serde(default)]
    pub(crate) scaling: BTreeMap<String, serde_json::Value>,
    /// The header that names instances is left out.
    #[serde(default)]
    pub(crate) without_header: bool,
    #[serde(default)]
    pub(crate) expect: E,
}

/// Reads the cases of a folder of `tests` by their names. `wanted` is `all`, a lab file of one's
/// own, or names between commas; if it is empty, the sample is read.
pub(crate) fn cases<E>(folder: &str, wanted: &str, sample: &[&str]) -> Vec<(String, Case<E>)>
where
    E: for<'de> Deserialize<'de> + Default,
{
    if Path::new(wanted).is_file() {
        return vec![(wanted.to_owned(), Case::of_lab_file(wanted))];
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder);
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let case = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if wants(wanted, sample, &name) {
            cases.push((name, case));
        }
    }
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}

/// True if `wanted` asks for this name. It is `all`, or names between commas; if it is empty, the
/// sample is asked for.
pub(crate) fn wants(wanted: &str, sample: &[&str], name: &str) -> bool {
    match wanted {
        "" => sample.contains(&name),
        "all" => true,
        names => names.split(',').any(|one| one == name),
    }
}

impl<E: for<'de> Deserialize<'de> + Default> Case<E> {
    /// Returns the usual load on a lab file of one's own, of which nothing is expected.
    fn of_lab_file(path: &str) -> Self {
        let lab = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        Self {
            about: path.to_owned(),
            lab,
            spike: None,
            phases: Vec::new(),
            threshold: None,
            think: None,
            flows: Vec::new(),
            timeout: None,
            connection: None,
            scaling: BTreeMap::new(),
            without_header: false,
            expect: E::default(),
        }
    }
}

/// Returns the lab's file of a case: this one, with the changes of the case.
pub(crate) fn lab<E>(case: &Case<E>) -> serde_json::Value {
    // 100 requests/s per instance.
    let mut lab = serde_json::json!({ "target": { "workers": 4, "service_time": "40ms" } });
    if let Some(own) = case.lab.as_object() {
        for (section, value) in own {
            match (
                lab.get_mut(section).and_then(|known| known.as_object_mut()),
                value.as_object(),
            ) {
                (Some(known), Some(value)) => known.extend(value.clone()),
                _ => lab[section] = value.clone(),
            }
        }
    }
    lab
}

/// Returns the scenario of a case.
pub(crate) fn scenario<E>(case: &Case<E>) -> String {
    let is_service = case.lab["target"]["service"].as_bool() == Some(true);
    let subject = if is_service {
        "service: \"${TARGET_SERVICE}\""
    } else {
        "group: \"${TARGET_GROUP}\""
    };
    let mut scaling = case.scaling.clone();
    if !case.without_header {
        scaling.insert("instance_header".to_owned(), "x-instance-id".into());
    }
    let scaling = if scaling.is_empty() {
        String::new()
    } else {
        format!("scaling: {}\n", serde_json::to_string(&scaling).unwrap())
    };
    let spike = case
        .spike
        .as_deref()
        .unwrap_or("{ name: spike, rate: 280/s, hold: 18s }");
    let usual = [
        "{ name: warm-up, rate: 60/s, hold: 3s }",
        "{ name: sustained, rate: 60/s, hold: 6s }",
        spike,
        "{ name: recovery, rate: 60/s, hold: 24s }",
    ];
    let phases = if case.phases.is_empty() {
        usual.map(str::to_owned).to_vec()
    } else {
        case.phases.clone()
    };
    let think = case
        .think
        .as_ref()
        .map_or(String::new(), |think| format!("think: {think}, "));
    let connection = case
        .connection
        .as_ref()
        .map_or(String::new(), |keys| format!("connection: {keys}\n"));
    let home = [format!("{{ name: home, {think}steps: [ {{ get: / }} ] }}")];
    let flows: &[String] = match case.flows.is_empty() {
        true => &home,
        false => &case.flows,
    };
    let timeout = case.timeout.as_deref().unwrap_or("5s");
    let threshold = case.threshold.as_deref().unwrap_or("p95 < 400ms in spike");
    format!(
        "name: truth\ntarget: {{ url: \"${{TARGET_URL}}\", {subject}, timeout: {timeout} }}\n{connection}\
         phases:\n  - {}\nflows:\n  - {}\nthresholds: [ {threshold} ]\n{scaling}",
        phases.join("\n  - "),
        flows.join("\n  - ")
    )
}

/// Runs a scenario against a lab of its own; `case` is the folder with the settings of proxies.
pub(crate) async fn run(
    name: &str,
    lab: &serde_json::Value,
    scenario: &str,
    case: Option<&Path>,
) -> (RunReport, Timeline, Truth) {
    let is_verbose = std::env::var_os("SPIKEPROOF_TRUTH_VERBOSE").is_some();
    let mut folder = tempfile::tempdir().unwrap();
    folder.disable_cleanup(is_verbose);
    let stage = Stage {
        name,
        lab: &lab.to_string(),
        scenario,
        case,
    };
    let (run, _) = stage.play(folder.path()).await;
    let read = |path: PathBuf| {
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let said = || read(folder.path().join("said.txt"));
    let report: RunReport = serde_json::from_str(&read(run.join("report.json"))).unwrap();
    assert!(report.judged.is_some(), "{}", said());
    if is_verbose {
        println!("{} kept for {}", folder.path().display(), said());
    }
    let truth = serde_json::from_str(&read(folder.path().join("truth.json"))).unwrap();
    let timeline = watch::read(&run.join("watch.jsonl")).unwrap();
    (report, timeline, truth)
}
