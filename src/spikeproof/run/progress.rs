//! The progress of the load as events: each load phase once, and the numbers whenever there is
//! something new.

use std::time::Duration;

use jiff::Timestamp;

use super::Context;
use super::inbox::Inbox;
use super::plan::RunPlan;
use super::start::Started;
use crate::events::{Event, Progress};
use crate::evidence::timeline::GroupState;
use crate::measure::Select;
use crate::report::terminal;
use crate::watch;

#[derive(Default)]
pub(super) struct ProgressReporter {
    load_phase: Option<usize>,
    /// The seconds before this one are in `numbers`, or were before.
    reported: u32,
    numbers: Progress,
}

impl ProgressReporter {
    pub(super) fn report(
        &mut self,
        cx: &Context,
        plan: &RunPlan,
        started: &Started,
        group: Option<&GroupState>,
        inbox: &Inbox,
    ) {
        let Ok(elapsed) = Duration::try_from(Timestamp::now().duration_since(started.at)) else {
            return;
        };
        let end = plan.schedule.end();
        let load_phase = plan.schedule.phase_at(elapsed);
        if elapsed < end {
            self.report_load_phase(cx, plan, load_phase);
        }
        self.update(inbox);
        if let Some(group) = group {
            cx.events.say(watch::group_event(group));
        }
        cx.events.say(Event::Progress(Progress {
            elapsed: elapsed.min(end),
            of: end,
            load_phase: plan.scenario.phases[load_phase].name.clone(),
            tasks: started.slots.len() as u32,
            desired: group.map(|group| group.desired),
            in_service: group.map(GroupState::in_service),
            ..self.numbers.clone()
        }));
    }

    fn report_load_phase(&mut self, cx: &Context, plan: &RunPlan, load_phase: usize) {
        if self.load_phase == Some(load_phase) {
            return;
        }
        self.load_phase = Some(load_phase);
        let phase = &plan.scenario.phases[load_phase];
        cx.events.say(Event::LoadPhaseBegan {
            name: phase.name.clone(),
            level: terminal::level(phase.model, phase.level),
        });
    }

    /// The numbers of the seconds that are complete since the last update.
    fn update(&mut self, inbox: &Inbox) {
        let settled = inbox.settled_seconds();
        if settled <= self.reported {
            return;
        }
        let merged = inbox.results.merged(Select {
            seconds: Some((self.reported, settled)),
            ..Select::default()
        });
        let length = f64::from(settled - self.reported);
        self.numbers = Progress {
            requests_per_second: merged.tally.requests() as f64 / length,
            errors_per_second: merged.tally.errors() as f64 / length,
            p50: merged.latency.percentile(50.0),
            p95: merged.latency.percentile(95.0),
            p99: merged.latency.percentile(99.0),
            ..Progress::default()
        };
        self.reported = settled;
    }
}
