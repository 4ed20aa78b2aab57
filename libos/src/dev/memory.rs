//! `/dev/null`, `/dev/zero`, `/dev/full`, `/dev/random` and `/dev/urandom`.

use super::random;
use crate::errno::{Errno, SysResult};
use crate::fs::attributes::Attributes;
use crate::fs::node::Node;
use crate::fs::open_file::{File, Page};
use crate::fs::transfer::{Sink, Source};
use crate::mm::Frame;

/// Random bytes made at once.
const RANDOM_CHUNK_BYTES: usize = 512;

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemoryKind {
    /// Empty, takes everything.
    Null,
    /// Endless zeros, takes everything.
    Zero,
    /// Endless zeros, has no room.
    Full,
    /// Endless random bytes.
    Random,
}

/// An open one.
pub(super) struct MemoryDevice {
    kind: MemoryKind,
    node: Node,
}

impl MemoryDevice {
    /// Opens it as found at `node`.
    pub(super) fn new(kind: MemoryKind, node: Node) -> MemoryDevice {
        MemoryDevice { kind, node }
    }
}

impl File for MemoryDevice {
    fn attributes(&self) -> Result<Attributes, Errno> {
        self.node.attributes()
    }

    fn node(&self) -> Option<Node> {
        Some(self.node.clone())
    }

    fn seekable(&self) -> bool {
        true
    }

    fn stays_at_start(&self) -> bool {
        true
    }

    fn read(&self, _offset: u64, _nonblocking: bool, sink: &mut dyn Sink) -> SysResult {
        let len = sink.remaining();
        match self.kind {
            MemoryKind::Null => return Ok(0),
            MemoryKind::Zero | MemoryKind::Full => sink.put_zeros(len)?,
            MemoryKind::Random => {
                let mut chunk = [0; RANDOM_CHUNK_BYTES];
                while sink.remaining() > 0 {
                    let len = sink.remaining().min(RANDOM_CHUNK_BYTES);
                    let bytes = chunk.get_mut(..len).ok_or(Errno::EIO)?;
                    random::fill(bytes);
                    sink.put(bytes)?;
                }
            }
        }
        Ok(len)
    }

    fn write(&self, _offset: u64, _nonblocking: bool, source: &mut dyn Source) -> SysResult {
        match self.kind {
            MemoryKind::Full => Err(Errno::ENOSPC),
            // The generator needs no more entropy; the bytes are not looked at.
            _ => Ok(source.remaining()),
        }
    }

    fn mappable(&self) -> bool {
        self.kind == MemoryKind::Zero
    }

    fn size(&self) -> u64 {
        // Mapped, it has no end.
        if self.kind == MemoryKind::Zero {
            1 << 62
        } else {
            0
        }
    }

    fn page(&self, _index: u64, _writable: bool) -> Result<Page, Errno> {
        match self.kind {
            MemoryKind::Zero => Ok(Page::Frame(Frame::zeroed()?)),
            _ => Err(Errno::ENODEV),
        }
    }
}
