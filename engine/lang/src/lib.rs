//! The flow language: text to plan.

pub mod ast;
pub mod diagnostic;
pub mod lexer;
pub mod lines;
pub mod parser;
pub mod render;
mod sink;
pub mod span;
pub mod suggest;

pub use diagnostic::{Diagnostic, Label, Severity};
pub use parser::parse;
pub use render::{render, to_json};
