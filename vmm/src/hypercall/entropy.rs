//! `ENTROPY [gpa, len]`: host randomness.

use std::io;

use super::{Host, negated_errno};
use crate::fault::GuestFault;

/// Most bytes of one call.
const ENTROPY_MAX_BYTES: u64 = 4096;

pub(super) fn handle(host: &Host, gpa: u64, len_bytes: u64) -> Result<i64, GuestFault> {
    if len_bytes > ENTROPY_MAX_BYTES {
        return Err(GuestFault::BadArgument {
            call: "entropy",
            name: "length",
            value: len_bytes,
        });
    }
    let target = host.buffer("entropy", gpa, len_bytes)?;
    let mut bytes = [0; ENTROPY_MAX_BYTES as usize];
    let Some(wanted) = bytes.get_mut(..len_bytes as usize) else {
        return Ok(0);
    };
    match fill(wanted) {
        Ok(()) => {
            target.copy_from(wanted);
            Ok(0)
        }
        Err(error) => Ok(negated_errno(&error)),
    }
}

/// Fills a buffer with host randomness.
#[expect(unsafe_code, reason = "getrandom takes a pointer")]
pub fn fill(buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        // SAFETY: `rest` is valid for writes of its length.
        let result = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(result) {
            Ok(count) => filled += count,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
    Ok(())
}
