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
