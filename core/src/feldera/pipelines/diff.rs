//! Differences between a changed pipeline and its last checkpoint.

use crate::schema::json_structs;

json_structs! {
    /// The differences between a changed pipeline and its last checkpoint.
    pub struct PipelineDiff {
        /// The changed tables and views. `None` if nothing changes, or if `program_diff_error` is set.
        pub program_diff: Option<ProgramDiff>,
        /// Why the difference is unknown.
        pub program_diff_error: Option<String>,
        /// The added connectors of tables.
        pub added_input_connectors: Vec<String>,
        pub removed_input_connectors: Vec<String>,
        pub modified_input_connectors: Vec<String>,
        /// The added connectors of views.
        pub added_output_connectors: Vec<String>,
        pub removed_output_connectors: Vec<String>,
        pub modified_output_connectors: Vec<String>,
    }

    /// The changed tables and views.
    pub struct ProgramDiff {
        pub added_tables: Vec<String>,
        pub removed_tables: Vec<String>,
        pub modified_tables: Vec<String>,
        pub added_views: Vec<String>,
        pub removed_views: Vec<String>,
        pub modified_views: Vec<String>,
    }
}
