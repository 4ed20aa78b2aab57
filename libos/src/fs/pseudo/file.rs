//! An open text of `/proc` or `/sys`: its content as of the last read from its start.

use alloc::sync::Arc;
use alloc::vec::Vec;

use spin::Mutex;

use super::Pseudo;
use crate::errno::{Errno, SysResult};
use crate::fs::attributes::Attributes;
use crate::fs::node::Node;
use crate::fs::open_file::File;
use crate::fs::transfer::{Sink, Source};

/// Longer writes are no settings.
const STORE_MAX_BYTES: usize = 4096;

/// See the module documentation.
pub(super) struct GeneratedFile {
    pseudo: Pseudo,
    /// Made by the first read.
    content: Mutex<Option<Arc<Vec<u8>>>>,
}

impl GeneratedFile {
    /// Opens it.
    pub(super) fn new(pseudo: Pseudo) -> GeneratedFile {
        GeneratedFile {
            pseudo,
            content: Mutex::new(None),
        }
    }

    /// The content, made anew for a read from the start.
    fn content(&self, offset: u64) -> Result<Arc<Vec<u8>>, Errno> {
        let kept = self.content.lock().clone();
        if let Some(content) = kept.filter(|_| offset != 0) {
            return Ok(content);
        }
        let fresh = Arc::new(self.pseudo.content()?);
        *self.content.lock() = Some(fresh.clone());
        Ok(fresh)
    }
}

impl File for GeneratedFile {
    fn attributes(&self) -> Result<Attributes, Errno> {
        self.pseudo.attributes()
    }

    fn node(&self) -> Option<Node> {
        Some(Node::Pseudo(self.pseudo))
    }

    fn seekable(&self) -> bool {
        true
    }

    fn read(&self, offset: u64, _nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        let content = self.content(offset)?;
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|at| content.get(at..))
            .unwrap_or(&[]);
        let here = rest.get(..sink.remaining()).unwrap_or(rest);
        sink.put(here)?;
        Ok(here.len())
    }

    fn write(&self, _offset: u64, _nonblocking: bool, source: &mut dyn Source) -> SysResult {
        let len = source.remaining();
        if len > STORE_MAX_BYTES {
            return Err(Errno::EINVAL);
        }
        let mut bytes = alloc::vec![0; len];
        source.take(&mut bytes)?;
        self.pseudo.store(&bytes)?;
        Ok(len)
    }
}
