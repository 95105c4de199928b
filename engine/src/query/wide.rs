//! A sum of whole numbers that cannot overflow, so that it does not depend on the order of its parts.

/// `high * 2^64 + low`: room for 2^63 numbers of 128 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Wide {
    high: i128,
    low: u128,
}

impl Wide {
    /// Adds a number.
    pub(super) fn add(&mut self, number: i128) {
        // Each half grows by less than 2^64, and fewer than 2^63 rows are added.
        self.high += number >> 64;
        self.low += number as u128 & u128::from(u64::MAX);
    }

    /// The sum, where 128 bits hold it.
    pub(super) fn total(self) -> Option<i128> {
        let high = self.high + (self.low >> 64) as i128;
        let high = i64::try_from(high).ok()?;
        Some(i128::from(high) << 64 | (self.low & u128::from(u64::MAX)) as i128)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(numbers: &[i128]) -> Option<i128> {
        let mut wide = Wide::default();
        numbers.iter().for_each(|number| wide.add(*number));
        wide.total()
    }

    #[test]
    fn sums_are_exact_whatever_the_order() {
        assert_eq!(sum(&[]), Some(0));
        assert_eq!(sum(&[-1]), Some(-1));
        assert_eq!(sum(&[i128::MAX, i128::MAX, -i128::MAX, -7]), Some(i128::MAX - 7));
        assert_eq!(sum(&[i128::MIN, i128::MIN, i128::MAX, 5, i128::MAX]), Some(3));
        assert_eq!(sum(&[i128::MIN]), Some(i128::MIN));
    }

    #[test]
    fn a_sum_beyond_128_bits_is_none() {
        assert_eq!(sum(&[i128::MAX, 1]), None);
        assert_eq!(sum(&[i128::MIN, -1]), None);
    }
}
