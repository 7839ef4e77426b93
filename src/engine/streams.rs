//! The streams of one HTTP/2 connection. A request waits here for a free one, before the library has
//! it: so it is known that nothing was sent of a request that waited when the connection went away.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::Poll;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;
use tokio::task::spawn_local;

use super::connection::Io;

/// Drives a connection, and knows how many streams the server permits at once.
type Driver = http2::Connection<TokioIo<Io>, Full<Bytes>, Local>;

/// Spawns the library's own tasks on the worker's thread. One of them reads what the server says,
/// such as that it permits more streams from now on.
#[derive(Clone, Default)]
pub(super) struct Local(Rc<OnceCell<Weak<Streams>>>);

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        let streams = Rc::clone(&self.0);
        drop(spawn_local(async move {
            let mut future = pin!(future);
            poll_fn(|cx| {
                let polled = future.as_mut().poll(cx);
                if let Some(streams) = streams.get().and_then(Weak::upgrade) {
                    streams.pass_on();
                }
                polled
            })
            .await;
        }));
    }
}

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
    /// Returns the streams of a connection whose tasks were spawned by `tasks`.
    pub(super) fn of(driver: Driver, tasks: &Local) -> Rc<Self> {
        let streams = Rc::new(Self {
            driver: RefCell::new(Some(driver)),
            open: Cell::new(0),
            waiting: Cell::new(0),
            freed: Notify::new(),
        });
        tasks.0.get_or_init(|| Rc::downgrade(&streams));
        streams
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
        // Those who wait already come first, while the connection lasts: its end wakes all at once,
        // and nobody who comes later.
        if !self.has_ended() && (self.waiting.get() > 0 || !self.has_room()) {
            let _place = Waiting::begin(&self.waiting);
            loop {
                self.freed.notified().await;
                if self.has_room() {
                    break;
                }
            }
        }
        self.open.set(self.open.get() + 1);
        self.pass_on();
        Stream(Rc::clone(self))
    }

    /// Wakes one of those who wait, if there is room: an answer has ended, or the server has raised
    /// its bound. That one wakes the next.
    fn pass_on(&self) {
        if self.waiting.get() > 0 && self.has_room() {
            self.freed.notify_one();
        }
    }

    fn has_ended(&self) -> bool {
        self.driver.borrow().is_none()
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
        self.0.pass_on();
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
