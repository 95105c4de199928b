//! The `.proto` of a flow, held to a compiler of such files: what the text says is what the descriptor says.
//!
//! `UPDATE=1 cargo test -p anabranch --test typed` rewrites `flows/names.proto`.

#![allow(clippy::panic, reason = "what helps a test panics where it fails")]
#![allow(clippy::disallowed_methods, reason = "a test reads the flows of the repository")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anabranch_model::plan::Plan;
use anabranch_wire::typed::FlowApi;
use prost_types::FileDescriptorProto;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

fn flows() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../flows")
}

fn plan(text: &str) -> Plan {
    let compiled = anabranch_lang::compile("test.flow", text);
    compiled.plan.unwrap_or_else(|| {
        panic!("{}", anabranch_lang::render("test.flow", text, &compiled.diagnostics, false))
    })
}

fn api(text: &str) -> FlowApi {
    FlowApi::new(Arc::new(plan(text)))
}

/// One file in memory.
struct Memory(String, String);

impl FileResolver for Memory {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name == self.0 {
            true => File::from_source(name, &self.1),
            false => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// The descriptor of the text, by a compiler that shares nothing with us, with what only we or only it say taken out.
fn compiled(api: &FlowApi) -> FileDescriptorProto {
    let mut files = ChainFileResolver::new();
    files.add(Memory(api.file_name().to_owned(), api.text().to_owned()));
    files.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(files);
    compiler.include_source_info(false);
    if let Err(error) = compiler.open_file(api.file_name()) {
        panic!("{error:?}\n{}", api.text());
    }
    let set = compiler.file_descriptor_set();
    let mut file = set.file.into_iter().find(|file| file.name() == api.file_name()).expect("it was compiled");
    for field in file.message_type.iter_mut().flat_map(|message| &mut message.field) {
        field.json_name = None;
    }
    file
}

fn described(api: &FlowApi) -> FileDescriptorProto {
    FileDescriptorProto { source_code_info: None, ..api.descriptor().clone() }
}

#[test]
fn the_text_says_what_the_descriptor_says() {
    let mut seen = 0;
    for entry in fs::read_dir(flows()).expect("the flows are there") {
        let path = entry.expect("the flows are there").path();
        if path.extension().is_some_and(|extension| extension == "flow") {
            let api = api(&fs::read_to_string(&path).expect("a flow is text"));
            assert_eq!(compiled(&api), described(&api), "{}\n{}", path.display(), api.text());
            seen += 1;
        }
    }
    assert!(seen > 3);
}

#[test]
fn the_proto_of_the_reference_flow_is_kept() {
    let api = api(&fs::read_to_string(flows().join("names.flow")).expect("the flow is there"));
    let kept = flows().join("names.proto");
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        fs::write(&kept, api.text()).expect("it can be written");
    }
    let kept = fs::read_to_string(kept).unwrap_or_default();
    assert!(kept == api.text(), "UPDATE=1 takes over what is new:\n{}", api.text());
}
