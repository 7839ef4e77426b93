//! The output of terraform with `-json`: one JSON object per line. Pure.
//!
//! Types and fields we do not know are kept as `Other`; a line that is no JSON (a crash, a
//! wrapper's banner) as `Text`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// One line of the output.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The first line: the program's version.
    Version {
        /// The version, for example `1.9.5`.
        version: String,
    },
    /// A resource is about to be created, changed or deleted.
    ApplyStart(ResourceChange),
    /// The change is still under way; comes every ten seconds.
    ApplyProgress(ResourceChange),
    /// The change is done.
    ApplyComplete(ResourceChange),
    /// The change failed; a diagnostic follows.
    ApplyErrored(ResourceChange),
    /// A resource is read.
    Refresh {
        /// The resource, for example `aws_ecs_cluster.run`.
        address: String,
    },
    /// Number of resources that a plan, apply or destroy is about.
    ChangeSummary {
        /// `plan`, `apply` or `destroy`.
        operation: String,
        /// Resources created.
        add: u64,
        /// Resources changed.
        change: u64,
        /// Resources deleted.
        remove: u64,
    },
    /// The outputs by name; those of a plan have no value and are left out.
    Outputs(BTreeMap<String, Value>),
    /// An error or a warning.
    Diagnostic(Diagnostic),
    /// `state` is the emergency dump: the only good copy when the disk is full.
    Log {
        /// Its text.
        message: String,
        /// The whole state; `None` in other log lines.
        state: Option<Value>,
    },
    /// A type that is not in this list, or one without its fields.
    Other {
        /// Its `type`; empty where it has none.
        kind: String,
        /// Its `@message`.
        message: String,
    },
    /// The line itself.
    Text(String),
}

/// One resource being created, updated or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceChange {
    /// The resource, for example `aws_ecs_cluster.run`.
    pub address: String,
    /// `create`, `update`, `delete`, ...
    pub action: String,
    /// AWS's id of the resource, once known.
    pub id: Option<String>,
    /// Time since the change began, in whole seconds.
    pub elapsed: Duration,
}

/// An error or a warning of terraform.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Diagnostic {
    /// `error` or `warning`.
    pub severity: String,
    /// Its first sentence.
    pub summary: String,
    /// The text below it; may be empty.
    #[serde(default)]
    pub detail: String,
    /// The resource that it is about; `None` where it is about none.
    #[serde(default)]
    pub address: Option<String>,
}

impl Diagnostic {
    /// True for an error, false for a warning.
    pub fn is_error(&self) -> bool {
        self.severity == "error"
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.summary)?;
        if let Some(address) = &self.address {
            write!(f, " ({address})")?;
        }
        if self.detail.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.detail)
        }
    }
}

/// Reads one line. Never fails.
pub fn parse(line: &str) -> Message {
    match serde_json::from_str::<Value>(line) {
        Ok(value) if value.is_object() => known(&value).unwrap_or_else(|| Message::Other {
            kind: text(&value, "/type"),
            message: text(&value, "/@message"),
        }),
        _ => Message::Text(line.to_owned()),
    }
}

fn known(value: &Value) -> Option<Message> {
    let count = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    Some(match value.get("type")?.as_str()? {
        // OpenTofu names the key after itself.
        "version" => {
            let version = value.get("terraform").or_else(|| value.get("tofu"))?;
            Message::Version {
                version: version.as_str()?.to_owned(),
            }
        }
        "apply_start" => Message::ApplyStart(step(value)?),
        "apply_progress" => Message::ApplyProgress(step(value)?),
        "apply_complete" => Message::ApplyComplete(step(value)?),
        "apply_errored" => Message::ApplyErrored(step(value)?),
        "refresh_start" | "refresh_complete" => Message::Refresh {
            address: value.pointer("/hook/resource/addr")?.as_str()?.to_owned(),
        },
        "change_summary" => Message::ChangeSummary {
            operation: text(value, "/changes/operation"),
            add: count("/changes/add"),
            change: count("/changes/change"),
            remove: count("/changes/remove"),
        },
        "outputs" => Message::Outputs(
            value
                .get("outputs")?
                .as_object()?
                .iter()
                // A planned output has no value yet.
                .filter_map(|(name, output)| Some((name.clone(), output.get("value")?.clone())))
                .collect(),
        ),
        "diagnostic" => {
            Message::Diagnostic(Diagnostic::deserialize(value.get("diagnostic")?).ok()?)
        }
        "log" => Message::Log {
            message: text(value, "/@message"),
            state: value.get("state").cloned(),
        },
        _ => return None,
    })
}

fn step(value: &Value) -> Option<ResourceChange> {
    let hook = value.get("hook")?;
    Some(ResourceChange {
        address: hook.pointer("/resource/addr")?.as_str()?.to_owned(),
        action: text(hook, "/action"),
        id: hook
            .get("id_value")
            .and_then(Value::as_str)
            .map(str::to_owned),
        elapsed: Duration::from_secs(
            hook.get("elapsed_seconds")
                .and_then(Value::as_u64)
                .unwrap_or(0),
        ),
    })
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// Cuts a growing file into lines. Bytes that are no UTF-8 are replaced; a line beyond `LONGEST`
/// is dropped, so that a flood without line feeds cannot fill our memory.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    skipping: bool,
}

/// An emergency state dump is one line; states of this module are some 50 kB.
const LONGEST: usize = 8 * 1024 * 1024;

impl Lines {
    /// Returns the lines that `bytes` completes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            if !self.skipping {
                self.partial.extend_from_slice(part);
            }
            if self.partial.len() > LONGEST {
                self.partial = Vec::new();
                self.skipping = true;
            }
            if parts.peek().is_some() {
                lines.extend(self.take());
                self.skipping = false;
            }
        }
        lines
    }

    /// Returns the unfinished last line, once the file is complete.
    pub fn take(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.partial);
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        (!line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_becomes_a_message() {
        let step = |action: &str, id: Option<&str>, seconds| ResourceChange {
            address: "aws_ecs_cluster.run".to_owned(),
            action: action.to_owned(),
            id: id.map(str::to_owned),
            elapsed: Duration::from_secs(seconds),
        };
        let check = |line: &str, expected: Message| assert_eq!(parse(line), expected, "{line}");
        check(
            r#"{"type":"version","terraform":"1.11.4","ui":"1.2"}"#,
            Message::Version {
                version: "1.11.4".into(),
            },
        );
        check(
            r#"{"type":"version","tofu":"1.9.0"}"#,
            Message::Version {
                version: "1.9.0".into(),
            },
        );
        check(
            r#"{"type":"apply_start","hook":{"resource":{"addr":"aws_ecs_cluster.run"},"action":"create"}}"#,
            Message::ApplyStart(step("create", None, 0)),
        );
        check(
            r#"{"type":"apply_complete","hook":{"resource":{"addr":"aws_ecs_cluster.run"},"action":"create","id_key":"id","id_value":"arn:x","elapsed_seconds":10}}"#,
            Message::ApplyComplete(step("create", Some("arn:x"), 10)),
        );
        check(
            r#"{"type":"change_summary","changes":{"add":15,"change":0,"import":0,"remove":1,"operation":"apply"}}"#,
            Message::ChangeSummary {
                operation: "apply".into(),
                add: 15,
                change: 0,
                remove: 1,
            },
        );
        check(
            r#"{"type":"outputs","outputs":{"bucket":{"sensitive":false,"type":"string","value":"b"},"later":{"sensitive":false}}}"#,
            Message::Outputs([("bucket".to_owned(), Value::from("b"))].into()),
        );
        check(
            r#"{"type":"diagnostic","diagnostic":{"severity":"error","summary":"s","detail":"d","address":"a.b"}}"#,
            Message::Diagnostic(Diagnostic {
                severity: "error".into(),
                summary: "s".into(),
                detail: "d".into(),
                address: Some("a.b".into()),
            }),
        );
        check(
            r#"{"type":"log","@message":"Emergency state dump","state":{"serial":3}}"#,
            Message::Log {
                message: "Emergency state dump".into(),
                state: Some(serde_json::json!({"serial": 3})),
            },
        );
        check(
            r#"{"type":"news","@message":"hello"}"#,
            Message::Other {
                kind: "news".into(),
                message: "hello".into(),
            },
        );
        check("panic: oh no", Message::Text("panic: oh no".into()));
        check("[1]", Message::Text("[1]".into()));
        check(
            r#"{"type":"apply_start"}"#,
            Message::Other {
                kind: "apply_start".into(),
                message: String::new(),
            },
        );
    }

    #[test]
    fn a_line_may_arrive_in_pieces_and_a_flood_is_dropped() {
        let mut lines = Lines::default();
        assert!(lines.push(b"{\"a\"").is_empty());
        assert_eq!(lines.push(b":1}\n\nnext\nha"), ["{\"a\":1}", "next"]);
        assert_eq!(lines.take().as_deref(), Some("ha"));
        assert!(lines.push(&vec![b'x'; LONGEST + 1]).is_empty());
        assert_eq!(lines.push(b"more\nafter\n"), ["after"]);
    }
}
