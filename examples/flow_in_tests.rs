//! How a host application tests a flow in its own test suite: with a golden script, and with a test in Rust.
//!
//! Both run on a `TestNode`: in one thread, with a clock that stands still until it is told. Copy the tests to your
//! `tests/`; `main` only shows what the script gives.
//!
//! ```text
//! cargo run  --example flow_in_tests
//! cargo test --example flow_in_tests
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::Path;

use anabranch::script;

/// The flow under test stands beside its script.
fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data"))
}

fn main() -> Result<(), script::ScriptError> {
    let outcome = script::run(directory().join("doors.script"))?;
    println!("{}", outcome.actual);
    println!("{} commands, {}", outcome.commands, if outcome.passed() { "passed" } else { "failed" });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anabranch::testing::TestNode;
    use anabranch::{Error, Flow, RefusalCode};
    use serde_json::json;

    use super::*;

    /// What the flow does, as a file that people read. `anabranch test --update doors.script` rewrites it.
    #[test]
    fn doors_do_what_their_script_says() -> Result<(), script::ScriptError> {
        let outcome = script::run(directory().join("doors.script"))?;
        assert!(outcome.passed(), "{}", outcome.diff());
        Ok(())
    }

    /// What is easier to say in Rust: here, that a card is locked out for just as long as it should be.
    #[test]
    fn a_locked_card_opens_again_after_a_minute() -> Result<(), Error> {
        let node = TestNode::start("A", 1, vec![Flow::read(directory().join("doors.flow"))?])?;
        let mut client = node.client();
        client.ask("IssueCard", &json!({ "card": 7, "pin": "1234" }))?;
        for _ in 0..3 {
            assert_eq!(client.send("OpenDoor", &[json!({ "card": 7, "pin": "0000" })])?.accepted, 1);
        }

        let right = [json!({ "card": 7, "pin": "1234" })];
        node.advance(Duration::from_secs(59));
        assert_eq!(client.send("OpenDoor", &right)?.refused[0].code, RefusalCode::Denied);
        node.advance(Duration::from_secs(1));
        let replies = client.ask("OpenDoor", &right[0])?;
        assert_eq!(replies[0].row.to_string(), r#"{"card":7,"open":true,"tries_left":3}"#);
        Ok(())
    }
}
