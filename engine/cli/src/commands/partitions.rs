//! `anabranch partitions`: who serves what in a zone.

use anabranch::{Error, ZonePartitionStatus, ZoneStatus};
use clap::Args;

use crate::client::at::At;
use crate::client::zone;
use crate::failure::Failure;
use crate::{output, zone_tables};

/// List the partitions of a zone with their owners and copies, as one of its nodes sees them
#[derive(Args, Debug)]
#[command(after_help = "\
A partition is `active`, `moving` to another node, or `unavailable`. Behind the node that serves it stand those that hold a
copy, in the order in which they would take over: `B:synchronous` has all that was acknowledged, `B:catching_up-120` is 120
records behind, `B:lost` is not there. How far copies are behind is known to the node that serves the partition.

Examples:
  anabranch partitions
  anabranch partitions --node B          what B serves or has a copy of
  anabranch partitions demo_VP_7

With --json every partition is a line.

Exit codes: 0 printed, 1 the node is in no zone, 2 there is no such node or partition, 3 the node cannot be reached or does
not allow it.")]
pub(crate) struct Partitions {
    /// Print this one only
    #[arg(value_name = "PARTITION")]
    partition: Option<String>,
    /// Print those that this node serves or has a copy of
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    #[command(flatten)]
    at: At,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl Partitions {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let status = zone::of(&self.at)?;
        let chosen = self.chosen(&status)?;
        if self.json {
            return zone::print_json(chosen);
        }
        output::print(&zone_tables::partitions(chosen).render())?;
        zone::tell_trouble(&status);
        Ok(())
    }

    fn chosen<'s>(&self, status: &'s ZoneStatus) -> Result<Vec<&'s ZonePartitionStatus>, Failure> {
        if let Some(node) = self.node.as_ref().filter(|node| status.nodes.iter().all(|of| of.node != **node))
        {
            let known = status.nodes.iter().map(|of| of.node.clone()).collect();
            return Err(Error::Unknown { what: "node", name: node.clone(), known }.into());
        }
        let is_it =
            |of: &&ZonePartitionStatus| self.partition.as_ref().is_none_or(|name| of.partition == *name);
        let named: Vec<&ZonePartitionStatus> = status.partitions.iter().filter(is_it).collect();
        if let Some(name) = self.partition.as_ref().filter(|_| named.is_empty()) {
            let first = ZonePartitionStatus::name_of(&status.zone, 0);
            let failure = Failure::usage(format!("there is no partition `{name}` in zone `{}`", status.zone));
            return Err(
                failure.help(format!("they are called `{first}` and so on; leave the name out for all"))
            );
        }
        let is_at = |of: &&ZonePartitionStatus| match &self.node {
            None => true,
            Some(node) => {
                of.active_node.as_ref() == Some(node) || of.replicas.iter().any(|copy| copy.node == *node)
            }
        };
        Ok(named.into_iter().filter(is_at).collect())
    }
}
