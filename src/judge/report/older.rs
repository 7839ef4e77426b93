//! Reads reports of every version. Only this module derives the ids that earlier versions lack from
//! their sentences.

use serde::de::Error as _;
use serde_json::{Value, json};

use super::{RunReport, VERSION};
use crate::advice::Topic;
use evidence::LaunchReason;
use model::units;

/// Reads a report of version 1 to the present one.
pub fn read(text: &str) -> Result<RunReport, serde_json::Error> {
    let mut report: Value = serde_json::from_str(text)?;
    let Some(version) = report["version"].as_u64() else {
        return Err(serde_json::Error::custom("it names no version"));
    };
    if version > u64::from(VERSION) {
        return Err(serde_json::Error::custom(format!(
            "it is of version {version}, made by a newer spikeproof"
        )));
    }
    if version < 5 {
        if let Some(judged) = report.get_mut("judged") {
            name_judgements(judged);
        }
        name_warnings(&mut report);
        name_answers(&mut report);
    }
    if version < 6 {
        give_launches_their_reason(&mut report);
    }
    serde_json::from_value(report)
}

/// Gives launches their reason. In versions 1 to 5 they had `replaces`: whether the launch was not
/// part of a growth.
fn give_launches_their_reason(report: &mut Value) {
    let launched = report
        .pointer_mut("/judged/reaction/launched")
        .and_then(Value::as_array_mut);
    for launch in launched.into_iter().flatten() {
        let Some(launch) = launch.as_object_mut() else {
            continue;
        };
        let why = match launch.remove("replaces").and_then(|told| told.as_bool()) {
            Some(true) => LaunchReason::Replaced,
            Some(false) => LaunchReason::Grew,
            None => LaunchReason::Unknown,
        };
        launch.entry("why").or_insert_with(|| json!(why));
    }
}

/// Names judgements by their id. Versions 1 to 4 identified them by the sentence in `asked`.
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

/// Turns warnings into objects. In versions 1 to 4 a warning was a sentence.
fn name_warnings(report: &mut Value) {
    let warnings = report.get_mut("warnings").and_then(Value::as_array_mut);
    for warning in warnings.into_iter().flatten() {
        *warning = json!({ "id": "older-report", "text": warning.take() });
    }
}

/// Names answers by their id. Versions 1 to 4 identified them by the question.
fn name_answers(report: &mut Value) {
    let answers = report
        .pointer_mut("/advice/answers")
        .and_then(Value::as_array_mut);
    for answer in answers.into_iter().flatten() {
        let topic = answer["question"].as_str().and_then(topic);
        if let Some(answer) = answer.as_object_mut() {
            let topic = topic.unwrap_or(Topic::OtherSettings);
            answer.insert("id".to_owned(), json!(topic));
        }
    }
}

fn topic(question: &str) -> Option<Topic> {
    let known = QUESTIONS.iter().find(|(known, _)| *known == question);
    known.map(|(_, topic)| *topic)
}

/// Returns the `id` of an expectation from its sentence, with the fields that this id requires.
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

/// The questions of versions 1 to 4. Those of today are in `words`, and may change.
const QUESTIONS: &[(&str, Topic)] = &[
    ("What should be changed?", Topic::Change),
    (
        "Which link of scaling out is the slow one?",
        Topic::SlowestLink,
    ),
    (
        "Why did latency grow before the group did?",
        Topic::LatencyBeforeGrowth,
    ),
    ("What explains the errors?", Topic::Errors),
    ("Did the group follow the load?", Topic::LoadFollowed),
    (
        "What does one instance carry, and how many are needed?",
        Topic::InstanceCapacity,
    ),
    ("What should the target value be?", Topic::TargetValue),
    ("What should min and max be?", Topic::MinAndMax),
    ("How large should the steps be?", Topic::StepSizes),
    ("What should the warm-up be?", Topic::WarmUp),
    ("What should the cooldown be?", Topic::Cooldown),
    (
        "Which settings around the policy should change?",
        Topic::OtherSettings,
    ),
    ("What is money reckoned by?", Topic::Price),
];

/// Start of each sentence of versions 1 to 4, with its id.
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

/// Returns the time after `within` in seconds.
fn maybe_within(asked: &str) -> Option<f64> {
    let (_, duration) = asked.split_once(" within ")?;
    let duration = units::parse_duration(duration).ok()?;
    Some(duration.as_secs_f64())
}

fn within(asked: &str) -> f64 {
    maybe_within(asked).unwrap_or_default()
}

/// Returns the share in a text such as `< 25%`, from 0 to 1.
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
    use crate::report::example::report;
    use crate::report::{Judgement, words};
    use crate::verdict::Expectation;
    use model::outcome::Verdict;

    /// Makes the present report as version 4 wrote it.
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
        for answer in report["advice"]["answers"].as_array_mut().unwrap() {
            answer.as_object_mut().unwrap().remove("id");
        }
        for launch in report["judged"]["reaction"]["launched"]
            .as_array_mut()
            .unwrap()
        {
            let launch = launch.as_object_mut().unwrap();
            launch.remove("why");
            launch.insert("replaces".to_owned(), json!(false));
        }
        report
    }

    /// The example as version 5 wrote it, with a second launch. It is kept as it was.
    const VERSION_5: &str = include_str!("older/version-5.json");

    #[test]
    fn a_kept_report_of_version_5_is_read_with_the_reasons_of_its_launches() {
        assert!(serde_json::from_str::<RunReport>(VERSION_5).is_err());
        let older = read(VERSION_5).unwrap();
        let judged = older.judged.unwrap();
        let reasons: Vec<_> = judged
            .reaction
            .as_ref()
            .unwrap()
            .launched
            .iter()
            .map(|one| one.why)
            .collect();
        assert_eq!(reasons, [LaunchReason::Grew, LaunchReason::Replaced]);
        let present = report().judged.unwrap();
        assert_eq!(judged.thresholds, present.thresholds);
        assert_eq!(judged.scaling, present.scaling);
        assert_eq!(older.warnings, report().warnings);
        let mut advice = report().advice.unwrap();
        // The reason for the choice came with version 6, and changes beside a policy came later.
        advice.chosen = None;
        advice.beside.clear();
        assert_eq!(older.advice, Some(advice));
        let mut load = report().load.unwrap();
        // Status codes, the reasons of failures and requests sent again came later.
        load.failures.clear();
        let phases = load.phases.iter_mut().map(|phase| &mut phase.row);
        for row in phases.chain(&mut load.steps).chain([&mut load.whole]) {
            row.statuses.clear();
            row.tally.reconnects = 0;
        }
        assert_eq!(older.load, Some(load));
    }

    #[test]
    fn a_launch_without_any_reason_has_an_unknown_one_and_a_known_one_is_kept() {
        let mut report: Value = serde_json::from_str(VERSION_5).unwrap();
        let launched = report["judged"]["reaction"]["launched"]
            .as_array_mut()
            .unwrap();
        launched[0].as_object_mut().unwrap().remove("replaces");
        launched[1]["why"] = json!("refreshed");
        let older = read(&report.to_string()).unwrap();
        let launched = older.judged.unwrap().reaction.unwrap().launched;
        assert_eq!(launched[0].why, LaunchReason::Unknown);
        assert_eq!(launched[1].why, LaunchReason::Refreshed);
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
        let older = read(&version_4().to_string()).unwrap();
        assert_eq!(older.warnings, report().warnings);
        assert_eq!(older.advice, report().advice);
    }

    #[test]
    fn a_report_of_version_1_is_read_without_what_it_did_not_say() {
        let mut report = version_4();
        report["version"] = json!(1);
        for (place, keys) in [
            ("", &["insecure", "standing"][..]),
            ("/load", &["checks", "addresses", "reasons"]),
            (
                "/judged/reaction",
                &["resized", "launched", "left", "open", "grew", "spikes"],
            ),
        ] {
            let object = report.pointer_mut(place).unwrap().as_object_mut().unwrap();
            object.retain(|key, _| !keys.contains(&key.as_str()));
        }
        let read = read(&report.to_string()).unwrap();
        assert_eq!(read.judged.unwrap().verdict, Verdict::Failed);
        assert_eq!(
            read.load.unwrap().whole,
            super::super::example::report().load.unwrap().whole
        );
    }

    #[test]
    fn each_sentence_of_a_version_before_finds_its_id() {
        for (asked, id) in IDS {
            let value = expectation("scaling", asked);
            assert_eq!(value["id"], *id);
            let parsed: Expectation = serde_json::from_value(value).unwrap();
            // These have no known limit, and their sentence without a limit is a different one.
            if !asked.starts_with("p95") && !asked.starts_with("errors") {
                let now = words::asked(&parsed);
                assert!(now.starts_with(asked.trim_end()), "{asked}: {now}");
            }
        }
    }

    #[test]
    fn a_report_without_the_fields_of_one_is_an_error() {
        assert!(read("{}").is_err());
        let newer = json!({ "version": VERSION + 1 }).to_string();
        let why = read(&newer).unwrap_err().to_string();
        assert!(why.contains("made by a newer spikeproof"), "{why}");
        assert!(read("nonsense").is_err());
    }
}
