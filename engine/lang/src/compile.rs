//! From text to plan: parse, check, lower.
//!
//! ```
//! let compiled = anabranch_lang::compile("echo.flow", "
//!     flow echo revision 1
//!     input  Ask: { text: text }
//!     output Say: { text: text }
//!     on Ask as a { reply Say a }
//! ");
//! assert!(compiled.plan.is_some(), "{:?}", compiled.diagnostics);
//! ```

use anabranch_model::plan::Plan;

use crate::check::check;
use crate::diagnostic::Diagnostic;
use crate::parser::parse;

/// What became of a flow file.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The plan; none when there is an error among the diagnostics.
    pub plan: Option<Plan>,
    /// Everything there is to say about the file, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles the flow file `text`, called `file` in messages. Never panics, whatever the text.
pub fn compile(file: &str, text: &str) -> Compiled {
    let (tree, parsed) = parse(text);
    let (plan, diagnostics) = check(file, text, &tree, parsed);
    Compiled { plan, diagnostics }
}
