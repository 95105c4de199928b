//! Answers go only to who asked, where it asked.

use crate::history::Request;
use crate::node::Host;

pub(crate) fn check(
    host: Host,
    life: u32,
    client: u64,
    number: u64,
    request: Option<&Request>,
) -> Result<(), String> {
    let sent = request.is_some_and(|request| request.sent_to.contains(&(host, life)));
    match sent {
        true => Ok(()),
        false => {
            let name = host.name();
            Err(format!("{name} answers request {number} of client {client}, which was not asked there"))
        }
    }
}
