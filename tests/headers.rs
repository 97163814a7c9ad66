//! The committed headers are what the build generates. `APL_BLESS=1` commits what it generates now.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

const HEADERS: [(&str, &str); 3] =
    [("apl.h", "include/apl.h"), ("apl.hpp", "include/apl.hpp"), ("apl_go.h", "bindings/go/apl.h")];

#[test]
fn the_committed_headers_are_the_generated_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (generated, committed) in HEADERS {
        let from = Path::new(env!("OUT_DIR")).join(generated);
        let new = fs::read_to_string(from).expect("cbindgen failed: see the build's warnings");
        let to = root.join(committed);
        if std::env::var_os("APL_BLESS").is_some() {
            fs::write(&to, &new).unwrap();
        }
        let old = fs::read_to_string(&to).unwrap_or_default();
        assert!(old == new, "{committed} is out of date: run APL_BLESS=1 cargo test --test headers");
    }
}

/// Comments and what they stand before, in the order of the header.
fn documented(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some(start) = rest.find("/**") {
        let end = start + rest[start..].find("*/").unwrap();
        let comment = rest[start..end].to_owned();
        rest = &rest[end + 2..];
        let next = rest.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
        found.push((comment, next.to_owned()));
    }
    found
}

#[test]
fn every_symbol_says_since_when() {
    let header = fs::read_to_string(Path::new(env!("OUT_DIR")).join("apl.h")).unwrap();
    let symbols = documented(&header);
    let functions = symbols.iter().filter(|(_, d)| d.starts_with("APL_API")).count();
    assert_eq!(functions, header.matches("\nAPL_API").count(), "a function has no comment");
    for (comment, declaration) in symbols {
        // An enumerator came with its enum.
        if !declaration.starts_with("  ") {
            assert!(comment.contains("@since "), "{declaration}: no @since");
        }
    }
}

#[test]
fn the_comments_speak_c() {
    for (generated, _) in HEADERS {
        let header = fs::read_to_string(Path::new(env!("OUT_DIR")).join(generated)).unwrap();
        for rust in ["```", "[`", "::from", "Option<", "c_char", "unsafe"] {
            assert!(!header.contains(rust), "{generated} contains {rust:?}");
        }
    }
}
