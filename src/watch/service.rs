//! An ECS service that Application Auto Scaling scales, in the words of a group: its tasks are the
//! instances.
//!
//! Unlike instances, tasks carry the exact times at which they were asked for, ran and were
//! stopped.

use std::time::Duration;

use aws_sdk_applicationautoscaling::types as scaling;
use aws_sdk_ecs::types::{DesiredStatus, Service, Task};
use jiff::Timestamp;

use super::{Clients, Since, WatchError, call, count, pages, seconds, timestamp};
use evidence::timeline::{
    Activity, GroupState, Instance, MathQuery, NotScaled, OwnMetric, Policy, ReasonCapacities,
    ScheduledAction, StepAdjustment, Surroundings, TrackedMetric,
};
use evidence::vocabulary::{ActivityStatus, Lifecycle};
use model::scenario::Subject;

/// The most tasks of one DescribeTasks.
const TASKS: usize = 100;
/// Default cooldown of a service's policy without one of its own, for scale-out and scale-in:
/// Application Auto Scaling's default for ECS.
const COOLDOWN: Duration = Duration::from_mins(5);

/// Returns cluster and service.
fn names(clients: &Clients) -> (&str, &str) {
    match &clients.subject {
        Subject::Service { cluster, service } => (cluster, service),
        Subject::Group(_) => ("", ""),
    }
}

fn resource(clients: &Clients) -> String {
    let (cluster, service) = names(clients);
    format!("service/{cluster}/{service}")
}

pub(crate) async fn group(clients: &Clients) -> Result<GroupState, WatchError> {
    let service = service(clients).await?;
    let target = scalable_target(clients).await?;
    let mut suspended = Vec::new();
    if let Some(state) = target.suspended_state() {
        // Uses the same words as a group's processes.
        for (is, word) in [
            (state.dynamic_scaling_out_suspended(), "Launch"),
            (state.dynamic_scaling_in_suspended(), "Terminate"),
            (state.scheduled_scaling_suspended(), "ScheduledActions"),
        ] {
            if is == Some(true) {
                suspended.push(word.to_owned());
            }
        }
    }
    let instances = tasks(clients).await?.iter().map(instance).collect();
    let definition = service.task_definition().map(|arn| last(arn).to_owned());
    let balancers = service.load_balancers().iter();
    Ok(GroupState {
        name: clients.subject.to_string(),
        min: count(Some(target.min_capacity())),
        max: count(Some(target.max_capacity())),
        desired: count(Some(service.desired_count())),
        instances,
        target_groups: balancers
            .filter_map(|one| one.target_group_arn().map(str::to_owned))
            .collect(),
        suspended,
        template: definition,
        health_check_grace: seconds(service.health_check_grace_period_seconds().unwrap_or(0)),
        health_check: "ELB".to_owned(),
        // A task counts in the service's metrics as soon as it runs.
        default_warm_up: Some(Duration::ZERO),
        is_service: true,
        ..GroupState::default()
    })
}

async fn service(clients: &Clients) -> Result<Service, WatchError> {
    let (cluster, service) = names(clients);
    let answer = clients
        .ecs
        .describe_services()
        .cluster(cluster)
        .services(service)
        .send()
        .await
        .map_err(|error| {
            let no_cluster = error
                .as_service_error()
                .is_some_and(aws_sdk_ecs::operation::describe_services::DescribeServicesError::is_cluster_not_found_exception);
            match no_cluster {
                true => WatchError::NoService(clients.subject.to_string()),
                false => call("ecs:DescribeServices")(error),
            }
        })?;
    let there = answer
        .services()
        .iter()
        .find(|service| service.status() != Some("INACTIVE"));
    there
        .cloned()
        .ok_or_else(|| WatchError::NoService(clients.subject.to_string()))
}

async fn scalable_target(clients: &Clients) -> Result<scaling::ScalableTarget, WatchError> {
    let answer = clients
        .scaling
        .describe_scalable_targets()
        .service_namespace(scaling::ServiceNamespace::Ecs)
        .resource_ids(resource(clients))
        .send()
        .await
        .map_err(call("application-autoscaling:DescribeScalableTargets"))?;
    let target = answer.scalable_targets().first().cloned();
    target.ok_or_else(|| WatchError::NotScalable(clients.subject.to_string()))
}

/// Returns the tasks that run or will run, and those that are stopping.
async fn tasks(clients: &Clients) -> Result<Vec<Task>, WatchError> {
    let (cluster, service) = names(clients);
    let mut arns: Vec<String> = Vec::new();
    for status in [DesiredStatus::Running, DesiredStatus::Stopped] {
        let found = pages(async |token| {
            let page = clients
                .ecs
                .list_tasks()
                .cluster(cluster)
                .service_name(service)
                .desired_status(status.clone())
                .set_next_token(token)
                .send()
                .await
                .map_err(call("ecs:ListTasks"))?;
            Ok((
                page.task_arns().to_vec(),
                page.next_token().map(str::to_owned),
            ))
        })
        .await?;
        arns.extend(found);
    }
    let mut tasks = Vec::with_capacity(arns.len());
    for some in arns.chunks(TASKS) {
        let answer = clients
            .ecs
            .describe_tasks()
            .cluster(cluster)
            .set_tasks(Some(some.to_vec()))
            .send()
            .await
            .map_err(call("ecs:DescribeTasks"))?;
        tasks.extend(
            answer
                .tasks()
                .iter()
                .filter(|task| task.last_status() != Some("STOPPED"))
                .cloned(),
        );
    }
    Ok(tasks)
}

fn instance(task: &Task) -> Instance {
    let address = task
        .attachments()
        .iter()
        .flat_map(aws_sdk_ecs::types::Attachment::details)
        .find_map(|detail| {
            (detail.name() == Some("privateIPv4Address"))
                .then(|| detail.value().unwrap_or_default().to_owned())
        });
    // Uses the same words as a group's instances.
    let lifecycle = match task.last_status().unwrap_or_default() {
        "RUNNING" if task.desired_status() == Some("STOPPED") => Lifecycle::Terminating,
        "RUNNING" => Lifecycle::InService,
        "DEACTIVATING" | "STOPPING" | "DEPROVISIONING" => Lifecycle::Terminating,
        _ => Lifecycle::Pending,
    };
    let health = task
        .health_status()
        .map_or("UNKNOWN", |health| health.as_str());
    Instance {
        id: last(task.task_arn().unwrap_or_default()).to_owned(),
        lifecycle,
        health: health.to_owned(),
        zone: task.availability_zone().unwrap_or_default().to_owned(),
        kind: match (task.cpu(), task.memory()) {
            (Some(cpu), Some(memory)) => format!("{cpu} CPU units, {memory} MiB"),
            _ => String::new(),
        },
        protected: false,
        address: address.unwrap_or_default(),
        created: task.created_at().and_then(timestamp),
        started: task.started_at().and_then(timestamp),
        stopping: task.stopping_at().and_then(timestamp),
    }
}

/// Returns the text after the last slash of an ARN.
fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

pub(crate) async fn policies(clients: &Clients) -> Result<Vec<Policy>, WatchError> {
    pages(async |token| {
        let page = clients
            .scaling
            .describe_scaling_policies()
            .service_namespace(scaling::ServiceNamespace::Ecs)
            .resource_id(resource(clients))
            .set_next_token(token)
            .send()
            .await
            .map_err(call("application-autoscaling:DescribeScalingPolicies"))?;
        Ok((
            page.scaling_policies().iter().map(policy).collect(),
            page.next_token().map(str::to_owned),
        ))
    })
    .await
}

fn policy(policy: &scaling::ScalingPolicy) -> Policy {
    let tracking = policy.target_tracking_scaling_policy_configuration();
    let step = policy.step_scaling_policy_configuration();
    let predefined = tracking.and_then(|tracking| tracking.predefined_metric_specification());
    let steps = step
        .into_iter()
        .flat_map(
            aws_sdk_applicationautoscaling::types::StepScalingPolicyConfiguration::step_adjustments,
        )
        .map(|step| StepAdjustment {
            lower: step.metric_interval_lower_bound(),
            upper: step.metric_interval_upper_bound(),
            change: step.scaling_adjustment(),
        });
    // A step policy has one for both; a predictive one none.
    let cooldown =
        |of: &dyn Fn(&scaling::TargetTrackingScalingPolicyConfiguration) -> Option<i32>| {
            let own = step
                .map(
                    aws_sdk_applicationautoscaling::types::StepScalingPolicyConfiguration::cooldown,
                )
                .or(tracking.map(of));
            own.map(|own| own.map_or(COOLDOWN, seconds))
        };
    Policy {
        name: policy.policy_name().to_owned(),
        kind: policy.policy_type().as_str().into(),
        target_value: tracking.map(aws_sdk_applicationautoscaling::types::TargetTrackingScalingPolicyConfiguration::target_value),
        scale_in_disabled: tracking
            .and_then(aws_sdk_applicationautoscaling::types::TargetTrackingScalingPolicyConfiguration::disable_scale_in)
            .unwrap_or(false),
        // There is no warm-up: a cooldown follows each change instead.
        warm_up: None,
        alarms: policy
            .alarms()
            .iter()
            .map(|alarm| alarm.alarm_name().to_owned())
            .collect(),
        metric: predefined
            .map(|metric| metric.predefined_metric_type().as_str().to_owned())
            .or_else(|| own_metric(tracking?.customized_metric_specification()?)),
        tracked: tracking.and_then(tracked),
        aggregation: step
            .and_then(|step| step.metric_aggregation_type())
            .map(|kind| kind.as_str().to_owned()),
        adjustment: step
            .and_then(|step| step.adjustment_type())
            .map(|kind| kind.as_str().to_owned()),
        least: step
            .and_then(aws_sdk_applicationautoscaling::types::StepScalingPolicyConfiguration::min_adjustment_magnitude)
            .map(|least| count(Some(least))),
        steps: steps.collect(),
        change: None,
        cooldown: cooldown(&|tracking| tracking.scale_in_cooldown()),
        out_cooldown: cooldown(&|tracking| tracking.scale_out_cooldown()),
        mode: policy
            .predictive_scaling_policy_configuration()
            .and_then(|own| own.mode())
            .map(|mode| mode.as_str().into()),
        disabled: false,
    }
}

/// Returns the name of a policy's own metric, or the expression of its metric math.
fn own_metric(own: &scaling::CustomizedMetricSpecification) -> Option<String> {
    let returned = own
        .metrics()
        .iter()
        .find(|query| query.return_data() != Some(false));
    let of_math = returned.and_then(|query| {
        query.expression().or_else(|| {
            query
                .metric_stat()
                .and_then(|stat| stat.metric()?.metric_name())
        })
    });
    own.metric_name().or(of_math).map(str::to_owned)
}

/// Returns the whole metric specification of a target-tracking policy.
fn tracked(tracking: &scaling::TargetTrackingScalingPolicyConfiguration) -> Option<TrackedMetric> {
    if let Some(known) = tracking.predefined_metric_specification() {
        return Some(TrackedMetric::Predefined {
            name: known.predefined_metric_type().as_str().to_owned(),
            label: known.resource_label().map(str::to_owned),
        });
    }
    let own = tracking.customized_metric_specification()?;
    if !own.metrics().is_empty() {
        let queries = own.metrics().iter().map(query).collect();
        return Some(TrackedMetric::Math(queries));
    }
    let pair = |one: &scaling::MetricDimension| (one.name().to_owned(), one.value().to_owned());
    Some(TrackedMetric::Own(OwnMetric {
        namespace: own.namespace().unwrap_or_default().to_owned(),
        metric: own.metric_name().unwrap_or_default().to_owned(),
        statistic: own.statistic().map(|word| word.as_str().to_owned()),
        unit: own.unit().map(str::to_owned),
        period: None,
        dimensions: own.dimensions().iter().map(pair).collect(),
    }))
}

fn query(query: &scaling::TargetTrackingMetricDataQuery) -> MathQuery {
    let stat = query.metric_stat();
    let metric = stat.and_then(|stat| stat.metric());
    let own = |name: Option<&str>| name.map(str::to_owned);
    let pair = |one: &scaling::TargetTrackingMetricDimension| {
        (one.name().to_owned(), one.value().to_owned())
    };
    MathQuery {
        id: query.id().to_owned(),
        expression: own(query.expression()),
        namespace: own(metric.and_then(|metric| metric.namespace())),
        metric: own(metric.and_then(|metric| metric.metric_name())),
        statistic: own(stat.map(scaling::TargetTrackingMetricStat::stat)),
        unit: own(stat.and_then(|stat| stat.unit())),
        label: own(query.label()),
        dimensions: metric
            .map(|metric| metric.dimensions().iter().map(pair).collect())
            .unwrap_or_default(),
        // Application Auto Scaling has no periods of its own.
        period: None,
        returned: query.return_data() != Some(false),
    }
}

/// Returns the activities, newest first, including those that could not change anything.
pub(crate) async fn activities(
    clients: &Clients,
    since: &Since,
) -> Result<Vec<Activity>, WatchError> {
    let mut found: Vec<Activity> = pages(async |token| {
        let page = clients
            .scaling
            .describe_scaling_activities()
            .service_namespace(scaling::ServiceNamespace::Ecs)
            .resource_id(resource(clients))
            .include_not_scaled_activities(true)
            .set_next_token(token)
            .send()
            .await
            .map_err(call("application-autoscaling:DescribeScalingActivities"))?;
        Ok(recent(
            page.scaling_activities(),
            page.next_token(),
            since.at,
        ))
    })
    .await?;
    // The capacity before a change is the one that the previous change made. Before the first
    // change, it is the one at the beginning of the watch.
    let mut before = since.desired;
    for activity in found.iter_mut().rev() {
        if let Some((from, to)) = &mut activity.change {
            *from = before;
            before = *to;
        }
    }
    Ok(found)
}

/// Reads a page of activities, newest first, with the token of the next page. An activity from
/// before the watch ends the paging, and no other does.
fn recent(
    page: &[scaling::ScalingActivity],
    next: Option<&str>,
    since: Timestamp,
) -> (Vec<Activity>, Option<String>) {
    let recent: Vec<Activity> = page.iter().filter_map(|one| activity(one, since)).collect();
    let next = next.filter(|_| recent.len() == page.len());
    (recent, next.map(str::to_owned))
}

/// Reads an activity that began during the watch. Only its description tells the new desired count:
/// `Setting desired count to 5.`
fn activity(activity: &scaling::ScalingActivity, since: Timestamp) -> Option<Activity> {
    let start = timestamp(activity.start_time()).filter(|start| *start >= since)?;
    let status = ActivityStatus::from(activity.status_code().as_str());
    let to = activity
        .description()
        .split_once("desired count to ")
        .and_then(|(_, to)| to.trim_end_matches('.').parse().ok())
        .filter(|_| status != ActivityStatus::Failed);
    let not_scaled: Vec<NotScaled> = activity
        .not_scaled_reasons()
        .iter()
        .map(not_scaled)
        .collect();
    Some(Activity {
        id: activity.activity_id().to_owned(),
        description: activity.description().to_owned(),
        cause: activity.cause().to_owned(),
        start,
        end: activity.end_time().and_then(timestamp),
        status,
        message: activity.status_message().map(str::to_owned),
        details: activity.details().map(str::to_owned),
        change: to.filter(|_| not_scaled.is_empty()).map(|to| (0, to)),
        not_scaled,
    })
}

fn not_scaled(reason: &scaling::NotScaledReason) -> NotScaled {
    let own = |capacity: Option<i32>| capacity.map(|capacity| count(Some(capacity)));
    let given = ReasonCapacities {
        maximum: own(reason.max_capacity()),
        minimum: own(reason.min_capacity()),
        current: own(reason.current_capacity()),
    };
    NotScaled::read(reason.code(), given)
}

pub(crate) async fn surroundings(clients: &Clients, errors: &mut Vec<WatchError>) -> Surroundings {
    let mut found = Surroundings::default();
    match service(clients).await {
        Ok(service) => {
            let rolling = service.deployments().iter().filter(|one| {
                one.rollout_state()
                    .is_some_and(|state| state.as_str() == "IN_PROGRESS")
            });
            found.refreshes = rolling
                .map(|one| format!("deployment {} is in progress", one.id().unwrap_or_default()))
                .collect();
        }
        Err(error) => errors.push(error),
    }
    match scheduled(clients).await {
        Ok(scheduled) => found.scheduled = scheduled,
        Err(error) => errors.push(error),
    }
    found
}

async fn scheduled(clients: &Clients) -> Result<Vec<ScheduledAction>, WatchError> {
    pages(async |token| {
        let page = clients
            .scaling
            .describe_scheduled_actions()
            .service_namespace(scaling::ServiceNamespace::Ecs)
            .resource_id(resource(clients))
            .set_next_token(token)
            .send()
            .await
            .map_err(call("application-autoscaling:DescribeScheduledActions"))?;
        let action = |action: &scaling::ScheduledAction| {
            let own = action.scalable_target_action();
            ScheduledAction {
                name: action.scheduled_action_name().to_owned(),
                next: action.start_time().and_then(timestamp),
                recurrence: Some(action.schedule().to_owned()),
                min: own
                    .and_then(
                        aws_sdk_applicationautoscaling::types::ScalableTargetAction::min_capacity,
                    )
                    .map(|least| count(Some(least))),
                max: own
                    .and_then(
                        aws_sdk_applicationautoscaling::types::ScalableTargetAction::max_capacity,
                    )
                    .map(|most| count(Some(most))),
                desired: None,
            }
        };
        Ok((
            page.scheduled_actions().iter().map(action).collect(),
            page.next_token().map(str::to_owned),
        ))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        tracking: scaling::builders::TargetTrackingScalingPolicyConfigurationBuilder,
    ) -> Policy {
        policy(
            &scaling::ScalingPolicy::builder()
                .policy_arn("arn")
                .policy_name("cpu")
                .service_namespace(scaling::ServiceNamespace::Ecs)
                .resource_id("service/lab/web")
                .scalable_dimension(scaling::ScalableDimension::EcsServiceDesiredCount)
                .policy_type(scaling::PolicyType::TargetTrackingScaling)
                .target_tracking_scaling_policy_configuration(
                    tracking.target_value(50.0).build().unwrap(),
                )
                .creation_time(aws_smithy_types::DateTime::from_secs(0))
                .build()
                .unwrap(),
        )
    }

    #[test]
    fn a_services_policy_has_both_cooldowns_and_those_that_are_unset_are_five_minutes() {
        let tracking = scaling::TargetTrackingScalingPolicyConfiguration::builder;
        let own = read(tracking().scale_in_cooldown(120).scale_out_cooldown(30));
        assert_eq!(
            (own.cooldown, own.out_cooldown),
            (Some(Duration::from_mins(2)), Some(Duration::from_secs(30)))
        );
        let unset = read(tracking());
        assert_eq!(
            (unset.cooldown, unset.out_cooldown),
            (Some(COOLDOWN), Some(COOLDOWN))
        );
    }

    #[test]
    fn the_whole_metric_of_a_policy_is_read() {
        let tracking = scaling::TargetTrackingScalingPolicyConfiguration::builder;
        let own = scaling::CustomizedMetricSpecification::builder()
            .metric_name("Backlog")
            .namespace("Shop")
            .statistic(scaling::MetricStatistic::Average)
            .unit("Count")
            .dimensions(
                scaling::MetricDimension::builder()
                    .name("queue")
                    .value("orders")
                    .build()
                    .unwrap(),
            )
            .build();
        let read_whole = read(tracking().customized_metric_specification(own)).tracked;
        let wanted = TrackedMetric::Own(OwnMetric {
            namespace: "Shop".to_owned(),
            metric: "Backlog".to_owned(),
            statistic: Some("Average".to_owned()),
            unit: Some("Count".to_owned()),
            period: None,
            dimensions: vec![("queue".to_owned(), "orders".to_owned())],
        });
        assert_eq!(read_whole, Some(wanted));
        let known = scaling::PredefinedMetricSpecification::builder()
            .predefined_metric_type(scaling::MetricType::AlbRequestCountPerTarget)
            .resource_label("app/web/1/targetgroup/web/2")
            .build()
            .unwrap();
        let wanted = TrackedMetric::Predefined {
            name: "ALBRequestCountPerTarget".to_owned(),
            label: Some("app/web/1/targetgroup/web/2".to_owned()),
        };
        let read_known = read(tracking().predefined_metric_specification(known)).tracked;
        assert_eq!(read_known, Some(wanted));
    }

    #[test]
    fn a_policys_own_metric_is_named_or_written_as_its_expression() {
        let tracking = scaling::TargetTrackingScalingPolicyConfiguration::builder;
        let named = scaling::CustomizedMetricSpecification::builder()
            .metric_name("Backlog")
            .build();
        let query = scaling::TargetTrackingMetricDataQuery::builder()
            .id("each")
            .expression("backlog / 4");
        let math = scaling::CustomizedMetricSpecification::builder()
            .metrics(query.build().unwrap())
            .build();
        let metric = |own| read(tracking().customized_metric_specification(own)).metric;
        assert_eq!(metric(named).as_deref(), Some("Backlog"));
        assert_eq!(metric(math).as_deref(), Some("backlog / 4"));
    }

    /// The second of an activity, its description, cause and status, and its reasons.
    type Row<'a> = (
        i64,
        &'a str,
        &'a str,
        &'a str,
        &'a [scaling::NotScaledReason],
    );

    fn written((second, description, cause, status, reasons): Row<'_>) -> scaling::ScalingActivity {
        let status = scaling::ScalingActivityStatusCode::from(status);
        scaling::ScalingActivity::builder()
            .activity_id(format!("a{second}"))
            .service_namespace(scaling::ServiceNamespace::Ecs)
            .resource_id("service/lab/web")
            .scalable_dimension(scaling::ScalableDimension::EcsServiceDesiredCount)
            .description(description)
            .cause(cause)
            .start_time(aws_smithy_types::DateTime::from_secs(second))
            .status_code(status)
            .set_not_scaled_reasons(Some(reasons.to_vec()))
            .build()
            .unwrap()
    }

    fn reason(code: &str) -> scaling::builders::NotScaledReasonBuilder {
        scaling::NotScaledReason::builder().code(code)
    }

    fn from_second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const ALARM: &str = "monitor alarm a in state ALARM triggered policy p";

    #[test]
    fn a_services_activity_is_a_change_only_where_its_capacity_was_set() {
        let at_max = [reason("AlreadyAtMaxCapacity")
            .max_capacity(4)
            .build()
            .unwrap()];
        let none: &[scaling::NotScaledReason] = &[];
        let refused = "Attempting to scale due to alarm triggered";
        let not_set = "Failed to set desired capacity to 150.";
        for (row, change, reasons) in [
            (
                (9, "Setting desired count to 1.", ALARM, "Successful", none),
                Some(1),
                vec![],
            ),
            (
                (9, refused, ALARM, "Failed", &at_max[..]),
                None,
                vec![NotScaled::AtMaximum { maximum: Some(4) }],
            ),
            (
                (
                    9,
                    "Setting min capacity to 2 and max capacity to 3",
                    "scheduled action name s was triggered",
                    "Successful",
                    none,
                ),
                None,
                vec![],
            ),
            (
                (
                    9,
                    "Setting desired count to 2.",
                    "minimum capacity was set to 2",
                    "Successful",
                    none,
                ),
                Some(2),
                vec![],
            ),
            (
                (
                    9,
                    "Setting desired count to 150.",
                    "minimum capacity was set to 150",
                    "Failed",
                    none,
                ),
                None,
                vec![],
            ),
        ] {
            let said = format!("{row:?}");
            let read = activity(&written(row), from_second(9)).unwrap();
            assert_eq!(read.change.map(|(_, to)| to), change, "{said}");
            assert_eq!(read.not_scaled, reasons, "{said}");
            assert_eq!(read.status.as_str(), row.3, "{said}");
            assert_eq!(read.not_understood(), Vec::<String>::new(), "{said}");
            // The alarm of a change is told; nothing else decides anything.
            let by = read.decisions().pop().map(|decision| decision.alarm);
            let alarm = (row.2 == ALARM).then(|| "a".to_owned());
            assert_eq!(by, change.map(|_| alarm), "{said}");
        }
        assert_eq!(
            activity(&written((8, not_set, ALARM, "Failed", &[])), from_second(9)),
            None
        );
    }

    #[test]
    fn every_reason_for_not_scaling_is_read_with_its_capacity() {
        let read = |built: scaling::builders::NotScaledReasonBuilder| {
            not_scaled(
                &built
                    .max_capacity(4)
                    .min_capacity(1)
                    .current_capacity(2)
                    .build()
                    .unwrap(),
            )
        };
        for (code, expected) in [
            (
                "AlreadyAtMaxCapacity",
                NotScaled::AtMaximum { maximum: Some(4) },
            ),
            (
                "AlreadyAtMinCapacity",
                NotScaled::AtMinimum { minimum: Some(1) },
            ),
            (
                "AlreadyAtDesiredCapacity",
                NotScaled::AtDesired { current: Some(2) },
            ),
            (
                "AutoScalingAnticipatedFlapping",
                NotScaled::AnticipatedFlapping,
            ),
            (
                "TargetServicePutResourceAsUnscalable",
                NotScaled::Unscalable,
            ),
            (
                "SomethingNew",
                NotScaled::Unknown {
                    code: "SomethingNew".to_owned(),
                },
            ),
        ] {
            assert_eq!(read(reason(code)), expected);
        }
        let bare = reason("AlreadyAtMaxCapacity").build().unwrap();
        assert_eq!(not_scaled(&bare), NotScaled::AtMaximum { maximum: None });
    }

    /// In one account 46 of 52 rows were attempts that scaled nothing.
    #[tokio::test]
    async fn rows_that_changed_nothing_do_not_end_the_paging() {
        let at_max = [reason("AlreadyAtMaxCapacity")
            .max_capacity(4)
            .build()
            .unwrap()];
        let refused = |second| {
            let attempt = "Attempting to scale due to alarm triggered";
            written((second, attempt, ALARM, "Failed", &at_max))
        };
        let set = |second, count: u32| {
            let description = format!("Setting desired count to {count}.");
            written((second, &description, ALARM, "Successful", &[]))
        };
        let limits = "Setting min capacity to 2 and max capacity to 4";
        let scheduled = "scheduled action name s was triggered";
        let all = [
            (160..210).rev().map(refused).collect::<Vec<_>>(),
            vec![
                refused(150),
                written((140, limits, scheduled, "Successful", &[])),
            ],
            vec![set(130, 4), set(120, 3), set(99, 2)],
            vec![set(90, 1)],
        ];
        let mut asked = Vec::new();
        let found = pages(|token: Option<String>| {
            let page: usize = token.map_or(0, |token| token.parse().unwrap());
            asked.push(page);
            let next = (page + 1).to_string();
            let read = recent(&all[page], Some(&next), from_second(100));
            std::future::ready(Ok(read))
        })
        .await
        .unwrap();
        // The third page has a row from before the watch.
        assert_eq!(asked, [0, 1, 2]);
        assert_eq!(found.len(), 54);
        let changes: Vec<(&str, u32)> = found
            .iter()
            .filter_map(|one| Some((one.id.as_str(), one.change?.1)))
            .collect();
        assert_eq!(changes, [("a130", 4), ("a120", 3)]);
    }
}
