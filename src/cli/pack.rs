//! `unikiln pack PATH… -o oci:DIR`: an OCI image of programs of this machine.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use unikiln_builder::{ImageRef, PackOptions};

/// Write programs of this machine, and the files that they need, as an OCI image.
#[derive(Debug, Args)]
pub(super) struct Pack {
    /// Programs and directories; the first program is what the image runs.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The image to write, oci:DIR[:TAG].
    #[arg(short, long, value_name = "IMAGE")]
    output: String,
    /// Also put this file or directory into the image.
    #[arg(long, value_name = "PATH")]
    include: Vec<PathBuf>,
}

impl Pack {
    pub(super) fn execute(self) -> Result<u8> {
        let output = ImageRef::parse(&self.output)?;
        let options = PackOptions {
            include: self.include,
        };
        unikiln_builder::pack(&self.paths, &output, &options)?;
        Ok(0)
    }
}
