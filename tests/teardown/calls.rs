//! The orchestrator is killed at each of its AWS calls, before it is applied and after.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use spikeproof::lab::tap::When;

use crate::trial::{Output, Trial, ended};
use crate::{all, elsewhere, number, whole};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_call_is_the_last_the_guard_destroys_the_rest() {
    if elsewhere("calls") {
        return;
    }
    let calls = golden().await;
    let step = if whole("calls") { 1 } else { 40 };
    let (from, until) = (number("FROM", 1), number("UNTIL", calls));
    let trials: Vec<_> = (from..=until)
        .step_by(step)
        .flat_map(|call| {
            [When::Before, When::After].map(|when| (format!("call {call} {when:?}"), (call, when)))
        })
        .collect();
    let count = trials.len();
    let failed = all(trials, |(call, when)| nth_call(call, when)).await;
    println!("{count} kills at one of {calls} calls, {failed} not clean");
    assert_eq!(failed, 0);
}

/// Returns the number of calls that an undisturbed run makes.
pub(crate) async fn golden() -> usize {
    let trial = Trial::new(false, false).await;
    let mut run = trial.start(None, Output::Files);
    let status = ended(&trial, &mut run).await.unwrap();
    // On a busy machine a load of three seconds may come out inconclusive.
    assert!(matches!(status.code(), Some(0 | 5)), "{}", trial.said());
    trial
        .oracle(None)
        .await
        .unwrap_or_else(|why| panic!("{why}\n{}", trial.said()));
    let calls = trial.weather.calls.load(Ordering::Relaxed);
    trial.end().await;
    calls
}

/// Kills the orchestrator at its n-th call, applied or not: its guard destroys the resources.
async fn nth_call(number: usize, when: When) -> Result<(), String> {
    let trial = Trial::new(false, false).await;
    let mut run = trial.start(None, Output::Files);
    *trial.weather.last_call.lock().unwrap() = Some((number, when, run.id().unwrap()));
    let result = async {
        ended(&trial, &mut run).await?;
        let killed = Timestamp::now();
        trial.emptied(Duration::from_mins(2)).await?;
        trial.oracle(Some(killed)).await
    };
    let result = result
        .await
        .map_err(|why| format!("{why}\n{}", trial.said()));
    trial.end().await;
    result
}
