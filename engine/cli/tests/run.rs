//! `anabranch run` over files that end: rows in, rows out, tables, summaries.

mod support;

use support::{Came, Directory, NAMES};

const DATA: &str = "name,value\napple,1\nbanana,2\n\"pear, ripe\",3\napple,4\n";

fn directory() -> Directory {
    Directory::with_flow().file("names.csv", DATA)
}

/// The rows that were printed with `--print`.
fn printed(came: &Came) -> Vec<&str> {
    came.stdout.lines().filter(|line| line.starts_with("OutputStream {")).collect()
}

#[test]
fn a_run_says_ready_then_shows_table_and_summary() {
    let came =
        directory().run("run names.flow --play UpdateStream=names.csv --table QueryTable --exit").exits(0);
    let lines: Vec<&str> = came.stdout.lines().collect();
    let shown = [
        "ready node=A workers=1 flows=names",
        "",
        "QueryTable (3 rows)",
        "name        value",
        "apple       4",
        "banana      2",
        "pear, ripe  3",
        "",
        "input         rows in  refused",
        "UpdateStream        4        0",
    ];
    assert_eq!(lines[..shown.len()], shown, "{came:#?}");
    assert!(lines.last().unwrap().starts_with("4 rows in "), "{came:#?}");
}

#[test]
fn files_are_played_one_after_the_other_with_any_number_of_workers() {
    let directory = Directory::with_flow();
    let directory = directory.file("1.csv", "name,value\na,1\n").file("r.ndjson", "{\"name\":\"a\"}\n");
    let directory = directory.file("2.csv", "value,name\n2,a\n").file("d.csv", "name\na\n");
    for workers in [1, 4] {
        let plays = "--play UpdateStream=1.csv --play ReadStream=r.ndjson --play UpdateStream=2.csv \
                     --play ReadStream=r.ndjson --play DeleteStream=d.csv --play ReadStream=r.ndjson";
        let came = directory
            .run(&format!("run names.flow --node N --workers {workers} {plays} --print OutputStream --exit"))
            .exits(0)
            .prints(&format!("ready node=N workers={workers} flows=names"));
        let expected = [
            r#"OutputStream {"node":"N","name":"a","value":"1","found":true}"#,
            r#"OutputStream {"node":"N","name":"a","value":"2","found":true}"#,
            r#"OutputStream {"node":"N","name":"a","value":null,"found":false}"#,
        ];
        assert_eq!(printed(&came), expected, "{came:#?}");
    }
}

#[test]
fn json_is_one_object_a_line_and_ends_with_the_summary() {
    let directory = directory().file("r.jsonl", "{\"name\":\"apple\"}\n");
    let plays = "--play UpdateStream=names.csv --play ReadStream=r.jsonl";
    let came = directory
        .run(&format!("run names.flow {plays} --print OutputStream --table QueryTable=1 --exit --json"))
        .exits(0);
    let lines = came.json();
    assert_eq!(lines[0]["ready"]["flows"][0], "names");
    assert_eq!(lines[1]["stream"], "OutputStream");
    assert_eq!(lines[1]["row"]["value"], "4");
    assert_eq!(lines[2]["table"], "QueryTable");
    assert_eq!(lines[2]["row"]["name"], "apple");
    let summary = came.summary();
    assert_eq!(summary["plays"][0]["accepted"], 4);
    assert_eq!(summary["flows"][0]["inputs"][0]["rows_in"], 4);
    assert_eq!(summary["flows"][0]["outputs"][0]["rows_out"], 1);
    assert_eq!(summary["flows"][0]["tables"][0]["rows"], 3);
    assert_eq!(summary["rows"], 5);
    assert!(summary["rows_per_second"].as_u64().is_some());
    assert_eq!(lines.len(), 4);
}

#[test]
fn no_printed_row_is_missed_however_many() {
    let rows: String = (0..20_000).map(|row| format!("{{\"name\":\"n{row}\"}}\n")).collect();
    let directory = Directory::with_flow().file("r.ndjson", rows);
    let came = directory
        .run("run names.flow --workers 2 --play ReadStream=r.ndjson --print OutputStream --exit")
        .exits(0);
    assert_eq!(printed(&came).len(), 20_000);
    assert!(!came.stderr.contains("missed"), "{came:?}");
}

#[test]
fn refused_rows_are_told_with_their_line_and_counted() {
    let directory = Directory::with_flow().file("names.csv", "name,value\na,1\n,2\nb,3\n");
    let came = directory
        .run("run names.flow --play UpdateStream=names.csv --print errors --exit --json")
        .exits(0)
        .says("names.csv:3: refused: invalid: a name must not be empty (names.flow:12:3)");
    let error = &came.json()[1];
    assert_eq!(error["stream"], "errors");
    assert_eq!(error["input"], "UpdateStream");
    assert_eq!(error["row"]["value"], "2");
    assert_eq!(error["refused"]["code"], "invalid");
    let summary = came.summary();
    assert_eq!(summary["plays"][0]["refused"], 1);
    assert_eq!(summary["flows"][0]["inputs"][0]["rows_refused"], 1);
    assert_eq!(summary["flows"][0]["tables"][0]["rows"], 2);
}

#[test]
fn refused_rows_do_not_flood_the_terminal() {
    let rows: String = (0..500).map(|row| format!(",{row}\n")).collect();
    let directory = Directory::with_flow().file("names.csv", format!("name,value\n{rows}"));
    let came = directory.run("run names.flow --play UpdateStream=names.csv --exit").exits(0);
    let refused = came.stderr.lines().filter(|line| !line.starts_with("degraded: ")).count();
    assert_eq!(refused, 11, "ten refusals and how to see the others: {came:?}");
    assert!(came.stderr.contains("`--print errors` shows all"));
}

/// 600 rows of which line 300 is none.
fn with_bad_line() -> Directory {
    let line = |line: usize| if line == 300 { "oops\n".to_owned() } else { format!("n{line},1\n") };
    let rows: String = (2..=601).map(line).collect();
    Directory::with_flow()
        .file("bad.csv", format!("name,value\n{rows}"))
        .file("after.csv", "name,value\nafter,1\n")
}

#[test]
fn a_bad_line_stops_after_the_rows_before_it_and_nothing_else_is_sent() {
    let came = with_bad_line()
        .run("run names.flow --play UpdateStream=bad.csv --play UpdateStream=after.csv --exit --json")
        .exits(1)
        .says("bad.csv:300: the line has 1 cell, the header has 2")
        .says("stopped at the bad line bad.csv:300");
    let summary = came.summary();
    assert_eq!(summary["plays"][0]["accepted"], 298);
    assert_eq!(summary["plays"][1]["accepted"], 0);
    assert_eq!(summary["flows"][0]["tables"][0]["rows"], 298);
}

#[test]
fn a_bad_line_stops_a_run_without_exit_too() {
    with_bad_line().run("run names.flow --play UpdateStream=bad.csv").exits(1);
}

#[test]
fn a_bad_line_is_skipped_when_asked() {
    let came = with_bad_line()
        .run("run names.flow --play UpdateStream=bad.csv --on-bad-line skip --exit --json")
        .exits(0)
        .says("bad.csv:300: ");
    let summary = came.summary();
    assert_eq!(
        (&summary["plays"][0]["accepted"], &summary["plays"][0]["bad_lines"]),
        (&599.into(), &1.into())
    );
}

#[test]
fn lines_that_are_not_utf8_or_no_json_are_bad_lines() {
    let directory = Directory::with_flow()
        .file("a.csv", b"name,value\na,\xff\n".as_slice())
        .file("b.ndjson", "{\"name\":\"a\"\n[]\n{\"nmae\":\"a\"}\n");
    directory.run("run names.flow --play UpdateStream=a.csv --exit").exits(1).says("a.csv:2: ").says("UTF-8");
    directory
        .run("run names.flow --play ReadStream=b.ndjson --on-bad-line skip --exit")
        .exits(0)
        .says("b.ndjson:1: ")
        .says("b.ndjson:2: ")
        .says("b.ndjson:3: column `nmae`: the rows have no such column; did you mean `name`?");
}

#[test]
fn files_that_cannot_be_played_are_told_before_anything_is_sent() {
    let directory = directory().file("empty.csv", "").file("wide.csv", "name,value,extra\na,1,2\n");
    let run = |play: &str| {
        directory.run(&format!("run names.flow --play UpdateStream=names.csv --play {play} --exit"))
    };
    run("UpdateStream=none.csv").exits(3).says("cannot read `none.csv`: there is no such file");
    run("UpdateStream=empty.csv").exits(1).says("empty.csv:1: the file is empty");
    run("UpdateStream=wide.csv").exits(1).says("wide.csv:1: column `extra`");
    run("ReadStream=names.csv").exits(1).says("names.csv:1: column `value`");
    run("UpdateStraem=names.csv")
        .exits(2)
        .says("there is no input `UpdateStraem`")
        .says("mean `UpdateStream`?");
    run("other.UpdateStream=names.csv").exits(2).says("there is no input `other.UpdateStream`");
    let came = run("UpdateStream=none.csv");
    assert_eq!(came.stdout, "", "it never was ready");
}

#[test]
fn a_directory_is_no_file_to_play_or_to_run() {
    let directory = directory();
    std::fs::create_dir(directory.path("d.csv")).unwrap();
    directory
        .run("run names.flow --play UpdateStream=d.csv --exit")
        .exits(3)
        .says("`d.csv`: it is a directory");
    directory.run("run d.csv --exit").exits(3).says("it is a directory");
}

#[test]
fn all_that_is_wrong_with_a_command_line_is_told_at_once() {
    directory()
        .run("run names.flow --play Nope=names.csv --print Out --table T --exit")
        .exits(2)
        .says("there is no input `Nope`")
        .says("there is no output `Out`")
        .says("there is no table `T`");
}

#[test]
fn an_empty_file_of_json_lines_has_no_rows() {
    let directory = Directory::with_flow().file("none.ndjson", "");
    directory.run("run names.flow --play ReadStream=none.ndjson --exit").exits(0);
}

#[test]
fn extra_columns_are_ignored_when_asked() {
    let directory = Directory::with_flow().file("wide.csv", "name,extra,value\na,x,1\n");
    directory
        .run("run names.flow --play UpdateStream=wide.csv --on-extra-column ignore --table QueryTable --exit")
        .exits(0)
        .prints("a     1");
}

#[test]
fn a_table_shows_as_many_rows_as_asked_for() {
    let rows: String = (0..30).map(|row| format!("n{row:02},1\n")).collect();
    let directory = Directory::with_flow().file("names.csv", format!("name,value\n{rows}"));
    let run = |table: &str| {
        directory.run(&format!("run names.flow --play UpdateStream=names.csv --table {table} --exit"))
    };
    let ten = run("QueryTable").exits(0).prints("QueryTable (the first 10 of 30 rows)").prints("n09   1");
    assert!(!ten.stdout.contains("n10"));
    run("names.QueryTable=30").exits(0).prints("names.QueryTable (30 rows)").prints("n29   1");
    run("QueryTable=many").exits(2).says("write TABLE=ROWS with a number");
}

#[test]
fn wrong_options_are_usage_errors_that_say_what_to_write() {
    let directory = directory();
    for workers in ["0", "257", "-1", "two", ""] {
        let came = directory.run(&format!("run names.flow --exit --workers={workers}")).exits(2);
        assert!(came.stderr.contains("write a number from 1 to 256"), "{workers}: {came:?}");
    }
    for play in ["UpdateStream", "=names.csv", "UpdateStream="] {
        directory.run(&format!("run names.flow --play {play}")).exits(2).says("write INPUT=FILE");
    }
    directory.run("run names.flow --play UpdateStream=names.txt").exits(2).says("the ending says");
    directory.run("run names.flow --node=").exits(2).says("a node's name is one word");
    directory.run("run names.flow --on-bad-line perhaps").exits(2).says("skip");
    directory.run("run names.flow --play ReadStream=- --play UpdateStream=-").exits(2).says("named twice");
    directory.run("run").exits(2);
}

#[test]
fn flow_files_that_are_wrong_are_told_all_at_once() {
    let directory = Directory::with_flow()
        .file("1.flow", "flow a revision 1\ninput A: { x: txt }\n")
        .file("2.flow", "flow b revision 1\ninput B: { x: nit }\n");
    directory
        .run("run 1.flow 2.flow none.flow --exit")
        .exits(3)
        .says("1.flow:2")
        .says("2.flow:2")
        .says("none.flow");
    directory.run("run 1.flow --exit").exits(1);
}

#[test]
fn two_flows_of_one_name_are_refused() {
    let directory = Directory::with_flow().file("copy.flow", NAMES);
    directory
        .run("run names.flow copy.flow --exit")
        .exits(1)
        .says("`names.flow` and `copy.flow` are both called flow `names`");
}

#[test]
fn what_a_policy_owes_and_one_node_in_memory_lacks_is_said() {
    let policies = "policy one { copies 1  sync memory }  policy safe { copies 3  sync memory }
        table Mine: { id: int } { key id  replicate one }  table Ours: { id: int } { key id  replicate safe }
        table Default: { id: int } { key id }";
    let came =
        directory().file("owed.flow", format!("flow owed revision 1 {policies}")).run("run owed.flow --exit");
    let came = came
        .exits(0)
        .says("degraded: owed.Ours has 1 of 3 copies\n")
        .says("degraded: owed.Default has 1 of 2 copies, in memory and not on disk\n");
    assert!(!came.stderr.contains("owed.Mine"), "{came:#?}");
}

#[test]
fn a_name_in_two_flows_is_written_with_its_flow() {
    let directory = directory().file("more.flow", NAMES.replace("flow names", "flow more"));
    directory
        .run("run names.flow more.flow --play UpdateStream=names.csv --print OutputStream --exit")
        .exits(2)
        .says("`UpdateStream` is in several flows; write `names.UpdateStream` or `more.UpdateStream`")
        .says("write `names.OutputStream` or `more.OutputStream`");
    let came = directory
        .run("run names.flow more.flow --play more.UpdateStream=names.csv --table more.QueryTable --exit")
        .exits(0)
        .prints("ready node=A workers=1 flows=names,more")
        .prints("more.QueryTable (3 rows)");
    assert!(came.stdout.contains("more.UpdateStream         4        0"), "{came:#?}");
    assert!(came.stdout.contains("names.UpdateStream        0        0"), "{came:#?}");
}

#[test]
fn standard_input_is_an_object_a_line() {
    let came = directory().run_with(
        "run names.flow --play UpdateStream=names.csv --play ReadStream=- --print OutputStream --exit",
        "{\"name\":\"apple\"}\n\n{\"name\":\"none\"}",
    );
    assert_eq!(printed(&came.exits(0)).len(), 2);
}
