//! Changes of the group's size: launches that succeed, come late or fail, and terminations.

use std::time::Duration;

use serde_json::{Value, json};

use super::alarms::Invoked;
use super::clock::{self, LabInstant};
use super::group::LabGroup;
use super::instance::{LabActivity, LabInstance, ZONES};
use super::truth;
use super::worlds::launches::Coming;

impl LabGroup {
    /// Changes the size. The activities of one decision share their cause.
    pub(crate) fn resize(&mut self, wanted: u32, policy: &str, alarm: &Invoked, now: LabInstant) {
        let (name, before, time) = (&alarm.name, self.desired, clock::seconds(now));
        let decision = format!(
            "At {time} a monitor alarm {name} in state ALARM triggered policy {policy} changing the desired capacity \
             from {before} to {wanted}."
        );
        self.decisions
            .push(truth::Decided::new(now, policy, name, before, wanted));
        self.change_size(wanted, &decision, &alarm.details, now);
    }

    /// Brings the size between new bounds, as AWS does when a user changes them.
    pub(crate) fn keep_bounds(&mut self, now: LabInstant) {
        let (before, bounds) = (self.desired, self.bounds());
        let wanted = before.clamp(bounds.min, bounds.max);
        if wanted != before {
            let decision = format!(
                "At {} a user request update of AutoScalingGroup constraints to min: {}, max: {}, desired: {wanted} \
                 changing the desired capacity from {before} to {wanted}.",
                clock::seconds(now),
                bounds.min,
                bounds.max
            );
            self.change_size(wanted, &decision, &Value::Null, now);
        }
    }

    fn change_size(&mut self, wanted: u32, decision: &str, details: &Value, now: LabInstant) {
        let time = clock::seconds(now);
        self.desired = wanted;
        let (actual, coming) = self.launch_up_to(wanted, decision, details, now);
        let surplus = actual.saturating_sub(wanted);
        let cancelled = surplus.min(coming);
        self.launching.cancel(cancelled as usize);
        for _ in cancelled..surplus {
            self.terminate(
                now,
                &(decision.to_owned() + &taken_out(&time, actual, wanted)),
                details,
            );
        }
    }

    /// Launches what is missing. Returns the number of instances before, and those of them that
    /// were still to come: where launches failed, fewer are there than were desired.
    fn launch_up_to(
        &mut self,
        wanted: u32,
        decision: &str,
        details: &Value,
        now: LabInstant,
    ) -> (u32, u32) {
        let standing = self.instances.iter().filter(|known| known.stays()).count() as u32;
        let coming = self.launching.coming().len() as u32;
        let actual = standing + coming;
        for _ in actual..wanted {
            self.ask(now, decision, (actual, wanted), details);
        }
        (actual, coming)
    }

    /// Sets the bounds that the lab file schedules for this time, when they change, and brings the
    /// size between them.
    pub(crate) fn keep_schedule(&mut self, now: LabInstant) {
        let first = self.worlds.first_request;
        let since = first.map(|first| now.saturating_sub(first));
        let Some(bounds) = self.schedule.changed(since) else {
            return;
        };
        let (before, desired) = (self.bounds(), self.desired);
        (self.target.min, self.target.max) = (bounds.min, bounds.max);
        let wanted = desired.clamp(bounds.min, bounds.max);
        if wanted == desired {
            return;
        }
        let bound = match wanted > desired {
            true => format!("min size from {} to {}", before.min, bounds.min),
            false => format!("max size from {} to {}", before.max, bounds.max),
        };
        let decision = format!(
            "At {} the scheduled action lab-schedule executed. Setting {bound}, changing the desired capacity from \
             {desired} to {wanted}.",
            clock::seconds(now)
        );
        self.change_size(wanted, &decision, &json!({}), now);
    }

    /// Tells the schedule which bounds a caller sets.
    pub(crate) fn overrule_schedule(
        &mut self,
        min: Option<u32>,
        max: Option<u32>,
        now: LabInstant,
    ) {
        let first = self.worlds.first_request;
        let since = first.map(|first| now.saturating_sub(first));
        self.schedule.overrule(min, max, since);
    }

    /// Launches an instance, at once or after the lab file's delay.
    fn ask(&mut self, now: LabInstant, decision: &str, (from, to): (u32, u32), details: &Value) {
        self.launch_soon(Coming {
            due: now + self.launching.keys.delay,
            decision: decision.to_owned(),
            from,
            to,
            again: false,
            replaces: false,
            details: details.clone(),
        });
    }

    /// Launches an instance in the place of one that has just been taken out: as unhealthy, or by a
    /// call.
    pub(crate) fn ask_instead(&mut self, now: LabInstant, is_by_call: bool) {
        let standing = self.instances.iter().filter(|known| known.stays()).count() as u32;
        self.launch_soon(Coming {
            due: now + self.launching.keys.delay,
            decision: String::new(),
            from: standing,
            to: standing + 1,
            again: false,
            replaces: !is_by_call,
            details: json!({}),
        });
    }

    fn launch_soon(&mut self, coming: Coming) {
        if self.launching.keys.delay.is_zero() {
            self.begin(coming);
        } else {
            self.launching.push(coming);
        }
    }

    pub(crate) fn begin(&mut self, mut coming: Coming) {
        let now = coming.due;
        if coming.again {
            let standing = self.instances.iter().filter(|known| known.stays());
            (coming.from, coming.to) = (standing.count() as u32, self.desired);
        }
        let Some(message) = self.launching.meet() else {
            return self.launch(now, &coming.cause(), &coming.details);
        };
        self.activities.push(LabActivity::failed(
            message,
            coming.cause(),
            &coming.details,
            self.zone(now),
            now,
        ));
        let retry = self.launching.keys.retry;
        if !retry.is_zero() {
            self.launching.push(Coming {
                due: now + retry,
                decision: String::new(),
                again: true,
                replaces: false,
                ..coming
            });
        }
    }

    /// Returns the zone of the next launch. A zone that is lost gets none.
    fn zone(&self, now: LabInstant) -> &'static str {
        let open: Vec<&str> = ZONES
            .into_iter()
            .filter(|zone| self.is_open(zone, now))
            .collect();
        let standing = self.instances.iter().filter(|known| known.stays()).count();
        let turn = standing.checked_rem(open.len());
        turn.map_or(ZONES[0], |turn| open[turn])
    }

    pub(crate) fn launch(&mut self, now: LabInstant, cause: &str, details: &Value) {
        let zone = self.zone(now);
        self.launched += 1;
        let pooled = self.pooled > 0;
        self.pooled = self.pooled.saturating_sub(1);
        let (boot, verb) = match pooled {
            true => (
                self.target.warm_pool_boot,
                "Launching a new EC2 instance from warm pool",
            ),
            false => (self.target.boot_time, "Launching a new EC2 instance"),
        };
        let instance =
            LabInstance::launch(&self.target, self.launched, self.warm_up(), boot, zone, now);
        // The end of a launch by target tracking includes the warm-up: it is not the moment of
        // InService.
        let stages = vec![
            ("PreInService", instance.in_service),
            ("WaitingForInstanceWarmup", instance.warmed),
        ];
        self.activities.push(LabActivity::new(
            verb,
            &instance,
            cause.to_owned(),
            details,
            stages,
        ));
        self.instances.push(instance);
        self.infect(self.instances.len() - 1, now);
    }

    /// Terminates the oldest instance of the zone that has most. The default termination policy
    /// puts balance first, too.
    fn terminate(&mut self, now: LabInstant, cause: &str, details: &Value) {
        let staying: Vec<usize> = (0..self.instances.len())
            .filter(|&index| self.instances[index].stays())
            .collect();
        let crowd = |zone| {
            staying
                .iter()
                .filter(|&&index| self.instances[index].zone == zone)
                .count()
        };
        let Some(&chosen) = staying.iter().max_by_key(|&&index| {
            let known = &self.instances[index];
            (crowd(known.zone), std::cmp::Reverse(known.launched))
        }) else {
            return;
        };
        let cause = format!(
            "{cause}  At {} instance {} was selected for termination.",
            clock::seconds(now),
            self.instances[chosen].id
        );
        self.take_out(chosen, now, self.drains_for(), cause, details);
    }

    /// Returns the time for which an instance drains.
    pub(crate) fn drains_for(&self) -> Duration {
        match self.cut {
            true => Duration::ZERO,
            false => self.target.deregistration_delay,
        }
    }

    pub(crate) fn take_out(
        &mut self,
        index: usize,
        now: LabInstant,
        drains: Duration,
        cause: String,
        details: &Value,
    ) {
        let gone = now + drains;
        let instance = &mut self.instances[index];
        instance.leaving = Some((now, gone));
        let stages = vec![("WaitingForELBConnectionDraining", gone)];
        self.activities.push(LabActivity::new(
            "Terminating EC2 instance",
            instance,
            cause,
            details,
            stages,
        ));
    }
}

/// Returns the second sentence of a launch's cause, in Auto Scaling's own words.
pub(crate) fn started(time: &str, from: u32, to: u32) -> String {
    format!(
        "  At {time} an instance was started in response to a difference between desired and actual capacity, \
         increasing the capacity from {from} to {to}."
    )
}

/// Returns the second sentence of a termination's cause.
fn taken_out(time: &str, from: u32, to: u32) -> String {
    format!(
        "  At {time} an instance was taken out of service in response to a difference between desired and actual \
         capacity, shrinking the capacity from {from} to {to}."
    )
}
