//! The frame of both proxies: a server on a free port of this machine, and connections to one other.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A server; it ends when this is dropped.
pub(crate) struct Server {
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// Ends what it accepts when it is dropped.
    _accepting: JoinSet<()>,
}

impl Server {
    /// Serves on a free port; the function answers each request, of which it has the whole body.
    pub(crate) async fn start<S, F>(answer: S) -> Self
    where
        S: Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Bytes>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream.set_nodelay(true));
                let answer = answer.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = answer.clone();
                    async move {
                        let (head, body) = request.into_parts();
                        let Ok(body) = body.collect().await else {
                            return Ok(empty(StatusCode::BAD_REQUEST).map(Full::new));
                        };
                        let answer = answer(Request::from_parts(head, body.to_bytes())).await;
                        Ok::<_, Infallible>(answer.map(Full::new))
                    }
                });
                connections.spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self {
            url,
            _accepting: accepting,
        }
    }
}

/// Idle connections to the server behind a proxy.
#[derive(Clone)]
pub(crate) struct Upstream {
    address: SocketAddr,
    idle: Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>,
    /// The connections at work; they end with the last user of this.
    open: Arc<Mutex<JoinSet<hyper::Result<()>>>>,
}

impl Upstream {
    /// Creates a pool for the server of a URL such as `http://127.0.0.1:8080`.
    pub(crate) fn new(url: &str) -> Self {
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        Self {
            address: address.parse().unwrap(),
            idle: Arc::default(),
            open: Arc::default(),
        }
    }

    /// Sends a request on; 502 if that fails. Headers of the connection itself are left out.
    pub(crate) async fn forward(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (mut head, body) = request.into_parts();
        leave_out_connection(&mut head.headers);
        let request = Request::from_parts(head, Full::new(body));
        self.send(request)
            .await
            .unwrap_or_else(|_| empty(StatusCode::BAD_GATEWAY))
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
        let mut connection = self.connection().await?;
        let answer = connection.send_request(request).await?;
        let (mut head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        self.idle.lock().unwrap().push(connection);
        leave_out_connection(&mut head.headers);
        Ok(Response::from_parts(head, body))
    }

    async fn connection(
        &self,
    ) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
        loop {
            let Some(mut idle) = self.idle.lock().unwrap().pop() else {
                break;
            };
            if idle.ready().await.is_ok() {
                return Ok(idle);
            }
        }
        let stream = TcpStream::connect(self.address).await?;
        drop(stream.set_nodelay(true));
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        self.open.lock().unwrap().spawn(connection);
        Ok(sender)
    }
}

/// Removes the headers that belong to one connection, or to the length of a body that may change.
fn leave_out_connection(headers: &mut HeaderMap) {
    for name in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

/// Returns an answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    answer
}
