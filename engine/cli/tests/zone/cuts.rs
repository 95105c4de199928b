//! Real cuts: each node in a network namespace of its own, whose cable is pulled. Needs root on Linux; skipped elsewhere.

use std::process::Command;
use std::time::Duration;

use crate::harness::Zone;
use crate::scripts::NAMES;

/// A bridge with three networks. They go when this is dropped.
struct Networks {
    bridge: String,
    names: Vec<String>,
}

/// Whether a command of `ip` works.
fn ip(words: &str) -> bool {
    let output = Command::new("ip").args(words.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

impl Networks {
    /// Networks 10.197.0.1, .2, .3; none where the machine does not allow it.
    fn new() -> Option<Networks> {
        let id = std::process::id() % 100_000;
        let networks = Networks {
            bridge: format!("anb{id}"),
            names: ["A", "B", "W"].iter().map(|name| format!("anb{id}{name}")).collect(),
        };
        networks.made().then_some(networks)
    }

    fn made(&self) -> bool {
        let bridge = &self.bridge;
        let mut done = ip(&format!("link add {bridge} type bridge")) && ip(&format!("link set {bridge} up"));
        for (number, name) in (1..).zip(&self.names) {
            for command in [
                format!("netns add {name}"),
                format!("link add {name} type veth peer name eth0 netns {name}"),
                format!("link set {name} master {bridge}"),
                format!("link set {name} up"),
                format!("-n {name} address add 10.197.0.{number}/24 dev eth0"),
                format!("-n {name} link set eth0 up"),
                format!("-n {name} link set lo up"),
            ] {
                done = done && ip(&command);
            }
        }
        done
    }

    /// Pulls the cable of a network, or puts it back: nobody is told, packets are lost.
    fn cable(&self, at: usize, state: &str) {
        assert!(ip(&format!("link set {} {state}", self.names[at])), "{state}");
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&format!("netns delete {name}"));
        }
        ip(&format!("link delete {}", self.bridge));
    }
}

#[test]
fn a_node_whose_cable_is_pulled_answers_nothing_and_the_others_go_on() {
    let Some(networks) = Networks::new() else {
        eprintln!("skipped: this machine allows no network namespaces (they need root on Linux)");
        return;
    };
    let mut zone = Zone::planned(NAMES, &["A", "B", "W"]);
    for (number, name) in (1..).zip(["A", "B", "W"]) {
        let network = &networks.names[number - 1];
        zone = zone.within(name, &["ip", "netns", "exec", network], &format!("10.197.0.{number}"));
    }
    let zone = zone.started();
    zone.run("A", &["send", "UpdateStream", "name=a", "value=1"]);

    networks.cable(0, "down");
    // Inside its network A can still be asked: it must not answer what may no longer be so.
    let long = Duration::from_secs(2);
    zone.until("B answers for all", || {
        let came = zone.run_within("B", &["send", "UpdateStream", "name=a", "value=2"], long);
        came.is_some_and(|came| came.status.success())
    });
    let stale = zone.run_within("A", &["ask", "ReadStream", "name=a"], long);
    assert!(stale.is_none_or(|came| !came.status.success()), "A answers without a majority");

    let row = &zone.table("B", "QueryTable")[0];
    assert!(row.contains(r#""value":"2""#), "{row}");
}
