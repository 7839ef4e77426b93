//! Any two texts as description and cause of a scaling activity: the decisions that are read are
//! those that AWS's own words for them tell again.
#![no_main]

use evidence::timeline::{Activity, Decision};

// The first line is the description, the rest the cause.
libfuzzer_sys::fuzz_target!(|text: &str| {
    let (description, cause) = text.split_once('\n').unwrap_or(("", text));
    let activity = Activity {
        description: description.to_owned(),
        cause: cause.to_owned(),
        ..Activity::default()
    };
    let line = serde_json::to_string(&activity).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Activity>(&line).ok().as_ref(),
        Some(&activity)
    );

    let unknown: usize = activity.not_understood().iter().map(String::len).sum();
    assert!(unknown <= text.len(), "more words than there were");
    assert!(!(activity.grows() && activity.shrinks()));
    assert!(
        activity
            .instance()
            .is_none_or(|id| description.contains(id))
    );
    activity.leaving_reason();
    activity.launch_reason();

    for decision in activity.decisions() {
        let again = Activity {
            cause: words(&decision),
            ..Activity::default()
        };
        assert_eq!(again.decisions(), [decision], "{}", again.cause);
    }
    let of_service = Activity {
        change: Some((2, 5)),
        ..activity
    };
    assert_eq!(of_service.decisions().len(), 1);
});

/// Returns AWS's sentence for a decision.
fn words(decision: &Decision) -> String {
    let by = match (&decision.alarm, &decision.policy) {
        (Some(alarm), Some(policy)) => {
            format!("monitor alarm {alarm} in state ALARM triggered policy {policy}")
        }
        _ => "user request".to_owned(),
    };
    let Decision { at, from, to, .. } = decision;
    format!("At {at} a {by} changing the desired capacity from {from} to {to}.")
}
