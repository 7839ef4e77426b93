//! Whether the numbers are the target's at all.

use std::time::Duration;

use super::{Circumstances, Judgement};
use crate::measure::{Results, Timeline};
use crate::outcome::Verdict;
use crate::units;

/// A generator later than this in sending is itself in trouble: beyond it, its latencies are partly its own.
const MOST_LATE: Duration = Duration::from_millis(100);
/// A second or two of lateness (a stop of the host, a burst of handshakes) does not make a run worthless.
const LATE_SHARE: f64 = 0.05;

/// How often the group is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// The judgement that says whether a latency is the target's at all.
pub const STRAIN: &str = "the generator was not the limit";

/// So many looks at the group may fail: a throttled call now and then hides nothing.
const BLIND_SHARE: f64 = 0.05;

pub fn judge(results: &Results, timeline: Option<&Timeline>, circumstances: &Circumstances) -> Vec<Judgement> {
    let mut judgements = vec![whole(circumstances), all_there(results, circumstances), not_strained(results)];
    judgements.extend(timeline.map(not_blind));
    judgements
}

/// What was not seen of the group is not filled in: with more than a few gaps the reaction is not known.
fn not_blind(timeline: &Timeline) -> Judgement {
    let first = timeline.observations.first().map(|seen| seen.at);
    let last = timeline.observations.last().map(|seen| seen.at);
    let watched = first.zip(last).map_or(0.0, |(first, last)| last.duration_since(first).as_secs_f64());
    let looks = (watched / LOOK.as_secs_f64()).max(1.0);
    let gaps = timeline.gaps().count();
    let (verdict, because) = if gaps as f64 / looks > BLIND_SHARE {
        (Verdict::Inconclusive, "too many looks at the group failed to say how it reacted".to_owned())
    } else {
        (Verdict::Passed, "what failed hides nothing".to_owned())
    };
    Judgement {
        asked: "the group was watched".to_owned(),
        scope: "run".to_owned(),
        verdict,
        measured: format!("{gaps} looks failed in {}", units::duration(Duration::from_secs_f64(watched))),
        because,
    }
}

fn whole(circumstances: &Circumstances) -> Judgement {
    let (verdict, because) = match &circumstances.cut_short {
        None => (Verdict::Passed, "the whole plan was carried out".to_owned()),
        Some(why) => (Verdict::Inconclusive, format!("the load ended early: {why}")),
    };
    Judgement {
        asked: "the plan was carried out".to_owned(),
        scope: "run".to_owned(),
        verdict,
        measured: String::new(),
        because,
    }
}

fn all_there(results: &Results, circumstances: &Circumstances) -> Judgement {
    let Circumstances { tasks, complete_tasks, missing, .. } = circumstances;
    let (verdict, because) = if results.is_empty() {
        (Verdict::Inconclusive, "no task reported anything".to_owned())
    } else if missing.is_empty() && complete_tasks == tasks {
        (Verdict::Passed, "every interval of every task is here".to_owned())
    } else {
        (Verdict::Inconclusive, format!("missing: {}", missing.join(", ")))
    };
    Judgement {
        asked: "all results arrived".to_owned(),
        scope: "run".to_owned(),
        verdict,
        measured: format!("{complete_tasks} of {tasks} tasks complete"),
        because,
    }
}

fn not_strained(results: &Results) -> Judgement {
    let (mut seconds, mut late, mut latest, mut dropped) = (0_u32, 0_u32, 0, 0);
    for strain in results.strain() {
        seconds += 1;
        latest = latest.max(strain.late_micros);
        late += u32::from(strain.late_micros > MOST_LATE.as_micros() as u64);
        dropped += strain.dropped;
    }
    let share = f64::from(late) / f64::from(seconds.max(1));
    let latest = Duration::from_micros(latest);
    let (verdict, because) = if dropped > 0 {
        (Verdict::Inconclusive, format!("the generators could not start {dropped} iterations: more tasks are needed"))
    } else if share > LATE_SHARE {
        let limit = units::duration(MOST_LATE);
        (Verdict::Inconclusive, format!("in {late} of {seconds} seconds a generator was over {limit} late in sending"))
    } else if seconds == 0 {
        (Verdict::Inconclusive, "the generators told nothing of themselves".to_owned())
    } else {
        (Verdict::Passed, "the generators kept up".to_owned())
    };
    Judgement {
        asked: STRAIN.to_owned(),
        scope: "run".to_owned(),
        verdict,
        measured: if seconds == 0 { String::new() } else { format!("at most {} late", units::duration(latest)) },
        because,
    }
}
