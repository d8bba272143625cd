//! Chains of operators, whose tree would be as deep as they are long.

use super::super::ast::{Expression, Kind as Node, Operator};
use super::super::error::{Error, Span};
use super::Parser;

/// How many operands of `AND` and `OR` may be in a row of a tree.
const LONG_CHAIN: usize = 16;

impl Parser<'_> {
    /// Operands of `AND` or `OR`. Long chains are common in generated filters: they become a balanced tree.
    pub(super) fn chain(
        &mut self,
        start: Span,
        left: Expression,
        word: &str,
        operator: Operator,
        operand: fn(&mut Self) -> Result<Expression, Error>,
    ) -> Result<Expression, Error> {
        let before = self.links;
        let mut deepest = before;
        let mut operands = vec![left];
        while self.take_word(word) {
            self.links = before;
            operands.push(operand(self)?);
            deepest = deepest.max(self.links);
        }
        self.links = deepest;
        while operands.len() > LONG_CHAIN {
            self.link()?;
            let mut pairs = Vec::with_capacity(operands.len().div_ceil(2));
            let mut left = operands.into_iter();
            while let Some(first) = left.next() {
                pairs.push(match left.next() {
                    Some(second) => {
                        let at = first.at.to(second.at);
                        Expression { kind: Box::new(Node::Binary(operator, first, second)), at }
                    }
                    None => first,
                });
            }
            operands = pairs;
        }
        let mut operands = operands.into_iter();
        let mut all = operands.next().ok_or_else(|| self.unexpected())?;
        for next in operands {
            self.link()?;
            let at = start.to(next.at);
            all = Expression { kind: Box::new(Node::Binary(operator, all, next)), at };
        }
        Ok(all)
    }
}
