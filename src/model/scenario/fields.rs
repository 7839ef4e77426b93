//! Every object of the scenario file and its fields: the one source of suggestions, JSON Schema and
//! reference page.

mod expectations;
mod load;
mod steps;
mod target;

pub(super) use expectations::{FLEET, SCALING, THRESHOLD};
pub(super) use load::{DATA, FLOW, PHASE};
pub(super) use steps::{CAPTURE, CHECK, PART, STEP};
pub(super) use target::{AUTH, BASIC, CONNECTION, TARGET, TLS};

/// A map in the file.
#[derive(Debug)]
pub(super) struct Object {
    /// Its name in the schema and on the reference page.
    pub name: &'static str,
    /// Its name in a sentence.
    pub phrase: &'static str,
    pub about: &'static str,
    pub fields: &'static [Field],
}

#[derive(Debug)]
pub(super) struct Field {
    pub name: &'static str,
    pub kind: FieldKind,
    pub required: bool,
    pub about: &'static str,
}

/// The kind of value that a key takes.
#[derive(Debug)]
pub(super) enum FieldKind {
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
    /// Text to scalars or lists of them.
    FormFields,
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
    /// True for a JSON body, the only field that can mean `null`.
    pub(super) fn allows_null(&self) -> bool {
        matches!(self, Self::Json)
    }
}

impl Object {
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Returns the first required field as it would be written; else the first field.
    pub(super) fn example(&self) -> String {
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
pub(super) static ALL: [&Object; 16] = [
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

pub(super) static SCENARIO: Object = Object {
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
