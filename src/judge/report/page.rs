//! The run as one self-contained page: verdict, load over capacity, latency, judgements, reasons,
//! evidence, and the trial of an advice.
//!
//! The charts are SVG with presentation attributes. So the page is complete without any script, and
//! under a content security policy that forbids inline style, as Jenkins sets for artifacts.

use askama::Template;

use super::{Judgement, RunReport, WITH_LINES, latency, terminal, words};
use model::{units, visible};

mod chart;
mod hypotheses;
mod trial;

use hypotheses::HypothesisRow;
use trial::TrialTable;

#[derive(Template)]
#[template(path = "page.html", config = "report/page/askama.toml")]
struct Page<'a> {
    report: &'a RunReport,
    headline: String,
    subject: String,
    colour: &'static str,
    load_chart: String,
    latency_chart: String,
    judgements: Vec<JudgementRow<'a>>,
    hypotheses: Vec<HypothesisRow>,
    moments: Vec<MomentRow>,
    trial: Option<TrialTable<'a>>,
    rows: Vec<LoadRow>,
    /// Name of the row; its status codes and requests sent again.
    answers: Vec<(String, String, u64)>,
    /// Name of the row; its DNS lookup, connect, TLS, first byte and body times.
    parts: Vec<(String, [String; 5])>,
    tasks: Vec<[String; 7]>,
    strained: String,
    cost: String,
}

struct JudgementRow<'a> {
    mark: char,
    word: &'static str,
    question: String,
    judgement: &'a Judgement,
}

struct MomentRow {
    second: String,
    clock: String,
    name: &'static str,
    source: String,
    resolution: String,
}

struct LoadRow {
    name: String,
    level: String,
    requests: u64,
    per_second: String,
    errors: String,
    latencies: [String; 5],
}

/// Returns the page. Fails only if the template itself is broken, which its tests would show.
pub fn html(report: &RunReport) -> Result<String, askama::Error> {
    match visible::each(report, &WITH_LINES) {
        Some(seen) => page(&seen),
        // In a page a line break is a blank.
        None => Ok(visible::text(&page(report)?)),
    }
}

fn page(report: &RunReport) -> Result<String, askama::Error> {
    let judged = report.judged.as_ref();
    let judgements = judged
        .map(|judged| {
            judged
                .thresholds
                .iter()
                .chain(&judged.scaling)
                .chain(&judged.validity)
        })
        .into_iter()
        .flatten()
        .map(|judgement| JudgementRow {
            mark: terminal::mark(judgement.verdict),
            word: judgement.verdict.word(),
            question: judgement.question(),
            judgement,
        })
        .collect();
    let page = Page {
        report,
        headline: terminal::headline(report),
        subject: terminal::subject(report),
        colour: match report.exit.code() {
            0 => "#1a7f37",
            5 | 130 => "#9a6700",
            _ => "#c4292b",
        },
        load_chart: chart::load(report),
        latency_chart: chart::latency(report),
        judgements,
        hypotheses: hypotheses::rows(judged),
        moments: moments(report),
        trial: report.trial.as_ref().map(TrialTable::of),
        rows: load_rows(report),
        answers: answers(report),
        parts: parts(report),
        tasks: tasks(report),
        strained: strained(report),
        cost: report.cost_sentence(),
    };
    page.render()
}

fn moments(report: &RunReport) -> Vec<MomentRow> {
    let Some(reaction) = report
        .judged
        .as_ref()
        .and_then(|judged| judged.reaction.as_ref())
    else {
        return Vec::new();
    };
    let row = |moment: &evidence::Moment| MomentRow {
        second: report.started.map_or(String::new(), |started| {
            format!("{:.1} s", moment.at.duration_since(started).as_secs_f64())
        }),
        clock: moment.at.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string(),
        name: moment.kind.name(),
        source: words::source(moment),
        resolution: format!("± {}", units::duration(moment.resolution)),
    };
    match reaction.spikes.as_slice() {
        [] => reaction.out.iter().chain(&reaction.back).map(row).collect(),
        spikes => spikes
            .iter()
            .flat_map(|spike| spike.out.iter().chain(&spike.back))
            .map(row)
            .collect(),
    }
}

fn load_rows(report: &RunReport) -> Vec<LoadRow> {
    let Some(load) = &report.load else {
        return Vec::new();
    };
    let phases = load.phases.iter().map(|phase| {
        let name = format!("{} ({})", phase.row.name, phase.role.word());
        (&phase.row, name, terminal::level(phase.model, phase.level))
    });
    let others = std::iter::once(&load.whole)
        .chain(&load.steps)
        .map(|row| (row, row.name.clone(), String::new()));
    phases
        .chain(others)
        .map(|(row, name, level)| LoadRow {
            name,
            level,
            requests: row.tally.requests(),
            per_second: format!("{:.1}", row.per_second),
            errors: match row.tally.classes() {
                classes if classes.is_empty() => "0".to_owned(),
                classes => classes
                    .iter()
                    .map(|(class, count)| format!("{count} {class}"))
                    .collect::<Vec<_>>()
                    .join(", "),
            },
            latencies: [row.p50, row.p95, row.p99, row.max, row.service_p95].map(latency),
        })
        .collect()
}

fn answers(report: &RunReport) -> Vec<(String, String, u64)> {
    let rows = report.load.iter().flat_map(super::Load::rows);
    rows.filter(|row| !row.statuses.is_empty() || row.tally.reconnects > 0)
        .map(|row| {
            let statuses = row.statuses_sentence();
            (row.name.clone(), statuses, row.tally.reconnects)
        })
        .collect()
}

fn parts(report: &RunReport) -> Vec<(String, [String; 5])> {
    let Some(load) = &report.load else {
        return Vec::new();
    };
    std::iter::once(&load.whole)
        .chain(&load.steps)
        .map(|row| {
            let values = [
                row.dns_p95,
                row.connect_p95,
                row.tls_p95,
                row.first_byte_p95,
                row.body_p95,
            ];
            (row.name.clone(), values.map(latency))
        })
        .collect()
}

fn tasks(report: &RunReport) -> Vec<[String; 7]> {
    let Some(load) = &report.load else {
        return Vec::new();
    };
    let row = |task: &super::TaskRow| {
        [
            task.task.to_string(),
            task.asked.iter().sum::<u64>().to_string(),
            task.sent.iter().sum::<u64>().to_string(),
            format!("{:.1}%", task.share() * 100.0),
            latency(Some(task.latest)),
            format!("{:.0}%", f64::from(task.busiest) / 10.0),
            format!("{} MiB", task.most_resident_mib),
        ]
    };
    load.generators.tasks.iter().map(row).collect()
}

fn strained(report: &RunReport) -> String {
    let stretches = report
        .load
        .iter()
        .flat_map(|load| &load.generators.strained);
    stretches
        .map(|stretch| words::stretch(stretch, report.started))
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::report;

    #[test]
    fn the_page_is_whole_and_escapes_what_users_wrote() {
        let mut report = report();
        report.scenario = "<script>alert(1)</script>".to_owned();
        report.judged.as_mut().unwrap().hypotheses = hypotheses::example();
        report.trial = Some(trial::example());
        let page = html(&report).unwrap();
        insta::assert_snapshot!(page);
        assert!(!page.contains("<script>"));
        assert!(
            !page.contains("<b>"),
            "nor what instances and changes are called"
        );
    }

    #[test]
    fn each_head_of_a_table_says_what_it_is_the_head_of() {
        let mut report = report();
        report.judged.as_mut().unwrap().hypotheses = hypotheses::example();
        report.trial = Some(trial::example());
        let page = html(&report).unwrap();
        let heads = page.matches("<th ").count();
        assert_eq!(page.matches("<th scope=").count(), heads);
        assert!(!page.contains("<th>"));
        assert!(heads > 50, "{heads} heads: every table is there");
    }

    #[test]
    fn a_run_that_missed_no_limit_and_tried_nothing_has_neither_section() {
        let report = report();
        assert!(report.judged.as_ref().unwrap().hypotheses.is_empty() && report.trial.is_none());
        let page = html(&report).unwrap();
        assert!(!page.contains("What explains the seconds"));
        assert!(!page.contains("The trial of the advice"));
    }

    #[test]
    fn a_run_that_took_any_certificate_says_so_in_every_form() {
        let report = RunReport {
            insecure: true,
            ..report()
        };
        let words = "INSECURE: any certificate was taken";
        assert!(html(&report).unwrap().contains(words));
        assert!(terminal::text(&report).contains(words));
        assert!(
            serde_json::to_string(&report)
                .unwrap()
                .contains("\"insecure\":true")
        );
    }

    #[test]
    fn a_run_that_never_loaded_still_has_a_page() {
        let mut report = report();
        (report.load, report.judged, report.started) = (None, None, None);
        report.error = Some("provision: no permission".to_owned());
        report.exit = model::outcome::Exit::CouldNotRun;
        let page = html(&report).unwrap();
        assert!(page.contains("COULD NOT RUN"));
        assert!(page.contains("provision: no permission"));
    }
}
