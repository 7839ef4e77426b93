//! A step as bytes: what never changes is put together once, at load.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Uri};
use url::Url;

use super::judge::{Judge, PatternError, Slots};
use super::values::{NotMade, Values};
use super::wire::Keep;
use model::scenario::{Method, Step, Target, Template, request_target};

/// Everything of a step that is known before the run.
pub struct Prepared {
    method: Method,
    /// The target's path and the step's.
    path: Template,
    /// Headers in order, without `host`, `cookie` and `content-length`.
    headers: Vec<(String, Template)>,
    body: Option<Template>,
    /// The finished request, if nothing in it changes. With it its HTTP/1.1 form, without the line
    /// that ends its head.
    fixed: Option<(ReadyRequest, Vec<u8>)>,
    host: String,
    pub carries: Carries,
    pub judge: Judge,
    pub keep: Keep,
}

/// The parts of a request that a redirect may take to another endpoint of the target's host: those
/// that say nothing of a user, a key or a session.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Carries {
    /// Names of headers.
    pub headers: Vec<String>,
    pub body: bool,
}

/// One request, ready to be sent, or to be sent on after a redirect.
#[derive(Debug, Clone)]
pub struct ReadyRequest {
    pub method: Method,
    /// Path and query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Prepared {
    /// True if the step has a `cookie` header of its own. It is sent instead of the session's
    /// cookies. (RFC 6265 allows one only.)
    pub fn has_own_cookies(&self) -> bool {
        self.headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("cookie"))
    }

    /// Prepares a step of a flow with these places for values. With `names_instances` a header of the answers is kept, even if no check
    /// reads it.
    pub fn new(
        target: &Target,
        slots: &Slots<'_>,
        step: &Step,
        names_instances: bool,
    ) -> Result<Self, PatternError> {
        let mut path = Template::text(target.url.path.as_str());
        path.append(step.path.clone());
        let body = step.body.as_ref().map(|body| body.content.clone());
        let judge = Judge::new(step, slots)?;
        let keep = Keep {
            body: judge.needs_body,
            headers: judge.needs_headers || names_instances,
            cookies: target.cookies,
            head_only: step.method == Method::Head,
        };
        let mut prepared = Self {
            method: step.method,
            path,
            headers: headers(target, step),
            body,
            fixed: None,
            host: target.url.authority(),
            carries: Carries::default(),
            judge,
            keep,
        };
        prepared.fixed = prepared.fix();
        prepared.carries = prepared.carries();
        Ok(prepared)
    }

    fn carries(&self) -> Carries {
        let headers = self.headers.iter();
        let may = headers.filter(|(name, value)| is_harmless(name) && value.is_as_written());
        Carries {
            headers: may.map(|(name, _)| name.clone()).collect(),
            body: self.body.as_ref().is_none_or(Template::is_as_written),
        }
    }

    fn fix(&self) -> Option<(ReadyRequest, Vec<u8>)> {
        let text = |template: &Template| {
            template
                .constant()
                .map(|text| String::from_utf8_lossy(text).into_owned())
        };
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| text(value).map(|value| (name.clone(), value)));
        let body = self.body.as_ref().map_or(Some(Bytes::new()), |body| {
            body.constant().map(Bytes::copy_from_slice)
        })?;
        let path = request_target(&text(&self.path)?);
        let ready = ReadyRequest {
            method: self.method,
            path,
            headers: headers.collect::<Option<_>>()?,
            body,
        };
        let mut head = Vec::new();
        ready.write_head(&self.host, &mut head);
        Some((ready, head))
    }

    pub fn method(&self) -> Method {
        self.method
    }

    /// True if nothing changes from one sending to the next.
    pub fn is_fixed(&self) -> bool {
        self.fixed.is_some()
    }

    pub fn fixed(&self) -> Option<ReadyRequest> {
        self.fixed.as_ref().map(|(ready, _)| ready.clone())
    }

    pub fn fixed_path(&self) -> &str {
        self.fixed
            .as_ref()
            .map_or("/", |(ready, _)| ready.path.as_str())
    }

    /// Appends the HTTP/1.1 form of a request that never changes; `cookies` are the session's.
    pub fn write_fixed(&self, cookies: Option<&str>, out: &mut Vec<u8>) {
        let Some((ready, head)) = &self.fixed else {
            return;
        };
        out.extend_from_slice(head);
        put_cookies(cookies, out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&ready.body);
    }

    /// Returns the request with its values, for either form in which it will be sent.
    pub fn ready(&self, values: &mut Values<'_>) -> Result<ReadyRequest, NotMade> {
        let path = values.path(&self.path)?;
        let path = if path.starts_with('/') {
            path
        } else {
            format!("/{path}")
        };
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            headers.push((name.clone(), values.text(value)?));
        }
        let mut body = Vec::new();
        if let Some(content) = &self.body {
            values.render(content, &mut body)?;
        }
        Ok(ReadyRequest {
            method: self.method,
            path: request_target(&path),
            headers,
            body: body.into(),
        })
    }
}

/// True for the headers that describe a request, its body, and the answers that are welcome. Clients
/// send them to every server. (RFC 9110, 8.3 to 8.5, 10.1.5 and 12.5; RFC 9111, 5.2 and 5.4.)
fn is_harmless(name: &str) -> bool {
    let known = [
        "accept",
        "cache-control",
        "content-encoding",
        "content-language",
        "content-type",
        "pragma",
        "user-agent",
    ];
    known.contains(&name) || name.starts_with("accept-")
}

fn needs_length(method: Method) -> bool {
    matches!(method, Method::Post | Method::Put | Method::Patch)
}

fn put_cookies(cookies: Option<&str>, out: &mut Vec<u8>) {
    if let Some(cookies) = cookies {
        out.extend_from_slice(b"cookie: ");
        out.extend_from_slice(cookies.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Returns the headers that every client sends, then the target's, then the step's: later ones
/// replace earlier ones.
fn headers(target: &Target, step: &Step) -> Vec<(String, Template)> {
    let own = |name: &str, value: &str| (name.to_owned(), Template::text(value));
    let mut all = vec![
        own(
            "user-agent",
            concat!("spikeproof/", env!("CARGO_PKG_VERSION")),
        ),
        own("accept", "*/*"),
    ];
    if target.compression {
        all.push(own("accept-encoding", "gzip, br, zstd"));
    }
    if let Some(body) = &step.body {
        all.push(own("content-type", &body.content_type));
    }
    for (name, value) in target.headers.iter().chain(&step.headers) {
        all.retain(|(known, _)| known != name);
        all.push((name.clone(), value.clone()));
    }
    all
}

impl ReadyRequest {
    /// Appends the HTTP/1.1 form.
    pub fn write(&self, host: &str, cookies: Option<&str>, out: &mut Vec<u8>) {
        self.write_head(host, out);
        put_cookies(cookies, out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
    }

    fn write_head(&self, host: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(self.method.word().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.path.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        out.extend_from_slice(host.as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if !self.body.is_empty() || needs_length(self.method) {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(self.body.len().to_string().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Returns the request in its form for HTTP/2.
    pub fn request(
        &self,
        https: bool,
        host: &str,
        cookies: Option<&str>,
    ) -> Option<Request<Full<Bytes>>> {
        let scheme = if https { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{host}{}", self.path).parse().ok()?;
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.word().parse().ok()?;
        *request.uri_mut() = uri;
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            request
                .headers_mut()
                .insert(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
        }
        if let Some(cookies) = cookies {
            request
                .headers_mut()
                .insert("cookie", HeaderValue::from_bytes(cookies.as_bytes()).ok()?);
        }
        Some(request)
    }

    /// Returns the request that a redirect asks for. (RFC 9110, 15.4: 307 and 308 keep method and
    /// body. After the others, anything but GET and HEAD becomes a GET, as in browsers.)
    pub fn redirected(self, status: u16, to: &Url) -> Self {
        let path = to.query().map_or_else(
            || to.path().to_owned(),
            |query| format!("{}?{query}", to.path()),
        );
        // The rule of the Fetch standard: only POST becomes GET at 301 and 302, everything but HEAD
        // at 303.
        let keep = match status {
            301 | 302 => self.method != Method::Post,
            303 => matches!(self.method, Method::Get | Method::Head),
            _ => true,
        };
        if keep {
            return Self { path, ..self };
        }
        let headers = self
            .headers
            .into_iter()
            .filter(|(name, _)| name != "content-type")
            .collect();
        Self {
            method: Method::Get,
            path,
            headers,
            body: Bytes::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_pcg::Pcg64Mcg;

    use super::*;
    use model::scenario::{Body, Escape, Expression, Segment, example};

    fn written(step: Step, cookies: Option<&str>) -> String {
        let mut scenario = example::scenario(vec![]);
        scenario.target.url.path = "/v1".to_owned();
        scenario.target.headers = vec![("user-agent".to_owned(), Template::text("mine"))];
        let flow = example::flow("f", vec![step]);
        let prepared = Prepared::new(
            &scenario.target,
            &Slots::of(&flow.variables),
            &flow.steps[0],
            false,
        )
        .unwrap();
        let mut chance = Pcg64Mcg::seed_from_u64(1);
        let mut values = Values {
            variables: &[],
            data: &[],
            rows: &[],
            session: 5,
            iteration: 0,
            chance: &mut chance,
        };
        let mut out = Vec::new();
        match prepared.is_fixed() {
            true => prepared.write_fixed(cookies, &mut out),
            false => prepared
                .ready(&mut values)
                .unwrap()
                .write("shop", cookies, &mut out),
        }
        String::from_utf8(out).unwrap()
    }

    fn post(body: Template) -> Step {
        Step {
            headers: vec![("x-kind".to_owned(), Template::text("a"))],
            body: Some(Body {
                content_type: "application/json".to_owned(),
                content: body,
            }),
            ..example::step(Method::Post, "/cart?x=1")
        }
    }

    const HEAD: &str = "POST /v1/cart?x=1 HTTP/1.1\r\nhost: shop\r\naccept: */*\r\naccept-encoding: gzip, br, zstd\r\n\
                        content-type: application/json\r\nuser-agent: mine\r\nx-kind: a\r\n";

    #[test]
    fn a_step_becomes_one_request() {
        assert_eq!(
            written(post(Template::text("{}")), None),
            format!("{HEAD}content-length: 2\r\n\r\n{{}}")
        );
        let with_cookie = format!("{HEAD}content-length: 2\r\ncookie: a=b\r\n\r\n{{}}");
        assert_eq!(
            written(post(Template::text("{}")), Some("a=b")),
            with_cookie
        );
        let changing = Template {
            segments: vec![Segment::Value(Expression::Session, Escape::Json)],
            ..Template::default()
        };
        assert_eq!(
            written(post(changing), Some("a=b")),
            format!("{HEAD}content-length: 1\r\ncookie: a=b\r\n\r\n5")
        );
    }

    #[test]
    fn only_what_describes_a_request_may_go_to_another_endpoint() {
        let changing = |expression| Template {
            segments: vec![Segment::Value(expression, Escape::Header)],
            ..Template::default()
        };
        let outside = Template {
            from_outside: true,
            ..Template::text("e")
        };
        let carries = |headers: &[(&str, Template)], body: Template| {
            let scenario = example::scenario(vec![]);
            let headers = headers.iter();
            let step = Step {
                headers: headers
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect(),
                ..post(body)
            };
            let flow = example::flow("f", vec![step]);
            let slots = Slots::of(&flow.variables);
            let prepared = Prepared::new(&scenario.target, &slots, &flow.steps[0], false);
            let Carries { headers, body } = prepared.unwrap().carries;
            (headers.join(" "), body)
        };
        let ours = "user-agent accept accept-encoding content-type";
        for (header, value, names) in [
            ("x-plain", Template::text("p"), ours),
            ("authorization", Template::text("Bearer x"), ours),
            ("x-key", outside.clone(), ours),
            (
                "accept-language",
                Template::text("de"),
                "user-agent accept accept-encoding content-type accept-language",
            ),
            ("accept-language", outside.clone(), ours),
            (
                "user-agent",
                changing(Expression::Variable(0)),
                "accept accept-encoding content-type",
            ),
            (
                "content-type",
                changing(Expression::Column(0, 0)),
                "user-agent accept accept-encoding",
            ),
        ] {
            let found = carries(&[(header, value)], Template::text("{}"));
            assert_eq!(found, (names.to_owned(), true), "{header}");
        }
        for body in [outside, changing(Expression::Column(0, 0))] {
            assert!(!carries(&[], body).1);
        }
    }

    #[test]
    fn values_beyond_ascii_are_sent_over_either_version() {
        let ready = ReadyRequest {
            method: Method::Get,
            path: "/a".to_owned(),
            headers: vec![("x-name".to_owned(), "Zoë".to_owned())],
            body: Bytes::new(),
        };
        let mut written = Vec::new();
        ready.write("shop", Some("name=Zoë"), &mut written);
        let written = String::from_utf8(written).unwrap();
        assert!(written.contains("x-name: Zoë\r\ncookie: name=Zoë\r\n"));
        let request = ready.request(false, "shop", Some("name=Zoë")).unwrap();
        let header = |name| request.headers()[name].as_bytes();
        assert_eq!(header("x-name"), "Zoë".as_bytes());
        assert_eq!(header("cookie"), "name=Zoë".as_bytes());
    }

    #[test]
    fn redirects_keep_or_drop_method_and_body() {
        let ready = ReadyRequest {
            method: Method::Post,
            path: "/a".to_owned(),
            headers: vec![("content-type".to_owned(), "x".to_owned())],
            body: Bytes::from_static(b"b"),
        };
        let to = Url::parse("http://shop/b?c=d").unwrap();
        let kept = ready.clone().redirected(307, &to);
        assert_eq!(
            (kept.method, kept.path.as_str(), kept.body.len()),
            (Method::Post, "/b?c=d", 1)
        );
        let dropped = ready.redirected(302, &to);
        assert_eq!(
            (dropped.method, dropped.body.len(), dropped.headers.len()),
            (Method::Get, 0, 0)
        );
    }
}
