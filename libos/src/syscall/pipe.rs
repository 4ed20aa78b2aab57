//! Calls that make files without a name: pipes, event counters, memory files.

use linux_raw_sys::general::{
    EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE, MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_EXEC,
    MFD_HUGETLB, MFD_NOEXEC_SEAL, O_CLOEXEC, O_DIRECT, O_NONBLOCK,
};

use super::open::install;
use crate::errno::{Errno, SysResult};
use crate::fs::pipe::Pipe;
use crate::fs::{self, event};
use crate::mm::user;
use crate::process;

/// Most bytes of a memory file's name, without its prefix.
const MEMORY_NAME_MAX: usize = 249;
const MFD_KNOWN: u32 = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC | MFD_NOEXEC_SEAL;
/// Size of a huge page, as a power of two.
const MFD_HUGE_BITS: u32 = 0x3f << 26;

/// pipe(2).
pub(super) fn pipe(args: &[u64; 6]) -> SysResult {
    make_pipe(args[0], 0)
}

/// pipe2(2).
pub(super) fn pipe2(args: &[u64; 6]) -> SysResult {
    make_pipe(args[0], args[1] as u32)
}

fn make_pipe(out: u64, flags: u32) -> SysResult {
    if flags & !(O_CLOEXEC | O_NONBLOCK | O_DIRECT) != 0 {
        return Err(Errno::EINVAL);
    }
    let close_on_exec = flags & O_CLOEXEC != 0;
    let (read, write) = Pipe::pair(flags & (O_NONBLOCK | O_DIRECT));
    let read_fd = install(read, close_on_exec)?;
    let files = &process::current().files;
    let write_fd = match install(write, close_on_exec) {
        Ok(fd) => fd,
        Err(errno) => {
            let _closed = files.lock().remove(read_fd as i32);
            return Err(errno);
        }
    };
    let pair = read_fd as u64 | (write_fd as u64) << 32;
    if let Err(errno) = user::write::<u64>(out, &pair) {
        for fd in [read_fd, write_fd] {
            let closed = files.lock().remove(fd as i32);
            drop(closed);
        }
        return Err(errno);
    }
    Ok(0)
}

/// eventfd(2).
pub(super) fn eventfd(args: &[u64; 6]) -> SysResult {
    install(event::open(args[0] as u32, 0), false)
}

/// eventfd2(2).
pub(super) fn eventfd2(args: &[u64; 6]) -> SysResult {
    let flags = args[1] as u32;
    if flags & !(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE) != 0 {
        return Err(Errno::EINVAL);
    }
    install(
        event::open(args[0] as u32, flags & !EFD_CLOEXEC),
        flags & EFD_CLOEXEC != 0,
    )
}

/// memfd_create(2).
pub(super) fn memfd_create(args: &[u64; 6]) -> SysResult {
    let flags = args[1] as u32;
    if flags & MFD_HUGETLB != 0 {
        // As a kernel without huge pages for files says it.
        let known = flags & !(MFD_KNOWN | MFD_HUGETLB | MFD_HUGE_BITS) == 0;
        return Err(if known { Errno::ENOSYS } else { Errno::EINVAL });
    }
    let sealed_exec = flags & MFD_NOEXEC_SEAL != 0;
    if flags & !MFD_KNOWN != 0 || sealed_exec && flags & MFD_EXEC != 0 {
        return Err(Errno::EINVAL);
    }
    let name = user::read_cstr(args[0], MEMORY_NAME_MAX + 1).map_err(|errno| match errno {
        Errno::ENAMETOOLONG => Errno::EINVAL,
        errno => errno,
    })?;
    let sealable = sealed_exec || flags & MFD_ALLOW_SEALING != 0;
    install(
        fs::open_memory(&name, sealable, !sealed_exec),
        flags & MFD_CLOEXEC != 0,
    )
}
