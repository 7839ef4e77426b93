//! The target's addresses, as a load balancer that scales needs it: asked again as soon as the records' own time to
//! live is over, in the background, and used in turn.
//!
//! Never on a request's path, but for the very first; an answer that fails keeps the addresses known so far.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use tokio::sync::Notify;
use tokio::time::sleep;

/// Records that say they are gone at once are asked for once a second.
const SOONEST: Duration = Duration::from_secs(1);
/// A record may live for days; a load balancer's lives for a minute.
const LATEST: Duration = Duration::from_secs(60);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(2);

/// One worker's view of the target's name.
#[derive(Debug)]
pub struct Addresses {
    host: String,
    port: u16,
    known: RefCell<Known>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Known {
    addresses: Vec<IpAddr>,
    next: usize,
    /// Why there are none.
    failure: Option<String>,
}

impl Addresses {
    /// `offset` keeps workers from all beginning with the same address.
    pub fn new(host: &str, port: u16, offset: usize) -> Self {
        let host = host.trim_matches(['[', ']']).to_owned();
        let literal = host.parse().ok().into_iter().collect();
        let known = Known { addresses: literal, next: offset, failure: None };
        Self { host, port, known: RefCell::new(known), news: Notify::new() }
    }

    /// Keeps them fresh; never returns, unless the host is an address itself.
    pub async fn refresh(&self) {
        if self.host.parse::<IpAddr>().is_ok() {
            return;
        }
        // Without a resolv.conf there is nobody to ask; asking a stranger would be worse.
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        let resolver = match resolver {
            Ok(resolver) => resolver,
            Err(error) => return self.failed(error.to_string()),
        };
        loop {
            let pause = match resolver.lookup_ip(self.host.as_str()).await {
                Ok(found) => {
                    let mut addresses: Vec<IpAddr> = found.iter().collect();
                    // Resolvers turn the records round; in turn is our own business.
                    addresses.sort_unstable();
                    let mut known = self.known.borrow_mut();
                    known.addresses = addresses;
                    known.failure = None;
                    found.valid_until().saturating_duration_since(Instant::now()).clamp(SOONEST, LATEST)
                }
                Err(error) => {
                    self.failed(error.to_string());
                    AGAIN
                }
            };
            self.news.notify_waiters();
            sleep(pause).await;
        }
    }

    fn failed(&self, why: String) {
        self.known.borrow_mut().failure = Some(why);
        self.news.notify_waiters();
    }

    /// All addresses, beginning with the one whose turn it is. Waits for the first answer only.
    pub async fn in_turn(&self, port: Option<u16>) -> Result<Vec<SocketAddr>, String> {
        loop {
            let news = self.news.notified();
            {
                let mut known = self.known.borrow_mut();
                if !known.addresses.is_empty() {
                    known.next = known.next.wrapping_add(1);
                    let mut turned = known.addresses.clone();
                    let first = known.next % turned.len();
                    turned.rotate_left(first);
                    return Ok(turned.into_iter().map(|ip| SocketAddr::new(ip, port.unwrap_or(self.port))).collect());
                }
                if let Some(why) = &known.failure {
                    return Err(why.clone());
                }
            }
            news.await;
        }
    }

    pub fn count(&self) -> usize {
        self.known.borrow().addresses.len().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_needs_no_resolver_and_a_name_s_addresses_take_turns() {
        let literal = Addresses::new("[::1]", 80, 0);
        literal.refresh().await;
        assert_eq!(literal.in_turn(None).await.unwrap(), ["[::1]:80".parse().unwrap()]);

        let named = Addresses::new("shop", 80, 0);
        named.known.borrow_mut().addresses = vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into(), [10, 0, 0, 3].into()];
        let mut first = Vec::new();
        for _ in 0..6 {
            first.push(named.in_turn(Some(8080)).await.unwrap()[0]);
        }
        let count = |ip: [u8; 4]| first.iter().filter(|address| **address == SocketAddr::new(ip.into(), 8080)).count();
        assert_eq!([count([10, 0, 0, 1]), count([10, 0, 0, 2]), count([10, 0, 0, 3])], [2, 2, 2]);
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_found_is_an_error_with_a_reason() {
        let named = Addresses::new("nowhere.invalid", 80, 0);
        named.failed("no such name".to_owned());
        assert_eq!(named.in_turn(None).await.unwrap_err(), "no such name");
    }
}
