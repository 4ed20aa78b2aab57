//! Where bytes are on their way between program memory and the monitor: [`Buffer`].
//!
//! Program memory may fault when it is touched, so no lock is held meanwhile: a
//! call takes its vCPU's buffer out of its place and puts it back at the end.

use alloc::boxed::Box;
use alloc::vec::Vec;

use spin::Mutex;
use unikiln_abi::VCPUS_MAX;
use unikiln_abi::socket::{CONTROL_MAX_BYTES, Received, Sending, SocketAddress};

use crate::arch;
use crate::errno::Errno;

/// Most bytes that go at once.
pub(super) const BUFFER_MAX_BYTES: usize = 256 << 10;
/// Least bytes of a buffer.
const BUFFER_MIN_BYTES: usize = 64 << 10;

/// Buffers that nobody uses.
static BUFFERS: [Mutex<Option<Parts>>; VCPUS_MAX] = [const { Mutex::new(None) }; VCPUS_MAX];

/// What a buffer consists of. All of it is in the heap, where the monitor can reach it.
struct Parts {
    data: Vec<u8>,
    sending: Box<Sending>,
    received: Box<Received>,
}

/// Bytes, and what goes beside them.
pub(super) struct Buffer(Option<Parts>);

impl Parts {
    fn new() -> Parts {
        Parts {
            data: Vec::new(),
            sending: Box::new(Sending {
                to: SocketAddress::default(),
                reserved: 0,
                control_bytes: 0,
                control: [0; CONTROL_MAX_BYTES],
            }),
            received: Box::new(Received {
                from: SocketAddress::default(),
                flags: 0,
                control_bytes: 0,
                control: [0; CONTROL_MAX_BYTES],
            }),
        }
    }
}

/// The place of the calling vCPU.
fn place() -> Option<&'static Mutex<Option<Parts>>> {
    BUFFERS.get(arch::vcpu_index())
}

impl Buffer {
    /// A buffer with room for `len` bytes, or for as many as go at once; ENOBUFS.
    pub(super) fn take(len: usize) -> Result<Buffer, Errno> {
        let len = len.min(BUFFER_MAX_BYTES);
        let kept = place().and_then(|place| place.lock().take());
        let mut parts = kept.unwrap_or_else(Parts::new);
        if parts.data.len() < len.max(1) {
            let bytes = len.next_power_of_two().max(BUFFER_MIN_BYTES);
            let more = bytes - parts.data.len();
            let reserved = parts.data.try_reserve_exact(more);
            reserved.map_err(|_| Errno::ENOBUFS)?;
            parts.data.resize(bytes, 0);
        }
        Ok(Buffer(Some(parts)))
    }

    /// Its first bytes, and what comes beside them.
    pub(super) fn incoming(&mut self, len: usize) -> Result<(&mut [u8], &mut Received), Errno> {
        let parts = self.0.as_mut().ok_or(Errno::ENOBUFS)?;
        let data = parts.data.get_mut(..len).ok_or(Errno::ENOBUFS)?;
        Ok((data, &mut parts.received))
    }

    /// Its first bytes, and what goes beside them.
    pub(super) fn outgoing(&mut self, len: usize) -> Result<(&mut [u8], &mut Sending), Errno> {
        let parts = self.0.as_mut().ok_or(Errno::ENOBUFS)?;
        let data = parts.data.get_mut(..len).ok_or(Errno::ENOBUFS)?;
        Ok((data, &mut parts.sending))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(place) = place() {
            let mut place = place.lock();
            let old = core::mem::replace(&mut *place, self.0.take());
            drop(place);
            drop(old);
        }
    }
}
