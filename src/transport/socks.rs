//! SOCKS 5 (RFC 1928) with user name and password (RFC 1929), the client's side. The name is always resolved by
//! the proxy: it is the one that can see the network behind it, and nobody else learns the name.

use std::net::IpAddr;

use super::fail::Fail;
use crate::config::Secret;

/// What the dialogue goes over.
pub(super) trait Line {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Fail>;
    /// Exactly so many bytes, and none further.
    fn fill(&mut self, buf: &mut [u8]) -> Result<(), Fail>;
}

const VERSION: u8 = 5;
const OPEN: u8 = 0;
const PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;

/// Can SOCKS carry these? Its lengths are bytes.
pub(super) fn credentials_fit(user: &str, password: &str) -> bool {
    (1..=255).contains(&user.len()) && (1..=255).contains(&password.len())
}

/// Asks the proxy to connect to `host`, a name or an address without brackets.
pub(super) fn connect(
    line: &mut impl Line,
    host: &str,
    port: u16,
    login: Option<(&str, &Secret)>,
) -> Result<(), Fail> {
    line.send(if login.is_some() { &[VERSION, 2, OPEN, PASSWORD] } else { &[VERSION, 1, OPEN] })?;
    let mut choice = [0; 2];
    line.fill(&mut choice)?;
    match (choice, login) {
        ([VERSION, OPEN], _) => {}
        ([VERSION, PASSWORD], Some((user, password))) => log_in(line, user, password.expose())?,
        ([VERSION, NO_METHOD], Some(_)) => return Err(refused("it takes no password")),
        ([VERSION, NO_METHOD], None) => return Err(refused("it demands credentials")),
        _ => return Err(garbage()),
    }
    line.send(&request(host, port)?)?;
    let mut head = [0; 4];
    line.fill(&mut head)?;
    let [VERSION, reply, _, kind] = head else { return Err(garbage()) };
    if reply != 0 {
        return Err(Fail::Connect(words(reply), None));
    }
    // The address that the proxy uses. It means nothing to us, but what follows it is the server's.
    let mut length = [4];
    match kind {
        1 => {}
        3 => line.fill(&mut length)?,
        4 => length = [16],
        _ => return Err(garbage()),
    }
    line.fill(&mut vec![0; usize::from(length[0]) + 2])
}

fn log_in(line: &mut impl Line, user: &str, password: &str) -> Result<(), Fail> {
    let mut bytes = zeroize::Zeroizing::new(vec![1, length(user)?]);
    bytes.extend_from_slice(user.as_bytes());
    bytes.push(length(password)?);
    bytes.extend_from_slice(password.as_bytes());
    line.send(&bytes)?;
    let mut answer = [0; 2];
    line.fill(&mut answer)?;
    // Some proxies say 5 where 1 belongs; the second byte is what counts.
    if answer[1] == 0 { Ok(()) } else { Err(refused("it refused the credentials")) }
}

/// The request to connect.
fn request(host: &str, port: u16) -> Result<Vec<u8>, Fail> {
    let mut bytes = vec![VERSION, 1, 0];
    match host.parse() {
        Ok(IpAddr::V4(ip)) => {
            bytes.push(1);
            bytes.extend(ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            bytes.push(4);
            bytes.extend(ip.octets());
        }
        Err(_) => {
            bytes.extend([3, length(host)?]);
            bytes.extend(host.as_bytes());
        }
    }
    bytes.extend(port.to_be_bytes());
    Ok(bytes)
}

fn length(text: &str) -> Result<u8, Fail> {
    u8::try_from(text.len()).map_err(|_| Fail::Connect("a name of more than 255 bytes".into(), None))
}

fn refused(why: &str) -> Fail {
    Fail::ProxyAuth(why.into(), None)
}

fn garbage() -> Fail {
    Fail::Connect("its answer is not SOCKS 5".into(), None)
}

/// RFC 1928, 6.
fn words(reply: u8) -> String {
    let words = match reply {
        1 => "general failure",
        2 => "its rules do not allow the connection",
        3 => "the network is unreachable",
        4 => "the host is unreachable, or its name does not resolve",
        5 => "the connection was refused",
        6 => "the TTL expired",
        7 => "it does not know the command",
        8 => "it does not know the kind of address",
        _ => "a reply that SOCKS 5 does not have",
    };
    format!("it says: {words} (SOCKS reply {reply})")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers from a script, and notes what was sent.
    struct Script(Vec<u8>, Vec<u8>);

    impl Line for Script {
        fn send(&mut self, bytes: &[u8]) -> Result<(), Fail> {
            self.1.extend_from_slice(bytes);
            Ok(())
        }
        fn fill(&mut self, buf: &mut [u8]) -> Result<(), Fail> {
            if self.0.len() < buf.len() {
                return Err(Fail::Closed);
            }
            let rest = self.0.split_off(buf.len());
            buf.copy_from_slice(&self.0);
            self.0 = rest;
            Ok(())
        }
    }

    fn run(host: &str, login: bool, answers: &[u8]) -> (Result<(), Fail>, Vec<u8>, Vec<u8>) {
        let (mut script, password) = (Script(answers.to_vec(), Vec::new()), Secret::new("pw"));
        let outcome = connect(&mut script, host, 443, login.then_some(("me", &password)));
        (outcome, script.1, script.0)
    }

    #[test]
    fn every_kind_of_host_is_asked_for_and_not_a_byte_of_the_server_is_taken() {
        let asked = |host: &str, answer: &[u8]| {
            let (outcome, sent, left) = run(host, false, &[&[5, 0], answer, b"\x16tls"].concat());
            assert_eq!((outcome, &left[..]), (Ok(()), &b"\x16tls"[..]), "{host}");
            sent
        };
        let v4 = asked("1.2.3.4", &[5, 0, 0, 1, 9, 9, 9, 9, 0, 1]);
        assert_eq!(v4, [5, 1, 0, 5, 1, 0, 1, 1, 2, 3, 4, 1, 187]);
        let name = asked("a.io", &[&[5, 0, 0, 3, 3][..], b"abc", &[0, 1]].concat());
        assert_eq!(name, [&[5, 1, 0, 5, 1, 0, 3, 4][..], b"a.io", &[1, 187]].concat());
        let v6 = asked("::1", &[&[5, 0, 0, 4][..], &[7; 16], &[0, 1]].concat());
        assert_eq!(v6[..7], [5, 1, 0, 5, 1, 0, 4]);
        assert_eq!((v6[22], &v6[23..]), (1, &[1, 187][..]));
    }

    #[test]
    fn a_password_is_sent_where_the_proxy_asks_for_it_and_only_there() {
        let done = [5, 0, 0, 1, 9, 9, 9, 9, 0, 1];
        let (outcome, sent, _) = run("1.2.3.4", true, &[&[5, 2, 1, 0], &done[..]].concat());
        assert_eq!(outcome, Ok(()));
        assert!(sent.starts_with(b"\x05\x02\x00\x02\x01\x02me\x02pw\x05\x01\x00"), "{sent:?}");
        let (outcome, sent, _) = run("1.2.3.4", true, &[&[5, 0], &done[..]].concat());
        assert_eq!(outcome, Ok(()));
        assert!(!sent.windows(2).any(|w| w == b"pw"), "{sent:?}");
    }

    #[test]
    fn every_refusal_has_its_words() {
        let said = |login, answers: &[u8]| run("1.2.3.4", login, answers).0;
        for reply in 1..=9 {
            let Err(Fail::Connect(why, None)) = said(false, &[5, 0, 5, reply, 0, 1]) else {
                panic!("{reply}")
            };
            assert!(why.contains(&format!("(SOCKS reply {reply})")), "{why}");
        }
        for (login, answers) in [(false, &[5, 0xff][..]), (true, &[5, 0xff]), (true, &[5, 2, 1, 1])] {
            assert!(matches!(said(login, answers), Err(Fail::ProxyAuth(_, None))), "{answers:?}");
        }
        // A method that was not offered, another version, an address of no kind.
        for answers in [&[5, 2][..], &[4, 0], &[5, 1], b"HT", &[5, 0, 4, 0, 0, 1], &[5, 0, 5, 0, 0, 9]] {
            assert_eq!(said(false, answers), Err(garbage()), "{answers:?}");
        }
        assert_eq!(said(false, &[5, 0, 5, 0, 0, 1, 9]), Err(Fail::Closed));
        assert!(matches!(run(&"a".repeat(256), false, &[5, 0]).0, Err(Fail::Connect(..))));
        assert!(
            credentials_fit("u", "p") && !credentials_fit("", "p") && !credentials_fit("u", &"p".repeat(256))
        );
    }
}
