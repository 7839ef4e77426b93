//! Lines as headers `set-cookie`: what a request sends of them is bounded, cannot end its header,
//! and is the same once it was set again.
#![no_main]

use engine::fuzzing::Cookies;
use url::Url;

/// A browser's limits (RFC 6265, 6.1), for each of the domains that the host may name.
const MOST: usize = 50 * 4;
const LONGEST: usize = 4_096;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let url = |text: &str| Url::parse(text).expect("a URL of this file");
    let pages = [
        url("http://a.shop.example.com/"),
        url("http://a.shop.example.com/cart/items"),
        url("http://shop.example.com/cart"),
    ];
    let is_control = |c: char| c.is_ascii_control() && c != '\t';
    let mut cookies = Cookies::default();
    // What stands in a head has no control character: the reader of heads refuses it.
    for (number, line) in text
        .lines()
        .filter(|line| !line.contains(is_control))
        .enumerate()
    {
        cookies.set(line, &pages[number % pages.len()]);
    }
    for page in &pages {
        let Some(header) = cookies.header(page) else {
            continue;
        };
        assert!(!header.contains(is_control), "{header:?}");
        let pairs: Vec<&str> = header.split("; ").collect();
        assert!(pairs.len() <= MOST, "{} cookies", pairs.len());
        for pair in pairs {
            assert!(pair.len() <= LONGEST);
            let mut again = Cookies::default();
            again.set(pair, page);
            assert_eq!(again.header(page).as_deref(), Some(pair));
        }
    }
});
