//! HTTP dates (RFC 9110 5.6.7).

use std::time::{Duration, SystemTime};

const SHORT: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const LONG: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// After so many years the calendar begins again, days of the week included.
const CYCLE: u32 = 400;
const CYCLE_DAYS: u64 = 146_097;

/// A date in one of the three forms that a recipient must know; None for everything else.
///
/// The name of the day need not be the right one: it says nothing that the date does not.
pub fn http_date(text: &str) -> Option<SystemTime> {
    if let Ok(at) = httpdate::parse_http_date(text) {
        return Some(at);
    }
    let end = text.find([',', ' '])?;
    let (day, rest) = text.split_at(end);
    let names = [SHORT, LONG].into_iter().find(|names| names.contains(&day))?;
    let parse = |rest: &str| names.iter().find_map(|n| httpdate::parse_http_date(&format!("{n}{rest}")).ok());
    if let Some(at) = parse(rest) {
        return Some(at);
    }
    // httpdate begins with 1970.
    let year = rest.split(' ').find(|word| word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit()))?;
    let number: u32 = year.parse().ok()?;
    let cycles = 1970u32.checked_sub(number)?.div_ceil(CYCLE);
    let later = parse(&rest.replacen(year, &(number + cycles * CYCLE).to_string(), 1))?;
    later.checked_sub(Duration::from_secs(u64::from(cycles) * CYCLE_DAYS * 86_400))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        http_date(text).map(|at| match at.duration_since(UNIX_EPOCH) {
            Ok(after) => after.as_secs() as i64,
            Err(before) => -(before.duration().as_secs() as i64),
        })
    }

    #[test]
    fn the_three_forms_are_dates_and_nothing_else_is() {
        for form in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(seconds(form), Some(784_111_777), "{form}");
        }
        for none in [
            "",
            "soon",
            "06 Nov 1994 08:49:37 GMT",
            "Foo, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 +0100",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "1994-11-06T08:49:37Z",
            "784111777",
            "Sun, 06 Nov 1994",
            "Sun, 99 Nov 1900 08:49:37 GMT",
        ] {
            assert_eq!(seconds(none), None, "{none}");
        }
    }

    #[test]
    fn the_name_of_the_day_may_be_wrong() {
        assert_eq!(seconds("Mon, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Friday, 06-Nov-94 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Sat Nov  6 08:49:37 1994"), Some(784_111_777));
    }

    #[test]
    fn dates_before_1970_are_dates_too() {
        assert_eq!(seconds("Wed, 31 Dec 1969 23:59:59 GMT"), Some(-1));
        assert_eq!(seconds("Tue, 06 Nov 1900 08:49:37 GMT"), Some(-2_182_259_423));
        // Where the time of Windows begins.
        assert_eq!(seconds("Mon, 01 Jan 1601 00:00:00 GMT"), Some(-11_644_473_600));
    }
}
