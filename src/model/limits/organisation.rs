//! `organisation.yaml`: the limits of an organisation, which hold for every scenario.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::{Budget, RequestedLoad};
use crate::scenario::{parse_rate, parse_usd};
use crate::units::{Usd, duration, parse_duration};

/// The limits in the file. A key that is left out sets no limit. An unknown key is an error,
/// because its author means to limit something.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Organisation {
    /// Requests per second.
    #[serde(deserialize_with = "rate")]
    pub max_rate: Option<f64>,
    /// The longest load, from the start instant to its end.
    #[serde(deserialize_with = "time")]
    pub max_duration: Option<Duration>,
    /// US dollars: for the estimate before a run, and for the cost while it runs.
    #[serde(deserialize_with = "dollars")]
    pub max_cost: Option<Usd>,
    /// The most generator tasks.
    pub max_tasks: Option<u32>,
    /// `shop.example.com`, or `*.example.com` for every name below it.
    pub hosts: Option<Vec<String>>,
}

/// Why the limits of an organisation's file are unknown.
#[derive(Debug, thiserror::Error)]
pub enum OrganisationError {
    /// The file has no text, or only white space.
    #[error("it is empty: write `{{}}` to limit nothing, or remove it")]
    Empty,
    /// No line of it has a key of such a file; its text is not repeated.
    #[error("it is not an organisation's file: it has no key such as `max_rate` or `hosts`")]
    SomethingElse,
    /// It is no YAML, or has an unknown key or a wrong value.
    #[error("{0}")]
    Form(#[source] Box<serde_saphyr::Error>),
}

impl Organisation {
    /// Reads the YAML text. Fails if it is empty, has an unknown key or a wrong value.
    pub fn parse(text: &str) -> Result<Self, OrganisationError> {
        if text.trim().is_empty() {
            return Err(OrganisationError::Empty);
        }
        serde_saphyr::from_str(text).map_err(|error| {
            let is_own = |line: &str| {
                let line = line.trim_start_matches(['{', ' ', '"']);
                line.starts_with("max_") || line.starts_with("hosts")
            };
            // The message quotes the text.
            match text.lines().any(is_own) {
                true => OrganisationError::Form(Box::new(error)),
                false => OrganisationError::SomethingElse,
            }
        })
    }

    /// Returns every limit that a run would break, each with its key.
    pub fn broken_by(&self, asked: &RequestedLoad) -> Vec<String> {
        let mut broken = Vec::new();
        if let Some(most) = self.max_rate.filter(|most| asked.rate > *most) {
            broken.push(format!(
                "`max_rate` is {most:.0}/s, and this asks for {}",
                asked.rate_words()
            ));
        }
        if let Some(most) = self.max_duration.filter(|most| asked.duration > *most) {
            broken.push(format!(
                "`max_duration` is {}, and the plan takes {}",
                duration(most),
                duration(asked.duration)
            ));
        }
        if let Some((most, cost)) = self
            .max_cost
            .zip(asked.cost)
            .filter(|(most, cost)| cost > most)
        {
            broken.push(format!("`max_cost` is {most}, and the estimate is {cost}"));
        }
        if let Some(most) = self.max_tasks.filter(|most| asked.tasks > *most) {
            broken.push(format!(
                "`max_tasks` is {most}, and this takes {}",
                asked.tasks
            ));
        }
        if self
            .hosts
            .as_ref()
            .is_some_and(|hosts| !hosts.iter().any(|pattern| fits(pattern, &asked.host)))
        {
            broken.push(format!("`hosts` does not list {}", asked.host));
        }
        broken
    }

    /// Returns the smaller budget of the scenario's and the organisation's.
    pub fn budget(&self, of_scenario: Option<Usd>) -> Option<Budget> {
        let own = of_scenario.map(|limit| Budget {
            limit,
            name: "the budget".to_owned(),
        });
        let other = self.max_cost.map(|limit| Budget {
            limit,
            name: "the organisation's `max_cost`".to_owned(),
        });
        match (own, other) {
            (Some(own), Some(other)) => Some(if other.limit < own.limit { other } else { own }),
            (own, other) => own.or(other),
        }
    }
}

/// True if the pattern fits. `*.example.com` is every name below, and not `example.com` itself.
fn fits(pattern: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let pattern = pattern.to_ascii_lowercase();
    match pattern.strip_prefix('*') {
        Some(tail) => tail.starts_with('.') && host.len() > tail.len() && host.ends_with(tail),
        None => super::same_host(&pattern, &host),
    }
}

fn rate<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    parse_rate(&String::deserialize(from)?)
        .map(Some)
        .map_err(|(message, help)| de::Error::custom(format!("max_rate: {message}: {help}")))
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    parse_duration(&String::deserialize(from)?)
        .map(Some)
        .map_err(|error| de::Error::custom(format!("max_duration: {error}")))
}

fn dollars<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Usd>, D::Error> {
    parse_usd(&String::deserialize(from)?)
        .map(Some)
        .map_err(|help| {
            de::Error::custom(format!("max_cost is not an amount of US dollars: {help}"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
max_rate: 500/s
max_duration: 30m
max_cost: 5 USD
max_tasks: 10
hosts: [shop.example.com, \"*.test.example.com\"]
";

    fn asked() -> RequestedLoad {
        RequestedLoad {
            host: "shop.example.com".to_owned(),
            rate: 500.0,
            duration: Duration::from_mins(30),
            cost: Some(Usd(5.0)),
            tasks: 10,
        }
    }

    #[test]
    fn each_limit_is_read_and_named_when_it_is_broken() {
        let organisation = Organisation::parse(FILE).unwrap();
        let check = |asked: RequestedLoad, broken: &[&str]| {
            assert_eq!(organisation.broken_by(&asked), broken, "{asked:?}");
        };
        check(asked(), &[]);
        check(
            RequestedLoad {
                cost: None,
                ..asked()
            },
            &[],
        );
        let rate = "`max_rate` is 500/s, and this asks for up to 501 requests/s";
        check(
            RequestedLoad {
                rate: 500.5,
                ..asked()
            },
            &[rate],
        );
        let endless = "`max_rate` is 500/s, and this asks for users without `think`: as many requests as the target answers";
        check(
            RequestedLoad {
                rate: f64::INFINITY,
                ..asked()
            },
            &[endless],
        );
        let long = RequestedLoad {
            duration: Duration::from_mins(31),
            ..asked()
        };
        check(long, &["`max_duration` is 30m, and the plan takes 31m"]);
        check(
            RequestedLoad {
                cost: Some(Usd(5.01)),
                ..asked()
            },
            &["`max_cost` is $5.00, and the estimate is $5.01"],
        );
        let more = RequestedLoad {
            tasks: 11,
            host: "other.example.com".to_owned(),
            ..asked()
        };
        check(
            more,
            &[
                "`max_tasks` is 10, and this takes 11",
                "`hosts` does not list other.example.com",
            ],
        );
        assert_eq!(
            Organisation::default().broken_by(&RequestedLoad {
                rate: f64::INFINITY,
                ..asked()
            }),
            [""; 0]
        );
    }

    #[test]
    fn a_host_is_listed_by_its_name_or_by_a_name_above_it() {
        for (pattern, host, listed) in [
            ("shop.example.com", "shop.example.com", true),
            ("Shop.example.com", "shop.example.com.", true),
            ("shop.example.com", "evilshop.example.com", false),
            ("*.example.com", "shop.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "evilexample.com", false),
            ("*.example.com", "shop.example.com.evil.test", false),
            // A star stands for whole labels only.
            ("*example.com", "evilexample.com", false),
            ("*", "shop.example.com", false),
            ("[::1]", "[::1]", true),
        ] {
            assert_eq!(fits(pattern, host), listed, "{pattern} {host}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_names_it() {
        for (text, words) in [
            ("max_rates: 5/s", "max_rates"),
            ("max_rate: 500", "write `500/s` for per second"),
            ("max_duration: 30", "`30` has no unit"),
            ("max_cost: 5", "write `5 USD`"),
            ("max_tasks: many", "many"),
            ("hosts: shop.example.com", "hosts"),
            ("", "it is empty"),
            ("root:$6$c4nary:1::", "it is not an organisation's file"),
        ] {
            let error = Organisation::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "`{words}` is not in {error}");
        }
        assert_eq!(Organisation::parse("{}").unwrap(), Organisation::default());
    }

    #[test]
    fn the_smaller_budget_counts_and_says_whose_it_is() {
        let organisation = |max_cost: Option<f64>| Organisation {
            max_cost: max_cost.map(Usd),
            ..Organisation::default()
        };
        for (own, other, budget) in [
            (None, None, None),
            (Some(2.0), None, Some((2.0, "the budget"))),
            (
                None,
                Some(5.0),
                Some((5.0, "the organisation's `max_cost`")),
            ),
            (Some(2.0), Some(5.0), Some((2.0, "the budget"))),
            (
                Some(9.0),
                Some(5.0),
                Some((5.0, "the organisation's `max_cost`")),
            ),
        ] {
            let budget = budget.map(|(limit, name)| Budget {
                limit: Usd(limit),
                name: name.to_owned(),
            });
            assert_eq!(organisation(other).budget(own.map(Usd)), budget);
        }
    }
}
