//! What can still go wrong with a checked expression: an error value that refuses the step of its row.

use std::fmt;

use crate::expr::Place;

/// An evaluation that failed: the row is refused with `invalid`, nothing of its step is written, nothing else stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which kind.
    pub code: FaultCode,
    /// Where in the flow file.
    pub place: Place,
    /// What happened, with the values, in one line; without the code and the place.
    pub text: String,
}

/// `R002: 1 / 0 divides by zero`: the text of the refusal.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.number(), self.text)
    }
}

impl std::error::Error for Fault {}

/// The kinds of fault. Each has a number for good and a page that `anabranch explain` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultCode {
    /// R001: a number left the range of its type.
    Overflow,
    /// R002: division or remainder by zero.
    DivisionByZero,
    /// R003: a cast that the value does not allow.
    Cast,
    /// R004: a float result that is not finite.
    NotFinite,
    /// R005: an argument that the function cannot take.
    Argument,
    /// R006: a text or json result that is too large.
    TooLarge,
}

impl FaultCode {
    /// All codes, by number.
    pub const ALL: [FaultCode; 6] = [
        FaultCode::Overflow,
        FaultCode::DivisionByZero,
        FaultCode::Cast,
        FaultCode::NotFinite,
        FaultCode::Argument,
        FaultCode::TooLarge,
    ];

    /// The stable number, `R001` and so on.
    pub fn number(self) -> &'static str {
        match self {
            FaultCode::Overflow => "R001",
            FaultCode::DivisionByZero => "R002",
            FaultCode::Cast => "R003",
            FaultCode::NotFinite => "R004",
            FaultCode::Argument => "R005",
            FaultCode::TooLarge => "R006",
        }
    }
}
