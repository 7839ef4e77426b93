//! Headers that a request carries.

use std::ops::Range;

use super::super::node::{Entry, Node, NodeValue};
use super::super::template::{Escape, Template, TemplateScope};
use super::super::{Problem, body};
use super::Reader;

impl Reader<'_> {
    /// Reads header names and values, in the order written.
    pub(crate) fn headers(
        &mut self,
        node: Option<&Node>,
        known: &TemplateScope<'_>,
    ) -> Vec<(String, Template)> {
        let Some(node) = node else { return Vec::new() };
        let NodeValue::Map(entries) = &node.value else {
            self.wrong_kind(
                node,
                "`headers` is a map",
                "headers: { accept: application/json }",
            );
            return Vec::new();
        };
        let mut headers: Vec<(String, Template)> = Vec::new();
        for entry in entries {
            if headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case(&entry.key))
            {
                let problem = Problem::new(
                    entry.key_span.clone(),
                    format!("the header `{}` is written twice", entry.key),
                );
                self.report(problem.help("header names do not differ by case: keep one"));
            } else if let Some(value) = self.header(entry, known) {
                headers.push((entry.key.to_ascii_lowercase(), value));
            }
        }
        headers
    }

    fn header(&mut self, entry: &Entry, known: &TemplateScope<'_>) -> Option<Template> {
        self.header_name(&entry.key, entry.key_span.clone());
        self.header_value(&entry.key, &entry.node, known)
    }

    /// Reads the value of a header. What is written, and what variables and secrets hold, must not
    /// end the header.
    pub(crate) fn header_value(
        &mut self,
        name: &str,
        node: &Node,
        known: &TemplateScope<'_>,
    ) -> Option<Template> {
        let value = self.sent(node)?;
        if value
            .value
            .chars()
            .any(|c| c != '\t' && !(' '..='~').contains(&c))
        {
            let problem = Problem::new(
                value.span.clone(),
                format!("the header `{name}` holds a character that no header may"),
            );
            self.report(problem.help("use visible ASCII characters on one line"));
            return None;
        }
        body::compile(self, &value, Escape::Header, known, &|part| {
            part.as_bytes().to_vec()
        })
    }

    fn header_name(&mut self, name: &str, span: Range<usize>) {
        const OURS: [&str; 4] = ["connection", "content-length", "host", "transfer-encoding"];
        if !is_header_name(name) {
            let problem = Problem::new(span, format!("`{name}` is not a header name"));
            self.report(problem.help("like `accept` or `x-api-key`, without a colon inside"));
        } else if OURS.contains(&name.to_ascii_lowercase().as_str()) {
            let problem = Problem::new(span, format!("`{name}` is set by spikeproof"));
            self.report(problem.help("leave it out: it follows from the target and the body"));
        }
    }
}

/// True if the name is a token of RFC 9110.
pub(crate) fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}
