//! Every object of the scenario file and its fields: the one source of suggestions, JSON Schema and reference page.

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
    /// `1s` or `1s..3s`.
    Think,
    /// `200/s` or `12000/min`.
    Rate,
    Users,
    Weight,
    Boolean,
    Choice(&'static [&'static str]),
    /// One code, a list of them, or a class such as `2xx`.
    Status,
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
        let names = self.fields.iter().filter(|field| field.required).chain(self.fields.first());
        names.take(1).map(|field| format!("{}: ...", field.name)).collect()
    }
}

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, kind, required: true, about }
}

const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, kind, required: false, about }
}

/// In reading order.
#[cfg(test)]
pub static ALL: [&Object; 8] = [&SCENARIO, &TARGET, &PHASE, &FLOW, &STEP, &CHECK, &SCALING, &FLEET];

pub static SCENARIO: Object = Object {
    name: "scenario",
    phrase: "a scenario",
    about: "The whole file.",
    fields: &[
        required("name", Kind::Name, "Names the scenario in reports: 1 to 64 letters, digits, `.`, `_` or `-`."),
        optional("target", Kind::Object(&TARGET), "The system under test. May be left out when `--url` is given."),
        required("phases", Kind::Objects(&PHASE), "The load over time, one phase after the other."),
        optional("flows", Kind::Objects(&FLOW), "What users do. Each iteration picks one flow by weight."),
        optional(
            "steps",
            Kind::Objects(&STEP),
            "Instead of `flows` when there is only one: it is named like the scenario.",
        ),
        optional(
            "thresholds",
            Kind::Texts,
            "Judgements such as `p95 < 500ms`, `errors < 1% in spike`, `p99 of checkout < 2s over run`.",
        ),
        optional("scaling", Kind::Object(&SCALING), "Judgements on how the group behaves. Needs `target.group`."),
        optional("fleet", Kind::Object(&FLEET), "The generators."),
        optional("budget", Kind::Text, "The most the run may cost, like `5 USD`: checked before anything is created."),
    ],
};

pub static TARGET: Object = Object {
    name: "target",
    phrase: "`target`",
    about: "The system under test. Load goes to this host only.",
    fields: &[
        optional("url", Kind::Text, "Where it answers: http or https, with an optional path. `--url` replaces it."),
        optional("group", Kind::Text, "The Auto Scaling group to watch. Without it only the load is judged."),
        optional("timeout", Kind::Duration, "For one whole request (default `30s`)."),
        optional("headers", Kind::Headers, "Sent with every request."),
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
        optional("users", Kind::Users, "Closed model: so many sessions, each waiting for its answers."),
        optional("rate", Kind::Rate, "Open model: so many iterations started per second, whatever the target does."),
        optional("ramp", Kind::Duration, "Time to get to the level (default: a jump)."),
        optional("hold", Kind::Duration, "Time to stay there (default: none)."),
        optional(
            "role",
            Kind::Choice(&["warm-up", "baseline", "spike", "recovery", "cool-down"]),
            "What the phase is for, when it is not clear from the levels. Warm-up and cool-down are shown, not judged.",
        ),
    ],
};

pub static FLOW: Object = Object {
    name: "flow",
    phrase: "a flow",
    about: "A weighted list of steps; one pass through them is an iteration.",
    fields: &[
        required("name", Kind::Name, "Names the flow in thresholds and reports."),
        optional("weight", Kind::Weight, "How often it is picked, relative to the others (default 1)."),
        optional("think", Kind::Think, "Pause after each step: `1s`, or evenly from `1s..3s` (default none)."),
        required("steps", Kind::Objects(&STEP), "The requests, in order."),
    ],
};

pub static STEP: Object = Object {
    name: "step",
    phrase: "a step",
    about: "One request: exactly one of `get`, `post`, `put`, `patch` and `delete`.",
    fields: &[
        optional("get", Kind::Text, "The path to GET, beginning with `/`."),
        optional("post", Kind::Text, "The path to POST to."),
        optional("put", Kind::Text, "The path to PUT."),
        optional("patch", Kind::Text, "The path to PATCH."),
        optional("delete", Kind::Text, "The path to DELETE."),
        optional("name", Kind::Text, "Names the step in thresholds and reports (default: like `GET /path`)."),
        optional("headers", Kind::Headers, "Sent with this request, besides the target's."),
        optional("json", Kind::Json, "The body: any YAML value, sent as JSON."),
        optional("check", Kind::Object(&CHECK), "What makes the response right."),
    ],
};

pub static CHECK: Object = Object {
    name: "check",
    phrase: "`check`",
    about: "A judgement on one response.",
    fields: &[
        optional("status", Kind::Status, "The right status: `200`, `[200, 201]` or `2xx` (default: any 2xx or 3xx)."),
        optional("under", Kind::Duration, "The response must be complete within this time."),
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
    ],
};

pub static FLEET: Object = Object {
    name: "fleet",
    phrase: "`fleet`",
    about: "The generators: Fargate tasks.",
    fields: &[
        optional("cpu", Kind::Cpu, "vCPU per task: 0.25, 0.5, 1, 2, 4, 8 or 16 (default 1)."),
        optional("memory", Kind::Text, "Memory per task, like `4GB` (default: the least Fargate offers for the cpu)."),
        optional("arch", Kind::Choice(&["x86_64", "arm64"]), "Processor (default `x86_64`)."),
        optional("tasks", Kind::Tasks, "How many tasks: `auto` (from the load, the default) or 1 to 500."),
        optional("subnets", Kind::Texts, "Where tasks run (default: the default VPC's default subnets)."),
        optional("image", Kind::Text, "A ready image instead of the one packed from this binary."),
    ],
};
