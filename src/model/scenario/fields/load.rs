//! The load: data files, phases and flows.

use super::steps::STEP;
use super::target::AUTH;
use super::{FieldKind, Object, optional, required};

pub(crate) static DATA: Object = Object {
    name: "data",
    phrase: "data",
    about: "A file of rows: each iteration draws one from each file its flow uses; a row that `setup` uses stays for the session.",
    fields: &[
        required(
            "file",
            FieldKind::Text,
            "CSV with a line of column names, or JSON lines (`.jsonl`). Counts from the scenario's folder.",
        ),
        optional(
            "order",
            FieldKind::Choice(&["sequential", "random", "once"]),
            "`once`: each row at most once in the whole run (default `sequential`).",
        ),
        optional(
            "when_used_up",
            FieldKind::Choice(&["stop", "recycle", "fail"]),
            "Without a row, `stop` begins no iteration, `fail` fails it (default `recycle`, for `once` it is `stop`).",
        ),
        optional(
            "share",
            FieldKind::Choice(&["split", "all"]),
            "`split`: no two tasks or sessions use the same row at once (the default); `all`: each worker has all rows.",
        ),
    ],
};

pub(crate) static PHASE: Object = Object {
    name: "phase",
    phrase: "a phase",
    about: "Go to a level within `ramp`, stay there for `hold`.",
    fields: &[
        optional(
            "name",
            FieldKind::Name,
            "Names the phase in thresholds and reports. Required when there is more than one.",
        ),
        optional(
            "users",
            FieldKind::Users,
            "Closed model: the number of sessions, each of which waits for its answers.",
        ),
        optional(
            "rate",
            FieldKind::Rate,
            "Open model: iterations started per second, even if the target is slow.",
        ),
        optional(
            "ramp",
            FieldKind::Duration,
            "Time to get to the level (default: a jump).",
        ),
        optional(
            "hold",
            FieldKind::Duration,
            "Time to stay there (default: none).",
        ),
        optional(
            "role",
            FieldKind::Choice(&["warm-up", "baseline", "spike", "recovery", "cool-down"]),
            "The purpose of the phase, when it is not clear from the levels. Warm-up and cool-down are shown, not judged.",
        ),
        optional(
            "grace",
            FieldKind::Duration,
            "Instead of the scenario's: how long sessions may take to finish.",
        ),
        optional(
            "burst",
            FieldKind::Boolean,
            "Sessions that a jump brings start in one instant, not spread over a second (default false).",
        ),
    ],
};

pub(crate) static FLOW: Object = Object {
    name: "flow",
    phrase: "a flow",
    about: "A weighted list of steps; one pass through them is an iteration.",
    fields: &[
        required(
            "name",
            FieldKind::Name,
            "Names the flow in thresholds and reports.",
        ),
        optional(
            "weight",
            FieldKind::Weight,
            "How often it is picked, relative to the others (default 1).",
        ),
        optional(
            "think",
            FieldKind::Think,
            "Pause after each step: `1s`, evenly from `1s..3s`, `exponential(2s)` or `normal(2s, 500ms)` (default none).",
        ),
        optional(
            "pace",
            FieldKind::Duration,
            "A session begins an iteration no more often than this (default: no limit). In the open model the rate alone decides.",
        ),
        optional(
            "headers",
            FieldKind::Headers,
            "Sent with every step of `steps`; may use what `setup` captured.",
        ),
        optional(
            "auth",
            FieldKind::Object(&AUTH),
            "Sent with every step of `steps`.",
        ),
        optional(
            "setup",
            FieldKind::Objects(&STEP),
            "Once per session, before its first iteration: log in. Its captures last for the session.",
        ),
        required(
            "steps",
            FieldKind::Objects(&STEP),
            "The requests, in order.",
        ),
    ],
};
