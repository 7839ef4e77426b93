use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;

use super::*;
use model::scenario::{Method, Template, ThresholdOperator, example};

fn answer(status: u16, body: &str) -> HttpAnswer {
    let headers = vec![("x-kind".to_owned(), b"fast".to_vec())];
    HttpAnswer {
        status,
        headers,
        body: body.as_bytes().to_vec(),
        bytes: body.len() as u64,
        reusable: true,
        unreadable: false,
    }
}

fn check(what: What, soft: bool) -> Check {
    Check {
        name: String::new(),
        soft,
        what,
    }
}

type Outcome = (Ending, Vec<(u16, bool)>, Vec<(u16, CapturedValue)>);

fn judge(step: &Step, answer: &HttpAnswer, took: u64) -> Outcome {
    let variables: Vec<String> = step
        .captures
        .iter()
        .map(|capture| capture.name.clone())
        .collect();
    let judge = Judge::new(step, &Slots::of(&variables)).unwrap();
    let mut chance = Pcg64Mcg::seed_from_u64(1);
    let mut values = Values {
        variables: &[],
        data: &[],
        rows: &[],
        session: 0,
        iteration: 0,
        chance: &mut chance,
    };
    let (mut captured, mut counts) = (Vec::new(), Vec::new());
    let cookie = |name: &str| (name == "sid").then(|| "c1".to_owned());
    let took = Duration::from_millis(took);
    let judged = judge.judge(
        answer,
        took,
        &mut values,
        &mut captured,
        &cookie,
        &mut counts,
    );
    (judged.ending, counts, captured)
}

#[test]
fn answers_are_judged_by_status_and_time() {
    let ten = || What::Under(Duration::from_millis(10));
    for (checks, status, took, ending) in [
        (vec![], 200, 5, Ending::Ok),
        (vec![], 302, 5, Ending::Ok),
        (vec![], 404, 5, Ending::Status4xx),
        (vec![], 429, 5, Ending::Limited),
        (vec![], 503, 5, Ending::Status5xx),
        (
            vec![check(What::Status(vec![404]), false)],
            404,
            5,
            Ending::Ok,
        ),
        (
            vec![check(What::Status(vec![201]), false)],
            200,
            5,
            Ending::Check,
        ),
        (
            vec![check(What::Status(vec![201]), false)],
            500,
            5,
            Ending::Status5xx,
        ),
        // A soft check on the status does not make a 500 right.
        (
            vec![check(What::Status(vec![201]), true)],
            500,
            5,
            Ending::Status5xx,
        ),
        (
            vec![check(What::Status(vec![201]), true)],
            200,
            5,
            Ending::Ok,
        ),
        (vec![check(ten(), false)], 200, 10, Ending::Check),
        (vec![check(ten(), true)], 200, 10, Ending::Ok),
        (vec![check(ten(), false)], 200, 9, Ending::Ok),
        (vec![check(ten(), false)], 503, 50, Ending::Status5xx),
    ] {
        let step = Step {
            checks: checks.clone(),
            ..example::step(Method::Get, "/")
        };
        assert_eq!(
            judge(&step, &answer(status, ""), took).0,
            ending,
            "{checks:?} {status}"
        );
    }
}

#[test]
fn bodies_and_headers_are_judged() {
    let body = r#"{"items": [{"id": 7, "open": true}, {"id": 8, "open": true}],
        "state": "ready", "big": 9007199254740993, "huge": 123456789012345678901234567890}"#;
    let number =
        |path: &str, value: &str| What::Json(path.to_owned(), Expected::Number(value.to_owned()));
    let json = |path: &str, value| What::Json(path.to_owned(), Expected::Value(value));
    for (what, held) in [
        (What::Contains(Template::text("\"id\": 7")), true),
        (What::Contains(Template::text("\"id\": 9")), false),
        (What::Matches("id\": [0-9]+".to_owned()), true),
        (What::Matches("^nothing$".to_owned()), false),
        (json("$.state", "ready".into()), true),
        (number("$.items[0].id", "7"), true),
        (number("$.items[0].id", "7.0"), true),
        (number("$.items[0].id", "7.01"), false),
        (number("$.big", "9007199254740993"), true),
        (number("$.big", "9007199254740992"), false),
        (number("$.huge", "123456789012345678901234567890"), true),
        (number("$.huge", "123456789012345678901234567891"), false),
        (number("$.state", "7"), false),
        (json("$.items[0].id", "7".into()), false),
        (json("$.items[*].open", true.into()), true),
        (number("$.items[*].id", "7"), false),
        (json("$.missing", serde_json::Value::Null), false),
        (
            What::Json(
                "$.items[1].id".to_owned(),
                Expected::Text(Template::text("8")),
            ),
            true,
        ),
        (What::Header("x-kind".to_owned(), None), true),
        (
            What::Header("x-kind".to_owned(), Some(Template::text("fast"))),
            true,
        ),
        (
            What::Header("x-kind".to_owned(), Some(Template::text("slow"))),
            false,
        ),
        (What::Header("x-other".to_owned(), None), false),
        (What::Size(ThresholdOperator::Less, 1_000), true),
        (What::Size(ThresholdOperator::Greater, 1_000), false),
    ] {
        let step = Step {
            checks: vec![check(what.clone(), false)],
            ..example::step(Method::Get, "/")
        };
        let (ending, counts, _) = judge(&step, &answer(200, body), 1);
        assert_eq!(counts, [(0, held)], "{what:?}");
        assert_eq!(ending == Ending::Ok, held, "{what:?}");
    }
}

#[test]
fn a_body_that_cannot_be_looked_at_fails_what_reads_it_by_name_and_nothing_else() {
    let step = Step {
        checks: vec![
            check(What::Status(vec![200]), false),
            check(What::Contains(Template::text("")), false),
            check(What::Size(ThresholdOperator::Less, 1_000), true),
            check(What::Header("x-kind".to_owned(), None), false),
        ],
        captures: vec![Capture {
            name: "x".to_owned(),
            from: From::Regex("x*".to_owned()),
            pick: Occurrence::First,
            default: Some("d".to_owned()),
        }],
        ..example::step(Method::Get, "/")
    };
    let unreadable = HttpAnswer {
        unreadable: true,
        ..answer(200, "")
    };
    let (ending, counts, captured) = judge(&step, &unreadable, 1);
    assert_eq!(ending, Ending::Check);
    assert_eq!(
        counts,
        [(0, true), (1, false), (2, false), (3, true), (4, true)]
    );
    assert_eq!(captured[0].1.text.as_ref(), "d");
}

#[test]
fn a_mark_of_utf_8_before_json_is_skipped() {
    let what = What::Json("$.id".to_owned(), Expected::Value("a1".into()));
    let step = Step {
        checks: vec![check(what, false)],
        ..example::step(Method::Get, "/")
    };
    for (body, ending) in [
        ("\u{feff}{\"id\": \"a1\"}", Ending::Ok),
        ("\u{feff}\u{feff}{\"id\": \"a1\"}", Ending::Check),
    ] {
        assert_eq!(judge(&step, &answer(200, body), 1).0, ending);
    }
}

#[test]
fn values_are_captured_or_the_step_fails() {
    let body = r#"<input name="csrf" value="t0k"><p>id=41</p><p>id=42</p>"#;
    let capture = |from: From, pick| Capture {
        name: "x".to_owned(),
        from,
        pick,
        default: None,
    };
    let css = |selector: &str, attribute: Option<&str>| From::Css {
        selector: selector.to_owned(),
        attribute: attribute.map(str::to_owned),
    };
    for (from, pick, found) in [
        (
            From::Regex("id=([0-9]+)".to_owned()),
            Occurrence::First,
            Some("41"),
        ),
        (
            From::Regex("id=([0-9]+)".to_owned()),
            Occurrence::Last,
            Some("42"),
        ),
        (
            From::Regex("id=[0-9]+".to_owned()),
            Occurrence::First,
            Some("id=41"),
        ),
        (From::Regex("none".to_owned()), Occurrence::First, None),
        (
            css("input[name=csrf]", Some("value")),
            Occurrence::First,
            Some("t0k"),
        ),
        (css("p", None), Occurrence::Last, Some("id=42")),
        (css("table", None), Occurrence::First, None),
        (
            From::Header("x-kind".to_owned()),
            Occurrence::First,
            Some("fast"),
        ),
        (
            From::Cookie("sid".to_owned()),
            Occurrence::First,
            Some("c1"),
        ),
        (From::Cookie("none".to_owned()), Occurrence::First, None),
        (From::Json("$.id".to_owned()), Occurrence::First, None),
    ] {
        let step = Step {
            captures: vec![capture(from.clone(), pick)],
            ..example::step(Method::Get, "/")
        };
        let (ending, _, captured) = judge(&step, &answer(200, body), 1);
        let seen = captured.first().map(|(_, value)| value.text.to_string());
        assert_eq!(seen.as_deref(), found, "{from:?}");
        assert_eq!(ending == Ending::Ok, found.is_some(), "{from:?}");
    }
}

#[test]
fn a_body_that_takes_too_long_or_holds_too_much_fails_by_its_own_name() {
    let capture = |from: From| Capture {
        name: "x".to_owned(),
        from,
        pick: Occurrence::First,
        default: Some("d".to_owned()),
    };
    let css = From::Css {
        selector: "p".to_owned(),
        attribute: None,
    };
    let long = format!("\"{}\"", "x".repeat(MOST_CAPTURED + 1));
    for (from, body, place) in [
        (css, "<div>".repeat(2_600_000), TOO_SLOW),
        (From::Json("$".to_owned()), long, TOO_MUCH),
    ] {
        let step = Step {
            captures: vec![capture(from)],
            ..example::step(Method::Get, "/")
        };
        let (ending, counts, captured) = judge(&step, &answer(200, &body), 1);
        assert_eq!(counts, [(0, false), (1 + place, false)]);
        assert_eq!((ending, captured), (Ending::Check, vec![]));
        let name = &step.check_names()[usize::from(1 + place)];
        assert!(
            name.starts_with(["look", "captures"][usize::from(place - 2)]),
            "{name}"
        );
    }
}

#[test]
fn all_values_that_are_held_count_but_those_that_are_captured_anew() {
    let capture = |name: &str| Capture {
        name: name.to_owned(),
        from: From::Json(format!("$.{name}")),
        pick: Occurrence::First,
        default: None,
    };
    let value = |bytes: usize| {
        Some(CapturedValue {
            text: "x".repeat(bytes).into(),
            json: false,
        })
    };
    let most = MOST_CAPTURED;
    let names = ["a", "b", "c"].map(str::to_owned);
    for (held, a, b, fits) in [
        ([None, None, None], most / 2, most / 2, [true, true]),
        ([None, None, None], most / 2, most / 2 + 1, [true, false]),
        ([None, None, None], most, 1, [true, false]),
        ([None, None, value(2)], most - 3, 1, [true, true]),
        ([None, None, value(2)], most - 3, 2, [true, false]),
        ([value(most), None, value(2)], most - 3, 1, [true, true]),
    ] {
        let step = Step {
            captures: vec![capture("a"), capture("b")],
            ..example::step(Method::Get, "/")
        };
        let judge = Judge::new(&step, &Slots::of(&names)).unwrap();
        let mut chance = Pcg64Mcg::seed_from_u64(1);
        let mut values = Values {
            variables: &held,
            data: &[],
            rows: &[],
            session: 0,
            iteration: 0,
            chance: &mut chance,
        };
        let body = format!(
            "{{\"a\": \"{}\", \"b\": \"{}\"}}",
            "y".repeat(a),
            "y".repeat(b)
        );
        let (mut captured, mut counts) = (Vec::new(), Vec::new());
        let judged = judge.judge(
            &answer(200, &body),
            Duration::from_millis(1),
            &mut values,
            &mut captured,
            &|_| None,
            &mut counts,
        );
        let whole = fits == [true, true];
        let mut wanted = vec![(0, fits[0]), (1, fits[1])];
        if !whole {
            wanted.push((judge.beyond() + TOO_MUCH, false));
        }
        assert_eq!(counts, wanted, "{a} {b}");
        assert_eq!(judged.ending == Ending::Ok, whole, "{a} {b}");
    }
}

#[test]
fn a_number_beyond_those_of_a_float_is_compared_and_captured_as_it_is_written() {
    let number = |number: &str| What::Json("$.n".to_owned(), Expected::Number(number.to_owned()));
    let step = Step {
        checks: [
            number("1e400"),
            number("10e399"),
            number("1e401"),
            What::Json("$.ok".to_owned(), Expected::Value(true.into())),
        ]
        .map(|what| check(what, true))
        .to_vec(),
        captures: vec![Capture {
            name: "x".to_owned(),
            from: From::Json("$.n".to_owned()),
            pick: Occurrence::First,
            default: None,
        }],
        ..example::step(Method::Get, "/")
    };
    let (_, counts, captured) = judge(&step, &answer(200, "{\"n\": 1e400, \"ok\": true}"), 1);
    let held: Vec<bool> = counts.iter().map(|(_, held)| *held).collect();
    assert_eq!(held, [true, true, false, true, true]);
    assert_eq!(&*captured[0].1.text, "1e400");
}

#[test]
fn the_digits_of_a_number_are_looked_for_within_the_time_too() {
    let answer = answer(200, "[1.50]");
    let cookie = |_: &str| None;
    let seen = |look| ParsedAnswer {
        answer: &answer,
        took: Duration::ZERO,
        cookie: &cookie,
        json: OnceCell::new(),
        page: OnceCell::new(),
        look,
    };
    let digits = |seen: &ParsedAnswer<'_>| {
        let root = seen.json().unwrap();
        seen.captured(&[root]).map(|found| found.len())
    };
    assert_eq!(digits(&seen(Look::begin())), Ok(1));
    assert_eq!(digits(&seen(Look::lasting(Duration::ZERO))), Err(TooSlow));
}

#[test]
fn captured_json_keeps_its_kind_and_a_default_helps_out() {
    let capture = |path: &str, default: Option<&str>| Capture {
        name: "x".to_owned(),
        from: From::Json(path.to_owned()),
        pick: Occurrence::First,
        default: default.map(str::to_owned),
    };
    let step = Step {
        captures: vec![
            capture("$.n", None),
            capture("$.s", None),
            capture("$.none", Some("d")),
            capture("$.big", None),
            capture("$.o", None),
        ],
        ..example::step(Method::Get, "/")
    };
    let body = "\u{feff}{\"n\": 1.50, \"s\": \"1\", \"big\": 12345678901234567890123, \"o\": { \"a\": 1e3 }}";
    let (ending, _, captured) = judge(&step, &answer(200, body), 1);
    let kinds: Vec<(String, bool)> = captured
        .iter()
        .map(|(_, value)| (value.text.to_string(), value.json))
        .collect();
    assert_eq!(
        kinds,
        [
            ("1.50".to_owned(), true),
            ("1".to_owned(), false),
            ("d".to_owned(), false),
            ("12345678901234567890123".to_owned(), true),
            ("{ \"a\": 1e3 }".to_owned(), true)
        ]
    );
    assert_eq!(ending, Ending::Ok);
}

#[test]
fn a_captured_value_goes_to_the_place_of_its_name() {
    let names = ["a", "b", "c", "b"].map(str::to_owned);
    let slots = Slots::of(&names);
    let found = ["a", "b", "c", "none"].map(|name| slots.slot(name));
    assert_eq!(found, [0, 1, 2, 0]);
}
