//! The flow language: text to plan.

pub mod ast;
pub mod diagnostic;
pub mod lexer;
pub mod parser;
mod sink;
pub mod span;
pub mod suggest;

pub use parser::parse;
