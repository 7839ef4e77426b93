//! Permissions of callers: the lab holds its callers to the policy documents it was given, as AWS
//! would.
//!
//! Two principals, told apart by the key that signed the call: the operator (the orchestrator and its
//! terraform), and the tasks. Without a document a principal may do everything; what it did is kept
//! either way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::StatusCode;
use serde::Deserialize;

use super::LabError;
use super::call::{ApiCall, ApiError, LabResponse, Protocol};
use super::document::{NeededPermission, PolicyDocument, is_action};
use super::ids::ACCOUNT;
use super::keys::Principal;
use super::needs::{KnownRole, KnownRoles, needs};
use super::signature::SignatureError;

/// The `permissions:` section of the lab file: IAM policy documents.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyFiles {
    /// Policy of the orchestrator and its terraform; if absent, they may do everything.
    pub operator: Option<PathBuf>,
    /// Policy of the tasks; if absent, they may do everything.
    pub tasks: Option<PathBuf>,
}

impl PolicyFiles {
    /// Returns these files, and the others in place of absent ones.
    pub fn or(self, others: &Self) -> Self {
        let Self { operator, tasks } = others.clone();
        Self {
            operator: self.operator.or(operator),
            tasks: self.tasks.or(tasks),
        }
    }
}

/// The actions of a principal, compared with its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// `operator` or `tasks`.
    pub principal: &'static str,
    /// True if the lab held the principal to a document.
    pub held: bool,
    /// IAM actions, sorted.
    pub used: Vec<String>,
    /// `action on resource`.
    pub denied: Vec<String>,
    /// Actions of the document that no call needed.
    pub unused: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Permissions {
    operator: Option<PolicyDocument>,
    tasks: Option<PolicyDocument>,
    seen: Mutex<PermissionUse>,
}

#[derive(Debug, Default)]
struct PermissionUse {
    used: BTreeSet<(Principal, String)>,
    denied: BTreeSet<(Principal, String)>,
    roles: KnownRoles,
}

impl Permissions {
    pub(crate) fn read(files: &PolicyFiles) -> Result<Self, LabError> {
        let read = |path: &Option<PathBuf>| path.as_deref().map(document).transpose();
        Ok(Self {
            operator: read(&files.operator)?,
            tasks: read(&files.tasks)?,
            seen: Mutex::default(),
        })
    }

    /// Returns the refusal of a call that its caller's document does not allow.
    pub(crate) fn refusal(&self, call: &ApiCall) -> Option<LabResponse> {
        let Some(principal) = call.caller else {
            return Some(SignatureError::Missing.answer(call));
        };
        let mut seen = self.seen();
        let needs = needs(call, &seen.roles);
        if let Some(need) = needs.iter().find(|need| !self.allows(principal, need)) {
            seen.denied.insert((principal, told(need)));
            return Some(refuse(call, &fault(call, principal, need)));
        }
        seen.used
            .extend(needs.into_iter().map(|need| (principal, need.action)));
        seen.remember_role(call);
        None
    }

    pub(crate) fn usage(&self) -> [Usage; 2] {
        [Principal::Operator, Principal::Tasks].map(|principal| self.usage_of(principal))
    }

    fn usage_of(&self, principal: Principal) -> Usage {
        let seen = self.seen();
        let used = actions_of(principal, &seen.used);
        let document = self.document(principal);
        let never = |pattern: &&str| !used.iter().any(|action| is_action(pattern, action));
        let unused: BTreeSet<&str> = document
            .into_iter()
            .flat_map(PolicyDocument::allowed)
            .filter(never)
            .collect();
        let unused = unused.into_iter().map(str::to_owned).collect();
        Usage {
            principal: principal.word(),
            held: document.is_some(),
            denied: actions_of(principal, &seen.denied),
            unused,
            used,
        }
    }

    fn document(&self, principal: Principal) -> Option<&PolicyDocument> {
        match principal {
            Principal::Operator => self.operator.as_ref(),
            Principal::Tasks => self.tasks.as_ref(),
        }
    }

    fn allows(&self, principal: Principal, need: &NeededPermission) -> bool {
        self.document(principal)
            .is_none_or(|document| document.allows(need))
    }

    fn seen(&self) -> MutexGuard<'_, PermissionUse> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PermissionUse {
    fn remember_role(&mut self, call: &ApiCall) {
        if (call.service.as_str(), call.action.as_str()) != ("iam", "CreateRole") {
            return;
        }
        let form = call.form();
        let name = form.get("RoleName").unwrap_or_default().to_owned();
        let role = KnownRole {
            path: form.get("Path").unwrap_or("/").to_owned(),
            boundary: form.get("PermissionsBoundary").map(str::to_owned),
        };
        self.roles.insert(name, role);
    }
}

fn actions_of(principal: Principal, all: &BTreeSet<(Principal, String)>) -> Vec<String> {
    all.iter()
        .filter(|(who, _)| *who == principal)
        .map(|(_, action)| action.clone())
        .collect()
}

fn document(path: &Path) -> Result<PolicyDocument, LabError> {
    PolicyDocument::read(path).map_err(|source| LabError::Policy {
        path: path.to_owned(),
        source,
    })
}

fn told(need: &NeededPermission) -> String {
    match &need.resource {
        Some(resource) => format!("{} on {resource}", need.action),
        None => need.action.clone(),
    }
}

/// Returns the error in AWS's own words, which name the action.
fn fault(call: &ApiCall, principal: Principal, need: &NeededPermission) -> ApiError {
    let NeededPermission {
        action, resource, ..
    } = need;
    let resource = resource
        .as_ref()
        .map(|resource| format!(" on resource: {resource}"))
        .unwrap_or_default();
    let user = format!("arn:aws:iam::{ACCOUNT}:user/{}", principal.word());
    let message = format!(
        "User: {user} is not authorized to perform: {action}{resource} because no identity-based policy allows the \
         {action} action"
    );
    let code = match (call.protocol, call.service.as_str()) {
        (Protocol::Query, "ec2") => "UnauthorizedOperation",
        (Protocol::Query | Protocol::Rest, _) => "AccessDenied",
        (Protocol::Json | Protocol::Cbor, _) => "AccessDeniedException",
    };
    ApiError::new(code, message)
}

/// Refuses with 400 for JSON services, and with 403 for all others.
fn refuse(call: &ApiCall, fault: &ApiError) -> LabResponse {
    let mut answer = call.refuse(fault);
    if call.protocol != Protocol::Json {
        *answer.status_mut() = StatusCode::FORBIDDEN;
    }
    answer
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::HeaderMap;

    use super::Principal::{Operator, Tasks};
    use super::*;

    fn call(
        caller: Principal,
        service: &str,
        method: &str,
        uri: &str,
        body: &'static str,
    ) -> ApiCall {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=LAB/20261124/eu-west-1/{service}/aws4_request, Signature=x"
        );
        let mut headers = HeaderMap::new();
        headers.insert("authorization", scope.parse().unwrap());
        if service == "iam" || service == "ec2" {
            headers.insert(
                "content-type",
                "application/x-www-form-urlencoded".parse().unwrap(),
            );
        }
        if service == "ecr" {
            headers.insert(
                "x-amz-target",
                "AmazonEC2ContainerRegistry_V20150921.PutImage"
                    .parse()
                    .unwrap(),
            );
        }
        ApiCall::read(
            method.parse().unwrap(),
            uri.parse().unwrap(),
            headers,
            Bytes::from(body),
        )
        .signed_by(caller)
    }

    fn held() -> Permissions {
        let operator = PolicyDocument::parse(
            r#"{ "Version": "2012-10-17", "Statement": [
                { "Effect": "Allow", "Action": ["iam:CreateRole", "iam:GetRole", "iam:DeleteRole"],
                  "Resource": "arn:aws:iam::*:role/spikeproof/*" },
                { "Effect": "Allow", "Action": "s3:*", "Resource": "*" } ] }"#,
        );
        let tasks = PolicyDocument::parse(
            r#"{ "Version": "2012-10-17", "Statement": [
                { "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/run/*" } ] }"#,
        );
        Permissions {
            operator: Some(operator.unwrap()),
            tasks: Some(tasks.unwrap()),
            seen: Mutex::default(),
        }
    }

    #[tokio::test]
    async fn each_principal_is_held_to_its_own_document_and_a_refusal_is_in_the_services_own_shape()
    {
        let permissions = held();
        for (call, expected) in [
            (call(Operator, "s3", "PUT", "/b/run/plan.json", ""), None),
            (call(Tasks, "s3", "GET", "/b/run/plan.json", ""), None),
            (
                call(Tasks, "s3", "PUT", "/b/run/plan.json", ""),
                Some((403, "<Code>AccessDenied</Code>", "s3:PutObject")),
            ),
            (
                call(Operator, "ecr", "POST", "/", "{}"),
                Some((400, "AccessDeniedException", "ecr:PutImage")),
            ),
            (
                call(
                    Operator,
                    "ec2",
                    "POST",
                    "/",
                    "Action=DeleteSecurityGroup&GroupId=sg-1",
                ),
                Some((
                    403,
                    "<Errors><Error><Code>UnauthorizedOperation</Code>",
                    "ec2:DeleteSecurityGroup",
                )),
            ),
            (
                ApiCall {
                    caller: None,
                    ..call(Operator, "s3", "GET", "/b", "")
                },
                Some((403, "AccessDenied", "signed calls only")),
            ),
        ] {
            let refusal = permissions.refusal(&call);
            assert_eq!(refusal.is_some(), expected.is_some(), "{call:?}");
            let (Some(answer), Some((status, code, words))) = (refusal, expected) else {
                continue;
            };
            assert_eq!(answer.status().as_u16(), status, "{call:?}");
            let text = super::super::moto::text(answer).await;
            assert!(text.contains(code) && text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_role_is_judged_with_the_path_it_was_made_with() {
        let permissions = held();
        let get = || {
            call(
                Operator,
                "iam",
                "POST",
                "/",
                "Action=GetRole&RoleName=sp-1-task",
            )
        };
        assert!(permissions.refusal(&get()).is_some());
        let make = "Action=CreateRole&RoleName=sp-1-task&Path=%2Fspikeproof%2F";
        assert!(
            permissions
                .refusal(&call(Operator, "iam", "POST", "/", make))
                .is_none()
        );
        assert!(permissions.refusal(&get()).is_none());
        let [operator, tasks] = permissions.usage();
        let role = "iam:GetRole on arn:aws:iam::123456789012:role/sp-1-task";
        assert_eq!(
            (operator.denied, operator.used),
            (
                vec![role.to_owned()],
                vec!["iam:CreateRole".to_owned(), "iam:GetRole".to_owned()]
            )
        );
        assert_eq!(operator.unused, ["iam:DeleteRole", "s3:*"]);
        assert_eq!(
            (tasks.principal, tasks.held, tasks.used.len()),
            ("tasks", true, 0)
        );
    }

    #[test]
    fn without_documents_everything_is_allowed_and_remembered() {
        let permissions = Permissions::default();
        assert!(
            permissions
                .refusal(&call(Operator, "s3", "PUT", "/b", ""))
                .is_none()
        );
        let [operator, _] = permissions.usage();
        assert_eq!(
            (operator.held, operator.used),
            (false, vec!["s3:CreateBucket".to_owned()])
        );
    }
}
