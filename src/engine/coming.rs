//! An answer that is coming, and why it did not come or did not become whole.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::connection::Buffer;
use super::tls;
use super::wire::{AnswerReader, HttpAnswer, Keep};
use model::measure::{Broken, Ending, TlsFailure};

/// Why an exchange brought no whole answer.
#[derive(Debug)]
pub struct Cut {
    pub ending: Ending,
    pub taken: Taken,
    /// The reason, if TLS ended it.
    pub tls: Option<TlsFailure>,
}

/// How far the server came with a request that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It said that it did nothing, or the request was never sent.
    No,
    /// Unknown: no byte of an answer came.
    Unknown,
    /// It had begun with an answer.
    Yes,
}

impl Cut {
    pub(crate) fn broken(broken: Broken) -> Self {
        let taken = match broken {
            Broken::StreamRefused | Broken::GoneAway => Taken::No,
            Broken::ClosedBeforeAnswer | Broken::ResetBeforeAnswer => Taken::Unknown,
            _ => Taken::Yes,
        };
        Self {
            ending: Ending::Broken(broken),
            taken,
            tls: None,
        }
    }
}

/// An answer over HTTP/1.1 that is coming, perhaps while its request is still being sent.
pub struct Coming<'t> {
    reader: AnswerReader,
    /// When its first byte was here.
    first_byte: &'t mut Option<Instant>,
    /// The whole request was sent.
    pub sent: bool,
    /// The connection was reset while the request was being sent: reading tells of an end only.
    pub reset: bool,
    /// How it ended, if it did before the request was sent.
    pub ended: Option<Result<(), Cut>>,
}

impl<'t> Coming<'t> {
    pub(crate) fn new(keep: Keep, first_byte: &'t mut Option<Instant>) -> Self {
        Self {
            reader: AnswerReader::new(keep),
            first_byte,
            sent: false,
            reset: false,
            ended: None,
        }
    }

    /// Reads what is there. Ready when the answer is whole, or never will be.
    pub(crate) fn poll(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
        buffer: &Buffer,
    ) -> Poll<Result<(), Cut>> {
        let mut buffer = buffer.borrow_mut();
        loop {
            let mut room = ReadBuf::new(&mut buffer);
            match Pin::new(&mut *io).poll_read(cx, &mut room) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(self.cut_by(&error)),
                Poll::Ready(Ok(())) => {}
            }
            let came = room.filled();
            if came.is_empty() && self.reset {
                return Poll::Ready(self.cut_by_reset());
            }
            if came.is_empty() {
                return Poll::Ready(self.reader.end().map_err(Cut::broken));
            }
            self.first_byte.get_or_insert_with(Instant::now);
            match self.reader.feed(came) {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(broken) => return Poll::Ready(Err(Cut::broken(broken))),
            }
        }
    }

    /// Returns the answer that has come. Its connection is not used again if a part of the request
    /// was not sent.
    pub(crate) fn answer(self) -> HttpAnswer {
        let mut answer = self.reader.answer();
        answer.reusable &= self.sent;
        answer
    }

    fn cut_by(&mut self, error: &io::Error) -> Result<(), Cut> {
        // TLS without its own farewell ends like a connection without TLS.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return self.reader.end().map_err(Cut::broken);
        }
        if let Some(tls) = tls::refusal(error) {
            return Err(Cut {
                ending: Ending::Tls,
                taken: Taken::Yes,
                tls: Some(tls),
            });
        }
        self.cut_by_reset()
    }

    fn cut_by_reset(&self) -> Result<(), Cut> {
        match (&self.first_byte, self.sent) {
            (None, _) => Err(Cut::broken(Broken::ResetBeforeAnswer)),
            // A server that answers early resets the connection, for the rest of the request has
            // nowhere to go.
            (Some(_), false) if self.reader.ends_with_connection() => Ok(()),
            (Some(_), _) => Err(Cut::broken(Broken::ResetInAnswer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_reset_that_sending_met_is_no_close() {
        let buffer: Buffer = Rc::new(RefCell::new(vec![0; 64].into()));
        for (came, reset, broken) in [
            ("", false, Broken::ClosedBeforeAnswer),
            ("", true, Broken::ResetBeforeAnswer),
            ("HTTP/1.1 200", false, Broken::ClosedInHead),
            ("HTTP/1.1 200", true, Broken::ResetInAnswer),
        ] {
            let (mut first_byte, mut io) = (None, came.as_bytes());
            let mut coming = Coming::new(Keep::default(), &mut first_byte);
            coming.reset = reset;
            let mut context = Context::from_waker(Waker::noop());
            let Poll::Ready(Err(cut)) = coming.poll(&mut io, &mut context, &buffer) else {
                panic!("{came:?} is no answer");
            };
            assert_eq!(cut.ending, Ending::Broken(broken), "{came:?} {reset}");
        }
    }
}
