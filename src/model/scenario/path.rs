//! Paths of requests: they stay on the target.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::body;
use super::reader::{Reader, Text};
use super::template::{Escape, Segment, Template, TemplateScope};

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Characters that no path or query may hold, and those that would end the request line. `%` stays:
/// it encodes others. Brackets stay too, as in browsers: servers take them.
const NOT_ALLOWED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Percent-encodes, once, what a request line may not hold. All that is allowed stays, and `%`
/// too.
pub fn request_target(path: &str) -> String {
    utf8_percent_encode(path, NOT_ALLOWED).to_string()
}

/// Returns the text as one part of a path or query: only letters, digits and `-._~` stay.
pub fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

pub(super) fn read(
    reader: &mut Reader<'_>,
    text: &Text,
    known: &TemplateScope<'_>,
) -> Option<Template> {
    // A control character stays, to be refused below.
    let encoded = |part: &str| match part.contains(|c: char| c.is_ascii_control()) {
        true => part.as_bytes().to_vec(),
        false => request_target(part).into_bytes(),
    };
    let template = body::compile(reader, text, Escape::Percent, known, &encoded)?;
    // The text of a value is not known yet. A raw value at the beginning must bring the whole path,
    // so it stands for `/` here.
    let whole: String = template
        .segments
        .iter()
        .enumerate()
        .map(|(at, segment)| match segment {
            Segment::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Segment::Value(_, Escape::Raw) if at == 0 => "/".to_owned(),
            Segment::Value(..) => "x".to_owned(),
        })
        .collect();
    match path_fault(&whole) {
        None => Some(template),
        Some((message, help)) => {
            reader.report(text.refuse("a path", message, help));
            None
        }
    }
}

fn path_fault(path: &str) -> Option<(String, String)> {
    if let (false, Some((_, rest))) = (path.starts_with('/'), path.split_once("://")) {
        let own = rest.find('/').map_or("/", |slash| &rest[slash..]);
        let reason = "a step names a path, not a URL: load only goes to the target".to_owned();
        return Some((
            reason,
            format!("write `{own}`, and the host as `target.url`"),
        ));
    }
    if !path.starts_with('/') {
        return Some((
            "a path begins with `/`".to_owned(),
            format!("write `/{path}`"),
        ));
    }
    if path.contains('#') {
        return Some((
            "a fragment never reaches a server".to_owned(),
            "leave out what follows `#`".to_owned(),
        ));
    }
    // Anything else that a URL may not hold has been encoded.
    if path.bytes().any(|byte| byte.is_ascii_control()) {
        let help = "percent-encode it, like `%0A` for a line break".to_owned();
        return Some(("this path holds a control character".to_owned(), help));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_line_may_not_hold_is_encoded_once() {
        for (path, encoded) in [
            ("/a?x[]=1&y=%20~*'()", "/a?x[]=1&y=%20~*'()"),
            ("/a b\r\nx", "/a%20b%0D%0Ax"),
            ("/ä b", "/%C3%A4%20b"),
            ("/ä", "/%C3%A4"),
            (
                "/?{\"x\":1}|<2>^`\\",
                "/?%7B%22x%22:1%7D%7C%3C2%3E%5E%60%5C",
            ),
        ] {
            assert_eq!(request_target(path), encoded);
            assert_eq!(request_target(encoded), encoded, "once");
        }
    }

    #[test]
    fn only_paths_of_the_target_are_accepted() {
        for path in [
            "/",
            "/api/products?sort=price&page=2",
            "/redirect?to=https://other.example/x",
            "/a%20b",
        ] {
            assert_eq!(path_fault(path), None, "{path}");
        }
        for (path, help) in [
            (
                "https://other.example/cart",
                "write `/cart`, and the host as `target.url`",
            ),
            (
                "https://other.example",
                "write `/`, and the host as `target.url`",
            ),
            ("api/cart", "write `/api/cart`"),
            ("/a\nb", "percent-encode it, like `%0A` for a line break"),
            ("/a#top", "leave out what follows `#`"),
            ("", "write `/`"),
        ] {
            assert_eq!(path_fault(path).unwrap().1, help, "{path}");
        }
    }
}
