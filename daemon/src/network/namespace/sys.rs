//! `unshare`: the one call of this crate that the compiler cannot check.

#![allow(unsafe_code)]

use std::io;

use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Gives the calling thread a network namespace of its own, which is new.
pub(super) fn unshare_network() -> io::Result<()> {
    // SAFETY: what makes the call unsafe is that CLONE_FILES may leave threads with different
    // file descriptors under the same number. NEWNET alone leaves the table as it is.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
    Ok(())
}
