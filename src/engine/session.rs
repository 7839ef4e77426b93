//! A session: one virtual user with its connection, cookies and captured values, and how it carries
//! out a step.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use cookie_store::CookieStore;
use cookie_store::RawCookie;
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use rustls::HandshakeKind;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use url::Url;

use super::connection::{Answered, Connection, NotOpened, Opening, Origin};
use super::decode::decode;
use super::desk::Desk;
use super::request::{Prepared, Ready};
use super::values::{Value, Values};
use super::wire::Answer;
use crate::measure::{Ending, Key, Request};
use crate::scenario::{Pool, Reuse};

/// What a virtual user has.
pub struct Session {
    pub number: u64,
    pub iterations: u64,
    pub chance: Pcg64Mcg,
    link: Link,
    /// By flow; without captures nothing is allocated.
    variables: Box<[Box<[Option<Value>]>]>,
    /// By flow: its setup is done. Empty where no flow has one.
    pub set_up: Box<[bool]>,
    /// When what is under way is cut.
    pub until: Instant,
    /// A request of it was cut.
    pub was_cut: bool,
    /// By data file: the row of this iteration.
    pub rows: Box<[Option<u32>]>,
}

/// What it holds of the network.
#[derive(Default)]
struct Link {
    connection: Option<Connection>,
    jar: Option<Box<CookieStore>>,
    tls: Option<TlsConnector>,
}

/// A step that has been carried out.
pub struct Done {
    pub ended: Duration,
    /// What follows in this iteration cannot be carried out.
    pub abandon: bool,
    /// There was no connection at all.
    pub refused: bool,
}

/// A request that has waited less than this when its session is cut is not held against the target;
/// one that has waited longer was not answered in time.
const TIME_TO_ANSWER: Duration = Duration::from_secs(1);

/// What is known of a request under way, also when it is cut.
#[derive(Default)]
struct Trace {
    opening: Option<Opening>,
    /// When the last request was on the wire, and its answer began.
    on_wire: Option<Instant>,
    first_byte: Option<Instant>,
    redirects: u64,
    bytes: u64,
    /// A redirect led away from the target, or there were too many.
    astray: bool,
}

/// An answer as it is judged.
struct Seen {
    answer: Answer,
    took: Duration,
    astray: bool,
}

impl Session {
    pub fn new(desk: &Desk, number: u64) -> Self {
        let scenario = &desk.scenario;
        let any = scenario.flows.iter().any(|flow| !flow.variables.is_empty());
        let variables = match any {
            true => scenario
                .flows
                .iter()
                .map(|flow| vec![None; flow.variables.len()].into())
                .collect(),
            false => Box::default(),
        };
        Self {
            number,
            iterations: 0,
            chance: desk.chance(number),
            link: Link::default(),
            variables,
            set_up: match scenario
                .flows
                .iter()
                .any(|flow| !flow.setup.actions.is_empty())
            {
                true => vec![false; scenario.flows.len()].into(),
                false => Box::default(),
            },
            until: desk.start + desk.schedule.latest_end(),
            was_cut: false,
            rows: vec![None; scenario.data.len()].into(),
        }
    }

    /// For the next iteration of the open model: it has its own sequence, whichever session carries
    /// it out.
    pub fn reseed(&mut self, seed: u64) {
        self.chance = Pcg64Mcg::seed_from_u64(seed);
    }

    /// Forgets what the last iteration of a flow captured; what its setup captured stays.
    pub fn forget(&mut self, flow: usize, lasting: u16) {
        if let Some(variables) = self.variables.get_mut(flow) {
            variables
                .iter_mut()
                .skip(lasting as usize)
                .for_each(|value| *value = None);
        }
    }

    pub fn values<'a>(&'a mut self, desk: &'a Desk, flow: usize) -> Values<'a> {
        Values {
            variables: self.variables.get(flow).map_or(&[], |variables| variables),
            data: &desk.scenario.data,
            rows: &self.rows,
            session: self.number,
            iteration: self.iterations,
            chance: &mut self.chance,
        }
    }

    /// Carries out a step that was meant to begin at `intended`, and records it.
    pub async fn step(
        &mut self,
        desk: &Desk,
        flow: usize,
        step: usize,
        intended: Duration,
    ) -> Done {
        let began = Instant::now();
        let sent = began.saturating_duration_since(desk.start);
        // From here to the intended start it was the generator's own doing.
        desk.recorder
            .borrow_mut()
            .start(sent, sent.saturating_sub(intended));
        let prepared = &desk.prepared[flow][step];
        let settings = &desk.scenario.flows[flow].steps[step];
        let timeout = settings.timeout.unwrap_or(desk.scenario.target.timeout);
        let redirects = settings.redirects.unwrap_or(desk.scenario.target.redirects);
        let mut trace = Trace::default();
        let mut counts = desk.counts.take();
        counts.clear();
        let request = match prepared.is_fixed() && !desk.may_speak_two {
            true => Ok(None),
            false => prepared.ready(&mut self.values(desk, flow)).map(Some),
        };
        // What an answer would have given, the rest of the iteration may need.
        let unanswered = !prepared.judge.captures_nothing();
        let mut instance = None;
        let (ending, abandon) = match request {
            Err(_) => {
                counts.push((prepared.judge.beyond() + 1, false));
                (Ending::Unsent, true)
            }
            Ok(ready) => {
                let fetch = self
                    .link
                    .fetch(desk, prepared, ready, redirects, &mut trace);
                match timeout_at((began + timeout).min(self.until), fetch).await {
                    Ok(Ok(answer)) => {
                        instance = desk.instance(&answer);
                        let seen = Seen {
                            answer,
                            took: began.elapsed(),
                            astray: trace.astray,
                        };
                        self.judge(desk, flow, prepared, seen, &mut counts)
                    }
                    Ok(Err(ending)) => (ending, unanswered),
                    Err(_) if self.until < began + timeout => {
                        self.was_cut = true;
                        desk.recorder.borrow_mut().strain(desk.elapsed()).cut += 1;
                        if began.elapsed() < TIME_TO_ANSWER {
                            desk.counts.replace(counts);
                            return Done {
                                ended: desk.elapsed(),
                                abandon: true,
                                refused: false,
                            };
                        }
                        (Ending::Timeout, true)
                    }
                    Err(_) => (Ending::Timeout, unanswered),
                }
            }
        };
        let now = Instant::now();
        let ended = now.saturating_duration_since(desk.start);
        let phase = desk.schedule.phase_at(intended) as u16;
        let opening = trace.opening;
        let first_byte = trace.on_wire.zip(trace.first_byte);
        desk.recorder.borrow_mut().request(&Request {
            key: Key {
                phase,
                flow: flow as u16,
                step: step as u16,
            },
            ended,
            latency: ended.saturating_sub(intended),
            service: ended.saturating_sub(sent),
            dns: opening.map(|opening| opening.dns),
            connect: opening.map(|opening| opening.connect),
            tls: opening
                .and_then(|opening| opening.tls)
                .map(|(took, _)| took),
            first_byte: first_byte.map(|(wire, first)| first.saturating_duration_since(wire)),
            body: trace
                .first_byte
                .map(|first| now.saturating_duration_since(first)),
            ending,
            bytes: trace.bytes,
            redirects: trace.redirects,
            checks: &counts,
            instance,
        });
        desk.counts.replace(counts);
        Done {
            ended,
            abandon,
            refused: !ending.has_latency(),
        }
    }

    /// The ending, and whether the rest of the iteration must be abandoned.
    fn judge(
        &mut self,
        desk: &Desk,
        flow: usize,
        prepared: &Prepared,
        seen: Seen,
        counts: &mut Vec<(u16, bool)>,
    ) -> (Ending, bool) {
        let Seen {
            mut answer,
            took,
            astray,
        } = seen;
        if astray {
            counts.push((prepared.judge.beyond(), false));
            return (Ending::Check, true);
        }
        if prepared.judge.needs_body && !unpack(&mut answer) {
            return (Ending::Broken, true);
        }
        if prepared.judge.is_plain() {
            return (prepared.judge.plain(answer.status), false);
        }
        let Self {
            link,
            variables,
            rows,
            number,
            iterations,
            chance,
            ..
        } = self;
        let cookie = |name: &str| link.cookie(name);
        let mut captured = Vec::new();
        let mut values = Values {
            variables: variables.get(flow).map_or(&[], |variables| variables),
            data: &desk.scenario.data,
            rows,
            session: *number,
            iteration: *iterations,
            chance,
        };
        let judged =
            prepared
                .judge
                .judge(&answer, took, &mut values, &mut captured, &cookie, counts);
        for (slot, value) in captured {
            if let Some(place) = variables
                .get_mut(flow)
                .and_then(|variables| variables.get_mut(slot as usize))
            {
                *place = Some(value);
            }
        }
        (judged.ending, judged.abandon)
    }
}

/// What somebody looks at is looked at unpacked.
fn unpack(answer: &mut Answer) -> bool {
    // An answer without a body (to a HEAD, a 304) is no body in any coding.
    if answer.body.is_empty() {
        return true;
    }
    let Some(coding) = answer.header("content-encoding").map(<[u8]>::to_vec) else {
        return true;
    };
    match decode(&coding, std::mem::take(&mut answer.body)) {
        Ok(plain) => {
            answer.body = plain;
            true
        }
        Err(()) => false,
    }
}

impl Link {
    fn cookie(&self, name: &str) -> Option<String> {
        let jar = self.jar.as_ref()?;
        jar.iter_unexpired()
            .find(|cookie| cookie.name() == name)
            .map(|cookie| cookie.value().to_owned())
    }

    /// Sends the request, follows redirects, and reads the last answer to its end.
    async fn fetch(
        &mut self,
        desk: &Desk,
        prepared: &Prepared,
        mut ready: Option<Ready>,
        redirects: u32,
        trace: &mut Trace,
    ) -> Result<Answer, Ending> {
        let mut origin = desk.origin;
        loop {
            let mut connection = self.connect(desk, origin, trace).await?;
            let path = ready
                .as_ref()
                .map_or(prepared.fixed_path(), |ready| ready.path.as_str());
            let url = self.jar.is_some().then(|| desk.url(origin, path)).flatten();
            let cookies = url
                .as_ref()
                .filter(|_| !prepared.has_own_cookies())
                .and_then(|url| self.cookies(url));
            let address = connection.address;
            let answered = exchange(
                desk,
                prepared,
                ready.as_ref(),
                &mut connection,
                cookies.as_deref(),
                origin,
                trace,
            )
            .await?;
            let Answered { answer, first_byte } = answered;
            trace.first_byte = Some(first_byte);
            desk.answered(address);
            self.put_back(desk, connection, answer.reusable);
            if desk.scenario.target.cookies {
                self.store_cookies(desk, origin, path, &answer);
            }
            let Some(location) = moved(&answer).filter(|_| redirects > 0) else {
                trace.bytes = answer.bytes;
                return Ok(answer);
            };
            let next = desk
                .url(origin, path)
                .and_then(|url| url.join(&location).ok())
                .filter(|to| desk.is_target(to));
            let (Some(to), true) = (next, trace.redirects < u64::from(redirects)) else {
                trace.astray = true;
                return Ok(answer);
            };
            trace.redirects += 1;
            origin = Origin {
                https: to.scheme() == "https",
                port: to.port_or_known_default().unwrap_or(origin.port),
            };
            let request = ready.or_else(|| prepared.fixed()).ok_or(Ending::Broken)?;
            ready = Some(request.redirected(answer.status, &to));
        }
    }

    fn cookies(&self, url: &Url) -> Option<String> {
        let jar = self.jar.as_ref()?;
        let pairs: Vec<String> = jar
            .get_request_values(url)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn store_cookies(&mut self, desk: &Desk, origin: Origin, path: &str, answer: &Answer) {
        let mut set = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .peekable();
        if set.peek().is_none() {
            return;
        }
        let Some(url) = desk.url(origin, path) else {
            return;
        };
        let texts = set.filter_map(|(_, value)| std::str::from_utf8(value).ok());
        let cookies = texts.filter_map(|text| RawCookie::parse(text.to_owned()).ok());
        self.jar
            .get_or_insert_default()
            .store_response_cookies(cookies, &url);
    }

    /// The connection kept from before, or a new one.
    async fn connect(
        &mut self,
        desk: &Desk,
        origin: Origin,
        trace: &mut Trace,
    ) -> Result<Connection, Ending> {
        while let Some(mut kept) = self.take(desk) {
            let fresh = kept.origin == origin && kept.left > 0 && Instant::now() < kept.expires;
            if fresh && kept.alive(&desk.buffer).await {
                share(desk, &kept);
                return Ok(kept);
            }
        }
        self.open(desk, origin, trace).await
    }

    fn take(&mut self, desk: &Desk) -> Option<Connection> {
        match desk.policy.pool {
            Pool::Session => self.connection.take(),
            Pool::Shared => desk.pool.borrow_mut().pop(),
        }
    }

    fn put_back(&mut self, desk: &Desk, mut connection: Connection, reusable: bool) {
        connection.left = connection.left.saturating_sub(1);
        if !reusable || desk.policy.reuse == Reuse::Request || connection.left == 0 {
            return;
        }
        match desk.policy.pool {
            Pool::Session => self.connection = Some(connection),
            // A shared HTTP/2 connection is in the pool already, while it carries requests.
            Pool::Shared if connection.is_two() => {}
            Pool::Shared => desk.pool.borrow_mut().push(connection),
        }
    }

    async fn open(
        &mut self,
        desk: &Desk,
        origin: Origin,
        trace: &mut Trace,
    ) -> Result<Connection, Ending> {
        let begun = Instant::now();
        let deadline = begun + desk.scenario.target.connect_timeout;
        let port = Some(origin.port);
        let addresses = within(deadline, desk.addresses.in_turn(port))
            .await
            .ok_or(Ending::Connect)?;
        let addresses = addresses.map_err(|why| {
            desk.recorder.borrow_mut().reason(&why.to_string());
            Ending::Connect
        })?;
        let dns = begun.elapsed();
        let dialling = Instant::now();
        let (stream, address) = dial(desk, &addresses, deadline)
            .await
            .ok_or(Ending::Connect)?;
        let connect = dialling.elapsed();
        let security = desk.security.as_ref().filter(|_| origin.https);
        if let (Some(security), None) = (security, &self.tls) {
            self.tls = Some(security.of_a_session());
        }
        let tls = match security.zip(self.tls.as_ref()) {
            Some((security, connector)) => Some((connector, security.name())),
            // A redirect to https without anything known of TLS.
            None if origin.https => return Err(Ending::Tls),
            None => None,
        };
        let over = Connection::over(
            stream,
            address,
            origin,
            tls,
            desk.two_without_tls(),
            &desk.open,
        );
        let opened = within(deadline, over).await;
        let failed = if origin.https {
            Ending::Tls
        } else {
            Ending::Connect
        };
        let (mut connection, handshake) =
            opened.ok_or(failed)?.map_err(|NotOpened { ending, why }| {
                desk.recorder.borrow_mut().reason(&why);
                ending
            })?;
        trace.opening = Some(Opening {
            dns,
            connect,
            tls: handshake,
        });
        desk.opened(
            address,
            handshake.map(|(_, kind)| kind == HandshakeKind::Resumed),
        );
        (connection.expires, connection.left) = desk.lifetime();
        share(desk, &connection);
        Ok(connection)
    }
}

/// A shared HTTP/2 connection is in the pool while it carries requests, with what it may still
/// carry after this one.
fn share(desk: &Desk, connection: &Connection) {
    let may = desk.policy.pool == Pool::Shared
        && desk.policy.reuse == Reuse::Session
        && connection.left > 1;
    if let Some(mut shared) = may.then(|| connection.shared()).flatten() {
        shared.left = connection.left - 1;
        desk.pool.borrow_mut().push(shared);
    }
}

async fn within<T>(deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
    timeout_at(deadline, future).await.ok()
}

/// Tries the addresses in turn: a dead one must not cost every n-th session its request.
async fn dial(
    desk: &Desk,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Option<(TcpStream, SocketAddr)> {
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (addresses.len() - tried) as u32;
        match timeout_at(Instant::now() + share, TcpStream::connect(*address)).await {
            Ok(Ok(stream)) => return Some((stream, *address)),
            Ok(Err(error)) => {
                desk.recorder.borrow_mut().reason(&error.to_string());
                desk.refused(*address);
            }
            Err(_) => {
                desk.recorder
                    .borrow_mut()
                    .reason("no answer to the attempt to connect");
                desk.refused(*address);
            }
        }
    }
    None
}

/// One request and its answer on a connection.
async fn exchange(
    desk: &Desk,
    prepared: &Prepared,
    ready: Option<&Ready>,
    connection: &mut Connection,
    cookies: Option<&str>,
    origin: Origin,
    trace: &mut Trace,
) -> Result<Answered, Ending> {
    if connection.is_two() {
        let host = desk.authority(origin);
        let request = ready
            .and_then(|ready| ready.request(origin.https, &host, cookies))
            .ok_or(Ending::Broken)?;
        trace.on_wire = Some(Instant::now());
        return connection.exchange_two(request, prepared.keep).await;
    }
    let mut bytes = desk.scratch.take();
    bytes.clear();
    match ready {
        Some(ready) => ready.write(&desk.authority(origin), cookies, &mut bytes),
        None => prepared.write_fixed(cookies, &mut bytes),
    }
    let sent = connection.send(&bytes).await;
    desk.scratch.replace(bytes);
    sent?;
    trace.on_wire = Some(Instant::now());
    connection.receive(prepared.keep, &desk.buffer).await
}

/// Where a redirect leads, if it is one.
fn moved(answer: &Answer) -> Option<String> {
    matches!(answer.status, 301 | 302 | 303 | 307 | 308)
        .then(|| answer.header("location"))
        .flatten()
        .map(|location| String::from_utf8_lossy(location).into_owned())
}
