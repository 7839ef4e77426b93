//! Think times: none, constant, or drawn from a distribution.

use std::time::Duration;

use super::node::Node;
use super::reader::{CheckedDurationError, Reader, checked_duration};
use super::{Problem, Think};

pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Think> {
    let text = reader.text(node)?;
    match parse_think(&text.value) {
        Ok(think) => Some(think),
        Err(error) => {
            let message = text.said(error.to_string(), "a think time");
            let problem = Problem::new(text.span.clone(), message);
            reader.report(problem.help(
                "write `1s`, `1s..3s` for an even spread, `exponential(2s)` or `normal(2s, 500ms)`",
            ));
            None
        }
    }
}

/// Why a text is no think time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum ThinkError {
    #[error("`{0}` is not closed")]
    Unclosed(String),
    #[error("`{0}` is not a think time")]
    Unknown(String),
    #[error("`{0}` ends before it begins")]
    EndsBeforeItBegins(String),
    #[error(transparent)]
    Duration(#[from] CheckedDurationError),
}

fn parse_think(text: &str) -> Result<Think, ThinkError> {
    if let Some((name, rest)) = text.trim().split_once('(') {
        let inside = rest
            .strip_suffix(')')
            .ok_or_else(|| ThinkError::Unclosed(text.to_owned()))?;
        let times: Result<Vec<Duration>, _> = inside
            .split(',')
            .map(|time| checked_duration(time.trim()))
            .collect();
        return match (name.trim(), times?.as_slice()) {
            ("exponential", [mean]) if !mean.is_zero() => Ok(Think::Exponential(*mean)),
            ("normal", [mean, deviation]) => Ok(Think::Normal(*mean, *deviation)),
            _ => Err(ThinkError::Unknown(text.to_owned())),
        };
    }
    let Some((least, most)) = text.split_once("..") else {
        let pause = checked_duration(text)?;
        return Ok(if pause.is_zero() {
            Think::None
        } else {
            Think::Constant(pause)
        });
    };
    let (least, most) = (checked_duration(least)?, checked_duration(most)?);
    if least > most {
        return Err(ThinkError::EndsBeforeItBegins(text.to_owned()));
    }
    Ok(if least == most {
        Think::Constant(least)
    } else {
        Think::Uniform(least, most)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn think_times_are_none_constant_or_a_range() {
        let second = Duration::from_secs(1);
        for (text, think) in [
            ("0s", Think::None),
            ("1s", Think::Constant(second)),
            ("1s..1s", Think::Constant(second)),
            ("1s..3s", Think::Uniform(second, 3 * second)),
            ("1s .. 3s", Think::Uniform(second, 3 * second)),
            ("exponential(1s)", Think::Exponential(second)),
            ("normal(3s, 1s)", Think::Normal(3 * second, second)),
        ] {
            assert_eq!(parse_think(text), Ok(think), "{text}");
        }
        for text in [
            "3s..1s",
            "1..3s",
            "1s..",
            "..",
            "1s...3s",
            "25h",
            "exponential(0s)",
            "normal(1s)",
            "log(1s)",
            "normal(1s",
        ] {
            assert!(parse_think(text).is_err(), "{text}");
        }
    }
}
