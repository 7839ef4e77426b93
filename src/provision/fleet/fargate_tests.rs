//! Launching against an ECS whose answers are scripted, on a paused clock.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use super::*;

/// The outcome of one call.
enum Said {
    Answer(u16, Value),
    Lost,
}

type Script = dyn Fn(&str, usize) -> Said + Send + Sync;

/// Hears every call, and answers it by its name and how often it has been made.
#[derive(Clone)]
struct Ecs {
    script: Arc<Script>,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
}

impl std::fmt::Debug for Ecs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ecs")
    }
}

impl HttpConnector for Ecs {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let action = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap();
        let mut heard = self.heard.lock().unwrap();
        heard.push((action.clone(), body));
        let times = heard.iter().filter(|(other, _)| *other == action).count();
        HttpConnectorFuture::ready(match (self.script)(&action, times) {
            Said::Answer(status, body) => Ok(HttpResponse::new(
                status.try_into().unwrap(),
                SdkBody::from(body.to_string()),
            )),
            Said::Lost => Err(ConnectorError::io("connection reset by peer".into())),
        })
    }
}

impl Ecs {
    fn new(script: impl Fn(&str, usize) -> Said + Send + Sync + 'static) -> Self {
        Self {
            script: Arc::new(script),
            heard: Arc::default(),
        }
    }

    fn fleet(&self) -> FargateFleet {
        let credentials =
            SharedCredentialsProvider::new(Credentials::new("TEST", "test", None, None, "test"));
        let connector = self.clone();
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(credentials.clone())
            .http_client(http_client_fn(move |_, _| {
                SharedHttpConnector::new(connector.clone())
            }))
            .build();
        let aws = Aws {
            region: "eu-west-1".to_owned(),
            endpoint: None,
            credentials,
            sdk,
        };
        let name = || "sp-0000000001".to_owned();
        let placement = Placement {
            cluster: name(),
            task_definition: name(),
            security_group: "sg-1".to_owned(),
            subnets: vec![],
        };
        FargateFleet::new(
            &aws,
            placement,
            Orders {
                run: name(),
                epoch: 1,
                max_lifetime: Duration::from_mins(1),
            },
        )
    }

    /// Returns the tokens of all RunTask calls.
    fn tokens(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        let asked = heard.iter().filter(|(action, _)| action == "RunTask");
        asked
            .map(|(_, body)| body["clientToken"].as_str().unwrap().to_owned())
            .collect()
    }

    fn actions(&self) -> Vec<String> {
        self.heard
            .lock()
            .unwrap()
            .iter()
            .map(|(action, _)| action.clone())
            .collect()
    }
}

fn arn(number: u32) -> String {
    format!("arn:aws:ecs:eu-west-1:123456789012:task/sp-0000000001/{number}")
}

fn started(number: u32) -> Said {
    Said::Answer(
        200,
        json!({ "tasks": [{ "taskArn": arn(number), "lastStatus": "PROVISIONING" }], "failures": [] }),
    )
}

fn failed() -> Said {
    Said::Answer(
        500,
        json!({ "__type": "ServerException", "message": "again, later" }),
    )
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_asked_for_again_with_the_same_token() {
    let ecs = Ecs::new(|_, times| match times {
        1..=4 => Said::Lost,
        5..=6 => failed(),
        _ => started(7),
    });
    assert_eq!(ecs.fleet().launch(3, 1).await.unwrap(), arn(7));
    let tokens = ecs.tokens();
    assert!(
        tokens.len() > 3 && tokens.iter().all(|token| token == "sp-0000000001-1-3-1"),
        "{tokens:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_ends_the_attempt_after_half_a_minute_and_a_clear_refusal_at_once() {
    let begun = Instant::now();
    let error = Ecs::new(|_, _| failed())
        .fleet()
        .launch(0, 1)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("again, later"), "{error}");
    assert!(
        begun.elapsed() >= CLEARS_UP && begun.elapsed() < 2 * CLEARS_UP,
        "{:?}",
        begun.elapsed()
    );
    let refuse = |_: &str, _| {
        Said::Answer(
            400,
            json!({ "__type": "AccessDeniedException", "message": "no" }),
        )
    };
    let ecs = Ecs::new(refuse);
    ecs.fleet().launch(0, 1).await.unwrap_err();
    assert_eq!(ecs.tokens().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_twin_of_the_slot_is_stopped_before_another_task_takes_it() {
    let of_slot = |number: u32, slot: &str| {
        let environment = json!([{ "name": "SPIKEPROOF_SLOT", "value": slot }]);
        let container = json!({ "name": CONTAINER, "environment": environment });
        json!({ "taskArn": arn(number), "lastStatus": "RUNNING", "overrides": { "containerOverrides": [container] } })
    };
    let ecs = Ecs::new(move |action, _| match action {
        "ListTasks" => Said::Answer(200, json!({ "taskArns": [arn(1), arn(2)] })),
        "DescribeTasks" => {
            Said::Answer(200, json!({ "tasks": [of_slot(1, "0"), of_slot(2, "3")] }))
        }
        "RunTask" => started(9),
        _ => Said::Answer(200, json!({})),
    });
    let mut fleet = ecs.fleet();
    fleet.launch(3, 2).await.unwrap();
    assert_eq!(
        ecs.actions(),
        ["ListTasks", "DescribeTasks", "StopTask", "RunTask"]
    );
    assert_eq!(ecs.heard.lock().unwrap()[2].1["task"], arn(2));
    assert_eq!(ecs.tokens(), ["sp-0000000001-1-3-2"]);
    assert_eq!(fleet.billed().len(), 2, "the twin has cost something too");
}
