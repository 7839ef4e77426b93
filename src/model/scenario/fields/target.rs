//! The target, and how it is reached.

use super::{FieldKind, Object, optional, required};

pub(crate) static TARGET: Object = Object {
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

pub(crate) static AUTH: Object = Object {
    name: "auth",
    phrase: "`auth`",
    about: "The `authorization` header: exactly one of `basic` and `bearer`.",
    fields: &[
        optional("bearer", FieldKind::Text, "The token."),
        optional("basic", FieldKind::Object(&BASIC), "User and password."),
    ],
};

pub(crate) static BASIC: Object = Object {
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

pub(crate) static TLS: Object = Object {
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
            "PEM file: trusted instead of the system's roots; authorities, or the server's own certificate.",
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

pub(crate) static CONNECTION: Object = Object {
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
            "Requests after which a connection is renewed (default: no limit).",
        ),
        optional(
            "pool",
            FieldKind::Choice(&["session", "shared"]),
            "`session`: one connection each, like a browser (the default); `shared`: whatever connection is free.",
        ),
    ],
};
