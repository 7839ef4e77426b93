//! Doors for the fuzz targets of `tests/fuzz`: compiled with `--cfg fuzzing` only.

use jiff::Timestamp;

use evidence::timeline::Observed;

/// Reads the data of an entry of an alarm's history.
pub fn history_entry(alarm: &str, at: Timestamp, text: &str) -> Observed {
    super::alarms::entry(alarm, at, text)
}
