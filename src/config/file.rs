//! The configuration file, and one connector block out of a whole apilinker file (`file.yaml#source`).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::env::Lookup;
use super::node::{Node, Value};
use super::{Config, Fault, MAX_TEXT};
use crate::error::{Error, Kind, Result};

/// Reads a configuration file. `file.yaml#source` picks what stands under that key, dotted for deeper ones;
/// other keys of the file are not looked at.
pub fn from_file(path: &Path, lookup: &Lookup<'_>) -> Result<Config> {
    let (file, section) = split(path);
    let text = read(&file)?;
    let located = |f: Fault| Error::config(format!("{}: {f}", file.display()));
    let mut root = super::parse(&text).map_err(located)?;
    let mut place = String::new();
    let node = match &section {
        Some(section) => pick(&mut root, section, &mut place).map_err(located)?,
        None => &mut root,
    };
    super::from_node(node, &place, lookup).map_err(|e| {
        let message = format!("{}: {e}", file.display());
        Error::new(e.kind(), message)
    })
}

/// The file and the section behind the last `#`, unless a file has that very name.
fn split(path: &Path) -> (PathBuf, Option<String>) {
    match path.to_str().and_then(|p| p.rsplit_once('#')) {
        Some((file, section)) if !path.exists() => (file.into(), Some(section.to_owned())),
        _ => (path.to_owned(), None),
    }
}

fn read(path: &Path) -> Result<String> {
    let failed = |e: std::io::Error| {
        let mut error = Error::new(Kind::File, format!("cannot read {}: {e}", path.display()));
        error.errno = e.raw_os_error();
        error
    };
    let mut bytes = Vec::new();
    // One byte more than allowed, so that a longer file is noticed.
    File::open(path).map_err(failed)?.take(MAX_TEXT as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    String::from_utf8(bytes).map_err(|_| Error::config(format!("{}: not UTF-8", path.display())))
}

/// The node under a dotted key. A key that has dots in it is found too.
fn pick<'n>(root: &'n mut Node, section: &str, place: &mut String) -> Result<&'n mut Node, Fault> {
    let Value::Map(entries) = &mut root.value else {
        return Err(Fault::new(format!("there is no {section:?} in it")).at(root.pos).below(place));
    };
    let key = entries
        .iter()
        .map(|e| e.key.clone())
        .filter(|k| section.strip_prefix(k.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('.')))
        .max_by_key(String::len);
    let Some(key) = key else {
        let known: Vec<_> = entries.iter().map(|e| e.key.as_str()).collect();
        let message = match super::fault::nearest(section, &known) {
            Some(near) => format!("there is no {section:?}; did you mean {near:?}?"),
            None => format!("there is no {section:?}"),
        };
        return Err(Fault::new(message).below(place));
    };
    let rest = section[key.len()..].strip_prefix('.').map(str::to_owned);
    place.push('/');
    place.push_str(&key.replace('~', "~0").replace('/', "~1"));
    let Some(entry) = entries.iter_mut().find(|e| e.key == key) else {
        return Err(Fault::new(format!("there is no {section:?}")));
    };
    match rest {
        Some(rest) => pick(&mut entry.node, &rest, place),
        None => Ok(&mut entry.node),
    }
}
