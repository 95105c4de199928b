//! Which node owns which name, and single writes with their times.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anabranch::{Client, Error};
use anabranch_model::key;
use anabranch_model::partition::{partition_hash, partition_of};
use anabranch_model::types::Type;
use anabranch_model::value::Value;
use serde_json::json;

use crate::members::{Members, wait};
use crate::process::Failure;
use crate::zone::WHOLE_WITHIN;

/// Partitions of the table, and of the zone.
pub(super) const PARTITIONS: u32 = 64;

/// Names among which those of a node are looked for.
const NAMES: u32 = 2048;

/// The partition of a name.
pub(super) fn partition(name: &str) -> u32 {
    let mut bytes = Vec::new();
    let column = (Value::Text(name.into()), &Type::Text);
    key::of_values([column].into_iter(), &mut bytes).expect("a text is a key");
    partition_of(partition_hash(&bytes), PARTITIONS).0
}

/// The owner of each partition.
///
/// # Errors
/// No node tells.
pub(super) fn owners(members: &Members) -> Result<Vec<String>, Failure> {
    let standing = members.standing().map_err(Failure::World)?;
    let partitions = standing["partitions"].as_array().cloned().unwrap_or_default();
    let owner =
        |partition: &serde_json::Value| partition["active_node"].as_str().unwrap_or_default().to_owned();
    let owners: Vec<String> = partitions.iter().map(owner).collect();
    match owners.len() == PARTITIONS as usize {
        true => Ok(owners),
        false => Err(Failure::Violation(format!("the zone has {} partitions", owners.len()))),
    }
}

/// Names that a node owns.
///
/// # Errors
/// No node tells.
pub(super) fn names_of(members: &Members, node: &str) -> Result<Vec<String>, Failure> {
    let owners = owners(members)?;
    let names = (0..NAMES).map(|number| format!("name-{number}"));
    Ok(names.filter(|name| owners[partition(name) as usize] == node).collect())
}

/// Waits until a node owns half of the partitions.
///
/// # Errors
/// It does not come to that.
pub(super) fn until_even(members: &Members, node: &str) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        match owners(members) {
            Ok(owners) if owners.iter().filter(|owner| *owner == node).count() as u32 == PARTITIONS / 2 => {
                return Ok(());
            }
            _ if began.elapsed() > WHOLE_WITHIN => {
                return Err(Failure::Violation("ownership does not even out".to_owned()));
            }
            _ => wait(Duration::from_millis(20)),
        }
    }
}

/// A write, when it was sent and when it was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    pub(super) sent: Instant,
    pub(super) answered: Instant,
}

impl Write {
    /// How long it took.
    pub(super) fn took(&self) -> Duration {
        self.answered - self.sent
    }
}

/// Writes the value of a name.
///
/// # Errors
/// As the client.
pub(super) fn write(client: &mut Client, name: &str) -> Result<Write, Error> {
    let sent = Instant::now();
    client.ask("UpdateStream", &json!({ "name": name, "value": "value-xxxxxxxxxxxxxxxxxx" }))?;
    Ok(Write { sent, answered: Instant::now() })
}

/// Writes names by turns, one at a time, until it is told to stop.
///
/// # Errors
/// As the client.
pub(super) fn write_on(
    client: &mut Client,
    names: &[String],
    stop: &AtomicBool,
) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    for name in names.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        writes.push(write(client, name)?);
    }
    Ok(writes)
}
