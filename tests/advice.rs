//! Advice that has been tried: what a report recommends is applied to its group, and run again.
//!
//! Each group of the lab runs twice under the same load. The first run's report recommends a
//! policy and predicts three figures for it: seconds over the limit, requests lost, and
//! instance-minutes. The recommended change is written into the lab file, and the second run shows
//! what it really does. The groups are those of `tests/truth` and `tests/advice`, and the cases of
//! `tests/cases`, both of whose runs have the case's proxies and its own scenario.
//! `SPIKEPROOF_ADVICE`: `all`, a lab file of one's own, or names between commas; without it, a few. A
//! path in place of a name is a folder of one's own, with a case or with several.
//!
//! - A prediction *misses* by its distance from the actual figure. Allowed are a quarter of the
//!   actual figure, or two periods: two periods of time, the requests that the group as it began
//!   loses in them, the minutes of its instances in them. Advice that is not called low may not miss by more.
//! - Where the policy that ran stays, its prediction is held to the same bounds by the first run.
//! - All groups together try at least 20 recommendations.
//! - A recommendation is *harmful* if the second run misses the limit for longer or loses more than
//!   the first, each by more than two periods; or if it costs more than 5 % more instance-minutes
//!   and gains nothing: neither figure is better by two periods, nor by a quarter without the
//!   other being worse. No recommendation may be harmful.
//! - `no_change: true` says that no policy is the remedy, so that no change may be recommended. It
//!   stands under `expect` of a file, or in `expect.yaml` of a case.
//! - `tries: KIND` under `expect` of a file tries the first candidate of this kind, recommended or not.
//! - A change that the lab cannot make is counted as not applied, with its kind.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests are tests, which clippy.toml cannot see"
)]

#[path = "support/folders.rs"]
mod folders;
mod support;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use folders::Folder;
use serde::Deserialize;
use serde_json::{Value, json};
use spikeproof::advice::{Change, Topic};
use spikeproof::evidence::timeline::Policy;
use spikeproof::evidence::{Confidence, Timeline, instances};
use spikeproof::lab::truth::Truth;
use spikeproof::report::{ReportedAdvice, ReportedCandidate, RunReport, TrialFigures};
use spikeproof::units;
use support::Case;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Number of labs at once: each is under a load of a few hundred requests a second, and a case has
/// proxies beside it.
const AT_ONCE: usize = 4;
/// Enough to see that the machinery works; all of them take more than a quarter of an hour.
const SAMPLE: [&str; 2] = ["fast", "one-sick-instance"];
/// The groups of `tests/truth` whose advice is tried, beside all of `tests/advice` and
/// `tests/cases`.
const OF_TRUTH: [&str; 25] = [
    "at-maximum-before",
    "delayed-metrics",
    "errors-from-fresh-instances",
    "fast",
    "flapping",
    "instances-after-the-spike",
    "long-warm-up",
    "never-scales-in",
    "no-warm-up",
    "percentage-steps",
    "pinned-at-maximum",
    "plainly-good",
    "requests-per-target",
    "scale-in-before-the-spike",
    "service",
    "service-cooldowns",
    "service-pinned",
    "simple-policy",
    "slow-alarm",
    "slow-boot",
    "step-in-beside-tracking",
    "step-policy",
    "too-eager-scale-in",
    "two-policies",
    "two-spikes",
];
/// Fewest recommendations that all groups together try.
const LEAST_RECOMMENDATIONS: usize = 20;
/// Part of an actual figure by which a prediction may miss it.
const NEAR: f64 = 0.25;
/// Periods by which a prediction may miss, and by which two runs of one group may differ.
const PERIODS: f64 = 2.0;
/// Part of all requests that may be lost without being a loss: as much as the advice tolerates.
const FEW: f64 = 0.001;
/// Part of the instance-minutes by which a policy may be dearer: as much as the advice tolerates.
const HARDLY: f64 = 0.05;

/// A group whose advice is tried.
struct Group {
    name: String,
    about: String,
    lab: Value,
    scenario: String,
    /// The folder of a case, with the settings of its proxies.
    case: Option<PathBuf>,
    expect: Expect,
}

/// `expect` of a file in `tests/advice`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expect {
    /// True where no policy helps, so that no change may be recommended.
    no_change: bool,
    /// The kind of the change that is tried in place of the recommended one, such as `warm-up`.
    tries: Option<String>,
}

/// Returns the groups that `wanted` asks for, the value of `SPIKEPROOF_ADVICE`.
fn groups(wanted: &str) -> Vec<Group> {
    let of_truth = match wanted {
        "all" => OF_TRUTH.join(","),
        wanted => wanted.to_owned(),
    };
    let of_truth = support::cases("truth", &of_truth, &SAMPLE);
    let own: Vec<(String, Case<Value>)> = match Path::new(wanted).is_file() {
        true => Vec::new(),
        false => support::cases("advice", wanted, &SAMPLE),
    };
    let plain = of_truth
        .into_iter()
        .map(|(name, case)| Group::new(name, &case, Expect::default()));
    let own = own.into_iter().map(|(name, case)| {
        let expect = match case.expect.is_null() {
            true => Expect::default(),
            false => serde_json::from_value(case.expect.clone())
                .unwrap_or_else(|error| panic!("{name}: {error}")),
        };
        Group::new(name, &case, expect)
    });
    let folders = folders::cases().into_iter();
    let of_cases = folders
        .filter(|case| support::wants(wanted, &SAMPLE, &case.name))
        .chain(folders::given(wanted))
        .map(Group::of_case);
    let groups: Vec<Group> = plain.chain(own).chain(of_cases).collect();
    assert!(!groups.is_empty(), "no group is called {wanted}");
    groups
}

impl Group {
    fn new(name: String, case: &Case<Value>, expect: Expect) -> Self {
        Self {
            name,
            about: case.about.clone(),
            lab: support::lab(case),
            scenario: support::scenario(case),
            case: None,
            expect,
        }
    }

    /// Returns a case of `tests/cases`, or of a folder of one's own. Its other expectations are of
    /// one run, which that test looks at.
    fn of_case(case: Folder) -> Self {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let expect = case.expect.as_deref().map_or(Value::Null, |expect| {
            serde_saphyr::from_str(&read(expect)).unwrap()
        });
        Self {
            about: expect["about"].as_str().unwrap_or(&case.name).to_owned(),
            lab: serde_saphyr::from_str(&read(&case.lab)).unwrap(),
            scenario: read(&case.path.join("scenario.yaml")),
            expect: Expect {
                no_change: expect["no_change"] == true,
                tries: None,
            },
            name: case.name,
            case: Some(case.path),
        }
    }

    /// Runs the group once, with this lab file.
    async fn run(&self, lab: &Value) -> (RunReport, Timeline, Truth) {
        support::run(&self.name, lab, &self.scenario, self.case.as_deref()).await
    }

    /// Returns the period of the group's metrics.
    fn period(&self) -> Duration {
        period(&policies(&self.lab)[0])
    }
}

/// The three figures of a policy under one load.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Figures {
    over_limit: f64,
    lost: f64,
    minutes: f64,
}

impl Figures {
    fn predicted(candidate: &ReportedCandidate) -> Self {
        Self {
            over_limit: f64::from(candidate.over_limit),
            lost: candidate.errors as f64,
            minutes: candidate.instance_minutes,
        }
    }

    fn measured(report: &RunReport, timeline: &Timeline, limit: Duration) -> Self {
        let load = report.load.as_ref().unwrap();
        let seconds = &load.seconds;
        let billed = instances::billed(timeline, report.started.unwrap(), seconds.len());
        Self {
            over_limit: f64::from(TrialFigures::of(load, limit).over_limit),
            lost: seconds.iter().map(|second| second.errors).sum::<u64>() as f64,
            minutes: f64::from(billed.iter().sum::<u32>()) / 60.0,
        }
    }

    fn all(self) -> [(&'static str, f64); 3] {
        [
            ("seconds over the limit", self.over_limit),
            ("requests lost", self.lost),
            ("instance-minutes", self.minutes),
        ]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{:>3.0} s {:>5.0} lost {:>5.1} min",
            self.over_limit, self.lost, self.minutes
        )
    }
}

/// Two periods in each figure: two runs of one group may differ by as much.
fn two_periods(group: &Group, report: &RunReport, truth: &Truth) -> Figures {
    let time = group.period().as_secs_f64() * PERIODS;
    let seconds = &report.load.as_ref().unwrap().seconds;
    let requests = || {
        seconds
            .iter()
            .map(|second| (second.ok + second.errors) as f64)
    };
    let peak = requests().fold(0.0, f64::max);
    let reaction = report.judged.as_ref().unwrap().reaction.as_ref();
    let before = f64::from(reaction.map_or(0, |reaction| reaction.desired_before));
    let excess = (peak - before * truth.capacity).max(0.0);
    Figures {
        over_limit: time,
        lost: (excess * time).max(requests().sum::<f64>() * FEW),
        minutes: before * time / 60.0,
    }
}

/// Returns the largest miss of the three, as a part of what is allowed, and the figure.
fn miss(predicted: Figures, actual: Figures, two_periods: Figures) -> (f64, &'static str) {
    let figures = predicted.all().into_iter().zip(actual.all());
    figures
        .zip(two_periods.all())
        .map(|(((what, predicted), (_, actual)), (_, allowed))| {
            let allowed = (actual * NEAR).max(allowed);
            ((predicted - actual).abs() / allowed, what)
        })
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .unwrap()
}

/// A recommendation, and the two runs around it.
struct Trial {
    change: String,
    /// The policies of the first run and of the second: each figure is of one of them.
    policies: [String; 2],
    confidence: Confidence,
    before: Figures,
    predicted: Figures,
    actual: Figures,
    two_periods: Figures,
}

impl Trial {
    fn miss(&self) -> (f64, &'static str) {
        miss(self.predicted, self.actual, self.two_periods)
    }

    /// Returns the policies of both runs in words.
    fn runs(&self) -> String {
        let [first, second] = &self.policies;
        format!("first run: {first}; second: {second}, with {}", self.change)
    }

    fn is_sure(&self) -> bool {
        self.confidence > Confidence::Low
    }

    fn is_harmful(&self) -> bool {
        let (before, after, some) = (self.before, self.actual, self.two_periods);
        let rose = |before: f64, after: f64, some: f64| after > before + some;
        let worse = rose(before.over_limit, after.over_limit, some.over_limit)
            || rose(before.lost, after.lost, some.lost);
        let quarter = |before: f64, after: f64| before > 0.0 && after <= before * (1.0 - NEAR);
        let better = rose(after.over_limit, before.over_limit, some.over_limit)
            || rose(after.lost, before.lost, some.lost)
            || quarter(before.over_limit, after.over_limit) && after.lost <= before.lost
            || quarter(before.lost, after.lost) && after.over_limit <= before.over_limit;
        let dearer = after.minutes > before.minutes * (1.0 + HARDLY);
        worse || dearer && !better
    }
}

/// The end of one group's trial.
enum Outcome {
    /// The policy that ran stays, so its own run shows what is predicted.
    Nothing {
        confidence: Confidence,
        before: Figures,
        predicted: Figures,
        two_periods: Figures,
    },
    /// No policy was replayed, for this reason.
    NoCandidates(String),
    /// The lab cannot make a change of this kind.
    NotApplied(String),
    Tried(Trial),
}

async fn outcome(group: &Group) -> Outcome {
    let (report, timeline, truth) = group.run(&group.lab).await;
    let Some(advice) = &report.advice else {
        return Outcome::NoCandidates("no advice".to_owned());
    };
    let is_tried = |one: &&ReportedCandidate| match &group.expect.tries {
        Some(wanted) => kind(&one.change) == *wanted,
        None => one.recommended,
    };
    let Some(best) = advice.candidates.iter().find(is_tried) else {
        return Outcome::NoCandidates(advice.no_candidates.clone().unwrap_or_default());
    };
    let limit = advice.limit.p95;
    let (confidence, predicted) = (confidence(advice), Figures::predicted(best));
    let before = Figures::measured(&report, &timeline, limit);
    if best.change == Change::Nothing {
        return Outcome::Nothing {
            confidence,
            before,
            predicted,
            two_periods: two_periods(group, &report, &truth),
        };
    }
    let mut changed = group.lab.clone();
    if let Err(kind) = apply(&best.change, &mut changed) {
        return Outcome::NotApplied(kind);
    }
    let (again, after, _) = group.run(&changed).await;
    Outcome::Tried(Trial {
        change: best.name.clone(),
        policies: [&timeline, &after].map(policy_names),
        confidence,
        before,
        predicted,
        actual: Figures::measured(&again, &after, limit),
        two_periods: two_periods(group, &report, &truth),
    })
}

/// Returns the names of a run's policies, each with the target that it tracks.
fn policy_names(timeline: &Timeline) -> String {
    let name = |policy: &Policy| match policy.target_value {
        Some(target) => format!("{} at {target}", policy.name),
        None => policy.name.clone(),
    };
    let names: Vec<String> = timeline.policies().into_iter().map(name).collect();
    names.join(" and ")
}

/// Returns the confidence of the recommendation.
fn confidence(advice: &ReportedAdvice) -> Confidence {
    let answer = advice.answers.iter().find(|one| one.topic == Topic::Change);
    answer.unwrap().confidence
}

/// Writes a change into the lab file; if the lab has no such setting, returns the change's kind.
fn apply(change: &Change, lab: &mut Value) -> Result<(), String> {
    let is_service = lab["target"]["service"] == true;
    match change {
        Change::Target { target } => track(*target, lab),
        Change::Step { threshold, add } => step_beside(*threshold, *add, lab),
        Change::Minimum { min } => {
            lab["target"]["min"] = json!(min);
            start_with(*min, lab);
        }
        Change::Maximum { max, with } => {
            lab["target"]["max"] = json!(max);
            if let Some(with) = with {
                apply(with, lab)?;
            }
        }
        Change::Period { period } => {
            let mut policies = policies(lab);
            for policy in &mut policies {
                policy["period"] = time(*period);
            }
            set_policies(policies, lab);
        }
        Change::WarmUp { warm_up } => {
            let mut policies = policies(lab);
            for policy in &mut policies {
                policy["warm_up"] = time(*warm_up);
            }
            set_policies(policies, lab);
            lab["target"]["no_warm_up"] = json!(false);
        }
        Change::WarmPool { boot } if !is_service => {
            lab["target"]["warm_pool"] = number(lab, "max", 8).into();
            lab["target"]["warm_pool_boot"] = time(*boot);
        }
        Change::Scheduled { from, until, min } if !is_service => {
            lab["group"]["scheduled"] =
                json!([{ "from": time(*from), "to": time(*until), "min": min }]);
            // A spike that comes too early for the action: the group is there when the load begins.
            if from.is_zero() {
                start_with(*min, lab);
            }
        }
        other => return Err(kind(other)),
    }
    Ok(())
}

/// Returns the id of a change, as the report has it.
fn kind(change: &Change) -> String {
    let change = serde_json::to_value(change).unwrap();
    change["kind"].as_str().unwrap().to_owned()
}

/// Gives target tracking another target. Where nothing tracks a target, target tracking with its
/// usual alarms replaces all policies.
fn track(target: f64, lab: &mut Value) {
    let mut policies = policies(lab);
    let lead = lead(&policies);
    let own = policies[lead].clone();
    // The lab file has the target of a count for a minute, and its alarms for a period.
    let target = match own["metric"].as_str() {
        Some("requests-per-target") => target * 60.0 / period(&own).as_secs_f64(),
        _ => target,
    };
    if tracks(&own) {
        policies[lead]["target_value"] = json!(target);
    } else {
        policies = vec![like(&own, json!({ "target_value": target }))];
    }
    set_policies(policies, lab);
}

/// Adds a step policy that fires on one datapoint of the lead's metric.
fn step_beside(threshold: f64, add: u32, lab: &mut Value) {
    let mut policies = policies(lab);
    let step = json!({
        "kind": "step", "above": threshold, "datapoints": 1, "steps": [{ "from": 0, "change": add }],
    });
    let own = policies[lead(&policies)].clone();
    policies.push(like(&own, step));
    set_policies(policies, lab);
}

/// Returns a policy with the metric, period and warm-up of another.
fn like(other: &Value, mut policy: Value) -> Value {
    for key in ["metric", "period", "warm_up"] {
        if let Some(value) = other.get(key) {
            policy[key] = value.clone();
        }
    }
    policy
}

fn policies(lab: &Value) -> Vec<Value> {
    match lab["policies"].as_array() {
        Some(policies) => policies.clone(),
        None => vec![lab.get("policy").cloned().unwrap_or_else(|| json!({}))],
    }
}

fn set_policies(policies: Vec<Value>, lab: &mut Value) {
    lab["policies"] = policies.into();
    lab.as_object_mut().unwrap().remove("policy");
}

/// Returns the policy that answers a rising load; target tracking comes before others.
fn lead(policies: &[Value]) -> usize {
    let out = |one: &Value| one.get("above").is_some();
    let found = policies.iter().position(tracks);
    found
        .or_else(|| policies.iter().position(out))
        .unwrap_or_default()
}

fn tracks(policy: &Value) -> bool {
    policy
        .get("kind")
        .is_none_or(|kind| kind == "target-tracking")
}

fn period(policy: &Value) -> Duration {
    let period = policy["period"].as_str();
    period.map_or(Duration::from_secs(1), |text| {
        units::parse_duration(text).unwrap()
    })
}

fn start_with(least: u32, lab: &mut Value) {
    let most = number(lab, "max", 8);
    let instances = number(lab, "instances", 2).max(least).min(most);
    lab["target"]["instances"] = instances.into();
}

/// Returns a count of the lab's target, or its default.
fn number(lab: &Value, key: &str, default: u32) -> u32 {
    lab["target"][key]
        .as_u64()
        .map_or(default, |found| u32::try_from(found).unwrap())
}

fn time(time: Duration) -> Value {
    format!("{}ms", time.as_millis()).into()
}

/// The count of all outcomes, and the bars that were missed.
#[derive(Default)]
struct Total {
    recommendations: usize,
    low: usize,
    nothing: usize,
    without: usize,
    not_applied: BTreeMap<String, usize>,
    harmful: usize,
    /// As a part of what is allowed, and of what; of advice that is not called low.
    worst: (f64, String),
    wrong: Vec<String>,
}

impl Total {
    fn count(&mut self, group: &Group, outcome: &Outcome) {
        let name = &group.name;
        match outcome {
            Outcome::Nothing {
                confidence,
                before,
                predicted,
                two_periods,
            } => {
                self.nothing += 1;
                let (sure, (miss, what)) =
                    (confidence.word(), miss(*predicted, *before, *two_periods));
                println!(
                    "{name:<28} {before} | {predicted} | {:23} | {sure:<6} nothing, miss {miss:.2} of what is allowed ({what})",
                    ""
                );
                if *confidence > Confidence::Low && miss > 1.0 {
                    self.wrong.push(format!(
                        "{name}: {what}: {predicted} predicted for the policy that ran, {before} measured, and confidence is {sure}"
                    ));
                }
            }
            Outcome::NoCandidates(why) => {
                self.without += 1;
                println!("{name:<28} no candidates: {why}");
            }
            Outcome::NotApplied(kind) => {
                *self.not_applied.entry(kind.clone()).or_default() += 1;
                println!("{name:<28} not applied: {kind}");
            }
            Outcome::Tried(trial) => self.tried(name, trial),
        }
        let recommended = match outcome {
            Outcome::Tried(trial) => Some(trial.runs()),
            Outcome::NotApplied(kind) => Some(format!("{kind} is recommended")),
            Outcome::Nothing { .. } | Outcome::NoCandidates(_) => None,
        };
        let tries = group.expect.tries.as_ref();
        if let Some(kind) = tries.filter(|_| !matches!(outcome, Outcome::Tried(_))) {
            self.wrong.push(format!("{name}: no {kind} was tried"));
        }
        if group.expect.no_change
            && let Some(recommended) = recommended
        {
            let about = &group.about;
            self.wrong.push(format!(
                "{name}: {about} needs no other policy ({recommended})"
            ));
        }
    }

    fn tried(&mut self, name: &str, trial: &Trial) {
        let (before, predicted, actual) = (trial.before, trial.predicted, trial.actual);
        let (miss, what) = trial.miss();
        println!(
            "{name:<28} {before} | {predicted} | {actual} | {:<6} {}, miss {miss:.2} of what is allowed ({what}){}",
            trial.confidence.word(),
            trial.change,
            if trial.is_harmful() { ", HARMFUL" } else { "" }
        );
        self.recommendations += 1;
        self.low += usize::from(!trial.is_sure());
        if trial.is_sure() && miss > self.worst.0 {
            self.worst = (miss, format!("{what} of {name}"));
        }
        if trial.is_sure() && miss > 1.0 {
            self.wrong.push(format!(
                "{name}: {what}: {predicted} predicted, {actual} measured, and confidence is {} ({})",
                trial.confidence.word(),
                trial.runs()
            ));
        }
        if trial.is_harmful() {
            self.harmful += 1;
            self.wrong.push(format!(
                "{name}: {} is harmful: {before} before, {actual} measured ({})",
                trial.change,
                trial.runs()
            ));
        }
    }

    fn line(&self) -> String {
        let not_applied: Vec<String> = self
            .not_applied
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        format!(
            "{} recommendations, worst miss {:.2} of what is allowed ({}), {} harmful; {} called low, {} times nothing, \
             {} without candidates, not applied: {}",
            self.recommendations,
            self.worst.0,
            self.worst.1,
            self.harmful,
            self.low,
            self.nothing,
            self.without,
            if not_applied.is_empty() {
                "0".to_owned()
            } else {
                not_applied.join(", ")
            }
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recommended_does_what_is_predicted() {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let wanted = std::env::var("SPIKEPROOF_ADVICE").unwrap_or_default();
    for group in groups(&wanted) {
        let slots = Arc::clone(&slots);
        running.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            let outcome = outcome(&group).await;
            (group, outcome)
        });
    }
    println!(
        "{:<28} {:<23} | {:<23} | {:<23} | confidence and change",
        "group", "before", "predicted", "actual"
    );
    let mut total = Total::default();
    while let Some(done) = running.join_next().await {
        let (group, outcome) = done.unwrap();
        total.count(&group, &outcome);
    }
    for wrong in &total.wrong {
        println!("  WRONG {wrong}");
    }
    println!("{}", total.line());
    assert!(total.wrong.is_empty(), "see above");
    let tried = total.recommendations;
    assert!(
        wanted != "all" || tried >= LEAST_RECOMMENDATIONS,
        "only {tried} recommendations were tried"
    );
}

#[test]
fn every_case_is_tried_with_all_others_by_its_name_and_by_its_path() {
    let all = groups("all");
    let cases: Vec<&str> = all
        .iter()
        .filter(|group| group.case.is_some())
        .map(|group| group.name.as_str())
        .collect();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_case = entry.path().is_dir();
        assert_eq!(cases.contains(&name.as_str()), is_case, "{name}");
    }
    let expected = [
        ("shared-database-target30", true),
        ("load-shedding", false),
        ("no-capacity", true),
    ];
    for (name, no_change) in expected {
        let named = groups(name);
        assert_eq!(named.len(), 1, "{name}");
        assert!(named[0].case.is_some(), "{name}");
        assert_eq!(named[0].expect.no_change, no_change, "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("shop");
    std::fs::create_dir(&own).unwrap();
    for file in ["lab.yaml", "scenario.yaml", "proxy.json"] {
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/cold-caches");
        std::fs::copy(case.join(file), own.join(file)).unwrap();
    }
    let found = groups(own.to_str().unwrap());
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].name.as_str(), found[0].about.as_str()),
        ("shop", "shop")
    );
    assert!(!found[0].expect.no_change);
    assert_eq!(found[0].case, own.canonicalize().ok());
    let sample: Vec<String> = groups("").into_iter().map(|group| group.name).collect();
    assert_eq!(sample, SAMPLE);
}

#[test]
fn a_change_is_written_into_the_lab_file_by_its_type() {
    let second = Duration::from_secs;
    let check = |lab: Value, change: Change, expected: Value| {
        let mut changed = lab.clone();
        apply(&change, &mut changed).unwrap();
        assert_eq!(changed, expected, "{change:?} of {lab}");
    };
    check(
        json!({ "target": { "max": 3 }, "policy": { "target_value": 50, "period": "2s" } }),
        Change::Maximum {
            max: 9,
            with: Some(Box::new(Change::Step {
                threshold: 75.0,
                add: 4,
            })),
        },
        json!({ "target": { "max": 9 }, "policies": [
            { "target_value": 50, "period": "2s" },
            { "kind": "step", "above": 75.0, "datapoints": 1, "steps": [{ "from": 0, "change": 4 }], "period": "2s" },
        ] }),
    );
    check(
        json!({ "policy": { "metric": "requests-per-target", "target_value": 3300 } }),
        Change::Target { target: 44.0 },
        json!({ "policies": [{ "metric": "requests-per-target", "target_value": 2640.0 }] }),
    );
    check(
        json!({ "policies": [
            { "kind": "step", "below": 20, "steps": [{ "to": 0, "change": -1 }] },
            { "kind": "simple", "above": 60, "change": 1, "warm_up": "6s" },
        ] }),
        Change::Target { target: 40.0 },
        json!({ "policies": [{ "target_value": 40.0, "warm_up": "6s" }] }),
    );
    check(
        json!({ "target": { "instances": 3 } }),
        Change::Minimum { min: 5 },
        json!({ "target": { "instances": 5, "min": 5 } }),
    );
    check(
        json!({ "target": { "boot_time": "10s" } }),
        Change::WarmPool {
            boot: Duration::from_millis(2500),
        },
        json!({ "target": { "boot_time": "10s", "warm_pool": 8, "warm_pool_boot": "2500ms" } }),
    );
    check(
        json!({ "target": {} }),
        Change::Scheduled {
            from: Duration::ZERO,
            until: second(20),
            min: 4,
        },
        json!({ "target": { "instances": 4 }, "group": { "scheduled": [{ "from": "0ms", "to": "20000ms", "min": 4 }] } }),
    );
    let mut service = json!({ "target": { "service": true } });
    let pool = Change::WarmPool { boot: second(1) };
    assert_eq!(apply(&pool, &mut service), Err("warm-pool".to_owned()));
}

#[test]
fn a_trial_is_harmful_if_it_is_worse_or_dearer_for_nothing() {
    let figures = |over_limit, lost, minutes| Figures {
        over_limit,
        lost,
        minutes,
    };
    let trial = |actual| Trial {
        change: String::new(),
        policies: [String::new(), String::new()],
        confidence: Confidence::High,
        before: figures(10.0, 300.0, 3.0),
        predicted: figures(5.0, 100.0, 3.5),
        actual,
        two_periods: figures(2.0, 160.0, 0.1),
    };
    for (actual, harmful) in [
        (figures(4.0, 90.0, 3.6), false),
        (figures(9.0, 200.0, 3.1), false),
        (figures(9.0, 240.0, 3.6), true),
        (figures(9.0, 200.0, 3.6), false),
        (figures(11.0, 200.0, 3.6), true),
        (figures(13.0, 300.0, 2.0), true),
        (figures(10.0, 500.0, 2.0), true),
        (figures(10.0, 100.0, 3.6), false),
    ] {
        assert_eq!(trial(actual).is_harmful(), harmful, "{actual:?}");
    }
    let (miss, what) = trial(figures(9.0, 150.0, 3.5)).miss();
    assert_eq!(what, "seconds over the limit");
    assert!((miss - 4.0 / 2.25).abs() < 1e-9, "{miss}");
}
