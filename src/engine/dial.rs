//! Opens a TCP connection to one of the target's addresses. Tells an attempt that the target did not
//! take from one for which the generator's own system had nothing left.

use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::context::WorkerContext;
use model::measure::{Broken, Ending, NoSocket};

/// The reason for which no address could be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotDialled {
    /// An address refused the attempt, or did not answer it.
    ByTarget,
    /// An address ended the connection with a reset. A port that is closed refuses it instead: so the
    /// connection was there, perhaps before this end knew it.
    Reset,
    /// This system has no way to the address, as to IPv6 addresses in many networks. It tells nothing of
    /// the target, nor of a limit.
    NoRoute,
    /// The generator's own system had no socket for any attempt.
    OwnLimit(NoSocket),
}

impl NotDialled {
    /// Returns the class of a request that has no connection for this reason.
    pub(crate) fn ending(self) -> Ending {
        match self {
            Self::ByTarget | Self::NoRoute => Ending::Connect,
            Self::Reset => Ending::Broken(Broken::ResetBeforeAnswer),
            Self::OwnLimit(_) => Ending::NoSocket,
        }
    }

    /// Returns the reason after one more attempt that failed. One address that does not answer is
    /// the target's failure, whatever became of the others: a system without IPv6, for example, has
    /// no port for any IPv6 address.
    fn and(before: Option<Self>, latest: Self) -> Self {
        match (before, latest) {
            (Some(Self::Reset), _) | (_, Self::Reset) => Self::Reset,
            (Some(Self::NoRoute), latest) => latest,
            (Some(before), Self::NoRoute) => before,
            (Some(Self::ByTarget), _) => Self::ByTarget,
            (_, latest) => latest,
        }
    }

    fn of(error: &io::Error) -> Self {
        match own_limit(error) {
            Some(limit) => Self::OwnLimit(limit),
            None if has_no_route(error) => Self::NoRoute,
            None if error.kind() == io::ErrorKind::ConnectionReset => Self::Reset,
            None => Self::ByTarget,
        }
    }
}

/// True if this system knows no way to the address, or not even its family.
fn has_no_route(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NETUNREACH | Errno::AFNOSUPPORT)
    )
}

/// Returns the limit of this system that a failed `connect` met (connect(2), socket(2)); `None` if
/// the failure came from the network or the target.
fn own_limit(error: &io::Error) -> Option<NoSocket> {
    match Errno::from_io_error(error)? {
        Errno::ADDRNOTAVAIL => Some(NoSocket::NoSourcePort),
        Errno::MFILE => Some(NoSocket::TooManyFiles),
        Errno::NFILE => Some(NoSocket::TooManyFilesOfSystem),
        Errno::NOBUFS | Errno::NOMEM => Some(NoSocket::NoBuffer),
        _ => None,
    }
}

/// Tries the addresses in turn: a dead one must not cost every n-th session its request.
pub(crate) async fn dial(
    context: &WorkerContext,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), NotDialled> {
    let mut failed = None;
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (addresses.len() - tried) as u32;
        let (why, words) =
            match timeout_at(Instant::now() + share, TcpStream::connect(*address)).await {
                Ok(Ok(stream)) => return Ok((stream, *address)),
                Ok(Err(error)) => (NotDialled::of(&error), error.to_string()),
                Err(_) => (
                    NotDialled::ByTarget,
                    "no answer to the attempt to connect".to_owned(),
                ),
            };
        if !matches!(why, NotDialled::OwnLimit(_)) {
            context.recorder.borrow_mut().reason(&words);
            context.refused(*address);
        }
        failed = Some(NotDialled::and(failed, why));
    }
    let failed = failed.unwrap_or(NotDialled::ByTarget);
    if let NotDialled::OwnLimit(_) = failed {
        let mut recorder = context.recorder.borrow_mut();
        recorder.saturation(context.elapsed()).unopened += 1;
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_own_system_lacks_is_no_refusal_of_the_target() {
        use NotDialled::{ByTarget, NoRoute, OwnLimit, Reset};
        for (code, expected) in [
            (Errno::ADDRNOTAVAIL, OwnLimit(NoSocket::NoSourcePort)),
            (Errno::MFILE, OwnLimit(NoSocket::TooManyFiles)),
            (Errno::NFILE, OwnLimit(NoSocket::TooManyFilesOfSystem)),
            (Errno::NOBUFS, OwnLimit(NoSocket::NoBuffer)),
            (Errno::NOMEM, OwnLimit(NoSocket::NoBuffer)),
            (Errno::CONNREFUSED, ByTarget),
            (Errno::CONNRESET, Reset),
            (Errno::TIMEDOUT, ByTarget),
            (Errno::HOSTUNREACH, ByTarget),
            (Errno::NETUNREACH, NoRoute),
            (Errno::AFNOSUPPORT, NoRoute),
        ] {
            assert_eq!(NotDialled::of(&code.into()), expected, "{code:?}");
        }
        assert_eq!(NotDialled::of(&io::ErrorKind::Other.into()), ByTarget);
    }

    #[test]
    fn an_address_that_refuses_is_the_targets_failure_whatever_became_of_others() {
        let own = NotDialled::OwnLimit(NoSocket::NoSourcePort);
        let (target, reset) = (NotDialled::ByTarget, NotDialled::Reset);
        let all = |attempts: &[NotDialled]| {
            let mut attempts = attempts.iter().copied();
            let first = attempts.next();
            attempts.fold(first, |before, one| Some(NotDialled::and(before, one)))
        };
        assert_eq!(all(&[own, own]), Some(own));
        for attempts in [[own, target], [target, own], [target, target]] {
            assert_eq!(all(&attempts), Some(target), "{attempts:?}");
        }
        for attempts in [[own, reset], [reset, target], [target, reset]] {
            assert_eq!(all(&attempts), Some(reset), "{attempts:?}");
        }
        // An address without a way says nothing of the others.
        let none = NotDialled::NoRoute;
        for one in [own, target, reset, none] {
            for attempts in [[none, one], [one, none]] {
                assert_eq!(all(&attempts), Some(one), "{attempts:?}");
            }
        }
        assert_eq!(all(&[none, own, own]), Some(own));
        assert_eq!(
            [own, target, none, reset].map(NotDialled::ending),
            [
                Ending::NoSocket,
                Ending::Connect,
                Ending::Connect,
                Ending::Broken(Broken::ResetBeforeAnswer)
            ]
        );
    }
}
