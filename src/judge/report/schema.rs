//! The published JSON Schema of `report.json`, generated from the types that write it.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{RunReport, VERSION};

/// Returns the JSON Schema, draft 2020-12, of the present version.
pub fn json_schema() -> Value {
    let generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let mut schema = generator.into_root_schema_for::<RunReport>().to_value();
    schema["title"] = json!("spikeproof report");
    schema["description"] = json!(
        "report.json of a run. Keys that end in _s are seconds, in _us microseconds; a share is from 0 to 1; \
         an id never changes its meaning."
    );
    schema["properties"]["version"] = json!({ "const": VERSION });
    schema
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::report::example::report;

    #[test]
    fn the_published_schema_is_the_present_one() {
        let wanted = format!("{:#}\n", json_schema());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/report.schema.json");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &wanted).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap() == wanted,
            "docs/report.schema.json is behind the code: run the tests with UPDATE_DOCS=1"
        );
    }

    /// Returns the ids of a definition: the words of an enum, the constant `id` of each form, and
    /// the ids of the definitions that it refers to.
    fn ids(schema: &Value, definition: &Value) -> BTreeSet<String> {
        let list = |key: &str| definition[key].as_array().into_iter().flatten();
        let mut found: BTreeSet<String> = list("enum")
            .chain([
                &definition["const"],
                &definition["properties"]["id"]["const"],
            ])
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        for form in list("oneOf").chain(list("anyOf")) {
            found.extend(ids(schema, form));
        }
        if let Some(name) = definition["$ref"].as_str() {
            found.extend(ids(
                schema,
                &schema["$defs"][name.trim_start_matches("#/$defs/")],
            ));
        }
        found
    }

    #[test]
    fn the_page_on_the_report_lists_every_id_and_no_other() {
        let schema = json_schema();
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/report.md");
        let page = std::fs::read_to_string(page).unwrap();
        for (section, definition, least) in [
            ("Judgements", "Judgement", 20),
            ("Moments", "MomentKind", 16),
            ("Suspects", "Suspect", 12),
            ("Standings", "Standing", 3),
            ("Telling runs", "TellingRun", 3),
            ("Clues", "Clue", 25),
            ("Warnings", "ReportedWarning", 20),
            ("Advice", "Topic", 15),
            ("Recommended candidate", "Chosen", 7),
        ] {
            let (_, rest) = page.split_once(&format!("# {section}\n")).unwrap();
            let section = rest.split("\n#").next().unwrap();
            let listed: BTreeSet<String> = section
                .lines()
                .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
                .map(str::to_owned)
                .collect();
            assert_eq!(listed, ids(&schema, &schema["$defs"][definition]));
            assert!(listed.len() >= least, "{listed:?}");
        }
    }

    #[test]
    fn every_reason_and_expectation_is_described() {
        let schema = json_schema();
        let definitions = schema["$defs"].as_object().unwrap();
        let mut forms = 0;
        for (name, definition) in definitions {
            let is_told = name.ends_with("Reason")
                || ["Judgement", "Measured", "ReportedWarning", "RunWarning"].contains(&&**name);
            let own = definition["oneOf"].as_array().into_iter().flatten();
            for form in own.filter(|form| is_told && form["properties"]["id"].is_object()) {
                let id = &form["properties"]["id"]["const"];
                assert!(form["description"].is_string(), "{name}: {id}");
                forms += 1;
            }
        }
        assert!(forms > 100, "{forms}");
    }

    #[test]
    fn a_whole_report_satisfies_the_schema_and_a_damaged_one_does_not() {
        let validator = jsonschema::draft202012::new(&json_schema()).unwrap();
        let mut report = serde_json::to_value(report()).unwrap();
        let faults: Vec<String> = validator
            .iter_errors(&report)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert_eq!(faults, Vec::<String>::new());
        report["judged"]["scaling"][0]["id"] = json!("no-such-id");
        assert!(!validator.is_valid(&report));
    }
}
