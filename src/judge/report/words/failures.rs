//! Sentences for the reasons of failed requests.

use model::measure::{Broken, Failure, NoSocket, RefusedRedirect, TlsFailure};

/// Returns the reason of a failed request in words.
pub fn failure(failure: &Failure) -> String {
    match failure {
        Failure::Broken(reason) => broken(*reason).to_owned(),
        Failure::Redirect(reason) => redirect(reason),
        Failure::Tls(reason) => tls(reason),
        Failure::NoSocket(reason) => no_socket(*reason).to_owned(),
        Failure::UnknownCoding { coding } => format!(
            "no check could read the body: `Content-Encoding: {}` is no coding that is known here",
            or_others(coding)
        ),
        Failure::NotUnpacked { coding } => format!(
            "no check could read the body: it is not what `Content-Encoding: {}` says, or longer \
             than 16 MiB",
            or_others(coding)
        ),
        Failure::ObjectInPath { value } => format!(
            "`{}` is an object or a list, which no path can have as a whole: name a member of it",
            or_others(value)
        ),
    }
}

/// Returns a text from outside; there is none where too many different ones came.
fn or_others(text: &str) -> &str {
    if text.is_empty() { "(others)" } else { text }
}

fn broken(reason: Broken) -> &'static str {
    match reason {
        Broken::NotHttp => "the answer is not HTTP: is it https, or another protocol?",
        Broken::UnreadableHead => "a header line of the answer cannot be read",
        Broken::HeadTooLong => "the head of the answer is longer than 256 KiB",
        Broken::TooManyHeaders => "the answer has more than 5,000 header lines",
        Broken::ProtocolChanged => {
            "the server changed to another protocol (status 101), which was not asked for"
        }
        Broken::UnreadableLength => "`Content-Length` of the answer cannot be read, or is not one",
        Broken::UnreadableChunks => "the chunks of the body cannot be read",
        Broken::BodyTooLong => "the body is longer than the 16 MiB that checks and captures read",
        Broken::ClosedBeforeAnswer => {
            "the server closed the new connection before the answer began"
        }
        Broken::ClosedInHead => "the server closed the connection within the head of the answer",
        Broken::ClosedBeforeLength => {
            "the server closed the connection before the body had its length"
        }
        Broken::ResetBeforeAnswer => "the new connection was reset before the answer began",
        Broken::ResetInAnswer => "the connection was reset within the answer",
        Broken::StreamRefused => "the server refused the request twice (REFUSED_STREAM)",
        Broken::StreamReset => "the server ended the request with an error (RST_STREAM)",
        Broken::GoneAway => "the server ended two connections before it took the request (GOAWAY)",
        Broken::ProtocolError => "the server did not keep to HTTP/2",
        Broken::NotSendable => "HTTP/2 cannot carry the path or a header of the request",
    }
}

fn redirect(reason: &RefusedRedirect) -> String {
    match reason {
        RefusedRedirect::RedirectWithoutLocation => {
            "a redirect without `Location` leads nowhere".to_owned()
        }
        RefusedRedirect::RedirectNotUnderstood { location } => {
            format!("a redirect to {} is none of HTTP", or_others(location))
        }
        RefusedRedirect::RedirectElsewhere { location } => {
            format!(
                "a redirect to {} leads to another host, and load goes to the target only",
                or_others(location)
            )
        }
        RefusedRedirect::RedirectToHttp { location } => {
            format!(
                "a redirect to {} leads from https to http",
                or_others(location)
            )
        }
        RefusedRedirect::RedirectWithSecret { location } => {
            format!(
                "a redirect to {} would take a secret in the path or body to another port or scheme",
                or_others(location)
            )
        }
        RefusedRedirect::RedirectWithBody { location } => {
            format!(
                "a redirect to {} would take captured values, data or the environment's values in \
                 the body to another port or scheme",
                or_others(location)
            )
        }
        RefusedRedirect::TooManyRedirects { location } => {
            format!("a redirect to {} is one too many", or_others(location))
        }
    }
}

fn no_socket(reason: NoSocket) -> &'static str {
    match reason {
        NoSocket::NoSourcePort => {
            "not sent: the generator had no source port left towards this address (EADDRNOTAVAIL)"
        }
        NoSocket::TooManyFiles => {
            "not sent: the generator has as many files open as its limit permits (EMFILE)"
        }
        NoSocket::TooManyFilesOfSystem => {
            "not sent: the generator's system has as many files open as it can (ENFILE)"
        }
        NoSocket::NoBuffer => {
            "not sent: the generator's system had no memory for a socket (ENOBUFS)"
        }
    }
}

fn tls(reason: &TlsFailure) -> String {
    match reason {
        TlsFailure::SelfSigned => {
            "the server's certificate is signed by itself: name it in `tls.ca`, or accept any with \
             `tls.insecure`"
                .to_owned()
        }
        TlsFailure::UnknownIssuer => {
            "no trusted authority signed the server's certificate: name its authority in `tls.ca`, \
             or let the server send the whole chain"
                .to_owned()
        }
        TlsFailure::CertificateExpired => "the server's certificate has expired".to_owned(),
        TlsFailure::CertificateNotYetValid => {
            "the server's certificate is not valid yet, or a clock is wrong".to_owned()
        }
        TlsFailure::WrongName { names } if names.is_empty() => {
            "the server's certificate is for another name than the target's host".to_owned()
        }
        TlsFailure::WrongName { names } => {
            format!("the server's certificate is for {names}, and not for the target's host")
        }
        TlsFailure::ClientCertificate => {
            "the server wants another client certificate: `tls.certificate` and `tls.key`"
                .to_owned()
        }
        TlsFailure::NotTls => {
            "the server does not speak TLS on this port: is it http, or another port?".to_owned()
        }
        TlsFailure::NothingInCommon => {
            "server and generator have no version, cipher or protocol of TLS in common: see \
             `tls.min` and `http`"
                .to_owned()
        }
        TlsFailure::ClosedInHandshake => {
            "the server closed the connection within the TLS handshake".to_owned()
        }
        TlsFailure::HandshakeTimeout => {
            "the TLS handshake took longer than `connect_timeout`".to_owned()
        }
        TlsFailure::OtherTls { why } => format!("TLS: {}", or_others(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_refused_names_the_keys_that_help() {
        for (reason, words) in [
            (
                TlsFailure::SelfSigned,
                vec!["signed by itself", "`tls.ca`", "`tls.insecure`"],
            ),
            (TlsFailure::UnknownIssuer, vec!["`tls.ca`"]),
            (TlsFailure::ClientCertificate, vec!["`tls.certificate`"]),
        ] {
            let said = failure(&Failure::Tls(reason));
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
    }
}
