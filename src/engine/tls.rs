//! TLS as a new visitor would do it.
//!
//! Sessions are different people, so each has its own resumption tickets. The new users of a spike
//! do full handshakes, and only a session that renews its own connection may resume. Key exchange
//! is chosen here, not inherited: X25519 first, the classic curves after it. (rustls and the AWS
//! SDK would put the post-quantum hybrid first. It costs generator and target more than the key
//! exchange of most of today's clients.)

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    Resumption, VerifierBuilderError, WebPkiServerVerifier,
    verify_server_cert_signed_by_trust_anchor, verify_server_name,
};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs as provider, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError,
    RootCertStore, SignatureScheme,
};
use tokio_rustls::TlsConnector;
use webpki::EndEntityCert;

use model::measure::TlsFailure;
use model::scenario::{Http, Identity, Target, Tls};

/// A session's own tickets: TLS 1.3 servers send two at a time.
const TICKETS: usize = 2;

/// The TLS settings that all sessions share. Built once per generator: reading the system's roots
/// takes a while.
#[derive(Debug, Clone)]
pub struct Security {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Why there can be no TLS with a target.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The host is no name that a certificate can be for.
    #[error("{host}: {source}")]
    Name {
        /// Host of the target, without brackets.
        host: String,
        /// The parser's reason.
        source: InvalidDnsNameError,
    },
    /// The TLS versions do not fit the cipher suites and key exchange groups.
    #[error("{0}")]
    Versions(#[source] rustls::Error),
    /// The private key of the client is no PEM key.
    #[error("the client's key: {0}")]
    Key(#[source] rustls::pki_types::pem::Error),
    /// The certificate chain and the key of the client do not fit each other, or are refused.
    #[error("the client's certificate: {0}")]
    Certificate(#[source] rustls::Error),
    /// The trusted certificates cannot be used.
    #[error("`tls.ca`: {0}")]
    Authorities(#[source] VerifierBuilderError),
    /// No certificate in the file could be parsed.
    #[error("`tls.ca` holds no certificate that can be trusted")]
    NoAuthority,
    /// No root certificate of the system could be loaded; the scenario names no `tls.ca`.
    #[error("this system has no trusted root certificates (set SSL_CERT_FILE)")]
    NoRoots,
}

impl Security {
    pub fn new(target: &Target) -> Result<Self, TlsError> {
        let host = target.url.host.trim_matches(['[', ']']).to_owned();
        let name =
            ServerName::try_from(host.clone()).map_err(|source| TlsError::Name { host, source })?;
        let mut crypto = provider::default_provider();
        crypto.kx_groups = vec![
            provider::kx_group::X25519,
            provider::kx_group::SECP256R1,
            provider::kx_group::SECP384R1,
        ];
        let mut config = config(&target.tls, Arc::new(crypto))?;
        config.alpn_protocols = match target.http {
            Http::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Http::One => vec![b"http/1.1".to_vec()],
            Http::Two => vec![b"h2".to_vec()],
        };
        Ok(Self {
            config: Arc::new(config),
            name,
        })
    }

    pub fn name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    /// Returns a connector with tickets of its own.
    pub fn of_a_session(&self) -> TlsConnector {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::in_memory_sessions(TICKETS);
        TlsConnector::from(Arc::new(config))
    }
}

fn config(tls: &Tls, crypto: Arc<CryptoProvider>) -> Result<ClientConfig, TlsError> {
    let versions: &[&rustls::SupportedProtocolVersion] = if tls.only_13 {
        &[&rustls::version::TLS13]
    } else {
        &[&rustls::version::TLS13, &rustls::version::TLS12]
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&crypto))
        .with_protocol_versions(versions)
        .map_err(TlsError::Versions)?;
    let builder = match tls.insecure {
        true => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(crypto))),
        false => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trust::new(tls, crypto)?)),
    };
    match &tls.identity {
        None => Ok(builder.with_no_client_auth()),
        Some(Identity { chain, key }) => {
            let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
                .filter_map(Result::ok)
                .collect();
            let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(TlsError::Certificate)
        }
    }
}

fn roots(tls: &Tls, own: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = match &tls.ca {
        Some(_) => roots.add_parsable_certificates(own.iter().cloned()),
        None => roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    };
    match (added, &tls.ca) {
        (0, Some(_)) => Err(TlsError::NoAuthority),
        (0, None) => Err(TlsError::NoRoots),
        _ => Ok(roots),
    }
}

/// Checks certificates as rustls does, with two differences. A certificate of `tls.ca` may be the
/// server's own, as with curl, also if it is marked as an authority's. And a certificate that is
/// signed by itself is told apart.
#[derive(Debug)]
struct Trust {
    rules: Arc<WebPkiServerVerifier>,
    /// The certificates of `tls.ca`.
    own: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// The server's certificate is signed by itself.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is signed by itself")]
struct SignedByItself;

impl Trust {
    fn new(tls: &Tls, crypto: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let own: Vec<CertificateDer<'static>> = tls.ca.as_deref().map_or_else(Vec::new, |pem| {
            CertificateDer::pem_slice_iter(pem)
                .filter_map(Result::ok)
                .collect()
        });
        let roots = Arc::new(roots(tls, &own)?);
        let algorithms = crypto.signature_verification_algorithms;
        let rules = WebPkiServerVerifier::builder_with_provider(roots, crypto)
            .build()
            .map_err(TlsError::Authorities)?;
        Ok(Self {
            rules,
            own,
            algorithms,
        })
    }

    /// True if a certificate would be right if it were trusted itself.
    fn is_right_by_itself(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        let mut itself = RootCertStore::empty();
        itself.add(certificate.clone().into_owned()).is_ok()
            && ParsedCertificate::try_from(certificate).is_ok_and(|parsed| {
                let all = self.algorithms.all;
                verify_server_cert_signed_by_trust_anchor(&parsed, &itself, &[], now, all).is_ok()
            })
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let rules = &self.rules;
        let error = match rules.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(error)) => error,
            other => return other,
        };
        // Its time is looked at before its kind, so it is valid now.
        if is_for_an_authority(&error) && self.own.iter().any(|own| own == certificate) {
            verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let by_itself = match &error {
            CertificateError::UnknownIssuer => self.is_right_by_itself(certificate, now),
            // It has no issuer but itself, or it is no authority.
            error if is_for_an_authority(error) => EndEntityCert::try_from(certificate)
                .is_ok_and(|parsed| parsed.issuer() == parsed.subject()),
            _ => false,
        };
        Err(rustls::Error::InvalidCertificate(if by_itself {
            CertificateError::Other(OtherError(Arc::new(SignedByItself)))
        } else {
            error
        }))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.rules
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.rules
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.rules.supported_verify_schemes()
    }
}

/// True if the only fault is that the certificate is an authority's (`CA:TRUE`).
fn is_for_an_authority(error: &CertificateError) -> bool {
    let CertificateError::Other(OtherError(error)) = error else {
        return false;
    };
    matches!(
        error.downcast_ref::<webpki::Error>(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
}

/// Returns the reason of a handshake that failed.
pub(crate) fn failure(error: &io::Error) -> TlsFailure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(error)) => of_certificate(error),
        Some(rustls::Error::InvalidMessage(_)) => TlsFailure::NotTls,
        Some(rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol) => {
            TlsFailure::NothingInCommon
        }
        Some(rustls::Error::AlertReceived(alert)) => match alert {
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::NoApplicationProtocol => TlsFailure::NothingInCommon,
            alert if is_on_our_certificate(*alert) => TlsFailure::ClientCertificate,
            _ => TlsFailure::OtherTls {
                why: error.to_string(),
            },
        },
        None if matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
        ) =>
        {
            TlsFailure::ClosedInHandshake
        }
        _ => TlsFailure::OtherTls {
            why: error.to_string(),
        },
    }
}

/// Returns the reason, if a server refused the client's certificate. Over TLS 1.3 it says so only
/// after the handshake.
pub(crate) fn refusal(error: &io::Error) -> Option<TlsFailure> {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::AlertReceived(alert)) if is_on_our_certificate(*alert) => {
            Some(TlsFailure::ClientCertificate)
        }
        _ => None,
    }
}

fn is_on_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}

fn of_certificate(error: &CertificateError) -> TlsFailure {
    match error {
        CertificateError::UnknownIssuer => TlsFailure::UnknownIssuer,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            TlsFailure::CertificateExpired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFailure::CertificateNotYetValid
        }
        CertificateError::NotValidForName => TlsFailure::WrongName {
            names: String::new(),
        },
        CertificateError::NotValidForNameContext { presented, .. } => {
            // The library writes a name as `DnsName("shop.example")`.
            let plain = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
            let names: Vec<String> = presented.iter().map(plain).collect();
            TlsFailure::WrongName {
                names: names.join(", "),
            }
        }
        CertificateError::Other(OtherError(error)) if error.is::<SignedByItself>() => {
            TlsFailure::SelfSigned
        }
        other => TlsFailure::OtherTls {
            why: other.to_string(),
        },
    }
}

/// `insecure: true`: the certificate is not looked at, the handshake's signatures are.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
