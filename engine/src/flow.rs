//! A compiled flow.

use std::path::Path;
use std::sync::Arc;

use anabranch_lang::diagnostic::Diagnostic;
use anabranch_model::plan::Plan;

use crate::error::{Error, FlowError};
use crate::os;

/// A flow that compiles: what a node runs.
///
/// ```
/// let flow = anabranch::Flow::parse("greet.flow", "
///     flow greet revision 1
///     input  Hello: { name: text }
///     output Greeting: { text: text }
///     on Hello as h { reply Greeting { text: 'hello ' || h.name } }
/// ")?;
/// assert_eq!(flow.name(), "greet");
/// # Ok::<(), anabranch::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Flow {
    plan: Arc<Plan>,
    warnings: Vec<Diagnostic>,
    text: Arc<str>,
}

impl Flow {
    /// Compiles the text of a flow file; `file` is its name in messages.
    ///
    /// # Errors
    /// [`Error::Flow`] with everything that is wrong with it.
    pub fn parse(file: &str, text: &str) -> Result<Flow, Error> {
        let compiled = anabranch_lang::compile(file, text);
        match compiled.plan {
            Some(plan) => {
                Ok(Flow { plan: Arc::new(plan), warnings: compiled.diagnostics, text: text.into() })
            }
            None => {
                let (file, text) = (file.to_owned(), text.to_owned());
                Err(Error::Flow(FlowError { file, text, diagnostics: compiled.diagnostics }))
            }
        }
    }

    /// Reads and compiles a flow file.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read (or is not UTF-8), [`Error::Flow`] when it does not compile.
    pub fn read(path: impl AsRef<Path>) -> Result<Flow, Error> {
        let name = path.as_ref().display().to_string();
        let text = os::read_text(path.as_ref()).map_err(|error| Error::File { path: name.clone(), error })?;
        Flow::parse(&name, &text)
    }

    /// The flow's name.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// The flow's revision.
    pub fn revision(&self) -> i64 {
        self.plan.revision
    }

    /// The compiled plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// What the compiler warned of.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// The `.proto` of the flow, from which clients in other languages are made.
    #[cfg(feature = "net")]
    pub fn proto(&self) -> String {
        anabranch_wire::typed::FlowApi::new(self.plan.clone()).text().to_owned()
    }

    /// The text that was compiled.
    pub fn text(&self) -> &str {
        &self.text
    }
}
