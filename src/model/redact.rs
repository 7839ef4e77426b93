//! Secrets, and the last door before anything is said or written: each value is replaced by
//! `[secret NAME]`.
//!
//! By value, not by place: a secret may come back in an answer, an error of a library or a panic,
//! where nobody knows it for one. [`Redactor`] is pure; one of them serves the whole process,
//! because a panic hook and the log have nobody to be handed one. The doors, each with its reason
//! beside it: `events` (live view), `main` (the output of every command),
//! `cli::install_redacting_log` (log and panics), `run::report` (report.json, report.html), `journal::record`, `watch::recorder`,
//! `engine::task` (what a generator says on the channel), `run::control` (why it must stop).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::visible;

mod decode;

use decode::{Decoded, LEVELS};

/// Bytes. A shorter value occurs in any text by chance, and its removal would spoil all of them.
pub const SHORTEST: usize = 4;

/// The values of `${secret:NAME}`, by name. Never shown, not even by `{:?}`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Adds the value of `${secret:NAME}`; replaces an earlier one of this name.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// The value of a name; `None` if it is not known.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// True if there is no secret.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Knows some secrets, in every form in which texts may hold them.
#[derive(Default)]
pub struct Redactor {
    forms: Vec<SecretForm>,
}

struct SecretForm {
    text: String,
    label: String,
}

impl Redactor {
    const fn new() -> Self {
        Self { forms: Vec::new() }
    }

    /// Redacts these values from now on, except those shorter than [`SHORTEST`].
    pub fn learn(&mut self, secrets: &Secrets) {
        for (name, value) in secrets.iter().filter(|(_, value)| value.len() >= SHORTEST) {
            for text in forms(value) {
                if !self.forms.iter().any(|known| known.text == text) {
                    self.forms.push(SecretForm {
                        text,
                        label: format!("[secret {name}]"),
                    });
                }
            }
        }
    }

    /// The text with each known value replaced by `[secret NAME]`, however it is escaped; borrowed
    /// if there is none.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let plain = self.plain(text);
        if self.forms.is_empty() || !plain.contains(['%', '\\', '&']) {
            return plain;
        }
        match self.escaped(&plain) {
            Some(clean) => Cow::Owned(clean),
            None => plain,
        }
    }

    /// The text without the values that stand in it in a form that is known.
    fn plain<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let find = |form: &SecretForm, from: usize| Some(from + text[from..].find(&form.text)?);
        let mut next: Vec<Option<usize>> = self.forms.iter().map(|form| find(form, 0)).collect();
        let (mut clean, mut done) = (String::new(), 0);
        loop {
            let found = self.forms.iter().zip(&next);
            // The first form, and the longest where several begin.
            let found = found
                .filter_map(|(form, at)| Some(((*at)?, form)))
                .min_by_key(|(at, form)| (*at, std::cmp::Reverse(form.text.len())));
            let Some((at, form)) = found else {
                break;
            };
            clean.push_str(&text[done..at]);
            clean.push_str(&form.label);
            done = at + form.text.len();
            for (form, at) in self.forms.iter().zip(&mut next) {
                if at.is_some_and(|at| at < done) {
                    *at = find(form, done);
                }
            }
        }
        if done == 0 {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(clean + &text[done..])
        }
    }

    /// The text without the values that are seen when its escapes are undone; none if there is no
    /// such value.
    fn escaped(&self, text: &str) -> Option<String> {
        let mut found: Vec<(usize, usize, &str)> = Vec::new();
        let mut decoded = Decoded::of(text);
        for _ in 0..LEVELS {
            let Some(further) = decoded.further() else {
                break;
            };
            decoded = further;
            for form in &self.forms {
                let places = memchr::memmem::find_iter(&decoded.bytes, form.text.as_bytes());
                found.extend(
                    places
                        .filter_map(|at| decoded.escaped_place(at, form.text.len()))
                        .map(|(begin, end)| (begin, end, form.label.as_str())),
                );
            }
        }
        if found.is_empty() {
            return None;
        }
        // The first one, and of several there the longest; what overlaps goes with it.
        found.sort_by_key(|(begin, end, _)| (*begin, std::cmp::Reverse(*end)));
        let (mut clean, mut done) = (String::new(), 0);
        for (begin, end, label) in found {
            if begin >= done {
                clean.push_str(text.get(done..begin).unwrap_or_default());
                clean.push_str(label);
            }
            done = done.max(end);
        }
        Some(clean + text.get(done..).unwrap_or_default())
    }

    /// Every text of a JSON value; what the members named in `fixed` hold is our own word, and
    /// stays.
    fn value(&self, value: &mut Value, fixed: &[&str]) {
        match value {
            Value::String(text) if self.is_a_moment(text) => {}
            Value::String(text) => *text = self.text(text).into_owned(),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item, fixed)),
            Value::Object(members) => members
                .iter_mut()
                .filter(|(name, _)| !fixed.contains(&name.as_str()))
                .for_each(|(_, held)| self.value(held, fixed)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A timestamp tells nothing but a time, and whoever reads the message again needs it.
    fn is_a_moment(&self, text: &str) -> bool {
        text.parse::<jiff::Timestamp>().is_ok() && !self.forms.iter().any(|form| form.text == text)
    }

    /// The same message without secrets; none where a secret is also one of our own words, and the
    /// message would be none any more.
    pub fn message<T: Serialize + DeserializeOwned>(
        &self,
        message: &T,
        fixed: &[&str],
    ) -> Option<T> {
        let mut value = serde_json::to_value(message).ok()?;
        self.value(&mut value, fixed);
        serde_json::from_value(value).ok()
    }
}

/// As the engine encodes values, and RFC 3986 any: all but the unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A value as it is, and as it looks in a URL, a form, JSON, HTML, a `{:?}`, as it is printed, and in
/// the middle of base64. Other escapes of these forms are undone: see [`decode`].
fn forms(value: &str) -> Vec<String> {
    let percent = utf8_percent_encode(value, RESERVED).to_string();
    let mut forms = vec![
        value.to_owned(),
        // A secret out of a file often ends with its line.
        value.trim().to_owned(),
        percent.replace("%20", "+"),
        lower_case_escapes(&percent),
        percent,
        unquoted(&Value::from(value).to_string()),
        unquoted(&format!("{value:?}")),
        html(value),
        visible::line(value).into_owned(),
        visible::line(value.trim()).into_owned(),
    ];
    let of_base64: Vec<String> = forms.iter().flat_map(|form| in_base64(form)).collect();
    let twice = in_base64(value)
        .into_iter()
        .flat_map(|form| in_base64(&form));
    let twice: Vec<String> = twice.collect();
    forms.extend(of_base64);
    forms.extend(twice);
    forms.sort_unstable();
    forms.dedup();
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// A text in base64, alone and in the middle of others, in both alphabets.
fn in_base64(text: &str) -> Vec<String> {
    let whole = [STANDARD.encode(text), STANDARD_NO_PAD.encode(text)];
    let within = (0..3).map(|before| within_base64(text.as_bytes(), before));
    let encoded = whole.into_iter().chain(within);
    encoded
        .flat_map(|one| [one.replace('+', "-").replace('/', "_"), one])
        .collect()
}

/// `%2F` and `%2f` are the same byte.
fn lower_case_escapes(percent: &str) -> String {
    let mut digits = 0_u8;
    let lowered = percent.chars().map(|c| {
        let of_escape = digits > 0;
        digits = if c == '%' {
            2
        } else {
            digits.saturating_sub(1)
        };
        if of_escape { c.to_ascii_lowercase() } else { c }
    });
    lowered.collect()
}

fn unquoted(quoted: &str) -> String {
    quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(quoted)
        .to_owned()
}

/// As askama escapes.
fn html(value: &str) -> String {
    let escaped = |c: char| match c {
        '<' | '>' | '&' | '"' | '\'' => format!("&#{};", u32::from(c)),
        other => other.to_string(),
    };
    value.chars().map(escaped).collect()
}

/// The base64 text of a value alone, when `before` bytes (modulo three) precede it: `user:SECRET`
/// of basic authentication. The characters that also hold bits of its neighbours are left out.
fn within_base64(value: &[u8], before: usize) -> String {
    let mut bytes = vec![0; before];
    bytes.extend(value);
    let encoded = STANDARD_NO_PAD.encode(&bytes);
    // An empty value, as of a secret of blanks, has no character of its own.
    let own = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
    encoded.get(own).unwrap_or_default().to_owned()
}

/// The secrets that this process knows.
static KNOWN: RwLock<Redactor> = RwLock::new(Redactor::new());

/// From here on these values leave this process in no text. To be called before anything can be
/// said of them.
pub fn keep(secrets: &Secrets) {
    KNOWN
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .learn(secrets);
}

/// A text that may be shown.
pub fn text(text: &str) -> String {
    KNOWN
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .text(text)
        .into_owned()
}

/// Whether a text holds a secret.
pub fn holds_secret(text: &str) -> bool {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    matches!(known.text(text), Cow::Owned(_))
}

/// A message that may be written: each of its texts redacted, but for what the members named in
/// `fixed` hold (words of our own that readers depend on). None where a secret's value is a word of
/// ours elsewhere.
pub fn message<T: Serialize + DeserializeOwned + Clone>(message: &T, fixed: &[&str]) -> Option<T> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    if known.forms.is_empty() {
        Some(message.clone())
    } else {
        known.message(message, fixed)
    }
}

/// A writer that redacts, and makes visible what would act on a terminal: for whatever writes whole
/// lines at once, as the log does.
pub struct Writer<W>(pub W);

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let said = text(&String::from_utf8_lossy(bytes));
        let said = match said.strip_suffix('\n') {
            Some(line) => visible::line(line).into_owned() + "\n",
            None => visible::line(&said).into_owned(),
        };
        self.0.write_all(visible::text(&said).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets(pairs: &[(&str, &str)]) -> Secrets {
        let mut secrets = Secrets::default();
        for (name, value) in pairs {
            secrets.insert(*name, *value);
        }
        secrets
    }

    fn redactor(pairs: &[(&str, &str)]) -> Redactor {
        let mut redactor = Redactor::new();
        redactor.learn(&secrets(pairs));
        redactor
    }

    #[test]
    fn a_value_is_found_in_every_form() {
        let value = "p\"ä/ &<w>+\n9";
        let redactor = redactor(&[("KEY", value)]);
        for text in [
            value.to_owned(),
            "p%22%C3%A4%2F%20%26%3Cw%3E%2B%0A9".to_owned(),
            "p%22%c3%a4%2f%20%26%3cw%3e%2b%0a9".to_owned(),
            "p%22%C3%A4%2F+%26%3Cw%3E%2B%0A9".to_owned(),
            "p\\\"ä/ &<w>+\\n9".to_owned(),
            "p&#34;ä/ &#38;&#60;w&#62;+\n9".to_owned(),
            STANDARD.encode(value),
            STANDARD_NO_PAD.encode(value),
            base64::engine::general_purpose::URL_SAFE.encode(value),
        ] {
            let said = redactor.text(&text).into_owned();
            assert_eq!(said.trim_end_matches('='), "[secret KEY]", "{text}");
        }
        assert_eq!(redactor.text("nothing to hide"), "nothing to hide");
    }

    #[test]
    fn a_value_is_found_however_it_is_escaped() {
        let value = "c4nary/9+x=y&z";
        let redactor = redactor(&[("KEY", value)]);
        let each = |write: &dyn Fn(char) -> String| value.chars().map(write).collect::<String>();
        let percent = each(&|c| format!("%{:02X}", u32::from(c)));
        let unicode = each(&|c| format!("\\u{:04x}", u32::from(c)));
        let entity = each(&|c| format!("&#x{:x};", u32::from(c)));
        let decimal = each(&|c| format!("&#{};", u32::from(c)));
        let once = utf8_percent_encode(value, RESERVED).to_string();
        let twice = utf8_percent_encode(&once, RESERVED).to_string();
        for escaped in [
            percent.to_ascii_lowercase(),
            utf8_percent_encode(&percent, RESERVED).to_string(),
            percent,
            unicode.to_ascii_uppercase().replace("\\U", "\\u"),
            unicode.replace('\\', "\\\\"),
            unicode,
            entity.replace('x', "X"),
            entity.replace('&', "&amp;"),
            entity,
            decimal,
            each(&|c| format!("\\x{:02x}", u32::from(c))),
            each(&|c| format!("\\{:03o}", u32::from(c))),
            each(&|c| format!("\\\\{:o}", u32::from(c))),
            utf8_percent_encode(&twice, RESERVED).to_string(),
            twice,
            // Only a part of it, and in two ways.
            "c%34nar\\u0079/9&#43;x=y&amp;z".to_owned(),
            utf8_percent_encode(&STANDARD.encode(value), NON_ALPHANUMERIC).to_string(),
            STANDARD.encode(STANDARD.encode(value)),
            STANDARD.encode(&once),
        ] {
            let said = redactor.text(&format!("a {escaped} b")).into_owned();
            // The padding of base64 may be left.
            let said = said.replace('=', "").replace("%3D", "");
            assert_eq!(said, "a [secret KEY] b", "{escaped}");
        }
        for harmless in ["100 %, c4nar\\u0078 &amp; co", "[secret KEY]%41"] {
            assert!(
                matches!(redactor.text(harmless), Cow::Borrowed(_)),
                "{harmless}"
            );
        }
    }

    #[test]
    fn a_value_is_found_in_a_text_that_was_made_visible() {
        let value = "-----BEGIN KEY-----\nc4nary\n-----END KEY-----\n";
        let redactor = redactor(&[("PEM", value)]);
        let shown = visible::line(&format!("refused: {value} (401)")).into_owned();
        assert_eq!(redactor.text(&shown), "refused: [secret PEM] (401)");
    }

    #[test]
    fn the_longest_secret_wins_and_short_ones_are_not_looked_for() {
        let redactor = redactor(&[("A", "abcd"), ("B", "abcdef"), ("C", "xyz")]);
        assert_eq!(
            redactor.text("abcdef, abcd, xyz, abcdabcd"),
            "[secret B], [secret A], xyz, [secret A][secret A]"
        );
    }

    #[test]
    fn numbers_moments_and_our_own_words_stay_what_they_are() {
        let redactor = redactor(&[("PIN", "1234"), ("WORD", "intent"), ("YEAR", "2026")]);
        let mut value = serde_json::json!({ "kind": "intent", "n": 12345, "at": "2026-03-01T12:00:00Z", "why": ["1234", { "says": "an intent" }] });
        redactor.value(&mut value, &["kind"]);
        let left = serde_json::json!({ "kind": "intent", "n": 12345, "at": "2026-03-01T12:00:00Z", "why": ["[secret PIN]", { "says": "an [secret WORD]" }] });
        assert_eq!(value, left);
    }

    #[test]
    fn secrets_do_not_show_themselves() {
        assert_eq!(format!("{:?}", secrets(&[("KEY", "hunter2")])), "{\"KEY\"}");
    }

    #[test]
    fn a_secret_of_blanks_has_its_forms() {
        assert!(in_base64("").iter().all(String::is_empty));
        assert!(forms("    ").contains(&"    ".to_owned()));
    }

    #[test]
    fn what_the_log_writes_is_redacted() {
        keep(&secrets(&[("LOGGED", "c4nary-of-the-log")]));
        let mut writer = Writer(Vec::new());
        writer
            .write_all(b"token c4nary-of-the-log refused\n::error::x\x1b[2J\n")
            .unwrap();
        assert_eq!(
            String::from_utf8(writer.0).unwrap(),
            "token [secret LOGGED] refused␊::error::x␛[2J\n"
        );
    }

    proptest! {
        #[test]
        fn no_base64_of_a_text_around_a_secret_gives_it_away(
            before in "[ -~]{0,7}", secret in "[!-~]{8,24}", after in "[ -~]{0,7}",
        ) {
            let encoded = STANDARD.encode(format!("{before}{secret}{after}"));
            let left = redactor(&[("KEY", &secret)]).text(&encoded).into_owned();
            prop_assert!(left.contains("[secret KEY]"), "{left}");
        }

        #[test]
        fn no_text_holds_a_secret_afterwards(text in "[ab{}\" ]{0,30}", secret in "[ab{}\" ]{4,6}") {
            let left = redactor(&[("K", &secret)]).text(&text).into_owned();
            prop_assert!(!left.contains(&secret), "{left}");
        }
    }
}
