//! Listing directories.

use linux_raw_sys::general::IN_ACCESS;

use crate::errno::{Errno, SysResult};
use crate::fs::node::Listed;
use crate::mm::user;

use super::file::descriptor;

/// Largest buffer that is filled by one call.
const BUFFER_MAX_BYTES: usize = 64 << 10;

/// getdents64(2).
pub(super) fn getdents64(args: &[u64; 6]) -> SysResult {
    list(args, |out, next, listed| {
        let start = out.len();
        let bytes = (19 + listed.name.len() + 1).next_multiple_of(8);
        out.extend_from_slice(&listed.ino.to_le_bytes());
        out.extend_from_slice(&next.to_le_bytes());
        out.extend_from_slice(&(bytes as u16).to_le_bytes());
        out.push(listed.kind.dirent_type());
        out.extend_from_slice(&listed.name);
        out.resize(start + bytes, 0);
    })
}

/// getdents(2): the old layout, with the type in the last byte.
pub(super) fn getdents(args: &[u64; 6]) -> SysResult {
    list(args, |out, next, listed| {
        let start = out.len();
        let bytes = (18 + listed.name.len() + 2).next_multiple_of(8);
        out.extend_from_slice(&listed.ino.to_le_bytes());
        out.extend_from_slice(&next.to_le_bytes());
        out.extend_from_slice(&(bytes as u16).to_le_bytes());
        out.extend_from_slice(&listed.name);
        out.resize(start + bytes - 1, 0);
        out.push(listed.kind.dirent_type());
    })
}

fn list(args: &[u64; 6], encode: fn(&mut alloc::vec::Vec<u8>, u64, &Listed)) -> SysResult {
    let [fd, buffer, size, ..] = *args;
    let file = descriptor(fd)?;
    if file.is_path() {
        return Err(Errno::EBADF);
    }
    let room = (size as u32 as usize).min(BUFFER_MAX_BYTES);
    let bytes = file.at_position(|start| {
        let mut out = alloc::vec::Vec::new();
        let mut position = start;
        let mut full = false;
        file.file().visit(start, &mut |next, listed| {
            let before = out.len();
            encode(&mut out, next, listed);
            if out.len() > room {
                out.truncate(before);
                full = true;
                return Ok(false);
            }
            position = next;
            Ok(true)
        })?;
        if full && out.is_empty() {
            return Err(Errno::EINVAL);
        }
        user::copy_out(buffer, &out)?;
        Ok((position, out.len()))
    })?;
    file.notify(IN_ACCESS);
    Ok(bytes)
}
