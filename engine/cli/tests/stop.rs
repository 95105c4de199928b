//! How a run ends: signals, pipes that close, a full disk; and what is printed while it goes on.
#![cfg(unix)]

mod support;

use std::io::pipe;
use std::process::Stdio;

use support::Directory;

#[test]
fn a_signal_stops_with_the_summary() {
    let directory = Directory::with_flow();
    for signal in ["TERM", "INT"] {
        let mut node = directory.start("run names.flow --node B --workers 2");
        assert_eq!(node.line(), "ready node=B workers=2 flows=names");
        node.signal(signal);
        let came = node.end().exits(0).prints("UpdateStream        0        0");
        assert!(came.stderr.lines().all(|line| line.starts_with("degraded: ")), "{came:?}");
    }
}

#[test]
fn a_slow_pipe_is_answered_row_by_row_and_a_signal_answers_what_is_under_way() {
    let directory = Directory::with_flow().file("names.csv", "name,value\na,1\n");
    let plays = "--play UpdateStream=names.csv --play ReadStream=-";
    let mut node = directory.start(&format!("run names.flow {plays} --print OutputStream"));
    assert!(node.line().starts_with("ready "));
    for name in ["a", "b"] {
        node.write(&format!("{{\"name\":\"{name}\"}}\n"));
        let found = if name == "a" { r#""value":"1","found":true"# } else { r#""value":null,"found":false"# };
        assert_eq!(node.line(), format!("OutputStream {{\"node\":\"A\",\"name\":\"{name}\",{found}}}"));
    }
    node.signal("TERM");
    let came = node.end().exits(0).prints("ReadStream          2        0").prints("OutputStream         2");
    came.says("stopped: <stdin> was sent up to line 2\n");
}

#[test]
fn the_node_serves_on_after_its_files_until_it_is_asked_to_stop() {
    let directory = Directory::with_flow().file("r.ndjson", "{\"name\":\"a\"}\n");
    let mut node = directory.start("run names.flow --play ReadStream=r.ndjson --print OutputStream --json");
    assert!(node.line().starts_with(r#"{"ready":"#));
    assert!(node.line().starts_with(r#"{"stream":"OutputStream","row":{"#));
    node.signal("TERM");
    assert_eq!(node.end().exits(0).summary()["rows"], 1);
}

#[test]
fn a_reader_that_has_gone_is_no_reason_to_complain() {
    let directory = Directory::with_flow().file("r.ndjson", "{\"name\":\"a\"}\n".repeat(1000));
    let commands = [
        "explain",
        "--help",
        "plan names.flow",
        "run names.flow --play ReadStream=r.ndjson --print OutputStream",
    ];
    for command in commands {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let output = directory.command(command).stdin(Stdio::null()).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.lines().all(|line| line.starts_with("degraded: ")), "{command}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Directory::empty().command("explain").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}
