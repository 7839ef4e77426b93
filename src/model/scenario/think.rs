//! Think times: none, constant, or drawn from a distribution.

use std::time::Duration;

use super::node::Node;
use super::reader::{Reader, checked_duration};
use super::{Problem, Think};

pub fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Think> {
    let text = reader.text(node)?;
    match parse_think(&text.value) {
        Ok(think) => Some(think),
        Err(message) => {
            let problem = Problem::new(text.span.clone(), text.said(message, "a think time"));
            reader.report(problem.help(
                "write `1s`, `1s..3s` for an even spread, `exponential(2s)` or `normal(2s, 500ms)`",
            ));
            None
        }
    }
}

fn parse_think(text: &str) -> Result<Think, String> {
    if let Some((name, rest)) = text.trim().split_once('(') {
        let inside = rest
            .strip_suffix(')')
            .ok_or_else(|| format!("`{text}` is not closed"))?;
        let times: Result<Vec<Duration>, String> = inside
            .split(',')
            .map(|time| checked_duration(time.trim()))
            .collect();
        return match (name.trim(), times?.as_slice()) {
            ("exponential", [mean]) if !mean.is_zero() => Ok(Think::Exponential(*mean)),
            ("normal", [mean, deviation]) => Ok(Think::Normal(*mean, *deviation)),
            _ => Err(format!("`{text}` is not a think time")),
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
        return Err(format!("`{text}` ends before it begins"));
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
