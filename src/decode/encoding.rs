//! Content codings (RFC 9110 8.4).

use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Kind, Result};
use crate::response::Head;

/// More codings on top of each other are an attack, not compression.
const MAX_CHAIN: usize = 2;

/// A coding that this version takes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952; several members are one body.
    Gzip,
}

/// The codings of an answer in the order in which they were put on. `identity`, `none` and an empty field are
/// no coding.
pub fn codings(head: &Head) -> Result<Vec<Coding>> {
    let mut found = Vec::new();
    for name in head.get_all("content-encoding").flat_map(|v| v.split(|b| *b == b',')) {
        match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" | b"none" => {}
            b"gzip" | b"x-gzip" => found.push(Coding::Gzip),
            other => {
                let name = String::from_utf8_lossy(other).into_owned();
                return Err(decode(format!("unsupported encoding `{name}` in Content-Encoding")));
            }
        }
    }
    if found.len() > MAX_CHAIN {
        return Err(decode(format!("more than {MAX_CHAIN} encodings on top of each other")));
    }
    Ok(found)
}

/// Takes the codings off; at most `max` bytes come out of each. No bytes are no body, encoded or not.
pub fn decode_content(codings: &[Coding], body: Vec<u8>, max: u64) -> Result<Vec<u8>> {
    if body.is_empty() {
        return Ok(body);
    }
    codings.iter().rev().try_fold(body, |body, coding| match coding {
        Coding::Gzip => gunzip(&body, max),
    })
}

/// What can be had of the first `max` bytes, for a body that is only shown: a cut or broken one is what came
/// out of it, and one out of which nothing came is itself.
pub fn decode_some(codings: &[Coding], body: Vec<u8>, max: u64) -> Vec<u8> {
    codings.iter().rev().fold(body, |body, coding| {
        let mut plain = Vec::new();
        // An error is no news: what was decoded before it stays in `plain`.
        let _ = match coding {
            Coding::Gzip => MultiGzDecoder::new(&body[..]).take(max).read_to_end(&mut plain),
        };
        if plain.is_empty() { body } else { plain }
    })
}

fn gunzip(body: &[u8], max: u64) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(body).take(max.saturating_add(1));
    decoder
        .read_to_end(&mut plain)
        .map_err(|e| decode(format!("the gzip body is broken after {} decoded bytes: {e}", plain.len())))?;
    if plain.len() as u64 > max {
        let message = format!("a decoded body of more than {max} bytes (limits.max_body)");
        return Err(Error::new(Kind::TooLarge, message));
    }
    Ok(plain)
}

fn decode(message: String) -> Error {
    Error::new(Kind::Decode, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn head(value: &str) -> Head {
        let bytes = format!("content-encoding{value}");
        let end = bytes.len() as u32;
        Head::new(200, 1, bytes.into_bytes().into(), [(0..16, 16..end)].into_iter())
    }

    #[test]
    fn the_names_for_no_encoding_are_no_encoding() {
        for none in ["", "identity", "none", "Identity, "] {
            assert_eq!(codings(&head(none)).unwrap(), [], "{none}");
        }
        assert_eq!(codings(&head("GZIP, x-gzip")).unwrap(), [Coding::Gzip, Coding::Gzip]);
        assert!(codings(&head("sdch")).unwrap_err().message.contains("unsupported encoding `sdch`"));
        assert!(codings(&head("gzip, gzip, gzip")).is_err());
    }

    #[test]
    fn two_members_are_one_body() {
        let body = [gzip(b"hello "), gzip(b"world")].concat();
        assert_eq!(decode_content(&[Coding::Gzip], body, 100).unwrap(), b"hello world");
    }

    #[test]
    fn a_cut_or_broken_body_is_an_error() {
        let whole = gzip(b"hello world, hello world, hello world");
        for n in 1..whole.len() {
            let error = decode_content(&[Coding::Gzip], whole[..n].to_vec(), 100).unwrap_err();
            assert_eq!(error.kind(), Kind::Decode, "{n}");
        }
        let mut bad_crc = whole.clone();
        let at = bad_crc.len() - 6;
        bad_crc[at] ^= 1;
        assert_eq!(decode_content(&[Coding::Gzip], bad_crc, 100).unwrap_err().kind(), Kind::Decode);
        let junk = [whole, b"JUNK".to_vec()].concat();
        assert_eq!(decode_content(&[Coding::Gzip], junk, 100).unwrap_err().kind(), Kind::Decode);
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![0; 10_000_000]);
        assert_eq!(decode_content(&[Coding::Gzip], bomb, 1_000_000).unwrap_err().kind(), Kind::TooLarge);
    }

    #[test]
    fn no_bytes_are_no_body() {
        assert_eq!(decode_content(&[Coding::Gzip], Vec::new(), 100).unwrap(), b"");
    }

    #[test]
    fn of_a_body_that_is_only_shown_the_start_is_enough() {
        let whole = gzip(b"hello world");
        assert_eq!(decode_some(&[Coding::Gzip], whole.clone(), 5), b"hello");
        assert_eq!(decode_some(&[Coding::Gzip], whole[..whole.len() - 4].to_vec(), 100), b"hello world");
        assert_eq!(decode_some(&[Coding::Gzip], b"no gzip".to_vec(), 100), b"no gzip");
    }
}
