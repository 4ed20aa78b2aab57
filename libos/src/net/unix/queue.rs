//! What waits in queues: [`Message`], and the share of the sender's buffer that it
//! takes while it does, [`Charge`].

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::endpoint::{Endpoint, WRITABLE};
use crate::net::Files;
use crate::net::control::Credentials;

/// Bytes that a message takes of the send buffer besides its own.
const MESSAGE_BYTES: usize = 512;

/// A message, or what one write put into a stream.
pub struct Message {
    /// Its bytes.
    pub data: Vec<u8>,
    /// Who sent it, where one of both ends asked for that.
    pub credentials: Option<Credentials>,
    /// Files that go along; the first receive takes them.
    pub files: Files,
    /// Who pays for it.
    pub charge: Charge,
}

/// A share of an end's send buffer, given back when the message is gone.
pub struct Charge {
    /// The sender.
    pub sender: Arc<Endpoint>,
    bytes: usize,
}

impl Charge {
    /// Takes the share of a message of `len` bytes.
    pub fn new(sender: &Arc<Endpoint>, len: usize) -> Charge {
        let bytes = len + MESSAGE_BYTES;
        sender.sent.fetch_add(bytes, Ordering::Relaxed);
        Charge {
            sender: sender.clone(),
            bytes,
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let before = self.sender.sent.fetch_sub(self.bytes, Ordering::Relaxed);
        if self.sender.is_writable_with(before - self.bytes) {
            // News even where there was room before, as in Linux.
            self.sender.notify(WRITABLE);
        } else {
            // Not enough for pollers, but perhaps for who waits to write.
            self.sender.writable.wake_all();
        }
    }
}

/// A message in a queue.
pub struct Queued {
    /// The message.
    pub message: Arc<Message>,
    /// Bytes of it that a stream gave away already.
    pub taken: usize,
}
