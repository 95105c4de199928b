//! What a node logs to standard error.

mod support;

use support::{Came, Directory};

const DATA: &str = "name,value\nsecret-name,secret-value\n";
const RUN: &str = "run names.flow --play UpdateStream=names.csv --exit --log-level info --slow-request 0us";

fn run(arguments: &str) -> Came {
    Directory::with_flow().file("names.csv", DATA).run(&format!("{RUN} {arguments}")).exits(0)
}

#[test]
fn lines_of_json_parse_and_say_what_happened() {
    let came = run("--log json");
    let lines: Vec<serde_json::Value> = came
        .stderr
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).expect("it is JSON"))
        .collect();
    let line = |message: &str| {
        lines.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("{message}: {came:#?}"))
    };
    assert_eq!(line("the node has started")["level"], "INFO");
    assert_eq!(line("the node has started")["node"], "A");
    assert_eq!(line("the flow was deployed")["revision"], 1);
    assert!(line("the node has stopped")["timestamp"].is_string());
    let slow = line("slow request");
    assert_eq!((&slow["level"], &slow["request"]), (&"WARN".into(), &"rows".into()));
    assert_eq!((&slow["flow"], &slow["of"]), (&"names".into(), &"UpdateStream".into()));
    assert_eq!((&slow["rows"], &slow["refused"]), (&1.into(), &0.into()));
    assert!(slow["took_us"].is_u64());
    assert!(!came.stderr.contains("secret"), "nothing of what is in rows: {came:#?}");
}

#[test]
fn text_is_a_line_each_and_goes_to_standard_error_only() {
    let came = run("");
    assert!(
        came.stderr.lines().any(|line| line.contains("slow request") && line.contains("of=\"UpdateStream\""))
    );
    assert!(!came.stdout.contains("the node has started"), "{came:#?}");
}

#[test]
fn nothing_is_logged_where_nothing_is_wanted() {
    let directory = Directory::with_flow().file("names.csv", DATA);
    let came = directory.run("run names.flow --play UpdateStream=names.csv --exit").exits(0);
    assert!(!came.stderr.contains("the node has"), "{came:#?}");
    let off = "run names.flow --play UpdateStream=names.csv --exit --slow-request 0us --log-level off";
    assert!(!directory.run(off).exits(0).stderr.contains("slow request"));
}

#[test]
fn a_wrong_time_is_told() {
    let came = Directory::with_flow().run("run names.flow --exit --slow-request 50");
    assert_eq!(came.code, 2);
    assert!(came.stderr.contains("whole number with its unit"), "{came:#?}");
}
