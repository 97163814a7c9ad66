//! OAuth 2.0: a client that proves itself with its private key (RFC 7523, OpenID Connect Core 9).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/people.rs"]
mod people;
mod support;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use api::{Api, Fault, INVALID_CONFIG, log_lines};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use people::{assert_clean, forms, hour, refusal};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::{Value, json};
use support::{Folder, Server, answering, ok_json, response};

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A private key in PKCS #8, made by openssl.
fn key(folder: &Folder, name: &str, algorithm: &[&str]) -> PathBuf {
    let path = folder.path().join(name);
    openssl(&[&["genpkey"], algorithm, &["-out", path.to_str().unwrap()]].concat());
    path
}

const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
const ED25519: &[&str] = &["-algorithm", "ed25519"];

/// The same key as OpenSSL once wrote it: PKCS #1 or SEC 1.
fn traditional(key: &Path) -> PathBuf {
    let to = key.with_extension("old");
    openssl(&["pkey", "-traditional", "-in", key.to_str().unwrap(), "-out", to.to_str().unwrap()]);
    to
}

/// The public half, as ring wants it: what SubjectPublicKeyInfo ends with.
fn public(key: &Path, algorithm: &[&str]) -> Vec<u8> {
    let der = openssl(&["pkey", "-in", key.to_str().unwrap(), "-pubout", "-outform", "DER"]);
    let length = match algorithm[1] {
        "ed25519" => 32,
        "EC" if algorithm == P256 => 65,
        "EC" => 97,
        // 30 82 .. .. 02 82 01 01 (the modulus) 02 03 (the exponent)
        _ => 4 + 4 + 257 + 5,
    };
    der[der.len() - length..].to_vec()
}

fn connect(server: &Server, further: Value) -> Result<Api, Fault> {
    let auth = json!({
        "type": "oauth2", "client_id": "client-id-1", "client_auth": "private_key_jwt",
        "token_url": format!("{}/token", server.url()),
    });
    people::connect(server, auth, further)
}

fn server() -> Server {
    people::server(|_, n, _| hour(n))
}

fn part(jwt: &str, n: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwt.split('.').nth(n).unwrap()).unwrap()).unwrap()
}

#[test]
fn every_algorithm_signs_what_its_public_key_verifies() {
    let (folder, server) = (Folder::new(), server());
    let rsa = key(&folder, "rsa.pem", RSA);
    let (p256, p384) = (key(&folder, "p256.pem", P256), key(&folder, "p384.pem", P384));
    let ed25519 = key(&folder, "ed25519.pem", ED25519);
    // The key and its kind, the algorithm that is asked for, the one that comes, and what it is verified with.
    type Row<'a> = (&'a Path, &'a [&'a str], Option<&'a str>, &'a str, &'static dyn VerificationAlgorithm);
    let rows: [Row<'_>; 15] = [
        (&rsa, RSA, None, "RS256", &signature::RSA_PKCS1_2048_8192_SHA256),
        (&traditional(&rsa), RSA, None, "RS256", &signature::RSA_PKCS1_2048_8192_SHA256),
        (&rsa, RSA, Some("RS256"), "RS256", &signature::RSA_PKCS1_2048_8192_SHA256),
        (&rsa, RSA, Some("rs384"), "RS384", &signature::RSA_PKCS1_2048_8192_SHA384),
        (&rsa, RSA, Some("RS512"), "RS512", &signature::RSA_PKCS1_2048_8192_SHA512),
        (&rsa, RSA, Some("PS256"), "PS256", &signature::RSA_PSS_2048_8192_SHA256),
        (&rsa, RSA, Some("PS384"), "PS384", &signature::RSA_PSS_2048_8192_SHA384),
        (&rsa, RSA, Some("PS512"), "PS512", &signature::RSA_PSS_2048_8192_SHA512),
        (&p256, P256, None, "ES256", &signature::ECDSA_P256_SHA256_FIXED),
        (&traditional(&p256), P256, None, "ES256", &signature::ECDSA_P256_SHA256_FIXED),
        (&p256, P256, Some("ES256"), "ES256", &signature::ECDSA_P256_SHA256_FIXED),
        (&p384, P384, None, "ES384", &signature::ECDSA_P384_SHA384_FIXED),
        (&traditional(&p384), P384, Some("ES384"), "ES384", &signature::ECDSA_P384_SHA384_FIXED),
        (&ed25519, ED25519, None, "EdDSA", &signature::ED25519),
        (&ed25519, ED25519, Some("EdDSA"), "EdDSA", &signature::ED25519),
    ];
    for (n, (key, kind, algorithm, named, verifies)) in rows.into_iter().enumerate() {
        let api = connect(&server, json!({"key_file": key, "algorithm": algorithm})).unwrap();
        api.fetch("get", None, None).unwrap();
        let jwt = &forms(&server, "/token")[n]["client_assertion"];
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        assert_eq!(part(jwt, 0), json!({"alg": named, "typ": "JWT"}));
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let verified =
            UnparsedPublicKey::new(verifies, public(key, kind)).verify(signed.as_bytes(), &signature);
        assert!(verified.is_ok(), "{named} {}", key.display());
    }
}

#[test]
fn an_assertion_says_who_to_whom_and_for_how_long_and_none_is_used_twice() {
    let (folder, server) =
        (Folder::new(), people::server(|_, n, _| people::token(n, json!({"expires_in": 0}))));
    let key = key(&folder, "key.pem", P256);
    let api = connect(&server, json!({"key_file": key, "key_id": "key-1", "scope": "read"})).unwrap();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let before = now();
    let (_, log) = log_lines(|| (0..5).for_each(|_| drop(api.fetch("get", None, None).unwrap())));
    let mut ids = HashSet::new();
    for form in forms(&server, "/token") {
        let jwt = &form["client_assertion"];
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        assert_eq!((&*form["grant_type"], &*form["client_id"]), ("client_credentials", "client-id-1"));
        assert_eq!((form.len(), form.get("client_secret")), (5, None));
        assert_eq!(part(jwt, 0)["kid"], "key-1");
        let claims = part(jwt, 1);
        assert_eq!([&claims["iss"], &claims["sub"]], ["client-id-1"; 2]);
        assert_eq!(claims["aud"], format!("{}/token", server.url()));
        let (iat, exp) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
        assert!((before..=now()).contains(&iat) && exp == iat + 300, "{claims}");
        ids.insert(claims["jti"].as_str().unwrap().to_owned());
        assert_clean(&log.join("\n"), &[jwt]);
    }
    assert_eq!(ids.len(), 5);
}

#[test]
fn what_is_asked_again_is_proven_anew() {
    // One connection is closed without an answer, which may be one that was idle; another answer is a failure.
    for trouble in [response("503 Later", "", ""), Vec::new()] {
        let server = people::server(move |_, n, _| match n {
            1 => people::token(1, json!({"expires_in": 0})),
            2 => trouble.clone(),
            _ => hour(n),
        });
        let folder = Folder::new();
        let key = key(&folder, "key.pem", P256);
        let api = connect(&server, json!({"key_file": key})).unwrap();
        (0..2).for_each(|_| drop(api.fetch("get", None, None).unwrap()));
        let forms = forms(&server, "/token");
        let ids: HashSet<_> =
            forms.iter().map(|form| part(&form["client_assertion"], 1)["jti"].to_string()).collect();
        assert_eq!((forms.len(), ids.len()), (3, 3));
    }
}

#[test]
fn every_grant_can_be_proven_so() {
    let (folder, server) = (
        Folder::new(),
        Server::start(answering(|request| match request.target() {
            "/device" => ok_json(
                r#"{"device_code": "canary-d", "user_code": "u", "interval": 1, "verification_uri": "https://a.example"}"#,
            ),
            "/token" => hour(1),
            _ => ok_json("1"),
        })),
    );
    let key = key(&folder, "key.pem", P256);
    let with = |kind: &str, further: Value| {
        let mut all = json!({"type": kind, "key_file": key});
        all.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        connect(&server, all).unwrap()
    };
    with("oauth2_refresh", json!({"refresh_token": "canary-refresh-0"})).fetch("get", None, None).unwrap();
    let authorization_url = format!("{}/a", server.url());
    let browser = with(
        "oauth2_pkce",
        json!({"authorization_url": authorization_url, "redirect_uri": "https://app.example/cb"}),
    );
    let state = browser.auth_begin(None).unwrap().json()["state"].as_str().unwrap().to_owned();
    browser.auth_finish(&*format!("?code=c&state={state}")).unwrap();
    let device =
        with("oauth2_device_flow", json!({"device_authorization_url": format!("{}/device", server.url())}));
    device.auth_begin(None).unwrap();
    device.auth_finish(None).unwrap();
    let forms = [forms(&server, "/token"), forms(&server, "/device")].concat();
    assert_eq!(forms.len(), 4);
    for form in forms {
        // The audience is the token endpoint, also where the other one is asked.
        assert_eq!(part(&form["client_assertion"], 1)["aud"], format!("{}/token", server.url()));
    }
}

#[test]
fn a_refused_assertion_is_shown_nowhere() {
    let (folder, server) = (
        Folder::new(),
        people::server(|_, _, request| {
            let body = json!({"error": "invalid_client", "error_description": request.body_text()});
            response("401 Unauthorized", "Content-Type: application/json\r\n", body.to_string())
        }),
    );
    let key = key(&folder, "key.pem", P256);
    let api = connect(&server, json!({"key_file": key})).unwrap();
    let (fault, log) = log_lines(|| api.fetch("get", None, None).unwrap_err());
    assert!(fault.message.contains("invalid_client"), "{}", fault.message);
    let jwt = &forms(&server, "/token")[0]["client_assertion"];
    assert_clean(&format!("{} {} {}", fault.message, fault.json, log.join("\n")), &[jwt]);
}

#[test]
fn a_key_that_cannot_sign_is_said_when_the_connector_is_made() {
    let (folder, server) = (Folder::new(), people::server(|_, _, _| refusal("400 Bad Request", "x")));
    let rsa = key(&folder, "rsa.pem", RSA);
    let p256 = key(&folder, "p256.pem", P256);
    let from = rsa.to_str().unwrap();
    let to = folder.path().join("encrypted.pem");
    openssl(&["pkey", "-in", from, "-out", to.to_str().unwrap(), "-aes256", "-passout", "pass:canary"]);
    let small = key(&folder, "small.pem", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    let no_key = folder.write("none.pem", "canary");
    let hollow =
        folder.write("hollow.pem", "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n");
    let missing = folder.path().join("missing.pem");
    for (further, place, says) in [
        (json!({}), "key_file: the key is missing", ""),
        (
            json!({"key_file": rsa, "client_secret": "canary-secret"}),
            "client_secret: ",
            "uses a key, and no secret",
        ),
        (json!({"key_file": missing}), "key_file: ", "missing.pem: "),
        (json!({"key_file": folder.path()}), "key_file: ", ": "),
        (json!({"key_file": no_key}), "key_file: ", "none.pem: no private key in PEM in it"),
        (json!({"key_file": hollow}), "key_file: ", "hollow.pem: not a key that can sign here"),
        (json!({"key_file": small}), "key_file: ", "small.pem: not a key that can sign here"),
        (json!({"key_file": to}), "key_file: ", "encrypted.pem: the key is encrypted; decrypt it"),
        (
            json!({"key_file": rsa, "algorithm": "ES256"}),
            "algorithm: ",
            "cannot sign by ES256, but by RS256, RS384",
        ),
        (
            json!({"key_file": p256, "algorithm": "ES384"}),
            "algorithm: ",
            "cannot sign by ES384, but by ES256",
        ),
        (
            json!({"key_file": rsa, "algorithm": "HS256"}),
            "algorithm: ",
            "unknown value \"hs256\"; did you mean",
        ),
    ] {
        let fault = connect(&server, further).map(drop).unwrap_err();
        assert_eq!(fault.status, INVALID_CONFIG);
        assert!(
            fault.message.starts_with(&format!("/auth/{place}")) && fault.message.contains(says),
            "{}",
            fault.message
        );
        assert_clean(&fault.everything(), &[]);
    }
}
