//! How a changed pipeline differs from its last checkpoint.

use crate::schema::json_structs;

json_structs! {
    /// How a pipeline would differ from its last checkpoint.
    pub struct PipelineDiff {
        /// Tables and views; `None` when nothing changes or nobody could tell.
        pub program_diff: Option<ProgramDiff>,
        /// Why nobody could tell.
        pub program_diff_error: Option<String>,
        /// Connectors of tables that are new.
        pub added_input_connectors: Vec<String>,
        /// That are no more.
        pub removed_input_connectors: Vec<String>,
        /// That are others.
        pub modified_input_connectors: Vec<String>,
        /// Connectors of views that are new.
        pub added_output_connectors: Vec<String>,
        /// That are no more.
        pub removed_output_connectors: Vec<String>,
        /// That are others.
        pub modified_output_connectors: Vec<String>,
    }

    /// How tables and views would differ.
    pub struct ProgramDiff {
        /// Tables that are new.
        pub added_tables: Vec<String>,
        /// That are no more.
        pub removed_tables: Vec<String>,
        /// That are others.
        pub modified_tables: Vec<String>,
        /// Views that are new.
        pub added_views: Vec<String>,
        /// That are no more.
        pub removed_views: Vec<String>,
        /// That are others.
        pub modified_views: Vec<String>,
    }
}
