//! Memory calls: argument words to `mm`.

use linux_raw_sys::general::{MAP_ANONYMOUS, MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT};

use crate::errno::{Errno, SysResult};
use crate::mm::map::Request;
use crate::mm::{PAGE, user};
use crate::process;

/// mmap(2).
pub fn mmap(args: &[u64; 6]) -> SysResult {
    let [address, bytes, protection, flags, fd, offset] = *args;
    let flags = flags as u32;
    let file = if flags & MAP_ANONYMOUS == 0 {
        Some(process::current().files.lock().get(fd as i32)?)
    } else {
        None
    };
    // PROT_GROWSDOWN and PROT_GROWSUP are no kinds of access.
    let protection = u32::try_from(protection).map_err(|_| Errno::EINVAL)? & !0x0300_0000;
    process::current().space.map(Request {
        address,
        bytes,
        protection,
        flags,
        file,
        offset: if flags & MAP_ANONYMOUS == 0 {
            offset
        } else {
            0
        },
        name: "",
    })
}

/// munmap(2).
pub fn munmap(args: &[u64; 6]) -> SysResult {
    process::current().space.unmap(args[0], args[1])
}

/// mprotect(2).
pub fn mprotect(args: &[u64; 6]) -> SysResult {
    let protection = u32::try_from(args[2]).map_err(|_| Errno::EINVAL)?;
    process::current()
        .space
        .protect(args[0], args[1], protection)
}

/// pkey_mprotect(2): only without a key.
pub fn pkey_mprotect(args: &[u64; 6]) -> SysResult {
    if args[3] as i32 != -1 {
        return Err(Errno::EINVAL);
    }
    mprotect(args)
}

/// mremap(2).
pub fn mremap(args: &[u64; 6]) -> SysResult {
    let [old, old_bytes, new_bytes, flags, to, _] = *args;
    let flags = u32::try_from(flags).map_err(|_| Errno::EINVAL)?;
    process::current()
        .space
        .remap(old, old_bytes, new_bytes, flags, to)
}

/// madvise(2).
pub fn madvise(args: &[u64; 6]) -> SysResult {
    process::current()
        .space
        .advise(args[0], args[1], args[2] as u32)
}

/// brk(2): never fails, returns the break.
pub fn brk(args: &[u64; 6]) -> SysResult {
    Ok(process::current().space.set_break(args[0]) as usize)
}

/// msync(2): there is no slower store behind the pages.
pub fn msync(args: &[u64; 6]) -> SysResult {
    let [address, bytes, flags, ..] = *args;
    if address % PAGE != 0 || flags & !7 != 0 || flags & 5 == 5 {
        return Err(Errno::EINVAL);
    }
    mapped(address, bytes).map(|()| 0)
}

/// mlock(2), mlock2(2): nothing is ever paged out.
pub fn mlock(args: &[u64; 6]) -> SysResult {
    let start = args[0] & !(PAGE - 1);
    let bytes = args[1].checked_add(args[0] - start).ok_or(Errno::EINVAL)?;
    mapped(start, bytes).map(|()| 0)
}

/// munlock(2).
pub fn munlock(args: &[u64; 6]) -> SysResult {
    mlock(args)
}

/// mlockall(2).
pub fn mlockall(args: &[u64; 6]) -> SysResult {
    let known = u64::from(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
    if args[0] == 0 || args[0] & !known != 0 || args[0] == u64::from(MCL_ONFAULT) {
        return Err(Errno::EINVAL);
    }
    Ok(0)
}

/// munlockall(2).
pub fn munlockall(_args: &[u64; 6]) -> SysResult {
    Ok(0)
}

/// mincore(2): a page is resident when it has a translation.
pub fn mincore(args: &[u64; 6]) -> SysResult {
    let [address, bytes, vector, ..] = *args;
    if address % PAGE != 0 {
        return Err(Errno::EINVAL);
    }
    mapped(address, bytes)?;
    for index in 0..bytes.div_ceil(PAGE) {
        let (entry, _) = crate::mm::pagetable::lookup(address + index * PAGE);
        user::write(vector + index, &u8::from(!entry.is_empty()))?;
    }
    Ok(0)
}

/// All of the range has areas, or ENOMEM.
fn mapped(address: u64, bytes: u64) -> Result<(), Errno> {
    let end = address.checked_add(bytes).ok_or(Errno::ENOMEM)?;
    if bytes == 0 || process::current().space.lock().areas.covers(address, end) {
        Ok(())
    } else {
        Err(Errno::ENOMEM)
    }
}
