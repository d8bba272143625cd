//! The dataflow graph of a compiled program.

use std::collections::BTreeMap;

use super::SourcePosition;
use crate::feldera::Json;
use crate::feldera::value::tagged;
use crate::schema::json_structs;

tagged! {
    /// Which nodes of Calcite's plan a node of the circuit stands for. `Unknown` with an empty text if it stands for
    /// none.
    pub enum CalciteId {
        ;
        /// For a part of this node.
        Partial(u64) = "partial",
        /// For this node.
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
        pub operation: Option<String>,
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
        pub table: Option<String>,
        pub view: Option<String>,
    }

    /// What comes out of a node.
    pub struct MirInput {
        pub node: String,
        /// Which of its outputs, counted from 0.
        pub output: Option<u64>,
    }

    /// What the optimiser made of a table or view.
    pub struct CalcitePlan {
        pub rels: Vec<Rel>,
    }

    /// An operator of a plan; which fields it has depends on what it does.
    pub struct Rel {
        pub id: u64,
        /// What it does, as in `LogicalFilter`.
        pub operator: Option<String> = "relOp",
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
}
