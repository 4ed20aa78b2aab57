//! The subcommands, one file each.
//!
//! | file | command |
//! |---|---|
//! | `serve.rs` | `unikiln serve` |
//! | `ps.rs` | `unikiln ps` |
//! | `logs.rs` | `unikiln logs ID` |
//! | `debug.rs` | `unikiln debug bundle` |
//! | `socket.rs` | where the daemon is |

mod debug;
mod logs;
mod ps;
mod serve;
mod socket;

use clap::{Parser, Subcommand};

/// Pods as unikernels, and under OCI runtimes beside them.
#[derive(Debug, Parser)]
#[command(name = "unikiln", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Ps(ps::Ps),
    Logs(logs::Logs),
    Debug(debug::Debug),
}

impl Cli {
    /// Runs the subcommand.
    pub(crate) fn execute(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(serve) => serve.execute(),
            Command::Ps(ps) => ps.execute(),
            Command::Logs(logs) => logs.execute(),
            Command::Debug(debug) => debug.execute(),
        }
    }
}
