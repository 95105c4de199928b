//! The load generator does what its help says.
#![expect(clippy::panic, reason = "a test fails")]

use std::process::{Command, Output};

use anabranch::{Flow, Listen, Node};
use serde_json::Value;

fn load(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.args(arguments.split_whitespace()).output().expect("it runs")
}

/// The one line of a run that went well.
fn outcome(arguments: &str) -> Value {
    let output = load(arguments);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).expect("text");
    assert_eq!(told.lines().count(), 1, "{told}");
    let outcome: Value = serde_json::from_str(&told).expect("JSON");
    let figure = |name: &str| outcome[name].as_f64().unwrap_or_else(|| panic!("no {name} in {told}"));
    assert!(figure("ops_per_s") > 0.0 && figure("rss_mb") > 1.0, "{told}");
    let latencies = ["p50_us", "p99_us", "p999_us", "max_us"].map(figure);
    assert!(latencies[0] > 0.0 && latencies.is_sorted(), "{told}");
    outcome
}

#[test]
fn a_node_in_the_process_is_loaded() {
    outcome("--in-process --keys 1000 --seconds 0.1");
    outcome(
        "--in-process --keys 1000 --seconds 0.1 --mix 50 --batch 16 --in-flight 4 --connections 3 --threads 2",
    );
    outcome("--in-process --keys 1000 --seconds 0.1 --mix 0 --batch 256 --workers 2");
}

#[test]
fn a_node_somewhere_is_loaded_at_a_rate() {
    let flow = Flow::parse("names.flow", include_str!("../../flows/names.flow")).expect("it compiles");
    let node = Node::builder("A").flow(flow).start().expect("it starts");
    let listen = Listen { grpc: Some(([127, 0, 0, 1], 0).into()), ..Listen::default() };
    let server = node.serve(&listen).expect("it listens");
    let at = server.grpc().expect("it speaks gRPC");
    let asked =
        format!("--at {at} --keys 1000 --seconds 0.5 --batch 2 --connections 2 --in-flight 8 --rate 1000");
    let rate = outcome(&asked)["ops_per_s"].as_f64().expect("a figure");
    assert!((500.0..2100.0).contains(&rate), "a thousand requests of two rows a second, not {rate}");
    let status = node.status();
    assert_eq!(status.flows[0].tables[0].rows, 1000, "all names are written before the clock starts");
}

#[test]
fn what_makes_no_sense_is_told() {
    for (arguments, why) in [
        ("", "say where"),
        ("--in-process --at 127.0.0.1:1", "say where"),
        ("--in-process --batch none", "takes a number"),
        ("--in-process --batch 0", "at least 1"),
        ("--in-process --spin", "is no option"),
        ("--at 127.0.0.1:1 --token-file /nowhere", "/nowhere"),
        ("--at 127.0.0.1:1", "127.0.0.1:1"),
    ] {
        let output = load(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {told}");
        assert!(told.contains(why), "{arguments}: {told}");
    }
    assert!(load("--help").status.success());
}
