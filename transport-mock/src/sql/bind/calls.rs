//! Calls of scalar functions.

use super::super::ast::{Call, Operator, UnitFunction};
use super::super::error::{Error, Span};
use super::super::functions::{is_known_elsewhere, signature};
use super::super::plan::{Scalar, ScalarNode, Unit};
use super::super::types::Type;
use super::operators::binary;
use super::{Binder, Context};

impl Binder<'_> {
    pub(super) fn call(&mut self, call: &Call, context: Context<'_>, at: Span) -> Result<Scalar, Error> {
        let name = call.name.text.to_uppercase();
        if self.catalog.function(&call.name.text).is_some() {
            return Err(Error::unsupported(format!("the user-defined function '{}'", call.name.text), at));
        }
        let signature = signature(&name);
        // Before the arguments: those of an aggregate function are read differently.
        if signature.is_none() && part_function(&name).is_none() && is_known_elsewhere(&name) {
            return Err(Error::unsupported(format!("the function {name}"), at));
        }
        if call.star || call.distinct || call.filter.is_some() {
            return Err(Error::validation(format!("'{name}' is not an aggregate function"), at));
        }
        let values = call.arguments.iter().map(|value| self.scalar(value, context));
        let mut arguments = values.collect::<Result<Vec<Scalar>, Error>>()?;
        if let (Some(unit), [_]) = (part_function(&name), arguments.as_slice()) {
            let Some(value) = arguments.pop() else { unreachable!("there is one argument") };
            return unit_function(UnitFunction::Extract, unit, value, at);
        }
        if name == "MOD" && arguments.len() == 2 {
            let (Some(right), Some(left)) = (arguments.pop(), arguments.pop()) else { unreachable!("there are two") };
            return binary(Operator::Modulo, left, right, at);
        }
        let given: Vec<Type> = arguments.iter().map(|argument| argument.kind.clone()).collect();
        let shown = || given.iter().map(|kind| format!("<{}>", kind.name())).collect::<Vec<_>>().join(", ");
        let Some(signature) = signature else {
            return Err(Error::validation(format!("No match found for function signature {name}({})", shown()), at));
        };
        if !signature.arguments.contains(&arguments.len()) {
            let message = format!("Invalid number of arguments to function '{name}'");
            return Err(Error::validation(message, at));
        }
        let Some((kinds, result)) = signature.function.types(&given) else {
            let message = format!("Cannot apply '{name}' to arguments of type '{name}({})'", shown());
            return Err(Error::validation(message, at));
        };
        let nullable: Vec<bool> = arguments.iter().map(|argument| argument.nullable).collect();
        let nullable = signature.function.is_nullable(&nullable);
        let arguments = arguments.into_iter().zip(&kinds).map(|(argument, kind)| argument.cast(kind)).collect();
        Ok(Scalar::new(ScalarNode::Call(signature.function, arguments), result, nullable))
    }
}

/// The first of two values that is not `NULL`.
pub(super) fn coalesced(first: Scalar, second: Scalar, at: Span) -> Result<Scalar, Error> {
    let function = super::super::functions::Function::Coalesce;
    let nullable = first.nullable && second.nullable;
    let (_, kind) = function
        .types(&[first.kind.clone(), second.kind.clone()])
        .ok_or_else(|| Error::validation("Columns of a join have two types", at))?;
    let arguments = vec![first.cast(&kind), second.cast(&kind)];
    Ok(Scalar::new(ScalarNode::Call(function, arguments), kind, nullable))
}

/// The unit that a function such as `YEAR` extracts.
fn part_function(name: &str) -> Option<Unit> {
    let name = match name {
        "DAYOFMONTH" => "DAY",
        "DAYOFWEEK" => "DOW",
        "DAYOFYEAR" => "DOY",
        other => other,
    };
    Unit::named(name)
}

/// A part of a date or time, or the date or time with smaller parts cut off.
pub(super) fn unit_function(function: UnitFunction, unit: Unit, value: Scalar, at: Span) -> Result<Scalar, Error> {
    let nullable = value.nullable;
    if !matches!(value.kind, Type::Date | Type::Time | Type::Timestamp) {
        let kind = value.kind.name();
        return Err(Error::validation(format!("A part of time cannot be had of a value of type <{kind}>"), at));
    }
    let kind = if function == UnitFunction::Extract { Type::BIGINT } else { value.kind.clone() };
    Ok(Scalar::new(ScalarNode::Unit(function, unit, Box::new(value)), kind, nullable))
}
