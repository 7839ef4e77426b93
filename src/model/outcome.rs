//! The end of a run: the verdict, and the exit code that a pipeline acts on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The verdict of a run. Ordered: the worst of several verdicts is their maximum.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every threshold and expectation held.
    Passed,
    /// Too little was seen to say. Never counted as passed.
    Inconclusive,
    /// A threshold, a check rate or a scaling expectation failed.
    Failed,
}

impl Verdict {
    /// Returns the word in reports, such as `passed`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Inconclusive => "inconclusive",
            Self::Failed => "failed",
        }
    }
}

/// The exit codes, documented in `spikeproof --help` and the README. Higher urgency wins: leftovers
/// outrank all else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// Every judgement passed, and nothing is left.
    Passed,
    /// A threshold, a check rate or a scaling expectation failed.
    Failed,
    /// The command line has an unknown or wrong argument.
    Usage,
    /// The scenario has problems; nothing was created.
    ScenarioInvalid,
    /// Credentials, quota, provision, generators.
    CouldNotRun,
    /// Too little was seen for a verdict.
    Inconclusive,
    /// Something the run made still exists, or could not be proven gone.
    ResourcesLeft,
    /// Interrupted, and everything destroyed.
    Interrupted,
}

impl Exit {
    /// Returns the code of the process, 0 to 6 or 130.
    pub fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::ScenarioInvalid => 3,
            Self::CouldNotRun => 4,
            Self::Inconclusive => 5,
            Self::ResourcesLeft => 6,
            Self::Interrupted => 130,
        }
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed => Self::Passed,
            Verdict::Inconclusive => Self::Inconclusive,
            Verdict::Failed => Self::Failed,
        }
    }
}

/// The exit codes as `--help` and the README print them.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    passed
  1    failed: a threshold, a check rate or a scaling expectation
  2    usage
  3    scenario invalid
  4    could not run: credentials, quota, provisioning, generators
  5    inconclusive: too little was seen to say
  6    RESOURCES LEFT: outranks all else; `spikeproof reap` removes them
  130  interrupted, and everything destroyed";
