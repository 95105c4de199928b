//! The options of nodes of a zone, as far as nothing is started.

use crate::support::{Came, Directory};

fn wrong(arguments: &str, secret: Option<&str>) -> Came {
    let directory = Directory::with_flow().file("short", "too short\n");
    let mut command = directory.command(arguments);
    command.env_remove("ANABRANCH_ZONE_SECRET").envs(secret.map(|text| ("ANABRANCH_ZONE_SECRET", text)));
    let came = Came::of(command.output().expect("it runs"));
    assert_eq!(came.stdout, "", "{came:?}");
    came
}

#[test]
fn what_does_not_make_a_node_of_a_zone_is_told() {
    for (arguments, code, words) in [
        ("run names.flow --zone demo", 2, "--listen"),
        ("run names.flow --listen :0 --join 127.0.0.1:7401", 2, "--zone"),
        ("run names.flow --listen :0 --zone demo --join a:b", 2, "no port"),
        ("run names.flow --listen :0 --zone demo --join :0", 2, "port 0 is nowhere"),
        ("run names.flow --listen 0.0.0.0:0 --insecure --zone demo", 2, "--advertise HOST:PORT"),
        ("run names.flow --listen :0 --zone demo --zone-secret nowhere", 3, "no such file"),
        ("witness --listen :0", 2, "--zone"),
        ("witness --zone demo", 2, "--listen"),
        ("witness --zone demo --listen *:0", 2, "--advertise HOST:PORT"),
    ] {
        let came = wrong(arguments, None);
        assert!(came.code == code && came.stderr.contains(words), "{arguments}: {came:?}");
    }
}

#[test]
fn a_secret_that_is_none_is_told_and_not_shown() {
    for arguments in ["run names.flow --listen :0 --zone demo", "witness --listen :0 --zone demo"] {
        let came = wrong(arguments, Some("guess me"));
        assert!(came.code == 2 && came.stderr.contains("fewer than 16 bytes"), "{came:?}");
        assert!(!came.stderr.contains("guess me"), "{came:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_secret_that_everybody_may_read_is_not_taken() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::with_flow().file("secret", "long enough to be a secret\n");
    let file = directory.path("secret");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let came = directory.run("witness --listen :0 --zone demo --zone-secret secret");
    assert!(came.code == 3 && came.stderr.contains("chmod o="), "{came:?}");
}

#[test]
fn a_node_alone_says_that_it_is_in_no_zone() {
    let directory = Directory::with_flow();
    let serving = directory.serve("");
    for command in ["zone", "nodes", "partitions", "partitions --node A --json"] {
        let came = serving.run(&directory, command);
        assert!(came.code == 1 && came.stderr.contains("in no zone"), "{came:?}");
    }
}
