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

use super::connection::{Connection, Endpoint, NotOpened, Opening, ReceivedAnswer};
use super::context::WorkerContext;
use super::decode::decode;
use super::request::{Prepared, ReadyRequest};
use super::values::{CapturedValue, Values};
use super::wire::HttpAnswer;
use crate::measure::{Ending, Key, Request};
use crate::scenario::{Pool, Reuse};

/// What a virtual user has.
pub struct Session {
    pub number: u64,
    pub iterations: u64,
    pub chance: Pcg64Mcg,
    link: Link,
    /// By flow; without captures nothing is allocated.
    variables: Box<[Box<[Option<CapturedValue>]>]>,
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
struct TimedAnswer {
    answer: HttpAnswer,
    took: Duration,
    astray: bool,
}

impl Session {
    pub fn new(context: &WorkerContext, number: u64) -> Self {
        let scenario = &context.scenario;
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
            chance: context.chance(number),
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
            until: context.start + context.schedule.latest_end(),
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

    pub fn values<'a>(&'a mut self, context: &'a WorkerContext, flow: usize) -> Values<'a> {
        Values {
            variables: self.variables.get(flow).map_or(&[], |variables| variables),
            data: &context.scenario.data,
            rows: &self.rows,
            session: self.number,
            iteration: self.iterations,
            chance: &mut self.chance,
        }
    }

    /// Carries out a step that was meant to begin at `intended`, and records it.
    pub async fn step(
        &mut self,
        context: &WorkerContext,
        flow: usize,
        step: usize,
        intended: Duration,
    ) -> Done {
        let began = Instant::now();
        let sent = began.saturating_duration_since(context.start);
        // From here to the intended start it was the generator's own doing.
        context
            .recorder
            .borrow_mut()
            .start(sent, sent.saturating_sub(intended));
        let prepared = &context.prepared[flow][step];
        let settings = &context.scenario.flows[flow].steps[step];
        let timeout = settings.timeout.unwrap_or(context.scenario.target.timeout);
        let redirects = settings
            .redirects
            .unwrap_or(context.scenario.target.redirects);
        let mut trace = Trace::default();
        let mut counts = context.counts.take();
        counts.clear();
        let request = match prepared.is_fixed() && !context.may_speak_two {
            true => Ok(None),
            false => prepared.ready(&mut self.values(context, flow)).map(Some),
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
                    .fetch(context, prepared, ready, redirects, &mut trace);
                match timeout_at((began + timeout).min(self.until), fetch).await {
                    Ok(Ok(answer)) => {
                        instance = context.instance(&answer);
                        let seen = TimedAnswer {
                            answer,
                            took: began.elapsed(),
                            astray: trace.astray,
                        };
                        self.judge(context, flow, prepared, seen, &mut counts)
                    }
                    Ok(Err(ending)) => (ending, unanswered),
                    Err(_) if self.until < began + timeout => {
                        self.was_cut = true;
                        context
                            .recorder
                            .borrow_mut()
                            .saturation(context.elapsed())
                            .cut += 1;
                        if began.elapsed() < TIME_TO_ANSWER {
                            context.counts.replace(counts);
                            return Done {
                                ended: context.elapsed(),
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
        let ended = now.saturating_duration_since(context.start);
        let phase = context.schedule.phase_at(intended) as u16;
        let opening = trace.opening;
        let first_byte = trace.on_wire.zip(trace.first_byte);
        context.recorder.borrow_mut().request(&Request {
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
        context.counts.replace(counts);
        Done {
            ended,
            abandon,
            refused: !ending.has_latency(),
        }
    }

    /// The ending, and whether the rest of the iteration must be abandoned.
    fn judge(
        &mut self,
        context: &WorkerContext,
        flow: usize,
        prepared: &Prepared,
        seen: TimedAnswer,
        counts: &mut Vec<(u16, bool)>,
    ) -> (Ending, bool) {
        let TimedAnswer {
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
            data: &context.scenario.data,
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
fn unpack(answer: &mut HttpAnswer) -> bool {
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
        context: &WorkerContext,
        prepared: &Prepared,
        mut ready: Option<ReadyRequest>,
        redirects: u32,
        trace: &mut Trace,
    ) -> Result<HttpAnswer, Ending> {
        let mut origin = context.origin;
        loop {
            let mut connection = self.connect(context, origin, trace).await?;
            let path = ready
                .as_ref()
                .map_or(prepared.fixed_path(), |ready| ready.path.as_str());
            let url = self
                .jar
                .is_some()
                .then(|| context.url(origin, path))
                .flatten();
            let cookies = url
                .as_ref()
                .filter(|_| !prepared.has_own_cookies())
                .and_then(|url| self.cookies(url));
            let address = connection.address;
            let answered = exchange(
                context,
                prepared,
                ready.as_ref(),
                &mut connection,
                cookies.as_deref(),
                origin,
                trace,
            )
            .await?;
            let ReceivedAnswer { answer, first_byte } = answered;
            trace.first_byte = Some(first_byte);
            context.answered(address);
            self.put_back(context, connection, answer.reusable);
            if context.scenario.target.cookies {
                self.store_cookies(context, origin, path, &answer);
            }
            let Some(location) = moved(&answer).filter(|_| redirects > 0) else {
                trace.bytes = answer.bytes;
                return Ok(answer);
            };
            let next = context
                .url(origin, path)
                .and_then(|url| url.join(&location).ok())
                .filter(|to| context.is_target(to));
            let (Some(to), true) = (next, trace.redirects < u64::from(redirects)) else {
                trace.astray = true;
                return Ok(answer);
            };
            trace.redirects += 1;
            origin = Endpoint {
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

    fn store_cookies(
        &mut self,
        context: &WorkerContext,
        origin: Endpoint,
        path: &str,
        answer: &HttpAnswer,
    ) {
        let mut set = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .peekable();
        if set.peek().is_none() {
            return;
        }
        let Some(url) = context.url(origin, path) else {
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
        context: &WorkerContext,
        origin: Endpoint,
        trace: &mut Trace,
    ) -> Result<Connection, Ending> {
        while let Some(mut kept) = self.take(context) {
            let fresh = kept.origin == origin && kept.left > 0 && Instant::now() < kept.expires;
            if fresh && kept.alive(&context.buffer).await {
                share(context, &kept);
                return Ok(kept);
            }
        }
        self.open(context, origin, trace).await
    }

    fn take(&mut self, context: &WorkerContext) -> Option<Connection> {
        match context.policy.pool {
            Pool::Session => self.connection.take(),
            Pool::Shared => context.pool.borrow_mut().pop(),
        }
    }

    fn put_back(&mut self, context: &WorkerContext, mut connection: Connection, reusable: bool) {
        connection.left = connection.left.saturating_sub(1);
        if !reusable || context.policy.reuse == Reuse::Request || connection.left == 0 {
            return;
        }
        match context.policy.pool {
            Pool::Session => self.connection = Some(connection),
            // A shared HTTP/2 connection is in the pool already, while it carries requests.
            Pool::Shared if connection.is_two() => {}
            Pool::Shared => context.pool.borrow_mut().push(connection),
        }
    }

    async fn open(
        &mut self,
        context: &WorkerContext,
        origin: Endpoint,
        trace: &mut Trace,
    ) -> Result<Connection, Ending> {
        let begun = Instant::now();
        let deadline = begun + context.scenario.target.connect_timeout;
        let port = Some(origin.port);
        let addresses = within(deadline, context.addresses.in_turn(port))
            .await
            .ok_or(Ending::Connect)?;
        let addresses = addresses.map_err(|why| {
            context.recorder.borrow_mut().reason(&why.to_string());
            Ending::Connect
        })?;
        let dns = begun.elapsed();
        let dialling = Instant::now();
        let (stream, address) = dial(context, &addresses, deadline)
            .await
            .ok_or(Ending::Connect)?;
        let connect = dialling.elapsed();
        let security = context.security.as_ref().filter(|_| origin.https);
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
            context.two_without_tls(),
            &context.open,
        );
        let opened = within(deadline, over).await;
        let failed = if origin.https {
            Ending::Tls
        } else {
            Ending::Connect
        };
        let (mut connection, handshake) =
            opened.ok_or(failed)?.map_err(|NotOpened { ending, why }| {
                context.recorder.borrow_mut().reason(&why);
                ending
            })?;
        trace.opening = Some(Opening {
            dns,
            connect,
            tls: handshake,
        });
        context.opened(
            address,
            handshake.map(|(_, kind)| kind == HandshakeKind::Resumed),
        );
        (connection.expires, connection.left) = context.lifetime();
        share(context, &connection);
        Ok(connection)
    }
}

/// A shared HTTP/2 connection is in the pool while it carries requests, with what it may still
/// carry after this one.
fn share(context: &WorkerContext, connection: &Connection) {
    let may = context.policy.pool == Pool::Shared
        && context.policy.reuse == Reuse::Session
        && connection.left > 1;
    if let Some(mut shared) = may.then(|| connection.shared()).flatten() {
        shared.left = connection.left - 1;
        context.pool.borrow_mut().push(shared);
    }
}

async fn within<T>(deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
    timeout_at(deadline, future).await.ok()
}

/// Tries the addresses in turn: a dead one must not cost every n-th session its request.
async fn dial(
    context: &WorkerContext,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Option<(TcpStream, SocketAddr)> {
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (addresses.len() - tried) as u32;
        match timeout_at(Instant::now() + share, TcpStream::connect(*address)).await {
            Ok(Ok(stream)) => return Some((stream, *address)),
            Ok(Err(error)) => {
                context.recorder.borrow_mut().reason(&error.to_string());
                context.refused(*address);
            }
            Err(_) => {
                context
                    .recorder
                    .borrow_mut()
                    .reason("no answer to the attempt to connect");
                context.refused(*address);
            }
        }
    }
    None
}

/// One request and its answer on a connection.
async fn exchange(
    context: &WorkerContext,
    prepared: &Prepared,
    ready: Option<&ReadyRequest>,
    connection: &mut Connection,
    cookies: Option<&str>,
    origin: Endpoint,
    trace: &mut Trace,
) -> Result<ReceivedAnswer, Ending> {
    if connection.is_two() {
        let host = context.authority(origin);
        let request = ready
            .and_then(|ready| ready.request(origin.https, &host, cookies))
            .ok_or(Ending::Broken)?;
        trace.on_wire = Some(Instant::now());
        return connection.exchange_two(request, prepared.keep).await;
    }
    let mut bytes = context.scratch.take();
    bytes.clear();
    match ready {
        Some(ready) => ready.write(&context.authority(origin), cookies, &mut bytes),
        None => prepared.write_fixed(cookies, &mut bytes),
    }
    let sent = connection.send(&bytes).await;
    context.scratch.replace(bytes);
    sent?;
    trace.on_wire = Some(Instant::now());
    connection.receive(prepared.keep, &context.buffer).await
}

/// Where a redirect leads, if it is one.
fn moved(answer: &HttpAnswer) -> Option<String> {
    matches!(answer.status, 301 | 302 | 303 | 307 | 308)
        .then(|| answer.header("location"))
        .flatten()
        .map(|location| String::from_utf8_lossy(location).into_owned())
}
