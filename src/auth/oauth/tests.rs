#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use super::super::{Form, Repeat};
use super::*;
use crate::config::from_text;
use crate::response::Response;
use crate::transport::Token;

fn oauth() -> Oauth {
    of(r#""type": "oauth2_refresh", "refresh_token": "r", "token": "living""#)
}

fn of(auth: &str) -> Oauth {
    let text = &format!(
        r#"{{"base_url": "https://a.example", "auth": {{"client_id": "c",
        "token_url": "https://auth.example/t", {auth}}}}}"#
    );
    let config = from_text(text, &|_| None).unwrap();
    let sources = Sources { now: SystemTime::now, nonce: String::new };
    Oauth::new(&config, &config.keys.auth.oauth().unwrap(), sources).unwrap()
}

/// A token endpoint that answers like this.
struct Endpoint<F>(F);

impl<F: Fn() -> Result<Response>> Ask for Endpoint<F> {
    fn send(&self, _: &Place, _: Repeat, _: &dyn Fn() -> Result<Form>) -> Result<Response> {
        self.0()
    }
    fn store(&self, json: &[u8]) -> Result<()> {
        assert!(!String::from_utf8_lossy(json).contains("of the old session"));
        Ok(())
    }
    fn excerpt(&self, text: &str, _: &[&str]) -> String {
        text.into()
    }
    fn cancel(&self) -> Option<&Arc<Token>> {
        None
    }
    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// It refuses as soon as so many wait for it, and is counted.
fn refusing<'a>(of: &'a Oauth, waiting: usize, asked: &'a AtomicUsize) -> impl Ask + 'a {
    Endpoint(move || {
        asked.fetch_add(1, SeqCst);
        while of.store.waiting() < waiting {
            thread::yield_now();
        }
        Err(Error::new(Kind::Auth, "refused"))
    })
}

#[test]
fn a_refusal_is_that_of_all_who_wait() {
    let (oauth, asked) = (oauth(), AtomicUsize::new(0));
    oauth.store.age(true);
    thread::scope(|scope| {
        let all: Vec<_> =
            (0..10).map(|_| scope.spawn(|| oauth.token(&refusing(&oauth, 9, &asked)).unwrap_err())).collect();
        all.into_iter().for_each(|t| assert_eq!(t.join().unwrap().kind(), Kind::Auth));
    });
    assert_eq!(asked.load(SeqCst), 1);
    // Who comes later asks again.
    oauth.token(&refusing(&oauth, 0, &asked)).unwrap_err();
    assert_eq!(asked.load(SeqCst), 2);
}

#[test]
fn a_token_whose_renewal_fails_is_used_until_it_ends_and_the_endpoint_is_asked_once_in_a_while() {
    let (oauth, asked) = (oauth(), AtomicUsize::new(0));
    let token = || oauth.token(&refusing(&oauth, 0, &asked));
    token().unwrap();
    assert_eq!(asked.load(SeqCst), 0);
    oauth.store.age(false);
    (0..20).for_each(|_| assert_eq!(token().unwrap().0.expose(), "living"));
    assert_eq!(asked.load(SeqCst), 1);
    oauth.store.age(true);
    assert_eq!(token().unwrap_err().message, "refused");
    assert_eq!(asked.load(SeqCst), 2);
}

#[test]
fn a_token_that_cannot_be_renewed_is_used_until_it_ends() {
    let (oauth, asked) = (
        of(r#""type": "oauth2_pkce", "token": "living", "redirect_uri": "http://127.0.0.1/cb",
            "authorization_url": "https://auth.example/a""#),
        AtomicUsize::new(0),
    );
    let token = || oauth.token(&refusing(&oauth, 0, &asked));
    oauth.store.age(false);
    assert_eq!(token().unwrap().0.expose(), "living");
    oauth.store.age(true);
    assert!(token().unwrap_err().message.contains("apl_auth_begin"));
    assert_eq!(asked.load(SeqCst), 0);
}

#[test]
fn a_token_of_who_was_signed_in_before_does_not_take_the_place_of_the_new_one() {
    let oauth = oauth();
    oauth.store.age(true);
    // While the answer is on its way, somebody signs in.
    let overtaken = Endpoint(|| {
        let granted = answer::granted(br#"{"access_token": "of the new session"}"#).unwrap();
        let mut state = oauth.store.lock();
        state.session += 1;
        let new = Some(Secret::new("new"));
        oauth.store.keep(&mut state, granted, new, (Instant::now(), SystemTime::now()));
        let late = br#"{"access_token": "of the old session", "refresh_token": "old"}"#;
        Ok(Response::new(Default::default(), Default::default(), late.to_vec()))
    });
    assert_eq!(oauth.token(&overtaken).unwrap().0.expose(), "of the new session");
    assert_eq!(oauth.store.lock().refresh_token.as_ref().unwrap().expose(), "new");
}

#[test]
fn nothing_of_it_is_printed() {
    assert!(!format!("{:?}", oauth()).contains("auth.example/t"));
}
