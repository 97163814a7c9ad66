//! An https proxy: TLS to it, and for an https origin another TLS inside, to the origin. Neither side takes anything
//! of the other's, and whatever holds for TLS holds for both layers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/proxied.rs"]
mod proxied;
mod support;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use api::{AUTH, CANCELLED, CONNECT, Cancel, HTTP_STATUS, TIMEOUT, TLS, TRUNCATED};
use proxied::{BASIC, Client, ENCODED, ORIGIN, nothing_secret, secure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion};
use serde_json::{Value, json};
use support::tls::{Ca, Leaf, TlsClose, TlsServer, TlsStream, answering, canned, pending, pump, tunnels};
use support::{
    Close, Folder, Gate, PATIENCE, Request, Server, finish, ok_json, read_head, read_request, response,
    silent,
};

const SLACK: Duration = Duration::from_secs(1);
const OPEN: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// An authority, and the file of it that a connector reads.
struct Trust {
    ca: Ca,
    file: PathBuf,
    _folder: Folder,
}

impl Trust {
    fn new() -> Trust {
        let (ca, folder) = (Ca::new(), Folder::new());
        Trust { file: folder.write("ca.pem", ca.pem()), ca, _folder: folder }
    }

    fn server(
        &self,
        handler: impl Fn(&mut TlsStream, usize) -> TlsClose + Send + Sync + 'static,
    ) -> TlsServer {
        TlsServer::start(self.ca.identity(Leaf::Good), handler)
    }

    /// A proxy in front of this server, whatever it is asked for.
    fn proxy(&self, origin: &TlsServer, close: TlsClose) -> TlsServer {
        self.server(tunnels(origin.address(), close))
    }

    fn config(&self, version: &'static SupportedProtocolVersion) -> ServerConfig {
        let identity = self.ca.identity(Leaf::Good);
        let chain = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        config.with_no_client_auth().with_single_cert(vec![chain], key).unwrap()
    }

    /// A connector that trusts the authority and has a login at the proxy.
    fn client(&self, base_url: &str, proxy: &TlsServer) -> Client {
        self.client_with(base_url, proxy, json!({}))
    }

    fn client_with(&self, base_url: &str, proxy: &TlsServer, mut keys: Value) -> Client {
        keys["tls"] = json!({"ca_file": self.file});
        Client::new(base_url, &proxy.url().replace("https://", &format!("https://me:{ENCODED}@")), keys)
    }
}

fn name(server: &TlsServer) -> String {
    server.url().replace("https://", "")
}

// ---- what goes where ---------------------------------------------------------------------------------------

#[test]
fn an_https_proxy_is_told_the_whole_url_of_plain_http() {
    let trust = Trust::new();
    let proxy = secure(&trust.ca);
    let client = trust.client(&format!("http://{ORIGIN}"), &proxy);
    for _ in 0..2 {
        assert_eq!(client.get().text(), format!("\"http://{ORIGIN}/x\""));
    }
    let seen = proxy.server.requests();
    assert!(seen.iter().all(|r| r.header("Proxy-Authorization") == Some(BASIC) && r.connection == 0));
}

#[test]
fn https_goes_through_a_tunnel_within_the_proxys_tls_and_neither_learns_the_others_credentials() {
    let trust = Trust::new();
    for outer in rustls::ALL_VERSIONS {
        for inner in rustls::ALL_VERSIONS {
            let answer = answering(|r: &Request| ok_json(format!("{:?}", r.target())));
            let origin = TlsServer::with_config(trust.config(inner), answer);
            let tunnel = tunnels(origin.address(), TlsClose::Notify);
            let proxy = TlsServer::with_config(trust.config(outer), tunnel);
            let client = trust.client(&origin.url(), &proxy);
            for _ in 0..3 {
                let answer = client.get();
                assert_eq!(answer.text(), "\"/x\"");
                nothing_secret(&answer.meta.to_string());
            }
            let asked = proxy.server.requests();
            assert_eq!(asked.len(), 1, "three requests over one tunnel");
            let place = name(&origin);
            let wanted = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nProxy-Authorization: {BASIC}");
            assert_eq!(asked[0].head, wanted);
            let seen = origin.server.requests();
            let only_its_own = |r: &Request| {
                r.header("Proxy-Authorization").is_none() && r.header("Authorization").is_some()
            };
            assert!(seen.len() == 3 && seen.iter().all(only_its_own), "{seen:?}");
        }
    }
}

#[test]
fn a_tunnel_is_its_origins_and_no_others() {
    let trust = Trust::new();
    let (one, other) = (secure(&trust.ca), secure(&trust.ca));
    let (first, second) = (one.address(), other.address());
    let wanted = name(&one);
    // It goes where it is asked to.
    let proxy = trust.server(move |stream, _| {
        let request = read_request(stream).unwrap();
        stream.write_all(OPEN).unwrap();
        pump(stream, if request.target() == wanted { first } else { second }, |_, _| {});
        TlsClose::Notify
    });
    let endpoints = json!({"get": {"path": "/one"}, "other": {"path": format!("{}/other", other.url())}});
    let keys = json!({"endpoints": endpoints, "allow_origins": [other.url()]});
    let client = trust.client_with(&one.url(), &proxy, keys);
    for _ in 0..3 {
        assert_eq!(client.get().text(), "\"/one\"");
        assert_eq!(client.api.fetch("other", None, None).unwrap().text(), "\"/other\"");
    }
    let asked: Vec<String> = proxy.server.requests().iter().map(|r| r.target().to_owned()).collect();
    assert_eq!(asked, [name(&one), name(&other)]);
    assert_eq!((one.server.requests().len(), other.server.requests().len()), (3, 3));
}

#[test]
fn large_bodies_are_whole_behind_both_layers() {
    let trust = Trust::new();
    let origin = trust
        .server(answering(|r| response("200 OK", "Content-Type: application/octet-stream\r\n", &r.body)));
    let proxy = trust.proxy(&origin, TlsClose::Notify);
    let keys = json!({"endpoints": {"put": {"path": "/x", "method": "PUT", "decode": "bytes"}}});
    let client = trust.client_with(&origin.url(), &proxy, keys);
    for size in [3usize, 16 << 10, (16 << 10) + 1, 100_000, 5_000_000] {
        let body: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let answer = client.api.send_bytes("put", &body, None).unwrap();
        assert!(answer.body == body, "another body of {size} bytes");
    }
    assert_eq!(proxy.server.connections(), 1);
}

#[test]
fn an_answer_before_the_upload_ends_is_the_answer_behind_both_layers() {
    let trust = Trust::new();
    let over = Gate::new();
    let origin = trust.server({
        let over = over.clone();
        move |stream, _| {
            read_head(stream).unwrap();
            stream.write_all(&response("413 Content Too Large", "", "too much")).unwrap();
            // Open, and nothing is read.
            over.wait();
            TlsClose::Fin
        }
    });
    let proxy = trust.proxy(&origin, TlsClose::Notify);
    let client = trust.client(&origin.url(), &proxy);
    let fault = client.api.send_bytes("put", &vec![b'x'; 32 << 20], None).unwrap_err();
    over.open();
    assert_eq!((fault.status, fault.http_status), (HTTP_STATUS, 413), "{}", fault.message);
    assert_eq!((fault.response_body.as_slice(), &fault.json["sent"]), (&b"too much"[..], &json!("yes")));
    nothing_secret(&fault.everything());
    assert_eq!((proxy.server.connections(), origin.server.connections()), (1, 1));
}

// ---- refusals ----------------------------------------------------------------------------------------------

#[test]
fn whose_certificate_is_bad_is_said_and_nothing_is_told_to_it() {
    let trust = Trust::new();
    for leaf in [Leaf::Expired, Leaf::WrongName, Leaf::SelfSigned] {
        let origin = secure(&trust.ca);
        let proxy = TlsServer::start(trust.ca.identity(leaf), tunnels(origin.address(), TlsClose::Notify));
        for base in [origin.url(), format!("http://{ORIGIN}")] {
            let fault = trust.client(&base, &proxy).fails(TLS, &format!("the proxy {}: ", name(&proxy)));
            assert!(fault.message.contains("certificate"), "{leaf:?}: {}", fault.message);
            assert_eq!(fault.json["sent"], "no");
        }
        assert_eq!((proxy.server.requests().len(), origin.server.connections()), (0, 0));

        let origin = TlsServer::start(trust.ca.identity(leaf), answering(|_| ok_json("1")));
        let proxy = trust.proxy(&origin, TlsClose::Notify);
        let fault = trust.client(&origin.url(), &proxy).fails(TLS, "certificate");
        assert!(!fault.message.contains("proxy"), "{leaf:?}: {}", fault.message);
        assert_eq!((proxy.server.requests().len(), origin.server.requests().len()), (1, 0));
    }
    // Who does not speak TLS at all.
    let plain = Server::start(|mut stream, _| {
        stream.read_exact(&mut [0; 32]).unwrap();
        stream.write_all(b"HTTP/1.1 400 What?\r\n\r\n").unwrap();
        finish(stream, Close::Keep);
    });
    let url = plain.url().replace("http:", "https:");
    let client = Client::new(&format!("https://{ORIGIN}"), &url, json!({"tls": {"ca_file": trust.file}}));
    client.fails(TLS, &format!("the proxy {}: ", plain.address()));
}

#[test]
fn what_an_https_proxy_answers_to_connect_is_a_connect_error_and_a_407_an_auth_error() {
    let trust = Trust::new();
    let rows: &[(&str, TlsClose, i32, &str)] = &[
        ("HTTP/1.1 407 No\r\nContent-Length: 9\r\n\r\nhopeless!", TlsClose::Notify, AUTH, "407"),
        ("HTTP/1.1 302 Found\r\nLocation: http://x.invalid\r\n\r\n", TlsClose::Notify, CONNECT, "302"),
        ("HTTP/1.1 502 Bad\r\nContent-Length: 3\r\n\r\nbad", TlsClose::Fin, CONNECT, "502"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", TlsClose::Notify, CONNECT, "bytes behind"),
        ("SSH-2.0-OpenSSH\r\n", TlsClose::Notify, CONNECT, "not HTTP"),
        ("HTTP/1.1 200", TlsClose::Notify, CONNECT, "closed the connection"),
        ("HTTP/1.1 200", TlsClose::Fin, CONNECT, "closed the connection"),
        ("", TlsClose::Notify, CONNECT, "closed the connection"),
        ("", TlsClose::Fin, CONNECT, "closed the connection"),
        ("", TlsClose::Rst, CONNECT, "reset"),
    ];
    for (reply, close, status, words) in rows {
        let proxy = trust.server(canned(*reply, *close));
        let fault = trust.client(&format!("https://{ORIGIN}"), &proxy).fails(*status, words);
        let named = format!("the proxy {}", name(&proxy));
        assert!(fault.message.contains(&named), "{reply:?}: {}", fault.message);
        assert_eq!(fault.json["sent"], "no");
        if *status == AUTH {
            assert_eq!(fault.http_status, 407);
        }
        assert_eq!(proxy.server.requests().len(), 1, "{reply:?}");
    }
}

#[test]
fn a_tunnel_that_ends_in_the_origins_handshake_is_a_tls_error_and_one_that_is_no_tunnel_a_connect_error() {
    let trust = Trust::new();
    for (close, words) in [
        (TlsClose::Notify, "closed the connection in the handshake"),
        (TlsClose::Fin, "closed the connection in the handshake"),
        (TlsClose::Rst, "failed in the handshake"),
    ] {
        let proxy = trust.server(move |stream, _| {
            read_request(stream).unwrap();
            stream.write_all(OPEN).unwrap();
            stream.read_exact(&mut [0; 32]).unwrap();
            close
        });
        let fault = trust.client(&format!("https://{ORIGIN}"), &proxy).fails(TLS, words);
        assert_eq!(fault.json["sent"], "no");
    }
    let proxy = trust.server(|stream, _| {
        read_request(stream).unwrap();
        stream.write_all(OPEN).unwrap();
        stream.read_exact(&mut [0; 32]).unwrap();
        stream.write_all(b"HTTP/1.1 400 What?\r\n\r\n").unwrap();
        TlsClose::Keep
    });
    trust.client(&format!("https://{ORIGIN}"), &proxy).fails(CONNECT, "is not TLS");
}

// ---- how a body ends ---------------------------------------------------------------------------------------

#[test]
fn only_the_origins_close_notify_ends_a_body_without_a_length() {
    const CLOSE_DELIMITED: &str = "HTTP/1.1 200 OK\r\n\r\n[1,2]";
    const COMPLETE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[1,2]";
    const SHORT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1,2]";
    const CUT_CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1,2]\r\n";
    use TlsClose::{Fin, Notify, Rst};
    let trust = Trust::new();
    for (answer, inner, outer, cut) in [
        (CLOSE_DELIMITED, Notify, Notify, None),
        (CLOSE_DELIMITED, Notify, Fin, None),
        // Whoever sits at the proxy can say goodbye, but not in the origin's name.
        (CLOSE_DELIMITED, Fin, Notify, Some("without close_notify")),
        (CLOSE_DELIMITED, Fin, Fin, Some("without close_notify")),
        (CLOSE_DELIMITED, Fin, Rst, Some("failed within its body")),
        (COMPLETE, Notify, Notify, None),
        (COMPLETE, Fin, Fin, None),
        (COMPLETE, Fin, Rst, None),
        (SHORT, Notify, Notify, Some("4 are missing")),
        (SHORT, Notify, Fin, Some("4 are missing")),
        (SHORT, Fin, Notify, Some("without close_notify")),
        (CUT_CHUNKS, Notify, Notify, Some("before the last chunk")),
        (CUT_CHUNKS, Fin, Notify, Some("without close_notify")),
    ] {
        let what = format!("{answer:?} {inner:?} in {outer:?}");
        let origin = trust.server(canned(answer, inner));
        let proxy = trust.proxy(&origin, outer);
        let client = trust.client(&origin.url(), &proxy);
        match cut {
            Some(words) => assert_eq!(client.fails(TRUNCATED, words).json["sent"], "yes", "{what}"),
            None => {
                let answer = client.get();
                assert_eq!(answer.text(), "[1,2]", "{what}");
                assert_eq!(answer.meta["length_known"], true, "{what}");
            }
        }
        assert_eq!(origin.server.requests().len(), 1, "{what}");
    }
}

// ---- waiting -----------------------------------------------------------------------------------------------

/// A proxy, and the origin behind it, where all that was to be said has been said when `reached` hears of it.
fn stuck(trust: &Trust, place: &str, reached: mpsc::Sender<()>) -> (TlsServer, Option<TlsServer>) {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1,2]";
    let origin = |reply: &'static str| {
        trust.server({
            let reached = reached.clone();
            move |stream, _| {
                // On a slow machine the client may be gone already.
                if read_request(stream).is_some() && stream.write_all(reply.as_bytes()).is_ok() {
                    reached.send(()).unwrap();
                }
                TlsClose::Keep
            }
        })
    };
    match place {
        "head" | "body" => {
            let origin = origin(if place == "head" { "" } else { half });
            (trust.proxy(&origin, TlsClose::Notify), Some(origin))
        }
        _ => {
            let open = place == "handshake";
            let proxy = trust.server(move |stream, _| {
                let asked = read_request(stream).is_some();
                let mut hello = || stream.write_all(OPEN).and_then(|()| stream.read_exact(&mut [0; 32]));
                if asked && (!open || hello().is_ok()) {
                    reached.send(()).unwrap();
                }
                TlsClose::Keep
            });
            (proxy, None)
        }
    }
}

#[test]
fn silence_behind_an_https_proxy_ends_at_the_deadline_or_by_a_cancel_wherever_it_is() {
    let trust = Trust::new();
    for place in ["connect", "handshake", "head", "body"] {
        let (reached, at) = mpsc::channel();
        let (proxy, origin) = stuck(&trust, place, reached);
        let base = origin.as_ref().map_or(format!("https://{ORIGIN}"), TlsServer::url);
        let client = trust.client(&base, &proxy);
        let begun = Instant::now();
        client.fails_with(TIMEOUT, "deadline", Some(r#"{"deadline": 0.3}"#));
        let took = begun.elapsed();
        let limit = Duration::from_millis(300);
        assert!(took >= limit && took < limit + SLACK, "{place}: {took:?}");
        // Of the next call it is to be heard, not of this one, which may have come there too.
        while at.try_recv().is_ok() {}
        let cancel = Cancel::new();
        let fault = std::thread::scope(|scope| {
            let call = scope.spawn(|| client.api.fetch_until("get", None, None, Some(&cancel)));
            at.recv_timeout(PATIENCE).unwrap();
            let begun = Instant::now();
            cancel.trigger();
            let fault = call.join().unwrap().unwrap_err();
            let took = begun.elapsed();
            assert!(took < SLACK, "{place}: {took:?}");
            fault
        });
        assert_eq!(fault.status, CANCELLED, "{place}: {}", fault.message);
        assert_eq!(client.api.fetch("good", None, None).unwrap().text(), "\"good\"");
        assert!(proxy.server.connections() <= 2, "{place}: something was tried again");
    }
}

#[test]
fn a_silent_https_proxy_ends_at_the_connect_limit() {
    let trust = Trust::new();
    let proxy = Server::start(silent());
    let keys = json!({"timeout": {"connect": 0.3}, "tls": {"ca_file": trust.file}});
    let url = proxy.url().replace("http:", "https:");
    Client::new(&format!("https://{ORIGIN}"), &url, keys).fails(TIMEOUT, "timeout.connect");
    let (reached, _at) = mpsc::channel();
    let (proxy, _) = stuck(&trust, "handshake", reached);
    let keys = json!({"timeout": {"connect": 0.3}});
    trust.client_with(&format!("https://{ORIGIN}"), &proxy, keys).fails(TIMEOUT, "timeout.connect");
}

// ---- while it is idle --------------------------------------------------------------------------------------

#[test]
fn records_without_data_of_either_layer_do_not_end_an_idle_tunnel() {
    let trust = Trust::new();
    let (go, idle) = mpsc::channel::<usize>();
    let idle = Mutex::new(idle);
    let origin = TlsServer::with_config(trust.config(&rustls::version::TLS13), move |stream, _| {
        let Ok(idle) = idle.try_lock() else { return TlsClose::Fin };
        let mut rest = Vec::new();
        while read_request(stream).is_some() {
            // The rest of the record that was begun while the tunnel was idle comes first.
            stream.conn.writer().write_all(&ok_json("[1]")).unwrap();
            rest.extend(pending(&mut stream.conn));
            stream.sock.write_all(&rest).unwrap();
            let Ok(now) = idle.recv() else { break };
            stream.conn.refresh_traffic_keys().unwrap();
            let update = pending(&mut stream.conn);
            let now = now.min(update.len());
            stream.sock.write_all(&update[..now]).unwrap();
            rest = update[now..].to_vec();
        }
        TlsClose::Notify
    });
    let (done, sent) = mpsc::channel();
    let waiting = Arc::new(AtomicBool::new(false));
    let proxy = TlsServer::with_config(trust.config(&rustls::version::TLS13), {
        let (waiting, to) = (waiting.clone(), origin.address());
        move |stream, _| {
            read_request(stream).unwrap();
            stream.write_all(OPEN).unwrap();
            pump(stream, to, |session, mut client| {
                // Behind what the origin has sent of itself, the proxy does so too.
                if waiting.swap(false, Ordering::AcqRel) {
                    let mut session = session.lock().unwrap();
                    session.refresh_traffic_keys().unwrap();
                    client.write_all(&pending(&mut session)).unwrap();
                    done.send(()).unwrap();
                }
            });
            TlsClose::Notify
        }
    });
    let client = trust.client(&origin.url(), &proxy);
    // Dropped before the servers, one of which waits for it.
    let go = go;
    for part in [usize::MAX, 1, 4, 5, 6, 20, usize::MAX] {
        assert_eq!(client.get().text(), "[1]");
        waiting.store(true, Ordering::Release);
        go.send(part).unwrap();
        sent.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(client.get().text(), "[1]");
    assert_eq!((proxy.server.connections(), origin.server.connections()), (1, 1));
}

#[test]
fn a_goodbye_of_either_layer_while_idle_costs_a_tunnel_and_no_call() {
    let trust = Trust::new();
    for (inner, outer) in [
        (TlsClose::Notify, TlsClose::Notify),
        (TlsClose::Notify, TlsClose::Fin),
        (TlsClose::Fin, TlsClose::Notify),
        (TlsClose::Fin, TlsClose::Fin),
    ] {
        let origin = trust.server(canned(ok_json("[1]"), inner));
        let proxy = trust.proxy(&origin, outer);
        let client = trust.client(&origin.url(), &proxy);
        for n in 1..=3 {
            assert_eq!(client.get().text(), "[1]");
            proxy.server.wait_closed();
            assert_eq!((proxy.server.connections(), origin.server.requests().len()), (n, n));
        }
    }
    // The origin's alone: the proxy keeps the line open.
    let origin = trust.server(canned(ok_json("[1]"), TlsClose::Notify));
    let to = origin.address();
    let (ended, over) = mpsc::channel();
    let stay = Gate::new();
    let proxy = trust.server({
        let stay = stay.clone();
        move |stream, _| {
            read_request(stream).unwrap();
            stream.write_all(OPEN).unwrap();
            pump(stream, to, |_, _| {});
            ended.send(()).unwrap();
            stay.wait();
            TlsClose::Fin
        }
    });
    let client = trust.client(&origin.url(), &proxy);
    for n in 1..=3 {
        assert_eq!(client.get().text(), "[1]");
        over.recv_timeout(PATIENCE).unwrap();
        assert_eq!((proxy.server.connections(), origin.server.requests().len()), (n, n));
    }
    stay.open();
}
