//! How the program ends when it does not end well: what was tried, what is wrong, what to do, and an exit code.

use std::io;
use std::process::ExitCode;

use anabranch::Error;
use anabranch_lang::suggest::closest;

use crate::output;

/// The exit codes other than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// A file is wrong, or a test failed.
    Wrong = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The world is in the way: files, threads.
    World = 3,
}

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// To be told.
    Says {
        /// The exit code.
        exit: Exit,
        /// What was tried and what is wrong.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// Everything has been said already.
    Told(Exit),
    /// Who read standard output has had enough (`| head`): no reason to complain.
    NobodyReads,
}

impl Failure {
    /// A file is wrong.
    pub(crate) fn wrong(message: impl Into<String>) -> Self {
        Failure::Says { exit: Exit::Wrong, message: message.into(), help: None }
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::Says { exit: Exit::Usage, message: message.into(), help: None }
    }

    /// The world is in the way.
    pub(crate) fn world(message: impl Into<String>) -> Self {
        Failure::Says { exit: Exit::World, message: message.into(), help: None }
    }

    /// Everything has been said already.
    pub(crate) fn told(exit: Exit) -> Self {
        Failure::Told(exit)
    }

    /// A file that could not be read (`verb` is "read") or written.
    pub(crate) fn file(verb: &str, path: &str, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        let failure = Failure::world(format!("cannot {verb} `{path}`: {why}"));
        match error.kind() {
            io::ErrorKind::IsADirectory => failure.help("name a file in it"),
            _ => failure,
        }
    }

    /// What is wrong, where it was not said already.
    pub(crate) fn says(&self) -> Option<&str> {
        match self {
            Failure::Says { message, .. } => Some(message),
            Failure::Told(_) | Failure::NobodyReads => None,
        }
    }

    /// Says what to do.
    pub(crate) fn help(self, text: impl Into<String>) -> Self {
        match self {
            Failure::Says { exit, message, .. } => Failure::Says { exit, message, help: Some(text.into()) },
            other => other,
        }
    }

    /// Writes it to standard error and gives the exit code.
    pub(crate) fn tell(self) -> ExitCode {
        match self {
            Failure::NobodyReads => ExitCode::SUCCESS,
            Failure::Told(exit) => ExitCode::from(exit as u8),
            Failure::Says { exit, message, help } => {
                output::error(&message, help.as_deref());
                ExitCode::from(exit as u8)
            }
        }
    }
}

/// Of several files: the worst exit code, told at the end.
#[derive(Debug, Default)]
pub(crate) struct Worst(Option<Exit>);

impl Worst {
    /// Takes note of an exit code.
    pub(crate) fn note(&mut self, exit: Exit) {
        self.0 = self.0.max(Some(exit));
    }

    /// Tells a failure now, and goes on. Ends when nobody reads any more.
    pub(crate) fn tell(&mut self, failure: Failure) -> Result<(), Failure> {
        let exit = match &failure {
            Failure::NobodyReads => return Err(failure),
            Failure::Says { exit, .. } | Failure::Told(exit) => *exit,
        };
        failure.tell();
        self.note(exit);
        Ok(())
    }

    /// The exit code of all.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        self.0.map_or(Ok(()), |exit| Err(Failure::Told(exit)))
    }
}

/// A name or a value on the command line that the node does not take is a mistake of the command line; the rest is
/// the world.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match &error {
            Error::Unknown { .. } | Error::Ambiguous { .. } | Error::IdempotencyKey { .. } => Exit::Usage,
            Error::Problem { code, .. } if code == "unknown" => Exit::Usage,
            Error::Problem { code, .. } if code == "invalid" => Exit::Wrong,
            Error::Evolution(_) | Error::Secret { .. } => Exit::Wrong,
            Error::Exposed { .. } | Error::Unprotected { .. } | Error::Unfit { .. } => Exit::Usage,
            Error::Flow(_) | Error::Row(_) | Error::Key { .. } | Error::Refused(_) => Exit::Wrong,
            _ => Exit::World,
        };
        let help = match &error {
            Error::Unknown { name, known, .. } => closest(name, known.iter().map(String::as_str)),
            _ => None,
        };
        let help = match &error {
            Error::Connect { .. } => Some(
                "is a node running there with `--listen`? Its `ready` line says where it listens; name that with \
                 `--at HOST:PORT` or in ANABRANCH_AT"
                    .to_owned(),
            ),
            Error::Unprotected { .. } => {
                Some("--tls, or --ca-file FILE with the node's authority; or --insecure".to_owned())
            }
            Error::Exposed { .. } => Some(
                "--tls-cert FILE --tls-key FILE --tokens FILE; `anabranch token new` makes tokens, engine/SECURITY.md \
                 shows how to make a certificate; or --insecure"
                    .to_owned(),
            ),
            Error::Denied(_) => Some(
                "give the token with --token-file FILE or in ANABRANCH_TOKEN; `anabranch token new` makes one for \
                 whoever runs the node"
                    .to_owned(),
            ),
            Error::Listen { .. } => Some(
                "choose another port, or port 0 for a free one; the host must be an address of this machine"
                    .to_owned(),
            ),
            _ => help.map(|near| format!("did you mean `{near}`?")),
        };
        Failure::Says { exit, message: error.to_string(), help }
    }
}
