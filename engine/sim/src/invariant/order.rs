//! What one client asks of one key is done in the order in which it asked, though it does not wait for answers.

use std::collections::BTreeMap;

use crate::history::{History, Request};
use crate::node::Operation;

pub(crate) fn check(history: &History) -> Result<(), String> {
    for (_, requests) in history.by_key() {
        let mut clients: BTreeMap<u64, Vec<&Request>> = BTreeMap::new();
        for request in requests {
            clients.entry(request.client).or_default().push(request);
        }
        clients.values().try_for_each(|requests| check_client(requests))?;
    }
    Ok(())
}

fn check_client(requests: &[&Request]) -> Result<(), String> {
    // Values that the client has put and has replaced since.
    let (mut replaced, mut last): (Vec<i64>, Option<i64>) = (Vec::new(), None);
    let mut counted = 0;
    for request in requests {
        let told = request.answered.map(|(_, value)| value);
        match (&request.what, told) {
            (Operation::Put(_, value), _) => replaced.extend(last.replace(*value)),
            (Operation::Delete(_), _) => replaced.extend(last.take()),
            (Operation::Get(_), Some(Some(value))) if replaced.contains(&value) => {
                return Err(format!("a client reads what it had replaced before: [{request}]"));
            }
            (Operation::Add(_, by), Some(value)) => {
                if value.unwrap_or(0) < counted + by {
                    return Err(format!(
                        "an addition is not done in its turn, {counted} was told before: [{request}]"
                    ));
                }
                counted = value.unwrap_or(0);
            }
            (Operation::Count(_), Some(value)) => {
                if value.unwrap_or(0) < counted {
                    return Err(format!(
                        "a count is not told in its turn, {counted} was told before: [{request}]"
                    ));
                }
                if !request.floats() {
                    counted = value.unwrap_or(0);
                }
            }
            (Operation::Get(_) | Operation::Add(..) | Operation::Count(_), _) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::acknowledged::tests::{get, history, put};
    use super::*;

    fn of_one_client(requests: &[(Operation, Option<i64>)]) -> History {
        let requests: Vec<_> =
            requests.iter().map(|(what, value)| (what.clone(), 0, Some((100, *value)))).collect();
        let mut history = history(&requests);
        history.requests.iter_mut().for_each(|request| request.client = 1);
        history
    }

    #[test]
    fn what_is_done_out_of_its_turn_is_found() {
        assert_eq!(check(&of_one_client(&[(put(1), None), (put(2), None), (get(), Some(2))])), Ok(()));
        assert_eq!(check(&of_one_client(&[(put(1), None), (get(), Some(9)), (put(2), None)])), Ok(()));
        assert!(check(&of_one_client(&[(put(1), None), (put(2), None), (get(), Some(1))])).is_err());
        let add = |by| Operation::Add("c".to_owned(), by);
        assert_eq!(check(&of_one_client(&[(add(1), Some(1)), (add(2), Some(3))])), Ok(()));
        assert!(check(&of_one_client(&[(add(1), Some(3)), (add(2), Some(2))])).is_err());
    }
}
