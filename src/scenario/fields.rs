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
    pub kind: Kind,
    pub required: bool,
    pub about: &'static str,
}

/// What may stand behind a key.
#[derive(Debug)]
pub enum Kind {
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

impl Kind {
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

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field {
        name,
        kind,
        required: true,
        about,
    }
}

const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Field {
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
            Kind::Name,
            "Names the scenario in reports: 1 to 64 letters, digits, `.`, `_` or `-`.",
        ),
        optional(
            "target",
            Kind::Object(&TARGET),
            "The system under test. May be left out when `--url` is given.",
        ),
        optional(
            "connection",
            Kind::Object(&CONNECTION),
            "How long connections live, and who uses them.",
        ),
        optional(
            "data",
            Kind::Named(&DATA),
            "Data files by name: templates say `{{ NAME.COLUMN }}`.",
        ),
        required(
            "phases",
            Kind::Objects(&PHASE),
            "The load over time, one phase after the other.",
        ),
        optional(
            "grace",
            Kind::Duration,
            "Sessions whose time is over finish their iteration within this, then are cut and counted (default `30s`).",
        ),
        optional(
            "mixed_models",
            Kind::Boolean,
            "Phases may differ in model: some `users`, some `rate` (default false).",
        ),
        optional(
            "seed",
            Kind::Count,
            "Repeats the choices of a run: flows, think times, random values (default: a new one each run).",
        ),
        optional(
            "flows",
            Kind::Objects(&FLOW),
            "The actions of users. Each iteration picks one flow by weight.",
        ),
        optional(
            "steps",
            Kind::Objects(&STEP),
            "Instead of `flows` when there is only one: it is named like the scenario.",
        ),
        optional(
            "thresholds",
            Kind::TextsOr(&THRESHOLD),
            "Judgements such as `p95 < 500ms`, `errors < 1% in spike`, `p99 of checkout < 2s over run`, `errors < 5% within 30s`.",
        ),
        optional(
            "scaling",
            Kind::Object(&SCALING),
            "Judgements on how the group behaves. Needs `target.group` or `target.service`.",
        ),
        optional("fleet", Kind::Object(&FLEET), "The generators."),
        optional(
            "budget",
            Kind::Text,
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
            Kind::Text,
            "Where it answers: http or https, with an optional path. `--url` replaces it.",
        ),
        optional(
            "group",
            Kind::Text,
            "The Auto Scaling group to watch. Without it only the load is judged.",
        ),
        optional(
            "service",
            Kind::Text,
            "Instead of `group`: the ECS service to watch, as `cluster/service`.",
        ),
        optional(
            "like",
            Kind::Text,
            "The production group (or service) that this one stands for: differences in size, limits and policies are said before the run.",
        ),
        optional(
            "private",
            Kind::Boolean,
            "Its addresses may be private ones, like an internal load balancer's (default false).",
        ),
        optional(
            "timeout",
            Kind::Duration,
            "For one whole request, redirects included (default `30s`).",
        ),
        optional(
            "connect_timeout",
            Kind::Duration,
            "For name, connection and TLS, within the whole (default `10s`).",
        ),
        optional("headers", Kind::Headers, "Sent with every request."),
        optional("auth", Kind::Object(&AUTH), "Sent with every request."),
        optional(
            "http",
            Kind::Choice(&["auto", "1.1", "2"]),
            "`auto` (the default) offers 2 and 1.1 over TLS and speaks 1.1 without; `2` without TLS is h2c by prior knowledge.",
        ),
        optional("tls", Kind::Object(&TLS), "Certificates and versions."),
        optional(
            "redirects",
            Kind::Redirects,
            "How many are followed, on this host only: `off`, or up to 50 (default 10).",
        ),
        optional(
            "cookies",
            Kind::Boolean,
            "Each session keeps its cookies (default true).",
        ),
        optional(
            "compression",
            Kind::Boolean,
            "Asks for gzip, br and zstd (default true).",
        ),
    ],
};

pub static AUTH: Object = Object {
    name: "auth",
    phrase: "`auth`",
    about: "The `authorization` header: exactly one of `basic` and `bearer`.",
    fields: &[
        optional("bearer", Kind::Text, "The token."),
        optional("basic", Kind::Object(&BASIC), "User and password."),
    ],
};

pub static BASIC: Object = Object {
    name: "basic",
    phrase: "`basic`",
    about: "User and password, sent in base64.",
    fields: &[
        required("user", Kind::Text, "The user's name."),
        required(
            "password",
            Kind::Text,
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
            Kind::Choice(&["1.2", "1.3"]),
            "The oldest version spoken (default `1.2`).",
        ),
        optional(
            "ca",
            Kind::Text,
            "PEM file: trusted instead of the system's roots.",
        ),
        optional(
            "certificate",
            Kind::Text,
            "PEM file: the client's certificate chain. Needs `key`.",
        ),
        optional("key", Kind::Text, "PEM file: the client's private key."),
        optional(
            "insecure",
            Kind::Boolean,
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
            Kind::Choice(&["session", "request"]),
            "`request` opens a new one each time (default `session`).",
        ),
        optional(
            "max_age",
            Kind::Duration,
            "Renewed between two requests, at this age give or take a fifth (default `60s`).",
        ),
        optional(
            "max_requests",
            Kind::Count,
            "Renewed after so many requests (default: no limit).",
        ),
        optional(
            "pool",
            Kind::Choice(&["session", "shared"]),
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
            Kind::Text,
            "CSV with a line of column names, or JSON lines (`.jsonl`). Counts from the scenario's folder.",
        ),
        optional(
            "order",
            Kind::Choice(&["sequential", "random", "once"]),
            "`once`: each row at most once in the whole run (default `sequential`).",
        ),
        optional(
            "when_used_up",
            Kind::Choice(&["stop", "recycle", "fail"]),
            "`stop` begins no further iteration, `fail` fails them (default `recycle`, for `once` it is `stop`).",
        ),
        optional(
            "share",
            Kind::Choice(&["split", "all"]),
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
            Kind::Name,
            "Names the phase in thresholds and reports. Required when there is more than one.",
        ),
        optional(
            "users",
            Kind::Users,
            "Closed model: so many sessions, each waiting for its answers.",
        ),
        optional(
            "rate",
            Kind::Rate,
            "Open model: so many iterations started per second, whatever the target does.",
        ),
        optional(
            "ramp",
            Kind::Duration,
            "Time to get to the level (default: a jump).",
        ),
        optional(
            "hold",
            Kind::Duration,
            "Time to stay there (default: none).",
        ),
        optional(
            "role",
            Kind::Choice(&["warm-up", "baseline", "spike", "recovery", "cool-down"]),
            "The purpose of the phase, when it is not clear from the levels. Warm-up and cool-down are shown, not judged.",
        ),
        optional(
            "grace",
            Kind::Duration,
            "Instead of the scenario's: how long sessions may take to finish.",
        ),
        optional(
            "burst",
            Kind::Boolean,
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
            Kind::Name,
            "Names the flow in thresholds and reports.",
        ),
        optional(
            "weight",
            Kind::Weight,
            "How often it is picked, relative to the others (default 1).",
        ),
        optional(
            "think",
            Kind::Think,
            "Pause after each step: `1s`, evenly from `1s..3s`, `exponential(2s)` or `normal(2s, 500ms)` (default none).",
        ),
        optional(
            "pace",
            Kind::Duration,
            "A session begins an iteration no more often than this (default: no limit). In the open model the rate alone decides.",
        ),
        optional(
            "headers",
            Kind::Headers,
            "Sent with every step of `steps`; may use what `setup` captured.",
        ),
        optional(
            "auth",
            Kind::Object(&AUTH),
            "Sent with every step of `steps`.",
        ),
        optional(
            "setup",
            Kind::Objects(&STEP),
            "Once per session, before its first iteration: log in. Its captures last for the session.",
        ),
        required("steps", Kind::Objects(&STEP), "The requests, in order."),
    ],
};

pub static STEP: Object = Object {
    name: "step",
    phrase: "a step",
    about: "One request (exactly one of the methods), or a block of `steps`.",
    fields: &[
        optional("get", Kind::Text, "The path to GET, beginning with `/`."),
        optional("post", Kind::Text, "The path to POST to."),
        optional("put", Kind::Text, "The path to PUT."),
        optional("patch", Kind::Text, "The path to PATCH."),
        optional("delete", Kind::Text, "The path to DELETE."),
        optional("head", Kind::Text, "The path to ask for the HEAD of."),
        optional("options", Kind::Text, "The path to ask for the OPTIONS of."),
        optional(
            "name",
            Kind::Text,
            "Names the step in thresholds and reports (default: like `GET /path`).",
        ),
        optional(
            "headers",
            Kind::Headers,
            "Sent with this request, besides the target's and the flow's.",
        ),
        optional(
            "auth",
            Kind::Object(&AUTH),
            "Instead of the target's or the flow's.",
        ),
        optional(
            "json",
            Kind::Json,
            "The body: any YAML value, sent as JSON. A text that is one `{{ }}` alone keeps its type.",
        ),
        optional("form", Kind::Values, "The body: fields of a form."),
        optional("body", Kind::Text, "The body: text as it is."),
        optional(
            "multipart",
            Kind::NamedTextOr(&PART),
            "The body: parts by name, texts or files.",
        ),
        optional("file", Kind::Text, "The body: a file as it is."),
        optional(
            "check",
            Kind::OneOrMoreOf(&CHECK),
            "Conditions for a correct response (default: any 2xx or 3xx status).",
        ),
        optional(
            "capture",
            Kind::NamedTextOr(&CAPTURE),
            "Values for later steps: a JSONPath, or where else to look. One that is missing fails the step.",
        ),
        optional(
            "think",
            Kind::Think,
            "Pause after this step, instead of the flow's.",
        ),
        optional("timeout", Kind::Duration, "Instead of the target's."),
        optional("redirects", Kind::Redirects, "Instead of the target's."),
        optional(
            "if",
            Kind::Text,
            "Only if this holds: `product`, `not product`, `random(1, 100) <= 30`.",
        ),
        optional(
            "repeat",
            Kind::Count,
            "Number of times, 1 to 10000 (default 1).",
        ),
        optional(
            "group",
            Kind::Name,
            "Names steps that belong together: thresholds say `of GROUP`.",
        ),
        optional(
            "steps",
            Kind::Objects(&STEP),
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
            Kind::Text,
            "The file. Counts from the scenario's folder.",
        ),
        optional(
            "type",
            Kind::Text,
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
            Kind::Status,
            "The right status: `200`, `[200, 201]`, `2xx` or `200-299`.",
        ),
        optional(
            "under",
            Kind::Duration,
            "The response must be complete within this time after the send.",
        ),
        optional("contains", Kind::OneOrMore, "The body holds this text."),
        optional(
            "matches",
            Kind::OneOrMore,
            "The body matches this regular expression.",
        ),
        optional(
            "json",
            Kind::Values,
            "JSONPaths and the value that each must find.",
        ),
        optional(
            "header",
            Kind::HeaderCheck,
            "A header that must be there, or headers and their values.",
        ),
        optional(
            "size",
            Kind::Size,
            "Bounds the decoded body, like `< 100KB`.",
        ),
        optional(
            "soft",
            Kind::Boolean,
            "Counts only towards `checks`, not as an error (default false).",
        ),
        optional(
            "name",
            Kind::Text,
            "Names it in reports (default: what it asks for).",
        ),
    ],
};

pub static CAPTURE: Object = Object {
    name: "capture",
    phrase: "a capture",
    about: "Where a value is taken from: exactly one of `json`, `header`, `regex`, `cookie` and `css`.",
    fields: &[
        optional("json", Kind::Text, "A JSONPath (RFC 9535) into the body."),
        optional("header", Kind::Text, "A header of the response."),
        optional(
            "regex",
            Kind::Text,
            "A regular expression on the body: its first group, or the whole match.",
        ),
        optional("cookie", Kind::Text, "A cookie that the session has."),
        optional(
            "css",
            Kind::Text,
            "A CSS selector on the body: the element's text.",
        ),
        optional(
            "attribute",
            Kind::Text,
            "With `css`: this attribute instead of the text.",
        ),
        optional(
            "pick",
            Kind::Choice(&["first", "last", "random"]),
            "Which, where several are found (default `random`).",
        ),
        optional(
            "default",
            Kind::Text,
            "When nothing is found; else the step fails.",
        ),
    ],
};

pub static THRESHOLD: Object = Object {
    name: "threshold",
    phrase: "a threshold",
    about: "A judgement with more to say than its text.",
    fields: &[
        required("threshold", Kind::Text, "The text, like `errors < 5%`."),
        optional(
            "abort",
            Kind::Boolean,
            "Stops the run as soon as it fails (default false).",
        ),
        optional(
            "after",
            Kind::Duration,
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
            Kind::Duration,
            "From the breach of the policy's threshold to a new instance in service (default `3m`).",
        ),
        optional(
            "in_within",
            Kind::Text,
            "Time to scale back in: `auto` (a bound computed from the group's own alarms, the default), a duration, or `2x cooldown`.",
        ),
        optional(
            "no_dropped_requests",
            Kind::Boolean,
            "No request may fail because an instance goes away (default true).",
        ),
        optional(
            "instance_header",
            Kind::Text,
            "The response header that names the instance, for exact first-request times.",
        ),
        optional(
            "fresh_instances",
            Kind::Text,
            "For so long new instances may make no more errors than the others, nor be slower (default `1m`; `off`).",
        ),
        optional(
            "no_early_scale_in",
            Kind::Boolean,
            "No instance may leave while the load still needs it (default true).",
        ),
        optional(
            "no_flapping",
            Kind::Boolean,
            "No growing and shrinking by turns under one load (default true).",
        ),
        optional(
            "holds_at_maximum",
            Kind::Boolean,
            "At its maximum the target holds the spike's limits (default true).",
        ),
        optional(
            "p95_while_scaling",
            Kind::Duration,
            "From the breach until what was launched serves (default: the spike's threshold on p95, if there is one).",
        ),
        optional(
            "errors_while_scaling",
            Kind::Text,
            "Like `5%`, in the same time (default: the spike's threshold on errors, if there is one).",
        ),
        optional(
            "under_provisioned",
            Kind::Text,
            "At most so much of the time with too few instances (default `25%`).",
        ),
        optional(
            "over_provisioned",
            Kind::Text,
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
            Kind::Cpu,
            "vCPU per task: 0.25, 0.5, 1, 2, 4, 8 or 16 (default 1).",
        ),
        optional(
            "memory",
            Kind::Text,
            "Memory per task, like `4GB` (default: the least Fargate offers for the cpu).",
        ),
        optional(
            "arch",
            Kind::Choice(&["x86_64", "arm64"]),
            "Processor (default `x86_64`).",
        ),
        optional(
            "tasks",
            Kind::Tasks,
            "How many tasks: `auto` (from the load, the default) or 1 to 500.",
        ),
        optional(
            "subnets",
            Kind::Texts,
            "Where tasks run (default: the default VPC's default subnets).",
        ),
        optional(
            "image",
            Kind::Text,
            "A ready image instead of the one packed from this binary.",
        ),
    ],
};
