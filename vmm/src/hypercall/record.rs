//! `RECORD [gpa, len]`: the libOS's crash record, as it is, to the log.

use unikiln_abi::call::LOG_MAX_BYTES;

use super::{Host, lock, negated_errno};
use crate::fault::GuestFault;

pub(super) fn handle(host: &Host, gpa: u64, len_bytes: u64) -> Result<i64, GuestFault> {
    if len_bytes > LOG_MAX_BYTES {
        return Err(GuestFault::BadArgument {
            call: "record",
            name: "length",
            value: len_bytes,
        });
    }
    let bytes = host
        .memory
        .slice(gpa, len_bytes)
        .map_err(|_| GuestFault::BadBuffer {
            call: "record",
            gpa,
            len_bytes,
        })?;
    match lock(&host.log).write_record(&bytes) {
        Ok(()) => Ok(0),
        Err(error) => Ok(negated_errno(&error)),
    }
}
