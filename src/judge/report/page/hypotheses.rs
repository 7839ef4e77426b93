//! The reasons for the seconds that missed a limit, as rows of a table.

use crate::report::{Judged, words};
use evidence::Hypothesis;
use model::units;

/// Spans of seconds that a row names; more are only counted.
const MOST_SPANS: usize = 4;
/// Text of a cell that has nothing to say.
const NOTHING: &str = "-";

/// A reason with its clues, in words.
pub(super) struct HypothesisRow {
    pub reason: &'static str,
    pub standing: &'static str,
    pub seconds: String,
    /// The basis of a standing without any clue; `None` where there are clues.
    pub clueless: Option<&'static str>,
    pub pro: String,
    pub against: String,
    pub tells: &'static str,
}

/// Returns the rows in the order of the report; none where no second missed a limit.
pub(super) fn rows(judged: Option<&Judged>) -> Vec<HypothesisRow> {
    let found = judged.into_iter().flat_map(|judged| &judged.hypotheses);
    found.map(row).collect()
}

fn row(found: &Hypothesis) -> HypothesisRow {
    let is_clueless = found.pro.is_empty() && found.against.is_empty();
    let clues = |of: &[_]| match words::clues(of) {
        none if none.is_empty() => NOTHING.to_owned(),
        clues => clues,
    };
    HypothesisRow {
        reason: words::suspect(found.suspect),
        standing: words::standing(found.standing),
        seconds: seconds(found),
        clueless: is_clueless.then(|| words::clueless(found.standing)),
        pro: clues(&found.pro),
        against: clues(&found.against),
        tells: found.tells.map_or(NOTHING, words::telling),
    }
}

/// Returns the number of seconds that a reason explains, and where the charts show them.
fn seconds(found: &Hypothesis) -> String {
    let mut spans: Vec<String> = found
        .seconds
        .iter()
        .take(MOST_SPANS)
        .map(|(from, until)| format!("{from} to {until} s"))
        .collect();
    if spans.is_empty() {
        return NOTHING.to_owned();
    }
    let more = found.seconds.len() - spans.len();
    if more > 0 {
        spans.push(format!("and {more} more"));
    }
    let count = units::count(found.count(), "second");
    format!("{count}: {}", spans.join(", "))
}

#[cfg(test)]
pub(super) use tests::example;

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::{Clue, Standing, Suspect, TellingRun};

    fn hypothesis(suspect: Suspect, standing: Standing) -> Hypothesis {
        Hypothesis {
            suspect,
            standing,
            pro: Vec::new(),
            against: Vec::new(),
            seconds: Vec::new(),
            tells: None,
            because: String::new(),
        }
    }

    /// A reason of each standing; an instance has the name of an element.
    pub(in crate::report::page) fn example() -> Vec<Hypothesis> {
        let grew = Clue::GrewWithoutGain {
            from: 2,
            to: 6,
            before: 196.0,
            later: 198.0,
            asked: 560.0,
        };
        let sick = Clue::OneSlow {
            instance: "<b>i-0a</b>".to_owned(),
            p95_us: 900_000,
            others_us: 35_000,
        };
        let even = Clue::NewInstancesServed { share: 0.66 };
        vec![
            Hypothesis {
                pro: vec![grew],
                seconds: vec![(11, 13), (14, 16)],
                ..hypothesis(Suspect::SharedBottleneck, Standing::Holds)
            },
            Hypothesis {
                pro: vec![sick],
                against: vec![even],
                seconds: vec![(12, 13)],
                tells: Some(TellingRun::InstanceHeader),
                ..hypothesis(Suspect::SickInstance, Standing::Open)
            },
            hypothesis(Suspect::TooFewInstances, Standing::Excluded),
        ]
    }

    #[test]
    fn a_row_names_a_few_spans_and_counts_the_rest() {
        let named = |spans: &[(u32, u32)]| {
            seconds(&Hypothesis {
                seconds: spans.to_vec(),
                ..hypothesis(Suspect::TooFewInstances, Standing::Holds)
            })
        };
        for (spans, expected) in [
            (&[][..], "-"),
            (&[(3, 4)], "1 second: 3 to 4 s"),
            (&[(3, 5), (7, 8)], "3 seconds: 3 to 5 s, 7 to 8 s"),
            (
                &[(0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 20)],
                "15 seconds: 0 to 1 s, 2 to 3 s, 4 to 5 s, 6 to 7 s, and 2 more",
            ),
        ] {
            assert_eq!(named(spans), expected, "{spans:?}");
        }
    }

    #[test]
    fn a_row_has_clues_or_says_why_it_needs_none() {
        let [shared, sick, few] = &example()[..] else {
            panic!("three reasons")
        };
        let shared = row(shared);
        assert_eq!((shared.standing, shared.clueless), ("yes", None));
        assert_eq!((&*shared.against, shared.tells), ("-", "-"));
        let sick = row(sick);
        assert_eq!(
            (sick.standing, &*sick.against, sick.tells),
            (
                "cannot tell",
                "new instances gave 66 % of the answers",
                "a run whose answers name their instance, `instance_header`"
            )
        );
        let few = row(few);
        let sentence = "other reasons explain every second that missed a limit";
        assert_eq!((few.standing, few.clueless), ("no", Some(sentence)));
    }
}
