//! One pass through a flow, by a session (closed model) or for itself (open model).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::Work;
use super::connection::Connection;
use super::request::Template;
use super::target::Target;
use crate::measure::{Key, Recorder, Request};
use crate::plan::Schedule;
use crate::scenario::{Scenario, Think};

/// What all sessions of a worker share: one thread, so no locks.
pub struct Desk {
    pub scenario: Arc<Scenario>,
    pub schedule: Schedule,
    pub start: Instant,
    pub seed: u64,
    target: Target,
    /// By flow and step.
    templates: Vec<Vec<Template>>,
    total_weight: f64,
    pub recorder: RefCell<Recorder>,
    /// Sessions or iterations under way.
    pub active: Cell<u32>,
    /// Connections that no iteration uses (open model), the latest first: the fewest stay warm.
    idle: RefCell<Vec<Connection>>,
}

impl Desk {
    pub fn new(work: &Work, target: Target) -> Result<Self, String> {
        let scenario = Arc::clone(&work.scenario);
        let template = |step| Template::new(&scenario.target, step);
        let templates = scenario
            .flows
            .iter()
            .map(|flow| flow.steps.iter().map(template).collect::<Result<Vec<_>, _>>())
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            schedule: Schedule::new(&scenario),
            start: Instant::from_std(work.start),
            seed: work.seed,
            target,
            templates,
            total_weight: scenario.flows.iter().map(|flow| flow.weight).sum(),
            recorder: RefCell::default(),
            active: Cell::new(0),
            idle: RefCell::default(),
            scenario,
        })
    }

    /// Time since the start instant; zero before it.
    pub fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }

    /// Waits for a planned instant. One that has passed still lets others run.
    pub async fn wait_until(&self, at: Duration) {
        let instant = self.start + at;
        if instant > Instant::now() {
            sleep_until(instant).await;
        } else {
            yield_now().await;
        }
    }

    fn pick_flow(&self, chance: &mut Pcg64Mcg) -> usize {
        let mut point = chance.random::<f64>() * self.total_weight;
        for (index, flow) in self.scenario.flows.iter().enumerate() {
            point -= flow.weight;
            if point < 0.0 {
                return index;
            }
        }
        self.scenario.flows.len() - 1
    }

    /// The sequence of a session or iteration: the same seed repeats it, whatever task it runs on.
    fn chance(&self, number: u64) -> Pcg64Mcg {
        // An odd constant spreads neighbouring numbers over the whole state.
        Pcg64Mcg::seed_from_u64(self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// Counts itself as under way for as long as it lives, also when it is cut.
struct Active<'a>(&'a Cell<u32>);

impl<'a> Active<'a> {
    fn new(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// A session of the closed model: iteration after iteration on its own connection, until its span ends. The request
/// under way then is finished; no further step begins.
pub async fn session(desk: Rc<Desk>, number: u64, span: u64, from: Duration, to: Duration) {
    desk.wait_until(from).await;
    let _active = Active::new(&desk.active);
    // A session that comes back later is another visitor.
    let mut chance = desk.chance(number | span << 40);
    let mut connection = None;
    let mut intended = from;
    while intended < to {
        let flow = desk.pick_flow(&mut chance);
        for step in 0..desk.templates[flow].len() {
            if intended >= to {
                return;
            }
            request(&desk, &mut connection, flow, step, intended).await;
            intended = desk.elapsed() + think(desk.scenario.flows[flow].think, &mut chance);
            if intended < to {
                desk.wait_until(intended).await;
            }
        }
    }
}

/// An iteration of the open model, due at an instant of its own. Its first request counts from there, whatever the
/// generator or the target made of it.
pub async fn iteration(desk: Rc<Desk>, number: u64, due: Duration) {
    let _active = Active::new(&desk.active);
    let mut chance = desk.chance(number);
    let flow = desk.pick_flow(&mut chance);
    let mut connection = desk.idle.borrow_mut().pop();
    let mut intended = due;
    let steps = desk.templates[flow].len();
    for step in 0..steps {
        // A flow that is not through when the plan ends begins no further step.
        if step > 0 && intended >= desk.schedule.end() {
            break;
        }
        request(&desk, &mut connection, flow, step, intended).await;
        if step + 1 < steps {
            intended = desk.elapsed() + think(desk.scenario.flows[flow].think, &mut chance);
            desk.wait_until(intended).await;
        }
    }
    desk.idle.borrow_mut().extend(connection);
}

async fn request(desk: &Desk, connection: &mut Option<Connection>, flow: usize, step: usize, intended: Duration) {
    let sent = desk.elapsed();
    // From here to the intended start it was the generator's own doing.
    desk.recorder.borrow_mut().late(sent, sent.saturating_sub(intended));
    let done = desk.templates[flow][step].send(&desk.target, connection, desk.scenario.target.timeout).await;
    let ended = desk.elapsed();
    let key = Key { phase: desk.schedule.phase_at(intended) as u16, flow: flow as u16, step: step as u16 };
    desk.recorder.borrow_mut().request(Request {
        key,
        ended,
        latency: ended.saturating_sub(intended),
        service: ended.saturating_sub(sent),
        ending: done.ending,
        bytes: done.bytes,
    });
}

fn think(think: Think, chance: &mut Pcg64Mcg) -> Duration {
    match think {
        Think::None => Duration::ZERO,
        Think::Constant(time) => time,
        Think::Uniform(from, to) => from + (to.saturating_sub(from)).mul_f64(chance.random::<f64>()),
    }
}
