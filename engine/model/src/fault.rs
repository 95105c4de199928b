//! What can still go wrong with a checked expression: an error value that refuses the step of its row.

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
}

impl FaultCode {
    /// The stable number, `R001` and so on.
    pub fn number(self) -> &'static str {
        match self {
            FaultCode::Overflow => "R001",
            FaultCode::DivisionByZero => "R002",
            FaultCode::Cast => "R003",
            FaultCode::NotFinite => "R004",
            FaultCode::Argument => "R005",
        }
    }
}
