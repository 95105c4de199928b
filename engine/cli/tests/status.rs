//! What a node that runs somewhere else says of itself.

mod support;

use support::{Directory, Serving};

fn served() -> (Directory, Serving) {
    let directory = Directory::with_flow();
    let node = directory.serve("");
    (directory, node)
}

#[test]
fn a_node_says_what_it_knows_of_itself() {
    let (directory, node) = served();
    node.run(&directory, "send UpdateStream name=a value=1").exits(0);
    node.run(&directory, "send UpdateStream name= value=1").exits(1);
    node.run(&directory, "ask ReadStream name=a").exits(0);
    let came = node.run(&directory, "status").exits(0);
    let shown = "node A: 1 worker, 1 flow\n\ninput         rows in  refused\nUpdateStream        2        1\n\
                 ReadStream          1        0\nDeleteStream        0        0\n\noutput        rows out\n\
                 OutputStream         1\n";
    assert!(came.stdout.starts_with(shown), "{came:#?}");
    let came = came.says("degraded: names.QueryTable has 1 of 2 copies, in memory and not on disk");
    assert!(came.stdout.contains("\nQueryTable     1 "), "{came:#?}");
    let status = node.run(&directory, "status --json").exits(0).json();
    assert_eq!((status.len(), &status[0]["flows"][0]["inputs"][0]["rows_in"]), (1, &2.into()));
}

#[cfg(unix)]
#[test]
fn a_status_is_watched_until_somebody_stops() {
    let (directory, node) = served();
    let mut watch = directory.start(&format!("status --watch --at {}", node.grpc));
    while !watch.line().contains("rows/s") {}
    watch.signal("INT");
    watch.end().exits(0);
    let mut watch = directory.start(&format!("status --watch --json --at {}", node.grpc));
    assert!(watch.line().starts_with("{\"node\":\"A\""));
    drop(node);
    watch.end().exits(3).says("connect");
}
