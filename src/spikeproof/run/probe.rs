//! One request to the target before anything is created, so that a dead or mistyped one costs
//! nothing.

use super::{FleetKind, Preview, RunError, ScenarioOptions};
use crate::events::Phase;
use crate::limits::AddressPolicy;
use crate::ownership::Asker;
use crate::scenario::Target;

/// The outcome of a probe that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The target answered with this HTTP status.
    Answered(u16),
    /// The target is private: only tasks inside its network reach it.
    Private,
}

impl Probe {
    /// Returns a note for the user; `None` where there is nothing to say.
    pub fn note(self, target: &Target) -> Option<String> {
        match self {
            Self::Answered(status) if status >= 500 => Some(format!(
                "{} answers {status} before there is any load",
                target.url
            )),
            Self::Answered(_) => None,
            Self::Private => Some(
                "the target is private: no request is sent to it before the tasks start".to_owned(),
            ),
        }
    }
}

/// Sends one GET to the target's URL. Any HTTP answer will do: the path of the URL may be nothing
/// that the scenario asks for.
pub(super) async fn probe(
    target: &Target,
    address_policy: AddressPolicy,
    tasks_are_elsewhere: bool,
) -> Result<Probe, RunError> {
    if target.private && tasks_are_elsewhere {
        return Ok(Probe::Private);
    }
    match Asker::new(target, address_policy).await.probe().await {
        Ok(status) => Ok(Probe::Answered(status)),
        Err(error) => {
            let what = format!("{} does not answer: {error}", target.url);
            Err(RunError::could_not(Phase::Plan, what)
                .with_source(error)
                .hint("start it, or correct `target.url` (`--url` replaces it)")
                .hint("`--no-probe`, if only the generators can reach it"))
        }
    }
}

/// The same for `check`, which does not know where the tasks will run: loopback is permitted.
pub async fn probe_of(options: &ScenarioOptions, preview: &Preview) -> Result<Probe, RunError> {
    let target = &preview.scenario.target;
    let address_policy = AddressPolicy {
        loopback: true,
        private: target.private,
    };
    probe(target, address_policy, options.fleet == FleetKind::Fargate).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::task::JoinSet;

    use super::*;
    use crate::outcome::Exit;
    use crate::scenario::example;

    const LOCAL: AddressPolicy = AddressPolicy {
        loopback: true,
        private: true,
    };

    fn target(url: &str) -> Target {
        let mut target = example::scenario(vec![]).target;
        target.url = crate::scenario::url(url).unwrap();
        target
    }

    /// Answers every request with this status, and counts the connections.
    async fn site(status: u16, owner: &mut JoinSet<()>) -> (String, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&seen);
        owner.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let mut head = [0; 1_024];
                drop(stream.read(&mut head).await);
                let answer = format!(
                    "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        (url, seen)
    }

    async fn refused(url: &str, policy: AddressPolicy) -> RunError {
        probe(&target(url), policy, true).await.unwrap_err()
    }

    #[tokio::test]
    async fn any_answer_will_do_and_one_of_a_failing_server_is_noted() {
        let mut owner = JoinSet::new();
        for (status, note) in [
            (200, None),
            (404, None),
            (499, None),
            (500, Some("answers 500 before there is any load")),
            (503, Some("answers 503 before there is any load")),
        ] {
            let (url, seen) = site(status, &mut owner).await;
            let target = target(&url);
            let found = probe(&target, LOCAL, true).await.unwrap();
            assert_eq!(found, Probe::Answered(status));
            let said = note.map(|note| format!("{} {note}", target.url));
            assert_eq!(found.note(&target), said);
            assert_eq!(seen.load(Ordering::Relaxed), 1, "one request of {status}");
        }
    }

    #[tokio::test]
    async fn a_target_that_does_not_answer_is_an_error_of_the_plan() {
        // The port stays bound, so that no other process listens there.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let dead = format!("http://{}", socket.local_addr().unwrap());
        let found = refused(&dead, LOCAL).await;
        let said = format!("{dead} does not answer: ");
        assert!(found.what.starts_with(&said), "{}", found.what);
        assert!(found.to_string().contains("--no-probe"), "{found}");
        assert_eq!(found.kind.exit(), Exit::CouldNotRun);

        // RFC 6761: no name below `invalid` ever has an address.
        let found = refused("http://shop.invalid", LOCAL).await;
        assert!(
            found.what.ends_with("its name has no address"),
            "{}",
            found.what
        );
    }

    #[tokio::test]
    async fn an_address_that_may_get_no_load_gets_no_probe() {
        let mut owner = JoinSet::new();
        let (url, seen) = site(200, &mut owner).await;
        let found = refused(&url, AddressPolicy::default()).await;
        assert!(found.what.contains("no load goes to 127.0.0.1"), "{found}");
        assert_eq!(seen.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_private_target_is_left_to_tasks_that_are_elsewhere() {
        let mut owner = JoinSet::new();
        let (url, seen) = site(200, &mut owner).await;
        let target = Target {
            private: true,
            ..target(&url)
        };
        let found = probe(&target, LOCAL, true).await.unwrap();
        assert_eq!(found, Probe::Private);
        assert!(found.note(&target).unwrap().contains("is private"));
        assert_eq!(seen.load(Ordering::Relaxed), 0);
        // Generators on this machine reach what this machine reaches.
        let found = probe(&target, LOCAL, false).await.unwrap();
        assert_eq!(found, Probe::Answered(200));
    }
}
