//! What is read from a Content-Range is a range, and the same when it is written again.
#![no_main]

use apl::fuzz::content_range;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &str| {
    let Some((bytes, total)) = content_range(value) else { return };
    if let Some((first, last)) = bytes {
        assert!(first <= last && total.is_none_or(|total| last < total), "{value}");
    }
    let place = bytes.map_or("*".to_owned(), |(first, last)| format!("{first}-{last}"));
    let total_text = total.map_or("*".to_owned(), |total| total.to_string());
    assert_eq!(content_range(&format!("bytes {place}/{total_text}")), Some((bytes, total)), "{value}");
    // Nothing in it is left over: its digits are those of the numbers.
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    assert_eq!(digits(value).replace('0', ""), digits(&format!("{place}/{total_text}")).replace('0', ""), "{value}");
});
