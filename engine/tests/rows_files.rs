//! Files of rows: CSV and one JSON object a line, with every mistake that a file can have.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use anabranch::rows::{ExtraColumns, MAX_LINE_BYTES, OpenError, Row, RowReader};
use anabranch_model::types::EnumType;
use anabranch_model::{Column, SchemaId, Shape, Type, Value};
use proptest::prelude::*;

fn column(name: &str, ty: Type) -> Column {
    Column { name: name.into(), ty, nullable: false, default: None }
}

fn nullable(name: &str, ty: Type) -> Column {
    Column { nullable: true, ..column(name, ty) }
}

/// `name: text`, `size: int`, `note: text?`, `rank: int default 1`.
fn parts() -> Arc<Shape> {
    Arc::new(Shape::new(vec![
        column("name", Type::Text),
        column("size", Type::Int),
        nullable("note", Type::Text),
        Column { default: Some(Value::Int(1)), ..column("rank", Type::Int) },
    ]))
}

/// Everything that a reader gives, one line each: `3: {row}` or `! 3: problem`; problems come after the rows of their
/// chunk, so chunks hold one.
fn drain<R: BufRead>(reader: &mut RowReader<R>, shape: &Arc<Shape>) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(chunk) = reader.next_chunk(SchemaId(5), 1).expect("memory cannot fail") {
        assert_eq!((chunk.batch.schema(), chunk.lines.len() + chunk.problems.len()), (SchemaId(5), 1));
        let rows = Row::all(shape, &chunk.batch).zip(&chunk.lines);
        found.extend(rows.map(|(row, line)| format!("{line}: {row}")));
        found.extend(chunk.problems.iter().map(|problem| format!("! {problem}")));
    }
    found
}

fn csv_with(file: &[u8], shape: &Arc<Shape>, extra: ExtraColumns) -> Vec<String> {
    match RowReader::csv(file, shape.clone(), extra) {
        Ok(mut reader) => drain(&mut reader, shape),
        Err(error) => error.to_string().lines().map(|problem| format!("!! {problem}")).collect(),
    }
}

fn csv(file: impl AsRef<[u8]>) -> Vec<String> {
    csv_with(file.as_ref(), &parts(), ExtraColumns::Refuse)
}

fn json(file: impl AsRef<[u8]>) -> Vec<String> {
    drain(&mut RowReader::json_lines(file.as_ref(), parts(), ExtraColumns::Refuse), &parts())
}

#[test]
fn cells_go_to_the_columns_that_the_header_names() {
    assert_eq!(
        csv("\u{feff}size,name,note\r\n3,nut,\r\n\r\n-4,\"bolt, \"\"hex\"\"\",\"two\r\nlines\"\r\n5,\"\",x"),
        [
            r#"2: {"name":"nut","size":3,"note":null,"rank":1}"#,
            r#"4: {"name":"bolt, \"hex\"","size":-4,"note":"two\r\nlines","rank":1}"#,
            r#"6: {"name":"","size":5,"note":"x","rank":1}"#,
        ]
    );
}

#[test]
fn cells_of_every_type_are_read() {
    let color = EnumType { name: "Color".into(), values: vec!["red".into(), "green".into()] };
    let shape = Arc::new(Shape::new(vec![
        column("truth", Type::Bool),
        column("int", Type::Int),
        column("float", Type::Float),
        column("decimal", Type::Decimal { precision: 10, scale: 2 }),
        column("bytes", Type::Bytes),
        column("time", Type::Time),
        column("duration", Type::Duration),
        column("json", Type::Json),
        column("color", Type::Enum(Arc::new(color))),
    ]));
    let file = "truth,int,float,decimal,bytes,time,duration,json,color\n\
                true, 7 ,17850.0,2.55,AAE=,2010-12-01 08:26:00,90s,\"{\"\"a\"\": 1}\",green\n";
    assert_eq!(
        csv_with(file.as_bytes(), &shape, ExtraColumns::Refuse),
        [concat!(
            r#"2: {"truth":true,"int":7,"float":17850.0,"decimal":"2.55","bytes":"AAE=","#,
            r#""time":"2010-12-01T08:26:00Z","duration":"90s","json":{"a": 1},"color":"green"}"#
        )]
    );
    for (at, wrong, problem) in [
        (0, "yes", "`truth`: `yes` is not a bool: true or false"),
        (1, "17850.0", "`int`: `17850.0` is not an int such as -17"),
        (1, "9223372036854775808", "`int`: `9223372036854775808` is not an int such as -17"),
        (2, "NaN", "`float`: `NaN` is not a float such as 1.5e3"),
        (2, "1e999", "`float`: `1e999` is not a float such as 1.5e3"),
        (
            3,
            "2.555",
            "`decimal`: `2.555` has too many decimals for decimal(10, 2) and would have to be rounded",
        ),
        (3, "123456789.00", "`decimal`: `123456789.00` has too many digits for decimal(10, 2)"),
        (4, "???", "`bytes`: `???` is not bytes in base64"),
        (5, "12/1/2010 8:26", "`time`: `12/1/2010 8:26` is not a time such as 2010-12-01T08:26:00Z"),
        (6, "90", "`duration`: `90` is not a duration such as 250ms, 5s, 5m, 3h or 7d"),
        (7, "{a}", "`json`: `{a}` is not json"),
        (8, "pink", "`color`: `pink` is not a value of Color: red, green"),
        (8, "", "`color`: the cell is empty, and the column is not nullable; give it a value"),
    ] {
        let mut cells = ["true", "1", "1", "1", "AAE=", "2010-12-01", "1s", "1", "red"];
        cells[at] = wrong;
        let file = format!("truth,int,float,decimal,bytes,time,duration,json,color\n{}\n", cells.join(","));
        let found = csv_with(file.as_bytes(), &shape, ExtraColumns::Refuse);
        assert_eq!(found, [format!("! 2: column {problem}")]);
    }
}

#[test]
fn a_json_null_is_null() {
    let shape = Arc::new(Shape::new(vec![nullable("x", Type::Json), column("y", Type::Json)]));
    assert_eq!(
        csv_with(b"x,y\nnull,1\n1, null\n", &shape, ExtraColumns::Refuse),
        [r#"2: {"x":null,"y":1}"#, "! 3: column `y`: null, and the column is not nullable; give it a value",]
    );
    let mut reader =
        RowReader::csv(b"x,y\nnull,1\n".as_slice(), shape.clone(), ExtraColumns::Refuse).unwrap();
    let chunk = reader.next_chunk(SchemaId(0), 1).unwrap().unwrap();
    assert_eq!(Row::all(&shape, &chunk.batch).next().unwrap().get("x"), Some(Value::Null));
}

#[test]
fn a_header_that_does_not_fit_is_told_at_once() {
    for (file, problems) in [
        ("", vec!["1: the file is empty; its first line names the columns, with commas between them"]),
        ("\n \r\n", vec!["1: the file is empty; its first line names the columns, with commas between them"]),
        (
            "nmae,size,sizes,size\nx,1,2,3\n",
            vec![
                "1: column `nmae`: the rows have no such column; did you mean `name`?",
                "1: column `sizes`: the rows have no such column; did you mean `size`?",
                "1: column `size`: the column is given twice; give it once",
                "1: column `name`: the column is missing, and is neither nullable nor has a default; \
                 add it to the header and the lines",
            ],
        ),
        (
            "name,size,a\u{1b}[31m\nx,1,2\n",
            vec![
                "1: column `a\\u{1b}[31m`: the rows have no such column; \
                 the columns are `name`, `size`, `note`, `rank`",
            ],
        ),
        ("name;size\nx;1\n", vec!["1: the header is one cell with ';' in it; put commas between the cells"]),
        (
            "name\tsize\nx\t1\n",
            vec!["1: the header is one cell with '\\t' in it; put commas between the cells"],
        ),
        (
            "Name,size\nx,1\n",
            vec![
                "1: column `Name`: the rows have no such column; did you mean `name`?",
                "1: column `name`: the column is missing, and is neither nullable nor has a default; \
                 add it to the header and the lines",
            ],
        ),
        (
            "name,\"size\nx,1\n",
            vec![
                "1: cell 2: the quote that begins the cell is not closed before a comma or the end of a line; \
                 close it, or double a quote that belongs to the text",
            ],
        ),
    ] {
        let expected: Vec<String> = problems.into_iter().map(|problem| format!("!! {problem}")).collect();
        assert_eq!(csv(file), expected, "{file:?}");
    }
    assert_eq!(csv(b"name,s\xffze\n"), ["!! 1: cell 2: the bytes are not UTF-8; save the file as UTF-8"]);
    assert_eq!(csv("name,size\n"), [""; 0]);
    assert_eq!(csv("\nname,size"), [""; 0]);
}

#[test]
fn extra_columns_are_skipped_when_asked() {
    let file = b"a,name,b,size\n1,nut,2,3\n1,bolt,2\n";
    assert_eq!(
        csv_with(file, &parts(), ExtraColumns::Ignore),
        [
            r#"2: {"name":"nut","size":3,"note":null,"rank":1}"#,
            "! 3: the line has 3 cells, the header has 4; give every column a cell, if only an empty one",
        ]
    );
    let file = b"{\"a\":[1],\"name\":\"nut\",\"size\":3}\n";
    let mut reader = RowReader::json_lines(file.as_slice(), parts(), ExtraColumns::Ignore);
    assert_eq!(drain(&mut reader, &parts()), [r#"1: {"name":"nut","size":3,"note":null,"rank":1}"#]);
}

#[test]
fn bad_csv_lines_are_told_and_reading_goes_on() {
    let file = b"name,size,rank\n\
        six,six,1\n\
        few,1\n\
        many,1,2,3\n\
        \"quote\" d,1,2\n\
        \"open,1,2\n\
        b\xffd,1,1\n\
        empty,,1\n\
        default,1,\n\
        last,1,2\n";
    assert_eq!(
        csv(file),
        [
            "! 2: column `size`: `six` is not an int such as -17",
            "! 3: the line has 2 cells, the header has 3; give every column a cell, if only an empty one",
            "! 4: the line has 4 cells, the header has 3; put a cell that has a comma in it into quotes",
            "! 5: column `name`: the cell goes on after its closing quote; \
             put the whole cell into quotes, and double the quotes in it",
            "! 6: column `name`: the quote that begins the cell is not closed before a comma or the end of a line; \
             close it, or double a quote that belongs to the text",
            "! 7: column `name`: the bytes are not UTF-8; save the file as UTF-8",
            "! 8: column `size`: the cell is empty, and the column is not nullable; give it a value",
            "! 9: column `rank`: the cell is empty, and the column is not nullable; give it a value",
            r#"10: {"name":"last","size":1,"note":null,"rank":2}"#,
        ]
    );
}

#[test]
fn a_forgotten_quote_costs_one_line() {
    let found = csv("name,size\na,1\n\"b,2\nc,3\n\"d\",4\n\"e\ne\",5\n");
    assert_eq!(
        found,
        [
            r#"2: {"name":"a","size":1,"note":null,"rank":1}"#,
            "! 3: column `name`: the quote that begins the cell is not closed before a comma or the end of a line; \
             close it, or double a quote that belongs to the text",
            r#"4: {"name":"c","size":3,"note":null,"rank":1}"#,
            r#"5: {"name":"d","size":4,"note":null,"rank":1}"#,
            r#"6: {"name":"e\ne","size":5,"note":null,"rank":1}"#,
        ]
    );
}

#[test]
fn long_lines_are_skipped_in_bounded_memory() {
    let long = "x".repeat(MAX_LINE_BYTES);
    let problem = "the line has over 8388608 bytes; see whether a line break or a closing quote is missing";
    let row = |line| format!(r#"{line}: {{"name":"a","size":1,"note":null,"rank":1}}"#);
    let file = format!("name,size\n{long},1\na,1\n\"{long}\n{long}\n\",1\na,1\n");
    let found = csv(file);
    assert_eq!(found[0], format!("! 2: {problem}"));
    assert_eq!(found[1], row(3));
    assert!(found[2].starts_with("! 4: the line has over"), "{}", found[2]);
    assert!(
        found[3].starts_with("! 5: the line has 1 cells") || found[3].starts_with("! 5: "),
        "{}",
        found[3]
    );
    assert_eq!(found.last(), Some(&row(7)));
    let found = json(format!("{{\"name\":\"{long}\"}}\n{{\"name\":\"a\",\"size\":1}}\n{long}"));
    assert_eq!(found, [format!("! 1: {problem}"), row(2), found[2].clone()]);
    let wide = "x".repeat(5 << 20);
    let found = csv(format!("name,size\n{wide},1\na,1\n"));
    assert!(found[0].starts_with("! 2: the row has 5242"), "{}", found[0]);
    assert_eq!(found[1], row(3));
}

#[test]
fn a_quote_that_stays_open_gives_back_the_lines_behind_it() {
    let lines = MAX_LINE_BYTES / 9 + 1000;
    let file = format!("name,size\n\"open,1\n{}", "abcde,7\n".repeat(lines));
    let mut reader = RowReader::csv(file.as_bytes(), parts(), ExtraColumns::Refuse).unwrap();
    let (mut rows, mut problems) = (0, Vec::new());
    while let Some(chunk) = reader.next_chunk(SchemaId(0), 10_000).unwrap() {
        rows += chunk.batch.len();
        problems.extend(chunk.problems);
    }
    assert_eq!(rows, lines);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].line, 2);
    assert_eq!(reader.bytes_read(), file.len() as u64);
}

#[test]
fn json_lines_are_rows() {
    let file = "\u{feff}{\"size\":3,\"name\":\"nut\",\"note\":null}\r\n\r\n  \n\
                {\"name\":\"b\\u006flt\",\"size\":-4,\"note\":\"two\\nlines\",\"rank\":9}";
    assert_eq!(
        json(file),
        [
            r#"1: {"name":"nut","size":3,"note":null,"rank":1}"#,
            r#"4: {"name":"bolt","size":-4,"note":"two\nlines","rank":9}"#,
        ]
    );
    assert_eq!(json(""), [""; 0]);
    assert_eq!(json("\n\n"), [""; 0]);
}

#[test]
fn bad_json_lines_are_told_and_reading_goes_on() {
    let file = b"nonsense\n\
        [1]\n\
        {\"name\":\"a\",\"size\":1\n\
        {\"name\":\"a\",\"size\":1} {}\n\
        {\"name\":\"a\",\"size\":\"1\"}\n\
        {\"name\":\"a\",\"size\":1.0}\n\
        {\"name\":\"a\",\"siez\":1}\n\
        {\"name\":\"a\"}\n\
        {\"name\":\"a\",\"size\":1,\"name\":\"b\"}\n\
        {\"name\":null,\"size\":1}\n\
        {\"name\":\"\xff\",\"size\":1}\n\
        {\"name\":\"last\",\"size\":1}";
    let help = "a row is an object such as {\"column\": value}";
    assert_eq!(
        json(file),
        [
            format!("! 1: `nonsense` is no JSON object; {help}"),
            format!("! 2: `[1]` is no JSON object; {help}"),
            format!("! 3: no JSON object: EOF while parsing an object, at byte 20; {help}"),
            format!("! 4: no JSON object: trailing characters, at byte 23; {help}"),
            "! 5: column `size`: `\"1\"` is not an int such as -17".to_owned(),
            "! 6: column `size`: `1.0` is not an int such as -17".to_owned(),
            "! 7: column `siez`: the rows have no such column; did you mean `size`?".to_owned(),
            "! 8: column `size`: the column is missing, and is neither nullable nor has a default; give it a value"
                .to_owned(),
            "! 9: column `name`: the column is given twice; give it once".to_owned(),
            "! 10: column `name`: null, and the column is not nullable; give it a value".to_owned(),
            "! 11: the bytes are not UTF-8; save the file as UTF-8".to_owned(),
            r#"12: {"name":"last","size":1,"note":null,"rank":1}"#.to_owned(),
        ]
    );
}

#[test]
fn chunks_hold_what_was_asked_for() {
    let file = "name,size\na,1\nb,x\nc,3\nd,4\n";
    let mut reader = RowReader::csv(file.as_bytes(), parts(), ExtraColumns::Refuse).unwrap();
    let chunk = reader.next_chunk(SchemaId(0), 3).unwrap().unwrap();
    assert_eq!((chunk.lines, chunk.problems.len()), (vec![2, 4], 1));
    let chunk = reader.next_chunk(SchemaId(0), 0).unwrap().unwrap();
    assert_eq!(chunk.lines, [5]);
    assert!(reader.next_chunk(SchemaId(0), 3).unwrap().is_none());
    assert!(reader.next_chunk(SchemaId(0), 3).unwrap().is_none());
}

#[test]
fn a_chunk_of_large_rows_stays_a_batch() {
    let line = format!("{},1\n", "x".repeat(3 << 20));
    let file = format!("name,size\n{}", line.repeat(12));
    let shape = parts();
    let mut reader = RowReader::csv(file.as_bytes(), shape.clone(), ExtraColumns::Refuse).unwrap();
    let mut rows = 0;
    while let Some(chunk) = reader.next_chunk(SchemaId(0), 256).unwrap() {
        rows += chunk.batch.len();
        anabranch_model::Batch::from_bytes(chunk.batch.bytes().to_vec(), &shape).unwrap();
    }
    assert_eq!(rows, 12);
}

#[test]
fn a_reader_that_fails_gives_its_rows_first() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let file = BufReader::new(b"name,size\na,1\nb,2\n".chain(Broken));
    let mut reader = RowReader::csv(file, parts(), ExtraColumns::Refuse).unwrap();
    assert_eq!(reader.next_chunk(SchemaId(0), 256).unwrap().unwrap().lines, [2, 3]);
    assert_eq!(reader.next_chunk(SchemaId(0), 256).unwrap_err().to_string(), "the disk is gone");
    let opened = RowReader::csv(BufReader::new(Broken), parts(), ExtraColumns::Refuse).err();
    assert!(matches!(opened, Some(OpenError::Read(_))));
}

/// Bytes that look enough like a file to come far.
fn files() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "name,size",
        "name",
        "size",
        ",",
        "\"",
        "\n",
        "\r\n",
        "\r",
        "1",
        "é",
        "\u{feff}",
        "{\"name\":\"a\",\"size\":1}",
        "{",
        "}",
        ":",
        "\\",
        "\"name\"",
        "null",
        " ",
    ];
    let piece = prop_oneof![
        8 => proptest::sample::select(pieces.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..3),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// Reads to the end; every line is told once at most and in order, every batch is sound.
fn survives<R: BufRead>(mut reader: RowReader<R>, shape: &Shape, size: usize) {
    let (mut last, mut chunks) = (0, 0);
    while let Some(chunk) = reader.next_chunk(SchemaId(0), 1).expect("memory cannot fail") {
        for line in chunk.lines.iter().copied().chain(chunk.problems.iter().map(|problem| problem.line)) {
            assert!(line > last);
            last = line;
        }
        let sound = anabranch_model::Batch::from_bytes(chunk.batch.bytes().to_vec(), shape);
        assert_eq!(sound, Ok(chunk.batch));
        chunks += 1;
        assert!(chunks <= size, "more rows than bytes");
    }
    assert_eq!(reader.bytes_read(), size as u64);
}

proptest! {
    #[test]
    fn no_bytes_stop_the_readers(body in files(), header: bool) {
        let file = if header { [b"note,name,size\n".to_vec(), body].concat() } else { body };
        let shape = parts();
        survives(RowReader::json_lines(file.as_slice(), shape.clone(), ExtraColumns::Ignore), &shape, file.len());
        if let Ok(reader) = RowReader::csv(file.as_slice(), shape.clone(), ExtraColumns::Ignore) {
            survives(reader, &shape, file.len());
        }
    }

    #[test]
    fn what_the_csv_crate_writes_is_read(
        cells in proptest::collection::vec(["[a\",\r\n é]{0,6}", "[ -~]{0,9}", "\\PC{0,9}"], 0..20),
        crlf: bool, always: bool,
    ) {
        let shape = Arc::new(Shape::new(["a", "b", "c"].map(|name| column(name, Type::Text)).to_vec()));
        let mut writer = csv::WriterBuilder::new()
            .terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
            .quote_style(if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary })
            .from_writer(Vec::new());
        writer.write_record(["a", "b", "c"]).unwrap();
        for record in &cells {
            writer.write_record(record).unwrap();
        }
        let file = writer.into_inner().unwrap();
        let mut reader = RowReader::csv(file.as_slice(), shape.clone(), ExtraColumns::Refuse).unwrap();
        let mut read: Vec<[String; 3]> = Vec::new();
        while let Some(chunk) = reader.next_chunk(SchemaId(0), 7).unwrap() {
            prop_assert_eq!(&chunk.problems, &[]);
            for row in Row::all(&shape, &chunk.batch) {
                let cell = |at| match row.value(at) {
                    Some(Value::Text(text)) => text.into_owned(),
                    other => panic!("{other:?}"),
                };
                read.push([cell(0), cell(1), cell(2)]);
            }
        }
        prop_assert_eq!(read, cells);
    }
}
