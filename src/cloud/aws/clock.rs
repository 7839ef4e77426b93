//! AWS's own clock, as each answer's `Date` header tells it.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};

/// Shared by the clients whose answers it reads.
#[derive(Debug, Clone, Default)]
pub struct ApiClock(Arc<Mutex<Option<Timestamp>>>);

impl ApiClock {
    /// Returns the `Date` of the last answer: whole seconds.
    pub fn last(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for ApiClock {
    fn name(&self) -> &'static str {
        "ApiClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let Some(date) = date.and_then(|date| rfc2822::parse(date).ok()) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(date.timestamp());
        }
        Ok(())
    }
}

/// Returns how far our clock is ahead of theirs for sure, by one call; negative if behind. Their
/// date, a whole second, was written between our sending and the answer.
pub fn ahead(sent: Timestamp, date: Timestamp, answered: Timestamp) -> SignedDuration {
    let (most, least) = (
        answered.duration_since(date),
        sent.duration_since(date) - SignedDuration::from_secs(1),
    );
    match (least.is_positive(), most.is_negative()) {
        (true, _) => least,
        (_, true) => most,
        (false, false) => SignedDuration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_wrong_only_by_what_neither_the_way_nor_the_cut_to_a_second_explains() {
        let at = |millis: i64| Timestamp::from_millisecond(1_764_000_000_000 + millis).unwrap();
        for (sent, date, answered, millis) in [
            (100, 0, 300, 0),
            (900, 0, 1_900, 0),
            (0, 2_000, 5_000, 0),
            (0, 12_000, 200, -11_800),
            (12_300, 0, 12_500, 11_300),
        ] {
            let ahead = ahead(at(sent), at(date), at(answered));
            assert_eq!(
                ahead,
                SignedDuration::from_millis(millis),
                "{sent} {date} {answered}"
            );
        }
    }
}
