//! HTTP/1.1 as a client reads it: bytes in, an answer out. Pure: knows no sockets, and takes the
//! bytes in any pieces.
//!
//! Heads are parsed by httparse; framing (RFC 9112) is here. A generator's hot path has no room for
//! a general client. No task and no channel stands between a session and its socket, and an answer
//! that nothing reads is not kept.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use httparse::{EMPTY_HEADER, ParserConfig, Response, Status};

use model::measure::Broken;

/// A head longer than this is refused: browsers and curl have limits from 256 to 384 KiB.
pub(crate) const LONGEST_HEAD: usize = 256 * 1024;
/// Header lines that fit without an allocation.
const FEW_HEADERS: usize = 64;
/// More header lines than this are refused, as by curl.
const MOST_HEADERS: usize = 5_000;
/// The longest body that a check or capture looks at.
pub(crate) const LONGEST_BODY: usize = 16 * 1024 * 1024;

/// The parts of an answer that will be read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    pub body: bool,
    /// Every header; else only those the engine needs itself.
    pub headers: bool,
    pub cookies: bool,
    /// The request was a HEAD: no body follows, even if the head announces one.
    pub head_only: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpAnswer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Empty unless it was to be kept.
    pub body: Vec<u8>,
    /// The length of the body, as received.
    pub bytes: u64,
    /// The connection may carry another request.
    pub reusable: bool,
    /// The body is packed in a way that cannot be undone: no check can look at it.
    pub unreadable: bool,
}

impl HttpAnswer {
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_slice())
    }
}

#[derive(Debug)]
enum ParseState {
    Head,
    Fixed(u64),
    Chunked(Chunk),
    UntilClosed,
    Done,
}

/// The position in a chunked body.
#[derive(Debug, Clone, Copy)]
enum Chunk {
    /// The size so far, and how many digits it has.
    Size(u64, u8),
    /// The extensions after the size, up to the line's end.
    Extension(u64),
    Data(u64),
    /// The line end after the data, with the number of its bytes still to come.
    DataEnd(u8),
    /// A line of the trailers, with its length so far.
    Trailer(usize),
}

/// Reads one answer.
#[derive(Debug)]
pub(crate) struct AnswerReader {
    keep: Keep,
    state: ParseState,
    /// A head that came in pieces.
    partial: Vec<u8>,
    /// Some byte of it came.
    begun: bool,
    answer: HttpAnswer,
}

impl AnswerReader {
    pub(crate) fn new(keep: Keep) -> Self {
        Self {
            keep,
            state: ParseState::Head,
            partial: Vec::new(),
            begun: false,
            answer: HttpAnswer::default(),
        }
    }

    /// Takes what came. True when the answer is complete.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<bool, Broken> {
        self.begun |= !bytes.is_empty();
        loop {
            match self.state {
                ParseState::Head => {
                    if bytes.is_empty() {
                        return Ok(false);
                    }
                    match self.head(bytes)? {
                        Some(used) => bytes = &bytes[used..],
                        None => return Ok(false),
                    }
                }
                ParseState::Fixed(left) => {
                    let now = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    self.body(&bytes[..now])?;
                    bytes = &bytes[now..];
                    self.state = match left - now as u64 {
                        0 => ParseState::Done,
                        left => ParseState::Fixed(left),
                    };
                    if matches!(self.state, ParseState::Fixed(_)) {
                        return Ok(false);
                    }
                }
                ParseState::Chunked(chunk) => match self.chunked(chunk, bytes)? {
                    Some(used) => bytes = &bytes[used..],
                    None => return Ok(false),
                },
                ParseState::UntilClosed => {
                    self.body(bytes)?;
                    return Ok(false);
                }
                ParseState::Done => {
                    // Bytes after the answer belong to no request, so the connection is not used
                    // again.
                    self.answer.reusable &= bytes.is_empty();
                    return Ok(true);
                }
            }
        }
    }

    /// Ends the answer with the connection; an error if the answer is not whole.
    pub(crate) fn end(&mut self) -> Result<(), Broken> {
        match self.state {
            ParseState::UntilClosed | ParseState::Done => Ok(()),
            _ if !self.begun => Err(Broken::ClosedBeforeAnswer),
            ParseState::Head => Err(Broken::ClosedInHead),
            ParseState::Fixed(_) | ParseState::Chunked(_) => Err(Broken::ClosedBeforeLength),
        }
    }

    /// True if the body ends with the connection.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self.state, ParseState::UntilClosed)
    }

    pub(crate) fn answer(self) -> HttpAnswer {
        self.answer
    }

    /// Reads the head, perhaps from pieces. Returns the number of these bytes that belong to it, or
    /// `None` if it is not whole.
    fn head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        if self.partial.is_empty() {
            let used = self.parse(bytes)?;
            if used.is_none() {
                self.partial.extend_from_slice(bytes);
            }
            return Ok(used);
        }
        let before = self.partial.len();
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(bytes);
        let used = self.parse(&whole)?;
        if used.unwrap_or(whole.len()) > LONGEST_HEAD {
            return Err(Broken::HeadTooLong);
        }
        match used {
            Some(used) => Ok(Some(used - before)),
            None => {
                self.partial = whole;
                Ok(None)
            }
        }
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let mut room = [const { MaybeUninit::uninit() }; FEW_HEADERS];
        let mut head = Response::new(&mut []);
        match lenient().parse_response_with_uninit_headers(&mut head, bytes, &mut room) {
            Ok(Status::Complete(used)) => self.take_head(&head, used),
            Ok(Status::Partial) => Ok(None),
            Err(httparse::Error::TooManyHeaders) => self.parse_many(bytes),
            Err(error) => Err(not_a_head(error)),
        }
    }

    /// Reads a head with more headers than usual.
    fn parse_many(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let mut room = vec![EMPTY_HEADER; MOST_HEADERS];
        let mut head = Response::new(&mut room);
        match lenient().parse_response(&mut head, bytes) {
            Ok(Status::Complete(used)) => self.take_head(&head, used),
            Ok(Status::Partial) => Ok(None),
            Err(error) => Err(not_a_head(error)),
        }
    }

    /// Takes a whole head of `used` bytes, and decides how its body ends.
    fn take_head(&mut self, head: &Response<'_, '_>, used: usize) -> Result<Option<usize>, Broken> {
        let status = head.code.unwrap_or_default();
        match status {
            101 => return Err(Broken::ProtocolChanged),
            // An interim answer: the real one follows.
            100..200 => return Ok(Some(used)),
            _ => {}
        }
        let (mut length, mut chunked, mut coded) = (None, false, false);
        let mut close = head.version == Some(0);
        self.answer.status = status;
        for header in head.headers.iter() {
            let name = header.name;
            if name.eq_ignore_ascii_case("content-length") {
                let read = read_length(header.value).ok_or(Broken::UnreadableLength)?;
                if length.is_some_and(|known| known != read) {
                    return Err(Broken::UnreadableLength);
                }
                length = Some(read);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                let value = header.value.to_ascii_lowercase();
                for coding in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if !matches!(coding, b"" | b"identity") {
                        (coded, chunked) = (true, coding == b"chunked");
                    }
                }
            } else if name.eq_ignore_ascii_case("connection") {
                let value = header.value.to_ascii_lowercase();
                for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    close = (close || token == b"close") && token != b"keep-alive";
                }
            }
            if self.keeps(name, status) {
                let value = unfolded(header.value).into_owned();
                self.answer.headers.push((name.to_ascii_lowercase(), value));
            }
        }
        self.answer.reusable = !close;
        let bodiless = self.keep.head_only || status == 204 || status == 304;
        self.state = match (bodiless, coded, chunked, length) {
            (true, ..) | (_, false, _, Some(0)) => ParseState::Done,
            (_, true, true, _) => ParseState::Chunked(Chunk::Size(0, 0)),
            (_, false, _, Some(length)) => ParseState::Fixed(length),
            _ => {
                self.answer.reusable = false;
                ParseState::UntilClosed
            }
        };
        Ok(Some(used))
    }

    fn keeps(&self, name: &str, status: u16) -> bool {
        self.keep.headers
            || (self.keep.cookies && name.eq_ignore_ascii_case("set-cookie"))
            || ((300..400).contains(&status) && name.eq_ignore_ascii_case("location"))
            || (self.keep.body && name.eq_ignore_ascii_case("content-encoding"))
            || (self.keep.body && name.eq_ignore_ascii_case("transfer-encoding"))
            || (status >= 400 && name.eq_ignore_ascii_case("retry-after"))
    }

    fn body(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.answer.bytes += bytes.len() as u64;
        if self.keep.body {
            if self.answer.body.len() + bytes.len() > LONGEST_BODY {
                return Err(Broken::BodyTooLong);
            }
            self.answer.body.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Reads one piece of a chunked body; returns the number of bytes it took, or `None` if it
    /// needs more.
    fn chunked(&mut self, chunk: Chunk, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let Some(first) = bytes.first().copied() else {
            return Ok(None);
        };
        let (next, used) = match chunk {
            Chunk::Size(size, digits) => match (char::from(first).to_digit(16), first) {
                (Some(_), _) if digits == 16 => return Err(Broken::UnreadableChunks),
                (Some(digit), _) => (Chunk::Size(size << 4 | u64::from(digit), digits + 1), 1),
                (None, _) if digits == 0 => return Err(Broken::UnreadableChunks),
                (None, b'\n') => (after_size(size), 1),
                (None, b'\r' | b';' | b' ' | b'\t') => (Chunk::Extension(size), 1),
                _ => return Err(Broken::UnreadableChunks),
            },
            Chunk::Extension(size) => match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => (after_size(size), end + 1),
                None => (Chunk::Extension(size), bytes.len()),
            },
            Chunk::Data(left) => {
                let now = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                self.body(&bytes[..now])?;
                match left - now as u64 {
                    0 => (Chunk::DataEnd(2), now),
                    left => (Chunk::Data(left), now),
                }
            }
            Chunk::DataEnd(2) if first == b'\r' => (Chunk::DataEnd(1), 1),
            Chunk::DataEnd(_) if first == b'\n' => (Chunk::Size(0, 0), 1),
            Chunk::DataEnd(_) => return Err(Broken::UnreadableChunks),
            Chunk::Trailer(length) => match (first, length) {
                (b'\n', 0) => {
                    self.state = ParseState::Done;
                    return Ok(Some(1));
                }
                (b'\n', _) => (Chunk::Trailer(0), 1),
                (b'\r', length) => (Chunk::Trailer(length), 1),
                (_, length) if length > LONGEST_HEAD => return Err(Broken::UnreadableChunks),
                (_, length) => (Chunk::Trailer(length + 1), 1),
            },
        };
        self.state = ParseState::Chunked(next);
        Ok(Some(used))
    }
}

/// Returns a parser that takes what browsers and curl take: blanks before a colon, folded lines,
/// and lines that are no header, which it leaves out.
fn lenient() -> ParserConfig {
    let mut config = ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .allow_space_before_first_header_name(true)
        .ignore_invalid_headers_in_responses(true);
    config
}

fn not_a_head(error: httparse::Error) -> Broken {
    match error {
        httparse::Error::TooManyHeaders => Broken::TooManyHeaders,
        httparse::Error::HeaderName | httparse::Error::HeaderValue | httparse::Error::NewLine => {
            Broken::UnreadableHead
        }
        httparse::Error::Status | httparse::Error::Token | httparse::Error::Version => {
            Broken::NotHttp
        }
    }
}

/// Reads a length: digits, or the same ones several times (RFC 9110, 8.6).
fn read_length(value: &[u8]) -> Option<u64> {
    let mut all = value.split(|byte| *byte == b',').map(|one| {
        let digits = std::str::from_utf8(one.trim_ascii()).ok()?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| is_number)
    });
    let first = all.next()??;
    all.all(|one| one == Some(first)).then_some(first)
}

/// Returns a header's value on one line: RFC 9112, 5.2 has a user agent put a blank in place of
/// each fold.
fn unfolded(value: &[u8]) -> Cow<'_, [u8]> {
    if !value.contains(&b'\n') {
        return Cow::Borrowed(value);
    }
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    Cow::Owned(lines.collect::<Vec<_>>().join(&b' '))
}

fn after_size(size: u64) -> Chunk {
    if size == 0 {
        Chunk::Trailer(0)
    } else {
        Chunk::Data(size)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEEP: Keep = Keep {
        body: true,
        headers: true,
        cookies: true,
        head_only: false,
    };

    fn read(pieces: &[&[u8]], keep: Keep) -> Result<(bool, HttpAnswer), Broken> {
        let mut reader = AnswerReader::new(keep);
        let mut done = false;
        for piece in pieces {
            done = reader.feed(piece)?;
        }
        Ok((done, reader.answer()))
    }

    #[test]
    fn chunks_are_read_if_they_are_the_last_coding() {
        let read_with = |coding: &str, body: &str| {
            let text = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {coding}\r\n\r\n{body}");
            let (whole, answer) = read(&[text.as_bytes()], KEEP).unwrap();
            (whole, String::from_utf8(answer.body).unwrap())
        };
        for coding in [
            "chunked",
            "Chunked",
            "gzip, chunked",
            "chunked, identity",
            ",chunked,",
        ] {
            let read = read_with(coding, "2\r\nok\r\n0\r\n\r\n");
            assert_eq!(read, (true, "ok".to_owned()), "{coding}");
        }
        for coding in ["unchunked", "chunked, gzip", "x-chunked"] {
            let read = read_with(coding, "ok");
            assert_eq!(read, (false, "ok".to_owned()), "{coding}");
        }
    }

    #[test]
    fn answers_end_where_their_framing_says() {
        for (text, done, body, reusable) in [
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
                true,
                "hello",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
                false,
                "hel",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n",
                true,
                "hello!",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\ntrailer: x\r\n\r\n",
                true,
                "0123456789",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx",
                true,
                "x",
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx",
                true,
                "x",
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx",
                true,
                "x",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\nuntil the end",
                false,
                "until the end",
                false,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", true, "", true),
            (
                "HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n",
                true,
                "",
                true,
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                true,
                "ok",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more",
                true,
                "ok",
                false,
            ),
        ] {
            let (seen, answer) = read(&[text.as_bytes()], KEEP).unwrap();
            assert_eq!(
                (
                    seen,
                    String::from_utf8_lossy(&answer.body).as_ref(),
                    answer.reusable
                ),
                (done, body, reusable),
                "{text}"
            );
        }
    }

    #[test]
    fn the_answer_to_a_head_has_no_body() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n";
        let (done, answer) = read(
            &[text],
            Keep {
                head_only: true,
                ..KEEP
            },
        )
        .unwrap();
        assert!(done && answer.reusable && answer.bytes == 0);
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for (text, error) in [
            ("SSH-2.0-OpenSSH\r\n\r\n", Broken::NotHttp),
            (
                "HTTP/1.1 101 Switching Protocols\r\n\r\n",
                Broken::ProtocolChanged,
            ),
            ("HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n", Broken::UnreadableHead),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
                Broken::UnreadableLength,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n",
                Broken::UnreadableLength,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
                Broken::UnreadableLength,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n",
                Broken::UnreadableLength,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
                Broken::UnreadableChunks,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nxx",
                Broken::UnreadableChunks,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n11111111111111111",
                Broken::UnreadableChunks,
            ),
        ] {
            assert_eq!(read(&[text.as_bytes()], KEEP).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn an_end_in_the_middle_is_an_error_unless_the_end_is_the_framing() {
        let end = |text: &str| {
            let mut reader = AnswerReader::new(KEEP);
            reader.feed(text.as_bytes()).unwrap();
            reader.end()
        };
        assert_eq!(end("HTTP/1.1 200 OK\r\n\r\nall of it"), Ok(()));
        assert_eq!(
            end("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"),
            Err(Broken::ClosedBeforeLength)
        );
        assert_eq!(
            end("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"),
            Err(Broken::ClosedBeforeLength)
        );
        assert_eq!(end("HTTP/1.1 2"), Err(Broken::ClosedInHead));
        assert_eq!(end(""), Err(Broken::ClosedBeforeAnswer));
    }

    #[test]
    fn odd_heads_that_browsers_take_are_taken() {
        for (lines, name, value) in [
            ("x-a : b\r\n", "x-a", "b"),
            ("x-a:\t b \r\n", "x-a", "b"),
            ("X-Note: first,\r\n second\r\n", "x-note", "first, second"),
            (
                "x-note: first,\r\n\t \tsecond\n  third\r\nx-b: c\r\n",
                "x-note",
                "first, second third",
            ),
            ("x-note:\r\n first\r\n", "x-note", "first"),
            ("PHP Warning: Startup: no library\r\nx-a: b\r\n", "x-a", "b"),
            ("no colon\r\nx-a: b\r\n", "x-a", "b"),
            ("  x-a: b\r\n", "x-a", "b"),
            ("x-a: b\n", "x-a", "b"),
            ("x-a: \u{e9}\r\n", "x-a", "\u{e9}"),
        ] {
            for ending in ["content-length : 2\r\n", "Content-Length: 2, 2\r\n"] {
                let text = format!("HTTP/1.1  200  OK\r\n{lines}{ending}\r\nok");
                let (done, answer) = read(&[text.as_bytes()], KEEP).unwrap();
                assert!(done && answer.reusable, "{text}");
                assert_eq!(answer.header(name), Some(value.as_bytes()), "{text}");
                assert_eq!(answer.body, b"ok", "{text}");
            }
        }
        let coded = b"HTTP/1.1 200\r\ntransfer-encoding: identity\r\ncontent-length: 2\r\n\r\nok";
        assert!(read(&[coded], KEEP).unwrap().0);
    }

    #[test]
    fn heads_are_long_up_to_a_limit_and_each_limit_has_its_reason() {
        let with = |count: usize, length: usize| {
            let mut text = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n".to_owned();
            for number in 0..count {
                text += &format!("x-{number}: {}\r\n", "v".repeat(length));
            }
            text + "\r\nok"
        };
        for (count, length, ending) in [
            (130, 1, None),
            (MOST_HEADERS - 1, 1, None),
            (MOST_HEADERS, 1, Some(Broken::TooManyHeaders)),
            (8, 8 * 1024, None),
            (1, 250 * 1024, None),
            (1, 260 * 1024, Some(Broken::HeadTooLong)),
        ] {
            let text = with(count, length);
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(64 * 1024).collect();
            match ending {
                None => {
                    let (done, answer) = read(&pieces, KEEP).unwrap();
                    assert!(done && answer.body == b"ok");
                    assert_eq!(answer.headers.len(), count + 1);
                }
                Some(reason) => assert_eq!(read(&pieces, KEEP).unwrap_err(), reason),
            }
        }
    }

    #[test]
    fn only_what_somebody_looks_at_is_kept() {
        let text = b"HTTP/1.1 302 Found\r\nset-cookie: a=b\r\nlocation: /x\r\nserver: s\r\ncontent-length: 2\r\n\r\nno";
        let (_, answer) = read(&[text], Keep::default()).unwrap();
        assert_eq!(answer.headers, [("location".to_owned(), b"/x".to_vec())]);
        assert_eq!((answer.body.len(), answer.bytes), (0, 2));
        let (_, answer) = read(
            &[text],
            Keep {
                cookies: true,
                ..Keep::default()
            },
        )
        .unwrap();
        assert_eq!(answer.headers.len(), 2);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            chunks in prop::collection::vec("[a-z]{1,9}", 0..5),
            fixed in any::<bool>(),
            cuts in prop::collection::vec(1usize..40, 0..12),
        ) {
            let mut text = b"HTTP/1.1 200 OK\r\nserver: x\r\n".to_vec();
            if fixed {
                let body = chunks.concat();
                text.extend(format!("content-length: {}\r\n\r\n{body}", body.len()).bytes());
            } else {
                text.extend(b"transfer-encoding: chunked\r\n\r\n");
                for chunk in &chunks {
                    text.extend(format!("{:x}\r\n{chunk}\r\n", chunk.len()).bytes());
                }
                text.extend(b"0\r\n\r\n");
            }
            let whole = read(&[&text], KEEP).unwrap();
            let (mut pieces, mut rest) = (Vec::new(), text.as_slice());
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            let pieces: Vec<&[u8]> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
            prop_assert_eq!(&read(&pieces, KEEP).unwrap(), &whole);
            prop_assert!(whole.0);
            prop_assert_eq!(String::from_utf8(whole.1.body).unwrap(), chunks.concat());
        }

        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), prefix in any::<bool>()) {
            let mut text = if prefix { b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec() } else { Vec::new() };
            text.extend(bytes);
            drop(read(&[&text], KEEP));
        }
    }
}
