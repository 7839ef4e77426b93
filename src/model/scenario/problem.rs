//! A problem in the file, and how it looks on a terminal.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::visible;

/// A fault in the text, its place, and the text to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Bytes of the text.
    pub span: Range<usize>,
    /// The problem in one sentence, without the place.
    pub message: String,
    /// Shown under the caret.
    pub label: String,
    /// A proposal for a repair; `None` if there is none.
    pub help: Option<String>,
}

impl Problem {
    /// Returns a problem without a label and without help.
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            label: String::new(),
            help: None,
        }
    }

    /// Sets the text under the caret.
    pub(super) fn label(self, label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            ..self
        }
    }

    /// Sets the proposal for a repair, in one line.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(visible::line(&help.into()).into_owned()),
            ..self
        }
    }

    /// Sets the proposal for a repair, with lines to write.
    pub(super) fn help_lines(self, head: &str, lines: &[String]) -> Self {
        let mut help = head.to_owned();
        for line in lines {
            help.push('\n');
            help.push_str(&visible::line(line));
        }
        Self {
            help: Some(help),
            ..self
        }
    }
}

/// Keys that few other files have at their top.
const TELLING: [&str; 5] = ["target", "phases", "flows", "steps", "thresholds"];

/// True if a text is meant as a scenario, however faulty: one of its own keys begins a line, or a
/// member of a map in braces. Messages quote only such texts, so that a wrong path never shows what
/// another file holds.
pub fn is_meant_as_one(text: &str) -> bool {
    TELLING.iter().any(|key| {
        text.match_indices(key).any(|(at, _)| {
            let before = text[..at].trim_end_matches(['"', '\'']);
            let after = text[at + key.len()..].trim_start_matches(['"', '\'']);
            let begins_line = before.is_empty() || before.ends_with(['\n', '\u{feff}']);
            let begins_member = before.trim_end().ends_with(['{', ',']);
            (begins_line || begins_member) && after.trim_start_matches(' ').starts_with(':')
        })
    })
}

/// Returns all problems as text, like rustc's.
pub fn render(file: &str, text: &str, problems: &[Problem], colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    problems
        .iter()
        .map(|problem| render_one(&renderer, file, text, problem) + "\n")
        .collect::<Vec<_>>()
        .join("\n")
}

fn render_one(renderer: &Renderer, file: &str, text: &str, problem: &Problem) -> String {
    // The renderer makes visible only what it shows of the source.
    let [file, message, label] =
        [file, problem.message.as_str(), problem.label.as_str()].map(visible::line);
    let annotation = AnnotationKind::Primary
        .span(inside(text, &problem.span))
        .label(&*label);
    let snippet = Snippet::source(text).path(&*file).annotation(annotation);
    let mut group = Level::ERROR.primary_title(&*message).element(snippet);
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// Returns the span on character boundaries inside the text, so that rendering cannot fail.
fn inside(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    let end = text.ceil_char_boundary(span.end.max(span.start));
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_text_with_a_key_of_a_scenario_is_meant_as_one() {
        for text in [
            "name: x\ntarget: { url: \"http://a\" }",
            "{\"name\": \"x\",\n \"target\" : {}}",
            "phases:\n\tbad",
            "\u{feff}steps: []",
        ] {
            assert!(is_meant_as_one(text), "{text}");
        }
        for text in [
            "",
            "root:x:0:0:root:/root:/bin/bash\ntargets:x:1:1::/:/bin/sh",
            "apiVersion: v1\nkind: Secret\ndata: { password: aHVudGVy }",
            "jobs:\n  a:\n    steps:\n      - run: echo",
            "AWS_SECRET_ACCESS_KEY=target",
        ] {
            assert!(!is_meant_as_one(text), "{text}");
        }
    }
}
