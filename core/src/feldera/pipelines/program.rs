//! Programs: how they are compiled, what was wrong with them, what they declare.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::CompilationProfile;
use super::Dataflow;
use crate::feldera::Json;
use crate::feldera::settings::{settings, string_settings};
use crate::schema::json_structs;

string_settings!(CompilationProfile);

settings! {
    /// How a program is compiled. A setting that is `None` is left out of requests.
    pub struct ProgramConfig {
        /// How much the Rust compiler optimizes; the platform has a default.
        pub profile: Option<CompilationProfile>,
        /// Whether to reuse an earlier compilation if nothing has changed; true by default.
        pub cache: Option<bool>,
        /// The runtime: a tag such as `v0.96.0` or a commit; the platform's own runtime by default. `gen2`, or `gen2:`
        /// and a commit, is the Gen-2 engine, which compiles no Rust; since 0.375. See [`is_gen2`](Self::is_gen2).
        pub runtime_version: Option<String>,
        /// Whether to compile with the platform's SQL compiler, even for another runtime version; false by default.
        pub use_platform_compiler: Option<bool>,
    }
}

json_structs! {
    /// The messages of the compilers.
    pub struct ProgramError {
        pub sql_compilation: Option<SqlCompilation>,
        pub rust_compilation: Option<RustCompilation>,
        /// Why the platform failed to compile the program.
        pub system_error: Option<String>,
    }

    /// The result of the SQL compiler.
    pub struct SqlCompilation {
        /// The exit code. It is also 0 if a connector is invalid.
        pub exit_code: Option<i64>,
        pub messages: Vec<SqlMessage>,
    }

    /// An error or a warning of the SQL compiler. Lines and columns are counted from 1. `Debug` shows the quoted
    /// program text, because it is needed to find the error.
    pub struct SqlMessage {
        pub start_line_number: Option<u64>,
        pub start_column: Option<u64>,
        pub end_line_number: Option<u64>,
        pub end_column: Option<u64>,
        pub warning: Option<bool>,
        pub error_type: Option<String>,
        pub message: Option<String>,
        /// The lines of the program, with a mark at the error.
        pub snippet: Option<String>,
    }

    /// The result of the Rust compiler.
    pub struct RustCompilation {
        pub exit_code: Option<i64>,
        pub stdout: Option<String>,
        pub stderr: Option<String>,
        /// The diagnostics of rustc in [`stderr`](field@Self::stderr), with their positions. Empty before 0.375.
        pub messages: Vec<RustMessage>,
    }

    /// An error or a warning of rustc. Lines and columns are counted from 1. `Debug` shows the quoted source, as for
    /// [`SqlMessage`].
    pub struct RustMessage {
        /// The file; `None` if the diagnostic has no position.
        pub file: Option<String>,
        pub start_line_number: Option<u64>,
        pub start_column: Option<u64>,
        pub end_line_number: Option<u64>,
        pub end_column: Option<u64>,
        pub warning: Option<bool>,
        /// The kind, as rustc names it.
        pub error_type: Option<String>,
        pub message: Option<String>,
        /// The whole diagnostic as rustc prints it, with the lines of the source.
        pub rendered: Option<String>,
    }

    /// The compiler's information about a program.
    pub struct ProgramInfo {
        pub schema: Schema,
        pub udf_stubs: Option<String>,
        /// The connectors of tables by name, each in its own format.
        pub input_connectors: BTreeMap<String, Json>,
        /// The connectors of views by name, each in its own format.
        pub output_connectors: BTreeMap<String, Json>,
        /// The generated Rust. Only before 0.121, from `get_program_info`. `Debug` does not show it.
        pub main_rust: Option<String> = "main_rust" (private),
        /// The dataflow graph, as in [`GetDataflowGraph`](crate::feldera::programs::GetDataflowGraph).
        pub dataflow: Option<Dataflow>,
    }

    /// The tables and views of a program.
    pub struct Schema {
        /// The tables.
        pub inputs: Vec<Relation>,
        /// The views.
        pub outputs: Vec<Relation>,
    }

    /// A table or a view.
    pub struct Relation {
        pub name: String,
        /// Whether the name was declared in quotes.
        pub case_sensitive: Option<bool>,
        pub fields: Vec<Field>,
        pub primary_key: Vec<String>,
        /// Whether it can be queried, and subscriptions can begin with a snapshot.
        pub materialized: Option<bool>,
        /// The properties in the `WITH` clause.
        pub properties: BTreeMap<String, Property>,
        /// The foreign keys, in the compiler's format.
        pub foreign_keys: Option<Json>,
    }

    /// A property in a `WITH` clause.
    pub struct Property {
        /// The value. `Debug` does not show it, because `connectors` often has keys and passwords.
        pub value: Option<String> = "value" (private),
        pub key_position: Option<SourcePosition>,
        pub value_position: Option<SourcePosition>,
    }

    /// A position in the program, counted from 1.
    pub struct SourcePosition {
        pub start_line_number: Option<u64>,
        pub start_column: Option<u64>,
        pub end_line_number: Option<u64>,
        pub end_column: Option<u64>,
    }

    /// A column.
    pub struct Field {
        pub name: String,
        /// Whether the name was declared in quotes.
        pub case_sensitive: Option<bool>,
        pub columntype: ColumnType,
        /// The default value, as SQL.
        pub default: Option<String>,
        /// The lateness of its values, as SQL.
        pub lateness: Option<String>,
        /// The watermark of its values, as SQL.
        pub watermark: Option<String>,
        /// Whether nothing depends on the column.
        pub unused: Option<bool>,
    }

    /// The type of a column.
    pub struct ColumnType {
        /// The SQL name, such as `BIGINT`.
        pub kind: Option<String> = "type",
        pub nullable: Option<bool>,
        /// The number of digits or characters; -1 for no limit.
        pub precision: Option<i64>,
        /// The number of digits after the decimal point.
        pub scale: Option<i64>,
        /// The type of an array's items.
        pub component: Option<Box<ColumnType>>,
        /// The fields of a structure.
        pub fields: Vec<Field>,
        /// The type of a map's keys.
        pub key: Option<Box<ColumnType>>,
        /// The type of a map's values.
        pub value: Option<Box<ColumnType>>,
    }
}

impl ProgramConfig {
    /// Returns whether the program runs on the Gen-2 engine.
    pub fn is_gen2(&self) -> bool {
        self.runtime_version.as_deref().is_some_and(|version| version == "gen2" || version.starts_with("gen2:"))
    }
}

impl Relation {
    /// Its name as SQL has it, in quotes if that is how it was made: what ingress, egress and queries take. In quotes
    /// also if the server does not tell, unless the name means the same without them.
    ///
    /// ```
    /// # use pipewright::feldera::pipelines::Relation;
    /// # fn named(name: &str, case_sensitive: bool) -> Relation {
    /// #     let fields = serde_json::json!({ "name": name, "case_sensitive": case_sensitive, "fields": [] });
    /// #     serde_json::from_value(fields).expect("a relation")
    /// # }
    /// let (orders, odd) = (named("orders", false), named(r#"Odd "rows""#, true));
    /// assert_eq!(orders.identifier(), "orders");
    /// assert_eq!(odd.identifier(), r#""Odd ""rows""""#);
    /// ```
    pub fn identifier(&self) -> Cow<'_, str> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let needs_quotes =
            || !self.name.bytes().all(is_plain) || self.name.starts_with(|first: char| !first.is_ascii_lowercase());
        if self.case_sensitive.unwrap_or_else(needs_quotes) {
            Cow::Owned(format!("\"{}\"", self.name.replace('"', "\"\"")))
        } else {
            Cow::Borrowed(&self.name)
        }
    }
}
