//! Trace context of the W3C (`traceparent`, level 1): which trace a request of another program belongs to.
//!
//! ```text
//! traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//!              version  trace id              span of the caller    flags
//! ```
//!
//! A context that is not valid is none, as the specification wants it.

use std::fmt;

/// Where a request stands in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    id: u128,
    span: u64,
    flags: u8,
}

/// Digits of the parts of a context, with the dashes between them: version 2, trace 32, span 16, flags 2.
const LENGTH: usize = 55;

impl Trace {
    /// Reads a `traceparent`. A version after 00 may have more behind the flags.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let version = hex(bytes.get(..2)?)?;
        let ends = match (version, bytes.get(LENGTH)) {
            (255, _) | (0, Some(_)) => false,
            (_, behind) => behind.is_none_or(|sign| *sign == b'-'),
        };
        let dashes = [2, 35, 52].iter().all(|at| bytes.get(*at) == Some(&b'-'));
        if !ends || !dashes {
            return None;
        }
        let id = hex(bytes.get(3..35)?)?;
        let span = hex(bytes.get(36..52)?)? as u64;
        let flags = hex(bytes.get(53..LENGTH)?)? as u8;
        (id != 0 && span != 0).then_some(Trace { id, span, flags })
    }

    /// The same trace, within a span of our own. Of the flags only `sampled` is passed on.
    pub(crate) fn child(self, span: u64) -> Self {
        Trace { id: self.id, span: span.max(1), flags: self.flags & 1 }
    }

    /// The trace.
    pub(crate) fn id(&self) -> String {
        format!("{:032x}", self.id)
    }

    /// The span.
    pub(crate) fn span(&self) -> String {
        format!("{:016x}", self.span)
    }
}

/// As a `traceparent`.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.id, self.span, self.flags)
    }
}

/// Hexadecimal digits, small letters only.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_the_specification_calls_invalid_is_none() {
        assert_eq!(Trace::parse(VALID).map(|trace| trace.to_string()), Some(VALID.into()));
        for wrong in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more",
            "00-0af7651916cd43dd8448eb211c80319c+b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b71692033310-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Trace::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = VALID.replacen("00", "cc", 1);
        let valid = Trace::parse(VALID);
        assert_eq!(Trace::parse(&later), valid);
        assert_eq!(Trace::parse(&format!("{later}-more")), valid);
    }

    #[test]
    fn a_child_is_of_the_same_trace() {
        let child = Trace::parse(VALID).map(|trace| trace.child(0xabc).to_string());
        assert_eq!(child, Some("00-0af7651916cd43dd8448eb211c80319c-0000000000000abc-01".into()));
        let flags = Trace { id: 1, span: 2, flags: 0xff };
        assert_eq!(flags.child(0), Trace { id: 1, span: 1, flags: 1 });
    }

    proptest! {
        #[test]
        fn a_context_reads_back(id in 1_u128.., span in 1_u64.., flags: u8) {
            let trace = Trace { id, span, flags };
            prop_assert_eq!(Trace::parse(&trace.to_string()), Some(trace));
        }

        #[test]
        fn any_text_is_a_context_or_none(text in ".*") {
            let read = Trace::parse(&text);
            prop_assert!(read.is_none() || text.len() >= LENGTH);
        }

        #[test]
        fn a_context_with_one_sign_changed_is_of_the_same_form_or_none(at in 0..LENGTH, sign in 0_u8..128) {
            let mut bytes = VALID.as_bytes().to_vec();
            bytes[at] = sign;
            let text = String::from_utf8(bytes).expect("it is ASCII");
            if let Some(read) = Trace::parse(&text) {
                prop_assert_eq!(read.to_string()[3..].to_owned(), text[3..].to_owned());
            }
        }
    }
}
