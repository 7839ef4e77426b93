//! Terraform text as blocks, with attributes aligned as `terraform fmt` aligns them.

use std::fmt;

/// A block: its head, and what is between the braces.
#[derive(Debug, Clone)]
pub(super) struct Block {
    head: String,
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
enum Line {
    Attribute(&'static str, String),
    /// An attribute whose value is a map of texts.
    Map(&'static str, Vec<(String, String)>),
    Nested(Block),
    Gap,
}

/// Returns a text as a literal of Terraform. `${` and `%{` would begin a template.
pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
        .replace("${", "$${")
        .replace("%{", "%%{")
}

impl Block {
    pub(super) fn resource(kind: &str, label: &str) -> Self {
        Self::nested(&format!("resource {} {}", quoted(kind), quoted(label)))
    }

    pub(super) fn nested(head: &str) -> Self {
        Self {
            head: head.to_owned(),
            lines: Vec::new(),
        }
    }

    /// Adds an attribute that is not a text: a number, `true`, or a reference.
    pub(super) fn set(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.lines.push(Line::Attribute(name, value.to_string()));
        self
    }

    /// Adds an attribute if it has a value.
    pub(super) fn set_if(self, name: &'static str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    pub(super) fn text(self, name: &'static str, value: &str) -> Self {
        self.set(name, quoted(value))
    }

    pub(super) fn text_if(self, name: &'static str, value: Option<&str>) -> Self {
        self.set_if(name, value.map(quoted))
    }

    pub(super) fn map(mut self, name: &'static str, entries: &[(String, String)]) -> Self {
        if !entries.is_empty() {
            self.lines.push(Line::Map(name, entries.to_vec()));
        }
        self
    }

    /// Adds a block, after a blank line.
    pub(super) fn with(mut self, block: Self) -> Self {
        if !self.lines.is_empty() {
            self.lines.push(Line::Gap);
        }
        self.lines.push(Line::Nested(block));
        self
    }

    pub(super) fn with_all(self, blocks: impl IntoIterator<Item = Self>) -> Self {
        blocks.into_iter().fold(self, Self::with)
    }

    fn write(&self, out: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        let pad = "  ".repeat(indent);
        writeln!(out, "{pad}{} {{", self.head)?;
        let is_attribute = |line: &Line| matches!(line, Line::Attribute(..));
        for run in self
            .lines
            .chunk_by(|one, next| is_attribute(one) && is_attribute(next))
        {
            let width = run.iter().map(Line::width).max().unwrap_or(0);
            for line in run {
                line.write(out, indent + 1, width)?;
            }
        }
        writeln!(out, "{pad}}}")
    }
}

impl Line {
    fn width(&self) -> usize {
        match self {
            Self::Attribute(name, _) => name.len(),
            _ => 0,
        }
    }

    fn write(&self, out: &mut fmt::Formatter<'_>, indent: usize, width: usize) -> fmt::Result {
        let pad = "  ".repeat(indent);
        match self {
            Self::Attribute(name, value) => writeln!(out, "{pad}{name:width$} = {value}"),
            Self::Map(name, entries) => {
                writeln!(out, "{pad}{name} = {{")?;
                let width = entries
                    .iter()
                    .map(|(name, _)| name.len())
                    .max()
                    .unwrap_or(0);
                for (name, value) in entries {
                    writeln!(out, "{pad}  {name:width$} = {}", quoted(value))?;
                }
                writeln!(out, "{pad}}}")
            }
            Self::Nested(block) => block.write(out, indent),
            Self::Gap => writeln!(out),
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(out, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_aligned_and_texts_are_no_templates() {
        let inner = Block::nested("inner").set("long_name", 1).set("x", true);
        let block = Block::resource("kind", "label")
            .text("name", "a ${b} \"c\"")
            .with(inner)
            .map("tags", &[("one".to_owned(), "1".to_owned())]);
        let wanted = "resource \"kind\" \"label\" {\n  name = \"a $${b} \\\"c\\\"\"\n\n  inner {\n    long_name = 1\n    x         = true\n  }\n  tags = {\n    one = \"1\"\n  }\n}\n";
        assert_eq!(block.to_string(), wanted);
    }
}
