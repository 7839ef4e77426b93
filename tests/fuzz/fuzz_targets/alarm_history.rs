//! Any text as an entry of an alarm's history: it is read, or kept with its words.
#![no_main]

use evidence::timeline::{AlarmChange, Observed};
use jiff::Timestamp;
use serde_json::json;
use watch::fuzzing::history_entry;

libfuzzer_sys::fuzz_target!(|text: &str| {
    match history_entry("high", Timestamp::UNIX_EPOCH, text) {
        Observed::UnreadChange(kept) => assert_eq!(kept.text, text),
        Observed::AlarmChange(change) => {
            assert!(change.datapoints.is_sorted_by_key(|point| point.at));
            let written = history_data(&change);
            let again = history_entry("high", Timestamp::UNIX_EPOCH, &written);
            let Observed::AlarmChange(again) = again else {
                panic!("not read again: {written}");
            };
            assert_eq!((&again.from, &again.to), (&change.from, &change.to));
            assert_eq!(again.datapoints.len(), change.datapoints.len());
            for (again, point) in again.datapoints.iter().zip(&change.datapoints) {
                // serde_json reads a number to one unit of its last digit.
                let near = (again.value - point.value).abs() <= point.value.abs() * 1e-12;
                assert!(again.at == point.at && near, "{again:?} {point:?}");
            }
        }
        other => panic!("no change of an alarm: {other:?}"),
    }
});

fn history_data(change: &AlarmChange) -> String {
    let points = change.datapoints.iter();
    let points = points.map(|point| json!({ "timestamp": point.at, "value": point.value }));
    json!({
        "oldState": { "stateValue": change.from.as_str() },
        "newState": {
            "stateValue": change.to.as_str(),
            "stateReasonData": { "evaluatedDatapoints": points.collect::<Vec<_>>() },
        },
    })
    .to_string()
}
