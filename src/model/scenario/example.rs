//! A plain scenario for tests: one flow of one GET.

use std::time::Duration;

use super::{
    Action, Arch, Block, ConnectionPolicy, FleetSettings, Flow, Http, InWithin, LoadPhase, Method,
    Model, PhaseRole, ScalingExpectations, Scenario, Step, Target, TaskCount, TaskSize, Template,
    Think, Tls, Url,
};

/// Returns a jump to a level that is then held.
pub fn phase(name: &str, model: Model, level: f64, hold: Duration, role: PhaseRole) -> LoadPhase {
    LoadPhase {
        name: name.to_owned(),
        model,
        level,
        ramp: Duration::ZERO,
        hold,
        role,
        grace: Duration::from_secs(30),
        burst: false,
    }
}

/// Returns a request with no headers, checks or captures; its name is the method and the path.
pub fn step(method: Method, path: &str) -> Step {
    Step {
        name: format!("{} {path}", method.word()),
        group: None,
        method,
        path: Template::text(path),
        headers: vec![],
        body: None,
        checks: vec![],
        captures: vec![],
        think: None,
        timeout: None,
        redirects: None,
    }
}

/// Returns a flow of weight 1 that makes these requests in order.
pub fn flow(name: &str, steps: Vec<Step>) -> Flow {
    let actions = (0..steps.len())
        .map(|index| Action::Request(index as u16))
        .collect();
    Flow {
        name: name.to_owned(),
        weight: 1.0,
        think: Think::None,
        pace: None,
        setup: Block::default(),
        body: Block {
            condition: None,
            repeat: 1,
            actions,
        },
        steps,
        variables: vec![],
        lasting: 0,
    }
}

/// Returns a scenario `shop` with these phases: GET / at http://shop, no thresholds, no budget.
pub fn scenario(phases: Vec<LoadPhase>) -> Scenario {
    Scenario {
        name: "shop".to_owned(),
        target: Target {
            url: Url {
                https: false,
                host: "shop".to_owned(),
                port: 80,
                path: String::new(),
            },
            subject: None,
            like: None,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            private: false,
            headers: vec![],
            http: Http::Auto,
            tls: Tls::default(),
            redirects: 10,
            cookies: true,
            compression: true,
            connection: ConnectionPolicy::default(),
        },
        phases,
        flows: vec![flow("browse", vec![step(Method::Get, "/")])],
        data: vec![],
        seed: None,
        thresholds: vec![],
        scaling: ScalingExpectations {
            is_asked: false,
            out_within: Duration::from_mins(3),
            in_within: InWithin::Auto,
            no_dropped_requests: true,
            instance_header: None,
            fresh_instances: Some(Duration::from_mins(1)),
            no_early_scale_in: true,
            no_flapping: true,
            holds_at_maximum: true,
            p95_while_scaling: None,
            errors_while_scaling: None,
            under_provisioned: 0.25,
            over_provisioned: 0.75,
            asked_for_efficiency: false,
        },
        fleet: FleetSettings {
            tasks: TaskCount::Auto,
            size: TaskSize {
                cpu_units: 1024,
                memory_mib: 2048,
            },
            arch: Arch::X86_64,
            subnets: vec![],
            image: None,
        },
        budget: None,
    }
}
