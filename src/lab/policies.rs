//! Bucket policies: kept here and given back as they were put.
//!
//! moto enforces a `Deny` without reading its `Condition`, so a policy that only refuses plain HTTP
//! would refuse everything. Policies are not what the lab tests.

use hyper::{Method, StatusCode};

use super::World;
use super::call::{ApiCall, LabResponse, answer};

/// Answers `PUT`, `GET` and `DELETE` of `/<bucket>?policy`; nothing for every other call.
pub(crate) fn answer_call(world: &World, call: &ApiCall) -> Option<LabResponse> {
    let asked = call
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .any(|part| part == "policy" || part == "policy=");
    if !asked {
        return None;
    }
    let bucket = call.uri.path().trim_matches('/').to_owned();
    let mut policies = world.policies();
    Some(match call.method {
        Method::PUT => {
            policies.insert(bucket, call.body.clone());
            answer(StatusCode::NO_CONTENT, "application/xml", "")
        }
        Method::DELETE => {
            policies.remove(&bucket);
            answer(StatusCode::NO_CONTENT, "application/xml", "")
        }
        _ => match policies.get(&bucket) {
            Some(policy) => answer(StatusCode::OK, "application/json", policy.clone()),
            None => {
                let body =
                    "<Error><Code>NoSuchBucketPolicy</Code><Message>no policy</Message></Error>";
                answer(StatusCode::NOT_FOUND, "application/xml", body)
            }
        },
    })
}
