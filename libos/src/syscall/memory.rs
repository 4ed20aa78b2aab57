//! Memory calls: argument words to `mm`.

use linux_raw_sys::general::{
    MAP_ANONYMOUS, MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, MLOCK_ONFAULT, MS_ASYNC, MS_INVALIDATE,
    MS_SYNC,
};

use crate::errno::{Errno, SysResult};
use crate::mm::map::Request;
use crate::mm::vma::Area;
use crate::mm::{PAGE, round_up, user};
use crate::process;

/// Pages that mincore looks at in one go.
const RESIDENCY_PAGES: u64 = 4096;

/// mmap(2).
pub fn mmap(args: &[u64; 6]) -> SysResult {
    let [address, bytes, protection, flags, fd, offset] = *args;
    let flags = flags as u32;
    let file = if flags & MAP_ANONYMOUS == 0 {
        Some(process::current().files.lock().get(fd as i32)?)
    } else {
        None
    };
    process::current().space().map(Request {
        address,
        bytes,
        // Unknown kinds of access mean nothing, as in Linux.
        protection: protection as u32,
        flags,
        file,
        offset,
        name: "",
    })
}

/// munmap(2).
pub fn munmap(args: &[u64; 6]) -> SysResult {
    process::current().space().unmap(args[0], args[1])
}

/// mprotect(2).
pub fn mprotect(args: &[u64; 6]) -> SysResult {
    let protection = u32::try_from(args[2]).map_err(|_| Errno::EINVAL)?;
    process::current()
        .space()
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
        .space()
        .remap(old, old_bytes, new_bytes, flags, to)
}

/// madvise(2).
pub fn madvise(args: &[u64; 6]) -> SysResult {
    process::current()
        .space()
        .advise(args[0], args[1], args[2] as u32)
}

/// brk(2): never fails, returns the break.
pub fn brk(args: &[u64; 6]) -> SysResult {
    Ok(process::current().space().set_break(args[0]) as usize)
}

/// msync(2): only files in volumes have a slower store behind their pages.
pub fn msync(args: &[u64; 6]) -> SysResult {
    let [address, bytes, flags, ..] = *args;
    let flags = flags as u32;
    let both = MS_ASYNC | MS_SYNC;
    if address % PAGE != 0 || flags & !(both | MS_INVALIDATE) != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    // A length that wraps is none, as in Linux.
    let bytes = round_up(bytes, PAGE).unwrap_or(0);
    let end = address.checked_add(bytes).ok_or(Errno::ENOMEM)?;
    let mut files = process::current().space().shared_files(address, end);
    let space = process::current().space().lock();
    let locked = |area: &Area| area.traits.locked;
    if flags & MS_INVALIDATE != 0 && space.areas.overlapping(address, end).any(locked) {
        return Err(Errno::EBUSY);
    }
    let covers = space.areas.covers(address, end);
    drop(space);
    for (file, first, last) in files.drain(..) {
        file.file().write_back(first, last)?;
        if flags & MS_SYNC != 0 {
            file.file().sync(true)?;
        }
    }
    if covers { Ok(0) } else { Err(Errno::ENOMEM) }
}

/// mlock(2).
pub fn mlock(args: &[u64; 6]) -> SysResult {
    process::current()
        .space()
        .lock_range(args[0], args[1], true, true)
}

/// mlock2(2).
pub fn mlock2(args: &[u64; 6]) -> SysResult {
    let flags = args[2] as u32;
    if flags & !MLOCK_ONFAULT != 0 {
        return Err(Errno::EINVAL);
    }
    let fill = flags & MLOCK_ONFAULT == 0;
    (process::current().space()).lock_range(args[0], args[1], true, fill)
}

/// munlock(2).
pub fn munlock(args: &[u64; 6]) -> SysResult {
    process::current()
        .space()
        .lock_range(args[0], args[1], false, false)
}

/// mlockall(2).
pub fn mlockall(args: &[u64; 6]) -> SysResult {
    let flags = args[0] as u32;
    if flags == 0 || flags & !(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0 || flags == MCL_ONFAULT
    {
        return Err(Errno::EINVAL);
    }
    let current = (flags & MCL_CURRENT != 0).then_some(true);
    let fill = flags & MCL_ONFAULT == 0;
    (process::current().space()).lock_all(current, flags & MCL_FUTURE != 0, fill)
}

/// munlockall(2).
pub fn munlockall(_args: &[u64; 6]) -> SysResult {
    process::current()
        .space()
        .lock_all(Some(false), false, false)
}

/// mincore(2).
pub fn mincore(args: &[u64; 6]) -> SysResult {
    let [address, bytes, vector, ..] = *args;
    if address % PAGE != 0 {
        return Err(Errno::EINVAL);
    }
    user::check_range(address, bytes).map_err(|_| Errno::ENOMEM)?;
    let pages = bytes.div_ceil(PAGE);
    user::check_range(vector, pages)?;
    let mut done = 0;
    while done < pages {
        let count = (pages - done).min(RESIDENCY_PAGES);
        let space = process::current().space();
        let residency = space.residency(address + done * PAGE, count)?;
        user::copy_out(vector + done, &residency)?;
        done += count;
    }
    Ok(0)
}

/// mseal(2).
pub fn mseal(args: &[u64; 6]) -> SysResult {
    if args[2] != 0 {
        return Err(Errno::EINVAL);
    }
    process::current().space().seal(args[0], args[1])
}

/// remap_file_pages(2): the protection stays what it was.
pub fn remap_file_pages(args: &[u64; 6]) -> SysResult {
    let [address, bytes, protection, page, ..] = *args;
    if protection != 0 {
        return Err(Errno::EINVAL);
    }
    (process::current().space()).remap_file_pages(address, bytes, page)
}
