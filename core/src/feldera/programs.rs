//! Programs: validate and compare them, and read their dataflow graphs.

use super::FelderaApi;
use super::pipelines::{Dataflow, PipelineDiff, SqlCompilation};
use super::value::tagged;
use crate::schema::{json_structs, operations};

operations! { FelderaApi;
    /// Compiles SQL without creating a pipeline. Since 0.324.
    ///
    /// If the SQL is invalid, the request succeeds with [`Validation::SqlError`]. Rejected: 400
    /// `InvalidRuntimeVersion`, 503 and 504 if the compiler does not answer.
    /// [Reference](https://docs.feldera.com/api/validate-program).
    Safe POST "/v0/validate_program" ValidateProgram "post_validate_program" -> Validation {
        timeout 180;
        json {
            /// The SQL.
            program_code: String,
        }
        json? {
            /// Whether the answer includes the dataflow graph.
            ir: bool,
            /// The version of the compiler.
            runtime_version: String,
        }
    }

    /// Compares a pipeline's last checkpoint with its program, or with another program. Since 0.324.
    ///
    /// Rejected: 404 if the pipeline does not exist, 400 if it was never compiled or if the program is invalid.
    /// [Reference](https://docs.feldera.com/api/compute-program-diff).
    Safe POST "/v0/pipelines/{pipeline_name}/diff" DiffPipeline "post_pipeline_diff" -> PipelineDiff {
        timeout 180;
        path { pipeline_name: String }
        json {
            /// The SQL to compare with; the pipeline's SQL by default.
            program_code: Option<String>,
            /// The version of the compiler; the pipeline's by default.
            runtime_version: Option<String>,
        }
    }

    /// Returns the dataflow graph of a compiled program. Since 0.193.
    ///
    /// Rejected with 404: `ProgramNotCompiled`, `ProgramInfoMissesDataflow`.
    /// [Reference](https://docs.feldera.com/api/get-dataflow-graph).
    Safe GET "/v0/pipelines/{pipeline_name}/dataflow_graph" GetDataflowGraph "get_pipeline_dataflow_graph" -> Dataflow {
        path { pipeline_name: String }
    }
}

tagged! {
    /// The result of a validation.
    pub enum Validation {
        ;
        /// The program is valid.
        Success(Validated) = "Success",
        /// The SQL is invalid.
        SqlError(SqlProblem) = "SqlError",
        /// The platform failed to compile the program.
        SystemError(SystemProblem) = "SystemError",
    }
}

json_structs! {
    /// A valid program.
    pub struct Validated {
        /// The compiler's information, as in [`ProgramInfo`](super::pipelines::ProgramInfo). It includes the graph if
        /// it was requested.
        pub program_info: super::pipelines::ProgramInfo,
    }

    /// The errors of invalid SQL.
    pub struct SqlProblem {
        /// The messages of the compiler.
        pub info: SqlCompilation,
    }

    /// A failure of the platform.
    pub struct SystemProblem {
        pub error: String,
    }
}
