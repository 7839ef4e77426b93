//! References from a scenario's text to external values: `${NAME}`, and `${secret:NAME}`.

use std::collections::BTreeSet;

/// Variables that carry this machine's own access. A target has no business with them, and a file
/// from a stranger least.
const OWN_ACCESS: [&str; 5] = [
    "AWS_*",
    "ACTIONS_*",
    "SSH_*",
    "CI_JOB_TOKEN",
    "GITHUB_TOKEN",
];

/// A reference in the text, from `${` to `}`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reference<'t> {
    Variable(&'t str),
    Secret(&'t str),
}

impl<'t> Reference<'t> {
    pub(super) fn read(written: &'t str) -> Option<Self> {
        let inner = written.strip_prefix("${")?.strip_suffix('}')?;
        let (name, secret) = inner
            .strip_prefix("secret:")
            .map_or((inner, false), |name| (name, true));
        match is_variable_name(name) {
            false => None,
            true if secret => Some(Self::Secret(name)),
            true => Some(Self::Variable(name)),
        }
    }

    pub(super) fn name(&self) -> &'t str {
        match self {
            Self::Variable(name) | Self::Secret(name) => name,
        }
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Returns the entry of the list that forbids this variable, because it holds this machine's own
/// access; `None` if no entry matches.
pub(super) fn own_access(name: &str) -> Option<&'static str> {
    OWN_ACCESS
        .into_iter()
        .find(|entry| match entry.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == *entry,
        })
}

/// Returns every secret that a text names, in any place. The secrets must be kept before anything
/// of the text is shown.
pub fn secrets_named(text: &str) -> BTreeSet<&str> {
    let starts = text.match_indices("${secret:").map(|(at, _)| &text[at..]);
    let written = starts.filter_map(|rest| rest.get(..=rest.find('}')?));
    written
        .filter_map(Reference::read)
        .map(|reference| reference.name())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_variables_or_secrets() {
        for (written, reference) in [
            ("${A_1}", Some(Reference::Variable("A_1"))),
            ("${secret:A}", Some(Reference::Secret("A"))),
            ("${secret}", Some(Reference::Variable("secret"))),
            ("${secret:}", None),
            ("${Secret:A}", None),
            ("${1A}", None),
            ("${A", None),
        ] {
            assert_eq!(Reference::read(written), reference, "{written}");
        }
    }

    #[test]
    fn a_machines_own_access_is_known_by_name() {
        for (name, entry) in [
            ("AWS_SECRET_ACCESS_KEY", Some("AWS_*")),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", Some("ACTIONS_*")),
            ("SSH_AUTH_SOCK", Some("SSH_*")),
            ("CI_JOB_TOKEN", Some("CI_JOB_TOKEN")),
            ("GITHUB_TOKEN", Some("GITHUB_TOKEN")),
            ("GITHUB_SHA", None),
            ("MY_AWS_KEY", None),
            ("CI_JOB_TOKEN_OF_SHOP", None),
        ] {
            assert_eq!(own_access(name), entry, "{name}");
        }
    }

    #[test]
    fn every_secret_of_a_text_is_named_once() {
        let text = "a: ${secret:B}${secret:A} ${C}\nb: '${secret:A}' $${secret:D} ${secret:E";
        assert_eq!(
            secrets_named(text).into_iter().collect::<Vec<_>>(),
            ["A", "B", "D"]
        );
        assert!(secrets_named("${secret:").is_empty());
    }
}
