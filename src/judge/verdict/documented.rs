//! Compares the figures of the tables of defaults in the documentation with those of the code.

use std::time::Duration;

use super::{conditions, draining, fresh, survival, thresholds, validity};
use evidence::load::{ERRORS, least_sent};
use evidence::{others, scale_in};
use model::measure::SHORT;
use model::scenario::ScalingExpectations;

const PAGE: &str = include_str!("../../../docs/scaling.md");

/// Returns the rows of the table with this head: the name of the expectation without its link, and
/// the figures of its bound and of the cell beside it.
fn rows(head: &str) -> Vec<(String, Vec<f64>)> {
    let (_, table) = PAGE.split_once(&format!("| {head} |")).unwrap();
    let rows = table.lines().skip(2);
    rows.take_while(|row| row.starts_with('|'))
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let name = cells[1].trim_start_matches('[').split(']').next().unwrap();
            (
                name.to_owned(),
                figures(&format!("{} {}", cells[2], cells[3])),
            )
        })
        .collect()
}

fn figures(text: &str) -> Vec<f64> {
    let figure = |word: &str| match word {
        "twice" => Some(2.0),
        "fifth" => Some(5.0),
        _ => word.parse().ok(),
    };
    let words = text.split_whitespace();
    let words = words.map(|word| word.trim_end_matches([',', ';', ':', '.']));
    words.filter_map(figure).collect()
}

fn scaling() -> ScalingExpectations {
    evidence::testing::scenario().scaling
}

fn minutes(time: Duration) -> f64 {
    time.as_secs_f64() / 60.0
}

fn check(head: &str, expected: &[(&str, &[f64])]) {
    let found = rows(head);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    let known: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, known);
    for ((name, found), (_, expected)) in found.iter().zip(expected) {
        let is_same = found.len() == expected.len()
            && found
                .iter()
                .zip(*expected)
                .all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(
            is_same,
            "{name}: the page has {found:?}, the code {expected:?}"
        );
    }
}

#[test]
fn the_defaults_of_a_run_are_those_of_the_page() {
    let of = scaling();
    let percent = |share: f64| (share * 100_000.0).round() / 1_000.0;
    let errors = percent(ERRORS);
    check(
        "expectation",
        &[
            (
                "errors of a phase",
                &[
                    percent(thresholds::MOST_ERRORS),
                    percent(thresholds::MOST_ERRORS_IN_SPIKE),
                ],
            ),
            (
                "errors once new instances serve",
                &[percent(thresholds::MOST_ERRORS)],
            ),
            ("the group scales out", &[]),
            (
                "the group survives the spike",
                &[
                    errors,
                    survival::PART.into(),
                    survival::LEAST.into(),
                    survival::MOST.into(),
                ],
            ),
            ("scale-out time", &[minutes(of.out_within)]),
            (
                "fresh instances serve at once",
                &[
                    minutes(of.fresh_instances.unwrap()),
                    errors,
                    fresh::OUTLIER.into(),
                ],
            ),
            ("scale-in time", &[scale_in::AUTO]),
            ("no dropped requests", &[draining::AFTERMATH.as_secs_f64()]),
            ("no early scale-in", &[errors]),
            ("p95 and errors while scaling out", &[]),
            ("the target holds at maximum capacity", &[errors]),
            ("no flapping", &[]),
            (
                "efficiency",
                &[percent(of.under_provisioned), percent(of.over_provisioned)],
            ),
            ("the load was ours", &[percent(others::TOO_MANY)]),
            ("only its policies changed the group", &[]),
            ("one clock", &[conditions::SKEW.as_secs_f64()]),
            ("the group was watched", &[percent(validity::BLIND_SHARE)]),
            (
                "the load was sent",
                &[percent(least_sent(true)), percent(least_sent(false))],
            ),
            (
                "the generator was not the limit",
                &[
                    percent(validity::STRAINED_SHARE),
                    SHORT.as_millis() as f64,
                    percent(validity::DROPPED_SHARE),
                ],
            ),
            (
                "every request was sent, and some were answered",
                &[percent(1.0 - least_sent(true))],
            ),
            ("the plan was carried out, all results arrived", &[]),
        ],
    );
}

#[test]
fn the_defaults_of_a_watch_are_those_of_the_page() {
    check(
        "expectation of a watch",
        &[
            ("the group scales out", &[]),
            ("scale-out time", &[minutes(scaling().out_within)]),
            ("scale-in time", &[scale_in::AUTO]),
            ("fresh instances serve at once", &[]),
            ("no dropped requests", &[draining::AFTERMATH.as_secs_f64()]),
            ("not pinned at the maximum", &[]),
            ("no flapping", &[1.0]),
            ("only its policies changed the group", &[]),
            ("one clock", &[conditions::SKEW.as_secs_f64()]),
        ],
    );
}
