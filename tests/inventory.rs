//! The proof by name, in the lab: created resources are found, deleted, and found gone. Foreign
//! resources stay.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ecs::types::ContainerDefinition;
use spikeproof::aws::query::{Query, Service};
use spikeproof::aws::{Aws, Network};
use spikeproof::journal::names::{
    RUN_TAG, ResourceKind, ResourceNames, TARGET_TAG, Thing, target_tag,
};
use spikeproof::journal::record::WatchedTarget;
use spikeproof::lab::{self, Lab, Options, Principal};
use spikeproof::teardown::beside;
use spikeproof::teardown::inventory::{Inventory, InventoryError, Presence};
use spikeproof::units::RunId;

/// The one region in which a bucket is made without naming it in a body.
const REGION: &str = "us-east-1";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#;

/// An empty account. Ends with the test.
struct Account {
    aws: Aws,
    _lab: Lab,
}

impl Account {
    async fn start() -> Self {
        let lab = lab::start(Options::default()).await.unwrap();
        let (endpoint, key) = (lab.endpoint().to_owned(), lab.key(Principal::Operator));
        let credentials = SharedCredentialsProvider::new(Credentials::new(
            &key.id,
            key.secret.text(),
            None,
            None,
            "test",
        ));
        let sdk = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(&endpoint)
            .region(Region::new(REGION))
            .credentials_provider(credentials.clone())
            .load()
            .await;
        let aws = Aws {
            region: REGION.to_owned(),
            endpoint: Some(endpoint),
            credentials,
            sdk,
        };
        Self { aws, _lab: lab }
    }

    /// Makes every resource of a run except tasks, which moto does not run. Some are hard to
    /// delete.
    async fn make(&self, names: &ResourceNames) {
        let ecs = aws_sdk_ecs::Client::new(&self.aws.sdk);
        ecs.create_cluster()
            .cluster_name(&names.cluster)
            .send()
            .await
            .unwrap();
        self.register(&names.family).await;
        let ecr = aws_sdk_ecr::Client::new(&self.aws.sdk);
        ecr.create_repository()
            .repository_name(&names.repository)
            .send()
            .await
            .unwrap();

        let query = Query::new(&self.aws);
        self.group(&names.security_group).await;
        query
            .json(
                Service::Logs,
                "CreateLogGroup",
                &serde_json::json!({ "logGroupName": names.log_group }),
            )
            .await
            .unwrap();
        for role in [&names.execution_role, &names.task_role] {
            let named = ("RoleName", role.as_str());
            let call = [
                named,
                ("Path", "/spikeproof/"),
                ("AssumeRolePolicyDocument", TRUST),
            ];
            query
                .action(Service::Iam, "CreateRole", &call)
                .await
                .unwrap();
            let call = [named, ("PolicyName", "inline"), ("PolicyDocument", POLICY)];
            query
                .action(Service::Iam, "PutRolePolicy", &call)
                .await
                .unwrap();
        }
        query.bucket("PUT", &names.bucket, "").await.unwrap();
        for key in ["run/plan.json", "run/tasks/0/intervals/1", "run/a%26b%20c"] {
            query
                .bucket("PUT", &names.bucket, &format!("/{key}"))
                .await
                .unwrap();
        }
    }

    async fn register(&self, family: &str) {
        let container = ContainerDefinition::builder()
            .name("generator")
            .image("spikeproof")
            .memory(64)
            .build();
        let ecs = aws_sdk_ecs::Client::new(&self.aws.sdk);
        ecs.register_task_definition()
            .family(family)
            .container_definitions(container)
            .send()
            .await
            .unwrap();
    }

    async fn group(&self, name: &str) {
        let call = [
            ("GroupName", name),
            ("GroupDescription", "generators"),
            ("TagSpecification.1.ResourceType", "security-group"),
            ("TagSpecification.1.Tag.1.Key", "spikeproof:run"),
            // A look-alike has this tag too: only its name tells it apart.
            ("TagSpecification.1.Tag.1.Value", &name[..13]),
        ];
        Query::new(&self.aws)
            .action(Service::Ec2, "CreateSecurityGroup", &call)
            .await
            .unwrap();
    }
}

fn is_there(presence: &Presence) -> bool {
    matches!(presence, Presence::There { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn created_resources_are_found_and_after_deletion_found_gone() {
    let account = Account::start().await;
    let run = RunId::new(1_764_000_000, 7);
    let names = ResourceNames::of(&run);
    let inventory = Inventory::new(&account.aws, &run);
    for thing in names.things() {
        assert!(
            !is_there(&inventory.exists(&thing).await.unwrap()),
            "{thing} before it was made"
        );
    }
    account.make(&names).await;
    let made: Vec<Thing> = names
        .things()
        .into_iter()
        .filter(|thing| thing.kind != ResourceKind::Tasks)
        .collect();
    for thing in &made {
        assert!(
            is_there(&inventory.exists(thing).await.unwrap()),
            "{thing} after it was made"
        );
    }
    for thing in names.things() {
        inventory
            .delete(&thing)
            .await
            .unwrap_or_else(|error| panic!("{thing}: {error}"));
        assert!(
            !is_there(&inventory.exists(&thing).await.unwrap()),
            "{thing} after its deletion"
        );
        // A second reaper does no harm.
        inventory
            .delete(&thing)
            .await
            .unwrap_or_else(|error| panic!("{thing}, again: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_with_similar_names_are_left_alone() {
    let account = Account::start().await;
    let run = RunId::new(1_764_000_000, 7);
    let inventory = Inventory::new(&account.aws, &run);
    let copy = format!("{run}-copy");
    account.register(&copy).await;
    account.group(&copy).await;

    inventory
        .delete(&Thing {
            kind: ResourceKind::TaskDefinition,
            name: run.to_string(),
        })
        .await
        .unwrap();
    let other = Inventory::new(&account.aws, &RunId::new(1_764_000_001, 7));
    for kind in [ResourceKind::TaskDefinition, ResourceKind::SecurityGroup] {
        let guest = Thing {
            kind,
            name: copy.clone(),
        };
        let refused = other.delete(&guest).await.unwrap_err();
        assert!(matches!(refused, InventoryError::Foreign(_)), "{refused}");
        assert!(
            is_there(&inventory.exists(&guest).await.unwrap()),
            "{guest}"
        );
    }
    let guest = Thing {
        kind: ResourceKind::SecurityGroup,
        name: copy,
    };
    assert!(matches!(
        inventory.delete(&guest).await.unwrap_err(),
        InventoryError::Foreign(_)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_named_like_a_run_but_without_its_tag_is_foreign() {
    let account = Account::start().await;
    let run = RunId::new(1_764_000_000, 7);
    let names = ResourceNames::of(&run);
    // None of these has the tag.
    account.make(&names).await;
    let by_name = Inventory::new(&account.aws, &run).tagged_only();
    for (kind, name) in [
        (ResourceKind::Cluster, &names.cluster),
        (ResourceKind::TaskDefinition, &names.family),
    ] {
        let guest = Thing {
            kind,
            name: name.clone(),
        };
        let seen = by_name.exists(&guest).await.unwrap();
        assert!(
            matches!(&seen, Presence::Foreign { evidence } if evidence.contains("not this run's")),
            "{seen:?}"
        );
        by_name.delete(&guest).await.unwrap();
        assert!(
            is_there(
                &Inventory::new(&account.aws, &run)
                    .exists(&guest)
                    .await
                    .unwrap()
            ),
            "{guest}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_use_the_default_subnets_or_the_named_ones() {
    let account = Account::start().await;
    let default = Network::find(&account.aws, &[]).await.unwrap();
    assert!(
        default.vpc_id.starts_with("vpc-") && default.subnets.len() > 1,
        "{default:?}"
    );
    let one = default.subnets[..1].to_vec();
    assert_eq!(
        Network::find(&account.aws, &one).await.unwrap().subnets,
        one
    );
    let unknown = Network::find(&account.aws, &["subnet-0123".to_owned()])
        .await
        .unwrap_err();
    assert!(unknown.to_string().contains("subnet-0123"), "{unknown}");
}

/// A web server that is not AWS answers every call. Its answers must prove nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_another_server_does_not_prove_deletion() {
    for status in ["404 Not Found", "200 OK"] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut server = tokio::task::JoinSet::new();
        server.spawn(serve_page(listener, status));
        let credentials =
            SharedCredentialsProvider::new(Credentials::new("TEST", "test", None, None, "test"));
        let sdk = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(&endpoint)
            .region(Region::new(REGION))
            .credentials_provider(credentials.clone())
            .load()
            .await;
        let aws = Aws {
            region: REGION.to_owned(),
            endpoint: Some(endpoint),
            credentials,
            sdk,
        };
        let run = RunId::new(1_764_000_000, 7);
        let inventory = Inventory::new(&aws, &run);
        for thing in ResourceNames::of(&run).things() {
            let seen = inventory.exists(&thing).await;
            assert!(
                !matches!(seen, Ok(Presence::Gone { .. })),
                "{status}: {thing}: {seen:?}"
            );
        }
    }
}

async fn serve_page(listener: tokio::net::TcpListener, status: &'static str) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = vec![0; 64 * 1024];
        drop(stream.read(&mut request).await);
        let page = "<html><body>It works!</body></html>";
        let length = page.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{page}"
        );
        drop(stream.write_all(answer.as_bytes()).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_the_same_group_is_found_by_its_tag_and_its_heartbeat() {
    let account = Account::start().await;
    let (query, ecs) = (
        Query::new(&account.aws),
        aws_sdk_ecs::Client::new(&account.aws.sdk),
    );
    let group = "shop web #1";
    let [alive, of_another, dead] = [1, 2, 3].map(|number| RunId::new(1_764_000_000, number));
    for (run, group) in [(&alive, group), (&of_another, "api"), (&dead, group)] {
        let tag = |key: &str, value: &str| {
            let tag = aws_sdk_ecs::types::Tag::builder();
            tag.key(key).value(value).build()
        };
        ecs.create_cluster()
            .cluster_name(ResourceNames::of(run).cluster)
            .tags(tag(RUN_TAG, run.as_str()))
            .tags(tag(TARGET_TAG, &target_tag(group)))
            .send()
            .await
            .unwrap();
    }
    for run in [&alive, &of_another] {
        let bucket = ResourceNames::of(run).bucket;
        for part in ["", "/run/control.json"] {
            query.bucket("PUT", &bucket, part).await.unwrap();
        }
    }
    let target = |name: &str| WatchedTarget {
        name: name.to_owned(),
        region: REGION.to_owned(),
        endpoint: None,
    };
    let found = async |name: &str| {
        let found = beside::in_the_account(&account.aws, &target(name)).await;
        found.unwrap().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(found(group).await, [alive]);
    assert_eq!(found("api").await, [of_another]);
    assert_eq!(found("another").await, []);
}
