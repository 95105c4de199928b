//! Names of a flow as names of a `.proto` file: the same flow gives the same names, everywhere and always.
//!
//! - Fields keep the name of their column; messages, methods and the service are written `LikeThis`, values of enums
//!   `ENUM_LIKE_THIS`.
//! - What is no ASCII letter, digit or underscore separates words (`_` in fields). A name that begins with a digit
//!   gets an `x` before it; one of which nothing is left is called by what it is and its number, `column_3`.
//! - A word that Python keeps for itself, which its stubs could not say, gets a `_` behind it: `from_`.
//! - Of names that are the same but for case and underscores the later one gets a number: `name`, `Name_2`.

use std::collections::HashSet;

use anabranch_model::plan::Plan;

/// Words that Python keeps for itself, and the package of the well-known messages.
const RESERVED: [&str; 36] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "google", "if", "import", "in",
    "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// The names of one scope. No two of them are the same but for case and underscores, which is what JSON, and the
/// classes and files of some languages, tell apart.
#[derive(Debug, Default)]
pub(crate) struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// The name, with a number behind it where it is taken.
    pub(crate) fn take(&mut self, name: &str, before_number: &str) -> String {
        let name = match RESERVED.contains(&name) {
            true => format!("{name}_"),
            false => name.to_owned(),
        };
        if self.taken.insert(key(&name)) {
            return name;
        }
        let numbered = (2..).map(|number: u32| format!("{name}{before_number}{number}"));
        let mut free = numbered.skip_while(|name| !self.taken.insert(key(name)));
        free.next().expect("there are more numbers than names")
    }

    /// The names with the same behind each.
    fn take_all(&mut self, names: &[String], behind: &str) -> Vec<String> {
        names.iter().map(|name| self.take(&format!("{name}{behind}"), "")).collect()
    }
}

fn key(name: &str) -> String {
    name.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect()
}

/// A name as a field: as it is, what cannot stand in one as `_`.
pub(crate) fn field(name: &str, otherwise: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    begun(&plain, otherwise)
}

/// A name `LikeThis`.
pub(crate) fn camel(name: &str, otherwise: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    let joined: String = words.map(capital).collect();
    capital(&begun(&joined, otherwise))
}

/// A name `like_this`.
pub(crate) fn snake(name: &str) -> String {
    let mut snake = String::new();
    let mut previous = '_';
    for c in name.chars() {
        let letter = if c.is_ascii_alphanumeric() { c } else { '_' };
        if letter.is_ascii_uppercase() && !previous.is_ascii_uppercase() && previous != '_' {
            snake.push('_');
        }
        if letter != '_' || previous != '_' {
            snake.push(letter.to_ascii_lowercase());
        }
        previous = letter;
    }
    snake.trim_matches('_').to_owned()
}

fn begun(name: &str, otherwise: &str) -> String {
    match name.chars().find(|c| *c != '_') {
        None => otherwise.to_owned(),
        Some(_) if name.starts_with(|c: char| c.is_ascii_digit()) => format!("x{name}"),
        Some(_) => name.to_owned(),
    }
}

/// What the messages, enums and the service of a flow are called.
#[derive(Debug)]
pub(crate) struct TypeNames {
    pub(crate) service: String,
    pub(crate) enums: Vec<String>,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) summary: String,
    pub(crate) refused: String,
    pub(crate) watch: String,
    pub(crate) error_event: String,
    pub(crate) replies: Vec<String>,
    pub(crate) events: Vec<String>,
    pub(crate) rows: Vec<String>,
    pub(crate) keys: Vec<String>,
    pub(crate) scans: Vec<String>,
}

impl TypeNames {
    /// The service comes first, as its name is part of every path; then what the flow names; then what it does not.
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut names = Names::default();
        let [enums, inputs, outputs, tables] = bases(plan);
        // The order of the fields is the order in which names are taken.
        TypeNames {
            service: names.take(&camel(&plan.name, "Flow"), ""),
            enums: names.take_all(&enums, ""),
            inputs: names.take_all(&inputs, ""),
            outputs: names.take_all(&outputs, ""),
            summary: names.take("Summary", ""),
            refused: names.take("Refused", ""),
            watch: names.take("Watch", ""),
            error_event: names.take("ErrorEvent", ""),
            replies: names.take_all(&inputs, "Reply"),
            events: names.take_all(&outputs, "Event"),
            rows: names.take_all(&tables, "Row"),
            keys: names.take_all(&tables, "Key"),
            scans: names.take_all(&tables, "Scan"),
        }
    }
}

/// What the names of the enums, inputs, outputs and tables of a flow begin with, before clashes are settled.
pub(crate) fn bases(plan: &Plan) -> [Vec<String>; 4] {
    let numbered = |kind: &str, names: Vec<&String>| {
        let base = |(number, name): (u32, &String)| camel(name, &format!("{kind}{number}"));
        (1..).zip(names).map(base).collect()
    };
    [
        numbered("Enum", plan.enums.iter().map(|of| &of.name).collect()),
        numbered("Input", plan.inputs.iter().map(|of| &of.name).collect()),
        numbered("Output", plan.outputs.iter().map(|of| &of.name).collect()),
        numbered("Table", plan.tables.iter().map(|of| &of.name).collect()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers() {
        assert_eq!(
            ["InvoiceNo", "unit price", "größe", "2nd", "日本", "_a", "a-b"]
                .map(|name| field(name, "column_3")),
            ["InvoiceNo", "unit_price", "gr__e", "x2nd", "column_3", "_a", "a_b"]
        );
        assert_eq!(
            ["UpdateStream", "update_stream", "my flow", "2nd", "日本", "a"]
                .map(|name| camel(name, "Stream3")),
            ["UpdateStream", "UpdateStream", "MyFlow", "X2nd", "Stream3", "A"]
        );
        assert_eq!(
            ["OutputStream", "on hold", "HTTPCode", "a_b", "", "é"].map(snake),
            ["output_stream", "on_hold", "httpcode", "a_b", "", ""]
        );
    }

    #[test]
    fn names_that_clash_get_a_number_in_the_order_in_which_they_come() {
        let mut names = Names::default();
        let taken =
            ["name", "Name", "na_me", "name_2", "from", "From", "other"].map(|name| names.take(name, "_"));
        assert_eq!(taken, ["name", "Name_2", "na_me_3", "name_2_2", "from_", "From_2", "other"]);
    }
}
