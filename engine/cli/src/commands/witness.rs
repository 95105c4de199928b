//! `anabranch witness`: a node with a vote in its zone and no rows.

use std::path::PathBuf;

use anabranch::{Listen, Node, ZoneRole};
use clap::Args;

use crate::address::{self, Address};
use crate::client::stop::Stop;
use crate::failure::Failure;
use crate::log::LogOptions;
use crate::run::exposure::Exposure;
use crate::run::options::node_name;
use crate::run::zone::ZonePlace;
use crate::{os, output};

/// Run a witness: a node with a vote in a zone and no rows
#[derive(Args, Debug)]
#[command(after_help = "\
Two nodes with rows cannot decide which of them goes on when one is lost: half of the votes are no majority. A witness is
the third vote, in a small process that belongs on a machine of its own. Three nodes with rows need none.

The witness prints one line that begins with `ready`, and runs until Ctrl-C or SIGTERM.

Examples:
  anabranch witness --zone demo --listen 127.0.0.1:7403 --join 127.0.0.1:7401

Exit codes: 0 it ended as it was told to, 2 the command line is wrong, 3 a file cannot be read or an address cannot be had.")]
pub(crate) struct Witness {
    /// The zone
    #[arg(long, value_name = "NAME", value_parser = node_name)]
    zone: String,
    /// Where other nodes of the zone, and the commands of this program, reach it
    #[arg(long, value_name = "ADDR", value_parser = address::grpc)]
    listen: Address,
    /// Its name
    #[arg(long, default_value = "witness", value_name = "NAME", value_parser = node_name)]
    node: String,
    /// Keep its votes in this directory, so that it is the same one when it
    /// starts again. Without it it joins anew
    #[arg(long, value_name = "DIR", verbatim_doc_comment)]
    data: Option<PathBuf>,
    #[command(flatten)]
    place: ZonePlace,
    #[command(flatten)]
    exposure: Exposure,
    #[command(flatten)]
    log: LogOptions,
}

impl Witness {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let insecure = self.exposure.insecure();
        let zone = self.place.config(&self.zone, ZoneRole::Witness, Some(&self.listen), insecure)?;
        self.log.begin();
        let mut builder = Node::builder(&self.node).zone(zone);
        if let Some(directory) = &self.data {
            builder = builder.data(directory);
        }
        let stop = Stop::listen()?;
        let node = builder.start()?;
        let Address { host, port } = &self.listen;
        let grpc = os::resolve(host, *port)
            .map_err(|error| Failure::world(format!("cannot listen at {}: {error}", self.listen)))?;
        let server = node.serve(&self.exposure.applied(Listen { grpc: Some(grpc), ..Listen::default() })?)?;
        let at = server.grpc().unwrap_or(grpc);
        output::print(&format!("ready witness={} zone={} listen={at}\n", self.node, self.zone))?;
        stop.wait();
        drop(server);
        Ok(node.stop()?)
    }
}
