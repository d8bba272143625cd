//! Queries as they are evaluated: names are resolved, and types are known.

use super::ast::{JoinKind, Operator, SetOperation, UnitFunction};
use super::functions::Function;
use super::types::{Column, Type};
use super::value::Value;

/// A query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) columns: Vec<Column>,
    pub(crate) node: Node,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// The rows of a relation.
    Scan(String),
    Values(Vec<Vec<Scalar>>),
    Filter(Box<Plan>, Scalar),
    Project(Box<Plan>, Vec<Scalar>),
    Join(Box<Join>),
    Aggregate {
        input: Box<Plan>,
        keys: Vec<Scalar>,
        calls: Vec<Aggregation>,
    },
    Distinct(Box<Plan>),
    Set {
        operation: SetOperation,
        all: bool,
        left: Box<Plan>,
        right: Box<Plan>,
    },
    Sort {
        input: Box<Plan>,
        by: Vec<SortKey>,
        limit: Option<u64>,
        offset: u64,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Join {
    pub(crate) left: Plan,
    pub(crate) right: Plan,
    pub(crate) kind: JoinKind,
    /// Pairs of values, of the left and of the right row, that must be equal.
    pub(crate) keys: Vec<(Scalar, Scalar)>,
    /// What else must be true, of the columns of both.
    pub(crate) condition: Option<Scalar>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SortKey {
    pub(crate) by: Scalar,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

/// A call of an aggregate function.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Aggregation {
    pub(crate) function: AggregateFunction,
    pub(crate) arguments: Vec<Scalar>,
    pub(crate) distinct: bool,
    pub(crate) filter: Option<Scalar>,
    pub(crate) kind: Type,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AggregateFunction {
    /// Rows in which no argument is `NULL`.
    Count,
    Sum,
    Avg,
    Min,
    Max,
    Every,
    Some,
    CountIf,
    ArrayAgg,
    ArgMin,
    ArgMax,
}

/// An expression over a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) node: ScalarNode,
    pub(crate) kind: Type,
    pub(crate) nullable: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ScalarNode {
    Literal(Value),
    Column(usize),
    /// A column of a row of the query around this query; `up` is 1 for the closest.
    Outer {
        up: usize,
        index: usize,
    },
    And(Box<Scalar>, Box<Scalar>),
    Or(Box<Scalar>, Box<Scalar>),
    Not(Box<Scalar>),
    Compare(Operator, Box<Scalar>, Box<Scalar>),
    /// Whether two values are equal, where `NULL` equals itself.
    Same(Box<Scalar>, Box<Scalar>),
    Arithmetic(Operator, Box<Scalar>, Box<Scalar>),
    Negate(Box<Scalar>),
    IsNull(Box<Scalar>),
    /// Whether it is this, and not `NULL`.
    IsTruth(Box<Scalar>, bool),
    Case(Vec<(Scalar, Scalar)>, Box<Scalar>),
    /// `CASE of WHEN candidate THEN value`.
    Choose {
        of: Box<Scalar>,
        branches: Vec<(Scalar, Scalar)>,
        otherwise: Box<Scalar>,
    },
    Between(Box<Scalar>, Box<Scalar>, Box<Scalar>),
    /// To the type of the expression; a safe cast gives `NULL` where another one fails.
    Cast(Box<Scalar>, bool),
    Call(Function, Vec<Scalar>),
    Unit(UnitFunction, Unit, Box<Scalar>),
    Like {
        value: Box<Scalar>,
        pattern: Box<Scalar>,
        escape: Option<char>,
        fold: bool,
    },
    InList(Box<Scalar>, Vec<Scalar>),
    InQuery(Box<Scalar>, Box<Plan>),
    Exists(Box<Plan>),
    Query(Box<Plan>),
    Array(Vec<Scalar>),
    Index(Box<Scalar>, Box<Scalar>),
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    DayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Epoch,
}

impl Unit {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name.to_uppercase().as_str() {
            "YEAR" => Self::Year,
            "QUARTER" => Self::Quarter,
            "MONTH" => Self::Month,
            "WEEK" => Self::Week,
            "DAY" => Self::Day,
            "DOW" => Self::DayOfWeek,
            "DOY" => Self::DayOfYear,
            "HOUR" => Self::Hour,
            "MINUTE" => Self::Minute,
            "SECOND" => Self::Second,
            "MILLISECOND" => Self::Millisecond,
            "MICROSECOND" => Self::Microsecond,
            "EPOCH" => Self::Epoch,
            _ => return None,
        })
    }
}

impl Scalar {
    pub(crate) fn new(node: ScalarNode, kind: Type, nullable: bool) -> Self {
        Self { node, kind, nullable }
    }

    pub(crate) fn literal(value: Value, kind: Type) -> Self {
        let nullable = value.is_null();
        Self::new(ScalarNode::Literal(value), kind, nullable)
    }

    pub(crate) fn column(index: usize, column: &Column) -> Self {
        Self::new(ScalarNode::Column(index), column.kind.clone(), column.nullable)
    }

    pub(crate) fn boolean(node: ScalarNode, nullable: bool) -> Self {
        Self::new(node, Type::Boolean, nullable)
    }

    pub(crate) fn negated(self, negated: bool) -> Self {
        if !negated {
            return self;
        }
        let nullable = self.nullable;
        Self::boolean(ScalarNode::Not(Box::new(self)), nullable)
    }

    /// The same value of another type.
    pub(crate) fn cast(self, kind: &Type) -> Self {
        if self.kind == *kind {
            return self;
        }
        let nullable = self.nullable;
        Self::new(ScalarNode::Cast(Box::new(self), false), kind.clone(), nullable)
    }
}

impl Plan {
    /// All columns, as expressions over its rows.
    pub(crate) fn all(&self) -> Vec<Scalar> {
        self.columns.iter().enumerate().map(|(index, column)| Scalar::column(index, column)).collect()
    }

    /// The plans that it takes rows of.
    pub(super) fn inputs(&self) -> Vec<&Self> {
        match &self.node {
            Node::Scan(_) | Node::Values(_) => Vec::new(),
            Node::Filter(input, _)
            | Node::Project(input, _)
            | Node::Aggregate { input, .. }
            | Node::Distinct(input)
            | Node::Sort { input, .. } => vec![input],
            Node::Join(join) => vec![&join.left, &join.right],
            Node::Set { left, right, .. } => vec![left, right],
        }
    }

    /// Its expressions, without those of its inputs.
    pub(super) fn scalars(&self) -> Vec<&Scalar> {
        match &self.node {
            Node::Scan(_) | Node::Distinct(_) | Node::Set { .. } => Vec::new(),
            Node::Values(rows) => rows.iter().flatten().collect(),
            Node::Filter(_, condition) => vec![condition],
            Node::Project(_, values) => values.iter().collect(),
            Node::Join(join) => {
                let keys = join.keys.iter().flat_map(|(left, right)| [left, right]);
                keys.chain(&join.condition).collect()
            }
            Node::Aggregate { keys, calls, .. } => {
                let arguments = calls.iter().flat_map(|call| call.arguments.iter().chain(&call.filter));
                keys.iter().chain(arguments).collect()
            }
            Node::Sort { by, .. } => by.iter().map(|key| &key.by).collect(),
        }
    }

    /// Calls a function with the name of each relation that is read.
    pub(crate) fn for_each_relation(&self, visit: &mut dyn FnMut(&str)) {
        if let Node::Scan(name) = &self.node {
            visit(name);
        }
        for input in self.inputs() {
            input.for_each_relation(visit);
        }
        for scalar in self.scalars() {
            scalar.for_each_relation(visit);
        }
    }

    /// Whether it reads rows of the queries around it, from this many levels up on.
    pub(crate) fn reads_outer(&self, from: usize) -> bool {
        self.inputs().into_iter().any(|input| input.reads_outer(from))
            || self.scalars().into_iter().any(|scalar| scalar.reads_outer(from))
    }
}

impl Plan {
    /// Puts plans in the place of relations, where there is one.
    pub(crate) fn replace_scans(&mut self, by: &dyn Fn(&str) -> Option<Self>) {
        match &mut self.node {
            Node::Scan(name) => {
                if let Some(plan) = by(name) {
                    self.node = plan.node;
                }
            }
            Node::Values(rows) => {
                for value in rows.iter_mut().flatten() {
                    value.replace_scans(by);
                }
            }
            Node::Filter(input, condition) => {
                input.replace_scans(by);
                condition.replace_scans(by);
            }
            Node::Project(input, values) => {
                input.replace_scans(by);
                for value in values {
                    value.replace_scans(by);
                }
            }
            Node::Join(join) => {
                join.left.replace_scans(by);
                join.right.replace_scans(by);
                if let Some(condition) = &mut join.condition {
                    condition.replace_scans(by);
                }
            }
            Node::Aggregate { input, keys, .. } => {
                input.replace_scans(by);
                for key in keys {
                    key.replace_scans(by);
                }
            }
            Node::Distinct(input) => input.replace_scans(by),
            Node::Set { left, right, .. } => {
                left.replace_scans(by);
                right.replace_scans(by);
            }
            Node::Sort { input, by: keys, .. } => {
                input.replace_scans(by);
                for key in keys {
                    key.by.replace_scans(by);
                }
            }
        }
    }
}

impl Scalar {
    fn replace_scans(&mut self, by: &dyn Fn(&str) -> Option<Plan>) {
        self.for_each_part(&mut |part| {
            if let ScalarNode::InQuery(_, plan) | ScalarNode::Exists(plan) | ScalarNode::Query(plan) = &mut part.node {
                plan.replace_scans(by);
            }
        });
    }

    /// The expressions that this expression is made of, without those of its queries.
    pub(crate) fn children(&self) -> Vec<&Self> {
        match &self.node {
            ScalarNode::Literal(_)
            | ScalarNode::Column(_)
            | ScalarNode::Outer { .. }
            | ScalarNode::Exists(_)
            | ScalarNode::Query(_) => Vec::new(),
            ScalarNode::And(a, b)
            | ScalarNode::Or(a, b)
            | ScalarNode::Compare(_, a, b)
            | ScalarNode::Same(a, b)
            | ScalarNode::Arithmetic(_, a, b)
            | ScalarNode::Index(a, b) => vec![a, b],
            ScalarNode::Not(a)
            | ScalarNode::Negate(a)
            | ScalarNode::IsNull(a)
            | ScalarNode::IsTruth(a, _)
            | ScalarNode::Cast(a, _)
            | ScalarNode::Unit(_, _, a)
            | ScalarNode::InQuery(a, _) => vec![a],
            ScalarNode::Case(branches, otherwise) => {
                let branches = branches.iter().flat_map(|(condition, value)| [condition, value]);
                branches.chain([&**otherwise]).collect()
            }
            ScalarNode::Call(_, arguments) | ScalarNode::Array(arguments) => arguments.iter().collect(),
            ScalarNode::Choose { of, branches, otherwise } => {
                let branches = branches.iter().flat_map(|(candidate, value)| [candidate, value]);
                branches.chain([&**of, &**otherwise]).collect()
            }
            ScalarNode::Between(a, b, c) => vec![a, b, c],
            ScalarNode::Like { value, pattern, .. } => vec![value, pattern],
            ScalarNode::InList(value, list) => [&**value].into_iter().chain(list).collect(),
        }
    }

    /// Its query, if it has one.
    pub(crate) fn query(&self) -> Option<&Plan> {
        match &self.node {
            ScalarNode::InQuery(_, plan) | ScalarNode::Exists(plan) | ScalarNode::Query(plan) => Some(plan),
            _ => None,
        }
    }

    fn for_each_relation(&self, visit: &mut dyn FnMut(&str)) {
        if let Some(plan) = self.query() {
            plan.for_each_relation(visit);
        }
        for child in self.children() {
            child.for_each_relation(visit);
        }
    }

    fn reads_outer(&self, from: usize) -> bool {
        matches!(self.node, ScalarNode::Outer { up, .. } if up >= from)
            || self.query().is_some_and(|plan| plan.reads_outer(from + 1))
            || self.children().into_iter().any(|child| child.reads_outer(from))
    }

    /// Whether it has a query inside.
    pub(crate) fn has_query(&self) -> bool {
        self.query().is_some() || self.children().into_iter().any(Self::has_query)
    }

    /// The smallest and the largest index of the columns that it reads; `None` if it reads none.
    pub(crate) fn columns(&self) -> Option<(usize, usize)> {
        if let ScalarNode::Column(index) = self.node {
            return Some((index, index));
        }
        let ranges = self.children().into_iter().filter_map(Self::columns);
        ranges.reduce(|(low, high), (other_low, other_high)| (low.min(other_low), high.max(other_high)))
    }

    /// The same expression over a row that begins `by` columns later.
    pub(crate) fn shifted(self, by: usize) -> Self {
        self.renumbered(&|index| index - by)
    }

    pub(crate) fn moved(self, by: usize) -> Self {
        self.renumbered(&|index| index + by)
    }

    fn renumbered(mut self, number: &dyn Fn(usize) -> usize) -> Self {
        self.for_each_part(&mut |part| {
            if let ScalarNode::Column(index) = &mut part.node {
                *index = number(*index);
            }
        });
        self
    }

    /// Calls a function with this expression and all that it is made of, without those of its queries.
    fn for_each_part(&mut self, visit: &mut dyn FnMut(&mut Self)) {
        visit(self);
        match &mut self.node {
            ScalarNode::And(a, b)
            | ScalarNode::Or(a, b)
            | ScalarNode::Compare(_, a, b)
            | ScalarNode::Same(a, b)
            | ScalarNode::Arithmetic(_, a, b)
            | ScalarNode::Index(a, b) => {
                a.for_each_part(visit);
                b.for_each_part(visit);
            }
            ScalarNode::Not(a)
            | ScalarNode::Negate(a)
            | ScalarNode::IsNull(a)
            | ScalarNode::IsTruth(a, _)
            | ScalarNode::Cast(a, _)
            | ScalarNode::Unit(_, _, a)
            | ScalarNode::InQuery(a, _) => a.for_each_part(visit),
            ScalarNode::Case(branches, otherwise) => {
                for (condition, value) in branches {
                    condition.for_each_part(visit);
                    value.for_each_part(visit);
                }
                otherwise.for_each_part(visit);
            }
            ScalarNode::Choose { of, branches, otherwise } => {
                of.for_each_part(visit);
                for (candidate, value) in branches {
                    candidate.for_each_part(visit);
                    value.for_each_part(visit);
                }
                otherwise.for_each_part(visit);
            }
            ScalarNode::Between(a, b, c) => {
                for part in [a, b, c] {
                    part.for_each_part(visit);
                }
            }
            ScalarNode::Call(_, arguments) | ScalarNode::Array(arguments) => {
                for argument in arguments {
                    argument.for_each_part(visit);
                }
            }
            ScalarNode::Like { value, pattern, .. } => {
                value.for_each_part(visit);
                pattern.for_each_part(visit);
            }
            ScalarNode::InList(value, list) => {
                value.for_each_part(visit);
                for item in list {
                    item.for_each_part(visit);
                }
            }
            ScalarNode::Literal(_)
            | ScalarNode::Column(_)
            | ScalarNode::Outer { .. }
            | ScalarNode::Exists(_)
            | ScalarNode::Query(_) => {}
        }
    }
}
