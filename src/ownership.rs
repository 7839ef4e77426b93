//! Whose target it is: asks the name service, and the target itself for one small file. What the answers mean is decided
//! in `limits`.

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;
use tokio::time::timeout;

use crate::engine::once;
use crate::limits::{self, Proof, Reach};
use crate::scenario::Target;

const FILE: &str = "/.well-known/spikeproof.txt";
/// For each question; a resolver's own tries come before it is over.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks questions about one target.
pub struct Asker<'t> {
    target: &'t Target,
    reach: Reach,
    resolver: Result<TokioResolver, String>,
    addresses: Vec<IpAddr>,
}

impl<'t> Asker<'t> {
    /// Looks up the host's addresses. That there are none is no error here: the load will say so.
    pub async fn new(target: &'t Target, reach: Reach) -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        Self::with(target, reach, resolver.map_err(|error| error.to_string())).await
    }

    async fn with(target: &'t Target, reach: Reach, resolver: Result<TokioResolver, String>) -> Self {
        let mut asker = Self { target, reach, resolver, addresses: Vec::new() };
        asker.addresses = asker.resolve(&target.url.host).await;
        asker
    }

    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Every address of it is this machine's own, and reached as such.
    pub fn is_this_machine(&self) -> Option<Proof> {
        let own = self.reach.loopback && self.addresses.iter().all(|address| address.to_canonical().is_loopback());
        (own && !self.addresses.is_empty()).then_some(Proof::ThisMachine)
    }

    /// By the DNS names of the group's load balancers.
    pub async fn by_balancer(&self, balancers: &[String]) -> Option<Proof> {
        if let Some(proof) = Proof::by_name(&self.target.url.host, balancers) {
            return Some(proof);
        }
        for name in balancers {
            if let Some(proof) = Proof::by_addresses(&self.addresses, name, &self.resolve(name).await) {
                return Some(proof);
            }
        }
        None
    }

    /// By the record or the file that holds the account's mark; else what was found instead of each.
    pub async fn by_mark(&self, account: &str) -> Result<Proof, Vec<String>> {
        let mark = limits::mark(account);
        let mut found = Vec::new();
        if !is_address(&self.target.url.host) {
            match self.by_record(&mark).await {
                Ok(proof) => return Ok(proof),
                Err(why) => found.push(why),
            }
        }
        self.by_file(&mark).await.map_err(|why| {
            found.push(why);
            found
        })
    }

    async fn by_record(&self, mark: &str) -> Result<Proof, String> {
        let name = limits::record_name(&self.target.url.host);
        let resolver = self.resolver.as_ref().map_err(Clone::clone)?;
        // The dot of the root: a search domain of this machine's must not be asked.
        let found = timeout(PATIENCE, resolver.txt_lookup(format!("{name}.")))
            .await
            .map_err(|_| format!("{name}: no answer within {} s", PATIENCE.as_secs()))?
            .map_err(|error| format!("{name}: {error}"))?;
        let is_mark = |data: &RData| match data {
            RData::TXT(text) => text.txt_data.concat() == mark.as_bytes(),
            _ => false,
        };
        match found.answers().iter().any(|record| is_mark(&record.data)) {
            true => Ok(Proof::Record(name)),
            false => Err(format!("{name} holds another text")),
        }
    }

    async fn by_file(&self, mark: &str) -> Result<Proof, String> {
        let url = file_url(self.target);
        let addresses = limits::permitted(&self.addresses, self.reach)?;
        let found = once::get(self.target, &addresses, FILE).await.map_err(|why| format!("{url}: {why}"))?;
        match (found.status, found.body.trim() == mark) {
            (200, true) => Ok(Proof::File(url)),
            (200, false) => Err(format!("{url} holds another text")),
            (status, _) => Err(format!("{url}: status {status}")),
        }
    }

    async fn resolve(&self, host: &str) -> Vec<IpAddr> {
        let host = host.trim_matches(['[', ']']);
        if let Ok(address) = host.parse() {
            return vec![address];
        }
        let Ok(resolver) = &self.resolver else { return Vec::new() };
        match timeout(PATIENCE, resolver.lookup_ip(host)).await {
            Ok(Ok(found)) => found.iter().collect(),
            _ => Vec::new(),
        }
    }
}

/// Where the file is looked for.
fn file_url(target: &Target) -> String {
    let scheme = if target.url.https { "https" } else { "http" };
    format!("{scheme}://{}{FILE}", target.url.authority())
}

/// Every place where the mark is looked for. An address has no records.
pub fn places(target: &Target) -> Vec<String> {
    let record = format!("a TXT record {}", limits::record_name(&target.url.host));
    let mut places = vec![record, format!("the file {}", file_url(target))];
    if is_address(&target.url.host) {
        places.remove(0);
    }
    places
}

fn is_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}
