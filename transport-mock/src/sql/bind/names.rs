//! The names of result columns that have no alias.

use super::super::Dialect;
use super::super::ast::{Expression, Kind, Operator};
use super::super::decimal;
use super::super::types::Type;
use super::super::value::Value;
use super::scope::Scope;

/// The name of an item of a `SELECT` at this position.
pub(crate) fn item_name(dialect: Dialect, value: &Expression, position: usize) -> String {
    named(dialect, value, position, None)
}

pub(super) fn named(dialect: Dialect, value: &Expression, position: usize, scope: Option<&Scope<'_>>) -> String {
    match (&*value.kind, scope) {
        (Kind::Column(names), _) => names.last().map(|name| name.text.clone()).unwrap_or_default(),
        (_, Some(scope)) if dialect == Dialect::AdHoc => shown(value, scope),
        _ => format!("EXPR${position}"),
    }
}

/// An expression as the engine of ad-hoc queries shows it.
fn shown(value: &Expression, scope: &Scope<'_>) -> String {
    let list = |values: &[Expression]| values.iter().map(|value| shown(value, scope)).collect::<Vec<_>>().join(",");
    match &*value.kind {
        Kind::Column(names) => {
            let name = names.last().map(|name| name.text.as_str()).unwrap_or_default();
            let relation = match names.as_slice() {
                [.., relation, _] => Some(relation.text.clone()),
                _ => scope
                    .relations
                    .iter()
                    .find(|relation| relation.columns.iter().any(|column| column.name == name))
                    .and_then(|relation| relation.name.clone()),
            };
            let relation = relation.filter(|relation| !relation.starts_with('$'));
            relation.map_or_else(|| name.to_owned(), |relation| format!("{relation}.{name}"))
        }
        Kind::Literal(value, kind) => literal(value, kind),
        Kind::Negate(inner) => format!("(- {})", shown(inner, scope)),
        Kind::Not(inner) => format!("NOT {}", shown(inner, scope)),
        Kind::IsNull(inner, negated) => {
            format!("{} IS {}NULL", shown(inner, scope), if *negated { "NOT " } else { "" })
        }
        Kind::Binary(operator, left, right) => {
            let symbol = if *operator == Operator::NotEqual { "!=" } else { operator.symbol() };
            format!("{} {symbol} {}", shown(left, scope), shown(right, scope))
        }
        // A cast leaves the name.
        Kind::Cast { value, .. } => shown(value, scope),
        Kind::Call(call) => {
            let name = call.name.text.to_lowercase();
            let distinct = if call.distinct { "DISTINCT " } else { "" };
            let arguments = if call.star { "*".to_owned() } else { list(&call.arguments) };
            format!("{name}({distinct}{arguments})")
        }
        Kind::Case { .. } => "CASE".to_owned(),
        Kind::Scalar(_) => "(subquery)".to_owned(),
        Kind::Array(items) => format!("make_array({})", list(items)),
        _ => "expression".to_owned(),
    }
}

fn literal(value: &Value, kind: &Type) -> String {
    match (value, kind) {
        (Value::Null, _) => "NULL".to_owned(),
        (Value::Boolean(truth), _) => format!("Boolean({truth})"),
        (Value::Integer(number), _) => format!("Int64({number})"),
        (Value::Decimal(digits), Type::Decimal { scale, .. }) => {
            format!("Float64({})", decimal::to_float(*digits, *scale))
        }
        (Value::Float(number), _) => format!("Float64({})", number.get()),
        (Value::Text(text), _) => format!("Utf8(\"{text}\")"),
        _ => "literal".to_owned(),
    }
}
