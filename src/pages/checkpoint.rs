//! A place in a listing, as a text: `p1.LISTING.PAGES.RECORDS.TURN.SKIP.HASH.CHECKSUM`, of letters that need no escape
//! anywhere.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::course::Turn;
use crate::error::{Error, Result};
use crate::stream::checksum;

/// The version of the form.
const VERSION: &str = "p1";

/// A place in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// What identifies the listing: the endpoint's request and how it goes on.
    pub listing: u64,
    /// Pages before this one.
    pub pages: u64,
    /// Records of the pages before this one.
    pub records: u64,
    /// The page; None: the listing is over.
    pub turn: Option<Turn>,
    /// Records of it that were handed out.
    pub skip: u64,
    /// What identifies what was handed out: these records, or else the page before.
    pub hash: Option<u128>,
}

impl Checkpoint {
    /// The text, which belongs to the endpoint.
    pub fn write(&self, endpoint: &str) -> String {
        let encode = |letter: char, text: &str| format!("{letter}{}", URL_SAFE_NO_PAD.encode(text));
        let turn = match &self.turn {
            None => "e".to_owned(),
            Some(Turn::First) => "f".to_owned(),
            Some(Turn::Number(number)) => format!("n{number}"),
            Some(Turn::Mark(mark)) => encode('m', mark),
            Some(Turn::Address(address)) => encode('a', address),
        };
        let hash = self.hash.map(|h| format!("{h:032x}")).unwrap_or_default();
        let Checkpoint { listing, pages, records, skip, .. } = self;
        let text = format!("{VERSION}.{listing:016x}.{pages}.{records}.{turn}.{skip}.{hash}");
        let sum = checksum(&text, endpoint);
        format!("{text}.{sum:08x}")
    }

    /// Reads what [`write`](Checkpoint::write) has written for the same listing of the same endpoint.
    pub fn read(text: &str, endpoint: &str, listing: u64) -> Result<Checkpoint> {
        let bad = |what: &str| Error::argument(format!("options: /checkpoint: {what}"));
        let none = || bad("not a checkpoint of pages or records, or of another version of apl");
        let (body, sum) = text.rsplit_once('.').ok_or_else(none)?;
        let parts: Vec<&str> = body.split('.').collect();
        let [VERSION, of, pages, records, turn, skip, hash] = parts[..] else { return Err(none()) };
        if u32::from_str_radix(sum, 16).ok() != Some(checksum(body, endpoint)) {
            return Err(bad("it was changed, or is one of another endpoint"));
        }
        if u64::from_str_radix(of, 16).ok() != Some(listing) {
            return Err(bad(
                "it is one of another listing: the parameters or the endpoint's keys are others now",
            ));
        }
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().and_then(|t| String::from_utf8(t).ok());
        let turn = match turn.split_at_checked(1) {
            Some(("e", "")) => None,
            Some(("f", "")) => Some(Turn::First),
            Some(("n", number)) => Some(Turn::Number(number.parse().map_err(|_| none())?)),
            Some(("m", mark)) => Some(Turn::Mark(decode(mark).ok_or_else(none)?)),
            Some(("a", address)) => Some(Turn::Address(decode(address).ok_or_else(none)?)),
            _ => return Err(none()),
        };
        let hash = match hash {
            "" => None,
            hash => Some(u128::from_str_radix(hash, 16).map_err(|_| none())?),
        };
        let number = |text: &str| text.parse::<u64>().map_err(|_| none());
        Ok(Checkpoint {
            listing,
            pages: number(pages)?,
            records: number(records)?,
            turn,
            skip: number(skip)?,
            hash,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_checkpoint_is_read_as_it_was_written_and_by_its_listing_alone() {
        let turns = [
            None,
            Some(Turn::First),
            Some(Turn::Number(u64::MAX)),
            Some(Turn::Mark("\"a b/ü\"".into())),
            Some(Turn::Address("https://a.example/x?page=2&q=é".into())),
        ];
        for (n, turn) in turns.into_iter().enumerate() {
            let hash = (n % 2 == 0).then_some(u128::MAX - n as u128);
            let place =
                Checkpoint { listing: 77 + n as u64, pages: 3, records: 250, turn, skip: n as u64, hash };
            let text = place.write("e");
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)), "{text}");
            assert_eq!(Checkpoint::read(&text, "e", place.listing).unwrap(), place);
            assert!(Checkpoint::read(&text, "f", place.listing).is_err());
            assert!(Checkpoint::read(&text, "e", 1).unwrap_err().message.contains("another listing"));
            for at in 0..text.len() {
                let mut other = text.clone().into_bytes();
                other[at] = if other[at] == b'7' { b'8' } else { b'7' };
                let other = String::from_utf8(other).unwrap();
                assert!(other == text || Checkpoint::read(&other, "e", place.listing).is_err(), "{other}");
                assert!(Checkpoint::read(&text[..at], "e", place.listing).is_err());
            }
        }
        for bad in ["", ".", "p1.1.2", "s1.0.YQ.00000000"] {
            assert!(Checkpoint::read(bad, "e", 1).is_err(), "{bad}");
        }
    }
}
