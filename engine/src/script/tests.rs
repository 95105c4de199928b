//! What a script may say, what is said to a wrong one, and that no text breaks it.

use std::io;

use proptest::prelude::*;

use super::*;

const NOTES: &str = "
flow notes revision 1

enum Colour ('red', 'green')

schema NoteRow { id: int, text: text?, colour: Colour default 'red', size: decimal(6, 2) default 0 }

input  Write: NoteRow
input  Drop: { id: int }
input  Token: { id: int }
output Said: NoteRow
output Tokens: { id: int, token: text, at: time }

table Notes: NoteRow { key id }

on Write as w {
  require w.id > 0 else invalid 'an id is above zero'
  upsert Notes w
  emit Said w
}

on Drop as d {
  delete Notes where id = d.id
}

on Token as t {
  reply Tokens { id: t.id, token: uuid(), at: now() }
}
";

fn load(file: &str) -> io::Result<String> {
    match file {
        "notes.flow" => Ok(NOTES.to_owned()),
        "twin.flow" => Ok(NOTES.replace("flow notes", "flow twin")),
        "wrong.flow" => Ok("flow wrong revision 1\ntable T: { a: int } { key b }\n".to_owned()),
        "rows.csv" => Ok("id,text\n1,one\nx,two\n-3,three\n4,\n".to_owned()),
        "rows.ndjson" => Ok("{\"id\": 7, \"text\": \"seven\"}\n{\"id\": 8, \"txt\": 1}\n".to_owned()),
        "header.csv" => Ok("id,txt\n1,one\n".to_owned()),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
    }
}

fn outcome(text: &str) -> Outcome {
    run_text("notes.script", text, &load).unwrap_or_else(|error| panic!("{error}"))
}

/// What commands give under a header that names the notes.
fn output(commands: &str) -> String {
    let text = format!("flow notes.flow\n{commands}");
    outcome(&text).actual.strip_prefix("flow notes.flow\n").expect("the header stays").to_owned()
}

fn error(text: &str) -> String {
    run_text("notes.script", text, &load).map(|outcome| outcome.actual).expect_err(text).to_string()
}

#[test]
fn values_are_read_by_the_types_of_their_columns() {
    let script = "> send Write id=1 text=1 colour=green size=2.5\n+ id=2 text=null\n+ id=3 text='null' size=-0\n> table Notes";
    let expected = "> send Write id=1 text=1 colour=green size=2.5\n+ id=2 text=null\n+ id=3 text='null' size=-0\naccepted 3\n> table Notes
id  text    colour  size
1   1       green   2.50
2   null    red     0.00
3   'null'  red     0.00";
    assert_eq!(output(script), expected);
}

#[test]
fn output_is_replaced_and_everything_else_stays() {
    let text = "\u{feff}-- a comment\r\n\r\n  flow   notes.flow\r\nseed 7\r\n\r\n>  send Write id=1\r\nwrong\r\nmore\r\n-- b\r\n\r\n\r\n> table Notes 2\r\n> table Notes 1\r\n-- end\r\n";
    let first = outcome(text);
    let expected = "\u{feff}-- a comment\r\n\r\n  flow   notes.flow\r\nseed 7\r\n\r\n>  send Write id=1\r\naccepted\r\n-- b\r\n\r\n\r\n> table Notes 2\r\nno row\r\n> table Notes 1\r\nid  text  colour  size\r\n1   null  red     0.00\r\n-- end\r\n";
    assert_eq!(first.actual, expected);
    assert!(!first.passed());
    assert!(first.diff().contains("-wrong"), "{}", first.diff());
    assert!(first.diff().contains("+accepted"), "{}", first.diff());
    let second = outcome(&first.actual);
    assert!(second.passed(), "{}", second.diff());
    assert_eq!(second.diff(), "");
}

#[test]
fn spaces_at_the_end_of_output_do_not_count() {
    assert!(outcome("flow notes.flow\n> send Write id=1\naccepted  \n").passed());
}

#[test]
fn the_same_script_gives_the_same_bytes() {
    let text = |seed| {
        format!("flow notes.flow\nseed {seed}\n> ask Token id=1\n+ id=2\n> advance 90s\n> ask Token id=1\n")
    };
    let first = outcome(&text(1)).actual;
    assert_eq!(first, outcome(&text(1)).actual);
    assert!(first.contains("at=2000-01-01T00:01:30Z"), "{first}");
    assert_ne!(first.replace("seed 1", ""), outcome(&text(2)).actual.replace("seed 2", ""));
}

#[test]
fn files_are_played_with_what_is_wrong_in_them() {
    let expected = "> play Write rows.csv
accepted 2, refused 1, skipped 1
rows.csv:3: column `id`: `x` is not an int such as -17
rows.csv:4: refused invalid: an id is above zero (notes.flow:17:3)
> play Write rows.ndjson
accepted 1, skipped 1
rows.ndjson:2: column `txt`: the rows have no such column; did you mean `text`?";
    assert_eq!(output("> play Write rows.csv\n> play Write rows.ndjson"), expected);
}

#[test]
fn several_flows_have_names_of_their_own() {
    let text = "flow notes.flow twin.flow\n> send twin.Write id=1\n> table notes.Notes\n> table twin.Notes\n> watch twin.Said\n> send notes.Write id=0\n> watch notes.errors\n> watch twin.errors\n";
    let expected = "flow notes.flow twin.flow\n> send twin.Write id=1\naccepted\n> table notes.Notes\nno rows\n> table twin.Notes
id  text  colour  size
1   null  red     0.00
> watch twin.Said
twin.Said id=1 text=null colour=red size=0.00
> send notes.Write id=0
refused invalid: an id is above zero (notes.flow:17:3)
> watch notes.errors
Write id=0 text=null colour=red size=0.00 refused invalid: an id is above zero (notes.flow:17:3)
> watch twin.errors
nothing
";
    assert_eq!(outcome(text).actual, expected);
    let ambiguous = error("flow notes.flow twin.flow\n> send Write id=1\n");
    assert_eq!(
        ambiguous,
        "notes.script:2:8: `Write` is in several flows\nhelp: write `notes.Write` or `twin.Write`"
    );
}

/// Wrong scripts with the place and the text of what is said to them.
const WRONG: [(&str, &str); 40] = [
    ("", "1:1: the script names no flow\nhelp: write `flow FILE` above the first command"),
    ("flow", "1:1: the flow file is missing\nhelp: write `flow FILE`"),
    ("flwo notes.flow", "1:1: there is no header line `flwo`\nhelp: did you mean `flow`?"),
    (
        "flow nots.flow",
        "1:6: cannot read `nots.flow`: no such file\nhelp: the path is relative to the script",
    ),
    (
        "flow a=b",
        "1:6: `a=` stands where no column does\nhelp: give the value alone; a value with `=` in it stands in quotes",
    ),
    ("a=b", "1:1: this is no header line\nhelp: write `flow FILE`, `node NAME` or `seed NUMBER`"),
    (
        "flow notes.flow\nnode A, B",
        "2:1: a script runs on one node\nhelp: write `node NAME`; scripts with several nodes come with the network between them",
    ),
    (
        "flow notes.flow\nnode A,B",
        "2:1: a script runs on one node\nhelp: write `node NAME`; scripts with several nodes come with the network between them",
    ),
    ("flow notes.flow\nseed -1", "2:6: `-1` is no seed\nhelp: write a whole number from 0 on"),
    ("flow notes.flow\nseed", "2:1: a script has one seed\nhelp: write `seed NUMBER`"),
    (
        "flow notes.flow\nsend Write id=1",
        "2:1: `send` is a command\nhelp: begin a command with `>`: `> send`",
    ),
    (
        "flow notes.flow notes.flow",
        "1:6: the node could not start: two flows are called `notes`; give one another name\nhelp: correct the header",
    ),
    (
        "flow notes.flow\n>",
        "2:1: the command is missing\nhelp: write one of: send, ask, play, table, watch, advance, status",
    ),
    ("flow notes.flow\n> sned Write id=1", "2:3: there is no command `sned`\nhelp: did you mean `send`?"),
    (
        "flow notes.flow\n> at B send Write id=1",
        "2:3: a script runs on one node, so `at` has nothing to name\nhelp: leave it out; scripts with several nodes come with the network between them",
    ),
    (
        "flow notes.flow\n> a=1",
        "2:3: a command begins with its name\nhelp: one of: send, ask, play, table, watch, advance, status",
    ),
    ("flow notes.flow\n> send", "2:3: `send` wants other words\nhelp: write `> send INPUT column=value ...`"),
    ("flow notes.flow\n> send Wirte id=1", "2:8: there is no input `Wirte`\nhelp: did you mean `Write`?"),
    (
        "flow notes.flow\n> send Said id=1",
        "2:8: there is no input `Said`\nhelp: there is `Write`, `Drop`, `Token`",
    ),
    (
        "flow notes.flow\n> send Write",
        "2:8: `id` is missing, and is neither nullable nor has a default\nhelp: write `id=value`",
    ),
    (
        "flow notes.flow\n> send Write id=1 txt=a",
        "2:19: there is no column `txt`\nhelp: did you mean `text`?",
    ),
    ("flow notes.flow\n> send Write id=1 id=2", "2:19: `id` is given twice\nhelp: give it once"),
    (
        "flow notes.flow\n> send Write id=one",
        "2:17: `one` is not an int such as -17\nhelp: `id` is of type int",
    ),
    (
        "flow notes.flow\n> send Write id=1 size=1.005",
        "2:24: `1.005` has too many decimals for decimal(6, 2) and would have to be rounded\nhelp: `size` is of type decimal(6, 2)",
    ),
    (
        "flow notes.flow\n> send Write id=1 colour=blue",
        "2:26: `blue` is not a value of Colour: red, green\nhelp: `colour` is of type Colour",
    ),
    (
        "flow notes.flow\n> send Write id=null",
        "2:17: `id` cannot be null\nhelp: give it a value; the text `null` stands in quotes: `'null'`",
    ),
    (
        "flow notes.flow\n> send Write id=1 text=two words",
        "2:28: `words` is no column with a value\nhelp: write `column=value`; a value with spaces stands in quotes: `name='two words'`",
    ),
    (
        "flow notes.flow\n> send Write id=1\n+ id=2 text='a",
        "3:13: this text has no end\nhelp: end it with `'` on the same line; a `'` inside is written `''`",
    ),
    (
        "flow notes.flow\n> send Write id=",
        "2:17: there is no value behind the `=`\nhelp: write `id=''` for an empty text, or `id=null`",
    ),
    ("flow notes.flow\n> table Note", "2:9: there is no table `Note`\nhelp: did you mean `Notes`?"),
    (
        "flow notes.flow\n> table Notes x",
        "2:15: the key does not fit table `Notes`: `id`: `x` is not an int such as -17\nhelp: give the key columns in the order of the table's `key`",
    ),
    (
        "flow notes.flow\n> table Notes 1 2",
        "2:15: the key does not fit table `Notes`: it has the columns `id`, 2 values were given\nhelp: give the key columns in the order of the table's `key`",
    ),
    ("flow notes.flow\n> watch Write", "2:9: there is no output `Write`\nhelp: there is `Said`, `Tokens`"),
    (
        "flow notes.flow\n> advance -5s",
        "2:11: `-5s` is no time to pass\nhelp: write a duration such as 250ms, 5s, 5m, 3h or 7d; time does not go back",
    ),
    (
        "flow notes.flow\n> advance 40000d\n> advance 1000d",
        "3:3: the clock ends with the year 2111\nhelp: let less time pass; the clock begins with the year 2000",
    ),
    (
        "flow notes.flow\n> advance 106751991d",
        "2:3: the clock ends with the year 2111\nhelp: let less time pass; the clock begins with the year 2000",
    ),
    (
        "flow notes.flow\n> play Write rows.txt",
        "2:14: cannot read `rows.txt`: its name does not say what it holds\nhelp: the path is relative to the script; the file is CSV (`.csv`) or NDJSON (`.ndjson`, `.jsonl`)",
    ),
    (
        "flow notes.flow\n> play Write none.csv",
        "2:14: cannot read `none.csv`: no such file\nhelp: the path is relative to the script; the file is CSV (`.csv`) or NDJSON (`.ndjson`, `.jsonl`)",
    ),
    (
        "flow notes.flow\n> play Write header.csv",
        "2:14: header.csv:1: column `txt`: the rows have no such column; did you mean `text`?\nhelp: correct the header line",
    ),
    (
        "flow notes.flow\n> status\nx\n\nstray\nmore\n",
        "5:1: this line belongs to no command\nhelp: begin a command with `>` and a comment with `--`; output follows its command directly",
    ),
];

#[test]
fn a_wrong_script_is_told_what_to_do() {
    for (text, expected) in WRONG {
        assert_eq!(error(text), format!("notes.script:{expected}"), "{text}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let parsed = error("flow notes.flow\n> sned\n\n> seed\n");
    assert_eq!(parsed.matches("notes.script:").count(), 2, "{parsed}");
    let resolved = error("flow notes.flow\n> send Write id=x colour=y\n+ txt=z\n\n> watch Nothing\n");
    assert_eq!(resolved.matches("notes.script:").count(), 5, "{resolved}");
}

#[test]
fn a_flow_that_does_not_compile_is_shown_with_its_diagnostics() {
    let error = error("flow wrong.flow\n");
    assert!(error.starts_with("notes.script:1:6: the flow file does not compile\nerror[F042]"), "{error}");
    assert!(error.contains("--> wrong.flow:2:27"), "{error}");
}

#[test]
fn a_script_has_a_largest_size() {
    let text = format!("flow notes.flow\n{}", "-- x\n".repeat(SCRIPT_BYTES_MAX / 5));
    assert!(error(&text).contains("the limit is 4194304"), "the size");
}

#[test]
fn files_to_play_have_a_largest_size_together() {
    let megabytes = |file: &str| match file {
        "notes.flow" => load(file),
        _ => Ok(format!("id\n{}", " ".repeat(30 << 20))),
    };
    let twice = "flow notes.flow\n> play Write a.csv\n> play Write b.csv\n";
    assert!(run_text("notes.script", twice, &megabytes).is_ok());
    let error =
        run_text("notes.script", &format!("{twice}> play Write c.csv\n"), &megabytes).expect_err("90 MiB");
    assert!(error.to_string().starts_with("notes.script:4:14: the files that the script plays"), "{error}");
}

#[test]
fn a_file_is_read_from_the_directory_of_the_script() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../flows/names.script");
    assert!(run(path).expect("the script of the reference flow").commands > 3);
    let missing = run("no/such.script").expect_err("no such file").to_string();
    assert_eq!(missing, "cannot read `no/such.script`: there is no such file");
}

#[test]
fn a_file_that_cannot_be_read_is_told_in_plain_words() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let told = run(directory).expect_err("a directory").to_string();
    assert_eq!(told, format!("cannot read `{directory}`: it is a directory; name a file in it"));
}

/// A line of a script, mostly one that says something, so that chance gets behind the first word.
fn line() -> impl Strategy<Value = String> {
    const LINES: [&str; 18] = [
        "> send Write id=1 text='it''s'",
        "> send Write id=2 text=\"two\\nlines\" colour=green",
        "> send Write id=-1 text='-- no comment'",
        "> ask Write id=3 text='> no command' size=9999.99",
        "> ask Token id=1",
        "> send Drop id=1\n+ id=2",
        "> play Write rows.csv",
        "> play Write rows.ndjson",
        "> table Notes",
        "> table Notes 1",
        "> watch Said",
        "> watch errors",
        "> advance 5s",
        "> status",
        "",
        "-- a comment",
        "accepted",
        "+",
    ];
    prop_oneof![40 => proptest::sample::select(LINES.to_vec()).prop_map(str::to_owned), 1 => "[ -~]{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_an_outcome_or_an_error(text in "(?s).{0,200}") {
        let _ = run_text("any.script", &text, &load).map_err(|error| error.to_string());
    }

    #[test]
    fn any_command_is_an_outcome_or_an_error(command in "[ -~ñ\t]{0,30}", verb in 0..7_usize) {
        let verb = ["send Write", "ask Token", "play Write", "table Notes", "watch", "advance", ""][verb];
        let text = format!("flow notes.flow\n> {verb} {command}\n");
        let _ = run_text("any.script", &text, &load).map_err(|error| error.to_string());
    }

    #[test]
    fn an_updated_script_passes(lines in proptest::collection::vec(line(), 0..12)) {
        let text = format!("flow notes.flow\n{}", lines.join("\n"));
        if let Ok(first) = run_text("any.script", &text, &load) {
            let second = run_text("any.script", &first.actual, &load).expect("the updated script");
            prop_assert!(second.passed(), "{}", second.diff());
            prop_assert_eq!(second.commands, first.commands);
        }
    }
}
