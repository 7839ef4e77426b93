//! Who may speak at a port of the lab at all: programs of this machine that call it by an address of
//! its own, and no page of another site in a browser.
//!
//! A page can make a browser send requests to any address, and can point a name of its own at
//! 127.0.0.1. Browsers say so in headers that pages cannot change.

use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use hyper::{StatusCode, Uri};

use super::call::{LabResponse, answer};

/// Pages whose requests a port answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    /// None: programs call AWS.
    None,
    /// Those that the port has served itself.
    Own,
}

/// The check at one port.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    /// The origins of the pages that the port itself serves.
    origins: [String; 3],
    pages: Pages,
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stranger {
    #[error("the lab answers to 127.0.0.1 and localhost only")]
    Host,
    #[error("the lab answers no page of another site")]
    Page,
}

/// The names of this host. A name that a page's site has bound to 127.0.0.1 is none of them. The port
/// may be that of a proxy before the lab.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

impl Door {
    pub(crate) fn new(port: u16, pages: Pages) -> Self {
        Self {
            origins: NAMES.map(|name| format!("http://{name}:{port}")),
            pages,
        }
    }

    /// Returns the answer to a request that does not belong here.
    pub(crate) fn refusal(&self, parts: &Parts) -> Option<LabResponse> {
        let stranger = self.check(&parts.uri, &parts.headers).err()?;
        tracing::debug!(%stranger, "request refused");
        let body = format!("{stranger}\n");
        Some(answer(StatusCode::FORBIDDEN, "text/plain", body))
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Stranger> {
        let mut hosts = headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
        let named = match (hosts.next(), hosts.next()) {
            (Some(host), None) => is_here(host),
            _ => false,
        };
        // A whole URL in the first line counts before the header.
        let addressed = uri
            .authority()
            .is_none_or(|authority| is_here(authority.as_str().as_bytes()));
        if !(named && addressed) {
            return Err(Stranger::Host);
        }
        let origins = headers.get_all(ORIGIN).iter();
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let other_site = !matches!(site, None | Some(b"same-origin" | b"none"));
        let other_page = match self.pages {
            Pages::None => origins.count() > 0,
            Pages::Own => {
                let mut origins = origins.map(HeaderValue::as_bytes);
                !origins.all(|origin| self.has_served(origin))
            }
        };
        match other_site || other_page {
            true => Err(Stranger::Page),
            false => Ok(()),
        }
    }

    fn has_served(&self, origin: &[u8]) -> bool {
        self.origins
            .iter()
            .any(|own| own.as_bytes().eq_ignore_ascii_case(origin))
    }
}

/// Returns true if the text names this host, with a port or without.
fn is_here(host: &[u8]) -> bool {
    NAMES.iter().any(|name| {
        let (own, rest) = host.split_at_checked(name.len()).unwrap_or((host, b""));
        let is_port = match rest.split_first() {
            None => true,
            Some((colon, port)) => {
                *colon == b':' && !port.is_empty() && port.iter().all(u8::is_ascii_digit)
            }
        };
        own.eq_ignore_ascii_case(name.as_bytes()) && is_port
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks one request: its target, and its headers.
    fn check(pages: Pages, uri: &str, headers: &[(&'static str, &str)]) -> Result<(), Stranger> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Door::new(4566, pages).check(&uri.parse().unwrap(), &map)
    }

    #[test]
    fn a_port_answers_to_its_own_names_only() {
        for (uri, hosts, expected) in [
            ("/", &["127.0.0.1:4566"][..], Ok(())),
            ("/", &["LOCALHOST:4566"], Ok(())),
            ("/", &["[::1]:4566"], Ok(())),
            ("http://localhost:4566/", &["localhost:4566"], Ok(())),
            ("/", &["127.0.0.1"], Ok(())),
            ("/", &["127.0.0.1:4567"], Ok(())),
            ("/", &["127.0.0.1:"], Err(Stranger::Host)),
            ("/", &["127.0.0.1.example"], Err(Stranger::Host)),
            ("/", &["127.0.0.1:80.example"], Err(Stranger::Host)),
            ("/", &["rebound.example:4566"], Err(Stranger::Host)),
            ("/", &["localhost.example:4566"], Err(Stranger::Host)),
            ("/", &[], Err(Stranger::Host)),
            (
                "/",
                &["127.0.0.1:4566", "rebound.example"],
                Err(Stranger::Host),
            ),
            (
                "http://rebound.example/",
                &["127.0.0.1:4566"],
                Err(Stranger::Host),
            ),
        ] {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            assert_eq!(
                check(Pages::None, uri, &headers),
                expected,
                "{uri} {hosts:?}"
            );
        }
    }

    #[test]
    fn a_page_of_another_site_gets_no_answer() {
        let own = ("origin", "http://127.0.0.1:4566");
        for (pages, header, expected) in [
            (Pages::None, own, Err(Stranger::Page)),
            (Pages::None, ("origin", "null"), Err(Stranger::Page)),
            (Pages::None, ("sec-fetch-site", "none"), Ok(())),
            (
                Pages::None,
                ("sec-fetch-site", "cross-site"),
                Err(Stranger::Page),
            ),
            (Pages::Own, own, Ok(())),
            (Pages::Own, ("sec-fetch-site", "same-origin"), Ok(())),
            (
                Pages::Own,
                ("sec-fetch-site", "same-site"),
                Err(Stranger::Page),
            ),
            (Pages::Own, ("origin", "null"), Err(Stranger::Page)),
            (
                Pages::Own,
                ("origin", "https://127.0.0.1:4566"),
                Err(Stranger::Page),
            ),
            (
                Pages::Own,
                ("origin", "http://shop.example"),
                Err(Stranger::Page),
            ),
        ] {
            let headers = [("host", "127.0.0.1:4566"), header];
            assert_eq!(
                check(pages, "/", &headers),
                expected,
                "{pages:?} {header:?}"
            );
        }
        let both = [
            ("host", "127.0.0.1:4566"),
            own,
            ("origin", "http://shop.example"),
        ];
        assert_eq!(check(Pages::Own, "/", &both), Err(Stranger::Page));
    }
}
