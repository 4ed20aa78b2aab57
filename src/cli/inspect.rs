//! `unikiln inspect FILE.uk`: what is in a unikernel file, for people and for
//! programs. What it says is the builder's [`unikiln_builder::Inspection`].

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

/// Show what a unikernel file holds, and compare its checksums.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The unikernel file.
    file: PathBuf,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(super) fn execute(self) -> Result<u8> {
        let inspection = unikiln_builder::inspect(&self.file)?;
        let text = if self.json {
            serde_json::to_string_pretty(&inspection).context("cannot write JSON")?
        } else {
            inspection.to_string()
        };
        match writeln!(io::stdout().lock(), "{text}") {
            // `unikiln inspect … | head` is no failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("cannot write to standard output")
            }
            _ => Ok(0),
        }
    }
}
