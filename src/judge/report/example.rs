//! A report with every field filled, for tests of code that reads reports.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::too_many_lines,
    reason = "only tests use it"
)]

use super::{
    AddressRow, Capacity, CheckRow, Destroyed, Duration, Exit, FailureRow, Generators, Judged,
    LifePhase, Load, Model, PhaseRole, PhaseRow, ReportedAdvice, ReportedAnswer, ReportedBeside,
    ReportedCandidate, ReportedSecond, ReportedWarning, Row, RunReport, StatusRow, Tally,
    TargetAuthorization, TaskCost, TaskRow, Timestamp, VERSION, words,
};
use crate::advice::{Agreement, Change, Chosen, NotAPolicy, Topic};
use crate::verdict::{
    Expectation, Finding, Measured, MetricValue, RunFigures, RunWarning, ScaleOutReason, Scope,
    ThresholdReason, ValidityReason,
};
use evidence::capacity::CapacityReason;
use evidence::moment::Origin;
use evidence::scale_in::WaitReason;
use evidence::{
    Confidence, InstanceCapacity, Launched, Left, Moment, MomentKind, Reaction, Resized, Sighting,
    Why,
};
use model::cost;
use model::limits::OwnershipProof;
use model::measure::{Bound, Broken, Failure, RefusedRedirect, Stretch};
use model::outcome::Verdict;
use model::scenario::{Arch, Limit, TaskSize};
use model::scenario::{ThresholdMetric, ThresholdOperator};
use model::units::Usd;

fn example_advice() -> ReportedAdvice {
    let candidate = |name: &str, change, over_limit, errors, instance_minutes| ReportedCandidate {
        name: name.to_owned(),
        change,
        over_limit,
        errors,
        instance_minutes,
        usd: None,
        most_instances: 4,
        recommended: false,
        assumes: None,
    };
    let scheduled = Change::Scheduled {
        from: Duration::from_secs(12),
        until: Duration::from_secs(30),
        min: 4,
    };
    let reason = CapacityReason {
        held_s: 24,
        missed_s: 9,
        pooled_s: None,
        enough: true,
        gap: None,
        weakness: None,
        others: None,
    };
    ReportedAdvice {
        limit: Limit { p95: Duration::from_millis(500), asked: true },
        answers: vec![ReportedAnswer {
            topic: Topic::LatencyBeforeGrowth,
            question: words::question(Topic::LatencyBeforeGrowth).to_owned(),
            answer: "For 9 seconds each of the 2 instances had to carry up to 350 requests/s, where 190 is what one carries within 500ms.".to_owned(),
            evidence: "seconds 20 to 29 of the load, and the size of the group in each".to_owned(),
            confidence: Confidence::High,
        }],
        capacity: Some(InstanceCapacity {
            at_limit: 190.0,
            between: (140.0, Some(280.0)),
            saturated: Some(200.0),
            queue: Duration::from_millis(900),
            confidence: Confidence::High,
            because: words::capacity_reason(&reason),
            reason: Some(reason),
        }),
        metric: None,
        agreement: Some(Agreement { within_one: 39, seconds: 40, ..Agreement::default() }),
        elasticity: None,
        price: None,
        candidates: vec![
            candidate("as it is", Change::Nothing, 9, 900, 2.5),
            ReportedCandidate { recommended: true, ..candidate("target 30", Change::Target { target: 30.0 }, 5, 300, 3.25) },
            ReportedCandidate {
                assumes: Some("the spike's time is known before".to_owned()),
                ..candidate("4 scheduled for the spike", scheduled, 0, 0, 2.75)
            },
        ],
        chosen: Some(Chosen::MissesLeast),
        no_candidates: None,
        snippet: Some("resource \"aws_autoscaling_policy\" \"spikeproof\" {\n  name = \"web-cpu\"\n}\n".to_owned()),
        beside: vec![ReportedBeside {
            change: NotAPolicy::ConnectionsOfEachInstance,
            text: "raise the limit of each instance on connections".to_owned(),
        }],
    }
}

/// Makes a plausible report of a run, for snapshots of every form.
pub fn report() -> RunReport {
    let row = |name: &str, ok, status_5xx, p95| Row {
        name: name.to_owned(),
        tally: Tally {
            ok,
            status_5xx,
            bytes: 1_000,
            reconnects: ok / 1_000,
            ..Tally::default()
        },
        statuses: [(200, ok, 0), (503, status_5xx, status_5xx)]
            .into_iter()
            .filter(|(_, answers, _)| *answers > 0)
            .map(|(status, answers, failed)| StatusRow {
                status,
                answers,
                failed,
            })
            .collect(),
        per_second: (ok + status_5xx) as f64 / 10.0,
        p50: Some(21_000),
        p95: Some(p95),
        p99: Some(p95 * 2),
        max: Some(p95 * 3),
        service_p95: Some(p95),
        dns_p95: None,
        connect_p95: Some(900),
        tls_p95: None,
        first_byte_p95: Some(p95 - 1_000),
        body_p95: Some(500),
    };
    let phase = |name: &str, role, index: u64, level, p95| PhaseRow {
        model: Model::Rate,
        role,
        from: Duration::from_secs(index * 10),
        to: Duration::from_secs(index * 10 + 10),
        level,
        row: row(
            name,
            level as u64 * 10,
            if role == PhaseRole::Spike { 42 } else { 0 },
            p95,
        ),
    };
    let threshold = |text: &str, phase: &str, verdict, measured, reason: ThresholdReason| {
        words::judgement(Finding {
            expectation: Expectation::Threshold {
                text: text.to_owned(),
            },
            scope: Scope::Phase(phase.to_owned()),
            verdict,
            measured,
            reason: reason.into(),
        })
    };
    let p95 = |value_us| {
        Measured::Metric(MetricValue::Percentile {
            percentile: 95.0,
            value_us,
        })
    };
    let begun: Timestamp = "2026-03-01T11:59:30Z".parse().unwrap();
    let at = |second: u64| begun.checked_add(Duration::from_secs(30 + second)).unwrap();
    let moment = |kind, second, origin, resolution| {
        Moment::new(kind, at(second), origin, Duration::from_secs(resolution))
    };
    let cost = cost::of_tasks(
        TaskSize {
            cpu_units: 1024,
            memory_mib: 2048,
        },
        Arch::X86_64,
        &[Duration::from_secs(90), Duration::from_secs(80)],
    );
    RunReport {
        version: VERSION,
        tool: "spikeproof 0.1.0".to_owned(),
        run: "sp-01j9z3k4m5".to_owned(),
        scenario: "spike-and-recover".to_owned(),
        url: "http://shop.example.com".to_owned(),
        insecure: false,
        seed: Some(42),
        group: Some("shop-web".to_owned()),
        fleet: "Fargate".to_owned(),
        place: Some("account 123456789012, eu-west-1".to_owned()),
        standing: TargetAuthorization {
            proof: Some(OwnershipProof::LoadBalancer("shop.example.com".to_owned())),
            said_allowed: false,
        },
        begun,
        started: Some(at(0)),
        exit: Exit::Failed,
        error: None,
        interrupted: false,
        judged: Some(Judged {
            not_judged: Vec::new(),
            verdict: Verdict::Failed,
            because: "p95 < 500ms in spike: p95 = 900ms; the limit is < 500ms".to_owned(),
            validity: vec![words::judgement(Finding::of_run(
                Expectation::GeneratorNotTheLimit,
                Verdict::Passed,
                RunFigures::Saturation {
                    latest_s: Duration::from_millis(2).into(),
                    busy_share: 0.41,
                },
                ValidityReason::KeptUp,
            ))],
            thresholds: vec![
                threshold(
                    "p95 < 500ms",
                    "sustained",
                    Verdict::Passed,
                    p95(35_000.0),
                    ThresholdReason::OverRequests { requests: 1200 },
                ),
                threshold(
                    "p95 < 500ms",
                    "spike",
                    Verdict::Failed,
                    p95(900_000.0),
                    ThresholdReason::LimitMissed {
                        metric: ThresholdMetric::Percentile(95.0),
                        comparison: ThresholdOperator::Less,
                        limit: 500_000.0,
                    },
                ),
                threshold(
                    "p99.9 < 2s",
                    "recovery",
                    Verdict::Inconclusive,
                    Measured::Nothing,
                    ThresholdReason::TooFewSamples {
                        percentile: 99.9,
                        samples: 120,
                        needed: 1000,
                    },
                ),
            ],
            scaling: vec![words::judgement(Finding::of_group(
                Expectation::ScaleOutInTime {
                    within_s: Duration::from_mins(3).into(),
                },
                Verdict::Passed,
                Measured::Took {
                    took_s: Duration::from_secs(6).into(),
                },
                ScaleOutReason::BreachToInService {
                    alarm_window_s: Some(Duration::from_secs(3).into()),
                    cloudwatch_lag_s: None,
                },
            ))],
            hypotheses: vec![],
            reaction: Some(words::reaction(Reaction {
                out: vec![
                    moment(MomentKind::LoadRose, 10, Origin::Plan, 0),
                    moment(
                        MomentKind::Breach,
                        11,
                        Origin::Datapoint {
                            alarm: "high".to_owned(),
                            value: 92.0,
                            in_history: true,
                        },
                        1,
                    ),
                    // A moment of an earlier version, which had only the sentence.
                    Moment {
                        kind: MomentKind::InService,
                        at: at(17),
                        origin: None,
                        source: "lifecycle state of i-2, polled".to_owned(),
                        resolution: Duration::from_secs(2),
                    },
                ],
                back: vec![moment(MomentKind::LoadFell, 20, Origin::Plan, 0)],
                out_took: Some(Duration::from_secs(6)),
                out_unavoidable: Some(Duration::from_secs(3)),
                in_took: None,
                in_bound: Some(Duration::from_secs(22)),
                resized: vec![Resized {
                    at: at(14),
                    from: 2,
                    to: 6,
                    policy: Some("shop-web-cpu".to_owned()),
                    alarm: Some(at(14)),
                    breach: Some(at(11)),
                    done: Some(at(17)),
                }],
                launched: vec![Launched {
                    id: "i-0b".to_owned(),
                    launched: Sighting::exact(at(14)),
                    why: evidence::instances::LaunchReason::Grew,
                    in_service: Some(Sighting::exact(at(16))),
                    healthy: None,
                    first_answer: Some(at(17)),
                }],
                left: vec![Left {
                    id: "i-0a".to_owned(),
                    began: Sighting::exact(at(36)),
                    why: Why::ScaledIn,
                    draining: Some(Sighting::exact(at(37))),
                    gone: None,
                }],
                out_lag: Some(Duration::from_millis(400)),
                in_ahead: None,
                in_unavoidable: Some(Duration::from_secs(15)),
                in_waits_for_setting: Some(WaitReason::LowAlarmWindow),
                in_waits_for: String::new(),
                low_before: None,
                open: vec![],
                spikes: vec![],
                grew: true,
                alarmed_before: None,
                desired_before: 2,
                desired_peak: 6,
                desired_after: 2,
                max: 8,
            })),
        }),
        load: Some(Load {
            phases: vec![
                phase("sustained", PhaseRole::Baseline, 0, 120.0, 35_000),
                phase("spike", PhaseRole::Spike, 1, 560.0, 900_000),
                phase("recovery", PhaseRole::Recovery, 2, 120.0, 38_000),
            ],
            steps: vec![row("GET /api/products", 7_958, 42, 700_000)],
            whole: row("run", 7_958, 42, 700_000),
            seconds: (0..30)
                .map(|second| {
                    let spike = (10..20).contains(&second);
                    let slow = (11..16).contains(&second);
                    ReportedSecond {
                        constant_errors: 0,
                        asked: if spike { 560.0 } else { 120.0 },
                        ok: if slow {
                            390
                        } else if spike {
                            560
                        } else {
                            120
                        },
                        errors: if slow { 8 } else { 0 },
                        others: None,
                        p50: Some(if slow { 400_000 } else { 21_000 }),
                        p95: Some(if slow { 900_000 } else { 35_000 }),
                        p99: Some(if slow { 1_200_000 } else { 40_000 }),
                        pooled: false,
                        pool_p95: None,
                    }
                })
                .collect(),
            checks: vec![
                CheckRow {
                    step: "GET /api/products".to_owned(),
                    name: "status 200".to_owned(),
                    passed: 7_958,
                    failed: 42,
                },
                CheckRow {
                    step: "GET /api/products".to_owned(),
                    name: "under 2s".to_owned(),
                    passed: 8_000,
                    failed: 0,
                },
            ],
            addresses: [("10.0.0.1:80", 7_000, 0), ("10.0.0.2:80", 1_000, 12)]
                .map(|(address, requests, first)| AddressRow {
                    address: address.to_owned(),
                    requests,
                    opened: requests / 100,
                    refused: 0,
                    first,
                    last: 29,
                })
                .to_vec(),
            reasons: vec![],
            failures: [
                (Failure::Broken(Broken::ClosedBeforeLength), 7),
                (
                    Failure::Redirect(RefusedRedirect::RedirectToHttp {
                        location: "http://shop/login".to_owned(),
                    }),
                    2,
                ),
            ]
            .map(|(failure, count)| FailureRow {
                step: "GET /api/products".to_owned(),
                text: words::failure(&failure),
                failure,
                count,
            })
            .to_vec(),
            generators: Generators {
                tasks: [(0, 400), (1, 396)]
                    .map(|(task, sent)| TaskRow {
                        task,
                        asked: vec![200, 200],
                        sent: vec![200, sent - 200],
                        busiest: 420,
                        latest: 2_000,
                        most_resident_mib: 48,
                    })
                    .to_vec(),
                strained: vec![Stretch {
                    from: 12,
                    to: 14,
                    tasks: vec![1],
                    bound: Bound::Cpu,
                }],
                opened: 80,
                tls_full: 70,
                tls_resumed: 10,
                most_open: 40,
                ..Generators::default()
            },
        }),
        advice: Some(example_advice()),
        capacity: [(-2.0, 2, 2), (13.0, 6, 2), (17.0, 6, 6), (28.0, 2, 6)]
            .map(|(second, desired, in_service)| Capacity {
                second,
                desired,
                in_service,
            })
            .to_vec(),
        tasks: 2,
        estimate: TaskCost {
            usd: Usd(0.012),
            ..cost
        },
        cost: Some(cost),
        destroyed: Destroyed {
            gone: vec![
                "cluster sp-01j9z3k4m5".to_owned(),
                "bucket spikeproof-sp-01j9z3k4m5".to_owned(),
            ],
            left: vec![],
            remedy: None,
        },
        took: vec![
            (LifePhase::Provision, Duration::from_secs(16)),
            (LifePhase::Destroy, Duration::from_secs(4)),
        ],
        trial: None,
        warnings: vec![ReportedWarning {
            warning: RunWarning::OlderReport.into(),
            text: "the group is observed at 2 s".to_owned(),
        }],
    }
}
