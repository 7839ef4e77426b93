//! Scenarios to begin with: one commented file for each kind of test.

use super::Url;

/// The question that a test answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestKind {
    /// A few users for half a minute: does the target answer?
    Smoke,
    /// The load of a busy hour.
    Load,
    /// Rising steps until the target breaks its limits.
    Stress,
    /// A jump and the way back, with a group that scales.
    Spike,
    /// A steady load for hours.
    Soak,
}

impl TestKind {
    /// All kinds, in the order of the help text.
    pub const ALL: [Self; 5] = [
        Self::Smoke,
        Self::Load,
        Self::Stress,
        Self::Spike,
        Self::Soak,
    ];

    /// Returns the argument of `init`, such as `spike`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Load => "load",
            Self::Stress => "stress",
            Self::Spike => "spike",
            Self::Soak => "soak",
        }
    }

    fn question(self) -> &'static str {
        match self {
            Self::Smoke => "Does the target answer at all, and as it should?",
            Self::Load => "Does the target carry the load of a busy hour within its limits?",
            Self::Stress => "At which step does the target stop keeping its limits?",
            Self::Spike => "Does the group notice a spike, grow in time, and come back?",
            Self::Soak => "Does anything leak, fill up or slow down over hours?",
        }
    }

    fn phases(self) -> &'static str {
        match self {
            Self::Smoke => "  - { name: smoke, users: 2, hold: 30s }\n",
            Self::Load => {
                "  - { name: warm-up,   rate: 50/s, ramp: 2m }\n\
                 \x20 - { name: sustained, rate: 50/s, hold: 20m }\n"
            }
            Self::Stress => {
                "  - { name: step-1, rate: 50/s,  hold: 5m, role: baseline }\n\
                 \x20 - { name: step-2, rate: 100/s, hold: 5m, role: baseline }\n\
                 \x20 - { name: step-3, rate: 200/s, hold: 5m, role: baseline }\n\
                 \x20 - { name: step-4, rate: 400/s, hold: 5m, role: baseline }\n"
            }
            Self::Spike => {
                "  - { name: warm-up,   rate: 50/s,  ramp: 2m }\n\
                 \x20 - { name: sustained, rate: 50/s,  hold: 5m }\n\
                 \x20 - { name: spike,     rate: 250/s, hold: 8m }\n\
                 \x20 # A target-tracking policy shrinks after about fifteen quiet minutes.\n\
                 \x20 - { name: recovery,  rate: 50/s,  hold: 25m }\n"
            }
            Self::Soak => {
                "  - { name: warm-up, users: 100, ramp: 5m }\n\
                 \x20 - { name: soak,    users: 100, hold: 4h }\n"
            }
        }
    }

    fn thresholds(self) -> &'static str {
        match self {
            Self::Smoke => "  - errors < 1%\n  - checks > 99%\n",
            Self::Load => {
                "  - p95 < 500ms\n  - errors < 1%\n  - checks > 99%\n  - rate > 47/s in sustained\n"
            }
            Self::Stress => {
                "  - p95 < 500ms\n  - errors < 1%\n  # Far beyond its limits there is nothing more to learn.\n\
                 \x20 - { threshold: errors < 50% within 30s, abort: true, after: 1m }\n"
            }
            Self::Spike => {
                "  - p95 < 500ms in sustained\n  - errors < 1% in sustained\n\
                 \x20 # While the group grows, some requests may be slow or refused.\n\
                 \x20 - errors < 5% in spike\n  - p95 < 500ms in recovery\n  - errors < 1% in recovery\n"
            }
            // A leak shows at the end: every window is judged on its own.
            Self::Soak => "  - p95 < 500ms within 5m\n  - errors < 0.1%\n",
        }
    }

    /// Returns a commented scenario of this kind.
    pub fn scenario(self, url: &Url) -> String {
        let word = self.word();
        let group = match self {
            Self::Spike => {
                "  group: my-auto-scaling-group   # watched through the spike; policies and limits are discovered\n"
            }
            _ => "  # group: my-auto-scaling-group   # to watch it while it is loaded\n",
        };
        let scaling = match self {
            Self::Spike => {
                "scaling:\n  out_within: 5m     # from the breach to a new instance in service\n  in_within: auto    # from the group's own alarms\n"
            }
            _ => "",
        };
        format!(
            "# {question}\n\
             # yaml-language-server: $schema=scenario.schema.json   (written by `spikeproof schema`)\n\
             #\n\
             # spikeproof check {word}.yaml                 the plan, the drawn load and the cost; touches nothing\n\
             # spikeproof run --fleet local {word}.yaml     from this machine\n\
             # spikeproof run {word}.yaml                   from a throw-away Fargate fleet\n\
             name: {word}\n\
             target:\n\
             \x20 url: {url}\n\
             {group}\
             phases:              # `ramp` = time to get to the level (none = jump), `hold` = time to stay there\n\
             {phases}\
             flows:               # `rate` counts iterations of these; weights need not add up to 100\n\
             \x20 - name: home\n\
             \x20   weight: 70\n\
             \x20   think: 1s..3s    # after each step\n\
             \x20   steps:\n\
             \x20     - get: /\n\
             \x20       check: {{ status: 2xx, under: 2s }}\n\
             \x20 - name: browse\n\
             \x20   weight: 30\n\
             \x20   think: 1s..3s\n\
             \x20   steps:\n\
             \x20     - get: /\n\
             \x20     # A value out of one answer, in the next request:\n\
             \x20     # - get: /api/products\n\
             \x20     #   capture: {{ product: \"$.items[*].id\" }}\n\
             \x20     # - get: /api/products/{{{{ product }}}}\n\
             thresholds:          # without `in`, every judged phase on its own\n\
             {thresholds}\
             {scaling}",
            question = self.question(),
            phases = self.phases(),
            thresholds = self.thresholds(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Substitutions, no_files, read, render};
    use super::*;

    #[test]
    fn every_kind_is_a_valid_scenario_that_opens_with_its_question() {
        let url = super::super::url("https://shop.example.com").unwrap();
        for kind in TestKind::ALL {
            let text = kind.scenario(&url);
            let read = read(&text, &Substitutions::default(), &no_files);
            let read = read
                .map_err(|problems| render(kind.word(), &text, &problems, false))
                .unwrap();
            assert_eq!(read.scenario.name, kind.word());
            assert!(text.lines().next().unwrap().ends_with('?'));
        }
        insta::assert_snapshot!(TestKind::Spike.scenario(&url));
    }
}
