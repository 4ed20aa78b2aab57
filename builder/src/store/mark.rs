//! What must stay: everything that references, leases and holds reach. Layers that are
//! kept unpacked go by the digests that configurations name.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use serde::Deserialize;

use super::usage::names;
use super::{Store, StoreError, lease};
use crate::oci::{DOCUMENT_MAX_BYTES, Digest};

/// What of a manifest or an index leads on. A manifest's subject does not: an
/// artifact does not keep its image.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Vec<Child>,
    config: Option<Child>,
    #[serde(default)]
    layers: Vec<Child>,
    /// Of a configuration: layers by what they unpack to.
    rootfs: Option<RootFs>,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Child {
    /// What a configuration calls `config` is no descriptor.
    digest: Option<String>,
}

impl Store {
    /// Digests that must stay. Leases of dead processes are removed on the way,
    /// so the caller holds the store's lock alone.
    pub(super) fn marked(&self) -> Result<BTreeSet<Digest>, StoreError> {
        let mut pending = self.roots()?;
        for path in names(&self.leases_path())? {
            pending.extend(lease::living(&path)?.unwrap_or_default());
        }
        pending.extend(self.held()?);
        self.reached(pending)
    }

    /// These digests, and those that they lead to.
    pub(super) fn reached(&self, mut pending: Vec<Digest>) -> Result<BTreeSet<Digest>, StoreError> {
        let mut marked = BTreeSet::new();
        while let Some(digest) = pending.pop() {
            if !marked.contains(&digest) {
                pending.extend(self.children(&digest)?);
                marked.insert(digest);
            }
        }
        Ok(marked)
    }

    /// Digests that a blob names, a configuration first; none for one that is no manifest or index. What
    /// is damaged leads nowhere: a pull fetches all of it again.
    pub(super) fn children(&self, digest: &Digest) -> Result<Vec<Digest>, StoreError> {
        let path = self.blob_path(digest);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file.map_err(StoreError::reading(&path))?,
        };
        let mut start = [0];
        // A layer costs no more than its first byte.
        let len = file
            .read_at(&mut start, 0)
            .map_err(StoreError::reading(&path))?;
        let len_bytes = file.metadata().map_err(StoreError::reading(&path))?.len();
        if start[..len] != *b"{" || len_bytes > DOCUMENT_MAX_BYTES {
            return Ok(Vec::new());
        }
        let bytes = fs::read(&path).map_err(StoreError::reading(&path))?;
        let Ok(document) = serde_json::from_slice::<Document>(&bytes) else {
            return Ok(Vec::new());
        };
        let diff_ids = document
            .rootfs
            .into_iter()
            .flat_map(|rootfs| rootfs.diff_ids);
        Ok(document
            .config
            .into_iter()
            .chain(document.manifests)
            .chain(document.layers)
            .filter_map(|child| child.digest)
            .chain(diff_ids)
            .filter_map(|digest| Digest::parse(&digest).ok())
            .collect())
    }
}
