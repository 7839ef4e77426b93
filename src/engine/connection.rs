//! One keep-alive connection, and the driver that owns its socket.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio_util::task::AbortOnDropHandle;

use super::target::Target;

/// Dropping it closes the socket.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Requests answered on it.
    pub used: u64,
    _driver: AbortOnDropHandle<()>,
}

/// No answer came. The request is here if nothing of it was sent.
pub struct Unsent(pub Option<Box<Request<Full<Bytes>>>>);

impl Connection {
    /// Connects, and shakes hands where the target asks for TLS.
    pub async fn open(target: &Target) -> Result<Self, String> {
        let address = target.address().await.map_err(|error| error.to_string())?;
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        match &target.tls {
            None => Self::over(stream).await,
            Some((tls, name)) => {
                let stream = tls.connect(name.clone(), stream).await.map_err(|error| error.to_string())?;
                Self::over(stream).await
            }
        }
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Result<Self, String> {
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let driver = spawn_local(async move {
            // How it ended is seen by the request under way, if there is one.
            let _ = driver.await;
        });
        Ok(Self { sender, used: 0, _driver: AbortOnDropHandle::new(driver) })
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unsent> {
        if self.sender.ready().await.is_err() {
            return Err(Unsent(Some(Box::new(request))));
        }
        self.sender.try_send_request(request).await.map_err(|mut error| Unsent(error.take_message().map(Box::new)))
    }

    /// Whether another request may be tried on it.
    pub fn reusable(&self) -> bool {
        !self.sender.is_closed()
    }
}
