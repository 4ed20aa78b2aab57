//! What one send ([`Outgoing`]) or one receive ([`Incoming`]) carries.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::control::Credentials;
use super::family::Patience;
use crate::fs::OpenFile;
use crate::fs::transfer::{Sink, Source};

/// What is sent.
pub struct Outgoing<'a> {
    /// The bytes.
    pub data: &'a mut dyn Source,
    /// `MSG_*`.
    pub flags: u32,
    /// How long the call may wait.
    pub patience: Patience,
    /// Where to, where the caller says so.
    pub address: Option<Vec<u8>>,
    /// Control messages, for the family to read.
    pub control: Vec<u8>,
}

impl<'a> Outgoing<'a> {
    /// Bytes for the other end.
    pub fn new(data: &'a mut dyn Source, flags: u32, patience: Patience) -> Outgoing<'a> {
        Outgoing {
            data,
            flags,
            patience,
            address: None,
            control: Vec::new(),
        }
    }
}

/// What is received.
pub struct Incoming<'a> {
    /// Where the bytes go.
    pub data: &'a mut dyn Sink,
    /// `MSG_*` that were asked for.
    pub flags: u32,
    /// How long the call may wait.
    pub patience: Patience,
    /// `MSG_*` to be reported.
    pub reported: u32,
    /// Where from; empty for a sender without a name.
    pub address: Vec<u8>,
    /// Who sent it, where the receiver asked for that.
    pub credentials: Option<Credentials>,
    /// Files that came along.
    pub files: Vec<Arc<OpenFile>>,
    /// The caller has room for control messages.
    pub with_control: bool,
    /// Control messages of the host, as the program gets them.
    pub control: Vec<u8>,
}

impl<'a> Incoming<'a> {
    /// Room for what comes.
    pub fn new(data: &'a mut dyn Sink, flags: u32, patience: Patience) -> Incoming<'a> {
        Incoming {
            data,
            flags,
            patience,
            reported: 0,
            address: Vec::new(),
            credentials: None,
            files: Vec::new(),
            with_control: false,
            control: Vec::new(),
        }
    }

    /// Whether `flag` was asked for.
    pub fn asks(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

impl Drop for Incoming<'_> {
    /// Files that nobody took close one after the other, however deep they nest.
    fn drop(&mut self) {
        super::in_flight::discard(core::mem::take(&mut self.files));
    }
}
