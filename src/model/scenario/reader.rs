//! Walks the tree and collects what is wrong with it.
//!
//! A reader returns what could be read and goes on: every problem of a file is reported at once.
//! Nothing read beside a problem is ever used. Problem texts show values as they were written,
//! never what `${NAME}` held. A secret is read only where a request carries it or an answer is
//! compared with it: [`Reader::sent`]; everywhere else values are shown, sent to AWS or decide, and
//! [`Reader::text`] refuses it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::fields::Object;
use super::files::{FileUse, LARGEST_TOGETHER};
use super::node::{Entry, Node, NodeValue};
use super::{FileContents, Problem, ReadFile, Substitutions};
use crate::redact::Secrets;
use crate::units::{self, DurationError};

mod headers;
mod substitution;

pub(super) use headers::is_header_name;

/// Longer than any load test; keeps sums of durations far from overflow.
const LONGEST: Duration = Duration::from_hours(24);

pub(super) struct Reader<'a> {
    source: &'a str,
    substitutions: &'a Substitutions,
    open: ReadFile<'a>,
    pub problems: Vec<Problem>,
    /// The values of `${NAME}`, for the names that were read.
    pub used: BTreeMap<String, String>,
    /// The values of `${secret:NAME}`, for the names that were read.
    pub secrets: Secrets,
    /// The places where each name was read: variables here, secrets below.
    read: Vec<(String, Range<usize>)>,
    secrets_read: Vec<(String, Range<usize>)>,
    /// The files that were read, by the names in the text.
    pub files: FileContents,
    /// How often each of them was asked for.
    pub file_uses: BTreeMap<String, usize>,
}

/// The use of a text: `${secret:NAME}` may only stand in a text that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Sent,
    Shown,
}

/// A scalar as text: what it means and how it was written.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub value: String,
    pub span: Range<usize>,
    written: String,
    /// The offset of `value` in the file, if its bytes stand there unchanged.
    begin: Option<usize>,
}

impl Text {
    /// Returns the text as it stands in the file: this form may be shown.
    pub(super) fn written(&self) -> &str {
        &self.written
    }

    /// True if the value is not the text of the file.
    pub(super) fn substituted(&self) -> bool {
        self.value != self.written
    }

    /// Returns the place of a part of the value.
    pub(super) fn part(&self, range: Range<usize>) -> Range<usize> {
        self.begin.map_or_else(
            || self.span.clone(),
            |begin| begin + range.start..begin + range.end,
        )
    }

    /// Returns a problem whose message and help may quote the value, unless that came from the
    /// environment.
    pub(super) fn refuse(
        &self,
        wanted: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Problem {
        let problem = Problem::new(self.span.clone(), self.said(message, wanted));
        if self.substituted() {
            problem
        } else {
            problem.help(help)
        }
    }

    /// Returns a message that may quote the value, unless that came from the environment.
    pub(super) fn said(&self, message: impl Into<String>, wanted: &str) -> String {
        if self.substituted() {
            format!(
                "with the environment's values, `{}` is not {wanted}",
                self.written
            )
        } else {
            message.into()
        }
    }
}

/// The members of a map, by the names its table of fields knows.
#[derive(Debug, Default)]
pub(super) struct Members<'n> {
    entries: Vec<&'n Entry>,
    place: Range<usize>,
}

impl<'n> Members<'n> {
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|entry| &entry.node)
    }

    pub(super) fn entry(&self, name: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == name).copied()
    }

    pub(super) fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &'n Entry> {
        self.entries.iter().copied()
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        source: &'a str,
        substitutions: &'a Substitutions,
        open: ReadFile<'a>,
    ) -> Self {
        Self {
            source,
            substitutions,
            open,
            problems: Vec::new(),
            used: BTreeMap::new(),
            secrets: Secrets::default(),
            read: Vec::new(),
            secrets_read: Vec::new(),
            files: FileContents::new(),
            file_uses: BTreeMap::new(),
        }
    }

    /// Returns the content of a file that the text names, and that text.
    pub(super) fn file(&mut self, node: &Node, wanted: FileUse) -> Option<(Text, Arc<Vec<u8>>)> {
        let text = self.text(node)?;
        *self.file_uses.entry(text.value.clone()).or_default() += 1;
        let found = match self.files.get(&text.value) {
            Some(known) => Ok(Arc::clone(known)),
            None => (self.open)(&text.value).map(Arc::new),
        };
        match found {
            Ok(bytes) => {
                self.files.insert(text.value.clone(), Arc::clone(&bytes));
                self.bounded(node, wanted, bytes.len() as u64)?;
                Some((text, bytes))
            }
            Err(why) => {
                let message = text.said(
                    format!("`{}` cannot be read: {why}", text.value),
                    "a file that can be read",
                );
                self.report(
                    Problem::new(text.span.clone(), message)
                        .help("paths count from the scenario's own folder"),
                );
                None
            }
        }
    }

    /// Reports a file that is larger than its use needs, or that is too much with all the others.
    fn bounded(&mut self, node: &Node, wanted: FileUse, length: u64) -> Option<()> {
        let mib = |bytes: u64| bytes >> 20;
        let together: u64 = self.files.values().map(|file| file.len() as u64).sum();
        let message = if length > wanted.largest() {
            let (word, most) = (wanted.word(), mib(wanted.largest()));
            format!("this is too large: {word} has at most {most} MiB")
        } else if together > LARGEST_TOGETHER {
            let most = mib(LARGEST_TOGETHER);
            format!("with this one, the files of the scenario have more than {most} MiB")
        } else {
            return Some(());
        };
        self.report(
            Problem::new(node.span.clone(), message)
                .help("every task receives all files and keeps them in memory"),
        );
        None
    }

    /// Reads `off`, or the number of redirects that are followed.
    pub(super) fn redirects(&mut self, node: &Node) -> Option<u32> {
        let text = self.text(node)?;
        let limit = if text.value == "off" {
            Some(0)
        } else {
            text.value.parse().ok().filter(|limit| *limit <= 50)
        };
        if limit.is_none() {
            let message = format!("`{}` is not a limit for redirects", text.value);
            self.report(text.refuse(
                "a limit for redirects",
                message,
                "write `off`, or a number up to 50",
            ));
        }
        limit
    }

    /// Returns the value of `--url`.
    pub(super) fn url_option(&self) -> Option<&'a str> {
        self.substitutions.url.as_deref()
    }

    pub(super) fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Returns the map's members; unknown, repeated, empty and missing ones are reported.
    pub(super) fn members<'n>(&mut self, node: &'n Node, object: &Object) -> Members<'n> {
        let NodeValue::Map(entries) = &node.value else {
            self.wrong_kind(
                node,
                &format!("{} is a map", object.phrase),
                &object.example(),
            );
            return Members {
                entries: Vec::new(),
                place: node.place(),
            };
        };
        let mut members = Members {
            entries: Vec::new(),
            place: node.place(),
        };
        for entry in entries {
            if self.acceptable(entry, object, &members) {
                members.entries.push(entry);
            }
        }
        for field in object.fields.iter().filter(|field| field.required) {
            if !entries.iter().any(|entry| entry.key == field.name) {
                let problem = Problem::new(
                    members.place(),
                    format!("{} needs `{}`", object.phrase, field.name),
                );
                self.report(problem.help(format!("`{}`: {}", field.name, field.about)));
            }
        }
        members
    }

    fn acceptable(&mut self, entry: &Entry, object: &Object, members: &Members<'_>) -> bool {
        let Some(field) = object.field(&entry.key) else {
            self.report(unknown_key(entry, object));
            return false;
        };
        if members.entry(&entry.key).is_some() {
            let problem = Problem::new(
                entry.key_span.clone(),
                format!("`{}` is written twice", entry.key),
            );
            self.report(problem.label("the second one").help("keep one of the two"));
            return false;
        }
        let empty = matches!(entry.node.value, NodeValue::Null) && !field.kind.allows_null();
        if empty {
            let problem = Problem::new(
                entry.key_span.clone(),
                format!("`{}` has no value", entry.key),
            );
            self.report(problem.help(format!("`{}`: {}", field.name, field.about)));
        }
        !empty
    }

    /// Returns the items of a list; an empty one is reported.
    pub(super) fn items<'n>(&mut self, node: &'n Node, what: &str, example: &str) -> &'n [Node] {
        match &node.value {
            NodeValue::List(items) if !items.is_empty() => items,
            NodeValue::List(_) => {
                let problem = Problem::new(node.span.clone(), format!("`{what}` is empty"));
                self.report(problem.help(format!("write at least one, like `{example}`")));
                &[]
            }
            _ => {
                self.wrong_kind(
                    node,
                    &format!("`{what}` is a list"),
                    &format!("- {example}"),
                );
                &[]
            }
        }
    }

    pub(super) fn wrong_kind(&mut self, node: &Node, wanted: &str, example: &str) {
        let problem = Problem::new(
            node.place(),
            format!("{wanted}, but this is {}", node.kind()),
        );
        self.report(problem.help(format!("write it like `{example}`")));
    }

    /// Reads any scalar as text, with `${NAME}` replaced.
    pub(super) fn text(&mut self, node: &Node) -> Option<Text> {
        self.scalar(node, Place::Shown)
    }

    /// Reads a text that goes to the target, or is compared with its answer: a secret may stand in
    /// it.
    pub(super) fn sent(&mut self, node: &Node) -> Option<Text> {
        self.scalar(node, Place::Sent)
    }

    fn scalar(&mut self, node: &Node, place: Place) -> Option<Text> {
        let raw = match &node.value {
            NodeValue::Text(text) => text.clone(),
            NodeValue::Number(number) => number.clone(),
            NodeValue::Bool(value) => self.as_in_file(node, *value),
            NodeValue::Null | NodeValue::List(_) | NodeValue::Map(_) => {
                let problem = Problem::new(
                    node.place(),
                    format!("this should be text, but is {}", node.kind()),
                );
                let help = match node.value {
                    NodeValue::Null => "write a value, or `\"\"` for an empty text",
                    _ => {
                        "write one text or number; a text that begins with `{` or `[` needs quotes"
                    }
                };
                self.report(problem.help(help));
                return None;
            }
        };
        let begin = self.begin_of(node, &raw);
        let value = self.expand(&raw, node, begin, place)?;
        let begin = begin.filter(|_| value == raw);
        Some(Text {
            value,
            span: node.span.clone(),
            written: raw,
            begin,
        })
    }

    /// Returns a truth value as written; an alias has no text of its own.
    fn as_in_file(&self, node: &Node, value: bool) -> String {
        match self.source.get(node.span.clone()) {
            Some(slice) if !slice.is_empty() && !slice.starts_with(['*', '!', '&']) => {
                slice.trim().to_owned()
            }
            _ => value.to_string(),
        }
    }

    fn begin_of(&self, node: &Node, raw: &str) -> Option<usize> {
        let slice = self.source.get(node.span.clone())?;
        let quoted = slice.starts_with(['"', '\'']);
        let inner = if quoted {
            slice.get(1..slice.len().checked_sub(1)?)?
        } else {
            slice
        };
        (inner == raw).then_some(node.span.start + usize::from(quoted))
    }

    /// Letters, digits, `.`, `_` and `-`: usable in file names, resource names and thresholds
    /// alike.
    pub(super) fn name(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node)?;
        if super::is_name(&text.value) {
            return Some(text.value);
        }
        let message = text.said(format!("`{}` is not a name", text.value), "a name");
        let problem = Problem::new(text.span.clone(), message);
        self.report(problem.help("use 1 to 64 letters, digits, `.`, `_` or `-`"));
        None
    }

    pub(super) fn duration(&mut self, node: &Node) -> Option<Duration> {
        let text = self.text(node)?;
        match checked_duration(&text.value) {
            Ok(duration) => Some(duration),
            Err(error) => {
                let message = text.said(error.to_string(), "a duration");
                self.report(
                    Problem::new(text.span.clone(), message)
                        .help("a duration is written like `30s`, `2m` or `1m30s`"),
                );
                None
            }
        }
    }

    /// Reads a duration above zero.
    pub(super) fn positive_duration(&mut self, node: &Node) -> Option<Duration> {
        let duration = self.duration(node)?;
        if duration.is_zero() {
            self.report(
                Problem::new(node.span.clone(), "this must be longer than nothing")
                    .help("like `30s`"),
            );
            return None;
        }
        Some(duration)
    }

    /// Reads a number, also when it comes from `${NAME}`.
    pub(super) fn number<N: FromStr>(
        &mut self,
        node: &Node,
        wanted: &str,
        example: &str,
    ) -> Option<N> {
        let text = self.text(node)?;
        let number = text.value.trim().parse().ok();
        if number.is_none() {
            let message = text.said(format!("`{}` is not {wanted}", text.value), wanted);
            self.report(
                Problem::new(text.span.clone(), message).help(format!("write it like `{example}`")),
            );
        }
        number
    }

    pub(super) fn boolean(&mut self, node: &Node) -> Option<bool> {
        self.number(node, "true or false", "true")
    }
}

/// Why a text is no duration for a scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CheckedDurationError {
    #[error(transparent)]
    Form(#[from] DurationError),
    #[error("`{0}` is longer than a day")]
    LongerThanADay(String),
}

/// Reads a duration of at most a day.
pub(super) fn checked_duration(text: &str) -> Result<Duration, CheckedDurationError> {
    let duration = units::parse_duration(text)?;
    if duration > LONGEST {
        Err(CheckedDurationError::LongerThanADay(text.to_owned()))
    } else {
        Ok(duration)
    }
}

fn unknown_key(entry: &Entry, object: &Object) -> Problem {
    let problem = Problem::new(
        entry.key_span.clone(),
        format!("{} has no `{}`", object.phrase, entry.key),
    );
    let known: Vec<&str> = object.fields.iter().map(|field| field.name).collect();
    match closest(&entry.key, known.iter().copied()) {
        Some(name) => problem
            .label("unknown key")
            .help(format!("did you mean `{name}`?")),
        None => problem
            .label("unknown key")
            .help(format!("it can have `{}`", known.join("`, `"))),
    }
}

/// Returns the known name that was probably meant.
pub(super) fn closest<'n>(
    written: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let likeness = |name: &str| {
        strsim::jaro_winkler(&written.to_ascii_lowercase(), &name.to_ascii_lowercase())
    };
    known
        .into_iter()
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fields::{PHASE, SCENARIO, STEP};

    #[test]
    fn only_likely_names_are_suggested() {
        for (written, object, meant) in [
            ("phase", &SCENARIO, Some("phases")),
            ("treshold", &SCENARIO, Some("thresholds")),
            ("Budget", &SCENARIO, Some("budget")),
            ("user", &PHASE, Some("users")),
            ("duration", &PHASE, None),
            ("extract", &STEP, None),
            ("cookies", &SCENARIO, None),
        ] {
            let known = object.fields.iter().map(|field| field.name);
            assert_eq!(closest(written, known), meant, "{written}");
        }
    }
}
