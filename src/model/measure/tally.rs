//! Counts of requests by how they ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Broken;

/// The class of a finished request. Every result keeps these classes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// Answered as expected, and every hard check held.
    Ok,
    /// Answered, but not as a check (or a capture) of the step wants it.
    Check,
    /// A status of 500 or above that no check asked for.
    Status5xx,
    /// A status from 400 to 499 that no check asked for, but 429.
    Status4xx,
    /// Status 429, too many requests, that no check asked for.
    Limited,
    /// No connection: refused, or unreachable.
    Connect,
    /// No connection, because the name was not resolved.
    Unresolved,
    /// Connected, but no TLS: the handshake or the certificate failed.
    Tls,
    /// The connection broke before the answer was complete, or what came was not HTTP.
    Broken(Broken),
    /// A kept connection ended before the answer began, and the method does not permit to send the
    /// request again.
    Lost,
    /// No complete answer within the request's time-out.
    Timeout,
    /// Never sent: a value that it needed was not there, or was an object in a path.
    Unsent,
    /// Never sent: the generator's own system had no port, file or memory for a connection.
    NoSocket,
}

/// Counts of requests by their ending, of checks, and of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Answered as expected.
    pub ok: u64,
    /// Answered, but a check or a capture failed.
    pub check: u64,
    /// Answered with a status of 500 or above.
    pub status_5xx: u64,
    /// Those of `status_5xx` whose answer had `Retry-After`.
    #[serde(default)]
    pub status_5xx_retry_after: u64,
    /// Answered with a status from 400 to 499.
    pub status_4xx: u64,
    /// Those of `status_4xx` whose status was 429, too many requests.
    #[serde(default)]
    pub limited: u64,
    /// Those of `status_4xx`, 429 among them, whose answer had `Retry-After`.
    #[serde(default)]
    pub status_4xx_retry_after: u64,
    /// No connection.
    pub connect: u64,
    /// Those of `connect` whose name was not resolved.
    #[serde(default)]
    pub unresolved: u64,
    /// No TLS on the connection.
    pub tls: u64,
    /// Broken off before the answer was complete, or not HTTP.
    pub broken: u64,
    /// Those of `broken` whose new connection was closed or reset before the answer began.
    #[serde(default)]
    pub broken_unanswered: u64,
    /// Lost on a kept connection that ended before the answer began, where the method (POST, PATCH)
    /// does not permit to send the request again.
    #[serde(default)]
    pub lost: u64,
    /// No complete answer in time.
    pub timeout: u64,
    /// Never sent, and in no latency or rate: a value was not there, or was an object in a path.
    pub unsent: u64,
    /// Never sent, and neither a request nor an error of the target: the generator's own system had
    /// no port, file or memory for a connection.
    #[serde(default)]
    pub no_socket: u64,
    /// Bytes of response bodies, as received: headers, and the bodies of redirects, are not
    /// counted.
    pub bytes: u64,
    /// Redirects followed. Each is a request on the wire, but not one of the step's.
    pub redirects: u64,
    /// Requests that were sent again, once, on a new connection: the kept one ended before the
    /// answer began, or the server said that it had not begun with them.
    #[serde(default)]
    pub reconnects: u64,
    /// Named checks that held and that did not, soft ones included.
    pub checks_passed: u64,
    /// Named checks that did not hold, soft ones included.
    pub checks_failed: u64,
}

impl Ending {
    /// True if the latency of this ending says something about the target's speed. A refused
    /// connection is quick, but it is no answer.
    pub fn has_latency(self) -> bool {
        !matches!(
            self,
            Self::Connect | Self::Unresolved | Self::Tls | Self::Unsent | Self::NoSocket
        )
    }
}

impl Tally {
    /// Counts one request.
    pub fn add(&mut self, ending: Ending) {
        self.limited += u64::from(ending == Ending::Limited);
        self.unresolved += u64::from(ending == Ending::Unresolved);
        self.broken_unanswered += u64::from(matches!(
            ending,
            Ending::Broken(Broken::ClosedBeforeAnswer | Broken::ResetBeforeAnswer)
        ));
        *match ending {
            Ending::Ok => &mut self.ok,
            Ending::Check => &mut self.check,
            Ending::Status5xx => &mut self.status_5xx,
            Ending::Status4xx | Ending::Limited => &mut self.status_4xx,
            Ending::Connect | Ending::Unresolved => &mut self.connect,
            Ending::Tls => &mut self.tls,
            Ending::Broken(_) => &mut self.broken,
            Ending::Lost => &mut self.lost,
            Ending::Timeout => &mut self.timeout,
            Ending::Unsent => &mut self.unsent,
            Ending::NoSocket => &mut self.no_socket,
        } += 1;
    }

    /// Counts that the answer of a request, which [`Tally::add`] has counted, had `Retry-After`.
    pub fn add_retry_after(&mut self, ending: Ending) {
        match ending {
            Ending::Status5xx => self.status_5xx_retry_after += 1,
            Ending::Status4xx | Ending::Limited => self.status_4xx_retry_after += 1,
            _ => {}
        }
    }

    /// Adds another tally.
    pub fn merge(&mut self, other: &Self) {
        self.ok += other.ok;
        self.check += other.check;
        self.status_5xx += other.status_5xx;
        self.status_5xx_retry_after += other.status_5xx_retry_after;
        self.status_4xx += other.status_4xx;
        self.limited += other.limited;
        self.status_4xx_retry_after += other.status_4xx_retry_after;
        self.connect += other.connect;
        self.unresolved += other.unresolved;
        self.tls += other.tls;
        self.broken += other.broken;
        self.broken_unanswered += other.broken_unanswered;
        self.lost += other.lost;
        self.timeout += other.timeout;
        self.unsent += other.unsent;
        self.no_socket += other.no_socket;
        self.bytes += other.bytes;
        self.redirects += other.redirects;
        self.reconnects += other.reconnects;
        self.checks_passed += other.checks_passed;
        self.checks_failed += other.checks_failed;
    }

    /// Returns the number of all requests, including those that were never sent for want of a value.
    /// Those for which the generator had no socket asked the target for nothing.
    pub fn requests(&self) -> u64 {
        self.ok + self.errors()
    }

    /// Returns the number of requests that did not end with [`Ending::Ok`]. The generator's own
    /// limit on sockets is no error of the target.
    pub fn errors(&self) -> u64 {
        self.check
            + self.status_5xx
            + self.status_4xx
            + self.connect
            + self.tls
            + self.broken
            + self.lost
            + self.timeout
            + self.unsent
    }

    /// Returns the number of requests that got a complete answer, with any status.
    pub fn answered(&self) -> u64 {
        self.ok + self.check + self.status_5xx + self.status_4xx
    }

    /// Returns the classes that happened, with the words reports use.
    pub fn classes(&self) -> Vec<(&'static str, u64)> {
        [
            ("failed checks", self.check),
            ("5xx", self.status_5xx),
            ("4xx", self.status_4xx),
            ("no connection", self.connect),
            ("no TLS", self.tls),
            ("broken off", self.broken),
            ("lost on a kept connection", self.lost),
            ("timed out", self.timeout),
            ("not sent, no usable value", self.unsent),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_class_are_counted_beside_it_and_added_up() {
        let mut tally = Tally::default();
        for ending in [Ending::Limited, Ending::Status4xx, Ending::Status5xx] {
            tally.add(ending);
            tally.add_retry_after(ending);
        }
        tally.add(Ending::Status5xx);
        // A check may ask for a status that comes with the header: then nothing failed.
        tally.add(Ending::Ok);
        tally.add_retry_after(Ending::Ok);
        for broken in [
            Broken::ClosedBeforeAnswer,
            Broken::ResetBeforeAnswer,
            Broken::ClosedInHead,
        ] {
            tally.add(Ending::Broken(broken));
        }
        let expected = Tally {
            ok: 1,
            status_4xx: 2,
            limited: 1,
            status_4xx_retry_after: 2,
            status_5xx: 2,
            status_5xx_retry_after: 1,
            broken: 3,
            broken_unanswered: 2,
            ..Tally::default()
        };
        assert_eq!(tally, expected);
        let mut twice = tally;
        twice.merge(&tally);
        assert_eq!(
            (
                twice.status_4xx_retry_after,
                twice.status_5xx_retry_after,
                twice.broken_unanswered
            ),
            (4, 2, 4)
        );
        assert_eq!(twice.errors(), 14);
    }

    #[test]
    fn a_request_without_a_socket_is_neither_a_request_nor_an_error_of_the_target() {
        let mut tally = Tally::default();
        for ending in [Ending::NoSocket, Ending::Ok, Ending::NoSocket] {
            tally.add(ending);
        }
        let mut twice = tally;
        twice.merge(&tally);
        assert_eq!((twice.no_socket, twice.ok, twice.connect), (4, 2, 0));
        assert_eq!((twice.requests(), twice.errors()), (2, 0));
        assert_eq!(twice.classes(), []);
        assert!(!Ending::NoSocket.has_latency());
    }

    #[test]
    fn a_tally_of_an_older_report_has_no_parts() {
        let mut older = serde_json::to_value(Tally::default()).unwrap();
        let fields = older.as_object_mut().unwrap();
        for part in [
            "limited",
            "unresolved",
            "status_4xx_retry_after",
            "status_5xx_retry_after",
            "broken_unanswered",
            "no_socket",
        ] {
            assert!(fields.remove(part).is_some(), "{part}");
        }
        let read: Tally = serde_json::from_value(older).unwrap();
        assert_eq!(read, Tally::default());
    }
}
