//! How a changed pipeline differs from its last checkpoint.

use crate::schema::json_structs;

json_structs! {
    /// How a pipeline would differ from its last checkpoint.
    pub struct PipelineDiff {
        /// Tables and views; `None` if nothing changes, or with `program_diff_error`.
        pub program_diff: Option<ProgramDiff>,
        /// Why the difference is not known.
        pub program_diff_error: Option<String>,
        /// Of tables, as the next two.
        pub added_input_connectors: Vec<String>,
        pub removed_input_connectors: Vec<String>,
        pub modified_input_connectors: Vec<String>,
        /// Of views, as the next two.
        pub added_output_connectors: Vec<String>,
        pub removed_output_connectors: Vec<String>,
        pub modified_output_connectors: Vec<String>,
    }

    /// How tables and views would differ.
    pub struct ProgramDiff {
        pub added_tables: Vec<String>,
        pub removed_tables: Vec<String>,
        pub modified_tables: Vec<String>,
        pub added_views: Vec<String>,
        pub removed_views: Vec<String>,
        pub modified_views: Vec<String>,
    }
}
