//! How large and how deep plans are.

use super::plan::{Plan, Scalar};

impl Plan {
    /// How many plans and expressions it is made of.
    pub(crate) fn parts(&self) -> usize {
        let inputs = self.inputs().into_iter().map(Self::parts).sum::<usize>();
        1 + inputs + self.scalars().into_iter().map(Scalar::parts).sum::<usize>()
    }

    /// How many plans and expressions are inside of each other.
    pub(crate) fn depth(&self) -> usize {
        let inputs = self.inputs().into_iter().map(Self::depth);
        1 + inputs.chain(self.scalars().into_iter().map(Scalar::depth)).max().unwrap_or(0)
    }
}

impl Scalar {
    fn parts(&self) -> usize {
        1 + self.query().map_or(0, Plan::parts) + self.children().into_iter().map(Self::parts).sum::<usize>()
    }

    fn depth(&self) -> usize {
        let children = self.children().into_iter().map(Self::depth);
        1 + children.chain(self.query().map(Plan::depth)).max().unwrap_or(0)
    }
}
