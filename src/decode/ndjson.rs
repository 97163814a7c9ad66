//! One JSON value a line, as one array.

use super::json::{self, Syntax};

/// The lines' values as a JSON array, each as it came. Empty lines are passed over; the last line needs no end.
/// A fault names the line, from 1, and the byte in the body.
pub fn lines_to_array(body: &[u8]) -> Result<Vec<u8>, (usize, Syntax)> {
    let mut array = Vec::with_capacity(body.len() + 2);
    array.push(b'[');
    let mut offset = 0;
    for (number, line) in body.split_inclusive(|b| *b == b'\n').enumerate() {
        let here = offset;
        offset += line.len();
        let value = line.trim_ascii_end();
        if value.trim_ascii_start().is_empty() {
            continue;
        }
        let (start, text) = json::check(value)
            .map_err(|syntax| (number + 1, Syntax { offset: here + syntax.offset, what: syntax.what }))?;
        if start > 0 && number > 0 {
            let what = "a byte order mark within the body".into();
            return Err((number + 1, Syntax { offset: here, what }));
        }
        if array.len() > 1 {
            array.push(b',');
        }
        array.extend_from_slice(text.trim_ascii().as_bytes());
    }
    array.push(b']');
    Ok(array)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(body: &str) -> String {
        String::from_utf8(lines_to_array(body.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn lines_become_an_array_as_they_came() {
        assert_eq!(of("{\"a\": 1.0}\n[2]\r\n\n -0\n\"x\""), r#"[{"a": 1.0},[2],-0,"x"]"#);
        assert_eq!(of(""), "[]");
        assert_eq!(of("\n\n"), "[]");
        assert_eq!(of("\u{feff}1\n2\n"), "[1,2]");
    }

    #[test]
    fn a_broken_line_is_named() {
        let (line, syntax) = lines_to_array(b"{}\n{\"a\":}\n{}\n").unwrap_err();
        assert_eq!((line, syntax.offset), (2, 8));
        assert_eq!(lines_to_array(b"1\n\xef\xbb\xbf2\n").unwrap_err().0, 2);
    }
}
