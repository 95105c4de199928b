//! Questions to a node that runs somewhere else.

mod support;

use support::{Directory, Serving};

fn served() -> (Directory, Serving) {
    let rows = "name,value\na,x\nb,y\nc,x\nd,x\n";
    let directory = Directory::with_flow().file("names.csv", rows);
    let node = directory.serve("");
    node.run(&directory, "play names.csv --into UpdateStream").exits(0);
    (directory, node)
}

fn ask(directory: &Directory, node: &Serving, question: &str) -> support::Came {
    node.run_words(directory, &["query", question])
}

#[test]
fn answers_are_tables_or_lines_of_json() {
    let (directory, node) = served();
    ask(&directory, &node, "select value, count(*) as names from QueryTable group by value order by value")
        .exits(0)
        .shows("value  names\nx          3\ny          1\n");
    ask(&directory, &node, "select name from names.QueryTable where value = 'x' order by name desc limit 2")
        .exits(0)
        .shows("name\nd\nc\n");
    let question = "select name, value || '!' as loud from QueryTable where name = 'b'";
    node.run_words(&directory, &["query", "--json", question])
        .exits(0)
        .shows("{\"name\":\"b\",\"loud\":\"y!\"}\n");
    ask(&directory, &node, "select name from QueryTable where name = 'none'").exits(0).shows("name\n");
    let question = "select count(*) as n\nfrom QueryTable\n";
    directory.run_with(&format!("query - --at {}", node.grpc), question).exits(0).shows("n\n4\n");
}

#[test]
fn a_wrong_question_is_told_with_its_place() {
    let (directory, node) = served();
    ask(&directory, &node, "select nmae from QueryTable")
        .exits(2)
        .shows("")
        .says("question:1:8")
        .says("did you mean `name`?");
    ask(&directory, &node, "select * from Querytable").exits(2).says("`QueryTable`");
    ask(&directory, &node, "delete from QueryTable").exits(2);
    ask(&directory, &node, "select 1 / (length(value) - 1) as x from QueryTable").exits(1).says("R002");
}
