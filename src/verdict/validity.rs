//! Whether the numbers are the target's at all.

use std::time::Duration;

use jiff::Timestamp;

use super::{Circumstances, Judgement};
use crate::evidence::Timeline;
use crate::measure::{Results, Select, Strain, Stretch, stretches};
use crate::outcome::Verdict;
use crate::scenario::{Model, Scenario};
use crate::units;

/// A strained second (a stop of the host, a burst of handshakes) does not make a run worthless; in
/// a long one some more.
const STRAINED_SHARE: f64 = 0.05;
const STRAINED_SECONDS: usize = 1;
/// Iterations that could not be started: more than one in a thousand is load that was not there.
const DROPPED_SHARE: f64 = 0.001;
/// Of the iterations asked for, so many must have been started by each task; of the sessions, so
/// many must be there.
const SENT_RATE: f64 = 0.99;
const SENT_USERS: f64 = 0.95;

/// The judgement that says whether a latency is the target's at all.
pub const STRAIN: &str = "the generator was not the limit";

/// For so much of the time the group may be out of sight: a throttled call now and then hides
/// nothing.
const BLIND_SHARE: f64 = 0.05;

pub fn judge(
    scenario: &Scenario,
    results: &Results,
    timeline: Option<&Timeline>,
    circumstances: &Circumstances,
) -> Vec<Judgement> {
    let mut judgements = vec![
        sent(scenario, results),
        not_strained(results, circumstances.started),
        whole(circumstances),
        all_there(results, circumstances),
    ];
    judgements.extend(answered(results));
    judgements.extend(timeline.map(not_blind));
    judgements
}

fn judgement(asked: &str, verdict: Verdict, measured: String, because: String) -> Judgement {
    Judgement {
        asked: asked.to_owned(),
        scope: "run".to_owned(),
        verdict,
        measured,
        because,
    }
}

/// What was asked against what was sent, of the task that did worst.
fn sent(scenario: &Scenario, results: &Results) -> Judgement {
    const ASKED: &str = "what was asked was sent";
    let mut tasks: std::collections::BTreeMap<u32, Strain> = std::collections::BTreeMap::new();
    for (task, strain) in results.strain() {
        tasks.entry(task).or_default().merge(strain);
    }
    let share = |strain: &Strain| strain.sent as f64 / strain.asked.max(1) as f64;
    let worst = tasks
        .iter()
        .filter(|(_, strain)| strain.asked > 0)
        .min_by(|a, b| share(a.1).total_cmp(&share(b.1)));
    let Some((task, worst)) = worst else {
        return judgement(
            ASKED,
            Verdict::Inconclusive,
            String::new(),
            "the generators told nothing of it".to_owned(),
        );
    };
    let all = tasks.values().fold(Strain::default(), |mut all, strain| {
        all.merge(strain);
        all
    });
    let bound = if scenario.has(Model::Users) {
        SENT_USERS
    } else {
        SENT_RATE
    };
    let measured = format!("{:.1}% of what was asked", share(&all) * 100.0);
    let mut reasons = Vec::new();
    if all.without_data > 0 {
        reasons.push(format!(
            "data was used up {}",
            units::count(all.without_data as u32, "time")
        ));
    }
    if all.cut > 0 {
        reasons.push(format!(
            "{} cut at the end of their grace",
            units::count(all.cut as u32, "iteration")
        ));
    }
    let tail = if reasons.is_empty() {
        String::new()
    } else {
        format!("; {}", reasons.join(", "))
    };
    if share(worst) < bound {
        let because = format!(
            "task {task} sent {:.1}%, the bound is {:.0}%{tail}",
            share(worst) * 100.0,
            bound * 100.0
        );
        return judgement(ASKED, Verdict::Inconclusive, measured, because);
    }
    judgement(
        ASKED,
        Verdict::Passed,
        measured,
        format!(
            "the least by task {task}: {:.1}%{tail}",
            share(worst) * 100.0
        ),
    )
}

/// Said only where it does not hold: without thresholds a target that is down would pass.
fn answered(results: &Results) -> Option<Judgement> {
    let tally = results.merged(Select::default()).tally;
    let judged = |asked: &str, count: u64, because: &str| {
        let measured = format!("{count} of {} requests", tally.requests());
        Some(judgement(
            asked,
            Verdict::Inconclusive,
            measured,
            because.to_owned(),
        ))
    };
    if tally.requests() > 0 && tally.answered() == 0 {
        return judged(
            "the target answered",
            0,
            "not one answer came: is it up, and is the address right?",
        );
    }
    if tally.unsent as f64 > tally.requests() as f64 * (1.0 - SENT_RATE) {
        let because =
            "were never sent: a value that they need was not there (data used up, or not captured)";
        return judged("every request was sent", tally.unsent, because);
    }
    None
}

fn not_strained(results: &Results, started: Option<Timestamp>) -> Judgement {
    let mut seconds: std::collections::BTreeSet<u32> = std::collections::BTreeSet::new();
    let (mut strained, mut all) = (std::collections::BTreeSet::new(), Strain::default());
    for (_, strain) in results.strain() {
        seconds.insert(strain.second);
        all.merge(strain);
        if strain.beyond().is_some() {
            strained.insert(strain.second);
        }
    }
    if seconds.is_empty() {
        return judgement(
            STRAIN,
            Verdict::Inconclusive,
            String::new(),
            "the generators told nothing of themselves".to_owned(),
        );
    }
    let latest = units::duration(Duration::from_micros(all.late_micros));
    let measured = format!(
        "at most {latest} late, {:.0}% busy",
        f64::from(all.busy) / 10.0
    );
    if all.dropped as f64 > all.asked as f64 * DROPPED_SHARE {
        let because = format!(
            "the generators could not start {} of {} iterations: add tasks",
            all.dropped, all.asked
        );
        return judgement(STRAIN, Verdict::Inconclusive, measured, because);
    }
    let share = strained.len() as f64 / seconds.len() as f64;
    if share > STRAINED_SHARE && strained.len() > STRAINED_SECONDS {
        let when: Vec<String> = stretches(results.strain())
            .iter()
            .map(|stretch| sentence(stretch, started))
            .collect();
        let more = when.len().saturating_sub(3);
        let more = if more > 0 {
            format!(" (and {more} more times)")
        } else {
            String::new()
        };
        let because = format!(
            "the generator was the limit {}{more}: add tasks",
            when.iter().take(3).cloned().collect::<Vec<_>>().join("; ")
        );
        return judgement(STRAIN, Verdict::Inconclusive, measured, because);
    }
    let because = match strained.len() {
        0 => "the generators kept up".to_owned(),
        count => format!(
            "{count} of {} seconds were strained: too few to hide anything",
            seconds.len()
        ),
    };
    judgement(STRAIN, Verdict::Passed, measured, because)
}

/// `from 12:03:10 to 12:03:40 (task 3: ...)`
pub fn sentence(stretch: &Stretch, started: Option<Timestamp>) -> String {
    let clock = |second: u32| match started
        .and_then(|at| at.checked_add(Duration::from_secs(second.into())).ok())
    {
        Some(at) => at.strftime("%H:%M:%S").to_string(),
        None => format!("{second} s"),
    };
    let tasks = match stretch.tasks.as_slice() {
        [task] => format!("task {task}"),
        tasks => units::count(tasks.len() as u32, "task"),
    };
    format!(
        "from {} to {} ({tasks}: {})",
        clock(stretch.from),
        clock(stretch.to),
        stretch.why
    )
}

fn whole(circumstances: &Circumstances) -> Judgement {
    let (verdict, because) = match &circumstances.cut_short {
        None => (Verdict::Passed, "the whole plan was carried out".to_owned()),
        Some(why) => (
            Verdict::Inconclusive,
            format!("the load ended early: {why}"),
        ),
    };
    judgement("the plan was carried out", verdict, String::new(), because)
}

fn all_there(results: &Results, circumstances: &Circumstances) -> Judgement {
    let Circumstances {
        tasks,
        complete_tasks,
        missing,
        ..
    } = circumstances;
    let (verdict, because) = if results.is_empty() {
        (
            Verdict::Inconclusive,
            "no task reported anything".to_owned(),
        )
    } else if missing.is_empty() && complete_tasks == tasks {
        (
            Verdict::Passed,
            "every interval of every task is here".to_owned(),
        )
    } else {
        (
            Verdict::Inconclusive,
            format!("missing: {}", missing.join(", ")),
        )
    };
    judgement(
        "all results arrived",
        verdict,
        format!("{complete_tasks} of {tasks} tasks complete"),
        because,
    )
}

/// What was not seen of the group is not filled in: with more than a few gaps the reaction is not
/// known.
fn not_blind(timeline: &Timeline) -> Judgement {
    let first = timeline.observations.first().map(|seen| seen.at);
    let last = timeline.observations.last().map(|seen| seen.at);
    let watched = first.zip(last).map_or(0.0, |(first, last)| {
        last.duration_since(first).as_secs_f64()
    });
    let blind = timeline.blind();
    let (verdict, because) = if blind.as_secs_f64() > watched * BLIND_SHARE {
        (
            Verdict::Inconclusive,
            "the group was out of sight for too long to say how it reacted".to_owned(),
        )
    } else {
        (
            Verdict::Passed,
            "what was not seen hides nothing".to_owned(),
        )
    };
    let measured = format!(
        "out of sight for {} of {}",
        units::duration(blind),
        units::duration(Duration::from_secs_f64(watched))
    );
    judgement("the group was watched", verdict, measured, because)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::scenario;
    use crate::measure::Interval;

    fn results(seconds: Vec<(u32, Strain)>) -> Results {
        let mut results = Results::default();
        for (task, strain) in seconds {
            results.add(
                task,
                &Interval {
                    strain: vec![strain],
                    ..Interval::default()
                },
            );
        }
        results
    }

    fn calm(second: u32) -> Strain {
        Strain {
            second,
            asked: 100,
            sent: 100,
            starts: 100,
            ..Strain::default()
        }
    }

    #[test]
    fn a_strained_generator_is_named_with_its_time_and_reason() {
        let started = "2026-03-01T12:03:00Z".parse().ok();
        let busy = |second| Strain {
            busy: 990,
            ..calm(second)
        };
        let seconds = (0..100).map(|second| {
            (
                3,
                if (10..40).contains(&second) {
                    busy(second)
                } else {
                    calm(second)
                },
            )
        });
        let judged = not_strained(&results(seconds.collect()), started);
        assert_eq!(judged.verdict, Verdict::Inconclusive);
        assert_eq!(
            judged.because,
            "the generator was the limit from 12:03:10 to 12:03:40 (task 3: a worker was over 95 % busy): add tasks"
        );
        let blip = (0..100).map(|second| {
            (
                3,
                if second == 10 {
                    busy(second)
                } else {
                    calm(second)
                },
            )
        });
        assert_eq!(
            not_strained(&results(blip.collect()), started).verdict,
            Verdict::Passed
        );
        let short = vec![(0, calm(0)), (0, busy(1))];
        assert_eq!(
            not_strained(&results(short), started).verdict,
            Verdict::Passed
        );
        let dropped = vec![(
            0,
            Strain {
                dropped: 1,
                ..calm(0)
            },
        )];
        assert_eq!(
            not_strained(&results(dropped), started).verdict,
            Verdict::Inconclusive
        );
        assert_eq!(
            not_strained(&Results::default(), started).verdict,
            Verdict::Inconclusive
        );
    }

    #[test]
    fn the_task_that_sent_the_least_decides() {
        let lazy = Strain {
            sent: 90,
            ..calm(0)
        };
        let judged = sent(&scenario(), &results(vec![(0, calm(0)), (1, lazy)]));
        assert_eq!(judged.verdict, Verdict::Inconclusive);
        assert_eq!(judged.measured, "95.0% of what was asked");
        assert_eq!(judged.because, "task 1 sent 90.0%, the bound is 99%");
        assert_eq!(
            sent(&scenario(), &results(vec![(0, calm(0))])).verdict,
            Verdict::Passed
        );
        assert_eq!(
            sent(&scenario(), &Results::default()).verdict,
            Verdict::Inconclusive
        );
    }
}
