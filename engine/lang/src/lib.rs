//! The flow language: text to plan.

pub mod ast;
pub mod diagnostic;
pub mod span;
