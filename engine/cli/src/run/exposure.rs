//! Who may reach a node that `run` starts, and with what.

use anabranch::{Listen, ServerTls, Tokens};
use clap::Args;

use crate::failure::Failure;

/// Who may reach the node. An address that other machines can reach needs both TLS and tokens.
#[derive(Args, Debug)]
#[command(next_help_heading = "Who may reach the node")]
pub(crate) struct Exposure {
    /// Speak TLS with this certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<String>,
    /// The key of the certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<String>,
    /// Ask for a token of this file, with lines of `anabranch token new`
    #[arg(long, value_name = "FILE")]
    tokens: Option<String>,
    /// Let other machines reach the node without TLS or tokens, and be peers
    /// without a zone secret
    #[arg(long, verbatim_doc_comment)]
    insecure: bool,
    /// Take HTTP requests for this host name, too
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Let pages of this site ask in a browser, as https://app.example
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
}

impl Exposure {
    /// Whether others may come without what keeps the node safe.
    pub(crate) fn insecure(&self) -> bool {
        self.insecure
    }

    /// The same addresses, with what keeps them safe.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(crate) fn applied(&self, to: Listen) -> Result<Listen, Failure> {
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(ServerTls::read(certificate, key)?),
            _ => None,
        };
        Ok(Listen {
            tls,
            tokens: self.tokens.as_deref().map(Tokens::read).transpose()?,
            insecure: self.insecure,
            hosts: self.allow_host.clone(),
            origins: self.allow_origin.clone(),
            ..to
        })
    }
}
