//! Flows that come, change and go on a node that runs somewhere else, and what it says of itself.

mod support;

use support::{Directory, NAMES, Serving};

fn served() -> (Directory, Serving) {
    let directory = Directory::with_flow();
    let node = directory.serve("");
    (directory, node)
}

/// Another flow.
const COUNTS: &str = "flow counts revision 1\ninput Hit: { page: text }\ntable Hits: { page: text, n: int } { key page }\n\
                      on Hit as h { upsert Hits { page: h.page, n += 1 } }\n";

#[test]
fn flows_are_deployed_listed_and_dropped_while_others_go_on() {
    let (directory, node) = served();
    let directory = directory.file("counts.flow", COUNTS);
    node.run(&directory, "deploy counts.flow").exits(0).shows("deployed counts revision 1\n");
    node.run(&directory, "send Hit page=home").exits(0);
    node.run(&directory, "flows").exits(0).shows(
        "flow    revision  inputs  outputs  tables  file\n\
         names          1       3        1       1  names.flow\n\
         counts         1       1        0       1  counts.flow\n",
    );
    node.run(&directory, "flows counts").exits(0).shows(COUNTS);
    let proto = node.run(&directory, "flows counts --proto").exits(0).prints("service Counts {");
    proto.prints("package anabranch.counts;");
    node.run(&directory, "drop counts").exits(2).says("deletes all rows of its tables").says("`--yes`");
    node.run(&directory, "table Hits").exits(0).shows("page  n\nhome  1\n");
    node.run(&directory, "drop counts --yes").exits(0).shows("dropped counts\n");
    node.run(&directory, "table Hits").exits(2).says("there is no table `Hits`");
    node.run(&directory, "drop counts --yes").exits(2).says("there is no flow `counts`; there is `names`");
}

#[test]
fn a_newer_revision_keeps_the_rows_and_a_wrong_one_changes_nothing() {
    let (directory, node) = served();
    node.run(&directory, "send UpdateStream name=a value=1").exits(0);
    let newer = NAMES.replace("revision 1", "revision 2").replace(
        "table QueryTable: { name: text, value: text }",
        "table QueryTable: { name: text, value: text, note: text? }",
    );
    let refused = NAMES.replace("revision 1", "revision 3").replace("QueryTable", "Other");
    let directory =
        directory.file("2.flow", &newer).file("3.flow", &refused).file("bad.flow", "flow names\n");
    let came = node.run(&directory, "deploy 2.flow --json").exits(0);
    let deployed = &came.json()[0];
    assert_eq!((&deployed["revision"], &deployed["replaced"]), (&2.into(), &1.into()));
    node.run(&directory, "table QueryTable").exits(0).shows("name  value  note\na     1      null\n");
    assert_eq!(deployed["breaks"], serde_json::json!([]), "the column is behind the others");
    node.run(&directory, "deploy 2.flow").exits(0).shows("unchanged: names revision 2\n");
    node.run(&directory, "deploy names.flow").exits(1).says("revision");
    node.run(&directory, "deploy 3.flow").exits(1).says("may not follow");
    node.run(&directory, "deploy bad.flow").exits(1).says("bad.flow:");
    node.run(&directory, "deploy none.flow").exits(3).says("cannot read `none.flow`");
    node.run(&directory, "table QueryTable").exits(0).shows("name  value  note\na     1      null\n");
}

#[test]
fn a_deploy_tells_what_clients_of_the_older_proto_get_wrong() {
    let (directory, node) = served();
    let moved = NAMES.replace("revision 1", "revision 2").replace(
        "table QueryTable: { name: text, value: text }",
        "table QueryTable: { name: text, note: text?, value: text }",
    );
    let directory = directory.file("2.flow", &moved);
    let came = node.run(&directory, "deploy 2.flow").exits(0);
    came.prints_part("clients of the older .proto: table `QueryTable`: field 2 was `value` and is `note`");
}

#[test]
fn a_node_may_start_without_flows() {
    let directory = Directory::with_flow();
    let node = directory.serve_flows("");
    node.run(&directory, "flows --json").exits(0).shows("");
    node.run(&directory, "table QueryTable")
        .exits(2)
        .says("there is no table `QueryTable`: the node has none");
    node.run(&directory, "deploy names.flow").exits(0);
    node.run(&directory, "send UpdateStream name=a value=1").exits(0);
    directory.run("run").exits(2);
}
