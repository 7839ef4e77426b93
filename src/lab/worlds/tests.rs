//! The optional parts in a whole group, second by second.

use std::time::Duration;

use super::super::clock::LabInstant;
use super::super::config::Config;
use super::super::group::LabGroup;
use super::super::instance::{LabInstance, TargetState};
use super::super::route::{Fate, Route, Underway};
use super::super::truth::Truth;
use super::balancing::Connection;

const START: LabInstant = Duration::from_hours(490_000);

fn at(seconds: u64) -> LabInstant {
    START + Duration::from_secs(seconds)
}

fn group(text: &str) -> LabGroup {
    LabGroup::new(&Config::parse(text).unwrap(), START)
}

/// An answer: its status, its instance, and the time it took.
type Answer = (u16, String, Duration);

/// Asks `per_second` times in each of these seconds, closes each second, and returns the answers in
/// the order of their ends.
fn load(group: &mut LabGroup, seconds: std::ops::Range<u64>, per_second: u32) -> Vec<Answer> {
    let (mut underway, mut answers): (Vec<Underway>, Vec<Answer>) = (Vec::new(), Vec::new());
    let end = seconds.end;
    for second in seconds {
        for index in 0..per_second {
            let now = at(second) + Duration::from_secs(1) * index / per_second;
            look(group, &mut underway, &mut answers, now);
            ask(group, &mut underway, &mut answers, now);
        }
        look(group, &mut underway, &mut answers, at(second + 1));
        group.advance(at(second + 1));
        group.close_period(at(second), at(second + 1));
    }
    look(group, &mut underway, &mut answers, at(end + 60));
    answers
}

fn ask(
    group: &mut LabGroup,
    underway: &mut Vec<Underway>,
    answers: &mut Vec<Answer>,
    now: LabInstant,
) {
    match group.route(now, "/", None) {
        Route::Serve(one) => underway.push(one),
        Route::Full { instance } => answers.push((503, instance, Duration::ZERO)),
        Route::Limited { instance, refusal } => {
            answers.push((refusal.status, instance, Duration::ZERO));
        }
        Route::Nobody => answers.push((503, String::new(), Duration::ZERO)),
    }
}

/// Looks at each request at its own instant, soonest first.
fn look(
    group: &mut LabGroup,
    underway: &mut Vec<Underway>,
    answers: &mut Vec<Answer>,
    now: LabInstant,
) {
    while let Some(index) = (0..underway.len())
        .filter(|&index| underway[index].next <= now)
        .min_by_key(|&index| underway[index].next)
    {
        let one = &mut underway[index];
        let then = one.next;
        let Some(fate) = group.look(one, then) else {
            continue;
        };
        let one = underway.swap_remove(index);
        let status = match fate {
            Fate::Answered(status) => status.unwrap_or(200),
            Fate::Full => 503,
            Fate::Lost => 502,
            Fate::Unanswered => 504,
        };
        group
            .open
            .answered(status, (then - one.arrived).as_secs_f32());
        answers.push((status, one.instance, then - one.arrived));
    }
}

fn with(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|(got, ..)| *got == status).count()
}

fn truth(group: &LabGroup) -> Truth {
    Truth::of(group, at(10_000))
}

const HUNDRED: &str = "workers: 4, service_time: 40ms";

#[test]
fn a_full_backend_fails_whatever_the_size_and_leaves_the_cpu_low() {
    let text = format!(
        "target: {{ {HUNDRED}, instances: 8, min: 8, backend: {{ slots: 3, time: 20ms, queue: 500ms }} }}"
    );
    let mut group = group(&text);
    let answers = load(&mut group, 0..20, 240);
    let (good, refused) = (with(&answers, 200), with(&answers, 503));
    assert_eq!(good + refused, 4_800);
    // 150/s for 20 s, and what waits half a second.
    assert!((3_000..=3_090).contains(&good), "{good}");
    assert!(
        answers
            .iter()
            .all(|(status, _, took)| *status != 200 || *took >= Duration::from_millis(60))
    );
    let cpu = group.samples.last().unwrap().average_cpu().unwrap();
    // 30/s of 100/s.
    assert!((28.0..=32.0).contains(&cpu), "{cpu}");
    let backend = truth(&group).worlds.backend.unwrap();
    assert_eq!(
        (backend.answered, backend.refused, backend.capacity),
        (good as u64, refused as u64, 150.0)
    );
}

#[test]
fn a_backend_that_holds_workers_makes_their_cpu_high() {
    let text = format!(
        "target: {{ {HUNDRED}, instances: 8, min: 8, backend: {{ slots: 3, time: 20ms, holds_worker: true }} }}"
    );
    let mut group = group(&text);
    let answers = load(&mut group, 0..20, 240);
    let good = with(&answers, 200);
    assert!((2_900..=3_200).contains(&good), "{good}");
    assert_eq!(answers.len(), 4_800);
    let cpu = group.samples.last().unwrap().average_cpu().unwrap();
    assert!(cpu > 95.0, "{cpu}");
}

#[test]
fn a_backend_with_room_only_adds_its_time() {
    for holds in ["false", "true"] {
        let mut group = group(&format!(
            "target: {{ {HUNDRED}, backend: {{ slots: 8, time: 20ms, holds_worker: {holds} }} }}"
        ));
        let answers = load(&mut group, 0..3, 20);
        assert_eq!(answers.len(), 60);
        for (status, _, took) in answers {
            assert_eq!((status, took), (200, Duration::from_millis(60)));
        }
    }
}

#[test]
fn one_sick_instance_fails_while_its_checks_pass() {
    let text = format!(
        "target: {{ {HUNDRED}, instances: 4, min: 4, sick: {{ instance: 2, from: 5s, to: 10s, status: 500 }} }}"
    );
    let mut group = group(&text);
    let answers = load(&mut group, 0..15, 40);
    let sick = group.instances[1].id.clone();
    // A quarter of 200.
    assert_eq!(with(&answers, 500), 50);
    assert!(
        answers
            .iter()
            .all(|(status, instance, _)| *status == 200 || *instance == sick)
    );
    let told = truth(&group).worlds.sick.unwrap();
    assert_eq!((told.instance, told.requests), (Some(sick), 50));
    assert_eq!(
        told.to.unwrap().duration_since(told.from.unwrap()),
        jiff::SignedDuration::from_secs(5)
    );
    assert!(group.samples.iter().all(|sample| sample.healthy == 4));
}

/// Four instances from the start, and more if the sick one is replaced.
fn failing_checks(keys: &str) -> LabGroup {
    group(&format!(
        "target: {{ {HUNDRED}, instances: 4, min: 4, health_check_grace: 0s, sick: {{ status: 500, fails_checks: true, {keys} }} }}"
    ))
}

#[test]
fn a_sick_instance_that_fails_its_checks_is_left_out_and_replaced() {
    let mut group = failing_checks("instance: 2, from: 5s");
    let sick = group.instances[1].id.clone();
    let answers = load(&mut group, 0..15, 40);
    // A quarter of 40/s, until two checks have failed.
    assert_eq!(with(&answers, 500), 20);
    assert_eq!(answers.len(), 600);
    let causes: Vec<&str> = group.activities[4..]
        .iter()
        .map(|one| one.cause.split_once("Z ").unwrap().1)
        .collect();
    assert_eq!(
        causes,
        [
            "an instance was taken out of service in response to an ELB system health check failure.",
            "an instance was launched in response to an unhealthy instance needing to be replaced.",
        ]
    );
    assert!(group.activities[4].description.ends_with(&sick));
    assert_eq!(group.activities[4].start, at(7));
    let healthy: Vec<u32> = group.samples.iter().map(|one| one.healthy).collect();
    assert_eq!(healthy[5..11], [4, 3, 3, 3, 4, 4]);
    assert_eq!((group.desired, group.decisions.len()), (4, 0));
}

#[test]
fn an_illness_that_ends_before_two_checks_have_failed_has_no_consequence() {
    let mut group = failing_checks("instance: 2, from: 5s, to: 6s");
    let answers = load(&mut group, 0..10, 40);
    assert_eq!(with(&answers, 500), 10);
    assert_eq!(group.activities.len(), 4);
    assert!(group.samples.iter().all(|one| one.healthy == 4));
}

#[test]
fn a_new_instance_that_is_sick_never_serves_and_the_next_one_does() {
    let mut group = failing_checks("instance: 5");
    load(&mut group, 0..3, 40);
    group.launch(at(3), "", &serde_json::json!({}));
    let answers = load(&mut group, 3..15, 40);
    assert_eq!(with(&answers, 500), 0);
    let healthy: Vec<u32> = group.samples.iter().map(|one| one.healthy).collect();
    // The fifth is in service at 5, and unhealthy two checks later; the sixth is healthy at 10.
    assert_eq!(healthy[3..11], [4, 4, 4, 4, 4, 4, 5, 5]);
    let numbers: Vec<u32> = group.instances.iter().map(|one| one.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 6]);
}

#[test]
fn a_slow_instance_answers_late_and_well() {
    let text = format!("target: {{ {HUNDRED}, sick: {{ instance: 1, slow: 300ms }} }}");
    let answers = load(&mut group(&text), 0..2, 20);
    let late = |took: &Duration| *took == Duration::from_millis(340);
    assert_eq!(with(&answers, 200), 40);
    assert_eq!(answers.iter().filter(|(.., took)| late(took)).count(), 20);
}

#[test]
fn only_new_instances_are_cold_and_only_at_first() {
    let text = format!(
        "target: {{ {HUNDRED}, cold: {{ for: 8s, adds: 900ms }} }}\npolicy: {{ target_value: 35 }}"
    );
    let mut group = group(&text);
    let answers = load(&mut group, 0..40, 150);
    let first: Vec<String> = group
        .instances
        .iter()
        .filter(|known| known.launched == START)
        .map(|known| known.id.clone())
        .collect();
    let late: Vec<&Answer> = answers
        .iter()
        .filter(|(_, _, took)| *took >= Duration::from_millis(900))
        .collect();
    assert!(!late.is_empty());
    assert_eq!(late.len() as u64, truth(&group).worlds.cold_answers);
    assert!(
        late.iter()
            .all(|(_, instance, _)| !first.contains(instance))
    );
    assert_eq!(with(&answers, 200), answers.len());
    let last = answers.len() - 500;
    assert!(
        answers[last..]
            .iter()
            .all(|(_, _, took)| *took < Duration::from_millis(900))
    );
}

#[test]
fn launches_fail_in_the_words_of_aws_and_the_desired_capacity_stays() {
    let text =
        format!("target: {{ {HUNDRED}, max: 10 }}\ngroup: {{ launches: {{ fail_after: 2 }} }}");
    let mut group = group(&text);
    load(&mut group, 0..20, 500);
    // Four at full load ask for eight.
    assert_eq!((group.desired, group.instances.len()), (8, 4));
    let failed: Vec<_> = group
        .activities
        .iter()
        .filter(|one| one.status(at(20)).0 == "Failed")
        .collect();
    assert_eq!(failed.len(), 4);
    assert_eq!(
        failed[0].description,
        "Launching a new EC2 instance.  Status Reason: We currently do not have sufficient t3.micro capacity in \
         the Availability Zone you requested (eu-west-1a). Launching EC2 instance failed."
    );
    assert!(failed[0].cause.contains("triggered policy lab-web-cpu"));
    assert_eq!(truth(&group).worlds.failed_launches.len(), failed.len());
    load(&mut group, 20..80, 20);
    assert_eq!((group.desired, group.instances.len()), (2, 2));
}

#[test]
fn a_launch_that_failed_is_tried_again_without_a_decision() {
    let text = format!(
        "target: {{ {HUNDRED}, max: 4 }}\ngroup: {{ launches: {{ fail_after: 0, failures: 3, retry: 5s }} }}"
    );
    let mut group = group(&text);
    load(&mut group, 0..20, 500);
    assert_eq!((group.desired, group.instances.len()), (4, 4));
    let launched = group.activities.last().unwrap();
    assert!(
        launched
            .description
            .starts_with("Launching a new EC2 instance: i-")
    );
    assert!(
        launched
            .cause
            .contains("Z an instance was started in response to a difference")
            && !launched.cause.contains("alarm"),
        "{}",
        launched.cause
    );
}

#[test]
fn late_launches_come_after_their_delay() {
    let text = format!(
        "target: {{ {HUNDRED}, max: 4 }}\ngroup: {{ launches: {{ delay: 30s }} }}\npolicy: {{ low_datapoints: 5 }}"
    );
    let mut late = group(&text);
    load(&mut late, 0..10, 500);
    assert_eq!((late.desired, late.instances.len()), (4, 2));
    load(&mut late, 10..40, 500);
    assert_eq!(late.instances.len(), 4);
    let launched = late.instances[2].launched;
    assert_eq!(launched, at(33));
    let activity = late
        .activities
        .iter()
        .find(|one| one.start == launched)
        .unwrap();
    assert!(
        activity.cause.contains("triggered policy"),
        "{}",
        activity.cause
    );
}

#[test]
fn a_try_that_is_no_longer_needed_is_not_made() {
    let text = format!(
        "target: {{ {HUNDRED}, max: 4 }}\ngroup: {{ launches: {{ fail_after: 0, failures: 2, retry: 30s }} }}"
    );
    let mut group = group(&text);
    load(&mut group, 0..5, 500);
    assert_eq!((group.desired, group.instances.len()), (4, 2));
    load(&mut group, 5..60, 10);
    assert_eq!((group.desired, group.instances.len()), (2, 2));
    let failed = truth(&group).worlds.failed_launches.len();
    // Two launches at the start, and two that failed.
    assert_eq!((failed, group.activities.len()), (2, 4));
}

#[test]
fn other_users_are_counted_and_take_capacity() {
    let mut group = group(&format!(
        "target: {{ {HUNDRED} }}\ntraffic: [{{ rate: 150/s }}]"
    ));
    let answers = load(&mut group, 0..3, 30);
    assert_eq!(answers.len(), 90);
    let sample = &group.samples[1];
    let counted = sample.values("RequestCount")[0];
    assert!((178.0..=182.0).contains(&counted), "{counted}");
    let cpu = sample.average_cpu().unwrap();
    assert!((88.0..=92.0).contains(&cpu), "{cpu}");
    let told = truth(&group).worlds;
    assert_eq!(told.requests, 90);
    assert!(told.others >= 450, "{}", told.others);
}

#[test]
fn other_users_also_meet_a_backend_that_holds_workers() {
    let mut group = group(&format!(
        "target: {{ {HUNDRED}, backend: {{ slots: 1, time: 20ms, queue: 100ms, holds_worker: true }} }}\n\
         traffic: [{{ rate: 100/s }}]"
    ));
    load(&mut group, 0..10, 10);
    let told = truth(&group).worlds;
    let backend = told.backend.unwrap();
    assert!((450..=570).contains(&backend.answered), "{backend:?}");
    let counted: f64 = group
        .samples
        .iter()
        .flat_map(|sample| sample.values("RequestCount"))
        .sum();
    // The last second's requests are still in progress.
    assert!((950.0..=1_100.0).contains(&counted), "{counted}");
}

#[test]
fn the_rate_limit_is_the_same_for_any_size() {
    for instances in [2, 8] {
        let mut group = group(&format!(
            "target: {{ {HUNDRED}, instances: {instances}, rate_limit: {{ rate: 100/s }} }}\nfaults: {{ policy_never_fires: true }}"
        ));
        let answers = load(&mut group, 0..10, 180);
        let refused = with(&answers, 429);
        // A second's worth passes at once.
        assert!((699..=701).contains(&refused), "{refused}");
        assert_eq!(with(&answers, 200), 1_800 - refused);
        assert_eq!(truth(&group).worlds.rate_limited, refused as u64);
    }
}

#[test]
fn cpu_may_show_a_part_of_the_work_only() {
    let mut group = group(&format!("target: {{ {HUNDRED}, cpu_share: 20% }}"));
    load(&mut group, 0..20, 200);
    assert_eq!(group.desired, 2);
    let cpu = group.samples[5].average_cpu().unwrap();
    assert!((19.0..=20.001).contains(&cpu), "{cpu}");
    assert!((truth(&group).cpu_per_request - 0.2).abs() < 1e-9);
}

#[test]
fn dear_requests_take_their_time_and_lower_the_capacity() {
    let mut group = group(&format!(
        "target: {{ {HUNDRED}, instances: 8, unequal: {{ share: 10%, times: 8 }} }}"
    ));
    let answers = load(&mut group, 0..10, 100);
    let dear = answers
        .iter()
        .filter(|(_, _, took)| *took >= Duration::from_millis(320))
        .count();
    assert!((98..=102).contains(&dear), "{dear}");
    let told = truth(&group);
    assert_eq!(told.worlds.dear, dear as u64);
    assert!((told.capacity - 100.0 / 1.7).abs() < 0.001);
}

#[test]
fn large_answers_wait_for_the_link_and_leave_the_cpu_low() {
    // 25 % of 64 KB are 16 KB on average: 75/s of 1.2 MB/s, where the workers carry 100/s.
    let keys = "rate: 1200KB/s, large: [{ share: 25%, size: 64KB }]";
    for (shared, most) in [(false, 150), (true, 75)] {
        let mut group = group(&format!(
            "{{ target: {{ {HUNDRED}, transfer: {{ {keys}, shared: {shared} }} }}, faults: {{ policy_never_fires: true }} }}"
        ));
        let answers = load(&mut group, 0..10, 180);
        assert_eq!(with(&answers, 200), 1_800, "nothing is refused");
        // The first that comes after the load waits for all that the link has not taken.
        let longest = answers.iter().map(|(.., took)| *took).max().unwrap();
        let expected = f64::from(1_800 - 10 * most) / f64::from(most);
        assert!(
            (longest.as_secs_f64() - expected).abs() < 0.4,
            "shared: {shared}, {longest:?}, {expected}"
        );
        let cpu = group.samples[5].average_cpu().unwrap();
        assert!((88.0..=92.0).contains(&cpu), "{cpu}");
        let told = truth(&group);
        let capacity = if shared { 100.0 } else { 75.0 };
        assert!((told.capacity - capacity).abs() < 0.5, "{}", told.capacity);
        assert!((448..=452).contains(&told.worlds.large_answers));
    }
}

#[test]
fn an_answer_that_fails_is_not_large() {
    let mut group = group(
        "target: { transfer: { rate: 1KB/s, large: [{ size: 64KB }] }, failing: [{ path: / }] }",
    );
    let answers = load(&mut group, 0..2, 10);
    assert_eq!(with(&answers, 500), 20);
    let slow = answers
        .iter()
        .filter(|(.., took)| *took > Duration::from_millis(20));
    assert_eq!(slow.count(), 0);
}

#[test]
fn a_request_that_is_given_up_is_counted_and_its_instance_works_on() {
    let mut group = group(&format!("target: {{ {HUNDRED} }}"));
    for index in 0..150 {
        let now = at(0) + Duration::from_secs(1) * index / 150;
        let Route::Serve(_) = group.route(now, "/", None) else {
            panic!("nothing is full");
        };
        group.given_up();
    }
    group.advance(at(1));
    group.close_period(at(0), at(1));
    let sample = &group.samples[0];
    assert_eq!(sample.values("RequestCount"), [150.0]);
    assert!(sample.values("TargetResponseTime").is_empty());
    let cpu = sample.average_cpu().unwrap();
    assert!((70.0..=75.001).contains(&cpu), "{cpu}");
    assert_eq!(truth(&group).worlds.given_up, 150);
}

#[test]
fn the_least_busy_instance_gets_the_next_request() {
    let share = |balancing: &str| {
        let mut group = group(&format!(
            "target: {{ {HUNDRED}, balancing: {balancing}, sick: {{ instance: 1, slow: 400ms }} }}"
        ));
        let answers = load(&mut group, 0..10, 50);
        let slow: &LabInstance = &group.instances[0];
        let slow = slow.id.clone();
        answers
            .iter()
            .filter(|(_, instance, _)| *instance == slow)
            .count()
    };
    assert_eq!(share("round-robin"), 250);
    let least = share("least-outstanding");
    assert!((20..=80).contains(&least), "{least}");
}

#[test]
fn a_scheduled_maximum_takes_instances_away_and_a_caller_may_set_others_meanwhile() {
    let mut group = group(&format!(
        "{{ target: {{ {HUNDRED}, instances: 5 }}, group: {{ scheduled: [{{ from: 4s, to: 9s, max: 3 }}] }}, \
         faults: {{ policy_never_fires: true }} }}"
    ));
    load(&mut group, 0..3, 40);
    assert_eq!((group.desired, group.target.max), (5, 8));
    load(&mut group, 3..6, 40);
    assert_eq!((group.desired, group.target.max), (3, 3));
    let end = group.activities.last().unwrap();
    let cause = "the scheduled action lab-schedule executed. Setting max size from 8 to 3";
    assert!(end.cause.contains(cause), "{}", end.cause);
    group.target.max = 4;
    load(&mut group, 6..8, 40);
    assert_eq!((group.desired, group.target.max), (3, 4));
    load(&mut group, 8..12, 40);
    assert_eq!((group.desired, group.target.max), (3, 8));
}

#[test]
fn a_scheduled_minimum_launches_instances_and_is_taken_back() {
    let mut group = group(&format!(
        "{{ target: {{ {HUNDRED} }}, group: {{ scheduled: [{{ from: 4s, to: 9s, min: 5 }}] }} }}"
    ));
    load(&mut group, 0..3, 40);
    assert_eq!((group.desired, group.target.min), (2, 2));
    load(&mut group, 3..6, 40);
    assert_eq!((group.desired, group.target.min), (5, 5));
    let launch = group.activities.last().unwrap();
    let cause = "the scheduled action lab-schedule executed. Setting min size from 2 to 5";
    assert!(launch.cause.contains(cause), "{}", launch.cause);
    load(&mut group, 6..40, 40);
    assert_eq!((group.desired, group.target.min), (2, 2));
    assert!(truth(&group).decisions.iter().all(|one| one.to < one.from));
}

/// Interrupts the oldest of four instances 5 s after the first request, and returns the group and the
/// number of answers 502. A request takes 0.8 s, and each instance gets one every 0.1 s.
fn interrupted(notice: &str) -> (LabGroup, usize) {
    let mut group = group(&format!(
        "target: {{ workers: 80, service_time: 800ms, instances: 4, min: 4 }}\n\
         group: {{ interruptions: [{{ at: 5s, notice: {notice} }}] }}"
    ));
    let answers = load(&mut group, 0..15, 40);
    (group, with(&answers, 502))
}

#[test]
fn an_interrupted_instance_loses_what_it_works_on_and_is_replaced() {
    let (group, lost) = interrupted("0s");
    // Those of the last 0.8 s.
    assert_eq!((lost, group.desired, group.instances.len()), (8, 4, 4));
    let told = truth(&group);
    let [taken] = told.worlds.interruptions.as_slice() else {
        panic!("{:?}", told.worlds.interruptions)
    };
    assert_eq!((taken.lost, taken.gone), (8, Some(taken.at)));
    assert_eq!(taken.instance, told.instances[0].id);
    let [.., end, launch] = group.activities.as_slice() else {
        panic!("{:?}", group.activities)
    };
    assert_eq!((end.start, launch.start), (at(5), at(5)));
    assert!(
        end.cause.ends_with(
            "Z an instance was taken out of service in response to an EC2 health check indicating it has been \
             terminated or stopped."
        ),
        "{}",
        end.cause
    );
    assert!(
        launch.cause.ends_with(
            "Z an instance was launched in response to an unhealthy instance needing to be replaced."
        ),
        "{}",
        launch.cause
    );
}

#[test]
fn an_interrupted_instance_drains_while_its_notice_lasts() {
    let (group, lost) = interrupted("3s");
    assert_eq!((lost, group.instances.len()), (0, 4));
    let [.., end, launch] = group.activities.as_slice() else {
        panic!("{:?}", group.activities)
    };
    assert!(end.cause.ends_with("in response to a user request."));
    assert!(
        launch
            .cause
            .ends_with("increasing the capacity from 3 to 4.")
    );
    // Five of eight need more than 0.3 s.
    assert_eq!(interrupted("300ms").1, 5);
}

#[test]
fn a_look_before_the_load_interrupts_nobody() {
    let mut group = group("group: { interruptions: [{ at: 2s }] }");
    load(&mut group, 0..1, 1);
    load(&mut group, 5..9, 10);
    let taken = truth(&group).worlds.interruptions;
    let at = taken[0]
        .at
        .duration_since(truth(&group).worlds.first_request.unwrap());
    assert_eq!((taken.len(), at.as_secs()), (1, 2));
}

/// Loses a zone with two of six instances 5 s after the first request.
fn lost_zone(to: &str) -> (LabGroup, Vec<Answer>) {
    let mut group = group(&format!(
        "target: {{ {HUNDRED}, instances: 6, min: 6, health_check_grace: 0s }}\n\
         group: {{ zone_loss: {{ zone: eu-west-1b, at: 5s{to} }} }}"
    ));
    let answers = load(&mut group, 0..20, 60);
    (group, answers)
}

#[test]
fn a_lost_zone_answers_nothing_until_its_checks_fail_and_is_replaced_elsewhere() {
    let (group, answers) = lost_zone("");
    // A third of 120 in the two seconds until the checks have failed.
    let unanswered = with(&answers, 504);
    assert!((40..=44).contains(&unanswered), "{unanswered}");
    assert_eq!(with(&answers, 200), 1_200 - unanswered);
    let told = truth(&group).worlds.zone_loss.unwrap();
    assert_eq!(
        (told.unanswered, told.instances.len()),
        (unanswered as u64, 2)
    );
    let standing: Vec<&LabInstance> = group.instances.iter().filter(|one| one.stays()).collect();
    assert_eq!(standing.len(), 6);
    assert!(standing.iter().all(|known| known.zone != "eu-west-1b"));
    let ends: Vec<_> = group
        .activities
        .iter()
        .filter(|one| one.cause.contains("ELB system health check failure"))
        .map(|one| one.start)
        .collect();
    assert_eq!(ends, [at(7), at(7)]);
}

#[test]
fn a_zone_that_comes_back_in_time_is_not_replaced() {
    let (group, answers) = lost_zone(", to: 6500ms");
    let unanswered = with(&answers, 504);
    // A third of 90.
    assert!((30..=34).contains(&unanswered), "{unanswered}");
    assert_eq!((group.activities.len(), group.instances.len()), (6, 6));
    let serves = |known: &LabInstance| known.target_state(at(20)) == Some(TargetState::Healthy);
    assert!(group.instances.iter().all(serves));
    let told = truth(&group).worlds.zone_loss.unwrap();
    let span = told.to.unwrap().duration_since(told.from.unwrap());
    assert_eq!(span.as_millis(), 1_500);
}

#[test]
fn a_weaker_type_takes_longer_and_is_busier() {
    let mut group = group(&format!(
        "target: {{ {HUNDRED}, types: [{{ kind: c5.large }}, {{ kind: t3.micro, capacity: 50% }}] }}"
    ));
    let answers = load(&mut group, 0..10, 60);
    let took = |millis| {
        let took = Duration::from_millis(millis);
        answers.iter().filter(|(.., own)| *own == took).count()
    };
    assert_eq!((took(40), took(80)), (300, 300));
    let cpu = &group.samples[5].cpu;
    assert!(
        (cpu[0] - 30.0).abs() < 1.0 && (cpu[1] - 60.0).abs() < 2.0,
        "{cpu:?}"
    );
    let told = truth(&group);
    assert!((told.capacity - 75.0).abs() < 1e-9 && (told.cpu_per_request - 1.5).abs() < 1e-9);
    let [strong, weak] = told.worlds.types.as_slice() else {
        panic!("{:?}", told.worlds.types)
    };
    assert_eq!((strong.kind.as_str(), strong.instances), ("c5.large", 1));
    assert_eq!((weak.kind.as_str(), weak.instances), ("t3.micro", 1));
    assert!((weak.capacity - 50.0).abs() < 1e-9);
}

#[test]
fn without_its_parts_the_lab_does_nothing_else() {
    let mut group = group("");
    load(&mut group, 0..5, 100);
    let told = truth(&group).worlds;
    assert_eq!((told.requests, told.others, told.cold_answers), (500, 0, 0));
    assert_eq!((told.backend, told.sick), (None, None));
    assert_eq!(
        (
            told.rate_limited,
            told.dear,
            told.failing_paths,
            told.large_answers
        ),
        (0, 0, 0, 0)
    );
    assert!(told.failed_launches.is_empty() && told.given_up == 0);
    assert!(told.interruptions.is_empty() && told.types.is_empty() && told.zone_loss.is_none());
}

#[test]
fn the_load_begins_after_the_request_that_asked_whether_the_target_answers() {
    let mut group = group("");
    load(&mut group, 0..1, 1);
    assert_eq!(group.worlds.first_request, Some(at(0)));
    load(&mut group, 5..7, 10);
    // A pause within the load does not begin another.
    load(&mut group, 20..21, 10);
    assert_eq!(group.worlds.first_request, Some(at(5)));
}

#[test]
fn a_pinned_connection_stays_with_its_instance_and_new_ones_come_in_turn() {
    let mut group = group("target: { balancing: pinned }");
    let go = |group: &mut LabGroup, connection, second| match group.route(
        at(second),
        "/",
        Some(Connection(connection)),
    ) {
        Route::Serve(underway) => underway.instance,
        other => panic!("{other:?}"),
    };
    let (first, second) = (go(&mut group, 1, 0), go(&mut group, 2, 0));
    assert_ne!(first, second);
    assert!((1..9).all(|second| go(&mut group, 1, second) == first));
    // Its instance leaves: another takes its connections.
    let leaving = group.instances.iter_mut().find(|known| known.id == first);
    leaving.unwrap().leaving = Some((at(9), at(12)));
    assert_eq!(go(&mut group, 1, 10), second);
}
