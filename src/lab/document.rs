//! An IAM policy document, and whether it allows a need.
//!
//! Decides as IAM does: a Deny wins, else one Allow is enough. Facts that the lab cannot know (the
//! tags of a resource) count as fulfilled. Facts that a call states itself (its tags, its cluster)
//! are checked against the condition.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// Conditions over these keys are about the call itself: where the call does not say it, they are
/// not met.
const SAID_BY_THE_CALL: [&str; 12] = [
    "autoscaling:InstanceTypes",
    "autoscaling:LaunchConfigurationName",
    "autoscaling:LaunchTemplateVersionSpecified",
    "autoscaling:MaxSize",
    "autoscaling:MinSize",
    "autoscaling:VPCZoneIdentifiers",
    "aws:RequestTag/",
    "ecs:cluster",
    "ecs:CreateAction",
    "ec2:CreateAction",
    "iam:PassedToService",
    "iam:PermissionsBoundary",
];
const OPERATORS: [&str; 6] = [
    "StringEquals",
    "StringLike",
    "ArnEquals",
    "ArnLike",
    DIFFERS,
    IS_ABSENT,
];
/// Met by every other value, and by none.
const DIFFERS: &str = "StringNotEqualsIgnoreCase";
/// `true` asks that the call does not say it, `false` that it does.
const IS_ABSENT: &str = "Null";

/// One permission that a call takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NeededPermission {
    /// The IAM action, such as `ecs:RunTask`.
    pub action: String,
    /// The resource; `None` if the call names none, or IAM knows none for the action.
    pub resource: Option<String>,
    /// Condition keys with their values in the call.
    pub facts: Vec<(String, String)>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct PolicyDocument {
    #[serde(rename = "Version")]
    _version: String,
    statement: Vec<PolicyStatement>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct PolicyStatement {
    #[serde(rename = "Sid", default)]
    _sid: String,
    effect: Effect,
    action: StringOrList,
    resource: StringOrList,
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, StringOrList>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

/// IAM takes a text where it takes a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum StringOrList {
    One(String),
    Many(Vec<String>),
}

impl StringOrList {
    fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// Why the lab cannot hold a caller to a policy document.
#[derive(Debug, thiserror::Error)]
pub enum PolicyDocumentError {
    /// The system could not read the file.
    #[error("{0}")]
    Read(#[source] std::io::Error),
    /// The file is no JSON, or has a key that the lab does not read.
    #[error("not a policy document as the lab reads it: {0}")]
    Form(#[source] serde_json::Error),
    /// A condition operator that the lab cannot evaluate, such as `Bool`.
    #[error("the lab knows no condition `{0}`")]
    UnknownCondition(String),
}

impl PolicyDocument {
    pub(crate) fn read(path: &Path) -> Result<Self, PolicyDocumentError> {
        Self::parse(&std::fs::read_to_string(path).map_err(PolicyDocumentError::Read)?)
    }

    /// Refuses what the lab does not understand: a condition that is not held would prove nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyDocumentError> {
        let document: Self = serde_json::from_str(text).map_err(PolicyDocumentError::Form)?;
        let operators = document
            .statement
            .iter()
            .flat_map(|statement| statement.condition.keys());
        match operators
            .into_iter()
            .find(|operator| !OPERATORS.contains(&operator.as_str()))
        {
            Some(operator) => Err(PolicyDocumentError::UnknownCondition(operator.clone())),
            None => Ok(document),
        }
    }

    pub(crate) fn allows(&self, need: &NeededPermission) -> bool {
        let meets = |effect| {
            self.statement
                .iter()
                .any(|one| one.effect == effect && one.is_about(need))
        };
        meets(Effect::Allow) && !meets(Effect::Deny)
    }

    /// Returns the allowed actions, as written in the document.
    pub(crate) fn allowed(&self) -> impl Iterator<Item = &str> {
        let allowing = self
            .statement
            .iter()
            .filter(|statement| statement.effect == Effect::Allow);
        allowing
            .flat_map(|statement| statement.action.all())
            .map(String::as_str)
    }
}

impl PolicyStatement {
    fn is_about(&self, need: &NeededPermission) -> bool {
        self.action
            .all()
            .iter()
            .any(|pattern| is_action(pattern, &need.action))
            && need
                .resource
                .as_deref()
                .is_none_or(|name| self.resource.all().iter().any(|one| matches(one, name)))
            && self.condition.iter().all(|(operator, keys)| {
                keys.iter()
                    .all(|(key, wanted)| is_met(operator, key, wanted, need))
            })
    }
}

fn is_met(operator: &str, key: &str, wanted: &StringOrList, need: &NeededPermission) -> bool {
    let wanted = wanted.all();
    let fact = need.facts.iter().find(|(name, _)| name == key);
    let is_unknown = fact.is_none() && !SAID_BY_THE_CALL.iter().any(|said| key.starts_with(said));
    match (operator, fact) {
        _ if is_unknown => true,
        (IS_ABSENT, fact) => wanted.iter().any(|text| {
            text == match fact {
                None => "true",
                Some(_) => "false",
            }
        }),
        (DIFFERS, Some((_, fact))) => !wanted.iter().any(|text| text.eq_ignore_ascii_case(fact)),
        (DIFFERS, None) => true,
        (_, Some((_, fact))) => wanted.iter().any(|pattern| matches(pattern, fact)),
        (_, None) => false,
    }
}

/// True if the pattern matches an action, in any case.
pub(crate) fn is_action(pattern: &str, action: &str) -> bool {
    matches(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase())
}

/// True if the pattern matches: `*` is any text, the empty one too; `?` is one byte.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut place, mut star) = (0, 0, None);
    while place < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[place] => (at, place) = (at + 1, place + 1),
            _ => match star {
                // The last star takes one byte more.
                Some((back, taken)) => {
                    star = Some((back, taken + 1));
                    (at, place) = (back + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(action: &str, resource: Option<&str>, facts: &[(&str, &str)]) -> NeededPermission {
        let facts = facts
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        NeededPermission {
            action: action.to_owned(),
            resource: resource.map(str::to_owned),
            facts,
        }
    }

    #[test]
    fn patterns_match_as_in_iam() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("s3:Get*", "s3:GetObject", true),
            ("s3:Get*", "s3:PutObject", false),
            (
                "arn:*:role/spikeproof/*",
                "arn:aws:iam::1:role/spikeproof/sp-1-task",
                true,
            ),
            (
                "arn:*:role/spikeproof/*",
                "arn:aws:iam::1:role/admin",
                false,
            ),
            (
                "arn:*:spikeproof-sp-*/control.json",
                "arn:aws:s3:::spikeproof-sp-1/run/control.json",
                true,
            ),
            (
                "arn:*:spikeproof-sp-*/control.json",
                "arn:aws:s3:::spikeproof-sp-1/run/plan.json",
                false,
            ),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("sp-?", "sp-1", true),
            ("sp-?", "sp-", false),
            ("exact", "exactly", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_need_is_allowed_by_action_resource_and_condition_and_a_deny_wins() {
        let document = PolicyDocument::parse(
            r#"{ "Version": "2012-10-17", "Statement": [
                { "Effect": "Allow", "Action": ["s3:Get*", "s3:PutObject"], "Resource": "arn:aws:s3:::spikeproof-*" },
                { "Sid": "Tasks", "Effect": "Allow", "Action": "ecs:ListTasks", "Resource": "*",
                  "Condition": { "ArnLike": { "ecs:cluster": "arn:*:cluster/sp-*" } } },
                { "Effect": "Allow", "Action": "ec2:DeleteSecurityGroup", "Resource": ["arn:aws:ec2:*:*:security-group/*"],
                  "Condition": { "StringLike": { "aws:ResourceTag/spikeproof:run": "sp-*" } } },
                { "Effect": "Deny", "Action": "s3:getobject", "Resource": "*/secret" } ] }"#,
        )
        .unwrap();
        for (need, expected) in [
            (
                need(
                    "s3:GetObject",
                    Some("arn:aws:s3:::spikeproof-sp-1/plan"),
                    &[],
                ),
                true,
            ),
            (
                need(
                    "s3:GetObject",
                    Some("arn:aws:s3:::spikeproof-sp-1/secret"),
                    &[],
                ),
                false,
            ),
            (
                need("s3:GetObject", Some("arn:aws:s3:::payroll/plan"), &[]),
                false,
            ),
            (
                need(
                    "s3:DeleteObject",
                    Some("arn:aws:s3:::spikeproof-sp-1/plan"),
                    &[],
                ),
                false,
            ),
            // Without a resource it is judged by the action alone.
            (need("s3:PutObject", None, &[]), true),
            (
                need(
                    "ecs:ListTasks",
                    None,
                    &[("ecs:cluster", "arn:aws:ecs:r:1:cluster/sp-1")],
                ),
                true,
            ),
            (
                need(
                    "ecs:ListTasks",
                    None,
                    &[("ecs:cluster", "arn:aws:ecs:r:1:cluster/shop")],
                ),
                false,
            ),
            (need("ecs:ListTasks", None, &[]), false),
            // The lab does not know the group's tags.
            (
                need(
                    "ec2:DeleteSecurityGroup",
                    Some("arn:aws:ec2:r:1:security-group/sg-1"),
                    &[],
                ),
                true,
            ),
        ] {
            assert_eq!(document.allows(&need), expected, "{need:?}");
        }
        assert_eq!(document.allowed().count(), 4);
    }

    #[test]
    fn conditions_ask_for_what_a_call_leaves_out_and_for_other_values() {
        let document = PolicyDocument::parse(
            r#"{ "Version": "2012-10-17", "Statement": [
                { "Effect": "Allow", "Action": "autoscaling:UpdateAutoScalingGroup", "Resource": "*",
                  "Condition": {
                    "Null": { "autoscaling:LaunchConfigurationName": "true", "autoscaling:MaxSize": "false" },
                    "StringLike": { "aws:ResourceTag/may": "?*" },
                    "StringNotEqualsIgnoreCase": { "aws:ResourceTag/may": ["no", "off"] } } } ] }"#,
        )
        .unwrap();
        let size = ("autoscaling:MaxSize", "9");
        for (facts, expected) in [
            (vec![size], true),
            (vec![], false),
            (
                vec![size, ("autoscaling:LaunchConfigurationName", "x")],
                false,
            ),
            (vec![size, ("aws:ResourceTag/may", "yes")], true),
            (vec![size, ("aws:ResourceTag/may", "No")], false),
            (vec![size, ("aws:ResourceTag/may", "")], false),
        ] {
            let need = need("autoscaling:UpdateAutoScalingGroup", None, &facts);
            assert_eq!(document.allows(&need), expected, "{facts:?}");
        }
    }

    #[test]
    fn what_the_lab_does_not_understand_it_refuses() {
        for (text, hint) in [
            ("{}", "Version"),
            (
                r#"{ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "NotAction": "*" }] }"#,
                "NotAction",
            ),
            (
                r#"{ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*",
                     "Condition": { "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } } }] }"#,
                "IpAddress",
            ),
        ] {
            let problem = PolicyDocument::parse(text).unwrap_err().to_string();
            assert!(problem.contains(hint), "{problem}");
        }
    }
}
