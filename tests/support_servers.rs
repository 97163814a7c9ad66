//! The tests' own servers do what they say. A test that passes against a server which does not misbehave as
//! it should has shown nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use support::tls::{Ca, Leaf, TlsClose, TlsServer};
use support::{Backlog, Close, Gate, Server, answering, canned, ok_json, refused_address, silent};

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address()).unwrap()
}

fn read_all(stream: &mut impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text).map(|_| text)
}

#[test]
fn requests_are_answered_and_logged() {
    let server = Server::start(answering(|request| ok_json(format!("{:?}", request.body_text()))));
    let mut stream = connect(&server);
    stream.write_all(b"POST /a?b HTTP/1.1\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nhi").unwrap();
    stream.write_all(b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").unwrap();
    let requests = server.wait_requests(2);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let answers = read_all(&mut stream).unwrap();
    assert!(answers.contains("\"hi\"") && answers.contains("\"abc\""), "{answers}");
    assert_eq!((requests[0].method(), requests[0].target()), ("POST", "/a?b"));
    assert_eq!(requests[0].headers("X-a").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((requests[1].body_text(), requests[1].connection), ("abc", 0));
    server.wait_closed();
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_canned_answer_ends_in_order_or_by_a_reset() {
    for (close, expected) in
        [(Close::Fin, Ok("ab".to_string())), (Close::Rst, Err(ErrorKind::ConnectionReset))]
    {
        let server = Server::start(canned(["a", "b"], close));
        let mut stream = connect(&server);
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        server.wait_closed();
        assert_eq!(read_all(&mut stream).map_err(|error| error.kind()), expected, "{close:?}");
    }
}

#[test]
fn a_silent_server_is_silent_and_still_ends() {
    let server = Server::start(silent());
    let mut stream = connect(&server);
    stream.write_all(b"hello?").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(matches!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    drop(server);
}

#[test]
#[should_panic(expected = "seen by the handler")]
fn a_failed_assertion_in_a_handler_fails_the_test() {
    let gate = Gate::new();
    let server = Server::start({
        let gate = gate.clone();
        move |_, _| {
            gate.open();
            panic!("seen by the handler");
        }
    });
    let _stream = connect(&server);
    gate.wait();
    drop(server);
}

#[test]
fn a_connect_hangs_at_a_full_backlog_and_is_refused_elsewhere() {
    let backlog = Backlog::new();
    let hung = TcpStream::connect_timeout(&backlog.address(), Duration::from_millis(300));
    assert_eq!(hung.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(TcpStream::connect(refused_address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

/// A plain TLS request to `server`, by a client that trusts `ca` alone.
fn tls_get(server: &TlsServer, ca: &Ca) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream =
        StreamOwned::new(ClientConnection::new(config, name).unwrap(), TcpStream::connect(server.address())?);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
    read_all(&mut stream)
}

#[test]
fn a_good_certificate_is_accepted_and_each_bad_one_is_not() {
    let (ca, stranger) = (Ca::new(), Ca::new());
    let serve = |leaf| TlsServer::start(ca.identity(leaf), support::tls::canned("ok", TlsClose::Notify));
    let good = serve(Leaf::Good);
    assert_eq!(tls_get(&good, &ca).unwrap(), "ok");
    let unknown = tls_get(&good, &stranger).unwrap_err().to_string();
    assert!(unknown.contains("UnknownIssuer") || unknown.contains("BadSignature"), "{unknown}");
    for (leaf, reason) in [
        (Leaf::Expired, "expired"),
        (Leaf::NotYetValid, "not valid yet"),
        (Leaf::WrongName, "not valid for name"),
        (Leaf::NoName, "not valid for"),
        (Leaf::SelfSigned, "UnknownIssuer"),
    ] {
        let server = serve(leaf);
        let refused = tls_get(&server, &ca).unwrap_err().to_string();
        assert!(refused.contains(reason), "{leaf:?}: {refused}");
        assert!(server.server.requests().is_empty(), "{leaf:?}: a request was sent");
    }
}

#[test]
fn a_tls_connection_ends_as_told() {
    let ca = Ca::new();
    for (close, expected) in [
        (TlsClose::Notify, Ok("ok".to_string())),
        (TlsClose::Fin, Err(ErrorKind::UnexpectedEof)),
        (TlsClose::Rst, Err(ErrorKind::ConnectionReset)),
    ] {
        let server = TlsServer::start(ca.identity(Leaf::Good), support::tls::canned("ok", close));
        let got = tls_get(&server, &ca).map_err(|error| error.kind());
        assert_eq!(got, expected, "{close:?}");
    }
}
