//! [`Seed`]: the randomness of a flow, supplied by the caller.

/// A random generator, from which a flow draws its jitter and its ids.
///
/// Two flows must not share a seed, because they would choose the same ids. The same seed makes a flow behave the same,
/// so tests are repeatable. The generator is PCG-XSL-RR 128/64 ([O'Neill 2014](https://www.pcg-random.org/)). Do not
/// use it for secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed(u128);

impl Seed {
    /// Creates a seed from 128 random bits.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// Returns the next 64 bits.
    #[allow(clippy::cast_possible_truncation, reason = "the generator folds its state")]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645)
            .wrapping_add(0x5851_F42D_4C95_7F2D_1405_7B7E_F767_814F);
        let folded = (self.0 >> 64) as u64 ^ self.0 as u64;
        folded.rotate_right((self.0 >> 122) as u32)
    }

    /// Returns the next 128 bits, for an id.
    pub fn next_u128(&mut self) -> u128 {
        u128::from(self.next_u64()) << 64 | u128::from(self.next_u64())
    }

    /// Returns a seed for a child, independent of the further bits of this seed.
    pub fn split(&mut self) -> Self {
        Self(self.next_u128())
    }

    /// Returns a uniformly distributed number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_and_stay_in_bounds() {
        let (mut one, mut two) = (Seed::new(1), Seed::new(2));
        assert_ne!(one.next_u128(), two.next_u128());
        let (mut child, mut one_again) = (one.split(), Seed::new(1));
        assert_ne!(child.next_u128(), one.next_u128());
        assert_ne!(one_again.next_u128(), one_again.next_u128());
        assert!((0..1000).all(|bound| one.below(bound) < bound.max(1)));
    }
}
