//! Whose target it is, and how that is known.
//!
//! Protects against typing errors and copied scenarios. It does not protect against somebody who
//! writes a load generator of their own.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ceiling::{UNPROVEN_DURATION, UNPROVEN_RATE};
use crate::units::duration;

/// The means by which a target was proven to be the caller's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OwnershipProof {
    /// Loopback, from generators on this machine or in the lab.
    ThisMachine,
    /// The host is the DNS name of the group's load balancer, read with the caller's own
    /// credentials.
    LoadBalancer(String),
    /// The host leads to the addresses of that load balancer, and to no other.
    AddressesOf(String),
    /// The name of the TXT record.
    Record(String),
    /// The URL of the file.
    File(String),
}

/// The proof of the target's owner, as the report states it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TargetAuthorization {
    /// The proof that the target is the user's; absent if there is none.
    pub proof: Option<OwnershipProof>,
    /// `--i-am-allowed`, with the target's own host.
    pub said_allowed: bool,
}

impl TargetAuthorization {
    /// Returns the proof in words, with the limits that hold without one.
    pub fn sentence(&self) -> String {
        let said = if self.said_allowed {
            ", said to be allowed (--i-am-allowed)"
        } else {
            ""
        };
        let proof = match &self.proof {
            Some(OwnershipProof::ThisMachine) => "this machine's own".to_owned(),
            Some(OwnershipProof::LoadBalancer(name)) => {
                format!("proven by the group's load balancer, {name}")
            }
            Some(OwnershipProof::AddressesOf(name)) => {
                format!("proven by the addresses of the group's load balancer, {name}")
            }
            Some(OwnershipProof::Record(name)) => format!("proven by the TXT record {name}"),
            Some(OwnershipProof::File(url)) => format!("proven by {url}"),
            None if self.said_allowed => "not proven".to_owned(),
            None => {
                format!(
                    "not proven, so within {UNPROVEN_RATE} requests/s for {}",
                    duration(UNPROVEN_DURATION)
                )
            }
        };
        proof + said
    }
}

/// Returns the text that the TXT record or the file must hold. It is a hash, because the account id
/// should not be readable by everybody.
pub fn ownership_token(account: &str) -> String {
    Sha256::digest(format!("spikeproof:{account}"))
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Returns the name of the TXT record that proves the ownership of a host.
pub fn record_name(host: &str) -> String {
    format!("_spikeproof.{}", bare(host))
}

/// True if both names are equal, apart from case and the dot of the root.
pub fn same_host(one: &str, other: &str) -> bool {
    bare(one).eq_ignore_ascii_case(bare(other))
}

fn bare(host: &str) -> &str {
    host.trim_matches(['[', ']']).trim_end_matches('.')
}

impl OwnershipProof {
    /// Proves the target by the names of the group's load balancers alone.
    pub fn by_name(host: &str, balancers: &[String]) -> Option<Self> {
        // `dualstack.` before it is the same load balancer, with its IPv6 addresses.
        let names_host = |name: &&String| {
            same_host(host, name)
                || bare(host)
                    .strip_prefix("dualstack.")
                    .is_some_and(|host| same_host(host, name))
        };
        balancers
            .iter()
            .find(names_host)
            .cloned()
            .map(Self::LoadBalancer)
    }

    /// Proves the target if all of the host's addresses are that load balancer's. If one is
    /// another's, load would go there too.
    pub fn by_addresses(host: &[IpAddr], name: &str, balancer: &[IpAddr]) -> Option<Self> {
        let same = !host.is_empty() && host.iter().all(|address| balancer.contains(address));
        same.then(|| Self::AddressesOf(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_the_hash_of_the_account() {
        // printf spikeproof:123456789012 | sha256sum
        assert_eq!(
            ownership_token("123456789012"),
            "6a9d6b54fd6da5f1db2c859839146b9424b42a482917123d31c266cd06b9c912"
        );
        assert_eq!(
            record_name("shop.example.com."),
            "_spikeproof.shop.example.com"
        );
    }

    #[test]
    fn a_host_is_the_load_balancer_s_by_name() {
        let balancers = ["web-1.eu-west-1.elb.amazonaws.com".to_owned()];
        for (host, proven) in [
            ("web-1.eu-west-1.elb.amazonaws.com", true),
            ("WEB-1.eu-west-1.elb.amazonaws.com.", true),
            ("dualstack.web-1.eu-west-1.elb.amazonaws.com", true),
            ("web-2.eu-west-1.elb.amazonaws.com", false),
            ("evil.web-1.eu-west-1.elb.amazonaws.com", false),
            ("", false),
        ] {
            assert_eq!(
                OwnershipProof::by_name(host, &balancers).is_some(),
                proven,
                "{host}"
            );
        }
    }

    #[test]
    fn a_host_is_the_load_balancer_s_by_its_addresses_only_if_all_of_them_are() {
        let ips = |last: &[u8]| {
            last.iter()
                .map(|last| IpAddr::from([192, 0, 2, *last]))
                .collect::<Vec<_>>()
        };
        for (host, balancer, proven) in [
            (ips(&[1, 2]), ips(&[2, 1]), true),
            (ips(&[1]), ips(&[1, 2]), true),
            (ips(&[1, 9]), ips(&[1, 2]), false),
            (ips(&[9]), ips(&[1]), false),
            (ips(&[]), ips(&[1]), false),
            (ips(&[]), ips(&[]), false),
        ] {
            assert_eq!(
                OwnershipProof::by_addresses(&host, "web", &balancer).is_some(),
                proven,
                "{host:?} {balancer:?}"
            );
        }
    }
}
