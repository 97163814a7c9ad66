//! Content codings, taken off as the body comes.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::encoding::{Coding, ZSTD_WINDOW, is_zlib};

type Input = BufReader<Box<dyn Read + Send>>;

/// A body without its codings. What is broken, cut, or followed by something, is an error; what came before it
/// has been handed out by then.
pub struct Decoder(Box<dyn Read + Send>);

impl Decoder {
    /// `codings` in the order in which they were put on.
    pub fn new(codings: &[Coding], body: impl Read + Send + 'static) -> Decoder {
        let body: Box<dyn Read + Send> = Box::new(body);
        let layers = codings.iter().rev();
        Decoder(layers.fold(body, |body, coding| {
            Box::new(Layer { coding: *coding, state: State::Start(BufReader::new(body)), given: 0 })
        }))
    }
}

impl Read for Decoder {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoder")
    }
}

struct Layer {
    coding: Coding,
    state: State,
    given: u64,
}

enum State {
    /// Nothing came yet: no bytes are no body, encoded or not.
    Start(Input),
    Gzip(MultiGzDecoder<Input>),
    Zlib(ZlibDecoder<Input>),
    Deflate(DeflateDecoder<Input>),
    Brotli(Box<Brotli>),
    Zstd(Box<StreamingDecoder<Input, FrameDecoder>>),
    Done,
}

impl Read for Layer {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.step(buf) {
            Ok(n) => {
                self.given += n as u64;
                Ok(n)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(e),
            Err(e) => {
                self.state = State::Done;
                let (name, given) = (self.coding.name(), self.given);
                Err(io::Error::other(format!("the {name} body is broken after {given} decoded bytes: {e}")))
            }
        }
    }
}

impl Layer {
    fn step(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = match &mut self.state {
                State::Start(_) => {
                    self.start()?;
                    continue;
                }
                State::Gzip(decoder) => decoder.read(buf)?,
                State::Zlib(decoder) => decoder.read(buf)?,
                State::Deflate(decoder) => decoder.read(buf)?,
                State::Brotli(decoder) => decoder.read(buf)?,
                State::Zstd(decoder) => decoder.read(buf)?,
                State::Done => return Ok(0),
            };
            if n > 0 {
                return Ok(n);
            }
            self.end()?;
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let State::Start(mut input) = std::mem::replace(&mut self.state, State::Done) else { return Ok(()) };
        if input.fill_buf()?.is_empty() {
            return Ok(());
        }
        self.state = match self.coding {
            Coding::Gzip => State::Gzip(MultiGzDecoder::new(input)),
            Coding::Deflate => {
                // Which of the two it is, two bytes tell.
                let mut head = Vec::new();
                (&mut input).take(2).read_to_end(&mut head)?;
                let is_zlib = is_zlib(&head);
                let input: Input = BufReader::new(Box::new(io::Cursor::new(head).chain(input)));
                if is_zlib {
                    State::Zlib(ZlibDecoder::new(input))
                } else {
                    State::Deflate(DeflateDecoder::new(input))
                }
            }
            Coding::Brotli => State::Brotli(Box::new(Brotli::new(input))),
            Coding::Zstd => zstd(input)?,
        };
        Ok(())
    }

    /// The coding's end: nothing may be behind it, but for another frame of zstd.
    fn end(&mut self) -> io::Result<()> {
        let mut input = match std::mem::replace(&mut self.state, State::Done) {
            // It reads on to the end of the body by itself.
            State::Gzip(_) | State::Start(_) | State::Done => return Ok(()),
            State::Zlib(decoder) => decoder.into_inner(),
            State::Deflate(decoder) => decoder.into_inner(),
            State::Brotli(decoder) => decoder.input,
            State::Zstd(decoder) => {
                let mut input = decoder.into_inner();
                if !input.fill_buf()?.is_empty() {
                    self.state = zstd(input)?;
                }
                return Ok(());
            }
        };
        match input.fill_buf()?.len() {
            0 => Ok(()),
            _ => Err(io::Error::other("there are bytes behind its end")),
        }
    }
}

fn zstd(input: Input) -> io::Result<State> {
    let decoder = StreamingDecoder::new_with_max_window_size(input, ZSTD_WINDOW);
    Ok(State::Zstd(Box::new(decoder.map_err(io::Error::other)?)))
}

/// By the decoder's inner function, which tells how much input it took; its reader would take too much.
struct Brotli {
    input: Input,
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    total: usize,
    is_done: bool,
}

impl Brotli {
    fn new(input: Input) -> Brotli {
        // Strict: without the large windows that RFC 7932 does not have.
        let (bytes, words, codes) = Default::default();
        Brotli { input, state: BrotliState::new_strict(bytes, words, codes), total: 0, is_done: false }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !self.is_done && !buf.is_empty() {
            let input = self.input.fill_buf()?;
            let (mut left, mut at, mut room, mut written) = (input.len(), 0, buf.len(), 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut at,
                input,
                &mut room,
                &mut written,
                buf,
                &mut self.total,
                &mut self.state,
            );
            let is_cut = input.is_empty();
            self.input.consume(at);
            match result {
                BrotliResult::ResultSuccess => self.is_done = true,
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput if is_cut && written == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                BrotliResult::NeedsMoreInput => {}
                BrotliResult::ResultFailure => return Err(io::ErrorKind::InvalidData.into()),
            }
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::encoding::tests::encoded;
    use super::*;

    /// Gives a few bytes at a time.
    struct Drip(Vec<u8>, usize, usize);

    impl Read for Drip {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.2.min(buf.len()).min(self.0.len() - self.1);
            buf[..n].copy_from_slice(&self.0[self.1..self.1 + n]);
            self.1 += n;
            Ok(n)
        }
    }

    fn data() -> Vec<u8> {
        (0..100_000u32).flat_map(|n| (n / 7 % 251).to_le_bytes()).collect()
    }

    fn all(codings: &[Coding], body: &[u8], piece: usize) -> (Vec<u8>, io::Result<()>) {
        let mut decoder = Decoder::new(codings, Drip(body.to_vec(), 0, piece));
        let (mut out, mut buf) = (Vec::new(), [0; 1000]);
        loop {
            match decoder.read(&mut buf) {
                Ok(0) => return (out, Ok(())),
                Ok(n) => out.extend_from_slice(&buf[..n]),
                Err(e) => return (out, Err(e)),
            }
        }
    }

    #[test]
    fn every_coding_comes_off_however_the_body_comes() {
        let data = data();
        for (coding, body) in encoded(&data) {
            for piece in [1, 7, 1000, usize::MAX] {
                let (out, end) = all(&[coding], &body, piece);
                assert!(end.is_ok() && out == data, "{coding:?} in pieces of {piece}: {end:?}");
            }
        }
    }

    #[test]
    fn a_cut_body_is_an_error_behind_what_came_before() {
        let data = data();
        for (coding, body) in encoded(&data) {
            for end in [1, body.len() / 2, body.len() - 1] {
                let (out, outcome) = all(&[coding], &body[..end], 100);
                let error = outcome.unwrap_err().to_string();
                assert!(error.contains(coding.name()), "{coding:?}: {error}");
                assert!(data.starts_with(&out));
            }
        }
    }

    #[test]
    fn bytes_behind_the_end_are_an_error_and_members_and_frames_are_one_body() {
        let data = data();
        for (coding, body) in encoded(&data) {
            let (out, outcome) = all(&[coding], &[&body[..], b"junk"].concat(), 100);
            assert!(outcome.is_err() && out == data, "{coding:?}");
            if matches!(coding, Coding::Gzip | Coding::Zstd) {
                let (out, outcome) = all(&[coding], &[&body[..], &body].concat(), 100);
                assert!(outcome.is_ok() && out == [&data[..], &data].concat(), "{coding:?}");
            }
        }
    }

    #[test]
    fn no_bytes_are_no_body_and_two_codings_come_off_in_turn() {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
            assert_eq!(all(&[coding], b"", 1).0, b"");
        }
        let data = data();
        let (inner, once) = encoded(&data).remove(0);
        let (outer, twice) = encoded(&once).remove(1);
        assert_eq!(all(&[inner, outer], &twice, 100).0, data);
    }
}
