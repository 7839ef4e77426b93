//! Renders the table as the policy document of a role.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Role, STATEMENTS, Statement};

/// Returns the document of a role, as AWS takes it.
pub fn document(role: Role) -> String {
    let statement = STATEMENTS
        .iter()
        .filter_map(|statement| statement.render(role))
        .collect();
    let document = Document {
        version: "2012-10-17",
        statement,
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
}

impl Texts {
    fn of(texts: &'static [&'static str]) -> Self {
        match texts {
            [one] => Self::One(one),
            many => Self::Many(many),
        }
    }
}
