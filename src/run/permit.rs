//! Whether this load may be put on this target. Asked before anything is made; what the answers
//! mean is decided in `limits`.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::plan::Preview;
use super::{FleetKind, Repeats, RunError, Wanted};
use crate::aws::{Aws, Caller, Cloud};
use crate::events::Phase;
use crate::evidence::Timeline;
use crate::limits::{self, Asked, Bounds, Mark, Organisation, Reach, Standing};
use crate::ownership::{self, Asker};
use crate::plan::forecast;
use crate::scenario::Target;
use crate::units::Usd;

/// Where an organisation's file is looked for.
#[derive(Debug, Clone)]
pub struct OrganisationFile {
    /// Whoever may write there decides: if it exists, no variable stands in for it.
    pub fixed: PathBuf,
    /// `SPIKEPROOF_ORGANISATION`
    pub named: Option<PathBuf>,
}

impl Default for OrganisationFile {
    fn default() -> Self {
        Self {
            fixed: PathBuf::from("/etc/spikeproof/organisation.yaml"),
            named: None,
        }
    }
}

/// An organisation's limits, and the file they are in.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub limits: Organisation,
    file: String,
}

/// What a run may do to its target.
#[derive(Debug, Clone)]
pub struct Permit {
    pub reach: Reach,
    pub standing: Standing,
}

fn refused(what: impl std::fmt::Display) -> RunError {
    RunError::could_not(Phase::Plan, what)
}

/// Reads the file. One that cannot be read is an error: it may limit what would follow.
pub fn rules(file: &OrganisationFile) -> Result<Rules, RunError> {
    let read = |path: &Path| {
        let said = |error: &dyn std::fmt::Display| refused(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| said(&error))?;
        let limits = Organisation::parse(&text).map_err(|error| said(&error))?;
        Ok(Rules {
            limits,
            file: path.display().to_string(),
        })
    };
    match (std::fs::metadata(&file.fixed), &file.named) {
        (Err(error), None) if error.kind() == ErrorKind::NotFound => Ok(Rules::default()),
        (Err(error), Some(named)) if error.kind() == ErrorKind::NotFound => read(named),
        _ => read(&file.fixed),
    }
}

impl Rules {
    pub fn hold(&self, asked: &Asked) -> Result<(), RunError> {
        match self.limits.broken_by(asked).as_slice() {
            [] => Ok(()),
            broken => Err(refused(format!(
                "{} does not permit this run: {}",
                self.file,
                broken.join("; ")
            ))),
        }
    }

    /// What may be used while it runs.
    pub fn bounds(&self, wanted: &Wanted, preview: &Preview) -> Result<Bounds, RunError> {
        let purse = self.limits.purse(preview.scenario.budget);
        let bounds = Bounds {
            max_duration: wanted.max_duration,
            purse,
            before: wanted.repeats.before,
        };
        match bounds.too_short_for(preview.schedule.end() * wanted.repeats.left) {
            Some(why) => Err(refused(why).hint("a shorter hold, or a larger --max-duration")),
            None => Ok(bounds),
        }
    }
}

/// What the scenario asks for, all its repetitions together.
pub fn asked(preview: &Preview, wanted: &Wanted) -> Asked {
    let Repeats { left, before } = wanted.repeats;
    Asked {
        host: preview.scenario.target.url.host.clone(),
        rate: forecast::most(&preview.scenario),
        duration: preview.schedule.end() * left,
        cost: (wanted.fleet == FleetKind::Fargate).then_some(Usd(preview.estimate.usd.0
            * f64::from(left)
            + before.spent.0)),
        tasks: preview.sizing.tasks,
    }
}

/// Where load may go; an error if the URL itself names a place where it may not.
pub fn reach(target: &Target, cloud: Option<&Cloud>) -> Result<Reach, RunError> {
    let loopback = cloud.is_none_or(|cloud| cloud.aws.is_local());
    let reach = Reach {
        loopback,
        private: target.private,
    };
    let literal = target
        .url
        .host
        .trim_matches(['[', ']'])
        .parse::<IpAddr>()
        .ok();
    match literal.and_then(|address| Some(limits::refusal(address, reach)?.of(address))) {
        Some(why) => Err(refused(why)),
        None => Ok(reach),
    }
}

/// The names of the load balancers in front of the group.
pub fn balancers(seen: &Timeline) -> Vec<String> {
    let groups = seen
        .surroundings()
        .map_or(&[][..], |surroundings| &surroundings.target_groups);
    // The lab's name has a port; a host has none.
    let name = |dns: &str| dns.split(':').next().unwrap_or_default().to_owned();
    groups
        .iter()
        .flat_map(|group| &group.balancers)
        .map(|balancer| name(&balancer.dns))
        .collect()
}

/// Whose target it is. Above the ceiling for targets that are nobody's proven own, that must be
/// known.
pub async fn standing(
    wanted: &Wanted,
    target: &Target,
    reach: Reach,
    asked: &Asked,
    account: Option<&str>,
    balancers: &[String],
) -> Result<Standing, RunError> {
    let asker = Asker::new(target, reach).await;
    // Generators on this machine ask the same name service.
    if wanted.fleet == FleetKind::Local {
        limits::permitted(asker.addresses(), reach)
            .map_err(|why| refused(format!("{}: {why}", target.url.host)))?;
    }
    let own = asker.is_this_machine();
    let proof = if own.is_some() {
        own
    } else {
        asker.by_balancer(balancers).await
    };
    let said_allowed = wanted
        .allowed
        .iter()
        .any(|host| limits::same_host(host, &target.url.host));
    let standing = Standing {
        proof,
        said_allowed,
    };
    let Some(beyond) = limits::beyond_ceiling(asked).filter(|_| standing == Standing::default())
    else {
        return Ok(standing);
    };
    let account = match account {
        Some(account) => Some(account.to_owned()),
        None => Cloud::find().await.ok().map(|cloud| cloud.caller.account),
    };
    let found = match &account {
        Some(account) => match asker.by_mark(account).await {
            Ok(proof) => {
                return Ok(Standing {
                    proof: Some(proof),
                    ..standing
                });
            }
            Err(found) => found.join("; "),
        },
        None => "no AWS account is known here".to_owned(),
    };
    Err(unproven(
        wanted,
        target,
        &format!("{beyond} ({found})"),
        account.as_deref(),
    ))
}

/// What `run` would refuse, as far as that is known without asking anybody.
pub fn objections(wanted: &Wanted, preview: &Preview) -> Vec<String> {
    let (asked, target) = (asked(preview, wanted), &preview.scenario.target);
    // Whether it is the lab that a task would run in is not known here: there loopback is
    // permitted.
    let held = rules(&wanted.organisation).and_then(|rules| rules.hold(&asked));
    let reached = reach(target, None).map(drop);
    [held, reached]
        .into_iter()
        .filter_map(Result::err)
        .map(|error| error.what)
        .collect()
}

/// What `run` would want a proof for, and how to give it.
pub fn to_prove(wanted: &Wanted, preview: &Preview) -> Option<String> {
    let (asked, target) = (asked(preview, wanted), &preview.scenario.target);
    let host = target.url.host.trim_matches(['[', ']']);
    let here = host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    let said = wanted
        .allowed
        .iter()
        .any(|given| limits::same_host(given, host));
    let beyond = limits::beyond_ceiling(&asked).filter(|_| !here && !said)?;
    let RunError { what, hints, .. } = unproven(wanted, target, &beyond, None);
    Some(format!(
        "{what}\n  prove it by {}",
        hints.join("\n  or by ")
    ))
}

/// Whose target it is, by all that can be asked.
pub async fn prove(
    wanted: &Wanted,
    preview: &Preview,
    aws: &Aws,
    caller: &Caller,
    seen: &Timeline,
) -> Result<Standing, RunError> {
    let target = &preview.scenario.target;
    let reach = Reach {
        loopback: wanted.fleet == FleetKind::Local || aws.is_local(),
        private: target.private,
    };
    let asked = asked(preview, wanted);
    standing(
        wanted,
        target,
        reach,
        &asked,
        Some(&caller.account),
        &balancers(seen),
    )
    .await
}

/// With all the ways out.
fn unproven(wanted: &Wanted, target: &Target, what: &str, account: Option<&str>) -> RunError {
    let host = &target.url.host;
    let given = match wanted.allowed.as_slice() {
        [] => String::new(),
        others => format!(" (it was given for {})", others.join(", ")),
    };
    refused(what)
        .hint("`target.group`, if the URL is the DNS name of that group's load balancer or leads to its addresses")
        .hint(mark_words(target, account))
        .hint(format!("`--i-am-allowed {host}`, if its owner has agreed: the report records it{given}"))
}

/// Where the mark is looked for, and what it must be.
fn mark_words(target: &Target, account: Option<&str>) -> String {
    let mark = account.map_or(Mark::Computed, |account| Mark::Known(limits::mark(account)));
    format!(
        "{}, holding {}",
        ownership::places(target).join(" or "),
        mark.words()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_file_wins_over_the_named_one_and_none_limits_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, tasks: Option<u32>| {
            let path = folder.path().join(name);
            if let Some(tasks) = tasks {
                std::fs::write(&path, format!("max_tasks: {tasks}\n")).unwrap();
            }
            path
        };
        let tasks = |fixed: PathBuf, named: Option<PathBuf>| {
            rules(&OrganisationFile { fixed, named })
                .map(|rules| rules.limits.max_tasks)
                .map_err(|error| error.what)
        };
        let (fixed, named, missing) = (
            file("fixed", Some(1)),
            file("named", Some(2)),
            file("missing", None),
        );
        assert_eq!(tasks(fixed.clone(), None), Ok(Some(1)));
        assert_eq!(tasks(fixed, Some(named.clone())), Ok(Some(1)));
        assert_eq!(tasks(missing.clone(), Some(named)), Ok(Some(2)));
        assert_eq!(tasks(missing.clone(), None), Ok(None));
        // A file that was named and is not there limits nothing, and whoever named it believes that
        // it does.
        assert!(
            tasks(missing.clone(), Some(missing.clone()))
                .unwrap_err()
                .contains("missing: No such file")
        );
        // A folder in its place cannot be read: no limit is known, so nothing is permitted.
        assert!(tasks(folder.path().to_owned(), None).is_err());
    }

    fn wanted(allowed: &[&str]) -> Wanted {
        let allowed = allowed.iter().map(|host| (*host).to_owned()).collect();
        Wanted {
            allowed,
            ..crate::run::frame::example::wanted(Path::new(""))
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
            let asked = Asked {
                host,
                rate,
                duration: std::time::Duration::from_secs(60),
                cost: None,
                tasks: 1,
            };
            let balancers: Vec<String> = balancers.iter().map(|name| (*name).to_owned()).collect();
            let (wanted, target) = (wanted(allowed), target("192.0.2.1"));
            standing(&wanted, &target, Reach::default(), &asked, None, &balancers).await
        };
        let said = |standing: Result<Standing, RunError>| standing.unwrap().sentence();
        assert_eq!(
            said(ask(&[], 50.0, &[]).await),
            "not proven, so within 50 requests/s for 5m"
        );
        let allowed = "not proven, said to be allowed (--i-am-allowed)";
        assert_eq!(said(ask(&["192.0.2.1"], 500.0, &[]).await), allowed);
        assert_eq!(
            said(ask(&["192.0.2.9", "192.0.2.1"], 500.0, &[]).await),
            allowed
        );
        assert_eq!(
            said(ask(&["192.0.2.1"], 500.0, &["192.0.2.1"]).await),
            "proven by the group's load balancer, 192.0.2.1, said to be allowed (--i-am-allowed)"
        );
    }

    #[test]
    fn what_would_prove_a_target_is_said_with_all_three_ways() {
        let error = unproven(
            &wanted(&["other"]),
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
        let unknown = mark_words(&target("shop.test"), None);
        assert!(
            unknown.ends_with(", holding what `printf spikeproof:ACCOUNT_ID | sha256sum` prints"),
            "{unknown}"
        );
    }
}
