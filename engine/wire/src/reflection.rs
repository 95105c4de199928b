//! The messages of `grpc.reflection.v1.ServerReflection`: how a tool asks a server what it serves.
//!
//! After `grpc/reflection/v1/reflection.proto` of the gRPC project; `v1alpha` has the same messages.

use prost::{Message, Oneof};

/// A question.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ReflectionRequest {
    /// The host that is asked about.
    #[prost(string, tag = "1")]
    pub host: String,
    /// What is asked.
    #[prost(oneof = "Question", tags = "3, 4, 5, 6, 7")]
    pub question: Option<Question>,
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, Oneof)]
pub enum Question {
    /// The file of this name.
    #[prost(string, tag = "3")]
    FileByName(String),
    /// The file that declares a message, enum, service or method.
    #[prost(string, tag = "4")]
    FileWithSymbol(String),
    /// The file that declares an extension.
    #[prost(message, tag = "5")]
    FileWithExtension(Extension),
    /// The numbers of all extensions of a message.
    #[prost(string, tag = "6")]
    ExtensionsOf(String),
    /// All services.
    #[prost(string, tag = "7")]
    Services(String),
}

/// An extension of a message.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Extension {
    /// The message.
    #[prost(string, tag = "1")]
    pub message: String,
    /// Its number.
    #[prost(int32, tag = "2")]
    pub number: i32,
}

/// An answer.
#[derive(Clone, PartialEq, Message)]
pub struct ReflectionReply {
    /// The host of the question.
    #[prost(string, tag = "1")]
    pub host: String,
    /// The question.
    #[prost(message, optional, tag = "2")]
    pub request: Option<ReflectionRequest>,
    /// What there is to say.
    #[prost(oneof = "Finding", tags = "4, 6, 7")]
    pub finding: Option<Finding>,
}

/// What there is to say.
#[derive(Clone, PartialEq, Oneof)]
pub enum Finding {
    /// Files.
    #[prost(message, tag = "4")]
    Files(Files),
    /// Services.
    #[prost(message, tag = "6")]
    Services(Services),
    /// Nothing was found.
    #[prost(message, tag = "7")]
    Nothing(Nothing),
}

/// Files with what they import.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Files {
    /// Encoded `FileDescriptorProto`s.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub files: Vec<Vec<u8>>,
}

/// Services.
#[derive(Clone, PartialEq, Message)]
pub struct Services {
    /// One after the other.
    #[prost(message, repeated, tag = "1")]
    pub services: Vec<Service>,
}

/// A service.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Service {
    /// Its full name.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// Why nothing was found.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Nothing {
    /// A status of gRPC.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// In words.
    #[prost(string, tag = "2")]
    pub text: String,
}
