//! Kinds of values: durations, sizes, statuses, JSON as it was written, ordered mappings.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use super::secret::Text;

/// The name under which the tree hands over a value as JSON text.
pub(super) const RAW: &str = "$apl::RawJson";

/// No duration is longer than this many seconds (about 31 years).
const MAX_SECONDS: f64 = 1e9;

fn duration<E: de::Error>(seconds: f64, zero: bool) -> Result<Duration, E> {
    if !seconds.is_finite() || !(0.0..=MAX_SECONDS).contains(&seconds) {
        return Err(E::custom(format!("must be seconds, from 0 to {MAX_SECONDS:.0}")));
    }
    let duration = Duration::from_secs_f64(seconds);
    if duration.is_zero() && !zero {
        return Err(E::custom("must be more than 0 seconds"));
    }
    Ok(duration)
}

struct Number(&'static str);

impl Visitor<'_> for Number {
    type Value = f64;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
    fn visit_f64<E>(self, n: f64) -> Result<f64, E> {
        Ok(n)
    }
    fn visit_u64<E>(self, n: u64) -> Result<f64, E> {
        Ok(n as f64)
    }
    fn visit_i64<E>(self, n: i64) -> Result<f64, E> {
        Ok(n as f64)
    }
}

/// A duration in seconds, more than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Seconds, D::Error> {
        let n = deserializer.deserialize_f64(Number("a number of seconds"))?;
        duration(n, false).map(Seconds)
    }
}

/// A duration in seconds that may be 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay(pub Duration);

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Delay, D::Error> {
        let n = deserializer.deserialize_f64(Number("a number of seconds"))?;
        duration(n, true).map(Delay)
    }
}

/// A number that is finite and more than 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(pub f64);

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        let n = deserializer.deserialize_f64(Number("a number above 0"))?;
        if n.is_finite() && n > 0.0 {
            Ok(Rate(n))
        } else {
            Err(de::Error::custom("must be a number above 0"))
        }
    }
}

/// A number of bytes, more than 0: a number, or a string as `64KiB`, `256MiB`, `10MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = u64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, as 65536 or \"64KiB\"")
            }
            fn visit_u64<E>(self, n: u64) -> Result<u64, E> {
                Ok(n)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
                let text = text.trim();
                let (digits, unit) =
                    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
                let factor = match unit.trim().to_ascii_lowercase().as_str() {
                    "" | "b" => Some(1),
                    "kib" => Some(1 << 10),
                    "mib" => Some(1 << 20),
                    "gib" => Some(1 << 30),
                    "tib" => Some(1 << 40),
                    "kb" => Some(1_000),
                    "mb" => Some(1_000_000),
                    "gb" => Some(1_000_000_000),
                    "tb" => Some(1_000_000_000_000),
                    _ => None,
                };
                let size = factor.and_then(|f: u64| digits.parse::<u64>().ok()?.checked_mul(f));
                size.ok_or_else(|| E::custom("must be a number of bytes, as 65536 or \"64KiB\""))
            }
        }
        // Asked for as a number, so that one that came through `${VAR}` is one.
        match deserializer.deserialize_u64(Bytes)? {
            n if n > 0 && n <= i64::MAX as u64 => Ok(Size(n)),
            _ => Err(de::Error::custom("must be more than 0 bytes, and less than 8 EiB")),
        }
    }
}

/// A set of HTTP statuses: `404`, `"5xx"`, or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(Vec<Status>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    One(u16),
    /// 5 for 5xx
    Class(u16),
}

impl Statuses {
    /// A set of single statuses.
    pub fn of(statuses: &[u16]) -> Statuses {
        Statuses(statuses.iter().map(|s| Status::One(*s)).collect())
    }

    /// Is the status in the set?
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|s| match s {
            Status::One(one) => *one == status,
            Status::Class(class) => status / 100 == *class,
        })
    }

    /// Is there none in it?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The set as a configuration has it.
    pub fn to_json(&self) -> serde_json::Value {
        let each = self.0.iter().map(|s| match s {
            Status::One(one) => serde_json::json!(one),
            Status::Class(class) => serde_json::json!(format!("{class}xx")),
        });
        serde_json::Value::Array(each.collect())
    }
}

impl Status {
    fn of_number<E: de::Error>(n: u64) -> Result<Status, E> {
        match u16::try_from(n) {
            Ok(n @ 100..=599) => Ok(Status::One(n)),
            _ => Err(E::custom("must be a status from 100 to 599")),
        }
    }

    fn of_text<E: de::Error>(text: &str) -> Result<Status, E> {
        match text.as_bytes() {
            [class @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] => Ok(Status::Class(u16::from(class - b'0'))),
            _ => match text.parse() {
                Ok(n) => Status::of_number(n),
                Err(_) => Err(E::custom("must be a status, as 404 or \"5xx\"")),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Status, D::Error> {
        Statuses::deserialize(deserializer).and_then(|s| match s.0[..] {
            [one] => Ok(one),
            _ => Err(de::Error::custom("must be a status, as 404 or \"5xx\"")),
        })
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Statuses, D::Error> {
        struct Set;
        impl<'de> Visitor<'de> for Set {
            type Value = Statuses;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status, as 404 or \"5xx\", or a list of them")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Statuses, E> {
                Status::of_number(n).map(|s| Statuses(vec![s]))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Statuses, E> {
                Status::of_text(text).map(|s| Statuses(vec![s]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Statuses, A::Error> {
                let mut all = Vec::new();
                while let Some(status) = seq.next_element()? {
                    all.push(status);
                }
                Ok(Statuses(all))
            }
        }
        deserializer.deserialize_u16(Set)
    }
}

/// Any value, as JSON text with its numbers as they were written.
#[derive(Clone, PartialEq)]
pub struct RawJson {
    json: Zeroizing<String>,
    env: Vec<Text>,
}

impl RawJson {
    /// The JSON text.
    pub fn get(&self) -> &str {
        &self.json
    }

    /// The strings in it that came, wholly or partly, through `${VAR}`.
    pub fn env(&self) -> impl Iterator<Item = &str> {
        self.env.iter().map(Text::as_str)
    }

    /// Did some of it come through `${VAR}`?
    pub fn is_from_env(&self) -> bool {
        !self.env.is_empty()
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_from_env() { "***" } else { &self.json })
    }
}

impl<'de> Deserialize<'de> for RawJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawJson, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = RawJson;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawJson, A::Error> {
                let json = seq.next_element::<String>()?.unwrap_or_default();
                let mut env = Vec::new();
                while let Some(value) = seq.next_element::<String>()? {
                    env.push(Text::new(value));
                }
                Ok(RawJson { json: Zeroizing::new(json), env })
            }
        }
        deserializer.deserialize_newtype_struct(RAW, Parts)
    }
}

/// A mapping with free keys, in the order of the text.
#[derive(Clone, Debug)]
pub struct Named<T>(pub Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Named(Vec::new())
    }
}

impl<T> Named<T> {
    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Is there nothing in it?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Named<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Named(pairs))
            }
        }
        deserializer.deserialize_map(Pairs(PhantomData))
    }
}
