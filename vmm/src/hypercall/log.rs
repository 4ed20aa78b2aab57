//! `LOG [stream, gpa, len]`: writes to the log, straight from guest memory.
//!
//! A reader that went away gives -EPIPE, a full disk -ENOSPC: the libOS hands
//! it to the program's `write`.

use unikiln_abi::call::LOG_MAX_BYTES;

use super::{Host, lock, negated_errno};
use crate::fault::GuestFault;
use crate::log::Stream;

pub(super) fn handle(
    host: &Host,
    stream: u64,
    gpa: u64,
    len_bytes: u64,
) -> Result<i64, GuestFault> {
    let bad = |name, value| GuestFault::BadArgument {
        call: "log",
        name,
        value,
    };
    let stream = Stream::from_abi(stream).ok_or(bad("stream", stream))?;
    if len_bytes > LOG_MAX_BYTES {
        return Err(bad("length", len_bytes));
    }
    let bytes = host
        .memory
        .slice(gpa, len_bytes)
        .map_err(|_| GuestFault::BadBuffer {
            call: "log",
            gpa,
            len_bytes,
        })?;
    match lock(&host.log).write_guest(stream, &bytes) {
        Ok(()) => Ok(len_bytes as i64),
        Err(error) => Ok(negated_errno(&error)),
    }
}
