//! What the report must say of a case, step by step.

use spikeproof::measure::{Broken, Failure, RefusedRedirect, Tally};
use spikeproof::report::StatusRow;

/// A folder of `tests/wild`, and what its report must say.
pub(crate) struct Case {
    /// The folder's name.
    pub(crate) folder: &'static str,
    /// The scenario that is played.
    pub(crate) file: &'static str,
    pub(crate) scheme: &'static str,
    /// The server closes connections between requests, so it does not see all that are sent.
    pub(crate) closes_idle: bool,
    pub(crate) steps: Vec<Step>,
}

/// A step of a case, and how its requests end.
pub(crate) struct Step {
    /// Its name in the report.
    pub(crate) name: &'static str,
    /// What is odd about it, for the page; empty for steps that only lead there.
    pub(crate) odd: &'static str,
    pub(crate) expected: Expected,
    /// The status of all complete answers.
    pub(crate) status: Option<u16>,
    /// The one reason of its failed requests.
    pub(crate) failure: Option<Failure>,
}

/// The requests of a step.
pub(crate) enum Expected {
    /// Exactly these, bytes and checks apart.
    Counts(Tally),
    /// As many as this, and each one answered as expected. How many of them were sent again is a
    /// matter of moments.
    Answered(u64),
}

impl Step {
    /// The complete answers that belong to a tally.
    pub(crate) fn statuses(&self, tally: &Tally) -> Vec<StatusRow> {
        let row = |status| StatusRow {
            status,
            answers: tally.answered(),
            failed: tally.answered() - tally.ok,
        };
        self.status.map(row).into_iter().collect()
    }
}

pub(super) fn step(
    name: &'static str,
    odd: &'static str,
    tally: Tally,
    status: Option<u16>,
) -> Step {
    Step {
        name,
        odd,
        expected: Expected::Counts(tally),
        status,
        failure: None,
    }
}

/// Requests that are all answered with status 200.
pub(super) fn ok(name: &'static str, odd: &'static str, ok: u64) -> Step {
    let tally = Tally {
        ok,
        ..Tally::default()
    };
    step(name, odd, tally, Some(200))
}

/// The same, some of them sent again.
pub(super) fn again(name: &'static str, odd: &'static str, ok: u64, reconnects: u64) -> Step {
    let tally = Tally {
        ok,
        reconnects,
        ..Tally::default()
    };
    step(name, odd, tally, Some(200))
}

/// Requests that are all answered with status 200, some of them perhaps sent again.
pub(super) fn answered(name: &'static str, odd: &'static str, ok: u64) -> Step {
    Step {
        expected: Expected::Answered(ok),
        ..self::ok(name, odd, ok)
    }
}

/// Requests that lead elsewhere once, and are answered there with status 200.
pub(super) fn led(name: &'static str, odd: &'static str) -> Step {
    let tally = Tally {
        ok: 1,
        redirects: 1,
        ..Tally::default()
    };
    step(name, odd, tally, Some(200))
}

/// One request that is answered with a status that counts as right.
pub(super) fn right(name: &'static str, odd: &'static str, status: u16) -> Step {
    Step {
        status: Some(status),
        ..ok(name, odd, 1)
    }
}

/// One request that was broken off.
pub(super) fn broken(name: &'static str, odd: &'static str, reason: Broken) -> Step {
    let is_unanswered = matches!(
        reason,
        Broken::ClosedBeforeAnswer | Broken::ResetBeforeAnswer
    );
    let tally = Tally {
        broken: 1,
        broken_unanswered: u64::from(is_unanswered),
        ..Tally::default()
    };
    Step {
        failure: Some(Failure::Broken(reason)),
        ..step(name, odd, tally, None)
    }
}

/// One request that was broken off after it had been sent again.
pub(super) fn broken_again(name: &'static str, odd: &'static str, reason: Broken) -> Step {
    let tally = Tally {
        broken: 1,
        reconnects: 1,
        ..Tally::default()
    };
    Step {
        expected: Expected::Counts(tally),
        ..broken(name, odd, reason)
    }
}

/// One request that met the end of a kept connection, and may not be sent again.
pub(super) fn lost(name: &'static str, odd: &'static str) -> Step {
    let tally = Tally {
        lost: 1,
        ..Tally::default()
    };
    step(name, odd, tally, None)
}

/// One answer whose body no check could read, or whose redirect was not followed.
pub(super) fn unusable(
    name: &'static str,
    odd: &'static str,
    status: u16,
    failure: Failure,
) -> Step {
    let tally = Tally {
        check: 1,
        ..Tally::default()
    };
    Step {
        failure: Some(failure),
        ..step(name, odd, tally, Some(status))
    }
}

pub(super) fn astray(name: &'static str, odd: &'static str, reason: RefusedRedirect) -> Step {
    unusable(name, odd, 302, Failure::Redirect(reason))
}

pub(super) fn case(folder: &'static str, steps: Vec<Step>) -> Case {
    Case {
        folder,
        file: "scenario.yaml",
        scheme: "http",
        closes_idle: false,
        steps,
    }
}
