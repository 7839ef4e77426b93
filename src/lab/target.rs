//! The target: an HTTP server that stands for a load balancer and the instances behind it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::HeaderValue;
use hyper::{Request, StatusCode};
use serde_json::json;

use super::World;
use super::call::{LabResponse, answer};
use super::route::{Fate, Route, Underway};
use super::shop;
use super::worlds::rate_limit::Refusal;

/// Answers a request to the target. The shop answers its own paths, `/status/NNN` gets that status,
/// and any other path 200.
pub(crate) async fn serve(
    world: Arc<World>,
    request: Request<Incoming>,
) -> Result<LabResponse, Infallible> {
    let arrived = world.clock.now();
    let (head, body) = request.into_parts();
    if let Some(refusal) = world.doors.target.refusal(&head) {
        return Ok(refusal);
    }
    world
        .last_request
        .store(arrived.as_millis() as u64, Ordering::Relaxed);
    let (method, path) = (head.method, head.uri.path().to_owned());
    let connection = head.extensions.get().copied();
    // A body is read, or the connection could not be used again.
    let body = match body.is_end_stream() {
        true => Bytes::new(),
        false => http_body_util::BodyExt::collect(body)
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default(),
    };
    let route = world.group().route(arrived, &path, connection);
    let mut underway = match route {
        Route::Nobody => return Ok(from_balancer(&world, StatusCode::SERVICE_UNAVAILABLE)),
        Route::Full { instance } => return Ok(full(&world, &instance, Duration::ZERO)),
        Route::Limited { instance, refusal } => return Ok(limited(&world, &instance, refusal)),
        Route::Serve(underway) => underway,
    };
    let fate = end_of(&world, &mut underway).await;
    let waited = world.clock.now() - arrived;
    let size = underway.parcel.map_or(0, |parcel| parcel.size.bytes());
    let instance = underway.instance;
    let fault = match fate {
        Fate::Answered(fault) => fault.map(known_status),
        Fate::Full => return Ok(full(&world, &instance, waited)),
        Fate::Lost => return Ok(from_balancer(&world, StatusCode::BAD_GATEWAY)),
        Fate::Unanswered => return Ok(from_balancer(&world, StatusCode::GATEWAY_TIMEOUT)),
    };
    let wanted = path
        .strip_prefix("/status/")
        .and_then(|code| code.parse().ok());
    let status = wanted
        .and_then(|code| StatusCode::from_u16(code).ok())
        .filter(|code| code.as_u16() >= 200);
    let page = shop::page(method.as_str(), &path, &body).filter(|_| fault.is_none());
    let of_page = page
        .as_ref()
        .and_then(|page| StatusCode::from_u16(page.status).ok());
    let status = fault.or(of_page).or(status).unwrap_or(StatusCode::OK);
    world
        .group()
        .open
        .answered(status.as_u16(), waited.as_secs_f32());
    if let Some(page) = page {
        let mut response = from_instance(status, &instance, &page.body);
        if let Some(cookie) = page
            .cookie
            .and_then(|cookie| HeaderValue::from_str(&cookie).ok())
        {
            response.headers_mut().insert("set-cookie", cookie);
        }
        return Ok(response);
    }
    let told = json!({ "method": method.as_str(), "path": path, "instance": instance });
    let told = match fault {
        None => of_size(told.to_string(), size as usize),
        Some(_) => told.to_string(),
    };
    Ok(with_text(status, &instance, told))
}

/// Returns the JSON with blanks after it, which do not change it, up to a size in bytes.
fn of_size(mut json: String, size: usize) -> String {
    let missing = size.saturating_sub(json.len());
    json.extend(std::iter::repeat_n(' ', missing));
    json
}

/// A request that waits for its end. If its client goes away first, the connection's task drops
/// this, and the request counts as given up.
struct Awaited<'a> {
    world: &'a World,
    is_over: bool,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.world.group().given_up();
        }
    }
}

/// Waits for the end of a request.
async fn end_of(world: &World, underway: &mut Underway) -> Fate {
    let mut awaited = Awaited {
        world,
        is_over: false,
    };
    loop {
        let next = world.clock.sleep_until(underway.next);
        match underway.woken.clone() {
            None => next.await,
            Some(woken) => tokio::select! {
                () = next => {}
                () = woken.notified() => {}
            },
        }
        let now = world.clock.now();
        let fate = world.group().look(underway, now);
        if let Some(fate) = fate {
            awaited.is_over = true;
            return fate;
        }
    }
}

/// Returns a status that the lab file was checked for.
fn known_status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn full(world: &World, instance: &str, waited: Duration) -> LabResponse {
    world.group().open.answered(503, waited.as_secs_f32());
    let full = json!({ "error": "the instance's queue is full" });
    from_instance(StatusCode::SERVICE_UNAVAILABLE, instance, &full)
}

fn limited(world: &World, instance: &str, refusal: Refusal) -> LabResponse {
    world.group().open.answered(refusal.status, 0.0);
    let limited = json!({ "error": "too many requests" });
    let mut response = from_instance(known_status(refusal.status), instance, &limited);
    if let Some(after) = refusal.retry_after {
        let seconds = after.as_secs_f64().ceil() as u64;
        response
            .headers_mut()
            .insert("retry-after", HeaderValue::from(seconds));
    }
    response
}

fn from_instance(status: StatusCode, instance: &str, body: &serde_json::Value) -> LabResponse {
    with_text(status, instance, body.to_string())
}

fn with_text(status: StatusCode, instance: &str, body: String) -> LabResponse {
    let mut response = answer(status, "application/json", body);
    if let Ok(id) = HeaderValue::from_str(instance) {
        response.headers_mut().insert("x-instance-id", id);
    }
    response
}

fn from_balancer(world: &World, status: StatusCode) -> LabResponse {
    let open = &mut world.group().open;
    open.elb_5xx += 1;
    open.elb_502 += u32::from(status == StatusCode::BAD_GATEWAY);
    answer(status, "text/html", format!("<h1>{status}</h1>"))
}
