//! How requests were answered: status codes by number, and the reasons of failures.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Load, Row, step_name, words};
use model::measure::{Failure, Results, Select};
use model::scenario::Scenario;
use model::units;

/// Complete answers with one status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusRow {
    /// Status code of the last answer, after redirects.
    pub status: u16,
    /// Answers that had it.
    pub answers: u64,
    /// Those of `answers` that count as errors, by their status or by a check.
    pub failed: u64,
}

/// Requests of a step that failed for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailureRow {
    /// Name of the step, with its flow where there are several.
    pub step: String,
    /// The reason.
    #[serde(flatten)]
    pub failure: Failure,
    /// Requests that failed for it.
    pub count: u64,
    /// The reason as a sentence.
    pub text: String,
}

pub(super) fn statuses(results: &Results, select: Select) -> Vec<StatusRow> {
    let row = |(status, (answers, failed))| StatusRow {
        status,
        answers,
        failed,
    };
    results.statuses(select).into_iter().map(row).collect()
}

pub(super) fn failures(scenario: &Scenario, results: &Results) -> Vec<FailureRow> {
    let row = |((flow, step), failure, count): ((u16, u16), Failure, u64)| {
        scenario
            .flows
            .get(flow as usize)?
            .steps
            .get(step as usize)?;
        Some(FailureRow {
            step: step_name(scenario, flow, step),
            text: words::failure(&failure),
            failure,
            count,
        })
    };
    results.failures().into_iter().filter_map(row).collect()
}

impl Row {
    /// Returns the status codes with their counts; empty if no answer came.
    pub fn statuses_sentence(&self) -> String {
        let one = |row: &StatusRow| {
            // Of other statuses nobody expects that they are right.
            let refused = match (row.status, row.failed) {
                (200..400, failed @ 1..) => format!(" ({failed} failed a check)"),
                _ => String::new(),
            };
            format!("{} × {}{refused}", row.answers, row.status)
        };
        self.statuses.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

impl Load {
    /// Returns the rows of phases, then the whole run, then the steps, where there are several.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        let steps = if self.steps.len() > 1 {
            self.steps.as_slice()
        } else {
            &[]
        };
        self.phases
            .iter()
            .map(|phase| &phase.row)
            .chain(std::iter::once(&self.whole))
            .chain(steps)
    }

    /// Returns a sentence on the requests that were sent again; empty if there were none.
    pub fn reconnects_sentence(&self) -> String {
        let all = self.whole.tally.reconnects;
        if all == 0 {
            return String::new();
        }
        let steps: Vec<String> = self
            .steps
            .iter()
            .filter(|step| step.tally.reconnects > 0)
            .map(|step| format!("{} {}", step.tally.reconnects, step.name))
            .collect();
        format!(
            "reconnects: {} sent again on a new connection ({})",
            units::count(all, "request"),
            steps.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::report;
    use super::*;

    #[test]
    fn a_2xx_that_a_check_refused_is_told_apart() {
        let row = |status, answers, failed| StatusRow {
            status,
            answers,
            failed,
        };
        let statuses = vec![
            row(200, 60, 3),
            row(204, 1, 0),
            row(404, 2, 0),
            row(503, 4, 4),
        ];
        let whole = report().load.unwrap().whole;
        assert_eq!(
            Row { statuses, ..whole }.statuses_sentence(),
            "60 × 200 (3 failed a check), 1 × 204, 2 × 404, 4 × 503"
        );
    }
}
