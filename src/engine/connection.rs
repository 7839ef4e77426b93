//! One connection to the target: HTTP/1.1 straight on the socket, HTTP/2 by hyper.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Body as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::HandshakeKind;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::coming::{Coming, Cut};
use super::streams::{Local, Streams};
use super::tls;
use super::wire::{HttpAnswer, Keep, LONGEST_HEAD};
use model::measure::{Broken, Ending, TlsFailure};

/// One read of a busy socket. One buffer serves all connections of a worker: an idle one costs no
/// memory for reading.
pub(crate) const READ: usize = 64 * 1024;

pub(crate) type Buffer = Rc<RefCell<Box<[u8]>>>;

/// The endpoint of a connection: another scheme or port of the same host is another endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    pub https: bool,
    pub port: u16,
}

impl Endpoint {
    /// True if a request may go from here to there as it is, with credentials and values: to the same
    /// endpoint, or from http to https on the default ports.
    pub fn shares_values_with(self, to: Self) -> bool {
        self == to || (self == HTTP && to == HTTPS)
    }

    /// Returns the endpoint whose cookies it has: those of http and https on the default ports are
    /// one.
    pub fn of_cookies(self) -> Self {
        if self == HTTP { HTTPS } else { self }
    }
}

const HTTP: Endpoint = Endpoint {
    https: false,
    port: 80,
};
const HTTPS: Endpoint = Endpoint {
    https: true,
    port: 443,
};

/// Dropping it closes the socket.
pub struct Connection {
    wire: Wire,
    pub origin: Endpoint,
    pub address: SocketAddr,
    /// The instant after which the connection is not used again.
    pub expires: Instant,
    /// Requests it may still carry.
    pub left: u64,
    open: Rc<OpenConnections>,
}

/// Numbers of connections that a worker has open, and that it closed.
#[derive(Debug, Default)]
pub struct OpenConnections {
    pub now: Cell<u32>,
    pub closed: Cell<u64>,
}

enum Wire {
    One(Io),
    Two {
        sender: http2::SendRequest<Full<Bytes>>,
        streams: Rc<Streams>,
        driver: Rc<AbortOnDropHandle<()>>,
    },
}

/// The socket, with or without TLS.
pub(super) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Time that opening a connection took, by part.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Opening {
    pub dns: Duration,
    pub connect: Duration,
    pub tls: Option<(Duration, HandshakeKind)>,
}

/// Why there is no connection.
pub struct NotOpened {
    pub ending: Ending,
    pub tls: Option<TlsFailure>,
}

impl Connection {
    /// Takes a connected socket as far as HTTP. `tls` is there when the origin asks for it.
    pub async fn over(
        stream: TcpStream,
        address: SocketAddr,
        origin: Endpoint,
        tls: Option<(&TlsConnector, rustls::pki_types::ServerName<'static>)>,
        two_without_tls: bool,
        open: &Rc<OpenConnections>,
    ) -> Result<(Self, Option<(Duration, HandshakeKind)>), NotOpened> {
        drop(stream.set_nodelay(true));
        let begun = Instant::now();
        let (wire, handshake) = match tls {
            None if two_without_tls => (two(Io::Plain(stream)).await?, None),
            None => (Wire::One(Io::Plain(stream)), None),
            Some((connector, name)) => {
                let refused = |error: io::Error| NotOpened {
                    ending: Ending::Tls,
                    tls: Some(tls::failure(&error)),
                };
                let stream = connector.connect(name, stream).await.map_err(refused)?;
                let (_, session) = stream.get_ref();
                let kind = session.handshake_kind().unwrap_or(HandshakeKind::Full);
                let chosen_two = session.alpn_protocol() == Some(b"h2");
                let handshake = Some((begun.elapsed(), kind));
                let io = Io::Tls(Box::new(stream));
                (
                    if chosen_two {
                        two(io).await?
                    } else {
                        Wire::One(io)
                    },
                    handshake,
                )
            }
        };
        open.now.set(open.now.get() + 1);
        let connection = Self {
            wire,
            origin,
            address,
            expires: begun,
            left: u64::MAX,
            open: Rc::clone(open),
        };
        Ok((connection, handshake))
    }

    pub fn is_two(&self) -> bool {
        matches!(self.wire, Wire::Two { .. })
    }

    /// Returns the same connection for another session: only HTTP/2 carries several at once.
    pub fn shared(&self) -> Option<Self> {
        let Wire::Two {
            sender,
            streams,
            driver,
        } = &self.wire
        else {
            return None;
        };
        let wire = Wire::Two {
            sender: sender.clone(),
            streams: Rc::clone(streams),
            driver: Rc::clone(driver),
        };
        Some(Self {
            wire,
            origin: self.origin,
            address: self.address,
            expires: self.expires,
            left: self.left,
            open: Rc::clone(&self.open),
        })
    }

    /// True if the server still holds the connection, as far as can be known without asking the
    /// server.
    pub async fn alive(&mut self, buffer: &Buffer) -> bool {
        match &mut self.wire {
            Wire::Two { sender, .. } => !sender.is_closed(),
            // Anything to read on an idle connection is its end, or an answer to nothing.
            Wire::One(io) => {
                poll_fn(|cx| {
                    let mut buffer = buffer.borrow_mut();
                    Poll::Ready(
                        Pin::new(&mut *io)
                            .poll_read(cx, &mut ReadBuf::new(&mut buffer))
                            .is_pending(),
                    )
                })
                .await
            }
        }
    }

    /// Puts a whole HTTP/1.1 request on the wire. While the wire takes no more, an early answer is
    /// read: after it, or if nothing more can be written, the rest of the request is not sent.
    pub async fn send(&mut self, request: &[u8], coming: &mut Coming<'_>, buffer: &Buffer) {
        let Wire::One(io) = &mut self.wire else {
            return;
        };
        let mut sent = 0;
        poll_fn(|cx| {
            loop {
                let written = match request.get(sent..) {
                    Some(rest) if !rest.is_empty() => Pin::new(&mut *io).poll_write(cx, rest),
                    _ => Pin::new(&mut *io).poll_flush(cx).map_ok(|()| 0),
                };
                match written {
                    Poll::Ready(Ok(0)) => {
                        coming.sent = sent == request.len();
                        return Poll::Ready(());
                    }
                    Poll::Ready(Ok(count)) => sent += count,
                    Poll::Ready(Err(error)) => {
                        coming.reset = error.kind() == io::ErrorKind::ConnectionReset;
                        return Poll::Ready(());
                    }
                    Poll::Pending => {
                        let Poll::Ready(ended) = coming.poll(io, cx, buffer) else {
                            return Poll::Pending;
                        };
                        coming.ended = Some(ended);
                        return Poll::Ready(());
                    }
                }
            }
        })
        .await;
    }

    /// Reads the answer to it.
    pub async fn receive(
        &mut self,
        mut coming: Coming<'_>,
        buffer: &Buffer,
    ) -> Result<HttpAnswer, Cut> {
        let Wire::One(io) = &mut self.wire else {
            return Err(Cut::broken(Broken::NotSendable));
        };
        match coming.ended.take() {
            Some(ended) => ended?,
            None => poll_fn(|cx| coming.poll(io, cx, buffer)).await?,
        }
        Ok(coming.answer())
    }

    /// Sends a request over HTTP/2 and reads its answer.
    pub async fn exchange_two(
        &mut self,
        request: Request<Full<Bytes>>,
        keep: Keep,
        first_byte: &mut Option<Instant>,
    ) -> Result<HttpAnswer, Cut> {
        let Wire::Two {
            sender, streams, ..
        } = &mut self.wire
        else {
            return Err(Cut::broken(Broken::NotSendable));
        };
        let _stream = streams.one().await;
        let response = sender
            .try_send_request(request)
            .await
            .map_err(|mut error| {
                if error.take_message().is_some() {
                    return Cut::broken(Broken::GoneAway);
                }
                Cut::broken(unanswered(error.error()))
            })?;
        *first_byte = Some(Instant::now());
        let (head, mut body) = response.into_parts();
        let wanted = |name: &str| {
            let own = ["set-cookie", "location", "content-encoding", "retry-after"];
            keep.headers || own.contains(&name)
        };
        let headers = head
            .headers
            .iter()
            .filter(|(name, _)| wanted(name.as_str()));
        let mut answer = HttpAnswer {
            status: head.status.as_u16(),
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect(),
            reusable: true,
            ..HttpAnswer::default()
        };
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Cut::broken(in_answer(&error)))?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            answer.bytes += data.len() as u64;
            if keep.body {
                if answer.body.len() + data.len() > super::wire::LONGEST_BODY {
                    return Err(Cut::broken(Broken::BodyTooLong));
                }
                answer.body.extend_from_slice(data);
            }
        }
        // The library takes RST_STREAM with NO_ERROR for the end of the answer, wherever it comes.
        match body.is_end_stream() {
            true => Ok(answer),
            false => Err(Cut::broken(Broken::StreamReset)),
        }
    }
}

/// Returns the reason of a request over HTTP/2 to which no answer began.
fn unanswered(error: &hyper::Error) -> Broken {
    match error
        .source()
        .and_then(<dyn Error>::downcast_ref::<h2::Error>)
    {
        // The library ends only the streams above the last one of a GOAWAY with it.
        Some(error) if error.is_go_away() && error.is_remote() => Broken::GoneAway,
        Some(error) if error.is_reset() && error.is_remote() => match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) => Broken::StreamRefused,
            _ => Broken::StreamReset,
        },
        Some(error) if !error.is_io() => Broken::ProtocolError,
        Some(error) if was_reset(error) => Broken::ResetBeforeAnswer,
        _ => Broken::ClosedBeforeAnswer,
    }
}

/// Returns the reason of an answer over HTTP/2 that did not become whole.
fn in_answer(error: &hyper::Error) -> Broken {
    match error
        .source()
        .and_then(<dyn Error>::downcast_ref::<h2::Error>)
    {
        Some(error) if error.is_reset() && error.is_remote() => Broken::StreamReset,
        Some(error) if !error.is_io() => Broken::ProtocolError,
        Some(error) if was_reset(error) => Broken::ResetInAnswer,
        _ => Broken::ClosedBeforeLength,
    }
}

fn was_reset(error: &h2::Error) -> bool {
    let io = error.get_io();
    io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionReset)
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A session that shares the connection with others closes nothing.
        if let Wire::Two { driver, .. } = &self.wire
            && Rc::strong_count(driver) > 1
        {
            return;
        }
        self.open.now.set(self.open.now.get().saturating_sub(1));
        self.open.closed.set(self.open.closed.get() + 1);
    }
}

async fn two(io: Io) -> Result<Wire, NotOpened> {
    let refused = |_| NotOpened {
        ending: Ending::Broken(Broken::ProtocolError),
        tls: None,
    };
    let tasks = Local::default();
    let (sender, driver) = http2::Builder::new(tasks.clone())
        .timer(TokioTimer::new())
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(1 << 21)
        .max_header_list_size(LONGEST_HEAD as u32)
        .handshake(TokioIo::new(io))
        .await
        .map_err(refused)?;
    let streams = Streams::of(driver, &tasks);
    let driver = spawn_local(Rc::clone(&streams).drive());
    Ok(Wire::Two {
        sender,
        streams,
        driver: Rc::new(AbortOnDropHandle::new(driver)),
    })
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, room),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, room),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
