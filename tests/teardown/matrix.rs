//! Every fault in every phase.

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
enum Fault {
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

const FAULTS: [Fault; 21] = [
    Fault::Error,
    Fault::Panic,
    Fault::Interrupt(1),
    Fault::Interrupt(2),
    Fault::Interrupt(3),
    Fault::Terminate,
    Fault::Hangup,
    Fault::KillRun,
    Fault::KillTerraform,
    Fault::KillBoth,
    Fault::KillGuardToo,
    Fault::DiskFull,
    Fault::OutputClosed,
    Fault::CredentialsExpired,
    Fault::Throttled,
    Fault::LabDown,
    Fault::StateEmptied,
    Fault::StateDeleted,
    Fault::FolderDeleted,
    Fault::KillAndLabDown,
    Fault::FolderDeletedAndKill,
];

/// The part of the matrix that runs unless all of it is asked for.
const SAMPLE: [(&str, Fault); 8] = [
    ("plan", Fault::Interrupt(1)),
    ("provision", Fault::KillBoth),
    ("start", Fault::Terminate),
    ("load", Fault::Interrupt(3)),
    ("load", Fault::DiskFull),
    ("recover", Fault::FolderDeleted),
    ("judge", Fault::Panic),
    ("destroy", Fault::StateEmptied),
];

impl Fault {
    /// Returns the exit codes that a pipeline may see. Empty if the run was killed: then any end is
    /// accepted.
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
            // No intent is in the journal yet when provision begins.
            Self::CredentialsExpired if made_nothing || phase == "provision" => &[4],
            Self::CredentialsExpired => &[6],
            Self::DiskFull => &[0, 4, 5],
            // The next resource has no folder to be made in.
            Self::FolderDeleted if phase == "provision" => &[4],
            Self::LabDown | Self::Throttled => &[0, 4, 5],
            // On a busy machine a load of three seconds may come out inconclusive.
            _ => &[0, 5],
        }
    }

    /// True if terraform works in this phase; it works in two only.
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
async fn every_fault_in_every_phase_leaves_nothing() {
    if elsewhere("matrix") {
        return;
    }
    let cells: Vec<(&str, Fault)> = match whole("matrix") {
        true => PHASES
            .iter()
            .flat_map(|phase| FAULTS.iter().map(|fault| (*phase, *fault)))
            .filter(|(phase, fault)| fault.is_there(phase))
            .collect(),
        false => SAMPLE.to_vec(),
    };
    let only = std::env::var("CELL").unwrap_or_default();
    let cells: Vec<_> = cells
        .into_iter()
        .map(|(phase, fault)| (format!("{phase} x {fault:?}"), (phase, fault)))
        .filter(|(name, _)| name.contains(&only))
        .collect();
    let count = cells.len();
    let failed = all(cells, |(phase, fault)| cell(phase, fault)).await;
    println!("{count} phases and faults, {failed} not clean");
    assert_eq!(failed, 0);
}

/// Lets a fault happen in a phase, and asks the questions.
async fn cell(phase: &str, fault: Fault) -> Result<(), String> {
    let mut trial = Trial::new(false, fault == Fault::DiskFull).await;
    let result = in_phase(&mut trial, phase, fault)
        .await
        .map_err(|why| format!("{why}\n{}", trial.said()));
    trial.end().await;
    result
}

async fn in_phase(trial: &mut Trial, phase: &str, fault: Fault) -> Result<(), String> {
    let hold = trial.folder.path().join("hold");
    let cue = match fault {
        Fault::Error => format!("error:{phase}"),
        Fault::Panic => format!("panic:{phase}"),
        _ => format!("hold:{phase}:{}", hold.display()),
    };
    let output = if fault == Fault::OutputClosed {
        Output::Pipes
    } else {
        Output::Files
    };
    let mut run = trial.start(Some(cue), output);
    let pid = run.id().unwrap();
    let mut killed = None;
    if !matches!(fault, Fault::Error | Fault::Panic) {
        let reached = timeout(PATIENCE, async {
            while !hold.exists() && matches!(run.try_wait(), Ok(None)) {
                sleep(LOOK).await;
            }
        });
        let _ = reached.await;
        if !hold.exists() {
            return Err(format!("{phase} is never reached"));
        }
        // If terraform works in this phase, the fault must hit it at work.
        if matches!(fault, Fault::KillTerraform | Fault::KillBoth) {
            std::fs::remove_file(&hold).unwrap();
            let working = timeout(PATIENCE, async {
                while trial.terraforms().is_empty() {
                    sleep(LOOK / 10).await;
                }
            });
            working.await.map_err(|_| "terraform is never at work")?;
        }
        happen(trial, fault, pid).await;
        // If the output is a pipe, nobody is at its other end any more.
        drop((run.stdout.take(), run.stderr.take()));
        if fault.is_killed() {
            killed = Some(Timestamp::now());
        }
        // A signal ends the hold by itself: without it the phase might be over before the signal is
        // heard.
        if !fault.is_signal() {
            drop(std::fs::remove_file(&hold));
        }
    }
    let status = ended(trial, &mut run).await?;
    let expected = fault.exits(phase);
    if !fault.is_killed() && !status.code().is_some_and(|code| expected.contains(&code)) {
        return Err(format!(
            "exit {:?}, expected one of {expected:?}",
            status.code()
        ));
    }
    after(trial, fault).await?;
    trial.oracle(killed).await
}

async fn happen(trial: &mut Trial, fault: Fault, pid: u32) {
    let state = trial.run_folder();
    match fault {
        Fault::Error | Fault::Panic | Fault::OutputClosed => {}
        Fault::Interrupt(times) => {
            for _ in 0..times {
                kill(pid, Signal::INT);
                // Two signals that come together count as one, so there is a pause.
                sleep(Duration::from_millis(150)).await;
            }
        }
        Fault::Terminate => kill(pid, Signal::TERM),
        Fault::Hangup => kill(pid, Signal::HUP),
        Fault::KillRun => kill(pid, Signal::KILL),
        Fault::KillTerraform => trial
            .terraforms()
            .into_iter()
            .for_each(|pid| kill(pid, Signal::KILL)),
        Fault::KillBoth => {
            trial
                .terraforms()
                .into_iter()
                .for_each(|pid| kill(pid, Signal::KILL));
            kill(pid, Signal::KILL);
        }
        Fault::KillGuardToo => {
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
        Fault::DiskFull => trial.mount.as_ref().unwrap().fill(),
        Fault::CredentialsExpired => trial.weather.expired.store(true, Ordering::Relaxed),
        Fault::Throttled => trial.weather.throttled.store(20, Ordering::Relaxed),
        Fault::LabDown => trial.weather.break_down(),
        Fault::KillAndLabDown => {
            trial.weather.break_down();
            kill(pid, Signal::KILL);
        }
        Fault::StateEmptied => {
            if let Some(folder) = state.filter(|folder| folder.join("terraform.tfstate").exists()) {
                std::fs::write(folder.join("terraform.tfstate"), "").unwrap();
            }
        }
        Fault::StateDeleted => {
            let folder = state.unwrap_or_default();
            drop(std::fs::remove_file(folder.join("terraform.tfstate")));
            drop(std::fs::remove_dir_all(folder.join("states")));
        }
        Fault::FolderDeleted => state.as_deref().into_iter().for_each(delete),
        Fault::FolderDeletedAndKill => {
            state.as_deref().into_iter().for_each(delete);
            kill(pid, Signal::KILL);
        }
    }
}

/// Deletes a folder. A file that the run makes meanwhile can make one attempt fail; in a second
/// nothing is made again.
fn delete(folder: &Path) {
    let mut attempts = (0..100).map(|_| std::fs::remove_dir_all(folder));
    assert!(
        attempts.any(|_| !folder.exists()),
        "{} is made again and again",
        folder.display()
    );
}

/// Lets the next in charge act: nobody, the guard, or somebody with a reap. Then checks that the
/// account is empty.
async fn after(trial: &Trial, fault: Fault) -> Result<(), String> {
    match fault {
        Fault::KillGuardToo => {
            // Nobody is left to stop the load: the lease must.
            let over = timeout(Duration::from_mins(1), async {
                while !trial.pids(" generate").is_empty() {
                    sleep(LOOK).await;
                }
            });
            over.await.map_err(|_| "generators outlive their lease")?;
            trial.reap(&[], &trial.runs()).await?;
            trial.emptied(Duration::from_secs(5)).await
        }
        Fault::CredentialsExpired => {
            trial.weather.expired.store(false, Ordering::Relaxed);
            // The guard may still be at it.
            trial
                .emptied(Duration::from_mins(1))
                .await
                .or(Ok::<(), String>(()))?;
            trial.reap(&[], &trial.runs()).await?;
            trial.emptied(Duration::from_secs(5)).await
        }
        Fault::LabDown | Fault::KillAndLabDown => {
            while trial.weather.down.load(Ordering::Relaxed) {
                sleep(LOOK).await;
            }
            trial.emptied(Duration::from_mins(2)).await
        }
        _ => trial.emptied(Duration::from_mins(2)).await,
    }
}
