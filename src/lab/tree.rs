//! An answer as a tree, and the forms in which the protocols of AWS write it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::clock;

/// JSON with instants.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Text(String),
    Integer(i32),
    Double(f64),
    Boolean(bool),
    /// An instant since 1970.
    Instant(Duration),
    List(Vec<Tree>),
    Map(Vec<(&'static str, Tree)>),
}

impl Tree {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn map<const N: usize>(entries: [(&'static str, Tree); N]) -> Self {
        Self::Map(entries.into())
    }

    pub(crate) fn list(items: impl IntoIterator<Item = Tree>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// Returns the tree as the JSON protocols write it: an instant is a number of seconds.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Integer(number) => Value::from(*number),
            Self::Double(number) => Value::from(*number),
            Self::Boolean(value) => Value::from(*value),
            Self::Instant(since) => Value::from(since.as_millis() as f64 / 1_000.0),
            Self::List(items) => Value::Array(items.iter().map(Self::json).collect()),
            Self::Map(entries) => {
                let entries = entries.iter();
                let entries = entries.map(|(name, value)| ((*name).to_owned(), value.json()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// Returns the inside of an element, as the query protocol writes it.
    pub(crate) fn xml(&self) -> String {
        match self {
            Self::Text(text) => quick_xml::escape::escape(text.as_str()).into_owned(),
            Self::Integer(number) => number.to_string(),
            Self::Double(number) => number.to_string(),
            Self::Boolean(value) => value.to_string(),
            Self::Instant(since) => clock::millis(*since),
            Self::List(items) => {
                let items = items.iter();
                items
                    .map(|item| format!("<member>{}</member>", item.xml()))
                    .collect()
            }
            Self::Map(entries) => {
                let entries = entries.iter();
                entries
                    .map(|(name, value)| format!("<{name}>{}</{name}>", value.xml()))
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_protocol_writes_the_same_tree_in_its_own_form() {
        let tree = Tree::map([
            ("Name", Tree::text("a<b")),
            ("Period", Tree::Integer(60)),
            ("Values", Tree::list([Tree::Double(1.5), Tree::Double(2.0)])),
            ("Enabled", Tree::Boolean(true)),
            (
                "At",
                Tree::Instant(Duration::from_millis(1_764_000_000_250)),
            ),
        ]);
        assert_eq!(
            tree.json(),
            json!({ "Name": "a<b", "Period": 60, "Values": [1.5, 2.0], "Enabled": true, "At": 1_764_000_000.25 })
        );
        assert_eq!(
            tree.xml(),
            "<Name>a&lt;b</Name><Period>60</Period><Values><member>1.5</member><member>2</member></Values>\
             <Enabled>true</Enabled><At>2025-11-24T16:00:00.250Z</At>"
        );
    }
}
