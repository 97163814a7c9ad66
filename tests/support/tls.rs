//! Certificates made afresh, good ones and every kind of bad one, and a TLS server that shows them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Close, Request, Server, finish, read_request, rst};

/// A certificate authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What is wrong with a server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Nothing: for `localhost`, `127.0.0.1` and `::1`.
    Good,
    /// It was valid, long ago.
    Expired,
    /// It will be valid, in a far future.
    NotYetValid,
    /// It is for `wrong.example`.
    WrongName,
    /// It has no name at all but the common one.
    NoName,
    /// It vouches for itself.
    SelfSigned,
}

/// A server's certificate chain and key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// The same as PEM, for configuration files.
    pub certificate_pem: String,
    pub key_pem: String,
}

impl Ca {
    pub fn new() -> Ca {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "The tests' authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Ca { issuer: Issuer::new(params, key), pem }
    }

    /// What a client that trusts this authority is given as `ca_file`.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate of this authority.
    pub fn identity(&self, leaf: Leaf) -> Identity {
        let names: &[&str] = match leaf {
            Leaf::WrongName => &["wrong.example"],
            Leaf::NoName => &[],
            _ => &["localhost", "127.0.0.1", "::1"],
        };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        match leaf {
            Leaf::Expired => {
                params.not_before = date_time_ymd(2001, 1, 1);
                params.not_after = date_time_ymd(2002, 1, 1);
            }
            Leaf::NotYetValid => params.not_before = date_time_ymd(2990, 1, 1),
            _ => {}
        }
        let key = KeyPair::generate().unwrap();
        let certificate = match leaf {
            Leaf::SelfSigned => params.self_signed(&key).unwrap(),
            _ => params.signed_by(&key, &self.issuer).unwrap(),
        };
        Identity {
            chain: vec![certificate.der().clone()],
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }
}

/// How the TLS server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsClose {
    /// close_notify, then FIN.
    Notify,
    /// FIN alone: what an attacker who cuts the line can do too.
    Fin,
    /// RST.
    Rst,
    /// Not at all, until the client closes.
    Keep,
}

/// The server's side of a TLS connection.
pub type TlsStream = StreamOwned<ServerConnection, TcpStream>;

/// A [`Server`] that speaks TLS.
pub struct TlsServer {
    pub server: Server,
}

impl TlsServer {
    /// `handler` is called after the handshake, if there was one, and says how the connection ends.
    pub fn start(
        identity: Identity,
        handler: impl Fn(&mut TlsStream, usize) -> TlsClose + Send + Sync + 'static,
    ) -> TlsServer {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(identity.chain, identity.key).unwrap();
        TlsServer::with_config(config, handler)
    }

    /// The same, with a rustls configuration of your own (client certificates, versions, ALPN).
    pub fn with_config(
        config: ServerConfig,
        handler: impl Fn(&mut TlsStream, usize) -> TlsClose + Send + Sync + 'static,
    ) -> TlsServer {
        let config = Arc::new(config);
        let server = Server::start(move |mut tcp, number| {
            let mut tls = ServerConnection::new(config.clone()).unwrap();
            while tls.is_handshaking() {
                if tls.complete_io(&mut tcp).is_err() {
                    return; // the alert, where there is one, is already sent
                }
            }
            let mut stream = StreamOwned::new(tls, tcp);
            let close = handler(&mut stream, number);
            if close == TlsClose::Notify {
                stream.conn.send_close_notify();
            }
            // Whatever is encrypted and not yet sent goes out, or the cut would come too early.
            while stream.conn.wants_write() && stream.conn.write_tls(&mut stream.sock).is_ok() {}
            finish(
                stream.sock,
                match close {
                    TlsClose::Notify | TlsClose::Fin => Close::Fin,
                    TlsClose::Rst => Close::Rst,
                    TlsClose::Keep => Close::Keep,
                },
            );
        });
        TlsServer { server }
    }

    /// `https://localhost:PORT`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.server.address().port())
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }
}

/// A handler that reads one request, writes the bytes and ends like `close`.
pub fn canned(
    bytes: impl Into<Vec<u8>>,
    close: TlsClose,
) -> impl Fn(&mut TlsStream, usize) -> TlsClose + Send + Sync + 'static {
    let bytes = bytes.into();
    move |stream, _| {
        if read_request(stream).is_some() {
            let _ = stream.write_all(&bytes);
        }
        close
    }
}

/// A handler that answers request after request, and says goodbye in order.
pub fn answering(
    answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
) -> impl Fn(&mut TlsStream, usize) -> TlsClose + Send + Sync + 'static {
    move |stream, _| {
        while let Some(request) = read_request(stream) {
            if stream.write_all(&answer(&request)).is_err() {
                break;
            }
        }
        TlsClose::Notify
    }
}

/// A proxy that speaks TLS and tunnels to this address, whatever it is asked for; the tunnel ends like `close`.
pub fn tunnels(
    to: SocketAddr,
    close: TlsClose,
) -> impl Fn(&mut TlsStream, usize) -> TlsClose + Send + Sync + 'static {
    move |stream, _| {
        if read_request(stream).is_some() {
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            pump(stream, to, |_, _| {});
        }
        close
    }
}

/// Both ways between a client's session and a server, until the server is done. `passed` is called after each piece
/// of the server's.
pub fn pump(
    stream: &mut TlsStream,
    to: SocketAddr,
    mut passed: impl FnMut(&Mutex<&mut ServerConnection>, &TcpStream),
) {
    let Ok(server) = TcpStream::connect(to) else { return };
    let client = &stream.sock;
    let session = Mutex::new(&mut stream.conn);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = upwards(client, &session, &server);
            let _ = server.shutdown(Shutdown::Write);
        });
        let mut piece = [0; 16 << 10];
        while let Ok(n @ 1..) = (&server).read(&mut piece) {
            let records = {
                let mut session = session.lock().unwrap();
                session.writer().write_all(&piece[..n]).unwrap();
                pending(&mut session)
            };
            if (&*client).write_all(&records).is_err() {
                break;
            }
            passed(&session, client);
        }
        // What the client still sends, nobody takes.
        let _ = client.shutdown(Shutdown::Read);
        let _ = server.shutdown(Shutdown::Both);
    });
}

/// What the session has to send.
pub fn pending(session: &mut ServerConnection) -> Vec<u8> {
    let mut records = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut records).unwrap();
    }
    records
}

fn upwards(
    mut client: &TcpStream,
    session: &Mutex<&mut ServerConnection>,
    mut server: &TcpStream,
) -> io::Result<()> {
    let mut records = [0; 16 << 10];
    loop {
        let n = client.read(&mut records)?;
        let mut left = &records[..n];
        loop {
            let mut plain = Vec::new();
            let more = {
                let mut session = session.lock().unwrap();
                session.read_tls(&mut left)?;
                session.process_new_packets().map_err(io::Error::other)?;
                match session.reader().read_to_end(&mut plain) {
                    Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(e),
                    Err(_) => true,
                    // The client's close_notify.
                    Ok(_) => false,
                }
            };
            server.write_all(&plain)?;
            if !more {
                return Ok(());
            }
            if left.is_empty() {
                break;
            }
        }
    }
}
