//! A node without work leaves the processors to others.
#![cfg(target_os = "linux")]

use std::time::Duration;

use anabranch::{Flow, Node};

/// Ticks of the clock that the worker threads of this process have run, from the kernel's account of them (100 a second).
#[expect(clippy::disallowed_methods, reason = "a test reads the kernel's account of its threads")]
fn worker_ticks() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("the kernel lists the threads");
    let stat =
        |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
    let ticks = |stat: String| {
        let (name, rest) = stat.rsplit_once(')')?;
        let mut times =
            rest.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap_or(0));
        name.contains("timely:work").then(|| times.next().unwrap_or(0) + times.next().unwrap_or(0))
    };
    threads.flatten().filter_map(|thread| ticks(stat(thread))).sum()
}

#[test]
fn an_idle_node_takes_no_processor_time() {
    let flow =
        Flow::parse("idle.flow", "flow idle revision 1 output Never: { id: int }").expect("it compiles");
    let node = Node::builder("A").workers(2).flow(flow).start().expect("it starts");
    let mut never = node.subscribe("Never").expect("an output");
    let before = worker_ticks();
    assert!(never.next_within(Duration::from_millis(600)).expect("the node runs").is_none());
    let ran = worker_ticks() - before;
    assert!(ran <= 10, "two workers without work ran for {ran} of 60 ticks each");
}
