//! State that all sessions of a worker share: one thread, so no locks.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use url::Url;

use super::Work;
use super::addresses::Addresses;
use super::alarm::WakeTimer;
use super::connection::{Buffer, Connection, Endpoint, OpenConnections, READ};
use super::judge::{PatternError, Slots};
use super::request::Prepared;
use super::rows::{Drawn, RowCursor};
use super::session::Session;
use super::tls::Security;
use super::wire::HttpAnswer;
use model::measure::{RequestRecorder, ResultShape};
use model::plan::{Schedule, Share};
use model::scenario::{self, Http, Scenario};

/// The longest name of an instance: an address, an id, a host's name.
const LONGEST_NAME: usize = 128;
/// Multiples of the golden ratio fill an interval evenly, however many there are.
const GOLDEN: f64 = 0.618_033_988_749_895;

pub struct WorkerContext {
    pub scenario: Arc<Scenario>,
    pub schedule: Schedule,
    pub share: Share,
    pub start: Instant,
    seed: u64,
    /// Prepared steps, by flow and step.
    pub prepared: Vec<Vec<Prepared>>,
    total_weight: f64,
    /// The data files that each flow draws from.
    draws: Vec<Vec<u16>>,
    /// The data files whose rows stay with a session after the setup of each flow.
    keeps: Vec<Vec<u16>>,
    rows: RefCell<Vec<RowCursor>>,
    pub recorder: RefCell<RequestRecorder>,
    /// Sessions or iterations under way.
    pub active: Cell<u32>,
    pub origin: Endpoint,
    pub policy: scenario::ConnectionPolicy,
    pub may_speak_two: bool,
    pub addresses: Addresses,
    /// The wake timer; `None` until the worker's runtime exists.
    pub alarm: Option<WakeTimer>,
    pub security: Option<Security>,
    pub open: Rc<OpenConnections>,
    opened: Cell<u64>,
    /// Connections that no session uses (shared pool), the latest last.
    pub pool: RefCell<Vec<Connection>>,
    /// Sessions that no iteration uses (open model), the latest last.
    pub idle: RefCell<Vec<Session>>,
    pub sessions: Cell<u64>,
    pub buffer: Buffer,
    pub scratch: RefCell<Vec<u8>>,
    pub counts: RefCell<Vec<(u16, bool)>>,
    /// The name of the header that names instances, in lower case.
    instance_header: Option<String>,
}

/// The supply of data rows. An iteration does not begin once they are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supply {
    There,
    UsedUp,
}

impl WorkerContext {
    pub fn new(
        work: &Work,
        worker: u32,
        security: Option<&Security>,
    ) -> Result<Self, PatternError> {
        let scenario = Arc::clone(&work.scenario);
        let target = &scenario.target;
        let share = work.share_of(worker);
        let of_task = Share {
            index: worker,
            of: work.workers,
        };
        let names_instances = scenario.scaling.instance_header.is_some();
        let mut prepared = Vec::new();
        for flow in &scenario.flows {
            let slots = Slots::of(&flow.variables);
            let steps = flow
                .steps
                .iter()
                .map(|step| Prepared::new(target, &slots, step, names_instances));
            prepared.push(steps.collect::<Result<Vec<_>, _>>()?);
        }
        let draws = scenario.flows.iter().map(|flow| scenario.draws(flow));
        let keeps = scenario.flows.iter().map(|flow| scenario.keeps(flow));
        let may_speak_two = match target.http {
            Http::One => false,
            Http::Two => true,
            Http::Auto => target.url.https,
        };
        let addresses = Addresses::new(
            &target.url.host,
            target.url.port,
            work.address_policy,
            share.index as usize,
        );
        Ok(Self {
            schedule: Schedule::new(&scenario),
            share,
            start: Instant::from_std(work.start),
            seed: work.seed,
            prepared,
            total_weight: scenario.flows.iter().map(|flow| flow.weight).sum(),
            draws: draws.collect(),
            keeps: keeps.collect(),
            rows: RefCell::new(
                scenario
                    .data
                    .iter()
                    .map(|data| RowCursor::new(data, share, of_task))
                    .collect(),
            ),
            recorder: RefCell::new(RequestRecorder::new(&shape(&scenario))),
            active: Cell::new(0),
            origin: Endpoint {
                https: target.url.https,
                port: target.url.port,
            },
            policy: target.connection,
            may_speak_two,
            addresses,
            alarm: None,
            security: security.cloned(),
            open: Rc::default(),
            opened: Cell::new(0),
            pool: RefCell::default(),
            idle: RefCell::default(),
            sessions: Cell::new(0),
            buffer: Rc::new(RefCell::new(vec![0; READ].into_boxed_slice())),
            scratch: RefCell::default(),
            counts: RefCell::default(),
            instance_header: scenario
                .scaling
                .instance_header
                .as_ref()
                .map(|name| name.to_ascii_lowercase()),
            scenario,
        })
    }

    /// Returns the instance that an answer names, if the scenario knows how.
    pub fn instance(&self, answer: &HttpAnswer) -> Option<u16> {
        let header = self.instance_header.as_deref()?;
        let name = answer
            .header(header)
            .and_then(|value| std::str::from_utf8(value).ok())?
            .trim();
        let plain = (1..=LONGEST_NAME).contains(&name.len())
            && name.chars().all(|one| one.is_ascii_graphic());
        plain.then(|| self.recorder.borrow_mut().instance(name))
    }

    /// Returns the time since the start instant; zero before it.
    pub fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }

    /// Waits for a planned instant. One that has passed still lets others run.
    pub async fn wait_until(&self, at: Duration) {
        let instant = self.start + at;
        match &self.alarm {
            _ if instant <= Instant::now() => yield_now().await,
            Some(alarm) => alarm.sleep_until(instant).await,
            None => sleep_until(instant).await,
        }
    }

    pub fn pick_flow(&self, chance: &mut Pcg64Mcg) -> usize {
        let flows = &self.scenario.flows;
        if flows.len() == 1 {
            return 0;
        }
        let mut point = chance.random::<f64>() * self.total_weight;
        for (index, flow) in flows.iter().enumerate() {
            point -= flow.weight;
            if point < 0.0 {
                return index;
            }
        }
        flows.len() - 1
    }

    /// Returns the seed of a session or iteration. The run's seed repeats it on any task.
    pub fn seed_of(&self, number: u64) -> u64 {
        // An odd constant spreads neighbouring numbers over the whole state.
        self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    pub fn chance(&self, number: u64) -> Pcg64Mcg {
        Pcg64Mcg::seed_from_u64(self.seed_of(number))
    }

    /// Draws the rows that an iteration of a flow needs, but those that the session keeps.
    pub fn supply(&self, session: &mut Session, flow: usize) -> Supply {
        let mut rows = self.rows.borrow_mut();
        for data in &self.draws[flow] {
            let index = *data as usize;
            if session.kept[index] {
                continue;
            }
            let row = match rows[index].draw(&mut session.chance) {
                Drawn::Row(row) => Some(row),
                // The step that needs it has no value, and fails by name.
                Drawn::Fail => None,
                Drawn::Stop => return Supply::UsedUp,
            };
            session.rows[index] = row;
        }
        Supply::There
    }

    /// Leaves a session the rows with which it has carried out the setup of a flow.
    pub fn keep_rows(&self, session: &mut Session, flow: usize) {
        for data in &self.keeps[flow] {
            let index = *data as usize;
            session.kept[index] = session.rows[index].is_some();
        }
    }

    pub fn two_without_tls(&self) -> bool {
        self.scenario.target.http == Http::Two
    }

    /// Returns the `Host` of an origin: the port only where it is not the scheme's own.
    pub fn authority(&self, origin: Endpoint) -> String {
        let url = &self.scenario.target.url;
        scenario::Url {
            https: origin.https,
            port: origin.port,
            host: url.host.clone(),
            path: String::new(),
        }
        .authority()
    }

    pub fn url(&self, origin: Endpoint, path: &str) -> Option<Url> {
        let scheme = if origin.https { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{}{path}", self.authority(origin))).ok()
    }

    /// Returns when a new connection is to be renewed, and after how many requests.
    pub fn lifetime(&self) -> (Instant, u64) {
        let number = self.opened.get();
        // A fifth more or less: connections opened together must not be renewed together.
        let jitter = 0.8 + 0.4 * (number as f64 * GOLDEN).fract();
        (
            Instant::now() + self.policy.max_age.mul_f64(jitter),
            self.policy.max_requests.unwrap_or(u64::MAX),
        )
    }

    pub fn opened(&self, address: SocketAddr, resumed: Option<bool>) {
        self.opened.set(self.opened.get() + 1);
        let at = self.elapsed();
        let mut recorder = self.recorder.borrow_mut();
        recorder.address(at, address).opened += 1;
        let saturation = recorder.saturation(at);
        saturation.opened += 1;
        match resumed {
            Some(true) => saturation.tls_resumed += 1,
            Some(false) => saturation.tls_full += 1,
            None => {}
        }
    }

    pub fn refused(&self, address: SocketAddr) {
        self.recorder
            .borrow_mut()
            .address(self.elapsed(), address)
            .refused += 1;
    }

    pub fn answered(&self, address: SocketAddr) {
        self.recorder
            .borrow_mut()
            .address(self.elapsed(), address)
            .requests += 1;
    }
}

/// Returns the numbers of phases, steps and checks that the recorder must have room for.
fn shape(scenario: &Scenario) -> ResultShape {
    let steps = |flow: &scenario::Flow| {
        flow.steps
            .iter()
            .map(|step| step.check_names().len())
            .collect()
    };
    ResultShape {
        phases: scenario.phases.len(),
        flows: scenario.flows.iter().map(steps).collect(),
    }
}

/// Returns the delay of a session. Sessions that a jump brings at one instant come spread over a
/// while, evenly and always alike.
pub(crate) fn spread(number: u64, over: Duration) -> Duration {
    over.mul_f64((number as f64 * GOLDEN).fract())
}
