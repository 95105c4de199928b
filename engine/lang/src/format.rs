//! One layout for every flow file, without options: two spaces a step, lines up to 110 columns, neighbours aligned.
//!
//! The tree says where lines may break, the tokens say what is written: every token is printed as it stands in the
//! text (keywords in lower case), in its order, and every comment in the gap where it was found. So nothing can get
//! lost or change its meaning.
//!
//! INVARIANT: formatting twice gives the same as once, and the tree of the result is that of the text, up to spans.

use crate::diagnostic::Diagnostic;
use crate::parser;

mod doc;
mod expr;
mod item;
mod rule;
mod tokens;

/// The file in its one layout.
///
/// ```
/// let text = "FLOW f REVISION 1 schema S{a:text,b:int?}";
/// assert_eq!(anabranch_lang::format(text).unwrap(), "flow f revision 1\n\nschema S { a: text, b: int? }\n");
/// ```
///
/// # Errors
/// The diagnostics of a file that cannot be read; it is left as it is.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let source = parser::read(text);
    if source.diagnostics.is_empty() {
        Ok(doc::print(&item::file(text, &source)))
    } else {
        Err(source.diagnostics)
    }
}
