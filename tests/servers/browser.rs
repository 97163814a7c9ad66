//! A person with a browser, in the least words: it keeps cookies, follows redirects, and fills in the forms of
//! oidc-provider's own pages.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::its;

/// Somebody who signs in at oidc-provider.
#[derive(Default)]
pub struct Browser {
    cookies: BTreeMap<String, String>,
}

/// Where the browser is.
pub enum Place {
    /// On a page of the server's.
    Page(String),
    /// It was sent away, to this address.
    Away(String),
}

impl Browser {
    /// Goes where a form, or an address, leads.
    fn go(&mut self, url: &str, form: Option<String>) -> Place {
        let server = its("oidc");
        let Some(path) = url.strip_prefix(&server) else { return Place::Away(url.to_owned()) };
        let host = server.trim_start_matches("http://");
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (method, body) = form.map_or(("GET", String::new()), |form| ("POST", form));
        let mut stream = TcpStream::connect(host).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nCookie: {}\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
            cookies.join("; "),
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let field = |line: &str, name: &str| {
            let (n, value) = line.split_once(": ")?;
            n.eq_ignore_ascii_case(name).then(|| value.to_owned())
        };
        for cookie in head.lines().filter_map(|line| field(line, "Set-Cookie")) {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => drop(self.cookies.remove(name)),
                value => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        match head.lines().find_map(|line| field(line, "Location")) {
            Some(to) if to.starts_with('/') => self.go(&format!("{server}{to}"), None),
            Some(to) => self.go(&to, None),
            None => Place::Page(body.to_owned()),
        }
    }

    /// Sends the form of a page, with what it has filled in already and with more.
    fn fill_in(&mut self, page: &str, more: &[(&str, &str)]) -> Place {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for input in page.split("<input type=\"hidden\"").skip(1) {
            form.append_pair(attribute(input, "name"), attribute(input, "value"));
        }
        form.extend_pairs(more);
        let (_, rest) = page.split_once("<form").unwrap();
        self.go(attribute(rest, "action"), Some(form.finish()))
    }

    /// Signs in as Ann, says yes to everything, and gives the address it is sent to, or the last page.
    pub fn agrees(&mut self, url: &str) -> String {
        let mut place = self.go(url, None);
        loop {
            place = match place {
                Place::Page(page) if page.contains("name=\"login\"") => {
                    self.fill_in(&page, &[("login", "ann"), ("password", "any")])
                }
                Place::Page(page) if page.contains("<form") => self.fill_in(&page, &[]),
                Place::Page(end) | Place::Away(end) => return end,
            }
        }
    }

    /// Says no on the first page that asks for more than a code.
    pub fn refuses(&mut self, url: &str) -> String {
        let mut place = self.go(url, None);
        loop {
            place = match place {
                Place::Page(page) if page.contains("name=\"abort\"") => {
                    self.fill_in(&page, &[("abort", "yes")])
                }
                Place::Page(page) if page.contains("/abort\"") => {
                    let (before, _) = page.split_once("/abort\"").unwrap();
                    let (_, address) = before.rsplit_once('"').unwrap();
                    self.go(&format!("{address}/abort"), None)
                }
                Place::Page(page)
                    if page.contains("<form")
                        && !page.contains("aborted")
                        && !page.contains("interrupted") =>
                {
                    self.fill_in(&page, &[])
                }
                Place::Page(end) | Place::Away(end) => return end,
            }
        }
    }
}

/// An attribute of the element that the text begins in.
fn attribute<'t>(text: &'t str, name: &str) -> &'t str {
    let (_, rest) = text.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("no {name} in {text}"));
    rest.split('"').next().unwrap()
}
