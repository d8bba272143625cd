//! The tables: operations, records and open enums, one row each, as in the APIs' own descriptions.
//!
//! These macros declare the operations and the records of all services. Declaring about two hundred operations and as
//! many answer types by hand would bury what differs between them. `serde_derive` reads services' answers less well
//! than we need: in a record a `null` is the same as an absent field, lists and maps may be absent, numbers may come as
//! `"NaN"`, and a field may have had another name in an older release. It would also add five crates.
//!
//! * [`operations!`](operations.rs): a struct per operation, with `new` for what is required and a setter for
//!   each option, its [`Operation`](crate::Operation) and its row of [`operations()`](crate::operations).
//! * [`json_structs!`](json_structs.rs): a struct per JSON object, read tolerantly and written back under the same
//!   names.
//! * [`string_enums!`](string_enums.rs): an enum per set of strings, with `Unknown` for those of the next release.

mod body;
mod field;
mod json_structs;
mod operations;
#[cfg(feature = "flink")]
mod partial_list;
mod string_enums;
pub(crate) mod style;

pub(crate) use body::JsonBody;
pub(crate) use field::WireField;
pub(crate) use field::{
    AsWire, Redacted, Unreadable, Value, plain_fields, read_decisive_into, read_into, read_kept_into, text_or_null,
};
pub(crate) use json_structs::{json_struct, json_structs, key, read_field, shown, styled_keys};
pub(crate) use operations::{operations, reader, sent};
#[cfg(feature = "flink")]
pub use partial_list::PartialList;
pub(crate) use string_enums::string_enums;
