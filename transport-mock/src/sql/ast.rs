//! Statements as they are written.

use super::error::Span;
use super::types::Type;
use super::value::Value;

/// A name, as the dialect folds it.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) quoted: bool,
    pub(crate) at: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum Statement {
    CreateTable(CreateTable),
    CreateView(CreateView),
    /// The name of a view that its own query reads.
    DeclareView(Name),
    /// Another name of a type.
    CreateType(Name, Type),
    /// A function whose body this engine does not have.
    CreateFunction(Name, Type),
    /// An index, which changes no result.
    CreateIndex,
    /// How late rows of a view can be, which this engine ignores.
    Lateness,
    Insert(Insert),
    Delete(Delete),
    Drop(Drop),
    Query(Query),
}

#[derive(Debug, Clone)]
pub(crate) struct CreateTable {
    pub(crate) name: Name,
    pub(crate) columns: Vec<ColumnDefinition>,
    pub(crate) key: Vec<Name>,
    pub(crate) options: Vec<Property>,
    pub(crate) if_not_exists: bool,
    /// The piece of a column's lateness or watermark, if there is one.
    pub(crate) lateness: Option<Span>,
}

#[derive(Debug, Clone)]
pub(crate) struct ColumnDefinition {
    pub(crate) name: Name,
    pub(crate) kind: Type,
    pub(crate) nullable: bool,
    pub(crate) is_key: bool,
    pub(crate) default: Option<Expression>,
    pub(crate) has_lateness: bool,
    pub(crate) at: Span,
}

/// A pair behind `WITH`.
#[derive(Debug, Clone)]
pub(crate) struct Property {
    pub(crate) key: String,
    pub(crate) key_at: Span,
    pub(crate) value: String,
    pub(crate) value_at: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ViewKind {
    Plain,
    Local,
    Materialized,
}

#[derive(Debug, Clone)]
pub(crate) struct CreateView {
    pub(crate) name: Name,
    pub(crate) kind: ViewKind,
    /// The names of its columns, if they are not those of the query.
    pub(crate) columns: Vec<Name>,
    pub(crate) options: Vec<Property>,
    pub(crate) query: Result<Query, super::error::Error>,
    pub(crate) at: Span,
}

#[derive(Debug, Clone)]
pub(crate) struct Insert {
    pub(crate) table: Name,
    pub(crate) columns: Vec<Name>,
    pub(crate) query: Query,
}

#[derive(Debug, Clone)]
pub(crate) struct Delete {
    pub(crate) table: Name,
    pub(crate) filter: Option<Expression>,
}

#[derive(Debug, Clone)]
pub(crate) struct Drop {
    pub(crate) name: Name,
    pub(crate) is_view: bool,
    pub(crate) if_exists: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) with: Vec<With>,
    pub(crate) body: Body,
    pub(crate) order: Vec<Order>,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: u64,
    pub(crate) at: Span,
}

/// A common table expression.
#[derive(Debug, Clone)]
pub(crate) struct With {
    pub(crate) name: Name,
    pub(crate) columns: Vec<Name>,
    pub(crate) query: Query,
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    Select(Box<Select>),
    Query(Box<Query>),
    Values(Vec<Vec<Expression>>, Span),
    Set { operation: SetOperation, all: bool, left: Box<Body>, right: Box<Body>, at: Span },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetOperation {
    Union,
    Except,
    Intersect,
}

#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) by: Expression,
    pub(crate) descending: bool,
    /// Where `NULL` goes, if the query says so.
    pub(crate) nulls_first: Option<bool>,
}

#[derive(Debug, Clone)]
pub(crate) struct Select {
    pub(crate) distinct: bool,
    pub(crate) items: Vec<Item>,
    pub(crate) from: Option<Source>,
    pub(crate) filter: Option<Expression>,
    pub(crate) group: Option<Vec<Expression>>,
    pub(crate) having: Option<Expression>,
}

#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// All columns, or those of one relation.
    All(Option<Name>, Span),
    Expression(Expression, Option<Name>),
}

#[derive(Debug, Clone)]
pub(crate) enum Source {
    Relation { name: Vec<Name>, alias: Option<Alias> },
    Query { query: Box<Query>, alias: Option<Alias> },
    Join { left: Box<Source>, right: Box<Source>, kind: JoinKind, condition: Condition, at: Span },
}

#[derive(Debug, Clone)]
pub(crate) struct Alias {
    pub(crate) name: Name,
    pub(crate) columns: Vec<Name>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

#[derive(Debug, Clone)]
pub(crate) enum Condition {
    None,
    On(Expression),
    Using(Vec<Name>),
    Natural,
}

#[derive(Debug, Clone)]
pub(crate) struct Expression {
    pub(crate) kind: Box<Kind>,
    pub(crate) at: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Literal(Value, Type),
    /// A column, perhaps with its relation.
    Column(Vec<Name>),
    Not(Expression),
    Negate(Expression),
    Binary(Operator, Expression, Expression),
    IsNull(Expression, bool),
    /// `IS [NOT] TRUE`, `FALSE`: the value, and whether it is negated.
    IsTruth(Expression, bool, bool),
    /// `IS [NOT] DISTINCT FROM`; whether it is negated.
    IsDistinct(Expression, Expression, bool),
    Between(Expression, Expression, Expression, bool),
    InList(Expression, Vec<Expression>, bool),
    InQuery(Expression, Query, bool),
    Like {
        value: Expression,
        pattern: Expression,
        escape: Option<Expression>,
        negated: bool,
        fold: bool,
    },
    Exists(Query),
    Scalar(Query),
    Case {
        of: Option<Expression>,
        branches: Vec<(Expression, Expression)>,
        otherwise: Option<Expression>,
    },
    Cast {
        value: Expression,
        to: Type,
        safe: bool,
    },
    /// `EXTRACT(unit FROM value)`, and `FLOOR` and `CEIL` to a unit.
    Unit(UnitFunction, String, Expression),
    Call(Call),
    Array(Vec<Expression>),
    Index(Expression, Expression),
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: Name,
    pub(crate) arguments: Vec<Expression>,
    pub(crate) star: bool,
    pub(crate) distinct: bool,
    pub(crate) filter: Option<Expression>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitFunction {
    Extract,
    Floor,
    Ceil,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Concat,
}

impl Operator {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Or => "OR",
            Self::And => "AND",
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Concat => "||",
        }
    }
}
