//! Open enums.

/// Declares enums of strings that keep a string they do not know.
///
/// ```text
/// string_enums! {
///     /// What it is.
///     pub enum JobState {
///         /// What this one means.
///         Running = "RUNNING",
///         /// A second spelling is read and written back as the first.
///         Deprecated = "deprecated" | "DEPRECATED",
///     }
/// }
/// ```
macro_rules! string_enums {
    ($(
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $word:literal $(| $other:literal)* ),* $(,)?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(
                $(#[$variant_meta])*
                #[allow(missing_docs, reason = "the names of some variants say everything")]
                $variant,
            )*
            /// One that this version of the library does not know; the text is kept.
            Unknown(Box<str>),
        }

        impl $name {
            /// As it stands on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$variant => $word, )*
                    Self::Unknown(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $( $word $(| $other)* => Self::$variant, )*
                    _ => Self::Unknown(word.into()),
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::url::Parameter for $name {
            fn encode(&self, out: &mut $crate::url::Encoder<'_>) -> ::std::fmt::Result {
                ::std::fmt::Write::write_str(out, self.as_str())
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                struct Word;

                impl ::serde::de::Visitor<'_> for Word {
                    type Value = $name;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str(concat!("the text of a ", stringify!($name)))
                    }

                    fn visit_str<E: ::serde::de::Error>(self, word: &str) -> ::std::result::Result<$name, E> {
                        Ok(word.into())
                    }
                }

                deserializer.deserialize_str(Word)
            }
        }

        impl $crate::schema::WireField for $name {
            fn read<'de, D: ::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                ::serde::Deserialize::deserialize(deserializer)
            }

            fn read_or_null<'de, D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<::std::option::Option<Self>, D::Error> {
                $crate::schema::text_or_null(deserializer, concat!("the text of a ", stringify!($name)))
            }

            fn write<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                ::serde::Serialize::serialize(self, serializer)
            }
        }
    )*};
}

pub(crate) use string_enums;
