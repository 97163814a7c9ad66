//! The JSON Schema of the configuration, made from the types so that it cannot fall behind them.
//! `APL_BLESS=1 cargo test --lib schema` writes it anew.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::keys::ConnectorKeys;
use super::settings::{Timeout, TimeoutKeys};
use super::values::{Delay, Named, Rate, RawJson, Seconds, Size, Statuses};

macro_rules! inline {
    ($($kind:ty => $schema:expr),* $(,)?) => {$(
        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                stringify!($kind).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

inline! {
    Seconds => json_schema!({"type": "number", "exclusiveMinimum": 0, "maximum": 1e9}),
    Delay => json_schema!({"type": "number", "minimum": 0, "maximum": 1e9}),
    Rate => json_schema!({"type": "number", "exclusiveMinimum": 0}),
    Size => {
        let what = "must be a number of bytes, as 65536 or \"64KiB\"";
        json_schema!({"anyOf": [
            {"type": "integer", "minimum": 1, "patternErrorMessage": what},
            {"type": "string", "pattern": "^[0-9]+ *([kKmMgGtT][iI]?)?[bB]?$", "patternErrorMessage": what},
        ]})
    },
    Statuses => {
        let what = "must be a status, as 404 or \"5xx\"";
        let number = json!({"type": "integer", "minimum": 100, "maximum": 599, "patternErrorMessage": what});
        let pattern = "^[1-5]([0-9]{2}|[xX]{2})$";
        let class = json!({"type": "string", "pattern": pattern, "patternErrorMessage": what});
        json_schema!({"anyOf": [number, class, {"type": "array", "items": {"anyOf": [number, class]}}]})
    },
    RawJson => json_schema!(true),
}

impl JsonSchema for Timeout {
    fn schema_name() -> Cow<'static, str> {
        "Timeout".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (number, keys) = (generator.subschema_for::<Seconds>(), generator.subschema_for::<TimeoutKeys>());
        json_schema!({"anyOf": [number, keys]})
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Named_{}", T::schema_name()).into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({"type": "object", "additionalProperties": value})
    }
}

/// Definition, key, and its other names. serde knows them, schemars does not.
const ALIASES: [(&str, &str, &str); 3] =
    [("", "type", "connector_type"), ("", "auth", "auth_config"), ("", "default_headers", "headers")];

/// Definition, key, default.
fn defaults() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("", "timeout", json!(30)),
        ("", "retry_count", json!(3)),
        ("", "retry_delay", json!(1)),
        ("", "proxy", json!("none")),
        ("", "accept_encoding", json!("auto")),
        ("EndpointKeys", "method", json!("GET")),
        ("RetryKeys", "max", json!(30)),
        ("RetryKeys", "max_wait", json!(60)),
        ("RetryKeys", "statuses", json!([408, 425, 429, 500, 502, 503, 504])),
        ("RetryKeys", "idempotency_key", json!("off")),
        ("RedirectKeys", "follow", json!(true)),
        ("RedirectKeys", "max", json!(10)),
        ("LimitKeys", "max_body", json!("256MiB")),
        ("LimitKeys", "max_result", json!("1GiB")),
        ("LimitKeys", "max_header", json!("64KiB")),
        ("LimitKeys", "max_event", json!("4MiB")),
        ("LimitKeys", "max_pages_guard", json!(10000)),
        ("LimitKeys", "max_error_body", json!("64KiB")),
        ("LimitKeys", "block_private_networks", json!(false)),
        ("RateLimit", "strategy", json!("token_bucket")),
        ("RateLimit", "rate", json!(10)),
        ("Pool", "max_idle_per_host", json!(16)),
        ("Pool", "idle_age", json!(60)),
        ("Health", "path", json!("/")),
        ("Health", "timeout", json!(5)),
        ("Streaming", "chunk_size", json!(65536)),
        ("Sse", "chunk_size", json!(50)),
        ("Sse", "backpressure_buffer_size", json!(500)),
        ("Sse", "reconnect_delay", json!(1.0)),
        ("Sse", "reconnect_clamp", json!([0.01, 300])),
        ("Pagination", "page_param", json!("page")),
        ("Pagination", "base_page", json!(1)),
        ("Pagination", "max_empty_pages", json!(3)),
        ("Pagination", "cursor_variable", json!("after")),
        ("Cache", "max_entries", json!(100)),
        ("Cache", "max_bytes", json!("16MiB")),
        ("RateLimit", "rate", json!(10)),
    ]
}

fn definition<'v>(root: &'v mut Value, name: &str) -> &'v mut Map<String, Value> {
    let node = if name.is_empty() { root } else { &mut root["$defs"][name] };
    node.get_mut("properties").unwrap_or_else(|| panic!("no {name}")).as_object_mut().unwrap()
}

/// What schemars cannot know: aliases, defaults, notes, and that anything may come through `${VAR}`.
fn finish(mut root: Value) -> Value {
    for (name, key, value) in defaults() {
        definition(&mut root, name).get_mut(key).unwrap_or_else(|| panic!("{name}.{key}"))["default"] = value;
    }
    for (name, key, alias) in ALIASES {
        add_alias(definition(&mut root, name), key, alias);
    }
    let method = &mut definition(&mut root, "EndpointKeys")["method"];
    method["examples"] = json!(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]);
    // In YAML, an unquoted null is this value too.
    root["$defs"]["OnMissing"]["oneOf"].as_array_mut().unwrap().push(json!({"type": "null"}));
    walk(&mut root);
    root["title"] = json!("apl connector");
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root
}

fn walk(node: &mut Value) {
    match node {
        Value::Array(items) => items.iter_mut().for_each(walk),
        Value::Object(map) => {
            map.values_mut().for_each(walk);
            // That a key may be left out needs no saying, and editors write `null` for it, or fail.
            if map.get("default") == Some(&Value::Null) {
                map.remove("default");
            }
            // Formats of Rust's integers say nothing to an editor.
            if map.get("format").is_some_and(Value::is_string) {
                map.remove("format");
            }
            if map.get("additionalProperties") == Some(&json!(false)) {
                map.insert("patternProperties".into(), json!({"^x-": true}));
                let properties = map.entry("properties").or_insert_with(|| json!({}));
                for note in ["description", "name"] {
                    let note = properties.as_object_mut().unwrap().entry(note);
                    note.or_insert_with(|| json!({"description": "A note; not read."}));
                }
            }
            // A number or flag may be filled in from the environment.
            let scalar =
                matches!(map.get("type").and_then(Value::as_str), Some("integer" | "number" | "boolean"));
            let nullable = map.get("type").and_then(Value::as_array).is_some_and(|t| {
                t.len() == 2
                    && t[1] == "null"
                    && matches!(t[0].as_str(), Some("integer" | "number" | "boolean"))
            });
            if scalar {
                let kind = map["type"].take();
                map.insert("type".into(), json!([kind, "string"]));
            } else if nullable {
                map["type"].as_array_mut().unwrap().push(json!("string"));
            }
            if scalar || nullable {
                let what = match map["type"][0].as_str() {
                    Some("integer") => "a whole number",
                    Some("number") => "a number",
                    _ => "true or false",
                };
                // Editors show this one in place of the pattern.
                let message = map.entry("patternErrorMessage");
                message.or_insert_with(|| json!(format!("must be {what}, or come from ${{VAR}}")));
                map.insert("pattern".into(), json!("\\$\\{"));
            }
        }
        _ => {}
    }
}

fn add_alias(properties: &mut Map<String, Value>, key: &str, alias: &str) {
    let mut copy = properties[key].clone();
    copy["description"] = json!(format!("Another name of `{key}`."));
    properties.insert(alias.into(), copy);
}

/// The schemes stand inside `Auth`, with their keys. Which there are is said once more for all of them: editors offer,
/// and explain, what stands there, and not what one of many may be.
fn finish_auth(root: &mut Value) {
    let Some(schemes) = root["$defs"]["Auth"]["oneOf"].as_array_mut() else { panic!("no schemes") };
    let (mut types, mut meanings) = (Vec::new(), Vec::new());
    for scheme in schemes {
        let properties = scheme["properties"].as_object_mut().unwrap();
        if properties["type"]["const"] == "oauth2" {
            properties["type"] = json!({"enum": ["oauth2", "oauth2_client_credentials"]});
        }
        if properties["type"]["const"] == "api_key" {
            properties["header"]["default"] = json!("X-API-Key");
            properties["param_name"]["default"] = json!("api_key");
            add_alias(properties, "header", "header_name");
            add_alias(properties, "param_name", "query_param");
        }
        let names = match properties["type"].get("enum") {
            Some(names) => names.as_array().unwrap().clone(),
            None => vec![properties["type"]["const"].clone()],
        };
        scheme["title"] = names[0].clone();
        meanings.resize(meanings.len() + names.len(), scheme["description"].clone());
        types.extend(names);
    }
    let kind = json!({"description": "The scheme; its keys stand beside it.", "enum": types, "enumDescriptions": meanings});
    let auth = root["$defs"]["Auth"].as_object_mut().unwrap();
    auth.extend([
        ("type".into(), json!("object")),
        ("required".into(), json!(["type"])),
        ("properties".into(), json!({"type": kind})),
    ]);
}

#[test]
fn the_committed_schema_is_the_one_of_the_types() {
    let mut root = serde_json::to_value(schemars::schema_for!(ConnectorKeys)).unwrap();
    finish_auth(&mut root);
    let text = serde_json::to_string_pretty(&finish(root)).unwrap() + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/connector.schema.json");
    if std::env::var_os("APL_BLESS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
        std::fs::write(path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed.replace("\r\n", "\n") == text,
        "docs/connector.schema.json is old: APL_BLESS=1 cargo test --lib schema"
    );
}
