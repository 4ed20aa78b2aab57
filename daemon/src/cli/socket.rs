//! Where the daemon is, for every command that asks it.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use unikiln_daemon::client::Client;
use unikiln_daemon::server::SOCKET_DEFAULT;

/// The option that names its socket.
#[derive(Debug, Args)]
pub(super) struct DaemonOptions {
    /// The daemon's socket.
    #[arg(long, value_name = "PATH", default_value = SOCKET_DEFAULT)]
    socket: PathBuf,
}

impl DaemonOptions {
    /// Connects to it.
    pub(super) fn connect(&self) -> Result<Client> {
        Ok(Client::connect(&self.socket)?)
    }
}
