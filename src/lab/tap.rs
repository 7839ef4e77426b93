//! An observer of the AWS calls that reach the lab, except those of tasks. It is told of each
//! before and after it is carried out, and may refuse it.
//!
//! Tests use it to find out what becomes of a run whose n-th call is its last action.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::call::{ApiCall, ApiError};
use super::keys::Principal;

/// The moment at which a tap is told of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The call has not been carried out. A refusal is its whole answer.
    Before,
    /// The call has been carried out, and the answer has not been sent yet.
    After,
}

/// One call of the run's owner: orchestrator, terraform or reaper. Calls of tasks are left out.
#[derive(Debug, Clone, Copy)]
pub struct Tapped<'a> {
    /// From 1.
    pub number: usize,
    /// The signing name, such as `ecs`.
    pub service: &'a str,
    /// The name of the API action, such as `RunTask`.
    pub action: &'a str,
    /// The path with the query, as sent.
    pub path: &'a str,
    /// The body as sent: JSON, CBOR, a query or XML, as the service has it.
    pub body: &'a [u8],
    /// Before or after the call is carried out.
    pub when: When,
}

/// An error in AWS's words, in place of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The error code, such as `ThrottlingException`.
    pub code: String,
    /// The text for people.
    pub message: String,
}

type Hear = dyn Fn(Tapped<'_>) -> Option<Refused> + Send + Sync;

/// The function that is told of calls; the default has none.
#[derive(Clone, Default)]
pub struct Tap(Option<Arc<Hear>>);

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tap({})", self.0.is_some())
    }
}

impl Tap {
    /// Returns a tap whose function is called twice for each call; an error that it returns
    /// replaces the answer.
    pub fn new(hear: impl Fn(Tapped<'_>) -> Option<Refused> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hear)))
    }
}

/// The lab's side of a tap.
#[derive(Debug, Default)]
pub(super) struct Line {
    tap: Tap,
    calls: AtomicUsize,
}

impl Line {
    pub(crate) fn new(tap: Tap) -> Self {
        Self {
            tap,
            calls: AtomicUsize::new(0),
        }
    }

    /// Returns the call's number; `None` for calls that the tap does not observe.
    pub(crate) fn number(&self, call: &ApiCall) -> Option<usize> {
        let of_the_owner = call.caller == Some(Principal::Operator);
        (self.tap.0.is_some() && of_the_owner)
            .then(|| self.calls.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(crate) fn hear(
        &self,
        number: Option<usize>,
        call: &ApiCall,
        when: When,
    ) -> Option<ApiError> {
        let (hear, number) = (self.tap.0.as_ref()?, number?);
        let refused = hear(Tapped {
            number,
            service: &call.service,
            action: &call.action,
            path: call.uri.path_and_query().map_or("", |path| path.as_str()),
            body: &call.body,
            when,
        })?;
        Some(ApiError::new(&refused.code, refused.message))
    }
}
