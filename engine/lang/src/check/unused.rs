//! Warnings about what a flow declares and does not use.

use crate::diagnostic::Diagnostic;
use crate::span::Span;

use super::Checker;

impl Checker<'_> {
    /// Reports declarations that nothing uses.
    pub(super) fn unused(&mut self) {
        let declared = &self.declared;
        let mut found: Vec<(&'static str, Span, String, &str, &str)> = Vec::new();
        for of in declared.inputs.iter().filter(|of| !of.used) {
            let message = format!("no rule takes the rows of `{}`", of.name);
            found.push((
                "F090",
                of.span,
                message,
                "its rows are accepted and go nowhere",
                "write a rule: `on ... as row { ... }`",
            ));
        }
        for of in declared.outputs.iter().filter(|of| !of.used) {
            let message = format!("no rule fills the output `{}`", of.name);
            found.push((
                "F091",
                of.span,
                message,
                "nothing leaves here",
                "write `reply` or `emit` in a rule, or remove it",
            ));
        }
        for of in declared.policies.iter().filter(|of| !of.used) {
            let message = format!("no table uses the policy `{}`", of.name);
            found.push(("F093", of.span, message, "not used", "write `replicate` in a table, or remove it"));
        }
        for of in declared.schemas.iter().filter(|of| !of.used) {
            let message = format!("nothing has the schema `{}`", of.name);
            found.push(("F094", of.span, message, "not used", "use it or remove it"));
        }
        for of in declared.enums.iter().filter(|of| !of.used) {
            let message = format!("no column has the type `{}`", of.name);
            found.push(("F095", of.span, message, "not used", "use it or remove it"));
        }
        for of in declared.tables.iter().filter(|of| !of.used) {
            let message = format!("no rule touches the table `{}`", of.name);
            found.push(("F097", of.span, message, "stays empty", "write a rule for it, or remove it"));
        }
        let warnings: Vec<_> = found
            .into_iter()
            .map(|(code, span, message, here, help)| {
                Diagnostic::warning(code, span, message).here(here).help(help)
            })
            .collect();
        for warning in warnings {
            self.report(warning);
        }
    }
}
