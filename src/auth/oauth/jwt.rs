//! How a client proves itself with its private key (RFC 7523 2.2, OpenID Connect Core 9): a JWT that it signs for each
//! question.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::sign::SigningKey;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::config::auth::{Algorithm, OauthKeys};
use crate::error::{Error, Result};
use crate::transport::signing_key;

/// The `client_assertion_type` of a JWT.
pub(super) const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long one is good for, in seconds: clocks differ.
const LIFE: u64 = 300;

/// The client's private key.
pub(super) struct Key {
    key: Arc<dyn SigningKey>,
    algorithm: Algorithm,
    id: Option<String>,
}

impl Algorithm {
    const ALL: [Algorithm; 9] = [
        Algorithm::RS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ];

    /// As TLS names it.
    fn scheme(self) -> SignatureScheme {
        match self {
            Algorithm::RS256 => SignatureScheme::RSA_PKCS1_SHA256,
            Algorithm::RS384 => SignatureScheme::RSA_PKCS1_SHA384,
            Algorithm::RS512 => SignatureScheme::RSA_PKCS1_SHA512,
            Algorithm::PS256 => SignatureScheme::RSA_PSS_SHA256,
            Algorithm::PS384 => SignatureScheme::RSA_PSS_SHA384,
            Algorithm::PS512 => SignatureScheme::RSA_PSS_SHA512,
            Algorithm::ES256 => SignatureScheme::ECDSA_NISTP256_SHA256,
            Algorithm::ES384 => SignatureScheme::ECDSA_NISTP384_SHA384,
            Algorithm::EdDSA => SignatureScheme::ED25519,
        }
    }

    /// The bytes of a coordinate, where the signature is a point of a curve.
    fn coordinate(self) -> Option<usize> {
        match self {
            Algorithm::ES256 => Some(32),
            Algorithm::ES384 => Some(48),
            _ => None,
        }
    }
}

impl Key {
    /// As `auth` says. The file is read now.
    pub fn new(keys: &OauthKeys<'_>) -> Result<Key> {
        let file = keys.key_file.as_deref();
        let file = file.ok_or_else(|| Error::config("/auth/key_file: the key is missing"))?;
        let key = signing_key("/auth/key_file", Path::new(file))?;
        let can = |algorithm: &Algorithm| key.choose_scheme(&[algorithm.scheme()]).is_some();
        let algorithm = match keys.algorithm {
            Some(algorithm) if can(&algorithm) => algorithm,
            Some(algorithm) => {
                let known: Vec<_> =
                    Algorithm::ALL.into_iter().filter(can).map(|a| format!("{a:?}")).collect();
                let what =
                    format!("the key in {file} cannot sign by {algorithm:?}, but by {}", known.join(", "));
                return Err(Error::config(format!("/auth/algorithm: {what}")));
            }
            None => Algorithm::ALL.into_iter().find(can).ok_or_else(|| {
                Error::config(format!("/auth/key_file: {file}: no known algorithm is for it"))
            })?,
        };
        Ok(Key { key, algorithm, id: keys.key_id.clone() })
    }

    /// Says that this is the client, to one audience. `jti`: nobody has used it.
    pub fn assertion(
        &self,
        client_id: &str,
        audience: &str,
        jti: &str,
        now: SystemTime,
    ) -> Result<Zeroizing<String>> {
        #[derive(Serialize)]
        struct Header<'a> {
            alg: String,
            typ: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            kid: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct Claims<'a> {
            iss: &'a str,
            sub: &'a str,
            aud: &'a str,
            jti: &'a str,
            iat: u64,
            exp: u64,
        }
        let iat = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let header = Header { alg: format!("{:?}", self.algorithm), typ: "JWT", kid: self.id.as_deref() };
        let claims = Claims { iss: client_id, sub: client_id, aud: audience, jti, iat, exp: iat + LIFE };
        let part = |json: serde_json::Result<Vec<u8>>| {
            json.map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(Error::internal)
        };
        let (header, claims) = (part(serde_json::to_vec(&header))?, part(serde_json::to_vec(&claims))?);
        let mut jwt = Zeroizing::new(format!("{header}.{claims}"));
        let signature =
            self.sign(jwt.as_bytes()).ok_or_else(|| Error::internal("a JWT could not be signed"))?;
        jwt.push('.');
        jwt.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(jwt)
    }

    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        let signer = self.key.choose_scheme(&[self.algorithm.scheme()])?;
        let signature = signer.sign(text).ok()?;
        match self.algorithm.coordinate() {
            Some(width) => point(&signature, width),
            None => Some(signature),
        }
    }
}

/// RFC 7518 3.4: both numbers side by side, where TLS has them in DER: 30 len 02 len R 02 len S.
fn point(der: &[u8], width: usize) -> Option<Vec<u8>> {
    fn number<'d>(der: &'d [u8], width: usize, out: &mut Vec<u8>) -> Option<&'d [u8]> {
        let (head, rest) = der.split_at_checked(2)?;
        let [0x02, len @ 0..0x80] = *head else { return None };
        let (number, rest) = rest.split_at_checked(len.into())?;
        let from = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
        let digits = &number[from..];
        out.resize(out.len() + width.checked_sub(digits.len())?, 0);
        out.extend_from_slice(digits);
        Some(rest)
    }
    let (head, rest) = der.split_at_checked(2)?;
    let [0x30, len @ 0..0x80] = *head else { return None };
    let mut out = Vec::with_capacity(2 * width);
    let rest = number(rest.get(..len.into())?, width, &mut out)?;
    number(rest, width, &mut out)?.is_empty().then_some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_point_is_its_two_numbers_at_full_width() {
        // A number whose first bit is set has a zero before it; one that is small has fewer bytes.
        let der = [0x30, 0x09, 0x02, 0x03, 0x00, 0xff, 0x01, 0x02, 0x02, 0x12, 0x34];
        assert_eq!(point(&der, 3).unwrap(), [0x00, 0xff, 0x01, 0x00, 0x12, 0x34]);
        assert_eq!(point(&der, 2).unwrap(), [0xff, 0x01, 0x12, 0x34]);
        for cut in 0..der.len() {
            assert_eq!(point(&der[..cut], 3), None, "{cut}");
        }
        assert_eq!(point(&der, 1), None);
        assert_eq!(point(&[0x30, 0x03, 0x04, 0x01, 0x01], 1), None);
    }
}
