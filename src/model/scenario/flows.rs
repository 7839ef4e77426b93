//! The behavior of users: flows of steps, in order, repeated, or under a condition.

use std::collections::HashSet;
use std::ops::Range;

use super::fields::{AUTH, BASIC, FLOW, STEP};
use super::names::{Names, Tables};
use super::node::{Entry, Node, NodeValue};
use super::reader::{Members, Reader};
use super::template::{Escape, Expression, Segment, Template, TemplateScope};
use super::{Action, Block, Flow, Method, Problem, Step, Think};
use super::{body, capture, check, condition, path, think, whole};

const STEP_EXAMPLE: &str = "{ get: /api/products }";
/// Steps of one flow, each with results of its own: more would hide what is measured, and fill the
/// memory.
const MOST_STEPS: usize = 200;
/// Blocks within blocks.
const DEEPEST: usize = 8;

/// Reads `flows`, or `steps` as one flow with the scenario's name.
pub(super) fn read(
    reader: &mut Reader<'_>,
    members: &Members<'_>,
    scenario: &str,
    data: &Tables<'_>,
) -> Vec<Flow> {
    match (members.entry("flows"), members.entry("steps")) {
        (Some(flows), None) => read_flows(reader, &flows.node, data),
        (None, Some(only)) => {
            let mut flow = FlowDraft::new(data);
            let body = flow.block(reader, &only.node, 0);
            vec![flow.finish(reader, scenario.to_owned(), 1.0, Block::default(), body)]
        }
        (Some(_), Some(steps)) => {
            let problem = Problem::new(
                steps.key_span.clone(),
                "a scenario has `flows` or `steps`, not both",
            );
            reader.report(
                problem.help("`steps` is short for a single flow: move them into one of the flows"),
            );
            Vec::new()
        }
        (None, None) => {
            let problem = Problem::new(members.place(), "a scenario needs `flows`");
            reader
                .report(problem.help(format!("what users do, at least `steps: [{STEP_EXAMPLE}]`")));
            Vec::new()
        }
    }
}

fn read_flows(reader: &mut Reader<'_>, node: &Node, data: &Tables<'_>) -> Vec<Flow> {
    let (mut flows, mut names): (Vec<Flow>, _) = (Vec::new(), HashSet::new());
    for item in reader.items(node, "flows", "{ name: browse, steps: [{ get: / }] }") {
        let members = reader.members(item, &FLOW);
        let name = members
            .get("name")
            .and_then(|node| reader.name(node))
            .unwrap_or_default();
        if !name.is_empty() && !names.insert(name.clone()) {
            let problem = Problem::new(
                place(&members, "name"),
                "this name belongs to an earlier flow",
            );
            reader
                .report(problem.help("thresholds say `of NAME`: give each flow a name of its own"));
        }
        flows.push(flow(reader, &members, name, data));
    }
    flows
}

fn flow(reader: &mut Reader<'_>, members: &Members<'_>, name: String, data: &Tables<'_>) -> Flow {
    let weight = members
        .get("weight")
        .map_or(Some(1.0), |node| weight(reader, node))
        .unwrap_or(1.0);
    let mut draft = FlowDraft::new(data);
    let setup = members
        .get("setup")
        .map(|node| draft.block(reader, node, 0))
        .unwrap_or_default();
    draft.lasting = draft.variables.all().len() as u16;
    // Headers that the flow sends with every step may use the values that its setup captured.
    draft.headers = headers(reader, members, &draft.known());
    let body = members
        .get("steps")
        .map(|node| draft.block(reader, node, 0))
        .unwrap_or_default();
    let mut flow = draft.finish(reader, name, weight, setup, body);
    flow.think = members
        .get("think")
        .and_then(|node| think::read(reader, node))
        .unwrap_or(Think::None);
    flow.pace = members
        .get("pace")
        .and_then(|node| reader.positive_duration(node));
    flow
}

fn place(members: &Members<'_>, name: &str) -> std::ops::Range<usize> {
    members
        .get(name)
        .map_or_else(|| members.place(), |node| node.span.clone())
}

fn weight(reader: &mut Reader<'_>, node: &Node) -> Option<f64> {
    let weight: f64 = reader.number(node, "a weight", "weight: 70")?;
    if !(weight > 0.0 && weight <= 1e6) {
        reader.report(
            Problem::new(node.span.clone(), "a weight is above 0")
                .help("leave the flow out to never pick it"),
        );
    }
    Some(weight)
}

/// A flow while it is read: what is known grows with each step.
struct FlowDraft<'d> {
    data: &'d Tables<'d>,
    steps: Vec<Step>,
    variables: Names,
    lasting: u16,
    headers: Vec<(String, Template)>,
    groups: Vec<String>,
    /// Where the path of each step stands.
    paths: Vec<Range<usize>>,
}

impl<'d> FlowDraft<'d> {
    fn new(data: &'d Tables<'d>) -> Self {
        Self {
            data,
            steps: Vec::new(),
            variables: Names::default(),
            lasting: 0,
            headers: Vec::new(),
            groups: Vec::new(),
            paths: Vec::new(),
        }
    }

    fn known(&self) -> TemplateScope<'_> {
        TemplateScope {
            variables: &self.variables,
            data: self.data,
        }
    }

    fn finish(
        self,
        reader: &mut Reader<'_>,
        name: String,
        weight: f64,
        setup: Block,
        body: Block,
    ) -> Flow {
        let Self {
            steps,
            variables,
            lasting,
            paths,
            data,
            ..
        } = self;
        let flow = Flow {
            name,
            weight,
            think: Think::None,
            pace: None,
            setup,
            body,
            steps,
            variables: variables.into_all(),
            lasting,
        };
        whole::report(reader, &flow, data, &paths);
        flow
    }

    fn block(&mut self, reader: &mut Reader<'_>, node: &Node, depth: usize) -> Block {
        if depth > DEEPEST {
            let problem = Problem::new(
                node.place(),
                format!("steps are nested more than {DEEPEST} deep"),
            );
            reader.report(problem.help("move the inner steps out, or into a flow of their own"));
            return Block::default();
        }
        let items = reader.items(node, "steps", STEP_EXAMPLE);
        let actions = items
            .iter()
            .filter_map(|item| self.action(reader, item, depth))
            .collect();
        Block {
            condition: None,
            repeat: 1,
            actions,
        }
    }

    /// Reads a request, or a block of steps; either may be repeated or under a condition.
    fn action(&mut self, reader: &mut Reader<'_>, item: &Node, depth: usize) -> Option<Action> {
        let members = reader.members(item, &STEP);
        let condition = members
            .get("if")
            .and_then(|node| condition::read(reader, node, &self.known()));
        let repeat = members
            .get("repeat")
            .and_then(|node| repeat(reader, node))
            .unwrap_or(1);
        let group = members.get("group").and_then(|node| reader.name(node));
        let own = match members.entry("steps") {
            Some(steps) => {
                Self::refuse_request_keys(reader, &members);
                self.groups.extend(group.clone());
                let block = self.block(reader, &steps.node, depth + 1);
                if group.is_some() {
                    self.groups.pop();
                }
                Action::Block(Block {
                    condition: None,
                    repeat: 1,
                    ..block
                })
            }
            None => {
                self.groups.extend(group.clone());
                let index = self.request(reader, item, &members);
                if group.is_some() {
                    self.groups.pop();
                }
                Action::Request(index?)
            }
        };
        Some(match (own, condition, repeat) {
            (own @ Action::Request(_), None, 1) => own,
            (own @ Action::Request(_), condition, repeat) => Action::Block(Block {
                condition,
                repeat,
                actions: vec![own],
            }),
            (Action::Block(block), condition, repeat) => Action::Block(Block {
                condition,
                repeat,
                ..block
            }),
        })
    }

    fn refuse_request_keys(reader: &mut Reader<'_>, members: &Members<'_>) {
        let of_blocks = ["steps", "if", "repeat", "group"];
        for entry in members
            .entries()
            .filter(|entry| !of_blocks.contains(&entry.key.as_str()))
        {
            let problem = Problem::new(
                entry.key_span.clone(),
                format!("a block of steps has no `{}`", entry.key),
            );
            reader.report(problem.help("it belongs to one of the steps inside"));
        }
    }

    fn request(
        &mut self,
        reader: &mut Reader<'_>,
        item: &Node,
        members: &Members<'_>,
    ) -> Option<u16> {
        let request = self.method_and_path(reader, item, members);
        let name = members.get("name").and_then(|node| step_name(reader, node));
        let own = headers(reader, members, &self.known());
        let body = body::read(reader, members, &self.known());
        let captures = capture::read(reader, members.get("capture"));
        // A check may compare with what the same answer gave: captures come first.
        for capture in &captures {
            self.variables.add(&capture.name);
        }
        let checks = check::read(reader, members.get("check"), &self.known());
        let think = members
            .get("think")
            .and_then(|node| think::read(reader, node));
        let timeout = members
            .get("timeout")
            .and_then(|node| reader.positive_duration(node));
        let redirects = members
            .get("redirects")
            .and_then(|node| reader.redirects(node));
        let (method, path, written, place) = request?;
        if matches!(method, Method::Get | Method::Head)
            && let (Some(_), Some(entry)) = (&body, first_body(members))
        {
            let problem = Problem::new(
                entry.key_span.clone(),
                format!("a {} carries no body", method.word()),
            );
            reader.report(problem.help("use `post`, `put` or `patch`, or leave the body out"));
        }
        if self.steps.len() == MOST_STEPS {
            reader.report(
                Problem::new(
                    members.place(),
                    format!("a flow has at most {MOST_STEPS} steps"),
                )
                .help("use `repeat`, or split the flow"),
            );
            return None;
        }
        let headers = self.headers_beside(own);
        let name = name.unwrap_or_else(|| format!("{} {written}", method.word()));
        let group = self.groups.last().cloned();
        self.paths.push(place);
        self.steps.push(Step {
            name,
            group,
            method,
            path,
            headers,
            body,
            checks,
            captures,
            think,
            timeout,
            redirects,
        });
        Some(self.steps.len() as u16 - 1)
    }

    /// Returns the flow's headers, except those that the step sets itself, and the step's own.
    fn headers_beside(&self, own: Vec<(String, Template)>) -> Vec<(String, Template)> {
        let mut headers: Vec<(String, Template)> = self
            .headers
            .iter()
            .filter(|(name, _)| {
                !own.iter()
                    .any(|(other, _)| other.eq_ignore_ascii_case(name))
            })
            .cloned()
            .collect();
        headers.extend(own);
        headers
    }

    fn method_and_path(
        &self,
        reader: &mut Reader<'_>,
        item: &Node,
        members: &Members<'_>,
    ) -> Option<(Method, Template, String, Range<usize>)> {
        let mut found: Vec<(&Entry, Method)> = Method::ALL
            .iter()
            .filter_map(|method| members.entry(method.key()).map(|entry| (entry, *method)))
            .collect();
        found.sort_by_key(|(entry, _)| entry.key_span.start);
        if let Some((second, _)) = found.get(1) {
            let problem = Problem::new(
                second.key_span.clone(),
                "a step makes one request, this is a second one",
            );
            reader.report(problem.help(format!(
                "make it a step of its own: `- {}: ...`",
                second.key
            )));
        }
        let Some((entry, method)) = found.first() else {
            if matches!(item.value, NodeValue::Map(_)) {
                let problem = Problem::new(members.place(), "a step needs a request");
                reader.report(
                    problem
                        .help("like `get: /api/products`; the other methods work the same, and `steps` makes a block"),
                );
            }
            return None;
        };
        let text = reader.sent(&entry.node)?;
        let path = path::read(reader, &text, &self.known())?;
        Some((*method, path, text.written().to_owned(), text.span))
    }
}

fn first_body<'n>(members: &Members<'n>) -> Option<&'n Entry> {
    ["json", "form", "body", "multipart", "file"]
        .iter()
        .find_map(|kind| members.entry(kind))
}

fn repeat(reader: &mut Reader<'_>, node: &Node) -> Option<u32> {
    let times: u32 = reader.number(node, "a number of times", "repeat: 3")?;
    if !(1..=10_000).contains(&times) {
        reader.report(
            Problem::new(node.span.clone(), "a block is repeated 1 to 10000 times")
                .help("like `repeat: 3`"),
        );
    }
    Some(times)
}

/// Reads `headers` and `auth` of a target, flow or step.
pub(super) fn headers(
    reader: &mut Reader<'_>,
    members: &Members<'_>,
    known: &TemplateScope<'_>,
) -> Vec<(String, Template)> {
    let mut headers = reader.headers(members.get("headers"), known);
    if let Some(entry) = members.entry("auth")
        && let Some(value) = auth(reader, &entry.node, known)
    {
        if headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        {
            let problem = Problem::new(
                entry.key_span.clone(),
                "`auth` and the header `authorization` say the same thing",
            );
            reader.report(problem.help("keep one of the two"));
        }
        headers.push(("authorization".to_owned(), value));
    }
    headers
}

/// Reads `{ bearer: TOKEN }` or `{ basic: { user: ..., password: ... } }`.
fn auth(reader: &mut Reader<'_>, node: &Node, known: &TemplateScope<'_>) -> Option<Template> {
    let members = reader.members(node, &AUTH);
    match (members.get("basic"), members.get("bearer")) {
        (None, Some(token)) => {
            let mut value = Template::text("Bearer ");
            value.append(reader.header_value("authorization", token, known)?);
            Some(value)
        }
        (Some(basic), None) => {
            let members = reader.members(basic, &BASIC);
            let user = members
                .get("user")
                .and_then(|node| body::template(reader, node, Escape::Raw, known));
            let password = members
                .get("password")
                .and_then(|node| body::template(reader, node, Escape::Raw, known));
            let mut pair = user?;
            pair.push(Segment::Text(b":".to_vec()));
            pair.append(password?);
            let mut value = Template::text("Basic ");
            value.push(Segment::Value(Expression::Base64(pair), Escape::Raw));
            Some(value)
        }
        (Some(_), Some(_)) => {
            reader.report(
                Problem::new(node.place(), "`auth` is `basic` or `bearer`, not both")
                    .help("keep one of the two"),
            );
            None
        }
        (None, None) => {
            if matches!(node.value, NodeValue::Map(_)) {
                let help = "`auth: { bearer: \"${secret:TOKEN}\" }` or `auth: { basic: { user: ada, password: \"${secret:PASSWORD}\" } }`";
                reader.report(
                    Problem::new(node.place(), "`auth` needs `basic` or `bearer`").help(help),
                );
            }
            None
        }
    }
}

fn step_name(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    let fits = (1..=200).contains(&text.value.chars().count())
        && !text.value.contains(['<', '>'])
        && !text.value.chars().any(char::is_control)
        && text.value.trim() == text.value;
    if !fits {
        let message = text.said("this cannot name a step", "a step's name");
        let problem = Problem::new(text.span.clone(), message);
        reader.report(problem.help("use up to 200 characters on one line, without `<` and `>`"));
    }
    Some(text.value)
}
