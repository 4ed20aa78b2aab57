// The rows of the system-call table, by Linux number. Included by `table.rs`.
table! {
    { 0 read 3 super::file::read, Full }
    { 1 write 3 super::file::write, Full }
    { 2 open 3 super::open::open, Full }
    { 3 close 1 super::open::close, Full }
    { 4 stat 2 super::stat::stat, Full }
    { 5 fstat 2 super::stat::fstat, Full }
    { 6 lstat 2 super::stat::lstat, Full }
    { 8 lseek 3 super::file::lseek, Full }
    { 9 mmap 6 super::memory::mmap, Partial("no huge pages; shared file mappings of memory files only") }
    { 10 mprotect 3 super::memory::mprotect, Full }
    { 11 munmap 2 super::memory::munmap, Full }
    { 12 brk 1 super::memory::brk, Full }
    { 16 ioctl 3 super::fdctl::ioctl, Partial("terminal settings are not applied") }
    { 17 pread64 4 super::file::pread64, Full }
    { 18 pwrite64 4 super::file::pwrite64, Full }
    { 19 readv 3 super::file::readv, Full }
    { 20 writev 3 super::file::writev, Full }
    { 21 access 2 super::stat::access, Full }
    { 25 mremap 5 super::memory::mremap, Partial("no MREMAP_DONTUNMAP") }
    { 26 msync 3 super::memory::msync, Full }
    { 27 mincore 3 super::memory::mincore, Full }
    { 28 madvise 3 super::memory::madvise, Partial("FREE acts at once; hints are accepted") }
    { 32 dup 1 super::fdctl::dup, Full }
    { 33 dup2 2 super::fdctl::dup2, Full }
    { 59 execve 3 super::process::execve, Full }
    { 60 exit 1 super::process::exit, Full }
    { 72 fcntl 3 super::fdctl::fcntl, Partial("no signals for I/O, no leases") }
    { 73 flock 2 super::fdctl::flock, Partial("one process: the lock is always free") }
    { 78 getdents 3 super::directory::getdents, Full }
    { 79 getcwd 2 super::path::getcwd, Full }
    { 80 chdir 1 super::path::chdir, Full }
    { 81 fchdir 1 super::path::fchdir, Full }
    { 85 creat 2 super::open::creat, Full }
    { 89 readlink 3 super::path::readlink, Full }
    { 137 statfs 2 super::stat::statfs, Full }
    { 138 fstatfs 2 super::stat::fstatfs, Full }
    { 149 mlock 2 super::memory::mlock, Full }
    { 150 munlock 2 super::memory::munlock, Full }
    { 151 mlockall 1 super::memory::mlockall, Full }
    { 152 munlockall 0 super::memory::munlockall, Full }
    { 161 chroot 1 super::path::chroot, Full }
    { 217 getdents64 3 super::directory::getdents64, Full }
    { 231 exit_group 1 super::process::exit_group, Full }
    { 257 openat 4 super::open::openat, Full }
    { 262 newfstatat 4 super::stat::newfstatat, Full }
    { 267 readlinkat 4 super::path::readlinkat, Full }
    { 269 faccessat 3 super::stat::faccessat, Full }
    { 292 dup3 3 super::fdctl::dup3, Full }
    { 295 preadv 5 super::file::preadv, Full }
    { 296 pwritev 5 super::file::pwritev, Full }
    { 325 mlock2 3 super::memory::mlock, Full }
    { 327 preadv2 6 super::file::preadv2, Partial("RWF_NOWAIT changes nothing") }
    { 328 pwritev2 6 super::file::pwritev2, Partial("RWF_NOWAIT changes nothing") }
    { 329 pkey_mprotect 4 super::memory::pkey_mprotect, Partial("no protection keys") }
    { 332 statx 5 super::stat::statx, Partial("no birth time") }
    { 436 close_range 3 super::open::close_range, Full }
    { 437 openat2 4 super::open::openat2, Full }
    { 439 faccessat2 4 super::stat::faccessat2, Full }
}
