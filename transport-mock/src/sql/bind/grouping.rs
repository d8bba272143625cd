//! Groups and aggregates.

use super::super::Dialect;
use super::super::ast::{Call, Expression, Kind, Name, Select};
use super::super::error::{Error, Span};
use super::super::plan::{AggregateFunction, Aggregation, Scalar, ScalarNode};
use super::super::types::Type;
use super::super::value::Value;
use super::scope::Scope;
use super::{Binder, Context};

/// What rows are grouped by, and what is computed of each group. A row of the result has the keys and then the calls.
#[derive(Debug)]
pub(super) struct Grouping {
    pub(super) keys: Vec<Scalar>,
    /// With whether each can be `NULL`.
    pub(super) calls: Vec<(Aggregation, bool)>,
}

/// The aggregate function of a name.
fn function(name: &str) -> Option<AggregateFunction> {
    Some(match name.to_uppercase().as_str() {
        "COUNT" => AggregateFunction::Count,
        "SUM" => AggregateFunction::Sum,
        "AVG" => AggregateFunction::Avg,
        "MIN" => AggregateFunction::Min,
        "MAX" => AggregateFunction::Max,
        "EVERY" | "LOGICAL_AND" | "BOOL_AND" => AggregateFunction::Every,
        "SOME" | "LOGICAL_OR" | "BOOL_OR" => AggregateFunction::Some,
        "COUNTIF" => AggregateFunction::CountIf,
        "ARRAY_AGG" => AggregateFunction::ArrayAgg,
        "ARG_MIN" => AggregateFunction::ArgMin,
        "ARG_MAX" => AggregateFunction::ArgMax,
        _ => return None,
    })
}

/// Whether an expression calls an aggregate function, outside of its queries.
pub(super) fn has_aggregate(value: &Expression) -> bool {
    any(value, &|part| matches!(&*part.kind, Kind::Call(call) if function(&call.name.text).is_some()))
}

/// Whether an expression has a query inside.
fn has_query(value: &Expression) -> bool {
    any(value, &|part| matches!(&*part.kind, Kind::Exists(_) | Kind::Scalar(_) | Kind::InQuery(..)))
}

/// Whether a test holds for an expression or a part of it, outside of its queries.
fn any(value: &Expression, test: &dyn Fn(&Expression) -> bool) -> bool {
    let any = |part: &Expression| any(part, test);
    if test(value) {
        return true;
    }
    match &*value.kind {
        Kind::Call(call) => call.arguments.iter().any(any),
        Kind::Literal(..) | Kind::Column(_) | Kind::Exists(_) | Kind::Scalar(_) => false,
        Kind::Not(a)
        | Kind::Negate(a)
        | Kind::IsNull(a, _)
        | Kind::IsTruth(a, ..)
        | Kind::InQuery(a, ..)
        | Kind::Unit(_, _, a) => any(a),
        Kind::Cast { value, .. } => any(value),
        Kind::Binary(_, a, b) | Kind::IsDistinct(a, b, _) | Kind::Index(a, b) => any(a) || any(b),
        Kind::Between(a, b, c, _) => [a, b, c].into_iter().any(any),
        Kind::InList(a, list, _) => any(a) || list.iter().any(any),
        Kind::Like { value, pattern, .. } => any(value) || any(pattern),
        Kind::Array(items) => items.iter().any(any),
        Kind::Case { of, branches, otherwise } => {
            let branches = branches.iter().flat_map(|(condition, value)| [condition, value]);
            branches.chain(of).chain(otherwise).any(any)
        }
    }
}

impl Binder<'_> {
    /// The keys of a `GROUP BY`: expressions, and numbers or aliases of items.
    pub(super) fn grouping(
        &mut self,
        select: &Select,
        items: &[(Expression, Option<Name>)],
        scope: &Scope<'_>,
    ) -> Result<Grouping, Error> {
        let mut keys: Vec<Scalar> = Vec::new();
        for key in select.group.iter().flatten() {
            let value = match &*key.kind {
                Kind::Literal(Value::Integer(number), _) => {
                    let at = usize::try_from(*number).ok().and_then(|number| number.checked_sub(1));
                    let item = at.and_then(|at| items.get(at));
                    &item.ok_or_else(|| Error::validation("Ordinal out of range", key.at))?.0
                }
                Kind::Column(names) if names.len() == 1 && scope.resolve(names, key.at).is_err() => {
                    let is_alias =
                        |alias: &Option<Name>| alias.as_ref().is_some_and(|alias| alias.text == names[0].text);
                    items.iter().find(|(_, alias)| is_alias(alias)).map_or(key, |(value, _)| value)
                }
                _ => key,
            };
            if has_aggregate(value) {
                return Err(Error::validation("Aggregate expression is illegal in GROUP BY clause", key.at));
            }
            let scalar = self.scalar(value, Context::new(scope))?;
            if !keys.contains(&scalar) {
                keys.push(scalar);
            }
        }
        Ok(Grouping { keys, calls: Vec::new() })
    }

    /// An expression over the rows of a grouped query, if it is a key, a call of an aggregate function or a constant.
    pub(super) fn of_group(&mut self, value: &Expression, context: Context<'_>) -> Result<Option<Scalar>, Error> {
        let aggregate = match &*value.kind {
            Kind::Call(call) => function(&call.name.text).map(|function| (function, call)),
            _ => None,
        };
        let Some(grouping) = context.grouping else {
            return match aggregate {
                Some(_) => Err(Error::validation("Aggregate expressions cannot be nested or used here", value.at)),
                None => Ok(None),
            };
        };
        let plain = Context::new(context.scope);
        if let Some((function, call)) = aggregate {
            let (call, nullable) = self.aggregation(function, call, plain, value.at)?;
            let mut grouping = grouping.borrow_mut();
            // Without keys there is a group even if there are no rows.
            let nullable = nullable || (grouping.keys.is_empty() && !is_count(function));
            let (first, kind) = (grouping.keys.len(), call.kind.clone());
            let known = grouping.calls.iter().position(|(other, _)| *other == call);
            let at = known.unwrap_or_else(|| {
                grouping.calls.push((call, nullable));
                grouping.calls.len() - 1
            });
            return Ok(Some(Scalar::new(ScalarNode::Column(first + at), kind, nullable)));
        }
        if has_aggregate(value) {
            return Ok(None);
        }
        // A query is bound where it stands and not here as well, unless it may be a key.
        if has_query(value) && !grouping.borrow().keys.iter().any(Scalar::has_query) {
            return Ok(None);
        }
        let is_column = matches!(*value.kind, Kind::Column(_));
        match self.scalar(value, plain) {
            Ok(scalar) => {
                if let Some(at) = grouping.borrow().keys.iter().position(|key| *key == scalar) {
                    return Ok(Some(Scalar { node: ScalarNode::Column(at), ..scalar }));
                }
                if scalar.columns().is_none() && !scalar.has_query() {
                    return Ok(Some(scalar));
                }
            }
            Err(error) if is_column => return Err(error),
            Err(_) => {}
        }
        match &*value.kind {
            Kind::Column(names) => {
                let name = names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(".");
                Err(Error::validation(format!("Expression '{name}' is not being grouped"), value.at))
            }
            _ => Ok(None),
        }
    }

    fn aggregation(
        &mut self,
        function: AggregateFunction,
        call: &Call,
        context: Context<'_>,
        at: Span,
    ) -> Result<(Aggregation, bool), Error> {
        let name = call.name.text.to_uppercase();
        let values = call.arguments.iter().map(|value| self.scalar(value, context));
        let mut arguments = values.collect::<Result<Vec<Scalar>, Error>>()?;
        let filter = match &call.filter {
            Some(filter) => Some(self.condition(filter, context)?),
            None => None,
        };
        if arguments.iter().chain(&filter).any(Scalar::has_query) {
            return Err(Error::unsupported("queries inside of aggregates", at));
        }
        let expected = match function {
            AggregateFunction::Count if call.star => 0,
            AggregateFunction::Count => arguments.len().max(1),
            AggregateFunction::ArgMin | AggregateFunction::ArgMax => 2,
            _ => 1,
        };
        if arguments.len() != expected || (call.star && function != AggregateFunction::Count) {
            let message =
                format!("Invalid number of arguments to function '{name}'. Was expecting {expected} arguments");
            return Err(Error::validation(message, at));
        }
        let wrong = |kind: &Type| {
            Err(Error::validation(
                format!("Cannot apply '{name}' to arguments of type '{name}(<{}>)'", kind.name()),
                at,
            ))
        };
        let first = arguments.first().map_or(Type::Null, |argument| argument.kind.clone());
        let kind = match function {
            AggregateFunction::Count | AggregateFunction::CountIf => Type::BIGINT,
            AggregateFunction::Sum | AggregateFunction::Avg if !first.is_number() => return wrong(&first),
            AggregateFunction::Sum => self.sum_type(&first),
            AggregateFunction::Avg => self.average_type(&first),
            AggregateFunction::Every | AggregateFunction::Some if first != Type::Boolean => return wrong(&first),
            AggregateFunction::ArrayAgg => Type::Array(Box::new(first)),
            _ => first,
        };
        if matches!(function, AggregateFunction::Sum | AggregateFunction::Avg) {
            // The sum of an average has the digits of its result.
            arguments = arguments.into_iter().map(|argument| argument.cast(&kind_of_terms(&kind))).collect();
        }
        let nullable = !is_count(function)
            && (call.filter.is_some() || arguments.first().is_none_or(|argument| argument.nullable));
        // Duplicates change neither the smallest nor the largest value.
        let matters = !matches!(function, AggregateFunction::Min | AggregateFunction::Max);
        Ok((Aggregation { function, arguments, distinct: call.distinct && matters, filter, kind }, nullable))
    }

    fn sum_type(&self, argument: &Type) -> Type {
        match (self.dialect, argument) {
            (Dialect::AdHoc, Type::Integer { .. }) => Type::BIGINT,
            (Dialect::AdHoc, Type::Decimal { precision, scale }) => Type::decimal(precision.saturating_add(10), *scale),
            (Dialect::AdHoc, Type::Real) => Type::Double,
            (Dialect::Flink, Type::Decimal { scale, .. }) => Type::decimal(38, *scale),
            (_, other) => other.clone(),
        }
    }

    fn average_type(&self, argument: &Type) -> Type {
        match (self.dialect, argument) {
            (Dialect::AdHoc, Type::Decimal { precision, scale }) => {
                Type::decimal(precision.saturating_add(4), scale + 4)
            }
            (Dialect::AdHoc, _) => Type::Double,
            (Dialect::Flink, Type::Decimal { scale, .. }) => Type::decimal(38, (*scale).max(6)),
            (_, other) => other.clone(),
        }
    }
}

/// The type in which the terms of a sum are added.
fn kind_of_terms(result: &Type) -> Type {
    match result {
        Type::Decimal { scale, .. } => Type::decimal(38, *scale),
        other => other.clone(),
    }
}

fn is_count(function: AggregateFunction) -> bool {
    matches!(function, AggregateFunction::Count | AggregateFunction::CountIf)
}
