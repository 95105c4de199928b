//! The descriptor of a flow's service, made from its plan: messages, enums, methods, and comments that tell how to call
//! them.
//!
//! Numbers rest on places in the flow file alone: column `n` of a shape is field `n`, value `n` of an enum has the
//! number `n`, and where a message has a field per stream, stream `n` has the number `15 + n`, so that 1 to 15 stay
//! free for what every such message says.

use anabranch_model::convert::text_of;
use anabranch_model::plan::{Action, InputId, OutputId, Plan, Step, TableId};
use anabranch_model::types::{Column, ColumnId, EnumType, Shape, Type};
use prost_types::field_descriptor_proto::{Label, Type as FieldType};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileOptions, OneofDescriptorProto, ServiceDescriptorProto,
};

use super::Method;
use super::comment::{Comments, ENUM, FIELD, MESSAGE, METHOD, ONE_LINE_MAX, SERVICE, VALUE, one_line};
use super::name::{Names, TypeNames, bases, field, snake};
use super::parts::{Kind, Message, Service};
use super::row::is_optional;

/// The number of the field of a stream in a message that has one per stream: behind those that every such message has,
/// and around the numbers that the format keeps for itself.
pub(crate) fn stream_number(place: u16) -> u32 {
    match 16 + u32::from(place) {
        number @ ..19_000 => number,
        number => number + 1000,
    }
}

/// The columns of a table's key, in their order, as a shape of their own.
pub(crate) fn key_shape(shape: &Shape, key: &[ColumnId]) -> Shape {
    let plain = |column: &Column| Column { nullable: false, default: None, ..column.clone() };
    Shape::new(key.iter().map(|&id| plain(shape.column(id))).collect())
}

/// The outputs that the rules of a step may reply to, in the order of the plan.
pub(crate) fn replies(step: &Step) -> Vec<OutputId> {
    let mut found = Vec::new();
    let mut open: Vec<&Action> = step.rules.iter().flat_map(|rule| &rule.actions).collect();
    while let Some(action) = open.pop() {
        match action {
            Action::Reply { output, .. } => found.push(*output),
            Action::If { arms, otherwise } => {
                open.extend(arms.iter().flat_map(|(_, actions)| actions).chain(otherwise));
            }
            Action::Write { .. }
            | Action::Delete { .. }
            | Action::Read { .. }
            | Action::Let { .. }
            | Action::Require { .. }
            | Action::Emit { .. } => {}
        }
    }
    found.sort();
    found.dedup();
    found
}

/// A described service.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) file: FileDescriptorProto,
    /// What the methods are, in the order of the service.
    pub(crate) methods: Vec<Method>,
}

/// The last word of the package of a flow.
pub(crate) fn package(flow: &str) -> String {
    Names::default().take(&field(flow, "flow"), "_")
}

/// Describes the service of a flow.
pub(crate) fn describe(plan: &Plan) -> Described {
    let package = package(&plan.name);
    let mut file = File {
        plan,
        names: TypeNames::of(plan),
        package: format!("anabranch.{package}"),
        messages: Vec::new(),
        comments: Comments::default(),
    };
    file.streams();
    file.tables();
    file.shared();
    let enums = file.enums();
    let (service, methods) = file.service();
    file.comments
        .head(&HEAD.map(|line| line.replace("FILE", &package).replace("FLOW", &one_line(&plan.name))));
    let well_known = ["google/protobuf/duration.proto", "google/protobuf/timestamp.proto"];
    let used = |file_name: &&&str| file.uses(&file_name.trim_end_matches(".proto").replace('/', "."));
    let options = FileOptions {
        java_multiple_files: Some(true),
        go_package: Some(format!("anabranch/{package}")),
        ..FileOptions::default()
    };
    let described = FileDescriptorProto {
        name: Some(format!("{package}.proto")),
        package: Some(file.package.clone()),
        dependency: well_known.iter().filter(used).map(|name| (*name).to_owned()).collect(),
        enum_type: enums,
        service: vec![service],
        options: Some(options),
        syntax: Some("proto3".to_owned()),
        source_code_info: Some(file.comments.info()),
        message_type: file.messages,
        ..FileDescriptorProto::default()
    };
    Described { file: described, methods }
}

const HEAD: [&str; 9] = [
    "The service of flow `FLOW`, written by Anabranch from its flow file.",
    "",
    "  python3 -m grpc_tools.protoc -I. --python_out=. --grpc_python_out=. FILE.proto",
    "",
    "Fields that are `optional` may be left out: the row then has the default of the column, else null. All others",
    "are given in every row; text, bytes, numbers and truth values that are not set are empty, 0 and false.",
    "A row that is refused is the status of its call: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION (the rule",
    "says `conflict`), PERMISSION_DENIED or UNAVAILABLE (try later), with the text of the rule as its message.",
    "Nothing of a refused row is written.",
];

/// The file as it grows.
struct File<'p> {
    plan: &'p Plan,
    names: TypeNames,
    package: String,
    messages: Vec<DescriptorProto>,
    comments: Comments,
}

impl File<'_> {
    fn path_of(&self, message: &str) -> String {
        format!(".{}.{message}", self.package)
    }

    /// Whether a field holds the one message of a well-known file.
    fn uses(&self, file: &str) -> bool {
        let of = |field: &FieldDescriptorProto| {
            field.type_name().trim_start_matches('.').eq_ignore_ascii_case(file)
        };
        self.messages.iter().flat_map(|message| &message.field).any(of)
    }

    fn streams(&mut self) {
        let plan = self.plan;
        for (at, (input, step)) in plan.inputs.iter().zip(&plan.steps).enumerate() {
            let comment = format!("A row of input `{}`.", one_line(&input.name));
            self.row_message(self.names.inputs[at].clone(), &input.shape, comment);
            let mut reply = Message::new(&self.names.replies[at]);
            let replies = replies(step);
            for output in &replies {
                let at = usize::from(output.0);
                let name = snake(&plan.outputs[at].name);
                let type_name = self.path_of(&self.names.outputs[at]);
                reply.field(&name, stream_number(output.0), Kind::Message(type_name), Label::Repeated);
            }
            let comment = match replies.is_empty() {
                true => "The row took effect. No rule replies to it.",
                false => "The row took effect; what the rules replied to it, in their order.",
            };
            self.push(reply, comment);
        }
        for (at, output) in plan.outputs.iter().enumerate() {
            let comment = format!("A row of output `{}`.", one_line(&output.name));
            self.row_message(self.names.outputs[at].clone(), &output.shape, comment);
            let mut event = Message::new(&self.names.events[at]);
            event.position();
            let type_name = self.path_of(&self.names.outputs[at]);
            event.field("row", 3, Kind::Message(type_name), Label::Optional);
            event.note("Not set where only missed rows are told.");
            self.push(event, &format!("A row of output `{}` for who watches it.", one_line(&output.name)));
        }
    }

    fn tables(&mut self) {
        for (at, table) in self.plan.tables.iter().enumerate() {
            let name = one_line(&table.name);
            self.row_message(self.names.rows[at].clone(), &table.shape, format!("A row of table `{name}`."));
            let key = key_shape(&table.shape, &table.key);
            self.row_message(
                self.names.keys[at].clone(),
                &key,
                format!("The key of a row of table `{name}`."),
            );
            let mut scan = Message::new(&self.names.scans[at]);
            scan.field("limit", 1, Kind::Plain(FieldType::Uint64), Label::Optional);
            scan.note("Rows, at most; 0 is all of them.");
            let type_name = self.path_of(&self.names.keys[at]);
            scan.field("after", 2, Kind::Message(type_name), Label::Optional);
            scan.note("Begins behind this key.");
            self.push(scan, &format!("Which rows of table `{name}`, in the order of their keys."));
        }
    }

    /// The messages that every service has.
    fn shared(&mut self) {
        let text = |message: &mut Message, name, number, note: &str| {
            message.field(name, number, Kind::Plain(FieldType::String), Label::Optional);
            message.note(note);
        };
        let count = |message: &mut Message, name, number, note: &str| {
            message.field(name, number, Kind::Plain(FieldType::Uint64), Label::Optional);
            message.note(note);
        };
        let refusal = |message: &mut Message, first: u32| {
            text(message, "code", first, "invalid, not_found, conflict, denied or unavailable.");
            text(message, "text", first + 1, "Why.");
            count(message, "line", first + 2, "Of the flow file; 0 where no rule refused it.");
            count(message, "column", first + 3, "Of that line.");
        };
        let mut summary = Message::new(&self.names.summary);
        count(&mut summary, "accepted", 1, "Rows that took effect.");
        count(&mut summary, "refused", 2, "Rows that did not.");
        let type_name = self.path_of(&self.names.refused);
        summary.field("refusals", 3, Kind::Message(type_name), Label::Repeated);
        summary.note("The first of those.");
        self.push(summary, "What became of the rows of a call.");
        let mut refused = Message::new(&self.names.refused);
        count(&mut refused, "row", 1, "Which row of the call, from 0.");
        refusal(&mut refused, 2);
        self.push(refused, "A row that was refused. Nothing of it is written.");
        let mut watch = Message::new(&self.names.watch);
        text(&mut watch, "after", 1, "The position of the last event that you have, to go on behind it.");
        self.push(watch, "From where on to watch; empty is from now on.");
        let mut event = Message::new(&self.names.error_event);
        event.position();
        refusal(&mut event, 3);
        event.oneof("row");
        for (at, input) in self.plan.inputs.iter().enumerate() {
            let type_name = self.path_of(&self.names.inputs[at]);
            event.choice(&snake(&input.name), stream_number(at as u16), Kind::Message(type_name));
        }
        self.push(event, "A row that was refused, for who watches the errors.");
    }

    fn row_message(&mut self, name: String, shape: &Shape, comment: String) {
        let mut message = Message::new(&name);
        for (number, column) in (1..).zip(shape.columns()) {
            let kind = self.kind(&column.ty);
            let name = field(&column.name, &format!("column_{number}"));
            match is_optional(column) {
                true => message.optional(&name, number, kind),
                false => message.field(&name, number, kind, Label::Optional),
            }
            message.note(&column_note(column, message.last_name()));
        }
        self.push(message, &comment);
    }

    fn kind(&self, ty: &Type) -> Kind {
        match ty {
            Type::Bool => Kind::Plain(FieldType::Bool),
            Type::Int => Kind::Plain(FieldType::Int64),
            Type::Float => Kind::Plain(FieldType::Double),
            Type::Text | Type::Decimal { .. } | Type::Json => Kind::Plain(FieldType::String),
            Type::Bytes => Kind::Plain(FieldType::Bytes),
            Type::Time => Kind::Message(".google.protobuf.Timestamp".to_owned()),
            Type::Duration => Kind::Message(".google.protobuf.Duration".to_owned()),
            Type::Enum(of) => {
                let at = self.plan.enums.iter().position(|other| other.name == of.name);
                let at = at.expect("the enum of a column is declared in its flow");
                Kind::Enum(self.path_of(&self.names.enums[at]))
            }
        }
    }

    fn push(&mut self, message: Message, comment: &str) {
        let at = self.messages.len() as i32;
        self.comments.above(&[MESSAGE, at], &[comment.to_owned()]);
        for (field, note) in message.notes {
            self.comments.behind(&[MESSAGE, at, FIELD, field], note);
        }
        let mut descriptor = message.descriptor;
        // The format wants the oneofs of optional fields behind all others.
        for (field, name) in message.optionals {
            descriptor.field[field].oneof_index = Some(descriptor.oneof_decl.len() as i32);
            descriptor.oneof_decl.push(OneofDescriptorProto { name: Some(name), options: None });
        }
        self.messages.push(descriptor);
    }

    fn enums(&mut self) -> Vec<EnumDescriptorProto> {
        let mut taken = Names::default();
        let (plan, mut enums) = (self.plan, Vec::new());
        for (at, of) in plan.enums.iter().enumerate() {
            let comment = format!("Enum `{}`.", one_line(&of.name));
            self.comments.above(&[ENUM, at as i32], &[comment]);
            enums.push(self.enum_of(at, of, &mut taken));
        }
        enums
    }

    fn enum_of(&mut self, at: usize, of: &EnumType, taken: &mut Names) -> EnumDescriptorProto {
        let prefix = snake(&self.names.enums[at]).to_ascii_uppercase();
        let mut value = |name: &str, number: i32| EnumValueDescriptorProto {
            name: Some(taken.take(&format!("{prefix}_{name}"), "_")),
            number: Some(number),
            options: None,
        };
        let mut values = vec![value("UNSPECIFIED", 0)];
        for (number, name) in (1..).zip(&of.values) {
            let word = match snake(name).to_ascii_uppercase() {
                word if word.is_empty() => format!("VALUE_{number}"),
                word => word,
            };
            values.push(value(&word, number));
            let path = [ENUM, at as i32, VALUE, number];
            self.comments.behind(&path, format!("'{}'", one_line(name)));
        }
        EnumDescriptorProto {
            name: Some(self.names.enums[at].clone()),
            value: values,
            ..EnumDescriptorProto::default()
        }
    }

    fn service(&mut self) -> (ServiceDescriptorProto, Vec<Method>) {
        let mut service = Service::default();
        self.calls(&mut service);
        // The inputs were named first; in the file each stands before its bulk call.
        service.methods.sort_by_key(|(method, _, _)| method.place());
        let comment = format!("Flow `{}`.", one_line(&self.plan.name));
        self.comments.above(&[SERVICE, 0], &[comment]);
        let (mut methods, mut kinds) = (Vec::new(), Vec::new());
        for (at, (kind, method, comment)) in service.methods.into_iter().enumerate() {
            self.comments.above(&[SERVICE, 0, METHOD, at as i32], &[comment]);
            methods.push(method);
            kinds.push(kind);
        }
        let name = Some(self.names.service.clone());
        (ServiceDescriptorProto { name, method: methods, options: None }, kinds)
    }

    fn calls(&self, service: &mut Service) {
        let (plan, names) = (self.plan, &self.names);
        let [_, inputs, outputs, tables] = bases(plan);
        let path = |name: &String| self.path_of(name);
        for (at, (input, base)) in plan.inputs.iter().zip(&inputs).enumerate() {
            let said =
                format!("Sends one row to `{}` and waits for what became of it.", one_line(&input.name));
            let ask = Method::Ask(InputId(at as u16));
            service.push(ask, base, path(&names.inputs[at]), path(&names.replies[at]), &said);
        }
        let (watch, error_event) = (path(&names.watch), path(&names.error_event));
        let said = format!("The rows that are refused {FROM}");
        service.push(Method::WatchErrors, "WatchErrors", watch.clone(), error_event, &said);
        for (at, (input, base)) in plan.inputs.iter().zip(&inputs).enumerate() {
            let said = format!(
                "Sends any number of rows to `{}`, in order, without replies.",
                one_line(&input.name)
            );
            let many = Method::SendMany(InputId(at as u16));
            service.push(many, &format!("{base}Many"), path(&names.inputs[at]), path(&names.summary), &said);
        }
        for (at, (output, base)) in plan.outputs.iter().zip(&outputs).enumerate() {
            let said = format!("The rows of `{}` {FROM}", one_line(&output.name));
            let id = Method::Watch(OutputId(at as u16));
            service.push(id, &format!("Watch{base}"), watch.clone(), path(&names.events[at]), &said);
        }
        for (at, (table, base)) in plan.tables.iter().zip(&tables).enumerate() {
            let (id, row, name) = (TableId(at as u16), path(&names.rows[at]), one_line(&table.name));
            let said = format!("The row of `{name}` with this key; NOT_FOUND where there is none.");
            service.push(Method::Get(id), &format!("Get{base}"), path(&names.keys[at]), row.clone(), &said);
            let said = format!("The rows of `{name}` in the order of their keys.");
            service.push(Method::Scan(id), &format!("Scan{base}"), path(&names.scans[at]), row, &said);
        }
    }
}

/// What every watch says.
const FROM: &str = "from now on, or behind a position. Does not end by itself.";

/// What a column needs said about it.
fn column_note(column: &Column, name: &str) -> String {
    let mut notes = Vec::new();
    if column.name != name {
        notes.push(format!("Column `{}`.", one_line(&column.name)));
    }
    match &column.ty {
        ty @ Type::Decimal { .. } => notes.push(format!("The digits of a {ty}, such as \"1.50\".")),
        Type::Json => notes.push("JSON text.".to_owned()),
        _ => {}
    }
    if let Some(default) = &column.default {
        let mut text = one_line(&text_of(default, &column.ty));
        if text.len() > ONE_LINE_MAX / 2 {
            text = "as in the flow file".to_owned();
        }
        notes.push(format!("Default: {text}"));
    }
    notes.join(" ")
}
