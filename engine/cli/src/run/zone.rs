//! The options of a node in a zone.

use anabranch::{ZoneConfig, ZoneRole, ZoneSecret};
use clap::Args;

use crate::address::{self, Address};
use crate::failure::Failure;
use crate::os;
use crate::run::options::node_name;

/// Where the secret can stand instead of a file.
const SECRET: &str = "ANABRANCH_ZONE_SECRET";

/// Whom the node belongs to.
#[derive(Args, Debug)]
#[command(next_help_heading = "A zone: nodes that hold each other's rows")]
pub(crate) struct ZoneOptions {
    /// Be one of this zone; the node founds it unless it is told whom to join
    #[arg(long, value_name = "NAME", value_parser = node_name, requires = "listen")]
    pub(crate) zone: Option<String>,
    #[command(flatten)]
    pub(crate) place: ZonePlace,
}

/// Where others are, and what proves that the node is one of them.
#[derive(Args, Debug)]
pub(crate) struct ZonePlace {
    /// Join the zone at the node there; can be said several times, and a name
    /// that leads to several addresses is tried through
    #[arg(long, value_name = "ADDR", value_parser = address::at, requires = "zone", verbatim_doc_comment)]
    join: Vec<Address>,
    /// Where other nodes reach this one, when not where it listens
    #[arg(long, value_name = "ADDR", value_parser = address::at, requires = "zone")]
    advertise: Option<Address>,
    /// Prove with the secret in this file that the node belongs to the zone;
    /// or with that in ANABRANCH_ZONE_SECRET. Nodes of other machines need one
    #[arg(long, value_name = "FILE", requires = "zone", verbatim_doc_comment)]
    zone_secret: Option<String>,
}

impl ZoneOptions {
    /// What they come to; none without a zone.
    ///
    /// # Errors
    /// The secret cannot be had, or something does not fit.
    pub(crate) fn config(
        &self,
        listen: Option<&Address>,
        insecure: bool,
    ) -> Result<Option<ZoneConfig>, Failure> {
        let Some(zone) = &self.zone else { return Ok(None) };
        self.place.config(zone, ZoneRole::Data, listen, insecure).map(Some)
    }
}

impl ZonePlace {
    /// What they come to, for a node of this zone.
    ///
    /// # Errors
    /// The secret cannot be had, or something does not fit.
    pub(crate) fn config(
        &self,
        zone: &str,
        role: ZoneRole,
        listen: Option<&Address>,
        insecure: bool,
    ) -> Result<ZoneConfig, Failure> {
        let advertise = self.advertise.as_ref().map(ToString::to_string);
        if advertise.is_none()
            && listen.is_some_and(|listen| ["0.0.0.0", "::"].contains(&listen.host.as_str()))
        {
            let failure = Failure::usage(
                "a node of a zone that listens at all addresses of its machine does not know where \
                                          others reach it",
            );
            return Err(failure.help("say it with --advertise HOST:PORT, or listen at one address"));
        }
        let secret = match (&self.zone_secret, os::variable(SECRET)) {
            (Some(file), _) => Some(ZoneSecret::read(file)?),
            (None, Some(text)) => Some(ZoneSecret::new(&text)?),
            (None, None) => None,
        };
        let join = self.join.iter().map(ToString::to_string).collect();
        let config = ZoneConfig { zone: zone.to_owned(), role, join, advertise, secret, insecure };
        config.check()?;
        Ok(config)
    }
}
