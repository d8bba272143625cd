//! Programs without a pipeline: validate, compare; and their graphs.

use super::FelderaApi;
use super::pipelines::{Dataflow, PipelineDiff, SqlCompilation};
use super::value::tagged;
use crate::schema::{json_structs, operations};

operations! { FelderaApi;
    /// Compiles SQL without making a pipeline of it. Since 0.324.
    ///
    /// Invalid SQL is an answer, not a rejection: [`Validation::SqlError`]. Rejected: 400
    /// `InvalidRuntimeVersion`, 503 and 504 when the compiler does not answer.
    /// [Reference](https://docs.feldera.com/api/validate-program).
    Safe POST "/v0/validate_program" ValidateProgram "post_validate_program" -> Validation {
        timeout 180;
        json {
            /// The SQL.
            program_code: String,
        }
        json? {
            /// Answers the graph too.
            ir: bool,
            /// The version of the compiler.
            runtime_version: String,
        }
    }

    /// Compares a pipeline's last checkpoint with what it would run. Since 0.324.
    ///
    /// Rejected: 404 if the pipeline does not exist, 400 when it was never compiled or the program is wrong.
    /// [Reference](https://docs.feldera.com/api/compute-program-diff).
    Safe POST "/v0/pipelines/{pipeline_name}/diff" DiffPipeline "post_pipeline_diff" -> PipelineDiff {
        timeout 180;
        path { pipeline_name: String }
        json {
            /// Other SQL than the pipeline's.
            program_code: Option<String>,
            /// Another version of the compiler.
            runtime_version: Option<String>,
        }
    }

    /// The graph that the program was compiled to. Since 0.193.
    ///
    /// Rejected with 404: `ProgramNotCompiled`, `ProgramInfoMissesDataflow`.
    /// [Reference](https://docs.feldera.com/api/get-dataflow-graph).
    Safe GET "/v0/pipelines/{pipeline_name}/dataflow_graph" GetDataflowGraph "get_pipeline_dataflow_graph" -> Dataflow {
        path { pipeline_name: String }
    }
}

tagged! {
    /// What the compiler says of a program.
    pub enum Validation {
        ;
        /// It is fine.
        Success(Validated) = "Success",
        /// The SQL is wrong.
        SqlError(SqlProblem) = "SqlError",
        /// The compiler could not do its work.
        SystemError(SystemProblem) = "SystemError",
    }
}

json_structs! {
    /// A program that is fine.
    pub struct Validated {
        /// What the compiler found out: as [`ProgramInfo`](super::pipelines::ProgramInfo), and with the graph if it was
        /// asked for.
        pub program_info: super::pipelines::ProgramInfo,
    }

    /// SQL that is wrong.
    pub struct SqlProblem {
        /// What the compiler said.
        pub info: SqlCompilation,
    }

    /// A compiler that could not do its work.
    pub struct SystemProblem {
        /// Why.
        pub error: String,
    }
}
