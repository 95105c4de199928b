//! All settings of a node file: what each is called there and on the command line, how it is written, what it is where
//! nothing is said, and why.

use crate::run::options::{self, PlayOption, TableOption};
use crate::{address, log};

/// How a setting is written, and whether a value of it is right.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// A value.
    One(fn(&str) -> Result<(), String>),
    /// A list of values.
    Many(fn(&str) -> Result<(), String>),
    /// `true` or `false`.
    Flag,
}

/// A setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Its section and name, with a point between them.
    pub(crate) key: &'static str,
    /// The option of `run`, without its dashes.
    pub(crate) option: &'static str,
    /// The environment variable that stands over the file.
    pub(crate) variable: Option<&'static str>,
    /// How it is written.
    pub(crate) form: Form,
    /// In which unit.
    pub(crate) unit: &'static str,
    /// What it is where nothing is said.
    pub(crate) default: &'static str,
    /// What it is for, and why that is so where nothing is said.
    pub(crate) reason: &'static str,
}

/// The sections, in their order.
pub(crate) fn sections() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    SETTINGS.iter().filter_map(move |setting| {
        let (section, _) = setting.key.split_once('.')?;
        (std::mem::replace(&mut last, section) != section).then_some(section)
    })
}

const fn setting(
    key: &'static str,
    option: &'static str,
    form: Form,
    unit: &'static str,
    default: &'static str,
    reason: &'static str,
) -> Setting {
    Setting { key, option, variable: None, form, unit, default, reason }
}

/// All of them, by section.
pub(crate) const SETTINGS: &[Setting] = &[
    setting(
        "node.name",
        "node",
        Form::One(name),
        "a word",
        "A",
        "Who the node is, in rows (`node()`), lists and messages. Nodes of a zone have different names; one is enough where there is no zone.",
    ),
    setting(
        "node.flows",
        "flow",
        Form::Many(any),
        "paths of flow files",
        "[]",
        "The flows that run. None is needed where they come by `deploy` or lie in `data`. Files that the command line names take the place of all of them.",
    ),
    setting(
        "node.workers",
        "workers",
        Form::One(|text| checked(options::workers(text))),
        "threads, 1 to 256",
        "1",
        "Partitions are spread over them. One leaves the other processors to the network, the journal and whoever shares the machine; more pay where rules compute much.",
    ),
    setting(
        "node.data",
        "data",
        Form::One(not_empty),
        "a directory",
        "none: in memory",
        "Where the node keeps what it does, so that what it has acknowledged is there when it starts again. Without it the node needs no disk, and in a zone it fills itself from the others.",
    ),
    setting(
        "node.snapshot_after",
        "snapshot-after",
        Form::One(|text| checked(options::bytes(text))),
        "bytes of journal: B, KiB, MiB, GiB",
        "256MiB",
        "After how much journal a snapshot is taken. A node that starts reads the newest snapshot and the journal behind it: more makes snapshots rarer and starts longer. Needs `node.data`.",
    ),
    setting(
        "node.profile",
        "profile",
        Form::Flag,
        "true or false",
        "false",
        "Whether the operators of flows are counted, for `status` and /metrics. It costs some of the rate of small requests.",
    ),
    setting(
        "listen.grpc",
        "listen",
        Form::One(|text| checked(address::grpc(text))),
        "host:port; port 0 takes a free one",
        "none",
        "Where gRPC clients, the commands of the program and other nodes of the zone come. Without a host only this machine reaches it, so that nobody opens a node by leaving something out.",
    ),
    setting(
        "listen.http",
        "http",
        Form::One(|text| checked(address::http(text))),
        "host:port; port 0 takes a free one",
        "none",
        "Where HTTP clients come.",
    ),
    setting(
        "listen.tls_cert",
        "tls-cert",
        Form::One(not_empty),
        "path of a PEM file",
        "none",
        "The certificate that clients are shown. An address that other machines reach needs it. Needs `listen.tls_key`.",
    ),
    setting(
        "listen.tls_key",
        "tls-key",
        Form::One(not_empty),
        "path of a PEM file",
        "none",
        "Its key, in a file that not everybody may read.",
    ),
    setting(
        "listen.tokens",
        "tokens",
        Form::One(not_empty),
        "path of a file with lines of `anabranch token new`",
        "none",
        "Who may do what. An address that other machines reach needs it.",
    ),
    setting(
        "listen.insecure",
        "insecure",
        Form::Flag,
        "true or false",
        "false",
        "Whether other machines may reach the node without TLS and tokens, and other nodes without a zone secret. It has to be said, so that it is meant.",
    ),
    setting(
        "listen.allow_hosts",
        "allow-host",
        Form::Many(not_empty),
        "host names",
        "[]",
        "Names of this node that HTTP requests may be for, beside `localhost` and its addresses: pages of other sites cannot use the node through a name of their own.",
    ),
    setting(
        "listen.allow_origins",
        "allow-origin",
        Form::Many(not_empty),
        "sites, such as https://app.example",
        "[]",
        "Sites whose pages may ask in a browser; by default none but the node's own.",
    ),
    setting(
        "zone.name",
        "zone",
        Form::One(name),
        "a word",
        "none: a node alone",
        "The zone that the node belongs to: nodes that hold each other's rows. Needs `listen.grpc`, where the others come.",
    ),
    setting(
        "zone.join",
        "join",
        Form::Many(|text| checked(address::at(text))),
        "host:port",
        "[]: it founds the zone",
        "Where others of the zone may be. One that lives is enough; a name that leads to several addresses is tried through.",
    ),
    setting(
        "zone.advertise",
        "advertise",
        Form::One(|text| checked(address::at(text))),
        "host:port",
        "where it listens",
        "Where others reach this node, when that is not what `listen.grpc` says: behind a translation of addresses, or where it listens at all addresses.",
    ),
    setting(
        "zone.secret_file",
        "zone-secret",
        Form::One(not_empty),
        "path of a file with at least 16 bytes",
        "none: only nodes of this machine",
        "What all nodes of the zone know and nobody else; the file must not be readable by everybody. The secret itself can stand in the environment variable ANABRANCH_ZONE_SECRET instead, and never stands in this file.",
    ),
    setting(
        "log.form",
        "log",
        Form::One(|text| one_of(text, &["text", "json"])),
        "text, json",
        "text",
        "How the log is written to standard error: for people, or for programs.",
    ),
    Setting {
        variable: Some("ANABRANCH_LOG"),
        ..setting(
            "log.level",
            "log-level",
            Form::One(|text| one_of(text, &["off", "error", "warn", "info", "debug"])),
            "off, error, warn, info, debug",
            "warn",
            "What is logged. A node that is well says nothing.",
        )
    },
    setting(
        "log.slow_request",
        "slow-request",
        Form::One(|text| checked(log::time(text))),
        "a time: us, ms, s",
        "none",
        "Requests that take at least so long inside the node are logged; none, as only you know what is slow.",
    ),
    setting(
        "files.play",
        "play",
        Form::Many(|text| checked(text.parse::<PlayOption>())),
        "INPUT=FILE",
        "[]",
        "Files whose rows are sent to input streams when the node serves.",
    ),
    setting(
        "files.print",
        "print",
        Form::Many(not_empty),
        "output streams, or errors",
        "[]",
        "Streams whose rows are printed as they come.",
    ),
    setting(
        "files.table",
        "table",
        Form::Many(|text| checked(text.parse::<TableOption>())),
        "TABLE or TABLE=ROWS",
        "[]",
        "Tables whose first rows are printed at the end.",
    ),
    setting(
        "files.exit",
        "exit",
        Form::Flag,
        "true or false",
        "false",
        "Whether the node ends when all files are through. A node serves until it is told to end.",
    ),
    setting(
        "files.on_bad_line",
        "on-bad-line",
        Form::One(|text| one_of(text, &["stop", "skip"])),
        "stop, skip",
        "stop",
        "What a line does that is no row: with `stop` nothing after it is sent, so that nothing is lost by oversight.",
    ),
    setting(
        "files.on_extra_column",
        "on-extra-column",
        Form::One(|text| one_of(text, &["refuse", "ignore"])),
        "refuse, ignore",
        "refuse",
        "What a column does that the stream lacks: with `refuse` it makes the line a bad one.",
    ),
    setting(
        "files.json",
        "json",
        Form::Flag,
        "true or false",
        "false",
        "Whether what is printed is JSON, an object a line.",
    ),
];

fn checked<T>(read: Result<T, String>) -> Result<(), String> {
    read.map(drop)
}

fn any(_: &str) -> Result<(), String> {
    Ok(())
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("leave it out instead".to_owned()) } else { Ok(()) }
}

fn name(text: &str) -> Result<(), String> {
    checked(options::node_name(text))
}

fn one_of(text: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&text) { Ok(()) } else { Err(format!("write one of {}", words.join(", "))) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::Arguments;

    /// What `run` takes that a file does not have: the file itself, and help.
    const NOT_IN_A_FILE: [&str; 2] = ["config", "help"];

    #[test]
    fn a_file_can_say_all_that_run_takes() {
        let mut program = Arguments::command();
        program.build();
        let run = program.find_subcommand("run").expect("there is one");
        let options: Vec<&str> = run.get_arguments().filter_map(|argument| argument.get_long()).collect();
        for option in &options {
            let known = SETTINGS.iter().any(|setting| setting.option == *option);
            assert!(known || NOT_IN_A_FILE.contains(option), "--{option} is no setting of the node file");
        }
        for setting in SETTINGS {
            assert!(options.contains(&setting.option), "{}: there is no --{}", setting.key, setting.option);
        }
    }

    #[test]
    fn defaults_and_variables_are_those_of_the_command_line() {
        let mut program = Arguments::command();
        program.build();
        let run = program.find_subcommand("run").expect("there is one");
        for setting in SETTINGS {
            let argument = run.get_arguments().find(|argument| argument.get_long() == Some(setting.option));
            let argument = argument.expect("the test above says so");
            let defaults = argument.get_default_values();
            let default = defaults.first().and_then(|value| value.to_str());
            match (setting.form, default) {
                (Form::One(check), Some(default)) => {
                    assert_eq!(default, setting.default, "{}", setting.key);
                    assert_eq!(check(default), Ok(()), "{}", setting.key);
                }
                (Form::One(_), None) => assert!(
                    setting.default.starts_with("none") || setting.key == "zone.advertise",
                    "{}",
                    setting.key
                ),
                (Form::Many(_), _) => assert!(setting.default.starts_with("[]"), "{}", setting.key),
                (Form::Flag, _) => assert_eq!(setting.default, "false", "{}", setting.key),
            }
            let variable = argument.get_env().and_then(|name| name.to_str());
            assert_eq!(variable, setting.variable, "{}", setting.key);
        }
    }

    #[test]
    fn every_field_has_a_name_of_its_own_in_its_section() {
        let mut keys: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
        assert_eq!(sections().collect::<Vec<_>>(), ["node", "listen", "zone", "log", "files"]);
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), SETTINGS.len());
        assert!(
            SETTINGS.iter().all(|setting| setting.reason.ends_with('.') && !setting.reason.contains('|'))
        );
    }
}
