//! The last door before a text is printed: nothing in it acts on a terminal or on a CI system.
//!
//! Names, messages and answers come from scenarios, targets, AWS, journals and lock files. One of
//! them may hold an escape sequence that repaints the screen, a line break and a verdict of its
//! own, a mark that turns the direction of writing, or a command of a CI system.
//!
//! Two rules, because only the place that joins texts knows which line breaks are its own. [`line`]
//! is for a text that becomes a part of a line: the events, the reports (through [`written`]) and
//! the errors pass through it. [`text`] is for all that is printed: `main`, the live view and the log.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// True for a character that acts instead of being seen: it controls a terminal, changes the
/// direction of writing, or has no width, so that two names look alike.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'
                | '\u{2029}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Writes a character that acts so that it is seen: `␛`, or `\u{202e}` where there is no picture.
fn push_visible(out: &mut String, c: char) {
    match u32::from(c) {
        code @ 0..0x20 => out.extend(char::from_u32(0x2400 + code)),
        0x7f => out.push('␡'),
        code => out.push_str(&format!("\\u{{{code:x}}}")),
    }
}

fn replaced(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|c| acts(c) && !is_kept(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) && !is_kept(c) {
            push_visible(&mut out, c);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A text as a part of a line: line breaks are visible too.
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, |_| false)
}

/// A message of several lines: a further line begins with two blanks at least, as hints do. Every
/// other line break is one of somebody else's text, and is made visible.
pub fn indented(text: &str) -> String {
    let mut lines = text.split('\n');
    let mut out = line(lines.next().unwrap_or_default()).into_owned();
    for further in lines {
        out.push(if further.starts_with("  ") {
            '\n'
        } else {
            '␊'
        });
        out.push_str(&line(further));
    }
    out
}

/// A whole output: its line breaks and tabs stay, and no line of it is a command of a CI system.
pub fn text(text: &str) -> String {
    without_commands(&replaced(text, |c| matches!(c, '\n' | '\t')))
}

/// A whole output with our own colours: as [`text`], but sequences that only set colours stay.
pub fn coloured(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        let (before, from) = rest.split_at(at);
        out.push_str(&self::text(before));
        let parameters = from["\u{1b}[".len()..]
            .bytes()
            .take_while(|byte| byte.is_ascii_digit() || *byte == b';')
            .count();
        let end = "\u{1b}[".len() + parameters;
        if from[end..].starts_with('m') {
            out.push_str(&from[..=end]);
            rest = &from[end + 1..];
        } else {
            out.push('␛');
            rest = &from[1..];
        }
    }
    out + &self::text(rest)
}

/// JSON with the same meaning: characters that act become `\u....`. They stand only inside texts.
pub fn json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        // Between texts it is a blank, and inside one it cannot stand.
        if c == '\r' {
            continue;
        }
        if acts(c) && !matches!(c, '\n' | '\t') {
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    for (command, _) in ANYWHERE {
        let (first, others) = command.split_at(1);
        let code = u32::from(first.as_bytes()[0]);
        out = out.replace(command, &format!("\\u{code:04x}{others}"));
    }
    out
}

/// Texts that begin a command of a CI system wherever they stand in a line, each with a harmless form:
/// GitHub Actions, Azure Pipelines, `TeamCity`.
const ANYWHERE: [(&str, &str); 3] = [
    ("##[", "# #["),
    ("##vso[", "# #vso["),
    ("##teamcity[", "# #teamcity["),
];

/// GitHub Actions reads a line that begins with two colons, after any blanks, as a command.
fn without_commands(text: &str) -> String {
    let begins_command = |line: &str| line.trim_start().starts_with("::");
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if begins_command(line) {
            out.push_str(&line.replacen("::", ": :", 1));
        } else {
            out.push_str(line);
        }
    }
    for (command, harmless) in ANYWHERE {
        if out.contains(command) {
            out = out.replace(command, harmless);
        }
    }
    out
}

/// The text that `write` makes of a value, each text of the value a part of a line. Where the value
/// cannot be walked through, nobody knows which line breaks are its own: then all is one line.
pub fn written<T: Serialize + DeserializeOwned>(
    value: &T,
    whole: &[&str],
    write: impl FnOnce(&T) -> String,
) -> String {
    match each(value, whole) {
        Some(seen) => write(&seen),
        None => line(&write(value)).into_owned(),
    }
}

/// The same value, each of its texts as [`line`] writes it; those of the members named in `whole`
/// keep their line breaks. None where JSON cannot hold the value, such as a number that is none, or
/// where a text is also a word that readers of the value need: then use [`written`].
pub fn each<T: Serialize + DeserializeOwned>(value: &T, whole: &[&str]) -> Option<T> {
    let mut value = serde_json::to_value(value).ok()?;
    make_visible(&mut value, whole, false);
    serde_json::from_value(value).ok()
}

fn make_visible(value: &mut Value, whole: &[&str], keeps_lines: bool) {
    match value {
        Value::String(held) => {
            let seen = match replaced(held, |c| keeps_lines && c == '\n') {
                Cow::Owned(seen) => Some(seen),
                Cow::Borrowed(_) => None,
            };
            if let Some(seen) = seen {
                *held = seen;
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| make_visible(item, whole, keeps_lines)),
        Value::Object(members) => {
            if members.keys().any(|name| name.chars().any(acts)) {
                *members = std::mem::take(members)
                    .into_iter()
                    .map(|(name, held)| (line(&name).into_owned(), held))
                    .collect();
            }
            for (name, held) in members {
                make_visible(held, whole, whole.contains(&name.as_str()));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_seen_instead() {
        for (hostile, seen) in [
            ("\u{1b}]0;owned\u{7}\u{1b}[2J", "␛]0;owned␇␛[2J"),
            ("a\nPASSED  all hold\r\n", "a␊PASSED  all hold␍␊"),
            ("bidi\u{202e}abc", "bidi\\u{202e}abc"),
            ("\u{9b}2J\u{7f}\u{2028}", "\\u{9b}2J␡\\u{2028}"),
            ("a\u{200b}b\u{e0041}", "a\\u{200b}b\\u{e0041}"),
            (
                "Ümlaut, 日本, 👩‍👩‍👧 and שלום stay",
                "Ümlaut, 日本, 👩‍👩‍👧 and שלום stay",
            ),
        ] {
            assert_eq!(line(hostile), seen);
        }
        assert_eq!(
            indented("no credentials\nPASSED\n  try: aws sso login\r"),
            "no credentials␊PASSED\n  try: aws sso login␍"
        );
        assert_eq!(text("one\n\ttwo\r\u{1b}[31m\n"), "one\n\ttwo␍␛[31m\n");
    }

    #[test]
    fn no_line_is_a_command_of_a_ci_system() {
        for (hostile, seen) in [
            ("::set-output name=a::b\n", ": :set-output name=a::b\n"),
            ("ok\n   ::stop-commands::x", "ok\n   : :stop-commands::x"),
            ("\u{a0}::error::x", "\u{a0}: :error::x"),
            ("a ##[set-output name=a]b", "a # #[set-output name=a]b"),
            ("##vso[task.setvariable]x", "# #vso[task.setvariable]x"),
            ("##teamcity[x]", "# #teamcity[x]"),
            ("std::fs and # heading", "std::fs and # heading"),
        ] {
            assert_eq!(text(hostile), seen);
            assert_eq!(coloured(hostile), seen);
        }
    }

    #[test]
    fn our_own_colours_stay_and_no_other_sequence() {
        for (given, seen) in [
            (
                "\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m",
                "\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m",
            ),
            ("\u{1b}[2J\u{1b}[1;1Hx", "␛[2J␛[1;1Hx"),
            ("\u{1b}]0;t\u{7}\u{1b}[", "␛]0;t␇␛["),
        ] {
            assert_eq!(coloured(given), seen);
        }
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "a": "\u{202e}\u{9b}##[x]\u{e0041}\u{7f}::y\n" });
        let shown = json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!shown.chars().any(|c| acts(c) && c != '\n'), "{shown}");
        assert!(!shown.contains("##["), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }

    #[test]
    fn each_text_of_a_value_is_made_visible() {
        let value = BTreeMap::from([
            ("na\u{1b}me".to_owned(), vec!["a\nb".to_owned()]),
            ("snippet".to_owned(), vec!["a\n\u{1b}b".to_owned()]),
        ]);
        let seen = BTreeMap::from([
            ("na␛me".to_owned(), vec!["a␊b".to_owned()]),
            ("snippet".to_owned(), vec!["a\n␛b".to_owned()]),
        ]);
        assert_eq!(each(&value, &["snippet"]), Some(seen));
    }

    #[test]
    fn a_value_that_json_cannot_hold_forges_no_line() {
        let write = |value: &(String, f64)| format!("  {}\n  {}\n", value.0, value.1);
        let hostile = "a\nPASSED\u{1b}[2J".to_owned();
        for (number, seen) in [
            (0.5, "  a␊PASSED␛[2J\n  0.5\n"),
            (f64::NAN, "  a␊PASSED␛[2J␊  NaN␊"),
        ] {
            assert_eq!(written(&(hostile.clone(), number), &[], write), seen);
        }
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_left(given in "[\u{0}-\u{ff}\u{2020}-\u{2070}:#\\[m]{0,40}") {
            prop_assert!(!line(&given).chars().any(acts));
            let whole = text(&given);
            let left = |c: char| acts(c) && c != '\n' && c != '\t';
            prop_assert!(!whole.chars().any(left));
            prop_assert!(!whole.lines().any(|line| line.trim_start().starts_with("::")));
            let escape = char::from(0x1b_u8);
            prop_assert!(!coloured(&given).chars().any(|c| left(c) && c != escape));
        }
    }
}
