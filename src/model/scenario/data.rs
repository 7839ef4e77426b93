//! Data files: rows of values that sessions draw from.
//!
//! Rows are split over tasks, workers and sessions, so that no two of them use the same one at
//! once; unless the file says otherwise.

use super::fields::DATA;
use super::files::FileUse;
use super::node::{Entry, Node, NodeValue};
use super::reader::{Reader, closest};
use super::{Problem, is_name};

/// A data file, with its rows in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct DataFile {
    /// The name that templates use: `{{ NAME.COLUMN }}`.
    pub name: String,
    /// Column names, in the order of the file.
    pub columns: Vec<String>,
    /// The rows, at least one; each as long as `columns`.
    pub rows: Vec<Vec<String>>,
    /// The order in which a worker draws its rows.
    pub order: Order,
    /// The behaviour when a worker has no row left.
    pub when_used_up: WhenUsedUp,
    /// Row `r` belongs to worker `r mod n` of all workers of all tasks; else each has them all.
    pub split: bool,
}

/// `order` of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Rows in the order of the file, and again from the beginning.
    Sequential,
    /// Any row, each time.
    Random,
    /// Rows in the order of the file, each at most once.
    Once,
}

/// `when_used_up` of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUsedUp {
    /// Begins again.
    Recycle,
    /// Begins no further iteration of the flows that need it; counted.
    Stop,
    /// Iterations that need it fail.
    Fail,
}

/// Reads the `data` map: data by name.
pub(super) fn read(reader: &mut Reader<'_>, entry: Option<&Entry>) -> Vec<DataFile> {
    let Some(entry) = entry else {
        return Vec::new();
    };
    let NodeValue::Map(entries) = &entry.node.value else {
        reader.wrong_kind(
            &entry.node,
            "`data` is a map of names",
            "data: { users: { file: users.csv } }",
        );
        return Vec::new();
    };
    let mut all: Vec<DataFile> = Vec::new();
    for entry in entries {
        if !is_name(&entry.key) || entry.key.contains(['.', '-']) {
            let problem = Problem::new(
                entry.key_span.clone(),
                format!("`{}` cannot name data", entry.key),
            );
            reader.report(problem.help("use letters, digits and `_`: templates say `NAME.COLUMN`"));
        }
        if all.iter().any(|data| data.name == entry.key) {
            let problem = Problem::new(
                entry.key_span.clone(),
                format!("`{}` is written twice", entry.key),
            );
            reader.report(problem.label("the second one").help("keep one of the two"));
        }
        all.push(one(reader, entry));
    }
    all
}

fn one(reader: &mut Reader<'_>, entry: &Entry) -> DataFile {
    let members = reader.members(&entry.node, &DATA);
    let order = members.get("order").and_then(|node| {
        choice(
            reader,
            node,
            "an order",
            &[
                ("sequential", Order::Sequential),
                ("random", Order::Random),
                ("once", Order::Once),
            ],
        )
    });
    let order = order.unwrap_or(Order::Sequential);
    let usual = if order == Order::Once {
        WhenUsedUp::Stop
    } else {
        WhenUsedUp::Recycle
    };
    let when_used_up = members.get("when_used_up").and_then(|node| {
        let read = choice(
            reader,
            node,
            "an end",
            &[
                ("stop", WhenUsedUp::Stop),
                ("recycle", WhenUsedUp::Recycle),
                ("fail", WhenUsedUp::Fail),
            ],
        )?;
        let clash = match (order, read) {
            (Order::Random, WhenUsedUp::Stop | WhenUsedUp::Fail) => {
                Some("rows drawn at random are never used up")
            }
            (Order::Once, WhenUsedUp::Recycle) => Some("rows used once are not recycled"),
            _ => None,
        };
        if let Some(clash) = clash {
            reader.report(
                Problem::new(node.span.clone(), clash)
                    .help("leave `when_used_up` out, or write `order: sequential`"),
            );
        }
        Some(read)
    });
    let split = members
        .get("share")
        .and_then(|node| choice(reader, node, "a share", &[("split", true), ("all", false)]));
    let (columns, rows) = members
        .get("file")
        .and_then(|node| table(reader, node))
        .unwrap_or_default();
    DataFile {
        name: entry.key.clone(),
        columns,
        rows,
        order,
        when_used_up: when_used_up.unwrap_or(usual),
        split: split.unwrap_or(true),
    }
}

/// Reads a word that must be one of a few.
pub(super) fn choice<T: Copy>(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
    words: &[(&str, T)],
) -> Option<T> {
    let text = reader.text(node)?;
    let found = words
        .iter()
        .find(|(word, _)| *word == text.value)
        .map(|(_, value)| *value);
    if found.is_none() {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help = closest(&text.value, names.iter().copied()).map_or_else(
            || format!("it is one of `{}`", names.join("`, `")),
            |word| format!("did you mean `{word}`?"),
        );
        let message = text.said(format!("`{}` is not {what}", text.value), what);
        reader.report(Problem::new(text.span.clone(), message).help(help));
    }
    found
}

type Table = (Vec<String>, Vec<Vec<String>>);

fn table(reader: &mut Reader<'_>, node: &Node) -> Option<Table> {
    let (name, bytes) = reader.file(node, FileUse::Data)?;
    let json = [".jsonl", ".ndjson"]
        .iter()
        .any(|ending| name.to_ascii_lowercase().ends_with(ending));
    let read = if json {
        json_lines(&bytes)
    } else {
        csv(&bytes)
    };
    match read {
        Ok(table) if table.1.is_empty() => {
            let problem = Problem::new(node.span.clone(), format!("`{name}` has no rows"));
            reader.report(
                problem.help("the first line names the columns, each further line is a row"),
            );
            None
        }
        Ok(table) => Some(table),
        Err(why) => {
            let problem =
                Problem::new(node.span.clone(), format!("`{name}` cannot be read: {why}"));
            reader.report(problem.help(
                "CSV with a line of column names, or JSON lines (`.jsonl`) with an object in each",
            ));
            None
        }
    }
}

/// Why a data file is no table.
#[derive(Debug, thiserror::Error)]
enum TableError {
    #[error("{0}")]
    Csv(#[from] csv::Error),
    #[error("{} is there twice", named_column(.0))]
    ColumnTwice(String),
    #[error("{0}")]
    NotText(#[from] std::str::Utf8Error),
    #[error("line {line} is not a JSON object (column {column})")]
    Json { line: usize, column: usize },
    #[error("line {line} lacks {}", named_column(.column))]
    NoColumn { line: usize, column: String },
}

/// The columns of data if each looks like a name: the first line of another kind of file is
/// content, which no message shows.
pub(super) fn shown_columns(columns: &[String]) -> Option<&[String]> {
    columns.iter().all(|name| is_name(name)).then_some(columns)
}

fn named_column(name: &str) -> String {
    if is_name(name) {
        format!("the column `{name}`")
    } else {
        "a column of the first line".to_owned()
    }
}

fn csv(bytes: &[u8]) -> Result<Table, TableError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::Headers)
        .from_reader(bytes);
    let columns: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    if let Some(twice) = columns
        .iter()
        .enumerate()
        .find(|(at, column)| columns[..*at].contains(column))
    {
        return Err(TableError::ColumnTwice(twice.1.clone()));
    }
    let rows = reader
        .records()
        .map(|row| row.map(|row| row.iter().map(str::to_owned).collect()));
    let rows: Result<Vec<Vec<String>>, csv::Error> = rows.collect();
    Ok((columns, rows?))
}

/// Reads a table of JSON lines. The columns are those of the first object; a row that lacks one is
/// an error.
fn json_lines(bytes: &[u8]) -> Result<Table, TableError> {
    let text = std::str::from_utf8(bytes)?;
    let (mut columns, mut rows) = (Vec::new(), Vec::new());
    for (line, text) in (1..)
        .zip(text.lines())
        .filter(|(_, text)| !text.trim().is_empty())
    {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)
            .map_err(|error| TableError::Json {
                line,
                column: error.column(),
            })?;
        if columns.is_empty() {
            columns = object.keys().cloned().collect();
        }
        let value = |column: &String| match object.get(column) {
            None => Err(TableError::NoColumn {
                line,
                column: column.clone(),
            }),
            Some(serde_json::Value::String(text)) => Ok(text.clone()),
            Some(value) => Ok(value.to_string()),
        };
        rows.push(columns.iter().map(value).collect::<Result<_, _>>()?);
    }
    Ok((columns, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_from_csv_and_json_lines() {
        let wanted = (
            vec!["email".to_owned(), "n".to_owned()],
            vec![vec!["a,b".to_owned(), "1".to_owned()]],
        );
        assert_eq!(csv(b"\xef\xbb\xbfemail, n\n\"a,b\",1\n").unwrap(), wanted);
        assert_eq!(
            json_lines(b"{\"email\": \"a,b\", \"n\": 1}\n\n").unwrap(),
            wanted
        );
    }

    #[test]
    fn faulty_tables_say_where() {
        assert_eq!(
            csv(b"a,a\n1,2\n").unwrap_err().to_string(),
            "the column `a` is there twice"
        );
        assert!(
            csv(b"a,b\n1\n")
                .unwrap_err()
                .to_string()
                .contains("line: 2")
        );
        assert!(
            json_lines(b"{\"a\": 1}\n{\"b\": 1}\n")
                .unwrap_err()
                .to_string()
                .contains("line 2 lacks the column `a`")
        );
        assert!(
            json_lines(b"{\"a\": 1}\nnonsense\n")
                .unwrap_err()
                .to_string()
                .contains("line 2 is not a JSON object (column 2)")
        );
    }

    #[test]
    fn messages_show_no_content_of_a_file_that_holds_no_table() {
        for (text, said) in [
            (
                "root:x:0,root:x:0\n",
                "a column of the first line is there twice",
            ),
            (
                "a\nroot:x,0\n",
                "CSV error: record 1 (line: 2, byte: 2): found record with 2 fields, but the previous record has 1 fields",
            ),
        ] {
            assert_eq!(csv(text.as_bytes()).unwrap_err().to_string(), said);
        }
        for (text, said) in [
            ("\"hunter2\"\n", "line 1 is not a JSON object (column 9)"),
            (
                "{\"a=b\": 1}\n{}\n",
                "line 2 lacks a column of the first line",
            ),
        ] {
            assert_eq!(json_lines(text.as_bytes()).unwrap_err().to_string(), said);
        }
    }
}
