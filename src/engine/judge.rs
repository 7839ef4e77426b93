//! Judges an answer by the step's checks, and takes the captured values out of it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::time::Duration;

use regex::bytes::Regex;
use scraper::{ElementRef, Html, Selector};

use super::look::{JsonQuery, Look, PageQuery, TooSlow, page};
use super::values::{CapturedValue, Values};
use super::wire::HttpAnswer;
use model::json;
use model::measure::Ending;
use model::scenario::{Capture, Check, Expected, From, Occurrence, Step, What};

use rand::RngExt as _;

/// A step's checks and captures, compiled for one worker: regular expressions do not like to be
/// shared.
pub struct Judge {
    checks: Vec<Compiled<Check>>,
    captures: Vec<(u16, Compiled<Capture>)>,
    /// Some check asks for a status; else 2xx and 3xx are right.
    asks_for_status: bool,
    pub needs_body: bool,
    pub needs_headers: bool,
}

struct Compiled<T> {
    of: T,
    engine: Option<Engine>,
}

enum Engine {
    Regex(Regex),
    Json(JsonQuery),
    Css(PageQuery),
}

/// The result of judging an answer.
pub struct StepOutcome {
    pub ending: Ending,
    /// A capture found nothing: what follows cannot be carried out.
    pub abandon: bool,
}

/// The answer as it is looked at: decoded and parsed when first asked for.
struct ParsedAnswer<'a> {
    answer: &'a HttpAnswer,
    took: Duration,
    cookie: &'a dyn Fn(&str) -> Option<String>,
    /// The body as JSON: empty until asked for, then `None` if it is not JSON.
    json: OnceCell<Option<serde_json::Value>>,
    /// The body as a page: empty until asked for.
    page: OnceCell<Result<Html, TooSlow>>,
    /// The time for all looks into the body.
    look: Look,
}

/// Why a step's check or capture cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// The regular expression of a check or capture is wrong.
    #[error("{0}")]
    Regex(#[from] regex::Error),
    /// The JSON path of a check or capture is wrong.
    #[error("{0}")]
    JsonPath(#[from] serde_json_path::ParseError),
    /// The cause as text: it borrows from the selector.
    #[error("{selector}: {cause}")]
    Css {
        /// The CSS selector as written in the scenario.
        selector: String,
        /// The parser's reason.
        cause: String,
    },
}

/// The places of a flow's captured values, by their names. One is made for all steps of the flow.
pub struct Slots<'a>(HashMap<&'a str, u16>);

impl<'a> Slots<'a> {
    /// Numbers the variables of a flow in their order; of two with one name the first counts.
    pub fn of(variables: &'a [String]) -> Self {
        let mut slots = HashMap::with_capacity(variables.len());
        for (slot, name) in (0..).zip(variables) {
            slots.entry(name.as_str()).or_insert(slot);
        }
        Self(slots)
    }

    fn slot(&self, name: &str) -> u16 {
        self.0.get(name).copied().unwrap_or_default()
    }
}

impl Judge {
    pub fn new(step: &Step, slots: &Slots<'_>) -> Result<Self, PatternError> {
        let checks = step
            .checks
            .iter()
            .map(compile_check)
            .collect::<Result<Vec<_>, _>>()?;
        let captures = step
            .captures
            .iter()
            .map(|capture| Ok((slots.slot(&capture.name), compile_capture(capture)?)));
        let hard = |check: &Check| !check.soft && matches!(check.what, What::Status(_));
        Ok(Self {
            checks,
            captures: captures.collect::<Result<Vec<_>, PatternError>>()?,
            asks_for_status: step.checks.iter().any(hard),
            needs_body: step.needs_body(),
            needs_headers: step
                .checks
                .iter()
                .any(|check| matches!(check.what, What::Header(..)))
                || step
                    .captures
                    .iter()
                    .any(|capture| matches!(capture.from, From::Header(_))),
        })
    }

    /// Returns the bytes that this step may capture, beside what others captured before it.
    fn room(&self, values: &Values<'_>) -> usize {
        let replaced = |slot: usize| self.captures.iter().any(|(own, _)| *own as usize == slot);
        let others = values.variables.iter().enumerate();
        let held: usize = others
            .filter(|(slot, _)| !self.captures.is_empty() && !replaced(*slot))
            .filter_map(|(_, value)| value.as_ref().map(|value| value.text.len()))
            .sum();
        MOST_CAPTURED.saturating_sub(held)
    }

    /// Returns the index of the first count after all checks and captures.
    pub fn beyond(&self) -> u16 {
        (self.checks.len() + self.captures.len()) as u16
    }

    pub fn captures_nothing(&self) -> bool {
        self.captures.is_empty()
    }

    /// True if only the status is judged, by the rule for steps without checks.
    pub fn is_plain(&self) -> bool {
        self.checks.is_empty() && self.captures.is_empty()
    }

    /// True if a check of the step, not a soft one, asks for this status.
    pub fn expects(&self, status: u16) -> bool {
        self.checks.iter().any(|check| match &check.of.what {
            What::Status(codes) => !check.of.soft && codes.binary_search(&status).is_ok(),
            _ => false,
        })
    }

    /// Judges a status by the rule for steps without checks: 2xx and 3xx are right.
    pub(crate) fn plain(status: u16) -> Ending {
        match status {
            500.. => Ending::Status5xx,
            TOO_MANY => Ending::Limited,
            400..500 => Ending::Status4xx,
            200..400 => Ending::Ok,
            _ => Ending::Check,
        }
    }

    /// Judges an answer that is complete. Captured values are put where templates find them.
    pub fn judge(
        &self,
        answer: &HttpAnswer,
        took: Duration,
        values: &mut Values<'_>,
        captured: &mut Vec<(u16, CapturedValue)>,
        cookie: &dyn Fn(&str) -> Option<String>,
        counts: &mut Vec<(u16, bool)>,
    ) -> StepOutcome {
        let mut seen = ParsedAnswer {
            answer,
            took,
            cookie,
            json: OnceCell::new(),
            page: OnceCell::new(),
            look: Look::begin(),
        };
        let (mut failed, mut slow) = (false, false);
        let mut status_wrong = !self.asks_for_status && !(200..400).contains(&answer.status);
        for (index, check) in (0..).zip(&self.checks) {
            let held = check.holds(&mut seen, values);
            slow |= held.is_err();
            let held = held.unwrap_or(false);
            counts.push((index, held));
            if !held && !check.of.soft {
                failed = true;
                status_wrong |= matches!(check.of.what, What::Status(_));
            }
        }
        let (mut abandon, mut full) = (false, false);
        let mut room = self.room(values);
        for (index, (slot, capture)) in (self.checks.len() as u16..).zip(&self.captures) {
            let found = capture.find(&mut seen, values);
            slow |= found.is_err();
            let fits = |value: &CapturedValue| value.text.len() <= room;
            full |= matches!(&found, Ok(Some(value)) if !fits(value));
            let found = found.unwrap_or(None).filter(fits);
            room -= found.as_ref().map_or(0, |value| value.text.len());
            counts.push((index, found.is_some()));
            match found {
                Some(value) => captured.push((*slot, value)),
                None => abandon = true,
            }
        }
        for (happened, beyond) in [(slow, TOO_SLOW), (full, TOO_MUCH)] {
            if happened {
                counts.push((self.beyond() + beyond, false));
            }
        }
        let ending = match (status_wrong, answer.status) {
            (true, 500..) => Ending::Status5xx,
            (true, TOO_MANY) => Ending::Limited,
            (true, 400..500) => Ending::Status4xx,
            _ if status_wrong || failed || abandon => Ending::Check,
            _ => Ending::Ok,
        };
        StepOutcome { ending, abandon }
    }
}

/// Bytes that the captures of one flow may hold in a session: 10,000 sessions must fit a task.
const MOST_CAPTURED: usize = 1 << 20;
/// The places of two faults among the names that every step counts ([`Step::check_names`]).
const TOO_SLOW: u16 = 2;
const TOO_MUCH: u16 = 3;

/// Status 429: the client sends too many requests.
const TOO_MANY: u16 = 429;

fn compile_check(check: &Check) -> Result<Compiled<Check>, PatternError> {
    let engine = match &check.what {
        What::Matches(pattern) => Some(regex(pattern)?),
        What::Json(path, _) => Some(json_path(path)?),
        _ => None,
    };
    Ok(Compiled {
        of: check.clone(),
        engine,
    })
}

fn compile_capture(capture: &Capture) -> Result<Compiled<Capture>, PatternError> {
    let engine = match &capture.from {
        From::Json(path) => Some(json_path(path)?),
        From::Regex(pattern) => Some(regex(pattern)?),
        From::Css { selector, .. } => Some(css(selector)?),
        From::Header(_) | From::Cookie(_) => None,
    };
    Ok(Compiled {
        of: capture.clone(),
        engine,
    })
}

fn regex(pattern: &str) -> Result<Engine, PatternError> {
    Ok(Engine::Regex(Regex::new(pattern)?))
}

fn json_path(path: &str) -> Result<Engine, PatternError> {
    Ok(Engine::Json(JsonQuery::parse(path)?))
}

fn css(selector: &str) -> Result<Engine, PatternError> {
    let parsed = Selector::parse(selector).map_err(|error| PatternError::Css {
        selector: selector.to_owned(),
        cause: error.to_string(),
    })?;
    Ok(Engine::Css(PageQuery::new(parsed, selector)))
}

impl ParsedAnswer<'_> {
    /// Returns the body without the mark of UTF-8 that some servers put before it.
    fn document(&self) -> &[u8] {
        let body = self.answer.body.as_slice();
        body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
    }

    fn json(&self) -> Option<&serde_json::Value> {
        self.json
            .get_or_init(|| json::read(self.document()))
            .as_ref()
    }

    fn page(&self) -> Result<&Html, TooSlow> {
        let read = || page(&String::from_utf8_lossy(&self.answer.body), self.look);
        self.page.get_or_init(read).as_ref().map_err(|slow| *slow)
    }

    /// Returns values of the body as later requests send them, byte for byte.
    fn captured(&self, found: &[&serde_json::Value]) -> Result<Vec<CapturedValue>, TooSlow> {
        let written = match found.iter().any(|value| may_be_written_otherwise(value)) {
            true => self.texts(found)?,
            false => vec![None; found.len()],
        };
        let each = found.iter().zip(written);
        let values = each.map(|(value, written)| match (value, written) {
            (serde_json::Value::String(text), _) => CapturedValue {
                text: text.as_str().into(),
                json: false,
            },
            (_, Some(written)) => CapturedValue {
                text: written.into(),
                json: true,
            },
            (other, None) => CapturedValue {
                text: other.to_string().into(),
                json: true,
            },
        });
        Ok(values.collect())
    }

    fn texts(&self, found: &[&serde_json::Value]) -> Result<Vec<Option<&str>>, TooSlow> {
        match (std::str::from_utf8(self.document()), self.json()) {
            (Ok(document), Some(root)) => {
                json::texts(document, root, found, &|| self.look.go_on().is_ok()).ok_or(TooSlow)
            }
            _ => Ok(vec![None; found.len()]),
        }
    }
}

/// True if `serde_json` may write the value otherwise than its document. Whole numbers up to 64
/// bits have one form only.
fn may_be_written_otherwise(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(number) => number.is_f64(),
        other => other.is_object() || other.is_array(),
    }
}

impl Compiled<Check> {
    fn holds(&self, seen: &mut ParsedAnswer<'_>, values: &mut Values<'_>) -> Result<bool, TooSlow> {
        if seen.answer.unreadable && self.of.needs_body() {
            return Ok(false);
        }
        Ok(match (&self.of.what, &self.engine) {
            (What::Status(codes), _) => codes.binary_search(&seen.answer.status).is_ok(),
            (What::Under(limit), _) => seen.took < *limit,
            (What::Contains(text), _) => values
                .text(text)
                .is_ok_and(|text| contains(&seen.answer.body, text.as_bytes())),
            (What::Matches(_), Some(Engine::Regex(pattern))) => pattern.is_match(&seen.answer.body),
            (What::Json(_, expected), Some(Engine::Json(path))) => {
                let Some(json) = seen.json() else {
                    return Ok(false);
                };
                let found = path.all(json, seen.look)?;
                match expected {
                    _ if found.is_empty() => false,
                    Expected::Value(value) => found.iter().all(|found| *found == value),
                    Expected::Number(_) if !found.iter().all(|found| found.is_number()) => false,
                    Expected::Number(number) => seen
                        .captured(&found)?
                        .iter()
                        .all(|found| same(found, number)),
                    Expected::Text(text) => match values.text(text) {
                        Ok(text) => seen
                            .captured(&found)?
                            .iter()
                            .all(|found| same(found, &text)),
                        Err(_) => false,
                    },
                }
            }
            (What::Header(name, value), _) => {
                // A header may be there several times: one that holds is enough.
                let mut found = seen
                    .answer
                    .headers
                    .iter()
                    .filter(|(known, _)| known == name)
                    .map(|(_, value)| value);
                match value {
                    None => found.next().is_some(),
                    Some(wanted) => values
                        .text(wanted)
                        .is_ok_and(|wanted| found.any(|found| found[..] == *wanted.as_bytes())),
                }
            }
            (What::Size(comparison, limit), _) => {
                comparison.holds(seen.answer.body.len() as f64, *limit as f64)
            }
            // A pattern or path without its engine cannot be: they are compiled together.
            (What::Matches(_) | What::Json(..), _) => false,
        })
    }
}

/// True if both are the same text, or if a number was found and both are equal as numbers, however
/// they are written.
fn same(found: &CapturedValue, wanted: &str) -> bool {
    *found.text == *wanted
        || found.json && json::compare(&found.text, wanted).is_some_and(std::cmp::Ordering::is_eq)
}

impl Compiled<Capture> {
    fn find(
        &self,
        seen: &mut ParsedAnswer<'_>,
        values: &mut Values<'_>,
    ) -> Result<Option<CapturedValue>, TooSlow> {
        let text = |text: &[u8]| CapturedValue {
            text: String::from_utf8_lossy(text).into(),
            json: false,
        };
        let pick = self.of.pick;
        let found = match (&self.of.from, &self.engine) {
            _ if seen.answer.unreadable && self.of.needs_body() => None,
            (From::Header(name), _) => {
                let all: Vec<&[u8]> = seen
                    .answer
                    .headers
                    .iter()
                    .filter(|(known, _)| known == name)
                    .map(|(_, value)| value.as_slice())
                    .collect();
                choose(&all, pick, values).map(|value| text(value))
            }
            (From::Cookie(name), _) => (seen.cookie)(name).map(|value| text(value.as_bytes())),
            (From::Regex(_), Some(Engine::Regex(pattern))) => {
                let mut all: Vec<&[u8]> = Vec::new();
                for groups in pattern.captures_iter(&seen.answer.body) {
                    seen.look.go_on()?;
                    let found = groups.get(1).or_else(|| groups.get(0));
                    all.extend(found.map(|found| found.as_bytes()));
                    if pick == Occurrence::First && !all.is_empty() {
                        break;
                    }
                }
                choose(&all, pick, values).map(|value| text(value))
            }
            (From::Json(_), Some(Engine::Json(path))) => {
                let found = match seen.json() {
                    Some(json) => path.all(json, seen.look)?,
                    None => Vec::new(),
                };
                match choose(&found, pick, values) {
                    Some(chosen) => seen.captured(&[chosen])?.pop(),
                    None => None,
                }
            }
            (From::Css { attribute, .. }, Some(Engine::Css(selector))) => {
                let attribute = attribute.as_deref();
                let most = if pick == Occurrence::First {
                    1
                } else {
                    usize::MAX
                };
                let fits = |element: &ElementRef<'_>| {
                    attribute.is_none_or(|attribute| element.attr(attribute).is_some())
                };
                let all = selector.elements(seen.page()?, &fits, most, seen.look)?;
                // Only the text of the chosen element is put together.
                choose(&all, pick, values).map(|element| match attribute {
                    Some(attribute) => text(element.attr(attribute).unwrap_or_default().as_bytes()),
                    None => text(element.text().collect::<String>().trim().as_bytes()),
                })
            }
            _ => None,
        };
        let default = || self.of.default.as_ref().map(|value| text(value.as_bytes()));
        Ok(found.or_else(default))
    }
}

fn choose<'t, T>(all: &'t [T], pick: Occurrence, values: &mut Values<'_>) -> Option<&'t T> {
    match (all, pick) {
        ([] | [_], _) | (_, Occurrence::First) => all.first(),
        (_, Occurrence::Last) => all.last(),
        (_, Occurrence::Random) => all.get(values.chance.random_range(0..all.len())),
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || memchr::memmem::find(body, text).is_some()
}

#[cfg(test)]
mod tests;
