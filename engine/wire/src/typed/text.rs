//! The text of a `.proto` file, written from its descriptor: as much of the format as [`super::describe`] uses.

use std::collections::HashMap;
use std::fmt::Write;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::source_code_info::Location;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, ServiceDescriptorProto,
};

use super::comment::{ENUM, FIELD, MESSAGE, METHOD, SERVICE, SYNTAX, VALUE};

/// The text of a file.
pub(crate) fn text(file: &FileDescriptorProto) -> String {
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    let comments = locations.map(|location| (location.path.as_slice(), location)).collect();
    let mut writer = Writer { file, comments, out: String::new() };
    writer.head();
    for (at, service) in file.service.iter().enumerate() {
        writer.service(at as i32, service);
    }
    for (at, message) in file.message_type.iter().enumerate() {
        writer.message(at as i32, message);
    }
    for (at, of) in file.enum_type.iter().enumerate() {
        writer.enumeration(at as i32, of);
    }
    writer.out
}

struct Writer<'f> {
    file: &'f FileDescriptorProto,
    comments: HashMap<&'f [i32], &'f Location>,
    out: String,
}

impl Writer<'_> {
    fn line(&mut self, indent: usize, text: &str) {
        let width = if text.is_empty() { 0 } else { indent };
        writeln!(self.out, "{:width$}{text}", "").expect("writing to a String cannot fail");
    }

    fn above(&mut self, indent: usize, path: &[i32]) {
        let comment = self.comments.get(path).and_then(|location| location.leading_comments.as_deref());
        for line in comment.unwrap_or_default().lines() {
            self.line(indent, &format!("//{line}"));
        }
    }

    fn behind(&self, path: &[i32]) -> String {
        let comment = self.comments.get(path).and_then(|location| location.trailing_comments.as_deref());
        comment.map(|comment| format!("  //{}", comment.trim_end())).unwrap_or_default()
    }

    fn head(&mut self) {
        self.above(0, &[SYNTAX]);
        self.line(0, &format!("syntax = \"{}\";\n", self.file.syntax()));
        self.line(0, &format!("package {};", self.file.package()));
        if !self.file.dependency.is_empty() {
            self.line(0, "");
        }
        for file in &self.file.dependency {
            self.line(0, &format!("import \"{file}\";"));
        }
        if let Some(options) = &self.file.options {
            self.line(0, &format!("\noption go_package = \"{}\";", options.go_package()));
            self.line(0, &format!("option java_multiple_files = {};", options.java_multiple_files()));
        }
    }

    fn service(&mut self, at: i32, service: &ServiceDescriptorProto) {
        self.line(0, "");
        self.above(0, &[SERVICE, at]);
        self.line(0, &format!("service {} {{", service.name()));
        for (number, method) in service.method.iter().enumerate() {
            if number > 0 {
                self.line(0, "");
            }
            self.above(2, &[SERVICE, at, METHOD, number as i32]);
            // A name alone would mean the method, where a message is called like one.
            let whole = |name: &str| match service.method.iter().any(|other| self.short(name) == other.name())
            {
                true => name.to_owned(),
                false => self.short(name).to_owned(),
            };
            let streamed = |streams: bool| if streams { "stream " } else { "" };
            let taken = streamed(method.client_streaming()).to_owned() + &whole(method.input_type());
            let given = streamed(method.server_streaming()).to_owned() + &whole(method.output_type());
            self.line(2, &format!("rpc {}({taken}) returns ({given});", method.name()));
        }
        self.line(0, "}");
    }

    fn message(&mut self, at: i32, message: &DescriptorProto) {
        self.line(0, "");
        self.above(0, &[MESSAGE, at]);
        if message.field.is_empty() {
            return self.line(0, &format!("message {} {{}}", message.name()));
        }
        self.line(0, &format!("message {} {{", message.name()));
        let mut open = None;
        for (number, field) in message.field.iter().enumerate() {
            let oneof = field.oneof_index.filter(|_| !field.proto3_optional());
            if oneof != open {
                self.turn(message, open, oneof);
                open = oneof;
            }
            let behind = self.behind(&[MESSAGE, at, FIELD, number as i32]);
            let indent = if open.is_some() { 4 } else { 2 };
            self.line(indent, &format!("{}{behind}", self.field(field)));
        }
        self.turn(message, open, None);
        self.line(0, "}");
    }

    /// Ends one oneof and begins another.
    fn turn(&mut self, message: &DescriptorProto, from: Option<i32>, to: Option<i32>) {
        if from.is_some() {
            self.line(2, "}");
        }
        if let Some(oneof) = to.and_then(|at| message.oneof_decl.get(at as usize)) {
            self.line(2, &format!("oneof {} {{", oneof.name()));
        }
    }

    fn field(&self, field: &FieldDescriptorProto) -> String {
        let label = match (field.label(), field.proto3_optional()) {
            (Label::Repeated, _) => "repeated ",
            (_, true) => "optional ",
            _ => "",
        };
        let ty = match field.r#type() {
            Type::Message | Type::Enum => self.short(field.type_name()),
            Type::Bool => "bool",
            Type::Int64 => "int64",
            Type::Uint64 => "uint64",
            Type::Double => "double",
            Type::Bytes => "bytes",
            Type::String => "string",
            other => unreachable!("no field is described as {other:?}"),
        };
        format!("{label}{ty} {} = {};", field.name(), field.number())
    }

    /// A name as it is written in this file.
    fn short<'n>(&self, name: &'n str) -> &'n str {
        let own = name.strip_prefix('.').and_then(|name| name.strip_prefix(self.file.package()));
        own.and_then(|name| name.strip_prefix('.')).unwrap_or_else(|| name.trim_start_matches('.'))
    }

    fn enumeration(&mut self, at: i32, of: &EnumDescriptorProto) {
        self.line(0, "");
        self.above(0, &[ENUM, at]);
        self.line(0, &format!("enum {} {{", of.name()));
        for (number, value) in of.value.iter().enumerate() {
            let behind = self.behind(&[ENUM, at, VALUE, number as i32]);
            self.line(2, &format!("{} = {};{behind}", value.name(), value.number()));
        }
        self.line(0, "}");
    }
}
