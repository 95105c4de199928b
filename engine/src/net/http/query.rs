//! The parameters behind the `?` of an address.

use anabranch_model::message::Reads;

use super::problem::Problem;
use super::target::decode;

/// Parameters, decoded, in their order.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads parameters, all of which must be known: a misspelt one would be ignored without a word.
    pub(super) fn parse(text: Option<&str>, known: &[&str]) -> Result<Query, Problem> {
        let mut parameters = Vec::new();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, true)?;
            if !known.contains(&name.as_str()) {
                let help = match anabranch_lang::suggest::closest(&name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.is_empty() => "leave out what is behind the `?`".to_owned(),
                    None => format!("there is `{}`", known.join("`, `")),
                };
                let name = anabranch_model::convert::shown(&name);
                return Err(Problem::invalid(format!("there is no parameter {name}"), help));
            }
            parameters.push((name, decode(value, true)?));
        }
        Ok(Query(parameters))
    }

    /// The values of a parameter that may stand several times.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(of, _)| of == name).map(|(_, value)| value.as_str()).collect()
    }

    /// What a reader is content with.
    pub(super) fn reads(&self) -> Result<Reads, Problem> {
        match self.all("read").as_slice() {
            [] | ["safe"] => Ok(Reads::Safe),
            ["stale"] => Ok(Reads::Stale),
            [other] => Err(Problem::invalid(
                format!("`read` is {}, not `safe` or `stale`", anabranch_model::convert::shown(other)),
                "leave it out, or write `read=stale` for an answer that does not wait for the disk",
            )),
            several => Err(Problem::invalid(
                format!("`read` is given {} times", several.len()),
                "write it once, such as `read=stale`",
            )),
        }
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let wrong = |found: &str| {
            Problem::invalid(
                format!("`{name}` is {}, not a whole number", anabranch_model::convert::shown(found)),
                format!("write it such as `{name}=10`"),
            )
        };
        match self.all(name).as_slice() {
            [] => Ok(None),
            [only] => only.parse().map(Some).map_err(|_| wrong(only)),
            several => Err(Problem::invalid(
                format!("`{name}` is given {} times", several.len()),
                format!("write it once, such as `{name}=10`"),
            )),
        }
    }
}
