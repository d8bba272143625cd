//! Records: JSON objects.

/// Declares structs that are read from and written to JSON objects.
///
/// ```text
/// json_structs! {
///     /// What it is.
///     pub struct JobDetails {
///         /// What it means, with its unit. The key is the field's name.
///         pub name: String,
///         /// Under another key.
///         pub job: JobId = "jid",
///         /// Read under the second name too; written under the first.
///         pub failure_cause: Option<Throwable> = "failure-cause" | "failureCause",
///         /// `Debug` shows only that it is there.
///         pub arguments: Option<String> = "args" (private),
///         /// A flow decides by it: a value that cannot be read is never taken for absent.
///         pub location: Option<String> = "location" (decisive),
///         /// That it is there matters: a value that cannot be read is kept as `Unreadable::unreadable` says.
///         pub error: Option<ErrorResponse> = "error" (kept),
///     }
/// }
/// ```
///
/// `struct Name in kebab { … }` and `in camel` derive the keys that are not given from the names: `start-time`,
/// `startTime`.
///
/// Unknown fields are skipped. An absent or `null` field is `None` for an option and empty for a list or map. A record
/// all of whose fields may be absent may itself be absent: then none of its fields is there. For any other type an
/// absent field is an error that names the field. Only ids, names, statuses and tokens by which a flow or a request
/// decides are of such a type: see `tests/tests/common/odd_answers`.
///
/// In an answer of a service, a value that cannot be read counts as absent, unless the field is `decisive` or `kept`.
/// Every field is written, absent fields as `null`; but of a `pub struct Name (sparse) { … }`, which is sent too,
/// absent fields are left out, for the service has defaults for them.
macro_rules! json_structs {
    ($(
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(($sparse:ident))? $(in $style:ident)? { $($fields:tt)* }
    )*) => {
        $( $crate::schema::json_struct! { ($($style)?) $(#[$meta])* $vis struct $name $(($sparse))? { $($fields)* } } )*
    };
}

/// One record, with the style of its keys in front.
macro_rules! json_struct {
    (
        $style:tt
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(($sparse:ident))? {
            $(
                $(#[$field_meta:meta])*
                pub $field:ident : $type:ty $(= $key:literal $(| $other:literal)* $(($flag:ident))?)?
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq)]
        #[non_exhaustive]
        $vis struct $name {
            $(
                $(#[$field_meta])*
                #[allow(missing_docs, reason = "the names of some fields say everything")]
                pub $field: $type,
            )*
        }

        impl ::std::fmt::Debug for $name {
            #[inline]
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $( .field(stringify!($field), $crate::schema::shown!(self.$field $($(, $flag)?)?)) )*
                    .finish()
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                #[allow(unused_imports, reason = "a record may be empty")]
                use ::serde::ser::SerializeStruct as _;
                let fields = <[&str]>::len(&[$(stringify!($field)),*]);
                #[allow(unused_mut, reason = "a record may be empty")]
                let mut record = serializer.serialize_struct(stringify!($name), fields)?;
                #[allow(unused_variables, reason = "a record may be empty")]
                let sparse = false $(|| { let _ = stringify!($sparse); true })?;
                $( if !sparse || !$crate::schema::WireField::is_absent(&self.$field) {
                    record.serialize_field(
                        $crate::schema::key!($field $(= $key)? in $style),
                        &$crate::schema::AsWire(&self.$field),
                    )?;
                } )*
                record.end()
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                #[allow(non_camel_case_types, reason = "variants are named like the fields")]
                enum Key { $( $field, )* __Skipped }

                impl<'de> ::serde::Deserialize<'de> for Key {
                    fn deserialize<D>(deserializer: D) -> ::std::result::Result<Self, D::Error>
                    where
                        D: ::serde::Deserializer<'de>,
                    {
                        struct Name;

                        $crate::schema::styled_keys!($style $($field)*);

                        impl ::serde::de::Visitor<'_> for Name {
                            type Value = Key;

                            fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                                f.write_str("the name of a field")
                            }

                            fn visit_str<E: ::serde::de::Error>(self, name: &str) -> ::std::result::Result<Key, E> {
                                Ok(match name {
                                    $(
                                        $crate::schema::key!(@pattern $field $(= $key)? in $style) $($(| $other)*)? =>
                                            Key::$field,
                                    )*
                                    _ => Key::__Skipped,
                                })
                            }
                        }

                        deserializer.deserialize_identifier(Name)
                    }
                }

                struct Record;

                impl<'de> ::serde::de::Visitor<'de> for Record {
                    type Value = $name;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str(concat!("the object ", stringify!($name)))
                    }

                    fn visit_map<A>(self, mut map: A) -> ::std::result::Result<$name, A::Error>
                    where
                        A: ::serde::de::MapAccess<'de>,
                    {
                        $( let mut $field: ::std::option::Option<$type> = None; )*
                        while let Some(__key) = map.next_key::<Key>()? {
                            match __key {
                                $( Key::$field => $crate::schema::read_field!(map, $field $($(, $flag $key)?)?), )*
                                Key::__Skipped => {
                                    map.next_value::<::serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        Ok($name {
                            $( $field: match $field.or_else(<$type as $crate::schema::WireField>::absent) {
                                Some(value) => value,
                                None => {
                                    let key = $crate::schema::key!($field $(= $key)? in $style);
                                    return Err(::serde::de::Error::missing_field(key));
                                }
                            }, )*
                        })
                    }
                }

                deserializer.deserialize_map(Record)
            }
        }

        impl $crate::schema::WireField for $name {
            fn read<'de, D: ::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                ::serde::Deserialize::deserialize(deserializer)
            }

            fn write<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                ::serde::Serialize::serialize(self, serializer)
            }

            fn absent() -> ::std::option::Option<Self> {
                Some(Self { $( $field: <$type as $crate::schema::WireField>::absent()?, )* })
            }
        }
    };
}

/// The key of a field: given, or its name, in the style of the record. `@pattern`: for a `match`.
macro_rules! key {
    ($(@pattern)? $field:ident = $key:literal $(in $style:tt)?) => {
        $key
    };
    ($(@pattern)? $field:ident $(in ())?) => {
        stringify!($field)
    };
    (@pattern $field:ident in ($style:ident)) => {
        Styled::$field
    };
    ($field:ident in ($style:ident)) => {
        const {
            const LENGTH: usize = $crate::schema::style::$style::length(stringify!($field));
            const KEY: [u8; LENGTH] = $crate::schema::style::$style::key(stringify!($field));
            $crate::schema::style::text(&KEY)
        }
    };
}

/// The keys of a record in a style, as constants for patterns.
macro_rules! styled_keys {
    (() $($field:ident)*) => {};
    ($style:tt $($field:ident)*) => {
        struct Styled;

        #[allow(non_upper_case_globals, dead_code, reason = "named like the fields, some of which have keys of their own")]
        impl Styled {
            $( const $field: &'static str = $crate::schema::key!($field in $style); )*
        }
    };
}

/// A field as `Debug` shows it.
macro_rules! shown {
    ($field:expr) => {
        &$field
    };
    ($field:expr, decisive) => {
        &$field
    };
    ($field:expr, kept) => {
        &$field
    };
    ($field:expr, private) => {
        &$crate::schema::Redacted($crate::schema::WireField::is_absent(&$field))
    };
}

/// Reads the value of a field.
macro_rules! read_field {
    ($map:ident, $field:ident $(, private $key:literal)?) => {
        $crate::schema::read_into(&mut $map, &mut $field)?
    };
    ($map:ident, $field:ident, decisive $key:literal) => {
        $crate::schema::read_decisive_into(&mut $map, &mut $field, $key)?
    };
    ($map:ident, $field:ident, kept $key:literal) => {
        $crate::schema::read_kept_into(&mut $map, &mut $field)?
    };
}

pub(crate) use {json_struct, json_structs, key, read_field, shown, styled_keys};
