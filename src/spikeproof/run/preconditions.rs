//! Preconditions: reasons not to begin a run that would be cut off or could not start.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::trial::IN_SERVICE;
use super::{Context, RunError, Trial};
use crate::aws::Cloud;
use crate::events::Phase;
use crate::plan::Schedule;
use crate::report::words;
use crate::scenario::Scenario;
use crate::units::{self, Usd};
use crate::verdict::{RunWarning, Warning};

/// Provisioning, starting the tasks, collecting and destroying, beside the load itself: twice what
/// they usually take.
const AROUND_THE_LOAD: Duration = Duration::from_mins(15);
/// Tasks start at an instant of this machine's clock by their own clocks, which are AWS's. With a
/// larger difference they would start late, or not join at all.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5);

/// The estimate for all repetitions must fit the scenario's budget.
pub(super) fn check_budget(
    scenario: &Scenario,
    cost: Option<Usd>,
    runs: u32,
) -> Result<(), RunError> {
    let (Some(budget), Some(cost)) = (scenario.budget, cost) else {
        return Ok(());
    };
    if cost <= budget {
        return Ok(());
    }
    let what = match runs {
        1 => format!("the run is estimated at {cost}, over its budget of {budget}"),
        runs => format!("the {runs} runs are estimated at {cost}, over their budget of {budget}"),
    };
    Err(RunError::could_not(Phase::Plan, what)
        .hint("a shorter hold, fewer tasks, or a larger `budget`"))
}

/// Credentials that end before the run does would leave resources behind. With `--force` that is
/// only a warning, but not where they are needed to put the user's group back. `recovery` is the
/// longest wait for the group.
pub(super) async fn check_session(
    cx: &Context,
    cloud: Option<&Cloud>,
    begun: Timestamp,
    schedule: &Schedule,
    recovery: Duration,
) -> Result<Vec<Warning>, RunError> {
    let Some(cloud) = cloud else {
        return Ok(Vec::new());
    };
    let Some(ends) = cloud.aws.session_ends().await else {
        return Ok(Vec::new());
    };
    let once = schedule.latest_end() + AROUND_THE_LOAD;
    let length = needed(&cx.trial, once, recovery);
    match session_too_short(begun, ends, length) {
        None => Ok(Vec::new()),
        Some(warning) => {
            accepted(warning, &cx.trial, cx.options.force).map(|warning| vec![warning])
        }
    }
}

/// Returns how long the credentials must last. A trial needs them until the group is put back, so
/// its longest waits count; the first run of two counts for both.
fn needed(trial: &Trial, once: Duration, recovery: Duration) -> Duration {
    match trial {
        Trial::None => once,
        Trial::Announced { .. } => 2 * (once + recovery) + IN_SERVICE,
        Trial::Of { .. } => once + recovery + IN_SERVICE,
    }
}

/// Returns the warning of a run that goes on with a session that is too short, or refuses the run.
fn accepted(warning: Warning, trial: &Trial, force: bool) -> Result<Warning, RunError> {
    let remedy = match (trial, force) {
        (Trial::None, true) => return Ok(warning),
        (Trial::None, false) => {
            "renew the session, ask for a longer one, or `--force`: what is then left needs `spikeproof reap`"
        }
        (Trial::Announced { .. } | Trial::Of { .. }, _) => {
            "renew the session or ask for a longer one: the guard has the same credentials, so without them nothing puts the \
             group back, and `--force` does not change that"
        }
    };
    Err(RunError::could_not(Phase::Plan, words::warning(&warning)).hint(remedy))
}

fn session_too_short(begun: Timestamp, ends: Timestamp, length: Duration) -> Option<Warning> {
    let left = Duration::try_from(ends.duration_since(begun)).unwrap_or_default();
    (left < length).then(|| {
        RunWarning::SessionTooShort {
            left_s: left.into(),
            needed_s: length.into(),
        }
        .into()
    })
}

/// Why the tasks could not start at one instant, given by how much this machine's clock is ahead.
pub fn wrong_clock(ahead: SignedDuration) -> Option<String> {
    let skew = ahead.unsigned_abs();
    let side = match ahead.is_negative() {
        true => "behind",
        false => "ahead of",
    };
    (skew > MAX_CLOCK_SKEW).then(|| {
        let skew = units::duration(Duration::from_secs(skew.as_secs()));
        format!("this machine's clock is {skew} {side} AWS's, and the tasks could not start at one instant with it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{TrialPlan, example};

    #[test]
    fn a_session_that_ends_before_the_run_is_refused_with_both_times() {
        let begun = Timestamp::from_second(1_764_000_000).unwrap();
        let after = |seconds| begun.checked_add(Duration::from_secs(seconds)).unwrap();
        assert_eq!(
            session_too_short(begun, after(3_600), Duration::from_mins(30)),
            None
        );
        let why = session_too_short(begun, after(900), Duration::from_mins(30)).unwrap();
        assert_eq!(
            words::warning(&why),
            "the AWS session ends in 15m, and this run needs up to 30m with its teardown"
        );
        assert!(
            session_too_short(after(900), begun, Duration::from_mins(1)).is_some(),
            "it has ended already"
        );
    }

    #[test]
    fn a_trial_counts_its_longest_waits_and_is_refused_in_spite_of_force() {
        let announced = || Trial::Announced {
            group: "web".to_owned(),
        };
        let of = || Trial::Of {
            group: "web".to_owned(),
            plan: Box::new(TrialPlan::of(&example::report()).unwrap()),
            found: Box::default(),
        };
        let (once, recovery) = (Duration::from_mins(30), Duration::from_mins(20));
        for (trial, minutes) in [(Trial::None, 30), (announced(), 110), (of(), 60)] {
            let expected = Duration::from_mins(minutes);
            assert_eq!(needed(&trial, once, recovery), expected, "{trial:?}");
        }
        let begun = Timestamp::UNIX_EPOCH;
        let warning = || session_too_short(begun, begun, once).unwrap();
        for trial in [announced(), of()] {
            let refused = accepted(warning(), &trial, true).unwrap_err();
            assert!(refused.hints[0].contains("`--force` does not change"));
        }
        assert!(accepted(warning(), &Trial::None, false).is_err());
        assert_eq!(accepted(warning(), &Trial::None, true).unwrap(), warning());
    }

    #[test]
    fn a_clock_that_the_tasks_could_not_start_by_is_refused() {
        let refusal = |millis| wrong_clock(SignedDuration::from_millis(millis));
        assert_eq!(
            (refusal(0), refusal(5_000), refusal(-5_000)),
            (None, None, None)
        );
        let why = refusal(-12_400).unwrap();
        assert!(
            why.starts_with("this machine's clock is 12s behind AWS's"),
            "{why}"
        );
        assert!(
            refusal(400_000).unwrap().contains("6m40s ahead of AWS's"),
            "{:?}",
            refusal(400_000)
        );
    }
}
