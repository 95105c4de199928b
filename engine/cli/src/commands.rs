//! The commands, one a file: its arguments with their help, and what it does.

mod ask;
mod check;
mod completions;
mod config;
mod demo;
mod deploy;
mod drop;
mod explain;
mod flows;
mod fmt;
mod log;
mod new;
mod nodes;
mod partitions;
mod plan;
mod play;
mod query;
mod run;
mod send;
mod status;
mod table;
mod test;
mod token;
mod watch;
mod witness;
mod zone;

use clap::Subcommand;

use crate::failure::Failure;

/// What the program can do.
#[derive(Subcommand, Debug)]
pub(crate) enum Commands {
    Demo(demo::Demo),
    New(new::New),
    Check(check::Check),
    Fmt(fmt::Fmt),
    Plan(plan::Plan),
    Explain(explain::Explain),
    Run(Box<run::Run>),
    Witness(Box<witness::Witness>),
    Test(test::Test),
    Send(send::Send),
    Ask(ask::Ask),
    Play(play::Play),
    Table(table::Table),
    Watch(watch::Watch),
    Query(query::Query),
    Deploy(deploy::Deploy),
    Flows(flows::Flows),
    Drop(drop::Drop),
    Status(status::Status),
    Nodes(nodes::Nodes),
    Partitions(partitions::Partitions),
    Zone(zone::Zone),
    Log(log::Log),
    Token(token::Token),
    Config(config::Config),
    Completions(completions::Completions),
}

impl Commands {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Commands::Demo(demo) => demo.run(),
            Commands::New(new) => new.run(),
            Commands::Check(check) => check.run(),
            Commands::Fmt(fmt) => fmt.run(),
            Commands::Plan(plan) => plan.run(),
            Commands::Explain(explain) => explain.run(),
            Commands::Run(run) => run.run(),
            Commands::Witness(witness) => witness.run(),
            Commands::Test(test) => test.run(),
            Commands::Send(send) => send.run(),
            Commands::Ask(ask) => ask.run(),
            Commands::Play(play) => play.run(),
            Commands::Table(table) => table.run(),
            Commands::Watch(watch) => watch.run(),
            Commands::Query(query) => query.run(),
            Commands::Deploy(deploy) => deploy.run(),
            Commands::Flows(flows) => flows.run(),
            Commands::Drop(drop) => drop.run(),
            Commands::Status(status) => status.run(),
            Commands::Nodes(nodes) => nodes.run(),
            Commands::Partitions(partitions) => partitions.run(),
            Commands::Zone(zone) => zone.run(),
            Commands::Log(log) => log.run(),
            Commands::Token(token) => token.run(),
            Commands::Config(config) => config.run(),
            Commands::Completions(completions) => completions.run(),
        }
    }
}
