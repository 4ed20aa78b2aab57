// The rows of the system-call table, by Linux number. Included by `table.rs`.
table! {
    { 0 read 3 super::file::read, Full }
    { 1 write 3 super::file::write, Full }
    { 2 open 3 super::open::open, Full }
    { 3 close 1 super::open::close, Full }
    { 4 stat 2 super::stat::stat, Full }
    { 5 fstat 2 super::stat::fstat, Full }
    { 6 lstat 2 super::stat::lstat, Full }
    { 7 poll 3 super::poll::poll, Full }
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
    { 22 pipe 1 super::pipe::pipe, Full }
    { 23 select 5 super::poll::select, Full }
    { 25 mremap 5 super::memory::mremap, Partial("no MREMAP_DONTUNMAP") }
    { 26 msync 3 super::memory::msync, Full }
    { 27 mincore 3 super::memory::mincore, Full }
    { 28 madvise 3 super::memory::madvise, Partial("FREE acts at once; hints are accepted") }
    { 32 dup 1 super::fdctl::dup, Full }
    { 33 dup2 2 super::fdctl::dup2, Full }
    { 40 sendfile 4 super::space::sendfile, Full }
    { 59 execve 3 super::process::execve, Full }
    { 60 exit 1 super::process::exit, Full }
    { 72 fcntl 3 super::fdctl::fcntl, Partial("no signals for I/O, no leases") }
    { 73 flock 2 super::fdctl::flock, Partial("one process: the lock is always free") }
    { 74 fsync 1 super::space::fsync, Full }
    { 75 fdatasync 1 super::space::fsync, Full }
    { 76 truncate 2 super::space::truncate, Full }
    { 77 ftruncate 2 super::space::ftruncate, Full }
    { 78 getdents 3 super::directory::getdents, Full }
    { 79 getcwd 2 super::path::getcwd, Full }
    { 80 chdir 1 super::path::chdir, Full }
    { 81 fchdir 1 super::path::fchdir, Full }
    { 82 rename 2 super::names::rename, Full }
    { 83 mkdir 2 super::names::mkdir, Full }
    { 84 rmdir 1 super::names::rmdir, Full }
    { 85 creat 2 super::open::creat, Full }
    { 86 link 2 super::names::link, Full }
    { 87 unlink 1 super::names::unlink, Full }
    { 88 symlink 2 super::names::symlink, Full }
    { 89 readlink 3 super::path::readlink, Full }
    { 90 chmod 2 super::attributes::chmod, Full }
    { 91 fchmod 2 super::attributes::fchmod, Full }
    { 92 chown 3 super::attributes::chown, Full }
    { 93 fchown 3 super::attributes::fchown, Full }
    { 94 lchown 3 super::attributes::lchown, Full }
    { 95 umask 1 super::attributes::umask, Full }
    { 132 utime 2 super::attributes::utime, Full }
    { 133 mknod 3 super::names::mknod, Partial("no device nodes") }
    { 137 statfs 2 super::stat::statfs, Full }
    { 138 fstatfs 2 super::stat::fstatfs, Full }
    { 149 mlock 2 super::memory::mlock, Full }
    { 150 munlock 2 super::memory::munlock, Full }
    { 151 mlockall 1 super::memory::mlockall, Full }
    { 152 munlockall 0 super::memory::munlockall, Full }
    { 155 pivot_root 2 Stub(EPERM, "the tree is what the image says") }
    { 161 chroot 1 super::path::chroot, Full }
    { 162 sync 0 super::space::sync, Full }
    { 165 mount 5 Stub(EPERM, "the tree is what the image says") }
    { 166 umount2 2 Stub(EPERM, "the tree is what the image says") }
    { 187 readahead 3 super::space::readahead, Full }
    { 188 setxattr 5 super::xattr::setxattr, Partial("ACLs cannot be set") }
    { 189 lsetxattr 5 super::xattr::lsetxattr, Partial("ACLs cannot be set") }
    { 190 fsetxattr 5 super::xattr::fsetxattr, Partial("ACLs cannot be set") }
    { 191 getxattr 4 super::xattr::getxattr, Full }
    { 192 lgetxattr 4 super::xattr::lgetxattr, Full }
    { 193 fgetxattr 4 super::xattr::fgetxattr, Full }
    { 194 listxattr 3 super::xattr::listxattr, Full }
    { 195 llistxattr 3 super::xattr::llistxattr, Full }
    { 196 flistxattr 3 super::xattr::flistxattr, Full }
    { 197 removexattr 2 super::xattr::removexattr, Full }
    { 198 lremovexattr 2 super::xattr::lremovexattr, Full }
    { 199 fremovexattr 2 super::xattr::fremovexattr, Full }
    { 213 epoll_create 1 super::epoll::epoll_create, Full }
    { 217 getdents64 3 super::directory::getdents64, Full }
    { 221 fadvise64 4 super::space::fadvise64, Full }
    { 231 exit_group 1 super::process::exit_group, Full }
    { 232 epoll_wait 4 super::epoll::epoll_wait, Full }
    { 233 epoll_ctl 4 super::epoll::epoll_ctl, Full }
    { 235 utimes 2 super::attributes::utimes, Full }
    { 253 inotify_init 0 Stub(EMFILE, "no change notification") }
    { 254 inotify_add_watch 3 Stub(EBADF, "no change notification") }
    { 255 inotify_rm_watch 2 Stub(EBADF, "no change notification") }
    { 257 openat 4 super::open::openat, Full }
    { 258 mkdirat 3 super::names::mkdirat, Full }
    { 259 mknodat 4 super::names::mknodat, Partial("no device nodes") }
    { 260 fchownat 5 super::attributes::fchownat, Full }
    { 261 futimesat 3 super::attributes::futimesat, Full }
    { 262 newfstatat 4 super::stat::newfstatat, Full }
    { 263 unlinkat 3 super::names::unlinkat, Full }
    { 264 renameat 4 super::names::renameat, Full }
    { 265 linkat 5 super::names::linkat, Full }
    { 266 symlinkat 3 super::names::symlinkat, Full }
    { 267 readlinkat 4 super::path::readlinkat, Full }
    { 268 fchmodat 3 super::attributes::fchmodat, Full }
    { 269 faccessat 3 super::stat::faccessat, Full }
    { 270 pselect6 6 super::poll::pselect6, Full }
    { 271 ppoll 5 super::poll::ppoll, Full }
    { 275 splice 6 super::space::splice, Partial("at most 64 KiB a call; SPLICE_F_NONBLOCK changes nothing") }
    { 276 tee 4 Stub(EINVAL, "pipes are not duplicated") }
    { 277 sync_file_range 4 super::space::sync_file_range, Full }
    { 280 utimensat 4 super::attributes::utimensat, Full }
    { 281 epoll_pwait 6 super::epoll::epoll_pwait, Full }
    { 283 timerfd_create 2 super::timer::timerfd_create, Partial("no alarm clocks") }
    { 284 eventfd 1 super::pipe::eventfd, Full }
    { 285 fallocate 4 super::space::fallocate, Partial("no COLLAPSE_RANGE, INSERT_RANGE, UNSHARE_RANGE") }
    { 286 timerfd_settime 4 super::timer::timerfd_settime, Partial("TFD_TIMER_CANCEL_ON_SET changes nothing") }
    { 287 timerfd_gettime 2 super::timer::timerfd_gettime, Full }
    { 290 eventfd2 2 super::pipe::eventfd2, Full }
    { 291 epoll_create1 1 super::epoll::epoll_create1, Full }
    { 292 dup3 3 super::fdctl::dup3, Full }
    { 293 pipe2 2 super::pipe::pipe2, Partial("O_DIRECT keeps no packets apart") }
    { 294 inotify_init1 1 Stub(EMFILE, "no change notification") }
    { 295 preadv 5 super::file::preadv, Full }
    { 296 pwritev 5 super::file::pwritev, Full }
    { 300 fanotify_init 2 Stub(EPERM, "no change notification") }
    { 303 name_to_handle_at 5 Stub(EOPNOTSUPP, "files have no handles") }
    { 304 open_by_handle_at 3 Stub(EPERM, "files have no handles") }
    { 306 syncfs 1 super::space::syncfs, Full }
    { 316 renameat2 5 super::names::renameat2, Partial("no RENAME_WHITEOUT") }
    { 319 memfd_create 2 super::pipe::memfd_create, Partial("no huge pages; seals bind writes, not mappings") }
    { 325 mlock2 3 super::memory::mlock, Full }
    { 326 copy_file_range 6 super::space::copy_file_range, Full }
    { 327 preadv2 6 super::file::preadv2, Partial("RWF_NOWAIT changes nothing") }
    { 328 pwritev2 6 super::file::pwritev2, Partial("RWF_NOWAIT changes nothing") }
    { 329 pkey_mprotect 4 super::memory::pkey_mprotect, Partial("no protection keys") }
    { 332 statx 5 super::stat::statx, Partial("no birth time") }
    { 428 open_tree 3 Stub(EPERM, "the tree is what the image says") }
    { 429 move_mount 5 Stub(EPERM, "the tree is what the image says") }
    { 430 fsopen 2 Stub(EPERM, "the tree is what the image says") }
    { 432 fsmount 3 Stub(EPERM, "the tree is what the image says") }
    { 436 close_range 3 super::open::close_range, Full }
    { 437 openat2 4 super::open::openat2, Full }
    { 439 faccessat2 4 super::stat::faccessat2, Full }
    { 441 epoll_pwait2 6 super::epoll::epoll_pwait2, Full }
    { 442 mount_setattr 5 Stub(EPERM, "the tree is what the image says") }
    { 452 fchmodat2 4 super::attributes::fchmodat2, Full }
}
