//! A lab that is killed leaves no emulator behind.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{PATIENCE, door};

/// Starts the program's lab as a process of its own, and waits until it serves.
async fn serving() -> Child {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_spikeproof"))
        .arg("lab")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(lab.stdout.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap().expect("the lab ended");
        if line.contains("the lab serves") {
            return lab;
        }
    }
}

/// Returns the processes of a group that run: those that are only to be waited for are left out.
fn running(group: &str) -> Vec<String> {
    let known = std::fs::read_dir("/proc").unwrap().flatten();
    known
        .filter_map(|one| {
            let told = std::fs::read_to_string(one.path().join("stat")).ok()?;
            // After the name, which may have blanks: the state, the parent, and the group.
            let (_, told) = told.rsplit_once(") ")?;
            let told: Vec<&str> = told.split(' ').collect();
            let runs = told[2] == group && !matches!(told[0], "Z" | "X");
            runs.then(|| one.file_name().to_string_lossy().into_owned())
        })
        .collect()
}

/// Waits until a process group has ended.
async fn ended(group: &str) {
    let ends = async {
        while !running(group).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ends = tokio::time::timeout(PATIENCE, ends).await;
    assert!(ends.is_ok(), "these run: {:?}", running(group));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_that_is_killed_takes_its_emulator_with_it() {
    for signal in [
        rustix::process::Signal::KILL,
        rustix::process::Signal::ABORT,
        rustix::process::Signal::TERM,
    ] {
        let mut lab = serving().await;
        let id = lab.id().unwrap();
        let emulator =
            |(pid, command): (String, String)| command.contains("moto_server").then_some(pid);
        // The emulator leads a group of its own.
        let group = door::children_of(&id.to_string())
            .into_iter()
            .find_map(emulator)
            .unwrap();
        assert!(running(&group).contains(&group), "{signal:?}");
        let pid = rustix::process::Pid::from_raw(id as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        lab.wait().await.unwrap();
        ended(&group).await;
    }
}
