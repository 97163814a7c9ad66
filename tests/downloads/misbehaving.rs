//! A server that misbehaves at random: whenever a call says that all is well, the file is one version, and all of it.

use std::io::Read;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock, Mutex};

use super::*;
use crate::api::{CANCELLED, PANIC};

/// Of them, whatever is asked for. The second has the length of the first.
static VERSIONS: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let first = data(2_600_000);
    let second = other(first.len());
    let third = first.iter().map(|b| b ^ 0x55).take(2_300_000).collect();
    [first, second, third]
});
const TAGS: [&str; 3] = ["\"v0\"", "\"v1\"", "\"v2\""];

/// Numbers that a seed makes (Knuth's MMIX).
struct Dice(AtomicU64);

impl Dice {
    fn roll(&self, sides: u64) -> u64 {
        let step = |n: u64| n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let rolled = self.0.fetch_update(SeqCst, SeqCst, |n| Some(step(n))).unwrap();
        (step(rolled) >> 33) % sides
    }

    fn one_in(&self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

struct World {
    dice: Dice,
    version: Mutex<usize>,
}

/// What a server may do wrong without it being impossible to see.
fn answer(world: &World, request: &Request) -> (Vec<u8>, Option<usize>) {
    let dice = &world.dice;
    let version = {
        let mut version = world.version.lock().unwrap();
        if dice.one_in(12) {
            *version = dice.roll(3) as usize;
        }
        *version
    };
    let (whole, tag) = (&VERSIONS[version], TAGS[version]);
    let fields = match dice.roll(8) {
        0 => format!("ETag: {tag}\r\nAccept-Ranges: bytes\r\n"),
        1 => format!("ETag: W/{tag}\r\n"),
        2 if dice.one_in(3) => String::new(),
        _ => format!("ETag: {tag}\r\n"),
    };
    let answer = match dice.roll(16) {
        0 => response("500 Oops", "", "oops"),
        1 => response("503 Busy", "", ""),
        2 => response("412 No", "", ""),
        3 => response("416 Range", &format!("{fields}Content-Range: bytes */{}\r\n", whole.len()), ""),
        4 => response("200 OK", &fields, whole),
        5 => lie(dice, request, whole, tag),
        // The version is not looked at.
        6 => match range(request) {
            Some((from, last)) if (from as usize) < whole.len() => {
                let last = last.map_or(whole.len() - 1, |l| (l as usize).min(whole.len() - 1));
                let from = from as usize;
                let place = format!("ETag: {tag}\r\nContent-Range: bytes {from}-{last}/{}\r\n", whole.len());
                response("206 Part", &place, &whole[from..=last])
            }
            _ => response("200 OK", &fields, whole),
        },
        7 => {
            let head =
                format!("HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", whole.len());
            [head.as_bytes(), whole, b"\r\n0\r\n\r\n"].concat()
        }
        8 if dice.one_in(3) => b"HTTP/1.1 nonsense\r\n\r\n".to_vec(),
        _ => file(whole, &fields, request),
    };
    let body = answer.len() - body_of(&answer);
    let cut = dice.one_in(3).then(|| dice.roll(body as u64 + 1) as usize);
    (answer, cut)
}

/// Something that claims to be a part, and says of which version.
fn lie(dice: &Dice, request: &Request, whole: &[u8], tag: &str) -> Vec<u8> {
    let from = range(request).map_or(0, |(from, _)| from as usize).min(whole.len() - 1);
    let near = |n: usize| (n + dice.roll(3) as usize).saturating_sub(1);
    let (first, last) = (near(from).min(whole.len() - 1), whole.len() - 1 - dice.roll(2) as usize);
    let last = last.max(first);
    let place = match dice.roll(5) {
        0 => format!("Content-Range: bytes {first}-{last}/{}", whole.len() + dice.roll(2) as usize),
        1 => format!("Content-Range: bytes {first}-{last}/*"),
        2 => "Content-Type: multipart/byteranges; boundary=b".to_owned(),
        3 => format!("Content-Range: bytes {first}-{last}"),
        _ => "X: y".to_owned(),
    };
    response("206 Part", &format!("ETag: {tag}\r\n{place}\r\n"), &whole[first..=last])
}

/// Calls until one is well, and looks at what there is after each.
fn play(seed: u64) {
    let world = Arc::new(World { dice: Dice(AtomicU64::new(seed)), version: Mutex::default() });
    let server = scripted({
        let world = world.clone();
        move |request, _| answer(&world, request)
    });
    let folder = Folder::new();
    let base = server.url();
    let segments = [1, 1, 3][world.dice.roll(3) as usize];
    let api = api_with(&base, json!({"segments": segments}), json!({"retry_delay": 0.0001}));
    let mut before = None;
    for call in 0..40 {
        let options = json!({"retry_count": 1 + world.dice.roll(6)});
        let outcome = get(&api, &folder, options);
        let now = std::fs::read(path(&folder)).ok();
        match outcome {
            Ok(summary) => {
                let now = now.unwrap();
                assert!(
                    VERSIONS.contains(&now),
                    "seed {seed}, call {call}: {} bytes of a mix: {summary}",
                    now.len()
                );
                assert_eq!(summary["total_bytes"], now.len(), "seed {seed}, call {call}");
                assert_eq!(folder.names(), ["x"], "seed {seed}, call {call}");
                if world.dice.one_in(2) {
                    return;
                }
                before = Some(now);
            }
            Err(fault) => {
                assert!(now == before, "seed {seed}, call {call}: {} {}", fault.name, fault.message);
                assert!(
                    ![CANCELLED, PANIC].contains(&fault.status),
                    "seed {seed}, call {call}: {}",
                    fault.message
                );
            }
        }
    }
}

#[test]
fn whatever_a_server_does_a_file_that_is_well_is_one_version() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |n| n.parse().unwrap());
    let (first, cases) = (number("APL_TEST_SEED", 1), number("APL_TEST_CASES", 200));
    let next = AtomicU64::new(first);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, SeqCst);
                    if seed >= first + cases {
                        return;
                    }
                    // Spread, so that neighbours have nothing in common.
                    play(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                }
            });
        }
    });
}

#[test]
fn a_body_in_any_pieces_is_whole() {
    let server = Server::start(|mut stream, _| {
        let Some(request) = read_request(&mut stream) else { return };
        let answer = file(&data(200_000), TAG, &request);
        for piece in answer.chunks(777) {
            let _ = stream.write_all(piece);
        }
        let _ = stream.read(&mut [0]);
    });
    let folder = Folder::new();
    get(&api(&server.url(), json!({})), &folder, json!({})).unwrap();
    assert!(there(&folder) == data(200_000));
}
