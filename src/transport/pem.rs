//! The PEM files of a configuration: further authorities, the client's own certificate, and private keys. Read once, when
//! the connector is made, and checked then: nothing about them is left to be found out by the first call.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{InconsistentKeys, RootCertStore};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The certificates of a `ca_file`.
pub(super) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = certificates("/tls/ca_file", path)?;
    let mut probe = RootCertStore::empty();
    for certificate in &certificates {
        probe.add(certificate.clone()).map_err(|e| bad("/tls/ca_file", path, e))?;
    }
    Ok(certificates)
}

/// The chain of `client_cert` with the key of `client_key`, which belong together.
pub(super) fn identity(chain_file: &Path, key_file: &Path) -> Result<Arc<CertifiedKey>> {
    let chain = certificates("/tls/client_cert", chain_file)?;
    let key = signing_key("/tls/client_key", key_file)?;
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        Ok(()) => Ok(Arc::new(identity)),
        // "Unknown" too: ring knows the public half of every key that it loads.
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch | InconsistentKeys::Unknown)) => {
            let why = format!("the key does not fit the certificate in {}", chain_file.display());
            Err(bad("/tls/client_key", key_file, why))
        }
        Err(e) => Err(bad("/tls/client_cert", chain_file, e)),
    }
}

/// The private key in a file: PKCS #8, PKCS #1 or SEC 1, not encrypted. `place`: the key of the configuration that names
/// the file.
pub fn signing_key(place: &str, path: &Path) -> Result<Arc<dyn SigningKey>> {
    let key = private_key(place, path)?;
    let provider = rustls::crypto::ring::default_provider();
    // The provider's own words may quote what it read.
    let unfit = |_| bad(place, path, "not a key that can sign here (RSA from 2048 bits, ECDSA, Ed25519)");
    provider.key_provider.load_private_key(key).map_err(unfit)
}

fn bad(place: &str, path: &Path, why: impl std::fmt::Display) -> Error {
    Error::config(format!("{place}: {}: {why}", path.display()))
}

fn certificates(place: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = std::fs::read(path).map_err(|e| bad(place, path, e))?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| bad(place, path, format!("not a PEM file of certificates: {e}")))?;
    match certificates.is_empty() {
        true => Err(bad(place, path, "no certificate in it")),
        false => Ok(certificates),
    }
}

fn private_key(place: &str, path: &Path) -> Result<PrivateKeyDer<'static>> {
    let text = Zeroizing::new(std::fs::read(path).map_err(|e| bad(place, path, e))?);
    let has = |words: &[u8]| memchr::memmem::find(&text, words).is_some();
    // PKCS #8's own kind, and what OpenSSL once wrote above the Base64.
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        let why =
            "the key is encrypted; decrypt it (`openssl pkey -in KEY -out PLAIN`), and keep the file private";
        return Err(bad(place, path, why));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| bad(place, path, "no private key in PEM in it"))
}
