//! Every mishap in every phase.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::Signal;
use tokio::time::{sleep, timeout};

use crate::trial::{LOOK, Output, PATIENCE, Trial, ended};
use crate::weather::kill;
use crate::{all, elsewhere, whole};

const PHASES: [&str; 8] = [
    "plan",
    "provision",
    "start",
    "load",
    "recover",
    "collect",
    "judge",
    "destroy",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    Error,
    Panic,
    Interrupt(u32),
    Terminate,
    Hangup,
    KillRun,
    KillTerraform,
    KillBoth,
    KillGuardToo,
    DiskFull,
    OutputClosed,
    CredentialsExpired,
    Throttled,
    LabDown,
    StateEmptied,
    StateDeleted,
    FolderDeleted,
    KillAndLabDown,
    FolderDeletedAndKill,
}

const MISHAPS: [Mishap; 21] = [
    Mishap::Error,
    Mishap::Panic,
    Mishap::Interrupt(1),
    Mishap::Interrupt(2),
    Mishap::Interrupt(3),
    Mishap::Terminate,
    Mishap::Hangup,
    Mishap::KillRun,
    Mishap::KillTerraform,
    Mishap::KillBoth,
    Mishap::KillGuardToo,
    Mishap::DiskFull,
    Mishap::OutputClosed,
    Mishap::CredentialsExpired,
    Mishap::Throttled,
    Mishap::LabDown,
    Mishap::StateEmptied,
    Mishap::StateDeleted,
    Mishap::FolderDeleted,
    Mishap::KillAndLabDown,
    Mishap::FolderDeletedAndKill,
];

/// Of the whole matrix, where a few must do.
const SAMPLE: [(&str, Mishap); 8] = [
    ("plan", Mishap::Interrupt(1)),
    ("provision", Mishap::KillBoth),
    ("start", Mishap::Terminate),
    ("load", Mishap::Interrupt(3)),
    ("load", Mishap::DiskFull),
    ("recover", Mishap::FolderDeleted),
    ("judge", Mishap::Panic),
    ("destroy", Mishap::StateEmptied),
];

impl Mishap {
    /// What a pipeline sees. `None`: killed, or whatever the run came to in spite of it.
    fn exits(self, phase: &str) -> &'static [i32] {
        let made_nothing = phase == "plan";
        match self {
            Self::Error | Self::Panic if phase == "destroy" => &[6],
            Self::Error | Self::Panic => &[4],
            Self::Interrupt(3) if made_nothing => &[130],
            // By then the plan has been carried out: the verdict stands, and everything is
            // destroyed as it would have been.
            Self::Interrupt(1 | 2) | Self::Terminate | Self::Hangup if phase == "destroy" => {
                &[0, 5]
            }
            Self::Interrupt(3) => &[6, 130],
            Self::Interrupt(_) | Self::Terminate | Self::Hangup => &[130],
            Self::KillRun | Self::KillBoth | Self::KillGuardToo => &[],
            Self::KillAndLabDown | Self::FolderDeletedAndKill => &[],
            Self::KillTerraform if phase == "provision" => &[4],
            Self::KillTerraform => &[0, 5],
            // Nothing has been meant yet when provision begins.
            Self::CredentialsExpired if made_nothing || phase == "provision" => &[4],
            Self::CredentialsExpired => &[6],
            Self::DiskFull => &[0, 4, 5],
            // What is made next has no place to be made in.
            Self::FolderDeleted if phase == "provision" => &[4],
            Self::LabDown | Self::Throttled => &[0, 4, 5],
            // On a busy machine a load of three seconds may come out inconclusive.
            _ => &[0, 5],
        }
    }

    /// terraform works in two phases only.
    fn is_there(self, phase: &str) -> bool {
        let takes_terraform = matches!(self, Self::KillTerraform | Self::KillBoth);
        !takes_terraform || ["provision", "destroy"].contains(&phase)
    }

    fn is_signal(self) -> bool {
        matches!(self, Self::Interrupt(_) | Self::Terminate | Self::Hangup)
    }

    fn is_killed(self) -> bool {
        let alone = matches!(self, Self::KillRun | Self::KillBoth | Self::KillGuardToo);
        alone || matches!(self, Self::KillAndLabDown | Self::FolderDeletedAndKill)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mishap_in_every_phase_leaves_nothing() {
    if elsewhere("matrix") {
        return;
    }
    let cells: Vec<(&str, Mishap)> = match whole("matrix") {
        true => PHASES
            .iter()
            .flat_map(|phase| MISHAPS.iter().map(|mishap| (*phase, *mishap)))
            .filter(|(phase, mishap)| mishap.is_there(phase))
            .collect(),
        false => SAMPLE.to_vec(),
    };
    let only = std::env::var("CELL").unwrap_or_default();
    let cells: Vec<_> = cells
        .into_iter()
        .map(|(phase, mishap)| (format!("{phase} x {mishap:?}"), (phase, mishap)))
        .filter(|(name, _)| name.contains(&only))
        .collect();
    let count = cells.len();
    let failed = all(cells, |(phase, mishap)| cell(phase, mishap)).await;
    println!("{count} phases and mishaps, {failed} not clean");
    assert_eq!(failed, 0);
}

/// Lets a mishap happen in a phase, and asks the questions.
async fn cell(phase: &str, mishap: Mishap) -> Result<(), String> {
    let mut trial = Trial::new(false, mishap == Mishap::DiskFull).await;
    let result = in_phase(&mut trial, phase, mishap)
        .await
        .map_err(|why| format!("{why}\n{}", trial.said()));
    trial.end().await;
    result
}

async fn in_phase(trial: &mut Trial, phase: &str, mishap: Mishap) -> Result<(), String> {
    let hold = trial.folder.path().join("hold");
    let cue = match mishap {
        Mishap::Error => format!("error:{phase}"),
        Mishap::Panic => format!("panic:{phase}"),
        _ => format!("hold:{phase}:{}", hold.display()),
    };
    let output = if mishap == Mishap::OutputClosed {
        Output::Pipes
    } else {
        Output::Files
    };
    let mut run = trial.start(Some(cue), output);
    let pid = run.id().unwrap();
    let mut killed = None;
    if !matches!(mishap, Mishap::Error | Mishap::Panic) {
        let reached = timeout(PATIENCE, async {
            while !hold.exists() && matches!(run.try_wait(), Ok(None)) {
                sleep(LOOK).await;
            }
        });
        let _ = reached.await;
        if !hold.exists() {
            return Err(format!("{phase} is never reached"));
        }
        // Where terraform works in this phase, it is to be in the middle of it.
        if matches!(mishap, Mishap::KillTerraform | Mishap::KillBoth) {
            std::fs::remove_file(&hold).unwrap();
            let working = timeout(PATIENCE, async {
                while trial.terraforms().is_empty() {
                    sleep(LOOK / 10).await;
                }
            });
            working.await.map_err(|_| "terraform is never at work")?;
        }
        happen(trial, mishap, pid).await;
        // Where it is a pipe, nobody is at its other end any more.
        drop((run.stdout.take(), run.stderr.take()));
        if mishap.is_killed() {
            killed = Some(Timestamp::now());
        }
        // A signal ends the hold by itself: without it the phase might be over before the signal is
        // heard.
        if !mishap.is_signal() {
            let _ = std::fs::remove_file(&hold);
        }
    }
    let status = ended(trial, &mut run).await?;
    let expected = mishap.exits(phase);
    if !mishap.is_killed() && !status.code().is_some_and(|code| expected.contains(&code)) {
        return Err(format!(
            "exit {:?}, expected one of {expected:?}",
            status.code()
        ));
    }
    after(trial, mishap).await?;
    trial.oracle(killed).await
}

async fn happen(trial: &mut Trial, mishap: Mishap, pid: u32) {
    let state = trial.run_folder();
    match mishap {
        Mishap::Error | Mishap::Panic | Mishap::OutputClosed => {}
        Mishap::Interrupt(times) => {
            for _ in 0..times {
                kill(pid, Signal::INT);
                // Two signals that come together are one.
                sleep(Duration::from_millis(150)).await;
            }
        }
        Mishap::Terminate => kill(pid, Signal::TERM),
        Mishap::Hangup => kill(pid, Signal::HUP),
        Mishap::KillRun => kill(pid, Signal::KILL),
        Mishap::KillTerraform => trial
            .terraforms()
            .into_iter()
            .for_each(|pid| kill(pid, Signal::KILL)),
        Mishap::KillBoth => {
            trial
                .terraforms()
                .into_iter()
                .for_each(|pid| kill(pid, Signal::KILL));
            kill(pid, Signal::KILL);
        }
        Mishap::KillGuardToo => {
            trial
                .pids("--when-orphaned")
                .into_iter()
                .for_each(|pid| kill(pid, Signal::KILL));
            kill(pid, Signal::KILL);
            trial
                .pids("--when-orphaned")
                .into_iter()
                .for_each(|pid| kill(pid, Signal::KILL));
        }
        Mishap::DiskFull => trial.mount.as_ref().unwrap().fill(),
        Mishap::CredentialsExpired => trial.weather.expired.store(true, Ordering::Relaxed),
        Mishap::Throttled => trial.weather.throttled.store(20, Ordering::Relaxed),
        Mishap::LabDown => trial.weather.break_down(),
        Mishap::KillAndLabDown => {
            trial.weather.break_down();
            kill(pid, Signal::KILL);
        }
        Mishap::StateEmptied => {
            if let Some(folder) = state.filter(|folder| folder.join("terraform.tfstate").exists()) {
                std::fs::write(folder.join("terraform.tfstate"), "").unwrap();
            }
        }
        Mishap::StateDeleted => {
            let folder = state.unwrap_or_default();
            let _ = std::fs::remove_file(folder.join("terraform.tfstate"));
            let _ = std::fs::remove_dir_all(folder.join("states"));
        }
        Mishap::FolderDeleted => state.as_deref().into_iter().for_each(delete),
        Mishap::FolderDeletedAndKill => {
            state.as_deref().into_iter().for_each(delete);
            kill(pid, Signal::KILL);
        }
    }
}

/// A file that the run makes meanwhile can make one attempt fail; a second finds nothing that
/// anybody makes again.
fn delete(folder: &Path) {
    let mut attempts = (0..100).map(|_| std::fs::remove_dir_all(folder));
    assert!(
        attempts.any(|_| !folder.exists()),
        "{} is made again and again",
        folder.display()
    );
}

/// Whoever has to act next: nobody, the guard, or somebody with a reap.
async fn after(trial: &Trial, mishap: Mishap) -> Result<(), String> {
    match mishap {
        Mishap::KillGuardToo => {
            // Nobody is left to stop the load: the lease must.
            let over = timeout(Duration::from_secs(60), async {
                while !trial.pids(" generate").is_empty() {
                    sleep(LOOK).await;
                }
            });
            over.await.map_err(|_| "generators outlive their lease")?;
            trial.reap(&[], &trial.runs()).await?;
            trial.emptied(Duration::from_secs(5)).await
        }
        Mishap::CredentialsExpired => {
            trial.weather.expired.store(false, Ordering::Relaxed);
            // The guard may still be at it.
            trial
                .emptied(Duration::from_secs(60))
                .await
                .or(Ok::<(), String>(()))?;
            trial.reap(&[], &trial.runs()).await?;
            trial.emptied(Duration::from_secs(5)).await
        }
        Mishap::LabDown | Mishap::KillAndLabDown => {
            while trial.weather.down.load(Ordering::Relaxed) {
                sleep(LOOK).await;
            }
            trial.emptied(Duration::from_secs(120)).await
        }
        _ => trial.emptied(Duration::from_secs(120)).await,
    }
}
