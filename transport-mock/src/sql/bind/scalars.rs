//! Expressions.

use super::super::ast::{Expression, Kind, Operator, Query};
use super::super::error::{Error, Span};
use super::super::plan::{Plan, Scalar, ScalarNode, Unit};
use super::super::types::Type;
use super::super::value::Value;
use super::calls::unit_function;
use super::operators::{binary, comparable};
use super::{Binder, Context};

impl Binder<'_> {
    /// An expression over the rows of a scope.
    pub(super) fn scalar(&mut self, value: &Expression, context: Context<'_>) -> Result<Scalar, Error> {
        self.count(1, value.at)?;
        if let Some(scalar) = self.of_group(value, context)? {
            return Ok(scalar);
        }
        let at = value.at;
        match &*value.kind {
            Kind::Literal(literal, kind) => {
                Ok(Scalar::literal(literal.clone(), kind.clone()).cast(&self.literal_type(kind)))
            }
            Kind::Column(names) => context.scope.resolve(names, at),
            Kind::Not(inner) => Ok(self.condition(inner, context)?.negated(true)),
            Kind::Negate(inner) => self.negation(inner, context),
            Kind::Binary(operator, left, right) => {
                let (left, right) = (self.scalar(left, context)?, self.scalar(right, context)?);
                binary(*operator, left, right, at)
            }
            Kind::IsNull(inner, negated) => {
                let node = ScalarNode::IsNull(Box::new(self.scalar(inner, context)?));
                Ok(Scalar::boolean(node, false).negated(*negated))
            }
            Kind::IsTruth(inner, truth, negated) => {
                let node = ScalarNode::IsTruth(Box::new(self.condition(inner, context)?), *truth);
                Ok(Scalar::boolean(node, false).negated(*negated))
            }
            Kind::IsDistinct(left, right, negated) => {
                let (left, right) = (self.scalar(left, context)?, self.scalar(right, context)?);
                let (left, right) = comparable(Operator::Equal, left, right, at)?;
                let node = ScalarNode::Same(Box::new(left), Box::new(right));
                Ok(Scalar::boolean(node, false).negated(!*negated))
            }
            Kind::Between(inner, low, high, negated) => {
                let inner = self.scalar(inner, context)?;
                let (low, high) = (self.scalar(low, context)?, self.scalar(high, context)?);
                let (inner, low) = comparable(Operator::GreaterEqual, inner, low, at)?;
                let (inner, high) = comparable(Operator::LessEqual, inner, high, at)?;
                let low = low.cast(&inner.kind);
                let nullable = inner.nullable || low.nullable || high.nullable;
                let node = ScalarNode::Between(Box::new(inner), Box::new(low), Box::new(high));
                Ok(Scalar::boolean(node, nullable).negated(*negated))
            }
            Kind::InList(inner, list, negated) => self.in_list(inner, list, *negated, context, at),
            Kind::InQuery(inner, query, negated) => {
                let (inner, plan) = (self.scalar(inner, context)?, self.column_query(query, context)?);
                let column = &plan.columns[0];
                let (inner, column) = comparable(Operator::Equal, inner, Scalar::column(0, column), at)?;
                let nullable = inner.nullable || column.nullable;
                let plan = projected(plan, column);
                Ok(Scalar::boolean(ScalarNode::InQuery(Box::new(inner), Box::new(plan)), nullable).negated(*negated))
            }
            Kind::Like { value, pattern, escape, negated, fold } => {
                let (value, pattern) = (self.text(value, context)?, self.text(pattern, context)?);
                let escape = match escape {
                    Some(escape) => Some(single_letter(escape)?),
                    None => None,
                };
                let nullable = value.nullable || pattern.nullable;
                let (value, pattern) = (Box::new(value), Box::new(pattern));
                let node = ScalarNode::Like { value, pattern, escape, fold: *fold };
                Ok(Scalar::boolean(node, nullable).negated(*negated))
            }
            Kind::Exists(query) => {
                let plan = self.query(query, Some(context.scope))?;
                Ok(Scalar::boolean(ScalarNode::Exists(Box::new(plan)), false))
            }
            Kind::Scalar(query) => {
                let plan = self.column_query(query, context)?;
                let kind = plan.columns[0].kind.clone();
                Ok(Scalar::new(ScalarNode::Query(Box::new(plan)), kind, true))
            }
            Kind::Case { of, branches, otherwise } => self.case(of.as_ref(), branches, otherwise.as_ref(), context, at),
            Kind::Cast { value, to, safe } => {
                let value = self.scalar(value, context)?;
                let nullable = value.nullable || *safe;
                Ok(Scalar::new(ScalarNode::Cast(Box::new(value), *safe), to.clone(), nullable))
            }
            Kind::Unit(function, unit, inner) => {
                let value = self.scalar(inner, context)?;
                let unit = Unit::named(unit)
                    .ok_or_else(|| Error::validation(format!("'{unit}' is not a valid time frame"), at))?;
                unit_function(*function, unit, value, at)
            }
            Kind::Call(call) => self.call(call, context, at),
            Kind::Array(items) => {
                let items = items.iter().map(|item| self.scalar(item, context)).collect::<Result<Vec<_>, _>>()?;
                let common = common(&items)
                    .ok_or_else(|| Error::validation("Elements of an array must have compatible types", at))?;
                let items = items.into_iter().map(|item| item.cast(&common)).collect();
                Ok(Scalar::new(ScalarNode::Array(items), Type::Array(Box::new(common)), false))
            }
            Kind::Index(inner, index) => self.index(inner, index, context, at),
        }
    }

    fn negation(&mut self, inner: &Expression, context: Context<'_>) -> Result<Scalar, Error> {
        let value = self.scalar(inner, context)?;
        if !value.kind.is_number() && !value.kind.is_interval() && value.kind != Type::Null {
            let kind = value.kind.name();
            return Err(Error::validation(format!("Cannot apply '-' to arguments of type '-<{kind}>'"), inner.at));
        }
        let (kind, nullable) = (value.kind.clone(), value.nullable);
        Ok(Scalar::new(ScalarNode::Negate(Box::new(value)), kind, nullable))
    }

    fn text(&mut self, value: &Expression, context: Context<'_>) -> Result<Scalar, Error> {
        let scalar = self.scalar(value, context)?;
        if scalar.kind.is_text() || matches!(scalar.kind, Type::Null | Type::Variant) {
            return Ok(scalar.cast(&Type::TEXT));
        }
        let kind = scalar.kind.name();
        Err(Error::validation(format!("Cannot apply 'LIKE' to arguments of type '<{kind}>'"), value.at))
    }

    /// A query with one column.
    fn column_query(&mut self, query: &Query, context: Context<'_>) -> Result<Plan, Error> {
        let plan = self.query(query, Some(context.scope))?;
        if plan.columns.len() != 1 {
            return Err(Error::validation(
                "Cannot apply '$SCALAR_QUERY' to a query with more than one column",
                query.at,
            ));
        }
        Ok(plan)
    }

    fn in_list(
        &mut self,
        inner: &Expression,
        list: &[Expression],
        negated: bool,
        context: Context<'_>,
        at: Span,
    ) -> Result<Scalar, Error> {
        let mut inner = self.scalar(inner, context)?;
        let mut items = Vec::new();
        for item in list {
            let item = self.scalar(item, context)?;
            let item_of;
            (inner, item_of) = comparable(Operator::Equal, inner, item, at)?;
            items.push(item_of);
        }
        let items: Vec<Scalar> = items.into_iter().map(|item| item.cast(&inner.kind)).collect();
        let nullable = inner.nullable || items.iter().any(|item| item.nullable);
        Ok(Scalar::boolean(ScalarNode::InList(Box::new(inner), items), nullable).negated(negated))
    }

    fn case(
        &mut self,
        of: Option<&Expression>,
        branches: &[(Expression, Expression)],
        otherwise: Option<&Expression>,
        context: Context<'_>,
        at: Span,
    ) -> Result<Scalar, Error> {
        let mut of = match of {
            Some(of) => Some(self.scalar(of, context)?),
            None => None,
        };
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        for (condition, value) in branches {
            conditions.push(match of {
                Some(value) => {
                    let candidate = self.scalar(condition, context)?;
                    let (value, candidate) = comparable(Operator::Equal, value, candidate, condition.at)?;
                    of = Some(value);
                    candidate
                }
                None => self.condition(condition, context)?,
            });
            values.push(self.scalar(value, context)?);
        }
        values.push(match otherwise {
            Some(otherwise) => self.scalar(otherwise, context)?,
            None => Scalar::literal(Value::Null, Type::Null),
        });
        let kind = common(&values)
            .ok_or_else(|| Error::validation("Illegal mixing of types in CASE or COALESCE statement", at))?;
        let nullable = values.iter().any(|value| value.nullable);
        let mut values: Vec<Scalar> = values.into_iter().map(|value| value.cast(&kind)).collect();
        let otherwise = values.pop().unwrap_or_else(|| Scalar::literal(Value::Null, Type::Null));
        let node = match of {
            Some(of) => {
                let candidates = conditions.into_iter().map(|candidate| candidate.cast(&of.kind));
                let branches = candidates.zip(values).collect();
                ScalarNode::Choose { of: Box::new(of), branches, otherwise: Box::new(otherwise) }
            }
            None => ScalarNode::Case(conditions.into_iter().zip(values).collect(), Box::new(otherwise)),
        };
        Ok(Scalar::new(node, kind, nullable))
    }

    fn index(
        &mut self,
        inner: &Expression,
        index: &Expression,
        context: Context<'_>,
        at: Span,
    ) -> Result<Scalar, Error> {
        let (inner, index) = (self.scalar(inner, context)?, self.scalar(index, context)?);
        let (kind, index) = match &inner.kind {
            Type::Array(element) if index.kind.is_integer() => ((**element).clone(), index),
            Type::Map(key, value) => ((**value).clone(), index.cast(&key.clone())),
            Type::Variant if index.kind.is_integer() || index.kind.is_text() => (Type::Variant, index),
            other => {
                let message =
                    format!("Cannot apply 'ITEM' to arguments of type '<{}>[<{}>]'", other.name(), index.kind.name());
                return Err(Error::validation(message, at));
            }
        };
        Ok(Scalar::new(ScalarNode::Index(Box::new(inner), Box::new(index)), kind, true))
    }
}

/// The type that all values convert to.
fn common(values: &[Scalar]) -> Option<Type> {
    values.iter().try_fold(Type::Null, |common, value| common.common(&value.kind))
}

/// A query of one column, converted.
fn projected(plan: Plan, column: Scalar) -> Plan {
    if column.kind == plan.columns[0].kind {
        return plan;
    }
    let mut columns = plan.columns.clone();
    columns[0].kind = column.kind.clone();
    Plan { columns, node: super::super::plan::Node::Project(Box::new(plan), vec![column]) }
}

fn single_letter(value: &Expression) -> Result<char, Error> {
    let wrong = || Error::validation("ESCAPE takes a text of one character", value.at);
    let Kind::Literal(Value::Text(text), _) = &*value.kind else { return Err(wrong()) };
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => Ok(letter),
        _ => Err(wrong()),
    }
}
