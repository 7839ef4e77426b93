//! A step as a request: built once, sent often; and the judgement on its answer.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method as HttpMethod, Request, Uri};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{Connection, Unsent};
use super::target::Target;
use crate::measure::Ending;
use crate::scenario::{Check, Method, Step, Target as TargetFile};

/// A target that does not even shake hands; part of the time-out of the whole request.
const CONNECT: Duration = Duration::from_secs(10);

/// Everything of a request that does not change.
pub struct Template {
    method: HttpMethod,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    check: Check,
}

/// How a request ended.
pub struct Done {
    pub ending: Ending,
    pub bytes: u64,
}

impl Template {
    pub fn new(target: &TargetFile, step: &Step) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        let own = [
            (HOST, target.url.authority()),
            (USER_AGENT, concat!("spikeproof/", env!("CARGO_PKG_VERSION")).to_owned()),
            (ACCEPT, "*/*".to_owned()),
        ];
        for (name, value) in own {
            headers.insert(name, HeaderValue::from_str(&value).map_err(|error| error.to_string())?);
        }
        if step.json.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in target.headers.iter().chain(&step.headers) {
            let refused = |error: &dyn std::fmt::Display| format!("header {name}: {error}");
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|error| refused(&error))?;
            headers.insert(header, HeaderValue::from_str(value).map_err(|error| refused(&error))?);
        }
        let uri = format!("{}{}", target.url.path, step.path);
        Ok(Self {
            method: match step.method {
                Method::Get => HttpMethod::GET,
                Method::Post => HttpMethod::POST,
                Method::Put => HttpMethod::PUT,
                Method::Patch => HttpMethod::PATCH,
                Method::Delete => HttpMethod::DELETE,
            },
            uri: uri.parse().map_err(|error| format!("{uri}: {error}"))?,
            headers,
            body: step.json.clone().map(Bytes::from).unwrap_or_default(),
            check: step.check.clone(),
        })
    }

    /// Sends it on the connection in `slot`, opening one where there is none, and reads the answer to its end. A
    /// connection that can be used again is left in the slot.
    pub async fn send(&self, target: &Target, slot: &mut Option<Connection>, timeout: Duration) -> Done {
        let sent = Instant::now();
        match timeout_at(sent + timeout, self.exchange(target, slot)).await {
            Ok(Ok((status, bytes))) => Done { ending: self.judge(status, sent.elapsed()), bytes },
            Ok(Err(ending)) => Done { ending, bytes: 0 },
            Err(_) => {
                // Half an answer may still be on its way on it.
                *slot = None;
                Done { ending: Ending::Timeout, bytes: 0 }
            }
        }
    }

    async fn exchange(&self, target: &Target, slot: &mut Option<Connection>) -> Result<(u16, u64), Ending> {
        let mut request = self.request();
        loop {
            let kept = slot.take().filter(Connection::reusable);
            let fresh = kept.is_none();
            let mut connection = match kept {
                Some(connection) => connection,
                None => match timeout(CONNECT, Connection::open(target)).await {
                    Ok(Ok(connection)) => connection,
                    Ok(Err(_)) | Err(_) => return Err(Ending::Connect),
                },
            };
            let answer = match connection.send(request).await {
                Ok(answer) => answer,
                // The server had closed the idle connection and nothing was sent: no fault of anybody, try a new one.
                // Whatever may have been sent is never repeated: it would hide a request that the target dropped.
                Err(Unsent(Some(unsent))) if !fresh => {
                    request = *unsent;
                    continue;
                }
                Err(Unsent(_)) => return Err(Ending::Broken),
            };
            let status = answer.status().as_u16();
            let mut body = answer.into_body();
            let mut bytes = 0;
            while let Some(frame) = body.frame().await {
                bytes += frame.map_err(|_| Ending::Broken)?.data_ref().map_or(0, |data| data.len() as u64);
            }
            connection.used += 1;
            if connection.reusable() {
                *slot = Some(connection);
            }
            return Ok((status, bytes));
        }
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    fn judge(&self, status: u16, took: Duration) -> Ending {
        let expected = match self.check.status.as_slice() {
            [] => (200..400).contains(&status),
            listed => listed.contains(&status),
        };
        match (expected, status) {
            (false, 500..) => Ending::Status5xx,
            (false, 400..500) => Ending::Status4xx,
            (false, _) => Ending::Check,
            (true, _) if self.check.under.is_some_and(|limit| took >= limit) => Ending::Check,
            (true, _) => Ending::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Url;

    fn template(status: Vec<u16>, under: Option<u64>) -> Template {
        let target = TargetFile {
            url: Url { https: false, host: "shop".to_owned(), port: 80, path: "/v1".to_owned() },
            group: None,
            timeout: Duration::from_secs(1),
            headers: vec![("user-agent".to_owned(), "mine".to_owned())],
        };
        let step = Step {
            name: String::new(),
            method: Method::Post,
            path: "/cart?x=1".to_owned(),
            headers: vec![("X-Kind".to_owned(), "a".to_owned())],
            json: Some("{}".to_owned()),
            check: Check { status, under: under.map(Duration::from_millis) },
        };
        Template::new(&target, &step).unwrap()
    }

    #[test]
    fn a_step_becomes_one_request() {
        let request = template(vec![], None).request();
        assert_eq!(request.uri(), "/v1/cart?x=1");
        let header = |name: &str| request.headers()[name].to_str().unwrap();
        assert_eq!(
            [header("host"), header("user-agent"), header("x-kind"), header("content-type")],
            ["shop", "mine", "a", "application/json"]
        );
    }

    #[test]
    fn answers_are_judged_by_status_and_time() {
        for (listed, under, status, took, ending) in [
            (vec![], None, 200, 5, Ending::Ok),
            (vec![], None, 302, 5, Ending::Ok),
            (vec![], None, 404, 5, Ending::Status4xx),
            (vec![], None, 503, 5, Ending::Status5xx),
            (vec![404], None, 404, 5, Ending::Ok),
            (vec![201], None, 200, 5, Ending::Check),
            (vec![201], None, 500, 5, Ending::Status5xx),
            (vec![], Some(10), 200, 10, Ending::Check),
            (vec![], Some(10), 200, 9, Ending::Ok),
            (vec![], Some(10), 503, 50, Ending::Status5xx),
        ] {
            let template = template(listed.clone(), under);
            assert_eq!(template.judge(status, Duration::from_millis(took)), ending, "{listed:?} {under:?} {status}");
        }
    }
}
