//! The node file: all that `run` takes, in TOML. What stands on the command line goes before it.
//!
//! A file is read to settings with their places ([`NodeFile::read`]); all of its mistakes are found at once. Its settings
//! then become options of the command line, so that a value means the same and is checked the same wherever it stands.

pub(crate) mod page;
pub(crate) mod settings;
mod substitute;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

use anabranch_lang::suggest::closest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::settings::{Form, SETTINGS, Setting, sections};
use self::substitute::substitute;
use crate::failure::{Exit, Failure};
use crate::{os, output};

/// The option that names the file.
const OPTION: &str = "--config";

/// A mistake in a node file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mistake {
    /// The line, from 1.
    pub(crate) line: usize,
    /// What is wrong, and what to do.
    pub(crate) text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

/// What a file gives a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    /// Its values: one, or those of a list; a flag that is off has none.
    pub(crate) values: Vec<String>,
    /// The line, from 1.
    pub(crate) line: usize,
    /// Environment variables that are in it.
    pub(crate) variables: Vec<String>,
}

/// A node file that was read.
#[derive(Debug, Default)]
pub(crate) struct NodeFile {
    given: BTreeMap<&'static str, Given>,
}

impl NodeFile {
    /// Reads a text; `variable` knows the environment.
    ///
    /// # Errors
    /// All that is wrong with it, by line.
    pub(crate) fn read(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Mistake>> {
        let mut reader = Reader { text, variable, file: NodeFile::default(), mistakes: Vec::new() };
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            reader.wrong(error.span().map_or(0, |span| span.start), error.message());
        }
        for (name, value) in root.get_ref() {
            reader.section(name.get_ref(), name.span().start, value);
        }
        reader.mistakes.sort();
        reader.mistakes.dedup();
        match reader.mistakes.is_empty() {
            true => Ok(reader.file),
            false => Err(reader.mistakes),
        }
    }

    /// What it gives a setting.
    pub(crate) fn given(&self, setting: &Setting) -> Option<&Given> {
        self.given.get(setting.key)
    }

    /// Its settings as options, but for those that `stands_over` it.
    pub(crate) fn options(&self, stands_over: impl Fn(&Setting) -> bool) -> Vec<String> {
        let mut options = Vec::new();
        for setting in SETTINGS.iter().filter(|setting| !stands_over(setting)) {
            let Some(given) = self.given(setting) else { continue };
            match setting.form {
                Form::Flag => options.extend(given.values.iter().map(|_| format!("--{}", setting.option))),
                _ => options.extend(given.values.iter().map(|value| format!("--{}={value}", setting.option))),
            }
        }
        options
    }
}

/// A file on its way to settings.
struct Reader<'t> {
    text: &'t str,
    variable: &'t dyn Fn(&str) -> Option<String>,
    file: NodeFile,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn wrong(&mut self, at: usize, text: impl Into<String>) {
        let line = self.line(at);
        self.mistakes.push(Mistake { line, text: text.into() });
    }

    fn line(&self, at: usize) -> usize {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    fn section(&mut self, name: &str, at: usize, value: &Spanned<DeValue<'_>>) {
        if !sections().any(|known| known == name) {
            let near = closest(name, sections()).map(|near| format!("; did you mean `[{near}]`?"));
            let place = in_a_section(name).map(|key| format!("; write `{key}`"));
            let help = near.or(place).unwrap_or_else(|| {
                format!(
                    "; there are {}",
                    sections().map(|name| format!("[{name}]")).collect::<Vec<_>>().join(", ")
                )
            });
            return self.wrong(at, format!("there is no section or field `{name}`{help}"));
        }
        let DeValue::Table(fields) = value.get_ref() else {
            return self.wrong(at, format!("`{name}` is a section: write `[{name}]` and its fields below"));
        };
        for (field, value) in fields {
            self.field(&format!("{name}.{}", field.get_ref()), field.span().start, value);
        }
    }

    fn field(&mut self, key: &str, at: usize, value: &Spanned<DeValue<'_>>) {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            let (section, field) = key.split_once('.').unwrap_or_default();
            let of_section = SETTINGS.iter().filter_map(|setting| setting.key.split_once('.'));
            let fields = of_section.filter(|(of, _)| *of == section).map(|(_, field)| field);
            let near = closest(field, fields).map(|near| format!("{section}.{near}"));
            let near = near.or_else(|| in_a_section(field).map(str::to_owned));
            let help = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return self.wrong(at, format!("there is no field `{key}`{help}"));
        };
        let line = self.line(at);
        let mut variables = Vec::new();
        let values = match (setting.form, value.get_ref()) {
            (Form::Many(check), DeValue::Array(items)) => {
                let each = items.iter().filter_map(|item| self.text_of(setting, item, &mut variables));
                let each: Vec<String> = each.collect();
                each.iter().for_each(|value| self.check(setting, at, value, check));
                each
            }
            (Form::Many(_), _) => {
                return self.wrong(at, format!("`{key}` is a list: write [\"..\", \"..\"]"));
            }
            (Form::One(check), _) => {
                let Some(value) = self.text_of(setting, value, &mut variables) else { return };
                self.check(setting, at, &value, check);
                vec![value]
            }
            (Form::Flag, _) => match self.text_of(setting, value, &mut variables).as_deref() {
                Some("true") => vec!["true".to_owned()],
                Some("false") => Vec::new(),
                Some(_) => return self.wrong(at, format!("`{key}` is true or false")),
                None => return,
            },
        };
        self.file.given.insert(setting.key, Given { values, line, variables });
    }

    fn check(&mut self, setting: &Setting, at: usize, value: &str, check: fn(&str) -> Result<(), String>) {
        if let Err(problem) = check(value) {
            self.wrong(at, format!("`{}` cannot be {}: {problem}", setting.key, shown(value)));
        }
    }

    /// A value as text, with the environment put in.
    fn text_of(
        &mut self,
        setting: &Setting,
        value: &Spanned<DeValue<'_>>,
        variables: &mut Vec<String>,
    ) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => match substitute(text, self.variable, variables) {
                Ok(text) => Some(text),
                Err(problem) => {
                    self.wrong(value.span().start, format!("`{}`: {problem}", setting.key));
                    None
                }
            },
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
            DeValue::Boolean(truth) => Some(truth.to_string()),
            _ => {
                let text = format!("`{}` is a text: write it in quotation marks", setting.key);
                self.wrong(value.span().start, text);
                None
            }
        }
    }
}

/// The setting whose last word this is, in whichever section.
fn in_a_section(field: &str) -> Option<&'static str> {
    let has = |setting: &&Setting| setting.key.split_once('.').is_some_and(|(_, of)| of == field);
    SETTINGS.iter().find(has).map(|setting| setting.key)
}

/// As much of a value as a message shows.
fn shown(value: &str) -> String {
    let end = value.floor_char_boundary(100);
    format!("{:?}{}", &value[..end], if end < value.len() { ".." } else { "" })
}

/// The arguments of the program with those of a node file that `run` names; as they are where it names none.
///
/// # Errors
/// The file cannot be read, or something in it is wrong.
pub(crate) fn arguments(given: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    let texts: Vec<&str> = given.iter().map(|text| text.to_str().unwrap_or_default()).collect();
    let wants_help = texts.iter().any(|text| ["--help", "-h"].contains(text));
    let Some(path) = named(&texts).filter(|_| texts.get(1) == Some(&"run") && !wants_help) else {
        return Ok(given);
    };
    let file = open(path)?;
    let on_the_line = |option: &str| {
        let with_value = format!("--{option}=");
        texts.iter().any(|text| text.strip_prefix("--") == Some(option) || text.starts_with(&with_value))
    };
    let set = |setting: &Setting| setting.variable.is_some_and(|name| os::variable(name).is_some());
    let options = file.options(|setting| on_the_line(setting.option) || set(setting));
    let (program, rest) = given.split_at(2);
    let options = options.iter().map(OsStr::new).map(OsStr::to_owned);
    Ok(program.iter().cloned().chain(options).chain(rest.iter().cloned()).collect())
}

/// The file that arguments name.
fn named<'t>(texts: &[&'t str]) -> Option<&'t str> {
    let at = texts.iter().position(|text| *text == OPTION);
    let with_value = || texts.iter().find_map(|text| text.strip_prefix(OPTION)?.strip_prefix('='));
    at.and_then(|at| texts.get(at + 1).copied()).or_else(with_value)
}

/// Reads a file; what is wrong with it is told.
///
/// # Errors
/// It cannot be read, or something in it is wrong.
pub(crate) fn open(path: &str) -> Result<NodeFile, Failure> {
    let bytes = os::read(path).map_err(|error| Failure::file("read", path, &error))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::wrong(format!("`{path}` is not UTF-8; save the file as UTF-8")))?;
    NodeFile::read(&text, &|name| os::variable(name)).map_err(|mistakes| {
        mistakes.iter().for_each(|mistake| {
            let Mistake { line, text } = mistake;
            output::error(&format!("{path}:{line}: {text}"), None);
        });
        Failure::told(Exit::Wrong)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, Vec<String>> {
        let variable = |name: &str| (name == "PORT").then(|| "7401".to_owned());
        let file = NodeFile::read(text, &variable);
        let file = file.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        Ok(file.options(|_| false))
    }

    #[test]
    fn settings_become_options() {
        let text = "[node]\nname = \"B\"\nworkers = 2\nflows = [\"a.flow\", \"b.flow\"]\nprofile = true\n\
                    [listen]\ngrpc = \"127.0.0.1:${PORT}\"\ninsecure = false\n\
                    [zone]\nname = \"${ZONE:-demo}\"\njoin = [\"${HOST:-127.0.0.1}:7401\"]\n";
        let options = read(text).expect("it is right");
        let wanted = [
            "--node=B",
            "--workers=2",
            "--flow=a.flow",
            "--flow=b.flow",
            "--profile",
            "--listen=127.0.0.1:7401",
            "--zone=demo",
            "--join=127.0.0.1:7401",
        ];
        assert!(wanted.iter().all(|option| options.iter().any(|given| given == option)), "{options:?}");
        assert_eq!(options.len(), wanted.len(), "{options:?}");
        assert_eq!(read(""), Ok(Vec::new()));
        assert_eq!(read("[node]\nworkers = \"${WORKERS:-3}\""), Ok(vec!["--workers=3".to_owned()]));
    }

    #[test]
    fn all_mistakes_are_told_at_once_with_their_lines() {
        let text = "nam = \"x\"\nworkers = 2\nlisten = 3\n[nod]\n[node]\nnmae = \"A\"\nworkers = 0\nname = \"a b\"\n\
                    flows = \"a.flow\"\nprofile = \"yes\"\ndata = [1]\ngrpc = \"x\"\n\
                    [zone]\njoin = [\"a:b\", \"a:1\"]\nname = \"${NOBODY}\"\n";
        let mistakes = read(text).expect_err("it is wrong");
        for (line, words) in [
            (1, "`nam`; there are [node]"),
            (2, "`workers`; write `node.workers`"),
            (3, "`[listen]`"),
            (4, "did you mean `[node]`?"),
            (6, "did you mean `node.name`?"),
            (7, "from 1 to 256"),
            (8, "a node's name is one word"),
            (9, "is a list"),
            (10, "true or false"),
            (11, "is a text"),
            (12, "did you mean `listen.grpc`?"),
            (14, "no port"),
            (15, "NOBODY"),
        ] {
            let of_line = format!("line {line}: ");
            let found =
                mistakes.iter().any(|mistake| mistake.starts_with(&of_line) && mistake.contains(words));
            assert!(found, "{line} {words}: {mistakes:#?}");
        }
        assert_eq!(mistakes.len(), 13, "{mistakes:#?}");
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let mistakes = read("[node]\nname = \nworkers = 0\n[zone\n").expect_err("it is wrong");
        assert!(mistakes.iter().any(|mistake| mistake.starts_with("line 2: ")), "{mistakes:?}");
        assert!(mistakes.iter().any(|mistake| mistake.starts_with("line 4: ")), "{mistakes:?}");
        assert!(mistakes.iter().any(|mistake| mistake.contains("node.workers")), "{mistakes:?}");
        let twice = read("[node]\nname = \"A\"\nname = \"B\"\n").expect_err("it is wrong");
        assert!(twice[0].starts_with("line 3: "), "{twice:?}");
        // As deep as somebody likes.
        assert!(read(&format!("[node]\nname = {}", "[".repeat(100_000))).is_err());
    }

    #[test]
    fn the_file_is_found_among_the_arguments() {
        assert_eq!(named(&["anabranch", "run", "--config", "a.toml"]), Some("a.toml"));
        assert_eq!(named(&["anabranch", "run", "--config=a.toml", "x"]), Some("a.toml"));
        assert_eq!(named(&["anabranch", "run", "x"]), None);
        assert_eq!(named(&["anabranch", "run", "--config"]), None);
    }
}
