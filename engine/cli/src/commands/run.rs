//! `anabranch run`: a node that runs flows.

use std::path::PathBuf;
use std::time::Duration;

use anabranch::{Client, Flow, Listen, Node, Server};
use clap::Args;
use serde_json::json;

use crate::address::{self, Address};
use crate::commands::status::tell_degraded;
use crate::failure::{Failure, Worst};
use crate::log::LogOptions;
use crate::os;
use crate::output::{self, Output};
use crate::run::exposure::Exposure;
use crate::run::feed::Feed;
use crate::run::options::{LineOptions, PlayOption, TableOption, bytes, node_name, workers};
use crate::run::play::Play;
use crate::run::prints::Prints;
use crate::run::recovering;
use crate::run::session::{Session, Until};
use crate::run::summary::Summary;
use crate::run::tables;
use crate::run::zone::ZoneOptions;
use crate::source::Source;

/// Run flows on a node, and play files into them
#[derive(Args, Debug)]
#[command(after_help = "\
The node prints one line that begins with `ready` once it serves, and serves until Ctrl-C or SIGTERM; then it answers
what is under way and prints a summary. With --exit it ends when all files are through.

Clients reach it over the network at the addresses of --listen and --http, which the `ready` line names. Port 0 takes a
free one. Without a host, as in `:7171`, only this machine reaches it; all addresses of the machine are 0.0.0.0:7171,
which needs --tls-cert, --tls-key and --tokens, or --insecure.

Examples:
  anabranch run names.flow --listen :7171 --http :7172
  anabranch run names.flow --play UpdateStream=names.csv --table QueryTable --exit
  anabranch run names.flow --play UpdateStream=names.csv --play ReadStream=asked.ndjson --print OutputStream --exit
  tail -f asked.ndjson | anabranch run names.flow --play ReadStream=- --print OutputStream --print errors
  anabranch run names.flow orders.flow --workers 2 --play names.UpdateStream=names.csv
  anabranch run names.flow --node A --zone demo --listen 127.0.0.1:7401
  anabranch run names.flow --node B --zone demo --listen 127.0.0.1:7402 --join 127.0.0.1:7401
  anabranch run --config node.toml --node C

With --json every line on standard output is an object: {\"ready\":..}, {\"stream\":..,\"row\":..},
{\"table\":..,\"row\":..} and at the end {\"summary\":..}.

Exit codes: 0 all is well (rows that the flow refused are counted, and are no failure), 1 a flow file does not compile
or a file of rows has a bad line that stops, 2 there is no such stream or table, 3 a file cannot be read
or an address cannot be had.")]
pub(crate) struct Run {
    /// Flow files; none is needed where others can be deployed to the node.
    /// Where the data directory has a newer revision of one, that runs on; one
    /// that was dropped is installed again, without rows
    #[arg(required_unless_present_any = ["listen", "http", "data", "flow"], value_name = "FILE", verbatim_doc_comment)]
    files: Vec<String>,
    /// Take what is not said here from this node file (TOML); `anabranch config
    /// check` shows what one comes to, engine/CONFIG.md what can stand in it
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    config: Option<String>,
    /// The flow files of the node file
    #[arg(long, hide = true, value_name = "FILE")]
    flow: Vec<String>,
    /// The node's name
    #[arg(long, default_value = "A", value_name = "NAME", value_parser = node_name)]
    node: String,
    /// Worker threads; partitions are spread over them
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = workers, allow_hyphen_values = true)]
    workers: u32,
    /// Keep what the node does in this directory: what it has acknowledged is
    /// there when it starts again, with the flows that ran. Without it the node
    /// is in memory
    #[arg(long, value_name = "DIR", verbatim_doc_comment)]
    data: Option<PathBuf>,
    /// Take a snapshot after so many bytes of journal; a node that starts reads
    /// the newest snapshot and the journal behind it
    #[arg(long, requires = "data", default_value = "256MiB", value_name = "BYTES", value_parser = bytes,
          verbatim_doc_comment)]
    snapshot_after: u64,
    /// Serve the commands below and other gRPC clients at this address
    #[arg(long, value_name = "ADDR", value_parser = address::grpc)]
    listen: Option<Address>,
    /// Serve HTTP clients at this address
    #[arg(long, value_name = "ADDR", value_parser = address::http)]
    http: Option<Address>,
    #[command(flatten)]
    zone: ZoneOptions,
    #[command(flatten)]
    exposure: Exposure,
    /// Send the rows of a file to an input stream, one file after the other:
    /// .csv with a header line; .ndjson, .jsonl, .json with an object a line;
    /// `-` is standard input, an object a line
    #[arg(long, value_name = "INPUT=FILE", verbatim_doc_comment)]
    play: Vec<PlayOption>,
    /// Print the rows of an output stream as they come; `errors` are the
    /// rows that the flow refused
    #[arg(long, value_name = "OUTPUT", verbatim_doc_comment)]
    print: Vec<String>,
    /// Print the first rows of a table in key order at the end: 10, or ROWS
    #[arg(long, value_name = "TABLE[=ROWS]")]
    table: Vec<TableOption>,
    /// End when all files are through
    #[arg(long)]
    exit: bool,
    #[command(flatten)]
    lines: LineOptions,
    #[command(flatten)]
    log: LogOptions,
    /// Count what each operator of a flow does, for `status` and /metrics;
    /// it costs some of the rate of small requests
    #[arg(long, verbatim_doc_comment)]
    profile: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// How long a node waits for its zone before it says what for.
const WAITS_QUIETLY: Duration = Duration::from_secs(2);

/// Waits until the node serves, and says what for.
fn wait_for_zone(node: &Node) -> Result<(), Failure> {
    let mut told = None;
    while !node.wait_until_ready(WAITS_QUIETLY)? {
        let waits = node.zone().and_then(|zone| zone.waits);
        if let Some(waits) = waits.filter(|waits| told.as_ref() != Some(waits)) {
            output::message(&format!("waiting for the zone: {waits}"));
            told = Some(waits);
        }
    }
    Ok(())
}

impl Run {
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        if self.files.is_empty() {
            self.files = std::mem::take(&mut self.flow);
        }
        self.check_standard_input()?;
        let zone = self.zone.config(self.listen.as_ref(), self.exposure.insecure())?;
        let flows = self.flows()?;
        self.log.begin();
        let mut builder = Node::builder(&self.node).workers(self.workers).profile(self.profile);
        if let Some(at_least) = self.log.slow_request {
            builder = builder.slow_requests(at_least);
        }
        if let Some(directory) = &self.data {
            let recovering = recovering::teller();
            builder = builder.data(directory).snapshot_after(self.snapshot_after).on_recovery(recovering);
        }
        let builder = match zone {
            Some(zone) => builder.zone(zone),
            None => builder,
        };
        let node = flows.into_iter().fold(builder, |builder, flow| builder.flow(flow)).start()?;
        let in_zone = node.is_in_zone();
        let mut server = if in_zone { self.serve(&node)? } else { None };
        if in_zone {
            wait_for_zone(&node)?;
        }
        let names: Vec<String> = node.flows().iter().map(|flow| flow.name().to_owned()).collect();
        let mut client = node.client();

        // Everything that can be wrong is looked at before the first row is sent.
        let mut worst = Worst::default();
        let plays = self.plays(&mut client, &mut worst)?;
        let prints = Prints::subscribe(&node, &self.print, self.json, &mut worst)?;
        tables::check(&mut client, &self.table, &mut worst)?;
        worst.finish()?;

        let mut session = Session::new(client, &plays, prints, self.lines.on_bad_line);
        let feed = Feed::start(plays)?;
        if !in_zone {
            server = self.serve(&node)?;
        }
        tell_degraded(&node.status());
        self.ready(&names, server.as_ref())?;
        let until = if self.exit { Until::AllRead } else { Until::Asked };
        let ended = session.run(&feed, until);
        if let Err(Failure::NobodyReads) = ended {
            return ended;
        }
        // Clients are answered what is under way, and no longer let in.
        drop(server);
        self.finish(node, session)?;
        ended
    }

    /// Standard input can be read once.
    fn check_standard_input(&self) -> Result<(), Failure> {
        let plays = self.play.iter().filter(|play| play.file == "-").count();
        match plays + self.files.iter().filter(|file| *file == "-").count() {
            0 | 1 => Ok(()),
            _ => Err(Failure::usage("standard input, `-`, is named twice").help("name it once")),
        }
    }

    /// The flows; everything that is wrong with them is told.
    fn flows(&self) -> Result<Vec<Flow>, Failure> {
        let mut worst = Worst::default();
        let mut flows: Vec<Flow> = Vec::new();
        for file in &self.files {
            let flow = match Source::read(file).and_then(|source| source.flow()) {
                Ok(flow) => flow,
                Err(failure) => {
                    worst.tell(failure)?;
                    continue;
                }
            };
            if let Some(other) = flows.iter().find(|other| other.name() == flow.name()) {
                let (name, first) = (flow.name(), &other.plan().file);
                let failure = Failure::wrong(format!("`{first}` and `{file}` are both called flow `{name}`"));
                worst.tell(failure.help("a node runs every flow once; give one of them another name"))?;
            }
            flows.push(flow);
        }
        worst.finish()?;
        Ok(flows)
    }

    /// The files to play, open.
    fn plays(&self, client: &mut Client, worst: &mut Worst) -> Result<Vec<Play>, Failure> {
        let extra = self.lines.extra_columns();
        let mut plays = Vec::new();
        for option in &self.play {
            let opened = client.batch(&option.input).map_err(Failure::from);
            match opened.and_then(|mut empty| Play::open(option, &mut empty, extra)) {
                Ok(play) => plays.push(play),
                Err(failure) => worst.tell(failure)?,
            }
        }
        Ok(plays)
    }

    /// The servers for clients over the network, where they are wanted.
    fn serve(&self, node: &Node) -> Result<Option<Server>, Failure> {
        let resolve = |address: &Option<Address>| {
            let Some(address) = address else { return Ok(None) };
            let found = os::resolve(&address.host, address.port);
            found.map(Some).map_err(|error| Failure::world(format!("cannot listen at {address}: {error}")))
        };
        let (grpc, http) = (resolve(&self.listen)?, resolve(&self.http)?);
        let listen = self.exposure.applied(Listen { grpc, http, ..Listen::default() })?;
        match listen {
            Listen { grpc: None, http: None, .. } => Ok(None),
            listen => Ok(Some(node.serve(&listen)?)),
        }
    }

    fn ready(&self, flows: &[String], server: Option<&Server>) -> Result<(), Failure> {
        let (node, workers) = (&self.node, self.workers);
        let listens = [("listen", server.and_then(Server::grpc)), ("http", server.and_then(Server::http))];
        let listens = listens.iter().filter_map(|(name, address)| Some((*name, (*address)?)));
        if self.json {
            let (node, flows) = (json!(node), json!(flows));
            let listens: String =
                listens.map(|(name, address)| format!(",\"{name}\":\"{address}\"")).collect();
            let ready = format!("{{\"node\":{node},\"workers\":{workers},\"flows\":{flows}{listens}}}");
            return output::print(&format!("{{\"ready\":{ready}}}\n"));
        }
        let listens: String = listens.map(|(name, address)| format!(" {name}={address}")).collect();
        output::print(&format!("ready node={node} workers={workers} flows={}{listens}\n", flows.join(",")))
    }

    /// Stops the node, then prints what is left to say.
    fn finish(&self, node: Node, session: Session) -> Result<(), Failure> {
        let (mut client, files, played, prints) = session.into_parts();
        let tables = tables::read(&mut client, &node, &self.table)?;
        let status = node.status();
        drop(client);
        node.stop()?;
        prints.finish()?;
        let mut out = Output::new();
        if !self.json {
            out.line("")?;
        }
        tables.iter().try_for_each(|table| table.print(&mut out, self.json))?;
        Summary::new(Some(status), files, played).print(&mut out, self.json)?;
        out.flush()
    }
}
