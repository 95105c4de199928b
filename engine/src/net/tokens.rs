//! Tokens: who may do what. The file has a line for each token, with its hash and never the token itself:
//!
//! ```text
//! # name     scopes        flows          hash of the token
//! ingest     write         names,orders   sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! dashboard  read          *              sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
//! ```
//!
//! Tokens are made by [`NewToken`], 256 bits from the operating system, so a plain SHA-256 is enough to keep them: there
//! is nothing to guess. A token is found by its hash. How long that takes tells something about the hash at most, from
//! which nobody gets to the token.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::access::{Scope, Scopes};
use crate::error::Error;
use crate::os;

/// Tokens of a file, at most.
const TOKENS_MAX: usize = 10_000;

/// Bytes of a token's name, at most: it stands in every audit line.
const TOKEN_NAME_BYTES_MAX: usize = 64;

/// Bytes of a token that are looked at, at most.
const TOKEN_BYTES_MAX: usize = 256;

/// What tokens begin with, so that they are found where they do not belong.
const TOKEN_MARK: &str = "anb_";

/// What hashes begin with.
const HASH_MARK: &str = "sha256:";

type Hash = [u8; 32];

/// The tokens that a node takes.
#[derive(Clone)]
pub struct Tokens {
    by_hash: Arc<HashMap<Hash, Arc<Grant>>>,
}

/// What the holder of a token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) name: String,
    pub(crate) scopes: Scopes,
    /// None: all flows.
    pub(crate) flows: Option<HashSet<String>>,
}

impl Tokens {
    /// Reads a file of tokens. It must not be readable by everybody.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read; [`Error::Secret`] with all that is wrong.
    pub fn read(path: &str) -> Result<Tokens, Error> {
        let text = os::read_secret(std::path::Path::new(path)).map_err(|error| unusable(path, error))?;
        Self::parse(path, &text)
    }

    /// The tokens of a text; `file` is its name for messages.
    ///
    /// # Errors
    /// [`Error::Secret`] with all that is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Tokens, Error> {
        let (mut by_hash, mut problems) = (HashMap::new(), Vec::new());
        let mut names = HashSet::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            match entry(line) {
                Err(wrong) => {
                    problems.extend(wrong.into_iter().map(|wrong| format!("line {number}: {wrong}")))
                }
                Ok((hash, grant)) => {
                    if !names.insert(grant.name.clone()) {
                        problems
                            .push(format!("line {number}: `{}` is a second token of this name", grant.name));
                    }
                    if by_hash.insert(hash, Arc::new(grant)).is_some() {
                        problems.push(format!("line {number}: the hash stands in the file twice"));
                    }
                }
            }
        }
        if by_hash.len() > TOKENS_MAX {
            problems.push(format!("it has {} tokens, {TOKENS_MAX} at most", by_hash.len()));
        }
        if by_hash.is_empty() && problems.is_empty() {
            problems.push("it has no token: make one with `anabranch token new`".into());
        }
        match problems.is_empty() {
            true => Ok(Tokens { by_hash: Arc::new(by_hash) }),
            false => Err(Error::Secret { path: file.to_owned(), problems }),
        }
    }

    /// What a token grants; nothing where it is none of these.
    pub(crate) fn grant(&self, token: &[u8]) -> Option<&Arc<Grant>> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        self.by_hash.get(&hash(token))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("count", &self.by_hash.len()).finish_non_exhaustive()
    }
}

/// A file that cannot be read.
pub(crate) fn unusable(path: &str, error: std::io::Error) -> Error {
    Error::File { path: path.to_owned(), error }
}

/// A line, or all that is wrong with it. The last word is told to nobody: it may be a token by mistake.
fn entry(line: &str) -> Result<(Hash, Grant), Vec<String>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, scopes, flows, hash] = words[..] else {
        return Err(vec![format!("write NAME SCOPES FLOWS HASH, four words; it has {}", words.len())]);
    };
    let mut problems = Vec::new();
    let mut keep = |problem: String| problems.push(problem);
    if let Err(problem) = check_name(name) {
        keep(problem);
    }
    let scopes = scopes.parse::<Scopes>().map_err(&mut keep).unwrap_or_default();
    let flows = flow_names(flows).map_err(&mut keep).unwrap_or_default();
    let hash = parse_hash(hash).map_err(&mut keep).unwrap_or_default();
    match problems.is_empty() {
        true => Ok((hash, Grant { name: name.to_owned(), scopes, flows })),
        false => Err(problems),
    }
}

/// Whether a token may be called so.
fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !name.is_empty() && name.len() <= TOKEN_NAME_BYTES_MAX && name.chars().all(fits) {
        true => Ok(()),
        false => Err(format!(
            "a name has letters, digits, `-`, `_` and `.`, at most {TOKEN_NAME_BYTES_MAX}; {name:?} is none"
        )),
    }
}

/// `*`, or names of flows.
fn flow_names(text: &str) -> Result<Option<HashSet<String>>, String> {
    if text == "*" {
        return Ok(None);
    }
    let names: HashSet<String> = text.split(',').map(str::to_owned).collect();
    match names.iter().any(|name| name.is_empty() || name == "*") {
        true => Err(format!("write `*` for all flows, or their names with `,` in between, not {text:?}")),
        false => Ok(Some(names)),
    }
}

fn parse_hash(text: &str) -> Result<Hash, String> {
    let wrong = || {
        let what = "the last word is the hash of a token, `sha256:` and 64 hexadecimal digits";
        format!("{what}, and never the token: `anabranch token new` prints the line")
    };
    let digits = text.strip_prefix(HASH_MARK).filter(|digits| digits.len() == 64).ok_or_else(wrong)?;
    let mut hash = Hash::default();
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'));
        *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(wrong)?;
    }
    Ok(hash)
}

fn hash(token: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, token).as_ref());
    hash
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A token that was just made: it is shown once and kept as a hash.
///
/// ```
/// use anabranch::{NewToken, Scope, Tokens};
///
/// let token = NewToken::make("ingest", &[Scope::Write], &["names"])?;
/// let tokens = Tokens::parse("tokens", token.line())?;
/// assert!(token.text().starts_with("anb_"));
/// assert!(!token.line().contains(token.text()));
/// # Ok::<(), anabranch::Error>(())
/// ```
pub struct NewToken {
    text: String,
    line: String,
}

impl NewToken {
    /// Makes a token; no flows mean all.
    ///
    /// # Errors
    /// [`Error::Secret`]: the name, the scopes or the flows cannot stand in a file, or the operating system has no
    /// random numbers.
    pub fn make(name: &str, scopes: &[Scope], flows: &[&str]) -> Result<NewToken, Error> {
        let problem = |problem: String| Error::Secret { path: "new token".into(), problems: vec![problem] };
        let mut bytes = [0; 32];
        let chance = SystemRandom::new().fill(&mut bytes);
        chance.map_err(|_| problem("the operating system gives no random numbers".into()))?;
        let text = format!("{TOKEN_MARK}{}", hexadecimal(&bytes));
        let apart = |c: char| c.is_whitespace() || c.is_control() || ",#".contains(c);
        if let Some(flow) = flows.iter().find(|flow| flow.is_empty() || **flow == "*" || flow.contains(apart))
        {
            let text = "a file of tokens cannot name it: spaces, `,` and `#` part what stands there; give the flow \
                        another name, or make a token for all flows";
            return Err(problem(format!("the flow {flow:?}: {text}")));
        }
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
        let flows = if flows.is_empty() { "*".to_owned() } else { flows.join(",") };
        let hash = hexadecimal(&hash(text.as_bytes()));
        let line = format!("{name} {} {flows} {HASH_MARK}{hash}", scopes.join(","));
        Tokens::parse("new token", &line)?;
        Ok(NewToken { text, line })
    }

    /// The token, for its holder.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line for the file of the node.
    pub fn line(&self) -> &str {
        &self.line
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("line", &self.line).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        match Tokens::parse("tokens", text) {
            Err(Error::Secret { problems, .. }) => problems,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_is_found_and_another_is_not() {
        let token = NewToken::make("a", &[Scope::Read, Scope::Deploy], &["names"]).unwrap();
        let text = format!("# tokens\n\n{}  # made today\n", token.line());
        let tokens = Tokens::parse("tokens", &text).unwrap();
        let grant = tokens.grant(token.text().as_bytes()).expect("it is there");
        assert_eq!((grant.name.as_str(), grant.scopes.to_string().as_str()), ("a", "read,deploy"));
        for forged in ["", "anb_", &token.text()[1..], &format!("{}0", token.text()), token.line()] {
            assert!(tokens.grant(forged.as_bytes()).is_none(), "{forged}");
        }
        assert!(tokens.grant(&vec![b'a'; TOKEN_BYTES_MAX + 1]).is_none());
    }

    #[test]
    fn all_mistakes_are_told_at_once_and_no_token_with_them() {
        let good = NewToken::make("good", &[Scope::Read], &[]).unwrap();
        let text = format!(
            "{line}\n{line}\nthree words only\na/b rread a,,b {token}\n",
            line = good.line(),
            token = good.text()
        );
        let problems = problems(&text);
        let lines: Vec<&str> = problems.iter().map(|problem| &problem[..6]).collect();
        assert_eq!(
            lines,
            ["line 2", "line 2", "line 3", "line 4", "line 4", "line 4", "line 4"],
            "{problems:#?}"
        );
        assert!(!problems.concat().contains(good.text()), "{problems:#?}");
        assert!(problems[4].contains("`read`, `write`, `deploy` or `admin`"), "{problems:#?}");
    }

    #[test]
    fn flows_that_a_file_cannot_name_are_refused() {
        for flow in ["my flow", "a,b", "a#b", "*", "", "a\nb"] {
            let made = NewToken::make("t", &[Scope::Read], &["names", flow]);
            let told = made.expect_err("it does not fit").to_string();
            assert!(told.contains("cannot name it") && !told.contains('\n'), "{told}");
        }
    }

    #[test]
    fn a_file_without_tokens_is_refused() {
        assert!(problems("# nothing\n")[0].contains("anabranch token new"));
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let token = NewToken::make("a", &[Scope::Read], &[]).unwrap();
        assert!(!format!("{token:?}").contains(token.text()));
    }
}
