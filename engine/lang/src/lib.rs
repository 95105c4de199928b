//! The flow language: text to plan.

pub mod ast;
mod check;
pub mod compile;
pub mod describe;
pub mod diagnostic;
pub mod evolution;
pub mod explain;
pub mod format;
pub mod lexer;
pub mod lines;
pub mod parser;
pub mod render;
mod sink;
pub mod source;
pub mod span;
pub mod suggest;

pub use compile::{Compiled, compile};
pub use describe::describe;
pub use diagnostic::{Diagnostic, Label, Severity};
pub use evolution::{Change, Evolution, Verdict, evolution};
pub use explain::{codes, explain};
pub use format::format;
pub use parser::parse;
pub use render::{render, to_json};
pub use source::decode;
