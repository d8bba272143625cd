//! Programs without a pipeline: validate, compare; and their graphs.

use std::collections::BTreeMap;

use super::pipelines::{SourcePosition, SqlCompilation};
use super::value::tagged;
use super::{FelderaApi, Json};
use crate::schema::{json_structs, operations};

operations! { FelderaApi;
    /// Compiles SQL without making a pipeline of it. Since 0.324.
    ///
    /// SQL that is wrong is an answer, not a refusal: [`Validation::SqlError`]. Refused: 400 `InvalidRuntimeVersion`, 503 and
    /// 504 when the compiler does not answer. [Reference](https://docs.feldera.com/api/validate-program).
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
    /// Refused: 404 when there is no pipeline, 400 when it was never compiled or the program is wrong.
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
    /// Refused with 404: `ProgramNotCompiled`, `ProgramInfoMissesDataflow`.
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

tagged! {
    /// Which nodes of Calcite's plan a node of the circuit stands for. `Unknown` with an empty text if it stands for none.
    pub enum CalciteId {
        ;
        /// For a part of this one.
        Partial(u64) = "partial",
        /// For this one.
        Final(u64) = "final",
        /// For all of these.
        And(Vec<CalciteId>) = "and",
        /// For these, one after the other.
        Seq(Vec<CalciteId>) = "seq",
    }
}

json_structs! {
    /// The graph that a program was compiled to.
    pub struct Dataflow {
        /// What the optimiser made of the SQL, by table or view.
        pub calcite_plan: BTreeMap<String, CalcitePlan>,
        /// The nodes of the circuit, by their names.
        pub mir: BTreeMap<String, MirNode>,
    }

    /// A node of the circuit.
    pub struct MirNode {
        /// What it does, as in `map` or `join`.
        pub operation: String,
        /// Where its data comes from.
        pub inputs: Vec<MirInput>,
        /// Of a node with several outputs: what they are.
        pub outputs: Vec<Option<MirInput>>,
        /// What in the plan it stands for.
        pub calcite: Option<CalciteId>,
        /// Its places in the SQL.
        pub positions: Vec<SourcePosition>,
        /// An id that lasts as long as what the node does.
        pub persistent_id: Option<String>,
        /// The table that it is.
        pub table: Option<String>,
        /// The view that it is.
        pub view: Option<String>,
    }

    /// What comes out of a node.
    pub struct MirInput {
        /// The node's name.
        pub node: String,
        /// Which of its outputs, counted from 0.
        pub output: u64,
    }

    /// What the optimiser made of a table or view.
    pub struct CalcitePlan {
        /// Its operators.
        pub rels: Vec<Rel>,
    }

    /// An operator of a plan; which fields it has depends on what it does.
    pub struct Rel {
        /// Its number in the plan.
        pub id: u64,
        /// What it does, as in `LogicalFilter`.
        pub operator: String = "relOp",
        /// The operators that its rows come from.
        pub inputs: Vec<u64>,
        /// The table that is read, with its schema before it.
        pub table: Vec<String>,
        /// The columns that come out.
        pub fields: Vec<String>,
        /// How they are computed; as Calcite writes it.
        pub exprs: Vec<Json>,
        /// What rows have to be like; as Calcite writes it.
        pub condition: Option<Json>,
        /// Of a join: `inner`, `left` and the like.
        pub join_type: Option<String> = "joinType",
        /// The columns that are grouped by, counted from 0.
        pub group: Vec<u64>,
        /// What is computed of each group; as Calcite writes it.
        pub aggs: Vec<Json>,
        /// Rows that come twice stay two.
        pub all: Option<bool>,
    }

    /// A program that is fine.
    pub struct Validated {
        /// What the compiler found out: as [`ProgramInfo`](super::pipelines::ProgramInfo), and with the graph if it was asked for.
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
