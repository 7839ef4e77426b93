//! Turns the tree into a [`Scenario`], or into all its problems.

use super::fields::SCENARIO;
use super::grammar::{self, Names};
use super::node::{self, Node, Value};
use super::reader::{Members, Reader};
use super::{Flow, Model, Problem, Read, Scenario, Surroundings};
use super::{fleet, flows, phases, scaling, target};

pub fn read(text: &str, surroundings: &Surroundings) -> Result<Read, Vec<Problem>> {
    let root = node::parse(text).map_err(|problem| vec![problem])?;
    let mut reader = Reader::new(text, surroundings);
    let scenario = scenario(&mut reader, &root);
    let mut problems = reader.problems;
    problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
    match scenario {
        Some(scenario) if problems.is_empty() => Ok(Read { scenario, used: reader.used }),
        _ => Err(problems),
    }
}

/// The scenario is complete only when nothing was reported.
fn scenario(reader: &mut Reader<'_>, root: &Node) -> Option<Scenario> {
    if !matches!(root.value, Value::Map(_)) {
        let problem = Problem::new(root.place(), format!("a scenario is a map, but this is {}", root.kind()));
        reader.report(problem.help("begin with `name`, `target`, `phases` and `flows`"));
        return None;
    }
    let members = reader.members(root, &SCENARIO);
    let name = members.get("name").and_then(|node| reader.name(node));
    let replacement = reader.url_option();
    let target = target::read(reader, members.entry("target"), replacement);
    let (model, phases) = match members.get("phases") {
        Some(node) => phases::read(reader, node),
        None => (Model::Users, Vec::new()),
    };
    let flows = flows::read(reader, &members, name.as_deref().unwrap_or_default());
    report_ambiguous_names(reader, &members, &flows);
    let names = Names::of(&phases, &flows);
    let thresholds = members.get("thresholds").map(|node| grammar::read(reader, node, &names)).unwrap_or_default();
    let scaling = scaling::read(reader, members.entry("scaling"), target.as_ref());
    let fleet = fleet::read(reader, members.entry("fleet"));
    let budget = members.get("budget").and_then(|node| fleet::budget(reader, node));
    Some(Scenario { name: name?, target: target?, model, phases, flows, thresholds, scaling, fleet, budget })
}

/// `p95 of checkout` must mean one thing.
fn report_ambiguous_names(reader: &mut Reader<'_>, members: &Members<'_>, flows: &[Flow]) {
    let Some(place) = members.entry("flows").map(|entry| entry.key_span.clone()) else { return };
    for step in flows.iter().flat_map(|flow| &flow.steps) {
        if flows.iter().any(|flow| flow.name == step.name) {
            let problem = Problem::new(place.clone(), format!("`{}` names both a flow and a step", step.name));
            reader.report(problem.help("thresholds say `of NAME`: give the step another name"));
        }
    }
}
