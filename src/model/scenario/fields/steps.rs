//! The steps of a flow, their checks and captures.

use super::target::AUTH;
use super::{FieldKind, Object, optional, required};

pub(crate) static STEP: Object = Object {
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
        optional(
            "form",
            FieldKind::FormFields,
            "The body: fields of a form. One with a list is sent once for each item.",
        ),
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
            "Number of times, 1 to 10000 (default 1). `if` is asked before each of them.",
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

pub(crate) static PART: Object = Object {
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

pub(crate) static CHECK: Object = Object {
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

pub(crate) static CAPTURE: Object = Object {
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
