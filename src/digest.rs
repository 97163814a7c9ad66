//! Digests of a file: what names them, and the pass over the file that checks them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use md5::Digest as _;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use crate::response::Head;

static CRC32C: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, _>::new(&crc::CRC_32_ISCSI);
static CRC64NVME: crc::Crc<u64, crc::Table<16>> = crc::Crc::<u64, _>::new(&crc::CRC_64_NVME);

/// How a digest is made. The names are those of the registry of RFC 9530, and S3's.
const ALGORITHMS: [(&str, Algorithm, usize); 7] = [
    ("sha-256", Algorithm::Sha256, 32),
    ("sha-512", Algorithm::Sha512, 64),
    ("sha", Algorithm::Sha1, 20),
    ("md5", Algorithm::Md5, 16),
    ("crc32", Algorithm::Crc32, 4),
    ("crc32c", Algorithm::Crc32c, 4),
    ("crc64nvme", Algorithm::Crc64Nvme, 8),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha512,
    Sha1,
    Md5,
    Crc32,
    Crc32c,
    Crc64Nvme,
}

/// What a file's digest must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    name: &'static str,
    algorithm: Algorithm,
    value: Vec<u8>,
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        Digest::parse(&text).map_err(D::Error::custom)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl Digest {
    fn new(name: &str, value: Vec<u8>) -> Option<Digest> {
        let &(name, algorithm, length) = ALGORITHMS.iter().find(|(n, ..)| n.eq_ignore_ascii_case(name))?;
        (value.len() == length).then_some(Digest { name, algorithm, value })
    }

    fn base64(name: &str, text: &str) -> Option<Digest> {
        let text = text.trim();
        let value = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()?;
        Digest::new(name, value)
    }

    /// `sha-256=<base64>`, also with the colons of a structured field around the Base64.
    pub fn parse(text: &str) -> Result<Digest, String> {
        let names: Vec<&str> = ALGORITHMS.iter().map(|(name, ..)| *name).collect();
        let form = || format!("must be ALGORITHM=BASE64, the algorithm one of {}", names.join(", "));
        let (name, value) = text.trim().split_once('=').ok_or_else(form)?;
        if !names.iter().any(|n| n.eq_ignore_ascii_case(name)) {
            return Err(form());
        }
        let value = value.strip_prefix(':').and_then(|v| v.strip_suffix(':')).unwrap_or(value);
        Digest::base64(name, value).ok_or_else(|| format!("is not the Base64 of a {name} digest"))
    }

    /// As [`Digest::parse`] reads it.
    pub fn text(&self) -> String {
        format!("{}={}", self.name, STANDARD.encode(&self.value))
    }
}

/// What S3 calls them in its fields.
const AMAZON: [(&str, &str); 5] = [
    ("sha256", "sha-256"),
    ("sha1", "sha"),
    ("crc32", "crc32"),
    ("crc32c", "crc32c"),
    ("crc64nvme", "crc64nvme"),
];

/// What an answer says of the whole file. `whole`: its body is all of it, so that what is said of the body is too.
pub fn of_answer(head: &Head, whole: bool) -> Vec<Digest> {
    let mut found = structured(head, "repr-digest");
    if whole {
        found.extend(structured(head, "content-digest"));
        found.extend(text(head, "content-md5").and_then(|v| Digest::base64("md5", v)));
        // A multipart upload's checksum is one of its parts' checksums.
        let composite =
            text(head, "x-amz-checksum-type").is_some_and(|t| t.eq_ignore_ascii_case("COMPOSITE"));
        if !composite {
            for (suffix, name) in AMAZON {
                let value = text(head, &format!("x-amz-checksum-{suffix}")).map(str::to_owned);
                found.extend(value.and_then(|v| Digest::base64(name, &v)));
            }
        }
    }
    found
}

fn text<'h>(head: &'h Head, name: &str) -> Option<&'h str> {
    let field = head.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))?;
    std::str::from_utf8(field.1).ok()
}

/// Repr-Digest and Content-Digest (RFC 9530): a dictionary of byte sequences.
fn structured(head: &Head, name: &str) -> Vec<Digest> {
    let lines: Vec<&[u8]> = head.get_all(name).collect();
    let Ok(fields) = Parser::new(&lines.join(&b", "[..])).parse::<Dictionary>() else { return Vec::new() };
    let digests = fields.iter().filter_map(|(name, entry)| match entry {
        ListEntry::Item(item) => match &item.bare_item {
            BareItem::ByteSequence(value) => Digest::new(name.as_str(), value.clone()),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    });
    digests.collect()
}

enum Hasher {
    Ring(Context),
    Md5(md5::Md5),
    Crc32(crc32fast::Hasher),
    Crc32c(crc::Digest<'static, u32, crc::Table<16>>),
    Crc64(crc::Digest<'static, u64, crc::Table<16>>),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Hasher {
        match algorithm {
            Algorithm::Sha256 => Hasher::Ring(Context::new(&SHA256)),
            Algorithm::Sha512 => Hasher::Ring(Context::new(&SHA512)),
            Algorithm::Sha1 => Hasher::Ring(Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
            Algorithm::Md5 => Hasher::Md5(md5::Md5::new()),
            Algorithm::Crc32 => Hasher::Crc32(crc32fast::Hasher::new()),
            Algorithm::Crc32c => Hasher::Crc32c(CRC32C.digest()),
            Algorithm::Crc64Nvme => Hasher::Crc64(CRC64NVME.digest()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Ring(context) => context.update(bytes),
            Hasher::Md5(md5) => md5.update(bytes),
            Hasher::Crc32(crc) => crc.update(bytes),
            Hasher::Crc32c(crc) => crc.update(bytes),
            Hasher::Crc64(crc) => crc.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Hasher::Ring(context) => context.finish().as_ref().to_vec(),
            Hasher::Md5(md5) => md5.finalize().to_vec(),
            Hasher::Crc32(crc) => crc.finalize().to_be_bytes().to_vec(),
            Hasher::Crc32c(crc) => crc.finalize().to_be_bytes().to_vec(),
            Hasher::Crc64(crc) => crc.finalize().to_be_bytes().to_vec(),
        }
    }
}

/// A pass over a file.
pub struct Pass<'d> {
    /// Those that are a SHA-256, which is made anyway.
    sha256s: Vec<&'d Digest>,
    sha256: Context,
    others: Vec<(&'d Digest, Hasher)>,
}

impl<'d> Pass<'d> {
    /// That checks all of these.
    pub fn new(wanted: &'d [Digest]) -> Pass<'d> {
        let (sha256s, others): (Vec<_>, Vec<_>) =
            wanted.iter().partition(|d| d.algorithm == Algorithm::Sha256);
        let others = others.into_iter().map(|d| (d, Hasher::new(d.algorithm))).collect();
        Pass { sha256s, sha256: Context::new(&SHA256), others }
    }

    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.others.iter_mut().for_each(|(_, hasher)| hasher.update(bytes));
    }

    /// The SHA-256 in hexadecimal; an error names the digest that is another, and what it is.
    pub fn finish(self) -> Result<String, String> {
        let sha256 = self.sha256.finish().as_ref().to_vec();
        let shas = self.sha256s.into_iter().map(|d| (d, sha256.clone()));
        let others = self.others.into_iter().map(|(d, hasher)| (d, hasher.finish()));
        for (digest, is) in shas.chain(others) {
            if is != digest.value {
                let is = STANDARD.encode(is);
                return Err(format!("its {} is {is}, and {} is expected", digest.name, digest.text()));
            }
        }
        Ok(hex(&sha256))
    }
}

/// SHA-256, in hexadecimal.
pub fn sha256(text: &[u8]) -> String {
    hex(ring::digest::digest(&SHA256, text).as_ref())
}

/// In hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Head {
        crate::response::head(200, fields)
    }

    /// Of `123456789`: the check values of the CRC catalogue, and of the RFCs' tools.
    const CHECKS: [&str; 7] = [
        "sha-256=FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
        "sha-512=2eZ2LdHI6vbWGzxhkvxAjU1tXxF20MKRabwk5xw/J0rSf81YEbMT1oH35V7ALXPUmclUVba1u1A6z1dPuo/+hQ==",
        "sha=98O8HYCOBHMq32eZZczDTKeuNEE=",
        "md5=JfnnlDI7RTiF9RgfG2JNCw==",
        "crc32=y/Q5Jg==",
        "crc32c=4waSgw==",
        "crc64nvme=rosUhgp5mIg=",
    ];

    #[test]
    fn digests_are_what_everybody_else_says() {
        for check in CHECKS {
            let digest = Digest::parse(check).unwrap();
            assert_eq!(digest.text(), check);
            let wanted = [digest];
            let mut pass = Pass::new(&wanted);
            pass.update(b"1234");
            pass.update(b"56789");
            assert!(pass.finish().unwrap().starts_with("15e2b0d3"), "{check}");
            let mut pass = Pass::new(&wanted);
            pass.update(b"123456788");
            assert!(pass.finish().unwrap_err().contains(check), "{check}");
        }
    }

    #[test]
    fn a_digest_that_is_none_is_refused() {
        let long = "sha-256=:FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=:";
        assert_eq!(Digest::parse(long), Digest::parse(CHECKS[0]));
        for bad in ["", "sha-256", "sha-256=", "sha-256=abcd", "sha-256=%%%", "md4=JfnnlDI7RTiF9RgfG2JNCw=="]
        {
            assert!(Digest::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_field_that_names_a_digest_is_read() {
        let field = |check: &str| {
            let (name, value) = check.split_once('=').unwrap();
            format!("{name}=:{value}:")
        };
        let repr = format!("{}, unknown=:YWJj:, {}", field(CHECKS[0]), field(CHECKS[3]));
        let of = |fields: &[(&str, &str)], whole| {
            of_answer(&head(fields), whole).iter().map(Digest::text).collect::<Vec<_>>()
        };
        assert_eq!(of(&[("Repr-Digest", &repr)], false), [CHECKS[0], CHECKS[3]]);
        assert_eq!(of(&[("Content-Digest", &field(CHECKS[1]))], true), [CHECKS[1]]);
        assert_eq!(of(&[("Content-MD5", "JfnnlDI7RTiF9RgfG2JNCw==")], true), [CHECKS[3]]);
        let amazon = [
            ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
            ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ];
        assert_eq!(of(&amazon, true), [CHECKS[2], CHECKS[6]]);
        // Of a part, they say something of the part.
        assert!(of(&amazon, false).is_empty());
        assert!(of(&[("Content-MD5", "JfnnlDI7RTiF9RgfG2JNCw==")], false).is_empty());
        for wrong in ["sha-256=abc", "sha-256=:abc:", "sha-256=1", "(("] {
            assert!(of(&[("Repr-Digest", wrong)], true).is_empty(), "{wrong}");
        }
        assert!(of(&[("x-amz-checksum-crc32", "y/Q5Jg==-3")], true).is_empty());
        let composite = [("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-type", "COMPOSITE")];
        assert!(of(&composite, true).is_empty());
    }
}
