//! Files played to a node that runs somewhere else.

mod support;

use std::io::{Read, Write};
use std::process::Stdio;

use support::{Came, Directory};

fn numbered(rows: std::ops::Range<u32>) -> String {
    let rows: String = rows.map(|row| format!("n{row:05},{row}\n")).collect();
    format!("name,value\n{rows}")
}

/// The summary without its time.
fn summary(came: &Came) -> String {
    came.stdout.split_inclusive('\n').filter(|line| !line.contains(" rows/s")).collect()
}

#[test]
fn a_file_is_played_in_batches_and_summed_up() {
    let directory = Directory::with_flow().file("names.csv", numbered(0..10_000));
    let node = directory.serve("--workers 2");
    let came = node.run(&directory, "play names.csv --into UpdateStream").exits(0);
    let table = "file       played to       rows  refused  bad lines\n\
                 names.csv  UpdateStream  10,000        0          0\n\n";
    assert_eq!((summary(&came).as_str(), came.stderr.as_str()), (table, ""));
    assert!(came.stdout.contains("10,000 rows in "), "{came:#?}");
    let came = node.run(&directory, "play names.csv --into names.UpdateStream --repeat 3 --json").exits(0);
    let summary = came.summary();
    assert_eq!((&summary["rows"], &summary["plays"][0]["accepted"]), (&30_000.into(), &30_000.into()));
    assert!(summary["rows_per_second"].as_u64().is_some() && summary.get("flows").is_none(), "{summary}");
    let came = node.run(&directory, "table QueryTable --limit all --json").exits(0);
    assert_eq!(came.stdout.lines().count(), 10_000);
}

#[test]
fn refused_rows_and_bad_lines_are_told_with_their_line() {
    let rows = "name,value\na,1\n,2\nb,3,4\nc,5\n";
    let directory = Directory::with_flow().file("names.csv", rows);
    let node = directory.serve("");
    let came = node.run(&directory, "play names.csv --into UpdateStream --on-bad-line skip --json").exits(0);
    let came = came
        .says("names.csv:3: refused: invalid: a name must not be empty (names.flow:12:3)\n")
        .says("names.csv:4: the line has 3 cells, the header has 2");
    let play = &came.summary()["plays"][0];
    assert_eq!((&play["accepted"], &play["refused"], &play["bad_lines"]), (&2.into(), &1.into(), &1.into()));
    let came = node.run(&directory, "play names.csv --into UpdateStream --json").exits(1);
    came.says("stopped at the bad line names.csv:4");
    let many = directory.file("many.csv", format!("name,value\n{}", ",1\n".repeat(30)));
    let came = node.run(&many, "play many.csv --into UpdateStream").exits(0);
    assert_eq!(came.stderr.lines().count(), 11, "{came:#?}");
}

#[test]
fn standard_input_is_read_as_it_is_said() {
    let directory = Directory::with_flow().file("odd.txt", "name,value\nodd,1\n");
    let node = directory.serve("");
    let play = |arguments: &str, input: &str| {
        directory.run_with(&format!("play {arguments} --into UpdateStream --at {}", node.grpc), input)
    };
    play("-", "{\"name\":\"a\",\"value\":\"1\"}\n").exits(0);
    play("- --format csv", "value,name\n2,b\n").exits(0);
    play("odd.txt --format csv", "").exits(0);
    play("odd.txt", "")
        .exits(2)
        .says("the ending says how a file is read")
        .says("help: or say it: `--format csv`");
    play("- --repeat 2", "").exits(2).says("standard input can be played once");
    play("none.csv", "").exits(3).says("cannot read `none.csv`: there is no such file");
    for wrong in ["--rate 0", "--rate -1", "--rate fast", "--repeat 0"] {
        play(&format!("odd.txt {wrong}"), "").exits(2);
    }
    let came = node.run(&directory, "table QueryTable");
    came.shows("name  value\na     1\nb     2\nodd   1\n");
}

#[test]
fn what_does_not_fit_is_told_before_anything_is_sent() {
    let directory = Directory::with_flow().file("wide.csv", "name,value,extra\na,1,2\n");
    let node = directory.serve("");
    node.run(&directory, "play wide.csv --into UpdateStraem").exits(2).says("did you mean `UpdateStream`?");
    node.run(&directory, "play wide.csv --into UpdateStream")
        .exits(1)
        .shows("")
        .says("wide.csv:1: column `extra`");
    node.run(&directory, "play wide.csv --into UpdateStream --on-extra-column ignore").exits(0);
}

#[test]
fn a_repeated_file_without_rows_ends() {
    let directory = Directory::with_flow().file("none.csv", "name,value\n").file("none.ndjson", "\n");
    let node = directory.serve("");
    for file in ["none.csv", "none.ndjson"] {
        node.run(&directory, &format!("play {file} --into UpdateStream --repeat 1000000000000")).exits(0);
    }
}

#[test]
fn rows_come_at_the_rate_that_is_asked_for() {
    let directory = Directory::with_flow().file("names.csv", numbered(0..21));
    let node = directory.serve("");
    let came = node.run(&directory, "play names.csv --into UpdateStream --rate 50 --json").exits(0);
    let seconds = came.summary()["seconds"].as_f64().expect("a time");
    assert!(seconds >= 0.399, "the last of 21 rows is due after 0.4 s: {seconds}");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_slow_play_at_once_and_says_how_far_it_came() {
    let directory = Directory::with_flow().file("names.csv", numbered(0..1000));
    let node = directory.serve("");
    let play = format!("play names.csv --into UpdateStream --rate 1 --at {}", node.grpc);
    let play = directory.start(&play);
    while node.run(&directory, "table QueryTable --key n00000").code != 0 {}
    play.signal("INT");
    let came = play.end().exits(0).says("stopped: names.csv was sent up to line ");
    assert!(came.stdout.contains("rows/s"), "{came:#?}");
}

#[test]
fn a_node_that_dies_in_the_middle_is_told_with_what_is_unknown() {
    let directory = Directory::with_flow().file("names.csv", numbered(0..1000));
    let mut node = directory.serve("");
    let play =
        directory.start(&format!("play names.csv --into UpdateStream --repeat 100000 --at {}", node.grpc));
    while node.run(&directory, "table QueryTable --key n00999").code != 0 {}
    node.running.kill();
    let came = play.end().exits(3).says("stopped: names.csv was sent up to line ");
    came.says(&node.grpc).prints_part("rows/s");
}

#[test]
#[expect(clippy::disallowed_types, reason = "a test stands between client and node")]
fn a_server_that_hangs_up_at_the_first_request_is_told() {
    let directory = Directory::empty();
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = server.local_addr().expect("an address");
    let mut command = directory.command(&format!("play - --into A --at {at}"));
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let (mut stream, _) = server.accept().expect("it connects");
    // The settings that begin HTTP/2, and then nothing more.
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).expect("it reads");
    let mut heard = [0; 64];
    assert!(stream.read(&mut heard).expect("it speaks") > 0);
    drop(stream);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains(&format!("cannot connect to {at}: ")), "{said}");
}
