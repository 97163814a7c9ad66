//! Credentials on a request.
//!
//! `none`, `api_key` in a header, the query or a cookie, `bearer` and `basic` never change: they are made once, and a
//! request copies them. What is made for each request is a [`Scheme`].

mod challenge;
mod digest;
mod oauth;
mod place;
mod scheme;
mod sigv4;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::auth::{ApiKey, KeyPlace};
use crate::config::{Auth, Config, Secret, header_name, header_value};
use crate::error::{Error, Result};
use crate::redact::Redactor;
use oauth::Oauth;

pub use place::Place;
pub use scheme::{Ask, Form, Refusal, Repeat, Scheme, SignIn, Signable, Sources, Verdict};

/// What makes the credentials of `auth` for each request; None where they are always the same.
pub fn scheme(config: &Config, sources: Sources) -> Result<Option<Arc<dyn Scheme>>> {
    if let Some(keys) = config.keys.auth.oauth() {
        return Ok(Some(Arc::new(Oauth::new(config, &keys, sources)?)));
    }
    match &config.keys.auth {
        Auth::Digest(keys) => Ok(Some(Arc::new(digest::Digest::new(keys, sources.nonce)?))),
        Auth::Sigv4(keys) => Ok(Some(Arc::new(sigv4::Sigv4::new(keys, sources.now)?))),
        _ => Ok(None),
    }
}

/// Knows every secret of a configuration, and further ones.
pub fn redactor<'s>(config: &'s Config, further: impl Iterator<Item = &'s Secret>) -> Redactor {
    // What Basic sends is the Base64 of both together.
    let pair = match &config.keys.auth {
        Auth::Basic(auth) | Auth::Digest(auth) => {
            Some(Secret::new(format!("{}:{}", auth.username.expose(), auth.password.expose())))
        }
        _ => None,
    };
    Redactor::of(
        config.secrets.iter().chain(&pair).chain(further.map(|s| -> &Secret { s })).map(Secret::expose),
    )
}

/// Credentials that are the same for every request.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Name and value of a header.
    pub header: Option<(String, Secret)>,
    /// Name and value of a query parameter, not encoded.
    pub query: Option<(String, Secret)>,
    /// Name and value of a cookie.
    pub cookie: Option<(String, Secret)>,
}

impl Credentials {
    /// What `auth` gives to every request; nothing where a scheme makes it.
    pub fn new(auth: &Auth) -> Result<Credentials> {
        match auth {
            Auth::ApiKey(key) => api_key(key),
            Auth::Bearer(auth) => {
                let value = format!("Bearer {}", visible(auth.token.expose(), "token")?);
                Ok(Credentials::authorization(value))
            }
            Auth::Basic(auth) => {
                let (user, password) = (auth.username.expose(), auth.password.expose());
                if user.contains(':') {
                    return Err(Error::config("/auth/username: HTTP Basic cannot carry a colon in it"));
                }
                header_value(user).map_err(|m| Error::config(format!("/auth/username: {m}")))?;
                header_value(password).map_err(|m| Error::config(format!("/auth/password: {m}")))?;
                let pair = Secret::new(format!("{user}:{password}"));
                Ok(Credentials::authorization(format!("Basic {}", STANDARD.encode(pair.expose()))))
            }
            _ => Ok(Credentials::default()),
        }
    }

    fn authorization(value: String) -> Credentials {
        Credentials { header: Some(("Authorization".into(), Secret::new(value))), ..Credentials::default() }
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.header.is_none() && self.query.is_none() && self.cookie.is_none()
    }
}

fn api_key(auth: &ApiKey) -> Result<Credentials> {
    // `in` says it all; without it, the reference's flags and their defaults do.
    let (in_header, in_query) = match auth.place {
        Some(place) => (place == KeyPlace::Header, place == KeyPlace::Query),
        None => (auth.in_header.unwrap_or(true), auth.in_query.unwrap_or(false)),
    };
    if auth.place.is_none() && !in_header && !in_query {
        return Err(Error::config("/auth: the key goes neither into a header nor into the query"));
    }
    let mut credentials = Credentials::default();
    if in_header {
        let name = auth.header.as_deref().unwrap_or("X-API-Key");
        header_name(name).map_err(|m| Error::config(format!("/auth/header: {m}")))?;
        visible(auth.key.expose(), "key")?;
        credentials.header = Some((name.to_owned(), auth.key.clone()));
    }
    if auth.place == Some(KeyPlace::Cookie) {
        let name = auth.param_name.as_deref().unwrap_or("api_key");
        if name.is_empty()
            || !name.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b))
        {
            return Err(Error::config("/auth/param_name: not the name of a cookie"));
        }
        // RFC 6265 4.1.1, but for what servers take all the same: a value ends at a semicolon.
        if !auth.key.expose().bytes().all(|b| b.is_ascii_graphic() && b != b';') {
            return Err(Error::config(
                "/auth/key: a cookie cannot carry it: spaces, semicolons, control characters or other letters",
            ));
        }
        credentials.cookie = Some((name.to_owned(), auth.key.clone()));
    }
    if in_query {
        let name = auth.param_name.as_deref().unwrap_or("api_key");
        credentials.query = Some((name.to_owned(), auth.key.clone()));
    }
    Ok(credentials)
}

/// A token is visible ASCII; the message has nothing of it.
fn visible<'v>(value: &'v str, key: &str) -> Result<&'v str> {
    if is_visible(value) {
        return Ok(value);
    }
    let message = "must be visible ASCII: it has line breaks, control characters or other letters in it";
    Err(Error::config(format!("/auth/{key}: {message}")))
}

fn is_visible(value: &str) -> bool {
    value.bytes().all(|b| (0x20..0x7f).contains(&b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::from_text;

    fn credentials(auth: &str) -> Result<Credentials> {
        let text = format!(r#"{{"base_url": "https://a.example", "auth": {auth}}}"#);
        Credentials::new(&from_text(&text, &|_| None)?.keys.auth)
    }

    fn pair(pair: &Option<(String, Secret)>) -> Option<(&str, &str)> {
        pair.as_ref().map(|(n, v)| (n.as_str(), v.expose()))
    }

    #[test]
    fn static_schemes_are_a_header_or_a_query_parameter() {
        let c = credentials(r#"{"type": "Bearer", "token": "t0ken"}"#).unwrap();
        assert_eq!(pair(&c.header), Some(("Authorization", "Bearer t0ken")));
        let c =
            credentials(r#"{"type": "basic", "username": "Aladdin", "password": "open sesame"}"#).unwrap();
        assert_eq!(pair(&c.header), Some(("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")));
        let c = credentials(r#"{"type": "api_key", "key": "k"}"#).unwrap();
        assert_eq!((pair(&c.header), pair(&c.query)), (Some(("X-API-Key", "k")), None));
        let c = credentials(r#"{"type": "api_key", "key": "k", "header_name": "X-K"}"#).unwrap();
        assert_eq!(pair(&c.header), Some(("X-K", "k")));
        let c = credentials(r#"{"type": "api_key", "key": "k", "in": "query"}"#).unwrap();
        assert_eq!((pair(&c.header), pair(&c.query)), (None, Some(("api_key", "k"))));
        assert!(credentials(r#"{"type": "none"}"#).unwrap().is_empty());
    }

    #[test]
    fn credentials_that_would_break_a_header_are_refused_unseen() {
        for auth in [
            r#"{"type": "bearer", "token": "canary\r\nX: y"}"#,
            r#"{"type": "bearer", "token": "canary\u00e9"}"#,
            r#"{"type": "basic", "username": "canary:x", "password": "p"}"#,
            r#"{"type": "basic", "username": "u", "password": "canary\u0000"}"#,
            r#"{"type": "api_key", "key": "k", "header": "canary x"}"#,
        ] {
            let e = credentials(auth).unwrap_err().to_string();
            assert!(e.starts_with("/auth/") && !e.contains("canary"), "{e}");
        }
    }

    #[test]
    fn basic_credentials_are_hidden_as_they_travel() {
        let text = r#"{"base_url": "https://a.example",
            "auth": {"type": "basic", "username": "u", "password": "long-password"}}"#;
        let config = from_text(text, &|_| None).unwrap();
        let redactor = redactor(&config, std::iter::empty());
        let wire = format!("Basic {}", STANDARD.encode("u:long-password"));
        assert_eq!(redactor.redact(&wire), "Basic ***");
        assert!(!format!("{config:?} {redactor:?}").contains("long-password"));
    }
}
