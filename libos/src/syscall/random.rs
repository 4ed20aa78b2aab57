//! getrandom(2): bytes of the generator that was seeded at boot.

use linux_raw_sys::general::{GRND_INSECURE, GRND_NONBLOCK, GRND_RANDOM};

use crate::dev;
use crate::errno::{Errno, SysResult};
use crate::mm::user;

/// Bytes made at a time, on the stack.
const PART_BYTES: usize = 512;
/// Most bytes of one call, as Linux caps it.
const CALL_MAX_BYTES: u64 = i32::MAX as u64;

/// getrandom(2).
pub(super) fn getrandom(args: &[u64; 6]) -> SysResult {
    let [address, bytes, flags, ..] = *args;
    let flags = flags as u32;
    if flags & !(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE) != 0
        || flags & (GRND_RANDOM | GRND_INSECURE) == GRND_RANDOM | GRND_INSECURE
    {
        return Err(Errno::EINVAL);
    }
    let bytes = bytes.min(CALL_MAX_BYTES);
    let mut part = [0; PART_BYTES];
    let mut done = 0;
    while done < bytes {
        let len = (bytes - done).min(PART_BYTES as u64);
        let part = part.get_mut(..len as usize).ok_or(Errno::EFAULT)?;
        dev::random::fill(part);
        match user::copy_out(address.wrapping_add(done), part) {
            Ok(()) => done += len,
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(done as usize)
}
