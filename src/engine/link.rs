//! Carries one request after another to the target for a session: connections, cookies, redirects.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::HandshakeKind;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use url::Url;

use super::connection::{Connection, Endpoint, NotOpened, Opening, ReceivedAnswer};
use super::context::WorkerContext;
use super::jar::Jar;
use super::request::{Prepared, ReadyRequest};
use super::wire::HttpAnswer;
use model::measure::{Ending, Key, Request};
use model::scenario::{Pool, Reuse};

/// The network side of a session: its connection, cookies and TLS.
#[derive(Default)]
pub(crate) struct Link {
    connection: Option<Connection>,
    jar: Option<Box<Jar>>,
    tls: Option<TlsConnector>,
}

/// The progress of a request under way, kept also when it is cut.
#[derive(Default)]
pub(crate) struct Trace {
    pub opening: Option<Opening>,
    /// The instant when the last request was on the wire; `first_byte` is when its answer began.
    pub on_wire: Option<Instant>,
    pub first_byte: Option<Instant>,
    pub redirects: u64,
    pub bytes: u64,
    /// A redirect led away from the target, or there were too many.
    pub astray: bool,
}

impl Trace {
    /// Returns the request as far as it is known here; nothing of its wait for its turn, nor of its
    /// checks.
    pub(crate) fn request(
        &self,
        key: Key,
        ending: Ending,
        ended: Duration,
        now: Instant,
    ) -> Request<'static> {
        let first_byte = self.on_wire.zip(self.first_byte);
        Request {
            key,
            ended,
            latency: Duration::ZERO,
            service: Duration::ZERO,
            dns: self.opening.map(|opening| opening.dns),
            connect: self.opening.map(|opening| opening.connect),
            tls: self
                .opening
                .and_then(|opening| opening.tls)
                .map(|(took, _)| took),
            first_byte: first_byte.map(|(wire, first)| first.saturating_duration_since(wire)),
            body: self
                .first_byte
                .map(|first| now.saturating_duration_since(first)),
            ending,
            bytes: self.bytes,
            redirects: self.redirects,
            checks: &[],
            instance: None,
        }
    }
}

impl Link {
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.jar.as_ref()?.value(name)
    }

    /// Sends the request, follows redirects, and reads the last answer to its end.
    pub(crate) async fn fetch(
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
        self.jar.as_ref()?.header(url)
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
        let jar = self.jar.get_or_insert_default();
        for text in set.filter_map(|(_, value)| std::str::from_utf8(value).ok()) {
            jar.set(text, &url);
        }
    }

    /// Returns the connection kept from before, or a new one.
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
            .ok_or(Ending::Unresolved)?;
        let addresses = addresses.map_err(|why| {
            context.recorder.borrow_mut().reason(&why.to_string());
            why.ending()
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

/// Puts a shared HTTP/2 connection into the pool while it carries requests, with the number of
/// requests that it may still carry after this one.
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

/// Sends one request on a connection, and receives its answer.
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

/// Returns the target of a redirect; `None` if the answer is no redirect.
fn moved(answer: &HttpAnswer) -> Option<String> {
    matches!(answer.status, 301 | 302 | 303 | 307 | 308)
        .then(|| answer.header("location"))
        .flatten()
        .map(|location| String::from_utf8_lossy(location).into_owned())
}
