//! TLS: who is trusted, what the client shows of itself, and the sessions that are begun so.

use std::path::PathBuf;
use std::sync::Arc;

use once_cell::sync::OnceCell;
use rustix::io::Errno;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_native_certs::ErrorKind;

use super::fail::Fail;
use super::file::LACKS;
use super::pem;
use super::stream::{Peer, Stream, Tls};
use crate::error::Result;

/// How TLS connections are made.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// Further certificate authorities, a PEM file.
    pub ca_file: Option<PathBuf>,
    /// The client's own certificate chain and key, PEM files both.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Only TLS 1.3?
    pub tls13_only: bool,
    /// Accept every certificate: no protection against anybody on the way.
    pub accept_invalid_certs: bool,
}

/// The client configuration; the platform's roots are read at the first https connection.
#[derive(Debug)]
pub(super) struct TlsClient {
    settings: TlsSettings,
    extra: Vec<CertificateDer<'static>>,
    identity: Option<Arc<CertifiedKey>>,
    config: OnceCell<Arc<ClientConfig>>,
    /// For strangers, who are shown no certificate of the client: that is a credential, and the origin's.
    bare: OnceCell<Arc<ClientConfig>>,
}

static VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

impl TlsClient {
    /// Reads the PEM files; no other I/O.
    pub fn new(settings: TlsSettings) -> Result<TlsClient> {
        let extra = settings.ca_file.as_deref().map(pem::authorities).transpose()?.unwrap_or_default();
        let identity =
            settings.identity.as_ref().map(|(chain, key)| pem::identity(chain, key)).transpose()?;
        Ok(TlsClient { settings, extra, identity, config: OnceCell::new(), bare: OnceCell::new() })
    }

    /// A session over a stream; its handshake is still to come.
    pub fn start(&self, host: &str, peer: Peer, below: Stream) -> Result<Tls, Fail> {
        let config = match peer {
            Peer::Origin => self.config.get_or_try_init(|| self.build(self.identity.clone()))?,
            Peer::Proxy | Peer::Foreign => self.bare.get_or_try_init(|| self.build(None))?,
        };
        let name = ServerName::try_from(host.to_string())
            .map_err(|_| Fail::Tls(format!("`{host}` is not a host name that a certificate can have")))?;
        let session = ClientConnection::new(config.clone(), name).map_err(tls)?;
        Ok(Tls::new(session, peer, below))
    }

    fn build(&self, identity: Option<Arc<CertifiedKey>>) -> Result<Arc<ClientConfig>, Fail> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = if self.settings.tls13_only { &VERSIONS[..1] } else { VERSIONS };
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(tls)?;
        let builder = if self.settings.accept_invalid_certs {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
        } else {
            builder.with_root_certificates(self.roots()?)
        };
        let mut config = match identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, Fail> {
        let platform = platform_roots()?;
        if self.extra.is_empty() {
            if platform.is_empty() {
                return Err(Fail::Tls(
                    "this system has no root certificates; install them (Debian: `ca-certificates`), \
                     or name a PEM file in `tls.ca_file`"
                        .into(),
                ));
            }
            return Ok(platform);
        }
        let mut roots = (*platform).clone();
        for certificate in &self.extra {
            roots.add(certificate.clone()).map_err(tls)?;
        }
        Ok(Arc::new(roots))
    }
}

/// The platform's roots, loaded once per process.
fn platform_roots() -> Result<Arc<RootCertStore>, Fail> {
    static ROOTS: OnceCell<Arc<RootCertStore>> = OnceCell::new();
    let load = || {
        let found = rustls_native_certs::load_native_certs();
        // A lack that passes must not leave the process with fewer roots for good.
        if let Some(lack) = found.errors.iter().find_map(passing) {
            return Err(Fail::System("reading the system's root certificates", lack));
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        Ok(Arc::new(roots))
    };
    ROOTS.get_or_try_init(load).cloned()
}

/// Is it that the system has no descriptor or no memory to spare just now?
fn passing(error: &rustls_native_certs::Error) -> Option<Errno> {
    let ErrorKind::Io { inner, .. } = &error.kind else { return None };
    Errno::from_io_error(inner).filter(|errno| LACKS.contains(errno))
}

fn tls(error: impl std::fmt::Display) -> Fail {
    Fail::Tls(error.to_string())
}

/// The `danger_accept_invalid_certs` switch: who the peer is is not asked, but signatures still have to fit.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
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
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
