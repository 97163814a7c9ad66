//! The chunked coding (RFC 9112 7.1), one buffer at a time. Pure.

use super::fail::Fail;

const MAX_EXTENSION: usize = 4 * 1024;
const MAX_TRAILERS: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a chunk's size; digits so far.
    Size { value: u64, digits: u8 },
    /// Behind the size, in an extension of so many bytes.
    Extension { value: u64, length: usize },
    /// Behind the CR of a size line.
    SizeLf { value: u64 },
    /// In the data; so many bytes to come.
    Data { left: u64 },
    /// Behind the data.
    DataCr,
    /// Behind the CR behind the data.
    DataLf,
    /// In a trailer line.
    Trailer { length: usize, empty: bool },
    /// Behind the last line.
    Done,
}

/// What lies next in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// `skip` bytes of framing, then `len` bytes of data.
    Data { skip: usize, len: usize },
    /// `skip` bytes of framing and no data yet: more input is needed.
    More { skip: usize },
    /// `skip` bytes of framing, and the body is complete.
    Done { skip: usize },
}

/// A decoder. It copies nothing: it says where the data lies.
#[derive(Clone, Debug)]
pub(super) struct Chunked {
    state: State,
}

impl Chunked {
    pub fn new() -> Chunked {
        Chunked { state: State::Size { value: 0, digits: 0 } }
    }

    /// Looks at the input up to its next piece of data, of at most `most` bytes. The caller takes `skip + len` bytes
    /// away.
    pub fn next(&mut self, input: &[u8], most: usize) -> Result<Next, Fail> {
        let mut at = 0;
        loop {
            match self.state {
                State::Done => return Ok(Next::Done { skip: at }),
                State::Data { left } if at < input.len() => {
                    let len = left.min((input.len() - at).min(most) as u64) as usize;
                    let left = left - len as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                    return Ok(Next::Data { skip: at, len });
                }
                // What nearly every chunk is, without a state for each byte.
                State::DataCr if input[at..].starts_with(b"\r\n") => {
                    self.state = State::Size { value: 0, digits: 0 };
                    at += 2;
                    continue;
                }
                State::Size { digits: 0, .. } => {
                    if let Some((left, length)) = plain_size(&input[at..]) {
                        self.state = State::Data { left };
                        at += length;
                        continue;
                    }
                }
                _ => {}
            }
            let Some(byte) = input.get(at) else { return Ok(Next::More { skip: at }) };
            self.state = self.state.after(*byte)?;
            at += 1;
        }
    }

    /// The next chunk, where it comes right behind another one, all of it is at hand, and it has `most` bytes at most:
    /// `skip` bytes of framing and `len` of data. None: anything else, and nothing was looked at.
    #[inline]
    pub fn whole(&mut self, input: &[u8], most: u64) -> Option<(usize, usize)> {
        if self.state != State::DataCr || !input.starts_with(b"\r\n") {
            return None;
        }
        let (len, length) = plain_size(&input[2..])?;
        let skip = 2 + length;
        // Its state stays the same: behind its data.
        (len <= most && len <= (input.len() - skip) as u64).then_some((skip, len as usize))
    }
}

/// The size of a chunk with data, and the length of its line, where that is all there and has nothing else in it.
#[inline]
fn plain_size(input: &[u8]) -> Option<(u64, usize)> {
    let mut size = 0;
    for (at, byte) in input.iter().take(8).enumerate() {
        let digit = DIGITS[usize::from(*byte)];
        if digit < 16 {
            size = size << 4 | u64::from(digit);
        } else if *byte == b'\r' && size > 0 && input.get(at + 1) == Some(&b'\n') {
            return Some((size, at + 2));
        } else {
            return None;
        }
    }
    None
}

/// What each byte is as a hexadecimal digit; 16: it is none.
static DIGITS: [u8; 256] = {
    let mut digits = [16; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[b"0123456789abcdef"[digit] as usize] = digit as u8;
        digits[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

impl State {
    fn after(self, byte: u8) -> Result<State, Fail> {
        let bad_size = || Fail::protocol("a chunk size that is not hexadecimal");
        Ok(match (self, byte) {
            (State::Size { value, digits }, b) if b.is_ascii_hexdigit() => {
                if digits == 16 {
                    return Err(Fail::protocol("a chunk size of more than 16 digits"));
                }
                let digit = (b as char).to_digit(16).map_or(0, u64::from);
                State::Size { value: value << 4 | digit, digits: digits + 1 }
            }
            (State::Size { digits: 0, .. }, _) => return Err(bad_size()),
            (State::Size { value, .. } | State::Extension { value, .. }, b'\r') => State::SizeLf { value },
            (State::Size { value, .. } | State::Extension { value, .. } | State::SizeLf { value }, b'\n') => {
                if value == 0 {
                    State::Trailer { length: 0, empty: true }
                } else {
                    State::Data { left: value }
                }
            }
            (State::Size { value, .. }, b';' | b' ' | b'\t') => State::Extension { value, length: 0 },
            (State::Size { .. }, _) => return Err(bad_size()),
            (State::Extension { value, length }, _) => {
                if length == MAX_EXTENSION {
                    return Err(Fail::TooLarge("a chunk extension of more than 4 KiB".into()));
                }
                State::Extension { value, length: length + 1 }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataCr | State::DataLf, b'\n') => State::Size { value: 0, digits: 0 },
            (State::DataCr | State::DataLf, _) => {
                return Err(Fail::protocol("a chunk that is longer than its size says"));
            }
            (State::SizeLf { .. }, _) => return Err(Fail::protocol("a chunk size line without its LF")),
            (State::Trailer { empty: true, .. }, b'\n') => State::Done,
            (State::Trailer { length, .. }, b'\n') => State::Trailer { length: length + 1, empty: true },
            // What no field of a head may have in it either (RFC 9110 5.5).
            (State::Trailer { .. }, 0..=8 | 11 | 12 | 14..=31 | 127) => {
                return Err(Fail::protocol("a control character in a trailer"));
            }
            (State::Trailer { length, empty }, b) => {
                if length == MAX_TRAILERS {
                    return Err(Fail::TooLarge("trailers of more than 16 KiB".into()));
                }
                State::Trailer { length: length + 1, empty: empty && b == b'\r' }
            }
            (State::Data { .. } | State::Done, _) => self,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Decodes pieces; the body, and how many bytes behind it were left.
    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<u8>, Option<usize>), Fail> {
        let mut decoder = Chunked::new();
        let (mut body, mut rest, mut done) = (Vec::new(), 0, false);
        for mut piece in pieces {
            loop {
                match decoder.next(piece, usize::MAX)? {
                    Next::Data { skip, len } => {
                        body.extend_from_slice(&piece[skip..skip + len]);
                        piece = &piece[skip + len..];
                    }
                    Next::More { skip } => {
                        assert_eq!(skip, piece.len());
                        break;
                    }
                    Next::Done { skip } => {
                        done = true;
                        rest += piece.len() - skip;
                        break;
                    }
                }
            }
        }
        Ok((body, done.then_some(rest)))
    }

    const FULL: &[u8] = b"5;a=b\r\nhello\r\n6 \r\n world\r\n1\nX\n0\r\nX-Sum: 9\r\nY: z\r\n\r\n";

    #[test]
    fn any_split_gives_the_same_body() {
        for i in 0..=FULL.len() {
            for j in i..=FULL.len() {
                let pieces = [&FULL[..i], &FULL[i..j], &FULL[j..]];
                assert_eq!(decode(pieces).unwrap(), (b"hello worldX".to_vec(), Some(0)), "{i} {j}");
            }
        }
    }

    #[test]
    fn a_cut_body_is_never_complete() {
        for i in 0..FULL.len() {
            assert_eq!(decode([&FULL[..i]]).unwrap().1, None, "{i}");
        }
    }

    #[test]
    fn bytes_behind_the_body_are_left_alone() {
        assert_eq!(decode([&b"2\r\nhi\r\n0\r\n\r\nJUNK"[..]]).unwrap(), (b"hi".to_vec(), Some(4)));
    }

    #[test]
    fn broken_framing_is_refused() {
        for bad in [
            &b"zz\r\n"[..],
            b"\r\nhello",
            b"-5\r\nhello\r\n",
            b"+5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b"00000000000000005\r\nhello\r\n0\r\n\r\n",
            b"123456789012345678\r\n",
            b"3\r\nhello\r\n0\r\n\r\n",
            b"5\rhello",
            b"5\r\nhello\rX",
            b"0\r\nX: a\0b\r\n\r\n",
            b"0\r\nX: a\x7f\r\n\r\n",
        ] {
            assert!(matches!(decode([bad]), Err(Fail::Protocol(_))), "{}", bad.escape_ascii());
        }
        let endless = [b"5;".to_vec(), vec![b'x'; 5000]].concat();
        assert!(matches!(decode([&endless[..]]), Err(Fail::TooLarge(_))));
        let endless = [b"0\r\n".to_vec(), vec![b'x'; 20000]].concat();
        assert!(matches!(decode([&endless[..]]), Err(Fail::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
            cuts in proptest::collection::vec(1usize..9, 0..200),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let mut pieces = Vec::new();
            let mut rest = &wire[..];
            for cut in cuts {
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = tail;
            }
            pieces.push(rest);
            prop_assert_eq!(decode(pieces).unwrap(), (chunks.concat(), Some(0)));
        }
    }
}
