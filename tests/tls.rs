//! TLS: who is believed, what is refused and with which words, and that a session survives what servers do.
//!
//! Every refusal is also looked at from the other side: not a byte of HTTP may have reached the server, and
//! the connector must be as good as before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/alone.rs"]
mod alone;
#[path = "support/api.rs"]
mod api;
#[path = "support/queue.rs"]
mod queue;
mod support;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use api::{Answer, Api, Fault, INVALID_CONFIG, IO, TIMEOUT, TLS, TRUNCATED, log_lines};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use serde_json::{Value, json};
use support::tls::{Ca, Identity, Leaf, TlsClose, TlsServer, canned};
use support::{Close, Folder, PATIENCE, Server, finish, ok_json, read_request, rst, silent};

/// The secret of every connector here.
const CANARY: &str = "canary-6f1d90c2ab";
/// What a wait may take longer than its limit.
const SLACK: Duration = Duration::from_secs(1);

// ---- the client --------------------------------------------------------------------------------------------

/// A connector that trusts one authority, with a good server beside the one under test.
struct Client {
    api: Api,
    _good: TlsServer,
    _folder: Folder,
}

impl Client {
    /// Against `https://localhost:PORT` of `address`.
    fn new(ca: &Ca, address: SocketAddr) -> Client {
        Client::with(ca, address, json!({}))
    }

    /// The same, with further keys; those of `tls` are added to `ca_file`.
    fn with(ca: &Ca, address: SocketAddr, keys: Value) -> Client {
        let good =
            TlsServer::start(ca.identity(Leaf::Good), support::tls::answering(|_| ok_json("\"good\"")));
        let folder = Folder::new();
        let (port, good_port) = (address.port(), good.address().port());
        let mut config = json!({
            "base_url": format!("https://localhost:{port}"),
            "retry_count": 1,
            "auth": {"type": "bearer", "token": CANARY},
            "resolve": {
                format!("localhost:{port}"): "127.0.0.1",
                format!("localhost:{good_port}"): "127.0.0.1",
            },
            "allow_origins": [good.url()],
            "tls": {"ca_file": folder.write("ca.pem", ca.pem())},
            "endpoints": {
                "get": {"path": "/x"},
                "put": {"path": "/x", "method": "PUT"},
                "good": {"path": format!("{}/x", good.url())},
            },
        });
        for (key, value) in keys.as_object().unwrap() {
            match value.as_object().filter(|_| key == "tls") {
                Some(tls) => tls.iter().for_each(|(key, value)| config["tls"][key] = value.clone()),
                None => config[key] = value.clone(),
            }
        }
        let api = Api::new(&config.to_string()).unwrap();
        Client { api, _good: good, _folder: folder }
    }

    fn get(&self) -> Result<Answer, Fault> {
        self.api.fetch("get", None, None)
    }

    /// The call fails with this status and these words, says nothing secret, and the connector goes on.
    fn fails(&self, status: i32, words: &str) -> Fault {
        self.fails_with(status, words, None)
    }

    fn fails_with(&self, status: i32, words: &str, options: Option<&str>) -> Fault {
        let (outcome, log) = log_lines(|| self.api.fetch("get", None, options));
        let fault = outcome.expect_err("the call went well");
        assert_eq!(fault.status, status, "{} {}", fault.name, fault.message);
        assert!(fault.message.contains(words), "{:?} is not in {:?}", words, fault.message);
        for text in [&fault.everything(), &log.join("\n")] {
            assert!(!text.contains(CANARY), "a secret is in {text}");
        }
        self.is_usable();
        fault
    }

    fn is_usable(&self) {
        let answer = self.api.fetch("good", None, None).expect("the connector is as good as before");
        assert_eq!(answer.text(), "\"good\"");
    }
}

// ---- servers -----------------------------------------------------------------------------------------------

/// A rustls configuration with these versions.
fn server_config(identity: &Identity, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    let chain = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    config.with_no_client_auth().with_single_cert(vec![chain], key).unwrap()
}

fn answering_over(identity: &Identity, versions: &[&'static SupportedProtocolVersion]) -> TlsServer {
    let config = server_config(identity, versions);
    TlsServer::with_config(
        config,
        support::tls::answering(|request| ok_json(format!("{:?}", request.target()))),
    )
}

/// A server that counts every byte of HTTP that it gets.
fn counting(identity: Identity) -> (TlsServer, Arc<AtomicUsize>) {
    let bytes = Arc::new(AtomicUsize::new(0));
    let server = TlsServer::start(identity, {
        let bytes = bytes.clone();
        move |stream, _| {
            while let Ok(n @ 1..) = stream.read(&mut [0; 256]) {
                bytes.fetch_add(n, Ordering::Relaxed);
            }
            TlsClose::Fin
        }
    });
    (server, bytes)
}

/// A plain server that sends `reply` as soon as the client has said something, and keeps all that it got.
fn scripted(reply: impl Into<Vec<u8>>, close: Close) -> (Server, Arc<Mutex<Vec<u8>>>) {
    let (reply, heard) = (reply.into(), Arc::new(Mutex::new(Vec::new())));
    let server = Server::start({
        let heard = heard.clone();
        move |mut stream, _| {
            let mut bytes = [0; 4096];
            let n = stream.read(&mut bytes).unwrap_or(0);
            heard.lock().unwrap().extend_from_slice(&bytes[..n]);
            let _ = stream.write_all(&reply);
            if close == Close::Rst {
                return rst(stream);
            }
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            heard.lock().unwrap().extend_from_slice(&rest);
        }
    });
    (server, heard)
}

/// Was there nothing but a handshake in it?
fn is_handshake_only(server: &Server, heard: &Mutex<Vec<u8>>) {
    server.wait_closed();
    let heard = heard.lock().unwrap();
    assert_eq!(heard.first(), Some(&22), "the client began with a handshake record");
    let text = String::from_utf8_lossy(&heard);
    assert!(!text.contains("HTTP/1.1") && !text.contains(CANARY), "HTTP in the clear: {text}");
}

/// A session in the test's own hands (TLS 1.3): what is encrypted goes out when, and in the pieces, it says.
struct Session {
    tls: ServerConnection,
    tcp: TcpStream,
}

impl Session {
    /// After the handshake. The session tickets are made, but not sent.
    fn accept(config: &Arc<ServerConfig>, mut tcp: TcpStream) -> Session {
        let mut tls = ServerConnection::new(config.clone()).unwrap();
        while tls.is_handshaking() {
            if tls.wants_write() {
                tls.write_tls(&mut tcp).unwrap();
            } else {
                assert_ne!(tls.read_tls(&mut tcp).unwrap(), 0, "the client closed in the handshake");
                tls.process_new_packets().unwrap();
            }
        }
        assert!(tls.wants_write(), "there are session tickets");
        tls.set_buffer_limit(None);
        Session { tls, tcp }
    }

    /// What is to be sent, as ciphertext.
    fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Sends what is to be sent.
    fn flush(&mut self) {
        let bytes = self.take();
        self.tcp.write_all(&bytes).unwrap();
    }

    fn encrypt(&mut self, plain: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(plain).unwrap();
        self.take()
    }

    /// A record without data, which asks the client for one in return.
    fn key_update(&mut self) -> Vec<u8> {
        self.tls.refresh_traffic_keys().unwrap();
        self.take()
    }
}

impl Read for Session {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buf) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            self.tls.read_tls(&mut self.tcp)?;
            self.tls.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

/// A server whose handler has the session in its own hands.
fn sessions(ca: &Ca, handler: impl Fn(Session) + Send + Sync + 'static) -> Server {
    let config = Arc::new(server_config(&ca.identity(Leaf::Good), &[&rustls::version::TLS13]));
    Server::start(move |tcp, _| handler(Session::accept(&config, tcp)))
}

/// `openssl s_server`, for what rustls does not do. It prints what it receives.
struct OpenSsl {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

impl OpenSsl {
    fn start(folder: &Folder, identity: (&str, &str), arguments: &[&str]) -> OpenSsl {
        let certificate = folder.write("server.pem", identity.0);
        let key = folder.write("server.key", identity.1);
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-cipher", "DEFAULT:@SECLEVEL=0"]);
        command.args(arguments).arg("-cert").arg(certificate).arg("-key").arg(key);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("openssl is installed");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("ACCEPT ") {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "openssl s_server does not start");
        }
        let address = line.trim_start_matches("ACCEPT ").trim().parse().unwrap();
        OpenSsl { child, output, address }
    }

    /// Ends it, and gives what it has printed.
    fn end(mut self) -> String {
        self.child.kill().unwrap();
        let mut text = Vec::new();
        self.output.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs openssl in the folder.
fn openssl(folder: &Folder, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder.path())
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A certificate for localhost with an RSA key of 1024 bits, its key, and the authority that signed it.
fn rsa_1024(folder: &Folder) -> (String, String, String) {
    folder.write("san", "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n");
    openssl(folder, "req -x509 -newkey rsa:2048 -nodes -subj /CN=old -days 2 -keyout ca.key -out ca.pem");
    openssl(folder, "req -newkey rsa:1024 -nodes -subj /CN=localhost -keyout leaf.key -out leaf.csr");
    openssl(
        folder,
        "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out leaf.pem",
    );
    let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap();
    (read("leaf.pem"), read("leaf.key"), read("ca.pem"))
}

// ---- who is believed ---------------------------------------------------------------------------------------

const BAD_LEAVES: [(Leaf, &str); 5] = [
    (Leaf::WrongName, "not valid for name"),
    (Leaf::NoName, "not valid for"),
    (Leaf::Expired, "expired"),
    (Leaf::NotYetValid, "not valid yet"),
    (Leaf::SelfSigned, "invalid peer certificate: "),
];

#[test]
fn a_bad_certificate_is_refused_with_its_reason_before_a_byte_of_http_is_sent() {
    let ca = Ca::new();
    for (leaf, reason) in BAD_LEAVES {
        let (server, bytes) = counting(ca.identity(leaf));
        let client = Client::new(&ca, server.address());
        let fault = client.fails(TLS, reason);
        assert!(fault.message.contains("TLS failed: "), "{}", fault.message);
        assert_eq!((&fault.json["sent"], fault.retryable), (&json!("no"), false), "{leaf:?}");
        server.server.wait_closed();
        assert_eq!((server.server.connections(), bytes.load(Ordering::Relaxed)), (1, 0), "{leaf:?}");
    }
}

#[test]
fn an_authority_that_is_not_known_is_refused() {
    let (ca, stranger) = (Ca::new(), Ca::new());
    let (server, bytes) = counting(stranger.identity(Leaf::Good));
    let client = Client::new(&ca, server.address());
    let fault = client.fails(TLS, "invalid peer certificate");
    assert!(
        fault.message.contains("UnknownIssuer") || fault.message.contains("BadSignature"),
        "{}",
        fault.message
    );
    server.server.wait_closed();
    assert_eq!(bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn a_key_of_1024_bits_is_refused_even_where_every_certificate_is_accepted() {
    for danger in [false, true] {
        for version in ["-tls1_2", "-tls1_3"] {
            let folder = Folder::new();
            let (certificate, key, authority) = rsa_1024(&folder);
            let server = OpenSsl::start(&folder, (&certificate, &key), &[version]);
            let ca = Ca::new();
            let both = folder.write("both.pem", format!("{authority}{}", ca.pem()));
            let tls = json!({"ca_file": both, "danger_accept_invalid_certs": danger});
            let client = Client::with(&ca, server.address, json!({"tls": tls}));
            // Its signatures prove nothing: they cannot be checked with what is safe.
            let fault = client.fails(TLS, "");
            let reasons = ["BadSignature", "UnsupportedSignatureAlgorithm", "NoSignatureSchemesInCommon"];
            assert!(reasons.iter().any(|r| fault.message.contains(r)), "{}", fault.message);
            drop(client);
            let printed = server.end();
            assert!(!printed.contains("HTTP/1.1"), "{printed}");
        }
    }
}

#[test]
fn danger_accept_invalid_certs_accepts_what_is_else_refused_and_warns() {
    let ca = Ca::new();
    for (leaf, _) in BAD_LEAVES {
        let answer = support::tls::answering(|_| ok_json("1"));
        let server = TlsServer::start(ca.identity(leaf), answer);
        let keys = json!({"tls": {"danger_accept_invalid_certs": true}});
        let (client, log) = log_lines(|| Client::with(&ca, server.address(), keys));
        let warning = "tls.danger_accept_invalid_certs is on";
        assert!(log.iter().any(|line| line.contains(warning)), "{log:?}");
        let answer = client.get().unwrap();
        assert_eq!(answer.text(), "1", "{leaf:?}");
        assert!(answer.meta["warnings"].to_string().contains(warning), "{}", answer.meta);
        assert_eq!(server.server.requests().len(), 1);
    }
}

#[test]
fn a_good_certificate_is_good_by_name_and_by_address() {
    let ca = Ca::new();
    let server = answering_over(&ca.identity(Leaf::Good), rustls::ALL_VERSIONS);
    let client = Client::new(&ca, server.address());
    let answer = client.get().unwrap();
    assert_eq!(answer.text(), "\"/x\"");
    assert!(answer.meta["timings"]["tls"].as_f64().unwrap() > 0.0, "{}", answer.meta);
    assert_eq!(answer.meta["warnings"], json!([]));
    let by_address = json!({"base_url": format!("https://127.0.0.1:{}", server.address().port())});
    let client = Client::with(&ca, server.address(), by_address);
    assert_eq!(client.get().unwrap().text(), "\"/x\"");
}

#[test]
fn a_ca_file_that_holds_no_certificate_is_refused_by_name_when_the_connector_is_made() {
    let ca = Ca::new();
    let folder = Folder::new();
    let broken = ca.pem().replace("MII", "!!!");
    let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = &ca.pem()[..ca.pem().len() / 2];
    let files = [
        ("missing", None, "No such file"),
        ("empty", Some(""), "no certificate in it"),
        ("garbage", Some("\u{1}\u{2}certificate?"), "no certificate in it"),
        ("key", Some(&ca.identity(Leaf::Good).key_pem), "no certificate in it"),
        ("broken", Some(&broken), "not a PEM file of certificates"),
        ("cut", Some(cut), "not a PEM file of certificates"),
        ("hollow", Some(hollow), "BadEncoding"),
    ];
    for (name, content, reason) in files {
        let path = folder.path().join(name);
        if let Some(content) = content {
            folder.write(name, content);
        }
        let config = json!({
            "base_url": "https://localhost",
            "auth": {"type": "bearer", "token": CANARY},
            "tls": {"ca_file": path},
        });
        let fault = Api::new(&config.to_string()).expect_err(name);
        assert_eq!(fault.status, INVALID_CONFIG, "{name}: {}", fault.message);
        for part in ["/tls/ca_file", path.to_str().unwrap(), reason] {
            assert!(fault.message.contains(part), "{name}: {part:?} is not in {:?}", fault.message);
        }
        assert!(!fault.everything().contains(CANARY));
    }
}

#[test]
fn a_system_without_roots_is_told_what_to_do_at_the_first_https_call() {
    alone::run(
        "alone_without_roots",
        [
            ("SSL_CERT_FILE", "/nonexistent/roots.pem"),
            ("SSL_CERT_DIR", "/nonexistent"),
            ("TMPDIR", "/nonexistent"),
            ("HOME", ""),
        ],
    );
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn alone_without_roots() {
    if !alone::is_alone() {
        return;
    }
    let ca = Ca::new();
    let (server, bytes) = counting(ca.identity(Leaf::Good));
    let config = json!({"base_url": server.url(), "retry_count": 1, "endpoints": {"get": {"path": "/"}}});
    let api = Api::new(&config.to_string()).unwrap();
    for _ in 0..2 {
        let fault = api.fetch("get", None, None).unwrap_err();
        assert_eq!(fault.status, TLS, "{}", fault.message);
        for fix in ["ca-certificates", "tls.ca_file"] {
            assert!(fault.message.contains(fix), "{}", fault.message);
        }
    }
    assert_eq!(bytes.load(Ordering::Relaxed), 0);
}

// ---- handshakes that fail ----------------------------------------------------------------------------------

#[test]
fn a_server_that_only_speaks_tls_1_1_is_refused() {
    // The alert that such a server sends, and one that goes on regardless.
    let alert = [21, 3, 1, 0, 2, 2, 70];
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x13, 0]);
    let ca = Ca::new();
    for (reply, words) in [(alert.to_vec(), "ProtocolVersion"), (hello, "TLS failed: ")] {
        let (server, heard) = scripted(reply, Close::Fin);
        let client = Client::new(&ca, server.address());
        client.fails(TLS, words);
        assert_eq!(server.connections(), 1);
        is_handshake_only(&server, &heard);
    }
    let folder = Folder::new();
    let identity = ca.identity(Leaf::Good);
    let server = OpenSsl::start(&folder, (&identity.certificate_pem, &identity.key_pem), &["-tls1_1"]);
    let client = Client::new(&ca, server.address);
    client.fails(TLS, "ProtocolVersion");
    assert!(!server.end().contains("HTTP/1.1"));
}

#[test]
fn min_version_1_3_refuses_a_server_that_only_speaks_1_2() {
    let ca = Ca::new();
    let identity = ca.identity(Leaf::Good);
    let server = answering_over(&identity, &[&rustls::version::TLS12]);
    let strict = Client::with(&ca, server.address(), json!({"tls": {"min_version": "1.3"}}));
    strict.fails(TLS, "TLS failed: ");
    server.server.wait_closed();
    assert!(server.server.requests().is_empty());
    // The same client takes 1.3, and the same server is good enough for the default.
    let modern = answering_over(&identity, &[&rustls::version::TLS13]);
    let client = Client::with(&ca, modern.address(), json!({"tls": {"min_version": "1.3"}}));
    assert_eq!(client.get().unwrap().text(), "\"/x\"");
    assert_eq!(Client::new(&ca, server.address()).get().unwrap().text(), "\"/x\"");
}

#[test]
fn plain_http_on_the_https_port_is_a_tls_error() {
    let ca = Ca::new();
    let page = support::response("400 Bad Request", "", "The plain HTTP request was sent to HTTPS port");
    let (server, heard) = scripted(page, Close::Fin);
    let client = Client::new(&ca, server.address());
    client.fails(TLS, "does not speak TLS");
    assert_eq!(server.connections(), 1);
    is_handshake_only(&server, &heard);
}

#[test]
fn a_server_that_ends_the_connection_in_the_handshake_is_a_tls_error() {
    let ca = Ca::new();
    for (close, words) in [(Close::Fin, "closed the connection in the handshake"), (Close::Rst, "handshake")]
    {
        let (server, heard) = scripted("", close);
        let client = Client::new(&ca, server.address());
        let fault = client.fails(TLS, words);
        assert_eq!(fault.json["sent"], "no");
        assert_eq!(server.connections(), 1);
        is_handshake_only(&server, &heard);
    }
}

#[test]
fn a_silent_handshake_ends_at_the_connect_limit_and_at_the_deadline() {
    let ca = Ca::new();
    let limit = Duration::from_millis(300);
    let cases = [
        (json!({"timeout": {"connect": 0.3}}), None, "timeout.connect"),
        (json!({"timeout": {"total": 0.3}}), None, "timeout.total"),
        (json!({}), Some(r#"{"deadline": 0.3}"#), "the call's deadline"),
    ];
    for (keys, options, words) in cases {
        let server = Server::start(silent());
        let client = Client::with(&ca, server.address(), keys);
        let begun = Instant::now();
        let outcome = client.api.fetch("get", None, options).unwrap_err();
        let took = begun.elapsed();
        assert!(took >= limit && took < limit + SLACK, "{words}: {took:?}");
        assert_eq!(outcome.json["sent"], "no", "{words}");
        client.fails_with(TIMEOUT, &format!("timed out: {words}"), options);
        assert_eq!(server.connections(), 2);
    }
}

#[test]
fn a_handshake_that_drips_does_not_outlast_the_connect_limit() {
    // A record that announces 1,000 bytes, and comes a byte at a time.
    let ca = Ca::new();
    let server = Server::start(|mut stream, _| {
        for byte in [22, 3, 3, 3, 232].into_iter().chain(std::iter::repeat_n(0, 1000)) {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50)); // the drip
        }
    });
    let client = Client::with(&ca, server.address(), json!({"timeout": {"connect": 0.3}}));
    let begun = Instant::now();
    client.fails(TIMEOUT, "timeout.connect");
    assert!(begun.elapsed() < Duration::from_millis(300) + SLACK, "{:?}", begun.elapsed());
}

#[test]
fn a_hundred_refused_handshakes_leave_no_descriptor_behind() {
    alone::run("alone_a_hundred_refused_handshakes", []);
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn alone_a_hundred_refused_handshakes() {
    if !alone::is_alone() {
        return;
    }
    let ca = Ca::new();
    let (bad, bytes) = counting(ca.identity(Leaf::WrongName));
    let client = Client::new(&ca, bad.address());
    let (reset, _) = scripted("", Close::Rst);
    let other = Client::new(&ca, reset.address());
    let settled = || {
        bad.server.wait_closed();
        reset.wait_closed();
        alone::descriptors()
    };
    client.fails(TLS, "not valid for name");
    other.fails(TLS, "handshake");
    let before = settled();
    for _ in 0..100 {
        assert_eq!(client.get().unwrap_err().status, TLS);
        assert_eq!(other.get().unwrap_err().status, TLS);
    }
    alone::wait_for_descriptors(before);
    assert_eq!(bytes.load(Ordering::Relaxed), 0);
    client.is_usable();
}

// ---- how a body ends ---------------------------------------------------------------------------------------

const CLOSE_DELIMITED: &str = "HTTP/1.1 200 OK\r\n\r\n[1,2]";
const COMPLETE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[1,2]";
const SHORT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1,2]";
const CUT_CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1,2]\r\n";

#[test]
fn a_body_that_is_cut_is_truncated_and_one_that_is_complete_is_not() {
    let ca = Ca::new();
    let cases = [
        (CLOSE_DELIMITED, TlsClose::Notify, None),
        (CLOSE_DELIMITED, TlsClose::Fin, Some("without close_notify")),
        (CLOSE_DELIMITED, TlsClose::Rst, Some("failed within its body")),
        (COMPLETE, TlsClose::Notify, None),
        (COMPLETE, TlsClose::Fin, None),
        (COMPLETE, TlsClose::Rst, None),
        (SHORT, TlsClose::Notify, Some("4 are missing")),
        (SHORT, TlsClose::Fin, Some("without close_notify")),
        (SHORT, TlsClose::Rst, Some("failed within its body")),
        (CUT_CHUNKS, TlsClose::Notify, Some("before the last chunk")),
        (CUT_CHUNKS, TlsClose::Fin, Some("without close_notify")),
        (CUT_CHUNKS, TlsClose::Rst, Some("failed within its body")),
    ];
    for version in rustls::ALL_VERSIONS {
        for (answer, close, cut) in cases {
            let what = format!("{:?} {answer:?} {close:?}", version.version);
            let config = server_config(&ca.identity(Leaf::Good), &[version]);
            let server = TlsServer::with_config(config, canned(answer, close));
            let client = Client::new(&ca, server.address());
            match cut {
                Some(words) => {
                    let fault = client.fails(TRUNCATED, words);
                    assert_eq!(fault.json["sent"], "yes", "{what}");
                }
                None => {
                    let answer = client.get().unwrap_or_else(|fault| panic!("{what}: {}", fault.message));
                    assert_eq!(answer.text(), "[1,2]", "{what}");
                    assert_eq!(answer.meta["length_known"], true, "{what}");
                }
            }
            assert_eq!(server.server.requests().len(), 1, "{what}");
        }
    }
}

#[test]
fn a_head_that_is_cut_is_truncated_and_no_head_at_all_is_an_io_error() {
    let ca = Ca::new();
    let half = "HTTP/1.1 200 OK\r\nX: ";
    let cases = [
        ("", TlsClose::Notify, IO, "without an answer"),
        ("", TlsClose::Fin, IO, "without an answer"),
        ("", TlsClose::Rst, IO, "the connection failed"),
        (half, TlsClose::Notify, TRUNCATED, "20 bytes of its head"),
        (half, TlsClose::Fin, TRUNCATED, "without close_notify"),
    ];
    for (bytes, close, status, words) in cases {
        let server = TlsServer::start(ca.identity(Leaf::Good), canned(bytes, close));
        let client = Client::new(&ca, server.address());
        let fault = client.fails(status, words);
        assert_eq!(fault.json["sent"], "maybe", "{bytes:?} {close:?}");
        assert_eq!(server.server.requests().len(), 1, "{bytes:?} {close:?}");
    }
}

#[test]
fn a_record_that_was_tampered_with_is_a_tls_error() {
    let ca = Ca::new();
    let server = sessions(&ca, |mut session| {
        if read_request(&mut session).is_some() {
            let mut bytes = session.encrypt(&ok_json("1"));
            *bytes.last_mut().unwrap() ^= 1;
            let _ = session.tcp.write_all(&bytes);
        }
        finish(session.tcp, Close::Keep);
    });
    let client = Client::new(&ca, server.address());
    client.fails(TLS, "decrypt");
    assert_eq!(server.requests().len(), 1);
}

// ---- sessions that last ------------------------------------------------------------------------------------

#[test]
fn a_hundred_requests_go_over_one_connection_with_tls_1_2_and_with_1_3() {
    let ca = Ca::new();
    for version in rustls::ALL_VERSIONS {
        let server = answering_over(&ca.identity(Leaf::Good), &[version]);
        let client = Client::new(&ca, server.address());
        for n in 0..100 {
            let answer = client.get().unwrap();
            assert_eq!(answer.text(), "\"/x\"");
            assert_eq!(answer.meta["reused"], n > 0);
        }
        assert_eq!(server.server.connections(), 1, "{:?}", version.version);
        assert_eq!(server.server.requests().len(), 100);
    }
}

#[test]
fn session_tickets_that_come_late_do_not_end_a_connection() {
    let ca = Ca::new();
    let server = sessions(&ca, |mut session| {
        // The tickets leave with the first answer.
        while read_request(&mut session).is_some() {
            session.tls.writer().write_all(&ok_json("[1]")).unwrap();
            session.flush();
        }
    });
    let client = Client::new(&ca, server.address());
    for _ in 0..20 {
        assert_eq!(client.get().unwrap().text(), "[1]");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_record_without_data_right_behind_an_answer_does_not_end_a_connection() {
    // In many lengths, so that the end of the data and the end of what was received fall apart in every way.
    let lengths: Vec<usize> = (0..220).map(|n| if n < 5 { n } else { 16_300 + 20 * n }).collect();
    let ca = Ca::new();
    let server = sessions(&ca, {
        let lengths = lengths.clone();
        move |mut session| {
            session.flush();
            for length in &lengths {
                if read_request(&mut session).is_none() {
                    return;
                }
                let mut bytes = session.encrypt(&support::response("200 OK", "", pattern(*length)));
                bytes.extend(session.key_update());
                session.tcp.write_all(&bytes).unwrap();
            }
        }
    });
    let endpoint = json!({"endpoints": {"get": {"path": "/x", "decode": "bytes"}}});
    let client = Client::with(&ca, server.address(), endpoint);
    for length in lengths {
        assert!(client.get().unwrap().body == pattern(length), "another body of {length} bytes");
        assert_eq!(server.connections(), 1, "after a body of {length} bytes");
    }
}

#[test]
fn a_record_without_data_while_idle_whole_or_in_part_does_not_end_a_connection() {
    let ca = Ca::new();
    let (go, idle) = mpsc::channel::<usize>();
    let (done, sent) = mpsc::channel();
    let ends = Mutex::new((idle, done));
    let server = sessions(&ca, move |mut session| {
        let Ok(ends) = ends.try_lock() else { return };
        let (idle, done) = &*ends;
        session.flush();
        let mut rest = Vec::new();
        while read_request(&mut session).is_some() {
            // The rest of the record that was begun while the connection was idle comes first.
            let answer = session.encrypt(&ok_json("[1]"));
            rest.extend(answer);
            session.tcp.write_all(&rest).unwrap();
            let Ok(now) = idle.recv() else { return };
            let update = session.key_update();
            let now = now.min(update.len());
            session.tcp.write_all(&update[..now]).unwrap();
            rest = update[now..].to_vec();
            done.send(()).unwrap();
        }
    });
    let client = Client::new(&ca, server.address());
    // Dropped before the server, whose handler waits for it.
    let go = go;
    for part in [usize::MAX, 1, 4, 5, 6, 20, usize::MAX, 0] {
        assert_eq!(client.get().unwrap().text(), "[1]");
        // The connection is idle now.
        go.send(part).unwrap();
        sent.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(client.get().unwrap().text(), "[1]");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_server_that_says_goodbye_while_idle_costs_a_connection_and_no_call() {
    let ca = Ca::new();
    let server = TlsServer::start(ca.identity(Leaf::Good), canned(ok_json("[1]"), TlsClose::Notify));
    let client = Client::new(&ca, server.address());
    for n in 1..=10 {
        assert_eq!(client.get().unwrap().text(), "[1]");
        server.server.wait_closed();
        assert_eq!((server.server.connections(), server.server.requests().len()), (n, n));
    }
}

#[test]
fn records_may_be_split_at_every_offset() {
    let ca = Ca::new();
    let offsets = Arc::new(AtomicUsize::new(0));
    let server = sessions(&ca, {
        let offsets = offsets.clone();
        move |mut session| {
            session.flush();
            let mut at = 0;
            while read_request(&mut session).is_some() {
                let body = format!("[{at:05}]");
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
                let mut bytes = session.encrypt(head.as_bytes());
                bytes.extend(session.encrypt(body.as_bytes()));
                offsets.store(bytes.len(), Ordering::Relaxed);
                let (first, second) = bytes.split_at(at.min(bytes.len()));
                session.tcp.write_all(first).unwrap();
                queue::wait_until_read(&session.tcp);
                session.tcp.write_all(second).unwrap();
                at += 1;
            }
        }
    });
    let client = Client::with(
        &ca,
        server.address(),
        json!({"endpoints": {
            "get": {"path": "/x", "decode": "bytes"},
        }}),
    );
    let mut at = 0;
    while at <= offsets.load(Ordering::Relaxed) {
        assert_eq!(client.get().unwrap().text(), format!("[{at:05}]"));
        at += 1;
    }
    assert!(at > 80, "{at} offsets");
    assert_eq!(server.connections(), 1);
}

/// Bytes that no mistake of order leaves unnoticed.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[test]
fn a_large_upload_arrives_whole_though_session_tickets_lie_unread() {
    let ca = Ca::new();
    let server = sessions(&ca, |mut session| {
        rustix::net::sockopt::set_socket_recv_buffer_size(&session.tcp, 128 * 1024).unwrap();
        // The tickets go out; the client, which is sending, has no reason to look at them before its buffer
        // is full. Then they make the socket readable, and are no answer.
        session.flush();
        queue::wait_for(&session.tcp, "the client to be stuck, and to have read the tickets", |queues| {
            queues.unsent > 0 && queues.unread == 0
        });
        if let Some(request) = read_request(&mut session) {
            let bytes = session.encrypt(&ok_json(request.body.len().to_string()));
            session.tcp.write_all(&bytes).unwrap();
        }
        finish(session.tcp, Close::Keep);
    });
    let client = Client::new(&ca, server.address());
    let body = pattern(8 << 20);
    let answer = client.api.send_bytes("put", &body, None).unwrap();
    assert_eq!(answer.text(), body.len().to_string());
    assert!(server.requests()[0].body == body, "the body arrived otherwise");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_large_download_is_the_servers_byte_for_byte() {
    let ca = Ca::new();
    let body = Arc::new(pattern(5 << 20));
    for chunked in [false, true] {
        let sent = body.clone();
        let server = TlsServer::start(
            ca.identity(Leaf::Good),
            support::tls::answering(move |_| {
                if !chunked {
                    return support::response("200 OK", "", &*sent);
                }
                let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                for chunk in sent.chunks(70_001) {
                    write!(bytes, "{:x}\r\n", chunk.len()).unwrap();
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
                bytes
            }),
        );
        let endpoint = json!({"endpoints": {"get": {"path": "/x", "decode": "bytes"}}});
        let client = Client::with(&ca, server.address(), endpoint);
        for _ in 0..2 {
            assert!(client.get().unwrap().body == *body, "chunked {chunked}: the body is another one");
        }
        assert_eq!(server.server.connections(), 1, "chunked {chunked}");
    }
}
