//! Resolves the target's addresses in the way that a scaling load balancer needs. The name is asked
//! again in the background as soon as the records' time to live is over; the addresses are used in
//! turn.
//!
//! Each address is judged at each new connection, so load goes only to permitted ones, even if the
//! name changes.
//!
//! Never on a request's path, but for the very first; an answer that fails keeps the addresses
//! known so far.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use tokio::sync::Notify;
use tokio::time::sleep;

use model::limits::{self, AddressError, AddressPolicy};
use model::measure::Ending;

/// Records that say they are gone at once are asked for once a second.
const SOONEST: Duration = Duration::from_secs(1);
/// A record may live for days; a load balancer's lives for a minute.
const LATEST: Duration = Duration::from_mins(1);
/// Time to the next look-up after a failed one.
const AGAIN: Duration = Duration::from_secs(2);

/// One worker's view of the target's name.
#[derive(Debug)]
pub struct Addresses {
    host: String,
    port: u16,
    address_policy: AddressPolicy,
    known: RefCell<KnownAddresses>,
    news: Notify,
}

/// Why load has no address to go to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TargetAddressError {
    #[error(transparent)]
    Lookup(#[from] NetError),
    #[error(transparent)]
    Refused(#[from] AddressError),
}

impl TargetAddressError {
    /// Returns the class of a request that had no address.
    pub(crate) fn ending(&self) -> Ending {
        match self {
            Self::Lookup(_) => Ending::Unresolved,
            Self::Refused(_) => Ending::Connect,
        }
    }
}

#[derive(Debug, Default)]
struct KnownAddresses {
    addresses: Vec<IpAddr>,
    next: usize,
    /// Why there are none.
    failure: Option<NetError>,
}

impl Addresses {
    /// Makes the view of a worker; `offset` keeps workers from all beginning with the same address.
    pub fn new(host: &str, port: u16, address_policy: AddressPolicy, offset: usize) -> Self {
        let host = host.trim_matches(['[', ']']).to_owned();
        let literal = host.parse().ok().into_iter().collect();
        let known = KnownAddresses {
            addresses: literal,
            next: offset,
            failure: None,
        };
        Self {
            host,
            port,
            address_policy,
            known: RefCell::new(known),
            news: Notify::new(),
        }
    }

    /// Keeps them fresh; never returns, unless the host is an address itself.
    pub async fn refresh(&self) {
        if self.host.parse::<IpAddr>().is_ok() {
            return;
        }
        // Without a resolv.conf there is no resolver to ask; asking an unknown one would be worse.
        let resolver =
            TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build);
        let resolver = match resolver {
            Ok(resolver) => resolver,
            Err(error) => return self.failed(error),
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
                    found
                        .valid_until()
                        .saturating_duration_since(Instant::now())
                        .clamp(SOONEST, LATEST)
                }
                Err(error) => {
                    self.failed(error);
                    AGAIN
                }
            };
            self.news.notify_waiters();
            sleep(pause).await;
        }
    }

    fn failed(&self, why: NetError) {
        self.known.borrow_mut().failure = Some(why);
        self.news.notify_waiters();
    }

    /// Returns all addresses that may get load, beginning with the one whose turn it is. Waits for
    /// the first answer only.
    pub async fn in_turn(&self, port: Option<u16>) -> Result<Vec<SocketAddr>, TargetAddressError> {
        loop {
            let news = self.news.notified();
            {
                let mut known = self.known.borrow_mut();
                if !known.addresses.is_empty() {
                    known.next = known.next.wrapping_add(1);
                    let mut turned = limits::permitted(&known.addresses, self.address_policy)?;
                    let first = known.next % turned.len();
                    turned.rotate_left(first);
                    return Ok(turned
                        .into_iter()
                        .map(|ip| SocketAddr::new(ip, port.unwrap_or(self.port)))
                        .collect());
                }
                if let Some(why) = &known.failure {
                    return Err(why.clone().into());
                }
            }
            news.await;
        }
    }

    pub fn count(&self) -> usize {
        limits::permitted(&self.known.borrow().addresses, self.address_policy)
            .map_or(1, |addresses| addresses.len().max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: AddressPolicy = AddressPolicy {
        loopback: true,
        private: false,
    };
    const PRIVATE: AddressPolicy = AddressPolicy {
        loopback: false,
        private: true,
    };

    #[tokio::test]
    async fn an_address_needs_no_resolver_and_a_name_s_addresses_take_turns() {
        let literal = Addresses::new("[::1]", 80, LOOPBACK, 0);
        literal.refresh().await;
        assert_eq!(
            literal.in_turn(None).await.unwrap(),
            ["[::1]:80".parse().unwrap()]
        );

        let named = Addresses::new("shop", 80, PRIVATE, 0);
        named.known.borrow_mut().addresses = vec![
            [10, 0, 0, 1].into(),
            [10, 0, 0, 2].into(),
            [10, 0, 0, 3].into(),
        ];
        let mut first = Vec::new();
        for _ in 0..6 {
            first.push(named.in_turn(Some(8080)).await.unwrap()[0]);
        }
        let count = |ip: [u8; 4]| {
            first
                .iter()
                .filter(|address| **address == SocketAddr::new(ip.into(), 8080))
                .count()
        };
        assert_eq!(
            [
                count([10, 0, 0, 1]),
                count([10, 0, 0, 2]),
                count([10, 0, 0, 3])
            ],
            [2, 2, 2]
        );
    }

    #[tokio::test]
    async fn an_address_that_a_name_gets_later_is_judged_like_the_first() {
        let named = Addresses::new("shop", 80, AddressPolicy::default(), 0);
        let (public, metadata) = (
            IpAddr::from([192, 0, 2, 1]),
            IpAddr::from([169, 254, 169, 254]),
        );
        named.known.borrow_mut().addresses = vec![public];
        assert_eq!(
            named.in_turn(None).await.unwrap(),
            [SocketAddr::new(public, 80)]
        );
        // Both: only the one that may get load is used, at every turn.
        named.known.borrow_mut().addresses = vec![metadata, public];
        for _ in 0..4 {
            assert_eq!(
                named.in_turn(None).await.unwrap(),
                [SocketAddr::new(public, 80)]
            );
        }
        named.known.borrow_mut().addresses = vec![metadata];
        let why = named.in_turn(None).await.unwrap_err().to_string();
        assert!(
            why.starts_with("no load goes to 169.254.169.254: "),
            "{why}"
        );

        let literal = Addresses::new("10.0.0.5", 80, LOOPBACK, 0);
        assert!(
            literal
                .in_turn(None)
                .await
                .unwrap_err()
                .to_string()
                .contains("`target.private: true`")
        );
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_found_is_an_error_with_a_reason() {
        let named = Addresses::new("nowhere.invalid", 80, PRIVATE, 0);
        named.failed("no such name".into());
        let why = named.in_turn(None).await.unwrap_err();
        assert_eq!(why.to_string(), "no such name");
    }
}
