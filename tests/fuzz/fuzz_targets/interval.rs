//! Reads any bytes as the report of a task: it is merged, or refused.
#![no_main]

use model::measure::{Interval, Results};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(interval) = serde_json::from_slice::<Interval>(bytes) {
        let mut results = Results::default();
        results.add(0, &interval);
    }
});
