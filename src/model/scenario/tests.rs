//! Whole files: what is read, and what a person sees when something is wrong.

use std::path::Path;

use proptest::prelude::*;

use super::*;

const EXAMPLE: &str = include_str!("../../../docs/scenario.md");

fn example() -> &'static str {
    let (_, rest) = EXAMPLE
        .split_once("<!-- example: read by a test -->\n```yaml\n")
        .unwrap();
    rest.split_once("```").unwrap().0
}

/// Reads a text that names no files.
fn read(text: &str, substitutions: &Substitutions) -> Result<Read, Vec<Problem>> {
    super::read(text, substitutions, &no_files)
}

fn with_environment(variables: &[(&str, &str)]) -> Substitutions {
    let environment = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Substitutions {
        environment,
        ..Substitutions::default()
    }
}

fn problems(text: &str) -> String {
    problems_in(text, &with_environment(&[]))
}

fn problems_in(text: &str, substitutions: &Substitutions) -> String {
    match read(text, substitutions) {
        Ok(read) => panic!("no problem in {text}: {:?}", read.scenario),
        Err(problems) => render("spike.yaml", text, &problems, false),
    }
}

/// Returns a valid file around the lines under test.
fn with(lines: &str) -> String {
    format!(
        "name: x\ntarget: {{ url: http://shop, group: shop }}\nphases: [{{ users: 1, hold: 1s }}]\nsteps: [{{ get: / }}]\n{lines}\n"
    )
}

#[test]
fn the_example_of_the_reference_page_is_read() {
    let scenario = read(example(), &with_environment(&[])).unwrap().scenario;
    insta::assert_debug_snapshot!(scenario);
}

#[test]
fn every_shipped_scenario_is_read_and_opens_with_its_question() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let substitutions = with_environment(&[
        ("TARGET_URL", "http://127.0.0.1:8080"),
        ("TARGET_GROUP", "shop-web"),
    ]);
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let question = text.lines().next().unwrap();
        assert!(
            question.starts_with("# ") && question.ends_with('?'),
            "{}: {question}",
            path.display()
        );
        assert!(
            text.contains("\n# yaml-language-server: $schema=../docs/scenario.schema.json\n"),
            "{}",
            path.display()
        );
        let open = |name: &str| Ok(std::fs::read(path.with_file_name(name))?);
        let read = super::read(&text, &substitutions, &open)
            .map_err(|problems| render("", &text, &problems, false))
            .unwrap();
        assert_eq!(
            path.file_stem().unwrap().to_str(),
            Some(read.scenario.name.as_str())
        );
        names.push(read.scenario.name);
    }
    names.sort();
    assert_eq!(
        names,
        [
            "hello",
            "shop",
            "soak",
            "spike-and-recover",
            "stress",
            "sustained"
        ]
    );
}

#[test]
fn ten_mistakes_are_reported_at_once_and_in_order() {
    let text = "\
name: my shop
target:
  url: shop.example.com
  grup: shop-web
  headers: { authorization: \"Bearer ${TOKEN}\" }
phases:
  - { name: sustained, users: 500, hold: 30 }
  - { name: spike, rate: 200, ramp: 30s }
flows:
  - name: browse
    think: 3s..1s
    steps:
      - get: https://other.example/api
        check: { status: 999 }
thresholds:
  - p95 < 500
  - errors < 1% in spke
fleet: { cpu: 1, memory: 16GB }
budget: 5
";
    assert!(read(text, &with_environment(&[])).unwrap_err().len() > 10);
    insta::assert_snapshot!(problems(text));
}

#[test]
fn a_file_that_is_not_yaml_has_one_problem_with_its_place() {
    insta::assert_snapshot!(problems("name: x\nphases: [1\nflows: }\n"));
}

#[test]
fn an_empty_file_is_told_what_to_write() {
    insta::assert_snapshot!(problems(""));
}

#[test]
fn repeated_and_empty_keys_are_reported() {
    insta::assert_snapshot!(problems(&with(
        "name: y\nthresholds:\nfleet: { cpus: 2, tasks: 501 }"
    )));
}

#[test]
fn a_threshold_in_k6_s_words_is_translated() {
    insta::assert_snapshot!(problems(&with(
        "thresholds:\n  http_req_duration: ['p(95)<500', 'avg<200']\n  http_req_failed: ['rate<0.01']\n  my_counter: ['count<5']"
    )));
}

#[test]
fn values_from_the_environment_are_never_shown() {
    let secrets =
        ["TOKEN", "URL", "PATH", "RATE", "LIMIT", "BUDGET"].map(|name| (name, "s3cr3t\u{1}://"));
    let text = "\
name: ${TOKEN}
target: { url: \"${URL}\", group: \"${TOKEN}\", headers: { authorization: \"${TOKEN}\" }, timeout: \"${LIMIT}\" }
phases: [{ rate: \"${RATE}\", hold: \"${LIMIT}\", role: \"${LIMIT}\" }]
flows:
  - name: ${TOKEN}
    weight: ${LIMIT}
    think: ${LIMIT}
    steps: [{ get: \"${PATH}\", name: \"${TOKEN}\", check: { status: \"${LIMIT}\", under: \"${LIMIT}\" } }]
thresholds: [\"p95 < ${LIMIT}\", \"${LIMIT}\"]
scaling: { in_within: \"${LIMIT}\", instance_header: \"${TOKEN}\", no_dropped_requests: \"${LIMIT}\" }
fleet: { cpu: \"${LIMIT}\", memory: \"${LIMIT}\", arch: \"${LIMIT}\", tasks: \"${LIMIT}\", subnets: [\"${LIMIT}\"], image: \"${TOKEN}\" }
budget: ${BUDGET}
";
    let shown = problems_in(text, &with_environment(&secrets));
    assert!(!shown.contains("s3cr3t"), "{shown}");
    assert_eq!(shown.matches("error: ").count(), 27, "{shown}");
}

#[test]
fn names_in_reports_are_what_was_written_never_what_a_variable_held() {
    let text = with("flows: []").replace("flows: []", "").replace(
        "steps: [{ get: / }]",
        "steps: [{ get: \"/a?key=${KEY}\", check: { contains: \"${KEY}\", matches: \"${KEY}\", header: { x-a: \"${KEY}\" } } }]",
    );
    let scenario = read(&text, &with_environment(&[("KEY", "s3cr3t")]))
        .unwrap()
        .scenario;
    let step = &scenario.flows[0].steps[0];
    assert_eq!(step.name, "GET /a?key=${KEY}");
    assert!(
        step.check_names()
            .iter()
            .all(|name| !name.contains("s3cr3t")),
        "{:?}",
        step.check_names()
    );
    assert_eq!(step.path.constant(), Some(&b"/a?key=s3cr3t"[..]));
}

#[test]
fn a_token_with_a_line_break_is_refused_as_in_any_header() {
    for (token, variable) in [
        ("a\\r\\nhost: other", ""),
        ("a\\f", ""),
        ("${TOKEN}", "t0ken\n"),
    ] {
        let text = format!(
            "name: x\ntarget: {{ url: \"http://shop\", auth: {{ bearer: \"{token}\" }} }}\n\
             phases: [{{ users: 1, hold: 1s }}]\nsteps: [{{ get: / }}]\n"
        );
        let shown = problems_in(&text, &with_environment(&[("TOKEN", variable)]));
        let expected = "the header `authorization` holds a character that no header may";
        assert!(shown.contains(expected), "{shown}");
        assert!(!shown.contains("t0ken"), "{shown}");
    }
}

#[test]
fn variables_are_replaced_and_only_the_used_ones_are_kept() {
    let text = "\
name: x
target: { url: \"http://${HOST}:8080\", headers: { authorization: \"Bearer ${TOKEN}\", x-price: \"$${5}\", x-n: 1.10 } }
phases: [{ users: \"${USERS}\", hold: 1s }]
steps: [{ post: /a, json: { b: [\"${HOST}\", 1, 2.5, null, true], a: {} } }]
";
    let substitutions = with_environment(&[
        ("HOST", "shop"),
        ("TOKEN", "t\"0"),
        ("USERS", "7"),
        ("HOME", "/root"),
    ]);
    let Read { scenario, used, .. } = read(text, &substitutions).unwrap();
    assert_eq!(scenario.target.url.to_string(), "http://shop:8080");
    let text =
        |template: &Template| String::from_utf8(template.constant().unwrap().to_vec()).unwrap();
    let headers: Vec<(&str, String)> = scenario
        .target
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), text(value)))
        .collect();
    let wanted = [
        ("authorization", "Bearer t\"0"),
        ("x-price", "${5}"),
        ("x-n", "1.10"),
    ];
    assert_eq!(
        headers,
        wanted.map(|(name, value)| (name, value.to_owned()))
    );
    assert_eq!(scenario.phases[0].level, 7.0);
    let body = scenario.flows[0].steps[0].body.as_ref().unwrap();
    assert_eq!(
        text(&body.content),
        r#"{"b":["shop",1,2.5,null,true],"a":{}}"#
    );
    assert_eq!(used.keys().collect::<Vec<_>>(), ["HOST", "TOKEN", "USERS"]);
    // The template of a value from outside says so.
    let as_written = |value: &Template| value.is_as_written();
    let headers: Vec<bool> = scenario
        .target
        .headers
        .iter()
        .map(|(_, value)| as_written(value))
        .collect();
    assert_eq!(headers, [false, false, true]);
    assert!(!as_written(&body.content));
}

fn with_secrets(pairs: &[(&str, &str)]) -> Substitutions {
    let mut substitutions = with_environment(&[]);
    for (name, value) in pairs {
        substitutions.secrets.insert(*name, *value);
    }
    substitutions
}

#[test]
fn secrets_go_where_requests_and_checks_take_them_and_are_named_not_shown() {
    let text = "\
name: x
target: { url: http://shop, auth: { basic: { user: ada, password: \"${secret:WORD}\" } } }
phases: [{ users: 1, hold: 1s }]
steps:
  - { post: \"/a?k=${secret:KEY}\", headers: { x-key: \"${secret:KEY}\" }, json: { k: \"${secret:KEY}\" }, check: { contains: \"${secret:KEY}\", json: { $.k: \"${secret:KEY}\" }, header: { x-key: \"${secret:KEY}\" } } }
  - { post: /b, form: { k: \"${secret:KEY}\" } }
  - { post: /c, body: \"${secret:KEY}\" }
  - { post: /d, multipart: { k: \"${secret:KEY}\" } }
";
    // Braces in a secret are no template.
    let Read {
        scenario,
        used,
        secrets,
        ..
    } = read(
        text,
        &with_secrets(&[("KEY", "c4nary"), ("WORD", "p{{w}}rd"), ("OTHER", "unread")]),
    )
    .unwrap();
    assert!(used.is_empty());
    assert_eq!(
        secrets.iter().collect::<Vec<_>>(),
        [("KEY", "c4nary"), ("WORD", "p{{w}}rd")]
    );
    let steps = &scenario.flows[0].steps;
    assert_eq!(steps[0].path.constant(), Some(&b"/a?k=c4nary"[..]));
    let bodies = steps
        .iter()
        .map(|step| &step.body.as_ref().unwrap().content);
    let bodies: Vec<(Option<&[u8]>, bool)> = bodies
        .map(|body| (body.constant(), body.is_as_written()))
        .collect();
    assert_eq!(
        bodies[..3],
        [
            (Some(&b"{\"k\":\"c4nary\"}"[..]), false),
            (Some(&b"k=c4nary"[..]), false),
            (Some(&b"c4nary"[..]), false)
        ]
    );
    assert!(!bodies[3].1, "a part of several");
    let said: Vec<String> = steps
        .iter()
        .flat_map(|step| step.check_names().into_iter().chain([step.name.clone()]))
        .collect();
    assert!(said.iter().all(|name| !name.contains("c4nary")), "{said:?}");
    assert_eq!(steps[0].name, "POST /a?k=${secret:KEY}");
}

#[test]
fn a_secret_is_refused_wherever_values_are_shown_or_decide() {
    let text = "\
name: ${secret:KEY}
target: { url: \"http://${secret:KEY}\", group: \"${secret:KEY}\", timeout: \"${secret:KEY}\", http: \"${secret:KEY}\" }
phases: [{ rate: \"${secret:KEY}\", hold: \"${secret:KEY}\", role: \"${secret:KEY}\" }]
data: { users: { file: \"${secret:KEY}\" } }
flows:
  - name: ${secret:KEY}
    weight: ${secret:KEY}
    think: ${secret:KEY}
    steps: [{ get: /, name: \"${secret:KEY}\", if: \"${secret:KEY}\", check: { status: \"${secret:KEY}\", matches: \"${secret:KEY}\" } }]
thresholds: [\"p95 < ${secret:KEY}\"]
scaling: { in_within: \"${secret:KEY}\", instance_header: \"${secret:KEY}\" }
fleet: { cpu: \"${secret:KEY}\", memory: \"${secret:KEY}\", subnets: [\"${secret:KEY}\"], image: \"${secret:KEY}\" }
budget: ${secret:KEY}
";
    let shown = problems_in(text, &with_secrets(&[("KEY", "c4nary")]));
    assert!(!shown.contains("c4nary"), "{shown}");
    let places = text.matches("${secret:KEY}").count();
    assert_eq!(
        shown.matches("error: a secret cannot stand here").count(),
        places,
        "{shown}"
    );
}

#[test]
fn what_is_wrong_with_a_secret_is_said_without_it() {
    // A path that cannot be one, a header that holds a line, and a template that ends too early.
    let text = with("").replace(
        "steps: [{ get: / }]",
        "steps: [{ get: \"${secret:PATH}\", headers: { a: \"${secret:PATH}\" }, check: { contains: \"{{ ${secret:PATH}\" } }]",
    );
    let shown = problems_in(&text, &with_secrets(&[("PATH", "c4nary\n")]));
    assert!(!shown.contains("c4nary"), "{shown}");
    assert_eq!(shown.matches("error: ").count(), 3, "{shown}");
}

#[test]
fn secrets_that_would_not_stay_secret_are_refused() {
    let text = "\
name: hunter2
target: { url: http://shop, headers: { a: \"${secret:NAMED}\", b: \"${secret:PIN}\", c: \"${secret:UNSET}\", d: \"${secret:TOKEN} ${COPY}\" } }
phases: [{ users: 1, hold: 1s }]
steps: [{ get: /, headers: { e: \"${secret:AWS_SECRET_ACCESS_KEY}\", f: \"${GITHUB_TOKEN}\" } }]
";
    let mut substitutions = with_secrets(&[
        ("NAMED", "hunter2"),
        ("PIN", "123"),
        ("TOKEN", "c4nary"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrX"),
    ]);
    for (name, value) in [("COPY", "Bearer c4nary"), ("GITHUB_TOKEN", "ghs_16C7e42F")] {
        substitutions
            .environment
            .insert(name.to_owned(), value.to_owned());
    }
    let shown = problems_in(text, &substitutions);
    assert!(
        !["c4nary", "wJalrX", "ghs_16C7e42F"]
            .iter()
            .any(|value| shown.contains(value)),
        "{shown}"
    );
    insta::assert_snapshot!(shown);

    let text = with("").replace("get: /", "get: \"/?k=${secret:TOKEN}\"");
    let substitutions = Substitutions {
        url: Some("http://shop/c4nary".to_owned()),
        ..with_secrets(&[("TOKEN", "c4nary")])
    };
    let shown = problems_in(&text, &substitutions);
    assert!(
        shown.contains("the value of the secret `TOKEN` also stands in `--url`")
            && !shown.contains("c4nary"),
        "{shown}"
    );
}

#[test]
fn a_missing_variable_is_named_and_pointed_at() {
    insta::assert_snapshot!(problems(&with(
        "thresholds: [\"p95 < ${LIMIT}\", \"p99 < ${LIMIT:-2s}\"]"
    )));
}

#[test]
fn the_url_option_replaces_the_one_in_the_file() {
    let substitutions = Substitutions {
        url: Some("http://127.0.0.1:9/base/".to_owned()),
        ..Substitutions::default()
    };
    for target in [
        "",
        "target: { url: \"${UNSET}\" }",
        "target: { timeout: 1s }",
    ] {
        let text = format!(
            "name: x\n{target}\nphases: [{{ users: 1, hold: 1s }}]\nsteps: [{{ get: / }}]\n"
        );
        assert_eq!(
            read(&text, &substitutions)
                .unwrap()
                .scenario
                .target
                .url
                .to_string(),
            "http://127.0.0.1:9/base"
        );
    }
    let wrong = Substitutions {
        url: Some("localhost".to_owned()),
        ..Substitutions::default()
    };
    insta::assert_snapshot!(problems_in(&with(""), &wrong));
}

#[test]
fn what_nests_too_deeply_is_refused_and_never_read() {
    let path = format!(
        "{}1{}",
        "{{ text(".to_owned() + &"text(".repeat(20_000),
        ")".repeat(20_001) + " }}"
    );
    let not = format!("$[?{}@.a{}]", "!(".repeat(5_000), ")".repeat(5_000));
    let filter = format!("${}", "[?@".repeat(300));
    for (step, message) in [
        (format!("get: \"/{path}\""), "deeper than 32 levels"),
        (
            format!("get: /, capture: {{ a: \"{not}\" }}"),
            "deeper than 32 levels",
        ),
        (
            format!("get: /, check: {{ json: {{ \"{filter}\": 1 }} }}"),
            "deeper than 32 levels",
        ),
        (
            "post: /, json: { \"{{ session() }}\": 1 }".to_owned(),
            "a key cannot hold a value",
        ),
        (
            "post: /, form: { \"{{ session() }}\": 1 }".to_owned(),
            "a key cannot hold a value",
        ),
    ] {
        let text = format!(
            "name: x\ntarget: {{ url: http://shop }}\nphases: [{{ users: 1, hold: 1s }}]\nsteps: [{{ {step} }}]\n"
        );
        let Err(problems) = read(&text, &with_environment(&[])) else {
            panic!("{message}")
        };
        assert!(
            problems
                .iter()
                .any(|problem| problem.message.contains(message)),
            "{message}: {}",
            problems[0].message
        );
    }
}

#[test]
fn every_rule_has_a_message_of_its_own() {
    for (lines, message) in [
        ("flows: []", "a scenario has `flows` or `steps`, not both"),
        ("thresholds: []", "`thresholds` is empty"),
        (
            "thresholds: p95 < 1s",
            "`thresholds` is a list, but this is text",
        ),
        (
            "scaling: { out_within: 0s }",
            "this must be longer than nothing",
        ),
        ("scaling: { out_within: 25h }", "`25h` is longer than a day"),
        (
            "scaling: { in_within: 2 cooldown }",
            "`2 cooldown` is not a bound for scaling in",
        ),
        (
            "scaling: { no_dropped_requests: maybe }",
            "`maybe` is not true or false",
        ),
        ("fleet: { cpu: 3 }", "Fargate has no such cpu"),
        (
            "fleet: { memory: 1GB }",
            "Fargate does not offer 1GB with 1 vCPU",
        ),
        (
            "fleet: { arch: amd64 }",
            "`amd64` is not a processor Fargate has",
        ),
        (
            "fleet: { subnets: [vpc-1] }",
            "`vpc-1` is not a subnet's id",
        ),
        ("fleet: [1]", "`fleet` is a map, but this is a list"),
        ("budget: $5", "`$5` is not an amount of US dollars"),
        ("cookies: true", "a scenario has no `cookies`"),
    ] {
        let text = with(lines);
        let problems = read(&text, &with_environment(&[])).unwrap_err();
        assert_eq!(
            problems
                .iter()
                .map(|problem| problem.message.as_str())
                .collect::<Vec<_>>(),
            [message],
            "{lines}"
        );
    }
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
#[test]
fn every_rule_of_phases_flows_and_steps_has_a_message_of_its_own() {
    let check = |phases: &str, flows: &str, message: &str| {
        let text =
            format!("name: x\ntarget: {{ url: http://shop }}\nphases: {phases}\nflows: {flows}\n");
        let problems = read(&text, &with_environment(&[])).unwrap_err();
        assert_eq!(
            problems
                .iter()
                .map(|problem| problem.message.as_str())
                .collect::<Vec<_>>(),
            [message],
            "{text}"
        );
    };
    let flows = "[{ name: a, steps: [{ get: / }] }]";
    check("[]", flows, "`phases` is empty");
    check("[{ users: 1 }]", flows, "this phase takes no time");
    check(
        "[{ hold: 1s }]",
        flows,
        "a phase needs a level: `users` or `rate`",
    );
    check("[{ users: 0, hold: 1s }]", flows, "no phase has any load");
    check(
        "[{ users: 1.5, hold: 1s }]",
        flows,
        "`1.5` is not a whole number of users",
    );
    check(
        "[{ users: -1, hold: 1s }]",
        flows,
        "`-1` is not a whole number of users",
    );
    check(
        "[{ users: 1, rate: 1/s, hold: 1s }]",
        flows,
        "a phase has `users` or `rate`, not both",
    );
    check(
        "[{ name: a, users: 1, hold: 1s }, { name: b, rate: 1/s, hold: 1s }]",
        flows,
        "the phases mix `users` and `rate`",
    );
    check(
        "[{ name: a, users: 1, hold: 1s }, { name: a, users: 2, hold: 1s }]",
        flows,
        "this name belongs to an earlier phase",
    );
    check(
        "[{ users: 1, hold: 1s }, { name: a, users: 2, hold: 1s }]",
        flows,
        "a phase needs a `name` when there is more than one",
    );
    check(
        "[{ users: 1, hold: 1s, role: spyke }]",
        flows,
        "`spyke` is not a role",
    );
    let phases = "[{ users: 1, hold: 1s }]";
    check(phases, "[{ steps: [{ get: / }] }]", "a flow needs `name`");
    check(
        phases,
        "[{ name: a, weight: 0, steps: [{ get: / }] }]",
        "a weight is above 0",
    );
    check(
        phases,
        "[{ name: a, weight: much, steps: [{ get: / }] }]",
        "`much` is not a weight",
    );
    check(
        phases,
        "[{ name: a, steps: [{ name: b }] }]",
        "a step needs a request",
    );
    check(
        phases,
        "[{ name: a, steps: [{ get: /, post: / }] }]",
        "a step makes one request, this is a second one",
    );
    check(
        phases,
        "[{ name: a, steps: [{ get: '/{{ id }}' }] }]",
        "nothing called `id` is known here",
    );
    check(
        phases,
        "[{ name: a, steps: [{ get: /, name: a }] }]",
        "`a` names both a flow and a step",
    );
    check(
        phases,
        "[{ name: a, steps: [{ get: /, headers: { content-length: 1 } }] }]",
        "`content-length` is set by spikeproof",
    );
    check(
        phases,
        "[{ name: a, steps: [{ get: /, headers: { 'a b': 1 } }] }]",
        "`a b` is not a header name",
    );
    check(
        phases,
        "[{ name: a, steps: [{ post: /, json: { a: 1, a: 2 } }] }]",
        "`a` is written twice",
    );
}

#[test]
fn files_and_values_of_the_wrong_kind_are_found_with_what_to_write() {
    let files: ReadFile<'_> = &|name| match name {
        "users.json" => Ok(b"[{\"id\": 1}]".to_vec()),
        "empty.jsonl" => Ok(b"{}\n".to_vec()),
        "users.csv" => Ok(b"id,email\n1,a\n".to_vec()),
        _ => Err(FileError::NotInPlan),
    };
    for (data, step, message, help) in [
        (
            "users.json",
            "get: /",
            "`users.json` is one JSON document, and a data file has a row on each line",
            "write one object on each line and name the file `.jsonl`, as by `jq -c '.[]' users.json > users.jsonl`",
        ),
        (
            "empty.jsonl",
            "get: /",
            "`empty.jsonl` cannot be read: line 1 is an empty object, so no column has a name",
            "CSV with a line of column names, or JSON lines (`.jsonl`) with an object in each",
        ),
        (
            "users.csv",
            "get: '/{{ users.mail }}'",
            "`users` has no column `mail`",
            "did you mean `users.email`?",
        ),
        (
            "users.csv",
            "post: /, form: { a: { b: 1 } }",
            "the field `a` is a text, or a list of texts, but this is a map",
            "write it like `tags: [red, blue]`",
        ),
        (
            "users.csv",
            "post: /, form: { a: [1, null] }",
            "the field `a` is a text, or a list of texts, but this is nothing",
            "write it like `tags: [red, blue]`",
        ),
        (
            "users.csv",
            "get: /, headers: { a: [1] }",
            "this should be text, but is a list",
            "write one text or number; a text that begins with `{` or `[` needs quotes",
        ),
    ] {
        let text = format!(
            "name: x\ntarget: {{ url: http://shop }}\nphases: [{{ users: 1, hold: 1s }}]\ndata: {{ users: {{ file: {data} }} }}\nsteps: [{{ {step} }}]\n"
        );
        let problems = super::read(&text, &with_environment(&[]), files).unwrap_err();
        let said: Vec<_> = problems
            .iter()
            .map(|problem| (problem.message.as_str(), problem.help.as_deref()))
            .collect();
        assert_eq!(said, [(message, Some(help))], "{step}");
    }
}

#[test]
fn a_body_out_of_a_file_that_the_environment_names_is_not_as_written() {
    let files: ReadFile<'_> = &|_| Ok(b"{}".to_vec());
    for (step, outside) in [
        ("post: /, file: a.json", false),
        ("post: /, file: '${DIR}/a.json'", true),
        ("post: /, file: 'a${DIR}'", true),
        ("post: /, multipart: { a: { file: a.json } }", false),
        ("post: /, multipart: { a: { file: '${DIR}/a.json' } }", true),
        ("post: /, multipart: { a: x, b: { file: '${DIR}' } }", true),
        (
            "post: /, multipart: { a: { file: a.json, type: '${DIR}' } }",
            true,
        ),
    ] {
        let text = format!(
            "name: x\ntarget: {{ url: http://shop }}\nphases: [{{ users: 1, hold: 1s }}]\nsteps: [{{ {step} }}]\n"
        );
        let read = super::read(&text, &with_environment(&[("DIR", "home")]), files).unwrap();
        let body = read.scenario.flows[0].steps[0].body.as_ref().unwrap();
        assert_eq!(body.content.is_as_written(), !outside, "{step}");
    }
}

#[test]
fn a_captured_object_that_stands_whole_in_a_path_is_told_with_a_member_to_name() {
    let list = "{ get: /list, capture: { item: '$.items[*]' } }";
    for (steps, told) in [
        (
            "{ get: '/items/{{ item }}' }, { get: '/p/{{ item.price.now }}' }",
            true,
        ),
        (
            "{ post: /a, json: { id: '{{ item.price.now }}' } }, { get: '/items/{{ raw(item) }}/x' }",
            true,
        ),
        ("{ get: '/items/{{ item }}' }", false),
        (
            "{ get: '/items/{{ item.price.now }}?all={{ item }}' }",
            false,
        ),
        (
            "{ post: '/items/{{ item.id }}', json: '{{ item }}' }",
            false,
        ),
        (
            "{ get: '/items/{{ item.id }}', capture: { item: $.id } }, { get: '/items/{{ item }}' }",
            false,
        ),
    ] {
        let text = format!(
            "name: x\ntarget: {{ url: http://shop }}\nphases: [{{ users: 1, hold: 1s }}]\nsteps: [{list}, {steps}]\n"
        );
        let found = match read(&text, &with_environment(&[])) {
            Ok(_) => Vec::new(),
            Err(problems) => problems,
        };
        let said: Vec<_> = found.iter().map(|one| one.help.as_deref()).collect();
        let wanted = Some("name the member, like `{{ item.price.now }}`");
        assert_eq!(said, vec![wanted; usize::from(told)], "{steps}: {found:?}");
        for problem in &found {
            let place = &text[problem.span.clone()];
            assert!(
                place.contains("{{ item }}") || place.contains("raw(item)"),
                "{place}"
            );
        }
    }
}

#[test]
fn a_path_has_no_column_with_objects() {
    let files: ReadFile<'_> = &|_| {
        Ok(br#"{"id": "a", "home": "x", "tags": "[]"}
{"id": "b", "home": {"town": "x"}, "tags": ["x"]}"#
            .to_vec())
    };
    for (step, told) in [
        ("{ get: '/{{ u.id }}' }", None),
        ("{ get: '/{{ u.home }}' }", Some("home")),
        ("{ get: '/{{ raw(u.tags) }}' }", Some("tags")),
        ("{ get: '/a?home={{ u.home }}' }", None),
        ("{ post: /, json: { home: '{{ u.home }}' } }", None),
    ] {
        let text = format!(
            "name: x\ntarget: {{ url: http://shop }}\nphases: [{{ users: 1, hold: 1s }}]\n\
             data: {{ u: {{ file: u.jsonl }} }}\nsteps: [{step}]\n"
        );
        let found = match super::read(&text, &with_environment(&[]), files) {
            Ok(_) => Vec::new(),
            Err(problems) => problems,
        };
        let said: Vec<_> = found.iter().map(|one| one.message.as_str()).collect();
        let wanted = told.map(|column| {
            format!(
                "the path has all of `u.{column}`, and row 2 of that file has an object or a list there"
            )
        });
        assert_eq!(said, wanted.iter().collect::<Vec<_>>(), "{step}");
    }
}

/// Returns the least time of a few that reading a text takes.
fn reading(text: &str, open: ReadFile<'_>) -> Duration {
    let of_one = (0..5).map(|_| {
        let begun = std::time::Instant::now();
        super::read(text, &with_environment(&[]), open).unwrap();
        begun.elapsed()
    });
    of_one.min().unwrap()
}

#[test]
fn ten_times_the_columns_or_steps_do_not_take_a_hundred_times_as_long() {
    use std::fmt::Write as _;

    let of_columns = |count: usize| {
        let names: Vec<String> = (0..count).map(|at| format!("column{at}")).collect();
        let file = format!("{}\n{}\n", names.join(","), names.join(","));
        let mut text = "name: x\ntarget: { url: http://shop }\nphases: [{ users: 1, hold: 1s }]\ndata: { d: { file: d.csv } }\nsteps:\n  - post: /\n    body: '".to_owned();
        for name in &names {
            write!(text, "{{{{ d.{name} }}}}").unwrap();
        }
        text.push_str("'\n");
        reading(&text, &|_| Ok(file.clone().into_bytes()))
    };
    let of_steps = |count: usize| {
        let mut text =
            "name: x\ntarget: { url: http://shop }\nphases: [{ users: 1, hold: 1s }]\nsteps:\n"
                .to_owned();
        for step in 0..count {
            writeln!(text, "  - get: /{step}\n    capture:").unwrap();
            for value in 0..50 {
                writeln!(text, "      v{step}_{value}: $.a").unwrap();
            }
        }
        reading(&text, &no_files)
    };
    for (what, few, many) in [
        ("columns", of_columns(2_000), of_columns(20_000)),
        ("steps", of_steps(20), of_steps(200)),
    ] {
        assert!(many < few * 30, "{what}: {few:?} {many:?}");
    }
}

#[test]
fn what_is_left_out_has_its_documented_default() {
    let text = "\
name: short
target: { url: http://shop }
phases: [{ rate: 600/min, hold: 1s, role: spike }]
steps: [{ get: /, check: { status: [2xx, 404] } }]
fleet: { cpu: 4 }
";
    let Scenario {
        target,
        phases,
        flows,
        thresholds,
        scaling,
        fleet,
        budget,
        ..
    } = read(text, &with_environment(&[])).unwrap().scenario;
    assert_eq!(
        (target.subject, target.timeout),
        (None, Duration::from_secs(30))
    );
    assert_eq!((phases[0].model, phases[0].level), (Model::Rate, 10.0));
    assert_eq!(
        (phases[0].grace, phases[0].burst),
        (Duration::from_secs(30), false)
    );
    assert_eq!(
        (target.redirects, target.cookies, target.compression),
        (10, true, true)
    );
    assert_eq!(target.connection, ConnectionPolicy::default());
    assert_eq!(
        (phases[0].name.as_str(), phases[0].role),
        ("load", PhaseRole::Spike)
    );
    assert_eq!(
        (flows[0].name.as_str(), flows[0].weight, flows[0].think),
        ("short", 1.0, Think::None)
    );
    let What::Status(codes) = &flows[0].steps[0].checks[0].what else {
        panic!("{flows:?}")
    };
    assert_eq!(codes.len(), 101);
    assert_eq!((thresholds, budget), (Vec::new(), None));
    assert_eq!(
        (scaling.out_within, scaling.in_within),
        (Duration::from_mins(3), InWithin::Auto)
    );
    assert_eq!(
        (scaling.no_dropped_requests, scaling.instance_header),
        (true, None)
    );
    assert_eq!(
        fleet.size,
        TaskSize {
            cpu_units: 4_096,
            memory_mib: 8_192
        }
    );
    assert_eq!(
        (fleet.tasks, fleet.arch, fleet.subnets, fleet.image),
        (TaskCount::Auto, Arch::X86_64, Vec::new(), None)
    );
}

#[test]
fn scaling_without_a_group_is_a_problem() {
    let text = "name: x\ntarget: { url: http://shop }\nphases: [{ users: 1, hold: 1s }]\nsteps: [{ get: / }]\nscaling: { out_within: 1m }\n";
    insta::assert_snapshot!(problems(text));
}

#[test]
fn colour_only_adds_escape_sequences() {
    let text = with("budget: 5");
    let found = read(&text, &with_environment(&[])).unwrap_err();
    assert!(!render("a", &text, &found, false).contains('\u{1b}'));
    assert!(render("a", &text, &found, true).contains('\u{1b}'));
}

fn read_and_render(text: &str) {
    if let Err(problems) = read(text, &with_environment(&[("A", "1")])) {
        assert!(!problems.is_empty(), "refused without a reason: {text}");
        render("any.yaml", text, &problems, false);
    }
}

proptest! {
    #[test]
    fn reading_never_panics_on_any_text(text in "\\PC*|[ -~\\n\\t]{0,200}|.*") {
        read_and_render(&text);
    }

    #[test]
    fn reading_never_panics_on_a_damaged_file(at in 0..2_000_usize, remove in 0..40_usize, insert in "[ -~\\nü]{0,12}") {
        let mut text = example().to_owned();
        let start = text.floor_char_boundary(at);
        let end = text.floor_char_boundary(start + remove);
        text.replace_range(start..end, &insert);
        read_and_render(&text);
    }

    #[test]
    fn reading_never_panics_on_any_value_behind_a_key(line in 0..40_usize, value in "[ -~]{0,16}|\\$\\{A\\}.{0,5}|-?[0-9.e]{1,8}") {
        let mut lines: Vec<String> = example().lines().map(str::to_owned).collect();
        let line = line % lines.len();
        if let Some((key, _)) = lines[line].clone().split_once(": ") {
            lines[line] = format!("{key}: {value}");
        }
        read_and_render(&lines.join("\n"));
    }
}
