//! A place in a stream, as a text: `s1.OFFSET.VALIDATOR.CHECKSUM`, of letters that need no escape anywhere.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Error, Result};

/// The version of the form.
const VERSION: &str = "s1";

/// Where to go on, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The first byte that was not handed out.
    pub offset: u64,
    /// What tells that the resource is the same.
    pub validator: String,
}

impl Checkpoint {
    /// The text, which belongs to the endpoint.
    pub fn write(&self, endpoint: &str) -> String {
        let validator = URL_SAFE_NO_PAD.encode(&self.validator);
        let text = format!("{VERSION}.{}.{validator}", self.offset);
        let sum = checksum(&text, endpoint);
        format!("{text}.{sum:08x}")
    }

    /// Reads what [`write`](Checkpoint::write) has written for the same endpoint.
    pub fn read(text: &str, endpoint: &str) -> Result<Checkpoint> {
        let bad = |what: &str| Error::argument(format!("options: /checkpoint: {what}"));
        let (body, sum) = text.rsplit_once('.').ok_or_else(|| bad("not a checkpoint"))?;
        let parts: Vec<&str> = body.split('.').collect();
        let [version, offset, validator] = parts[..] else { return Err(bad("not a checkpoint of a stream")) };
        if version != VERSION {
            return Err(bad("not a checkpoint of a stream, or of another version of apl"));
        }
        if u32::from_str_radix(sum, 16).ok() != Some(checksum(body, endpoint)) {
            return Err(bad("it was changed, or is one of another endpoint"));
        }
        let validator = URL_SAFE_NO_PAD.decode(validator).ok().and_then(|v| String::from_utf8(v).ok());
        let (Ok(offset), Some(validator)) = (offset.parse(), validator) else {
            return Err(bad("not a checkpoint of a stream"));
        };
        Ok(Checkpoint { offset, validator })
    }
}

/// Tells a text that was changed, and one of another endpoint.
pub(crate) fn checksum(text: &str, endpoint: &str) -> u32 {
    crc32fast::hash(format!("{endpoint}\n{text}").as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_checkpoint_is_read_as_it_was_written_and_by_its_endpoint_alone() {
        for (offset, validator) in [(0, "\"a\""), (u64::MAX, "Sun, 06 Nov 1994 08:49:37 GMT"), (7, "\"ü/+\"")]
        {
            let checkpoint = Checkpoint { offset, validator: validator.to_owned() };
            let text = checkpoint.write("e");
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)), "{text}");
            assert_eq!(Checkpoint::read(&text, "e").unwrap(), checkpoint);
            assert!(Checkpoint::read(&text, "f").is_err());
            for at in 0..text.len() {
                let mut other = text.clone().into_bytes();
                other[at] = if other[at] == b'7' { b'8' } else { b'7' };
                let other = String::from_utf8(other).unwrap();
                assert!(other == text || Checkpoint::read(&other, "e").is_err(), "{other}");
                assert!(Checkpoint::read(&text[..at], "e").is_err());
            }
        }
        for bad in ["", ".", "s1.1.2", "p1.0.YQ.00000000", "s1.0.YQ.zzz"] {
            assert!(Checkpoint::read(bad, "e").is_err(), "{bad}");
        }
    }
}
