//! `unikiln rmi IMAGE…`: removes names, and what no other image needs.

use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::Args;
use unikiln_builder::StoreError;

use super::size;
use super::store::StoreOptions;

/// Remove stored images, and what was made of them.
#[derive(Debug, Args)]
pub(super) struct Rmi {
    /// Names, or digests: 12 digits are enough. A digest removes all names of the image.
    #[arg(required_unless_present = "all", value_name = "IMAGE")]
    images: Vec<String>,
    /// Remove all images.
    #[arg(short, long, conflicts_with = "images")]
    all: bool,
    /// An image that is not there is no failure.
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    store: StoreOptions,
}

impl Rmi {
    pub(super) fn execute(self) -> Result<u8> {
        let store = self.store.open()?;
        let mut names = Vec::new();
        // All are looked up first: one that is misspelled removes none.
        for image in &self.images {
            match store.find(image) {
                Err(StoreError::UnknownReference { .. }) if self.force => {}
                found => names.extend(found?.into_iter().map(|reference| reference.name)),
            }
        }
        if self.all {
            let references = store.references()?;
            names.extend(references.into_iter().map(|reference| reference.name));
        }
        names.sort();
        names.dedup();
        let mut text = String::new();
        for name in names {
            match store.remove_reference(&name) {
                // Another process was faster.
                Err(StoreError::UnknownReference { .. }) => {}
                removed => {
                    removed?;
                    text += &format!("removed {name}\n");
                }
            }
        }
        let freed = store.collect()?.total();
        text += &format!("freed {}\n", size::display(freed.bytes));
        match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("cannot write to standard output")
            }
            _ => Ok(0),
        }
    }
}
