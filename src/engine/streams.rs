//! The streams of one HTTP/2 connection. A request waits here for a free one, before the library has
//! it: so it is known that nothing was sent of a request that waited when the connection went away.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;

use super::connection::{Io, Local};

/// Drives a connection, and knows how many streams the server permits at once.
type Driver = http2::Connection<TokioIo<Io>, Full<Bytes>, Local>;

/// The streams of a connection that carry requests, and the requests that wait for one.
pub(super) struct Streams {
    /// `None` once the connection has ended.
    driver: RefCell<Option<Driver>>,
    open: Cell<usize>,
    waiting: Cell<usize>,
    freed: Notify,
}

/// One stream, until it is dropped.
pub(super) struct Stream(Rc<Streams>);

impl Streams {
    pub(super) fn of(driver: Driver) -> Rc<Self> {
        Rc::new(Self {
            driver: RefCell::new(Some(driver)),
            open: Cell::new(0),
            waiting: Cell::new(0),
            freed: Notify::new(),
        })
    }

    /// Drives the connection to its end. The requests under way, if any, see how it ended.
    pub(super) async fn drive(self: Rc<Self>) {
        poll_fn(|cx| match self.driver.borrow_mut().as_mut() {
            Some(driver) => Pin::new(driver).poll(cx).map(drop),
            None => Poll::Ready(()),
        })
        .await;
        // Dropped, it gives back the requests that it has not sent.
        drop(self.driver.take());
        self.freed.notify_waiters();
    }

    /// Takes a stream as soon as one is free, or the connection has ended: then the library gives
    /// the request back.
    pub(super) async fn one(self: &Rc<Self>) -> Stream {
        // Those who wait already come first.
        if self.waiting.get() > 0 || !self.has_room() {
            let _place = Waiting::begin(&self.waiting);
            loop {
                self.freed.notified().await;
                if self.has_room() {
                    break;
                }
            }
        }
        self.open.set(self.open.get() + 1);
        // The server may have raised its bound since the last request.
        if self.waiting.get() > 0 && self.has_room() {
            self.freed.notify_one();
        }
        Stream(Rc::clone(self))
    }

    fn has_room(&self) -> bool {
        let driver = self.driver.borrow();
        driver.as_ref().is_none_or(|driver| {
            // Where the server permits none at all, the library waits for its next word.
            self.open.get() < driver.current_max_send_streams().max(1)
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        if self.0.waiting.get() > 0 {
            self.0.freed.notify_one();
        }
    }
}

/// Counts one request that waits, also when it is given up.
struct Waiting<'c>(&'c Cell<usize>);

impl<'c> Waiting<'c> {
    fn begin(count: &'c Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
