//! The parser of events, over several connections and under any split, against one that has all of a connection's text
//! at once and does what the WHATWG HTML standard says (9.2.6), word by word.
#![no_main]

use apl::sse::parser::{Found, Parser, TooLarge};
use libfuzzer_sys::fuzz_target;

/// What random bytes come upon too seldom.
const WORDS: [&[u8]; 16] = [
    b" ", b"\n", b"\r", b"\r\n", b"data", b"data:", b"data: ", b"id:", b"id", b"event:", b"retry:", b"retry: 9", b":", b"\xef\xbb\xbf",
    b"\0", b"\xe2\x80",
];

type Connection = (Vec<(u8, Vec<u8>)>, Vec<u8>);

#[derive(Debug, PartialEq)]
enum Item {
    Event { name: String, id: String, data: String, retry: Option<u64> },
    Comment(String),
    /// A connection's end, and the reconnection time that it has brought.
    End(Option<u64>),
}

fuzz_target!(|input: (u8, bool, String, Vec<Connection>)| {
    let (max, comments, last_id, connections) = input;
    // Mostly there is no limit.
    let max = if max < 192 { usize::MAX } else { usize::from(max) - 192 };
    let wires: Vec<(Vec<u8>, &[u8])> = connections
        .iter()
        .map(|(words, cuts)| {
            let pieces = words.iter().flat_map(|(word, bytes)| [WORDS[usize::from(word % 16)], bytes.as_slice()]);
            (pieces.collect::<Vec<_>>().concat(), cuts.as_slice())
        })
        .collect();
    let (expected, total) = (reference(&wires, comments, &last_id), wires.iter().map(|(wire, _)| wire.len()).max());
    let mut got = Vec::new();
    match parse(&wires, max, comments, &last_id, &mut got) {
        Ok(()) => assert_eq!(got, expected),
        Err(TooLarge) => {
            assert!(total.is_some_and(|total| total > max), "{max} bytes are allowed: {wires:?}");
            assert_eq!(got, expected[..got.len()]);
        }
    }
    for item in &got {
        // A byte that is no UTF-8 becomes three.
        if let Item::Event { data, .. } = item {
            assert!(data.len() <= max.saturating_mul(3));
        }
    }
});

fn parse(
    wires: &[(Vec<u8>, &[u8])],
    max: usize,
    comments: bool,
    last_id: &str,
    items: &mut Vec<Item>,
) -> Result<(), TooLarge> {
    let mut parser = Parser::new(max, comments, last_id);
    for (wire, cuts) in wires {
        parser.restart();
        let (mut rest, mut cuts) = (&wire[..], cuts.iter());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(cuts.next().map_or(rest.len(), |cut| rest.len().min(usize::from(*cut))));
            rest = behind;
            let mut piece = piece.to_vec();
            loop {
                let found = parser.advance(&mut piece)?;
                let data = String::from_utf8(parser.data(&piece).to_vec());
                items.push(match found {
                    Found::Nothing => break,
                    Found::Comment => Item::Comment(data.unwrap()),
                    Found::Event => Item::Event {
                        name: parser.name().to_owned(),
                        id: parser.last_id().to_owned(),
                        data: data.unwrap(),
                        retry: parser.retry(),
                    },
                });
            }
        }
        items.push(Item::End(parser.take_time()));
    }
    Ok(())
}

fn reference(wires: &[(Vec<u8>, &[u8])], comments: bool, last_id: &str) -> Vec<Item> {
    let (mut items, mut last_id) = (Vec::new(), last_id.to_owned());
    for (wire, _) in wires {
        let text = String::from_utf8_lossy(wire);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let (mut data, mut name, mut id, mut retry, mut time) = (String::new(), String::new(), last_id.clone(), None, None);
        for line in lines(text) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    last_id.clone_from(&id);
                    if let Some(data) = data.strip_suffix('\n') {
                        let name = if name.is_empty() { "message" } else { &name };
                        let (name, id, data) = (name.to_owned(), id.clone(), data.to_owned());
                        items.push(Item::Event { name, id, data, retry });
                    }
                    (data, name, retry) = (String::new(), String::new(), None);
                }
                "" if comments => items.push(Item::Comment(value.to_owned())),
                "event" => value.clone_into(&mut name),
                "data" => data += &format!("{value}\n"),
                "id" if !value.contains('\0') => value.clone_into(&mut id),
                "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                    retry = Some(value.parse().unwrap_or(u64::MAX));
                    time = retry;
                }
                _ => {}
            }
        }
        items.push(Item::End(time));
    }
    items
}

/// The lines that have an end.
fn lines(text: &str) -> Vec<&str> {
    let (mut lines, mut rest) = (Vec::new(), text);
    while let Some(end) = rest.find(['\r', '\n']) {
        lines.push(&rest[..end]);
        rest = rest[end..].strip_prefix("\r\n").unwrap_or(&rest[end + 1..]);
    }
    lines
}
