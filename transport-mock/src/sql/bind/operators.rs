//! The types of operators.

use super::super::Dialect;
use super::super::ast::Operator;
use super::super::error::{Error, Span};
use super::super::plan::{Scalar, ScalarNode};
use super::super::types::{MOST_DIGITS, Type};
use super::Binder;

impl Binder<'_> {
    /// The type that a literal number has in this dialect.
    pub(super) fn literal_type(&self, kind: &Type) -> Type {
        match (self.dialect, kind) {
            (Dialect::AdHoc, Type::Integer { .. }) => Type::BIGINT,
            (Dialect::AdHoc, Type::Decimal { .. }) => Type::Double,
            (Dialect::AdHoc, Type::Char(_)) => Type::TEXT,
            (_, other) => other.clone(),
        }
    }
}

/// An operator between two values.
pub(super) fn binary(operator: Operator, left: Scalar, right: Scalar, at: Span) -> Result<Scalar, Error> {
    let nullable = left.nullable || right.nullable;
    match operator {
        Operator::And | Operator::Or => {
            let (left, right) = (boolean(left, operator, at)?, boolean(right, operator, at)?);
            let (left, right) = (Box::new(left), Box::new(right));
            let node =
                if operator == Operator::And { ScalarNode::And(left, right) } else { ScalarNode::Or(left, right) };
            Ok(Scalar::boolean(node, nullable))
        }
        Operator::Concat => {
            let is_text = |kind: &Type| kind.is_text() || *kind == Type::Null;
            if !is_text(&left.kind) && !is_text(&right.kind) {
                return Err(mismatch(operator, &left.kind, &right.kind, at));
            }
            let (left, right) = (Box::new(left.cast(&Type::TEXT)), Box::new(right.cast(&Type::TEXT)));
            Ok(Scalar::new(ScalarNode::Arithmetic(operator, left, right), Type::TEXT, nullable))
        }
        Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Modulo => {
            arithmetic(operator, left, right, at)
        }
        _ => {
            let (left, right) = comparable(operator, left, right, at)?;
            Ok(Scalar::boolean(ScalarNode::Compare(operator, Box::new(left), Box::new(right)), nullable))
        }
    }
}

fn arithmetic(operator: Operator, left: Scalar, right: Scalar, at: Span) -> Result<Scalar, Error> {
    let nullable = left.nullable || right.nullable;
    let (left, right) = match (&left.kind, &right.kind) {
        (Type::Null, Type::Null) => (left.cast(&Type::INT), right.cast(&Type::INT)),
        (Type::Null, other) if other.is_number() => (left.cast(&other.clone()), right),
        (other, Type::Null) if other.is_number() => {
            let kind = other.clone();
            (left, right.cast(&kind))
        }
        _ => (left, right),
    };
    let make = |left: Scalar, right: Scalar, kind: Type| {
        let node = ScalarNode::Arithmetic(operator, Box::new(left), Box::new(right));
        Ok(Scalar::new(node, kind, nullable))
    };
    let (a, b) = (left.kind.clone(), right.kind.clone());
    if !a.is_number() || !b.is_number() {
        return match time_arithmetic(operator, &a, &b) {
            Some(kind) => make(left, right, kind),
            None if a == Type::Variant || b == Type::Variant => {
                Err(Error::unsupported("arithmetic of VARIANT values", at))
            }
            None => Err(mismatch(operator, &a, &b, at)),
        };
    }
    let (Some((left_digits, left_scale)), Some((right_digits, right_scale))) = (a.digits(), b.digits()) else {
        let common = a.common(&b).unwrap_or(Type::Double);
        return make(left.cast(&common), right.cast(&common), common);
    };
    if a.is_integer() && b.is_integer() {
        let common = a.common(&b).unwrap_or(Type::BIGINT);
        return make(left.cast(&common), right.cast(&common), common);
    }
    let whole = left_digits - left_scale;
    match operator {
        Operator::Multiply | Operator::Divide => {
            let left = left.cast(&Type::Decimal { precision: left_digits, scale: left_scale });
            let right = right.cast(&Type::Decimal { precision: right_digits, scale: right_scale });
            if operator == Operator::Multiply {
                let scale = left_scale.saturating_add(right_scale).min(MOST_DIGITS);
                return make(left, right, Type::decimal(left_digits.saturating_add(right_digits), scale));
            }
            let whole = whole.saturating_add(right_scale);
            let scale = left_scale.saturating_add(right_digits).saturating_add(1).max(6);
            // Digits before the point are kept, at the cost of the digits behind it, of which 6 stay.
            let scale = scale.min(MOST_DIGITS.saturating_sub(whole).max(6));
            make(left, right, Type::decimal(whole.saturating_add(scale), scale))
        }
        _ => {
            let scale = left_scale.max(right_scale);
            let more = u8::from(operator != Operator::Modulo);
            let whole = whole.max(right_digits - right_scale);
            let kind = Type::decimal(whole.saturating_add(scale).saturating_add(more), scale);
            let terms = Type::decimal(MOST_DIGITS, scale);
            make(left.cast(&terms), right.cast(&terms), kind)
        }
    }
}

/// The type of dates, times and intervals that are added, subtracted or multiplied.
fn time_arithmetic(operator: Operator, left: &Type, right: &Type) -> Option<Type> {
    let is_moment = |kind: &Type| matches!(kind, Type::Date | Type::Timestamp | Type::Time);
    match operator {
        Operator::Add | Operator::Subtract if is_moment(left) && right.is_interval() => Some(left.clone()),
        Operator::Add if left.is_interval() && is_moment(right) => Some(right.clone()),
        Operator::Add | Operator::Subtract if left.is_interval() && left == right => Some(left.clone()),
        Operator::Multiply | Operator::Divide if left.is_interval() && right.is_integer() => Some(left.clone()),
        Operator::Multiply if left.is_integer() && right.is_interval() => Some(right.clone()),
        _ => None,
    }
}

fn boolean(value: Scalar, operator: Operator, at: Span) -> Result<Scalar, Error> {
    match value.kind {
        Type::Boolean => Ok(value),
        Type::Null => Ok(value.cast(&Type::Boolean)),
        other => Err(mismatch(operator, &other, &Type::Boolean, at)),
    }
}

fn mismatch(operator: Operator, left: &Type, right: &Type, at: Span) -> Error {
    let (symbol, left, right) = (operator.symbol(), left.name(), right.name());
    Error::validation(format!("Cannot apply '{symbol}' to arguments of type '<{left}> {symbol} <{right}>'"), at)
}

/// Two values, converted to the same type.
pub(super) fn comparable(operator: Operator, left: Scalar, right: Scalar, at: Span) -> Result<(Scalar, Scalar), Error> {
    let converts = |text: &Type, other: &Type| {
        text.is_text()
            && (other.is_number()
                || matches!(other, Type::Date | Type::Time | Type::Timestamp | Type::Uuid | Type::Boolean))
    };
    let common = match (&left.kind, &right.kind) {
        (a, b) if converts(a, b) => b.clone(),
        (a, b) if converts(b, a) => a.clone(),
        (a, b) => match a.common(b) {
            Some(Type::Decimal { scale, .. }) => Type::decimal(MOST_DIGITS, scale),
            Some(common) => common,
            None => return Err(mismatch(operator, a, b, at)),
        },
    };
    Ok((left.cast(&common), right.cast(&common)))
}
