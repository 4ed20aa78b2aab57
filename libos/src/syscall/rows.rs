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
    { 9 mmap 6 super::memory::mmap, Partial("no reserved huge pages") }
    { 10 mprotect 3 super::memory::mprotect, Full }
    { 11 munmap 2 super::memory::munmap, Full }
    { 12 brk 1 super::memory::brk, Full }
    { 13 rt_sigaction 4 super::signal::rt_sigaction, Full }
    { 14 rt_sigprocmask 4 super::signal::rt_sigprocmask, Full }
    { 15 rt_sigreturn 0 super::signal::rt_sigreturn, Full }
    { 16 ioctl 3 super::fdctl::ioctl, Partial("settings of standard streams are not applied; no packet mode") }
    { 17 pread64 4 super::file::pread64, Full }
    { 18 pwrite64 4 super::file::pwrite64, Full }
    { 19 readv 3 super::file::readv, Full }
    { 20 writev 3 super::file::writev, Full }
    { 21 access 2 super::stat::access, Full }
    { 22 pipe 1 super::pipe::pipe, Full }
    { 23 select 5 super::poll::select, Full }
    { 24 sched_yield 0 super::schedule::sched_yield, Full }
    { 25 mremap 5 super::memory::mremap, Full }
    { 26 msync 3 super::memory::msync, Full }
    { 27 mincore 3 super::memory::mincore, Full }
    { 28 madvise 3 super::memory::madvise, Partial("FREE acts at once; no COLLAPSE, no guard pages, no failure injection") }
    { 29 shmget 3 super::shm::shmget, Full }
    { 30 shmat 3 super::shm::shmat, Full }
    { 31 shmctl 3 super::shm::shmctl, Full }
    { 32 dup 1 super::fdctl::dup, Full }
    { 33 dup2 2 super::fdctl::dup2, Full }
    { 34 pause 0 super::signal::pause, Full }
    { 35 nanosleep 2 super::clock::nanosleep, Full }
    { 36 getitimer 2 super::clock::getitimer, Partial("CPU time counts as user time") }
    { 37 alarm 1 super::clock::alarm, Full }
    { 38 setitimer 3 super::clock::setitimer, Partial("CPU time counts as user time") }
    { 39 getpid 0 super::credentials::getpid, Full }
    { 40 sendfile 4 super::space::sendfile, Full }
    { 41 socket 3 super::socket::socket, Partial("AF_UNIX, AF_INET and AF_INET6 (streams and datagrams), AF_NETLINK to read interfaces and routes; raw sockets EPERM, other families EAFNOSUPPORT") }
    { 42 connect 3 super::socket::connect, Full }
    { 43 accept 3 super::socket::accept, Full }
    { 44 sendto 6 super::message::sendto, Partial("no MSG_OOB of AF_UNIX") }
    { 45 recvfrom 6 super::message::recvfrom, Partial("no MSG_OOB of AF_UNIX") }
    { 46 sendmsg 3 super::message::sendmsg, Partial("no MSG_OOB of AF_UNIX") }
    { 47 recvmsg 3 super::message::recvmsg, Partial("no MSG_OOB of AF_UNIX") }
    { 48 shutdown 2 super::socket::shutdown, Full }
    { 49 bind 3 super::socket::bind, Full }
    { 50 listen 2 super::socket::listen, Full }
    { 51 getsockname 3 super::socket::getsockname, Full }
    { 52 getpeername 3 super::socket::getpeername, Full }
    { 53 socketpair 4 super::socket::socketpair, Partial("families of socket(2); pairs are of AF_UNIX, as in Linux") }
    { 54 setsockopt 5 super::socket::setsockopt, Partial("no filters, joining of multicast groups, SO_PEEK_OFF, SO_PASSPIDFD, SO_PASSSEC") }
    { 55 getsockopt 5 super::socket::getsockopt, Partial("no filters, joining of multicast groups, SO_PEEK_OFF, SO_PASSPIDFD, SO_PASSSEC") }
    { 56 clone 5 super::clone::clone, Partial("no process with its parent's file table, no namespaces, no descriptor of a thread") }
    { 57 fork 0 super::clone::fork, Full }
    { 58 vfork 0 super::clone::vfork, Full }
    { 59 execve 3 super::process::execve, Full }
    { 60 exit 1 super::process::exit, Full }
    { 61 wait4 4 super::process::wait4, Full }
    { 62 kill 2 super::signal::kill, Partial("stop signals are ignored") }
    { 63 uname 1 super::system::uname, Full }
    { 64 semget 3 super::sem::semget, Full }
    { 65 semop 3 super::sem::semop, Full }
    { 66 semctl 4 super::sem::semctl, Full }
    { 67 shmdt 1 super::shm::shmdt, Full }
    { 68 msgget 2 super::queue::msgget, Full }
    { 69 msgsnd 4 super::queue::msgsnd, Full }
    { 70 msgrcv 5 super::queue::msgrcv, Full }
    { 71 msgctl 3 super::queue::msgctl, Full }
    { 72 fcntl 3 super::fdctl::fcntl, Partial("no signals for I/O, no leases") }
    { 73 flock 2 super::lock::flock, Full }
    { 74 fsync 1 super::space::fsync, Full }
    { 75 fdatasync 1 super::space::fdatasync, Full }
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
    { 96 gettimeofday 2 super::clock::gettimeofday, Full }
    { 97 getrlimit 2 super::system::getrlimit, Full }
    { 98 getrusage 2 super::system::getrusage, Partial("all CPU time is user time") }
    { 99 sysinfo 1 super::system::sysinfo, Partial("no load averages") }
    { 100 times 1 super::system::times, Partial("all CPU time is user time") }
    { 101 ptrace 4 Stub(EPERM, "processes do not trace each other; --strace writes calls to the log") }
    { 102 getuid 0 super::credentials::getuid, Full }
    { 103 syslog 3 Stub(EPERM, "there is no kernel log") }
    { 104 getgid 0 super::credentials::getgid, Full }
    { 105 setuid 1 super::credentials::setuid, Full }
    { 106 setgid 1 super::credentials::setgid, Full }
    { 107 geteuid 0 super::credentials::geteuid, Full }
    { 108 getegid 0 super::credentials::getegid, Full }
    { 109 setpgid 2 super::family::setpgid, Full }
    { 110 getppid 0 super::family::getppid, Full }
    { 111 getpgrp 0 super::family::getpgrp, Full }
    { 112 setsid 0 super::family::setsid, Full }
    { 113 setreuid 2 super::credentials::setreuid, Full }
    { 114 setregid 2 super::credentials::setregid, Full }
    { 115 getgroups 2 super::credentials::getgroups, Full }
    { 116 setgroups 2 super::credentials::setgroups, Full }
    { 117 setresuid 3 super::credentials::setresuid, Full }
    { 118 getresuid 3 super::credentials::getresuid, Full }
    { 119 setresgid 3 super::credentials::setresgid, Full }
    { 120 getresgid 3 super::credentials::getresgid, Full }
    { 121 getpgid 1 super::family::getpgid, Full }
    { 122 setfsuid 1 super::credentials::setfsuid, Full }
    { 123 setfsgid 1 super::credentials::setfsgid, Full }
    { 124 getsid 1 super::family::getsid, Full }
    { 125 capget 2 super::capabilities::capget, Full }
    { 126 capset 2 super::capabilities::capset, Full }
    { 127 rt_sigpending 2 super::signal::rt_sigpending, Full }
    { 128 rt_sigtimedwait 4 super::signal::rt_sigtimedwait, Full }
    { 129 rt_sigqueueinfo 3 super::signal::rt_sigqueueinfo, Full }
    { 130 rt_sigsuspend 2 super::signal::rt_sigsuspend, Full }
    { 131 sigaltstack 2 super::signal::sigaltstack, Full }
    { 132 utime 2 super::attributes::utime, Full }
    { 133 mknod 3 super::names::mknod, Full }
    { 135 personality 1 super::system::personality, Partial("kept without effect") }
    { 137 statfs 2 super::stat::statfs, Full }
    { 138 fstatfs 2 super::stat::fstatfs, Full }
    { 140 getpriority 2 super::schedule::getpriority, Full }
    { 141 setpriority 3 super::schedule::setpriority, Partial("kept without effect") }
    { 142 sched_setparam 2 super::schedule::sched_setparam, Partial("no real-time classes") }
    { 143 sched_getparam 2 super::schedule::sched_getparam, Full }
    { 144 sched_setscheduler 3 super::schedule::sched_setscheduler, Partial("no real-time classes; others are all one") }
    { 145 sched_getscheduler 1 super::schedule::sched_getscheduler, Full }
    { 146 sched_get_priority_max 1 super::schedule::sched_get_priority_max, Full }
    { 147 sched_get_priority_min 1 super::schedule::sched_get_priority_min, Full }
    { 148 sched_rr_get_interval 2 super::schedule::sched_rr_get_interval, Full }
    { 149 mlock 2 super::memory::mlock, Full }
    { 150 munlock 2 super::memory::munlock, Full }
    { 151 mlockall 1 super::memory::mlockall, Full }
    { 152 munlockall 0 super::memory::munlockall, Full }
    { 154 modify_ldt 3 Stub(ENOSYS, "no segments but the flat ones") }
    { 155 pivot_root 2 Stub(EPERM, "the tree is what the image says") }
    { 157 prctl 5 super::thread::prctl, Partial("no seccomp, no speculation control; most settings are kept without effect") }
    { 158 arch_prctl 2 super::thread::arch_prctl, Partial("GS base belongs to the libOS") }
    { 159 adjtimex 1 Stub(EPERM, "the clock is the host's") }
    { 160 setrlimit 2 super::system::setrlimit, Partial("AS, DATA, FSIZE, MEMLOCK, NOFILE and STACK are looked at, others kept") }
    { 161 chroot 1 super::path::chroot, Full }
    { 162 sync 0 super::space::sync, Full }
    { 164 settimeofday 2 Stub(EPERM, "the clock is the host's") }
    { 165 mount 5 Stub(EPERM, "the tree is what the image says") }
    { 166 umount2 2 Stub(EPERM, "the tree is what the image says") }
    { 169 reboot 4 Stub(EPERM, "as in a container") }
    { 170 sethostname 2 Stub(EPERM, "as in a container") }
    { 171 setdomainname 2 Stub(EPERM, "as in a container") }
    { 172 iopl 1 Stub(EPERM, "no ports") }
    { 173 ioperm 3 Stub(EPERM, "no ports") }
    { 175 init_module 3 Stub(EPERM, "no kernel modules") }
    { 176 delete_module 2 Stub(EPERM, "no kernel modules") }
    { 179 quotactl 4 Stub(ENOSYS, "no quotas") }
    { 186 gettid 0 super::credentials::gettid, Full }
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
    { 200 tkill 2 super::signal::tkill, Full }
    { 201 time 1 super::clock::time, Full }
    { 202 futex 6 super::futex::futex, Partial("PI futexes without priorities; no WAIT_REQUEUE_PI") }
    { 203 sched_setaffinity 3 super::schedule::sched_setaffinity, Full }
    { 204 sched_getaffinity 3 super::schedule::sched_getaffinity, Full }
    { 205 set_thread_area 1 Stub(ENOSYS, "no segments but the flat ones") }
    { 206 io_setup 2 Stub(ENOSYS, "no asynchronous I/O yet") }
    { 207 io_destroy 1 Stub(ENOSYS, "no asynchronous I/O yet") }
    { 208 io_getevents 5 Stub(ENOSYS, "no asynchronous I/O yet") }
    { 209 io_submit 3 Stub(ENOSYS, "no asynchronous I/O yet") }
    { 210 io_cancel 3 Stub(ENOSYS, "no asynchronous I/O yet") }
    { 211 get_thread_area 1 Stub(ENOSYS, "no segments but the flat ones") }
    { 213 epoll_create 1 super::epoll::epoll_create, Full }
    { 216 remap_file_pages 5 super::memory::remap_file_pages, Full }
    { 217 getdents64 3 super::directory::getdents64, Full }
    { 218 set_tid_address 1 super::thread::set_tid_address, Full }
    { 220 semtimedop 4 super::sem::semtimedop, Full }
    { 221 fadvise64 4 super::space::fadvise64, Full }
    { 222 timer_create 3 super::clock::timer_create, Full }
    { 223 timer_settime 4 super::clock::timer_settime, Partial("a step of CLOCK_REALTIME does not move it") }
    { 224 timer_gettime 2 super::clock::timer_gettime, Full }
    { 225 timer_getoverrun 1 super::clock::timer_getoverrun, Full }
    { 226 timer_delete 1 super::clock::timer_delete, Full }
    { 227 clock_settime 2 Stub(EPERM, "the clock is the host's") }
    { 228 clock_gettime 2 super::clock::clock_gettime, Full }
    { 229 clock_getres 2 super::clock::clock_getres, Full }
    { 230 clock_nanosleep 4 super::clock::clock_nanosleep, Full }
    { 231 exit_group 1 super::process::exit_group, Full }
    { 232 epoll_wait 4 super::epoll::epoll_wait, Full }
    { 233 epoll_ctl 4 super::epoll::epoll_ctl, Full }
    { 234 tgkill 3 super::signal::tgkill, Full }
    { 235 utimes 2 super::attributes::utimes, Full }
    { 237 mbind 6 Stub(ENOSYS, "one memory node") }
    { 238 set_mempolicy 3 Stub(ENOSYS, "one memory node") }
    { 239 get_mempolicy 5 Stub(ENOSYS, "one memory node") }
    { 240 mq_open 4 Stub(ENOSYS, "no message queues") }
    { 241 mq_unlink 1 Stub(ENOSYS, "no message queues") }
    { 246 kexec_load 4 Stub(EPERM, "no kernel to replace") }
    { 247 waitid 5 super::process::waitid, Full }
    { 248 add_key 5 Stub(ENOSYS, "no keyrings") }
    { 249 request_key 4 Stub(ENOSYS, "no keyrings") }
    { 250 keyctl 5 Stub(ENOSYS, "no keyrings") }
    { 253 inotify_init 0 super::inotify::inotify_init, Full }
    { 254 inotify_add_watch 3 super::inotify::inotify_add_watch, Partial("changes made inside the guest; a file of the image is gone with its last name, open or not") }
    { 255 inotify_rm_watch 2 super::inotify::inotify_rm_watch, Full }
    { 256 migrate_pages 4 Stub(ENOSYS, "one memory node") }
    { 257 openat 4 super::open::openat, Full }
    { 258 mkdirat 3 super::names::mkdirat, Full }
    { 259 mknodat 4 super::names::mknodat, Full }
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
    { 272 unshare 1 Stub(EPERM, "no namespaces") }
    { 273 set_robust_list 2 super::thread::set_robust_list, Full }
    { 274 get_robust_list 3 super::thread::get_robust_list, Full }
    { 275 splice 6 super::splice::splice, Partial("pages of files are copied") }
    { 276 tee 4 super::splice::tee, Full }
    { 277 sync_file_range 4 super::space::sync_file_range, Full }
    { 278 vmsplice 4 super::splice::vmsplice, Partial("pages are copied, not given away") }
    { 279 move_pages 6 Stub(ENOSYS, "one memory node") }
    { 280 utimensat 4 super::attributes::utimensat, Full }
    { 281 epoll_pwait 6 super::epoll::epoll_pwait, Full }
    { 282 signalfd 3 super::signal_file::signalfd, Full }
    { 283 timerfd_create 2 super::timer::timerfd_create, Full }
    { 284 eventfd 1 super::pipe::eventfd, Full }
    { 285 fallocate 4 super::space::fallocate, Partial("no UNSHARE_RANGE, as on ext4") }
    { 286 timerfd_settime 4 super::timer::timerfd_settime, Partial("TFD_TIMER_CANCEL_ON_SET changes nothing") }
    { 287 timerfd_gettime 2 super::timer::timerfd_gettime, Full }
    { 288 accept4 4 super::socket::accept4, Full }
    { 289 signalfd4 4 super::signal_file::signalfd4, Full }
    { 290 eventfd2 2 super::pipe::eventfd2, Full }
    { 291 epoll_create1 1 super::epoll::epoll_create1, Full }
    { 292 dup3 3 super::fdctl::dup3, Full }
    { 293 pipe2 2 super::pipe::pipe2, Full }
    { 294 inotify_init1 1 super::inotify::inotify_init1, Full }
    { 295 preadv 5 super::file::preadv, Full }
    { 296 pwritev 5 super::file::pwritev, Full }
    { 297 rt_tgsigqueueinfo 4 super::signal::rt_tgsigqueueinfo, Full }
    { 298 perf_event_open 5 Stub(ENOSYS, "no performance counters") }
    { 299 recvmmsg 5 super::message::recvmmsg, Partial("no MSG_OOB of AF_UNIX") }
    { 300 fanotify_init 2 Stub(EPERM, "no change notification") }
    { 301 fanotify_mark 5 Stub(EBADF, "no change notification") }
    { 302 prlimit64 4 super::system::prlimit64, Partial("AS, DATA, FSIZE, MEMLOCK, NOFILE and STACK are looked at, others kept") }
    { 303 name_to_handle_at 5 Stub(EOPNOTSUPP, "files have no handles") }
    { 304 open_by_handle_at 3 Stub(EPERM, "files have no handles") }
    { 305 clock_adjtime 2 Stub(EPERM, "the clock is the host's") }
    { 306 syncfs 1 super::space::syncfs, Full }
    { 307 sendmmsg 4 super::message::sendmmsg, Partial("no MSG_OOB of AF_UNIX") }
    { 308 setns 2 Stub(EPERM, "no namespaces") }
    { 309 getcpu 3 super::schedule::getcpu, Full }
    { 310 process_vm_readv 6 super::foreign::process_vm_readv, Full }
    { 311 process_vm_writev 6 super::foreign::process_vm_writev, Full }
    { 312 kcmp 5 super::foreign::kcmp, Partial("no KCMP_EPOLL_TFD") }
    { 313 finit_module 3 Stub(EPERM, "no kernel modules") }
    { 314 sched_setattr 3 super::schedule::sched_setattr, Partial("no real-time classes") }
    { 315 sched_getattr 4 super::schedule::sched_getattr, Full }
    { 316 renameat2 5 super::names::renameat2, Partial("no RENAME_WHITEOUT") }
    { 317 seccomp 3 Stub(EINVAL, "no filters: nothing inside the guest is less trusted") }
    { 318 getrandom 3 super::random::getrandom, Full }
    { 319 memfd_create 2 super::pipe::memfd_create, Partial("no reserved huge pages") }
    { 321 bpf 3 Stub(ENOSYS, "no BPF") }
    { 323 userfaultfd 1 Stub(ENOSYS, "faults are not handed to the program") }
    { 324 membarrier 2 super::schedule::membarrier, Partial("no restartable sequences") }
    { 325 mlock2 3 super::memory::mlock2, Full }
    { 326 copy_file_range 6 super::space::copy_file_range, Full }
    { 327 preadv2 6 super::file::preadv2, Partial("no RWF_ATOMIC, RWF_DONTCACHE") }
    { 328 pwritev2 6 super::file::pwritev2, Partial("no RWF_ATOMIC, RWF_DONTCACHE; RWF_NOWAIT for streams alone, as on ext4") }
    { 329 pkey_mprotect 4 super::memory::pkey_mprotect, Partial("no protection keys") }
    { 330 pkey_alloc 2 Stub(ENOSPC, "no protection keys") }
    { 331 pkey_free 1 Stub(EINVAL, "no protection keys") }
    { 332 statx 5 super::stat::statx, Partial("no birth time of files of the image") }
    { 334 rseq 4 Stub(ENOSYS, "no restartable sequences; C libraries do without") }
    { 424 pidfd_send_signal 4 super::process_file::pidfd_send_signal, Partial("no flags; no directory of /proc") }
    { 425 io_uring_setup 2 Stub(ENOSYS, "no asynchronous I/O yet") }
    { 426 io_uring_enter 6 Stub(ENOSYS, "no asynchronous I/O yet") }
    { 427 io_uring_register 4 Stub(ENOSYS, "no asynchronous I/O yet") }
    { 428 open_tree 3 Stub(EPERM, "the tree is what the image says") }
    { 429 move_mount 5 Stub(EPERM, "the tree is what the image says") }
    { 430 fsopen 2 Stub(EPERM, "the tree is what the image says") }
    { 431 fsconfig 5 Stub(EPERM, "the tree is what the image says") }
    { 432 fsmount 3 Stub(EPERM, "the tree is what the image says") }
    { 433 fspick 3 Stub(EPERM, "the tree is what the image says") }
    { 434 pidfd_open 2 super::process_file::pidfd_open, Partial("no PIDFD_THREAD") }
    { 435 clone3 2 super::clone::clone3, Partial("as clone") }
    { 436 close_range 3 super::open::close_range, Full }
    { 437 openat2 4 super::open::openat2, Full }
    { 438 pidfd_getfd 3 super::process_file::pidfd_getfd, Full }
    { 439 faccessat2 4 super::stat::faccessat2, Full }
    { 440 process_madvise 5 Stub(ENOSYS, "no advice for others") }
    { 441 epoll_pwait2 6 super::epoll::epoll_pwait2, Full }
    { 442 mount_setattr 5 Stub(EPERM, "the tree is what the image says") }
    { 444 landlock_create_ruleset 3 Stub(ENOSYS, "nothing inside the guest is less trusted") }
    { 445 landlock_add_rule 4 Stub(ENOSYS, "nothing inside the guest is less trusted") }
    { 446 landlock_restrict_self 2 Stub(ENOSYS, "nothing inside the guest is less trusted") }
    { 447 memfd_secret 1 Stub(ENOSYS, "no secret memory") }
    { 448 process_mrelease 2 Stub(ENOSYS, "memory goes when a process ends") }
    { 449 futex_waitv 5 Stub(ENOSYS, "programs fall back to futex") }
    { 450 set_mempolicy_home_node 4 Stub(ENOSYS, "one memory node") }
    { 452 fchmodat2 4 super::attributes::fchmodat2, Full }
    { 453 map_shadow_stack 3 Stub(ENOSYS, "no shadow stacks") }
    { 454 futex_wake 4 Stub(ENOSYS, "programs fall back to futex") }
    { 455 futex_wait 6 Stub(ENOSYS, "programs fall back to futex") }
    { 456 futex_requeue 4 Stub(ENOSYS, "programs fall back to futex") }
    { 462 mseal 3 super::memory::mseal, Full }
}
