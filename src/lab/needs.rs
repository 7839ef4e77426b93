//! From a call on the wire to the IAM permissions it takes.
//!
//! The two are not the same: S3's verbs have other names in IAM, a tag given at creation is a
//! permission of its own, and handing a role to a service needs `iam:PassRole`.

use std::collections::BTreeMap;

use hyper::Uri;
use serde_json::Value;

use super::call::{ApiCall, Protocol, QueryParameters};
use super::document::NeededPermission;
use super::ids::{ACCOUNT, REGION};

/// The roles that were made, by their names. A call names a role by that alone, but IAM judges it
/// with its path and its boundary.
pub(crate) type KnownRoles = BTreeMap<String, KnownRole>;

/// A role, as IAM knows it beside its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownRole {
    /// Such as `/spikeproof/`.
    pub path: String,
    /// ARN of the policy that bounds it.
    pub boundary: Option<String>,
}

/// Returns every permission that the call takes.
pub(crate) fn needs(call: &ApiCall, roles: &KnownRoles) -> Vec<NeededPermission> {
    if call.service == "s3" && call.protocol == Protocol::Rest {
        return s3(call);
    }
    let wanted = match call.protocol {
        Protocol::Json => json(call, &call.json().unwrap_or_default()),
        Protocol::Query => query(call, &call.form(), roles),
        Protocol::Cbor | Protocol::Rest => CallSubject::default(),
    };
    wanted.needs(&format!("{}:{}", prefix(&call.service), call.action))
}

/// Returns IAM's name of a service; it may differ from the name that calls are signed for.
fn prefix(service: &str) -> &str {
    match service {
        "monitoring" => "cloudwatch",
        "tagging" => "tag",
        other => other,
    }
}

/// The resources of a call, and the permissions that it takes in addition to its own action.
#[derive(Debug, Default)]
struct CallSubject {
    resources: Vec<String>,
    facts: Vec<(String, String)>,
    more: Vec<NeededPermission>,
}

impl CallSubject {
    fn of(resources: impl IntoIterator<Item = String>) -> Self {
        Self {
            resources: resources.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Returns the permissions of the call; each resource must be allowed.
    fn needs(self, action: &str) -> Vec<NeededPermission> {
        let Self {
            resources,
            facts,
            more,
        } = self;
        let need = |resource| NeededPermission {
            action: action.to_owned(),
            resource,
            facts: facts.clone(),
        };
        let mut needs: Vec<NeededPermission> = resources
            .into_iter()
            .map(|resource| need(Some(resource)))
            .collect();
        if needs.is_empty() {
            needs.push(need(is_about_nothing(action).then(|| "*".to_owned())));
        }
        needs.extend(more);
        needs
    }

    /// Tags given at the creation take the right to tag what is created.
    fn tagged(
        mut self,
        tags: &[(String, String)],
        tagging: &str,
        created: Option<(&str, &str)>,
    ) -> Self {
        if tags.is_empty() {
            return self;
        }
        let requested = tags
            .iter()
            .map(|(key, value)| (format!("aws:RequestTag/{key}"), value.clone()));
        self.facts.extend(requested);
        let mut facts = self.facts.clone();
        facts.extend(created.map(|(key, action)| (key.to_owned(), action.to_owned())));
        let resource = self.resources.first().cloned();
        self.more.push(NeededPermission {
            action: tagging.to_owned(),
            resource,
            facts,
        });
        self
    }
}

/// True for actions that IAM asks about without a resource: only a statement on `*` allows them. Its
/// tables list a resource for `RegisterTaskDefinition`, and its refusals name `*`.
fn is_about_nothing(action: &str) -> bool {
    let (service, verb) = action.split_once(':').unwrap_or((action, ""));
    let reads = verb.starts_with("Describe") || verb.starts_with("Get") || verb.starts_with("List");
    match service {
        "ecs" => {
            [
                "CreateCluster",
                "DeregisterTaskDefinition",
                "DescribeTaskDefinition",
                "RegisterTaskDefinition",
            ]
            .contains(&verb)
                || verb.starts_with("List")
        }
        "ecr" => verb == "GetAuthorizationToken",
        "autoscaling"
        | "application-autoscaling"
        | "cloudwatch"
        | "ec2"
        | "elasticloadbalancing"
        | "iam"
        | "tag" => reads,
        _ => false,
    }
}

fn arn(service: &str, resource: impl std::fmt::Display) -> String {
    let region = if service == "iam" { "" } else { REGION };
    format!("arn:aws:{service}:{region}:{ACCOUNT}:{resource}")
}

fn json(call: &ApiCall, body: &Value) -> CallSubject {
    match call.service.as_str() {
        "ecs" => ecs(&call.action, body),
        "ecr" => ecr(&call.action, body),
        "logs" => logs(&call.action, body),
        _ => CallSubject::default(),
    }
}

fn ecs(action: &str, body: &Value) -> CallSubject {
    let cluster = text(&body["cluster"]).map(last);
    let mut wanted = CallSubject::of(ecs_resources(action, body, cluster.unwrap_or("default")));
    let cluster = cluster.map(|name| {
        (
            "ecs:cluster".to_owned(),
            arn("ecs", format_args!("cluster/{name}")),
        )
    });
    wanted.facts.extend(cluster);
    if action == "RegisterTaskDefinition" {
        let roles = ["taskRoleArn", "executionRoleArn"]
            .iter()
            .filter_map(|key| text(&body[*key]));
        wanted.more.extend(roles.map(pass_role));
    }
    match action {
        "CreateCluster" | "RegisterTaskDefinition" | "RunTask" => {
            let mut wanted = wanted.tagged(
                &tags(&body["tags"]),
                "ecs:TagResource",
                Some(("ecs:CreateAction", action)),
            );
            if action != "RunTask" {
                // It does not exist yet; only the tagging is judged by its name.
                wanted.resources.clear();
            }
            if let ("RunTask", Some(tagging)) = (action, wanted.more.last_mut()) {
                let cluster = text(&body["cluster"]).map_or("default", last);
                tagging.resource = Some(arn("ecs", format_args!("task/{cluster}/new")));
            }
            wanted
        }
        _ => wanted,
    }
}

fn ecs_resources(action: &str, body: &Value, cluster: &str) -> Vec<String> {
    let single = |kind: &str, key: &str| {
        text(&body[key])
            .map(|name| whole("ecs", kind, name))
            .into_iter()
            .collect::<Vec<String>>()
    };
    let each = |kind: &str, key: &str| {
        texts(&body[key])
            .map(|name| whole("ecs", kind, name))
            .collect()
    };
    match action {
        "CreateCluster" => single("cluster", "clusterName"),
        "DeleteCluster" => single("cluster", "cluster"),
        "DescribeClusters" => each("cluster", "clusters"),
        "RegisterTaskDefinition" => single("task-definition", "family")
            .into_iter()
            .map(|arn| arn + ":*")
            .collect(),
        "RunTask" => single("task-definition", "taskDefinition"),
        "DeleteTaskDefinitions" => each("task-definition", "taskDefinitions"),
        "StopTask" => single(&format!("task/{cluster}"), "task"),
        "DescribeTasks" => each(&format!("task/{cluster}"), "tasks"),
        "DescribeServices" => each(&format!("service/{cluster}"), "services"),
        "TagResource" | "UntagResource" | "ListTagsForResource" => single("", "resourceArn"),
        _ => Vec::new(),
    }
}

fn pass_role(role: &str) -> NeededPermission {
    let facts = vec![(
        "iam:PassedToService".to_owned(),
        "ecs-tasks.amazonaws.com".to_owned(),
    )];
    NeededPermission {
        action: "iam:PassRole".to_owned(),
        resource: Some(role.to_owned()),
        facts,
    }
}

fn ecr(action: &str, body: &Value) -> CallSubject {
    let named = text(&body["repositoryName"])
        .into_iter()
        .chain(texts(&body["repositoryNames"]));
    let mut resources: Vec<String> = named.map(|name| whole("ecr", "repository", name)).collect();
    resources.extend(text(&body["resourceArn"]).map(str::to_owned));
    // A call that names no repository asks about all.
    if resources.is_empty() && action == "DescribeRepositories" {
        resources.push(arn("ecr", "repository/*"));
    }
    let tags = if action == "CreateRepository" {
        tags(&body["tags"])
    } else {
        Vec::new()
    };
    CallSubject::of(resources).tagged(&tags, "ecr:TagResource", None)
}

fn logs(action: &str, body: &Value) -> CallSubject {
    let group =
        text(&body["logGroupName"]).map(|name| arn("logs", format_args!("log-group:{name}")));
    let resources = group.or_else(|| text(&body["resourceArn"]).map(str::to_owned));
    let tags = if action == "CreateLogGroup" {
        tags(&body["tags"])
    } else {
        Vec::new()
    };
    CallSubject::of(resources).tagged(&tags, "logs:TagResource", None)
}

fn query(call: &ApiCall, form: &QueryParameters, roles: &KnownRoles) -> CallSubject {
    match (call.service.as_str(), call.action.as_str()) {
        ("iam", "GetPolicy") => CallSubject::of(form.get("PolicyArn").map(str::to_owned)),
        ("iam", action) => {
            let known = form.get("RoleName").and_then(|name| roles.get(name));
            let role = form.get("RoleName").map(|name| {
                let path = form.get("Path").or(known.map(|role| role.path.as_str()));
                arn("iam", format_args!("role{}{name}", path.unwrap_or("/")))
            });
            let boundary = form
                .get("PermissionsBoundary")
                .or(known.and_then(|role| role.boundary.as_deref()));
            let tags = if action == "CreateRole" {
                form_tags(form, "Tags.member.")
            } else {
                Vec::new()
            };
            let mut wanted = CallSubject::of(role);
            let fact = |arn: &str| ("iam:PermissionsBoundary".to_owned(), arn.to_owned());
            wanted.facts.extend(boundary.map(fact));
            wanted.tagged(&tags, "iam:TagRole", None)
        }
        ("ec2", "CreateSecurityGroup") => {
            let tags = form_tags(form, "TagSpecification.1.Tag.");
            let created = Some(("ec2:CreateAction", "CreateSecurityGroup"));
            let mut wanted = CallSubject::of([arn("ec2", "security-group/*")]).tagged(
                &tags,
                "ec2:CreateTags",
                created,
            );
            // The network it is made in is a resource of the same action, and has no tags of this
            // request.
            let vpc = form
                .get("VpcId")
                .map(|id| arn("ec2", format_args!("vpc/{id}")));
            let need = NeededPermission {
                action: "ec2:CreateSecurityGroup".to_owned(),
                resource: vpc,
                facts: Vec::new(),
            };
            wanted.more.push(need);
            wanted
        }
        ("ec2", action) if !action.starts_with("Describe") => CallSubject::of(
            form.get("GroupId")
                .map(|id| arn("ec2", format_args!("security-group/{id}"))),
        ),
        ("autoscaling", "PutScalingPolicy" | "UpdateAutoScalingGroup") => {
            let named = |name: &str| format!("autoScalingGroup:*:autoScalingGroupName/{name}");
            let group = form.get("AutoScalingGroupName");
            CallSubject {
                facts: group_settings(form),
                ..CallSubject::of(group.map(|name| arn("autoscaling", named(name))))
            }
        }
        _ => CallSubject::default(),
    }
}

/// Returns the settings that a call gives a group, by their condition keys.
fn group_settings(form: &QueryParameters) -> Vec<(String, String)> {
    let settings = form.settings();
    let own = [
        ("LaunchConfigurationName", "LaunchConfigurationName"),
        ("MaxSize", "MaxSize"),
        ("MinSize", "MinSize"),
        ("VPCZoneIdentifier", "VPCZoneIdentifiers"),
    ];
    let own = own
        .into_iter()
        .filter_map(|(name, key)| Some((key, settings.get(name)?.clone())));
    let any = |word: &str| settings.keys().any(|name| name.contains(word));
    let version = any("LaunchTemplate")
        .then(|| ("LaunchTemplateVersionSpecified", any("Version").to_string()));
    let kinds = settings
        .iter()
        .filter(|(name, _)| name.ends_with(".InstanceType"))
        .map(|(_, kind)| ("InstanceTypes", kind.clone()));
    own.chain(version)
        .chain(kinds)
        .map(|(key, value)| (format!("autoscaling:{key}"), value))
        .collect()
}

/// Reads `Tags.member.1.Key=..&Tags.member.1.Value=..`.
fn form_tags(form: &QueryParameters, prefix: &str) -> Vec<(String, String)> {
    let tag = |number: usize| {
        let key = form.get(&format!("{prefix}{number}.Key"))?;
        Some((
            key.to_owned(),
            form.get(&format!("{prefix}{number}.Value"))
                .unwrap_or_default()
                .to_owned(),
        ))
    };
    (1..).map_while(tag).collect()
}

/// Reads a list of `key` and `value` (ECS), of `Key` and `Value` (ECR), or an object (Logs).
fn tags(value: &Value) -> Vec<(String, String)> {
    let owned =
        |key: &str, value: &Value| (key.to_owned(), text(value).unwrap_or_default().to_owned());
    if let Some(object) = value.as_object() {
        return object
            .iter()
            .map(|(key, value)| owned(key, value))
            .collect();
    }
    let list = value.as_array().into_iter().flatten();
    let pair = |tag: &Value| {
        let key = text(&tag["key"]).or(text(&tag["Key"]))?.to_owned();
        Some(owned(
            &key,
            if tag["value"].is_null() {
                &tag["Value"]
            } else {
                &tag["value"]
            },
        ))
    };
    list.filter_map(pair).collect()
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Callers name a thing by its ARN or by its name alone.
fn whole(service: &str, kind: &str, name: &str) -> String {
    if name.starts_with("arn:") {
        name.to_owned()
    } else {
        arn(service, format_args!("{kind}/{name}"))
    }
}

fn s3(call: &ApiCall) -> Vec<NeededPermission> {
    let path = call.uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let action = if bucket.is_empty() {
        "ListAllMyBuckets".to_owned()
    } else if key.is_empty() {
        bucket_action(call.method.as_str(), &call.uri)
    } else {
        object_action(call.method.as_str(), &call.uri)
    };
    let resource = match (bucket, key) {
        ("", _) => None,
        (bucket, "") => Some(format!("arn:aws:s3:::{bucket}")),
        (bucket, key) => Some(format!("arn:aws:s3:::{bucket}/{key}")),
    };
    // The keys to delete are in the body, which moto reads; IAM judges each as an object of the
    // bucket.
    let versions = memchr::memmem::find(&call.body, b"<VersionId>").is_some();
    let action = if action == "DeleteObject" && key.is_empty() && versions {
        "DeleteObjectVersion".to_owned()
    } else {
        action
    };
    let resource = if action.starts_with("DeleteObject") && key.is_empty() {
        resource.map(|arn| arn + "/*")
    } else {
        resource
    };
    let resource = resource.or_else(|| Some("*".to_owned()));
    vec![NeededPermission {
        action: format!("s3:{action}"),
        resource,
        facts: Vec::new(),
    }]
}

/// Returns the part of a bucket that a call is about: `?policy`, `?tagging` ...; empty for the
/// bucket itself.
fn part(uri: &Uri) -> &str {
    let keys = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split('=').next().unwrap_or_default());
    let plain = [
        "",
        "x-id",
        "list-type",
        "prefix",
        "delimiter",
        "max-keys",
        "continuation-token",
        "start-after",
    ];
    let plain =
        |key: &&str| !plain.contains(key) && *key != "encoding-type" && *key != "fetch-owner";
    keys.into_iter().find(plain).unwrap_or_default()
}

/// Returns IAM's action for a verb on a part of a bucket. For an unknown part it returns a name
/// that no document allows.
fn bucket_action(method: &str, uri: &Uri) -> String {
    let verb = if method == "GET" { "Get" } else { "Put" };
    let name = match (method, part(uri)) {
        ("GET" | "HEAD", "") => "ListBucket",
        ("PUT", "") => "CreateBucket",
        ("DELETE", "") => "DeleteBucket",
        ("POST", "delete") => "DeleteObject",
        ("GET", "versions") => "ListBucketVersions",
        ("GET", "uploads") => "ListBucketMultipartUploads",
        ("GET", "location") => "GetBucketLocation",
        ("GET", "policyStatus") => "GetBucketPolicyStatus",
        ("DELETE", "policy") => "DeleteBucketPolicy",
        ("DELETE", "website") => "DeleteBucketWebsite",
        (_, "policy") => return format!("{verb}BucketPolicy"),
        (_, "acl") => return format!("{verb}BucketAcl"),
        (_, "cors") => return format!("{verb}BucketCORS"),
        (_, "website") => return format!("{verb}BucketWebsite"),
        (_, "versioning") => return format!("{verb}BucketVersioning"),
        (_, "accelerate") => return format!("{verb}AccelerateConfiguration"),
        (_, "requestPayment") => return format!("{verb}BucketRequestPayment"),
        (_, "logging") => return format!("{verb}BucketLogging"),
        (_, "notification") => return format!("{verb}BucketNotification"),
        (_, "lifecycle") => return format!("{verb}LifecycleConfiguration"),
        (_, "replication") => return format!("{verb}ReplicationConfiguration"),
        (_, "encryption") => return format!("{verb}EncryptionConfiguration"),
        (_, "object-lock") => return format!("{verb}BucketObjectLockConfiguration"),
        (_, "tagging") => return format!("{verb}BucketTagging"),
        (_, "publicAccessBlock") => return format!("{verb}BucketPublicAccessBlock"),
        (_, "ownershipControls") => return format!("{verb}BucketOwnershipControls"),
        (method, part) => return format!("({method} of a bucket's `{part}`)"),
    };
    name.to_owned()
}

fn object_action(method: &str, uri: &Uri) -> String {
    let name = match (method, part(uri)) {
        ("GET" | "HEAD", "") => "GetObject",
        ("GET" | "HEAD", "versionId") => "GetObjectVersion",
        ("PUT", "") | ("POST" | "PUT", "uploads" | "uploadId" | "partNumber") => "PutObject",
        ("GET", "uploadId") => "ListMultipartUploadParts",
        ("DELETE", "") => "DeleteObject",
        ("DELETE", "versionId") => "DeleteObjectVersion",
        ("DELETE", "uploadId") => "AbortMultipartUpload",
        ("GET", "tagging") => "GetObjectTagging",
        ("PUT", "tagging") => "PutObjectTagging",
        (method, part) => return format!("({method} of an object's `{part}`)"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::HeaderMap;

    use super::*;

    fn call(
        service: &str,
        method: &str,
        uri: &str,
        more: &[(&'static str, &str)],
        body: &'static str,
    ) -> ApiCall {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=LAB/20261124/eu-west-1/{service}/aws4_request, Signature=x"
        );
        let mut headers: HeaderMap = more
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        headers.insert("authorization", scope.parse().unwrap());
        ApiCall::read(
            method.parse().unwrap(),
            uri.parse().unwrap(),
            headers,
            Bytes::from(body),
        )
    }

    fn json_call(service: &str, action: &str, body: &'static str) -> ApiCall {
        call(
            service,
            "POST",
            "/",
            &[("x-amz-target", &format!("Version.{action}"))],
            body,
        )
    }

    fn form_call(service: &str, body: &'static str) -> ApiCall {
        call(
            service,
            "POST",
            "/",
            &[("content-type", "application/x-www-form-urlencoded")],
            body,
        )
    }

    /// Returns lines such as `action on resource [key=value]`.
    fn told(call: &ApiCall, roles: &KnownRoles) -> Vec<String> {
        let line = |need: NeededPermission| {
            let facts: String = need
                .facts
                .iter()
                .map(|(key, value)| format!(" [{key}={value}]"))
                .collect();
            format!(
                "{} on {}{facts}",
                need.action,
                need.resource.as_deref().unwrap_or("-")
            )
        };
        needs(call, roles).into_iter().map(line).collect()
    }

    #[test]
    fn the_verbs_of_s3_have_other_names_in_iam() {
        for (method, uri, expected) in [
            ("GET", "/", "s3:ListAllMyBuckets on *"),
            (
                "GET",
                "/b?list-type=2&prefix=run",
                "s3:ListBucket on arn:aws:s3:::b",
            ),
            ("HEAD", "/b", "s3:ListBucket on arn:aws:s3:::b"),
            ("PUT", "/b", "s3:CreateBucket on arn:aws:s3:::b"),
            ("DELETE", "/b/", "s3:DeleteBucket on arn:aws:s3:::b"),
            (
                "PUT",
                "/b?publicAccessBlock",
                "s3:PutBucketPublicAccessBlock on arn:aws:s3:::b",
            ),
            (
                "DELETE",
                "/b?publicAccessBlock=",
                "s3:PutBucketPublicAccessBlock on arn:aws:s3:::b",
            ),
            ("GET", "/b?policy", "s3:GetBucketPolicy on arn:aws:s3:::b"),
            (
                "DELETE",
                "/b?policy",
                "s3:DeleteBucketPolicy on arn:aws:s3:::b",
            ),
            (
                "PUT",
                "/b?encryption",
                "s3:PutEncryptionConfiguration on arn:aws:s3:::b",
            ),
            (
                "GET",
                "/b?lifecycle",
                "s3:GetLifecycleConfiguration on arn:aws:s3:::b",
            ),
            (
                "PUT",
                "/b?ownershipControls",
                "s3:PutBucketOwnershipControls on arn:aws:s3:::b",
            ),
            ("POST", "/b?delete", "s3:DeleteObject on arn:aws:s3:::b/*"),
            (
                "GET",
                "/b?inventory",
                "s3:(GET of a bucket's `inventory`) on arn:aws:s3:::b",
            ),
            (
                "GET",
                "/b/run/plan.json?x-id=GetObject",
                "s3:GetObject on arn:aws:s3:::b/run/plan.json",
            ),
            (
                "PUT",
                "/b/run/plan.json",
                "s3:PutObject on arn:aws:s3:::b/run/plan.json",
            ),
            (
                "DELETE",
                "/b/k?versionId=1",
                "s3:DeleteObjectVersion on arn:aws:s3:::b/k",
            ),
        ] {
            assert_eq!(
                told(&call("s3", method, uri, &[], ""), &KnownRoles::new()),
                [expected],
                "{method} {uri}"
            );
        }
    }

    #[test]
    fn tags_and_roles_take_permissions_of_their_own() {
        let create = json_call(
            "ecs",
            "CreateCluster",
            r#"{ "clusterName": "sp-1", "tags": [{ "key": "spikeproof:run", "value": "sp-1" }] }"#,
        );
        let cluster =
            "arn:aws:ecs:eu-west-1:123456789012:cluster/sp-1 [aws:RequestTag/spikeproof:run=sp-1]";
        let expected = [
            "ecs:CreateCluster on * [aws:RequestTag/spikeproof:run=sp-1]".to_owned(),
            format!("ecs:TagResource on {cluster} [ecs:CreateAction=CreateCluster]"),
        ];
        assert_eq!(told(&create, &KnownRoles::new()), expected);

        let register = json_call(
            "ecs",
            "RegisterTaskDefinition",
            r#"{ "family": "sp-1", "taskRoleArn": "arn:aws:iam::1:role/r" }"#,
        );
        let expected = [
            "ecs:RegisterTaskDefinition on *",
            "iam:PassRole on arn:aws:iam::1:role/r [iam:PassedToService=ecs-tasks.amazonaws.com]",
        ];
        assert_eq!(told(&register, &KnownRoles::new()), expected);

        let group = "Action=CreateSecurityGroup&VpcId=vpc-1&TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=v";
        let group = told(&form_call("ec2", group), &KnownRoles::new());
        assert_eq!(group.len(), 3, "{group:?}");
        assert!(
            group[1].starts_with("ec2:CreateTags")
                && group[1].ends_with("[ec2:CreateAction=CreateSecurityGroup]")
        );
        assert!(group[2].ends_with(":vpc/vpc-1"), "{group:?}");
    }

    #[test]
    fn each_service_names_its_resources_in_its_own_way() {
        let tasks =
            r#"{ "cluster": "arn:aws:ecs:eu-west-1:1:cluster/sp-1", "tasks": ["t1", "arn:t2"] }"#;
        let cluster = "[ecs:cluster=arn:aws:ecs:eu-west-1:123456789012:cluster/sp-1]";
        let expected = [
            format!(
                "ecs:DescribeTasks on arn:aws:ecs:eu-west-1:123456789012:task/sp-1/t1 {cluster}"
            ),
            format!("ecs:DescribeTasks on arn:t2 {cluster}"),
        ];
        assert_eq!(
            told(
                &json_call("ecs", "DescribeTasks", tasks),
                &KnownRoles::new()
            ),
            expected
        );
        let all = told(
            &json_call("ecr", "DescribeRepositories", "{}"),
            &KnownRoles::new(),
        );
        assert_eq!(
            all,
            ["ecr:DescribeRepositories on arn:aws:ecr:eu-west-1:123456789012:repository/*"]
        );
        let log = told(
            &json_call("logs", "DeleteLogGroup", r#"{ "logGroupName": "/a/b" }"#),
            &KnownRoles::new(),
        );
        assert_eq!(
            log,
            ["logs:DeleteLogGroup on arn:aws:logs:eu-west-1:123456789012:log-group:/a/b"]
        );
        let get = form_call("iam", "Action=GetRole&RoleName=sp-1-task");
        let boundary = "arn:aws:iam::123456789012:policy/b";
        for (known, facts) in [
            (None, String::new()),
            (
                Some(boundary),
                format!(" [iam:PermissionsBoundary={boundary}]"),
            ),
        ] {
            let role = KnownRole {
                path: "/spikeproof/".to_owned(),
                boundary: known.map(str::to_owned),
            };
            let roles = KnownRoles::from([("sp-1-task".to_owned(), role)]);
            let arn = "arn:aws:iam::123456789012:role/spikeproof/sp-1-task";
            assert_eq!(told(&get, &roles), [format!("iam:GetRole on {arn}{facts}")]);
        }
        let create = "Action=CreateRole&RoleName=r&PermissionsBoundary=arn%3Ab";
        assert_eq!(
            told(&form_call("iam", create), &KnownRoles::new()),
            ["iam:CreateRole on arn:aws:iam::123456789012:role/r [iam:PermissionsBoundary=arn:b]"]
        );
        assert_eq!(
            told(&get, &KnownRoles::new()),
            ["iam:GetRole on arn:aws:iam::123456789012:role/sp-1-task"]
        );
        let alarms = call(
            "monitoring",
            "POST",
            "/service/Granite/operation/DescribeAlarms",
            &[],
            "",
        );
        assert_eq!(
            told(&alarms, &KnownRoles::new()),
            ["cloudwatch:DescribeAlarms on *"]
        );
    }
}
