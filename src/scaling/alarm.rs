//! One CloudWatch alarm: N of N datapoints against a threshold, missing data left out (`TreatMissingData: missing`).

use std::collections::VecDeque;
use std::time::Duration;

/// The state of an alarm, in CloudWatch's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ok,
    Alarm,
    InsufficientData,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// How a datapoint breaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Above,
    Below,
}

impl Comparison {
    pub fn operator(self) -> &'static str {
        match self {
            Self::Above => "GreaterThanThreshold",
            Self::Below => "LessThanThreshold",
        }
    }
}

/// One period's value. `at` is the *start* of the period, since whatever epoch the caller counts from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Datapoint {
    pub at: Duration,
    pub value: f64,
    pub samples: u32,
}

/// A change of state, with the datapoints it was decided on, newest first as CloudWatch lists them.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    pub from: State,
    pub to: State,
    pub evaluated: Vec<Datapoint>,
}

#[derive(Debug, Clone)]
pub struct Alarm {
    pub comparison: Comparison,
    pub threshold: f64,
    /// N of N.
    pub datapoints: usize,
    state: State,
    window: VecDeque<Option<Datapoint>>,
}

impl Alarm {
    /// A new alarm knows nothing yet.
    pub fn new(comparison: Comparison, threshold: f64, datapoints: usize) -> Self {
        Self { comparison, threshold, datapoints, state: State::InsufficientData, window: VecDeque::new() }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Takes the next period's datapoint (`None`: the period had no data) and says whether the state changed.
    pub fn observe(&mut self, datapoint: Option<Datapoint>) -> Option<Transition> {
        self.window.push_front(datapoint);
        self.window.truncate(self.datapoints);
        let next = self.evaluate();
        (next != self.state).then(|| {
            let from = std::mem::replace(&mut self.state, next);
            Transition { from, to: next, evaluated: self.window.iter().flatten().copied().collect() }
        })
    }

    fn evaluate(&self) -> State {
        let known = self.window.iter().flatten().count();
        if known == 0 {
            // A gap shorter than the window decides nothing.
            return if self.window.len() == self.datapoints { State::InsufficientData } else { self.state };
        }
        if self.window.iter().flatten().any(|datapoint| !self.breaches(datapoint.value)) {
            return State::Ok;
        }
        if known == self.datapoints { State::Alarm } else { self.state }
    }

    fn breaches(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Above => value > self.threshold,
            Comparison::Below => value < self.threshold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds values one period apart (`None` = no data) and returns the state after each.
    fn check(comparison: Comparison, threshold: f64, n: usize, values: &[Option<f64>], expected: &[State]) {
        let mut alarm = Alarm::new(comparison, threshold, n);
        let states: Vec<State> = (0u64..)
            .zip(values)
            .map(|(second, value)| {
                alarm.observe(value.map(|value| Datapoint { at: Duration::from_secs(second), value, samples: 1 }));
                alarm.state()
            })
            .collect();
        assert_eq!(states, expected, "{values:?}");
    }

    #[test]
    fn an_alarm_needs_every_datapoint_of_its_window_to_breach() {
        use State::{Alarm as A, InsufficientData as I, Ok as O};
        let v = Some;
        check(Comparison::Above, 50.0, 3, &[v(60.0), v(60.0), v(60.0), v(40.0)], &[I, I, A, O]);
        check(Comparison::Above, 50.0, 3, &[v(40.0), v(60.0), v(60.0), v(60.0)], &[O, O, O, A]);
        check(Comparison::Above, 50.0, 1, &[v(50.0), v(50.1)], &[O, A]);
        check(Comparison::Below, 45.0, 2, &[v(10.0), v(10.0), v(45.0)], &[I, A, O]);
    }

    #[test]
    fn missing_data_neither_raises_nor_clears_an_alarm_until_nothing_is_left() {
        use State::{Alarm as A, InsufficientData as I, Ok as O};
        let v = Some;
        check(Comparison::Above, 50.0, 2, &[v(60.0), v(60.0), None, None], &[I, A, A, I]);
        check(Comparison::Above, 50.0, 2, &[v(40.0), None, v(60.0), v(60.0)], &[O, O, O, A]);
    }

    #[test]
    fn a_transition_carries_its_datapoints_newest_first() {
        let mut alarm = Alarm::new(Comparison::Above, 50.0, 2);
        let at = |second, value| Datapoint { at: Duration::from_secs(second), value, samples: 2 };
        assert_eq!(alarm.observe(Some(at(0, 70.0))), None);
        assert_eq!(
            alarm.observe(Some(at(1, 80.0))),
            Some(Transition {
                from: State::InsufficientData,
                to: State::Alarm,
                evaluated: vec![at(1, 80.0), at(0, 70.0)]
            })
        );
        assert_eq!(alarm.observe(Some(at(2, 90.0))), None);
    }
}
