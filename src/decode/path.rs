//! Where in an answer the data is: dotted paths, JSON Pointers (RFC 6901) and JSONPath queries (RFC 9535).
//!
//! All three give places in the raw text, so that the bytes delivered are the server's.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde_json_path::{JsonPath, PathElement};

use super::value::tolerant_value;
use super::walk::{items, member, members, name};

/// `response_path` and its kin, read once.
#[derive(Clone, Debug)]
pub struct Path {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// A dotted path or a JSON Pointer: one step after another.
    Steps(Vec<String>),
    /// A JSONPath query; is it singular (RFC 9535 2.3.5.1), so that it gives one value and not a list? One that ends with
    /// `[*]` or `.*` gives all that is within something: where that is missing, it is no list without items.
    Query { query: Box<JsonPath>, singular: bool, within: Option<Box<Path>> },
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// One value.
    One(Range<usize>),
    /// The values of a query, in its order.
    Many(Vec<Range<usize>>),
}

/// Why a path leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The first step that leads nowhere; `None` for a query.
    pub step: Option<String>,
    /// What stood there instead of something that has this step.
    pub found: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.step {
            Some(step) => write!(f, "`{step}` is not in the {} there", self.found),
            None => write!(f, "nothing in the {} fits the query", self.found),
        }
    }
}

impl Path {
    /// Reads a path: JSONPath where it starts with `$`, a JSON Pointer where it starts with `/`, else dotted.
    pub fn parse(text: &str) -> Result<Path, String> {
        let kind = match text.as_bytes().first() {
            None => return Err("must not be empty".into()),
            Some(b'$') => {
                let query = JsonPath::parse(text).map_err(|e| format!("is not a JSONPath: {e}"))?;
                let within = text.strip_suffix("[*]").or_else(|| text.strip_suffix(".*"));
                let within =
                    within.filter(|w| is_singular(w)).and_then(|w| Path::parse(w).ok()).map(Box::new);
                Kind::Query { query: Box::new(query), singular: is_singular(text), within }
            }
            Some(b'/') => Kind::Steps(text[1..].split('/').map(unescape).collect::<Result<_, _>>()?),
            Some(_) => Kind::Steps(text.split('.').map(str::to_owned).collect()),
        };
        match &kind {
            Kind::Steps(steps) if text.starts_with(|c| c != '/') && steps.iter().any(String::is_empty) => {
                Err("must not have an empty step in it".into())
            }
            _ => Ok(Path { text: text.to_owned(), kind }),
        }
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The steps of a dotted path or a JSON Pointer; None: it is a query.
    pub fn steps(&self) -> Option<&[String]> {
        match &self.kind {
            Kind::Steps(steps) => Some(steps),
            Kind::Query { .. } => None,
        }
    }

    /// Where the value lies in a valid JSON text. Of a duplicate key, the last counts.
    pub fn locate(&self, json: &str) -> Result<Found, Missing> {
        match &self.kind {
            Kind::Steps(steps) => walk(json, steps).map(Found::One),
            Kind::Query { query, singular, within } => {
                if let Some(within) = within
                    && let Found::One(place) = within.locate(json)?
                    && !json[place].starts_with(['[', '{'])
                {
                    return Err(Missing { step: None, found: "answer" });
                }
                let value = tolerant_value(json);
                let mut wanted = Wanted::default();
                let mut count = 0;
                for node in query.query_located(&value).iter() {
                    wanted.add(node.location().iter(), count);
                    count += 1;
                }
                let mut places = vec![0..0; count];
                wanted.find(json.trim_ascii(), json, &mut places);
                match (singular, places.pop()) {
                    (true, Some(place)) => Ok(Found::One(place)),
                    (true, None) => Err(Missing { step: None, found: "answer" }),
                    (false, last) => {
                        places.extend(last);
                        Ok(Found::Many(places))
                    }
                }
            }
        }
    }
}

/// A pointer's token (RFC 6901 3).
fn unescape(token: &str) -> Result<String, String> {
    let mut out = String::with_capacity(token.len());
    let mut rest = token;
    while let Some((before, after)) = rest.split_once('~') {
        out.push_str(before);
        out.push(match after.as_bytes().first() {
            Some(b'0') => '~',
            Some(b'1') => '/',
            _ => return Err("is not a JSON Pointer: `~` stands before `0` or `1` only".into()),
        });
        rest = &after[1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Has a valid query only name and index selectors, one in each segment?
fn is_singular(query: &str) -> bool {
    let mut quote = None;
    let mut escaped = false;
    let mut before = ' ';
    for c in query.chars() {
        match quote {
            Some(_) if std::mem::take(&mut escaped) => {}
            Some(_) if c == '\\' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if matches!(c, '*' | '?' | ':' | ',') || (c == '.' && before == '.') => return false,
            None => {}
        }
        before = c;
    }
    true
}

/// Goes step after step.
fn walk(json: &str, steps: &[String]) -> Result<Range<usize>, Missing> {
    let mut value = json.trim_ascii();
    for step in steps {
        let (found, what) = match value.as_bytes().first() {
            Some(b'{') => (member(value, step), "object"),
            Some(b'[') => (index(step).and_then(|index| items(value).nth(index)), "array"),
            Some(b'"') => (None, "string"),
            Some(b't' | b'f') => (None, "boolean"),
            Some(b'n') => (None, "null"),
            _ => (None, "number"),
        };
        value = found.ok_or_else(|| Missing { step: Some(step.clone()), found: what })?;
    }
    Ok(place_of(value, json))
}

/// An array index: digits, without leading zeros (RFC 6901 4).
fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || !step.starts_with('0');
    (plain && step.bytes().all(|b| b.is_ascii_digit())).then(|| step.parse().ok()).flatten()
}

/// Where a slice of `json` lies in it.
fn place_of(slice: &str, json: &str) -> Range<usize> {
    let start = slice.as_ptr() as usize - json.as_ptr() as usize;
    start..start + slice.len()
}

/// The places that a query asks for, as a tree: the text is walked once, however many they are.
#[derive(Default)]
struct Wanted {
    /// This value is the query's so many-eth result. One value may be several.
    results: Vec<usize>,
    keys: HashMap<String, Wanted>,
    indices: HashMap<usize, Wanted>,
}

impl Wanted {
    fn add<'p>(&mut self, path: impl Iterator<Item = &'p PathElement<'p>>, result: usize) {
        let mut at = self;
        for element in path {
            at = match element {
                PathElement::Name(name) => at.keys.entry((*name).to_owned()).or_default(),
                PathElement::Index(index) => at.indices.entry(*index).or_default(),
            };
        }
        at.results.push(result);
    }

    /// Notes where the wanted values lie in `value`, a slice of `json`.
    fn find(&self, value: &str, json: &str, places: &mut [Range<usize>]) {
        for result in &self.results {
            places[*result] = place_of(value, json);
        }
        if !self.keys.is_empty() {
            for (key, value) in members(value) {
                if let Some(child) = self.keys.get(&*name(key)) {
                    child.find(value, json, places);
                }
            }
        }
        if !self.indices.is_empty() {
            for (at, value) in items(value).enumerate() {
                if let Some(child) = self.indices.get(&at) {
                    child.find(value, json, places);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn at(path: &str, json: &'static str) -> Result<&'static str, Missing> {
        match Path::parse(path).unwrap().locate(json)? {
            Found::One(place) => Ok(&json[place]),
            Found::Many(_) => panic!("{path} is not singular"),
        }
    }

    fn all(path: &str, json: &'static str) -> Vec<&'static str> {
        match Path::parse(path).unwrap().locate(json).unwrap() {
            Found::Many(places) => places.into_iter().map(|p| &json[p]).collect(),
            Found::One(_) => panic!("{path} is singular"),
        }
    }

    #[test]
    fn the_value_is_the_servers_own_text() {
        let json = r#" {"data": {"n" : 1.10e2 , "items":[ 1 , {"z":-0} ]}} "#;
        for (dotted, pointer, query) in [
            ("data.n", "/data/n", "$.data.n"),
            ("data.items", "/data/items", "$['data'][\"items\"]"),
            ("data.items.1.z", "/data/items/1/z", "$.data.items[-1].z"),
        ] {
            let text = at(dotted, json).unwrap();
            assert_eq!(at(pointer, json).unwrap(), text);
            assert_eq!(at(query, json).unwrap(), text);
        }
        assert_eq!(at("data.n", json).unwrap(), "1.10e2");
        assert_eq!(at("data.items", json).unwrap(), r#"[ 1 , {"z":-0} ]"#);
    }

    #[test]
    fn a_query_of_many_gives_each_value_as_it_came() {
        let json = r#"{"a": [{"v": 1.0}, {"v": 2.00, "w": 1}, {"v": 3e0}], "v": 12345678901234567890123}"#;
        assert_eq!(all("$.a[*].v", json), ["1.0", "2.00", "3e0"]);
        assert_eq!(all("$.a[?@.w].v", json), ["2.00"]);
        assert_eq!(all("$.a[1:].v", json), ["2.00", "3e0"]);
        assert_eq!(all("$.a[2,0].v", json), ["3e0", "1.0"]);
        assert_eq!(all("$..w", json), ["1"]);
        assert_eq!(all("$.a[?@.v > 9]", json), [""; 0]);
        for path in ["$.nothing[*]", "$.nothing.*", "$.v[*]"] {
            assert!(Path::parse(path).unwrap().locate(json).is_err(), "{path}");
        }
    }

    #[test]
    fn the_names_in_a_query_do_not_make_it_one_of_many() {
        let json = r#"{"a*,:?..b": {"'": 5}}"#;
        assert_eq!(at("$['a*,:?..b']['\\'']", json).unwrap(), "5");
    }

    #[test]
    fn a_pointers_escapes_are_undone() {
        let json = r#"{"a/b": 1, "m~n": 2, "": 3, " ": 4}"#;
        for (pointer, value) in [("/a~1b", "1"), ("/m~0n", "2"), ("/", "3"), ("/ ", "4")] {
            assert_eq!(at(pointer, json).unwrap(), value, "{pointer}");
        }
    }

    #[test]
    fn a_broken_path_is_refused_when_it_is_read() {
        for bad in ["", "/a~2b", "/a~", "$.a[", "$a", "$[?@.x ==]", "a..b", ".a"] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn of_a_duplicate_key_the_last_counts() {
        let json = r#"{"a":1,"b":2,"a":3}"#;
        for path in ["a", "/a", "$.a"] {
            assert_eq!(at(path, json).unwrap(), "3", "{path}");
        }
    }

    #[test]
    fn odd_keys_and_numbers_are_found_or_passed_over() {
        assert_eq!(at("a", r#"{"\ud800":1,"\u0061":2}"#).unwrap(), "2");
        assert_eq!(at("$.a", r#"{"\ud800":1e999,"\u0061":1e999}"#).unwrap(), "1e999");
        assert_eq!(at("é", r#"{"\u00e9":7}"#).unwrap(), "7");
        assert_eq!(at("0", r#"{"0":8}"#).unwrap(), "8");
        assert!(at("/01", "[1,2]").is_err());
    }

    #[test]
    fn a_step_that_leads_nowhere_is_named() {
        let json = r#"{"a": [1], "s": "x", "n": null}"#;
        for (path, step, found) in [
            ("b", "b", "object"),
            ("a.1", "1", "array"),
            ("/a/x", "x", "array"),
            ("a.0.y", "y", "number"),
            ("s.t", "t", "string"),
            ("n.t", "t", "null"),
        ] {
            assert_eq!(at(path, json).unwrap_err(), Missing { step: Some(step.into()), found }, "{path}");
        }
        assert_eq!(at("$.b", json).unwrap_err(), Missing { step: None, found: "answer" });
    }

    /// Trees of few names, so that paths meet them; numbers that a tree keeps.
    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\é]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec(("[a-c~/]{1,2}", inner), 0..5)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    const QUERIES: &[&str] = &[
        "$", "$.a", "$.*", "$..a", "$[*].b", "$..[0]", "$[?@.a]", "$.a[1:]", "$..*", "$.a.b", "$[0,1]",
        "$[-1]",
    ];

    proptest! {
        #[test]
        fn a_query_finds_what_its_crate_finds(tree in tree(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
            for query in QUERIES {
                let expected: Vec<&Value> = JsonPath::parse(query).unwrap().query(&tree).all();
                let found = match Path::parse(query).unwrap().locate(&text) {
                    Ok(Found::One(place)) => vec![place],
                    Ok(Found::Many(places)) => places,
                    Err(_) => vec![],
                };
                let found: Vec<Value> =
                    found.into_iter().map(|p| serde_json::from_str(&text[p]).unwrap()).collect();
                prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{}", query);
            }
        }

        #[test]
        fn a_pointer_finds_what_serde_finds(
            tree in tree(),
            tokens in proptest::collection::vec("[a-c~/0-3]{1,2}", 1..4),
        ) {
            let text = serde_json::to_string(&tree).unwrap();
            let escaped: String = tokens.iter().map(|t| format!("/{}", t.replace('~', "~0").replace('/', "~1"))).collect();
            let expected = tree.pointer(&escaped).cloned();
            let found = match Path::parse(&escaped).unwrap().locate(&text) {
                Ok(Found::One(place)) => Some(serde_json::from_str::<Value>(&text[place]).unwrap()),
                _ => None,
            };
            prop_assert_eq!(found, expected, "{}", escaped);
        }
    }

    #[test]
    fn a_hundred_thousand_results_take_one_walk() {
        let item = json!({"id": 1, "v": [1, 2, 3]});
        let text = serde_json::to_string(&vec![item; 100_000]).unwrap();
        let started = std::time::Instant::now();
        let Ok(Found::Many(places)) = Path::parse("$[*].id").unwrap().locate(&text) else { panic!() };
        assert_eq!(places.len(), 100_000);
        // A walk for each would take hours.
        assert!(started.elapsed().as_secs() < 60);
    }
}
