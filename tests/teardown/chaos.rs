//! Seeded chaos: a kill somewhere, the guard or a reap after it, and things gone when it comes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use rustix::process::Signal;
use spikeproof::lab::tap::When;
use tokio::time::{sleep, timeout};

use crate::calls::golden;
use crate::trial::{LOOK, Output, Trial, ended};
use crate::weather::kill;
use crate::{all, elsewhere, number};

#[tokio::test(flavor = "multi_thread")]
async fn chaos_leaks_nothing() {
    if elsewhere("chaos") {
        return;
    }
    let count = number("N", 6);
    let seed = number("SEED", 20_261_125) as u64;
    // The calls of an undisturbed run, and a few more: some runs are killed after their end.
    let calls = match number("CALLS", 0) {
        0 => golden().await + 10,
        given => given,
    };
    let trials: Vec<(String, Plan)> = (0..count)
        .filter(|trial| std::env::var("TRIAL").map_or(true, |only| only == trial.to_string()))
        .map(|trial| (trial, Plan::roll(seed, trial, calls)))
        .map(|(trial, plan)| {
            (
                format!("SEED={seed} TRIAL={trial} N={count} CALLS={calls} {plan:?}"),
                plan,
            )
        })
        .collect();
    let runs = trials.len();
    let leaked = all(trials, |plan| async move { chaos(&plan).await }).await;
    println!("{runs} runs, {leaked} leaked");
    assert_eq!(leaked, 0);
}

/// One line says everything about a chaos trial.
#[derive(Debug)]
struct Plan {
    call: usize,
    when: When,
    guard: GuardsFate,
    failing: usize,
    lost: Lost,
    real_terraform: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GuardsFate {
    Lives,
    /// Killed while it destroys.
    KilledToo,
    None,
}

/// The files that are gone when somebody reaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Nothing,
    State,
    Journal,
    Folder,
}

impl Plan {
    fn roll(seed: u64, trial: usize, calls: usize) -> Self {
        let mut dice =
            Pcg64Mcg::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(trial as u64));
        let guard = match dice.random_range(0..10) {
            0..5 => GuardsFate::Lives,
            5..8 => GuardsFate::KilledToo,
            _ => GuardsFate::None,
        };
        let lost = match dice.random_range(0..8) {
            0..4 => Lost::Nothing,
            4 => Lost::State,
            5 => Lost::Journal,
            _ => Lost::Folder,
        };
        Self {
            call: dice.random_range(1..=calls),
            when: if dice.random_range(0..2) == 0 {
                When::Before
            } else {
                When::After
            },
            guard,
            failing: if dice.random_range(0..4) == 0 { 10 } else { 0 },
            lost,
            real_terraform: trial % 10 == 9,
        }
    }
}

async fn chaos(plan: &Plan) -> Result<(), String> {
    let mut trial = Trial::new(plan.real_terraform, false).await;
    trial.guard = plan.guard != GuardsFate::None;
    trial
        .weather
        .throttled
        .store(plan.failing, Ordering::Relaxed);
    let mut run = trial.start(None, Output::Files);
    *trial.weather.last_call.lock().unwrap() = Some((plan.call, plan.when, run.id().unwrap()));
    let result = async {
        let status = ended(&trial, &mut run).await?;
        let killed = Timestamp::now();
        *trial.weather.last_call.lock().unwrap() = None;
        // With the guard alone, nobody else does anything.
        if plan.guard == GuardsFate::Lives || status.code().is_some() {
            trial.emptied(Duration::from_secs(150)).await?;
            return trial.oracle(Some(killed)).await;
        }
        if plan.guard == GuardsFate::KilledToo {
            sleep(Duration::from_millis(40 * (plan.call as u64 % 40))).await;
            trial
                .pids("--when-orphaned")
                .into_iter()
                .for_each(|pid| kill(pid, Signal::KILL));
        }
        lose(&trial, plan.lost);
        reap_it(&trial, plan.lost).await?;
        trial.emptied(Duration::from_secs(5)).await?;
        trial.oracle(Some(killed)).await
    };
    let result = result
        .await
        .map_err(|why| format!("{why}\n{}", trial.said()));
    trial.end().await;
    result
}

fn lose(trial: &Trial, lost: Lost) {
    let Some(folder) = trial.run_folder() else {
        return;
    };
    match lost {
        Lost::Nothing => {}
        Lost::State => {
            drop(std::fs::remove_file(folder.join("terraform.tfstate")));
            drop(std::fs::remove_dir_all(folder.join("states")));
        }
        Lost::Journal => {
            drop(std::fs::remove_file(folder.join("journal")));
        }
        Lost::Folder => {
            drop(std::fs::remove_dir_all(folder));
        }
    }
}

/// Reaps with the folder from its journal, without it from a fresh one by name.
async fn reap_it(trial: &Trial, lost: Lost) -> Result<(), String> {
    // terraform may go on without its folder; its last resources show only when it has ended.
    let quiet = timeout(Duration::from_mins(1), async {
        while !trial.terraforms().is_empty() && lost != Lost::Nothing {
            sleep(LOOK).await;
        }
    });
    let _ = quiet.await;
    match lost {
        Lost::Nothing | Lost::State => trial.reap(&[], &trial.runs()).await,
        Lost::Journal | Lost::Folder => {
            // Two reaps at once do no harm.
            let hosts = ["another-host", "a-third-host"].map(|host| trial.folder.path().join(host));
            let arguments = ["--discover", "--older-than", "0s"];
            let (one, other) = tokio::join!(
                trial.reap(&arguments, &hosts[0]),
                trial.reap(&arguments, &hosts[1])
            );
            one.and(other)?;
            drop(trial.run_folder().map(std::fs::remove_dir_all));
            Ok(())
        }
    }
}
