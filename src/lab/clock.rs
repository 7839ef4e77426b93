//! The lab's one clock: wall time that cannot jump, because it is the start's wall time plus
//! monotonic time.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::time::Instant;

/// An instant of the lab: time since 1970.
pub(crate) type LabInstant = Duration;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall: LabInstant,
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            wall,
            start: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> LabInstant {
        self.wall + self.start.elapsed()
    }

    pub(crate) async fn sleep_until(&self, moment: LabInstant) {
        tokio::time::sleep_until(self.start + moment.saturating_sub(self.wall)).await;
    }
}

fn timestamp(moment: LabInstant) -> Timestamp {
    Timestamp::from_millisecond(moment.as_millis() as i64).unwrap_or_default()
}

/// Formats `2026-11-24T01:46:02.123Z`, as the XML answers write it.
pub(crate) fn millis(moment: LabInstant) -> String {
    timestamp(moment)
        .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        .to_string()
}

/// Formats `2026-11-24T01:46:02Z`, as the texts of activities write it.
pub(crate) fn seconds(moment: LabInstant) -> String {
    timestamp(moment).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Formats `2026-11-24T01:46:02.123+0000`, as alarm history writes it.
pub(crate) fn offset(moment: LabInstant) -> String {
    timestamp(moment)
        .strftime("%Y-%m-%dT%H:%M:%S%.3f+0000")
        .to_string()
}

/// Formats `24/11/26 01:46:02`, as alarm reasons write it.
pub(crate) fn short(moment: LabInstant) -> String {
    timestamp(moment).strftime("%d/%m/%y %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_each_service_writes_them() {
        let moment = Duration::from_millis(1_764_000_000_250);
        assert_eq!(millis(moment), "2025-11-24T16:00:00.250Z");
        assert_eq!(seconds(moment), "2025-11-24T16:00:00Z");
        assert_eq!(offset(moment), "2025-11-24T16:00:00.250+0000");
        assert_eq!(short(moment), "24/11/25 16:00:00");
    }
}
