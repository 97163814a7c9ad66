//! Proxies: which one a request takes, and the way through it.
//!
//! Plain http through an HTTP proxy is asked for by the whole URL (RFC 9112 3.2.2); https through a tunnel, of
//! which the proxy sees no more than host and port; SOCKS carries either. An https proxy is an HTTP proxy behind TLS.
//! The proxy's credentials go to the proxy alone. Names are resolved by the proxy.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::Url;

use super::fail::Fail;
use super::head::{Scanner, parse};
use super::no_proxy::NoProxy;
use super::socks::{self, Line};
use super::stream::{Peer, Stream};
use super::target::Target;
use super::terms::{Patience, Terms};
use super::tls::TlsClient;
use crate::config::Secret;
use crate::error::{Error, Result};

/// The proxies of one connector. What a request takes depends on where it goes and on nothing else, so that
/// connections need not remember it to be found again.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Option<Arc<Proxy>>,
    https: Option<Arc<Proxy>>,
    no_proxy: NoProxy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    /// HTTP over TLS.
    Https,
    Socks,
}

#[derive(Debug)]
pub(super) struct Proxy {
    kind: Kind,
    /// A name or an address without brackets.
    pub host: String,
    pub port: u16,
    login: Option<Login>,
}

#[derive(Debug)]
struct Login {
    user: String,
    password: Secret,
    /// Both, as HTTP Basic joins them.
    pair: Secret,
}

/// How a plain request is changed on its way to an HTTP proxy.
pub(super) struct Absolute {
    /// `http://authority`, before the path.
    start: String,
    /// Behind the request line.
    field: Option<Secret>,
}

impl Proxies {
    /// From the keys `proxy` and `no_proxy`; `environment` is asked now, and only for `proxy: env`.
    pub fn new(
        proxy: Option<&str>,
        no_proxy: &[String],
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Proxies> {
        let mut list = NoProxy::new(no_proxy.iter().map(String::as_str));
        let proxy = proxy.unwrap_or("none");
        if proxy.eq_ignore_ascii_case("none") {
            return Ok(Proxies::default());
        }
        if !proxy.eq_ignore_ascii_case("env") {
            let proxy = Some(Arc::new(Proxy::of(proxy).map_err(|m| Error::config(format!("/proxy: {m}")))?));
            return Ok(Proxies { http: proxy.clone(), https: proxy, no_proxy: list });
        }
        let first = |names: &[&'static str]| -> Result<Option<Arc<Proxy>>> {
            let set = |name: &&'static str| environment(name).filter(|v| !v.is_empty()).map(|v| (*name, v));
            let Some((name, text)) = names.iter().find_map(set) else { return Ok(None) };
            // curl takes a proxy without a scheme for an HTTP one.
            let text = if text.contains("://") { text } else { format!("http://{text}") };
            let proxy = Proxy::of(&text)
                .map_err(|m| Error::config(format!("/proxy: the environment variable {name}: {m}")))?;
            Ok(Some(Arc::new(proxy)))
        };
        // HTTP_PROXY in capitals is what a web server makes of a request's header `Proxy:` for a CGI program. To
        // Windows it is the same variable as the other one.
        let forged = cfg!(windows) && environment("REQUEST_METHOD").is_some();
        let http = first(&["http_proxy", "all_proxy", "ALL_PROXY"][usize::from(forged)..])?;
        let https = first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?;
        if no_proxy.is_empty() {
            let text = environment("no_proxy").or_else(|| environment("NO_PROXY")).unwrap_or_default();
            list = NoProxy::new([text.as_str()]);
        }
        Ok(Proxies { http, https, no_proxy: list })
    }

    /// What must not be seen.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let logins = [&self.http, &self.https].into_iter().flatten().filter_map(|p| p.login.as_ref());
        logins.flat_map(|login| [&login.password, &login.pair])
    }

    /// The proxy for a request to `target`.
    pub(super) fn route(&self, target: &Target) -> Option<&Proxy> {
        let proxy = if target.tls { &self.https } else { &self.http };
        proxy.as_deref().filter(|_| !target.direct && !self.no_proxy.covers(&target.host))
    }
}

impl Proxy {
    /// Reads a proxy's URL. The message has nothing of it: it may hold a password.
    fn of(text: &str) -> Result<Proxy, String> {
        let wrong = || "must be none, env, or the URL of an http, https or socks5 proxy".to_owned();
        let url = Url::parse(text).map_err(|_| wrong())?;
        let (kind, port) = match url.scheme() {
            "http" => (Kind::Http, 80),
            "https" => (Kind::Https, 443),
            "socks5" | "socks5h" => (Kind::Socks, 1080),
            _ => return Err(wrong()),
        };
        let host = url.host_str().filter(|h| !h.is_empty()).ok_or_else(wrong)?;
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(Login::of(kind, user, password.unwrap_or_default())?),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        Ok(Proxy { kind, host, port: url.port().unwrap_or(port), login })
    }

    /// The way through it to the target, over a stream that leads to the proxy: the stream that leads further, and
    /// what a proxy wants to be told that is no tunnel.
    pub fn pass(
        &self,
        target: &Target,
        mut stream: Stream,
        terms: &Terms,
        patience: Patience,
        tls: &TlsClient,
    ) -> Result<(Stream, Option<Absolute>), Fail> {
        if self.kind == Kind::Https {
            let mut session = tls.start(&self.host, Peer::Proxy, stream)?;
            session.handshake(terms, patience)?;
            stream = Stream::Tls(Box::new(session));
        }
        let mut line = Wire { stream: &mut stream, terms, patience };
        match self.kind {
            Kind::Socks => {
                let login = self.login.as_ref().map(|l| (l.user.as_str(), &l.password));
                socks::connect(&mut line, &target.host, target.port, login)?;
            }
            Kind::Http | Kind::Https if target.tls => {
                tunnel(&mut line, &connect_request(target, self.field().as_ref()), terms.limits.max_head)?;
            }
            Kind::Http | Kind::Https => return Ok((stream, Some(self.absolute(target)))),
        }
        Ok((stream, None))
    }

    fn absolute(&self, target: &Target) -> Absolute {
        Absolute { start: format!("http://{}", target.authority), field: self.field() }
    }

    fn field(&self) -> Option<Secret> {
        let login = self.login.as_ref()?;
        let value = STANDARD.encode(login.pair.expose());
        Some(Secret::new(format!("Proxy-Authorization: Basic {value}\r\n")))
    }

    /// Says of a failure on the way through the proxy whose it was.
    pub fn blame(&self, fail: Fail) -> Fail {
        let said = |why: &dyn fmt::Display| format!("the proxy {self}: {why}");
        match fail {
            Fail::Resolve(why) => Fail::Resolve(said(&why)),
            Fail::Connect(why, errno) => Fail::Connect(said(&why), errno),
            Fail::Socket(e) => Fail::Connect(said(&e), Some(e)),
            Fail::Closed | Fail::Truncated(_) => Fail::Connect(said(&"it closed the connection"), None),
            Fail::Protocol(why) | Fail::TooLarge(why) => Fail::Connect(said(&why), None),
            Fail::Tls(why) => Fail::Tls(said(&why)),
            Fail::HandshakeCut(why) => Fail::HandshakeCut(said(&why)),
            Fail::ProxyAuth(why, status) => Fail::ProxyAuth(said(&why), status),
            fail => fail,
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Login {
    fn of(kind: Kind, user: &str, password: &str) -> Result<Login, String> {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(|t| Secret::new(t.as_ref()));
        let wrong = |_| "the user name and the password must be UTF-8".to_owned();
        let (user, password) = (decoded(user).map_err(wrong)?, decoded(password).map_err(wrong)?);
        let pair = Secret::new(format!("{}:{}", user.expose(), password.expose()));
        if kind != Kind::Socks && user.expose().contains(':') {
            return Err("HTTP Basic cannot carry a colon in the user name".into());
        }
        if kind == Kind::Socks && !socks::credentials_fit(user.expose(), password.expose()) {
            return Err("SOCKS 5 takes a user name and a password of 1 to 255 bytes".into());
        }
        Ok(Login { user: user.expose().to_owned(), password, pair })
    }
}

impl Absolute {
    /// The first piece of a request, as the proxy wants it. The request line is whole in it.
    pub fn rewrite(&self, piece: &[u8]) -> Vec<u8> {
        let path = memchr::memchr(b' ', piece).map_or(0, |i| i + 1);
        let line = memchr::memchr(b'\n', piece).map_or(piece.len(), |i| i + 1);
        let field = self.field.as_ref().map_or("", |f| f.expose());
        let mut out = Vec::with_capacity(piece.len() + self.start.len() + field.len());
        out.extend_from_slice(&piece[..path]);
        out.extend_from_slice(self.start.as_bytes());
        out.extend_from_slice(&piece[path..line]);
        out.extend_from_slice(field.as_bytes());
        out.extend_from_slice(&piece[line..]);
        out
    }
}

impl fmt::Debug for Absolute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Absolute({})", self.start)
    }
}

/// Nothing of the request itself: the proxy learns where it goes and no more.
fn connect_request(target: &Target, field: Option<&Secret>) -> Secret {
    let host = &target.host;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    let (port, field) = (target.port, field.map_or("", Secret::expose));
    Secret::new(format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{field}\r\n"))
}

/// Asks for a tunnel. Any 2xx opens it; behind the head is the server's, which says nothing before we do.
fn tunnel(line: &mut Wire<'_>, request: &Secret, max_head: usize) -> Result<(), Fail> {
    line.send(request.expose().as_bytes())?;
    let (mut answer, mut scanner, mut piece) = (Vec::new(), Scanner::default(), [0; 2048]);
    loop {
        let got = line.stream.recv(line.terms, line.patience, &mut piece)?;
        if got == 0 {
            return Err(Fail::Closed);
        }
        answer.extend_from_slice(&piece[..got]);
        while let Some(length) = scanner.scan(&answer)? {
            let head = parse(&answer[..length])?;
            answer.drain(..length);
            scanner = Scanner::default();
            match head.status {
                100..=199 => {}
                200..=299 if answer.is_empty() => return Ok(()),
                200..=299 => return Err(Fail::protocol("it sent bytes behind its answer to CONNECT")),
                407 => {
                    let why = "it demands other credentials (407 to CONNECT)";
                    return Err(Fail::ProxyAuth(why.into(), Some(407)));
                }
                status => return Err(Fail::protocol(format!("it answered {status} to CONNECT"))),
            }
        }
        if answer.len() > max_head {
            return Err(Fail::protocol("its answer to CONNECT has no end (limits.max_header)"));
        }
    }
}

/// A stream, on the terms of an attempt.
struct Wire<'a> {
    stream: &'a mut Stream,
    terms: &'a Terms,
    patience: Patience,
}

impl Line for Wire<'_> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Fail> {
        self.stream.send(self.terms, self.patience, bytes)
    }

    fn fill(&mut self, buf: &mut [u8]) -> Result<(), Fail> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.stream.recv(self.terms, self.patience, &mut buf[filled..])? {
                0 => return Err(Fail::Closed),
                n => filled += n,
            }
        }
        Ok(())
    }
}
