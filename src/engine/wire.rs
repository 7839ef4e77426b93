//! HTTP/1.1 as a client reads it: bytes in, an answer out. Pure: knows no sockets, and takes the
//! bytes in any pieces.
//!
//! Heads are parsed by httparse; framing (RFC 9112) is here. A generator's hot path has no room for
//! a general client. No task and no channel stands between a session and its socket, and an answer
//! that nothing reads is not kept.

use std::mem::MaybeUninit;

/// A head with more than this is refused, as servers and browsers refuse it.
const LONGEST_HEAD: usize = 256 * 1024;
const MOST_HEADERS: usize = 128;
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
}

impl HttpAnswer {
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_slice())
    }
}

/// The answer is not HTTP/1.1, or is longer than the engine reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotHttp {
    #[error("the head cannot be read")]
    Head,
    #[error("the body's framing cannot be read")]
    Framing,
    #[error("the connection ended before the answer did")]
    Short,
    #[error("the body is longer than what is looked at")]
    Long,
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
    answer: HttpAnswer,
}

impl AnswerReader {
    pub(crate) fn new(keep: Keep) -> Self {
        Self {
            keep,
            state: ParseState::Head,
            partial: Vec::new(),
            answer: HttpAnswer::default(),
        }
    }

    /// Takes what came. True when the answer is complete.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<bool, NotHttp> {
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
    pub(crate) fn end(&mut self) -> Result<(), NotHttp> {
        match self.state {
            ParseState::UntilClosed | ParseState::Done => Ok(()),
            _ => Err(NotHttp::Short),
        }
    }

    pub(crate) fn answer(self) -> HttpAnswer {
        self.answer
    }

    /// Reads the head, perhaps from pieces. Returns the number of these bytes that belong to it, or
    /// `None` if it is not whole.
    fn head(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotHttp> {
        if self.partial.is_empty() {
            return match self.parse(bytes)? {
                Some(used) => Ok(Some(used)),
                None => {
                    self.partial.extend_from_slice(bytes);
                    Ok(None)
                }
            };
        }
        let before = self.partial.len();
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(bytes);
        if whole.len() > LONGEST_HEAD {
            return Err(NotHttp::Head);
        }
        match self.parse(&whole)? {
            Some(used) => Ok(Some(used - before)),
            None => {
                self.partial = whole;
                Ok(None)
            }
        }
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotHttp> {
        let mut room = [const { MaybeUninit::uninit() }; MOST_HEADERS];
        let mut head = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut head, bytes, &mut room)
            .map_err(|_| NotHttp::Head)?;
        let httparse::Status::Complete(used) = parsed else {
            return Ok(None);
        };
        let status = head.code.unwrap_or_default();
        match status {
            101 => return Err(NotHttp::Head),
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
                let read = std::str::from_utf8(header.value)
                    .ok()
                    .and_then(|value| value.trim().parse::<u64>().ok());
                let read = read.ok_or(NotHttp::Framing)?;
                if length.is_some_and(|known| known != read) {
                    return Err(NotHttp::Framing);
                }
                length = Some(read);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                coded = true;
                chunked = header
                    .value
                    .to_ascii_lowercase()
                    .trim_ascii()
                    .ends_with(b"chunked");
            } else if name.eq_ignore_ascii_case("connection") {
                let value = header.value.to_ascii_lowercase();
                for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    close = (close || token == b"close") && token != b"keep-alive";
                }
            }
            if self.keeps(name, status) {
                self.answer
                    .headers
                    .push((name.to_ascii_lowercase(), header.value.to_vec()));
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
    }

    fn body(&mut self, bytes: &[u8]) -> Result<(), NotHttp> {
        self.answer.bytes += bytes.len() as u64;
        if self.keep.body {
            if self.answer.body.len() + bytes.len() > LONGEST_BODY {
                return Err(NotHttp::Long);
            }
            self.answer.body.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Reads one piece of a chunked body; returns the number of bytes it took, or `None` if it
    /// needs more.
    fn chunked(&mut self, chunk: Chunk, bytes: &[u8]) -> Result<Option<usize>, NotHttp> {
        let Some(first) = bytes.first().copied() else {
            return Ok(None);
        };
        let (next, used) = match chunk {
            Chunk::Size(size, digits) => match (char::from(first).to_digit(16), first) {
                (Some(_), _) if digits == 16 => return Err(NotHttp::Framing),
                (Some(digit), _) => (Chunk::Size(size << 4 | u64::from(digit), digits + 1), 1),
                (None, _) if digits == 0 => return Err(NotHttp::Framing),
                (None, b'\n') => (after_size(size), 1),
                (None, b'\r' | b';' | b' ' | b'\t') => (Chunk::Extension(size), 1),
                _ => return Err(NotHttp::Framing),
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
            Chunk::DataEnd(_) => return Err(NotHttp::Framing),
            Chunk::Trailer(length) => match (first, length) {
                (b'\n', 0) => {
                    self.state = ParseState::Done;
                    return Ok(Some(1));
                }
                (b'\n', _) => (Chunk::Trailer(0), 1),
                (b'\r', length) => (Chunk::Trailer(length), 1),
                (_, length) if length > LONGEST_HEAD => return Err(NotHttp::Framing),
                (_, length) => (Chunk::Trailer(length + 1), 1),
            },
        };
        self.state = ParseState::Chunked(next);
        Ok(Some(used))
    }
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

    fn read(pieces: &[&[u8]], keep: Keep) -> Result<(bool, HttpAnswer), NotHttp> {
        let mut reader = AnswerReader::new(keep);
        let mut done = false;
        for piece in pieces {
            done = reader.feed(piece)?;
        }
        Ok((done, reader.answer()))
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
            ("SSH-2.0-OpenSSH\r\n\r\n", NotHttp::Head),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", NotHttp::Head),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
                NotHttp::Framing,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
                NotHttp::Framing,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
                NotHttp::Framing,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nxx",
                NotHttp::Framing,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n11111111111111111",
                NotHttp::Framing,
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
            Err(NotHttp::Short)
        );
        assert_eq!(end("HTTP/1.1 2"), Err(NotHttp::Short));
        assert_eq!(end(""), Err(NotHttp::Short));
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
