//! Undoes the escapes of URLs, JSON, HTML and source code, and remembers where each byte stood.
//!
//! An escape can be written in many ways: `a` is `%61`, `\u0061`, `\x61`, `&#x61;`, `&#97;`, and
//! any of these may be escaped again. So secrets are looked for in the text that is meant, not in
//! every text that could mean it. Pure.

/// How often escapes are undone: an answer in a URL in a message of JSON is escaped three times.
pub(super) const LEVELS: usize = 3;

/// Bytes, each with its place in the text that was escaped.
pub(super) struct Decoded {
    pub bytes: Vec<u8>,
    /// Begin and end of each byte in the first text.
    places: Vec<(usize, usize)>,
}

impl Decoded {
    /// A text as it is.
    pub(super) fn of(text: &str) -> Self {
        Self {
            bytes: text.as_bytes().to_vec(),
            places: (0..text.len()).map(|at| (at, at + 1)).collect(),
        }
    }

    /// The same with one level of escapes undone; none if there is no escape.
    pub(super) fn further(&self) -> Option<Self> {
        let mut further = Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            places: Vec::with_capacity(self.bytes.len()),
        };
        let (mut at, mut found) = (0, false);
        while let Some(byte) = self.bytes.get(at) {
            if let Some((length, meant)) = escape(&self.bytes[at..]) {
                let place = (self.places[at].0, self.places[at + length - 1].1);
                let mut utf8 = [0; 4];
                let meant = meant.bytes(&mut utf8);
                further.bytes.extend_from_slice(meant);
                further.places.extend(meant.iter().map(|_| place));
                (at, found) = (at + length, true);
            } else {
                further.bytes.push(*byte);
                further.places.push(self.places[at]);
                at += 1;
            }
        }
        found.then_some(further)
    }

    /// The place in the first text of some bytes, if an escape is among them.
    pub(super) fn escaped_place(&self, from: usize, length: usize) -> Option<(usize, usize)> {
        let begin = self.places.get(from)?.0;
        let end = self.places.get(from + length.checked_sub(1)?)?.1;
        (end - begin != length).then_some((begin, end))
    }
}

/// The meaning of an escape.
enum Meant {
    Byte(u8),
    Char(char),
}

impl Meant {
    fn bytes<'b>(&self, buffer: &'b mut [u8; 4]) -> &'b [u8] {
        match self {
            Self::Byte(byte) => {
                buffer[0] = *byte;
                &buffer[..1]
            }
            Self::Char(c) => c.encode_utf8(buffer).as_bytes(),
        }
    }
}

/// The escape that a text begins with: its length and its meaning.
fn escape(text: &[u8]) -> Option<(usize, Meant)> {
    match text.first()? {
        b'%' => Some((3, Meant::Byte(hex(text.get(1..3)?)? as u8))),
        b'\\' => backslash(text),
        b'&' => entity(text),
        _ => None,
    }
}

fn backslash(text: &[u8]) -> Option<(usize, Meant)> {
    let plain = |c| Some((2, Meant::Char(c)));
    match text.get(1)? {
        b'n' => plain('\n'),
        b'r' => plain('\r'),
        b't' => plain('\t'),
        b'b' => plain('\u{8}'),
        b'f' => plain('\u{c}'),
        b'0'..=b'7' => octal(&text[1..]),
        quoted @ (b'"' | b'\'' | b'\\' | b'/') => plain(char::from(*quoted)),
        b'x' => Some((4, Meant::Byte(hex(text.get(2..4)?)? as u8))),
        b'u' if text.get(2) == Some(&b'{') => {
            let length = text.iter().take(12).position(|byte| *byte == b'}')?;
            let c = char::from_u32(hex(text.get(3..length)?)?)?;
            Some((length + 1, Meant::Char(c)))
        }
        b'u' => {
            let unit = hex(text.get(2..6)?)?;
            if let Some(c) = char::from_u32(unit) {
                return Some((6, Meant::Char(c)));
            }
            // Half of a pair: characters beyond the first 65,536 have two units.
            let other = text.get(6..12)?.strip_prefix(b"\\u")?;
            let units = [unit as u16, hex(other)? as u16];
            let c = char::decode_utf16(units).next()?.ok()?;
            Some((12, Meant::Char(c)))
        }
        _ => None,
    }
}

/// One to three octal digits behind a backslash, up to 255: as in C, Python, and the paths of git.
fn octal(digits: &[u8]) -> Option<(usize, Meant)> {
    let (mut byte, mut length) = (0_u8, 0);
    for digit in digits
        .iter()
        .take(3)
        .take_while(|one| matches!(one, b'0'..=b'7'))
    {
        let Some(further) = byte.checked_mul(8) else {
            break;
        };
        (byte, length) = (further + (digit - b'0'), length + 1);
    }
    Some((1 + length, Meant::Byte(byte)))
}

const NAMED: [(&[u8], char); 6] = [
    (b"&amp;", '&'),
    (b"&lt;", '<'),
    (b"&gt;", '>'),
    (b"&quot;", '"'),
    (b"&apos;", '\''),
    (b"&nbsp;", '\u{a0}'),
];

fn entity(text: &[u8]) -> Option<(usize, Meant)> {
    if let Some((name, c)) = NAMED.iter().find(|(name, _)| text.starts_with(name)) {
        return Some((name.len(), Meant::Char(*c)));
    }
    let number = text.strip_prefix(b"&#")?;
    // Leading zeros are allowed; no number is longer in practice.
    let length = number.iter().take(12).position(|byte| *byte == b';')?;
    let digits = &number[..length];
    let code = match digits.first()? {
        b'x' | b'X' => hex(&digits[1..])?,
        _ => std::str::from_utf8(digits).ok()?.parse().ok()?,
    };
    Some((length + 3, Meant::Char(char::from_u32(code)?)))
}

fn hex(digits: &[u8]) -> Option<u32> {
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| all)?;
    u32::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(text: &str) -> String {
        let further = Decoded::of(text).further();
        let bytes = further.map_or(text.as_bytes().to_vec(), |further| further.bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn every_escape_is_undone_once() {
        for (escaped, meant) in [
            ("%61%C3%a4%", "aä%"),
            ("\\u0061\\u00E4\\x62\\n\\\"\\/", "aäb\n\"/"),
            ("\\ud83d\\uDE00 \\u{1f600}", "😀 😀"),
            ("&#x61;&#X62;&#99;&#0100;&amp;&quot;", "abcd&\""),
            ("%2561 \\\\u0061 &amp;#97;", "%61 \\u0061 &#97;"),
            (
                "100 % \\d &co; &#; &#x; \\u12 \\ud800",
                "100 % \\d &co; &#; &#x; \\u12 \\ud800",
            ),
            ("\\141\\303\\244\\0\\7x \\477 \\8", "aä\0\u{7}x '7 \\8"),
            ("ä€😀", "ä€😀"),
        ] {
            assert_eq!(undone(escaped), meant);
        }
    }

    #[test]
    fn bytes_remember_their_place_through_all_levels() {
        let decoded = Decoded::of("x%2561y").further().unwrap().further().unwrap();
        assert_eq!(decoded.bytes, b"xay");
        assert_eq!(decoded.escaped_place(1, 1), Some((1, 6)));
        assert_eq!(decoded.escaped_place(0, 1), None, "nothing was escaped");
        assert!(decoded.further().is_none());
    }
}
