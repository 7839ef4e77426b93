//! Renders the table as the policy document of a role.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Role, STATEMENTS, Statement};

/// The rest of IAM for a run without roles of its own: it looks whether there are some, and hands
/// the given ones over.
const LEFT_OF_IAM: [&str; 2] = ["iam:GetRole", PASS_ROLE];
const PASS_ROLE: &str = "iam:PassRole";

/// Returns the document of a role, as AWS takes it.
pub fn document(role: Role) -> String {
    render(STATEMENTS.iter().filter_map(|one| one.render(role)))
}

/// Returns the operator's document for runs whose roles are given: it writes nothing to IAM, and
/// passes these roles only.
pub fn document_with_roles(roles: &[String]) -> String {
    let statements = STATEMENTS.iter().filter_map(|one| {
        let mut rendered = one.render(Role::Operator)?;
        let stays = |action: &&str| !action.starts_with("iam:") || LEFT_OF_IAM.contains(action);
        rendered.action.retain(stays);
        if rendered.action.contains(&PASS_ROLE) {
            rendered.resource = Texts::given(roles);
        }
        (!rendered.action.is_empty()).then_some(rendered)
    });
    render(statements)
}

fn render(statements: impl Iterator<Item = Rendered>) -> String {
    let document = Document {
        version: "2012-10-17",
        statement: statements.collect(),
    };
    // Maps with text keys cannot fail to be written.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

impl Statement {
    /// Renders a statement; `None` if the role needs none of it.
    fn render(&self, role: Role) -> Option<Rendered> {
        let needs = self.needs.iter().filter(|need| need.who.contains(&role));
        let action: Vec<&str> = needs.map(|need| need.action).collect();
        let mut condition: Conditions = BTreeMap::new();
        for &(operator, key, values) in self.when {
            let keys = condition.entry(operator).or_default();
            keys.insert(key, Texts::of(values));
        }
        (!action.is_empty()).then(|| Rendered {
            sid: self.name,
            effect: "Allow",
            action,
            resource: Texts::of(self.on),
            condition,
        })
    }
}

/// Keys with their values, by operator.
type Conditions = BTreeMap<&'static str, BTreeMap<&'static str, Texts>>;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    version: &'static str,
    statement: Vec<Rendered>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Rendered {
    sid: &'static str,
    effect: &'static str,
    action: Vec<&'static str>,
    resource: Texts,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: Conditions,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Texts {
    One(&'static str),
    Many(&'static [&'static str]),
    Given(Vec<String>),
}

impl Texts {
    fn of(texts: &'static [&'static str]) -> Self {
        match texts {
            [one] => Self::One(one),
            many => Self::Many(many),
        }
    }

    /// The same texts twice are one.
    fn given(texts: &[String]) -> Self {
        let mut texts = texts.to_vec();
        texts.sort();
        texts.dedup();
        Self::Given(texts)
    }
}
