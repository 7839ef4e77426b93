//! moto, the emulator behind the lab's front: a child process, and how calls are passed to it.
//!
//! moto believes every caller. It therefore listens on a socket in the lab's own folder, which other
//! users cannot open, and on no port.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CONNECTION,
    CONTENT_LENGTH, EXPECT, HeaderName, TRANSFER_ENCODING,
};
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, Command};

use super::LabError;
use super::amend;
use super::call::{ApiCall, ApiError, LabResponse};
use super::ids::REGION;

/// moto imports its services at start: seconds on a loaded machine.
const START: Duration = Duration::from_mins(1);
/// The first version that answers ECR's layer calls.
const OLDEST: [u32; 3] = [5, 2, 5];
/// moto has nothing to save: it gets this long to end by itself.
const STOP: Duration = Duration::from_secs(3);
/// Starts the program of its arguments, and kills it with its whole process group once nobody holds
/// the other end of the standard input: a lab that is killed can stop nothing itself.
const WHILE_THE_LAB_LIVES: &str =
    "exec 3<&0; (read -r line <&3; kill -s KILL 0) & exec \"$@\" </dev/null 3<&-";
/// The kernel's limit for the path of a socket, without its last byte.
const LONGEST_PATH: usize = 107;

/// Why moto does not serve.
#[derive(Debug, thiserror::Error)]
pub enum MotoError {
    /// Its version, from the virtual environment, is below 5.2.5.
    #[error("it is moto {}.{}.{}, which does not take image layers", .0[0], .0[1], .0[2])]
    TooOld([u32; 3]),
    /// The system could not start the program.
    #[error("{0}")]
    Spawn(#[source] std::io::Error),
    /// The program ended before it listened.
    #[error("it ended at once ({status}); its log: {}", log.display())]
    Ended {
        /// Its exit status.
        status: ExitStatus,
        /// Path of the file with its output.
        log: PathBuf,
    },
    /// The program ran, but did not say within this time that it listens.
    #[error("it did not listen within {0:?}")]
    Silent(Duration),
    /// The lab's folder lies too deep for a socket.
    #[error("the path of its socket, {}, is too long: set TMPDIR to a shorter one", .0.display())]
    DeepFolder(PathBuf),
}

/// The child process. Dropping it kills it; [`Moto::stop`] also waits.
#[derive(Debug)]
pub(crate) struct Moto {
    child: Child,
    /// moto lives as long as this end is open. The kernel closes it when the lab dies.
    _lifeline: Option<ChildStdin>,
    /// Sends requests to moto's socket.
    pub(crate) client: Client,
}

impl Moto {
    /// Starts moto and waits until it listens, on a socket in this folder. Fails if it is missing,
    /// too old, or ends.
    pub(crate) async fn start(program: Option<&Path>, folder: &Path) -> Result<Self, LabError> {
        let program = find(program)?;
        if let Some(old) = version(&program).filter(|version| *version < OLDEST) {
            let problem = MotoError::TooOld(old);
            return Err(LabError::Moto { program, problem });
        }
        let (log, socket) = (folder.join("moto.log"), folder.join("moto.sock"));
        if socket.as_os_str().len() > LONGEST_PATH {
            let problem = MotoError::DeepFolder(socket);
            return Err(LabError::Moto { program, problem });
        }
        let output = std::fs::File::create(&log).map_err(LabError::Folder)?;
        let mut child = spawn(&program, &socket, output).map_err(|source| LabError::Moto {
            program: program.clone(),
            problem: MotoError::Spawn(source),
        })?;
        let lifeline = child.stdin.take();
        let listening = tokio::time::timeout(START, async {
            loop {
                // The exit is asked for first, so that all output before it has been written.
                let ended = child.try_wait().ok().flatten();
                if std::fs::read_to_string(&log).is_ok_and(|log| listens(&log)) {
                    return Ok(());
                }
                if let Some(status) = ended {
                    return Err(MotoError::Ended {
                        status,
                        log: log.clone(),
                    });
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        match listening.await {
            Ok(Ok(())) => Ok(Self {
                child,
                _lifeline: lifeline,
                client: Client { socket },
            }),
            Ok(Err(problem)) => Err(LabError::Moto { program, problem }),
            Err(_) => Err(LabError::Moto {
                program,
                problem: MotoError::Silent(START),
            }),
        }
    }

    /// Ends the child and its group, and waits for it.
    pub(crate) async fn stop(mut self) {
        signal(&self.child, rustix::process::Signal::TERM);
        if tokio::time::timeout(STOP, self.child.wait()).await.is_err() {
            signal(&self.child, rustix::process::Signal::KILL);
            drop(self.child.wait().await);
        }
    }
}

/// Starts the program, which ends with the lab in any case.
fn spawn(program: &Path, socket: &Path, output: File) -> std::io::Result<Child> {
    // The shell would say only in its output that the program is not there.
    if program.components().count() > 1 {
        rustix::fs::access(program, rustix::fs::Access::EXEC_OK)?;
    }
    Command::new("/bin/sh")
        .args(["-c", WHILE_THE_LAB_LIVES, "moto"])
        .arg(program)
        .args(["-H", &format!("unix://{}", socket.display()), "-p", "0"])
        .stdin(Stdio::piped())
        .stderr(output.try_clone()?)
        .stdout(output)
        // A Ctrl-C on the terminal is ours to handle: moto must outlive the clean-up it triggers.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Signals the whole process group of a child that has not been waited for.
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = child
        .id()
        .and_then(|id| rustix::process::Pid::from_raw(id as i32));
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

fn find(named: Option<&Path>) -> Result<PathBuf, LabError> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    if let Some(path) = std::env::var_os("SPIKEPROOF_MOTO").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let beside = Path::new(".spikeproof/venv/bin/moto_server");
    if beside.is_file() {
        return std::path::absolute(beside).map_err(LabError::Folder);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("moto_server"))
        .find(|path| path.is_file())
        .ok_or(LabError::NoMoto)
}

/// Reads moto's version from the folder that `pip` wrote beside the program; `None` if the program
/// is not in a virtual environment.
fn version(program: &Path) -> Option<[u32; 3]> {
    let libraries = std::fs::read_dir(program.parent()?.parent()?.join("lib")).ok()?;
    let packages = libraries
        .flatten()
        .filter_map(|python| std::fs::read_dir(python.path().join("site-packages")).ok());
    packages
        .flatten()
        .flatten()
        .find_map(|package| numbers(&package.file_name().to_string_lossy()))
}

/// Reads 5, 2, 5 from `moto-5.2.5.dist-info`.
fn numbers(package: &str) -> Option<[u32; 3]> {
    let version = package.strip_prefix("moto-")?.strip_suffix(".dist-info")?;
    let numbers: Vec<u32> = version
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect();
    numbers.try_into().ok()
}

/// True once moto's server (Werkzeug) has written to its log that it listens.
fn listens(log: &str) -> bool {
    log.contains(" * Running on unix://")
}

/// moto lets the pages of every site read its answers; the lab's front lets none.
const PERMISSIONS_OF_PAGES: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// Calls to moto.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    socket: PathBuf,
}

impl Client {
    /// Passes a caller's request on, unchanged.
    pub(crate) async fn forward(&self, call: &ApiCall) -> Result<LabResponse, ApiError> {
        let path = call.uri.path_and_query().map_or("/", |path| path.as_str());
        let answer = self
            .send(
                call.method.clone(),
                path,
                call.headers.clone(),
                call.body.clone(),
            )
            .await?;
        Ok(amend::as_aws(call, answer).await)
    }

    /// Makes the lab's own JSON call, such as `DescribeTaskDefinition`.
    pub(crate) async fn json(
        &self,
        service: &str,
        target: &str,
        body: &Value,
    ) -> Result<Value, ApiError> {
        let kind = "application/x-amz-json-1.1";
        let answer = self
            .own(
                service,
                Method::POST,
                "/",
                &[("x-amz-target", target)],
                kind,
                body.to_string(),
            )
            .await?;
        let status = answer.status();
        let answer: Value = serde_json::from_str(&text(answer).await).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let code = answer["__type"].as_str().unwrap_or("ServerException");
        let message = answer["message"]
            .as_str()
            .or(answer["Message"].as_str())
            .unwrap_or_default();
        Err(ApiError::new(
            code.rsplit('#').next().unwrap_or(code),
            message,
        ))
    }

    /// Makes the lab's own query call; returns the XML.
    pub(crate) async fn query(&self, service: &str, form: &str) -> Result<String, ApiError> {
        let kind = "application/x-www-form-urlencoded";
        Ok(text(
            self.own(service, Method::POST, "/", &[], kind, form.to_owned())
                .await?,
        )
        .await)
    }

    /// Makes the lab's own REST read; returns the XML.
    pub(crate) async fn get(&self, service: &str, path: &str) -> Result<String, ApiError> {
        Ok(text(
            self.own(service, Method::GET, path, &[], "", String::new())
                .await?,
        )
        .await)
    }

    async fn own(
        &self,
        service: &str,
        method: Method,
        path: &str,
        extra: &[(&'static str, &str)],
        kind: &str,
        body: String,
    ) -> Result<LabResponse, ApiError> {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=LAB/20260101/{REGION}/{service}/aws4_request, Signature=none"
        );
        let mut headers = HeaderMap::new();
        let pairs = [
            ("authorization", scope.as_str()),
            ("content-type", kind),
            ("host", "127.0.0.1"),
        ];
        for (name, value) in pairs
            .iter()
            .chain(extra)
            .filter(|(_, value)| !value.is_empty())
        {
            let value = value
                .parse()
                .map_err(|_| ApiError::new("ServerException", format!("bad header {name}")))?;
            headers.insert(*name, value);
        }
        Ok(self.send(method, path, headers, Bytes::from(body)).await?)
    }

    /// Sends one request on a connection of its own: the lab is busy for seconds at a time, not for
    /// hours.
    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<LabResponse, Lost> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| Lost(error.to_string()))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(Lost::from)?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path
            .parse()
            .map_err(|_| Lost(format!("`{path}` is not a path")))?;
        *request.headers_mut() = headers;
        for name in [CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING] {
            request.headers_mut().remove(name);
        }
        let exchange = async {
            let response = sender.send_request(request).await?;
            let (mut parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            for name in [CONNECTION, TRANSFER_ENCODING]
                .iter()
                .chain(&PERMISSIONS_OF_PAGES)
            {
                parts.headers.remove(name);
            }
            Ok::<_, hyper::Error>(LabResponse::from_parts(parts, Full::new(body)))
        };
        let mut exchange = std::pin::pin!(exchange);
        let answer = tokio::select! {
            answer = &mut exchange => answer,
            _ = connection => exchange.await,
        };
        answer.map_err(Lost::from)
    }
}

/// moto did not answer.
#[derive(Debug)]
pub(crate) struct Lost(String);

impl From<hyper::Error> for Lost {
    fn from(error: hyper::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<Lost> for ApiError {
    fn from(Lost(problem): Lost) -> Self {
        Self::new(
            "ServiceUnavailable",
            format!("moto did not answer: {problem}"),
        )
    }
}

/// Returns the body of an answer that is in memory already.
pub(crate) async fn text(answer: LabResponse) -> String {
    let Ok(body) = answer.into_body().collect().await;
    String::from_utf8_lossy(&body.to_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_moto_is_read_from_its_folder() {
        for (package, expected) in [
            ("moto-5.2.5.dist-info", Some([5, 2, 5])),
            ("moto-5.10.0.dist-info", Some([5, 10, 0])),
            ("moto_ext-1.0.0.dist-info", None),
            ("moto", None),
        ] {
            assert_eq!(numbers(package), expected, "{package}");
        }
        assert!([5, 2, 1] < OLDEST && [5, 10, 0] > OLDEST);
    }

    #[test]
    fn moto_says_that_it_listens() {
        let log = "WARNING: This is a development server.\n * Running on unix:///tmp/lab/moto.sock\nPress CTRL+C to quit\n";
        assert!(listens(log));
        assert!(!listens(&log[..log.find("unix").unwrap()]));
        assert!(!listens(""));
    }

    #[tokio::test]
    async fn a_folder_that_is_too_deep_for_a_socket_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(LONGEST_PATH));
        let problem = Moto::start(Some(Path::new("moto_server")), &deep).await;
        assert!(
            matches!(
                problem,
                Err(LabError::Moto {
                    problem: MotoError::DeepFolder(_),
                    ..
                })
            ),
            "{problem:?}"
        );
    }
}
