//! A scenario's phases as a curve over time, and the part of it that one task carries.
//!
//! Every task computes its own share from `(k, n)`, so there is no coordinator to ask and no
//! remainder to lose. Session `j` belongs to task `j mod n`, and so does iteration `i` of the open
//! model.

use std::time::Duration;

use crate::scenario::{LoadPhase, Model, Scenario};

/// A task's part of the load: `index` of `of`. The shares of all tasks add up to the whole,
/// exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// From 0; less than `of`.
    pub index: u32,
    /// Number of parts; at least 1.
    pub of: u32,
}

impl Share {
    /// The whole load as one part.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Returns how many of the numbers from 0 to `count` - 1 belong to this share.
    pub fn part_of(self, count: u64) -> u64 {
        count
            .saturating_sub(u64::from(self.index))
            .div_ceil(u64::from(self.of.max(1)))
    }

    /// True if the session or iteration with this number is its own: the rule by which shares add
    /// up.
    #[cfg(test)]
    fn owns(self, number: u64) -> bool {
        number % u64::from(self.of.max(1)) == u64::from(self.index)
    }
}

/// The load over time, counted from the start instant: sessions, and iterations per second.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    users: Curve,
    rate: Curve,
    models: Vec<Model>,
    phase_starts: Vec<Duration>,
    end: Duration,
    /// Time after the phase's end for sessions and iterations to finish.
    grace: Duration,
}

/// The phases of one model; those of the other are a level of nothing.
#[derive(Debug, Clone, Default, PartialEq)]
struct Curve {
    pieces: Vec<Piece>,
}

/// A straight line from one level to another. Seconds as floats: microsecond exact for weeks.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    start: f64,
    end: f64,
    from: f64,
    to: f64,
    /// Iterations started before this piece (open model).
    before: f64,
}

impl Piece {
    fn level(&self, at: f64) -> f64 {
        let length = self.end - self.start;
        if length <= 0.0 {
            self.to
        } else {
            self.from + (self.to - self.from) * (at - self.start) / length
        }
    }

    /// Returns the area under the line.
    fn area(&self) -> f64 {
        (self.end - self.start) * (self.from + self.to) / 2.0
    }
}

impl Curve {
    fn of(model: Model, phases: &[LoadPhase]) -> Self {
        let mut pieces = Vec::new();
        let (mut at, mut level, mut before) = (0.0, 0.0, 0.0);
        for phase in phases {
            let to = if phase.model == model {
                phase.level
            } else {
                0.0
            };
            // The other model's phase is not ramped into: its sessions end where theirs begin.
            let ramp_from = if phase.model == model { level } else { 0.0 };
            for (length, from) in [(phase.ramp, ramp_from), (phase.hold, to)] {
                let length = length.as_secs_f64();
                if length > 0.0 {
                    let piece = Piece {
                        start: at,
                        end: at + length,
                        from,
                        to,
                        before,
                    };
                    before += piece.area();
                    at = piece.end;
                    pieces.push(piece);
                }
            }
            level = to;
        }
        Self { pieces }
    }

    fn level_at(&self, at: Duration) -> f64 {
        let at = at.as_secs_f64();
        self.pieces
            .iter()
            .find(|piece| at < piece.end)
            .map_or(0.0, |piece| piece.level(at))
    }

    fn peak(&self) -> f64 {
        self.pieces
            .iter()
            .fold(0.0, |peak, piece| piece.from.max(piece.to).max(peak))
    }
}

impl Schedule {
    /// Returns the curve of a scenario's phases.
    pub fn new(scenario: &Scenario) -> Self {
        Self::of(&scenario.phases)
    }

    fn of(phases: &[LoadPhase]) -> Self {
        let mut phase_starts = Vec::new();
        let mut end = Duration::ZERO;
        for phase in phases {
            phase_starts.push(end);
            end += phase.duration();
        }
        Self {
            users: Curve::of(Model::Users, phases),
            rate: Curve::of(Model::Rate, phases),
            models: phases.iter().map(|phase| phase.model).collect(),
            phase_starts,
            end,
            grace: phases
                .iter()
                .map(|phase| phase.grace)
                .max()
                .unwrap_or_default(),
        }
    }

    /// Returns the end of the last phase.
    pub fn end(&self) -> Duration {
        self.end
    }

    /// Returns when the last iteration has been finished or cut.
    pub fn latest_end(&self) -> Duration {
        self.end + self.grace
    }

    /// Returns when each phase begins.
    pub fn phase_starts(&self) -> &[Duration] {
        &self.phase_starts
    }

    /// Returns the phase a moment belongs to; after the end, the last one.
    pub fn phase_at(&self, at: Duration) -> usize {
        self.phase_starts
            .partition_point(|start| *start <= at)
            .saturating_sub(1)
    }

    /// Returns the phase that a moment ends: a session that leaves when the next phase begins still
    /// belongs to the one before.
    pub fn phase_before(&self, at: Duration) -> usize {
        self.phase_starts
            .partition_point(|start| *start < at)
            .saturating_sub(1)
    }

    /// Returns the level asked for at a moment, in its phase's model: sessions, or iterations per
    /// second.
    pub fn level_at(&self, at: Duration) -> f64 {
        match self.models.get(self.phase_at(at)) {
            Some(Model::Rate) => self.rate.level_at(at),
            _ => self.users.level_at(at),
        }
    }

    /// Returns the sessions asked for at a moment.
    pub fn users_at(&self, at: Duration) -> f64 {
        self.users.level_at(at)
    }

    /// Returns the highest level of a model.
    pub fn peak(&self, model: Model) -> f64 {
        match model {
            Model::Users => self.users.peak(),
            Model::Rate => self.rate.peak(),
        }
    }

    /// Returns the spans of session `number` (from 0): it exists whenever the level is above its
    /// number. A level of 2.5 is two sessions.
    pub fn session_spans(&self, number: u64) -> Vec<(Duration, Duration)> {
        let needed = number as f64 + 1.0;
        let mut spans: Vec<(f64, f64)> = Vec::new();
        for piece in &self.users.pieces {
            let span = match (piece.from >= needed, piece.to >= needed) {
                (true, true) => (piece.start, piece.end),
                (false, false) => continue,
                (rises_later, _) => {
                    let crossing = piece.start
                        + (piece.end - piece.start) * (needed - piece.from)
                            / (piece.to - piece.from);
                    if rises_later {
                        (piece.start, crossing)
                    } else {
                        (crossing, piece.end)
                    }
                }
            };
            match spans.last_mut() {
                Some(last) if span.0 - last.1 < 1e-9 => last.1 = span.1,
                _ => spans.push(span),
            }
        }
        spans
            .into_iter()
            .map(|(from, to)| (Duration::from_secs_f64(from), Duration::from_secs_f64(to)))
            .filter(|(from, to)| from < to)
            .collect()
    }

    /// Returns when iteration `number` (from 0) of the open model is due: where the area under the
    /// curve reaches it.
    pub fn arrival(&self, number: u64) -> Option<Duration> {
        let wanted = number as f64;
        let pieces = &self.rate.pieces;
        let index = pieces.partition_point(|piece| piece.before + piece.area() <= wanted);
        let piece = pieces.get(index)?;
        let (area, length) = (wanted - piece.before, piece.end - piece.start);
        let slope = (piece.to - piece.from) / length;
        // from * t + slope / 2 * t^2 = area, in the form that stays exact when the slope is almost
        // nothing.
        let root = (piece.from * piece.from + 2.0 * slope * area)
            .max(0.0)
            .sqrt();
        let t = if piece.from + root > 0.0 {
            2.0 * area / (piece.from + root)
        } else {
            0.0
        };
        Some(Duration::from_secs_f64(piece.start + t.clamp(0.0, length)))
    }

    /// Returns the number of all iterations of the open model.
    pub fn iterations(&self) -> u64 {
        self.rate
            .pieces
            .last()
            .map_or(0, |piece| (piece.before + piece.area()).ceil() as u64)
    }

    /// Returns the number of all sessions that ever exist.
    pub fn sessions(&self) -> u64 {
        self.users.peak().floor() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scenario::{PhaseRole, example};

    fn phase(level: f64, ramp: u64, hold: u64) -> LoadPhase {
        let phase = example::phase(
            "",
            Model::Users,
            level,
            Duration::from_secs(hold),
            PhaseRole::Baseline,
        );
        LoadPhase {
            ramp: Duration::from_secs(ramp),
            ..phase
        }
    }

    fn schedule(model: Model, phases: &[LoadPhase]) -> Schedule {
        let phases: Vec<LoadPhase> = phases
            .iter()
            .map(|phase| LoadPhase {
                model,
                ..phase.clone()
            })
            .collect();
        Schedule::of(&phases)
    }

    fn secs(value: f64) -> Duration {
        Duration::from_secs_f64(value)
    }

    #[test]
    fn the_curve_ramps_holds_and_jumps() {
        let schedule = schedule(
            Model::Users,
            &[phase(10.0, 10, 0), phase(10.0, 0, 5), phase(30.0, 0, 5)],
        );
        for (at, level) in [
            (0.0, 0.0),
            (5.0, 5.0),
            (10.0, 10.0),
            (14.9, 10.0),
            (15.0, 30.0),
            (20.0, 0.0),
        ] {
            assert_eq!(schedule.level_at(secs(at)), level, "at {at}s");
        }
        assert_eq!(schedule.peak(Model::Users), 30.0);
        assert_eq!(schedule.end(), secs(20.0));
        assert_eq!(
            [0.0, 9.9, 10.0, 16.0, 99.0].map(|at| schedule.phase_at(secs(at))),
            [0, 0, 1, 2, 2]
        );
    }

    #[test]
    fn a_session_is_there_while_the_level_is_above_its_number() {
        let schedule = schedule(
            Model::Users,
            &[phase(10.0, 10, 5), phase(2.0, 4, 1), phase(4.0, 0, 5)],
        );
        assert_eq!(schedule.session_spans(0), vec![(secs(1.0), secs(25.0))]);
        assert_eq!(
            schedule.session_spans(3),
            vec![(secs(4.0), secs(18.0)), (secs(20.0), secs(25.0))]
        );
        assert_eq!(schedule.session_spans(9), vec![(secs(10.0), secs(15.0))]);
        assert_eq!(schedule.session_spans(10), vec![]);
    }

    #[test]
    fn arrivals_are_even_on_a_hold_and_denser_up_a_ramp() {
        let schedule = schedule(Model::Rate, &[phase(10.0, 0, 2), phase(20.0, 2, 0)]);
        assert_eq!(schedule.arrival(0), Some(secs(0.0)));
        assert_eq!(schedule.arrival(5), Some(secs(0.5)));
        assert_eq!(schedule.iterations(), 50);
        let gap = |i| schedule.arrival(i + 1).unwrap() - schedule.arrival(i).unwrap();
        assert!(gap(21) > gap(45));
        assert_eq!(schedule.arrival(50), None);
    }

    #[test]
    fn phases_of_both_models_follow_one_another() {
        let users = phase(4.0, 0, 10);
        let rate = LoadPhase {
            model: Model::Rate,
            ..phase(10.0, 0, 2)
        };
        let schedule = Schedule::of(&[users.clone(), rate, phase(4.0, 2, 1)]);
        assert_eq!(
            schedule.session_spans(0),
            vec![(secs(0.0), secs(10.0)), (secs(12.5), secs(15.0))]
        );
        assert_eq!(schedule.arrival(0), Some(secs(10.0)));
        assert_eq!(schedule.iterations(), 20);
        assert_eq!(
            [5.0, 11.0, 14.5].map(|at| schedule.level_at(secs(at))),
            [4.0, 10.0, 4.0]
        );
        assert_eq!(
            (
                schedule.phase_at(secs(10.0)),
                schedule.phase_before(secs(10.0))
            ),
            (1, 0)
        );
    }

    #[test]
    fn nothing_arrives_at_level_zero() {
        let schedule = schedule(
            Model::Rate,
            &[phase(10.0, 0, 1), phase(0.0, 0, 10), phase(10.0, 0, 1)],
        );
        assert_eq!(schedule.arrival(10), Some(secs(11.0)));
        assert_eq!(schedule.iterations(), 20);
    }

    proptest! {
        #[test]
        fn shares_add_up_to_the_whole(tasks in 1u32..40, number in 0u64..100_000) {
            let shares = || (0..tasks).map(|index| Share { index, of: tasks });
            prop_assert_eq!(shares().filter(|share| share.owns(number)).count(), 1);
            prop_assert_eq!(shares().map(|share| share.part_of(number)).sum::<u64>(), number);
        }

        /// Every session and every iteration has exactly one owner, at every moment of any plan.
        #[test]
        fn shares_of_a_plan_add_up_to_the_plan(
            levels in prop::collection::vec((0.0f64..60.0, 0u64..9, 1u64..9, any::<bool>()), 1..5),
            tasks in 1u32..9, workers in 1u32..5, at in 0.0f64..60.0,
        ) {
            let phases: Vec<LoadPhase> = levels
                .iter()
                .map(|(level, ramp, hold, users)| LoadPhase { model: if *users { Model::Users } else { Model::Rate }, ..phase(*level, *ramp, *hold) })
                .collect();
            let schedule = Schedule::of(&phases);
            let mut sessions = 0;
            let mut iterations = 0;
            for index in 0..tasks * workers {
                let share = Share { index, of: tasks * workers };
                let there = |number: &u64| schedule.session_spans(*number).iter().any(|(from, to)| *from <= secs(at) && secs(at) < *to);
                sessions += (0..schedule.sessions()).filter(|number| share.owns(*number)).filter(there).count();
                iterations += (0..schedule.iterations()).filter(|number| share.owns(*number)).count() as u64;
            }
            let all = (0..schedule.sessions()).filter(|number| schedule.session_spans(*number).iter().any(|(from, to)| *from <= secs(at) && secs(at) < *to)).count();
            prop_assert_eq!(sessions, all);
            prop_assert_eq!(iterations, schedule.iterations());
        }

        #[test]
        fn arrivals_never_go_back_and_stay_within_the_run(
            levels in prop::collection::vec((0.0f64..500.0, 0u64..20, 0u64..20), 1..6)
        ) {
            let phases: Vec<LoadPhase> = levels.iter().map(|(level, ramp, hold)| phase(*level, *ramp, *hold)).collect();
            let schedule = schedule(Model::Rate, &phases);
            let mut last = Duration::ZERO;
            for number in 0..schedule.iterations().saturating_sub(1) {
                let at = schedule.arrival(number).unwrap();
                prop_assert!(at >= last && at <= schedule.end(), "iteration {} at {:?} after {:?}", number, at, last);
                last = at;
            }
        }

        #[test]
        fn as_many_sessions_are_there_as_the_level_says(
            levels in prop::collection::vec((0.0f64..50.0, 0u64..20, 1u64..20), 1..6), at in 0.0f64..100.0
        ) {
            let phases: Vec<LoadPhase> = levels.iter().map(|(level, ramp, hold)| phase(*level, *ramp, *hold)).collect();
            let schedule = schedule(Model::Users, &phases);
            let level = schedule.level_at(secs(at));
            // Too close to a whole number to call.
            prop_assume!((level - level.round()).abs() > 1e-6 || level == level.round());
            prop_assume!(schedule.phase_starts().iter().all(|start| (start.as_secs_f64() - at).abs() > 1e-6));
            let there = (0..schedule.sessions())
                .filter(|number| schedule.session_spans(*number).iter().any(|(from, to)| *from <= secs(at) && secs(at) < *to))
                .count();
            prop_assert_eq!(there as f64, level.floor());
        }
    }
}
