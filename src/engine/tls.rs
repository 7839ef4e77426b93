//! TLS as a new visitor would do it.
//!
//! Sessions are different people, so each has its own resumption tickets. The new users of a spike
//! do full handshakes, and only a session that renews its own connection may resume. Key exchange
//! is chosen here, not inherited: X25519 first, the classic curves after it. (rustls and the AWS
//! SDK would put the post-quantum hybrid first. It costs generator and target more than the key
//! exchange of most of today's clients.)

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, aws_lc_rs as provider, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

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
        false => builder.with_root_certificates(roots(tls)?),
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

fn roots(tls: &Tls) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = match &tls.ca {
        Some(pem) => roots
            .add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok)),
        None => roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    };
    match (added, &tls.ca) {
        (0, Some(_)) => Err(TlsError::NoAuthority),
        (0, None) => Err(TlsError::NoRoots),
        _ => Ok(roots),
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
