//! From the text of a question to something that can be answered: parse, find the table among the installed flows,
//! check, lower.
//!
//! ```
//! let shop = anabranch_lang::compile("shop.flow", "
//!     flow shop revision 1
//!     table Products: { product: text, number: int } { key product }
//! ");
//! let plan = shop.plan.expect("it compiles");
//! let asked = anabranch_lang::compile_question("select sum(number) as all from Products", &[&plan]);
//! let (flow, question) = asked.question.expect("it is right");
//! assert_eq!((flow, question.shape.columns()[0].name.as_str()), (0, "all"));
//! ```

use anabranch_model::plan::Plan;
use anabranch_model::question::Question;

use crate::check::question::check_question;
use crate::diagnostic::Diagnostic;
use crate::parser;

/// What became of a question.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledQuestion {
    /// Which of the flows it is asked of, and the question; none when there is an error among the diagnostics.
    pub question: Option<(usize, Question)>,
    /// Everything there is to say about the text, in its order.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles a question over one table of these flows. Never panics, whatever the text.
pub fn compile_question(text: &str, flows: &[&Plan]) -> CompiledQuestion {
    let enums = flows.iter().flat_map(|plan| &plan.enums).map(|of| of.name.as_str()).collect();
    let (tree, parsed) = parser::question(text, enums);
    let (question, diagnostics) = check_question(text, &tree, parsed, flows);
    CompiledQuestion { question, diagnostics }
}
