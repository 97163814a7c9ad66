//! The client's own certificate: what is checked when the connector is made, and who gets to see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use api::{Api, INVALID_CONFIG, TLS, log_lines};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use serde_json::{Value, json};
use support::tls::{Ca, Leaf, TlsClose, TlsServer, answering, tunnels};
use support::{Folder, ok_json, response};

/// The secret of every connector here.
const CANARY: &str = "canary-0c71e5aa93";
const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// A server that demands a certificate of one of these authorities, and says how many certificates it got.
fn demanding(ca: &Ca, clients: &[&str], version: &'static SupportedProtocolVersion) -> TlsServer {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for pem in clients {
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let identity = ca.identity(Leaf::Good);
    let chain = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![chain], key)
        .unwrap();
    TlsServer::with_config(config, answering(|_| ok_json("\"known\"")))
}

/// A connector with these keys under `tls`; `good` is a server that asks for nothing.
fn connector(ca_file: &Path, server: &TlsServer, good: &TlsServer, tls: Value) -> Api {
    let port = |server: &TlsServer| format!("localhost:{}", server.address().port());
    let mut config = json!({
        "base_url": server.url(),
        "retry_count": 1,
        "auth": {"type": "bearer", "token": CANARY},
        "resolve": {port(server): "127.0.0.1", port(good): "127.0.0.1"},
        "allow_origins": [good.url()],
        "tls": {"ca_file": ca_file},
        "endpoints": {"get": {"path": "/x"}, "good": {"path": format!("{}/x", good.url())}},
    });
    for (key, value) in tls.as_object().unwrap() {
        config["tls"][key] = value.clone();
    }
    Api::new(&config.to_string()).unwrap()
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A certificate that vouches for itself, and its key, made by openssl.
fn self_signed(folder: &Folder, kind: &str, algorithm: &[&str]) -> (PathBuf, PathBuf) {
    let path = |end: &str| folder.path().join(format!("{kind}{end}"));
    let (key, certificate) = (path(".key"), path(".pem"));
    let mut arguments = vec!["genpkey"];
    arguments.extend(algorithm);
    arguments.extend(["-out", key.to_str().unwrap()]);
    openssl(&arguments);
    let (from, to) = (key.to_str().unwrap(), certificate.to_str().unwrap());
    let request = ["req", "-x509", "-new", "-key", from, "-out", to, "-subj", "/CN=client", "-days", "9"];
    openssl(&[&request[..], &["-addext", "basicConstraints=critical,CA:FALSE"]].concat());
    (certificate, key)
}

#[test]
fn a_client_certificate_opens_a_server_that_demands_one_whatever_the_key_s_format() {
    let (ca, folder) = (Ca::new(), Folder::new());
    let ca_file = folder.write("ca.pem", ca.pem());
    let rsa = self_signed(&folder, "rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let ec = self_signed(&folder, "ec", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    let ed = self_signed(&folder, "ed", &["-algorithm", "ED25519"]);
    // The traditional formats: PKCS #1 for RSA, SEC 1 for EC.
    let (pkcs1, sec1) = (folder.path().join("pkcs1.key"), folder.path().join("sec1.key"));
    for (from, to) in [(&rsa.1, &pkcs1), (&ec.1, &sec1)] {
        openssl(&["pkey", "-traditional", "-in", from.to_str().unwrap(), "-out", to.to_str().unwrap()]);
    }
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    for (path, opener) in
        [(&pkcs1, "BEGIN RSA PRIVATE"), (&sec1, "BEGIN EC PRIVATE"), (&rsa.1, "BEGIN PRIVATE")]
    {
        assert!(read(path).contains(opener));
    }
    let known = [read(&rsa.0), read(&ec.0), read(&ed.0), ca.pem().to_owned()];
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    // One of an authority, with its authority behind it, as chains are.
    let leaf = ca.identity(Leaf::Good);
    let chain = folder.write("chain.pem", leaf.certificate_pem + ca.pem());
    let chain_key = folder.write("chain.key", leaf.key_pem);
    let pairs = [
        (&rsa.0, &rsa.1),
        (&rsa.0, &pkcs1),
        (&ec.0, &ec.1),
        (&ec.0, &sec1),
        (&ed.0, &ed.1),
        (&chain, &chain_key),
    ];
    let good = TlsServer::start(ca.identity(Leaf::Good), answering(|_| ok_json("\"good\"")));
    for version in BOTH {
        let server = demanding(&ca, &known, version);
        for (certificate, key) in pairs {
            let tls = json!({"client_cert": certificate, "client_key": key});
            let api = connector(&ca_file, &server, &good, tls);
            let answer =
                api.fetch("get", None, None).unwrap_or_else(|e| panic!("{key:?} {version:?}: {}", e.message));
            assert_eq!(answer.text(), "\"known\"");
            // Nobody is shown it who does not ask, and nothing fails for that.
            assert_eq!(api.fetch("good", None, None).unwrap().text(), "\"good\"");
        }
        assert_eq!(server.server.requests().len(), pairs.len());
    }
}

#[test]
fn a_server_that_demands_a_client_certificate_and_gets_none_or_another_is_a_tls_error() {
    let (ca, folder) = (Ca::new(), Folder::new());
    let ca_file = folder.write("ca.pem", ca.pem());
    let stranger = self_signed(&folder, "ec", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    let unknown = json!({"client_cert": stranger.0, "client_key": stranger.1});
    let good = TlsServer::start(ca.identity(Leaf::Good), answering(|_| ok_json("\"good\"")));
    // With TLS 1.3 the handshake is over for us before the server has looked: the alert comes in the head's place.
    for version in BOTH {
        let server = demanding(&ca, &[ca.pem()], version);
        for (tls, words) in
            [(json!({}), "demands a certificate of the client (tls.client_cert"), (unknown.clone(), "alert")]
        {
            let api = connector(&ca_file, &server, &good, tls);
            for _ in 0..3 {
                let (outcome, log) = log_lines(|| api.fetch("get", None, None));
                let fault = outcome.expect_err("the server was content");
                assert_eq!(fault.status, TLS, "{version:?}: {} {}", fault.name, fault.message);
                assert!(fault.message.contains(words), "{version:?}: {}", fault.message);
                assert!(!(fault.everything() + &log.join("\n")).contains(CANARY));
                assert_eq!(api.fetch("good", None, None).unwrap().text(), "\"good\"");
            }
        }
        assert_eq!(server.server.requests().len(), 0);
        assert_eq!(server.server.connections(), 6, "nothing is tried twice");
    }
}

#[test]
fn a_client_certificate_is_for_the_origin_and_no_proxy_is_shown_it() {
    let (ca, folder) = (Ca::new(), Folder::new());
    let ca_file = folder.write("ca.pem", ca.pem());
    let leaf = ca.identity(Leaf::Good);
    let certificate = folder.write("leaf.pem", &leaf.certificate_pem);
    let key = folder.write("leaf.key", &leaf.key_pem);
    for version in BOTH {
        // It asks for a certificate and would take this one: as an origin it is shown it, as a proxy it is not.
        let server = demanding(&ca, &[ca.pem()], version);
        let tls = json!({"ca_file": ca_file, "client_cert": certificate, "client_key": key});
        let through = |base: &str, proxy: &str| {
            let config = json!({
                "base_url": base, "proxy": proxy, "retry_count": 1, "tls": tls,
                "endpoints": {"get": {"path": "/x"}},
            });
            Api::new(&config.to_string()).unwrap().fetch("get", None, None)
        };
        let fault = through("http://origin.invalid", &server.url()).expect_err("the proxy was shown it");
        assert_eq!(fault.status, TLS, "{version:?}: {}", fault.message);
        let secret = TlsServer::start(ca.identity(Leaf::Good), answering(|_| ok_json("1")));
        let fault = through(&secret.url(), &server.url()).expect_err("the proxy was shown it");
        assert_eq!(fault.status, TLS, "{version:?}: {}", fault.message);
        let words = "the proxy demands a certificate of the client, and none is shown to a proxy";
        assert!(fault.message.contains(words), "{version:?}: {}", fault.message);
        assert_eq!((server.server.requests().len(), secret.server.connections()), (0, 0));
        through(&server.url(), "none").unwrap();
        let proxy = TlsServer::start(ca.identity(Leaf::Good), tunnels(server.address(), TlsClose::Notify));
        through(&server.url(), &proxy.url()).unwrap();
        assert_eq!((server.server.requests().len(), proxy.server.requests().len()), (2, 1));
    }
}

#[test]
fn a_client_certificate_is_shown_to_no_other_origin_that_a_redirect_leads_to() {
    let (ca, folder) = (Ca::new(), Folder::new());
    let ca_file = folder.write("ca.pem", ca.pem());
    let leaf = ca.identity(Leaf::Good);
    let certificate = folder.write("leaf.pem", &leaf.certificate_pem);
    let key = folder.write("leaf.key", &leaf.key_pem);
    for version in BOTH {
        let other = demanding(&ca, &[ca.pem()], version);
        let to = format!("{}/x", other.url());
        let own = TlsServer::start(
            ca.identity(Leaf::Good),
            answering(move |_| response("302 Found", &format!("Location: {to}\r\n"), "")),
        );
        let fetch = |allowed: &[String]| {
            let config = json!({
                "base_url": own.url(), "retry_count": 1, "allow_origins": allowed,
                "tls": {"ca_file": ca_file, "client_cert": certificate, "client_key": key},
                "endpoints": {"get": {"path": "/x"}},
            });
            Api::new(&config.to_string()).unwrap().fetch("get", None, None)
        };
        let fault = fetch(&[]).expect_err("the other origin was shown it");
        assert_eq!(fault.status, TLS, "{version:?}: {}", fault.message);
        assert_eq!(other.server.requests().len(), 0);
        assert_eq!(fetch(&[other.url()]).unwrap().text(), "\"known\"");
    }
}

#[test]
fn a_client_certificate_or_key_that_cannot_be_used_is_refused_by_name_when_the_connector_is_made() {
    let (ca, folder) = (Ca::new(), Folder::new());
    let (one, two) = (ca.identity(Leaf::Good), ca.identity(Leaf::Good));
    let certificate = folder.write("one.pem", &one.certificate_pem);
    let key = folder.write("one.key", &one.key_pem);
    let path = |name: &str| folder.path().join(name);
    let from = key.to_str().unwrap();
    let (modern, old) = (path("modern.key"), path("old.key"));
    let cipher = ["-aes256", "-passout", "pass:canary-password"];
    openssl(&[&["pkey", "-in", from, "-out", modern.to_str().unwrap()][..], &cipher].concat());
    openssl(&[&["pkey", "-traditional", "-in", from, "-out", old.to_str().unwrap()][..], &cipher].concat());
    assert!(std::fs::read_to_string(&old).unwrap().contains("Proc-Type"));
    let small = path("small.key");
    openssl(&[
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:1024",
        "-out",
        small.to_str().unwrap(),
    ]);
    let write = |name: &str, content: &str| folder.write(name, content);
    let empty = write("empty", "");
    let garbage = write("garbage", "\u{1}\u{2}key?");
    let other = write("two.key", &two.key_pem);
    let hollow = write("hollow.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let hollow_key = write("hollow.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let missing = path("missing");
    let rows = [
        (&missing, &key, "/tls/client_cert", &missing, "No such file"),
        (&empty, &key, "/tls/client_cert", &empty, "no certificate in it"),
        (&garbage, &key, "/tls/client_cert", &garbage, "no certificate in it"),
        (&key, &key, "/tls/client_cert", &key, "no certificate in it"),
        (&hollow, &key, "/tls/client_cert", &hollow, "BadEncoding"),
        (&certificate, &missing, "/tls/client_key", &missing, "No such file"),
        (&certificate, &empty, "/tls/client_key", &empty, "no private key"),
        (&certificate, &garbage, "/tls/client_key", &garbage, "no private key"),
        (&certificate, &certificate, "/tls/client_key", &certificate, "no private key"),
        (&certificate, &hollow_key, "/tls/client_key", &hollow_key, "not a key that can sign here"),
        (&certificate, &small, "/tls/client_key", &small, "not a key that can sign here"),
        (&certificate, &other, "/tls/client_key", &other, "does not fit the certificate"),
        (&certificate, &modern, "/tls/client_key", &modern, "the key is encrypted"),
        (&certificate, &old, "/tls/client_key", &old, "the key is encrypted"),
    ];
    for (certificate, key, place, named, reason) in rows {
        let config = json!({
            "base_url": "https://localhost",
            "auth": {"type": "bearer", "token": CANARY},
            "tls": {"client_cert": certificate, "client_key": key},
        });
        let fault = Api::new(&config.to_string()).expect_err(reason);
        assert_eq!(fault.status, INVALID_CONFIG, "{}", fault.message);
        for part in [place, named.to_str().unwrap(), reason] {
            assert!(fault.message.contains(part), "{part:?} is not in {:?}", fault.message);
        }
        let key_text = one.key_pem.lines().nth(1).unwrap();
        let said = fault.everything();
        assert!(!said.contains(CANARY) && !said.contains(key_text) && !said.contains("canary-password"));
    }
    // Each of the two alone is a mistake.
    let config = json!({"base_url": "https://localhost", "tls": {"client_cert": certificate}});
    let fault = Api::new(&config.to_string()).unwrap_err();
    assert!(fault.status == INVALID_CONFIG && fault.message.contains("go together"), "{}", fault.message);
}
