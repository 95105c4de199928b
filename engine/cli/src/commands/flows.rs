//! `anabranch flows`: the flows of a node that runs somewhere.

use anabranch::{Error, Flow};
use clap::Args;
use serde_json::json;

use crate::client::at::At;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::text_table::{Align, TextTable};

/// List the flows of a running node, or print the file or the .proto of one
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  anabranch flows
  anabranch flows names > names.flow         the file as it was deployed
  anabranch flows names --proto > names.proto   for clients in other languages
  anabranch flows --json

With --json every flow is a line: {\"flow\":..,\"revision\":..,\"file\":..,\"inputs\":[..],\"outputs\":[..],\"tables\":[..]}, where
the streams and tables are names; with a NAME, its file is in \"text\", too, or its .proto in
\"proto\".

Exit codes: 0 printed, 2 there is no such flow, 3 the node cannot be reached or does not allow it.")]
pub(crate) struct Flows {
    /// Print the file of this flow
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Print the .proto of its service instead
    #[arg(long, requires = "name")]
    proto: bool,
    #[command(flatten)]
    at: At,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl Flows {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let flows = self.at.connect()?.flows()?;
        match &self.name {
            Some(name) => self.file(name, &flows),
            None if self.json => {
                let mut out = Output::new();
                flows.iter().try_for_each(|flow| out.line(&object(flow).to_string()))?;
                out.flush()
            }
            None => output::print(&list(&flows)),
        }
    }

    /// The file of the flow of this name.
    fn file(&self, name: &str, flows: &[Flow]) -> Result<(), Failure> {
        let Some(flow) = flows.iter().find(|flow| flow.name() == name) else {
            let known = flows.iter().map(|flow| flow.name().to_owned()).collect();
            return Err(Error::Unknown { what: "flow", name: name.to_owned(), known }.into());
        };
        let (member, text) = match self.proto {
            true => ("proto", flow.proto()),
            false => ("text", flow.text().to_owned()),
        };
        if self.json {
            let mut object = object(flow);
            object[member] = json!(text);
            return output::print(&format!("{object}\n"));
        }
        output::print(&text)
    }
}

fn object(flow: &Flow) -> serde_json::Value {
    let plan = flow.plan();
    let names = |streams: &[anabranch_model::plan::Stream]| -> Vec<String> {
        streams.iter().map(|stream| stream.name.clone()).collect()
    };
    let tables: Vec<&str> = plan.tables.iter().map(|table| table.name.as_str()).collect();
    json!({
        "flow": plan.name,
        "revision": plan.revision,
        "file": plan.file,
        "inputs": names(&plan.inputs),
        "outputs": names(&plan.outputs),
        "tables": tables,
    })
}

fn list(flows: &[Flow]) -> String {
    let numbers = ["revision", "inputs", "outputs", "tables"].map(|title| (title, Align::Right));
    let heads = [("flow", Align::Left)].into_iter().chain(numbers).chain([("file", Align::Left)]);
    let mut table = TextTable::new(heads);
    for flow in flows {
        let plan = flow.plan();
        let counts =
            [plan.inputs.len(), plan.outputs.len(), plan.tables.len()].map(|count| count.to_string());
        let head = [plan.name.clone(), plan.revision.to_string()];
        table.row(head.into_iter().chain(counts).chain([plan.file.clone()]));
    }
    table.render()
}
