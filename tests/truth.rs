//! Groups whose every instant is known: a report on them must be true.
//!
//! Each file of `tests/truth` is a lab group, a load, and the report expected of the two. The lab
//! writes the true events, and the run's report is compared with them. Each timing must be within
//! one polling interval, each verdict and each piece of advice as expected. `SPIKEPROOF_TRUTH`:
//! `all`, a lab file of one's own, or names; without it, a few.
#![allow(
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests are tests, which clippy.toml cannot see; a story is told in one piece"
)]

#[path = "support/said.rs"]
mod said;
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use said::Standing;
use serde::Deserialize;
use spikeproof::evidence::{Launched, Left, MomentKind, Reaction, Sighting, Timeline};
use spikeproof::lab::truth::{Decided, InstanceTruth, Truth};
use spikeproof::outcome::Verdict;
use spikeproof::report::{Judged, Judgement, RunReport, words};
use spikeproof::verdict::Expectation;
use support::{lab, run, scenario};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Interval between two looks at the group while something changes.
const POLL: Duration = Duration::from_secs(2);
const POLL_SIGNED: jiff::SignedDuration = jiff::SignedDuration::from_secs(2);
/// Number of labs at once: each is under a load of a few hundred requests a second.
const AT_ONCE: usize = 7;
/// Enough to see that the machinery works; all of them take minutes.
const SAMPLE: [&str; 4] = [
    "fast",
    "errors-from-fresh-instances",
    "step-policy",
    "service",
];
/// A group of `tests/truth`.
type Case = support::Case<Expect>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expect {
    /// By the beginning of a judgement: its verdict; after a `:` the text that its reason must
    /// contain.
    verdicts: BTreeMap<String, String>,
    /// By the beginning of a question: the text that its answer must contain.
    advice: BTreeMap<String, String>,
    warnings: Vec<String>,
    /// Moments that the chain must have, in this order.
    chain: Vec<String>,
    /// Moments that the lab had and that cannot be seen from outside, by their names; all others
    /// must be reported.
    unseen: Vec<String>,
    /// The verdict on the whole run, whether the generators were late or not.
    overall: Option<String>,
    /// The model must agree with the group for this share of the seconds, and know an instance's
    /// capacity.
    agreement: Option<f64>,
    /// By the id of a hypothesis: its standing. One that is not listed does not hold.
    hypotheses: BTreeMap<String, Standing>,
    /// `nothing` that costs money, `something`, or the kind of the recommended change.
    recommends: Option<String>,
    /// Texts that the report must contain, such as AWS's own words.
    texts: Vec<String>,
}

struct Checked {
    name: String,
    verdicts: usize,
    wrong: Vec<String>,
    /// As a share of the polling interval, and of what.
    worst: (f64, String),
}

impl Checked {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            verdicts: 0,
            wrong: Vec::new(),
            worst: (0.0, String::new()),
        }
    }

    fn verdict(&mut self, holds: bool, what: impl FnOnce() -> String) {
        self.verdicts += 1;
        if !holds {
            self.wrong.push(what());
        }
    }

    /// Checks that a moment which could be seen was reported, and at the right time.
    fn timing(
        &mut self,
        what: &str,
        said: Option<(Timestamp, Duration)>,
        truth: Option<Timestamp>,
        watch: &Watch,
    ) {
        if let Some(truth) = truth.filter(|at| watch.sees(what, *at)) {
            self.verdict(said.is_some(), || {
                format!("{what}: was at {truth}, and is not said")
            });
        }
        self.exact(what, said, truth);
    }

    /// Checks a reported moment against the truth; `within` is the precision that the report
    /// claims.
    fn exact(&mut self, what: &str, said: Option<(Timestamp, Duration)>, truth: Option<Timestamp>) {
        let Some((said, within)) = said else { return };
        let Some(truth) = truth else {
            self.wrong
                .push(format!("{what}: said to be at {said}, and never was"));
            return;
        };
        let error = Duration::try_from(said.duration_since(truth).abs()).unwrap();
        let share = error.as_secs_f64() / within.max(POLL).as_secs_f64();
        if share > self.worst.0 {
            self.worst = (share, what.to_owned());
        }
        if share > 1.0 {
            self.wrong.push(format!(
                "{what}: {error:?} from the truth, where {within:?} is claimed"
            ));
        }
    }
}

/// The moments of the group that could be seen.
struct Watch {
    until: Timestamp,
    unseen: Vec<String>,
}

impl Watch {
    fn new(case: &Case, timeline: &Timeline) -> Self {
        let mut unseen = case.expect.unseen.clone();
        if case.without_header {
            unseen.push("first answer".to_owned());
        }
        let last = timeline.groups().next_back().map(|(at, _)| at).unwrap();
        // A change between two looks is seen by the second of them, and an answer may be as old as
        // one look.
        Self {
            until: last - POLL_SIGNED - POLL_SIGNED,
            unseen,
        }
    }

    fn sees(&self, what: &str, at: Timestamp) -> bool {
        at < self.until
            && !self
                .unseen
                .iter()
                .any(|unseen| what.ends_with(unseen.as_str()))
    }
}

/// One of an instance's true moments.
type Known = fn(&InstanceTruth) -> Option<Timestamp>;

/// Returns a moment if its state lasted long enough; a shorter one may lie between two looks.
fn lasting(from: Option<Timestamp>, until: Option<Timestamp>) -> Option<Timestamp> {
    let long = POLL_SIGNED + POLL_SIGNED;
    from.filter(|from| until.is_none_or(|until| until.duration_since(*from) > long))
}

fn seen(sighting: Option<Sighting>) -> Option<(Timestamp, Duration)> {
    sighting.map(|seen| (seen.at, seen.within))
}

fn check_times(
    checked: &mut Checked,
    reaction: &Reaction,
    truth: &Truth,
    started: Timestamp,
    watch: &Watch,
) {
    let moment = |kind: MomentKind| {
        reaction
            .out
            .iter()
            .chain(&reaction.back)
            .find(|one| one.kind == kind)
            .map(|one| (one.at, one.resolution))
    };
    let fired = |high: bool, from: Timestamp| {
        truth
            .alarms
            .iter()
            .find(|one| one.high == high && one.at >= from)
    };
    // The chain begins with the load's rise; where the group had grown before that, with the load.
    let rose = moment(MomentKind::LoadRose).map_or(started, |(rose, _)| rose);
    let fresh = || {
        let since = rose - jiff::SignedDuration::from_secs(1);
        truth
            .instances
            .iter()
            .filter(move |one| !one.from_the_start && one.launched >= since)
    };
    let first = |of: Known| fresh().filter_map(of).min();
    if let Some(first) = fired(true, rose) {
        checked.timing(
            "breach",
            moment(MomentKind::Breach),
            Some(first.breach),
            watch,
        );
        checked.timing("alarm", moment(MomentKind::Alarm), Some(first.at), watch);
    }
    let long = |of: Known| {
        fresh()
            .filter_map(move |one| lasting(of(one), one.draining))
            .min()
    };
    checked.timing(
        "launch began",
        moment(MomentKind::LaunchBegan),
        first(|one| Some(one.launched)),
        watch,
    );
    let by_header = reaction
        .launched
        .iter()
        .any(|one| one.first_answer.is_some());
    let answered: Known = if by_header {
        |one| one.first_answer
    } else {
        |one| one.healthy
    };
    let states: [(MomentKind, Known); 3] = [
        (MomentKind::InService, |one| one.in_service),
        (MomentKind::Healthy, |one| one.healthy),
        (MomentKind::FirstRequest, answered),
    ];
    for (kind, of) in states {
        match first(of) == long(of) {
            true => checked.timing(kind.name(), moment(kind), first(of), watch),
            false => checked.exact(kind.name(), moment(kind), first(of)),
        }
    }
    if let Some((dropped, _)) =
        moment(MomentKind::LoadFell).filter(|_| reaction.low_before.is_none())
    {
        checked.timing(
            "low alarm",
            moment(MomentKind::LowAlarm),
            fired(false, dropped).map(|one| one.at),
            watch,
        );
    }
    for known in truth
        .instances
        .iter()
        .filter(|one| !one.from_the_start && one.launched >= started)
    {
        let one = reaction.launched.iter().find(|one| one.id == known.id);
        let of = |sighting: fn(&Launched) -> Option<Sighting>| seen(one.and_then(sighting));
        checked.timing(
            "an instance's launch",
            of(|one| Some(one.launched)),
            Some(known.launched),
            watch,
        );
        for (what, said, truth) in [
            (
                "an instance in service",
                of(|one| one.in_service),
                known.in_service,
            ),
            ("an instance healthy", of(|one| one.healthy), known.healthy),
        ] {
            match lasting(truth, known.draining) {
                Some(_) => checked.timing(what, said, truth, watch),
                None => checked.exact(what, said, truth),
            }
        }
        let answered = one.and_then(|one| one.first_answer).map(|at| (at, POLL));
        checked.timing(
            "an instance's first answer",
            answered,
            known.first_answer,
            watch,
        );
    }
    for known in truth
        .instances
        .iter()
        .filter(|one| one.draining.is_some_and(|at| at >= started))
    {
        let one = reaction.left.iter().find(|one| one.id == known.id);
        let of = |sighting: fn(&Left) -> Option<Sighting>| seen(one.and_then(sighting));
        checked.timing(
            "an instance leaving",
            of(|one| Some(one.began)),
            known.draining,
            watch,
        );
        match lasting(known.draining, known.gone).filter(|_| known.healthy.is_some()) {
            Some(_) => checked.timing(
                "an instance draining",
                of(|one| one.draining),
                known.draining,
                watch,
            ),
            None => checked.exact(
                "an instance draining",
                of(|one| one.draining),
                known.draining,
            ),
        }
        checked.timing("an instance gone", of(|one| one.gone), known.gone, watch);
    }
    let ids = reaction
        .launched
        .iter()
        .map(|one| &one.id)
        .chain(reaction.left.iter().map(|one| &one.id));
    for id in ids {
        checked.verdict(truth.instances.iter().any(|known| known.id == *id), || {
            format!("{id} never was")
        });
    }
    for moments in [&reaction.out, &reaction.back]
        .into_iter()
        .chain(reaction.spikes.iter().map(|one| &one.out))
    {
        // A moment that is known to a poll or a period may lie that much before what it follows.
        let follows =
            |pair: &[spikeproof::evidence::Moment]| pair[1].at + pair[1].resolution >= pair[0].at;
        checked.verdict(moments.windows(2).all(follows), || {
            format!("the chain is out of order: {moments:?}")
        });
    }
    // The report must have every change of size with the instant of its decision, and no other.
    if !reaction.resized.is_empty() {
        // A decision to shrink that finds no instance to take away has no activity.
        let near = |at: Timestamp, known: Timestamp| at.duration_since(known).abs() < POLL_SIGNED;
        let took_away = |known: &Decided| {
            let mut ends = truth.instances.iter().filter_map(|one| one.draining);
            ends.any(|at| near(at, known.at))
        };
        let shows = |known: &&Decided| known.to > known.from || took_away(known);
        // What is decided between the last two looks at a group that is deleted is not seen.
        let seen = |one: &&Decided| one.at >= started && one.at < watch.until;
        let decisions = truth.decisions.iter().filter(seen);
        for known in decisions.filter(shows) {
            let said = reaction.resized.iter().find(|one| {
                (one.from, one.to) == (known.from, known.to)
                    && (one.at.duration_since(known.at)).abs() < POLL_SIGNED
            });
            checked.verdict(said.is_some(), || {
                format!("{} to {} at {} is not said", known.from, known.to, known.at)
            });
        }
    }
    let changes = truth
        .decisions
        .iter()
        .filter(|one| one.at >= started)
        .count();
    let grew = truth
        .decisions
        .iter()
        .any(|one| one.at >= started && one.to > one.from);
    // A schedule makes the group grow without a decision of a policy.
    let living = |at: Timestamp| {
        let lives = |one: &&InstanceTruth| {
            let mut ends = [one.draining, one.gone].into_iter().flatten();
            one.launched <= at && ends.all(|end| end > at)
        };
        truth.instances.iter().filter(lives).count()
    };
    let mut launches = truth.instances.iter().map(|one| one.launched);
    let is_larger = launches.any(|at| at >= started && living(at) > living(started));
    checked.verdict((grew || is_larger) == reaction.scaled_out(), || {
        format!(
            "{changes} decisions, and said to be {} -> {}",
            reaction.desired_before, reaction.desired_peak
        )
    });
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Inconclusive => "cannot tell",
    }
}

/// Returns the worst of all judgements but the one on the generators: this machine has other work
/// to do.
fn overall(judged: &Judged) -> Verdict {
    let validity = judged
        .validity
        .iter()
        .filter(|one| one.expectation != Expectation::GeneratorNotTheLimit);
    let all = validity.chain(&judged.thresholds).chain(&judged.scaling);
    all.map(|one| one.verdict).max().unwrap()
}

/// Checks the standings of the hypotheses and what follows from them, in the report as it is read.
fn check_causes(checked: &mut Checked, case: &Case, report: &RunReport) {
    let report = serde_json::to_value(report).unwrap();
    for (id, standing) in &case.expect.hypotheses {
        checked.verdict(standing.fits(&report, id), || {
            format!("{id} is not {standing:?}: {}", said::hypotheses(&report))
        });
    }
    let unexpected = said::unexpected(&report, &case.expect.hypotheses);
    // Nothing is expected of a lab file of one's own, whose name is its path.
    let is_own = Path::new(&checked.name).is_file();
    checked.verdict(is_own || unexpected.is_empty(), || {
        format!("holds, and is not listed: {}", unexpected.join(", "))
    });
    if let Some(expected) = &case.expect.recommends {
        checked.verdict(said::recommends(&report, expected), || {
            format!(
                "{expected} is not what is recommended: {}",
                said::recommendation(&report)
            )
        });
    }
    let all = report.to_string();
    for text in &case.expect.texts {
        checked.verdict(all.contains(text), || format!("`{text}` is not said"));
    }
}

fn check(
    name: &str,
    case: &Case,
    (report, timeline): (&RunReport, &Timeline),
    truth: &Truth,
) -> Checked {
    let mut checked = Checked::new(name);
    let judged = report.judged.as_ref().unwrap();
    let reaction = judged.reaction.clone().unwrap_or_default();
    check_times(
        &mut checked,
        &reaction,
        truth,
        report.started.unwrap(),
        &Watch::new(case, timeline),
    );
    let scaling = &judged.scaling;
    let listing = || {
        scaling
            .iter()
            .map(|one| {
                format!(
                    "\n    {}: {} ({}; {})",
                    one.asked,
                    word(one.verdict),
                    one.measured,
                    one.because
                )
            })
            .collect::<String>()
    };
    for (asked, expected) in &case.expect.verdicts {
        let (verdict, reason) = expected.split_once(": ").unwrap_or((expected, ""));
        let found = scaling
            .iter()
            .chain(&judged.validity)
            .find(|one| one.asked.starts_with(asked.as_str()));
        if verdict == "not said" {
            checked.verdict(found.is_none(), || format!("{asked} is said:{}", listing()));
            continue;
        }
        let fits = |one: &Judgement| word(one.verdict) == verdict && one.answer().contains(reason);
        checked.verdict(found.is_some_and(fits), || {
            format!("{asked} is not {expected}:{}", listing())
        });
    }
    if let Some(expected) = &case.expect.overall {
        checked.verdict(word(overall(judged)) == expected, || {
            format!("the run is not {expected}:{}", listing())
        });
    }
    check_causes(&mut checked, case, report);
    let advice = report.advice.as_ref();
    for (question, expected) in &case.expect.advice {
        let answers = || advice.iter().flat_map(|advice| &advice.answers);
        let found = answers().find(|one| one.question.starts_with(question.as_str()));
        checked.verdict(
            found.is_some_and(|one| one.answer.contains(expected.as_str())),
            || {
                let all: String = answers()
                    .map(|one| format!("\n    {} {}", one.question, one.answer))
                    .collect();
                format!("{question} is not answered with `{expected}`:{all}")
            },
        );
    }
    for expected in &case.expect.warnings {
        let there = report
            .warnings
            .iter()
            .any(|warning| warning.text.contains(expected.as_str()));
        checked.verdict(there, || {
            format!("no warning of `{expected}`: {:?}", report.warnings)
        });
    }
    if !case.expect.chain.is_empty() {
        let names: Vec<&str> = reaction
            .out
            .iter()
            .chain(&reaction.back)
            .map(|one| one.kind.name())
            .collect();
        checked.verdict(names == case.expect.chain, || {
            format!("the chain is {names:?}")
        });
    }
    if let Some(least) = case.expect.agreement {
        let share = advice
            .and_then(|advice| advice.agreement)
            .map_or(0.0, spikeproof::advice::Agreement::share);
        checked.verdict(share >= least, || {
            format!(
                "the model agrees for {share:.2} of the seconds ({:?})",
                advice.and_then(|one| one.no_candidates.clone())
            )
        });
        if let Some(agreement) = advice.and_then(|advice| advice.agreement) {
            checked.verdict(agreement.is_timely(), || words::agreement(agreement));
        }
        let capacity = advice.and_then(|advice| advice.capacity.clone());
        let near = capacity
            .as_ref()
            .is_some_and(|found| (found.at_limit / truth.capacity - 1.0).abs() < 0.25);
        checked.verdict(near, || {
            format!("an instance carries {}, not {capacity:?}", truth.capacity)
        });
    }
    checked
}

/// Fewest groups that use a world: one of them may have more than one reason for its report.
const LEAST_GROUPS_OF_A_WORLD: usize = 2;
const LEAST_GROUPS: usize = 70;

/// Returns the worlds of the lab's page: the keys of its file of optional parts, such as
/// `/target/backend` and `/traffic`, and their switches, such as `/target/connections/each`.
fn worlds() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lab.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, part) = page.split_once("\n### Optional parts\n").unwrap();
    let (_, file) = part.split_once("```yaml\n").unwrap();
    let (file, _) = file.split_once("```").unwrap();
    let file: BTreeMap<String, serde_json::Value> = serde_saphyr::from_str(file).unwrap();
    let mut worlds = Vec::new();
    for (section, value) in &file {
        match value.as_object() {
            Some(keys) => worlds.extend(keys.iter().flat_map(|(key, part)| {
                let world = format!("/{section}/{key}");
                [vec![world.clone()], switches(&world, part)].concat()
            })),
            None => worlds.push(format!("/{section}")),
        }
    }
    worlds
}

/// Returns the keys of a part that make another world of it, such as `shared: true`.
fn switches(world: &str, part: &serde_json::Value) -> Vec<String> {
    let keys = part.as_object().into_iter().flatten();
    let switched = keys.filter(|(_, value)| value.as_bool() == Some(true));
    switched.map(|(key, _)| format!("{world}/{key}")).collect()
}

#[test]
fn a_hypothesis_that_holds_must_be_listed() {
    let report = serde_json::json!({ "judged": { "hypotheses": [
        { "id": "too-few-instances", "standing": "holds" },
        { "id": "shared-bottleneck", "standing": "open" },
        { "id": "sick-instance", "standing": "holds" },
        { "id": "cold-instances", "standing": "excluded" },
        { "id": "strained-generator", "standing": "holds" },
    ] } });
    let check = |ids: &[&str], expected: &[&str]| {
        let listed = ids.iter().map(|id| ((*id).to_owned(), Standing::Any));
        let listed: BTreeMap<String, Standing> = listed.collect();
        assert_eq!(said::unexpected(&report, &listed), expected, "{ids:?}");
    };
    check(&[], &["too-few-instances", "sick-instance"]);
    check(
        &["shared-bottleneck", "too-few-instances"],
        &["sick-instance"],
    );
    check(&["sick-instance", "too-few-instances"], &[]);
    let fits = |standing: Standing| {
        [
            "too-few-instances",
            "shared-bottleneck",
            "cold-instances",
            "blind-metric",
        ]
        .map(|id| standing.fits(&report, id))
    };
    assert_eq!(fits(Standing::Possible), [true, true, false, false]);
    assert_eq!(fits(Standing::NotHolds), [false, true, true, true]);
}

#[test]
fn every_world_of_the_lab_has_groups_that_live_in_it() {
    let cases: Vec<(String, Case)> = support::cases("truth", "all", &[]);
    assert!(cases.len() >= LEAST_GROUPS, "{} groups", cases.len());
    let worlds = worlds();
    assert!(worlds.len() >= 19, "{worlds:?}");
    for world in worlds {
        let lives_there = |(_, case): &&(String, Case)| case.lab.pointer(&world).is_some();
        let groups: Vec<&String> = cases
            .iter()
            .filter(lives_there)
            .map(|(name, _)| name)
            .collect();
        assert!(
            groups.len() >= LEAST_GROUPS_OF_A_WORLD,
            "{world} has these groups only: {groups:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_group_is_true() {
    let wanted = std::env::var("SPIKEPROOF_TRUTH").unwrap_or_default();
    let cases: Vec<(String, Case)> = support::cases("truth", &wanted, &SAMPLE);
    assert!(!cases.is_empty(), "no case is called {wanted}");
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (name, case) in cases {
        let slots = Arc::clone(&slots);
        running.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            let (report, timeline, truth) = run(&name, &lab(&case), &scenario(&case), None).await;
            (
                check(&name, &case, (&report, &timeline), &truth),
                case.about,
            )
        });
    }
    let (mut groups, mut verdicts, mut wrong, mut worst) = (0, 0, 0, (0.0, String::new()));
    while let Some(done) = running.join_next().await {
        let (checked, about) = done.unwrap();
        let (share, of) = &checked.worst;
        println!(
            "{}: {} verdicts, {} wrong, worst timing error {share:.2} of a polling interval ({of})  {about}",
            checked.name,
            checked.verdicts,
            checked.wrong.len()
        );
        for line in &checked.wrong {
            println!("  WRONG {line}");
        }
        groups += 1;
        verdicts += checked.verdicts;
        wrong += checked.wrong.len();
        if *share > worst.0 {
            worst = (*share, format!("{} of {}", of, checked.name));
        }
    }
    println!(
        "{groups} groups, {verdicts} verdicts, {wrong} wrong, worst timing error {:.2} of a polling interval",
        worst.0
    );
    assert_eq!(wrong, 0, "see above");
}
