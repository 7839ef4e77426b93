//! A proxy before the target: a shared database, cold caches, sick instances, or a time in which every
//! answer is late.
//!
//! It knows instances only by the header of their answers, as a user's own proxy would.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hyper::{Request, Response, StatusCode};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::http::{Server, Upstream};

/// Requests before the load, such as a look at whether the target answers.
const FEW: usize = 3;
/// The least time between them and the load.
const PAUSE: Duration = Duration::from_secs(1);
/// Instances whose first answer comes this soon after the first request were there before.
const OLD: Duration = Duration::from_secs(2);

/// `proxy.json` of a case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    db: Option<Database>,
    #[serde(default)]
    cold: Option<Cold>,
    #[serde(default)]
    sick: Option<Sick>,
    #[serde(default)]
    slow: Option<Slow>,
}

/// A database that every answer needs, after the work of its instance.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Database {
    /// Requests that it works on at once.
    slots: usize,
    /// Time that each takes.
    ms: u64,
    /// A request that would wait longer is refused.
    limit_ms: u64,
    /// The answer of a request that is refused.
    status: u16,
}

/// New instances answer late at first.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cold {
    /// For how long, from an instance's first answer.
    for_ms: u64,
    /// By how much.
    ms: u64,
}

/// Every answer is late for a while.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slow {
    /// In seconds after the first request.
    from: u64,
    /// The same.
    to: u64,
    /// By how much.
    ms: u64,
}

/// One instance answers with an error for a while, or some do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sick {
    /// The first of them, from 0 in the order of first answers.
    nth: usize,
    /// Their number.
    #[serde(default = "one")]
    count: usize,
    /// In seconds after the first request.
    from: u64,
    /// The same.
    to: u64,
    /// Its answer.
    status: u16,
}

fn one() -> usize {
    1
}

/// The proxy.
pub(crate) struct Target {
    pub(crate) server: Server,
    state: Arc<State>,
}

struct State {
    settings: Settings,
    upstream: Upstream,
    /// The instant of the load's first request.
    first: watch::Sender<Option<Instant>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Requests so far, and the instant of the last.
    requests: usize,
    last: Option<Instant>,
    /// The first answer of each instance, and its place in their order.
    instances: HashMap<String, (Instant, usize)>,
    /// The instant at which each slot of the database is free.
    slots: Vec<Instant>,
    /// The instances that were sick.
    sick: BTreeSet<String>,
}

impl Target {
    /// Starts the proxy of a case before the target at `url`.
    pub(crate) async fn start(settings: &Path, url: &str) -> Self {
        let text = std::fs::read_to_string(settings).unwrap();
        let settings: Settings = serde_json::from_str(&text).unwrap();
        let slots = settings.db.as_ref().map_or(0, |db| db.slots);
        let known = Known {
            slots: vec![Instant::now(); slots],
            ..Known::default()
        };
        let state = Arc::new(State {
            settings,
            upstream: Upstream::new(url),
            first: watch::Sender::new(None),
            known: Mutex::new(known),
        });
        let answering = Arc::clone(&state);
        let server = Server::start(move |request| {
            let state = Arc::clone(&answering);
            async move { state.answer(request).await }
        })
        .await;
        Self { server, state }
    }

    /// Returns the instant of the load's first request, once there is one. A few requests before a
    /// pause are taken for it until it comes.
    pub(crate) fn first_request(&self) -> watch::Receiver<Option<Instant>> {
        self.state.first.subscribe()
    }

    /// Returns the ids of the instances that were sick.
    pub(crate) fn sick(&self) -> BTreeSet<String> {
        self.state.known.lock().unwrap().sick.clone()
    }
}

impl State {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let first = self.first_request();
        let mut answer = self.upstream.forward(request).await;
        let header = answer.headers().get("x-instance-id");
        let instance = header.and_then(|id| id.to_str().ok()).map(str::to_owned);
        let mut status = None;
        if let Some(id) = instance {
            let (since, place) = self.instance(&id);
            if let Some(cold) = &self.settings.cold
                && since - first > OLD
                && since.elapsed() < Duration::from_millis(cold.for_ms)
            {
                sleep(Duration::from_millis(cold.ms)).await;
            }
            status = self.sickness(&id, place, first);
        }
        if let Some(db) = &self.settings.db
            && status.is_none()
            && answer.status().as_u16() < 500
        {
            match self.slot(db) {
                Some(done) => sleep_until(done).await,
                None => status = Some(db.status),
            }
        }
        if let Some(slow) = &self.settings.slow
            && (slow.from..slow.to).contains(&first.elapsed().as_secs())
        {
            sleep(Duration::from_millis(slow.ms)).await;
        }
        if let Some(status) = status {
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        }
        answer
    }

    /// Counts a request, and returns the instant of the load's first, which may be this one.
    fn first_request(&self) -> Instant {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap();
        let follows = known.last.is_some_and(|last| now - last < PAUSE);
        if !follows && known.requests <= FEW {
            // An instance that answered before the load was there before.
            known.instances.clear();
            self.first.send_replace(Some(now));
        }
        known.last = Some(now);
        known.requests += 1;
        self.first.borrow().unwrap_or(now)
    }

    /// Returns the first answer of an instance, and its place in their order.
    fn instance(&self, id: &str) -> (Instant, usize) {
        let mut known = self.known.lock().unwrap();
        let place = known.instances.len();
        let now = Instant::now();
        *known.instances.entry(id.to_owned()).or_insert((now, place))
    }

    /// Returns the answer of an instance that is sick now.
    fn sickness(&self, id: &str, place: usize, first: Instant) -> Option<u16> {
        let sick = self.settings.sick.as_ref()?;
        let since = first.elapsed();
        let from = Duration::from_secs(sick.from);
        let is_one = (sick.nth..sick.nth + sick.count).contains(&place);
        let is_sick = is_one && since >= from && since < Duration::from_secs(sick.to);
        is_sick.then(|| {
            self.known.lock().unwrap().sick.insert(id.to_owned());
            sick.status
        })
    }

    /// Takes the slot of the database that is free first, and returns the instant of the answer;
    /// `None` if the wait would be too long.
    fn slot(&self, db: &Database) -> Option<Instant> {
        let mut known = self.known.lock().unwrap();
        let slot = known.slots.iter_mut().min()?;
        let now = Instant::now();
        let begin = (*slot).max(now);
        if begin - now > Duration::from_millis(db.limit_ms) {
            return None;
        }
        *slot = begin + Duration::from_millis(db.ms);
        Some(*slot)
    }
}
