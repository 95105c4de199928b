//! Every flow as a gRPC service of its own, typed: its `.proto` file, and the messages of it from and to packed rows.
//!
//! A [`FlowApi`] is made once per plan. It holds the descriptor of the service, the text of the `.proto` (written from
//! the descriptor, so that the two cannot disagree), and what the paths of its methods mean. A server looks a path up
//! and hands the bytes of the message on; nothing here is generated code, and no compiler of `.proto` files is needed
//! to build or to run.
//!
//! The mapping is told in `engine/wire/PROTOCOL.md`; [`row`] has the types of columns, `name` the names.

mod breaks;
mod comment;
pub(crate) mod describe;
mod field;
pub mod message;
pub(crate) mod name;
mod parts;
pub mod row;
mod text;

use std::collections::HashMap;
use std::sync::Arc;

use anabranch_model::batch::Batch;
use anabranch_model::plan::{InputId, OutputId, Plan, TableId};
use anabranch_model::row::Row;
use anabranch_model::types::Shape;
use anabranch_model::value::Value;
use prost::Message;
use prost_types::FileDescriptorProto;

use message::Scan;
use row::DecodeError;

pub use breaks::readable;

/// What a method of a flow's service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// One row for an input; gives its replies.
    Ask(InputId),
    /// A stream of rows for an input; gives a [`message::Summary`].
    SendMany(InputId),
    /// Takes a [`message::Watch`]; gives a stream of the rows of an output.
    Watch(OutputId),
    /// Takes a [`message::Watch`]; gives a stream of the refused rows.
    WatchErrors,
    /// Takes the key of a table; gives its row.
    Get(TableId),
    /// Takes a [`Scan`]; gives a stream of rows of a table.
    Scan(TableId),
}

impl Method {
    /// Whether the caller sends a stream of messages.
    pub fn takes_many(self) -> bool {
        matches!(self, Method::SendMany(_))
    }

    /// Whether the caller gets a stream of messages.
    pub fn gives_many(self) -> bool {
        matches!(self, Method::Watch(_) | Method::WatchErrors | Method::Scan(_))
    }

    /// Where it stands in its service.
    fn place(self) -> (u8, u16, u8) {
        match self {
            Method::Ask(input) => (0, input.0, 0),
            Method::SendMany(input) => (0, input.0, 1),
            Method::Watch(output) => (1, output.0, 0),
            Method::WatchErrors => (2, 0, 0),
            Method::Get(table) => (3, table.0, 0),
            Method::Scan(table) => (3, table.0, 1),
        }
    }
}

/// The package of the flow of a name: `anabranch.names`. Flows whose names differ only by what a `.proto` cannot say have
/// the same one, and with it the same service; no node can serve both.
pub fn package(flow: &str) -> String {
    format!("anabranch.{}", describe::package(flow))
}

/// The typed interface of one flow: what a server needs to serve it, made once per plan.
#[derive(Debug)]
pub struct FlowApi {
    plan: Arc<Plan>,
    file: FileDescriptorProto,
    text: String,
    methods: HashMap<String, Method>,
    keys: Vec<Shape>,
}

impl FlowApi {
    /// The interface of a plan.
    pub fn new(plan: Arc<Plan>) -> Self {
        let described = describe::describe(&plan);
        let service = service_name(&described.file);
        let names = described.file.service.iter().flat_map(|service| &service.method);
        let paths = names.map(|method| format!("/{service}/{}", method.name()));
        FlowApi {
            methods: paths.zip(described.methods).collect(),
            text: text::text(&described.file),
            keys: plan.tables.iter().map(|table| describe::key_shape(&table.shape, &table.key)).collect(),
            file: described.file,
            plan,
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The full name of the service: `anabranch.names.Names`.
    pub fn service(&self) -> String {
        service_name(&self.file)
    }

    /// The name of the file: `names.proto`.
    pub fn file_name(&self) -> &str {
        self.file.name()
    }

    /// The text of the `.proto` file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The descriptor, comments included.
    pub fn descriptor(&self) -> &FileDescriptorProto {
        &self.file
    }

    /// The encoded descriptors that reflection serves, each with the name of its file: the flow's own last, behind the
    /// well-known ones that it imports.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let known = self.file.dependency.iter().filter_map(|name| parts::well_known(name));
        known.chain([self.file.clone()]).map(|file| (file.name().to_owned(), file.encode_to_vec())).collect()
    }

    /// What a path means: `/anabranch.names.Names/UpdateStream`.
    pub fn method(&self, path: &str) -> Option<Method> {
        self.methods.get(path).copied()
    }

    /// All paths with what they mean, in the order of the service.
    pub fn methods(&self) -> Vec<(&str, Method)> {
        let mut methods: Vec<_> =
            self.methods.iter().map(|(path, method)| (path.as_str(), *method)).collect();
        methods.sort_by_key(|(_, method)| method.place());
        methods
    }

    /// Appends the row that a message of an input holds to a batch of rows of that input.
    ///
    /// # Errors
    /// What is wrong with which field; the batch is as it was.
    pub fn decode_input(&self, input: InputId, message: &[u8], batch: &mut Batch) -> Result<(), DecodeError> {
        row::decode_row(message, &self.plan.inputs[usize::from(input.0)].shape, batch)
    }

    /// Appends the reply to a row: the packed rows that rules sent back, each with its output, in their order.
    pub fn encode_reply<'r>(&self, replies: impl Iterator<Item = (OutputId, &'r [u8])>, out: &mut Vec<u8>) {
        let rows = replies.map(|(output, row)| (output, Row::new(row, self.output_shape(output))));
        message::encode_reply(rows, out);
    }

    /// The values of a key, in the order of the table's key columns.
    ///
    /// # Errors
    /// What is wrong with which field.
    pub fn decode_key(&self, table: TableId, message: &[u8]) -> Result<Vec<Value<'static>>, DecodeError> {
        row::decode_values(message, &self.keys[usize::from(table.0)])
    }

    /// Which rows of a table are asked for.
    ///
    /// # Errors
    /// What is wrong with which field.
    pub fn decode_scan(&self, table: TableId, message: &[u8]) -> Result<Scan, DecodeError> {
        message::decode_scan(message, &self.keys[usize::from(table.0)])
    }

    /// Appends a packed row of a table.
    pub fn encode_table_row(&self, table: TableId, row: &[u8], out: &mut Vec<u8>) {
        row::encode_row(Row::new(row, &self.plan.tables[usize::from(table.0)].shape), out);
    }

    fn output_shape(&self, output: OutputId) -> &Shape {
        &self.plan.outputs[usize::from(output.0)].shape
    }
}

fn service_name(file: &FileDescriptorProto) -> String {
    let name = file.service.first().map_or("", |service| service.name());
    format!("{}.{name}", file.package())
}
