//! The examples in other languages, run against a node; skipped with a message where their tools are missing.

#![allow(clippy::disallowed_methods, reason = "other programs are started")]

use std::path::{Path, PathBuf};
use std::process::Command;

use anabranch::{Flow, Listen, Node, Server};

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/clients")
}

fn served() -> (Node, Server) {
    let flow = Flow::parse("names.flow", anabranch::doc::NAMES).expect("it compiles");
    let node = Node::builder("A").flow(flow).start().expect("it starts");
    let listen = Listen { grpc: Some(([127, 0, 0, 1], 0).into()), ..Listen::default() };
    let server = node.serve(&listen).expect("it listens");
    (node, server)
}

/// What a program prints; none where it cannot be started.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{printed}{said}", output.status);
    Some(printed.into_owned())
}

#[test]
fn a_python_client_calls_a_flow() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import grpc, grpc_tools"]).output();
    if !has.is_ok_and(|has| has.status.success()) {
        println!(
            "skipped: no python3 with grpcio and grpcio-tools (pip install grpcio grpcio-tools; or set PYTHON)"
        );
        return;
    }
    let (_node, server) = served();
    let address = server.grpc().expect("it speaks gRPC").to_string();
    let printed =
        output(Command::new(&python).arg(clients().join("names.py")).arg(address)).expect("it starts");
    assert_eq!(printed, "a = 1 (found: True, by A)\n1000 accepted, 0 refused\n7\na 1\nn0 0\nn1 1\n");
}

/// The block of the README that begins with a fence of this kind and holds a text.
fn readme_block(fence: &str, holds: &str) -> String {
    let readme = std::fs::read_to_string(clients().join("../../README.md")).expect("it is there");
    let mut blocks = readme.split("```").skip(1).step_by(2);
    let block = blocks.find(|block| block.starts_with(fence) && block.contains(holds));
    block.and_then(|block| block.strip_prefix(fence)).expect("the README has it").to_owned()
}

#[test]
fn the_python_call_of_the_readme_prints_what_it_says() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let stubs = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("stubs");
    std::fs::create_dir_all(&stubs).expect("a folder");
    let (flows, out) = (clients().join("../../flows"), stubs.display());
    let made = Command::new(&python)
        .args(["-m", "grpc_tools.protoc", &format!("-I{}", flows.display())])
        .args([format!("--python_out={out}"), format!("--grpc_python_out={out}"), "names.proto".into()])
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        println!(
            "skipped: no python3 with grpcio and grpcio-tools (pip install grpcio grpcio-tools; or set PYTHON)"
        );
        return;
    }
    let (_node, server) = served();
    let address = server.grpc().expect("it speaks gRPC").to_string();
    let program = readme_block("python\n", "NamesStub").replace("127.0.0.1:7171", &address);
    let printed =
        output(Command::new(&python).args(["-c", &program]).current_dir(&stubs)).expect("it starts");
    assert_eq!(printed, "red\n");
}

#[test]
fn the_grpcurl_call_of_the_readme_prints_what_it_says() {
    if Command::new("grpcurl").arg("-version").output().is_err() {
        println!("skipped: no grpcurl");
        return;
    }
    let (node, server) = served();
    let address = server.grpc().expect("it speaks gRPC").to_string();
    node.client()
        .ask("UpdateStream", &serde_json::json!({ "name": "apple", "value": "red" }))
        .expect("written");
    let block = readme_block("shell\n", "grpcurl").replace("127.0.0.1:7171", &address);
    let (command, told) =
        block.trim_start_matches("$ ").split_once('\n').expect("a command and what it prints");
    let printed = output(Command::new("sh").args(["-c", command])).expect("it starts");
    let bare = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(bare(&printed), bare(told));
}

#[test]
fn a_typescript_client_calls_a_flow() {
    let tsx = clients().join("node_modules/.bin/tsx");
    if !tsx.exists() {
        println!("skipped: no packages in examples/clients (npm install there)");
        return;
    }
    let (_node, server) = served();
    let address = server.grpc().expect("it speaks gRPC").to_string();
    let printed =
        output(Command::new(tsx).arg("names.ts").arg(address).current_dir(clients())).expect("it starts");
    assert_eq!(printed, "a = 1 (found: true, by A)\n1\n");
}
