//! The expectations on a run and its group, and the fleet of generators.

use super::{FieldKind, Object, optional, required};

pub(crate) static THRESHOLD: Object = Object {
    name: "threshold",
    phrase: "a threshold",
    about: "A judgement with more to say than its text.",
    fields: &[
        required(
            "threshold",
            FieldKind::Text,
            "The text, like `errors < 5%`.",
        ),
        optional(
            "abort",
            FieldKind::Boolean,
            "Stops the run as soon as it fails (default false).",
        ),
        optional(
            "after",
            FieldKind::Duration,
            "With `abort`: not before this much of its phase (or run) has passed (default `0s`).",
        ),
    ],
};

pub(crate) static SCALING: Object = Object {
    name: "scaling",
    phrase: "`scaling`",
    about: "Judgements on how the group behaves.",
    fields: &[
        optional(
            "out_within",
            FieldKind::Duration,
            "From the breach of the policy's threshold to a new instance in service (default `3m`).",
        ),
        optional(
            "in_within",
            FieldKind::Text,
            "Time to scale back in: `auto` (a bound computed from the group's own alarms, the default), a duration, or `2x cooldown`.",
        ),
        optional(
            "no_dropped_requests",
            FieldKind::Boolean,
            "No request may fail because an instance goes away (default true).",
        ),
        optional(
            "instance_header",
            FieldKind::Text,
            "The response header that names the instance, for exact first-request times.",
        ),
        optional(
            "fresh_instances",
            FieldKind::Text,
            "How long a new instance is compared with the others: no more errors, not slower (default `1m`; `off`).",
        ),
        optional(
            "no_early_scale_in",
            FieldKind::Boolean,
            "No instance may leave while the load still needs it (default true).",
        ),
        optional(
            "no_flapping",
            FieldKind::Boolean,
            "No growing and shrinking by turns under one load (default true).",
        ),
        optional(
            "holds_at_maximum",
            FieldKind::Boolean,
            "At its maximum the target holds the spike's limits (default true).",
        ),
        optional(
            "p95_while_scaling",
            FieldKind::Duration,
            "From the breach until what was launched serves (default: the spike's threshold on p95, if there is one).",
        ),
        optional(
            "errors_while_scaling",
            FieldKind::Text,
            "Like `5%`, in the same time (default: the spike's threshold on errors, if there is one).",
        ),
        optional(
            "under_provisioned",
            FieldKind::Text,
            "The largest share of the time with too few instances (default `25%`).",
        ),
        optional(
            "over_provisioned",
            FieldKind::Text,
            "The largest share of instance-minutes beyond the need of load and minimum (default `75%`).",
        ),
    ],
};

pub(crate) static FLEET: Object = Object {
    name: "fleet",
    phrase: "`fleet`",
    about: "The generators: Fargate tasks.",
    fields: &[
        optional(
            "cpu",
            FieldKind::Cpu,
            "vCPU per task: 0.25, 0.5, 1, 2, 4, 8 or 16 (default 1).",
        ),
        optional(
            "memory",
            FieldKind::Text,
            "Memory per task, like `4GB` (default: the least Fargate offers for the cpu).",
        ),
        optional(
            "arch",
            FieldKind::Choice(&["x86_64", "arm64"]),
            "Processor (default `x86_64`).",
        ),
        optional(
            "tasks",
            FieldKind::Tasks,
            "How many tasks: `auto` (from the load, the default) or 1 to 500.",
        ),
        optional(
            "subnets",
            FieldKind::Texts,
            "Where tasks run (default: the default VPC's default subnets).",
        ),
        optional(
            "image",
            FieldKind::Text,
            "A ready image instead of the one packed from this binary.",
        ),
    ],
};
