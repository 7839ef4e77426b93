//! Decides how often to look: fast while something changes, slower after a while without changes,
//! and slower still when AWS throttles.

use std::time::Duration;

use tokio::time::Instant;

/// The moments a verdict is made of are polled: this is how exactly they are known. Describe
/// throttles are not documented; 30 calls a minute each stay far below any that has been reported.
pub(crate) const FAST: Duration = Duration::from_secs(2);
/// Interval between two looks in quiet times.
const CALM: Duration = Duration::from_secs(5);
/// Time without a change after which times are quiet.
const QUIET: Duration = Duration::from_mins(1);
/// The longest interval, while AWS throttles.
const SLOWEST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Pace {
    lively_at: Instant,
    /// The interval between two looks while AWS throttles; else `None`.
    held_back: Option<Duration>,
    last: Instant,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            lively_at: now,
            held_back: None,
            last: now,
        }
    }

    /// Notes that something changed, or is about to.
    pub(crate) fn saw(&mut self, lively: bool, now: Instant) {
        if lively {
            self.lively_at = now;
        }
    }

    /// Returns when to look next. A refused look doubles the time to the next one; a successful
    /// look halves it.
    pub(crate) fn next(&mut self, throttled: bool, now: Instant) -> Instant {
        let own = if now.duration_since(self.lively_at) < QUIET {
            FAST
        } else {
            CALM
        };
        self.held_back = match (throttled, self.held_back) {
            (true, held) => Some((held.unwrap_or(own) * 2).min(SLOWEST)),
            (false, Some(held)) if held / 2 > own => Some(held / 2),
            (false, _) => None,
        };
        // The interval counts from look to look, not from answer to look; a late look is not made
        // up for.
        let next = (self.last + self.held_back.unwrap_or(own)).max(now);
        self.last = next;
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_fast_while_something_changes_and_calm_down_after_a_minute() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(start);
        assert_eq!(pace.next(false, at(0)), at(2));
        pace.saw(false, at(61));
        assert_eq!(
            pace.next(false, at(61)),
            at(61),
            "a look that took long is not made up for"
        );
        assert_eq!(pace.next(false, at(61)), at(66));
        pace.saw(true, at(66));
        assert_eq!(pace.next(false, at(66)), at(68));
    }

    #[test]
    fn throttling_slows_down_to_half_a_minute_and_eases_off() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut gaps = Vec::new();
        let mut last = start;
        for throttled in [
            true, true, true, true, true, false, false, false, false, false,
        ] {
            let next = pace.next(throttled, last);
            gaps.push((next - last).as_millis());
            last = next;
            pace.saw(true, last);
        }
        assert_eq!(
            gaps,
            [
                4_000, 8_000, 16_000, 30_000, 30_000, 15_000, 7_500, 3_750, 2_000, 2_000
            ]
        );
    }
}
