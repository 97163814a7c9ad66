//! Strings of the configuration: ordinary ones that remember what came from the environment, and secrets.

use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// The name under which the tree hands over a string together with what `${VAR}` put into it.
pub(super) const TEXT: &str = "$apl::Text";

/// A string of the configuration. Wiped when freed; not printed where it came from the environment.
#[derive(Clone, Default, PartialEq)]
pub struct Text {
    text: Zeroizing<String>,
    env: Vec<Zeroizing<String>>,
    filled: bool,
}

impl Text {
    /// A string as it stands in the configuration.
    pub fn new(text: impl Into<String>) -> Text {
        Text { text: Zeroizing::new(text.into()), env: Vec::new(), filled: false }
    }

    /// A string with the values that came through `${VAR}`.
    pub(super) fn with_env(text: String, env: Vec<String>) -> Text {
        Text { text: Zeroizing::new(text), env: env.into_iter().map(Zeroizing::new).collect(), filled: true }
    }

    /// The string.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The values that came through `${VAR}`.
    pub fn env(&self) -> impl Iterator<Item = &str> {
        self.env.iter().map(|v| v.as_str())
    }

    /// Was there a `${VAR}` in it, even one whose default was taken?
    pub(super) fn is_filled(&self) -> bool {
        self.filled
    }

    /// Did some of it come through `${VAR}`?
    pub fn is_from_env(&self) -> bool {
        !self.env.is_empty()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_from_env() { f.write_str("***") } else { fmt::Debug::fmt(self.as_str(), f) }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
                let text = seq.next_element::<String>()?.unwrap_or_default();
                let mut env = Vec::new();
                while let Some(value) = seq.next_element::<String>()? {
                    env.push(value);
                }
                Ok(Text::with_env(text, env))
            }
        }
        deserializer.deserialize_newtype_struct(TEXT, Parts)
    }
}

/// A credential. It cannot be printed or serialized, and is wiped when freed.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Makes a secret of a string.
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(value.into()))
    }

    /// The value. What is done with it must not reach a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        Text::deserialize(deserializer).map(|t| Secret(t.text))
    }
}

#[cfg(test)]
mod json_schema {
    use std::borrow::Cow;

    impl schemars::JsonSchema for super::Text {
        fn schema_name() -> Cow<'static, str> {
            "Text".into()
        }
        fn inline_schema() -> bool {
            true
        }
        fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
            schemars::json_schema!({"type": ["string", "number", "boolean"]})
        }
    }

    impl schemars::JsonSchema for super::Secret {
        fn schema_name() -> Cow<'static, str> {
            "Secret".into()
        }
        fn inline_schema() -> bool {
            true
        }
        fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
            schemars::json_schema!({"type": ["string", "number"]})
        }
    }
}
