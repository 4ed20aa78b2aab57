//! `unikiln serve`, `ps`, `logs`, `debug`: commands of the program beside this one. It holds a
//! server, which no boot should have to load.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Error, Result};
use clap::Args;

/// Its name.
const PROGRAM: &str = "unikiln-daemon";

/// What the program is given.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(super) struct Forwarded {
    /// Options; `--help` lists them.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARG"
    )]
    args: Vec<OsString>,
}

impl Forwarded {
    /// Becomes the program, with this subcommand.
    pub(super) fn execute(self, subcommand: &str) -> Result<u8> {
        let own = std::env::current_exe().context("cannot find this program's own file")?;
        let path = own.with_file_name(PROGRAM);
        let error = Command::new(&path).arg(subcommand).args(self.args).exec();
        Err(Error::new(error).context(format!(
            "cannot run {}; `cargo build --release` makes it beside unikiln",
            path.display()
        )))
    }
}
