//! `unikiln build IMAGE -o FILE.uk`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use unikiln_builder::{BuildOptions, ImageRef, Platform};

use super::registry::{PullOptions, Pulled};
use crate::progress::Bar;

/// Turn an image into a unikernel file.
#[derive(Debug, Args)]
pub(super) struct Build {
    /// [REGISTRY/]NAME[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG],
    /// docker-archive:FILE[:TAG] or host:PROGRAM.
    image: String,
    /// The unikernel file to write.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    source: SourceOptions,
    #[command(flatten)]
    pull: PullOptions,
}

/// Options of every command that reads an image.
#[derive(Debug, Args)]
pub(super) struct SourceOptions {
    /// Also put this file or directory of this machine into a host: image.
    #[arg(long, value_name = "PATH")]
    include: Vec<PathBuf>,
    /// Most that an image's layers may unpack to.
    #[arg(long, value_name = "SIZE", value_parser = super::size::parse)]
    max_unpacked: Option<u64>,
    /// Which of the images in an index to take: linux/amd64, or linux/amd64/v2 to v4.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Leave the programs' system calls as they are: each one traps.
    #[arg(long)]
    no_link: bool,
}

impl SourceOptions {
    /// Whether none of them is given.
    pub(super) fn is_empty(&self) -> bool {
        self.include.is_empty()
            && self.max_unpacked.is_none()
            && self.platform.is_none()
            && !self.no_link
    }

    /// As the builder takes them.
    pub(super) fn to_build_options(&self) -> BuildOptions {
        let mut options = BuildOptions {
            include: self.include.clone(),
            no_link: self.no_link,
            platform: self.platform.unwrap_or_default(),
            ..BuildOptions::default()
        };
        if let Some(bytes) = self.max_unpacked {
            options.limits.unpacked_bytes = bytes;
        }
        options
    }
}

impl Build {
    pub(super) fn execute(self) -> Result<u8> {
        let options = self.source.to_build_options();
        let (image, _lease) = match ImageRef::parse(&self.image)? {
            ImageRef::Registry(reference) => {
                match self.pull.to_local(&reference, options.platform)? {
                    Pulled::Image(image, lease) => (image, Some(lease)),
                    Pulled::Unikernel(_) => {
                        bail!("{reference} is a unikernel already; run takes it as it is")
                    }
                }
            }
            image => (image, None),
        };
        unikiln_builder::build(&image, &self.output, &options, &mut Bar::new())?;
        Ok(0)
    }
}
