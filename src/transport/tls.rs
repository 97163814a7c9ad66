//! TLS: the client configuration, and a session on top of a socket.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use once_cell::sync::OnceCell;
use rustix::io::Errno;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, InvalidMessage, RootCertStore,
    SignatureScheme, SupportedProtocolVersion,
};
use rustls_native_certs::ErrorKind;

use super::call::{Call, Patience};
use super::fail::Fail;
use super::pem;
use super::socket::{Socket, Written};
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

/// Who the other side of a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// The server that the request is for.
    Origin,
    /// Somebody else: a proxy on the way, or an origin that no credentials are for.
    Stranger,
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

    pub fn start(&self, host: &str, peer: Peer) -> Result<Tls, Fail> {
        let config = match peer {
            Peer::Origin => self.config.get_or_try_init(|| self.build(self.identity.clone()))?,
            Peer::Stranger => self.bare.get_or_try_init(|| self.build(None))?,
        };
        let name = ServerName::try_from(host.to_string())
            .map_err(|_| Fail::Tls(format!("`{host}` is not a host name that a certificate can have")))?;
        let session = ClientConnection::new(config.clone(), name).map_err(tls)?;
        Ok(Tls { session, cipher: Vec::new(), start: 0, end: 0, foreign: false })
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
    let lacks = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    Errno::from_io_error(inner).filter(|errno| lacks.contains(errno))
}

fn tls(error: impl std::fmt::Display) -> Fail {
    Fail::Tls(error.to_string())
}

/// What came is no record that can be believed.
fn broken(error: rustls::Error) -> Fail {
    match error {
        // The usual mistake, which rustls' own words do not give away.
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Fail::Tls("the server does not speak TLS here; is it plain http on this port?".into())
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => Fail::Tls(
            "the server demands a certificate of the client (tls.client_cert and tls.client_key)".into(),
        ),
        error => tls(error),
    }
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

/// One record and its overhead.
const CIPHER_BUFFER: usize = 16 * 1024 + 512;

/// A session. Ciphertext that was received but not yet decrypted waits in `cipher[start..end]`.
#[derive(Debug)]
pub(super) struct Tls {
    session: ClientConnection,
    cipher: Vec<u8>,
    start: usize,
    end: usize,
    /// Did the other side begin with something that is not TLS?
    foreign: bool,
}

impl Tls {
    pub fn handshake(&mut self, socket: &mut Socket, call: &Call, patience: Patience) -> Result<(), Fail> {
        loop {
            let mut out = Vec::new();
            self.drain(&mut out)?;
            let done = !self.session.is_handshaking();
            send_all(socket, call, patience, &out)?;
            if done {
                return Ok(());
            }
            if self.start == self.end {
                let got = self.receive(socket, call, patience).map_err(|f| match f {
                    Fail::Socket(e) => {
                        Fail::HandshakeCut(format!("the connection failed in the handshake: {e}"))
                    }
                    f => f,
                })?;
                if got == 0 {
                    return Err(Fail::HandshakeCut(
                        "the server closed the connection in the handshake".into(),
                    ));
                }
            }
            if let Err(fail) = self.feed() {
                // Tell the server why, as far as it still listens.
                let mut alert = Vec::new();
                if self.drain(&mut alert).is_ok() {
                    let _ = socket.send_now(&alert);
                }
                return Err(fail);
            }
        }
    }

    /// Did the other side send something that is not TLS?
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Plain bytes; waits for the first. `Ok(0)`: the peer said that it is done.
    pub fn read(
        &mut self,
        socket: &mut Socket,
        call: &Call,
        patience: Patience,
        buf: &mut [u8],
    ) -> Result<usize, Fail> {
        loop {
            if let Some(n) = self.plain(buf)? {
                return Ok(n);
            }
            if self.receive(socket, call, patience)? == 0 {
                self.feed_end()?;
            }
        }
    }

    /// Plain bytes that are there without waiting. `None`: nothing.
    pub fn read_now(&mut self, socket: &Socket, buf: &mut [u8]) -> Result<Option<usize>, Fail> {
        loop {
            if let Some(n) = self.plain(buf)? {
                return Ok(Some(n));
            }
            self.reserve();
            match socket.recv_now(&mut self.cipher).map_err(Fail::Socket)? {
                None => return Ok(None),
                Some(0) => self.feed_end()?,
                Some(n) => (self.start, self.end) = (0, n),
            }
        }
    }

    /// Decrypts what was received, as far as `buf` has room. `None`: more ciphertext is needed.
    fn plain(&mut self, buf: &mut [u8]) -> Result<Option<usize>, Fail> {
        let mut got = 0;
        loop {
            match self.session.reader().read(&mut buf[got..]) {
                // close_notify: the end, behind what came before it.
                Ok(0) if got < buf.len() => return Ok(Some(got)),
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) if got > 0 => return Ok(Some(got)),
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(Fail::truncated("TLS ended without close_notify"));
                }
                Err(e) => return Err(tls(e)),
            }
            if got == buf.len() || self.start == self.end {
                return Ok((got > 0).then_some(got));
            }
            self.feed()?;
        }
    }

    /// Encrypts `data` behind what is in `out`.
    pub fn encrypt(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Fail> {
        let mut data = data;
        while !data.is_empty() {
            let n = self.session.writer().write(data).map_err(tls)?;
            data = &data[n..];
            self.drain(out)?;
        }
        Ok(())
    }

    /// Is the peer silent and the connection open? Records without data (late session tickets, key updates)
    /// are silence.
    pub fn is_quiet(&mut self, socket: &Socket) -> bool {
        let mut byte = [0u8];
        matches!(self.read_now(socket, &mut byte), Ok(None))
    }

    fn reserve(&mut self) {
        if self.cipher.is_empty() {
            self.cipher.resize(CIPHER_BUFFER, 0);
        }
    }

    fn receive(&mut self, socket: &mut Socket, call: &Call, patience: Patience) -> Result<usize, Fail> {
        self.reserve();
        let n = socket.recv(call, patience, &mut self.cipher)?;
        (self.start, self.end) = (0, n);
        Ok(n)
    }

    /// Gives the session one bite of ciphertext.
    fn feed(&mut self) -> Result<(), Fail> {
        let mut bytes = &self.cipher[self.start..self.end];
        self.start += self.session.read_tls(&mut bytes).map_err(tls)?;
        self.session.process_new_packets().map_err(|error| {
            self.foreign |=
                matches!(error, rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType));
            broken(error)
        })?;
        Ok(())
    }

    /// Tells the session that the connection ended.
    fn feed_end(&mut self) -> Result<(), Fail> {
        self.session.read_tls(&mut io::empty()).map_err(tls)?;
        self.session.process_new_packets().map_err(tls)?;
        Ok(())
    }

    fn drain(&mut self, out: &mut Vec<u8>) -> Result<(), Fail> {
        while self.session.wants_write() {
            self.session.write_tls(out).map_err(tls)?;
        }
        Ok(())
    }
}

/// Sends handshake bytes.
fn send_all(socket: &Socket, call: &Call, patience: Patience, mut data: &[u8]) -> Result<(), Fail> {
    loop {
        match socket.send_now(data)? {
            Written::All => return Ok(()),
            Written::Refused(_) => {
                return Err(Fail::HandshakeCut("the server closed the connection in the handshake".into()));
            }
            Written::Full(n) => data = &data[n..],
        }
        socket.wait_for_room(call, patience, false)?;
    }
}
