//! The one endpoint: it answers the calls on the lab's own things, and leaves all others to moto. Every
//! call must be signed with a key of this lab.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::call::{ApiCall, ApiError, LabResponse, Protocol, answer};
use super::keys::Principal;
use super::secret::Secret;
use super::signature::{Claim, SignatureError};
use super::tap::When;
use super::worlds::balancing::Connection;
use super::worlds::connections::Place;
use super::{World, autoscaling, clock, cloudwatch, ecs, elb, images, policies, service};

/// Serves HTTP/1.1 until `closing`; then connections are cut. A connection that has no place is
/// closed at once, without an answer.
pub(crate) async fn listen<S, F>(
    listener: TcpListener,
    closing: CancellationToken,
    admit: impl Fn() -> Option<Place>,
    service: S,
) where
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
        let Some(place) = admit() else {
            drop(stream);
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
            drop(place);
        });
    }
}

/// Answers a call, after the door and the signature have been checked.
pub(crate) async fn serve(
    world: Arc<World>,
    request: Request<Incoming>,
) -> Result<LabResponse, Infallible> {
    let (parts, body) = request.into_parts();
    if let Some(refusal) = world.doors.front.refusal(&parts) {
        return Ok(refusal);
    }
    if let Some(path) = parts.uri.path().strip_prefix("/_lab/") {
        return Ok(inside(&world, path, &parts.headers));
    }
    let answer = match admit(&world, parts, body).await {
        Ok(call) => carry_out(&world, &call).await,
        Err(refusal) => refusal,
    };
    Ok(answer)
}

/// Reads a call and checks its signature. The body of somebody without a key is not read: it may have
/// no end.
async fn admit(world: &World, parts: Parts, body: Incoming) -> Result<ApiCall, LabResponse> {
    let refuse = |parts: &Parts, problem: SignatureError| {
        let Parts {
            method,
            uri,
            headers,
            ..
        } = parts.clone();
        let call = ApiCall::read(method, uri, headers, Bytes::new());
        tracing::debug!(service = call.service, %problem, "AWS call refused");
        problem.answer(&call)
    };
    let claim = Claim::read(&parts).map_err(|problem| refuse(&parts, problem))?;
    let Some(caller) = world.keys.owner(&claim.key) else {
        return Err(refuse(&parts, SignatureError::UnknownKey));
    };
    let Ok(body) = body.collect().await else {
        return Err(answer(
            StatusCode::BAD_REQUEST,
            "text/plain",
            "the body broke off",
        ));
    };
    let body = body.to_bytes();
    claim
        .verify(world.keys.of(caller), &parts, &body, SystemTime::now())
        .map_err(|problem| refuse(&parts, problem))?;
    let call = ApiCall::read(parts.method, parts.uri, parts.headers, body);
    Ok(ApiCall {
        service: claim.service,
        ..call.signed_by(caller)
    })
}

async fn carry_out(world: &World, call: &ApiCall) -> LabResponse {
    let number = world.line.number(call);
    let answer = match world.line.hear(number, call, When::Before) {
        Some(fault) => Err(fault),
        None => route(world, call).await,
    };
    let answer = answer.unwrap_or_else(|fault| call.refuse(&fault));
    // A call that is refused here has been carried out all the same.
    let answer = world
        .line
        .hear(number, call, When::After)
        .map_or(answer, |fault| call.refuse(&fault));
    tracing::debug!(
        service = call.service,
        action = call.action,
        status = answer.status().as_u16(),
        "AWS call"
    );
    match &world.recorder {
        Some(recorder) => recorder.record(world, call, answer).await,
        None => answer,
    }
}

async fn route(world: &World, call: &ApiCall) -> Result<LabResponse, ApiError> {
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
        ("monitoring", Protocol::Cbor | Protocol::Json | Protocol::Query) => {
            cloudwatch::answer(world, call)?
        }
        _ => None,
    };
    match ours {
        Some(answer) => Ok(answer),
        None => world.moto.forward(call).await,
    }
}

/// Answers the link-local addresses of Fargate tasks, and the layers' download URLs. Each takes a
/// text that only those have to whom the lab has given the address.
fn inside(world: &World, path: &str, headers: &HeaderMap) -> LabResponse {
    let task = |id: &str, pass: &str| {
        let task = world.tasks().get(id).cloned();
        task.filter(|task| task.lives() && task.pass.is(pass))
    };
    match path.split('/').collect::<Vec<_>>()[..] {
        ["credentials", id] => {
            let pass = headers.get(AUTHORIZATION);
            let pass = pass.and_then(|pass| pass.to_str().ok()).unwrap_or_default();
            task(id, pass).map_or_else(closed, |_| credentials(world))
        }
        ["metadata", id, pass, ..] => task(id, pass).map_or_else(closed, |task| {
            answer_of(&ecs::metadata(&task, &world.endpoint))
        }),
        ["layers", pass, digest] if world.layers.is(pass) => images::download(world, digest),
        _ => closed(),
    }
}

/// Tells nobody whether there is something to open.
fn closed() -> LabResponse {
    let text = "this address opens only with the text that the lab gave to the task\n";
    answer(StatusCode::FORBIDDEN, "text/plain", text)
}

fn credentials(world: &World) -> LabResponse {
    let key = world.keys.of(Principal::Tasks);
    let expiration = clock::seconds(world.clock.now() + Duration::from_hours(6));
    answer_of(&json!({
        "AccessKeyId": key.id, "SecretAccessKey": key.secret.text(),
        "Token": key.token.as_ref().map(Secret::text), "Expiration": expiration,
    }))
}

fn answer_of(body: &serde_json::Value) -> LabResponse {
    answer(StatusCode::OK, "application/json", body.to_string())
}
