//! Messages and a service as they grow, a field or a method at a time.

use prost_types::field_descriptor_proto::{Label, Type as FieldType};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto, OneofDescriptorProto,
};

use super::Method;
use super::name::{Names, field};

/// What a field holds.
#[derive(Debug)]
pub(crate) enum Kind {
    Plain(FieldType),
    Message(String),
    Enum(String),
}

/// A message as it grows.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) descriptor: DescriptorProto,
    names: Names,
    /// The optional fields with the names of their oneofs.
    pub(crate) optionals: Vec<(usize, String)>,
    pub(crate) notes: Vec<(i32, String)>,
}

impl Message {
    pub(crate) fn new(name: &str) -> Self {
        let descriptor = DescriptorProto { name: Some(name.to_owned()), ..DescriptorProto::default() };
        Message { descriptor, names: Names::default(), optionals: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn field(&mut self, name: &str, number: u32, kind: Kind, label: Label) {
        let (ty, type_name) = match kind {
            Kind::Plain(ty) => (ty, None),
            Kind::Message(name) => (FieldType::Message, Some(name)),
            Kind::Enum(name) => (FieldType::Enum, Some(name)),
        };
        let otherwise = format!("field_{number}");
        self.descriptor.field.push(FieldDescriptorProto {
            name: Some(self.names.take(&field(name, &otherwise), "_")),
            number: Some(number as i32),
            label: Some(label as i32),
            r#type: Some(ty as i32),
            type_name,
            ..FieldDescriptorProto::default()
        });
    }

    pub(crate) fn optional(&mut self, name: &str, number: u32, kind: Kind) {
        self.field(name, number, kind, Label::Optional);
        let at = self.descriptor.field.len() - 1;
        self.descriptor.field[at].proto3_optional = Some(true);
        self.optionals.push((at, format!("_{}", self.last_name())));
    }

    /// Where a subscription stands behind an event.
    pub(crate) fn position(&mut self) {
        self.field("position", 1, Kind::Plain(FieldType::String), Label::Optional);
        self.note("Where you stand behind this event: `Watch.after` goes on here.");
        self.field("missed", 2, Kind::Plain(FieldType::Uint64), Label::Optional);
        self.note(
            "Rows before this one that you will not get, because you read too slowly or were away too long.",
        );
    }

    pub(crate) fn oneof(&mut self, name: &str) {
        self.descriptor.oneof_decl.push(OneofDescriptorProto { name: Some(name.to_owned()), options: None });
        self.names.take(name, "_");
    }

    /// A field of the last oneof.
    pub(crate) fn choice(&mut self, name: &str, number: u32, kind: Kind) {
        self.field(name, number, kind, Label::Optional);
        let of = self.descriptor.oneof_decl.len() as i32 - 1;
        if let Some(field) = self.descriptor.field.last_mut() {
            field.oneof_index = Some(of);
        }
    }

    pub(crate) fn last_name(&self) -> &str {
        self.descriptor.field.last().map_or("", |field| field.name())
    }

    /// A note on the last field.
    pub(crate) fn note(&mut self, note: &str) {
        if !note.is_empty() {
            self.notes.push((self.descriptor.field.len() as i32 - 1, note.to_owned()));
        }
    }
}

/// The methods as they are named.
#[derive(Debug, Default)]
pub(crate) struct Service {
    names: Names,
    pub(crate) methods: Vec<(Method, MethodDescriptorProto, String)>,
}

impl Service {
    pub(crate) fn push(&mut self, method: Method, name: &str, input: String, output: String, comment: &str) {
        let descriptor = MethodDescriptorProto {
            name: Some(self.names.take(name, "")),
            input_type: Some(input),
            output_type: Some(output),
            client_streaming: method.takes_many().then_some(true),
            server_streaming: method.gives_many().then_some(true),
            options: None,
        };
        self.methods.push((method, descriptor, comment.to_owned()));
    }
}

/// A file of the well-known messages that a described file may import: as much of it as is used.
pub(crate) fn well_known(name: &str) -> Option<FileDescriptorProto> {
    let message = match name {
        "google/protobuf/duration.proto" => "Duration",
        "google/protobuf/timestamp.proto" => "Timestamp",
        _ => return None,
    };
    let mut parts = Message::new(message);
    parts.field("seconds", 1, Kind::Plain(FieldType::Int64), Label::Optional);
    parts.field("nanos", 2, Kind::Plain(FieldType::Int32), Label::Optional);
    Some(FileDescriptorProto {
        name: Some(name.to_owned()),
        package: Some("google.protobuf".to_owned()),
        message_type: vec![parts.descriptor],
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    })
}
