//! Where requests go: addresses and TLS, resolved and built once per worker.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::scenario::Url;

/// A load balancer that scales changes its addresses; its records live for a minute. Asking ten times as often is
/// cheap, for only new connections ask.
const ADDRESSES_AGE: Duration = Duration::from_secs(6);

/// One worker's view of the target.
pub struct Target {
    pub url: Url,
    pub tls: Option<(TlsConnector, ServerName<'static>)>,
    addresses: RefCell<Addresses>,
}

#[derive(Default)]
struct Addresses {
    known: Vec<SocketAddr>,
    asked: Option<Instant>,
    next: usize,
}

impl Target {
    pub fn new(url: &Url, tls: Option<&TlsConnector>) -> Result<Self, String> {
        let tls = match (url.https, tls) {
            (true, Some(tls)) => {
                let name = ServerName::try_from(url.host.clone()).map_err(|error| format!("{}: {error}", url.host))?;
                Some((tls.clone(), name))
            }
            _ => None,
        };
        Ok(Self { url: url.clone(), tls, addresses: RefCell::default() })
    }

    /// The next address, round robin over all that the name has.
    pub async fn address(&self) -> std::io::Result<SocketAddr> {
        if let Ok(ip) = self.url.host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(SocketAddr::new(ip, self.url.port));
        }
        let fresh = self.addresses.borrow().asked.is_some_and(|asked| asked.elapsed() < ADDRESSES_AGE);
        if !fresh {
            let looked_up = tokio::net::lookup_host((self.url.host.as_str(), self.url.port)).await;
            let mut addresses = self.addresses.borrow_mut();
            match looked_up {
                Ok(known) => addresses.known = known.collect(),
                // The addresses known so far are better than none.
                Err(error) if addresses.known.is_empty() => return Err(error),
                Err(_) => {}
            }
            addresses.asked = Some(Instant::now());
        }
        let mut addresses = self.addresses.borrow_mut();
        addresses.next = addresses.next.wrapping_add(1);
        let index = addresses.next.checked_rem(addresses.known.len());
        let found = index.and_then(|index| addresses.known.get(index)).copied();
        found.ok_or_else(|| std::io::Error::other("the name has no address"))
    }
}

/// TLS as a new visitor would do it. Built once per generator: reading the system's roots takes a while.
pub fn tls() -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err("this system has no trusted root certificates (set SSL_CERT_FILE)".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Sessions are different people: resumed handshakes would spare the target what a real spike costs it.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}
