//! Content codings (RFC 9110 8.4).

use std::io::{self, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::StreamingDecoder;

use crate::error::{Error, Kind, Result};
use crate::response::Head;

/// More codings on top of each other are an attack, not compression.
const MAX_CHAIN: usize = 2;

/// What zstd may keep in memory to look back at (RFC 9659).
pub(super) const ZSTD_WINDOW: u64 = 8 << 20;

/// What a request accepts.
pub const ACCEPTED: &str = "gzip, br, zstd, deflate";

/// A coding that is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952; several members are one body.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878; several frames are one body.
    Zstd,
    /// zlib (RFC 1950), or what many servers send under the name: raw (RFC 1951).
    Deflate,
}

/// The codings of an answer in the order in which they were put on. `identity`, `none` and an empty field are
/// no coding.
pub fn codings(head: &Head) -> Result<Vec<Coding>> {
    let mut found = Vec::new();
    for name in head.get_all("content-encoding").flat_map(|v| v.split(|b| *b == b',')) {
        match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" | b"none" => {}
            b"gzip" | b"x-gzip" => found.push(Coding::Gzip),
            b"br" => found.push(Coding::Brotli),
            b"zstd" => found.push(Coding::Zstd),
            b"deflate" => found.push(Coding::Deflate),
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
    codings.iter().rev().try_fold(body, |body, coding| {
        let (mut input, mut plain) = (&body[..], Vec::new());
        let outcome = coding.decode(&mut input, &mut plain, max);
        if plain.len() as u64 > max {
            let message = format!("a decoded body of more than {max} bytes (limits.max_body)");
            return Err(Error::new(Kind::TooLarge, message));
        }
        match outcome {
            Ok(()) if input.is_empty() => Ok(plain),
            Ok(()) => {
                Err(decode(format!("the {} body has {} bytes behind its end", coding.name(), input.len())))
            }
            Err(e) => {
                let got = plain.len();
                Err(decode(format!("the {} body is broken after {got} decoded bytes: {e}", coding.name())))
            }
        }
    })
}

/// What can be had of the first `max` bytes, for a body that is only shown: a cut or broken one is what came
/// out of it, and one out of which nothing came is itself.
pub fn decode_some(codings: &[Coding], body: Vec<u8>, max: u64) -> Vec<u8> {
    codings.iter().rev().fold(body, |body, coding| {
        let mut plain = Vec::new();
        // An error is no news: what was decoded before it stays in `plain`.
        let _ = coding.decode(&mut &body[..], &mut plain, max);
        plain.truncate(max as usize);
        if plain.is_empty() { body } else { plain }
    })
}

impl Coding {
    pub(super) fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Deflate => "deflate",
        }
    }

    /// Decodes what it can, and leaves in `input` what is behind the end.
    fn decode(self, input: &mut &[u8], plain: &mut Vec<u8>, max: u64) -> io::Result<()> {
        // One byte more than allowed, so that a longer body is noticed.
        let max = max.saturating_add(1);
        match self {
            Coding::Gzip => read(MultiGzDecoder::new(input), plain, max),
            Coding::Deflate if is_zlib(input) => read(ZlibDecoder::new(input), plain, max),
            Coding::Deflate => read(DeflateDecoder::new(input), plain, max),
            Coding::Brotli => unbrotli(input, plain, max),
            Coding::Zstd => {
                while !input.is_empty() && (plain.len() as u64) < max {
                    let left = max - plain.len() as u64;
                    let frame = StreamingDecoder::new_with_max_window_size(&mut *input, ZSTD_WINDOW);
                    read(frame.map_err(io::Error::other)?, plain, left)?;
                }
                Ok(())
            }
        }
    }
}

fn read(decoder: impl Read, plain: &mut Vec<u8>, max: u64) -> io::Result<()> {
    decoder.take(max).read_to_end(plain).map(drop)
}

/// By the decoder's inner function, which tells how much input it took; its reader would take too much.
fn unbrotli(input: &mut &[u8], plain: &mut Vec<u8>, max: u64) -> io::Result<()> {
    const STEP: usize = 64 * 1024;
    // Strict: without the large windows that RFC 7932 does not have.
    let (bytes, words, codes) = Default::default();
    let mut state =
        BrotliState::<StandardAlloc, StandardAlloc, StandardAlloc>::new_strict(bytes, words, codes);
    let (mut left, mut at, mut total) = (input.len(), 0, 0);
    loop {
        let start = plain.len();
        plain.resize(start + STEP, 0);
        let (mut room, mut written) = (STEP, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut at,
            input,
            &mut room,
            &mut written,
            &mut plain[start..],
            &mut total,
            &mut state,
        );
        plain.truncate(start + written);
        match result {
            BrotliResult::ResultSuccess => {
                *input = &input[at..];
                return Ok(());
            }
            BrotliResult::NeedsMoreOutput if plain.len() as u64 >= max => return Ok(()),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput => return Err(io::ErrorKind::UnexpectedEof.into()),
            BrotliResult::ResultFailure => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Is it a zlib header (RFC 1950 2.2)?
pub(super) fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [cmf, flg, ..] if cmf & 0x0f == 8 && u16::from_be_bytes([*cmf, *flg]) % 31 == 0)
}

fn decode(message: String) -> Error {
    Error::new(Kind::Decode, message)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// `data` in every coding. Stored, not compressed, where the encoder is no dependency.
    pub(in crate::decode) fn encoded(data: &[u8]) -> Vec<(Coding, Vec<u8>)> {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(data).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(data).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest);
        let mut brotli = Vec::new();
        brotli::BrotliCompress(&mut &data[..], &mut brotli, &Default::default()).unwrap();
        vec![
            (Coding::Gzip, gzip(data)),
            (Coding::Deflate, zlib.finish().unwrap()),
            (Coding::Deflate, raw.finish().unwrap()),
            (Coding::Zstd, zstd),
            (Coding::Brotli, brotli),
        ]
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
    fn every_coding_comes_off() {
        let text = b"hello world, hello world, hello world";
        for (coding, body) in encoded(text) {
            assert_eq!(decode_content(&[coding], body, 100).unwrap(), text, "{coding:?}");
        }
    }

    #[test]
    fn codings_come_off_in_reverse_order() {
        let body = encoded(&gzip(b"hello")).pop().unwrap().1;
        assert_eq!(decode_content(&[Coding::Gzip, Coding::Brotli], body, 100).unwrap(), b"hello");
    }

    #[test]
    fn two_members_are_one_body() {
        let body = [gzip(b"hello "), gzip(b"world")].concat();
        assert_eq!(decode_content(&[Coding::Gzip], body, 100).unwrap(), b"hello world");
    }

    #[test]
    fn a_cut_body_is_an_error_in_every_coding() {
        for (coding, whole) in encoded(b"hello world, hello world, hello world") {
            // A zstd body of no frame at all is an empty one.
            for n in 1..whole.len() {
                let error = decode_content(&[coding], whole[..n].to_vec(), 100).unwrap_err();
                assert_eq!(error.kind(), Kind::Decode, "{coding:?} {n}");
            }
        }
    }

    #[test]
    fn bytes_behind_the_end_are_an_error_in_every_coding() {
        for (coding, whole) in encoded(b"hello world, hello world") {
            let junk = [whole, b"JUNK".to_vec()].concat();
            assert_eq!(decode_content(&[coding], junk, 100).unwrap_err().kind(), Kind::Decode, "{coding:?}");
        }
    }

    #[test]
    fn a_wrong_checksum_is_an_error() {
        let mut body = gzip(b"hello world, hello world");
        let at = body.len() - 6;
        body[at] ^= 1;
        assert_eq!(decode_content(&[Coding::Gzip], body, 100).unwrap_err().kind(), Kind::Decode);
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        for (coding, bomb) in encoded(&vec![0; 10_000_000]) {
            let error = decode_content(&[coding], bomb, 1_000_000).unwrap_err();
            assert_eq!(error.kind(), Kind::TooLarge, "{coding:?}");
        }
    }
}
