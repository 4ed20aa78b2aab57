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
    content: Mutex<Arc<Vec<u8>>>,
}

impl GeneratedFile {
    /// Opens it and makes its content.
    pub(super) fn new(pseudo: Pseudo) -> Result<GeneratedFile, Errno> {
        Ok(GeneratedFile {
            pseudo,
            content: Mutex::new(Arc::new(pseudo.content()?)),
        })
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
        if offset == 0 {
            let fresh = Arc::new(self.pseudo.content()?);
            *self.content.lock() = fresh;
        }
        let content = self.content.lock().clone();
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
