//! Plan: what the run will do, with how many tasks, at what cost, and whether it may and can do it.
//! Creates nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::authorization::{self, Authorization, TargetClaim};
use super::preconditions::{check_budget, check_session, wrong_clock};
use super::preview::{Preview, preview};
use super::probe::probe;
use super::trial::{NotTried, Prepared};
use super::{Context, FleetKind, RunError, RunOptions, beside, organisation, recover, trial};
use crate::aws::{Aws, AwsError, Cloud};
use crate::cost::TaskCost;
use crate::events::{Event, Phase};
use crate::evidence::timeline::GroupState;
use crate::limits;
use crate::plan::{Schedule, Sizing};
use crate::report::{terminal, words};
use crate::scenario::{FileContents, Scenario, Subject, Substitutions};
use crate::terraform::{self, Binary};
use crate::units::RunId;
use crate::verdict::{RunWarning, Warning, preflight};
use crate::watch;

/// Everything that is settled before the run creates anything. No phase changes it.
pub(super) struct RunPlan {
    pub run: RunId,
    pub folder: PathBuf,
    pub begun: Timestamp,
    pub scenario: Scenario,
    /// Sent to the tasks, so that they read the same scenario.
    pub surroundings: Substitutions,
    pub files: FileContents,
    /// Those of them whose rows are divided among the tasks.
    pub divisible: BTreeSet<String>,
    /// Determines every random choice of the sessions: the scenario's seed, or one of this run.
    pub seed: u64,
    pub schedule: Schedule,
    pub sizing: Sizing,
    pub estimate: TaskCost,
    /// Where a Fargate fleet runs. A local fleet has neither cloud nor terraform.
    pub cloud: Option<Cloud>,
    pub terraform: Option<Binary>,
    /// The target's group before the run, and the AWS in which it is watched.
    pub group: Option<GroupState>,
    pub watched_in: Option<Aws>,
    pub authorization: Authorization,
    pub limits: limits::RunLimits,
    /// The settings of the group that this run changes for a time, or that the next one will.
    pub trial: Prepared,
    pub warnings: Vec<Warning>,
}

pub(super) async fn plan(cx: &Context) -> Result<RunPlan, RunError> {
    #[cfg(debug_assertions)]
    super::failpoint::trigger(cx, Phase::Plan).await?;
    let options = &cx.options;
    let mut preview = preview(&options.scenario, false)?;
    let asked = authorization::asked(&preview, &options.scenario, cx.repeats);
    let limits = organisation::limits(cx, &preview, &asked)?;
    if options.image.is_some() {
        preview.scenario.fleet.image.clone_from(&options.image);
    }
    let (cloud, terraform) = find_cloud(options).await?.unzip();
    options.roles.check(cloud.as_ref()).await?;
    let address_policy = authorization::address_policy(&preview.scenario.target, cloud.as_ref())?;
    let survey = survey_target(&preview, cloud.as_ref()).await?;
    check_budget(&preview.scenario, asked.cost, cx.repeats.left)?;
    let claim = TargetClaim {
        options: &options.scenario,
        target: &preview.scenario.target,
        address_policy,
        account: cloud.as_ref().map(|cloud| cloud.caller.account.as_str()),
        balancers: &survey.balancers,
    };
    let standing = claim.authorize(&asked).await?;
    let trial = trial::plan(cx, &preview.scenario, cloud.as_ref()).await?;
    // A local fleet costs nothing, and its first requests tell as much.
    if options.probe && cloud.is_some() {
        let target = &preview.scenario.target;
        let found = probe(target, address_policy, cloud.is_some()).await?;
        if let Some(note) = found.note(target) {
            cx.events.note(note);
        }
    }
    let target = beside::target(&preview.scenario, survey.watched_in.as_ref());
    let others = beside::look(cx, target.as_ref(), survey.watched_in.as_ref(), None).await;
    trial::alone(&cx.trial, cloud.as_ref(), &others, None)
        .await
        .map_err(NotTried::error)?;
    let beside = beside::warnings(cx, target.as_ref(), &others);
    let begun = Timestamp::now();
    let schedule = &preview.schedule;
    let session = check_session(cx, cloud.as_ref(), begun, schedule, survey.recovery).await?;
    let run = RunId::new(u64::try_from(begun.as_second()).unwrap_or(0), random_u32());
    let plan = RunPlan {
        folder: options.runs_dir.join(run.as_str()),
        run,
        begun,
        seed: seed(&preview.scenario, begun),
        scenario: preview.scenario,
        surroundings: preview.surroundings,
        files: preview.files,
        divisible: preview.divisible,
        schedule: preview.schedule,
        sizing: preview.sizing,
        estimate: preview.estimate,
        cloud,
        terraform,
        group: survey.group,
        watched_in: survey.watched_in,
        authorization: Authorization {
            address_policy,
            standing,
        },
        limits,
        trial,
        warnings: [cx.earlier_runs.clone(), beside, survey.warnings, session].concat(),
    };
    announce(cx, &plan);
    Ok(plan)
}

fn announce(cx: &Context, plan: &RunPlan) {
    cx.events.say(Event::Planned {
        tasks: plan.sizing.tasks,
        peak: terminal::peak(&plan.scenario, &plan.schedule),
        duration: plan.schedule.end(),
        estimate: plan.cloud.as_ref().map(|_| plan.estimate.usd),
    });
    for warning in &plan.warnings {
        cx.events.warn(words::warning(warning));
    }
}

/// The account and the terraform that create a Fargate fleet.
async fn find_cloud(options: &RunOptions) -> Result<Option<(Cloud, Binary)>, RunError> {
    if options.scenario.fleet == FleetKind::Local {
        return Ok(None);
    }
    let terraform =
        terraform::locate(options.terraform.as_deref(), |name| std::env::var_os(name)).await;
    let terraform = terraform.map_err(|error| RunError::caused_by(Phase::Plan, error))?;
    let cloud = Cloud::find().await;
    let cloud = cloud.map_err(|error| RunError::caused_by(Phase::Plan, error))?;
    match wrong_clock(cloud.caller.ahead) {
        None => Ok(Some((cloud, terraform))),
        Some(why) => Err(RunError::could_not(Phase::Plan, why)
            .hint("set it by NTP, such as with `timedatectl set-ntp true`")),
    }
}

/// The target's group before the run. Empty if nothing is watched.
#[derive(Default)]
struct TargetSurvey {
    group: Option<GroupState>,
    /// The longest wait for it after the load.
    recovery: Duration,
    watched_in: Option<Aws>,
    balancers: Vec<String>,
    warnings: Vec<Warning>,
}

async fn survey_target(preview: &Preview, cloud: Option<&Cloud>) -> Result<TargetSurvey, RunError> {
    let Preview {
        scenario, schedule, ..
    } = preview;
    let Some(subject) = &scenario.target.subject else {
        return Ok(TargetSurvey::default());
    };
    let aws = match cloud {
        Some(cloud) => cloud.aws.clone(),
        // Generators on this machine need no AWS: then the load alone is judged.
        None => match Cloud::find().await {
            Ok(cloud) => cloud.aws,
            Err(why) if scenario.scaling.is_asked => return Err(cannot_judge(subject, why)),
            Err(why) => return Ok(TargetSurvey::unwatched(subject, &why)),
        },
    };
    let survey = async |subject| {
        let survey = watch::survey(&aws, subject).await;
        survey.map_err(|error| RunError::caused_by(Phase::Plan, error))
    };
    let before = survey(subject).await?;
    let mut warnings = preflight::warnings(scenario, schedule, &before);
    if let Some(like) = &scenario.target.like {
        warnings.extend(preflight::differences(&before, &survey(like).await?));
    }
    let group = before.groups().next_back().map(|(_, group)| group.clone());
    Ok(TargetSurvey {
        group,
        recovery: recover::longest_wait(scenario, &before),
        balancers: authorization::balancers(&before),
        warnings,
        watched_in: Some(aws),
    })
}

/// Refuses a run whose `scaling` could not be judged: a verdict without it would say too much.
fn cannot_judge(subject: &Subject, why: AwsError) -> RunError {
    let what = format!("`scaling` is to be judged, but {subject} cannot be watched: {why}");
    RunError::could_not(Phase::Plan, what)
        .with_source(why)
        .hint("credentials and region for the account of the group")
        .hint("leave `scaling` out: then only the load is judged, and the report says so")
}

impl TargetSurvey {
    fn unwatched(subject: &Subject, why: &impl std::fmt::Display) -> Self {
        let warning = RunWarning::NotWatched {
            subject: subject.to_string(),
            why: why.to_string(),
        };
        Self {
            warnings: vec![warning.into()],
            ..Self::default()
        }
    }
}

fn seed(scenario: &Scenario, begun: Timestamp) -> u64 {
    scenario
        .seed
        .unwrap_or_else(|| begun.as_nanosecond() as u64)
}

/// Distinguishes runs that begin in the same second.
fn random_u32() -> u32 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish() as u32
}
