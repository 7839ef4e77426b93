//! Runs the shipped scenarios against the lab's target: the same load in a fraction of the time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spikeproof::engine::{Work, begin};
use spikeproof::lab::{Options, start};
use spikeproof::limits::AddressPolicy;
use spikeproof::measure::{Results, Select, Tally};
use spikeproof::plan::Share;
use spikeproof::scenario::{self, Scenario, Substitutions};
use tokio_util::sync::CancellationToken;

fn shipped(name: &str, url: &str) -> Scenario {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    let environment = BTreeMap::from([("TARGET_URL".to_owned(), url.to_owned())]);
    let open = |file: &str| Ok(std::fs::read(folder.join(file))?);
    match scenario::read(
        &text,
        &Substitutions {
            environment,
            ..Substitutions::default()
        },
        &open,
    ) {
        Ok(read) => read.scenario,
        Err(problems) => panic!("{}", scenario::render(name, &text, &problems, false)),
    }
}

/// Shortens every phase to a fraction of its time; levels, flows and think times stay.
fn shortened(mut scenario: Scenario, by: u32) -> Scenario {
    for phase in &mut scenario.phases {
        (phase.ramp, phase.hold) = (phase.ramp / by, phase.hold / by);
        phase.grace = Duration::from_secs(5);
    }
    scenario
}

async fn carry_out(scenario: &Scenario) -> Results {
    let work = Work {
        scenario: Arc::new(scenario.clone()),
        share: Share::WHOLE,
        seed: 1,
        address_policy: AddressPolicy {
            loopback: true,
            private: false,
        },
        workers: 1,
        start: Instant::now(),
        stop: CancellationToken::new(),
    };
    let mut running = begin(&work).unwrap();
    let mut results = Results::default();
    while let Some(interval) = running.next().await {
        results.add(0, &interval);
    }
    running.finish().unwrap();
    results
}

fn of_phase(results: &Results, phase: u16) -> Tally {
    results
        .merged(Select {
            phase: Some(phase),
            ..Select::default()
        })
        .tally
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_browse_fill_carts_and_buy() {
    let lab = start(Options::default()).await.unwrap();
    let scenario = shortened(shipped("shop.yaml", lab.target_url()), 3);
    let results = carry_out(&scenario).await;
    let all = results.merged(Select::default()).tally;
    assert_eq!(all.errors(), 0, "{all:?}");
    for name in ["browse", "fill", "choose", "buy"] {
        let steps = scenario.named(name);
        assert!(!steps.is_empty());
        for (flow, step) in steps {
            let tally = results
                .merged(Select {
                    flow: Some(flow),
                    step: Some(step),
                    ..Select::default()
                })
                .tally;
            assert!(tally.ok > 0, "{name}: {tally:?}");
        }
    }
    assert!(all.checks_passed > 100, "{all:?}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_of_the_stress_test_sends_what_it_says() {
    let lab = start(Options::default()).await.unwrap();
    let scenario = shortened(shipped("stress.yaml", lab.target_url()), 5);
    let results = carry_out(&scenario).await;
    let sent: Vec<u64> = (0..4)
        .map(|phase| of_phase(&results, phase).requests())
        .collect();
    assert_eq!(sent, [100, 200, 400, 800]);
    assert_eq!(of_phase(&results, 0).errors(), 0);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_soak_test_thinks_as_it_says() {
    let lab = start(Options::default()).await.unwrap();
    let scenario = shortened(shipped("soak.yaml", lab.target_url()), 1_800);
    let results = carry_out(&scenario).await;
    let soak = of_phase(&results, 1);
    assert_eq!(soak.errors(), 0, "{soak:?}");
    // 50 sessions, one request each 2 s on average, for 8 s.
    assert!((130..=270).contains(&soak.ok), "{soak:?}");
    lab.stop().await;
}
