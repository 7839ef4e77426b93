//! One CloudWatch alarm: M of its last N datapoints against a threshold, and its rule for periods
//! without data.

use std::collections::VecDeque;
use std::time::Duration;

/// The state of an alarm, in CloudWatch's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmModelState {
    /// `OK`: too few datapoints breach.
    Ok,
    /// `ALARM`: the policy acts.
    Alarm,
    /// `INSUFFICIENT_DATA`: a new alarm, or one whose whole window is empty.
    InsufficientData,
}

impl AlarmModelState {
    /// Returns CloudWatch's word, such as `INSUFFICIENT_DATA`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// The comparison by which a datapoint breaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreachRule {
    /// The value is greater than the threshold.
    Above,
    /// The value is the threshold or greater.
    AtLeast,
    /// The value is less than the threshold.
    Below,
    /// The value is the threshold or less.
    AtMost,
}

impl BreachRule {
    const ALL: [Self; 4] = [Self::Above, Self::AtLeast, Self::Below, Self::AtMost];

    /// Returns CloudWatch's word.
    pub fn operator(self) -> &'static str {
        match self {
            Self::Above => "GreaterThanThreshold",
            Self::AtLeast => "GreaterThanOrEqualToThreshold",
            Self::Below => "LessThanThreshold",
            Self::AtMost => "LessThanOrEqualToThreshold",
        }
    }

    /// Returns the rule of a `ComparisonOperator`; `None` for those of anomaly detection.
    pub fn of_operator(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|comparison| comparison.operator() == word)
    }

    /// True if the alarm fires when the metric is high.
    pub fn is_above(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast)
    }

    /// True if a value breaches this threshold.
    pub fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::AtLeast => value >= threshold,
            Self::Below => value < threshold,
            Self::AtMost => value <= threshold,
        }
    }
}

/// The rule for a period without data (`TreatMissingData`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MissingData {
    /// Counts as nothing: an alarm whose whole window is empty has insufficient data.
    #[default]
    Missing,
    /// Counts as nothing, and an empty window changes nothing.
    Ignore,
    /// Counts as a datapoint that breaches.
    Breaching,
    /// Counts as a datapoint that does not breach.
    NotBreaching,
}

impl MissingData {
    /// Returns the meaning of `TreatMissingData`; an unknown word is `missing`, AWS's default.
    pub fn of_word(word: &str) -> Self {
        match word {
            "ignore" => Self::Ignore,
            "breaching" => Self::Breaching,
            "notBreaching" => Self::NotBreaching,
            _ => Self::Missing,
        }
    }
}

/// The value of one period. `at` is the *start* of the period; the caller chooses the epoch that it
/// counts from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlarmDatapoint {
    /// The start of the period.
    pub at: Duration,
    /// The statistic of the period, such as the average.
    pub value: f64,
    /// CloudWatch's `SampleCount` of the period.
    pub samples: u32,
}

/// A change of state, with the datapoints it was decided on, newest first as CloudWatch lists them.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The state before.
    pub from: AlarmModelState,
    /// The state after.
    pub to: AlarmModelState,
    /// The datapoints of the window, without the empty periods.
    pub evaluated: Vec<AlarmDatapoint>,
}

/// A CloudWatch alarm on one metric, evaluated period by period.
#[derive(Debug, Clone)]
pub struct AlarmModel {
    /// The comparison by which a datapoint breaches.
    pub comparison: BreachRule,
    /// The alarm's `Threshold`, in the unit of the metric.
    pub threshold: f64,
    /// Number of datapoints that must breach (`DatapointsToAlarm`) ...
    pub datapoints: usize,
    /// ... out of this many periods (`EvaluationPeriods`).
    pub window: usize,
    /// The alarm's `TreatMissingData`.
    pub missing: MissingData,
    state: AlarmModelState,
    seen: VecDeque<Option<AlarmDatapoint>>,
}

impl AlarmModel {
    /// Makes an alarm of N of N datapoints, missing data left out. A new alarm knows nothing yet.
    pub fn new(comparison: BreachRule, threshold: f64, datapoints: usize) -> Self {
        Self {
            comparison,
            threshold,
            datapoints,
            window: datapoints,
            missing: MissingData::Missing,
            state: AlarmModelState::InsufficientData,
            seen: VecDeque::new(),
        }
    }

    /// Changes the alarm to `datapoints` of `window` periods.
    pub fn of(self, window: usize, missing: MissingData) -> Self {
        Self {
            window: window.max(self.datapoints),
            missing,
            ..self
        }
    }

    /// Returns the state after the last datapoint.
    pub fn state(&self) -> AlarmModelState {
        self.state
    }

    /// Takes the next period's datapoint (`None`: the period had no data) and says whether the
    /// state changed.
    pub fn observe(&mut self, datapoint: Option<AlarmDatapoint>) -> Option<Transition> {
        self.seen.push_front(datapoint);
        self.seen.truncate(self.window);
        let next = self.evaluate();
        (next != self.state).then(|| {
            let from = std::mem::replace(&mut self.state, next);
            Transition {
                from,
                to: next,
                evaluated: self.seen.iter().flatten().copied().collect(),
            }
        })
    }

    fn evaluate(&self) -> AlarmModelState {
        let empty = self.seen.iter().all(Option::is_none);
        if empty && self.missing == MissingData::Missing {
            // A gap shorter than the window decides nothing.
            return if self.seen.len() == self.window {
                AlarmModelState::InsufficientData
            } else {
                self.state
            };
        }
        let (mut breaching, mut fine) = (0, 0);
        for datapoint in &self.seen {
            let breaches = match (datapoint, self.missing) {
                (Some(datapoint), _) => self.breaches(datapoint.value),
                (None, MissingData::Breaching) => true,
                (None, MissingData::NotBreaching) => false,
                (None, _) => continue,
            };
            *(if breaches { &mut breaching } else { &mut fine }) += 1;
        }
        if breaching >= self.datapoints {
            AlarmModelState::Alarm
        } else if fine > self.window.saturating_sub(self.datapoints) {
            // Too many are fine for the rest of the window to fire it.
            AlarmModelState::Ok
        } else if self.state == AlarmModelState::InsufficientData && fine > 0 {
            AlarmModelState::Ok
        } else {
            self.state
        }
    }

    /// True if this value breaches the alarm's threshold.
    pub fn breaches(&self, value: f64) -> bool {
        self.comparison.breaches(value, self.threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds values one period apart (`None` = no data) and returns the state after each.
    fn check(
        comparison: BreachRule,
        threshold: f64,
        n: usize,
        values: &[Option<f64>],
        expected: &[AlarmModelState],
    ) {
        let mut alarm = AlarmModel::new(comparison, threshold, n);
        let states: Vec<AlarmModelState> = (0u64..)
            .zip(values)
            .map(|(second, value)| {
                alarm.observe(value.map(|value| AlarmDatapoint {
                    at: Duration::from_secs(second),
                    value,
                    samples: 1,
                }));
                alarm.state()
            })
            .collect();
        assert_eq!(states, expected, "{values:?}");
    }

    #[test]
    fn an_alarm_needs_every_datapoint_of_its_window_to_breach() {
        use AlarmModelState::{Alarm as A, InsufficientData as I, Ok as O};
        let v = Some;
        check(
            BreachRule::Above,
            50.0,
            3,
            &[v(60.0), v(60.0), v(60.0), v(40.0)],
            &[I, I, A, O],
        );
        check(
            BreachRule::Above,
            50.0,
            3,
            &[v(40.0), v(60.0), v(60.0), v(60.0)],
            &[O, O, O, A],
        );
        check(BreachRule::Above, 50.0, 1, &[v(50.0), v(50.1)], &[O, A]);
        check(
            BreachRule::Below,
            45.0,
            2,
            &[v(10.0), v(10.0), v(45.0)],
            &[I, A, O],
        );
    }

    #[test]
    fn missing_data_neither_raises_nor_clears_an_alarm_until_nothing_is_left() {
        use AlarmModelState::{Alarm as A, InsufficientData as I, Ok as O};
        let v = Some;
        check(
            BreachRule::Above,
            50.0,
            2,
            &[v(60.0), v(60.0), None, None],
            &[I, A, A, I],
        );
        check(
            BreachRule::Above,
            50.0,
            2,
            &[v(40.0), None, v(60.0), v(60.0)],
            &[O, O, O, A],
        );
    }

    #[test]
    fn an_alarm_of_m_of_n_forgives_the_rest_and_missing_data_counts_as_it_is_told() {
        use AlarmModelState::{Alarm as A, InsufficientData as I, Ok as O};
        let states = |m, n, missing, values: &[Option<f64>]| -> Vec<AlarmModelState> {
            let mut alarm = AlarmModel {
                window: n,
                missing,
                ..AlarmModel::new(BreachRule::AtLeast, 50.0, m)
            };
            values
                .iter()
                .map(|value| {
                    alarm.observe(value.map(|value| AlarmDatapoint {
                        at: Duration::ZERO,
                        value,
                        samples: 1,
                    }));
                    alarm.state()
                })
                .collect()
        };
        let v = Some;
        assert_eq!(
            states(
                2,
                3,
                MissingData::Missing,
                &[v(50.0), v(40.0), v(60.0), v(40.0), v(40.0)]
            ),
            [I, O, A, O, O],
            "two of three"
        );
        assert_eq!(
            states(2, 2, MissingData::Breaching, &[v(40.0), None, None]),
            [O, O, A]
        );
        assert_eq!(
            states(1, 2, MissingData::NotBreaching, &[v(60.0), None, None]),
            [A, A, O]
        );
        assert_eq!(
            states(1, 1, MissingData::Ignore, &[v(60.0), None, None]),
            [A, A, A]
        );
    }

    #[test]
    fn a_transition_carries_its_datapoints_newest_first() {
        let mut alarm = AlarmModel::new(BreachRule::Above, 50.0, 2);
        let datapoint_at = |second, value| AlarmDatapoint {
            at: Duration::from_secs(second),
            value,
            samples: 2,
        };
        assert_eq!(alarm.observe(Some(datapoint_at(0, 70.0))), None);
        assert_eq!(
            alarm.observe(Some(datapoint_at(1, 80.0))),
            Some(Transition {
                from: AlarmModelState::InsufficientData,
                to: AlarmModelState::Alarm,
                evaluated: vec![datapoint_at(1, 80.0), datapoint_at(0, 70.0)]
            })
        );
        assert_eq!(alarm.observe(Some(datapoint_at(2, 90.0))), None);
    }
}
