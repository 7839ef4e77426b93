//! Forecasts the load on the target and the generators by arithmetic alone: Little's law, and the
//! flows' own counts.

use std::cell::LazyCell;
use std::time::Duration;

use super::Schedule;
use crate::scenario::{
    Block, DataFile, Division, Flow, LoadPhase, Model, Order, Scenario, Think, WhenUsedUp,
};

/// Two answers of the target: as it should be, and overloaded. A closed model asks for less in the
/// second case, which is when a group must grow.
pub const RESPONSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];
/// Source ports towards one address that Linux offers unless told otherwise.
pub const PORTS: u64 = 28_232;

/// One pass through the flows, on average, by their weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pass {
    /// Requests of one iteration.
    pub requests: f64,
    /// Pauses of one iteration, together.
    pub think: Duration,
    /// Shortest time between the starts of two iterations; zero without a `pace`.
    pub pace: Duration,
}

impl Pass {
    /// Conditions count as true: the most that may be asked.
    pub fn of(scenario: &Scenario) -> Self {
        let weights: f64 = scenario.flows.iter().map(|flow| flow.weight).sum();
        let mut pass = Self {
            requests: 0.0,
            think: Duration::ZERO,
            pace: Duration::ZERO,
        };
        for flow in &scenario.flows {
            let share = flow.weight / weights.max(f64::MIN_POSITIVE);
            let (requests, think) = count(flow, &flow.body);
            pass.requests += requests * share;
            pass.think += think.mul_f64(share);
            pass.pace += flow.pace.unwrap_or_default().mul_f64(share);
        }
        pass
    }

    /// Returns the duration of one pass when the target takes `response` for each request.
    pub fn length(&self, response: Duration) -> Duration {
        (self.think + response.mul_f64(self.requests)).max(self.pace)
    }

    /// Returns the requests per second of a level.
    pub fn rate(&self, model: Model, level: f64, response: Duration) -> f64 {
        match model {
            Model::Rate => level * self.requests,
            Model::Users => level * self.requests / self.length(response).as_secs_f64().max(1e-6),
        }
    }

    /// Returns the sessions under way at a level.
    pub fn sessions(&self, model: Model, level: f64, response: Duration) -> f64 {
        match model {
            Model::Users => level,
            Model::Rate => level * self.length(response).as_secs_f64(),
        }
    }
}

fn count(flow: &Flow, block: &Block) -> (f64, Duration) {
    let (mut requests, mut think) = (0.0, Duration::ZERO);
    for action in &block.actions {
        match action {
            crate::scenario::Action::Request(step) => {
                let step = &flow.steps[*step as usize];
                requests += 1.0;
                think += step.think.unwrap_or(flow.think).mean();
            }
            crate::scenario::Action::Block(inner) => {
                let (more, longer) = count(flow, inner);
                requests += more;
                think += longer;
            }
        }
    }
    (requests * f64::from(block.repeat), think * block.repeat)
}

/// Returns the most requests per second that are ever asked for, however fast the target answers.
/// Infinite if users wait for nothing but their answers.
pub fn most(scenario: &Scenario) -> f64 {
    let pass = Pass::of(scenario);
    let endless = pass.length(Duration::ZERO).is_zero();
    let rate = |phase: &LoadPhase| match phase.model {
        Model::Users if endless && phase.level > 0.0 => f64::INFINITY,
        model => pass.rate(model, phase.level, Duration::ZERO),
    };
    scenario.phases.iter().map(rate).fold(0.0, f64::max)
}

/// Returns the phase with the most requests per second when each answer takes 100 ms; `None` if
/// there is no phase.
pub fn peak(scenario: &Scenario) -> Option<&LoadPhase> {
    let pass = Pass::of(scenario);
    let weight = |phase: &&LoadPhase| pass.rate(phase.model, phase.level, RESPONSES[0]);
    scenario
        .phases
        .iter()
        .max_by(|a, b| weight(a).total_cmp(&weight(b)))
}

/// Rows that one data file has, and rows that the run needs.
#[derive(Debug, Clone, PartialEq)]
pub struct RowDemand {
    /// The data file's name in the scenario.
    pub name: String,
    /// Number of rows in the file.
    pub there: u64,
    /// Rows drawn over the whole run, with a target that answers well: one for each iteration of
    /// the flows that draw from it. A session whose setup draws from it takes one for all its
    /// iterations; the open model may need as many sessions as it has iterations.
    pub needed: u64,
    /// The consequence of too few rows; `None` if there are enough.
    pub problem: Option<RowProblem>,
}

/// The consequence of too few rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowProblem {
    /// The rows are split, and some workers have none of their own.
    #[error(
        "fewer rows than the {workers} workers they are split over: some get none. \
         Write `share: all`, add rows, or take fewer workers (`fleet.tasks`, `fleet.cpu`)"
    )]
    FewerThanWorkers {
        /// Workers of all tasks.
        workers: u32,
    },
    /// The rows last for a part of the run.
    #[error("used up after about {percent}% of the run: then {}", after(*.then))]
    UsedUp {
        /// The part of the run, in hundredths.
        percent: u64,
        /// `when_used_up` of the file.
        then: WhenUsedUp,
    },
    /// A row stays with its session, and there are fewer rows than sessions.
    #[error("up to {sessions} sessions get no row: {}", without_row(*.then))]
    SessionsWithout {
        /// Sessions beyond the rows.
        sessions: u64,
        /// `when_used_up` of the file.
        then: WhenUsedUp,
    },
}

fn without_row(then: WhenUsedUp) -> &'static str {
    match then {
        WhenUsedUp::Stop | WhenUsedUp::Recycle => "they begin no iteration",
        WhenUsedUp::Fail => "their iterations fail",
    }
}

fn after(then: WhenUsedUp) -> &'static str {
    match then {
        WhenUsedUp::Stop | WhenUsedUp::Recycle => "no further iteration begins",
        WhenUsedUp::Fail => "iterations fail",
    }
}

/// Returns the data files that leave workers without any row, although their rows are to last for
/// ever: the sessions of such a worker would stay idle for the whole run.
pub fn too_few_rows(scenario: &Scenario, workers: u32) -> Vec<&DataFile> {
    let flows = scenario.flows.iter();
    let drawn: Vec<u16> = flows.flat_map(|flow| scenario.draws(flow)).collect();
    (0..)
        .zip(&scenario.data)
        .filter(|(index, data)| {
            data.division == Division::OverRun
                && data.when_used_up == WhenUsedUp::Recycle
                && data.rows.len() < workers as usize
                && drawn.contains(index)
        })
        .map(|(_, data)| data)
        .collect()
}

/// Compares the rows that data files have and need; `workers` is the number of workers that share
/// the rows.
pub fn rows(scenario: &Scenario, schedule: &Schedule, workers: u32) -> Vec<RowDemand> {
    let users = iterations_of_users(scenario, schedule);
    // Of each session: only a file that sessions keep is worth that.
    let visitors = LazyCell::new(|| visitors(schedule) as f64);
    let weights: f64 = scenario.flows.iter().map(|flow| flow.weight).sum();
    let uses = |flow| (flow, scenario.draws(flow), scenario.keeps(flow));
    let flows: Vec<(&Flow, Vec<u16>, Vec<u16>)> = scenario.flows.iter().map(uses).collect();
    let mut all = Vec::new();
    for (index, data) in (0..).zip(&scenario.data) {
        let (mut weight, mut is_kept) = (0.0, true);
        for (flow, draws, keeps) in &flows {
            if draws.contains(&index) {
                weight += flow.weight;
                is_kept &= keeps.contains(&index);
            }
        }
        is_kept &= weight > 0.0;
        let share = weight / weights.max(f64::MIN_POSITIVE);
        let of_users = match is_kept {
            true => (users * share).min(*visitors),
            false => users * share,
        };
        let needed = (schedule.iterations() as f64 * share + of_users).ceil() as u64;
        let there = data.rows.len() as u64;
        let used_up = data.order != Order::Random
            && data.when_used_up != WhenUsedUp::Recycle
            && needed > there;
        let problem = if data.division == Division::OverRun && there < u64::from(workers) {
            Some(RowProblem::FewerThanWorkers { workers })
        } else if used_up && is_kept {
            Some(RowProblem::SessionsWithout {
                sessions: needed - there,
                then: data.when_used_up,
            })
        } else if used_up {
            Some(RowProblem::UsedUp {
                percent: (there as f64 / needed.max(1) as f64 * 100.0).round() as u64,
                then: data.when_used_up,
            })
        } else {
            None
        };
        all.push(RowDemand {
            name: data.name.clone(),
            there,
            needed,
            problem,
        });
    }
    all
}

/// Memory of a generator without sessions and data: code, buffers and histograms.
const OWN_MEMORY: u64 = 32 << 20;
/// Memory of a session: 15,000 of them take 121 MB (`docs/benchmarks.md`).
const SESSION_MEMORY: u64 = 8 << 10;
/// The same over TLS, whose buffers hold two records of 16 KiB.
const TLS_SESSION_MEMORY: u64 = 48 << 10;

/// The memory that each task needs, in bytes. What its sessions capture comes on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryDemand {
    /// Without sessions and data.
    pub own: u64,
    /// Of its part of the sessions, when the target takes a second for each answer.
    pub sessions: u64,
    /// Of its data files: the file and its rows, while it is read.
    pub data: u64,
}

impl MemoryDemand {
    /// Returns the sum.
    pub fn all(&self) -> u64 {
        self.own + self.sessions + self.data
    }
}

/// Estimates the memory that each of `tasks` tasks needs.
pub fn memory(scenario: &Scenario, tasks: u32) -> MemoryDemand {
    let (pass, tasks) = (Pass::of(scenario), u64::from(tasks.max(1)));
    let sessions = |phase: &LoadPhase| pass.sessions(phase.model, phase.level, RESPONSES[1]);
    let most = scenario.phases.iter().map(sessions).fold(0.0, f64::max);
    let each = match scenario.target.url.https {
        true => TLS_SESSION_MEMORY,
        false => SESSION_MEMORY,
    };
    let data = scenario.data.iter().map(|data| match data.division {
        Division::OverRun => data.rows.memory() as u64 / tasks,
        Division::OverTask | Division::None => data.rows.memory() as u64,
    });
    MemoryDemand {
        own: OWN_MEMORY,
        sessions: (most.ceil() as u64).div_ceil(tasks) * each,
        data: data.sum::<u64>() * 2,
    }
}

/// Returns the iterations of the closed model.
fn iterations_of_users(scenario: &Scenario, schedule: &Schedule) -> f64 {
    let length = Pass::of(scenario)
        .length(RESPONSES[0])
        .as_secs_f64()
        .max(1e-6);
    let seconds = schedule.end().as_secs_f64().ceil() as u64;
    let users: f64 = (0..seconds)
        .map(|second| schedule.users_at(Duration::from_millis(second * 1_000 + 500)))
        .sum();
    users / length
}

/// Returns the sessions of the closed model; one that comes back is another visitor.
fn visitors(schedule: &Schedule) -> usize {
    let sessions = 0..schedule.sessions();
    sessions
        .map(|number| schedule.session_spans(number).len())
        .sum()
}

/// Returns the level over time in `width` columns, each as a share of the highest.
pub fn curve(schedule: &Schedule, width: usize) -> Vec<f64> {
    let level_in = |column: usize| {
        schedule.level_at(
            schedule
                .end()
                .mul_f64((column as f64 + 0.5) / width.max(1) as f64),
        )
    };
    let levels: Vec<f64> = (0..width).map(level_in).collect();
    let top = levels.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    levels.into_iter().map(|level| level / top).collect()
}

/// True if every flow has a pause: a pace or a think time.
pub fn thinks(scenario: &Scenario) -> bool {
    let pauses = |flow: &Flow| {
        flow.pace.is_some()
            || flow.think != Think::None
            || flow.steps.iter().any(|step| step.think.is_some())
    };
    scenario.flows.iter().all(pauses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Action, Method, PhaseRole, Rows, example};

    fn shop() -> Scenario {
        let second = Duration::from_secs(1);
        let mut scenario = example::scenario(vec![example::phase(
            "only",
            Model::Users,
            100.0,
            second * 100,
            PhaseRole::Baseline,
        )]);
        scenario.flows[0].think = Think::Uniform(second, second * 3);
        scenario
    }

    #[test]
    fn a_closed_model_eases_off_when_the_target_is_slow() {
        let pass = Pass::of(&shop());
        let rate = |response| pass.rate(Model::Users, 100.0, response).round();
        // 100 users / (2 s + 0.1 s), and / (2 s + 1 s).
        assert_eq!(RESPONSES.map(rate), [48.0, 33.0]);
        assert_eq!(pass.rate(Model::Rate, 10.0, RESPONSES[1]), 10.0);
        assert_eq!(pass.sessions(Model::Rate, 10.0, RESPONSES[1]), 30.0);
    }

    #[test]
    fn repeated_steps_and_weights_count() {
        let mut scenario = shop();
        let inner = Block {
            condition: None,
            repeat: 3,
            actions: vec![Action::Request(0)],
        };
        let mut twice = example::flow("twice", vec![example::step(Method::Get, "/")]);
        twice.weight = 3.0;
        twice.body = Block {
            condition: None,
            repeat: 1,
            actions: vec![Action::Request(0), Action::Block(inner)],
        };
        scenario.flows.push(twice);
        assert_eq!(Pass::of(&scenario).requests, 1.0 * 0.25 + 4.0 * 0.75);
    }

    #[test]
    fn rows_are_counted_against_iterations() {
        let mut scenario = shop();
        let data = DataFile {
            name: "users".to_owned(),
            columns: vec!["id".to_owned()],
            rows: Rows::of(1, &vec![&["1"][..]; 2_000]),
            order: Order::Once,
            when_used_up: WhenUsedUp::Stop,
            division: Division::OverRun,
            file: String::new(),
        };
        scenario.data = vec![data];
        let column = crate::scenario::Segment::Value(
            crate::scenario::Expression::Column(0, 0),
            crate::scenario::Escape::Raw,
        );
        scenario.flows[0].steps[0].path.push(column);
        let schedule = Schedule::new(&scenario);
        let seen = &rows(&scenario, &schedule, 4)[0];
        // 100 users for 100 s, one iteration each 2.1 s.
        assert_eq!((seen.there, seen.needed), (2_000, 4_762));
        assert_eq!(
            seen.problem.map(|problem| problem.to_string()).as_deref(),
            Some("used up after about 42% of the run: then no further iteration begins")
        );
        // With the same rows in the setup, each session takes one.
        let mut logs_in = scenario.clone();
        logs_in.flows[0]
            .setup
            .actions
            .push(crate::scenario::Action::Request(0));
        let kept = &rows(&logs_in, &schedule, 4)[0];
        assert_eq!((kept.needed, kept.problem), (100, None));
        // No part of the run is without rows then, but some of the sessions are.
        for (then, said) in [
            (
                WhenUsedUp::Stop,
                "up to 40 sessions get no row: they begin no iteration",
            ),
            (
                WhenUsedUp::Fail,
                "up to 40 sessions get no row: their iterations fail",
            ),
        ] {
            logs_in.data[0].rows = Rows::of(1, &vec![&["1"][..]; 60]);
            logs_in.data[0].when_used_up = then;
            let problem = rows(&logs_in, &schedule, 4)[0].problem;
            assert_eq!(problem.map(|one| one.to_string()).as_deref(), Some(said));
        }
        let problem = |scenario: &Scenario| rows(scenario, &schedule, 2_001)[0].problem;
        let few = RowProblem::FewerThanWorkers { workers: 2_001 };
        assert_eq!(problem(&scenario), Some(few));
        assert!(few.to_string().contains("`share: all`"));
        let idle = |scenario: &Scenario, workers| too_few_rows(scenario, workers).len();
        assert_eq!(idle(&scenario, 2_001), 0, "rows used once may run out");
        scenario.data[0].when_used_up = WhenUsedUp::Recycle;
        scenario.data[0].order = Order::Sequential;
        assert_eq!((idle(&scenario, 2_000), idle(&scenario, 2_001)), (0, 1));
        scenario.data[0].division = Division::None;
        assert_eq!((idle(&scenario, 2_001), problem(&scenario)), (0, None));
    }

    #[test]
    fn sessions_are_looked_at_one_by_one_only_for_rows_that_they_keep() {
        let mut scenario = shop();
        scenario.phases[0].level = 300_000.0;
        let column = crate::scenario::Segment::Value(
            crate::scenario::Expression::Column(0, 0),
            crate::scenario::Escape::Raw,
        );
        scenario.flows[0].steps[0].path.push(column);
        scenario.data = vec![DataFile {
            name: "users".to_owned(),
            columns: vec!["id".to_owned()],
            rows: Rows::of(1, &[&["1"][..]; 4]),
            order: Order::Once,
            when_used_up: WhenUsedUp::Stop,
            division: Division::OverRun,
            file: String::new(),
        }];
        let schedule = Schedule::new(&scenario);
        let took = |scenario: &Scenario| {
            let of_one = (0..3).map(|_| {
                let begun = std::time::Instant::now();
                assert!(rows(scenario, &schedule, 4)[0].problem.is_some());
                begun.elapsed()
            });
            of_one.min().unwrap()
        };
        let for_each_iteration = took(&scenario);
        scenario.flows[0]
            .setup
            .actions
            .push(crate::scenario::Action::Request(0));
        let for_each_session = took(&scenario);
        assert!(
            for_each_iteration * 4 < for_each_session,
            "{for_each_iteration:?} {for_each_session:?}"
        );
    }

    #[test]
    fn a_task_needs_memory_for_its_part_of_sessions_and_rows() {
        let mut scenario = shop();
        scenario.data = vec![DataFile {
            name: "users".to_owned(),
            columns: vec!["id".to_owned()],
            rows: Rows::of(1, &vec![&["1"][..]; 2_000]),
            order: Order::Sequential,
            when_used_up: WhenUsedUp::Recycle,
            division: Division::OverRun,
            file: String::new(),
        }];
        let of = |scenario: &Scenario, tasks| memory(scenario, tasks);
        let (one, two) = (of(&scenario, 1), of(&scenario, 2));
        assert_eq!((one.sessions, two.sessions), (100 * 8_192, 50 * 8_192));
        assert!(
            one.data >= 8_000 && one.data == two.data * 2,
            "{one:?} {two:?}"
        );
        scenario.data[0].division = Division::None;
        scenario.target.url.https = true;
        assert_eq!(of(&scenario, 2).data, one.data);
        assert_eq!(of(&scenario, 2).all(), one.own + 50 * (48 << 10) + one.data);
    }

    #[test]
    fn the_most_that_is_asked_is_what_a_target_gets_that_answers_at_once() {
        let phases = |model, levels: &[f64]| {
            let phase = |level: &f64| {
                example::phase(
                    "p",
                    model,
                    *level,
                    Duration::from_secs(1),
                    PhaseRole::Baseline,
                )
            };
            levels.iter().map(phase).collect::<Vec<_>>()
        };
        let thinking = |think, scenario: Scenario| Scenario {
            flows: scenario
                .flows
                .into_iter()
                .map(|flow| Flow { think, ..flow })
                .collect(),
            ..scenario
        };
        let second = Think::Constant(Duration::from_secs(1));
        for (think, model, levels, rate) in [
            (Think::None, Model::Rate, vec![10.0, 40.0, 5.0], 40.0),
            (second, Model::Users, vec![10.0, 30.0], 30.0),
            (Think::None, Model::Users, vec![1.0], f64::INFINITY),
            (Think::None, Model::Users, vec![0.0], 0.0),
        ] {
            let scenario = thinking(think, example::scenario(phases(model, &levels)));
            assert_eq!(most(&scenario), rate, "{think:?} {model:?} {levels:?}");
        }
    }
}
