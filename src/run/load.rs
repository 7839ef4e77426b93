//! Load: the orchestrator's main loop while the generators work. It beats, collects what they
//! report, shows it, and stops them when told to.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use super::frame::Frame;
use super::start::Started;
use super::{Context, RunError};
use crate::channel::message::{End, Ended};
use crate::channel::{Channel, ChannelError, LEASE};
use crate::events::{Event, Phase, Progress};
use crate::fleet::TaskStatus;
use crate::journal::Record;
use crate::measure::{Interval, Results, Select};
use crate::plan::Schedule;
use crate::report::{terminal, words};
use crate::verdict;

const TICK: Duration = Duration::from_millis(500);
/// However many tasks there are, a turn of the loop must stay far below the lease.
const READ_AT_ONCE: usize = 32;
/// Asking a platform for its tasks is slower and rarer than reading the channel.
const ROLL_CALL: Duration = Duration::from_secs(5);
/// For a list of the tasks: the lease outlives several beats that are not written, and an SDK with
/// all its attempts does not.
const ANSWER: Duration = Duration::from_secs(10);
/// After the plan's end (or a stop order) a task still finishes requests, and flushes.
const FLUSH: Duration = Duration::from_secs(20);

/// Load that has ended.
pub struct Loaded {
    pub started: Started,
    pub inbox: Inbox,
    /// Why it ended before its plan did.
    pub cut_short: Option<String>,
    /// Because we said so.
    pub stopped_by_us: bool,
}

/// What the tasks have told so far.
#[derive(Default)]
pub struct Inbox {
    pub results: Results,
    slots: BTreeMap<u32, Slot>,
}

#[derive(Default)]
struct Slot {
    /// A predecessor's last word is not this task's.
    attempt: u32,
    next_seq: u32,
    before_second: u32,
    end: Option<End>,
    lost: Option<String>,
}

impl Inbox {
    /// For these slots, each with the attempt that carries the load.
    pub fn new(slots: &[u32], attempts: &BTreeMap<u32, u32>) -> Self {
        let slot = |number: &u32| Slot {
            attempt: attempts.get(number).copied().unwrap_or(1),
            ..Slot::default()
        };
        Self {
            results: Results::default(),
            slots: slots.iter().map(|number| (*number, slot(number))).collect(),
        }
    }

    /// Reads everything new. A read that fails is tried again next time: sequence numbers see to
    /// it.
    pub async fn read(&mut self, channel: &Channel) {
        let mut reads: Vec<BoxFuture<(u32, Vec<Interval>)>> = Vec::new();
        for (number, slot) in &mut self.slots {
            reads.push(Box::pin(async move {
                (*number, slot.read(*number, channel).await)
            }));
        }
        let mut news = futures_util::stream::iter(reads).buffer_unordered(READ_AT_ONCE);
        while let Some((task, intervals)) = news.next().await {
            intervals
                .iter()
                .for_each(|interval| self.results.add(task, interval));
        }
    }

    /// Every task has ended and told everything, or is lost.
    pub fn complete(&self) -> bool {
        self.slots
            .values()
            .all(|slot| slot.lost.is_some() || slot.whole())
    }

    pub fn whole_tasks(&self) -> u32 {
        self.slots.values().filter(|slot| slot.whole()).count() as u32
    }

    /// What is not there, by name. A task that was stopped has told everything only if we stopped
    /// it.
    pub fn missing(&self, stopped_by_us: bool) -> Vec<String> {
        self.slots
            .iter()
            .filter_map(|(number, slot)| match (&slot.end, &slot.lost) {
                (Some(end), _) if slot.next_seq < end.intervals => Some(format!(
                    "intervals {} to {} of task {number}",
                    slot.next_seq,
                    end.intervals - 1
                )),
                (Some(end), _) => match &end.why {
                    Ended::Complete => None,
                    Ended::Stopped | Ended::Terminated if stopped_by_us => None,
                    why => Some(format!("the rest of task {number} ({why:?})")),
                },
                (None, Some(why)) => Some(format!("the end of task {number} ({why})")),
                (None, None) => Some(format!("the end of task {number}")),
            })
            .collect()
    }

    /// All seconds before this one are here from every task that is not lost.
    fn settled(&self) -> u32 {
        let alive = self.slots.values().filter(|slot| slot.lost.is_none());
        alive.map(|slot| slot.before_second).min().unwrap_or(0)
    }
}

impl Slot {
    async fn read(&mut self, number: u32, channel: &Channel) -> Vec<Interval> {
        let mut news = Vec::new();
        while let Ok(Some(report)) = channel.report(number, self.next_seq).await {
            self.next_seq += 1;
            self.before_second = report.before_second;
            news.push(report.interval);
        }
        if self.end.is_none() {
            let end = channel.end(number).await.ok().flatten();
            self.end = end.filter(|end| end.attempt == self.attempt);
        }
        news
    }

    fn whole(&self) -> bool {
        self.end
            .as_ref()
            .is_some_and(|end| self.next_seq >= end.intervals)
    }
}

pub async fn load(cx: &Context, frame: &Frame, started: Started) -> Result<Loaded, RunError> {
    let schedule = started.provisioned.planned.schedule.clone();
    let channel = started.provisioned.channel.clone();
    let mut inbox = Inbox::new(&started.slots, &started.attempts);
    let mut teller = Teller::default();
    let (mut cut_short, mut stopped_by_us) = (None, false);
    let mut roll_call = Instant::now();
    let plan_end = schedule.latest_end() + FLUSH;
    let mut give_up = after(started.at, plan_end);
    loop {
        if cx.interrupt.destroy_now().is_cancelled() {
            return Err(RunError::interrupted(Phase::Load));
        }
        let why = if cut_short.is_none() {
            enough(cx, frame, &started, &schedule, &inbox).await
        } else {
            None
        };
        if let Some(why) = why {
            give_up = after(Timestamp::now(), FLUSH);
            // If the order cannot be written, the lease ends the load; say it and go on.
            if let Err(error) = frame.stop(&why).await {
                cx.events.warn(error.to_string());
            }
            stopped_by_us = true;
            frame.did(Record::Interrupted {
                why: format!("during load: {why}"),
            });
            cx.events.say(Event::Note {
                message: format!("load stopped: {why}"),
            });
            cut_short = Some(why);
        }
        // A beat that could not be written is tried again at the next turn; the lease outlives
        // several.
        let (beat, ()) = tokio::join!(frame.beat(&cx.events), inbox.read(&channel));
        alive(beat, Phase::Load)?;
        if roll_call.elapsed() >= ROLL_CALL {
            roll_call = Instant::now();
            // An answer that does not come must not hold up the beat: asked again at the next roll
            // call.
            let _ = timeout(ANSWER, call_roll(cx, frame, &mut inbox)).await;
        }
        teller.tell(cx, &started, &schedule, &inbox);
        if inbox.complete()
            && cut_short.is_none()
            && Timestamp::now() < after(started.at, schedule.end())
        {
            cut_short = Some("every task had ended before the plan did".to_owned());
            frame.did(Record::Interrupted {
                why: "during load: the tasks are gone".to_owned(),
            });
        }
        if inbox.complete() || Timestamp::now() >= give_up {
            return Ok(Loaded {
                started,
                inbox,
                cut_short,
                stopped_by_us,
            });
        }
        tokio::select! {
            () = sleep(TICK) => {}
            () = cx.interrupt.stop_load().cancelled(), if cut_short.is_none() => {}
            () = cx.interrupt.destroy_now().cancelled() => {}
        }
    }
}

/// A beat that was not taken is tried again; one that was refused means that a reaper drives this
/// run now.
pub fn alive(beat: Result<(), ChannelError>, phase: Phase) -> Result<(), RunError> {
    match beat {
        Err(error @ ChannelError::Fenced) => Err(RunError::could_not(phase, error)),
        _ => Ok(()),
    }
}

/// Why the load must end before its plan does.
async fn enough(
    cx: &Context,
    frame: &Frame,
    started: &Started,
    schedule: &Schedule,
    inbox: &Inbox,
) -> Option<String> {
    if cx.interrupt.stop_load().is_cancelled() {
        return Some("interrupted".to_owned());
    }
    let silence = frame.silence().await;
    if silence > LEASE {
        return Some(format!(
            "the store took no beat for {} s",
            silence.as_secs()
        ));
    }
    let planned = &started.provisioned.planned;
    match verdict::must_abort(&planned.scenario, &inbox.results, schedule, inbox.settled()) {
        Some(abort) => Some(words::abort(&abort)),
        None => planned.bounds.reached(frame).await,
    }
}

fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
}

/// A task that has stopped without its last word is lost.
async fn call_roll(cx: &Context, frame: &Frame, inbox: &mut Inbox) {
    let mut fleet = frame.fleet.lock().await;
    let Some(fleet) = fleet.as_mut() else { return };
    let Ok(states) = fleet.tasks().await else {
        return;
    };
    for state in states {
        let Some(slot) = inbox.slots.get_mut(&state.slot) else {
            continue;
        };
        if let TaskStatus::Stopped { why, .. } = state.status
            && slot.end.is_none()
            && slot.lost.is_none()
        {
            cx.events
                .warn(format!("task {} is lost: {why}", state.slot));
            slot.lost = Some(why);
        }
    }
}

/// Tells how it goes: each load phase once, progress whenever there is something new.
#[derive(Default)]
struct Teller {
    phase: Option<usize>,
    told: u32,
    last: Progress,
}

impl Teller {
    fn tell(&mut self, cx: &Context, started: &Started, schedule: &Schedule, inbox: &Inbox) {
        let scenario = &started.provisioned.planned.scenario;
        let Ok(elapsed) = Duration::try_from(Timestamp::now().duration_since(started.at)) else {
            return;
        };
        let phase = schedule.phase_at(elapsed);
        if self.phase != Some(phase) && elapsed < schedule.end() {
            self.phase = Some(phase);
            let level = terminal::level(scenario.phases[phase].model, scenario.phases[phase].level);
            cx.events.say(Event::LoadPhaseBegan {
                name: scenario.phases[phase].name.clone(),
                level,
            });
        }
        let settled = inbox.settled();
        if settled > self.told {
            let seconds = Some((self.told, settled));
            let merged = inbox.results.merged(Select {
                seconds,
                ..Select::default()
            });
            let length = f64::from(settled - self.told);
            self.last = Progress {
                requests_per_second: merged.tally.requests() as f64 / length,
                errors_per_second: merged.tally.errors() as f64 / length,
                p50: merged.latency.percentile(50.0),
                p95: merged.latency.percentile(95.0),
                p99: merged.latency.percentile(99.0),
                ..Progress::default()
            };
            self.told = settled;
        }
        let group = started
            .provisioned
            .watch
            .as_ref()
            .and_then(|watch| watch.group());
        if let Some(group) = &group {
            let in_service = group.in_service();
            cx.events.say(Event::Group {
                desired: group.desired,
                in_service,
                min: group.min,
                max: group.max,
            });
        }
        cx.events.say(Event::Progress(Progress {
            elapsed: elapsed.min(schedule.end()),
            of: schedule.end(),
            load_phase: scenario.phases[phase].name.clone(),
            tasks: started.slots.len() as u32,
            desired: group.as_ref().map(|group| group.desired),
            in_service: group.as_ref().map(|group| group.in_service()),
            ..self.last.clone()
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::message::VERSION;

    fn end(intervals: u32, why: Ended) -> Option<End> {
        Some(End {
            version: VERSION,
            slot: 0,
            attempt: 1,
            why,
            intervals,
            at: Timestamp::UNIX_EPOCH,
        })
    }

    fn inbox(slots: Vec<Slot>) -> Inbox {
        Inbox {
            results: Results::default(),
            slots: (0..).zip(slots).collect(),
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let inbox = inbox(vec![
            Slot {
                next_seq: 3,
                end: end(3, Ended::Complete),
                ..Slot::default()
            },
            Slot {
                next_seq: 1,
                end: end(3, Ended::Complete),
                ..Slot::default()
            },
            Slot {
                lost: Some("exit code 137".to_owned()),
                ..Slot::default()
            },
            Slot::default(),
            Slot {
                end: end(0, Ended::LeaseLapsed),
                ..Slot::default()
            },
            Slot {
                end: end(0, Ended::Terminated),
                ..Slot::default()
            },
        ]);
        assert!(!inbox.complete());
        assert_eq!(inbox.whole_tasks(), 3);
        let (ours, theirs) = (inbox.missing(true), inbox.missing(false));
        assert_eq!(
            theirs[ours.len()..],
            ["the rest of task 5 (Terminated)"],
            "Spot took it, or a reaper"
        );
        assert_eq!(
            inbox.missing(true),
            [
                "intervals 1 to 2 of task 1",
                "the end of task 2 (exit code 137)",
                "the end of task 3",
                "the rest of task 4 (LeaseLapsed)"
            ]
        );
    }
}
