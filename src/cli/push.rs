//! `unikiln push SOURCE NAME`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use unikiln_builder::registry::{self, Source};
use unikiln_builder::{ImageRef, NoProgress, Progress};

use super::registry::RegistryOptions;
use super::store::StoreOptions;
use crate::progress::Bar;

/// Send an image or a unikernel to a registry; print its digest there.
///
/// A unikernel becomes an OCI artifact that refers to the image it was made of, if that is in
/// the same repository. Who pulls it runs it without conversion.
#[derive(Debug, Args)]
pub(super) struct Push {
    /// Print nothing but the digest.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    store: StoreOptions,
    /// A unikernel file (.uk), oci:DIR[:TAG], or a name that was pulled.
    source: String,
    /// Where to: REGISTRY/NAME[:TAG].
    name: String,
}

impl Push {
    pub(super) fn execute(self) -> Result<u8> {
        let ImageRef::Registry(reference) = ImageRef::parse(&self.name)? else {
            bail!("cannot push to {}; write REGISTRY/NAME[:TAG]", self.name);
        };
        let source = source(&self.source, &self.store)?;
        let options = self.registry.to_options()?;
        let mut progress: Box<dyn Progress> = if self.quiet {
            Box::new(NoProgress)
        } else {
            Box::new(Bar::new())
        };
        let pushed = registry::push(&source, &reference, &options, &mut *progress)?;
        drop(progress);
        writeln!(io::stdout(), "{}", pushed.digest).context("cannot write to standard output")?;
        Ok(0)
    }
}

fn source(text: &str, store: &StoreOptions) -> Result<Source> {
    if super::run::is_unikernel_file(text) {
        return Ok(Source::Unikernel(PathBuf::from(text)));
    }
    Ok(match ImageRef::parse(text)? {
        ImageRef::Oci { directory, tag } => Source::Layout { directory, tag },
        ImageRef::Registry(reference) => Source::Layout {
            directory: store.open()?.root().to_owned(),
            tag: Some(reference.to_string()),
        },
        _ => bail!(
            "cannot push {text}; copy it to a layout first: skopeo copy {text} oci:DIR:TAG, or \
             pack it: unikiln pack PROGRAM -o oci:DIR:TAG"
        ),
    })
}
