//! Nothing is left behind: phases and faults, kills at every AWS call, and seeded chaos.
//!
//! Each trial has a lab of its own, real generators, and a stand-in for terraform without the
//! provider's slow waits (`terraform` beside this file; some trials have the real one). After each
//! trial the same questions are asked. Is anything of ours in the account? Is everything of the
//! stranger still there? Did load stop in time? Is anything alive? Does a second reap find nothing?
//!
//! `SPIKEPROOF_TEARDOWN`: `matrix`, `calls`, `chaos` or `doubt` for the whole of one, else a few of
//! each. Calls take `FROM` and `UNTIL`, chaos `N`, `SEED` and, to see one again, `TRIAL` and
//! `CALLS`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests are tests, which clippy.toml cannot see"
)]

mod calls;
mod chaos;
mod doubt;
mod matrix;
mod trial;
mod weather;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Trials at once: mostly they wait. `SPIKEPROOF_TEARDOWN_AT_ONCE` is another number.
const AT_ONCE: usize = 6;

/// Runs trials a few at a time, prints a line for each that fails, and says how many did.
async fn all<T, F>(trials: Vec<(String, T)>, run: impl Fn(T) -> F) -> usize
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(number(
        "SPIKEPROOF_TEARDOWN_AT_ONCE",
        AT_ONCE,
    )));
    let mut running = JoinSet::new();
    let verbose = std::env::var_os("SPIKEPROOF_TEARDOWN_VERBOSE").is_some();
    for (name, trial) in trials {
        let (slots, trial) = (Arc::clone(&slots), run(trial));
        running.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            let begun = Instant::now();
            let result = trial.await;
            if verbose {
                println!(
                    "{name}: {} in {:.0?}",
                    if result.is_ok() { "clean" } else { "NOT CLEAN" },
                    begun.elapsed()
                );
            }
            if let Err(why) = &result {
                println!("FAILED {name}: {why}");
            }
            usize::from(result.is_err())
        });
    }
    let mut failed = 0;
    while let Some(done) = running.join_next().await {
        failed += done.unwrap();
    }
    failed
}

fn whole(part: &str) -> bool {
    std::env::var("SPIKEPROOF_TEARDOWN").is_ok_and(|wanted| wanted == part)
}

/// True if another part than this one was asked for.
fn elsewhere(part: &str) -> bool {
    std::env::var("SPIKEPROOF_TEARDOWN").is_ok_and(|wanted| !wanted.is_empty() && wanted != part)
}

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name)
        .ok()
        .filter(|text| !text.is_empty())
        .map_or(usual, |text| text.parse().unwrap())
}
