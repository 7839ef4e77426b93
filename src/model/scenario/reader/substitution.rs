//! Puts the values of variables and secrets into texts, and refuses a secret that would be shown.

use std::ops::Range;

use super::super::Problem;
use super::super::node::Node;
use super::super::outside::{Reference, own_access};
use super::{Place, Reader};
use crate::redact::SHORTEST;

impl Reader<'_> {
    /// Replaces `${NAME}` by the variable's value and `$${` by `${`.
    pub(super) fn expand(
        &mut self,
        raw: &str,
        node: &Node,
        begin: Option<usize>,
        place: Place,
    ) -> Option<String> {
        let mut value = String::new();
        let mut rest = raw;
        let mut whole = true;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                value.push_str(&rest[..at - 1]);
                value.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            value.push_str(&rest[..at]);
            let from = raw.len() - rest.len() + at;
            let end = rest[at..]
                .find('}')
                .map_or(rest.len(), |close| at + close + 1);
            let written = &rest[at..end];
            let span = begin.map_or_else(
                || node.span.clone(),
                |begin| begin + from..begin + from + written.len(),
            );
            match self.reference(written, span, place) {
                Some(held) => value.push_str(&held),
                None => whole = false,
            }
            rest = &rest[end..];
        }
        value.push_str(rest);
        whole.then_some(value)
    }

    fn reference(&mut self, written: &str, span: Range<usize>, place: Place) -> Option<String> {
        let Some(reference) = Reference::read(written) else {
            let problem = Problem::new(span, format!("`{written}` does not name a variable"));
            let help = "write `${NAME}` or `${secret:NAME}` with letters, digits and `_`, or `$${` for a literal `${`";
            self.report(problem.help(help));
            return None;
        };
        if let Some(entry) = own_access(reference.name()) {
            self.refuse_own_access(&reference, entry, span);
            return None;
        }
        match (reference, place) {
            (Reference::Variable(name), _) => self.variable(name, span),
            (Reference::Secret(name), Place::Sent) => self.secret(name, span),
            (Reference::Secret(name), Place::Shown) => {
                let problem = Problem::new(span, "a secret cannot stand here")
                    .label("this is shown, or decides");
                let places = "headers, `auth`, paths, bodies, and what checks compare with";
                self.report(problem.help(format!(
                    "secrets go into {places}; write `${{{name}}}` if it is none"
                )));
                None
            }
        }
    }

    fn refuse_own_access(&mut self, reference: &Reference<'_>, entry: &str, span: Range<usize>) {
        let name = reference.name();
        let message = format!("`{name}` is this machine's own access, and not for a target");
        let other = match reference {
            Reference::Variable(_) => "${SHOP_TOKEN}",
            Reference::Secret(_) => "${secret:SHOP_TOKEN}",
        };
        let help = format!("if you mean it: export SHOP_TOKEN=\"${name}\", and write `{other}`");
        self.report(
            Problem::new(span, message)
                .label(format!("`{entry}` is not read"))
                .help(help),
        );
    }

    fn variable(&mut self, name: &str, span: Range<usize>) -> Option<String> {
        let Some(value) = self.substitutions.environment.get(name) else {
            self.report_unset(name, span);
            return None;
        };
        self.used.insert(name.to_owned(), value.clone());
        self.read.push((name.to_owned(), span));
        Some(value.clone())
    }

    fn report_unset(&mut self, name: &str, span: Range<usize>) {
        let problem = Problem::new(span, format!("the environment has no `{name}`"));
        self.report(
            problem
                .label("needed here")
                .help(format!("export {name}=...")),
        );
    }

    /// Returns a secret in the form that a template needs: braces in it are no template.
    fn secret(&mut self, name: &str, span: Range<usize>) -> Option<String> {
        let Some(value) = self.substitutions.secrets.get(name) else {
            self.report_unset(name, span);
            return None;
        };
        if value.len() < SHORTEST {
            let problem = Problem::new(
                span,
                format!("the secret `{name}` is shorter than {SHORTEST} bytes"),
            );
            let help = "texts hold so few bytes by chance, so it cannot be kept out of reports: take a longer one";
            self.report(problem.label("cannot be kept secret").help(help));
            return None;
        }
        self.secrets.insert(name, value);
        self.secrets_read.push((name.to_owned(), span));
        Some(value.replace("{{", "{{ \"{{\" }}"))
    }

    /// Reports secrets that are also given in the clear. A value that also stands in the file, in
    /// `--url` or in a variable would travel with the plan.
    pub(crate) fn report_secrets_in_the_clear(&mut self) {
        let url = self.substitutions.url.as_deref().unwrap_or_default();
        let mut found = Vec::new();
        for (name, span) in &self.secrets_read {
            let Some(value) = self.secrets.get(name) else {
                continue;
            };
            let here = |message: String| Problem::new(span.clone(), message);
            if self.source.contains(value) {
                let problem = here(format!(
                    "the value of the secret `{name}` also stands in this file as it is"
                ));
                found.push(problem.help(format!(
                    "write `${{secret:{name}}}` there too, or take another value"
                )));
            }
            if url.contains(value) {
                let problem = here(format!(
                    "the value of the secret `{name}` also stands in `--url`"
                ));
                found.push(
                    problem.help("a URL is shown in every report: leave the secret out of it"),
                );
            }
            for (other, place) in &self.read {
                if self
                    .used
                    .get(other)
                    .is_some_and(|held| held.contains(value))
                {
                    let message = format!("`{other}` holds the value of the secret `{name}`");
                    let help =
                        format!("write `${{secret:{other}}}` here too, or `${{secret:{name}}}`");
                    found.push(Problem::new(place.clone(), message).help(help));
                }
            }
        }
        for problem in found {
            if !self.problems.contains(&problem) {
                self.report(problem);
            }
        }
    }
}
