//! Times and durations: both count microseconds, a time from 1970 UTC on.
//!
//! A time is written as ISO 8601 in UTC and lies in the years 1 to 9999 of the Gregorian calendar. There are no leap
//! seconds and no time zones beyond the offset that a text may carry. The calendar algorithms are Howard Hinnant's
//! ("chrono-compatible low-level date algorithms", 2013).
//!
//! ```
//! use anabranch_model::time::{format_time, parse_time};
//! let time = parse_time("2010-12-01 10:26:00+02:00").unwrap();
//! assert_eq!(format_time(time).to_string(), "2010-12-01T08:26:00Z");
//! ```

use std::fmt;

/// Microseconds of a second, minute, hour and day.
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// 0001-01-01T00:00:00Z.
pub const MIN_TIME: i64 = days_from_civil(1, 1, 1) * DAY;

/// 9999-12-31T23:59:59.999999Z.
pub const MAX_TIME: i64 = days_from_civil(10_000, 1, 1) * DAY - 1;

/// The units of `date_trunc`.
pub const TRUNC_UNITS: &[&str] =
    &["year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond"];

/// The fields of `extract`.
pub const EXTRACT_FIELDS: &[&str] = &[
    "year",
    "quarter",
    "month",
    "week",
    "isoyear",
    "day",
    "doy",
    "dow",
    "isodow",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
    "epoch",
];

/// Whether a number of microseconds is a time: in the years 1 to 9999.
pub fn in_range(time: i64) -> bool {
    (MIN_TIME..=MAX_TIME).contains(&time)
}

/// Days since 1970 of a date; month from 1, day from 1 (a day beyond its month counts on into the next).
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a number of days since 1970.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Monday is 1, Sunday is 7.
fn iso_weekday(days: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    (days + 3).rem_euclid(7) + 1
}

/// The ISO 8601 year and week: a week belongs to the year that its Thursday is in.
fn iso_week(days: i64) -> (i64, i64) {
    let thursday = days + 4 - iso_weekday(days);
    let (year, _, _) = civil_from_days(thursday);
    (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
}

/// Reads ISO 8601: `2010-12-01`, `2010-12-01 08:26`, `2010-12-01T08:26:00.5Z`, `2010-12-01T10:26:00+02:00`. Without an
/// offset it is UTC. `None` for anything else: also for dates that do not exist, years outside 1 to 9999, and more
/// decimals than microseconds hold unless they are zero.
pub fn parse_time(text: &str) -> Option<i64> {
    let mut rest = Scanner(text.as_bytes());
    let year = rest.digits(4)?;
    rest.byte(b"-")?;
    let month = rest.digits(2)?;
    rest.byte(b"-")?;
    let day = rest.digits(2)?;
    let exists = year >= 1 && (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    if !exists {
        return None;
    }
    let mut time = days_from_civil(year, month, day) * DAY;
    if rest.byte(b"T t").is_some() {
        time += clock(&mut rest)?;
        time -= offset(&mut rest)?;
    }
    (rest.0.is_empty() && in_range(time)).then_some(time)
}

/// `08:26`, `08:26:00` or `08:26:00.123456`, in microseconds.
fn clock(rest: &mut Scanner<'_>) -> Option<i64> {
    let hour = rest.digits(2).filter(|hour| *hour < 24)?;
    rest.byte(b":")?;
    let minute = rest.digits(2).filter(|minute| *minute < 60)?;
    let mut time = hour * HOUR + minute * MINUTE;
    if rest.byte(b":").is_some() {
        time += rest.digits(2).filter(|second| *second < 60)? * SECOND;
        if rest.byte(b".,").is_some() {
            time += rest.fraction()?;
        }
    }
    Some(time)
}

/// `Z`, `+02:00`, `+0200`, `+02` or nothing, in microseconds.
fn offset(rest: &mut Scanner<'_>) -> Option<i64> {
    let sign = match rest.byte(b"Zz+-") {
        None | Some(b'Z' | b'z') => return Some(0),
        Some(b'+') => 1,
        Some(_) => -1,
    };
    let hours = rest.digits(2).filter(|hour| *hour < 24)?;
    let minutes = match rest.byte(b":").is_some() || !rest.0.is_empty() {
        true => rest.digits(2).filter(|minute| *minute < 60)?,
        false => 0,
    };
    Some(sign * (hours * HOUR + minutes * MINUTE))
}

/// Takes bytes from the front of a text.
struct Scanner<'t>(&'t [u8]);

impl Scanner<'_> {
    /// One byte of `of`.
    fn byte(&mut self, of: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first().filter(|(first, _)| of.contains(first))?;
        self.0 = rest;
        Some(*first)
    }

    /// A number of exactly `count` digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        number
            .iter()
            .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    }

    /// The decimals of a second, in microseconds.
    fn fraction(&mut self) -> Option<i64> {
        let mut sum = self.digits(1)? * (SECOND / 10);
        let mut unit = SECOND / 100;
        while self.0.first().is_some_and(u8::is_ascii_digit) {
            let digit = self.digits(1)?;
            if unit == 0 && digit != 0 {
                return None;
            }
            sum += digit * unit;
            unit /= 10;
        }
        Some(sum)
    }
}

/// A time as text: `2010-12-01T08:26:00Z`, with milliseconds or microseconds where it has some.
pub fn format_time(time: i64) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let (year, month, day) = civil_from_days(time.div_euclid(DAY));
        let clock = time.rem_euclid(DAY);
        let (hour, minute, second) = (clock / HOUR, clock / MINUTE % 60, clock / SECOND % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match clock % SECOND {
            0 => f.write_str("Z"),
            micros if micros % 1000 == 0 => write!(f, ".{:03}Z", micros / 1000),
            micros => write!(f, ".{micros:06}Z"),
        }
    })
}

/// The units of a duration, largest first.
const UNITS: [(&str, i64); 6] =
    [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1000), ("us", 1)];

/// Reads a duration: a whole number with its unit, one of `us ms s m h d`, as in `-250ms`.
pub fn parse_duration(text: &str) -> Option<i64> {
    let digits = text.trim_start_matches(['-', '+']);
    let end = digits.find(|c: char| !c.is_ascii_digit())?;
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == &digits[end..])?;
    // With its sign the smallest number is read, too; two signs are no number.
    let number: i64 = text[..text.len() - digits.len() + end].parse().ok()?;
    number.checked_mul(*unit)
}

/// A duration as text, in the largest unit that is exact: `90s`, `2m`, `1500us`.
pub fn format_duration(duration: i64) -> impl fmt::Display {
    let fitting = UNITS.iter().find(|(_, unit)| duration != 0 && duration % unit == 0);
    let (name, unit) = *fitting.unwrap_or(&("s", SECOND));
    fmt::from_fn(move |f| write!(f, "{}{name}", duration / unit))
}

/// The beginning of the unit (one of [`TRUNC_UNITS`], in any case) that a time is in; `None` for another word or a
/// result that is out of range.
pub fn truncate(unit: &str, time: i64) -> Option<i64> {
    let days = time.div_euclid(DAY);
    let (year, month, _) = civil_from_days(days);
    let is = |name: &str| unit.eq_ignore_ascii_case(name);
    let begin_of = |unit: i64| time.checked_sub(time.rem_euclid(unit));
    let day_micros = |days: i64| days.checked_mul(DAY);
    let begin = match () {
        () if is("year") => day_micros(days_from_civil(year, 1, 1)),
        () if is("quarter") => day_micros(days_from_civil(year, (month - 1) / 3 * 3 + 1, 1)),
        () if is("month") => day_micros(days_from_civil(year, month, 1)),
        () if is("week") => day_micros(days + 1 - iso_weekday(days)),
        () if is("day") => begin_of(DAY),
        () if is("hour") => begin_of(HOUR),
        () if is("minute") => begin_of(MINUTE),
        () if is("second") => begin_of(SECOND),
        () if is("millisecond") => begin_of(1000),
        () => None,
    };
    begin.filter(|begin| in_range(*begin))
}

/// A field (one of [`EXTRACT_FIELDS`], in any case) of a time; `None` for another word.
pub fn extract(field: &str, time: i64) -> Option<i64> {
    let days = time.div_euclid(DAY);
    let (year, month, day) = civil_from_days(days);
    let clock = time.rem_euclid(DAY);
    let is = |name: &str| field.eq_ignore_ascii_case(name);
    Some(match () {
        () if is("year") => year,
        () if is("quarter") => (month - 1) / 3 + 1,
        () if is("month") => month,
        () if is("week") => iso_week(days).1,
        () if is("isoyear") => iso_week(days).0,
        () if is("day") => day,
        () if is("doy") => days - days_from_civil(year, 1, 1) + 1,
        () if is("dow") => iso_weekday(days) % 7,
        () if is("isodow") => iso_weekday(days),
        () if is("hour") => clock / HOUR,
        () if is("minute") => clock / MINUTE % 60,
        () if is("second") => clock / SECOND % 60,
        () if is("millisecond") => clock % MINUTE / 1000,
        () if is("microsecond") => clock % MINUTE,
        () if is("epoch") => time.div_euclid(SECOND),
        () => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> i64 {
        parse_time(text).unwrap_or_else(|| panic!("{text} is a time"))
    }

    #[test]
    fn days_and_dates_agree_over_the_whole_range() {
        let mut expected = (1, 1, 1);
        for days in MIN_TIME / DAY..=MAX_TIME / DAY {
            assert_eq!(civil_from_days(days), expected);
            assert_eq!(days_from_civil(expected.0, expected.1, expected.2), days);
            let (year, month, day) = expected;
            expected = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                _ if day == days_in_month(year, month) => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
        assert_eq!(expected, (10_000, 1, 1));
    }

    #[test]
    fn accepted_forms_name_the_same_instant() {
        let instant = time("2010-12-01T08:26:00Z");
        assert_eq!(instant, 1_291_191_960_000_000);
        for text in [
            "2010-12-01 08:26",
            "2010-12-01 08:26:00",
            "2010-12-01T08:26:00.000000000",
            "2010-12-01t08:26:00z",
            "2010-12-01T10:26:00+02:00",
            "2010-12-01T10:26:00+0200",
            "2010-12-01 03:26-05",
        ] {
            assert_eq!(parse_time(text), Some(instant), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_time_are_refused() {
        for text in [
            "",
            "2010",
            "2010-12-1",
            "2010-02-29",
            "1900-02-29",
            "2010-13-01",
            "2010-00-10",
            "2010-01-00",
            "0000-01-01",
            "2010-12-01T",
            "2010-12-01T24:00:00",
            "2010-12-01T08:60",
            "2010-12-01T23:59:60",
            "2010-12-01T08:26:00.",
            "2010-12-01T08:26:00.0000001",
            "2010-12-01T08:26:00+2",
            "2010-12-01T08:26:00+02:00 ",
            "2010-12-01Z",
            "9999-12-31T23:59:59-01",
            "0001-01-01T00:00:00+01",
            "12/1/2010 8:26",
            "২০১০-12-01",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn leap_days_exist_where_they_should() {
        assert_eq!(time("2000-02-29") + DAY, time("2000-03-01"));
        assert_eq!(time("2012-02-29") + DAY, time("2012-03-01"));
    }

    #[test]
    fn times_are_written_with_the_decimals_they_have() {
        assert_eq!(format_time(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(format_time(-1).to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(format_time(1_500_000).to_string(), "1970-01-01T00:00:01.500Z");
        assert_eq!(format_time(MIN_TIME).to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(format_time(MAX_TIME).to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(format_time(i64::MIN).to_string(), "-290308-12-21T19:59:05.224192Z");
        assert_eq!(format_time(i64::MAX).to_string(), "294247-01-10T04:00:54.775807Z");
    }

    #[test]
    fn durations_are_read_and_written_in_their_units() {
        for (text, micros) in [
            ("0s", 0),
            ("5s", 5 * SECOND),
            ("90s", 90 * SECOND),
            ("2m", 120 * SECOND),
            ("250ms", 250_000),
            ("-3h", -3 * HOUR),
            ("7d", 7 * DAY),
            ("1us", 1),
            ("-9223372036854775808us", i64::MIN),
            ("9223372036854775807us", i64::MAX),
        ] {
            assert_eq!(parse_duration(text), Some(micros), "{text}");
            assert_eq!(format_duration(micros).to_string(), text);
        }
        assert_eq!(parse_duration("120s"), parse_duration("2m"));
        for text in ["", "5", "s", "5 s", "1h30m", "1.5s", "--5s", "5S", "9223372036854775807ms", "-s", "5é"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn truncation_goes_to_the_beginning_of_the_unit() {
        let at = time("2010-11-17T08:26:31.123456Z");
        for (unit, begin) in [
            ("year", "2010-01-01"),
            ("quarter", "2010-10-01"),
            ("MONTH", "2010-11-01"),
            ("week", "2010-11-15"),
            ("day", "2010-11-17"),
            ("hour", "2010-11-17T08:00"),
            ("minute", "2010-11-17T08:26"),
            ("second", "2010-11-17T08:26:31"),
            ("millisecond", "2010-11-17T08:26:31.123"),
        ] {
            assert_eq!(truncate(unit, at), Some(time(begin)), "{unit}");
        }
        assert_eq!(truncate("day", -1), Some(-DAY));
        assert_eq!(truncate("decade", at), None);
        for unit in TRUNC_UNITS {
            assert_eq!(truncate(unit, i64::MIN), None, "{unit}");
            assert!(truncate(unit, MIN_TIME).is_some() && truncate(unit, MAX_TIME).is_some(), "{unit}");
        }
    }

    #[test]
    fn fields_are_those_of_the_calendar() {
        let at = time("2010-11-17T08:26:31.123456Z");
        let fields: Vec<i64> = EXTRACT_FIELDS.iter().filter_map(|field| extract(field, at)).collect();
        let expected = [2010, 4, 11, 46, 2010, 17, 321, 3, 3, 8, 26, 31, 31_123, 31_123_456, 1_289_982_391];
        assert_eq!(fields, expected);
        assert_eq!(extract("century", at), None);
        // The week of a new year's day may belong to the year before, that of a last day to the year after.
        for (date, year, week) in [
            ("2010-01-03", 2009, 53),
            ("2012-01-01", 2011, 52),
            ("2012-12-31", 2013, 1),
            ("2009-01-01", 2009, 1),
        ] {
            assert_eq!(
                (extract("isoyear", time(date)), extract("week", time(date))),
                (Some(year), Some(week))
            );
        }
        assert_eq!(
            (extract("dow", time("2012-01-01")), extract("isodow", time("2012-01-01"))),
            (Some(0), Some(7))
        );
    }
}
