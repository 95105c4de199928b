//! What was seen does not vanish: a read shows nothing older than what an earlier read showed, and no counter goes back.

use super::acknowledged::Writes;
use crate::history::{History, Request};
use crate::node::Operation;

pub(crate) fn check(history: &History) -> Result<(), String> {
    for (_, requests) in history.by_key() {
        let writes = Writes::of(&requests);
        let mut seen = Vec::new();
        for read in requests.iter().filter(|request| matches!(request.what, Operation::Get(_))) {
            if let Some((at, value)) = read.answered
                && let Some(write) = writes.shown(value)?
            {
                seen.push((at, write));
            }
        }
        writes.check_reads(&requests, seen, "was seen")?;
        check_counter(&requests)?;
    }
    Ok(())
}

/// All that is added is more than nothing, so what was told once is the least that is told later.
fn check_counter(requests: &[&Request]) -> Result<(), String> {
    let counts = |request: &&&Request| matches!(request.what, Operation::Add(..) | Operation::Count(_));
    let told = |request: &Request| request.answered.map(|(at, value)| (at, value.unwrap_or(0)));
    let mut answered: Vec<_> =
        requests.iter().filter(counts).filter_map(|request| Some((told(request)?, *request))).collect();
    answered.sort_by_key(|((at, _), _)| *at);
    let mut answered = answered.into_iter().peekable();
    let mut most: Option<(i64, &Request)> = None;
    for request in requests.iter().filter(counts) {
        while let Some(((_, value), before)) = answered.next_if(|((at, _), _)| *at < request.asked_at) {
            most = most.filter(|(most, _)| *most >= value).or(Some((value, before)));
        }
        let adds = i64::from(matches!(request.what, Operation::Add(..)));
        if let (Some((_, value)), Some((most, before))) = (told(request), most)
            && value < most + adds
        {
            return Err(format!("a counter goes back: [{request}], after [{before}]"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::acknowledged::tests::{get, history, put};
    use super::*;

    #[test]
    fn what_was_seen_and_vanishes_is_found() {
        let reads = |first, second| {
            history(&[
                (put(1), 0, Some((10, None))),
                (put(2), 20, None),
                (get(), 30, Some((40, Some(first)))),
                (get(), 50, Some((60, Some(second)))),
            ])
        };
        assert_eq!(check(&reads(1, 2)), Ok(()));
        assert!(check(&reads(2, 1)).is_err());
    }

    #[test]
    fn a_counter_that_goes_back_or_stands_still_is_found() {
        let key = || "c".to_owned();
        let told = |asked_at, value| {
            let first = (Operation::Add(key(), 3), 0, Some((10, Some(3))));
            check(&history(&[first, (Operation::Count(key()), asked_at, Some((40, value)))]))
        };
        assert_eq!((told(20, Some(3)), told(5, None)), (Ok(()), Ok(())));
        assert!(told(20, Some(2)).is_err() && told(20, None).is_err());
        let twice = [
            (Operation::Add(key(), 3), 0, Some((10, Some(3)))),
            (Operation::Add(key(), 1), 20, Some((30, Some(3)))),
        ];
        assert!(check(&history(&twice)).is_err());
    }
}
