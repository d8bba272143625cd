//! The dataflow graph of a compiled program.

use std::collections::BTreeMap;

use super::SourcePosition;
use crate::feldera::Json;
use crate::feldera::value::tagged;
use crate::schema::json_structs;

tagged! {
    /// The nodes of Calcite's plan that a node of the circuit implements. `Unknown` with an empty text if it implements
    /// none.
    pub enum CalciteId {
        ;
        /// A part of this node.
        Partial(u64) = "partial",
        /// This node.
        Final(u64) = "final",
        /// All of these nodes.
        And(Vec<CalciteId>) = "and",
        /// These nodes, one after the other.
        Seq(Vec<CalciteId>) = "seq",
    }
}

json_structs! {
    /// The dataflow graph of a program.
    pub struct Dataflow {
        /// The optimizer's plans, by table or view.
        pub calcite_plan: BTreeMap<String, CalcitePlan>,
        /// The nodes of the circuit, by name.
        pub mir: BTreeMap<String, MirNode>,
    }

    /// A node of the circuit.
    pub struct MirNode {
        /// The operation, such as `map` or `join`.
        pub operation: Option<String>,
        /// The inputs of the node.
        pub inputs: Vec<MirInput>,
        /// The outputs of a node with several outputs.
        pub outputs: Vec<Option<MirInput>>,
        /// The nodes of the plan that it implements.
        pub calcite: Option<CalciteId>,
        /// Its positions in the SQL.
        pub positions: Vec<SourcePosition>,
        /// An id that stays the same as long as the operation stays the same.
        pub persistent_id: Option<String>,
        pub table: Option<String>,
        pub view: Option<String>,
    }

    /// An output of a node.
    pub struct MirInput {
        pub node: String,
        /// The number of the output, counted from 0.
        pub output: Option<u64>,
    }

    /// The optimizer's plan of a table or view.
    pub struct CalcitePlan {
        pub rels: Vec<Rel>,
    }

    /// An operator of a plan. Its fields depend on the operator.
    pub struct Rel {
        pub id: u64,
        /// The operator, such as `LogicalFilter`.
        pub operator: Option<String> = "relOp",
        /// The operators that supply its rows.
        pub inputs: Vec<u64>,
        /// The name of the table that is read, after its schema.
        pub table: Vec<String>,
        /// The columns of the result.
        pub fields: Vec<String>,
        /// The expressions of these columns, in Calcite's format.
        pub exprs: Vec<Json>,
        /// The condition for rows, in Calcite's format.
        pub condition: Option<Json>,
        /// The type of a join, such as `inner` or `left`.
        pub join_type: Option<String> = "joinType",
        /// The columns to group by, counted from 0.
        pub group: Vec<u64>,
        /// The aggregates of each group, in Calcite's format.
        pub aggs: Vec<Json>,
        /// Whether duplicate rows are kept.
        pub all: Option<bool>,
    }
}
