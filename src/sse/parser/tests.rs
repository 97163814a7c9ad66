#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

const MAX: usize = 1 << 20;

/// What comes out, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Out {
    Event { name: String, id: String, data: String, retry: Option<u64> },
    Comment(String),
}

fn event(name: &str, id: &str, data: &str) -> Out {
    Out::Event { name: name.into(), id: id.into(), data: data.into(), retry: None }
}

/// The standard's own words (9.2.6), as plain as they can be written: all of it decoded, cut into lines, and each line
/// looked at.
fn plain(stream: &[u8], last_id: &str) -> (Vec<Out>, String, Option<u64>) {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\r', '\n']) {
        lines.push(&rest[..at]);
        let end = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[at + end..];
    }
    let (mut out, mut last_id, mut time) = (Vec::new(), last_id.to_owned(), None);
    let (mut data, mut name, mut id, mut retry) = (String::new(), String::new(), last_id.clone(), None);
    for line in lines {
        if line.is_empty() {
            last_id.clone_from(&id);
            if !data.is_empty() {
                data.pop();
                let name = if name.is_empty() { "message".into() } else { std::mem::take(&mut name) };
                let data = std::mem::take(&mut data);
                out.push(Out::Event { name, id: last_id.clone(), data, retry });
            }
            (name, retry) = (String::new(), None);
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => out.push(Out::Comment(value.into())),
            "event" => name = value.into(),
            "data" => data += &format!("{value}\n"),
            "id" if !value.contains('\0') => id = value.into(),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                let n = value.parse().unwrap_or(u64::MAX);
                (retry, time) = (Some(n), Some(n));
            }
            _ => {}
        }
    }
    (out, last_id, time)
}

/// Every width of the scan that this machine has.
const WIDTHS: usize = 2;

fn parser(width: usize, max: usize, comments: bool, last_id: &str) -> Parser {
    let widths: [Width; WIDTHS] = [Width::PLAIN, Width::widest()];
    Parser { width: widths[width], ..Parser::new(max, comments, last_id) }
}

/// Reads a piece to its end.
fn read(parser: &mut Parser, piece: &[u8], out: &mut Vec<Out>) -> Result<(), TooLarge> {
    let mut piece = piece.to_vec();
    loop {
        let found = parser.advance(&mut piece)?;
        if found == Found::Nothing {
            return Ok(());
        }
        let data = parser.data(&piece).to_vec();
        let end = parser.item.1.end;
        assert_eq!(parser.bytes(&piece)[end], 0, "a NUL stands behind what is handed out");
        // What is kept beyond the piece is the same.
        let mut other = parser.clone();
        other.detach(&piece);
        assert_eq!((other.data(&[]), other.bytes(&[])[other.item.1.end]), (&data[..], 0));
        let data = String::from_utf8(data).unwrap();
        out.push(match found {
            Found::Comment => Out::Comment(data),
            _ => Out::Event {
                name: parser.name().into(),
                id: parser.last_id().into(),
                data,
                retry: parser.retry(),
            },
        });
    }
}

fn parse_with<'p>(
    width: usize,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> (Vec<Out>, String, Option<u64>) {
    let mut parser = parser(width, MAX, true, "first");
    let mut out = Vec::new();
    for piece in pieces {
        read(&mut parser, piece, &mut out).unwrap();
    }
    (out, parser.last_id().to_owned(), parser.take_time())
}

/// What every width of the scan finds.
fn parse<'p>(pieces: impl IntoIterator<Item = &'p [u8]> + Clone) -> (Vec<Out>, String, Option<u64>) {
    let found = parse_with(0, pieces.clone());
    for width in 1..WIDTHS {
        assert_eq!(parse_with(width, pieces.clone()), found, "width {width}");
    }
    found
}

fn events(stream: &[u8]) -> Vec<Out> {
    let all = parse([stream]).0;
    all.into_iter().filter(|out| matches!(out, Out::Event { .. })).collect()
}

const STREAMS: &[&[u8]] = &[
    b"",
    b"data: x\n\n",
    b"\xef\xbb\xbfdata: 1\r\n\r\ndata: 2\r\rdata: 3\n\n",
    b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\n",
    b"\xef\xbbdata: 1\n\ndata: \xef\xbb\xbf2\n\n",
    b"id: 1\ndata: a\ndata: b\r\ndata\rdata:\n\n\n\r\r\n: comment\r\n:two\nevent: e\nid:\n\ndata: c\n\n",
    b"id: 7\n\ndata: after\n\nid: a\0b\ndata: kept\n\nid\ndata: reset\n\nid: lost\ndata: cut",
    "event: \u{fc}\nid: \u{2026}\ndata: \u{1f600}\u{fc}\ndata:\u{2028}\n\n".as_bytes(),
    b"data: \xf0\x9f\x98\ndata: \xff\xfe\xe2\x82\xac\xe2\x82\n\nid: \xc3\ndata:x\n\nevent: \xc3\x28\ndata:\n\n",
    b"retry: 3000\n\nretry: 03\ndata: x\nretry: -1\nretry: +1\nretry: 1.5\nretry: abc\nretry:\n\nretry: 99999999999999999999\n\n",
    b"data:  two spaces\ndata:\ttab\n data: no field\nDATA: no\ndata : no\ndatax: no\n\n\n\ndata\n\nda",
];

#[test]
fn every_split_of_a_stream_gives_the_same_events() {
    for stream in STREAMS {
        let expected = plain(stream, "first");
        assert_eq!(parse([*stream]), expected, "{:?}", String::from_utf8_lossy(stream));
        for at in 0..=stream.len() {
            assert_eq!(parse([&stream[..at], &stream[at..]]), expected, "split at {at}");
        }
        assert_eq!(parse(stream.chunks(1)), expected, "byte by byte");
    }
}

/// The scan looks at 64 bytes and more at once: what it looks for stands at every place in them, with every kind of end
/// and of byte in front, and all of it is cut at every place.
#[test]
fn every_place_in_what_is_seen_at_once_gives_the_same_events() {
    let ends = ["\n", "\r", "\r\n"];
    for length in (0..140).chain([190, 191, 192, 193, 254, 255, 256, 257]) {
        let end = ends[length % 3];
        let text = "0123456789abcdefghijklmnopqrstuv".repeat(9);
        for odd in ["", "\u{fc}", "\u{8}", "\0"] {
            let data = format!("{}{odd}", &text[..length]);
            let stream = format!(
                "id: {length}{end}data: {data}{end}data:{data}{end}{end}: {data}{end}data: x{end}{end}"
            );
            let stream = stream.as_bytes();
            let expected = plain(stream, "first");
            assert_eq!(parse([stream]), expected, "{length} {odd:?}");
            for at in 0..=stream.len() {
                assert_eq!(
                    parse([&stream[..at], &stream[at..]]),
                    expected,
                    "{length} {odd:?}, split at {at}"
                );
            }
        }
        // Bytes that are no UTF-8, whichever the scan meets first.
        let broken = [&text.as_bytes()[..length], b"\xff\xc3", end.as_bytes(), b"data: \xe2\x82"].concat();
        let stream = [&b"data: "[..], &broken, end.as_bytes(), end.as_bytes(), b"data: next\n\n"].concat();
        let expected = plain(&stream, "first");
        for at in 0..=stream.len() {
            assert_eq!(parse([&stream[..at], &stream[at..]]), expected, "{length}, split at {at}");
        }
    }
}

/// Pieces that streams are made of, and such as only break them.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop_oneof![Just("\n"), Just("\r"), Just("\r\n"), Just("\n\n"), Just("\r\n\r\n"), Just("\r\r")]
            .prop_map(|s| s.as_bytes().to_vec()),
        6 => prop_oneof![
            Just("data:"), Just("data: "), Just("data"), Just("id: "), Just("id:"), Just("id"), Just("event: "),
            Just("event"), Just("retry: "), Just("retry: 12"), Just(": "), Just(":"), Just(" "), Just("x"),
        ].prop_map(|s| s.as_bytes().to_vec()),
        2 => "[a-z0-9:\u{e4}\u{20ac}\u{1f600} ]{0,20}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
        1 => prop_oneof![Just(&b"\xef\xbb\xbf"[..]), Just(&b"\0"[..]), Just(&b"\xef"[..]), Just(&b"\xf0\x9f"[..])]
            .prop_map(<[u8]>::to_vec),
        1 => (1usize..40_000).prop_map(|n| vec![b'y'; n]),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_stream_in_any_pieces_is_what_the_standard_says(
        stream in pieces(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut parts, mut from) = (Vec::new(), 0);
        for cut in cuts {
            parts.push(&stream[from..cut]);
            from = cut;
        }
        parts.push(&stream[from..]);
        prop_assert_eq!(parse(parts.iter().copied()), plain(&stream, "first"));
    }
}

#[test]
fn ids_are_kept_reset_and_never_have_a_nul() {
    let stream = b"data: 1\n\nid: a\ndata: 2\n\ndata: 3\n\nid: b\0c\ndata: 4\n\nid: b\n\ndata: 5\n\nid\ndata: 6\n\ndata: 7\n\n";
    let expected = [("first", "1"), ("a", "2"), ("a", "3"), ("a", "4"), ("b", "5"), ("", "6"), ("", "7")];
    assert_eq!(events(stream), expected.map(|(id, data)| event("message", id, data)));
}

#[test]
fn an_incomplete_event_is_discarded_and_so_is_its_id() {
    let mut parser = Parser::new(MAX, false, "");
    let mut out = Vec::new();
    read(&mut parser, b"id: 1\ndata: whole\n\nid: 2\nevent: x\nretry: 5\ndata: cut\n", &mut out).unwrap();
    parser.restart();
    // An LF at the beginning is no second half of a CR LF, and a byte order mark may stand there again.
    read(&mut parser, b"\xef\xbb\xbfdata: next\n\n", &mut out).unwrap();
    assert_eq!(out, [event("message", "1", "whole"), event("message", "1", "next")]);
    // It was asked for, whatever became of the event.
    assert_eq!((parser.take_time(), parser.take_time()), (Some(5), None));
}

#[test]
fn a_connection_that_ends_within_a_piece_leaves_nothing_of_it() {
    let mut parser = Parser::new(MAX, true, "");
    let mut out = Vec::new();
    for piece in [
        &b"id: 1\r\ndata: a\r\ndata: b\r\n\r\nid: 2\n"[..],
        b"id: 3\ndata: be",
        b": com",
        b"\xef\xbb",
        b"data: x\r",
    ] {
        assert_ne!(parser.advance(&mut piece.to_vec()), Err(TooLarge));
        parser.restart();
    }
    read(&mut parser, b"\ndata: next\n\n", &mut out).unwrap();
    assert_eq!(out, [event("message", "1", "next")]);
}

#[test]
fn an_event_is_as_large_as_allowed_and_no_byte_larger() {
    let limited = |stream: &[u8]| {
        for width in 0..WIDTHS {
            let mut parser = parser(width, 100, false, "");
            for piece in stream.chunks(7) {
                read(&mut parser, piece, &mut Vec::new())?;
            }
        }
        // And in one piece.
        read(&mut Parser::new(100, false, ""), stream, &mut Vec::new())
    };
    let lines = |n: usize, line: &str| format!("{}\n", line.repeat(n));
    assert_eq!(limited(format!("data: {}\n\n", "x".repeat(100)).as_bytes()), Ok(()));
    assert_eq!(limited(format!("data:{}\n\n", "x".repeat(101)).as_bytes()), Err(TooLarge));
    assert_eq!(limited(format!("data: {}", "x".repeat(102)).as_bytes()), Err(TooLarge));
    assert_eq!(limited(lines(50, "data: x\n").as_bytes()), Ok(()));
    assert_eq!(limited(lines(51, "data: x\n").as_bytes()), Err(TooLarge));
    assert_eq!(limited(format!(": {}", "x".repeat(200)).as_bytes()), Err(TooLarge));
    assert_eq!(limited(format!("event: {}\n", "x".repeat(200)).as_bytes()), Err(TooLarge));
}

#[test]
fn what_is_no_data_takes_no_room_however_much_of_it_comes() {
    let mut parser = Parser::new(MAX, false, "");
    let take = |parser: &mut Parser, piece: &[u8]| {
        let mut out = Vec::new();
        read(parser, piece, &mut out).unwrap();
        out
    };
    let room = |parser: &Parser| parser.line.capacity() + parser.kept.capacity();
    assert_eq!(take(&mut parser, b"data: begin\n"), []);
    for _ in 0..10_000 {
        let piece = b"omment within the event, and another one right behind it\nunknown: x\n: a c";
        assert_eq!(take(&mut parser, piece), []);
    }
    assert_eq!(take(&mut parser, b"\ndata: end\n\n"), [event("message", "", "begin\nend")]);
    assert!(room(&parser) <= ROOM, "{}", room(&parser));
    // The room of one large event is given back, whatever comes behind it.
    for behind in
        [&[&b"data: small\n\n"[..]][..], &[b"data: sm", b"all\n", b"data: er\n\n"], &[b": comment\n"]]
    {
        let large = format!("data: {}", "x".repeat(MAX / 2));
        assert_eq!(take(&mut parser, large.as_bytes()), []);
        assert_eq!(take(&mut parser, b"\ndata:"), []);
        assert_eq!(take(&mut parser, b"\n\n").len(), 1);
        for _ in 0..2 * SHRINK_AFTER {
            for piece in behind {
                take(&mut parser, piece);
            }
        }
        assert!(room(&parser) <= 4 * ROOM, "{}", room(&parser));
    }
}
