//! Requests that are cut, missing or never sent are counted as such: a run must not look better for
//! them.

use std::time::Duration;

use super::scenario_tests::{Shop, measure, parsed, run, saturation, tally};
use model::measure::Select;
use model::plan::Share;

#[tokio::test]
async fn a_request_that_the_end_of_its_grace_cuts_was_not_answered_in_time() {
    for phase in [
        "users: 3, hold: 200ms, burst: true",
        "rate: 10/s, hold: 300ms",
    ] {
        let shop = Shop::open().await;
        let results = run(
            &shop,
            &format!("phases: [{{ {phase}, grace: 1500ms }}]\nsteps: [{{ get: /hang }}]"),
        )
        .await;
        assert_eq!(
            (
                tally(&results).timeout,
                tally(&results).requests(),
                saturation(&results).cut
            ),
            (3, 3, 3),
            "{phase}"
        );
        let latency = results.merged(Select::default()).latency;
        assert!(
            latency.percentile(50.0).unwrap() >= Duration::from_millis(1_400),
            "{phase}"
        );
    }
    // A request that was only just sent is not counted against the target.
    let shop = Shop::open().await;
    let results = run(
        &shop,
        "phases: [{ rate: 10/s, hold: 300ms, grace: 100ms }]\nsteps: [{ get: /hang }]",
    )
    .await;
    assert_eq!(
        (tally(&results).requests(), saturation(&results).cut),
        (0, 3)
    );
}

#[tokio::test]
async fn each_phase_has_its_own_grace_in_the_open_model() {
    let shop = Shop::open().await;
    let phases = "phases: [{ name: a, rate: 10/s, hold: 300ms, grace: 100ms }, { name: b, rate: 10/s, hold: 300ms, grace: 5s }]";
    let results = run(&shop, &format!("{phases}\nsteps: [{{ get: /slow }}]")).await;
    assert_eq!((tally(&results).ok, saturation(&results).cut), (3, 3));
}

#[tokio::test]
async fn sessions_that_data_stopped_are_missing_until_the_end_of_the_plan() {
    let text = "name: t\ntarget: { url: URL }\nphases: [{ users: 4, hold: 3s, burst: true }]\n\
                data: { u: { file: u.csv, order: once } }\nsteps: [{ get: \"/{{ u.id }}\", think: 5s }]";
    let shop = Shop::open().await;
    let scenario = parsed(&text.replace("URL", &shop.url()), &[("u.csv", "id\n1\n")]);
    let saturation = saturation(&measure(scenario, Share::WHOLE, 2).await);
    assert!(
        saturation.asked >= 8 && saturation.sent <= saturation.asked / 2,
        "{saturation:?}"
    );
}

#[tokio::test]
async fn what_was_never_sent_has_no_latency_and_does_not_spin() {
    let text = "name: t\ntarget: { url: URL }\nphases: [{ users: 2, hold: 1s, burst: true }]\n\
                data: { u: { file: u.csv, order: once, when_used_up: fail } }\nsteps: [{ get: \"/{{ u.id }}\" }]";
    let shop = Shop::open().await;
    let results = measure(
        parsed(&text.replace("URL", &shop.url()), &[("u.csv", "id\n1\n")]),
        Share::WHOLE,
        1,
    )
    .await;
    let merged = results.merged(Select::default());
    assert_eq!(
        (
            merged.tally.ok,
            merged.latency.count(),
            shop.log.lines().len()
        ),
        (1, 1, 1)
    );
    assert!(
        (2..=30).contains(&merged.tally.unsent),
        "{:?}",
        merged.tally
    );
}

#[tokio::test]
async fn a_refused_connection_is_no_quick_answer_and_says_why() {
    let text = "name: t\ntarget: { url: http://127.0.0.1:1 }\nphases: [{ rate: 10/s, hold: 300ms }]\nsteps: [{ get: / }]";
    let results = measure(parsed(text, &[]), Share::WHOLE, 1).await;
    let merged = results.merged(Select::default());
    assert_eq!((merged.tally.connect, merged.latency.count()), (3, 0));
    let reasons = results.reasons();
    assert!(
        reasons.len() == 1 && reasons[0].0.contains("refused") && reasons[0].1 == 3,
        "{reasons:?}"
    );
}

#[tokio::test]
async fn every_flow_has_its_own_setup_however_many_there_are() {
    let flow = |number: usize| {
        format!(
            "  - {{ name: f{number}, setup: [{{ get: /setup/{number} }}], steps: [{{ get: /step/{number} }}] }}\n"
        )
    };
    let flows: String = (0..70).map(flow).collect();
    let shop = Shop::open().await;
    run(
        &shop,
        &format!("phases: [{{ users: 2, hold: 1s, grace: 2s }}]\nflows:\n{flows}"),
    )
    .await;
    let lines = shop.log.lines();
    let seen = |what: &str, number: usize| {
        lines
            .iter()
            .any(|line| *line == format!("GET /{what}/{number}"))
    };
    let stepped: Vec<usize> = (0..70).filter(|number| seen("step", *number)).collect();
    assert!(stepped.len() > 60, "{}", stepped.len());
    assert_eq!(
        stepped.into_iter().find(|number| !seen("setup", *number)),
        None
    );
}

#[tokio::test]
async fn an_empty_body_repeated_headers_and_numbers_are_judged_as_they_are() {
    let shop = Shop::open().await;
    let steps = "steps:\n  - { get: /nothing-packed, check: { size: < 1KB } }\n  \
                 - { get: /twice, check: { header: { x-t: v2 }, json: { $.price: 10 } } }";
    let results = run(&shop, steps).await;
    assert_eq!(tally(&results).errors(), 0, "{:?}", tally(&results));
}

#[tokio::test]
async fn shared_connections_of_http_2_are_renewed_as_the_file_says() {
    for (connection, each) in [
        ("pool: shared, max_requests: 3", 3),
        ("pool: shared, reuse: request", 1),
    ] {
        let shop = Shop::open().await;
        let text = format!(
            "name: t\ntarget: {{ url: \"{}\", http: 2 }}\nconnection: {{ {connection} }}\n\
             phases: [{{ users: 1, hold: 500ms }}]\nsteps: [{{ get: /, think: 20ms }}]",
            shop.url()
        );
        let results = measure(parsed(&text, &[]), Share::WHOLE, 1).await;
        let requests = tally(&results).ok as usize;
        assert_eq!(tally(&results).errors(), 0);
        let opened = requests.div_ceil(each);
        assert_eq!(
            shop.log.connections(),
            opened,
            "{connection}: {requests} requests"
        );
        let most = results
            .saturation()
            .map(|(_, saturation)| saturation.connections)
            .max();
        assert!(most <= Some(1), "{connection}: {most:?} at once");
    }
}

#[tokio::test]
async fn a_cookie_header_of_ones_own_goes_instead_of_the_session_s() {
    let shop = Shop::open().await;
    run(
        &shop,
        "steps: [{ get: /login }, { get: /whoami, headers: { cookie: mine=1 } }]",
    )
    .await;
    let who = shop
        .log
        .all()
        .into_iter()
        .find(|seen| seen.headers.contains_key("cookie"))
        .unwrap();
    assert_eq!(who.headers["cookie"], "mine=1");
}

#[tokio::test]
async fn answers_are_counted_under_the_instance_that_their_header_names() {
    for http in ["'1.1'", "'2'"] {
        let shop = Shop::open().await;
        let text = format!(
            "name: t\ntarget: {{ url: {}, http: {http}, group: g }}\nphases: [{{ rate: 20/s, hold: 1s }}]\n\
             steps: [{{ get: /from/one }}, {{ get: /from/two }}, {{ get: / }}]\n\
             scaling: {{ instance_header: X-Instance-ID }}",
            shop.url()
        );
        let results = measure(parsed(&text, &[]), Share::WHOLE, 2).await;
        let results_of = |name: &str| results.of_instance(name, None);
        assert_eq!(
            results.instances().collect::<Vec<_>>(),
            ["i-1", "i-2"],
            "{http}"
        );
        assert_eq!(
            (
                results_of("i-1").tally.ok,
                results_of("i-1").latency.count(),
                results_of("i-2").tally.status_5xx
            ),
            (20, 20, 20),
            "{http}"
        );
        assert_eq!(tally(&results).requests(), 60);
        assert!(
            results.first_answer("i-1").unwrap() < Duration::from_millis(500),
            "{http}"
        );
    }
}
