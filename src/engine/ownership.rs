//! Finds out who owns the target: asks the name service, and the target itself for one small file.
//! The answers are interpreted in `limits`.

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RData;
use tokio::time::timeout;

use crate::once::{self, PlainRequestError};
use model::limits::{self, AddressError, AddressPolicy, OwnershipProof};
use model::scenario::Target;

const FILE: &str = "/.well-known/spikeproof.txt";
/// Limit for each question; longer than a resolver's own tries.
const PATIENCE: Duration = Duration::from_secs(10);

/// The reason why ownership was not proven.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// This machine's resolver settings cannot be used, so no record was looked up.
    #[error("{0}")]
    NoResolver(#[source] NetError),
    /// The name service did not answer within 10 s.
    #[error("{name}: no answer within {} s", PATIENCE.as_secs())]
    Silent {
        /// Name of the TXT record.
        name: String,
    },
    /// The name service failed, or has no such record.
    #[error("{name}: {source}")]
    Lookup {
        /// Name of the TXT record.
        name: String,
        /// The resolver's reason.
        source: NetError,
    },
    /// The record or file is there, without the account's mark.
    #[error("{place} holds another text")]
    OtherText {
        /// Name of the record, or URL of the file.
        place: String,
    },
    /// No request was made: an address of the host may not get load.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The target did not answer the request for the file.
    #[error("{url}: {source}")]
    Request {
        /// URL of the file.
        url: String,
        /// The reason why there is no answer.
        source: PlainRequestError,
    },
    /// The target answered with a status other than 200.
    #[error("{url}: status {status}")]
    Status {
        /// URL of the file.
        url: String,
        /// The HTTP status code.
        status: u16,
    },
}

/// Why a target gave no answer to one GET.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The host's name has no address, or no name server answered.
    #[error("its name has no address")]
    NoAddress,
    /// An address that load may not reach.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The request failed on every address.
    #[error(transparent)]
    Request(#[from] PlainRequestError),
}

/// Asks questions about one target.
pub struct Asker<'t> {
    target: &'t Target,
    address_policy: AddressPolicy,
    resolver: Result<TokioResolver, NetError>,
    addresses: Vec<IpAddr>,
}

impl<'t> Asker<'t> {
    /// Looks up the host's addresses. That there are none is no error here: the load will say so.
    pub async fn new(target: &'t Target, address_policy: AddressPolicy) -> Self {
        let resolver =
            TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build);
        Self::with(target, address_policy, resolver).await
    }

    async fn with(
        target: &'t Target,
        address_policy: AddressPolicy,
        resolver: Result<TokioResolver, NetError>,
    ) -> Self {
        let mut asker = Self {
            target,
            address_policy,
            resolver,
            addresses: Vec::new(),
        };
        asker.addresses = asker.resolve(&target.url.host).await;
        asker
    }

    /// Returns the host's addresses when the asker was made; empty if the name has none.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Proves ownership if every address is this machine's own, and reached as such.
    pub fn is_this_machine(&self) -> Option<OwnershipProof> {
        let own = self.address_policy.loopback
            && self
                .addresses
                .iter()
                .all(|address| address.to_canonical().is_loopback());
        (own && !self.addresses.is_empty()).then_some(OwnershipProof::ThisMachine)
    }

    /// Proves ownership by the DNS names of the group's load balancers.
    pub async fn by_balancer(&self, balancers: &[String]) -> Option<OwnershipProof> {
        if let Some(proof) = OwnershipProof::by_name(&self.target.url.host, balancers) {
            return Some(proof);
        }
        for name in balancers {
            if let Some(proof) =
                OwnershipProof::by_addresses(&self.addresses, name, &self.resolve(name).await)
            {
                return Some(proof);
            }
        }
        None
    }

    /// Proves ownership by the record or the file that holds the account's mark; else returns the
    /// reason for each.
    pub async fn by_mark(&self, account: &str) -> Result<OwnershipProof, Vec<OwnershipError>> {
        let mark = limits::ownership_token(account);
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

    async fn by_record(&self, mark: &str) -> Result<OwnershipProof, OwnershipError> {
        let name = limits::record_name(&self.target.url.host);
        let resolver = self
            .resolver
            .as_ref()
            .map_err(|error| OwnershipError::NoResolver(error.clone()))?;
        // The dot of the root: a search domain of this machine's must not be asked.
        let found = match timeout(PATIENCE, resolver.txt_lookup(format!("{name}."))).await {
            Ok(Ok(found)) => found,
            Ok(Err(source)) => return Err(OwnershipError::Lookup { name, source }),
            Err(_) => return Err(OwnershipError::Silent { name }),
        };
        let is_mark = |data: &RData| match data {
            RData::TXT(text) => text.txt_data.concat() == mark.as_bytes(),
            _ => false,
        };
        match found.answers().iter().any(|record| is_mark(&record.data)) {
            true => Ok(OwnershipProof::Record(name)),
            false => Err(OwnershipError::OtherText { place: name }),
        }
    }

    async fn by_file(&self, mark: &str) -> Result<OwnershipProof, OwnershipError> {
        let url = file_url(self.target);
        let addresses = limits::permitted(&self.addresses, self.address_policy)?;
        let found = match once::get(self.target, &addresses, FILE).await {
            Ok(found) => found,
            Err(source) => return Err(OwnershipError::Request { url, source }),
        };
        match (found.status, found.body.trim() == mark) {
            (200, true) => Ok(OwnershipProof::File(url)),
            (200, false) => Err(OwnershipError::OtherText { place: url }),
            (status, _) => Err(OwnershipError::Status { url, status }),
        }
    }

    /// Sends one GET to the target's URL, and returns the status of its answer.
    pub async fn probe(&self) -> Result<u16, ProbeError> {
        if self.addresses.is_empty() {
            return Err(ProbeError::NoAddress);
        }
        let addresses = limits::permitted(&self.addresses, self.address_policy)?;
        let path = match self.target.url.path.as_str() {
            "" => "/",
            path => path,
        };
        Ok(once::get(self.target, &addresses, path).await?.status)
    }

    async fn resolve(&self, host: &str) -> Vec<IpAddr> {
        let host = host.trim_matches(['[', ']']);
        if let Ok(address) = host.parse() {
            return vec![address];
        }
        let Ok(resolver) = &self.resolver else {
            return Vec::new();
        };
        match timeout(PATIENCE, resolver.lookup_ip(host)).await {
            Ok(Ok(found)) => found.iter().collect(),
            _ => Vec::new(),
        }
    }
}

/// Returns the URL of the file that proves ownership.
fn file_url(target: &Target) -> String {
    let scheme = if target.url.https { "https" } else { "http" };
    format!("{scheme}://{}{FILE}", target.url.authority())
}

/// Returns every place where the mark is looked for. An address has no records.
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

#[cfg(test)]
mod tests {
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
    use hickory_resolver::proto::rr::rdata::{A, TXT};
    use hickory_resolver::proto::rr::{Record, RecordType};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, UdpSocket};
    use tokio::task::JoinSet;

    use super::*;
    use model::scenario::example;

    const ACCOUNT: &str = "123456789012";
    const LOCAL: AddressPolicy = AddressPolicy {
        loopback: true,
        private: false,
    };

    /// Returns a name service for a test: addresses by name, and one text for every `_spikeproof`
    /// record.
    async fn names(
        addresses: &'static [(&'static str, [u8; 4])],
        text: Option<String>,
        owner: &mut JoinSet<()>,
    ) -> TokioResolver {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        owner.spawn(async move {
            let mut buffer = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let Ok(question) = Message::from_vec(&buffer[..length]) else {
                    continue;
                };
                let query = question.queries[0].clone();
                let mut answer = Message::response(question.metadata.id, OpCode::Query);
                let name = query.name().to_string();
                answer.add_query(query.clone());
                let mut say = |data| {
                    _ = answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
                };
                match (query.query_type(), &text) {
                    (RecordType::TXT, Some(text)) if name.starts_with("_spikeproof.") => {
                        // The text comes in two parts, as a long one may.
                        let (one, two) = text.split_at(20);
                        say(RData::TXT(TXT::new(vec![one.to_owned(), two.to_owned()])));
                    }
                    (RecordType::A, _) => {
                        let own = addresses.iter().filter(|(known, _)| *known == name);
                        own.for_each(|(_, address)| say(RData::A(A((*address).into()))));
                    }
                    _ => {}
                }
                if answer.answers.is_empty() {
                    answer.metadata.response_code = ResponseCode::NXDomain;
                }
                drop(socket.send_to(&answer.to_vec().unwrap(), from).await);
            }
        });
        let mut connection = ConnectionConfig::udp();
        connection.port = port;
        let server = NameServerConfig::new([127, 0, 0, 1].into(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, vec![], vec![server]);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .build()
            .unwrap()
    }

    /// Serves one text at the well-known path, and 404 elsewhere.
    async fn site(text: &'static str, owner: &mut JoinSet<()>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        owner.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 1_024];
                let length = stream.read(&mut head).await.unwrap_or_default();
                let asked = String::from_utf8_lossy(&head[..length])
                    .starts_with(&format!("GET {FILE} HTTP/1.1\r\n"));
                let (status, body) = if asked {
                    ("200 OK", text)
                } else {
                    ("404 Not Found", "")
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        port
    }

    /// Calls `by_mark`, with the errors as their texts.
    async fn by_mark(asker: &Asker<'_>, account: &str) -> Result<OwnershipProof, Vec<String>> {
        let proof = asker.by_mark(account).await;
        proof.map_err(|found| found.iter().map(ToString::to_string).collect())
    }

    fn target(host: &str, port: u16, path: &str) -> Target {
        let mut target = example::scenario(vec![]).target;
        target.url = model::scenario::url(&format!("http://{host}:{port}{path}")).unwrap();
        target
    }

    #[tokio::test]
    async fn a_record_with_the_account_s_mark_proves_a_target_and_any_other_does_not() {
        let mut owner = JoinSet::new();
        let target = target("shop.test", 1, "");
        let mark = limits::ownership_token(ACCOUNT);
        let resolver = names(&[("shop.test.", [127, 0, 0, 1])], Some(mark), &mut owner).await;
        let asker = Asker::with(&target, LOCAL, Ok(resolver)).await;
        assert_eq!(
            by_mark(&asker, ACCOUNT).await,
            Ok(OwnershipProof::Record("_spikeproof.shop.test".to_owned()))
        );
        let found = by_mark(&asker, "999999999999").await.unwrap_err();
        assert_eq!(found[0], "_spikeproof.shop.test holds another text");
        assert!(
            found[1].starts_with("http://shop.test:1/.well-known/spikeproof.txt: "),
            "{found:?}"
        );

        let resolver = names(&[("shop.test.", [127, 0, 0, 1])], None, &mut owner).await;
        let asker = Asker::with(&target, LOCAL, Ok(resolver)).await;
        assert!(
            by_mark(&asker, ACCOUNT).await.unwrap_err()[0].starts_with("_spikeproof.shop.test: ")
        );
    }

    #[tokio::test]
    async fn a_file_with_the_account_s_mark_proves_a_target_if_it_may_be_asked_for_it() {
        // printf spikeproof:123456789012 | sha256sum
        const MARK: &str = "6a9d6b54fd6da5f1db2c859839146b9424b42a482917123d31c266cd06b9c912\n";
        let mut owner = JoinSet::new();
        let port = site(MARK, &mut owner).await;
        let unknown = || Err(NetError::from("not asked"));
        // The file is the host's, wherever the scenario's paths begin.
        let target = target("127.0.0.1", port, "/api");
        let url = format!("http://127.0.0.1:{port}{FILE}");
        let asker = Asker::with(&target, LOCAL, unknown()).await;
        assert_eq!(
            by_mark(&asker, ACCOUNT).await,
            Ok(OwnershipProof::File(url.clone()))
        );
        assert_eq!(
            by_mark(&asker, "999999999999").await,
            Err(vec![format!("{url} holds another text")])
        );
        // A target that no load may reach is not asked for a file either.
        let asker = Asker::with(&target, AddressPolicy::default(), unknown()).await;
        assert!(
            by_mark(&asker, ACCOUNT).await.unwrap_err()[0].contains("no load goes to 127.0.0.1")
        );
    }

    #[tokio::test]
    async fn a_name_that_leads_to_the_load_balancer_s_addresses_is_the_group_s() {
        const NAMES: &[(&str, [u8; 4])] = &[
            ("shop.test.", [192, 0, 2, 1]),
            ("web.elb.test.", [192, 0, 2, 1]),
            ("web.elb.test.", [192, 0, 2, 2]),
            ("mixed.test.", [192, 0, 2, 1]),
            ("mixed.test.", [192, 0, 2, 9]),
        ];
        let mut owner = JoinSet::new();
        let web = "web.elb.test".to_owned();
        for (host, proof) in [
            (
                "web.elb.test",
                Some(OwnershipProof::LoadBalancer(web.clone())),
            ),
            ("shop.test", Some(OwnershipProof::AddressesOf(web.clone()))),
            ("mixed.test", None),
            ("nowhere.test", None),
        ] {
            let target = target(host, 80, "");
            let resolver = names(NAMES, None, &mut owner).await;
            let asker = Asker::with(&target, AddressPolicy::default(), Ok(resolver)).await;
            assert_eq!(
                asker.by_balancer(std::slice::from_ref(&web)).await,
                proof,
                "{host}"
            );
            assert_eq!(asker.by_balancer(&[]).await, None, "{host}");
        }
    }

    #[tokio::test]
    async fn only_what_is_all_loopback_and_may_be_is_this_machine() {
        const NAMES: &[(&str, [u8; 4])] = &[
            ("here.test.", [127, 0, 0, 1]),
            ("mixed.test.", [127, 0, 0, 1]),
            ("mixed.test.", [192, 0, 2, 9]),
        ];
        let mut owner = JoinSet::new();
        for (host, address_policy, own) in [
            ("127.0.0.1", LOCAL, true),
            ("[::1]", LOCAL, true),
            ("here.test", LOCAL, true),
            ("mixed.test", LOCAL, false),
            ("nowhere.test", LOCAL, false),
            ("192.0.2.1", LOCAL, false),
            ("127.0.0.1", AddressPolicy::default(), false),
        ] {
            let target = target(host, 80, "");
            let resolver = names(NAMES, None, &mut owner).await;
            let asker = Asker::with(&target, address_policy, Ok(resolver)).await;
            assert_eq!(
                asker.is_this_machine().is_some(),
                own,
                "{host} {address_policy:?}"
            );
        }
    }

    #[test]
    fn an_address_has_no_record() {
        assert_eq!(
            places(&target("[::1]", 8080, "")),
            ["the file http://[::1]:8080/.well-known/spikeproof.txt"]
        );
        assert_eq!(
            places(&target("shop.test", 80, "/api")),
            [
                "a TXT record _spikeproof.shop.test",
                "the file http://shop.test/.well-known/spikeproof.txt"
            ]
        );
    }
}
