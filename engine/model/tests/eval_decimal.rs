//! Decimals against an oracle: the same operations on integers of any size, written as plainly as possible.

use std::cmp::Ordering;

use anabranch_model::Decimal;
use num_bigint::{BigInt, Sign};
use proptest::prelude::*;

fn ten(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

fn big(number: Decimal) -> BigInt {
    BigInt::from(number.mantissa())
}

/// The mantissa at a scale that is at least the number's own.
fn at(number: Decimal, scale: u8) -> BigInt {
    big(number) * ten(u32::from(scale - number.scale()))
}

fn absolute(number: &BigInt) -> BigInt {
    BigInt::from(number.magnitude().clone())
}

/// The integer nearest to `over / under`; the even one of two.
fn nearest(over: &BigInt, under: &BigInt) -> BigInt {
    let (two, one) = (BigInt::from(2), BigInt::from(1));
    let whole = absolute(over) / absolute(under);
    let rest = absolute(over) % absolute(under);
    let up = match (rest * &two).cmp(&absolute(under)) {
        Ordering::Less => false,
        Ordering::Equal => &whole % &two == one,
        Ordering::Greater => true,
    };
    let rounded = if up { whole + one } else { whole };
    let negative = (over.sign() == Sign::Minus) != (under.sign() == Sign::Minus);
    if negative { -rounded } else { rounded }
}

/// What an operation must give: this mantissa at this scale, or nothing when it has over 38 digits.
fn expected(mantissa: BigInt, scale: u8) -> Option<(i128, u8)> {
    (absolute(&mantissa) < ten(38)).then(|| (i128::try_from(mantissa).expect("38 digits"), scale))
}

fn parts(number: Option<Decimal>) -> Option<(i128, u8)> {
    number.map(|number| (number.mantissa(), number.scale()))
}

/// `over / under` with as many decimals as fit, from `ideal` down to nine.
fn fitted(over: &BigInt, under: &BigInt, ideal: u8) -> Option<(i128, u8)> {
    let least = ideal.min(9);
    (least..=ideal).rev().find_map(|scale| expected(nearest(&(over * ten(u32::from(scale))), under), scale))
}

prop_compose! {
    /// Numbers of every length and scale, with nines, zeros and halves more often than chance has them.
    fn decimals()(
        digits in 0u32..=38,
        scale in 0u8..=38,
        fill in any::<u128>(),
        shape in 0u8..5,
        negative in any::<bool>(),
    ) -> Decimal {
        let top = 10u128.pow(digits);
        let mantissa = match shape {
            0 => top - 1,
            1 => top / 10,
            2 => (top / 10).saturating_mul(5),
            _ => fill % top,
        };
        let mantissa = i128::try_from(mantissa).expect("38 digits");
        Decimal::from_parts(if negative { -mantissa } else { mantissa }, scale)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn sums_and_differences_are_exact(a in decimals(), b in decimals()) {
        let scale = a.scale().max(b.scale());
        prop_assert_eq!(parts(a.checked_add(b)), expected(at(a, scale) + at(b, scale), scale));
        prop_assert_eq!(parts(a.checked_sub(b)), expected(at(a, scale) - at(b, scale), scale));
    }

    #[test]
    fn remainders_are_exact_and_always_fit(a in decimals(), b in decimals()) {
        let scale = a.scale().max(b.scale());
        if b.is_zero() {
            prop_assert_eq!(a.checked_rem(b), None);
        } else {
            let rest = expected(at(a, scale) % at(b, scale), scale);
            prop_assert!(rest.is_some());
            prop_assert_eq!(parts(a.checked_rem(b)), rest);
        }
    }

    #[test]
    fn products_are_rounded_once(a in decimals(), b in decimals()) {
        let exact = a.scale() + b.scale();
        let ideal = exact.min(a.scale().max(b.scale()).max(18));
        let product = fitted(&(big(a) * big(b)), &ten(u32::from(exact)), ideal);
        prop_assert_eq!(parts(a.checked_mul(b)), product);
    }

    #[test]
    fn quotients_are_rounded_once(a in decimals(), b in decimals()) {
        if b.is_zero() {
            prop_assert_eq!(a.checked_div(b), None);
        } else {
            let over = big(a) * ten(u32::from(b.scale()));
            let under = big(b) * ten(u32::from(a.scale()));
            let ideal = a.scale().max(b.scale()).max(18);
            prop_assert_eq!(parts(a.checked_div(b)), fitted(&over, &under, ideal));
        }
    }

    #[test]
    fn order_is_that_of_the_numbers(a in decimals(), b in decimals()) {
        prop_assert_eq!(a.compare(&b), at(a, 38).cmp(&at(b, 38)));
        prop_assert_eq!(b.compare(&a), a.compare(&b).reverse());
        prop_assert_eq!(a.normalized().compare(&a), Ordering::Equal);
        prop_assert_eq!(a == b, a.normalized().mantissa() == b.normalized().mantissa()
            && a.normalized().scale() == b.normalized().scale());
    }

    #[test]
    fn rescaling_is_half_even(a in decimals(), scale in 0u8..=40) {
        let wanted = nearest(&(big(a) * ten(u32::from(scale))), &ten(u32::from(a.scale())));
        let wanted = if scale > 38 { None } else { expected(wanted, scale) };
        prop_assert_eq!(parts(a.rescale(scale)), wanted);
    }

    #[test]
    fn rounding_is_half_even(a in decimals(), digits in -50i64..50) {
        let rounded = a.round(digits);
        if digits >= i64::from(a.scale()) {
            prop_assert_eq!(parts(rounded), parts(Some(a)));
        } else if digits >= 0 {
            prop_assert_eq!(parts(rounded), parts(a.rescale(digits as u8)));
        } else {
            let tens = ten(digits.unsigned_abs() as u32);
            let wanted = nearest(&big(a), &(ten(u32::from(a.scale())) * &tens)) * tens;
            prop_assert_eq!(parts(rounded), expected(wanted, 0));
        }
    }

    #[test]
    fn floor_and_ceil_enclose(a in decimals()) {
        let (floor, ceil) = (a.floor(), a.ceil());
        prop_assert!(floor <= a && a <= ceil);
        let gap = if floor == a { Decimal::ZERO } else { Decimal::from_int(1) };
        prop_assert_eq!(ceil.checked_sub(floor), Some(gap));
        prop_assert_eq!((floor.scale(), ceil.scale()), (0, 0));
    }

    #[test]
    fn text_gives_the_same_number_back(a in decimals()) {
        let back: Decimal = a.to_string().parse().expect("its own text");
        prop_assert_eq!(parts(Some(back)), parts(Some(a)));
        let json = serde_json::to_string(&a).expect("json");
        prop_assert_eq!(parts(serde_json::from_str(&json).ok()), parts(Some(a)));
    }

    #[test]
    fn ints_go_through_unchanged(number in any::<i64>()) {
        prop_assert_eq!(Decimal::from_int(number).to_int(), Some(number));
    }

    #[test]
    fn to_int_rounds_half_even(a in decimals()) {
        let whole = nearest(&big(a), &ten(u32::from(a.scale())));
        prop_assert_eq!(a.to_int(), i64::try_from(whole).ok());
    }

    #[test]
    fn to_float_is_the_nearest(a in decimals()) {
        prop_assert_eq!(a.to_float().abs(), a.abs().to_string().parse::<f64>().expect("a float literal"));
    }

    #[test]
    fn from_float_rounds_the_exact_binary_value(bits in any::<u64>(), exponent in 0u64..260, scale in 0u8..=38) {
        // Exponents around the range of decimals; most of all doubles lie far outside.
        let bits = (bits & !(0x7ff << 52)) | ((exponent + 880) << 52);
        let number = f64::from_bits(bits);
        let digits = BigInt::from((bits & ((1 << 52) - 1)) | (1 << 52));
        let power = exponent as i32 + 880 - 1075;
        let two = |exponent: i32| BigInt::from(2).pow(exponent.max(0) as u32);
        let over = digits * two(power) * ten(u32::from(scale));
        let wanted = nearest(&if number < 0.0 { -over } else { over }, &two(-power));
        prop_assert_eq!(parts(Decimal::from_float(number, scale)), expected(wanted, scale));
    }

    #[test]
    fn no_text_panics(text in "[-+]?[0-9]{0,41}[.]?[0-9]{0,41}|.{0,5}") {
        if let Ok(number) = text.parse::<Decimal>() {
            prop_assert!(number.fits(38));
        }
    }

    #[test]
    fn parts_out_of_bounds_do_not_panic(a in any::<(i128, u8)>(), b in any::<(i128, u8)>(), digits in any::<i64>()) {
        let (a, b) = (Decimal::from_parts(a.0, a.1), Decimal::from_parts(b.0, b.1));
        let results = [a.checked_add(b), a.checked_sub(b), a.checked_mul(b), a.checked_div(b), a.checked_rem(b),
            a.round(digits), a.rescale(b.scale())];
        prop_assert!(results.into_iter().flatten().all(|number| number.fits(38) || digits >= i64::from(a.scale())));
        let _ = (a.compare(&b), a.floor(), a.ceil(), a.abs(), a.to_float(), a.to_int(), a.to_string());
    }
}

#[test]
fn results_at_the_limits() {
    let number = |text: &str| text.parse::<Decimal>().expect("a decimal");
    let nines = number(&"9".repeat(38));
    assert_eq!(nines.checked_add(Decimal::from_int(1)), None);
    assert_eq!(nines.checked_mul(Decimal::from_int(2)), None);
    assert_eq!(nines.checked_div(Decimal::from_int(1)), None, "nine decimals do not fit");
    let third = Decimal::from_int(1).checked_div(Decimal::from_int(3)).expect("a third");
    assert_eq!(third.to_string(), "0.333333333333333333");
    let large = number(&format!("1{}", "0".repeat(29)));
    assert_eq!(large.checked_div(Decimal::from_int(3)).expect("nine decimals").scale(), 9);
    assert_eq!(number("2.50").checked_mul(number("2.00")).expect("fits").to_string(), "5.0000");
    assert_eq!(number("-0.5").rescale(0).map(|n| n.to_string()), Some("0".to_owned()));
    assert_eq!(Decimal::from_float(f64::NAN, 2), None);
    assert_eq!(Decimal::from_float(f64::INFINITY, 2), None);
    assert_eq!(Decimal::from_float(5e-324, 38), Some(Decimal::ZERO));
    assert_eq!(Decimal::from_float(f64::MAX, 0), None);
    assert_eq!(Decimal::from_float(2.675, 2).map(|n| n.to_string()), Some("2.67".to_owned()));
}

#[test]
fn texts_that_are_no_decimal_are_refused() {
    for text in ["", "-", ".", "1.", ".5", "1.5.0", "1e5", "1_000", "--1", "٣", "1 ", "0x1"] {
        assert!(text.parse::<Decimal>().is_err(), "{text}");
    }
    assert!("9".repeat(39).parse::<Decimal>().is_err());
    assert!(format!("0.{}", "0".repeat(39)).parse::<Decimal>().is_err());
    assert!(format!("{}1", "0".repeat(50)).parse::<Decimal>().is_ok());
    assert_eq!("-007.50".parse::<Decimal>().map(|n| n.to_string()), Ok("-7.50".to_owned()));
}
