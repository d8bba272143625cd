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
        /// How much the compiler optimises; the platform has a default.
        pub profile: Option<CompilationProfile>,
        /// Whether to take what was compiled before, if nothing has changed; true by default.
        pub cache: Option<bool>,
        /// The runtime: a tag as in `v0.96.0` or a commit, by default the platform's own. `gen2`, or `gen2:` and a
        /// commit, is the Gen-2 engine, for which no Rust is compiled; since 0.375. See [`is_gen2`](Self::is_gen2).
        pub runtime_version: Option<String>,
        /// Whether to compile with the platform's SQL compiler, whatever the runtime's version; false by default.
        pub use_platform_compiler: Option<bool>,
    }
}

json_structs! {
    /// What the compilers said.
    pub struct ProgramError {
        pub sql_compilation: Option<SqlCompilation>,
        pub rust_compilation: Option<RustCompilation>,
        /// Why the compiler could not do its work.
        pub system_error: Option<String>,
    }

    /// What the SQL compiler said.
    pub struct SqlCompilation {
        /// Its exit code; 0 also for a connector that is wrong.
        pub exit_code: Option<i64>,
        pub messages: Vec<SqlMessage>,
    }

    /// An error or a warning. Lines and columns are counted from 1. Quotations of the program
    /// are shown, also by `Debug`, because they are needed to find the error.
    pub struct SqlMessage {
        pub start_line_number: Option<u64>,
        pub start_column: Option<u64>,
        pub end_line_number: Option<u64>,
        pub end_column: Option<u64>,
        pub warning: Option<bool>,
        pub error_type: Option<String>,
        pub message: Option<String>,
        /// The lines, with a mark.
        pub snippet: Option<String>,
    }

    /// What the Rust compiler said.
    pub struct RustCompilation {
        pub exit_code: Option<i64>,
        pub stdout: Option<String>,
        pub stderr: Option<String>,
        /// The diagnostics of rustc in [`stderr`](field@Self::stderr), with their positions. Empty before 0.375.
        pub messages: Vec<RustMessage>,
    }

    /// An error or a warning of rustc. Lines and columns are counted from 1. Source code that is quoted is shown, also
    /// by `Debug`, as in [`SqlMessage`].
    pub struct RustMessage {
        /// The file; `None` if the diagnostic has no position.
        pub file: Option<String>,
        /// The first line.
        pub start_line_number: Option<u64>,
        /// The first column.
        pub start_column: Option<u64>,
        /// The last line.
        pub end_line_number: Option<u64>,
        /// The last column.
        pub end_column: Option<u64>,
        /// Whether it is a warning.
        pub warning: Option<bool>,
        /// The kind, as rustc names it.
        pub error_type: Option<String>,
        /// What is wrong.
        pub message: Option<String>,
        /// The whole diagnostic as rustc prints it, with the lines of the source.
        pub rendered: Option<String>,
    }

    /// What the compiler found out.
    pub struct ProgramInfo {
        pub schema: Schema,
        pub udf_stubs: Option<String>,
        /// Connectors of tables, by their names; each as the connector describes itself.
        pub input_connectors: BTreeMap<String, Json>,
        /// Connectors of views, by their names; each as the connector describes itself.
        pub output_connectors: BTreeMap<String, Json>,
        /// The generated Rust. Before 0.121, by `get_program_info` only. Not shown by `Debug`.
        pub main_rust: Option<String> = "main_rust" (private),
        /// The graph, as of [`GetDataflowGraph`](crate::feldera::programs::GetDataflowGraph).
        pub dataflow: Option<Dataflow>,
    }

    /// Tables and views.
    pub struct Schema {
        /// Tables.
        pub inputs: Vec<Relation>,
        /// Views.
        pub outputs: Vec<Relation>,
    }

    /// A table or a view.
    pub struct Relation {
        pub name: String,
        /// The name was in quotes.
        pub case_sensitive: Option<bool>,
        pub fields: Vec<Field>,
        pub primary_key: Vec<String>,
        /// It can be queried, and snapshots of it can be had.
        pub materialized: Option<bool>,
        /// What was written behind `WITH`.
        pub properties: BTreeMap<String, Property>,
        /// Its foreign keys, as the compiler describes them.
        pub foreign_keys: Option<Json>,
    }

    /// What was written behind `WITH`.
    pub struct Property {
        /// The value. Of `connectors` it often has keys and passwords in it, so `Debug` does not show it.
        pub value: Option<String> = "value" (private),
        pub key_position: Option<SourcePosition>,
        pub value_position: Option<SourcePosition>,
    }

    /// A place in the program, counted from 1.
    pub struct SourcePosition {
        pub start_line_number: Option<u64>,
        pub start_column: Option<u64>,
        pub end_line_number: Option<u64>,
        pub end_column: Option<u64>,
    }

    /// A column.
    pub struct Field {
        pub name: String,
        /// The name was in quotes.
        pub case_sensitive: Option<bool>,
        pub columntype: ColumnType,
        /// Its default, as SQL.
        pub default: Option<String>,
        /// How late its values may come, as SQL.
        pub lateness: Option<String>,
        /// How long values are waited for, as SQL.
        pub watermark: Option<String>,
        /// Nothing depends on it.
        pub unused: Option<bool>,
    }

    /// A type.
    pub struct ColumnType {
        /// Its SQL name, as in `BIGINT`.
        pub kind: Option<String> = "type",
        pub nullable: Option<bool>,
        /// Digits or characters; -1 for any number.
        pub precision: Option<i64>,
        /// Digits after the point.
        pub scale: Option<i64>,
        /// Of an array: its items.
        pub component: Option<Box<ColumnType>>,
        /// Of a structure: its fields.
        pub fields: Vec<Field>,
        /// Of a map: its keys.
        pub key: Option<Box<ColumnType>>,
        /// Of a map: its values.
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
