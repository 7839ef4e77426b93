//! The one endpoint: it answers the calls on the lab's own things, and leaves all others to moto.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::call::{ApiCall, ApiError, LabResponse, Protocol, answer};
use super::tap::When;
use super::worlds::balancing::Connection;
use super::{
    World, autoscaling, clock, cloudwatch, ecs, elb, images, permissions, policies, service,
};

/// Serves HTTP/1.1 until `closing`; then connections are cut.
pub(crate) async fn listen<S, F>(listener: TcpListener, closing: CancellationToken, service: S)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<LabResponse, Infallible>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut accepted = 0;
    loop {
        let stream = tokio::select! {
            () = closing.cancelled() => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else {
            // Out of file descriptors, most likely: it passes.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        drop(stream.set_nodelay(true));
        let service = service.clone();
        accepted += 1;
        let connection = Connection(accepted);
        let service = move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(connection);
            service(request)
        };
        connections.spawn(async move {
            let server = hyper::server::conn::http1::Builder::new();
            drop(
                server
                    .serve_connection(TokioIo::new(stream), service_fn(service))
                    .await,
            );
        });
    }
}

pub(crate) async fn serve(
    world: Arc<World>,
    request: Request<Incoming>,
) -> Result<LabResponse, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(answer(
            StatusCode::BAD_REQUEST,
            "text/plain",
            "the body broke off",
        ));
    };
    let call = ApiCall::read(parts.method, parts.uri, parts.headers, body.to_bytes());
    let number = world.line.number(&call);
    let answer = match world.line.hear(number, &call, When::Before) {
        Some(fault) => Err(fault),
        None => route(&world, &call).await,
    };
    let answer = answer.unwrap_or_else(|fault| call.refuse(&fault));
    // A call that is refused here has been carried out all the same.
    let answer = world
        .line
        .hear(number, &call, When::After)
        .map_or(answer, |fault| call.refuse(&fault));
    tracing::debug!(
        service = call.service,
        action = call.action,
        status = answer.status().as_u16(),
        "AWS call"
    );
    Ok(answer)
}

async fn route(world: &World, call: &ApiCall) -> Result<LabResponse, ApiError> {
    if let Some(path) = call.uri.path().strip_prefix("/_lab/") {
        return Ok(inside(world, path));
    }
    if let Some(refusal) = world.permissions.refusal(call) {
        return Ok(refusal);
    }
    if let Some(refusal) = world.refusal(&call.action) {
        return Err(ApiError::new(&refusal.code, &refusal.message));
    }
    let ours = match (call.service.as_str(), call.protocol) {
        ("ecs", Protocol::Json) => match service::answer_ecs(world, call)? {
            Some(answer) => Some(answer),
            None => ecs::answer(world, call).await?,
        },
        ("application-autoscaling", Protocol::Json) => service::answer_scaling(world, call)?,
        ("ecr", Protocol::Json) => images::answer_call(world, call).await?,
        ("ec2", Protocol::Query) if call.action == "DeleteSecurityGroup" => {
            ecs::security_group_is_free(world, call)?;
            None
        }
        ("autoscaling", Protocol::Query) => autoscaling::answer(world, call),
        ("elasticloadbalancing", Protocol::Query) => elb::answer(world, call),
        ("s3", Protocol::Rest) => policies::answer_call(world, call),
        ("monitoring", Protocol::Cbor) => cloudwatch::answer(world, call),
        _ => None,
    };
    match ours {
        Some(answer) => Ok(answer),
        None => world.moto.forward(call).await,
    }
}

/// Answers the link-local addresses of Fargate tasks, and the layers' download URLs.
fn inside(world: &World, path: &str) -> LabResponse {
    let json =
        |body: serde_json::Value| answer(StatusCode::OK, "application/json", body.to_string());
    if path == "credentials" {
        let expiration = clock::seconds(world.clock.now() + Duration::from_hours(6));
        return json(json!({
            "AccessKeyId": permissions::TASK_KEY, "SecretAccessKey": "lab", "Token": "lab", "Expiration": expiration,
        }));
    }
    if let Some(digest) = path.strip_prefix("layers/") {
        return images::download(world, digest);
    }
    let task = path
        .strip_prefix("metadata/")
        .and_then(|rest| rest.split('/').next());
    match task.and_then(|id| world.tasks().get(id).cloned()) {
        Some(task) => json(ecs::metadata(&task, &world.endpoint)),
        None => answer(StatusCode::NOT_FOUND, "text/plain", "no such task"),
    }
}
