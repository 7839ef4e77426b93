//! An answer of "not authorized" is no proof that a resource is gone: the account refuses some
//! questions.

use rustix::process::Signal;
use tokio::time::{sleep, timeout};

use crate::trial::{LOOK, Output, PATIENCE, Trial, ended};
use crate::weather::kill;
use crate::{all, elsewhere};

/// The refused action, the exit code of a reap by name, and a word that it must print.
const DOUBTS: [(&str, i32, &str); 3] = [
    ("ListClusters", 4, "INCOMPLETE"),
    ("DescribeClusters", 6, "cluster"),
    ("ListTaskDefinitions", 6, "task definition"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_told_is_not_called_gone() {
    if elsewhere("doubt") {
        return;
    }
    let doubts = DOUBTS.map(|doubt| (doubt.0.to_owned(), doubt)).to_vec();
    let failed = all(doubts, doubt).await;
    println!("{} refusals, {failed} not clean", DOUBTS.len());
    assert_eq!(failed, 0);
}

async fn doubt((refused, code, word): (&'static str, i32, &'static str)) -> Result<(), String> {
    let mut trial = Trial::new(false, false).await;
    trial.guard = false;
    let hold = trial.folder.path().join("hold");
    let mut run = trial.start(Some(format!("hold:load:{}", hold.display())), Output::Files);
    let result = async {
        let reached = timeout(PATIENCE, async {
            while !hold.exists() {
                sleep(LOOK).await;
            }
        });
        reached.await.map_err(|_| "load is never reached")?;
        kill(run.id().unwrap(), Signal::KILL);
        ended(&trial, &mut run).await?;
        let elsewhere = trial.folder.path().join("elsewhere");
        let by_name = ["--discover", "--force"];
        *trial.weather.denied.lock().unwrap() = Some(refused);
        match trial.reap(&by_name, &elsewhere).await {
            Err(said)
                if said.contains(&format!("ended with Some({code})")) && said.contains(word) => {}
            other => return Err(format!("while {refused} is refused: {other:?}")),
        }
        *trial.weather.denied.lock().unwrap() = None;
        trial.reap(&by_name, &elsewhere).await?;
        trial.oracle(None).await
    };
    let result = result
        .await
        .map_err(|why| format!("{why}\n{}", trial.said()));
    trial.end().await;
    result
}
