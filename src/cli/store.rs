//! Where stored images are, for every command that uses them.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use unikiln_builder::Store;

/// The option that names the store.
#[derive(Debug, Args)]
pub(super) struct StoreOptions {
    /// Directory of stored images [default: $UNIKILN_ROOT, or /var/lib/unikiln for root, or
    /// ~/.local/share/unikiln].
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl StoreOptions {
    /// Whether the option is left out.
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Opens the store, and makes it where it is not there yet.
    pub(super) fn open(&self) -> Result<Store> {
        let root = match &self.root {
            Some(root) => root.clone(),
            None => Store::default_root()?,
        };
        Ok(Store::open(root)?)
    }
}
