//! The cookies of a session, as many as a browser keeps (RFC 6265, 6.1).

use std::collections::VecDeque;

use cookie_store::{Cookie, CookieStore, RawCookie, StoreAction};
use url::Url;

/// Cookies of one domain: beyond, the oldest one goes.
const MOST_OF_A_DOMAIN: usize = 50;
/// Bytes of one cookie with its name and attributes: a longer one is not kept.
const LONGEST: usize = 4_096;

/// Cookies, the oldest first.
#[derive(Default)]
pub(crate) struct Jar {
    store: CookieStore,
    order: VecDeque<CookieKey>,
}

/// The identity of a cookie.
#[derive(Debug, PartialEq, Eq)]
struct CookieKey {
    domain: String,
    path: String,
    name: String,
}

impl Jar {
    /// Returns the value of a cookie, by its name.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let mut all = self.store.iter_unexpired();
        let found = all.find(|cookie| cookie.name() == name);
        found.map(|cookie| cookie.value().to_owned())
    }

    /// Returns the header `cookie` of a request; `None` if there is nothing to send.
    pub(crate) fn header(&self, url: &Url) -> Option<String> {
        let pairs = self.store.get_request_values(url);
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Keeps the cookie of a header `set-cookie`, or forgets it, as the header says.
    pub(crate) fn set(&mut self, header: &str, url: &Url) {
        if header.len() > LONGEST {
            return;
        }
        let cookie = RawCookie::parse(header)
            .ok()
            .and_then(|raw| Cookie::try_from_raw_cookie(&raw, url).ok());
        let Some(cookie) = cookie.map(Cookie::into_owned) else {
            return;
        };
        let key = CookieKey {
            domain: String::from(&cookie.domain),
            path: String::from(&cookie.path),
            name: cookie.name().to_owned(),
        };
        match self.store.insert(cookie, url) {
            Ok(StoreAction::Inserted) => {
                self.order.push_back(key);
                self.drop_beyond_the_most();
            }
            Ok(StoreAction::ExpiredExisting) => {
                self.remove(&key);
                self.order.retain(|known| *known != key);
            }
            Ok(StoreAction::UpdatedExisting) | Err(_) => {}
        }
    }

    fn drop_beyond_the_most(&mut self) {
        let Some(domain) = self.order.back().map(|key| key.domain.clone()) else {
            return;
        };
        let same = |key: &&CookieKey| key.domain == domain;
        if self.order.iter().filter(same).count() <= MOST_OF_A_DOMAIN {
            return;
        }
        let oldest = self.order.iter().position(|key| key.domain == domain);
        if let Some(key) = oldest.and_then(|at| self.order.remove(at)) {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &CookieKey) {
        drop(self.store.remove(&key.domain, &key.path, &key.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> Url {
        Url::parse("http://shop.example.com/a").unwrap()
    }

    #[test]
    fn a_jar_keeps_the_latest_cookies_of_each_domain() {
        let mut jar = Jar::default();
        for number in 0..60 {
            jar.set(&format!("c{number}={number}; Path=/"), &url());
            jar.set(
                &format!("d{number}={number}; Path=/; Domain=example.com"),
                &url(),
            );
        }
        let sent = jar.header(&url()).unwrap();
        assert_eq!(sent.split("; ").count(), 2 * MOST_OF_A_DOMAIN);
        assert_eq!(
            (jar.value("c9"), jar.value("c10")),
            (None, Some("10".to_owned()))
        );
        assert_eq!(
            (jar.value("d9"), jar.value("d59")),
            (None, Some("59".to_owned()))
        );
        assert_eq!(jar.order.len(), 2 * MOST_OF_A_DOMAIN);
    }

    #[test]
    fn a_cookie_costs_the_same_however_many_came_before_it() {
        let mut jar = Jar::default();
        let mut round = |from: u32| {
            let begun = std::time::Instant::now();
            for number in from..from + 2_000 {
                jar.set(&format!("c{number}={number}; Path=/"), &url());
            }
            begun.elapsed()
        };
        let first = round(0);
        let last = (1..10).map(|number| round(number * 2_000)).min().unwrap();
        assert!(last < first * 5, "{first:?}, {last:?}");
    }

    #[test]
    fn a_cookie_is_replaced_or_forgotten_in_its_place() {
        let mut jar = Jar::default();
        jar.set("a=1; Path=/", &url());
        jar.set("a=2; Path=/", &url());
        jar.set("b=3; Path=/", &url());
        assert_eq!((jar.value("a"), jar.order.len()), (Some("2".to_owned()), 2));
        jar.set("a=; Path=/; Max-Age=0", &url());
        assert_eq!(jar.header(&url()).as_deref(), Some("b=3"));
        assert_eq!(jar.order.len(), 1);
    }

    /// The rules of RFC 6265, 5.2 and 5.3.
    #[test]
    fn odd_attributes_are_left_out_and_the_cookie_is_kept() {
        for (header, sent) in [
            ("a=1; Expires=Wed, 09 Jun 2099 10:18:14 GMT", Some("a=1")),
            ("a=1; expires=Wed, 09-Jun-2099 10:18:14 GMT", Some("a=1")),
            ("a=1; Expires=Thu, 01-Jan-1970 00:00:10 GMT", None),
            // Of two digits, 70 to 99 are of the last century.
            ("a=1; Expires=Wednesday, 09-Jun-99 10:18:14 GMT", None),
            ("a=1; Expires=Tue, 09-Jun-68 10:18:14 GMT", Some("a=1")),
            ("a=1; Expires=never", Some("a=1")),
            ("a=1; Expires=0", Some("a=1")),
            ("a=1; Max-Age=soon", Some("a=1")),
            ("a=1; Max-Age=-1", None),
            ("a=1; Max-Age=99999999999999999999", Some("a=1")),
            (
                "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60",
                Some("a=1"),
            ),
            ("a=1; Domain=.EXAMPLE.com", Some("a=1")),
            ("a=1; Domain=other.example", None),
            ("a=1; Domain=hop.example.com", None),
            ("a=1; Domain=", Some("a=1")),
            ("a=1; Path=", Some("a=1")),
            ("a=1; Path=x", Some("a=1")),
            ("a=1; Path=/b", None),
            ("a=1; Secure", None),
            ("a=1; HttpOnly; SameSite=odd; x;;", Some("a=1")),
            ("a=\"b c\"", Some("a=\"b c\"")),
            ("a = b=c ", Some("a=b=c")),
            ("a=b, c=d", Some("a=b, c=d")),
            ("a=Zoë", Some("a=Zoë")),
            ("a=", Some("a=")),
            ("a", None),
            ("", None),
        ] {
            let mut jar = Jar::default();
            jar.set(header, &url());
            assert_eq!(jar.header(&url()).as_deref(), sent, "{header}");
        }
    }

    #[test]
    fn a_cookie_longer_than_browsers_keep_is_not_kept() {
        let mut jar = Jar::default();
        let fits = format!("a={}", "x".repeat(LONGEST - 2));
        jar.set(&fits, &url());
        jar.set(&format!("b{fits}"), &url());
        assert_eq!(jar.header(&url()), Some(fits));
    }
}
