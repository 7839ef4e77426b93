//! Launches that AWS could not carry out.

use std::collections::BTreeSet;

use super::seen::Seen;
use super::{Clue, Hypothesis, Observed, Standing, Suspect};
use crate::instances;
use crate::timeline::Activity;
use crate::vocabulary::ActivityStatus;

/// Returns true if a launch of the run failed.
pub(super) fn is_any_failed(observed: &Observed<'_>) -> bool {
    failed(observed).next().is_some()
}

/// Returns the failed and cancelled launches of the run.
fn failed<'a>(observed: &'a Observed<'_>) -> impl Iterator<Item = &'a Activity> {
    let since = observed.times.started;
    let activities = observed.timeline.activities().into_iter();
    activities.filter(move |one| {
        let is_told = one
            .message
            .as_ref()
            .is_some_and(|message| !message.is_empty());
        // A launch that nobody wants any more is cancelled without a reason.
        let ended = one.status == ActivityStatus::Failed
            || (one.status == ActivityStatus::Cancelled && is_told);
        one.start >= since && one.launches() && ended
    })
}

/// Returns the hypothesis if launches failed. It holds while the group had fewer instances than it
/// wanted, and a limit was missed.
pub(super) fn test(seen: &Seen<'_>) -> Option<Hypothesis> {
    let observed = seen.of;
    let failed: Vec<&Activity> = failed(observed).collect();
    let first = failed.iter().map(|one| one.start).min()?;
    let since = observed.times.started;
    let launches = observed
        .timeline
        .activities()
        .into_iter()
        .filter(|one| one.start >= since && one.launches())
        .count();
    let messages: BTreeSet<String> = failed
        .iter()
        .filter_map(|one| one.message.clone())
        .filter(|message| !message.is_empty())
        .collect();
    let clue = Clue::LaunchesFailed {
        failed: failed.len() as u32,
        of: launches as u32,
        messages: messages.into_iter().collect(),
    };
    let seconds = seen.bad.len();
    let desired = instances::desired(observed.timeline, since, seconds);
    let first = instances::second(since, first).unwrap_or(0) as usize;
    // An instance that boots exists.
    let there = instances::billed(observed.timeline, since, seconds);
    let is_short = |second: &usize| desired[*second] > there[*second];
    let explained: BTreeSet<u32> = seen
        .bad_in(first.min(seconds)..seconds)
        .filter(is_short)
        .map(|second| second as u32)
        .collect();
    let wanted = desired.iter().copied().max().unwrap_or(0);
    let most = observed.serving.iter().copied().max().unwrap_or(0);
    let found = Hypothesis::new(Suspect::FailedLaunches, Standing::Holds, vec![clue]);
    if most >= wanted {
        let found = Hypothesis {
            standing: if explained.is_empty() {
                Standing::Excluded
            } else {
                Standing::Holds
            },
            ..found
        };
        return Some(
            found
                .against([Clue::Reached { wanted }])
                .explains(&explained),
        );
    }
    let mut found = found.explains(&explained);
    found.pro.push(Clue::NeverReached { wanted, most });
    Some(found)
}
