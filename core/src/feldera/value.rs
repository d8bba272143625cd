//! Answers and values that are not records: raw JSON, messages, downloads and secrets.

use std::fmt;

use bytes::Bytes;
use http::Response;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use crate::error::{ServiceError, content_type};
use crate::json::{self, NonFinite, WriteError};
use crate::operation::{self, FromResponse, OperationInfo, read_json};
use crate::schema::plain_fields;
use crate::secret::Secret;

/// An unparsed JSON value, for values without a known shape. Only these values have this type:
///
/// | what | why |
/// |---|---|
/// | [`GetCircuitJsonProfile`](super::profiles::GetCircuitJsonProfile)'s answer | for the web console, and differs with each release; described as an object and no more |
/// | [`SendOutputCommand`](super::data::SendOutputCommand)'s command and answer | each connector has commands of its own, and none is described |
/// | [`ProgramInfo::input_connectors`](super::pipelines::ProgramInfo::input_connectors), `output_connectors` | each connector has a configuration of its own, and real configurations do not fit the description |
/// | [`Relation::foreign_keys`](super::pipelines::Relation::foreign_keys) | the compiler's own, and not described |
/// | [`Rel::condition`](super::pipelines::Rel::condition), `exprs`, `aggs` | expressions as Calcite writes them, of any depth |
/// | [`RuntimeConfig::init_containers`](super::pipelines::RuntimeConfig::init_containers) | a part of Kubernetes' own API |
/// | [`RuntimeConfig::unknown`](super::pipelines::RuntimeConfig::unknown), and of all other records of settings | settings of another release, which are sent back as they are |
/// | [`Pipeline::deployment_resources_status_details`](super::pipelines::Pipeline::deployment_resources_status_details), and of events | differs from runner to runner, and is not described |
/// | [`ErrorResponse::details`](super::ErrorResponse::details) | differs from code to code: object, list, text or nothing |
/// | [`Watermark::metadata`](super::stats::Watermark::metadata) | a place in a source, as its connector counts |
/// | [`RuntimeStatusDetails::unknown`](super::pipelines::RuntimeStatusDetails::unknown) | details that another release writes in another shape |
/// | [`SampleValue::Unknown`](super::metrics::SampleValue::Unknown), and values of enums that this version of the library does not know | |
///
/// `Debug` shows its length only, because such values may hold passwords and keys.
///
/// ```
/// use pipewright::feldera::Json;
/// let config = Json::new(r#"{"name": "datagen"}"#)?;
/// assert_eq!(config.parse::<serde_json::Value>()?["name"], "datagen");
/// assert_eq!(format!("{config:?}"), "Json(19 bytes)");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Creates a value from a JSON text.
    ///
    /// # Errors
    /// An error that names the byte if the text is not one JSON value, or if readers disagree about it: a number beyond
    /// the range of a 64-bit float (`1e999`), an unpaired surrogate, or nesting of more than 120 levels.
    ///
    /// ```
    /// use pipewright::feldera::Json;
    /// let error = Json::new(r#"{"ratio":1e999}"#).expect_err("no number");
    /// assert!(error.to_string().starts_with("the number at byte 10 is beyond the range of a 64-bit float"), "{error}");
    /// ```
    pub fn new(text: impl Into<String>) -> Result<Self, serde_json::Error> {
        let text = text.into();
        json::check(text.as_bytes(), 0).map_err(serde::de::Error::custom)?;
        RawValue::from_string(text).map(Self)
    }

    /// Creates a value from a text that was assembled from JSON, with any nesting.
    pub(super) fn assembled(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// Creates a value from a type that serializes.
    ///
    /// # Errors
    /// An error that names the field if a number is `NaN` or infinite, which JSON cannot represent. Also if a key of a
    /// map cannot be a string, or if the value's `Serialize` fails.
    ///
    /// ```
    /// use pipewright::feldera::Json;
    /// use std::collections::BTreeMap;
    /// let error = Json::of(&BTreeMap::from([("ratio", f64::NAN)])).expect_err("no number");
    /// assert_eq!(error.to_string(), "the field \"ratio\" is NaN or infinite, which JSON cannot represent");
    /// ```
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        let mut text = Vec::new();
        json::write(&mut text, value, NonFinite::Reject).map_err(|error| match error {
            WriteError::Serialize(error) => error,
            error @ WriteError::NotFinite { .. } => serde::ser::Error::custom(error),
        })?;
        Self::new(String::from_utf8(text).map_err(serde::ser::Error::custom)?)
    }

    /// Returns the text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Reads the value as a type of the caller.
    ///
    /// # Errors
    /// The error of the deserializer if the value has another shape.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.get())
    }
}

/// Two texts of the same value are equal, however they are written: order of fields, white space, escapes, and `1` or
/// `1.0`.
impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        let value = |json: &Self| json.parse::<Value>().ok();
        self.get() == other.get() || value(self).zip(value(other)).is_some_and(|(own, other)| is_same(&own, &other))
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let is_whole = |number: &Number| number.is_u64() || number.is_i64();
            one == other || !(is_whole(one) && is_whole(other)) && one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_there = |(name, one)| other.get(name).is_some_and(|other| is_same(one, other));
            one.len() == other.len() && one.iter().all(is_there)
        }
        _ => one == other,
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.get().len())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::deserialize(deserializer).map(Self)
    }
}

/// The answer to a request that was accepted. Its message is meant for people, and is often absent.
///
/// For start, stop, pause, resume and clear, it only means that the desired status is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The message, such as `Pipeline is starting`.
    pub message: Option<String>,
}

impl Serialize for Accepted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.message.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Accepted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|message| Self { message })
    }
}

impl FromResponse for Accepted {
    fn from_response(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Self, ServiceError> {
        if response.body().is_empty() { Ok(Self::default()) } else { read_json(info, response) }
    }
}

/// A downloaded file, such as a profile or a support bundle.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Download {
    /// The content of the file.
    pub content: Bytes,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Download({} bytes)", self.content.len())
    }
}

impl Serialize for Download {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.content)
    }
}

impl<'de> Deserialize<'de> for Download {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(|content| Self { content: content.into() })
    }
}

impl FromResponse for Download {
    fn from_response(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<Self, ServiceError> {
        if response.body().is_empty() {
            return Err(ServiceError::unreadable(info, response, "the file is empty"));
        }
        reject_page(info, response)?;
        Ok(Self { content: response.body().clone() })
    }
}

/// Rejects a web page: the web console answers addresses outside of `/v0` with its page and 200.
pub(super) fn reject_page(info: &'static OperationInfo, response: &Response<Bytes>) -> Result<(), ServiceError> {
    match content_type(response) {
        Some(kind) if kind.eq_ignore_ascii_case("text/html") => {
            let problem = "a web page: does the base address have a path that it should not have?";
            Err(ServiceError::unreadable(info, response, problem).with_transient(false))
        }
        _ => operation::reject_compressed(info, response),
    }
}

/// A text in a body that may be a secret: an API key, the keys of a bucket, the value of an environment variable.
/// `Debug` does not show it. Serialization writes the text.
///
/// ```
/// use pipewright::feldera::SecretText;
/// let key = SecretText::from("s3cr3t");
/// assert_eq!(format!("{key:?}"), "SecretText(…)");
/// assert_eq!(key.secret().expose(), "s3cr3t");
/// ```
#[derive(Clone)]
pub struct SecretText(Secret);

impl SecretText {
    /// Returns the secret.
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

impl<T: Into<Box<str>>> From<T> for SecretText {
    fn from(text: T) -> Self {
        Self(Secret::new(text))
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

plain_fields!(Json, SecretText);

/// Enums of which some variants carry something: a string, or an object with one field.
///
/// ```text
/// tagged! {
///     /// What it is.
///     pub enum Reason {
///         /// `"Replaying"`.
///         Replaying = "Replaying",
///         /// `{"Barrier": "endpoint"}`.
///         Barrier(String) = "Barrier",
///     }
/// }
/// ```
macro_rules! tagged {
    ($(
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[$unit_meta:meta])* $unit:ident = $word:literal ),* ;
            $( $(#[$with_meta:meta])* $with:ident ( $content:ty ) = $key:literal ),* $(,)?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum $name {
            $( $(#[$unit_meta])* $unit, )*
            $( $(#[$with_meta])* $with($content), )*
            /// One that this version of the library does not know, with what it carries.
            Unknown(Box<str>, Option<$crate::feldera::Json>),
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                use ::serde::ser::SerializeMap as _;
                type Entry<'e, M, E> = &'e dyn Fn(&mut M) -> ::std::result::Result<(), E>;
                let entry = |serializer: S, value: Entry<'_, S::SerializeMap, S::Error>| {
                    let mut map = serializer.serialize_map(Some(1))?;
                    value(&mut map)?;
                    map.end()
                };
                match self {
                    $( Self::$unit => serializer.serialize_str($word), )*
                    $( Self::$with(content) => entry(serializer, &|map| {
                        map.serialize_entry($key, &$crate::schema::AsWire(content))
                    }), )*
                    // `null`, or an object without a field, which the server does not read.
                    Self::Unknown(word, None) if word.is_empty() => serializer.serialize_unit(),
                    Self::Unknown(word, None) => serializer.serialize_str(word),
                    Self::Unknown(word, Some(content)) => entry(serializer, &|map| map.serialize_entry(word, content)),
                }
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                struct Tagged;

                impl<'de> ::serde::de::Visitor<'de> for Tagged {
                    type Value = $name;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str(concat!("a ", stringify!($name), ": a text, or an object with one field"))
                    }

                    fn visit_str<E: ::serde::de::Error>(self, word: &str) -> ::std::result::Result<$name, E> {
                        Ok(match word {
                            $( $word => $name::$unit, )*
                            _ => $name::Unknown(word.into(), None),
                        })
                    }

                    /// As an object without a field.
                    fn visit_unit<E: ::serde::de::Error>(self) -> ::std::result::Result<$name, E> {
                        Ok($name::Unknown("".into(), None))
                    }

                    fn visit_map<A>(self, mut map: A) -> ::std::result::Result<$name, A::Error>
                    where
                        A: ::serde::de::MapAccess<'de>,
                    {
                        let Some(key) = map.next_key::<String>()? else {
                            return Ok($name::Unknown("".into(), None));
                        };
                        let value = match key.as_str() {
                            $( $key => {
                                let $crate::schema::Value(content) = map.next_value()?;
                                $name::$with(content)
                            } )*
                            _ => $name::Unknown(key.into(), Some(map.next_value()?)),
                        };
                        while map.next_entry::<::serde::de::IgnoredAny, ::serde::de::IgnoredAny>()?.is_some() {}
                        Ok(value)
                    }
                }

                deserializer.deserialize_any(Tagged)
            }
        }

        $crate::schema::plain_fields!($name);
    )*};
}

pub(super) use tagged;
