//! Plan: what will be done, by how many tasks, for how much; and whether it can be done at all.
//! Creates nothing.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::bounds::Bounds;
use super::permit::{self, Permit};
use super::{Context, FleetKind, RunError, Wanted};
use crate::aws::{Aws, Cloud};
use crate::cost::{self, Cost};
use crate::events::{Event, Phase};
use crate::evidence::timeline::GroupState;
use crate::plan::{Schedule, Sizing, size};
use crate::redact::{self, Secrets};
use crate::report::{terminal, words};
use crate::run::error::Kind;
use crate::scenario::{self, Files, Scenario, Surroundings, Tasks};
use crate::teardown::reap;
use crate::terraform::{self, Binary};
use crate::units::{self, RunId};
use crate::verdict::{Warning, preflight};
use crate::watch;

/// A run that can begin.
pub struct Planned {
    pub run: RunId,
    pub folder: PathBuf,
    pub begun: Timestamp,
    pub scenario: Scenario,
    /// What the tasks need to read the same scenario.
    pub surroundings: Surroundings,
    pub files: Files,
    /// Of every choice that sessions make: the scenario's, or this run's own.
    pub seed: u64,
    pub schedule: Schedule,
    pub sizing: Sizing,
    pub estimate: Cost,
    /// Where a Fargate fleet runs; a local one needs no AWS.
    pub cloud: Option<Cloud>,
    /// What makes and destroys things in the cloud.
    pub terraform: Option<Binary>,
    /// The target's group as it was before, and the AWS it is watched in.
    pub group: Option<GroupState>,
    pub watched_in: Option<Aws>,
    pub permit: Permit,
    pub bounds: Bounds,
    pub warnings: Vec<Warning>,
}

/// What `check` shows: the plan without anything that needs AWS.
pub struct Preview {
    pub scenario: Scenario,
    pub surroundings: Surroundings,
    pub files: Files,
    pub schedule: Schedule,
    pub sizing: Sizing,
    pub estimate: Cost,
}

/// Reads the scenario and computes the plan, touching nothing. The error is every problem of the
/// file, rendered.
pub fn preview(wanted: &Wanted, colour: bool) -> Result<Preview, RunError> {
    let secrets = secrets(wanted);
    // Before anything of the file is shown.
    redact::keep(&secrets);
    let surroundings = Surroundings {
        environment: wanted.environment.clone(),
        secrets,
        url: wanted.url.clone(),
    };
    let folder = std::path::Path::new(&wanted.scenario_file)
        .parent()
        .unwrap_or(std::path::Path::new(""));
    let open = |name: &str| std::fs::read(folder.join(name)).map_err(|error| error.to_string());
    let read = scenario::read(&wanted.scenario_text, &surroundings, &open).map_err(|problems| {
        RunError {
            phase: Phase::Plan,
            kind: Kind::ScenarioInvalid,
            what: scenario::render(
                &wanted.scenario_file,
                &wanted.scenario_text,
                &problems,
                colour,
            ),
            hints: Vec::new(),
        }
    })?;
    let mut scenario = read.scenario;
    if let Some(tasks) = wanted.tasks {
        scenario.fleet.tasks = Tasks::Exactly(tasks);
    }
    let schedule = Schedule::new(&scenario);
    let sizing = match (wanted.fleet, scenario.fleet.tasks) {
        (FleetKind::Local, Tasks::Auto) => Sizing {
            tasks: 1,
            needed: 1,
            why: "one process on this machine".to_owned(),
        },
        _ => size(&scenario),
    };
    let estimate = cost::estimate(
        scenario.fleet.size,
        scenario.fleet.arch,
        sizing.tasks,
        schedule.end(),
    );
    let surroundings = Surroundings {
        environment: read.used,
        secrets: read.secrets,
        url: wanted.url.clone(),
    };
    Ok(Preview {
        scenario,
        surroundings,
        files: read.files,
        schedule,
        sizing,
        estimate,
    })
}

/// The environment's values of the secrets that the text names.
fn secrets(wanted: &Wanted) -> Secrets {
    let mut secrets = Secrets::default();
    for name in scenario::secrets_named(&wanted.scenario_text) {
        if let Some(value) = wanted.environment.get(name) {
            secrets.insert(name, value);
        }
    }
    secrets
}

pub async fn plan(cx: &Context) -> Result<Planned, RunError> {
    #[cfg(debug_assertions)]
    super::mishap::meet(cx, Phase::Plan).await?;
    let wanted = &cx.wanted;
    let preview = preview(wanted, false)?;
    let asked = permit::asked(&preview, wanted);
    let rules = permit::rules(&wanted.organisation)?;
    rules.hold(&asked)?;
    let most = rules.bounds(wanted, &preview)?;
    let Preview {
        mut scenario,
        surroundings,
        files,
        schedule,
        sizing,
        estimate,
    } = preview;
    if wanted.image.is_some() {
        scenario.fleet.image.clone_from(&wanted.image);
    }
    let mut warnings = earlier(&wanted.runs_dir);
    let (cloud, terraform) = match wanted.fleet {
        FleetKind::Local => (None, None),
        FleetKind::Fargate => {
            let (cloud, terraform) = find_cloud(wanted).await?;
            (Some(cloud), Some(terraform))
        }
    };
    let reach = permit::reach(&scenario.target, cloud.as_ref())?;
    let mut watched_in = None;
    let mut group = None;
    let mut balancers = Vec::new();
    if let Some(subject) = &scenario.target.subject {
        watched_in = match &cloud {
            Some(cloud) => Some(cloud.aws.clone()),
            // Generators on this machine need no AWS: then the load alone is judged.
            None => match Cloud::find().await {
                Ok(cloud) => Some(cloud.aws),
                Err(why) => {
                    warnings.push(Warning::NotWatched {
                        subject: subject.to_string(),
                        why: why.to_string(),
                    });
                    None
                }
            },
        };
        if let Some(aws) = &watched_in {
            let failed = |error| RunError::could_not(Phase::Plan, error);
            let before = watch::survey(aws, subject).await.map_err(failed)?;
            warnings.extend(preflight::warnings(&scenario, &schedule, &before));
            if let Some(like) = &scenario.target.like {
                let other = watch::survey(aws, like).await.map_err(failed)?;
                warnings.extend(preflight::differences(&before, &other));
            }
            balancers = permit::balancers(&before);
            group = before.groups().next_back().map(|(_, group)| group.clone());
        }
    }
    if let Some((budget, cost)) = scenario
        .budget
        .zip(asked.cost)
        .filter(|(budget, cost)| cost > budget)
    {
        let what = match wanted.repeats.left {
            1 => format!("the run is estimated at {cost}, over its budget of {budget}"),
            runs => {
                format!("the {runs} runs are estimated at {cost}, over their budget of {budget}")
            }
        };
        return Err(RunError::could_not(Phase::Plan, what)
            .hint("a shorter hold, fewer tasks, or a larger `budget`"));
    }
    let account = cloud.as_ref().map(|cloud| cloud.caller.account.as_str());
    let standing =
        permit::standing(wanted, &scenario.target, reach, &asked, account, &balancers).await?;
    let begun = Timestamp::now();
    if let Some(cloud) = &cloud
        && let Some(ends) = cloud.aws.session_ends().await
        && let Some(warning) = too_short(begun, ends, planned_length(&schedule))
    {
        if !wanted.force {
            return Err(RunError::could_not(Phase::Plan, words::warning(&warning)).hint(
                "renew the session, ask for a longer one, or `--force`: what is then left needs `spikeproof reap`",
            ));
        }
        warnings.push(warning);
    }
    let run = RunId::new(u64::try_from(begun.as_second()).unwrap_or(0), chance());
    let folder = wanted.runs_dir.join(run.as_str());
    cx.events.say(Event::Planned {
        tasks: sizing.tasks,
        peak: terminal::peak(&scenario, &schedule),
        duration: schedule.end(),
        estimate: cloud.as_ref().map(|_| estimate.usd),
    });
    for warning in &warnings {
        cx.events.warn(words::warning(warning));
    }
    let seed = scenario
        .seed
        .unwrap_or_else(|| begun.as_nanosecond() as u64);
    Ok(Planned {
        run,
        folder,
        begun,
        scenario,
        surroundings,
        files,
        seed,
        schedule,
        sizing,
        estimate,
        cloud,
        terraform,
        group,
        watched_in,
        permit: Permit { reach, standing },
        bounds: Bounds::begin(most, &cx.interrupt),
        warnings,
    })
}

async fn find_cloud(wanted: &Wanted) -> Result<(Cloud, Binary), RunError> {
    let failed = |error: &dyn std::fmt::Display| RunError::could_not(Phase::Plan, error);
    let terraform =
        terraform::locate(wanted.terraform.as_deref(), |name| std::env::var_os(name)).await;
    let terraform = terraform.map_err(|error| failed(&error))?;
    let cloud = Cloud::find().await.map_err(|error| failed(&error))?;
    if let Some(why) = wrong_clock(cloud.caller.ahead) {
        return Err(RunError::could_not(Phase::Plan, why)
            .hint("set it by NTP, such as with `timedatectl set-ntp true`"));
    }
    Ok((cloud, terraform))
}

/// What earlier runs on this host may have left. Secrets that one of them left here go now.
fn earlier(runs_dir: &std::path::Path) -> Vec<Warning> {
    reap::remove_secrets_of_dead_runs(runs_dir);
    reap::unfinished(runs_dir)
        .into_iter()
        .map(|run| Warning::EarlierRun {
            things: run.things,
            remedy: run.reap,
        })
        .collect()
}

/// Provisioning, tasks that come up, collecting and destroying, beside the load itself: twice what
/// they usually take.
const AROUND_THE_LOAD: Duration = Duration::from_secs(15 * 60);

fn planned_length(schedule: &Schedule) -> Duration {
    schedule.latest_end() + AROUND_THE_LOAD
}

/// Credentials that end before the run does leave what it made behind: said before anything is
/// made.
fn too_short(begun: Timestamp, ends: Timestamp, length: Duration) -> Option<Warning> {
    let left = Duration::try_from(ends.duration_since(begun)).unwrap_or_default();
    (left < length).then(|| Warning::SessionTooShort {
        left_s: left.into(),
        needed_s: length.into(),
    })
}

/// Tasks start at an instant of our clock by theirs, which are AWS's: they would begin late, or not
/// join at all.
const SKEW: Duration = Duration::from_secs(5);

pub fn wrong_clock(ahead: SignedDuration) -> Option<String> {
    let (skew, side) = (
        ahead.unsigned_abs(),
        if ahead.is_negative() {
            "behind"
        } else {
            "ahead of"
        },
    );
    (skew > SKEW).then(|| {
        let skew = units::duration(Duration::from_secs(skew.as_secs()));
        format!("this machine's clock is {skew} {side} AWS's, and the tasks could not start at one instant with it")
    })
}

/// What two runs begun in the same second are unlikely to share.
fn chance() -> u32 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_ends_before_the_run_is_refused_with_both_times() {
        let begun = Timestamp::from_second(1_764_000_000).unwrap();
        let after = |seconds| begun.checked_add(Duration::from_secs(seconds)).unwrap();
        assert_eq!(
            too_short(begun, after(3_600), Duration::from_secs(1_800)),
            None
        );
        let why = too_short(begun, after(900), Duration::from_secs(1_800)).unwrap();
        assert_eq!(
            words::warning(&why),
            "the AWS session ends in 15m, and this run needs up to 30m with its teardown"
        );
        assert!(
            too_short(after(900), begun, Duration::from_secs(60)).is_some(),
            "it has ended already"
        );
    }

    #[test]
    fn a_clock_that_the_tasks_could_not_start_by_is_refused() {
        let said = |millis| wrong_clock(SignedDuration::from_millis(millis));
        assert_eq!((said(0), said(5_000), said(-5_000)), (None, None, None));
        let why = said(-12_400).unwrap();
        assert!(
            why.starts_with("this machine's clock is 12s behind AWS's"),
            "{why}"
        );
        assert!(
            said(400_000).unwrap().contains("6m40s ahead of AWS's"),
            "{:?}",
            said(400_000)
        );
    }
}
