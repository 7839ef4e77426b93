//! Every object of the scenario file and its fields: the one source of suggestions, JSON Schema and
//! reference page.

/// A map in the file.
#[derive(Debug)]
pub struct Object {
    /// Its name in the schema and on the reference page.
    pub name: &'static str,
    /// Its name in a sentence.
    pub phrase: &'static str,
    pub about: &'static str,
    pub fields: &'static [Field],
}

#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub kind: FieldKind,
    pub required: bool,
    pub about: &'static str,
}

/// What may stand behind a key.
#[derive(Debug)]
pub enum FieldKind {
    Text,
    Name,
    Duration,
    /// `1s`, `1s..3s`, `exponential(2s)` or `normal(2s, 500ms)`.
    Think,
    /// `200/s` or `12000/min`.
    Rate,
    Users,
    Weight,
    Boolean,
    Choice(&'static [&'static str]),
    Count,
    /// `off` or a whole number.
    Redirects,
    /// One code, a class such as `2xx`, a range such as `200-299`, or a list of them.
    Status,
    /// `< 100KB`.
    Size,
    /// A text, or a list of texts.
    OneOrMore,
    /// A header's name, or a map of names and values.
    HeaderCheck,
    /// Names to maps of one kind.
    Named(&'static Object),
    /// Texts, or maps of one kind, mixed.
    TextsOr(&'static Object),
    /// A map of one kind, or a list of them.
    OneOrMoreOf(&'static Object),
    /// Names to texts or maps of one kind.
    NamedTextOr(&'static Object),
    /// Text to scalars.
    Values,
    Cpu,
    /// `auto` or a whole number.
    Tasks,
    /// Text to text.
    Headers,
    Json,
    Texts,
    Object(&'static Object),
    Objects(&'static Object),
}

impl FieldKind {
    /// Only a JSON body can mean `null`.
    pub fn allows_null(&self) -> bool {
        matches!(self, Self::Json)
    }
}

impl Object {
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Its required fields, or the first one, as they would be written.
    pub fn example(&self) -> String {
        let names = self
            .fields
            .iter()
            .filter(|field| field.required)
            .chain(self.fields.first());
        names
            .take(1)
            .map(|field| format!("{}: ...", field.name))
            .collect()
    }
}

const fn required(name: &'static str, kind: FieldKind, about: &'static str) -> Field {
    Field {
        name,
        kind,
        required: true,
        about,
    }
}

const fn optional(name: &'static str, kind: FieldKind, about: &'static str) -> Field {
    Field {
        name,
        kind,
        required: false,
        about,
    }
}

/// In reading order.
#[cfg(test)]
pub static ALL: [&Object; 16] = [
    &SCENARIO,
    &TARGET,
    &AUTH,
    &BASIC,
    &TLS,
    &CONNECTION,
    &DATA,
    &PHASE,
    &FLOW,
    &STEP,
    &PART,
    &CHECK,
    &CAPTURE,
    &THRESHOLD,
    &SCALING,
    &FLEET,
];

pub static SCENARIO: Object = Object {
    name: "scenario",
    phrase: "a scenario",
    about: "The whole file.",
    fields: &[
        required(
            "name",
            FieldKind::Name,
            "Names the scenario in reports: 1 to 64 letters, digits, `.`, `_` or `-`.",
        ),
        optional(
            "target",
            FieldKind::Object(&TARGET),
            "The system under test. May be left out when `--url` is given.",
        ),
        optional(
            "connection",
            FieldKind::Object(&CONNECTION),
            "How long connections live, and who uses them.",
        ),
        optional(
            "data",
            FieldKind::Named(&DATA),
            "Data files by name: templates say `{{ NAME.COLUMN }}`.",
        ),
        required(
            "phases",
            FieldKind::Objects(&PHASE),
            "The load over time, one phase after the other.",
        ),
        optional(
            "grace",
            FieldKind::Duration,
            "Sessions whose time is over finish their iteration within this, then are cut and counted (default `30s`).",
        ),
        optional(
            "mixed_models",
            FieldKind::Boolean,
            "Phases may differ in model: some `users`, some `rate` (default false).",
        ),
        optional(
            "seed",
            FieldKind::Count,
            "Repeats the choices of a run: flows, think times, random values (default: a new one each run).",
        ),
        optional(
            "flows",
            FieldKind::Objects(&FLOW),
            "The actions of users. Each iteration picks one flow by weight.",
        ),
        optional(
            "steps",
            FieldKind::Objects(&STEP),
            "Instead of `flows` when there is only one: it is named like the scenario.",
        ),
        optional(
            "thresholds",
            FieldKind::TextsOr(&THRESHOLD),
            "Judgements such as `p95 < 500ms`, `errors < 1% in spike`, `p99 of checkout < 2s over run`, `errors < 5% within 30s`.",
        ),
        optional(
            "scaling",
            FieldKind::Object(&SCALING),
            "Judgements on how the group behaves. Needs `target.group` or `target.service`.",
        ),
        optional("fleet", FieldKind::Object(&FLEET), "The generators."),
        optional(
            "budget",
            FieldKind::Text,
            "The most the run may cost, like `5 USD`: checked before anything is created, and while the tasks run.",
        ),
    ],
};

pub static TARGET: Object = Object {
    name: "target",
    phrase: "`target`",
    about: "The system under test. Load goes to this host only.",
    fields: &[
        optional(
            "url",
            FieldKind::Text,
            "Where it answers: http or https, with an optional path. `--url` replaces it.",
        ),
        optional(
            "group",
            FieldKind::Text,
            "The Auto Scaling group to watch. Without it only the load is judged.",
        ),
        optional(
            "service",
            FieldKind::Text,
            "Instead of `group`: the ECS service to watch, as `cluster/service`.",
        ),
        optional(
            "like",
            FieldKind::Text,
            "The production group (or service) that this one stands for: differences in size, limits and policies are said before the run.",
        ),
        optional(
            "private",
            FieldKind::Boolean,
            "Its addresses may be private ones, like an internal load balancer's (default false).",
        ),
        optional(
            "timeout",
            FieldKind::Duration,
            "For one whole request, redirects included (default `30s`).",
        ),
        optional(
            "connect_timeout",
            FieldKind::Duration,
            "For name, connection and TLS, within the whole (default `10s`).",
        ),
        optional("headers", FieldKind::Headers, "Sent with every request."),
        optional("auth", FieldKind::Object(&AUTH), "Sent with every request."),
        optional(
            "http",
            FieldKind::Choice(&["auto", "1.1", "2"]),
            "`auto` (the default) offers 2 and 1.1 over TLS and speaks 1.1 without; `2` without TLS is h2c by prior knowledge.",
        ),
        optional("tls", FieldKind::Object(&TLS), "Certificates and versions."),
        optional(
            "redirects",
            FieldKind::Redirects,
            "How many are followed, on this host only: `off`, or up to 50 (default 10).",
        ),
        optional(
            "cookies",
            FieldKind::Boolean,
            "Each session keeps its cookies (default true).",
        ),
        optional(
            "compression",
            FieldKind::Boolean,
            "Asks for gzip, br and zstd (default true).",
        ),
    ],
};

pub static AUTH: Object = Object {
    name: "auth",
    phrase: "`auth`",
    about: "The `authorization` header: exactly one of `basic` and `bearer`.",
    fields: &[
        optional("bearer", FieldKind::Text, "The token."),
        optional("basic", FieldKind::Object(&BASIC), "User and password."),
    ],
};

pub static BASIC: Object = Object {
    name: "basic",
    phrase: "`basic`",
    about: "User and password, sent in base64.",
    fields: &[
        required("user", FieldKind::Text, "The user's name."),
        required(
            "password",
            FieldKind::Text,
            "Best `${secret:NAME}`, or from a data file.",
        ),
    ],
};

pub static TLS: Object = Object {
    name: "tls",
    phrase: "`tls`",
    about: "How https is spoken. Files count from the scenario's folder.",
    fields: &[
        optional(
            "min",
            FieldKind::Choice(&["1.2", "1.3"]),
            "The oldest version spoken (default `1.2`).",
        ),
        optional(
            "ca",
            FieldKind::Text,
            "PEM file: trusted instead of the system's roots.",
        ),
        optional(
            "certificate",
            FieldKind::Text,
            "PEM file: the client's certificate chain. Needs `key`.",
        ),
        optional(
            "key",
            FieldKind::Text,
            "PEM file: the client's private key.",
        ),
        optional(
            "insecure",
            FieldKind::Boolean,
            "Takes any certificate. Every report says so (default false).",
        ),
    ],
};

pub static CONNECTION: Object = Object {
    name: "connection",
    phrase: "`connection`",
    about: "The defaults suit a load balancer that scales: its new addresses only get load from new connections.",
    fields: &[
        optional(
            "reuse",
            FieldKind::Choice(&["session", "request"]),
            "`request` opens a new one each time (default `session`).",
        ),
        optional(
            "max_age",
            FieldKind::Duration,
            "Renewed between two requests, at this age give or take a fifth (default `60s`).",
        ),
        optional(
            "max_requests",
            FieldKind::Count,
            "Renewed after so many requests (default: no limit).",
        ),
        optional(
            "pool",
            FieldKind::Choice(&["session", "shared"]),
            "`session`: one connection each, like a browser (the default); `shared`: whatever connection is free.",
        ),
    ],
};

pub static DATA: Object = Object {
    name: "data",
    phrase: "data",
    about: "A file of rows: each iteration draws one from each file its flow uses.",
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
            "`stop` begins no further iteration, `fail` fails them (default `recycle`, for `once` it is `stop`).",
        ),
        optional(
            "share",
            FieldKind::Choice(&["split", "all"]),
            "`split`: no two tasks or sessions use the same row at once (the default); `all`: each worker has all rows.",
        ),
    ],
};

pub static PHASE: Object = Object {
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
            "Closed model: so many sessions, each waiting for its answers.",
        ),
        optional(
            "rate",
            FieldKind::Rate,
            "Open model: so many iterations started per second, whatever the target does.",
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

pub static FLOW: Object = Object {
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

pub static STEP: Object = Object {
    name: "step",
    phrase: "a step",
    about: "One request (exactly one of the methods), or a block of `steps`.",
    fields: &[
        optional(
            "get",
            FieldKind::Text,
            "The path to GET, beginning with `/`.",
        ),
        optional("post", FieldKind::Text, "The path to POST to."),
        optional("put", FieldKind::Text, "The path to PUT."),
        optional("patch", FieldKind::Text, "The path to PATCH."),
        optional("delete", FieldKind::Text, "The path to DELETE."),
        optional("head", FieldKind::Text, "The path to ask for the HEAD of."),
        optional(
            "options",
            FieldKind::Text,
            "The path to ask for the OPTIONS of.",
        ),
        optional(
            "name",
            FieldKind::Text,
            "Names the step in thresholds and reports (default: like `GET /path`).",
        ),
        optional(
            "headers",
            FieldKind::Headers,
            "Sent with this request, besides the target's and the flow's.",
        ),
        optional(
            "auth",
            FieldKind::Object(&AUTH),
            "Instead of the target's or the flow's.",
        ),
        optional(
            "json",
            FieldKind::Json,
            "The body: any YAML value, sent as JSON. A text that is one `{{ }}` alone keeps its type.",
        ),
        optional("form", FieldKind::Values, "The body: fields of a form."),
        optional("body", FieldKind::Text, "The body: text as it is."),
        optional(
            "multipart",
            FieldKind::NamedTextOr(&PART),
            "The body: parts by name, texts or files.",
        ),
        optional("file", FieldKind::Text, "The body: a file as it is."),
        optional(
            "check",
            FieldKind::OneOrMoreOf(&CHECK),
            "Conditions for a correct response (default: any 2xx or 3xx status).",
        ),
        optional(
            "capture",
            FieldKind::NamedTextOr(&CAPTURE),
            "Values for later steps: a JSONPath, or where else to look. One that is missing fails the step.",
        ),
        optional(
            "think",
            FieldKind::Think,
            "Pause after this step, instead of the flow's.",
        ),
        optional("timeout", FieldKind::Duration, "Instead of the target's."),
        optional(
            "redirects",
            FieldKind::Redirects,
            "Instead of the target's.",
        ),
        optional(
            "if",
            FieldKind::Text,
            "Only if this holds: `product`, `not product`, `random(1, 100) <= 30`.",
        ),
        optional(
            "repeat",
            FieldKind::Count,
            "Number of times, 1 to 10000 (default 1).",
        ),
        optional(
            "group",
            FieldKind::Name,
            "Names steps that belong together: thresholds say `of GROUP`.",
        ),
        optional(
            "steps",
            FieldKind::Objects(&STEP),
            "A block of steps, to group, repeat or condition together.",
        ),
    ],
};

pub static PART: Object = Object {
    name: "part",
    phrase: "a part",
    about: "A file in a multipart body.",
    fields: &[
        required(
            "file",
            FieldKind::Text,
            "The file. Counts from the scenario's folder.",
        ),
        optional(
            "type",
            FieldKind::Text,
            "Its media type (default: by its ending).",
        ),
    ],
};

pub static CHECK: Object = Object {
    name: "check",
    phrase: "`check`",
    about: "Judgements on one response. Each is counted by name.",
    fields: &[
        optional(
            "status",
            FieldKind::Status,
            "The right status: `200`, `[200, 201]`, `2xx` or `200-299`.",
        ),
        optional(
            "under",
            FieldKind::Duration,
            "The response must be complete within this time after the send.",
        ),
        optional(
            "contains",
            FieldKind::OneOrMore,
            "The body holds this text.",
        ),
        optional(
            "matches",
            FieldKind::OneOrMore,
            "The body matches this regular expression.",
        ),
        optional(
            "json",
            FieldKind::Values,
            "JSONPaths and the value that each must find.",
        ),
        optional(
            "header",
            FieldKind::HeaderCheck,
            "A header that must be there, or headers and their values.",
        ),
        optional(
            "size",
            FieldKind::Size,
            "Bounds the decoded body, like `< 100KB`.",
        ),
        optional(
            "soft",
            FieldKind::Boolean,
            "Counts only towards `checks`, not as an error (default false).",
        ),
        optional(
            "name",
            FieldKind::Text,
            "Names it in reports (default: what it asks for).",
        ),
    ],
};

pub static CAPTURE: Object = Object {
    name: "capture",
    phrase: "a capture",
    about: "Where a value is taken from: exactly one of `json`, `header`, `regex`, `cookie` and `css`.",
    fields: &[
        optional(
            "json",
            FieldKind::Text,
            "A JSONPath (RFC 9535) into the body.",
        ),
        optional("header", FieldKind::Text, "A header of the response."),
        optional(
            "regex",
            FieldKind::Text,
            "A regular expression on the body: its first group, or the whole match.",
        ),
        optional("cookie", FieldKind::Text, "A cookie that the session has."),
        optional(
            "css",
            FieldKind::Text,
            "A CSS selector on the body: the element's text.",
        ),
        optional(
            "attribute",
            FieldKind::Text,
            "With `css`: this attribute instead of the text.",
        ),
        optional(
            "pick",
            FieldKind::Choice(&["first", "last", "random"]),
            "Which, where several are found (default `random`).",
        ),
        optional(
            "default",
            FieldKind::Text,
            "When nothing is found; else the step fails.",
        ),
    ],
};

pub static THRESHOLD: Object = Object {
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

pub static SCALING: Object = Object {
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
            "For so long new instances may make no more errors than the others, nor be slower (default `1m`; `off`).",
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
            "At most so much of the time with too few instances (default `25%`).",
        ),
        optional(
            "over_provisioned",
            FieldKind::Text,
            "At most so much of the instance-minutes beyond what load and minimum need (default `75%`).",
        ),
    ],
};

pub static FLEET: Object = Object {
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
