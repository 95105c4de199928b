//! Decimal numbers of up to 38 digits.
//!
//! Every operation is exact or rounded half-even once, from the exact result; what does not fit is `None`, never
//! wrapped and never cut. Intermediate results have 256 bits.
//!
//! Digits after the point (the scale) of a result:
//!
//! | operation | scale | when the digits do not fit in 38 |
//! |---|---|---|
//! | `+` `-` `%` | the larger of both | overflow (`%` always fits) |
//! | `*` | the sum of both, at most 18 or the larger of both if that is more | decimals are dropped, down to nine at the least; then overflow |
//! | `/` | 18, or the larger of both if that is more | as `*` |
//!
//! So one product of two columns of the default type `decimal` (scale 9) is exact, and chains of products do not grow
//! decimals until no digit is left before the point.
//!
//! ```
//! use anabranch_model::Decimal;
//! let price: Decimal = "2.50".parse().unwrap();
//! let total = price.checked_mul(Decimal::from_int(3)).unwrap();
//! assert_eq!(total.to_string(), "7.50");
//! assert_eq!(total.rescale(1).unwrap(), "7.5".parse().unwrap());
//! ```

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use ethnum::I256;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::expr::Operator;

/// Digits of a decimal, at most.
pub const MAX_DIGITS: u8 = 38;

/// Digits after the point that `*` and `/` aim at where the operands do not have more.
const AIMED_SCALE: u8 = 18;

/// Digits after the point that `*` and `/` keep rather than give a result at all.
const KEPT_SCALE: u8 = 9;

/// `mantissa / 10^scale`, with `|mantissa| < 10^38` and `scale <= 38`. Equal, ordered and hashed as a number: 1.5 is
/// 1.50.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    mantissa: i128,
    scale: u8,
}

impl Decimal {
    /// Zero, without digits after the point.
    pub const ZERO: Decimal = Decimal { mantissa: 0, scale: 0 };

    /// `mantissa / 10^scale`; the caller holds the bounds (see [`Decimal::fits`] for numbers from outside).
    pub fn from_parts(mantissa: i128, scale: u8) -> Self {
        Decimal { mantissa, scale: scale.min(MAX_DIGITS) }
    }

    /// The whole number.
    pub fn from_int(number: i64) -> Self {
        Decimal { mantissa: i128::from(number), scale: 0 }
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
        self.mantissa.unsigned_abs() < 10u128.pow(u32::from(precision.min(MAX_DIGITS)))
    }

    /// Whether this is 0.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// The same number with `scale` digits after the point, rounded half-even; `None` when it has over 38 digits then.
    #[inline]
    pub fn rescale(self, scale: u8) -> Option<Self> {
        if scale == self.scale {
            return self.bounded();
        }
        if scale > MAX_DIGITS {
            return None;
        }
        if scale > self.scale {
            let mantissa = self.mantissa.checked_mul(power_of_ten(scale - self.scale))?;
            return Decimal { mantissa, scale }.bounded();
        }
        let mantissa = divide_half_even_128(self.mantissa, power_of_ten(self.scale - scale));
        Decimal { mantissa, scale }.bounded()
    }

    /// Rounded half-even to `digits` after the point; below 0 to tens, hundreds and so on. A number with fewer digits
    /// after the point stays as it is.
    pub fn round(self, digits: i64) -> Option<Self> {
        if digits >= i64::from(self.scale) {
            return Some(self);
        }
        if let Ok(scale) = u8::try_from(digits) {
            return self.rescale(scale);
        }
        let Some(tens) = u8::try_from(digits.unsigned_abs()).ok().filter(|tens| *tens <= MAX_DIGITS) else {
            return Some(Decimal::ZERO);
        };
        let rounded = divide_half_even(I256::new(self.mantissa), wide_power_of_ten(self.scale + tens));
        Decimal::from_wide(rounded * wide_power_of_ten(tens), 0)
    }

    /// The largest whole number that is not above it.
    pub fn floor(self) -> Self {
        Decimal { mantissa: self.mantissa.div_euclid(power_of_ten(self.scale)), scale: 0 }
    }

    /// The smallest whole number that is not below it.
    pub fn ceil(self) -> Self {
        self.negate().floor().negate()
    }

    /// The number with the other sign.
    pub fn negate(self) -> Self {
        Decimal { mantissa: self.mantissa.saturating_neg(), scale: self.scale }
    }

    /// The number without its sign.
    pub fn abs(self) -> Self {
        Decimal { mantissa: self.mantissa.saturating_abs(), scale: self.scale }
    }

    /// The sum, at the larger scale.
    #[inline]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        if let (Some(left), Some(right)) = (self.raised(scale), other.raised(scale)) {
            return Decimal { mantissa: left.checked_add(right)?, scale }.bounded();
        }
        Decimal::from_wide(self.widened(scale) + other.widened(scale), scale)
    }

    /// The difference, at the larger scale.
    #[inline]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(other.negate())
    }

    /// The product, at the scale that the table in [`decimal`](self) gives.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let exact = self.scale + other.scale;
        let ideal = result_scale(Operator::Multiply, self.scale, other.scale);
        if exact == ideal
            && let Some(mantissa) = self.mantissa.checked_mul(other.mantissa)
        {
            let product = Decimal { mantissa, scale: exact };
            if product.bounded().is_some() {
                return Some(product);
            }
        }
        let product = I256::new(self.mantissa) * I256::new(other.mantissa);
        best_fit(ideal, |scale| Some(divide_half_even(product, wide_power_of_ten(exact - scale))))
    }

    /// The quotient, at the scale that the table in [`decimal`](self) gives; `None` also for a division by zero.
    pub fn checked_div(self, other: Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        let ideal = result_scale(Operator::Divide, self.scale, other.scale);
        let (over, under) = (I256::new(self.mantissa), I256::new(other.mantissa));
        best_fit(ideal, |scale| {
            // An intermediate result of over 256 bits means over 38 digits: the divisor has at most 38.
            let raise = i16::from(scale) + i16::from(other.scale) - i16::from(self.scale);
            let power = wide_power_of_ten(u8::try_from(raise.unsigned_abs()).ok()?);
            match raise >= 0 {
                true => Some(divide_half_even(over.checked_mul(power)?, under)),
                false => Some(divide_half_even(over, under.checked_mul(power)?)),
            }
        })
    }

    /// The remainder of the division that cuts towards zero, with the sign of `self`, at the larger scale; `None` for a
    /// division by zero.
    pub fn checked_rem(self, other: Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        let scale = self.scale.max(other.scale);
        Decimal::from_wide(self.widened(scale) % other.widened(scale), scale)
    }

    /// Compares the numbers, whatever their scales.
    #[inline]
    pub fn compare(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        match (self.raised(scale), other.raised(scale)) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => self.widened(scale).cmp(&other.widened(scale)),
        }
    }

    /// The same number without zeros at the end of its decimals: equal numbers become identical.
    pub fn normalized(self) -> Self {
        let (mut mantissa, mut scale) = (self.mantissa, self.scale);
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Decimal { mantissa, scale }
    }

    /// The number as an int, rounded half-even; `None` when it is out of range.
    pub fn to_int(self) -> Option<i64> {
        let whole = divide_half_even_128(self.mantissa, power_of_ten(self.scale));
        i64::try_from(whole).ok()
    }

    /// The nearest float.
    pub fn to_float(self) -> f64 {
        const EXACT_FLOAT: u128 = 1 << f64::MANTISSA_DIGITS;
        // Both are exact as floats, so one division rounds once (Clinger 1990).
        if self.mantissa.unsigned_abs() <= EXACT_FLOAT && self.scale <= 22 {
            return self.mantissa as f64 / 10f64.powi(i32::from(self.scale));
        }
        self.to_string().parse().expect("the digits of a decimal are a float literal")
    }

    /// The float rounded half-even to `scale` digits after the point, from its exact binary value; `None` when it is
    /// not finite or has over 38 digits then.
    pub fn from_float(number: f64, scale: u8) -> Option<Self> {
        if !number.is_finite() || scale > MAX_DIGITS {
            return None;
        }
        let bits = number.to_bits();
        let (exponent, fraction) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
        let (digits, exponent) = match exponent {
            0 => (fraction, -1074),
            _ => (fraction | (1 << 52), exponent as i32 - 1075),
        };
        let scaled = I256::from(digits) * wide_power_of_ten(scale);
        let mantissa = match exponent {
            // 2^127 has more than 38 digits.
            127.. => return (digits == 0).then_some(Decimal { mantissa: 0, scale }),
            0.. => scaled.checked_mul(I256::ONE << exponent as u32)?,
            // `scaled` is below 2^181, so this is below a half.
            ..-200 => I256::ZERO,
            _ => divide_half_even(scaled, I256::ONE << exponent.unsigned_abs()),
        };
        Decimal::from_wide(if number < 0.0 { -mantissa } else { mantissa }, scale)
    }

    fn bounded(self) -> Option<Self> {
        (self.mantissa.unsigned_abs() < power_of_ten(MAX_DIGITS).unsigned_abs()).then_some(self)
    }

    /// The mantissa at a scale that is not below this one's, where 128 bits hold it.
    #[inline]
    fn raised(self, scale: u8) -> Option<i128> {
        match scale - self.scale {
            0 => Some(self.mantissa),
            raise => self.mantissa.checked_mul(power_of_ten(raise)),
        }
    }

    fn widened(self, scale: u8) -> I256 {
        I256::new(self.mantissa) * wide_power_of_ten(scale - self.scale)
    }

    fn from_wide(mantissa: I256, scale: u8) -> Option<Self> {
        Decimal { mantissa: i128::try_from(mantissa).ok()?, scale }.bounded()
    }
}

/// Digits after the point that the result of `left operator right` has when they all fit.
pub fn result_scale(operator: Operator, left: u8, right: u8) -> u8 {
    let larger = left.max(right);
    match operator {
        Operator::Multiply => left.saturating_add(right).min(larger.max(AIMED_SCALE)),
        Operator::Divide => larger.max(AIMED_SCALE),
        Operator::Add | Operator::Subtract | Operator::Remainder | Operator::Concat => larger,
    }
}

/// The result with the most decimals, from `ideal` down to nine, that has at most 38 digits.
fn best_fit(ideal: u8, at_scale: impl Fn(u8) -> Option<I256>) -> Option<Decimal> {
    let least = ideal.min(KEPT_SCALE);
    (least..=ideal).rev().find_map(|scale| Decimal::from_wide(at_scale(scale)?, scale))
}

const POWERS_OF_TEN: [i128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// `10^exponent`, for at most 38.
#[inline]
fn power_of_ten(exponent: u8) -> i128 {
    POWERS_OF_TEN[usize::from(exponent)]
}

/// `10^exponent`, for at most 76; that is below 2^253.
fn wide_power_of_ten(exponent: u8) -> I256 {
    let half = exponent.min(MAX_DIGITS);
    I256::new(power_of_ten(half)) * I256::new(power_of_ten(exponent - half))
}

#[inline]
fn divide_half_even_128(over: i128, under: i128) -> i128 {
    let (whole, rest) = (over / under, over % under);
    // `under` is a power of ten here, at most 10^38: twice a rest is below 2^128.
    let away = match (rest.unsigned_abs() * 2).cmp(&under.unsigned_abs()) {
        Ordering::Less => false,
        Ordering::Equal => whole % 2 != 0,
        Ordering::Greater => true,
    };
    if away { whole + over.signum() } else { whole }
}

fn divide_half_even(over: I256, under: I256) -> I256 {
    let (whole, rest) = (over / under, over % under);
    // A rest that is more than what is left to the divisor is more than a half of it; doubling could overflow.
    let away = match rest.abs().cmp(&(under.abs() - rest.abs())) {
        Ordering::Less => false,
        Ordering::Equal => whole % I256::new(2) != I256::ZERO,
        Ordering::Greater => true,
    };
    if away { whole + over.signum() * under.signum() } else { whole }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.compare(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other)
    }
}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let same = self.normalized();
        (same.mantissa, same.scale).hash(state);
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs();
        if self.scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let point = power_of_ten(self.scale).unsigned_abs();
        let width = usize::from(self.scale);
        write!(f, "{sign}{}.{:0width$}", digits / point, digits % point)
    }
}

/// A text that is no decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalError {
    /// It is not digits with at most one point between them and a sign before.
    Syntax,
    /// It has more than 38 digits.
    Digits,
}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecimalError::Syntax => "a decimal number such as -1.50",
            DecimalError::Digits => "a decimal number of at most 38 digits",
        })
    }
}

impl std::error::Error for DecimalError {}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Reads `-1.50`; the digits after the point are kept as the scale.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, decimals) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let digits_only = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits_only(whole) || !digits_only(decimals) {
            return Err(DecimalError::Syntax);
        }
        let decimals = if unsigned.len() == whole.len() { "" } else { decimals };
        let scale = u8::try_from(decimals.len()).map_err(|_| DecimalError::Digits)?;
        let mut mantissa: i128 = 0;
        for digit in whole.bytes().chain(decimals.bytes()) {
            let raised = mantissa.checked_mul(10).ok_or(DecimalError::Digits)?;
            mantissa = raised.checked_add(i128::from(digit - b'0')).ok_or(DecimalError::Digits)?;
        }
        let mantissa = if negative { -mantissa } else { mantissa };
        let number = Decimal { mantissa, scale };
        (scale <= MAX_DIGITS).then_some(number).and_then(Decimal::bounded).ok_or(DecimalError::Digits)
    }
}

/// As its text, so that no format cuts its digits.
impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|wanted| D::Error::custom(format!("`{text}` is not {wanted}")))
    }
}
