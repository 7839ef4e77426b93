//! The JSON Schema of the scenario file, and the reference page's tables, out of the fields.

use serde_json::{Map, Value, json};

use super::fields::{Field, FieldKind, Object, SCENARIO};

/// Returns the JSON schema, Draft 2020-12. Editors complete and explain with it; `read` checks more
/// than a schema can say.
pub fn json_schema() -> Value {
    let mut definitions = Map::new();
    let mut root = object(&SCENARIO, &mut definitions);
    if let Value::Object(members) = &mut root {
        members.insert(
            "$schema".to_owned(),
            "https://json-schema.org/draft/2020-12/schema".into(),
        );
        members.insert("title".to_owned(), "spikeproof scenario".into());
        members.insert("$defs".to_owned(), definitions.into());
    }
    root
}

fn object(object: &Object, definitions: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for field in object.fields {
        let mut schema = kind(&field.kind, definitions);
        if let Value::Object(members) = &mut schema {
            members.insert("description".to_owned(), field.about.into());
        }
        properties.insert(field.name.to_owned(), schema);
    }
    let required: Vec<&str> = object
        .fields
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    json!({
        "type": "object",
        "description": object.about,
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

fn reference(to: &Object, definitions: &mut Map<String, Value>) -> Value {
    if !definitions.contains_key(to.name) {
        // The entry is made before its fields are read, because a step may hold steps.
        definitions.insert(to.name.to_owned(), Value::Null);
        let definition = object(to, definitions);
        definitions.insert(to.name.to_owned(), definition);
    }
    json!({ "$ref": format!("#/$defs/{}", to.name) })
}

fn kind(kind: &FieldKind, definitions: &mut Map<String, Value>) -> Value {
    match kind {
        FieldKind::Text => json!({ "type": "string" }),
        FieldKind::Name => text_like("[A-Za-z0-9._-]{1,64}"),
        FieldKind::Duration => text_like(DURATION),
        FieldKind::Think => text_like(&format!(
            "({DURATION}( *\\.\\. *{DURATION})?|exponential\\( *{DURATION} *\\)|normal\\( *{DURATION} *, *{DURATION} *\\))"
        )),
        FieldKind::Count => number_like(json!({ "type": "integer", "minimum": 0 })),
        FieldKind::Redirects => {
            json!({ "anyOf": [{ "const": "off" }, { "type": "integer", "minimum": 0, "maximum": 50 }, variable()] })
        }
        FieldKind::Size => text_like("[<>]=? *[0-9.]+ *(B|KB|MB|KiB|MiB)"),
        FieldKind::OneOrMore => {
            json!({ "anyOf": [scalar(), { "type": "array", "minItems": 1, "items": scalar() }] })
        }
        FieldKind::HeaderCheck => json!({ "anyOf": [{ "type": "string" }, values()] }),
        FieldKind::Values => values(),
        FieldKind::FormFields => {
            let many = json!({ "type": "array", "items": scalar() });
            json!({ "type": "object", "additionalProperties": { "anyOf": [scalar(), many] } })
        }
        FieldKind::Named(of) => {
            json!({ "type": "object", "additionalProperties": reference(of, definitions) })
        }
        FieldKind::NamedTextOr(of) => {
            json!({ "type": "object", "additionalProperties": { "anyOf": [scalar(), reference(of, definitions)] } })
        }
        FieldKind::TextsOr(of) => json!({
            "type": "array", "minItems": 1,
            "items": { "anyOf": [{ "type": "string" }, reference(of, definitions)] },
        }),
        FieldKind::OneOrMoreOf(of) => {
            let one = reference(of, definitions);
            json!({ "anyOf": [one, { "type": "array", "minItems": 1, "items": one }] })
        }
        FieldKind::Rate => text_like("[0-9.]+ */ *(s|min)"),
        FieldKind::Users => number_like(json!({ "type": "integer", "minimum": 0 })),
        FieldKind::Weight => number_like(json!({ "type": "number", "exclusiveMinimum": 0 })),
        FieldKind::Boolean => number_like(json!({ "type": "boolean" })),
        FieldKind::Choice(words) => json!({ "enum": words }),
        FieldKind::Status => {
            json!({ "anyOf": [status(), { "type": "array", "minItems": 1, "items": status() }] })
        }
        FieldKind::Cpu => number_like(json!({ "enum": [0.25, 0.5, 1, 2, 4, 8, 16] })),
        FieldKind::Tasks => {
            json!({ "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": 500 }, variable()] })
        }
        FieldKind::Headers => json!({ "type": "object", "additionalProperties": scalar() }),
        FieldKind::Json => json!({}),
        FieldKind::Texts => {
            json!({ "type": "array", "minItems": 1, "items": { "type": "string" } })
        }
        FieldKind::Object(to) => reference(to, definitions),
        FieldKind::Objects(of) => {
            json!({ "type": "array", "minItems": 1, "items": reference(of, definitions) })
        }
    }
}

const DURATION: &str = "([0-9.]+(ms|s|m|h))+";

/// Wherever a form is prescribed, `${NAME}` may stand for it.
const VARIABLE: &str = r"\$\{";

fn text_like(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^{pattern}$|{VARIABLE}") })
}

fn variable() -> Value {
    json!({ "type": "string", "pattern": VARIABLE })
}

fn number_like(number: Value) -> Value {
    json!({ "anyOf": [number, variable()] })
}

fn scalar() -> Value {
    json!({ "type": ["string", "number", "boolean"] })
}

fn values() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean", "null"] } })
}

fn status() -> Value {
    let text = text_like("([1-5]xx|[1-5][0-9]{2} *- *[1-5][0-9]{2})");
    json!({ "anyOf": [{ "type": "integer", "minimum": 100, "maximum": 599 }, text] })
}

impl Field {
    /// Returns the kind of value in a word or two, for the reference page.
    #[cfg(test)]
    fn form(&self) -> String {
        match &self.kind {
            FieldKind::Text => "text".to_owned(),
            FieldKind::Name => "name".to_owned(),
            FieldKind::Duration => "duration".to_owned(),
            FieldKind::Think => "pause".to_owned(),
            FieldKind::Count => "whole number".to_owned(),
            FieldKind::Redirects => "`off` or number".to_owned(),
            FieldKind::Size => "`< 100KB`".to_owned(),
            FieldKind::OneOrMore => "text or list of texts".to_owned(),
            FieldKind::HeaderCheck => "name, or map of texts".to_owned(),
            FieldKind::Values => "map of values".to_owned(),
            FieldKind::FormFields => "map of values or lists of them".to_owned(),
            FieldKind::Named(of) => format!("map of names to [{0}](#{0})", of.name),
            FieldKind::NamedTextOr(of) => format!("map of names to text or [{0}](#{0})", of.name),
            FieldKind::TextsOr(of) => format!("list of texts or [{0}](#{0})", of.name),
            FieldKind::OneOrMoreOf(of) => format!("[{0}](#{0}) or list of them", of.name),
            FieldKind::Rate => "`200/s`, `12000/min`".to_owned(),
            FieldKind::Users => "whole number".to_owned(),
            FieldKind::Weight | FieldKind::Cpu => "number".to_owned(),
            FieldKind::Boolean => "`true`, `false`".to_owned(),
            FieldKind::Choice(words) => format!("`{}`", words.join("`, `")),
            FieldKind::Status => "code, class, range or list".to_owned(),
            FieldKind::Tasks => "`auto` or number".to_owned(),
            FieldKind::Headers => "map of texts".to_owned(),
            FieldKind::Json => "anything".to_owned(),
            FieldKind::Texts => "list of texts".to_owned(),
            FieldKind::Object(to) => format!("[{0}](#{0})", to.name),
            FieldKind::Objects(of) => format!("list of [{0}](#{0})", of.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::scenario::fields::ALL;

    fn docs(file: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs")
            .join(file)
    }

    /// Compares the page with the committed one. With `UPDATE_DOCS=1` the page is written instead.
    fn same_as_committed(file: &str, wanted: &str) {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(docs(file), wanted).unwrap();
        }
        let committed = std::fs::read_to_string(docs(file)).unwrap();
        assert!(
            committed == wanted,
            "docs/{file} is behind the code: run the tests with UPDATE_DOCS=1"
        );
    }

    fn tables() -> String {
        let mut page = String::new();
        for object in ALL {
            page.push_str(&format!(
                "\n### {}\n\n{}\n\n| key | value | |\n|---|---|---|\n",
                object.name, object.about
            ));
            for field in object.fields {
                let required = if field.required { " **Required.**" } else { "" };
                page.push_str(&format!(
                    "| `{}` | {} | {}{required} |\n",
                    field.name,
                    field.form(),
                    field.about
                ));
            }
        }
        page
    }

    #[test]
    fn a_validator_takes_every_scenario_that_we_ship_or_write() {
        let validator = jsonschema::draft202012::new(&json_schema()).unwrap();
        let url = crate::scenario::url("https://shop.example.com").unwrap();
        let kinds = crate::scenario::init::TestKind::ALL.into_iter();
        let mut texts: Vec<(String, String)> = kinds
            .map(|kind| (kind.word().to_owned(), kind.scenario(&url)))
            .collect();
        for entry in
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios")).unwrap()
        {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "yaml")
            {
                texts.push((
                    path.display().to_string(),
                    std::fs::read_to_string(path).unwrap(),
                ));
            }
        }
        assert!(texts.len() >= 11);
        for (name, text) in texts {
            let value: Value = serde_saphyr::from_str(&text).unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&value)
                .map(|error| error.to_string())
                .collect();
            assert_eq!(errors, Vec::<String>::new(), "{name}");
        }
        for wrong in [
            "name: x",
            "name: x\ntarget: { url: http://a }\nphases: [{ users: many }]\nsteps: [{ get: / }]",
        ] {
            assert!(
                !validator.is_valid(&serde_saphyr::from_str::<Value>(wrong).unwrap()),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_committed_schema_is_the_code_s() {
        same_as_committed(
            "scenario.schema.json",
            &(serde_json::to_string_pretty(&json_schema()).unwrap() + "\n"),
        );
    }

    #[test]
    fn the_reference_page_lists_every_key() {
        const BEGIN: &str = "<!-- tables: from src/model/scenario/fields.rs -->\n";
        const END: &str = "\n<!-- end of tables -->";
        let page = std::fs::read_to_string(docs("scenario.md")).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        same_as_committed(
            "scenario.md",
            &format!("{before}{BEGIN}{}{END}{after}", tables()),
        );
    }

    /// A key that editors complete and nobody reads would be a lie.
    #[test]
    fn every_key_of_the_tables_is_read_by_the_parser() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenario");
        let mut sources = String::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.ends_with(".rs")
                && !["fields.rs", "schema.rs", "tests.rs", "init.rs"].contains(&name)
            {
                sources += std::fs::read_to_string(path)
                    .unwrap()
                    .split("#[cfg(test)]")
                    .next()
                    .unwrap();
            }
        }
        for object in ALL {
            for field in object.fields {
                assert!(
                    sources.contains(&format!("\"{}\"", field.name)),
                    "{}.{}",
                    object.name,
                    field.name
                );
            }
        }
    }

    #[test]
    fn every_object_of_the_file_is_defined_once_and_referred_to() {
        let schema = json_schema();
        for object in ALL.iter().filter(|object| object.name != "scenario") {
            assert!(
                schema["$defs"][object.name]["properties"].is_object(),
                "{}",
                object.name
            );
        }
        assert_eq!(
            schema["properties"]["phases"]["items"]["$ref"],
            "#/$defs/phase"
        );
    }
}
