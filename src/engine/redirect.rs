//! Where a redirect leads, and what a request may take there. Pure.

use std::borrow::Cow;

use url::Url;

use super::connection::Endpoint;
use super::request::{Carries, ReadyRequest};
use super::wire::HttpAnswer;
use model::measure::RefusedRedirect;
use model::redact;

/// The longest part of a `Location` that a report shows.
const LONGEST_SHOWN: usize = 200;

/// The way on from a redirect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Onward {
    /// The same endpoint or another one of the target's host.
    To(Box<Url>),
    Refused(RefusedRedirect),
}

/// The place of a request that was answered.
pub(crate) struct Asked<'a> {
    pub url: Option<Url>,
    pub origin: Endpoint,
    /// The target's host.
    pub host: &'a str,
    /// The step may follow another redirect.
    pub may_follow: bool,
}

/// True for the statuses that browsers follow.
pub(crate) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Returns what follows a redirect.
pub(crate) fn onward(answer: &HttpAnswer, asked: &Asked<'_>) -> Onward {
    let Some(location) = answer.header("location").filter(|value| !value.is_empty()) else {
        return Onward::Refused(RefusedRedirect::RedirectWithoutLocation);
    };
    let text = as_text(location);
    let location = shown(&text);
    let joined = asked.url.as_ref().and_then(|url| url.join(&text).ok());
    let location = match joined.as_ref().and_then(of_no_user) {
        Some(clean) => shown(clean.as_str()),
        None => location,
    };
    let Some(to) = joined.filter(|to| matches!(to.scheme(), "http" | "https")) else {
        return Onward::Refused(RefusedRedirect::RedirectNotUnderstood { location });
    };
    let is_target = to
        .host_str()
        .is_some_and(|host| host.eq_ignore_ascii_case(asked.host));
    if !is_target {
        return Onward::Refused(RefusedRedirect::RedirectElsewhere { location });
    }
    if asked.origin.https && to.scheme() == "http" {
        return Onward::Refused(RefusedRedirect::RedirectToHttp { location });
    }
    if !asked.may_follow {
        return Onward::Refused(RefusedRedirect::TooManyRedirects { location });
    }
    Onward::To(Box::new(to))
}

/// Returns the place without its user and password; `None` if it names none. In the URL standard a
/// user may also come after one slash, after none, or after slashes with a tab between them.
fn of_no_user(to: &Url) -> Option<Url> {
    if to.username().is_empty() && to.password().is_none() {
        return None;
    }
    let mut clean = to.clone();
    // A place with a user has a host: neither call fails.
    clean.set_username("").ok()?;
    clean.set_password(None).ok()?;
    Some(clean)
}

/// Returns the value of `Location` as text. One that is no UTF-8 has its bytes percent-encoded as they
/// are, as in browsers.
fn as_text(location: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(location) {
        return Cow::Borrowed(text);
    }
    let encoded = location.iter().map(|byte| match byte.is_ascii() {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    Cow::Owned(encoded.collect())
}

/// Returns the request that goes to another endpoint, with those of its parts that may go there.
/// Fails if its path or body would take more.
pub(crate) fn carried(
    mut request: ReadyRequest,
    carries: &Carries,
    from: Endpoint,
    to: Endpoint,
    location: &Url,
) -> Result<ReadyRequest, RefusedRedirect> {
    if from.shares_values_with(to) {
        return Ok(request);
    }
    let location = || shown(location.as_str());
    // The text of a file may be that of a secret.
    let has_secret = |text: &str| redact::holds_secret(text);
    if has_secret(&request.path) || has_secret(&String::from_utf8_lossy(&request.body)) {
        return Err(RefusedRedirect::RedirectWithSecret {
            location: location(),
        });
    }
    if !carries.body && !request.body.is_empty() {
        return Err(RefusedRedirect::RedirectWithBody {
            location: location(),
        });
    }
    request
        .headers
        .retain(|(name, value)| carries.headers.contains(name) && !has_secret(value));
    Ok(request)
}

/// Returns a location as reports show it: without secrets, query, user and control characters.
fn shown(location: &str) -> String {
    let clean = redact::text(&without_user(location));
    let path = clean.split(['?', '#']).next().unwrap_or_default();
    let printable = path
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c });
    printable.take(LONGEST_SHOWN).collect()
}

/// Leaves out the user and password before the host.
fn without_user(location: &str) -> Cow<'_, str> {
    let is_slash = |c| c == '/' || c == '\\';
    let Some(slashes) = location.find(is_slash) else {
        return Cow::Borrowed(location);
    };
    let (scheme, rest) = location.split_at(slashes);
    let path = rest.trim_start_matches(is_slash);
    let slashes = &rest[..rest.len() - path.len()];
    if slashes.len() < 2 {
        return Cow::Borrowed(location);
    }
    let host = path.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    match host.rfind('@') {
        Some(at) => Cow::Owned([scheme, slashes, &path[at + 1..]].concat()),
        None => Cow::Borrowed(location),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use model::redact::Secrets;
    use model::scenario::Method;

    fn at(https: bool, port: u16) -> Endpoint {
        Endpoint { https, port }
    }

    fn answer(status: u16, location: Option<&str>) -> HttpAnswer {
        HttpAnswer {
            status,
            headers: location
                .map(|to| ("location".to_owned(), to.as_bytes().to_vec()))
                .into_iter()
                .collect(),
            ..HttpAnswer::default()
        }
    }

    fn from(url: &str, may_follow: bool) -> Asked<'static> {
        let url = Url::parse(url).unwrap();
        Asked {
            origin: at(
                url.scheme() == "https",
                url.port_or_known_default().unwrap(),
            ),
            url: Some(url),
            host: "shop",
            may_follow,
        }
    }

    #[test]
    fn a_redirect_leads_to_the_targets_host_or_has_its_reason() {
        let elsewhere = |location| RefusedRedirect::RedirectElsewhere { location };
        let to_http = |location| RefusedRedirect::RedirectToHttp { location };
        let unclear = |location| RefusedRedirect::RedirectNotUnderstood { location };
        let none = || Err(RefusedRedirect::RedirectWithoutLocation);
        let with = |location: &str| location.to_owned();
        let (http, https) = ("http://shop/a", "https://shop/a");
        for (url, location, leads) in [
            (http, Some("/b?c"), Ok("http://shop/b?c")),
            ("http://shop/a/", Some("b"), Ok("http://shop/a/b")),
            (http, Some("//SHOP:81/b"), Ok("http://shop:81/b")),
            (http, Some("https://shop/b"), Ok("https://shop/b")),
            (http, None, none()),
            (http, Some(""), none()),
            (
                http,
                Some("mailto:ada@shop"),
                Err(unclear(with("mailto:ada@shop"))),
            ),
            (
                http,
                Some("http://other/b?token=x"),
                Err(elsewhere(with("http://other/b"))),
            ),
            (
                http,
                Some("http://ada:hunter2@other/b@c"),
                Err(elsewhere(with("http://other/b@c"))),
            ),
            (
                http,
                Some("\\\\ada:hunter2@other\\b"),
                Err(elsewhere(with("http://other/b"))),
            ),
            (
                https,
                Some("http:/ada:hunter2@other/b?c"),
                Err(elsewhere(with("http://other/b"))),
            ),
            (
                https,
                Some("http:ada:hunter2@other/b"),
                Err(elsewhere(with("http://other/b"))),
            ),
            (
                http,
                Some("https:/\t/:hunter2@other/b"),
                Err(elsewhere(with("https://other/b"))),
            ),
            (
                https,
                Some("http://shop/b"),
                Err(to_http(with("http://shop/b"))),
            ),
            (
                https,
                Some("http://shop:443/b"),
                Err(to_http(with("http://shop:443/b"))),
            ),
        ] {
            for status in [301, 302, 308] {
                let found = match onward(&answer(status, location), &from(url, true)) {
                    Onward::To(to) => Ok(to.to_string()),
                    Onward::Refused(refused) => Err(refused),
                };
                assert_eq!(
                    found,
                    leads.clone().map(str::to_owned),
                    "{url} {location:?}"
                );
            }
        }
        assert!(is_redirect(307) && !is_redirect(304) && !is_redirect(200));
        let location = with("/b");
        assert_eq!(
            onward(&answer(302, Some("/b")), &from("http://shop/a", false)),
            Onward::Refused(RefusedRedirect::TooManyRedirects { location })
        );
    }

    #[test]
    fn what_belongs_to_an_endpoint_stays_there() {
        let mut secrets = Secrets::default();
        secrets.insert("REDIRECTED", "c4nary-of-redirects");
        redact::keep(&secrets);
        let request = |body: &'static str| ReadyRequest {
            method: Method::Post,
            path: "/b".to_owned(),
            headers: [
                ("authorization", "Bearer plain"),
                ("cookie", "a=b"),
                ("x-key", "k=c4nary-of-redirects"),
                ("accept-language", "de"),
                ("user-agent", "YWRhOmM0bmFyeS1vZi1yZWRpcmVjdHM="),
                ("x-plain", "p"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            body: Bytes::from_static(body.as_bytes()),
        };
        let url = Url::parse("http://shop/b").unwrap();
        let carries = |body| Carries {
            headers: ["accept-language", "user-agent"]
                .map(str::to_owned)
                .to_vec(),
            body,
        };
        let names = |from, to, body| {
            carried(request(body), &carries(true), from, to, &url).map(|request| {
                let names = request.headers.iter().map(|(name, _)| name.clone());
                names.collect::<Vec<_>>().join(" ")
            })
        };
        let all = "authorization cookie x-key accept-language user-agent x-plain".to_owned();
        // A secret stays, whatever its header.
        let some = "accept-language".to_owned();
        for (from, to, kept) in [
            (at(false, 80), at(false, 80), &all),
            (at(false, 80), at(true, 443), &all),
            (at(true, 8443), at(true, 8443), &all),
            (at(false, 80), at(false, 81), &some),
            (at(false, 80), at(true, 8443), &some),
            (at(false, 8080), at(true, 443), &some),
            (at(true, 443), at(true, 8443), &some),
            (at(true, 443), at(false, 80), &some),
        ] {
            assert_eq!(names(from, to, "{}").as_ref(), Ok(kept), "{from:?} {to:?}");
        }
        let secret = "{\"k\": \"c4nary-of-redirects\"}";
        assert_eq!(names(at(false, 80), at(false, 80), secret), Ok(all));
        assert_eq!(
            names(at(false, 80), at(false, 81), secret),
            Err(RefusedRedirect::RedirectWithSecret {
                location: "http://shop/b".to_owned()
            })
        );
        let echo = ReadyRequest {
            path: "/b?k=c4nary-of-redirects".to_owned(),
            ..request("")
        };
        let other =
            |request, body| carried(request, &carries(body), at(false, 80), at(false, 81), &url);
        assert!(other(echo, true).is_err());
        let location = "http://shop/b".to_owned();
        let refused = RefusedRedirect::RedirectWithBody { location };
        assert_eq!(other(request("a=1"), false).unwrap_err(), refused);
        assert!(other(request(""), false).is_ok(), "a GET after it");
    }
}
