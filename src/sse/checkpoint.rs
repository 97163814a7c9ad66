//! A place in a stream of events, as a text: `e1.ID.CHECKSUM`, of letters that need no escape anywhere.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Error, Result};
use crate::stream::checksum;

/// The version of the form.
const VERSION: &str = "e1";

/// The text for the place behind the event with this id. It belongs to the endpoint.
pub(super) fn write(last_id: &str, endpoint: &str) -> String {
    let text = format!("{VERSION}.{}", URL_SAFE_NO_PAD.encode(last_id));
    let sum = checksum(&text, endpoint);
    format!("{text}.{sum:08x}")
}

/// Reads the id that [`write`] has written for the same endpoint.
pub(super) fn read(text: &str, endpoint: &str) -> Result<String> {
    let bad = |what: &str| Error::argument(format!("options: /checkpoint: {what}"));
    let (body, sum) = text.rsplit_once('.').ok_or_else(|| bad("not a checkpoint"))?;
    let Some(id) = body.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('.')) else {
        return Err(bad("not a checkpoint of events, or of another version of apl"));
    };
    if u32::from_str_radix(sum, 16).ok() != Some(checksum(body, endpoint)) {
        return Err(bad("it was changed, or is one of another endpoint"));
    }
    let id = URL_SAFE_NO_PAD.decode(id).ok().and_then(|id| String::from_utf8(id).ok());
    id.ok_or_else(|| bad("not a checkpoint of events"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_checkpoint_of_events_is_read_as_it_was_written_and_by_its_endpoint_alone() {
        for id in ["1", "\u{2026}", "a b/+=\"\\", &"x".repeat(1000)] {
            let text = write(id, "e");
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)), "{text}");
            assert_eq!(read(&text, "e").unwrap(), id);
            assert!(read(&text, "f").is_err());
            for at in 0..text.len() {
                let mut other = text.clone().into_bytes();
                other[at] = if other[at] == b'7' { b'8' } else { b'7' };
                let other = String::from_utf8(other).unwrap();
                assert!(other == text || read(&other, "e").is_err(), "{other}");
                assert!(read(&text[..at], "e").is_err());
            }
        }
        for bad in ["", ".", "e1", "e1.", "s1.0.YQ.00000000", "e1.YQ.zzz", "e1.YQ.00000000"] {
            assert!(read(bad, "e").is_err(), "{bad}");
        }
    }
}
