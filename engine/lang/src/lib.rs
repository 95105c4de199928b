//! The flow language: text to plan.
//!
//! [`compile`](fn@compile) is the whole way: [`lexer`] (text to tokens), [`parser`] (tokens to the tree of [`ast`],
//! mistakes told and skipped), the checker (names, types, routes; the [`Plan`](anabranch_model::plan::Plan)). A mistake
//! is a [`Diagnostic`] with a stable number: [`render`](fn@render) shows it with its lines, [`to_json`] gives it to
//! programs, [`explain`](fn@explain) has a page for the number. [`format`](fn@format) writes a file in its one layout,
//! [`evolution`](fn@evolution) says whether a revision may follow another.
//!
//! No text makes any of them panic, and all mistakes of a file come at once.
//!
//! ```
//! let text = "flow f revision 1\nschema Name { name: strng }\n";
//! let compiled = anabranch_lang::compile("f.flow", text);
//! assert!(compiled.plan.is_none());
//! let shown = anabranch_lang::render("f.flow", text, &compiled.diagnostics, false);
//! assert!(shown.contains(" --> f.flow:2:21"), "{shown}");
//! ```

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
pub mod question;
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
pub use question::{CompiledQuestion, compile_question};
pub use render::{render, to_json};
pub use source::decode;
