//! `anabranch explain`: the page behind a diagnostic's number.

use anabranch_lang::suggest::closest;
use anabranch_lang::{codes, explain};
use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{self, Output};

/// Explain a diagnostic, or list all
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  anabranch explain F031        what it means, an example, the same one mended
  anabranch explain             all numbers with their titles

Exit codes: 0 explained, 2 there is no such number.")]
pub(crate) struct Explain {
    /// The number, F031; all are listed without it
    code: Option<String>,
    /// Print JSON: an object, or one a line
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Some(code) = &self.code else { return self.list() };
        let code = code.trim().to_ascii_uppercase();
        let Some(page) = explain(&code) else {
            let help = match closest(&code, codes()) {
                Some(near) => format!("did you mean {near}? `anabranch explain` lists all"),
                None => "`anabranch explain` lists all".to_owned(),
            };
            return Err(Failure::usage(format!("there is no diagnostic `{code}`")).help(help));
        };
        if self.json {
            return output::print(&format!(
                "{}\n",
                json!({ "code": code, "title": title(page), "page": page })
            ));
        }
        output::print(&format!("{}\n", page.trim_end()))
    }

    fn list(&self) -> Result<(), Failure> {
        let mut out = Output::new();
        for code in codes() {
            let title = title(explain(code).unwrap_or_default());
            match self.json {
                true => out.line(&json!({ "code": code, "title": title }).to_string())?,
                false => out.line(&format!("{code}  {title}"))?,
            }
        }
        out.flush()
    }
}

/// Of a page that begins with `# F031: the title`.
fn title(page: &str) -> &str {
    let first = page.lines().next().unwrap_or_default();
    first.split_once(": ").map_or(first, |(_, title)| title)
}
