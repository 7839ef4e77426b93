//! JSON as its document writes it: numbers keep all their digits.
//!
//! `serde_json` reads numbers as `f64` beyond 64 bits, and writes `1.50` as `1.5`. These functions
//! find the text of a value in a document that `serde_json` has accepted, and compare numbers by
//! their digits. They leave out the check of a document: on a faulty one they return `None`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use serde_json::Value;

/// True if the text is a number of JSON: `007`, `+1` and `.5` are none.
pub fn is_number(text: &str) -> bool {
    Decimal::read(text).is_some()
}

/// Compares two numbers of JSON by their value, digit by digit; `None` if one is no number.
pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (Decimal::read(left)?, Decimal::read(right)?);
    Some(left.cmp(&right))
}

/// A number: its digits without zeros at either end, and the place of its point.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    /// Empty for zero.
    digits: Vec<u8>,
    /// The value is `0.digits` times ten to this power.
    power: i64,
}

impl Decimal {
    fn read(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, power_of(exponent)?),
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        if !is_digits(whole) || whole.len() > 1 && whole.starts_with('0') {
            return None;
        }
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..zeros);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Some(Self {
                negative: false,
                digits,
                power: 0,
            });
        }
        Some(Self {
            negative,
            digits,
            power: exponent.saturating_add(whole.len() as i64 - zeros as i64),
        })
    }

    /// Returns the order of the values without their signs.
    fn magnitude(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self
                .power
                .cmp(&other.power)
                .then_with(|| self.digits.cmp(&other.digits)),
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads an exponent. One beyond 64 bits counts as the largest.
fn power_of(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let power = digits.parse().unwrap_or(i64::MAX / 2).min(i64::MAX / 2);
    is_digits(digits).then_some(if negative { -power } else { power })
}

/// Reads a document. A number beyond those of `f64`, which `serde_json` refuses, becomes the largest
/// one there is; [`texts`] has its digits. `None` if the document is not JSON.
pub fn read(document: &[u8]) -> Option<Value> {
    if let Ok(value) = serde_json::from_slice(document) {
        return Some(value);
    }
    match with_known_numbers(std::str::from_utf8(document).ok()?) {
        Cow::Borrowed(_) => None,
        Cow::Owned(known) => serde_json::from_str(&known).ok(),
    }
}

/// Replaces the numbers that `f64` cannot hold; borrowed if there is none.
fn with_known_numbers(document: &str) -> Cow<'_, str> {
    let mut scanner = Scanner::new(document);
    let (mut known, mut done) = (String::new(), 0);
    scanner.space();
    // A page is no JSON: it is not looked through.
    let may_begin = |byte: u8| b"{[-".contains(&byte) || byte.is_ascii_digit();
    if !scanner.byte().is_some_and(may_begin) {
        return Cow::Borrowed(document);
    }
    while let Some(byte) = scanner.byte() {
        let from = scanner.at;
        match byte {
            b'"' if scanner.string().is_some() => {}
            b'-' | b'0'..=b'9' => {
                scanner.word();
                let word = &document[from..scanner.at];
                if is_beyond(word) {
                    known.push_str(&document[done..from]);
                    known.push_str(if byte == b'-' { LEAST } else { MOST });
                    done = scanner.at;
                }
            }
            _ => scanner.at += 1,
        }
    }
    match done {
        0 => Cow::Borrowed(document),
        done => Cow::Owned(known + &document[done..]),
    }
}

/// The largest numbers of `f64`.
const MOST: &str = "1.7976931348623157e308";
const LEAST: &str = "-1.7976931348623157e308";

/// True for a number of JSON that is none of `f64`.
fn is_beyond(word: &str) -> bool {
    is_number(word) && word.parse().is_ok_and(f64::is_infinite)
}

/// Returns the text of a member of a member, and so on: by name in an object, by number in a list.
pub fn member<'t>(document: &'t str, path: &[String]) -> Option<&'t str> {
    let mut found = Scanner::new(document).value()?;
    for name in path {
        found = match found.as_bytes().first()? {
            b'{' => entries(found)?
                .into_iter()
                .rev()
                .find_map(|(key, value)| (key == *name).then_some(value))?,
            b'[' => items(found)?.get(name.parse::<usize>().ok()?).copied()?,
            _ => return None,
        };
    }
    Some(found)
}

/// Returns the members of an object, in the order written: names as they mean, values as written.
pub fn entries(document: &str) -> Option<Vec<(String, &str)>> {
    let mut scanner = Scanner::new(document);
    let mut found = Vec::new();
    scanner.enter(b'{')?;
    while !scanner.leaves(b'}')? {
        let key = unquoted(scanner.string()?)?;
        scanner.enter(b':')?;
        found.push((key, scanner.value()?));
    }
    Some(found)
}

fn items(document: &str) -> Option<Vec<&str>> {
    let mut scanner = Scanner::new(document);
    let mut found = Vec::new();
    scanner.enter(b'[')?;
    while !scanner.leaves(b']')? {
        found.push(scanner.value()?);
    }
    Some(found)
}

/// Returns the text that a JSON string means; `None` for any other value.
pub fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    match inner.contains('\\') {
        true => serde_json::from_str(text).ok(),
        false => Some(inner.to_owned()),
    }
}

/// Returns the text of each wanted value, in one pass through the document that `root` was read
/// from. A value of another document has none. It asks now and then whether it may go on; `None` if
/// it was stopped.
pub fn texts<'t>(
    document: &'t str,
    root: &Value,
    wanted: &[&Value],
    may_go_on: &dyn Fn() -> bool,
) -> Option<Vec<Option<&'t str>>> {
    let places = wanted
        .iter()
        .map(|value| (std::ptr::from_ref(*value), None));
    let mut search = Search {
        scanner: Scanner::new(document),
        found: places.collect(),
        walked: 0,
        may_go_on,
        is_stopped: false,
    };
    search.walk(Some(root));
    if search.is_stopped {
        return None;
    }
    let text = |value: &&Value| search.found.get(&std::ptr::from_ref(*value)).copied();
    Some(wanted.iter().map(|value| text(value).flatten()).collect())
}

/// Values between two questions whether the walk may go on: less than a millisecond.
const BETWEEN: usize = 1_024;

/// Walks through a document and the tree that was read from it, side by side.
struct Search<'t, 'g> {
    scanner: Scanner<'t>,
    found: HashMap<*const Value, Option<&'t str>>,
    walked: usize,
    may_go_on: &'g dyn Fn() -> bool,
    is_stopped: bool,
}

impl Search<'_, '_> {
    /// Walks over one value. It calls itself as deep as the document nests: `serde_json` accepts
    /// 128 levels. `None` is a value that is not in the tree, because its name comes twice.
    fn walk(&mut self, value: Option<&Value>) -> Option<()> {
        if self.walked.is_multiple_of(BETWEEN) && !(self.may_go_on)() {
            self.is_stopped = true;
            return None;
        }
        self.walked += 1;
        self.scanner.space();
        let from = self.scanner.at;
        match self.scanner.byte()? {
            b'{' => {
                let members = value.and_then(Value::as_object);
                self.scanner.enter(b'{')?;
                while !self.scanner.leaves(b'}')? {
                    let key = unquoted(self.scanner.string()?)?;
                    self.scanner.enter(b':')?;
                    self.walk(members.and_then(|members| members.get(&key)))?;
                }
            }
            b'[' => {
                let items = value.and_then(Value::as_array);
                self.scanner.enter(b'[')?;
                let mut number = 0;
                while !self.scanner.leaves(b']')? {
                    self.walk(items.and_then(|items| items.get(number)))?;
                    number += 1;
                }
            }
            _ => drop(self.scanner.value()?),
        }
        let text = self.scanner.document.get(from..self.scanner.at)?;
        // Of a name that comes twice, the last value counts, as for `serde_json`.
        if let Some(place) = value.and_then(|value| self.found.get_mut(&std::ptr::from_ref(value)))
        {
            *place = Some(text);
        }
        Some(())
    }
}

/// Reads a document from its beginning.
struct Scanner<'t> {
    document: &'t str,
    at: usize,
}

impl<'t> Scanner<'t> {
    fn new(document: &'t str) -> Self {
        Self { document, at: 0 }
    }

    fn byte(&self) -> Option<u8> {
        self.document.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Passes a sign that must come.
    fn enter(&mut self, sign: u8) -> Option<()> {
        self.space();
        (self.byte()? == sign).then(|| self.at += 1)
    }

    /// Passes a comma, or the end of a list or object; true at the end.
    fn leaves(&mut self, end: u8) -> Option<bool> {
        self.space();
        let found = self.byte()?;
        if found == end || found == b',' {
            self.at += 1;
            self.space();
        }
        Some(found == end)
    }

    /// Passes a string; returns it with its quotes.
    fn string(&mut self) -> Option<&'t str> {
        self.space();
        let from = self.at;
        self.enter(b'"')?;
        loop {
            let step = match self.byte()? {
                b'"' => break,
                b'\\' => 2,
                _ => 1,
            };
            self.at += step;
        }
        self.at += 1;
        self.document.get(from..self.at)
    }

    /// Passes any value; returns its text.
    fn value(&mut self) -> Option<&'t str> {
        self.space();
        let (from, mut depth) = (self.at, 0usize);
        loop {
            match self.byte()? {
                b'"' => drop(self.string()?),
                b'{' | b'[' => (self.at, depth) = (self.at + 1, depth + 1),
                b'}' | b']' => (self.at, depth) = (self.at + 1, depth.checked_sub(1)?),
                b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                _ => self.word(),
            }
            if depth == 0 {
                return self.document.get(from..self.at);
            }
        }
    }

    /// Passes a number, `true`, `false` or `null`.
    fn word(&mut self) {
        let ends = |byte: u8| b"{}[],: \t\r\n\"".contains(&byte);
        while self.byte().is_some_and(|byte| !ends(byte)) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_those_of_json() {
        for number in [
            "0",
            "-0",
            "9007199254740993",
            "0.10",
            "1e3",
            "-1.5E-7",
            "1e999",
        ] {
            assert!(is_number(number), "{number}");
        }
        for other in [
            "", "007", "+1", ".5", "1.", "1e", "0x1f", "1_000", "inf", "1 ", "-",
        ] {
            assert!(!is_number(other), "{other}");
        }
    }

    #[test]
    fn numbers_are_compared_digit_by_digit() {
        use Ordering::{Equal, Greater, Less};
        for (left, right, order) in [
            ("9007199254740993", "9007199254740992", Greater),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567891",
                Less,
            ),
            ("10", "9", Greater),
            ("1e3", "1000.0", Equal),
            ("0.10", "0.1", Equal),
            ("100", "1E+2", Equal),
            ("-2", "-10", Greater),
            ("-0", "0.00", Equal),
            ("0", "0.001", Less),
            ("-1", "0", Less),
            ("1e-5", "0.00001", Equal),
            ("1e99999999999999999999", "1e5", Greater),
        ] {
            assert_eq!(compare(left, right), Some(order), "{left} {right}");
            assert_eq!(
                compare(right, left),
                Some(order.reverse()),
                "{right} {left}"
            );
        }
        assert_eq!(compare("007", "7"), None);
    }

    #[test]
    fn values_are_found_as_they_are_written() {
        let document =
            "{ \"a\": [1.50, {\"b \\\"c\": 1e3}],\n \"d\": 12345678901234567890123, \"d\": 0.10 }";
        let root: Value = serde_json::from_str(document).unwrap();
        let wanted = [
            &root["a"][0],
            &root["a"][1],
            &root["a"][1]["b \"c"],
            &root["d"],
        ];
        let other = Value::Null;
        let all = [&wanted[..], &[&other]].concat();
        assert_eq!(texts(document, &root, &all, &|| false), None, "stopped");
        assert_eq!(
            texts(document, &root, &all, &|| true).unwrap(),
            [
                Some("1.50"),
                Some("{\"b \\\"c\": 1e3}"),
                Some("1e3"),
                Some("0.10"),
                None
            ]
        );
        let path = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(member(document, &path(&["a", "1", "b \"c"])), Some("1e3"));
        assert_eq!(member(document, &path(&["d"])), Some("0.10"));
        assert_eq!(member(document, &path(&["a", "9"])), None);
        assert_eq!(member("7", &path(&["a"])), None);
        assert_eq!(entries("[1]"), None);
        assert_eq!(unquoted("\"a\\u00fc\""), Some("aü".to_owned()));
    }

    #[test]
    fn a_walk_is_stopped_in_the_middle() {
        let document = format!("[{}]", vec!["1.0"; 3 * BETWEEN].join(","));
        let root: Value = serde_json::from_str(&document).unwrap();
        let asked = std::cell::Cell::new(0);
        let twice = || {
            asked.set(asked.get() + 1);
            asked.get() < 3
        };
        assert_eq!(texts(&document, &root, &[&root[0]], &twice), None);
        assert_eq!(asked.get(), 3);
    }

    #[test]
    fn a_number_beyond_those_of_a_float_leaves_its_document_json() {
        let digits = "9".repeat(400);
        let document =
            format!("{{ \"a\": 1e400, \"b\": [-1E+999, {digits}], \"c\": \"1e400\", \"d\": 7 }}");
        let root = read(document.as_bytes()).unwrap();
        assert_eq!(root["c"], "1e400");
        assert_eq!(root["d"], 7);
        let wanted = [&root["a"], &root["b"][0], &root["b"][1]];
        assert_eq!(
            texts(&document, &root, &wanted, &|| true).unwrap(),
            [Some("1e400"), Some("-1E+999"), Some(digits.as_str())]
        );
        assert_eq!(read(b" 1e400"), Some(Value::from(f64::MAX)));
        for other in [
            "<p>1e400</p>",
            "{1e400}",
            "[1e400",
            "[01e400]",
            "{}x",
            "1e400 \"",
            "\"1e400",
        ] {
            assert_eq!(read(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_scanned_to_an_end(text in "[\\{\\}\\[\\],:\" \\\\0-9ae.é-]{0,40}") {
            drop((entries(&text), items(&text), member(&text, &["a".to_owned()])));
            drop(texts(&text, &Value::Null, &[], &|| true));
            drop(with_known_numbers(&text));
            let own: Option<Value> = serde_json::from_str(&text).ok();
            prop_assert!(own.is_none() || read(text.as_bytes()) == own);
        }

        #[test]
        fn numbers_are_ordered_as_their_values(left in -1_000i32..1_000, right in -1_000i32..1_000, point in 0usize..3) {
            let text = |number: i32| format!("{:.*}", point, f64::from(number) / 10f64.powi(point as i32));
            prop_assert_eq!(compare(&text(left), &text(right)), Some(left.cmp(&right)));
        }
    }
}
