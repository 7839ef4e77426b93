//! Data files: rows of values that sessions draw from.
//!
//! Rows are split over tasks, workers and sessions, so that no two of them use the same one at
//! once; unless the file says otherwise.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::fields::DATA;
use super::files::FileUse;
use super::node::{Entry, Node, NodeValue};
use super::reader::{Reader, closest};
use super::table::{Cell, Rows};
use super::{Problem, is_name};
use crate::json;

/// A data file, with its rows in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct DataFile {
    /// The name that templates use: `{{ NAME.COLUMN }}`.
    pub name: String,
    /// Column names, in the order of the file.
    pub columns: Vec<String>,
    /// The rows, at least one; each as long as `columns`.
    pub rows: Rows,
    /// The order in which a worker draws its rows.
    pub order: Order,
    /// The behaviour when a worker has no row left.
    pub when_used_up: WhenUsedUp,
    /// The workers that share the rows.
    pub division: Division,
    /// The file, by the name in the scenario.
    pub file: String,
}

/// The workers that share the rows of a data file: of `n` workers, row `r` belongs to the one with
/// number `r mod n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Division {
    /// All workers of all tasks.
    OverRun,
    /// The workers of this task: it was sent only its own rows.
    OverTask,
    /// None: each worker has every row.
    None,
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
    let division = members.get("share").and_then(|node| {
        let words = [("split", Division::OverRun), ("all", Division::None)];
        choice(reader, node, "a share", &words)
    });
    let file = members.get("file").and_then(|node| table(reader, node));
    let (file, (columns, rows)) = file.unwrap_or_default();
    DataFile {
        name: entry.key.clone(),
        columns,
        rows,
        order,
        when_used_up: when_used_up.unwrap_or(usual),
        division: division.unwrap_or(Division::OverRun),
        file,
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

type Table = (Vec<String>, Rows);

fn table(reader: &mut Reader<'_>, node: &Node) -> Option<(String, Table)> {
    let (text, bytes) = reader.file(node, FileUse::Data)?;
    let name = text.value;
    let lower = name.to_ascii_lowercase();
    if lower.ends_with(".json") {
        let stem = &name[..name.len() - ".json".len()];
        let message =
            format!("`{name}` is one JSON document, and a data file has a row on each line");
        reader.report(Problem::new(node.span.clone(), message).help(format!(
            "write one object on each line and name the file `.jsonl`, as by `jq -c '.[]' {name} > {stem}.jsonl`"
        )));
        return None;
    }
    let json = is_json_lines(&name);
    let read = if json {
        json_lines(&bytes)
    } else {
        csv(&bytes)
    };
    match read {
        Ok(table) if table.1.is_empty() => {
            let problem = Problem::new(node.span.clone(), format!("`{name}` has no rows"));
            let help = match json {
                true => "write a row on each line, like `{\"email\": \"ada@example.com\"}`",
                false => "the first line names the columns, each further line is a row",
            };
            reader.report(problem.help(help));
            None
        }
        Ok(table) => Some((name, table)),
        Err(why) => {
            let problem =
                Problem::new(node.span.clone(), format!("`{name}` cannot be read: {why}"));
            reader.report(problem.help(match why {
                TableError::NotUtf8(_) => {
                    "save it as UTF-8, as by `iconv -f windows-1252 -t utf-8` (or `-f utf-16`)"
                }
                TableError::OpenQuote(_) => {
                    "end the value with a quote; a quote inside is written twice, like `\"5\"\" pipe\"`"
                }
                _ => "CSV with a line of column names, or JSON lines (`.jsonl`) with an object in each",
            }));
            None
        }
    }
}

/// True for the name of a file of JSON lines; every other data file is CSV.
pub(super) fn is_json_lines(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    [".jsonl", ".ndjson"]
        .iter()
        .any(|ending| lower.ends_with(ending))
}

/// Why a data file is no table.
#[derive(Debug, thiserror::Error)]
enum TableError {
    #[error("{0}")]
    Csv(csv::Error),
    #[error("line {line} has {there} values, and the first line names {columns} columns")]
    Length { line: u64, there: u64, columns: u64 },
    #[error("column {0} has no name")]
    Unnamed(usize),
    #[error("{} is there twice", named_column(.0))]
    ColumnTwice(String),
    #[error("line {0} is not UTF-8")]
    NotUtf8(usize),
    #[error("line {0} opens a quote that nothing closes")]
    OpenQuote(usize),
    #[error("line {line} is not a JSON object (column {column})")]
    Json { line: usize, column: usize },
    #[error("line {line} is {found}, not an object like `{{\"email\": \"ada@example.com\"}}`")]
    NotAnObject { line: usize, found: &'static str },
    #[error("line {0} is an empty object, so no column has a name")]
    Empty(usize),
    #[error("line {line} lacks {}", named_column(.column))]
    NoColumn { line: usize, column: String },
}

impl From<csv::Error> for TableError {
    fn from(error: csv::Error) -> Self {
        match error.kind() {
            csv::ErrorKind::UnequalLengths {
                pos: Some(place),
                expected_len,
                len,
            } => Self::Length {
                line: place.line(),
                there: *len,
                columns: *expected_len,
            },
            _ => Self::Csv(error),
        }
    }
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

/// Returns a file as text, without the mark of UTF-8.
fn utf8(bytes: &[u8]) -> Result<&str, TableError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes)
        .map_err(|error| TableError::NotUtf8(line_of(bytes, error.valid_up_to())))
}

/// Returns the line of a byte, from 1.
fn line_of(bytes: &[u8], at: usize) -> usize {
    let before = bytes.iter().take(at);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// Returns the quote that opens a value and has no end, which then takes all the rows after it
/// along. `record` is the last one.
fn open_quote(record: &[u8]) -> Option<usize> {
    let mut place = InRecord::Start;
    for (at, byte) in record.iter().enumerate() {
        place = match (place, byte) {
            (InRecord::Start, b'"') => InRecord::Quoted(at),
            (InRecord::Quoted(from), b'"') => InRecord::Closed(from),
            // A quote written twice is one of the value.
            (InRecord::Closed(from), b'"') | (InRecord::Quoted(from), _) => InRecord::Quoted(from),
            (_, b',' | b'\n' | b'\r') => InRecord::Start,
            _ => InRecord::Bare,
        };
    }
    match place {
        InRecord::Quoted(from) => Some(from),
        _ => None,
    }
}

/// A place in a line of CSV, with the quote that opened the value.
#[derive(Clone, Copy)]
enum InRecord {
    Start,
    Bare,
    Quoted(usize),
    Closed(usize),
}

fn csv(bytes: &[u8]) -> Result<Table, TableError> {
    let bytes = utf8(bytes)?.as_bytes();
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::Headers)
        .from_reader(bytes);
    let columns: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let mut names = HashSet::new();
    for (at, column) in columns.iter().enumerate() {
        if column.is_empty() {
            return Err(TableError::Unnamed(at + 1));
        }
        if !names.insert(column) {
            return Err(TableError::ColumnTwice(column.clone()));
        }
    }
    let mut rows = Rows::new(columns.len(), bytes.len());
    let mut record = csv::StringRecord::new();
    let mut last = 0;
    while reader.read_record(&mut record)? {
        rows.push(record.iter().map(|text| Cell { text, json: false }));
        last = record.position().map_or(last, csv::Position::byte);
    }
    let last = usize::try_from(last).unwrap_or_default();
    if let Some(quote) = bytes.get(last..).and_then(open_quote) {
        return Err(TableError::OpenQuote(line_of(bytes, last + quote)));
    }
    Ok((columns, rows.finished()))
}

/// Reads a table of JSON lines. The columns are those of the first object; a row that lacks one is
/// an error.
fn json_lines(bytes: &[u8]) -> Result<Table, TableError> {
    let text = utf8(bytes)?;
    let (mut columns, mut rows) = (Vec::new(), Rows::default());
    for (line, text) in (1..)
        .zip(text.lines())
        .filter(|(_, text)| !text.trim().is_empty())
    {
        let fault = |error: serde_json::Error| TableError::Json {
            line,
            column: error.column(),
        };
        let value = match json::read(text.as_bytes()) {
            Some(value) => value,
            None => serde_json::from_str(text).map_err(fault)?,
        };
        let found = match value {
            serde_json::Value::Object(object) if object.is_empty() => {
                return Err(TableError::Empty(line));
            }
            serde_json::Value::Object(_) => None,
            serde_json::Value::Array(_) => Some("a list"),
            _ => Some("a single value"),
        };
        if let Some(found) = found {
            return Err(TableError::NotAnObject { line, found });
        }
        // Numbers keep the digits of the file.
        let object: HashMap<String, &str> = json::entries(text)
            .unwrap_or_default()
            .into_iter()
            .collect();
        if columns.is_empty() {
            columns = object.keys().cloned().collect();
            columns.sort_unstable();
            rows = Rows::new(columns.len(), bytes.len());
        }
        let cells = row(line, &columns, &object)?;
        rows.push(cells.iter().map(|(text, json)| Cell { text, json: *json }));
    }
    Ok((columns, rows.finished()))
}

/// Returns the cells of a JSON line in the order of the columns: as text, and whether it is JSON.
fn row<'o>(
    line: usize,
    columns: &[String],
    object: &HashMap<String, &'o str>,
) -> Result<Vec<(Cow<'o, str>, bool)>, TableError> {
    let cell = |column: &String| match object.get(column) {
        None => Err(TableError::NoColumn {
            line,
            column: column.clone(),
        }),
        Some(value) => Ok(match json::unquoted(value) {
            Some(text) => (Cow::Owned(text), false),
            None => (Cow::Borrowed(*value), true),
        }),
    };
    columns.iter().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells((columns, rows): Table) -> (Vec<String>, Vec<(String, bool)>) {
        let all =
            (0..rows.len()).flat_map(|row| (0..columns.len()).map(move |column| (row, column)));
        let cell = |(row, column)| {
            let cell = rows.cell(row, column).unwrap();
            (cell.text.to_owned(), cell.json)
        };
        let all = all.map(cell).collect();
        (columns, all)
    }

    #[test]
    fn tables_are_read_from_csv_and_json_lines() {
        let wanted = |columns: &[&str], cells: &[(&str, bool)]| {
            let cells = cells.iter().map(|(text, json)| ((*text).to_owned(), *json));
            let columns = columns.iter().map(|name| (*name).to_owned());
            (columns.collect(), cells.collect())
        };
        assert_eq!(
            cells(csv(b"\xef\xbb\xbfemail, n\n\"a,b\",01\n").unwrap()),
            wanted(&["email", "n"], &[("a,b", false), ("01", false)])
        );
        assert_eq!(
            cells(json_lines(b"{\"n\": 0.10, \"email\": \"a,b\"}\n\n").unwrap()),
            wanted(&["email", "n"], &[("a,b", false), ("0.10", true)])
        );
        let lines = b"{\"n\": 12345678901234567890123}\n{\"n\": \"007\"}";
        assert_eq!(
            cells(json_lines(lines).unwrap()),
            wanted(&["n"], &[("12345678901234567890123", true), ("007", false)])
        );
        assert_eq!(
            cells(json_lines(b"{\"n\": 1e400}").unwrap()),
            wanted(&["n"], &[("1e400", true)])
        );
    }

    #[test]
    fn a_table_takes_about_the_size_of_its_file() {
        let csv_text = format!("n\n{}", "1\n".repeat(100_000));
        let json_text = "{\"n\":1}\n".repeat(100_000);
        for (bytes, (_, rows)) in [
            (csv_text.len(), csv(csv_text.as_bytes()).unwrap()),
            (json_text.len(), json_lines(json_text.as_bytes()).unwrap()),
        ] {
            assert_eq!(rows.len(), 100_000);
            assert!(
                rows.memory() * 10 < bytes * 11,
                "{} of {bytes}",
                rows.memory()
            );
        }
    }

    #[test]
    fn faulty_tables_say_where() {
        assert_eq!(
            csv(b"a,a\n1,2\n").unwrap_err().to_string(),
            "the column `a` is there twice"
        );
        for (faulty, why) in [
            (
                csv(b"a,b\n1\n"),
                "line 2 has 1 values, and the first line names 2 columns",
            ),
            (csv(b"a,,b\n1,2,3\n"), "column 2 has no name"),
            (csv(b"a,b\n1,x\n2,Zo\xeb\n"), "line 3 is not UTF-8"),
            (csv(b"\xff\xfea\0,\0b\0"), "line 1 is not UTF-8"),
            (
                csv(b"a,b\n1,\"x\ny\"\n2,\"x\n3,y\n4,z\n"),
                "line 4 opens a quote that nothing closes",
            ),
            (
                csv(b"a,b\n1,\"x\"\"\n"),
                "line 2 opens a quote that nothing closes",
            ),
            (json_lines(b"{\"a\": \"\xeb\"}"), "line 1 is not UTF-8"),
            (
                json_lines(b"{\"a\": 1}\n{\"b\": 1}\n"),
                "line 2 lacks the column `a`",
            ),
            (
                json_lines(b"{}\n{}\n"),
                "line 1 is an empty object, so no column has a name",
            ),
            (
                json_lines(b"[1]"),
                "line 1 is a list, not an object like `{\"email\": \"ada@example.com\"}`",
            ),
        ] {
            assert_eq!(faulty.unwrap_err().to_string(), why);
        }
        assert!(
            json_lines(b"{\"a\": 1}\nnonsense\n")
                .unwrap_err()
                .to_string()
                .contains("line 2 is not a JSON object (column 2)")
        );
    }

    #[test]
    fn rows_are_read_as_spreadsheets_write_them() {
        let wide: Vec<String> = (0..10_000).map(|at| format!("c{at}")).collect();
        let wide = format!("{0}\n{0}\n", wide.join(","));
        for (text, columns, rows, last) in [
            ("\u{feff}a,b\r\n1,x\r\n2,y\r\n", 2, 2, "y"),
            ("a,b\r1,x\r2,y\r", 2, 2, "y"),
            ("a,b\n\n1,x\n\n\n2,y", 2, 2, "y"),
            ("a,b\n1,\"x \"\"y\"\", z\"\n", 2, 1, "x \"y\", z"),
            ("a,b\n1,\"two\r\nlines\"\n", 2, 1, "two\r\nlines"),
            // A quote inside a value that has none around it is a character like any other.
            ("a,b\n1,5\" pipe\n", 2, 1, "5\" pipe"),
            ("a,b\n1,5\"\" pipe\n", 2, 1, "5\"\" pipe"),
            ("a,b\n1,\"\"\n", 2, 1, ""),
            ("a,b\n1,a\0b\n", 2, 1, "a\0b"),
            (wide.as_str(), 10_000, 1, "c9999"),
        ] {
            let (names, read) = csv(text.as_bytes()).unwrap();
            let shown: String = text.chars().take(40).collect();
            assert_eq!((names.len(), read.len()), (columns, rows), "{shown:?}");
            let cell = read.cell(rows - 1, columns - 1).map(|cell| cell.text);
            assert_eq!(cell, Some(last), "{shown:?}");
        }
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
                "line 2 has 2 values, and the first line names 1 columns",
            ),
        ] {
            assert_eq!(csv(text.as_bytes()).unwrap_err().to_string(), said);
        }
        for (text, said) in [
            (
                "\"hunter2\"\n",
                "line 1 is a single value, not an object like `{\"email\": \"ada@example.com\"}`",
            ),
            ("hunter2\n", "line 1 is not a JSON object (column 1)"),
            (
                "{\"a=b\": 1}\n{\"b\": 1}\n",
                "line 2 lacks a column of the first line",
            ),
        ] {
            assert_eq!(json_lines(text.as_bytes()).unwrap_err().to_string(), said);
        }
    }
}
