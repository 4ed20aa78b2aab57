//! The subcommands, one file each, and what they share.
//!
//! | file | command |
//! |---|---|
//! | `run.rs` | `unikiln run IMAGE [ARG…]` |
//! | `build.rs` | `unikiln build IMAGE -o FILE.uk` |
//! | `check.rs` | `unikiln check IMAGE [ARG…]` |
//! | `inspect.rs` | `unikiln inspect FILE.uk` |
//! | `pack.rs` | `unikiln pack PATH… -o oci:DIR` |
//! | `pull.rs`, `push.rs` | `unikiln pull NAME`, `unikiln push SOURCE NAME` |
//! | `registry.rs` | `--creds` and `--registry-config-dir` |
//! | `images.rs` | `unikiln images` |
//! | `rmi.rs` | `unikiln rmi IMAGE…` |
//! | `store.rs` | where stored images are |
//! | `daemon.rs` | `unikiln serve`, `ps`, `logs`, `debug` |
//! | `environment.rs` | `-e` and `--env-file` |
//! | `network.rs` | the network of `run` |
//! | `size.rs` | sizes such as `256M` |

mod build;
mod check;
mod daemon;
mod environment;
mod images;
mod inspect;
mod network;
mod pack;
mod pull;
mod push;
mod registry;
mod rmi;
mod run;
mod size;
mod store;

use clap::{Parser, Subcommand};

/// Run any OCI image as a unikernel.
///
/// IMAGE is a name in a registry ([REGISTRY/]NAME[:TAG][@DIGEST]), oci:DIR[:TAG],
/// oci-archive:FILE[:TAG], docker-archive:FILE[:TAG], host:PROGRAM, or a unikernel file (.uk).
#[derive(Debug, Parser)]
#[command(name = "unikiln", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Run>),
    Build(build::Build),
    Check(check::Check),
    Inspect(inspect::Inspect),
    Pack(pack::Pack),
    Pull(pull::Pull),
    Push(push::Push),
    Images(images::Images),
    Rmi(rmi::Rmi),
    /// Serve the Kubernetes Container Runtime Interface (CRI v1) on a Unix socket.
    Serve(daemon::Forwarded),
    /// List the containers of `unikiln serve`.
    Ps(daemon::Forwarded),
    /// Print the log of a container of `unikiln serve`.
    Logs(daemon::Forwarded),
    /// Help with finding what went wrong with `unikiln serve`.
    Debug(daemon::Forwarded),
}

impl Cli {
    /// Runs the subcommand; its exit code, or what went wrong on our side. Boot
    /// phases count from `start_tsc`.
    pub(crate) fn execute(self, start_tsc: u64) -> anyhow::Result<u8> {
        match self.command {
            Command::Run(run) => run.execute(start_tsc),
            Command::Build(build) => build.execute(),
            Command::Check(check) => check.execute(),
            Command::Inspect(inspect) => inspect.execute(),
            Command::Pack(pack) => pack.execute(),
            Command::Pull(pull) => pull.execute(),
            Command::Push(push) => push.execute(),
            Command::Images(images) => images.execute(),
            Command::Rmi(rmi) => rmi.execute(),
            Command::Serve(serve) => serve.execute("serve"),
            Command::Ps(ps) => ps.execute("ps"),
            Command::Logs(logs) => logs.execute("logs"),
            Command::Debug(debug) => debug.execute("debug"),
        }
    }
}
