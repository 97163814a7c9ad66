//! Names of files: the one that a server gives, made safe, and those that stand beside the target. Pure.

use percent_encoding::percent_decode_str;

use crate::response::Head;

/// The longest name that is taken from a server, bytes: a suffix still has to fit behind it.
const LONGEST: usize = 200;

/// What a file is called that nobody has named.
const NAMELESS: &str = "download";

/// The name of the part beside a target. One that would be too long for a file system is cut and told apart by a
/// hash of the whole.
pub fn part(target: &str) -> String {
    if target.len() <= LONGEST {
        return format!("{target}.part");
    }
    let mut cut = LONGEST;
    while !target.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}~{:08x}.part", &target[..cut], crc32fast::hash(target.as_bytes()))
}

/// The name that the server gives in Content-Disposition (RFC 6266), else the last segment of the URL's path, made
/// safe.
pub fn of_server(head: &Head, url: &str) -> String {
    let given = head.get("content-disposition").map(String::from_utf8_lossy).and_then(|v| disposition(&v));
    let safe = given.as_deref().and_then(safe);
    safe.or_else(|| self::safe(&last_segment(url))).unwrap_or_else(|| NAMELESS.to_owned())
}

fn last_segment(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest.split_once('/').map_or("", |(_, p)| p));
    let last = path.rsplit('/').next().unwrap_or_default();
    percent_decode_str(last).decode_utf8_lossy().into_owned()
}

/// `filename*` (RFC 8187) stands over `filename`.
fn disposition(value: &str) -> Option<String> {
    let mut plain = None;
    for (name, value) in parameters(value) {
        if name.eq_ignore_ascii_case("filename*") {
            if let Some(name) = extended(&value) {
                return Some(name);
            }
        } else if name.eq_ignore_ascii_case("filename") && plain.is_none() {
            plain = Some(value);
        }
    }
    plain
}

/// The parameters behind the first `;`: tokens, or quoted strings with their escapes taken off.
fn parameters(value: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let Some((_, mut rest)) = value.split_once(';') else { return found };
    while let Some((name, behind)) = rest.split_once('=') {
        let name = name.trim_matches([' ', '\t', ';']);
        let behind = behind.trim_start_matches([' ', '\t']);
        let mut text = String::new();
        match behind.strip_prefix('"') {
            Some(quoted) => {
                let mut characters = quoted.char_indices();
                let mut end = quoted.len();
                while let Some((at, c)) = characters.next() {
                    match c {
                        '"' => {
                            end = at + 1;
                            break;
                        }
                        '\\' => text.extend(characters.next().map(|(_, c)| c)),
                        c => text.push(c),
                    }
                }
                rest = &quoted[end..];
            }
            None => {
                let (token, behind) = behind.split_once(';').unwrap_or((behind, ""));
                text.push_str(token.trim_end());
                rest = behind;
            }
        }
        found.push((name, text));
    }
    found
}

/// `UTF-8'language'percent-encoded` (RFC 8187 3.2).
fn extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _, text) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => String::from_utf8(bytes).ok(),
        "iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

/// Is it a name that a server may give?
pub fn is_safe(name: &str) -> bool {
    safe(name).as_deref() == Some(name)
}

/// A name that is one on every system, stays in its folder and is not hidden. None: nothing is left of it.
fn safe(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut clean: String = last
        .chars()
        .map(|c| match c {
            '<' | '>' | ':' | '"' | '|' | '?' | '*' | '%' => '_',
            // Also those that turn the reading direction, to hide what a name ends with.
            c if c.is_control() || ('\u{200b}'..='\u{200f}').contains(&c) => '_',
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => '_',
            c => c,
        })
        .collect();
    // What is cut off may uncover what has to be changed.
    loop {
        let better = improved(&clean);
        if better == clean {
            return (!clean.is_empty()).then_some(clean);
        }
        clean = better;
    }
}

fn improved(name: &str) -> String {
    let mut name = name.trim_matches(|c: char| c.is_whitespace() || c == '.').to_owned();
    if is_device(&name) {
        name.insert(0, '_');
    }
    // Names of ours beside a target are not for servers to choose.
    let lower = name.to_ascii_lowercase();
    if [".part", ".part.state", ".part.state~"].iter().any(|own| lower.ends_with(own)) {
        name.push('_');
    }
    while name.len() > LONGEST {
        // The end tells what kind of file it is.
        let stem = name.rfind('.').filter(|dot| name.len() - dot <= 16).unwrap_or(name.len());
        let before = name[..stem].char_indices().next_back().map_or(0, |(at, _)| at);
        name.replace_range(before..stem, "");
    }
    name
}

/// Does Windows take it for a device, whatever stands behind a dot?
pub fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |name: &str| {
        let mut number = stem.strip_prefix(name).unwrap_or_default().chars();
        number.next().is_some_and(|n| "123456789¹²³".contains(n)) && number.next().is_none()
    };
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str())
        || numbered("COM")
        || numbered("LPT")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(disposition: &str) -> String {
        let head = crate::response::head(200, &[("Content-Disposition", disposition)]);
        of_server(&head, "http://h/a/b%20c.bin?x=/y")
    }

    #[test]
    fn the_name_in_content_disposition_is_read_in_all_its_forms() {
        for (value, name) in [
            ("attachment; filename=plain.txt", "plain.txt"),
            ("attachment; filename=\"with space; and \\\"quotes\\\".txt\"", "with space; and _quotes_.txt"),
            ("attachment;filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt", "naïve €.txt"),
            ("attachment; filename=\"old.txt\"; filename*=utf-8'en'new.txt", "new.txt"),
            ("attachment; filename*=utf-8'en'new.txt; filename=\"old.txt\"", "new.txt"),
            ("attachment; filename*=ISO-8859-1''%A3.txt", "£.txt"),
            ("attachment; filename*=x-unknown''%A3.txt; filename=old.txt", "old.txt"),
            ("attachment; filename*=utf-8''%ff; filename=old.txt", "old.txt"),
            ("INLINE; FILENAME = \"a.txt\" ; size=3", "a.txt"),
            ("attachment; filename=\"open", "open"),
            ("attachment", "b c.bin"),
            ("attachment; filename=\"\"", "b c.bin"),
            ("", "b c.bin"),
        ] {
            assert_eq!(named(value), name, "{value}");
        }
    }

    #[test]
    fn a_servers_name_stays_in_its_folder_and_is_a_name_everywhere() {
        for (name, safe) in [
            ("../../x", "x"),
            ("/etc/passwd", "passwd"),
            ("C:\\\\windows\\\\x.dll", "x.dll"),
            ("..", "b c.bin"),
            (".", "b c.bin"),
            (".bashrc", "bashrc"),
            ("CON", "_CON"),
            ("con.txt", "_con.txt"),
            ("COM1", "_COM1"),
            ("COM10", "COM10"),
            ("lpt².txt", "_lpt².txt"),
            ("x%2f..%2fy", "x_2f.._2fy"),
            ("a\u{7f}b\tc", "a_b_c"),
            ("photo\u{202e}gpj.exe", "photo_gpj.exe"),
            ("end. . ", "end"),
            ("a:b*c?", "a_b_c_"),
            ("x.part", "x.part_"),
            ("   ", "b c.bin"),
        ] {
            assert_eq!(named(&format!("attachment; filename=\"{name}\"")), safe, "{name}");
        }
        // What is a slash only once it is decoded is one.
        assert_eq!(named("attachment; filename*=utf-8''a%2f..%2fb"), "b");
        assert_eq!(named("attachment; filename*=utf-8''a%00b"), "a_b");
        let long = named(&format!("attachment; filename=\"{}é.tar.gz\"", "x".repeat(5000)));
        assert!(long.len() <= LONGEST && long.ends_with("x.gz"), "{long}");
        let long = named(&format!("attachment; filename=\"{}\"", "é".repeat(2500)));
        assert!(long.len() <= LONGEST && long.starts_with('é'), "{long}");
    }

    proptest! {
        #[test]
        fn a_name_of_a_servers_is_one_that_is_safe(name in "(CON|com1|\\.|x| |é|/|\\.part|\\.state~?|\\PC){0,230}") {
            if let Some(name) = safe(&name) {
                prop_assert!(is_safe(&name) && name.len() <= LONGEST, "{name:?}");
                prop_assert!(!name.starts_with('.') && !name.ends_with(['.', ' ']), "{name:?}");
                prop_assert!(!part(&name).ends_with(".part.part"), "{name:?}");
            }
        }
    }

    #[test]
    fn what_is_made_safe_is_safe() {
        let odd = |n: usize, end: &str| format!("{}{end}", "x".repeat(n));
        for name in [
            odd(196, ".part"),
            odd(195, ".part.yyyyyyyyyyyyyyyyyyyyyyyyyy"),
            odd(199, ".  yyyyyyyyyyyyyyyyyyyyyyy"),
        ] {
            let name = safe(&name).unwrap();
            assert!(is_safe(&name) && name.len() <= LONGEST, "{name}");
        }
        assert!(!is_safe("x.part") && !is_safe("../x") && !is_safe(""));
    }

    #[test]
    fn a_url_without_a_name_gives_none() {
        assert_eq!(of_server(&Head::default(), "http://h"), NAMELESS);
        assert_eq!(of_server(&Head::default(), "http://h/"), NAMELESS);
        assert_eq!(of_server(&Head::default(), "http://h/a/..%2f..%2fx"), "x");
    }

    #[test]
    fn a_part_stands_beside_its_target_whatever_that_is_called() {
        assert_eq!(part("x.iso"), "x.iso.part");
        let (a, b) = (part(&format!("{}a", "é".repeat(127))), part(&format!("{}b", "é".repeat(127))));
        assert!(a != b && a.len() <= 240 && a.ends_with(".part"), "{a}");
    }
}
