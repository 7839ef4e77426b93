//! Why a request did not end with the answer that it asked for, where its class alone does not say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Key;

/// The reason of a failed request. In JSON an object with a kebab-case `id`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum Failure {
    /// The body has a content coding that the engine does not know, so no check could read it.
    UnknownCoding {
        /// The value of `Content-Encoding`.
        coding: String,
    },
    /// The body is not packed as its content coding says, or becomes longer than 16 MiB.
    NotUnpacked {
        /// The value of `Content-Encoding`.
        coding: String,
    },
    /// The request was not sent: before its query, the path would have had all of an object or a
    /// list.
    ObjectInPath {
        /// The value's name in the scenario.
        value: String,
    },
    /// The request ended with its connection.
    #[serde(untagged)]
    Broken(Broken),
    /// A redirect was not followed.
    #[serde(untagged)]
    Redirect(RefusedRedirect),
    /// There was no TLS.
    #[serde(untagged)]
    Tls(TlsFailure),
    /// The generator had no socket for it.
    #[serde(untagged)]
    NoSocket(NoSocket),
}

/// The thing that the generator's own system lacked for one more connection.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum NoSocket {
    /// A source port, or an address of its own, towards the target (EADDRNOTAVAIL).
    NoSourcePort,
    /// A file descriptor of the process (EMFILE).
    TooManyFiles,
    /// A file descriptor of the whole system (ENFILE).
    TooManyFilesOfSystem,
    /// Memory for the socket (ENOBUFS, ENOMEM).
    NoBuffer,
}

/// The reason of a request that was broken off.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum Broken {
    /// The answer is not HTTP.
    NotHttp,
    /// A line of the answer's head cannot be read.
    UnreadableHead,
    /// The head of the answer is longer than 256 KiB.
    HeadTooLong,
    /// The answer has more than 5,000 header lines.
    TooManyHeaders,
    /// The server changed to another protocol (status 101), which no step asked for.
    ProtocolChanged,
    /// `Content-Length` is no number, or there are several different ones.
    UnreadableLength,
    /// The chunks of the body cannot be read.
    UnreadableChunks,
    /// A body that a check or capture reads is longer than 16 MiB.
    BodyTooLong,
    /// The server closed the connection before the answer began.
    ClosedBeforeAnswer,
    /// The server closed the connection within the head of the answer.
    ClosedInHead,
    /// The server closed the connection before the body had its length.
    ClosedBeforeLength,
    /// The connection was reset before the answer began.
    ResetBeforeAnswer,
    /// The connection was reset within the answer.
    ResetInAnswer,
    /// HTTP/2: the server refused the request twice without work on it.
    StreamRefused,
    /// HTTP/2: the server ended the request with an error.
    StreamReset,
    /// HTTP/2: the server ended two connections before it took the request.
    GoneAway,
    /// HTTP/2: the server did not keep to the protocol.
    ProtocolError,
    /// HTTP/2 cannot carry the path or a header of the request, so it was not sent.
    NotSendable,
}

/// The reason for which a redirect was not followed.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum RefusedRedirect {
    /// The answer has no `Location`.
    RedirectWithoutLocation,
    /// `Location` is no URL of http or https.
    RedirectNotUnderstood {
        /// The value of `Location`, without its query.
        location: String,
    },
    /// It leads to another host than the target's.
    RedirectElsewhere {
        /// The value of `Location`, without its query.
        location: String,
    },
    /// It leads from https to http.
    RedirectToHttp {
        /// The value of `Location`, without its query.
        location: String,
    },
    /// It would take a secret in the path or body to another scheme or port.
    RedirectWithSecret {
        /// The value of `Location`, without its query.
        location: String,
    },
    /// It would take a body with values of the first endpoint to another scheme or port.
    RedirectWithBody {
        /// The value of `Location`, without its query.
        location: String,
    },
    /// The step follows no more redirects.
    TooManyRedirects {
        /// The value of `Location`, without its query.
        location: String,
    },
}

/// The reason for which there was no TLS.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum TlsFailure {
    /// The server's certificate is signed by itself, and `tls.ca` does not hold it.
    SelfSigned,
    /// No trusted authority signed the server's certificate.
    UnknownIssuer,
    /// The server's certificate has expired.
    CertificateExpired,
    /// The server's certificate is not valid yet.
    CertificateNotYetValid,
    /// The server's certificate is for other names than the target's host.
    WrongName {
        /// The names that it is for; empty if it has none.
        names: String,
    },
    /// The server refused the client's certificate, or asked for one.
    ClientCertificate,
    /// The server sent something that is no TLS.
    NotTls,
    /// Server and generator have no TLS version, cipher or application protocol in common.
    NothingInCommon,
    /// The server closed the connection within the handshake.
    ClosedInHandshake,
    /// The handshake took longer than the time to connect.
    HandshakeTimeout,
    /// Anything else.
    OtherTls {
        /// The reason in the words of the TLS library.
        why: String,
    },
}

/// How often one step had one reason, over an interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureCount {
    /// The phase, flow and step.
    pub key: Key,
    /// The reason.
    pub failure: Failure,
    /// Requests that had it.
    pub count: u64,
}

/// Complete answers of one step with one status, over an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusCount {
    /// The phase, flow and step.
    pub key: Key,
    /// The status code of the last answer, after redirects.
    pub status: u16,
    /// Answers that had it.
    pub answers: u64,
    /// Those of `answers` that are errors, by their status or by a check.
    pub failed: u64,
}

impl Failure {
    /// Returns the text in it that came from outside.
    pub fn text_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::UnknownCoding { coding: text }
            | Self::NotUnpacked { coding: text }
            | Self::ObjectInPath { value: text }
            | Self::Redirect(
                RefusedRedirect::RedirectNotUnderstood { location: text }
                | RefusedRedirect::RedirectElsewhere { location: text }
                | RefusedRedirect::RedirectToHttp { location: text }
                | RefusedRedirect::RedirectWithSecret { location: text }
                | RefusedRedirect::RedirectWithBody { location: text }
                | RefusedRedirect::TooManyRedirects { location: text },
            )
            | Self::Tls(
                TlsFailure::WrongName { names: text } | TlsFailure::OtherTls { why: text },
            ) => Some(text),
            Self::Broken(_)
            | Self::Redirect(RefusedRedirect::RedirectWithoutLocation)
            | Self::Tls(_)
            | Self::NoSocket(_) => None,
        }
    }

    /// Returns the same reason without its text: more different texts than are kept count as one.
    #[must_use]
    pub fn without_text(mut self) -> Self {
        if let Some(text) = self.text_mut() {
            text.clear();
        }
        self
    }
}

impl Broken {
    /// True if bytes of an answer had come.
    pub fn had_begun(self) -> bool {
        !matches!(
            self,
            Self::ClosedBeforeAnswer
                | Self::ResetBeforeAnswer
                | Self::StreamRefused
                | Self::GoneAway
                | Self::NotSendable
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_keep_their_ids_and_texts_in_json() {
        let location = "http://other/".to_owned();
        for (failure, json) in [
            (
                Failure::Broken(Broken::ClosedBeforeLength),
                r#"{"id":"closed-before-length"}"#,
            ),
            (
                Failure::UnknownCoding {
                    coding: "compress".to_owned(),
                },
                r#"{"id":"unknown-coding","coding":"compress"}"#,
            ),
            (
                Failure::Redirect(RefusedRedirect::RedirectToHttp { location }),
                r#"{"id":"redirect-to-http","location":"http://other/"}"#,
            ),
            (
                Failure::Tls(TlsFailure::SelfSigned),
                r#"{"id":"self-signed"}"#,
            ),
            (
                Failure::NoSocket(NoSocket::NoSourcePort),
                r#"{"id":"no-source-port"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&failure).unwrap(), json);
            assert_eq!(serde_json::from_str::<Failure>(json).unwrap(), failure);
        }
    }
}
