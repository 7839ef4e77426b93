//! Target authorization: whether this load may be put on this target. Decided before anything is
//! created; the rules themselves are in `limits`.

use std::net::IpAddr;

use super::preview::Preview;
use super::{FleetKind, Repeats, RunError, ScenarioOptions, organisation};
use crate::aws::{Aws, Caller, Cloud};
use crate::events::Phase;
use crate::evidence::Timeline;
use crate::limits::{self, AddressPolicy, OwnershipToken, RequestedLoad, TargetAuthorization};
use crate::ownership::{self, Asker};
use crate::plan::forecast;
use crate::scenario::Target;
use crate::units::Usd;

/// The permitted addresses of the target, and the proof that it may be loaded.
#[derive(Debug, Clone)]
pub(super) struct Authorization {
    pub address_policy: AddressPolicy,
    pub standing: TargetAuthorization,
}

/// The request to load a target, with everything that is known about its owner.
pub(super) struct TargetClaim<'a> {
    pub options: &'a ScenarioOptions,
    pub target: &'a Target,
    pub address_policy: AddressPolicy,
    pub account: Option<&'a str>,
    /// The names of the load balancers in front of the group.
    pub balancers: &'a [String],
}

impl TargetClaim<'_> {
    /// Determines who owns the target. Above the ceiling for unverified targets, the owner must be
    /// proven or the host must be allowed by an option.
    pub(super) async fn authorize(
        &self,
        asked: &RequestedLoad,
    ) -> Result<TargetAuthorization, RunError> {
        let asker = Asker::new(self.target, self.address_policy).await;
        // Generators on this machine ask the same name service.
        if self.options.fleet == FleetKind::Local {
            let host = &self.target.url.host;
            limits::permitted(asker.addresses(), self.address_policy)
                .map_err(|error| refused(format!("{host}: {error}")).with_source(error))?;
        }
        let proof = match asker.is_this_machine() {
            Some(proof) => Some(proof),
            None => asker.by_balancer(self.balancers).await,
        };
        let standing = TargetAuthorization {
            proof,
            said_allowed: is_allowed(self.options, &self.target.url.host),
        };
        match limits::beyond_ceiling(asked) {
            Some(beyond) if standing == TargetAuthorization::default() => {
                self.prove_by_token(&asker, &beyond).await
            }
            _ => Ok(standing),
        }
    }

    /// The last way to a proof: the ownership token of the account, published by the target.
    async fn prove_by_token(
        &self,
        asker: &Asker<'_>,
        beyond: &str,
    ) -> Result<TargetAuthorization, RunError> {
        let account = match self.account {
            Some(account) => Some(account.to_owned()),
            None => Cloud::find().await.ok().map(|cloud| cloud.caller.account),
        };
        let found = match &account {
            None => "no AWS account is known here".to_owned(),
            Some(account) => match asker.by_mark(account).await {
                Err(found) => {
                    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                    found.join("; ")
                }
                Ok(proof) => {
                    return Ok(TargetAuthorization {
                        proof: Some(proof),
                        ..TargetAuthorization::default()
                    });
                }
            },
        };
        Err(unproven(
            self.options,
            self.target,
            &format!("{beyond} ({found})"),
            account.as_deref(),
        ))
    }
}

fn refused(what: impl std::fmt::Display) -> RunError {
    RunError::could_not(Phase::Plan, what)
}

fn is_allowed(options: &ScenarioOptions, host: &str) -> bool {
    let mut allowed = options.allowed_hosts.iter();
    allowed.any(|allowed| limits::same_host(allowed, host))
}

/// The load that the scenario requests, all its repetitions together.
pub(super) fn asked(
    preview: &Preview,
    options: &ScenarioOptions,
    repeats: Repeats,
) -> RequestedLoad {
    let Repeats { left, before } = repeats;
    let cost = Usd(preview.estimate.usd.0 * f64::from(left) + before.spent.0);
    RequestedLoad {
        host: preview.scenario.target.url.host.clone(),
        rate: forecast::most(&preview.scenario),
        duration: preview.schedule.end() * left,
        cost: (options.fleet == FleetKind::Fargate).then_some(cost),
        tasks: preview.sizing.tasks,
    }
}

/// The addresses that may receive load. An error if the URL itself names another address.
pub(super) fn address_policy(
    target: &Target,
    cloud: Option<&Cloud>,
) -> Result<AddressPolicy, RunError> {
    let address_policy = AddressPolicy {
        loopback: cloud.is_none_or(|cloud| cloud.aws.is_local()),
        private: target.private,
    };
    let host = target.url.host.trim_matches(['[', ']']);
    let Ok(address) = host.parse::<IpAddr>() else {
        return Ok(address_policy);
    };
    match limits::refusal(address, address_policy) {
        Some(refusal) => Err(refused(refusal.of(address))),
        None => Ok(address_policy),
    }
}

/// The names of the load balancers in front of the group.
pub(super) fn balancers(seen: &Timeline) -> Vec<String> {
    let groups = seen
        .surroundings()
        .map_or(&[][..], |surroundings| &surroundings.target_groups);
    // The lab's names have a port; a host has none.
    groups
        .iter()
        .flat_map(|group| &group.balancers)
        .filter_map(|balancer| balancer.dns.split(':').next())
        .map(str::to_owned)
        .collect()
}

/// Why `run` would refuse, as far as that is known without a request to anybody.
pub fn objections(options: &ScenarioOptions, preview: &Preview) -> Vec<String> {
    let asked = asked(preview, options, Repeats::default());
    let organisation =
        organisation::rules(&options.organisation).and_then(|rules| rules.check(&asked));
    // Loopback counts as permitted here: the tasks may run in the lab, and that is not known yet.
    let address = address_policy(&preview.scenario.target, None).map(drop);
    [organisation, address]
        .into_iter()
        .filter_map(Result::err)
        .map(|error| error.what)
        .collect()
}

/// Why `run` would require a proof, and how to give it.
pub fn proof_needed(options: &ScenarioOptions, preview: &Preview) -> Option<String> {
    let target = &preview.scenario.target;
    let host = target.url.host.trim_matches(['[', ']']);
    let is_loopback = |address: IpAddr| address.is_loopback();
    let is_this_machine = host == "localhost" || host.parse().is_ok_and(is_loopback);
    if is_this_machine || is_allowed(options, host) {
        return None;
    }
    let beyond = limits::beyond_ceiling(&asked(preview, options, Repeats::default()))?;
    let RunError { what, hints, .. } = unproven(options, target, &beyond, None);
    Some(format!(
        "{what}\n  prove it by {}",
        hints.join("\n  or by ")
    ))
}

/// Determines who owns the target, with every request that `run` would make.
pub async fn prove_ownership(
    options: &ScenarioOptions,
    preview: &Preview,
    aws: &Aws,
    caller: &Caller,
    seen: &Timeline,
) -> Result<TargetAuthorization, RunError> {
    let target = &preview.scenario.target;
    let address_policy = AddressPolicy {
        loopback: options.fleet == FleetKind::Local || aws.is_local(),
        private: target.private,
    };
    let claim = TargetClaim {
        options,
        target,
        address_policy,
        account: Some(&caller.account),
        balancers: &balancers(seen),
    };
    let asked = asked(preview, options, Repeats::default());
    claim.authorize(&asked).await
}

/// The refusal, with every way to a proof.
fn unproven(
    options: &ScenarioOptions,
    target: &Target,
    what: &str,
    account: Option<&str>,
) -> RunError {
    let host = &target.url.host;
    let given = match options.allowed_hosts.as_slice() {
        [] => String::new(),
        others => format!(" (it was given for {})", others.join(", ")),
    };
    refused(what)
        .hint("`target.group`, if the URL is the DNS name of that group's load balancer or leads to its addresses")
        .hint(token_hint(target, account))
        .hint(format!("`--i-am-allowed {host}`, if its owner has agreed: the report records it{given}"))
}

/// Where the ownership token is looked for, and its value.
fn token_hint(target: &Target, account: Option<&str>) -> String {
    let token = account.map_or(OwnershipToken::Computed, |account| {
        OwnershipToken::Known(limits::ownership_token(account))
    });
    format!(
        "{}, holding {}",
        ownership::places(target).join(" or "),
        token.words()
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn options(allowed: &[&str]) -> ScenarioOptions {
        ScenarioOptions {
            allowed_hosts: allowed.iter().map(|host| (*host).to_owned()).collect(),
            ..crate::run::example::options(Path::new("")).scenario
        }
    }

    fn target(host: &str) -> Target {
        let mut target = crate::scenario::example::scenario(vec![]).target;
        target.url = crate::scenario::url(&format!("http://{host}")).unwrap();
        target
    }

    #[tokio::test]
    async fn above_the_ceiling_a_target_is_proven_or_allowed_by_its_own_host() {
        // Addresses that nobody has (RFC 5737), and no account: nothing is asked of anybody.
        let ask = async |allowed: &[&str], rate: f64, balancers: &[&str]| {
            let host = "192.0.2.1".to_owned();
            let asked = RequestedLoad {
                host,
                rate,
                duration: std::time::Duration::from_mins(1),
                cost: None,
                tasks: 1,
            };
            let balancers: Vec<String> = balancers.iter().map(|name| (*name).to_owned()).collect();
            let claim = TargetClaim {
                options: &options(allowed),
                target: &target("192.0.2.1"),
                address_policy: AddressPolicy::default(),
                account: None,
                balancers: &balancers,
            };
            claim.authorize(&asked).await
        };
        let sentence =
            |standing: Result<TargetAuthorization, RunError>| standing.unwrap().sentence();
        assert_eq!(
            sentence(ask(&[], 50.0, &[]).await),
            "not proven, so within 50 requests/s for 5m"
        );
        let allowed = "not proven, said to be allowed (--i-am-allowed)";
        assert_eq!(sentence(ask(&["192.0.2.1"], 500.0, &[]).await), allowed);
        assert_eq!(
            sentence(ask(&["192.0.2.9", "192.0.2.1"], 500.0, &[]).await),
            allowed
        );
        assert_eq!(
            sentence(ask(&["192.0.2.1"], 500.0, &["192.0.2.1"]).await),
            "proven by the group's load balancer, 192.0.2.1, said to be allowed (--i-am-allowed)"
        );
    }

    #[test]
    fn what_would_prove_a_target_is_said_with_all_three_ways() {
        let error = unproven(
            &options(&["other"]),
            &target("shop.test"),
            "shop.test is not proven",
            Some("123456789012"),
        );
        let hints = [
            "`target.group`, if the URL is the DNS name of that group's load balancer or leads to its addresses",
            "a TXT record _spikeproof.shop.test or the file http://shop.test/.well-known/spikeproof.txt, holding 6a9d6b54fd6da5f1db2c859839146b9424b42a482917123d31c266cd06b9c912",
            "`--i-am-allowed shop.test`, if its owner has agreed: the report records it (it was given for other)",
        ];
        assert_eq!(error.hints, hints);
        let unknown = token_hint(&target("shop.test"), None);
        assert!(
            unknown.ends_with(", holding what `printf spikeproof:ACCOUNT_ID | sha256sum` prints"),
            "{unknown}"
        );
    }
}
