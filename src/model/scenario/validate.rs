//! Turns the tree into a [`Scenario`], or into all its problems.

use std::collections::{BTreeSet, HashSet};

use super::fields::SCENARIO;
use super::grammar::{self, KnownNames};
use super::names::Tables;
use super::node::{self, Node, NodeValue};
use super::phases::Common;
use super::reader::{Members, Reader};
use super::{
    Division, Flow, Problem, Read, ReadFile, Scenario, Substitutions, Threshold, ThresholdMetric,
};
use super::{data, fleet, flows, phases, scaling, target};

pub(super) fn read(
    text: &str,
    substitutions: &Substitutions,
    open: ReadFile<'_>,
) -> Result<Read, Vec<Problem>> {
    let root = node::parse(text).map_err(|problem| vec![problem])?;
    let mut reader = Reader::new(text, substitutions, open);
    let scenario = scenario(&mut reader, &root);
    reader.report_secrets_in_the_clear();
    let mut problems = std::mem::take(&mut reader.problems);
    problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
    match scenario {
        Some(scenario) if problems.is_empty() => {
            let Reader {
                used,
                secrets,
                files,
                file_uses,
                ..
            } = reader;
            let mut divisible: BTreeSet<String> = scenario
                .data
                .iter()
                .filter(|data| data.division == Division::OverRun)
                .map(|data| data.file.clone())
                .collect();
            divisible.retain(|name| file_uses.get(name) == Some(&1));
            Ok(Read {
                scenario,
                used,
                secrets,
                files,
                divisible,
            })
        }
        _ => Err(problems),
    }
}

/// Reads the scenario; it is complete only if nothing was reported.
fn scenario(reader: &mut Reader<'_>, root: &Node) -> Option<Scenario> {
    if !matches!(root.value, NodeValue::Map(_)) {
        let problem = Problem::new(
            root.place(),
            format!("a scenario is a map, but this is {}", root.kind()),
        );
        reader.report(problem.help("begin with `name`, `target`, `phases` and `flows`"));
        return None;
    }
    let members = reader.members(root, &SCENARIO);
    let name = members.get("name").and_then(|node| reader.name(node));
    let replacement = reader.url_option();
    let data = data::read(reader, members.entry("data"));
    let target = target::read(
        reader,
        members.entry("target"),
        members.entry("connection"),
        replacement,
        &data,
    );
    let common = Common::read(reader, &members);
    let phases = members
        .get("phases")
        .map(|node| phases::read(reader, node, &common))
        .unwrap_or_default();
    let tables = Tables::of(&data);
    let flows = flows::read(
        reader,
        &members,
        name.as_deref().unwrap_or_default(),
        &tables,
    );
    report_ambiguous_names(reader, &members, &flows);
    let names = KnownNames::of(&phases, &flows);
    let thresholds = members
        .get("thresholds")
        .map(|node| grammar::read(reader, node, &names))
        .unwrap_or_default();
    report_checks_without_any(reader, &members, &thresholds, &flows);
    let scaling = scaling::read(reader, members.entry("scaling"), target.as_ref());
    let fleet = fleet::read(reader, members.entry("fleet"));
    let budget = members
        .get("budget")
        .and_then(|node| fleet::budget(reader, node));
    let seed = members
        .get("seed")
        .and_then(|node| reader.number(node, "a whole number", "seed: 42"));
    Some(Scenario {
        name: name?,
        target: target?,
        phases,
        flows,
        data,
        seed,
        thresholds,
        scaling,
        fleet,
        budget,
    })
}

/// Reports a threshold on checks where there is none: a share of nothing would never be known.
fn report_checks_without_any(
    reader: &mut Reader<'_>,
    members: &Members<'_>,
    thresholds: &[Threshold],
    flows: &[Flow],
) {
    let Some(Node {
        value: NodeValue::List(items),
        ..
    }) = members.get("thresholds")
    else {
        return;
    };
    let any = flows.is_empty()
        || flows
            .iter()
            .flat_map(|flow| &flow.steps)
            .any(|step| !step.checks.is_empty());
    let asked = thresholds
        .iter()
        .any(|threshold| threshold.metric == ThresholdMetric::Checks);
    let place = items.iter().find(
        |item| matches!(&item.value, NodeValue::Text(text) if text.trim_start().starts_with("checks")),
    );
    if let (false, true, Some(place)) = (any, asked, place) {
        let problem = Problem::new(
            place.span.clone(),
            "no step has a check that could pass or fail",
        );
        reader.report(problem.help("add `check: { status: 200 }` to a step, or use `errors <`"));
    }
}

/// Reports ambiguous names: `p95 of checkout` must mean one thing.
fn report_ambiguous_names(reader: &mut Reader<'_>, members: &Members<'_>, flows: &[Flow]) {
    let Some(place) = members.entry("flows").map(|entry| entry.key_span.clone()) else {
        return;
    };
    let names: HashSet<&str> = flows.iter().map(|flow| flow.name.as_str()).collect();
    let mut said = HashSet::new();
    for step in flows.iter().flat_map(|flow| &flow.steps) {
        if let Some(group) = step
            .group
            .as_deref()
            .filter(|group| names.contains(group) && said.insert(*group))
        {
            let problem = Problem::new(
                place.clone(),
                format!("`{group}` names both a flow and a group"),
            );
            reader.report(problem);
        }
        if names.contains(step.name.as_str()) {
            let problem = Problem::new(
                place.clone(),
                format!("`{}` names both a flow and a step", step.name),
            );
            reader.report(problem.help("thresholds say `of NAME`: give the step another name"));
        }
    }
}
