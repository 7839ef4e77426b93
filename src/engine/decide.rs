//! Decides the next action of a generator from its view of the channel. Pure.
//!
//! Fails closed: without a heartbeat of its own epoch nothing starts, and without a new one
//! everything stops.

use std::time::Duration;

use jiff::Timestamp;

use cloud::channel::message::{Control, TaskEnd};
use model::plan::Share;

/// A task that has seen no heartbeat at all ends after this time, counted from its start. A new
/// role, or a store that is slow to show new objects, takes a minute at worst.
pub(crate) const FIRST_HEARTBEAT: Duration = Duration::from_mins(2);
/// A start instant that is already this old when first seen is not joined: the others are ahead.
const LATEST_JOIN: Duration = Duration::from_secs(5);

/// The view that a generator has of the channel at one moment.
#[derive(Debug, Clone)]
pub(crate) struct ChannelView<'a> {
    pub slot: u32,
    pub attempt: u32,
    pub epoch: u64,
    pub control: Option<&'a Control>,
    /// Time since the heartbeat last changed (or since the generator began), by its own monotonic
    /// clock.
    pub silence: Duration,
    pub lease: Duration,
    pub now: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GeneratorAction {
    Wait,
    /// Start at the instant, with this share.
    Begin(Timestamp, Share),
    End(TaskEnd),
}

/// Decides the action before the load.
pub(crate) fn before(seen: &ChannelView) -> GeneratorAction {
    if let Some(end) = must_end(seen) {
        return GeneratorAction::End(end);
    }
    let Some(start) = seen.control.and_then(|control| control.start.as_ref()) else {
        return GeneratorAction::Wait;
    };
    let Some(index) = start.slots.iter().position(|slot| *slot == seen.slot) else {
        return GeneratorAction::End(TaskEnd::NotNeeded);
    };
    if start
        .attempts
        .get(index)
        .is_some_and(|attempt| *attempt != seen.attempt)
    {
        return GeneratorAction::End(TaskEnd::NotNeeded);
    }
    if Duration::try_from(seen.now.duration_since(start.at)).is_ok_and(|late| late > LATEST_JOIN) {
        return GeneratorAction::End(TaskEnd::NotNeeded);
    }
    GeneratorAction::Begin(
        start.at,
        Share {
            index: index as u32,
            of: start.slots.len() as u32,
        },
    )
}

/// Returns why the load must end now; `None` if it may go on.
pub(crate) fn must_end(seen: &ChannelView) -> Option<TaskEnd> {
    if let Some(control) = seen.control {
        if control.epoch != seen.epoch {
            // Another orchestration has taken over: this task is not part of it.
            return Some(TaskEnd::NotNeeded);
        }
        if control.stop.is_some() {
            return Some(TaskEnd::Stopped);
        }
    }
    let patience = if seen.control.is_none() {
        FIRST_HEARTBEAT
    } else {
        seen.lease
    };
    (seen.silence >= patience).then_some(TaskEnd::LeaseLapsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloud::channel::message::{Start, Stop, VERSION};

    const LEASE: Duration = Duration::from_secs(30);

    fn control(start: Option<(i64, &[u32])>, stop: bool) -> Control {
        Control {
            version: VERSION,
            epoch: 1,
            heartbeat: 1,
            start: start.map(|(at, slots)| Start {
                at: Timestamp::from_second(at).unwrap(),
                slots: slots.to_vec(),
                attempts: vec![1; slots.len()],
            }),
            stop: stop.then(|| Stop {
                why: "enough".to_owned(),
            }),
        }
    }

    fn seen(control: Option<&Control>, epoch: u64, silence: u64) -> ChannelView<'_> {
        let now = Timestamp::from_second(100).unwrap();
        ChannelView {
            slot: 3,
            attempt: 1,
            epoch,
            control,
            silence: Duration::from_secs(silence),
            lease: LEASE,
            now,
        }
    }

    #[test]
    fn a_generator_begins_only_when_it_is_told_to_and_in_time() {
        let begin = |at, index, of| {
            GeneratorAction::Begin(Timestamp::from_second(at).unwrap(), Share { index, of })
        };
        for (control, epoch, silence, step) in [
            (None, 1, 0, GeneratorAction::Wait),
            // No heartbeat yet: no load, and after a while no task.
            (None, 1, 119, GeneratorAction::Wait),
            (None, 1, 120, GeneratorAction::End(TaskEnd::LeaseLapsed)),
            (Some(control(None, false)), 1, 5, GeneratorAction::Wait),
            (
                Some(control(None, false)),
                1,
                31,
                GeneratorAction::End(TaskEnd::LeaseLapsed),
            ),
            (
                Some(control(Some((104, &[1, 3])), false)),
                1,
                0,
                begin(104, 1, 2),
            ),
            (
                Some(control(Some((96, &[3])), false)),
                1,
                0,
                begin(96, 0, 1),
            ),
            // Five seconds late is in time; a replacement that comes later never joins.
            (
                Some(control(Some((95, &[3])), false)),
                1,
                0,
                begin(95, 0, 1),
            ),
            (
                Some(control(Some((94, &[3])), false)),
                1,
                0,
                GeneratorAction::End(TaskEnd::NotNeeded),
            ),
            (
                Some(control(Some((104, &[0, 1])), false)),
                1,
                0,
                GeneratorAction::End(TaskEnd::NotNeeded),
            ),
            (
                Some(control(Some((104, &[3])), true)),
                1,
                0,
                GeneratorAction::End(TaskEnd::Stopped),
            ),
            (
                Some(control(Some((104, &[3])), false)),
                2,
                0,
                GeneratorAction::End(TaskEnd::NotNeeded),
            ),
        ] {
            assert_eq!(
                before(&seen(control.as_ref(), epoch, silence)),
                step,
                "{control:?}"
            );
        }
    }

    #[test]
    fn of_two_tasks_for_one_slot_only_the_one_that_was_counted_joins() {
        let control = control(Some((104, &[3])), false);
        let twin = ChannelView {
            attempt: 2,
            ..seen(Some(&control), 1, 0)
        };
        assert_eq!(before(&twin), GeneratorAction::End(TaskEnd::NotNeeded));
    }

    #[test]
    fn load_ends_on_order_on_silence_and_on_a_new_epoch() {
        let (going, stopped) = (
            control(Some((90, &[3])), false),
            control(Some((90, &[3])), true),
        );
        assert_eq!(must_end(&seen(Some(&going), 1, 29)), None);
        assert_eq!(
            must_end(&seen(Some(&going), 1, 30)),
            Some(TaskEnd::LeaseLapsed)
        );
        assert_eq!(
            must_end(&seen(Some(&stopped), 1, 0)),
            Some(TaskEnd::Stopped)
        );
        assert_eq!(
            must_end(&seen(Some(&going), 2, 0)),
            Some(TaskEnd::NotNeeded)
        );
        // A store that loses the control object it once had shows no new heartbeat.
        assert_eq!(
            must_end(&seen(Some(&going), 1, 119)),
            Some(TaskEnd::LeaseLapsed)
        );
    }
}
