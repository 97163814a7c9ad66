//! Proxies: what they are told, what they are not, and what becomes of their refusals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/alone.rs"]
mod alone;
#[path = "support/api.rs"]
mod api;
#[path = "support/proxied.rs"]
mod proxied;
mod support;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use api::{
    AUTH, Api, CANCELLED, CONNECT, Cancel, DNS, Fault, HTTP_STATUS, INVALID_CONFIG, TIMEOUT, TLS, log_lines,
};
use proxied::{BASIC, CANARY, Client, ENCODED, ORIGIN, PASSWORD, nothing_secret, secure, with_login};
use serde_json::json;
use support::tls::{Ca, Leaf, TlsServer};
use support::{Folder, Request, Server, answering, ok_json, read_request, refused_address, response};

const SLACK: Duration = Duration::from_secs(1);

/// Both ways, until both are over.
fn pump(mut client: TcpStream, to: SocketAddr) {
    let Ok(mut server) = TcpStream::connect(to) else { return };
    let (mut from, mut up) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let upwards = std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut up);
        let _ = up.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    upwards.join().unwrap();
}

/// A proxy that tunnels to this address, whatever it is asked for.
fn tunnels(to: SocketAddr, status: &'static str) -> Server {
    Server::start(move |mut stream, _| {
        if read_request(&mut stream).is_some() {
            stream.write_all(format!("HTTP/1.1 {status}\r\nVia: x\r\n\r\n").as_bytes()).unwrap();
            pump(stream, to);
        }
    })
}

/// A proxy that answers CONNECT with these bytes, and keeps what comes after.
fn replies(bytes: impl Into<Vec<u8>>) -> Server {
    let bytes = bytes.into();
    Server::start(move |mut stream, _| {
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            assert!(!String::from_utf8_lossy(&rest).contains("HTTP/1.1"), "a request reached the proxy");
        }
    })
}

// ---- plain http --------------------------------------------------------------------------------------------

#[test]
fn plain_http_goes_to_the_proxy_with_the_whole_url_over_one_connection() {
    let proxy = Server::start(answering(|r: &Request| ok_json(r.body.len().to_string())));
    let client = Client::new(&format!("http://{ORIGIN}:8080/base?key=v"), &with_login(&proxy), json!({}));
    client.get();
    // A body that leaves in one packet with its head, and one that does not.
    for size in [3, 100_000] {
        let answer = client.api.send_bytes("put", &vec![b'x'; size], None).unwrap();
        assert_eq!(answer.text(), size.to_string());
        nothing_secret(&answer.meta.to_string());
    }
    let requests = proxy.requests();
    let lines: Vec<&str> = requests.iter().map(|r| r.head.lines().next().unwrap()).collect();
    let url = format!("http://{ORIGIN}:8080/base/x?key=v");
    let line = |method: &str| format!("{method} {url} HTTP/1.1");
    assert_eq!(lines, [line("GET"), line("PUT"), line("PUT")]);
    for request in &requests {
        assert_eq!(request.connection, 0);
        assert_eq!(request.headers("Host").collect::<Vec<_>>(), [format!("{ORIGIN}:8080")]);
        assert_eq!(request.headers("Proxy-Authorization").collect::<Vec<_>>(), [BASIC]);
        assert_eq!(request.header("Authorization"), Some(format!("Bearer {CANARY}").as_str()));
    }
    // Nobody else gets what is the proxy's.
    client.api.fetch("good", None, None).unwrap();
    assert_eq!(client.good.requests()[0].header("Proxy-Authorization"), None);
    assert_eq!(client.good.requests()[0].target(), "/x");
    assert_eq!(proxy.requests().len(), 3);
}

#[test]
fn a_407_is_an_auth_error_that_names_the_proxy() {
    let answer = response("407 Proxy Authentication Required", "Proxy-Authenticate: Basic\r\n", "no");
    let proxy = Server::start(answering(move |_| answer.clone()));
    let fault = Client::new(&format!("http://{ORIGIN}"), &with_login(&proxy), json!({})).fails(AUTH, "proxy");
    assert_eq!((fault.http_status, fault.category.as_str()), (407, "AUTH"));
    assert_eq!(proxy.requests().len(), 1);
    let proxy = replies("HTTP/1.1 407 No\r\nContent-Length: 9\r\nProxy-Authenticate: Basic\r\n\r\nhopeless!");
    let fault =
        Client::new(&format!("https://{ORIGIN}"), &with_login(&proxy), json!({})).fails(AUTH, "proxy");
    assert_eq!((fault.http_status, fault.category.as_str()), (407, "AUTH"));
    assert_eq!((&fault.json["sent"], fault.retryable), (&json!("no"), false));
    assert_eq!(proxy.requests().len(), 1);
}

#[test]
fn credentials_that_a_proxy_says_back_are_in_no_message_json_or_log() {
    let said = format!("{BASIC} {PASSWORD} {ENCODED}");
    let body = json!({"title": said}).to_string();
    let answer = response("502 Bad Gateway", "Content-Type: application/problem+json\r\n", body);
    let proxy = Server::start(answering(move |_| answer.clone()));
    let client = Client::new(&format!("http://{ORIGIN}"), &with_login(&proxy), json!({}));
    let (outcome, log) = log_lines(|| client.api.fetch("get", None, None));
    let fault = outcome.expect_err("a 502 is a failure");
    assert_eq!((fault.status, fault.http_status), (HTTP_STATUS, 502));
    assert!(fault.message.contains("***"), "{}", fault.message);
    // The answer's own bytes are the caller's; what the library says is not.
    nothing_secret(&format!("{} {} {}", fault.message, fault.json, log.join("\n")));
}

// ---- https -------------------------------------------------------------------------------------------------

#[test]
fn https_goes_through_a_tunnel_and_neither_learns_the_others_credentials() {
    let (ca, folder) = (Ca::new(), Folder::new());
    let tls = json!({"tls": {"ca_file": folder.write("ca.pem", ca.pem())}});
    for status in ["200 Connection established", "204 Yes", "299 "] {
        let server = secure(&ca);
        let proxy = tunnels(server.address(), status);
        let client = Client::new(&server.url(), &with_login(&proxy), tls.clone());
        for _ in 0..2 {
            assert_eq!(client.get().text(), "\"/x\"");
        }
        let asked = proxy.requests();
        assert_eq!(asked.len(), 1, "two requests over one tunnel");
        let place = server.url().replace("https://", "");
        let wanted = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nProxy-Authorization: {BASIC}");
        assert_eq!(asked[0].head, wanted);
        let seen = server.server.requests();
        assert_eq!(seen.len(), 2);
        assert!(
            seen.iter()
                .all(|r| r.header("Proxy-Authorization").is_none() && r.header("Authorization").is_some())
        );
    }
    // The certificate is the origin's, tunnel or not.
    let server = TlsServer::start(ca.identity(Leaf::WrongName), support::tls::answering(|_| ok_json("1")));
    let proxy = tunnels(server.address(), "200 OK");
    Client::new(&server.url(), &proxy.url(), tls).fails(TLS, "certificate");
    assert_eq!(server.server.requests().len(), 0);
}

#[test]
fn a_tunnel_that_is_refused_or_leads_nowhere_is_a_connect_error() {
    let rows: &[(&str, &str)] = &[
        ("HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid\r\nContent-Length: 0\r\n\r\n", "302"),
        ("HTTP/1.1 502 Bad\r\nContent-Length: 3\r\n\r\nbad", "502"),
        ("HTTP/1.1 403 No\r\n\r\n", "403"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 X\r\n\r\n", "500"),
        ("HTTP/1.1 200 OK\r\n\r\n<html>hello</html>", "bytes behind its answer"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", "bytes behind its answer"),
        ("SSH-2.0-OpenSSH\r\n", "not HTTP"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "the proxy"),
        ("HTTP/1.1 200", "closed"),
        ("", "closed"),
    ];
    for (reply, words) in rows {
        let proxy = replies(*reply);
        let client = Client::new(&format!("https://{ORIGIN}"), &with_login(&proxy), json!({}));
        let fault = client.fails(CONNECT, words);
        let named = format!("the proxy {}", proxy.address());
        assert!(fault.message.contains(&named), "{}", fault.message);
        assert_eq!(fault.json["sent"], "no");
        assert_eq!(proxy.requests().len(), 1, "{reply:?}");
    }
    // Garbage that comes late, in the server's place.
    let proxy = Server::start(|mut stream, _| {
        read_request(&mut stream).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 32]).unwrap();
        stream.write_all(b"HTTP/1.1 400 What?\r\n\r\n").unwrap();
        let _ = io::copy(&mut stream, &mut io::sink());
    });
    Client::new(&format!("https://{ORIGIN}"), &proxy.url(), json!({})).fails(CONNECT, "is not TLS");
    // An answer without an end.
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(100_000));
    let proxy = replies(endless);
    Client::new(&format!("https://{ORIGIN}"), &proxy.url(), json!({})).fails(CONNECT, "max_header");
}

#[test]
fn a_proxy_that_cannot_be_reached_is_named() {
    let nobody = refused_address();
    let client = Client::new(&format!("http://{ORIGIN}"), &format!("http://{nobody}"), json!({}));
    client.fails(CONNECT, &format!("the proxy {nobody}"));
    let client = Client::new(&format!("http://{ORIGIN}"), "http://proxy.invalid:1", json!({}));
    client.fails(DNS, "the proxy proxy.invalid:1");
}

#[test]
fn a_silent_proxy_ends_at_the_connect_limit_or_by_a_cancel() {
    let silent = || Server::start(support::silent());
    for (scheme, base) in
        [("http", "https"), ("socks5", "http"), ("socks5", "https"), ("https", "http"), ("https", "https")]
    {
        let proxy = silent();
        let url = format!("{scheme}://{}", proxy.address());
        let client = Client::new(&format!("{base}://{ORIGIN}"), &url, json!({"timeout": {"connect": 0.3}}));
        let begun = Instant::now();
        client.fails(TIMEOUT, "timeout.connect");
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(300) + SLACK, "{took:?}");
        let client = Client::new(&format!("{base}://{ORIGIN}"), &url, json!({}));
        let cancel = Cancel::new();
        let fault = std::thread::scope(|scope| {
            let call = scope.spawn(|| client.api.fetch_until("get", None, None, Some(&cancel)));
            proxy.wait_connections(2);
            cancel.trigger();
            call.join().unwrap().unwrap_err()
        });
        assert_eq!(fault.status, CANCELLED, "{}", fault.message);
        assert_eq!(proxy.connections(), 2);
    }
}

// ---- SOCKS -------------------------------------------------------------------------------------------------

/// What a SOCKS proxy was asked for: host, port, and user and password.
fn socks(stream: &mut TcpStream, login: bool) -> io::Result<(String, u16, Option<String>)> {
    let mut byte = [0; 2];
    let text = |stream: &mut TcpStream| -> io::Result<Vec<u8>> {
        let mut length = [0];
        stream.read_exact(&mut length)?;
        let mut text = vec![0; length[0].into()];
        stream.read_exact(&mut text)?;
        Ok(text)
    };
    stream.read_exact(&mut [0])?;
    let methods = text(stream)?;
    let mut said = None;
    if login {
        assert!(methods.contains(&2));
        stream.write_all(&[5, 2])?;
        stream.read_exact(&mut [0])?;
        let (user, password) = (text(stream)?, text(stream)?);
        said = Some(String::from_utf8([user, password].join(&b' ')).unwrap());
        stream.write_all(&[1, 0])?;
    } else {
        stream.write_all(&[5, 0])?;
    }
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    assert_eq!(head, [5, 1, 0, 3], "a name, for the proxy to resolve");
    let host = String::from_utf8(text(stream)?).unwrap();
    stream.read_exact(&mut byte)?;
    Ok((host, u16::from_be_bytes(byte), said))
}

#[test]
fn socks_carries_plain_http_and_https_and_resolves_the_name() {
    let (ca, folder) = (Ca::new(), Folder::new());
    let tls = json!({"tls": {"ca_file": folder.write("ca.pem", ca.pem())}});
    let plain = Server::start(answering(|r: &Request| ok_json(format!("{:?}", r.target()))));
    let secret = secure(&ca);
    for (base, to, host) in [
        (format!("http://{ORIGIN}:{}", plain.address().port()), plain.address(), ORIGIN),
        (secret.url(), secret.address(), "localhost"),
    ] {
        for (scheme, login) in [("socks5", true), ("socks5", false), ("socks5h", true)] {
            let proxy = Server::start(move |mut stream, _| {
                let asked = socks(&mut stream, login).unwrap();
                let said = login.then(|| format!("me {PASSWORD}"));
                assert_eq!(asked, (host.to_owned(), to.port(), said));
                stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
                pump(stream, to);
            });
            let user = if login { format!("me:{ENCODED}@") } else { String::new() };
            let client = Client::new(&base, &format!("{scheme}://{user}{}", proxy.address()), tls.clone());
            for _ in 0..2 {
                assert_eq!(client.get().text(), "\"/x\"");
            }
            assert_eq!(proxy.connections(), 1);
        }
    }
    assert_eq!((plain.requests().len(), secret.server.requests().len()), (6, 6));
    assert!(plain.requests().iter().all(|r| r.header("Proxy-Authorization").is_none()));
}

#[test]
fn what_a_socks_proxy_refuses_is_said_in_words() {
    let rows: &[(&[u8], i32, &str)] = &[
        (&[5, 0xff], AUTH, "takes no password"),
        (&[5, 2, 1, 1], AUTH, "refused the credentials"),
        (&[5, 0, 5, 2, 0, 1], CONNECT, "rules do not allow"),
        (&[5, 0, 5, 4, 0, 1], CONNECT, "does not resolve"),
        (&[5, 0, 5, 5, 0, 1], CONNECT, "was refused"),
        (&[4, 0], CONNECT, "not SOCKS 5"),
        (b"HTTP/1.1 400 Bad\r\n", CONNECT, "not SOCKS 5"),
        (&[5], CONNECT, "closed"),
        (&[5, 0, 5, 0, 0, 1, 0], CONNECT, "closed"),
    ];
    for (reply, status, words) in rows {
        let reply = reply.to_vec();
        let proxy = Server::start(move |mut stream, _| {
            stream.read_exact(&mut [0; 4]).unwrap();
            stream.write_all(&reply).unwrap();
            let _ = stream.shutdown(Shutdown::Write);
            let _ = io::copy(&mut stream, &mut io::sink());
        });
        let url = format!("socks5://me:{ENCODED}@{}", proxy.address());
        let client = Client::new(&format!("http://{ORIGIN}"), &url, json!({}));
        let fault = client.fails(*status, words);
        assert!(fault.message.contains("the proxy") && fault.json["sent"] == "no", "{}", fault.message);
        assert_eq!(proxy.connections(), 1);
    }
}

// ---- which requests take it --------------------------------------------------------------------------------

#[test]
fn no_proxy_names_who_is_reached_without_it() {
    let server = Server::start(answering(|_| ok_json("\"direct\"")));
    let proxy = Server::start(answering(|_| ok_json("\"by proxy\"")));
    let port = server.address().port();
    for (list, direct) in [
        (json!([]), false),
        (json!(["*"]), true),
        (json!(["example"]), true),
        (json!([".api.example"]), true),
        (json!(["pi.example"]), false),
        (json!(["other.example", "api.example"]), true),
        (json!(["127.0.0.1"]), false),
    ] {
        let config = json!({
            "base_url": format!("http://api.example:{port}"),
            "proxy": proxy.url(),
            "no_proxy": list,
            "resolve": {format!("api.example:{port}"): "127.0.0.1"},
            "endpoints": {"get": {"path": "/x"}},
        });
        let api = Api::new(&config.to_string()).unwrap();
        let wanted = if direct { "\"direct\"" } else { "\"by proxy\"" };
        assert_eq!(api.fetch("get", None, None).unwrap().text(), wanted, "{list}");
    }
}

#[test]
fn private_networks_are_blocked_behind_a_proxy_as_far_as_can_be_seen_and_the_proxy_is_not() {
    let proxy = Server::start(answering(|_| ok_json("1")));
    let keys = || json!({"limits": {"block_private_networks": true}, "no_proxy": []});
    let api = |base: &str| Client::new(base, &proxy.url(), keys()).api;
    api(&format!("http://{ORIGIN}")).fetch("get", None, None).unwrap();
    for host in ["127.0.0.1", "0x7f.1", "[::ffff:10.0.0.1]", "localhost", "a.localhost", "169.254.169.254"] {
        let fault = api(&format!("http://{host}")).fetch("get", None, None).unwrap_err();
        assert_eq!(fault.status, CONNECT, "{host}: {}", fault.message);
        assert!(fault.message.contains("blocked address"), "{host}: {}", fault.message);
    }
    // A tunnel leads there no more, whatever the way to the proxy is.
    for proxy in [proxy.url(), proxy.url().replace("http:", "https:")] {
        let fault = Client::new("https://10.0.0.1", &proxy, keys()).api.fetch("get", None, None).unwrap_err();
        assert_eq!(fault.status, CONNECT, "{}", fault.message);
        assert!(fault.message.contains("blocked address"), "{}", fault.message);
    }
    assert_eq!(proxy.requests().len(), 1);
}

#[test]
fn a_proxy_from_the_environment_is_taken_where_it_is_asked_for() {
    let server = |name: &'static str| Server::start(answering(move |_| ok_json(format!("{name:?}"))));
    let (http, https, all, capital) = (server("http"), server("https"), server("all"), server("capital"));
    // Here they may stand without a scheme.
    let bare = http.address().to_string();
    let variables = [
        ("http_proxy", bare.as_str()),
        ("HTTP_PROXY", &capital.url()),
        ("HTTPS_PROXY", &https.url()),
        ("all_proxy", &all.url()),
        ("NO_PROXY", ""),
        ("no_proxy", "direct.invalid"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    alone::run("alone_with_a_proxy_to_use", variables.iter().map(|(n, v)| (*n, v.as_str())));
    let counts = [&http, &https, &all, &capital].map(|s| s.requests().len());
    assert_eq!(counts, [1, 1, 0, 0]);
    // In capitals, and from a CGI server's hand, it is a request's header.
    let variables =
        [("HTTP_PROXY", capital.url()), ("ALL_PROXY", all.url()), ("no_proxy", "direct.invalid".into())];
    alone::run("alone_with_a_proxy_to_use", variables.iter().map(|(n, v)| (*n, v.as_str())));
    assert_eq!((all.requests().len(), capital.requests().len()), (2, 0));
    let variables = [("https_proxy", format!("ftp://me:{ENCODED}@x"))];
    alone::run("alone_with_a_wrong_proxy", variables.iter().map(|(n, v)| (*n, v.as_str())));
}

fn from_environment(base_url: &str) -> Result<Api, Fault> {
    let config = json!({
        "base_url": base_url, "proxy": "env", "retry_count": 1, "endpoints": {"get": {"path": "/x"}},
    });
    Api::new(&config.to_string())
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn alone_with_a_proxy_to_use() {
    if !alone::is_alone() {
        return;
    }
    let get = |url: &str| from_environment(url).unwrap().fetch("get", None, None);
    get("http://origin.invalid").unwrap();
    // They answer CONNECT with a body.
    assert_eq!(get("https://origin.invalid").unwrap_err().status, CONNECT);
    assert_eq!(get("http://a.direct.invalid").unwrap_err().status, DNS);
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn alone_with_a_wrong_proxy() {
    if !alone::is_alone() {
        return;
    }
    let fault = from_environment("http://origin.invalid").expect_err("a wrong proxy was taken");
    assert_eq!(fault.status, INVALID_CONFIG);
    assert!(fault.message.contains("https_proxy"), "{}", fault.message);
    nothing_secret(&fault.everything());
}

#[test]
fn a_proxy_that_cannot_be_is_refused_when_the_connector_is_made() {
    for (proxy, words) in [
        ("ftp://me:canary-proxy@x", "must be none, env"),
        ("http://", "must be none, env"),
        ("x", "must be none, env"),
        ("http://a%3Ab:canary-proxy@x", "colon"),
        ("http://me:canary-proxy%ff@x", "UTF-8"),
        ("socks5://:canary-proxy@x", "1 to 255"),
    ] {
        let config = json!({"base_url": "http://a.invalid", "proxy": proxy});
        let fault = Api::new(&config.to_string()).expect_err(proxy);
        assert_eq!(fault.status, INVALID_CONFIG);
        assert!(fault.message.contains("/proxy") && fault.message.contains(words), "{}", fault.message);
        nothing_secret(&fault.everything());
    }
}
