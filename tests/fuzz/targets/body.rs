//! The body reader against a model that has all of it at once.
#![no_main]

use apl::fuzz::transport::{End, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u16, u8, Vec<u8>, Vec<u8>)| {
    let (kind, length, room, cuts, bytes) = input;
    let (end, model) = match kind % 3 {
        0 => (End::Length(length.into()), by_length(&bytes, length.into())),
        1 => (End::Close, (bytes.clone(), true)),
        _ => (End::Chunked, by_chunks(&bytes)),
    };
    let (got, outcome) = read(end, &pieces(&bytes, &cuts), room.into());
    let (expected, complete) = model;
    assert_eq!(outcome.is_ok(), complete, "{end:?} {outcome:?}");
    if complete {
        assert_eq!(got, expected);
    } else {
        assert!(expected.starts_with(&got), "{end:?} {outcome:?}");
    }
});

fn pieces<'b>(bytes: &'b [u8], cuts: &[u8]) -> Vec<&'b [u8]> {
    let (mut rest, mut pieces) = (bytes, Vec::new());
    for cut in cuts {
        let (piece, behind) = rest.split_at(rest.len().min(usize::from(*cut)));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

fn by_length(bytes: &[u8], length: usize) -> (Vec<u8>, bool) {
    (bytes[..length.min(bytes.len())].to_vec(), bytes.len() >= length)
}

/// RFC 9112 7.1, with a bare LF where CRLF should be.
fn by_chunks(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    let complete = chunks(bytes, &mut body).is_some();
    (body, complete)
}

fn chunks(mut rest: &[u8], body: &mut Vec<u8>) -> Option<()> {
    loop {
        let line = line(&mut rest)?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at(digits);
        let bad_extension = extension.contains(&b'\r') || extension.len() > 4097;
        if !(1..=16).contains(&digits) || bad_extension || !matches!(extension.first(), None | Some(b';' | b' ' | b'\t')) {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let there = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
        body.extend_from_slice(&rest[..there]);
        rest = &rest[there..];
        let behind = self::line(&mut rest)?;
        if !matches!(behind, b"" | b"\r") {
            return None;
        }
    }
    let mut trailers = 0;
    loop {
        let line = line(&mut rest)?;
        trailers += line.len() + 1;
        if line.iter().any(|b| b.is_ascii_control() && !matches!(b, b'\t' | b'\r')) {
            return None;
        }
        if line.iter().all(|b| *b == b'\r') {
            return (trailers <= 16 * 1024).then_some(());
        }
    }
}

fn line<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = rest.iter().position(|b| *b == b'\n')?;
    let line = &rest[..end];
    *rest = &rest[end + 1..];
    Some(line)
}
