//! The header Link (RFC 8288): where an answer says that the next page is.
//!
//! The crates for it are small, old, or take what is broken for nothing; here a link that cannot be read is the end of a
//! listing that may have more, so it is an error.

/// The targets of the links with that relation, as they were written.
pub fn targets<'h>(header: &'h str, relation: &str) -> Result<Vec<&'h str>, String> {
    let mut found = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Ok(found);
        }
        let inside = rest.strip_prefix('<').ok_or("a link does not begin with `<`")?;
        let (target, behind) = inside.split_once('>').ok_or("a link has no `>`")?;
        rest = behind;
        let (mut relations, mut anchored) = (None, false);
        while let Some(parameter) = rest.trim_start().strip_prefix(';') {
            let (name, value, behind) = read_parameter(parameter)?;
            rest = behind;
            match name.to_ascii_lowercase().as_str() {
                // Of several, the first counts (3.3).
                "rel" if relations.is_none() => relations = Some(value),
                // It is a link of another resource (3.2).
                "anchor" => anchored = true,
                _ => {}
            }
        }
        rest = rest.trim_start();
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err("something stands between two links".into());
        }
        let is = |one: &str| one.eq_ignore_ascii_case(relation);
        if !anchored && relations.is_some_and(|all| all.split_ascii_whitespace().any(is)) {
            found.push(target.trim());
        }
    }
}

/// A parameter behind its semicolon: name, value, and what follows. The value may be missing.
fn read_parameter(text: &str) -> Result<(&str, String, &str), String> {
    let text = text.trim_start();
    let end = text.find(['=', ';', ',', ' ', '\t']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let Some(value) = rest.trim_start().strip_prefix('=') else { return Ok((name, String::new(), rest)) };
    let value = value.trim_start();
    let Some(quoted) = value.strip_prefix('"') else {
        let end = value.find([';', ',', ' ', '\t']).unwrap_or(value.len());
        return Ok((name, value[..end].to_owned(), &value[end..]));
    };
    let (mut plain, mut letters) = (String::new(), quoted.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((name, plain, &quoted[at + 1..])),
            '\\' => plain.extend(letters.next().map(|(_, escaped)| escaped)),
            _ => plain.push(letter),
        }
    }
    Err(format!("the value of {name:?} has no closing quote"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn links_are_found_by_their_relation() {
        for (header, next) in [
            ("</2>; rel=next", &["/2"][..]),
            ("<a,b;c>;title=\"x, <y>; rel=next\";REL = \"prev  Next\" ; x , </1>; rel=first", &["a,b;c"]),
            ("</3>; rel=\"n\\ext\"", &["/3"]),
            ("</2>; rel=next, </2>; rel=next", &["/2", "/2"]),
            ("</2>; rel=next; rel=prev", &["/2"]),
            ("</2>; rel=prev; rel=next", &[]),
            ("</2>; rel=next; anchor=\"#x\"", &[]),
            ("</2>; rev=next", &[]),
            ("</2>", &[]),
            (" ,, ", &[]),
            ("", &[]),
        ] {
            assert_eq!(targets(header, "next").unwrap(), next, "{header}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_not_the_last_page() {
        for bad in ["/2; rel=next", "</2; rel=next", "</2>; rel=\"next", "</2> rel=next", "\"/2\"; rel=next"]
        {
            assert!(targets(bad, "next").is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(header in "[<>;,=\" \\\\a-e/é]{0,60}") {
            for target in targets(&header, "a").unwrap_or_default() {
                prop_assert!(header.contains(target));
            }
        }

        #[test]
        fn what_was_written_is_read(
            links in proptest::collection::vec(("[a-z/?=&,;]{1,20}", "[ -~é]{0,20}", any::<bool>()), 0..6),
        ) {
            let written: Vec<String> = links.iter().map(|(target, title, next)| {
                let title = title.replace('\\', "\\\\").replace('"', "\\\"");
                format!("<{target}>; title=\"{title}\"; rel=\"{}\"", if *next { "x next" } else { "x" })
            }).collect();
            let expected: Vec<&str> = links.iter().filter(|(_, _, next)| *next).map(|(t, _, _)| t.as_str()).collect();
            let header = written.join(", ");
            prop_assert_eq!(targets(&header, "next").unwrap(), expected);
        }
    }
}
