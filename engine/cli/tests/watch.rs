//! Outputs of a node that runs somewhere else, watched as rows come.

mod support;

use support::{Directory, Serving};

fn served() -> (Directory, Serving) {
    let directory = Directory::with_flow();
    let node = directory.serve("");
    (directory, node)
}

#[test]
fn an_output_is_watched_as_rows_come() {
    let (directory, node) = served();
    let mut watch = directory.start(&format!("watch OutputStream --count 2 --json --at {}", node.grpc));
    watch.message("watching OutputStream");
    for name in ["a", "b", "c"] {
        node.run(&directory, &format!("ask ReadStream name={name}")).exits(0);
    }
    let came = watch.end().exits(0);
    let names: Vec<String> = came.json().iter().map(|line| line["row"]["name"].to_string()).collect();
    assert_eq!(names, ["\"a\"", "\"b\""]);
}

#[test]
fn refused_rows_are_watched_with_the_reason() {
    let (directory, node) = served();
    let mut watch = directory.start(&format!("watch errors --count 1 --at {}", node.grpc));
    watch.message("watching errors");
    node.run(&directory, "send UpdateStream name= value=1").exits(1);
    watch.end().exits(0).shows(
        "errors UpdateStream {\"name\":\"\",\"value\":\"1\"} invalid: a name must not be empty (names.flow:12:3)\n",
    );
    node.run(&directory, "watch OutputStraem").exits(2).says("did you mean `OutputStream`?");
}

#[cfg(unix)]
#[test]
fn a_watch_ends_when_somebody_stops_it_or_the_node_is_gone() {
    let (directory, mut node) = served();
    let watch = || {
        let mut watch = directory.start(&format!("watch OutputStream --at {}", node.grpc));
        watch.message("watching OutputStream");
        watch
    };
    let (stopped, orphan) = (watch(), watch());
    stopped.signal("INT");
    stopped.end().exits(0).shows("");
    node.running.kill();
    orphan.end().exits(3).says(&node.grpc);
}

#[test]
fn a_watch_goes_on_with_a_newer_revision_and_ends_with_its_flow() {
    let (directory, node) = served();
    let newer = support::NAMES
        .replace("revision 1", "revision 2")
        .replace("found: bool }", "found: bool, more: int? }");
    let directory = directory.file("2.flow", newer);
    let mut watch = directory.start(&format!("watch OutputStream --json --at {}", node.grpc));
    watch.message("watching OutputStream");
    node.run(&directory, "ask ReadStream name=a").exits(0);
    assert!(watch.line().ends_with("\"found\":false}}"));
    node.run(&directory, "deploy 2.flow").exits(0);
    node.run(&directory, "ask ReadStream name=a").exits(0);
    assert!(watch.line().ends_with("\"found\":false,\"more\":null}}"));
    node.run(&directory, "drop names --yes").exits(0);
    watch.end().exits(1).says("OutputStream is gone: its flow was dropped");
}
