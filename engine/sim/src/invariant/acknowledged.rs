//! What was acknowledged is there: a read shows no value that an acknowledged write had replaced before it was asked for.

use std::collections::BTreeMap;

use crate::history::{History, Request};
use crate::node::Operation;

pub(crate) fn check(history: &History) -> Result<(), String> {
    for (_, requests) in history.by_key() {
        let writes = Writes::of(&requests);
        let acknowledged: Vec<_> =
            requests.iter().copied().filter(|request| !request.what.only_reads()).collect();
        let known = acknowledged.iter().filter_map(|write| Some((write.answered?.0, *write)));
        writes.check_reads(&requests, known.collect(), "was acknowledged")?;
    }
    Ok(())
}

/// The writes of one key, by the value that they leave; values of puts are put once.
pub(crate) struct Writes<'h> {
    puts: BTreeMap<i64, &'h Request>,
    deletes: Vec<&'h Request>,
}

impl<'h> Writes<'h> {
    pub(crate) fn of(requests: &[&'h Request]) -> Self {
        let mut writes = Writes { puts: BTreeMap::new(), deletes: Vec::new() };
        for request in requests {
            match request.what {
                Operation::Put(_, value) => drop(writes.puts.insert(value, request)),
                Operation::Delete(_) => writes.deletes.push(request),
                Operation::Add(..) | Operation::Get(_) | Operation::Count(_) => {}
            }
        }
        writes
    }

    /// The write whose effect a read shows, if that can be said.
    pub(crate) fn shown(&self, value: Option<i64>) -> Result<Option<&'h Request>, String> {
        match value {
            // By any of the deletes, or it was never there.
            None => Ok(None),
            Some(value) => match self.puts.get(&value) {
                Some(put) => Ok(Some(put)),
                None => Err(format!("value {value} was never put")),
            },
        }
    }

    /// When what a read shows was there at the latest for the first time: then its writer was answered. `None`: from the
    /// beginning.
    fn made_at(&self, value: Option<i64>) -> Result<Option<u64>, String> {
        let answered = |write: &Request| write.answered.map_or(u64::MAX, |(at, _)| at);
        Ok(match self.shown(value)? {
            Some(put) => Some(answered(put)),
            None => self.deletes.iter().map(|delete| answered(delete)).max(),
        })
    }

    /// Checks that no read shows what was replaced by a write that was known before the read was asked for; `known` has
    /// writes with the times since which that was so.
    pub(crate) fn check_reads(
        &self,
        requests: &[&Request],
        mut known: Vec<(u64, &Request)>,
        how: &str,
    ) -> Result<(), String> {
        known.sort_by_key(|(at, _)| *at);
        let mut known = known.into_iter().peekable();
        let mut newest: Option<&Request> = None;
        for read in requests {
            let (Operation::Get(_), Some((_, value))) = (&read.what, read.answered) else { continue };
            while let Some((_, write)) = known.next_if(|(at, _)| *at < read.asked_at) {
                newest = newest.filter(|newest| newest.asked_at >= write.asked_at).or(Some(write));
            }
            let made_at = self.made_at(value)?;
            if let Some(write) = newest.filter(|write| made_at.is_none_or(|at| at < write.asked_at)) {
                return Err(format!("a read shows what was replaced: [{read}], after this {how}: [{write}]"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What was asked, when, when it was answered, and with what.
    pub(crate) type Asked = (Operation, u64, Option<(u64, Option<i64>)>);

    pub(crate) fn history(requests: &[Asked]) -> History {
        let request = |(number, (what, asked_at, answered)): (u64, &Asked)| {
            let (what, asked_at, answered) = (what.clone(), *asked_at, *answered);
            Request { client: number, number, what, asked_at, answered, sent_to: Vec::new() }
        };
        History { requests: (1..).zip(requests).map(request).collect() }
    }

    pub(crate) fn put(value: i64) -> Operation {
        Operation::Put("k".to_owned(), value)
    }

    pub(crate) fn get() -> Operation {
        Operation::Get("k".to_owned())
    }

    #[test]
    fn a_read_of_what_an_acknowledged_write_replaced_is_found() {
        let read = |asked_at, value| {
            history(&[
                (put(1), 0, Some((10, None))),
                (put(2), 20, Some((30, None))),
                (get(), asked_at, Some((90, value))),
            ])
        };
        assert_eq!(check(&read(40, Some(2))), Ok(()));
        assert_eq!(check(&read(25, Some(1))), Ok(()), "the second was not acknowledged yet");
        assert!(check(&read(40, Some(1))).is_err());
        assert!(check(&read(40, None)).is_err());
        assert!(check(&read(40, Some(3))).is_err(), "it was never put");
    }

    #[test]
    fn a_delete_that_was_not_acknowledged_may_have_been_done() {
        let delete = Operation::Delete("k".to_owned());
        let wrote = (put(1), 0, Some((10, None)));
        assert_eq!(
            check(&history(&[wrote.clone(), (delete, 20, None), (get(), 40, Some((50, None)))])),
            Ok(())
        );
        assert!(check(&history(&[wrote, (get(), 40, Some((50, None)))])).is_err());
    }
}
