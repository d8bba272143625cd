//! Conditions of joins.

use super::super::ast::{JoinKind, Operator};
use super::super::plan::{Node, Plan, Scalar, ScalarNode};

/// Moves what says that a value of the left is equal to one of the right to the keys of a join; the rest.
pub(super) fn split(condition: Scalar, width: usize, keys: &mut Vec<(Scalar, Scalar)>) -> Option<Scalar> {
    match condition.node {
        ScalarNode::And(a, b) => both(split(*a, width, keys), split(*b, width, keys)),
        ScalarNode::Compare(Operator::Equal, a, b) if !a.has_query() && !b.has_query() => {
            if is_left(&a, width) && is_right(&b, width) {
                keys.push((*a, b.shifted(width)));
                None
            } else if is_left(&b, width) && is_right(&a, width) {
                keys.push((*b, a.shifted(width)));
                None
            } else {
                let node = ScalarNode::Compare(Operator::Equal, a, b);
                Some(Scalar::boolean(node, condition.nullable))
            }
        }
        node => Some(Scalar::boolean(node, condition.nullable)),
    }
}

/// Moves what a `WHERE` says of both sides of an inner join to the keys of that join; the rest.
pub(super) fn pushed(condition: Scalar, plan: &mut Plan) -> Option<Scalar> {
    match condition.node {
        ScalarNode::And(a, b) => {
            let a = pushed(*a, plan);
            both(a, pushed(*b, plan))
        }
        // A key is evaluated for rows that another condition excludes, so it must not fail.
        ScalarNode::Compare(Operator::Equal, a, b) if cannot_fail(&a) && cannot_fail(&b) => {
            if became_key(&a, &b, plan) {
                return None;
            }
            Some(Scalar::boolean(ScalarNode::Compare(Operator::Equal, a, b), condition.nullable))
        }
        node => Some(Scalar::boolean(node, condition.nullable)),
    }
}

fn became_key(a: &Scalar, b: &Scalar, plan: &mut Plan) -> bool {
    let Node::Join(join) = &mut plan.node else { return false };
    if join.kind != JoinKind::Inner {
        return false;
    }
    let width = join.left.columns.len();
    for (a, b) in [(a, b), (b, a)] {
        if is_left(a, width) && is_right(b, width) {
            join.keys.push((a.clone(), b.clone().shifted(width)));
            return true;
        }
    }
    is_left(a, width) && is_left(b, width) && became_key(a, b, &mut join.left)
}

fn is_left(scalar: &Scalar, width: usize) -> bool {
    scalar.columns().is_some_and(|(_, high)| high < width)
}

fn is_right(scalar: &Scalar, width: usize) -> bool {
    scalar.columns().is_some_and(|(low, _)| low >= width)
}

/// Whether it is a column, perhaps converted to a wider type.
fn cannot_fail(scalar: &Scalar) -> bool {
    match &scalar.node {
        ScalarNode::Column(_) => true,
        ScalarNode::Cast(inner, _) => {
            let widens = inner.kind.common(&scalar.kind).is_some_and(|common| common == scalar.kind);
            widens && inner.kind.is_number() && cannot_fail(inner)
        }
        _ => false,
    }
}

fn both(a: Option<Scalar>, b: Option<Scalar>) -> Option<Scalar> {
    match (a, b) {
        (Some(a), Some(b)) => {
            let nullable = a.nullable || b.nullable;
            Some(Scalar::boolean(ScalarNode::And(Box::new(a), Box::new(b)), nullable))
        }
        (a, b) => a.or(b),
    }
}
