//! `${VAR}`, `${VAR:-default}` and `$${` in the strings of the configuration.

use super::fault::Fault;
use super::node::{Node, Value};
use super::secret::Text;

/// Answers what a variable is set to. A parameter, so that this room stays pure.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Fills in every string of the tree.
pub fn fill(node: &mut Node, lookup: &Lookup<'_>, warnings: &mut Vec<String>) -> Result<(), Fault> {
    fill_at(node, lookup, warnings, false)
}

fn fill_at(
    node: &mut Node,
    lookup: &Lookup<'_>,
    warnings: &mut Vec<String>,
    credentials: bool,
) -> Result<(), Fault> {
    let pos = node.pos;
    match &mut node.value {
        Value::Text(text) => {
            if let Some(filled) = expand(text.as_str(), lookup).map_err(|f| f.at(pos))? {
                if credentials && filled.as_str().is_empty() {
                    let source = text.as_str();
                    warnings.push(format!("{source} is empty, and fills a credential"));
                }
                *text = filled;
            }
        }
        Value::List(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                fill_at(item, lookup, warnings, credentials).map_err(|f| f.under(i.to_string()))?;
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                let credentials = credentials || matches!(entry.key.as_str(), "auth" | "auth_config");
                fill_at(&mut entry.node, lookup, warnings, credentials).map_err(|f| f.under(&entry.key))?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

/// A string with its variables filled in; None where it has none. What a variable brings is not read again.
fn expand(text: &str, lookup: &Lookup<'_>) -> Result<Option<Text>, Fault> {
    if !text.contains("${") {
        return Ok(None);
    }
    let (mut out, mut env) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some(i) = rest.find("${") {
        // `$${` is a literal `${`.
        if rest[..i].ends_with('$') {
            out.push_str(&rest[..i - 1]);
            out.push_str("${");
            rest = &rest[i + 2..];
            continue;
        }
        out.push_str(&rest[..i]);
        let inside = &rest[i + 2..];
        let Some(end) = inside.find('}') else {
            return Err(Fault::new("`${` without `}`; a literal one is written `$${`"));
        };
        let (name, default) = match inside[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inside[..end], None),
        };
        let mut letters = name.bytes();
        let named = letters.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !named {
            return Err(Fault::new(
                "`${…}` takes the name of an environment variable; a literal `${` is written `$${`",
            ));
        }
        // As in the shell, the default also stands in for an empty value.
        let value = lookup(name).filter(|v| default.is_none() || !v.is_empty());
        // A default stands in the configuration for all to read: it is no secret.
        let secret = value.is_some();
        let Some(value) = value.or_else(|| default.map(str::to_owned)) else {
            return Err(Fault::new(format!("the environment variable {name} is not set")));
        };
        if value.contains(['\r', '\n', '\0']) {
            return Err(Fault::new(format!(
                "the value of the environment variable {name} has a line break or NUL in it"
            )));
        }
        out.push_str(&value);
        if secret {
            env.push(value);
        }
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    Ok(Some(Text::with_env(out, env)))
}
