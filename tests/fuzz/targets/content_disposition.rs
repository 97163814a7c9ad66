//! Whatever a server calls a file, it stays in its folder, is visible, and is a name on every system.
#![no_main]

use apl::fuzz::download::{is_safe, name, part};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (disposition, path) = input;
    let name = name(disposition, &format!("http://h/{path}"));
    assert!(!name.is_empty() && name.len() <= 200, "{name:?}");
    assert!(!name.contains(['/', '\\', ':', '\0', '*', '?', '"', '<', '>', '|']), "{name:?}");
    assert!(!name.chars().any(char::is_control), "{name:?}");
    assert!(!name.starts_with('.') && !name.ends_with(['.', ' ']), "{name:?}");
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    assert!(!["CON", "PRN", "AUX", "NUL", "COM1", "LPT9"].contains(&stem.as_str()), "{name:?}");
    assert!(!name.to_ascii_lowercase().ends_with(".part"), "{name:?}");
    assert!(is_safe(&name), "made safe again it is another: {name:?}");
    let part = part(&name);
    assert!(part.len() <= 240 && part.ends_with(".part") && part != name, "{part:?}");
});
