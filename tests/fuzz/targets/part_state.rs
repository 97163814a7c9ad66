//! A state file is believed as a whole or not at all, and says the same when it is written again.
#![no_main]

use apl::fuzz::download::{is_safe, sealed, state};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

type Input<'i> = (&'i [u8], &'i str, Option<&'i str>, Option<u64>, Vec<(u64, u64)>, Option<&'i str>);

fuzz_target!(|input: Input<'_>| {
    let (bytes, text, validator, length, there, name) = input;
    let claimed = json!({
        "source": "", "validator": validator, "length": length, "there": there, "digests": [], "name": name,
    });
    for text in [bytes.to_vec(), sealed(text).into_bytes(), sealed(&claimed.to_string()).into_bytes()] {
        let Some(written) = state(&text, "") else { continue };
        assert_eq!(state(written.as_bytes(), ""), Some(written.clone()));
        // One byte less, or another one, and it is none.
        assert_eq!(state(&written.as_bytes()[..written.len() - 1], ""), None);
        let mut torn = written.into_bytes();
        let at = torn.len() / 2;
        torn[at] ^= 1;
        assert_eq!(state(&torn, ""), None);
    }
    let sorted = there.windows(2).all(|w| w[0].1 < w[1].0) && there.iter().all(|(from, to)| from < to);
    let fits = there.last().is_none_or(|(_, to)| length.is_none_or(|length| *to <= length));
    let sound = sorted && fits && validator.is_some() && name.is_none_or(is_safe);
    assert_eq!(state(sealed(&claimed.to_string()).as_bytes(), "").is_some(), sound, "{claimed}");
});
