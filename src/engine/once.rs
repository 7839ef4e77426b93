//! One plain GET, as a generator of the scenario would make it: the same addresses, the same TLS.
//! For a look at the target before there is load.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::tls::{self, Security, TlsError};
use model::measure::TlsFailure;
use model::scenario::{Http, Target};

/// A server that answers so small a question later than this is not asked again.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes of a body: a longer one cannot be the file.
const LONGEST: usize = 4 * 1024;

/// An answer; redirects are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainResponse {
    /// The HTTP status code.
    pub status: u16,
    /// The body as text; bytes that are no UTF-8 are replaced.
    pub body: String,
}

/// Why a target did not answer one plain GET.
#[derive(Debug, thiserror::Error)]
pub enum PlainRequestError {
    /// The list of addresses is empty.
    #[error("it has no address")]
    NoAddress,
    /// The last address did not answer within this time.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// No TCP connection to the last address.
    #[error("{0}")]
    Connect(#[source] std::io::Error),
    /// TLS cannot be set up as the scenario asks.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The TLS handshake failed, for example over the certificate.
    #[error("{}", handshake(.0))]
    Handshake(#[source] std::io::Error),
    /// The host or the path does not fit an HTTP request.
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
    /// The connection failed before the head of the answer was complete, or it was no HTTP.
    #[error("{0}")]
    Exchange(#[from] hyper::Error),
    /// The body broke off, or is longer than 4 KiB.
    #[error("{0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn handshake(error: &std::io::Error) -> String {
    match tls::failure(error) {
        TlsFailure::SelfSigned => {
            "the server's certificate is signed by itself: `tls.ca` or `tls.insecure`".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Asks the first of these addresses that answers: they have been judged already. `path` counts
/// from the host's root.
pub async fn get(
    target: &Target,
    addresses: &[IpAddr],
    path: &str,
) -> Result<PlainResponse, PlainRequestError> {
    let mut why = PlainRequestError::NoAddress;
    for address in addresses {
        match timeout(
            PATIENCE,
            ask(target, SocketAddr::new(*address, target.url.port), path),
        )
        .await
        {
            Ok(Ok(answered)) => return Ok(answered),
            Ok(Err(error)) => why = error,
            Err(_) => why = PlainRequestError::Silent(PATIENCE),
        }
    }
    Err(why)
}

async fn ask(
    target: &Target,
    address: SocketAddr,
    path: &str,
) -> Result<PlainResponse, PlainRequestError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(PlainRequestError::Connect)?;
    if !target.url.https {
        return exchange(stream, target, path).await;
    }
    let security = Security::new(&Target {
        http: Http::One,
        ..target.clone()
    })?;
    let stream = security
        .of_a_session()
        .connect(security.name(), stream)
        .await
        .map_err(PlainRequestError::Handshake)?;
    exchange(stream, target, path).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: &Target,
    path: &str,
) -> Result<PlainResponse, PlainRequestError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = Request::get(path)
        .header("host", target.url.authority())
        .header(
            "user-agent",
            concat!("spikeproof/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), LONGEST)
        .collect()
        .await
        .map_err(PlainRequestError::Body)?;
    Ok(PlainResponse {
        status,
        body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
    })
}
