//! The load over time, and what each stretch of it is for.

use std::ops::Range;
use std::time::Duration;

use super::fields::PHASE;
use super::node::Node;
use super::reader::{Members, Reader, closest};
use super::{LoadPhase, Model, PhaseRole, Problem};

/// More sessions or iterations per second than a fleet of 500 tasks can make.
const HIGHEST: f64 = 10_000_000.0;

/// Long enough for any page, short enough for a CI job.
const GRACE: Duration = Duration::from_secs(30);

/// Settings that apply to all phases.
pub(super) struct Common {
    pub mixed_models: bool,
    pub grace: Duration,
}

impl Common {
    pub(super) fn read(reader: &mut Reader<'_>, members: &Members<'_>) -> Self {
        Self {
            mixed_models: members
                .get("mixed_models")
                .and_then(|node| reader.boolean(node))
                .unwrap_or(false),
            grace: members
                .get("grace")
                .and_then(|node| reader.duration(node))
                .unwrap_or(GRACE),
        }
    }
}

/// A phase whose role may still have to be inferred.
struct PhaseDraft {
    name: String,
    model: Model,
    grace: Duration,
    burst: bool,
    level: f64,
    ramp: Duration,
    hold: Duration,
    role: Option<PhaseRole>,
}

/// Returns the phases; of faulty ones at least their names.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, common: &Common) -> Vec<LoadPhase> {
    let before = reader.problems.len();
    let items = reader.items(node, "phases", "{ name: sustained, users: 500, hold: 10m }");
    let mut model = None;
    let mut drafts: Vec<PhaseDraft> = Vec::new();
    for item in items {
        let members = reader.members(item, &PHASE);
        let name = name(reader, &members, &drafts, items.len());
        let level = level(reader, &members, &mut model, common.mixed_models);
        let (ramp, hold) = times(reader, &members);
        let role = members.get("role").and_then(|node| role(reader, node));
        let grace = members
            .get("grace")
            .and_then(|node| reader.duration(node))
            .unwrap_or(common.grace);
        let burst = members
            .get("burst")
            .and_then(|node| reader.boolean(node))
            .unwrap_or(false);
        let (model, level) = level.unwrap_or((Model::Users, 0.0));
        if let (true, Model::Rate, Some(entry)) = (burst, model, members.entry("burst")) {
            let problem = Problem::new(entry.key_span.clone(), "only sessions start in a burst");
            reader.report(problem.help("a `rate` starts iterations evenly; leave `burst` out"));
        }
        drafts.push(PhaseDraft {
            name,
            model,
            grace,
            burst,
            level,
            ramp,
            hold,
            role,
        });
    }
    if reader.problems.len() == before && drafts.iter().all(|draft| draft.level == 0.0) {
        let problem = Problem::new(node.place(), "no phase has any load");
        reader.report(problem.help("give at least one phase a level above 0, like `users: 500`"));
    }
    with_roles(drafts)
}

fn name(
    reader: &mut Reader<'_>,
    members: &Members<'_>,
    before: &[PhaseDraft],
    count: usize,
) -> String {
    let Some(node) = members.get("name") else {
        if count > 1 && members.entry("name").is_none() {
            let problem = Problem::new(
                members.place(),
                "a phase needs a `name` when there is more than one",
            );
            reader.report(problem.help("like `name: spike`: thresholds and reports use it"));
            return String::new();
        }
        return "load".to_owned();
    };
    let name = reader.name(node).unwrap_or_default();
    if !name.is_empty() && before.iter().any(|draft| draft.name == name) {
        let problem = Problem::new(node.span.clone(), "this name belongs to an earlier phase");
        reader.report(problem.help("thresholds say `in NAME`: give each phase a name of its own"));
    }
    name
}

fn level(
    reader: &mut Reader<'_>,
    members: &Members<'_>,
    model: &mut Option<Model>,
    mixed: bool,
) -> Option<(Model, f64)> {
    let (own, node) = match (members.entry("users"), members.entry("rate")) {
        (Some(users), None) => (Model::Users, users),
        (None, Some(rate)) => (Model::Rate, rate),
        (Some(_), Some(rate)) => {
            let problem = Problem::new(
                rate.key_span.clone(),
                "a phase has `users` or `rate`, not both",
            );
            reader.report(problem.help(
                "`users` wait for their answers; `rate` starts iterations whatever the target does",
            ));
            return None;
        }
        (None, None) => {
            let problem = Problem::new(members.place(), "a phase needs a level: `users` or `rate`");
            reader.report(problem.help(
                "`users: 500` for waiting users, or `rate: 200/s` for iterations per second",
            ));
            return None;
        }
    };
    let model = *model.get_or_insert(own);
    if model != own && !mixed {
        let problem = Problem::new(node.key_span.clone(), "the phases mix `users` and `rate`");
        let first = if model == Model::Users {
            "users"
        } else {
            "rate"
        };
        let help = format!(
            "write `{first}` in every phase, or `mixed_models: true` at the top if both are meant"
        );
        reader.report(
            problem
                .label(format!("the first phase has `{first}`"))
                .help(help),
        );
    }
    let level = match own {
        Model::Users => users(reader, &node.node)?,
        Model::Rate => rate(reader, &node.node)?,
    };
    if level > HIGHEST {
        reader.report(
            Problem::new(
                node.node.span.clone(),
                "this is more than any fleet can make",
            )
            .help("at most 10000000"),
        );
    }
    Some((own, level))
}

fn users(reader: &mut Reader<'_>, node: &Node) -> Option<f64> {
    reader
        .number::<u32>(node, "a whole number of users", "users: 500")
        .map(f64::from)
}

fn rate(reader: &mut Reader<'_>, node: &Node) -> Option<f64> {
    let text = reader.text(node)?;
    match parse_rate(&text.value) {
        Ok(rate) => Some(rate),
        Err((message, help)) => {
            reader.report(text.refuse("a rate", message, help));
            None
        }
    }
}

/// Reads `200/s` and `12000/min` as a rate per second.
pub fn parse_rate(text: &str) -> Result<f64, (String, String)> {
    const FORM: &str = "write it like `200/s` or `12000/min`";
    let (number, unit) = text
        .split_once('/')
        .map_or((text, None), |(number, unit)| (number, Some(unit.trim())));
    let number = number.trim();
    let amount = number
        .parse::<f64>()
        .ok()
        .filter(|amount| amount.is_finite() && *amount >= 0.0);
    let Some(amount) = amount else {
        return Err((format!("`{text}` is not a rate"), FORM.to_owned()));
    };
    match unit {
        Some("s") => Ok(amount),
        Some("min") => Ok(amount / 60.0),
        Some(unit) if unit.starts_with('s') => Err((
            format!("`{unit}` is not a unit of a rate"),
            format!("write `{number}/s`"),
        )),
        Some(unit) if unit.starts_with('m') => Err((
            format!("`{unit}` is not a unit of a rate"),
            format!("write `{number}/min` for minutes"),
        )),
        Some(unit) => Err((format!("`{unit}` is not a unit of a rate"), FORM.to_owned())),
        None => Err((
            format!("`{text}` has no unit"),
            format!("write `{number}/s` for per second or `{number}/min` for per minute"),
        )),
    }
}

fn times(reader: &mut Reader<'_>, members: &Members<'_>) -> (Duration, Duration) {
    let (ramp, hold) = (members.get("ramp"), members.get("hold"));
    let mut faulty = false;
    let mut time = |node: Option<&Node>| {
        let read = node.map(|node| reader.duration(node));
        faulty |= read == Some(None);
        read.flatten().unwrap_or_default()
    };
    let (ramp, hold) = (time(ramp), time(hold));
    if !faulty && ramp.is_zero() && hold.is_zero() {
        let problem = Problem::new(place_of_times(members), "this phase takes no time");
        reader.report(
            problem.help("give it `hold: 1m` (time to stay) or `ramp: 30s` (time to get there)"),
        );
    }
    (ramp, hold)
}

fn place_of_times(members: &Members<'_>) -> Range<usize> {
    let times = members.get("hold").or_else(|| members.get("ramp"));
    times.map_or_else(|| members.place(), |node| node.span.clone())
}

fn role(reader: &mut Reader<'_>, node: &Node) -> Option<PhaseRole> {
    const ROLES: [PhaseRole; 5] = [
        PhaseRole::WarmUp,
        PhaseRole::Baseline,
        PhaseRole::Spike,
        PhaseRole::Recovery,
        PhaseRole::CoolDown,
    ];
    let text = reader.text(node)?;
    let found = ROLES.into_iter().find(|role| role.word() == text.value);
    if found.is_none() {
        let words = ROLES.map(PhaseRole::word);
        let help = closest(&text.value, words).map_or_else(
            || format!("it is one of `{}`", words.join("`, `")),
            |word| format!("did you mean `{word}`?"),
        );
        let message = text.said(format!("`{}` is not a role", text.value), "a role");
        reader.report(Problem::new(text.span.clone(), message).help(help));
    }
    found
}

fn with_roles(drafts: Vec<PhaseDraft>) -> Vec<LoadPhase> {
    let shapes: Vec<PhaseShape> = drafts
        .iter()
        .map(|draft| PhaseShape {
            level: draft.level,
            holds: !draft.hold.is_zero(),
        })
        .collect();
    let roles = infer_roles(&shapes);
    let phase = |(draft, inferred): (PhaseDraft, PhaseRole)| LoadPhase {
        name: draft.name,
        model: draft.model,
        level: draft.level,
        ramp: draft.ramp,
        hold: draft.hold,
        role: draft.role.unwrap_or(inferred),
        grace: draft.grace,
        burst: draft.burst,
    };
    drafts.into_iter().zip(roles).map(phase).collect()
}

/// The properties of a phase that decide its role.
#[derive(Debug, Clone, Copy)]
struct PhaseShape {
    level: f64,
    holds: bool,
}

/// Infers the roles by the rule on [`PhaseRole`].
fn infer_roles(shapes: &[PhaseShape]) -> Vec<PhaseRole> {
    let peak = shapes.iter().map(|shape| shape.level).fold(0.0, f64::max);
    let first_peak = shapes
        .iter()
        .position(|shape| shape.level == peak)
        .unwrap_or_default();
    let cools_down = |place: usize| shapes[place].level == 0.0 && place > first_peak;
    let flat = (0..shapes.len()).all(|place| shapes[place].level == peak || cools_down(place));
    let infer = |place: usize| {
        let PhaseShape { level, holds } = shapes[place];
        let only_ramps_to_the_next = shapes
            .get(1)
            .is_some_and(|next| level < peak || next.level == level);
        match () {
            () if cools_down(place) => PhaseRole::CoolDown,
            () if place == 0 && !holds && only_ramps_to_the_next => PhaseRole::WarmUp,
            () if flat => PhaseRole::Baseline,
            () if level == peak => PhaseRole::Spike,
            () if place < first_peak => PhaseRole::Baseline,
            () => PhaseRole::Recovery,
        }
    };
    (0..shapes.len()).map(infer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_follow_from_levels() {
        use PhaseRole::{Baseline as B, CoolDown as C, Recovery as R, Spike as S, WarmUp as W};
        let check = |shapes: &[(f64, bool)], wanted: &[PhaseRole]| {
            let shapes: Vec<PhaseShape> = shapes
                .iter()
                .map(|&(level, holds)| PhaseShape { level, holds })
                .collect();
            assert_eq!(infer_roles(&shapes), wanted, "{shapes:?}");
        };
        let (hold, ramp) = (true, false);
        check(
            &[
                (100.0, ramp),
                (500.0, hold),
                (2000.0, hold),
                (500.0, hold),
                (0.0, ramp),
            ],
            &[W, B, S, R, C],
        );
        check(&[(50.0, hold)], &[B]);
        check(&[(50.0, ramp)], &[B]);
        check(&[(50.0, hold), (50.0, hold)], &[B, B]);
        // A ramp to the level that is then held.
        check(&[(50.0, ramp), (50.0, hold), (0.0, ramp)], &[W, B, C]);
        // Steps: the last and highest is the spike.
        check(&[(100.0, hold), (200.0, hold), (400.0, hold)], &[B, B, S]);
        check(&[(100.0, ramp), (400.0, hold)], &[W, S]);
        // Out of nothing, and back.
        check(&[(0.0, hold), (500.0, hold), (0.0, hold)], &[B, S, C]);
        // Two spikes, and a spike in two phases.
        check(
            &[
                (10.0, hold),
                (90.0, hold),
                (10.0, hold),
                (90.0, hold),
                (10.0, hold),
            ],
            &[B, S, R, S, R],
        );
        check(
            &[(10.0, hold), (90.0, ramp), (90.0, hold), (20.0, hold)],
            &[B, S, S, R],
        );
        check(&[(90.0, hold), (10.0, hold)], &[S, R]);
    }

    #[test]
    fn rates_are_read_per_second() {
        for (text, rate) in [
            ("200/s", 200.0),
            ("12000/min", 200.0),
            ("0.5 / s", 0.5),
            ("0/s", 0.0),
        ] {
            assert_eq!(parse_rate(text), Ok(rate), "{text}");
        }
        for (text, help) in [
            (
                "200",
                "write `200/s` for per second or `200/min` for per minute",
            ),
            ("200/sec", "write `200/s`"),
            ("200/m", "write `200/min` for minutes"),
            ("200/h", "write it like `200/s` or `12000/min`"),
            ("-1/s", "write it like `200/s` or `12000/min`"),
            ("inf/s", "write it like `200/s` or `12000/min`"),
            ("fast", "write it like `200/s` or `12000/min`"),
        ] {
            assert_eq!(parse_rate(text).unwrap_err().1, help, "{text}");
        }
    }
}
