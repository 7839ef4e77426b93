//! Judges an answer by the step's checks, and takes the captured values out of it.

use std::cell::OnceCell;
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

impl Judge {
    pub fn new(step: &Step, variables: &[String]) -> Result<Self, PatternError> {
        let checks = step
            .checks
            .iter()
            .map(compile_check)
            .collect::<Result<Vec<_>, _>>()?;
        let slot = |name: &str| {
            variables
                .iter()
                .position(|known| known == name)
                .unwrap_or_default() as u16
        };
        let captures = step
            .captures
            .iter()
            .map(|capture| Ok((slot(&capture.name), compile_capture(capture)?)));
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
mod tests {
    use rand::SeedableRng as _;
    use rand_pcg::Pcg64Mcg;

    use super::*;
    use model::scenario::{Method, Template, ThresholdOperator, example};

    fn answer(status: u16, body: &str) -> HttpAnswer {
        let headers = vec![("x-kind".to_owned(), b"fast".to_vec())];
        HttpAnswer {
            status,
            headers,
            body: body.as_bytes().to_vec(),
            bytes: body.len() as u64,
            reusable: true,
            unreadable: false,
        }
    }

    fn check(what: What, soft: bool) -> Check {
        Check {
            name: String::new(),
            soft,
            what,
        }
    }

    type Outcome = (Ending, Vec<(u16, bool)>, Vec<(u16, CapturedValue)>);

    fn judge(step: &Step, answer: &HttpAnswer, took: u64) -> Outcome {
        let variables: Vec<String> = step
            .captures
            .iter()
            .map(|capture| capture.name.clone())
            .collect();
        let judge = Judge::new(step, &variables).unwrap();
        let mut chance = Pcg64Mcg::seed_from_u64(1);
        let mut values = Values {
            variables: &[],
            data: &[],
            rows: &[],
            session: 0,
            iteration: 0,
            chance: &mut chance,
        };
        let (mut captured, mut counts) = (Vec::new(), Vec::new());
        let cookie = |name: &str| (name == "sid").then(|| "c1".to_owned());
        let took = Duration::from_millis(took);
        let judged = judge.judge(
            answer,
            took,
            &mut values,
            &mut captured,
            &cookie,
            &mut counts,
        );
        (judged.ending, counts, captured)
    }

    #[test]
    fn answers_are_judged_by_status_and_time() {
        let ten = || What::Under(Duration::from_millis(10));
        for (checks, status, took, ending) in [
            (vec![], 200, 5, Ending::Ok),
            (vec![], 302, 5, Ending::Ok),
            (vec![], 404, 5, Ending::Status4xx),
            (vec![], 429, 5, Ending::Limited),
            (vec![], 503, 5, Ending::Status5xx),
            (
                vec![check(What::Status(vec![404]), false)],
                404,
                5,
                Ending::Ok,
            ),
            (
                vec![check(What::Status(vec![201]), false)],
                200,
                5,
                Ending::Check,
            ),
            (
                vec![check(What::Status(vec![201]), false)],
                500,
                5,
                Ending::Status5xx,
            ),
            // A soft check on the status does not make a 500 right.
            (
                vec![check(What::Status(vec![201]), true)],
                500,
                5,
                Ending::Status5xx,
            ),
            (
                vec![check(What::Status(vec![201]), true)],
                200,
                5,
                Ending::Ok,
            ),
            (vec![check(ten(), false)], 200, 10, Ending::Check),
            (vec![check(ten(), true)], 200, 10, Ending::Ok),
            (vec![check(ten(), false)], 200, 9, Ending::Ok),
            (vec![check(ten(), false)], 503, 50, Ending::Status5xx),
        ] {
            let step = Step {
                checks: checks.clone(),
                ..example::step(Method::Get, "/")
            };
            assert_eq!(
                judge(&step, &answer(status, ""), took).0,
                ending,
                "{checks:?} {status}"
            );
        }
    }

    #[test]
    fn bodies_and_headers_are_judged() {
        let body = r#"{"items": [{"id": 7, "open": true}, {"id": 8, "open": true}],
            "state": "ready", "big": 9007199254740993, "huge": 123456789012345678901234567890}"#;
        let number = |path: &str, value: &str| {
            What::Json(path.to_owned(), Expected::Number(value.to_owned()))
        };
        let json = |path: &str, value| What::Json(path.to_owned(), Expected::Value(value));
        for (what, held) in [
            (What::Contains(Template::text("\"id\": 7")), true),
            (What::Contains(Template::text("\"id\": 9")), false),
            (What::Matches("id\": [0-9]+".to_owned()), true),
            (What::Matches("^nothing$".to_owned()), false),
            (json("$.state", "ready".into()), true),
            (number("$.items[0].id", "7"), true),
            (number("$.items[0].id", "7.0"), true),
            (number("$.items[0].id", "7.01"), false),
            (number("$.big", "9007199254740993"), true),
            (number("$.big", "9007199254740992"), false),
            (number("$.huge", "123456789012345678901234567890"), true),
            (number("$.huge", "123456789012345678901234567891"), false),
            (number("$.state", "7"), false),
            (json("$.items[0].id", "7".into()), false),
            (json("$.items[*].open", true.into()), true),
            (number("$.items[*].id", "7"), false),
            (json("$.missing", serde_json::Value::Null), false),
            (
                What::Json(
                    "$.items[1].id".to_owned(),
                    Expected::Text(Template::text("8")),
                ),
                true,
            ),
            (What::Header("x-kind".to_owned(), None), true),
            (
                What::Header("x-kind".to_owned(), Some(Template::text("fast"))),
                true,
            ),
            (
                What::Header("x-kind".to_owned(), Some(Template::text("slow"))),
                false,
            ),
            (What::Header("x-other".to_owned(), None), false),
            (What::Size(ThresholdOperator::Less, 1_000), true),
            (What::Size(ThresholdOperator::Greater, 1_000), false),
        ] {
            let step = Step {
                checks: vec![check(what.clone(), false)],
                ..example::step(Method::Get, "/")
            };
            let (ending, counts, _) = judge(&step, &answer(200, body), 1);
            assert_eq!(counts, [(0, held)], "{what:?}");
            assert_eq!(ending == Ending::Ok, held, "{what:?}");
        }
    }

    #[test]
    fn a_body_that_cannot_be_looked_at_fails_what_reads_it_by_name_and_nothing_else() {
        let step = Step {
            checks: vec![
                check(What::Status(vec![200]), false),
                check(What::Contains(Template::text("")), false),
                check(What::Size(ThresholdOperator::Less, 1_000), true),
                check(What::Header("x-kind".to_owned(), None), false),
            ],
            captures: vec![Capture {
                name: "x".to_owned(),
                from: From::Regex("x*".to_owned()),
                pick: Occurrence::First,
                default: Some("d".to_owned()),
            }],
            ..example::step(Method::Get, "/")
        };
        let unreadable = HttpAnswer {
            unreadable: true,
            ..answer(200, "")
        };
        let (ending, counts, captured) = judge(&step, &unreadable, 1);
        assert_eq!(ending, Ending::Check);
        assert_eq!(
            counts,
            [(0, true), (1, false), (2, false), (3, true), (4, true)]
        );
        assert_eq!(captured[0].1.text.as_ref(), "d");
    }

    #[test]
    fn a_mark_of_utf_8_before_json_is_skipped() {
        let what = What::Json("$.id".to_owned(), Expected::Value("a1".into()));
        let step = Step {
            checks: vec![check(what, false)],
            ..example::step(Method::Get, "/")
        };
        for (body, ending) in [
            ("\u{feff}{\"id\": \"a1\"}", Ending::Ok),
            ("\u{feff}\u{feff}{\"id\": \"a1\"}", Ending::Check),
        ] {
            assert_eq!(judge(&step, &answer(200, body), 1).0, ending);
        }
    }

    #[test]
    fn values_are_captured_or_the_step_fails() {
        let body = r#"<input name="csrf" value="t0k"><p>id=41</p><p>id=42</p>"#;
        let capture = |from: From, pick| Capture {
            name: "x".to_owned(),
            from,
            pick,
            default: None,
        };
        let css = |selector: &str, attribute: Option<&str>| From::Css {
            selector: selector.to_owned(),
            attribute: attribute.map(str::to_owned),
        };
        for (from, pick, found) in [
            (
                From::Regex("id=([0-9]+)".to_owned()),
                Occurrence::First,
                Some("41"),
            ),
            (
                From::Regex("id=([0-9]+)".to_owned()),
                Occurrence::Last,
                Some("42"),
            ),
            (
                From::Regex("id=[0-9]+".to_owned()),
                Occurrence::First,
                Some("id=41"),
            ),
            (From::Regex("none".to_owned()), Occurrence::First, None),
            (
                css("input[name=csrf]", Some("value")),
                Occurrence::First,
                Some("t0k"),
            ),
            (css("p", None), Occurrence::Last, Some("id=42")),
            (css("table", None), Occurrence::First, None),
            (
                From::Header("x-kind".to_owned()),
                Occurrence::First,
                Some("fast"),
            ),
            (
                From::Cookie("sid".to_owned()),
                Occurrence::First,
                Some("c1"),
            ),
            (From::Cookie("none".to_owned()), Occurrence::First, None),
            (From::Json("$.id".to_owned()), Occurrence::First, None),
        ] {
            let step = Step {
                captures: vec![capture(from.clone(), pick)],
                ..example::step(Method::Get, "/")
            };
            let (ending, _, captured) = judge(&step, &answer(200, body), 1);
            let seen = captured.first().map(|(_, value)| value.text.to_string());
            assert_eq!(seen.as_deref(), found, "{from:?}");
            assert_eq!(ending == Ending::Ok, found.is_some(), "{from:?}");
        }
    }

    #[test]
    fn a_body_that_takes_too_long_or_holds_too_much_fails_by_its_own_name() {
        let capture = |from: From| Capture {
            name: "x".to_owned(),
            from,
            pick: Occurrence::First,
            default: Some("d".to_owned()),
        };
        let css = From::Css {
            selector: "p".to_owned(),
            attribute: None,
        };
        let long = format!("\"{}\"", "x".repeat(MOST_CAPTURED + 1));
        for (from, body, place) in [
            (css, "<div>".repeat(2_600_000), TOO_SLOW),
            (From::Json("$".to_owned()), long, TOO_MUCH),
        ] {
            let step = Step {
                captures: vec![capture(from)],
                ..example::step(Method::Get, "/")
            };
            let (ending, counts, captured) = judge(&step, &answer(200, &body), 1);
            assert_eq!(counts, [(0, false), (1 + place, false)]);
            assert_eq!((ending, captured), (Ending::Check, vec![]));
            let name = &step.check_names()[usize::from(1 + place)];
            assert!(
                name.starts_with(["look", "captures"][usize::from(place - 2)]),
                "{name}"
            );
        }
    }

    #[test]
    fn a_number_beyond_those_of_a_float_is_compared_and_captured_as_it_is_written() {
        let number =
            |number: &str| What::Json("$.n".to_owned(), Expected::Number(number.to_owned()));
        let step = Step {
            checks: [
                number("1e400"),
                number("10e399"),
                number("1e401"),
                What::Json("$.ok".to_owned(), Expected::Value(true.into())),
            ]
            .map(|what| check(what, true))
            .to_vec(),
            captures: vec![Capture {
                name: "x".to_owned(),
                from: From::Json("$.n".to_owned()),
                pick: Occurrence::First,
                default: None,
            }],
            ..example::step(Method::Get, "/")
        };
        let (_, counts, captured) = judge(&step, &answer(200, "{\"n\": 1e400, \"ok\": true}"), 1);
        let held: Vec<bool> = counts.iter().map(|(_, held)| *held).collect();
        assert_eq!(held, [true, true, false, true, true]);
        assert_eq!(&*captured[0].1.text, "1e400");
    }

    #[test]
    fn the_digits_of_a_number_are_looked_for_within_the_time_too() {
        let answer = answer(200, "[1.50]");
        let cookie = |_: &str| None;
        let seen = |look| ParsedAnswer {
            answer: &answer,
            took: Duration::ZERO,
            cookie: &cookie,
            json: OnceCell::new(),
            page: OnceCell::new(),
            look,
        };
        let digits = |seen: &ParsedAnswer<'_>| {
            let root = seen.json().unwrap();
            seen.captured(&[root]).map(|found| found.len())
        };
        assert_eq!(digits(&seen(Look::begin())), Ok(1));
        assert_eq!(digits(&seen(Look::lasting(Duration::ZERO))), Err(TooSlow));
    }

    #[test]
    fn captured_json_keeps_its_kind_and_a_default_helps_out() {
        let capture = |path: &str, default: Option<&str>| Capture {
            name: "x".to_owned(),
            from: From::Json(path.to_owned()),
            pick: Occurrence::First,
            default: default.map(str::to_owned),
        };
        let step = Step {
            captures: vec![
                capture("$.n", None),
                capture("$.s", None),
                capture("$.none", Some("d")),
                capture("$.big", None),
                capture("$.o", None),
            ],
            ..example::step(Method::Get, "/")
        };
        let body = "\u{feff}{\"n\": 1.50, \"s\": \"1\", \"big\": 12345678901234567890123, \"o\": { \"a\": 1e3 }}";
        let (ending, _, captured) = judge(&step, &answer(200, body), 1);
        let kinds: Vec<(String, bool)> = captured
            .iter()
            .map(|(_, value)| (value.text.to_string(), value.json))
            .collect();
        assert_eq!(
            kinds,
            [
                ("1.50".to_owned(), true),
                ("1".to_owned(), false),
                ("d".to_owned(), false),
                ("12345678901234567890123".to_owned(), true),
                ("{ \"a\": 1e3 }".to_owned(), true)
            ]
        );
        assert_eq!(ending, Ending::Ok);
    }
}
