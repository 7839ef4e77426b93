//! Everything in the emulated account, by each service's own list call: the proof that nothing was
//! left.

use quick_xml::events::Event;
use serde_json::{Value, json};

use super::World;
use super::call::ApiError;

/// A policy document that is whole.
const ANY_POLICY: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22s3%3AGetObject%22%2C%22Resource%22%3A%22%2A%22%7D%5D%7D";

/// Makes what an administrator has made in the account before anybody comes: the policy that bounds
/// the roles of callers. moto does not enforce it, so its content does not matter.
pub(crate) async fn prepare(world: &World) -> Result<(), ApiError> {
    let form = format!(
        "Action=CreatePolicy&Version=2010-05-08&PolicyName=spikeproof-boundary&PolicyDocument={ANY_POLICY}"
    );
    let answer = world.moto.query("iam", &form).await?;
    match answer.contains(":policy/spikeproof-boundary</Arn>") {
        true => Ok(()),
        false => Err(ApiError::new("ServerException", answer)),
    }
}

/// Returns one line per thing, sorted.
pub(crate) async fn list(world: &World) -> Result<Vec<String>, ApiError> {
    let mut all = Vec::new();
    list_ecs(world, &mut all).await?;
    list_others(world, &mut all).await?;
    all.sort();
    Ok(all)
}

async fn list_ecs(world: &World, all: &mut Vec<String>) -> Result<(), ApiError> {
    let ecs = |action: &str| format!("AmazonEC2ContainerServiceV20141113.{action}");
    let arns = world
        .moto
        .json("ecs", &ecs("ListClusters"), &json!({}))
        .await?;
    let clusters = json!({ "clusters": arns["clusterArns"] });
    let clusters = world
        .moto
        .json("ecs", &ecs("DescribeClusters"), &clusters)
        .await?;
    let active = items(&clusters["clusters"]).filter(|cluster| cluster["status"] == "ACTIVE");
    add(
        all,
        "cluster",
        active.map(|cluster| text(&cluster["clusterName"])),
    );
    let tasks: Vec<String> = world
        .tasks()
        .values()
        .filter(|task| task.lives())
        .map(|task| format!("{}/{}", task.cluster, task.id))
        .collect();
    add(all, "task", tasks);
    let definitions = world
        .moto
        .json(
            "ecs",
            &ecs("ListTaskDefinitions"),
            &json!({ "status": "ACTIVE" }),
        )
        .await?;
    add(
        all,
        "task definition",
        items(&definitions["taskDefinitionArns"]).map(|arn| last(&text(arn))),
    );
    Ok(())
}

async fn list_others(world: &World, all: &mut Vec<String>) -> Result<(), ApiError> {
    let target = "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories";
    let repositories = world.moto.json("ecr", target, &json!({})).await?;
    add(
        all,
        "ECR repository",
        items(&repositories["repositories"]).map(|each| text(&each["repositoryName"])),
    );
    let groups = world
        .moto
        .json("logs", "Logs_20140328.DescribeLogGroups", &json!({}))
        .await?;
    add(
        all,
        "log group",
        items(&groups["logGroups"]).map(|each| text(&each["logGroupName"])),
    );
    let buckets = world.moto.get("s3", "/").await?;
    add(
        all,
        "bucket",
        texts(&buckets, &["Buckets", "Bucket", "Name"]),
    );
    let roles = world
        .moto
        .query("iam", "Action=ListRoles&Version=2010-05-08")
        .await?;
    add(all, "role", texts(&roles, &["Roles", "member", "RoleName"]));
    let groups = world
        .moto
        .query("ec2", "Action=DescribeSecurityGroups&Version=2016-11-15")
        .await?;
    let ids = texts(&groups, &["securityGroupInfo", "item", "groupId"]);
    let names = texts(&groups, &["securityGroupInfo", "item", "groupName"]);
    add(
        all,
        "security group",
        ids.iter()
            .zip(&names)
            .map(|(id, name)| format!("{name} ({id})")),
    );
    Ok(())
}

fn add(all: &mut Vec<String>, kind: &str, names: impl IntoIterator<Item = String>) {
    all.extend(names.into_iter().map(|name| format!("{kind} {name}")));
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn last(arn: &str) -> String {
    arn.rsplit('/').next().unwrap_or(arn).to_owned()
}

/// Returns the texts of all elements whose innermost ancestors are `path`.
fn texts(xml: &str, path: &[&str]) -> Vec<String> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut open, mut found) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => {
                open.push(String::from_utf8_lossy(tag.local_name().as_ref()).into_owned());
            }
            Ok(Event::End(_)) => {
                open.pop();
            }
            Ok(Event::Text(content))
                if open.len() >= path.len() && open[open.len() - path.len()..] == *path =>
            {
                found.push(String::from_utf8_lossy(&content).into_owned());
            }
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_their_innermost_path() {
        let xml = "<R xmlns=\"x\"><Buckets><Bucket><Name>a</Name></Bucket><Bucket><Name>b</Name></Bucket></Buckets>\
                   <Owner><Name>me</Name></Owner></R>";
        assert_eq!(texts(xml, &["Buckets", "Bucket", "Name"]), ["a", "b"]);
    }
}
