//! Reads reports of every version: what an earlier one says in words alone gets its id here, and
//! nowhere else.

use serde_json::{Value, json};

use super::{RunReport, VERSION};

/// Reads a report of version 1 to the present one.
pub fn read(text: &str) -> Result<RunReport, serde_json::Error> {
    let mut report: Value = serde_json::from_str(text)?;
    if report["version"]
        .as_u64()
        .is_some_and(|version| version < u64::from(VERSION))
    {
        if let Some(judged) = report.get_mut("judged") {
            name_judgements(judged);
        }
        name_warnings(&mut report);
    }
    serde_json::from_value(report)
}

/// Up to version 4 a judgement was known by what was asked, as a sentence.
fn name_judgements(judged: &mut Value) {
    for list in ["validity", "thresholds", "scaling", "not_judged"] {
        let judgements = judged.get_mut(list).and_then(Value::as_array_mut);
        for judgement in judgements.into_iter().flatten() {
            let asked = judgement["asked"].as_str().unwrap_or_default().to_owned();
            let expectation = expectation(list, &asked);
            if let (Some(judgement), Value::Object(expectation)) =
                (judgement.as_object_mut(), expectation)
            {
                judgement.extend(expectation);
            }
        }
    }
}

/// Up to version 4 a warning was a sentence.
fn name_warnings(report: &mut Value) {
    let warnings = report.get_mut("warnings").and_then(Value::as_array_mut);
    for warning in warnings.into_iter().flatten() {
        *warning = json!({ "id": "earlier", "text": warning.take() });
    }
}

/// The `id` of what was asked, with the fields that it must have.
fn expectation(list: &str, asked: &str) -> Value {
    if list == "thresholds" {
        return json!({ "id": "threshold", "text": asked });
    }
    IDS.iter()
        .find(|(start, _)| asked.starts_with(start))
        .map_or_else(
            || json!({ "id": "threshold", "text": asked }),
            |(_, id)| match *id {
                "scale-out-in-time" => json!({ "id": id, "within_s": within(asked) }),
                "scale-in-in-time" => json!({ "id": id, "within_s": maybe_within(asked) }),
                "under-provisioned" | "over-provisioned" => {
                    json!({ "id": id, "share": share(asked) })
                }
                id => json!({ "id": id }),
            },
        )
}

/// How the sentences of versions 1 to 4 begin.
const IDS: &[(&str, &str)] = &[
    ("the group scaled out", "scaled-out"),
    ("scale-out within", "scale-out-in-time"),
    ("scale-in", "scale-in-in-time"),
    ("fresh instances", "fresh-instances-serve"),
    ("no request dropped", "nothing-dropped"),
    ("no instance leaves", "no-early-scale-in"),
    ("p95 ", "holds-while-scaling"),
    ("errors ", "holds-while-scaling"),
    ("the target holds at maximum", "holds-at-maximum"),
    ("the group was not pinned", "not-pinned-at-maximum"),
    ("no flapping", "no-flapping"),
    ("too few instances, ", "efficiency"),
    ("too few instances", "under-provisioned"),
    ("needless instance-minutes", "over-provisioned"),
    ("the group was there", "group-exists"),
    ("only its policies", "only-policies-moved-the-group"),
    ("one clock", "one-clock"),
    ("the group was watched", "group-watched"),
    ("what was asked was sent", "load-sent"),
    ("the generator was not the limit", "generator-not-the-limit"),
    ("the plan was carried out", "plan-carried-out"),
    ("all results arrived", "all-results-arrived"),
    ("the target answered", "target-answered"),
    ("every request was sent", "every-request-sent"),
];

/// The seconds after `within`.
fn maybe_within(asked: &str) -> Option<f64> {
    let (_, duration) = asked.split_once(" within ")?;
    let duration: jiff::SignedDuration = duration.parse().ok()?;
    Some(duration.as_secs_f64())
}

fn within(asked: &str) -> f64 {
    maybe_within(asked).unwrap_or_default()
}

/// The share in `< 25%`.
fn share(asked: &str) -> f64 {
    asked
        .split_once("< ")
        .and_then(|(_, rest)| rest.split_once('%'))
        .and_then(|(percent, _)| percent.parse::<f64>().ok())
        .map_or(0.0, |percent| percent / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;
    use crate::report::{Judgement, words};
    use crate::verdict::Expectation;

    /// The present report, as version 4 wrote it.
    fn version_4() -> Value {
        let mut report = serde_json::to_value(report()).unwrap();
        report["version"] = json!(4);
        for list in ["validity", "thresholds", "scaling"] {
            for judgement in report["judged"][list].as_array_mut().unwrap() {
                let judgement = judgement.as_object_mut().unwrap();
                judgement.retain(|key, _| {
                    ["asked", "scope", "verdict", "measured", "because"].contains(&key.as_str())
                });
            }
        }
        for warning in report["warnings"].as_array_mut().unwrap() {
            *warning = warning["text"].take();
        }
        report
    }

    #[test]
    fn a_report_of_version_4_is_read_with_the_ids_of_its_judgements() {
        let older = read(&version_4().to_string()).unwrap().judged.unwrap();
        let present = report().judged.unwrap();
        let expectations = |all: &[Judgement]| -> Vec<Expectation> {
            all.iter().map(|one| one.expectation.clone()).collect()
        };
        assert_eq!(
            expectations(&older.thresholds),
            expectations(&present.thresholds)
        );
        assert_eq!(expectations(&older.scaling), expectations(&present.scaling));
        assert_eq!(
            expectations(&older.validity),
            expectations(&present.validity)
        );
        assert_eq!(older.reaction, present.reaction);
        let warnings = read(&version_4().to_string()).unwrap().warnings;
        assert_eq!(warnings, report().warnings);
    }

    #[test]
    fn each_sentence_of_a_version_before_finds_its_id() {
        for (asked, id) in IDS {
            let value = expectation("scaling", asked);
            assert_eq!(value["id"], *id);
            let parsed: Expectation = serde_json::from_value(value).unwrap();
            // No limit is known of these, and the sentence without one is another.
            if !asked.starts_with("p95") && !asked.starts_with("errors") {
                let now = words::asked(&parsed);
                assert!(now.starts_with(asked.trim_end()), "{asked}: {now}");
            }
        }
    }

    #[test]
    fn a_report_without_the_fields_of_one_is_an_error() {
        assert!(read("{}").is_err());
        assert!(read("nonsense").is_err());
    }
}
