//! Quantities as people write and read them: durations, rates, money, run ids.
//!
//! Pure. Parsing accepts exactly what the scenario file documents; formatting is what every report
//! uses.

use std::fmt;
use std::num::ParseFloatError;
use std::time::Duration;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text has nothing but white space.
    #[error("an empty text is not a duration: write it like `30s` or `2m`")]
    Empty,
    /// A part does not begin with a number.
    #[error("`{text}` is not a duration: write it like `30s`, `2m` or `1m30s`")]
    Number {
        /// The whole text, trimmed.
        text: String,
        /// The reason why the digits are no number.
        source: ParseFloatError,
    },
    /// A number stands without a unit; holds the whole text.
    #[error("`{0}` has no unit: write `{0}s` for seconds or `{0}m` for minutes")]
    NoUnit(String),
    /// A unit is none of `ms`, `s`, `m` and `h`; holds the unit.
    #[error("`{0}` is not a unit of time: use `ms`, `s`, `m` or `h`")]
    UnknownUnit(String),
    /// A unit is not smaller than the one before it; holds the whole text.
    #[error("`{0}` is not a duration: write the larger unit first, like `1m30s`")]
    Order(String),
    /// The sum does not fit a duration; holds the whole text.
    #[error("`{0}` is too long for a duration")]
    TooLong(String),
}

/// Reads `500ms`, `30s`, `2m`, `1h`, and sums of them in falling order such as `1m30s`.
///
/// A bare number is refused: `30` could mean seconds or minutes, and a load test must not guess.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let value: f64 = number.parse().map_err(|source| DurationError::Number {
            text: text.to_owned(),
            source,
        })?;
        let unit_millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "" => return Err(DurationError::NoUnit(text.to_owned())),
            other => return Err(DurationError::UnknownUnit(other.to_owned())),
        };
        if unit_millis >= last_unit {
            return Err(DurationError::Order(text.to_owned()));
        }
        last_unit = unit_millis;
        let part = Duration::try_from_secs_f64(value * unit_millis as f64 / 1_000.0)
            .map_err(|_| DurationError::TooLong(text.to_owned()))?;
        total = total
            .checked_add(part)
            .ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
        rest = tail;
    }
    if last_unit == u64::MAX {
        return Err(DurationError::Empty);
    }
    Ok(total)
}

/// Writes a duration the way [`parse_duration`] reads it: `1m30s`, `250ms`, `1.2s`.
pub fn duration(value: Duration) -> String {
    if value < Duration::from_secs(1) {
        let millis = value.as_secs_f64() * 1_000.0;
        return if value.is_zero() || millis >= 10.0 {
            format!("{millis:.0}ms")
        } else {
            format!("{millis:.1}ms")
        };
    }
    if value < Duration::from_mins(1) {
        let text = format!("{:.1}", value.as_secs_f64());
        return format!("{}s", text.strip_suffix(".0").unwrap_or(&text));
    }
    let seconds = value.as_secs_f64().round() as u64;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds % 3_600 / 60, seconds % 60);
    let mut text = String::new();
    for (amount, unit) in [(hours, "h"), (minutes, "m"), (seconds, "s")] {
        if amount > 0 {
            text.push_str(&format!("{amount}{unit}"));
        }
    }
    text
}

/// Returns a rate in whole or short numbers: per second, or per minute where that is shorter, such
/// as `1/min`.
pub fn rate(per_second: f64) -> String {
    let is_short = |rate: f64| (rate * 1_000.0 - (rate * 1_000.0).round()).abs() < 1e-6;
    let per_minute = per_second * 60.0;
    match (is_short(per_second), is_short(per_minute)) {
        (false, true) => format!("{}/min", (per_minute * 1_000.0).round() / 1_000.0),
        (false, false) => format!("{}/s", (per_second * 1_000.0).round() / 1_000.0),
        (true, _) => format!("{per_second}/s"),
    }
}

/// Returns a number with its noun: `1 task`, `2 tasks`.
pub fn count(number: impl Into<u64>, thing: &str) -> String {
    let number = number.into();
    if number == 1 {
        format!("1 {thing}")
    } else if thing.ends_with("ch") {
        format!("{number} {thing}es")
    } else {
        format!("{number} {thing}s")
    }
}

/// Joins the parts: `a`, `a and b`, `a, b and c`.
pub fn listed(parts: &[String]) -> String {
    match parts {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        parts => parts.concat(),
    }
}

/// A duration that is a number of seconds in JSON. Also reads the form of reports of versions 1 to
/// 4: `{ "secs": 1, "nanos": 500000000 }`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&duration(self.0))
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum SecondsForm {
            Number(f64),
            Parts(Duration),
        }
        match SecondsForm::deserialize(deserializer)? {
            SecondsForm::Number(seconds) => Duration::try_from_secs_f64(seconds)
                .map(Self)
                .map_err(serde::de::Error::custom),
            SecondsForm::Parts(duration) => Ok(Self(duration)),
        }
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "number", "minimum": 0, "description": "Seconds." })
    }
}

/// For `#[serde(with = "seconds")]`: a `Duration` in the form of [`Seconds`].
pub mod seconds {
    use super::{Deserialize, Deserializer, Duration, Seconds, Serialize, Serializer};

    /// Writes the duration as a number of seconds.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        Seconds(*duration).serialize(serializer)
    }

    /// Reads a number of seconds, or the older form. Fails on a negative number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Seconds::deserialize(deserializer).map(Into::into)
    }

    /// The same where there may be none.
    pub mod option {
        use super::{Deserialize, Deserializer, Duration, Seconds, Serialize, Serializer};

        /// Writes `None` as null.
        #[allow(clippy::ref_option, reason = "the signature is serde's")]
        pub fn serialize<S: Serializer>(
            duration: &Option<Duration>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            duration.map(Seconds).serialize(serializer)
        }

        /// Reads null as `None`. Fails like [`super::deserialize`].
        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<Seconds>::deserialize(deserializer)?.map(Into::into))
        }
    }
}

/// US dollars. Prices are in dollars everywhere because AWS publishes them so.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Usd(pub f64);

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Less than a cent is still something: a few instances for a minute cost no more.
        match self.0 {
            usd if usd > 0.0 && usd < 0.01 => write!(f, "${usd:.5}"),
            usd if usd > 0.0 && usd < 0.1 => write!(f, "${usd:.3}"),
            usd => write!(f, "${usd:.2}"),
        }
    }
}

/// The id of one run: `sp-` and ten lower-case characters that sort by time.
///
/// All names of what a run makes derive from it, so that nothing can be left behind that cannot be
/// found again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

/// Crockford's alphabet: sorts by value, has no look-alikes.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Bits that two runs begun in the same second are unlikely to share: one pair in a quarter of a
/// million.
const CHANCE: u32 = 18;

impl RunId {
    /// Makes an id of fifty bits: 32 of seconds since 1970 (enough until 2106), 18 of chance.
    pub fn new(unix_seconds: u64, chance: u32) -> Self {
        let mut text = String::from("sp-");
        let bits = (unix_seconds << CHANCE) | (u64::from(chance) & ((1 << CHANCE) - 1));
        for place in (0..10).rev() {
            text.push(ALPHABET[(bits >> (place * 5)) as usize & 31] as char);
        }
        Self(text)
    }

    /// Accepts exactly what [`RunId::new`] makes.
    pub fn parse(text: &str) -> Option<Self> {
        let tail = text.strip_prefix("sp-")?;
        let valid = tail.len() == 10 && tail.bytes().all(|byte| ALPHABET.contains(&byte));
        valid.then(|| Self(text.to_owned()))
    }

    /// Returns the text, such as `sp-` and ten characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns when it was made.
    pub fn begun(&self) -> Timestamp {
        let value = |byte: u8| {
            ALPHABET
                .iter()
                .position(|known| *known == byte)
                .unwrap_or(0) as i64
        };
        let bits = self
            .0
            .bytes()
            .skip(3)
            .fold(0, |bits, byte| bits * 32 + value(byte));
        Timestamp::from_second(bits >> CHANCE).unwrap_or(Timestamp::MAX)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_in_the_shorter_unit() {
        for (written, shown) in [
            (1.0 / 60.0, "1/min"),
            (100.0 / 60.0, "100/min"),
            (7.5 / 60.0, "0.125/s"),
            (0.5, "0.5/s"),
            (90.0 / 60.0, "1.5/s"),
            (0.0, "0/s"),
            (12_000.0 / 60.0, "200/s"),
            (1.0 / 7.0, "0.143/s"),
        ] {
            assert_eq!(rate(written), shown);
        }
    }

    #[test]
    fn durations_are_read_as_written() {
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("1m30s", 90_000),
            ("1h2m3s4ms", 3_723_004),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_duration_without_unit_is_refused_with_the_two_likely_meanings() {
        assert_eq!(
            parse_duration("30").unwrap_err().to_string(),
            "`30` has no unit: write `30s` for seconds or `30m` for minutes"
        );
        for text in ["", "s", "30 sec", "30x", "30s1m", "1..5s", "-3s", "1e400h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for (millis, text) in [
            (0, "0ms"),
            (2, "2.0ms"),
            (250, "250ms"),
            (1_000, "1s"),
            (1_250, "1.2s"),
            (90_000, "1m30s"),
            (3_600_000, "1h"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn run_ids_sort_by_time_and_survive_parsing() {
        let early = RunId::new(1_764_000_000, (1 << CHANCE) - 1);
        let late = RunId::new(1_764_000_001, 0);
        assert!(early < late);
        assert_eq!(
            early.begun(),
            Timestamp::from_second(1_764_000_000).unwrap()
        );
        assert_eq!(RunId::parse(early.as_str()), Some(early));
        for foreign in [
            "sp-",
            "sp-UPPERCASE1",
            "sp-0123456789a",
            "my-0123456789",
            "sp-012345678i",
        ] {
            assert_eq!(RunId::parse(foreign), None, "{foreign}");
        }
    }
}
