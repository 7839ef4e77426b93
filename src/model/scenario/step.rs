//! A step: one request and what is expected of its answer; and the order steps are carried out in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Body, Capture, Check, Condition, Template, Think};

/// One request of a flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The name as written, or `GET /path`.
    pub name: String,
    /// The step's own `group`, or that of the nearest block; `None` outside of groups.
    pub group: Option<String>,
    /// The HTTP method.
    pub method: Method,
    /// Begins with a slash; appended to the target URL's path.
    pub path: Template,
    /// The flow's and the step's own.
    pub headers: Vec<(String, Template)>,
    /// The request's body; `None` sends none.
    pub body: Option<Body>,
    /// Conditions for a correct response; names are unique.
    pub checks: Vec<Check>,
    /// Values for later steps; one that is missing fails the step.
    pub captures: Vec<Capture>,
    /// Instead of the flow's.
    pub think: Option<Think>,
    /// Instead of the target's.
    pub timeout: Option<Duration>,
    /// Redirects to follow at most; `None` is the target's number.
    pub redirects: Option<u32>,
}

impl Step {
    /// Returns the names that are counted: the checks, then the captures, then the faults that any
    /// step can have.
    pub fn check_names(&self) -> Vec<String> {
        let checks = self.checks.iter().map(|check| check.name.clone());
        let captures = self
            .captures
            .iter()
            .map(|capture| format!("capture {}", capture.name));
        let always = [
            "redirects",
            "values",
            "look within 1s",
            "captures within 1MiB",
        ];
        let always = always.map(str::to_owned);
        checks.chain(captures).chain(always).collect()
    }

    /// Returns the data files it draws from.
    pub fn draws(&self) -> Vec<u16> {
        self.templates().flat_map(Template::data).collect()
    }

    /// Returns the captured values of which it takes a member, with the names on the way to it.
    pub(super) fn members(&self) -> impl Iterator<Item = (u16, &[String])> {
        self.templates().flat_map(Template::members)
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        let headers = self.headers.iter().map(|(_, value)| value);
        let body = self.body.iter().map(|body| &body.content);
        let checks = self.checks.iter().filter_map(Check::template);
        std::iter::once(&self.path)
            .chain(headers)
            .chain(body)
            .chain(checks)
    }

    /// True if a check or capture reads the body, so that it must be kept.
    pub fn needs_body(&self) -> bool {
        self.checks.iter().any(Check::needs_body) || self.captures.iter().any(Capture::needs_body)
    }
}

/// Steps in order, perhaps repeated, perhaps only under a condition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    /// The block is skipped if it does not hold; `None` always carries it out.
    pub condition: Option<Condition>,
    /// Number of times that the actions are carried out; usually 1, and 0 for an empty block.
    pub repeat: u32,
    /// Requests and inner blocks, in order.
    pub actions: Vec<Action>,
}

/// One entry of a block.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Index into the flow's steps.
    Request(u16),
    /// A block within the block.
    Block(Block),
}

impl Block {
    /// Returns the data files that its conditions draw from.
    pub fn draws(&self) -> Vec<u16> {
        let mut data: Vec<u16> = self.condition.iter().flat_map(Condition::draws).collect();
        for action in &self.actions {
            if let Action::Block(block) = action {
                data.extend(block.draws());
            }
        }
        data
    }

    /// Returns the most requests that one pass makes, with every condition true.
    pub fn requests(&self) -> u64 {
        let requests_of = |action: &Action| match action {
            Action::Request(_) => 1,
            Action::Block(block) => block.requests(),
        };
        u64::from(self.repeat) * self.actions.iter().map(requests_of).sum::<u64>()
    }
}

/// The HTTP method of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `get: /path`
    Get,
    /// `post: /path`
    Post,
    /// `put: /path`
    Put,
    /// `patch: /path`
    Patch,
    /// `delete: /path`
    Delete,
    /// `head: /path`
    Head,
    /// `options: /path`
    Options,
}

impl Method {
    /// All methods, in the order of their keys on the reference page.
    pub const ALL: [Self; 7] = [
        Self::Get,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
        Self::Head,
        Self::Options,
    ];

    /// True if a request may be sent again without another effect (RFC 9110, 9.2.2).
    pub fn is_idempotent(self) -> bool {
        !matches!(self, Self::Post | Self::Patch)
    }

    /// Returns the word on the wire, such as `GET`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
        }
    }

    /// Returns the method's key in the file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Head => "head",
            Self::Options => "options",
        }
    }
}
