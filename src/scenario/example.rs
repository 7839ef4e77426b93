//! A plain scenario for tests: one flow of one GET.

use super::{
    Arch, Check, Fleet, Flow, InWithin, Method, Model, Phase, Scaling, Scenario, Step, Target, TaskSize, Tasks, Think,
    Url,
};
use std::time::Duration;

pub fn scenario(model: Model, phases: Vec<Phase>) -> Scenario {
    Scenario {
        name: "shop".to_owned(),
        target: Target {
            url: Url { https: false, host: "shop".to_owned(), port: 80, path: String::new() },
            group: None,
            timeout: Duration::from_secs(30),
            headers: vec![],
        },
        model,
        phases,
        flows: vec![Flow {
            name: "browse".to_owned(),
            weight: 1.0,
            think: Think::None,
            steps: vec![Step {
                name: "GET /".to_owned(),
                method: Method::Get,
                path: "/".to_owned(),
                headers: vec![],
                json: None,
                check: Check::default(),
            }],
        }],
        thresholds: vec![],
        scaling: Scaling {
            out_within: Duration::from_secs(180),
            in_within: InWithin::Auto,
            no_dropped_requests: true,
            instance_header: None,
        },
        fleet: Fleet {
            tasks: Tasks::Auto,
            size: TaskSize { cpu_units: 1024, memory_mib: 2048 },
            arch: Arch::X86_64,
            subnets: vec![],
            image: None,
        },
        budget: None,
    }
}
