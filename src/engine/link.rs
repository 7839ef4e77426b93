//! Carries one request after another to the target for a session: connections, cookies, redirects.

use std::future::Future;
use std::time::Duration;

use rustls::HandshakeKind;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::coming::{Coming, Cut, Taken};
use super::connection::{Connection, Endpoint, NotOpened, Opening};
use super::context::WorkerContext;
use super::dial::{NotDialled, dial};
use super::jar::Jar;
use super::redirect::{Asked, Onward, carried, is_redirect, onward};
use super::request::{Prepared, ReadyRequest};
use super::wire::HttpAnswer;
use model::measure::{Broken, Ending, Failure, Key, RefusedRedirect, Request, TlsFailure};
use model::scenario::{Method, Pool, Reuse};

/// The network side of a session: its connection, cookies and TLS.
#[derive(Default)]
pub(crate) struct Link {
    connection: Option<Connection>,
    /// The cookies of each endpoint. One does not see the cookies of another.
    jars: Vec<(Endpoint, Jar)>,
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
    pub reconnects: u64,
    pub bytes: u64,
    /// The status of the last whole answer.
    pub status: Option<u16>,
    /// That answer had `Retry-After`, and a status of 400 or above.
    pub retry_after: bool,
    /// A redirect was not followed.
    pub astray: bool,
    /// The reason of the failure, where the ending does not say it.
    pub failure: Option<Failure>,
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
                .filter(|_| self.status.is_some())
                .map(|first| now.saturating_duration_since(first)),
            ending,
            bytes: self.bytes,
            redirects: self.redirects,
            reconnects: self.reconnects,
            status: self.status,
            retry_after: self.retry_after,
            checks: &[],
            instance: None,
        }
    }
}

impl Trace {
    fn answered(&mut self, answer: &HttpAnswer) {
        self.status = Some(answer.status);
        self.retry_after = answer.status >= 400 && answer.header("retry-after").is_some();
        if !self.astray {
            self.bytes = answer.bytes;
        }
    }
}

impl Link {
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.jars.iter().find_map(|(_, jar)| jar.value(name))
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
            let sending = Sending {
                prepared,
                ready: ready.as_ref(),
                origin,
            };
            let cookies = self.cookies(context, &sending);
            let answer = self
                .exchange(context, &sending, cookies.as_deref(), trace)
                .await?;
            let path = sending.path();
            if context.scenario.target.cookies {
                self.store_cookies(context, origin, path, &answer);
            }
            if redirects == 0 || !is_redirect(answer.status) {
                trace.answered(&answer);
                return Ok(answer);
            }
            let asked = Asked {
                url: context.url(origin, path),
                origin,
                host: &context.scenario.target.url.host,
                may_follow: trace.redirects < u64::from(redirects),
            };
            let refused = match onward(&answer, &asked) {
                // A check that asks for this status takes it without a place to go to.
                Onward::Refused(RefusedRedirect::RedirectWithoutLocation)
                    if prepared.judge.expects(answer.status) =>
                {
                    trace.answered(&answer);
                    return Ok(answer);
                }
                Onward::Refused(refused) => refused,
                Onward::To(to) => {
                    let next = Endpoint {
                        https: to.scheme() == "https",
                        port: to.port_or_known_default().unwrap_or(origin.port),
                    };
                    let request = ready
                        .take()
                        .or_else(|| prepared.fixed())
                        .ok_or(Ending::Broken(Broken::NotSendable))?
                        .redirected(answer.status, &to);
                    match carried(request, &prepared.carries, origin, next, &to) {
                        Ok(request) => {
                            trace.redirects += 1;
                            ready = Some(request);
                            origin = next;
                            continue;
                        }
                        Err(refused) => refused,
                    }
                }
            };
            trace.astray = true;
            trace.failure = Some(Failure::Redirect(refused));
            trace.answered(&answer);
            return Ok(answer);
        }
    }

    /// Sends one request and receives its answer. Sends it again, once and on a new connection,
    /// where the server did nothing with it or may be asked twice.
    async fn exchange(
        &mut self,
        context: &WorkerContext,
        sending: &Sending<'_>,
        cookies: Option<&str>,
        trace: &mut Trace,
    ) -> Result<HttpAnswer, Ending> {
        let (mut connection, reused) = self.connect(context, sending.origin, trace).await?;
        let mut answered = exchange(context, sending, &mut connection, cookies, trace).await;
        if let Err(cut) = &answered {
            match after_cut(cut.taken, reused, sending.method()) {
                AfterCut::Fails => {}
                AfterCut::Lost => return Err(Ending::Lost),
                AfterCut::SendAgain => {
                    drop(connection);
                    trace.reconnects += 1;
                    connection = self.open(context, sending.origin, trace).await?;
                    answered = exchange(context, sending, &mut connection, cookies, trace).await;
                }
            }
        }
        match answered {
            Ok(answer) => {
                context.answered(connection.address);
                self.put_back(context, connection, answer.reusable);
                Ok(answer)
            }
            Err(cut) => {
                trace.failure = cut.tls.map(Failure::Tls);
                Err(cut.ending)
            }
        }
    }

    /// Returns the cookies that go with a request, unless the step has its own `cookie` header.
    fn cookies(&self, context: &WorkerContext, sending: &Sending<'_>) -> Option<String> {
        let own = sending.origin.of_cookies();
        let (_, jar) = self.jars.iter().find(|(of, _)| *of == own)?;
        if sending.prepared.has_own_cookies() {
            return None;
        }
        jar.header(&context.url(sending.origin, sending.path())?)
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
        let own = origin.of_cookies();
        let known = self.jars.iter().position(|(of, _)| *of == own);
        let place = known.unwrap_or_else(|| {
            self.jars.push((own, Jar::default()));
            self.jars.len() - 1
        });
        for text in set.filter_map(|(_, value)| std::str::from_utf8(value).ok()) {
            self.jars[place].1.set(text, &url);
        }
    }

    /// Returns the connection kept from before, or a new one, and whether it was kept.
    async fn connect(
        &mut self,
        context: &WorkerContext,
        origin: Endpoint,
        trace: &mut Trace,
    ) -> Result<(Connection, bool), Ending> {
        while let Some(mut kept) = self.take(context, origin) {
            let fresh = kept.origin == origin && kept.left > 0 && Instant::now() < kept.expires;
            if fresh && kept.alive(&context.buffer).await {
                share(context, &kept);
                return Ok((kept, true));
            }
        }
        Ok((self.open(context, origin, trace).await?, false))
    }

    /// Returns a connection that was kept. A session has one only, to any endpoint; of those that
    /// all sessions share, the latest to this endpoint, and the others stay.
    fn take(&mut self, context: &WorkerContext, origin: Endpoint) -> Option<Connection> {
        match context.policy.pool {
            Pool::Session => self.connection.take(),
            Pool::Shared => {
                let mut pool = context.pool.borrow_mut();
                if pool.last().is_some_and(|kept| kept.origin == origin) {
                    return pool.pop();
                }
                // Nobody may ask for the others again.
                pool.retain(|kept| kept.origin == origin || Instant::now() < kept.expires);
                let latest = pool.iter().rposition(|kept| kept.origin == origin)?;
                Some(pool.remove(latest))
            }
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
        let dialled = dial(context, &addresses, deadline).await;
        let (stream, address) = dialled.map_err(|why| {
            if let NotDialled::OwnLimit(limit) = why {
                trace.failure = Some(Failure::NoSocket(limit));
            }
            why.ending()
        })?;
        let connect = dialling.elapsed();
        let security = context.security.as_ref().filter(|_| origin.https);
        if let (Some(security), None) = (security, &self.tls) {
            self.tls = Some(security.of_a_session());
        }
        let tls = match security.zip(self.tls.as_ref()) {
            Some((security, connector)) => Some((connector, security.name())),
            // A redirect to https without anything known of TLS.
            None if origin.https => {
                trace.failure = Some(Failure::Tls(TlsFailure::NothingInCommon));
                return Err(Ending::Tls);
            }
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
        let opened = opened.unwrap_or(Err(NotOpened {
            ending: failed,
            tls: origin.https.then_some(TlsFailure::HandshakeTimeout),
        }));
        let (mut connection, handshake) = opened.map_err(|NotOpened { ending, tls }| {
            trace.failure = tls.map(Failure::Tls);
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

/// A request on its way to one endpoint.
struct Sending<'a> {
    prepared: &'a Prepared,
    /// `None` for a request that never changes.
    ready: Option<&'a ReadyRequest>,
    origin: Endpoint,
}

impl Sending<'_> {
    fn path(&self) -> &str {
        self.ready
            .map_or(self.prepared.fixed_path(), |ready| ready.path.as_str())
    }

    fn method(&self) -> Method {
        self.ready
            .map_or(self.prepared.method(), |ready| ready.method)
    }
}

/// The fate of a request that brought no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterCut {
    SendAgain,
    /// It may not be sent again, and it may have been carried out.
    Lost,
    Fails,
}

/// Decides on a request that was cut. A server may close a kept connection just as a request comes
/// (RFC 9112, 9.3.1.1): an idempotent one is sent again, any other counts apart. A request that the
/// server said not to have begun with is sent again whatever its method (RFC 9113, 8.7).
fn after_cut(taken: Taken, reused: bool, method: Method) -> AfterCut {
    match (taken, reused) {
        (Taken::No, _) => AfterCut::SendAgain,
        (Taken::Unknown, true) if method.is_idempotent() => AfterCut::SendAgain,
        (Taken::Unknown, true) => AfterCut::Lost,
        (Taken::Unknown, false) | (Taken::Yes, _) => AfterCut::Fails,
    }
}

/// Sends one request on a connection, and receives its answer.
async fn exchange(
    context: &WorkerContext,
    sending: &Sending<'_>,
    connection: &mut Connection,
    cookies: Option<&str>,
    trace: &mut Trace,
) -> Result<HttpAnswer, Cut> {
    let Sending {
        prepared,
        ready,
        origin,
    } = *sending;
    (trace.on_wire, trace.first_byte) = (None, None);
    if connection.is_two() {
        let host = context.authority(origin);
        let request = ready
            .and_then(|ready| ready.request(origin.https, &host, cookies))
            .ok_or(Cut::broken(Broken::NotSendable))?;
        trace.on_wire = Some(Instant::now());
        return connection
            .exchange_two(request, prepared.keep, &mut trace.first_byte)
            .await;
    }
    let mut bytes = context.scratch.take();
    bytes.clear();
    match ready {
        Some(ready) => ready.write(&context.authority(origin), cookies, &mut bytes),
        None => prepared.write_fixed(cookies, &mut bytes),
    }
    let mut coming = Coming::new(prepared.keep, &mut trace.first_byte);
    connection.send(&bytes, &mut coming, &context.buffer).await;
    context.scratch.replace(bytes);
    trace.on_wire = Some(Instant::now());
    connection.receive(coming, &context.buffer).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_again_only_where_that_does_no_harm() {
        use AfterCut::{Fails, Lost, SendAgain};
        for (taken, reused, method, then) in [
            (Taken::Unknown, true, Method::Get, SendAgain),
            (Taken::Unknown, true, Method::Put, SendAgain),
            (Taken::Unknown, true, Method::Delete, SendAgain),
            (Taken::Unknown, true, Method::Post, Lost),
            (Taken::Unknown, true, Method::Patch, Lost),
            (Taken::Unknown, false, Method::Get, Fails),
            (Taken::Unknown, false, Method::Post, Fails),
            (Taken::No, false, Method::Post, SendAgain),
            (Taken::No, true, Method::Get, SendAgain),
            (Taken::Yes, true, Method::Get, Fails),
        ] {
            assert_eq!(
                after_cut(taken, reused, method),
                then,
                "{taken:?} {method:?}"
            );
        }
    }
}
