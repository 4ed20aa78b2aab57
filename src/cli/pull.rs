//! `unikiln pull NAME`.

use std::io::{self, Write};

use anyhow::{Context, Result, bail};
use clap::Args;
use unikiln_builder::registry;
use unikiln_builder::{ImageRef, NoProgress, Platform, Progress};

use super::registry::RegistryOptions;
use super::store::StoreOptions;
use crate::progress::Bar;

/// Bring an image, or a unikernel that was pushed, from a registry into the store; print the
/// digest that its name stands for.
#[derive(Debug, Args)]
pub(super) struct Pull {
    /// Which of the images in an index to take: linux/amd64, or linux/amd64/v2 to v4.
    #[arg(long, value_name = "PLATFORM", default_value_t)]
    platform: Platform,
    /// Print nothing but the digest.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    store: StoreOptions,
    /// [REGISTRY/]NAME[:TAG][@DIGEST], as docker reads it.
    name: String,
}

impl Pull {
    pub(super) fn execute(self) -> Result<u8> {
        let ImageRef::Registry(reference) = ImageRef::parse(&self.name)? else {
            bail!(
                "{} is no name in a registry; it needs no pull, run or build takes it as it is",
                self.name
            );
        };
        let mut options = self.registry.to_options()?;
        options.platform = self.platform;
        let mut progress: Box<dyn Progress> = if self.quiet {
            Box::new(NoProgress)
        } else {
            Box::new(Bar::new())
        };
        let pulled = registry::pull(&self.store.open()?, &reference, &options, &mut *progress)
            .with_context(|| format!("cannot pull {reference}"))?;
        drop(progress);
        writeln!(io::stdout(), "{}", pulled.digest).context("cannot write to standard output")?;
        Ok(0)
    }
}
