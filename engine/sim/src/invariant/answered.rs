//! When nothing is wrong any more, everything that was asked is answered.

use crate::history::History;

pub(crate) fn check(history: &History) -> Result<(), String> {
    let mut missing = history.requests.iter().filter(|request| request.answered.is_none());
    missing.next().map_or(Ok(()), |first| {
        Err(format!(
            "not answered, with {} more, though all is well since a minute: {first}",
            missing.count()
        ))
    })
}
