// The signatures of system calls, by Linux number. Included by `signatures.rs`.
signatures! {
    { 0 read [Fd, FILLED, SIZE] }
    { 1 write [Fd, BUFFER, SIZE] }
    { 2 open [Path, OPEN, OPEN_MODE] FD }
    { 3 close [Fd] }
    { 4 stat [Path, STAT] }
    { 5 fstat [Fd, STAT] }
    { 6 lstat [Path, STAT] }
    { 7 poll [POLL_LIST, UINT, INT] poll_result }
    { 8 lseek [Fd, LONG, OneOf(&SEEK)] }
    { 9 mmap [ADDRESS, SIZE, Flags(&PROTECTION), Flags(&MAP), Fd, HEX] HEX }
    { 10 mprotect [ADDRESS, SIZE, Flags(&PROTECTION)] }
    { 11 munmap [ADDRESS, SIZE] }
    { 12 brk [ADDRESS] HEX }
    { 13 rt_sigaction [SIGNAL, SIGACTION, SIGACTION_OUT, SIZE] }
    { 14 rt_sigprocmask [OneOf(&MASK_HOW), SET, SET_OUT, SIZE] }
    { 15 rt_sigreturn [] }
    { 16 ioctl [Fd, OneOf(&IOCTL), IOCTL_ARGUMENT] }
    { 17 pread64 [Fd, FILLED, SIZE, LONG] }
    { 18 pwrite64 [Fd, BUFFER, SIZE, LONG] }
    { 19 readv [Fd, FILLED_VECTORS, SIZE] }
    { 20 writev [Fd, VECTORS, SIZE] }
    { 21 access [Path, Flags(&ACCESS)] }
    { 22 pipe [FD_PAIR] }
    { 23 select [INT, FD_SET, FD_SET, FD_SET, TIMEVAL] select_result }
    { 24 sched_yield [] }
    { 25 mremap [ADDRESS, SIZE, SIZE, Flags(&REMAP), NEW_ADDRESS] HEX }
    { 26 msync [ADDRESS, SIZE, Flags(&SYNC)] }
    { 27 mincore [ADDRESS, SIZE, PAGES] }
    { 28 madvise [ADDRESS, SIZE, OneOf(&MEMORY_ADVICE)] }
    { 29 shmget [HEX32, SIZE, HEX32] }
    { 30 shmat [INT, ADDRESS, HEX32] HEX }
    { 31 shmctl [INT, INT, ADDRESS] }
    { 32 dup [Fd] FD }
    { 33 dup2 [Fd, Fd] FD }
    { 34 pause [] }
    { 35 nanosleep [TIMESPEC, REMAINING] }
    { 36 getitimer [OneOf(&INTERVAL_TIMER), ITIMERVAL_OUT] }
    { 37 alarm [UINT] }
    { 38 setitimer [OneOf(&INTERVAL_TIMER), ITIMERVAL, ITIMERVAL_OUT] }
    { 39 getpid [] }
    { 40 sendfile [Fd, Fd, OFFSET, SIZE] }
    { 41 socket [OneOf(&FAMILY), SOCKET_TYPE, SOCKET_PROTOCOL] FD }
    { 42 connect [Fd, SOCKADDR, INT] }
    { 43 accept [Fd, SOCKADDR_OUT, SOCKADDR_BYTES] FD }
    { 44 sendto [Fd, BUFFER, SIZE, Flags(&MESSAGE_FLAGS), SOCKADDR, INT] }
    { 45 recvfrom [Fd, FILLED, SIZE, Flags(&MESSAGE_FLAGS), SOCKADDR_OUT, SOCKADDR_BYTES] }
    { 46 sendmsg [Fd, MESSAGE, Flags(&MESSAGE_FLAGS)] }
    { 47 recvmsg [Fd, MESSAGE_OUT, Flags(&MESSAGE_FLAGS)] }
    { 48 shutdown [Fd, OneOf(&SHUTDOWN)] }
    { 49 bind [Fd, SOCKADDR, INT] }
    { 50 listen [Fd, INT] }
    { 51 getsockname [Fd, SOCKADDR_OUT, SOCKADDR_BYTES] }
    { 52 getpeername [Fd, SOCKADDR_OUT, SOCKADDR_BYTES] }
    { 53 socketpair [OneOf(&FAMILY), SOCKET_TYPE, SOCKET_PROTOCOL, FD_PAIR] }
    { 54 setsockopt [Fd, SOCKET_LEVEL, SOCKET_OPTION, OPTION_VALUE, INT] }
    { 55 getsockopt [Fd, SOCKET_LEVEL, SOCKET_OPTION, OPTION_VALUE_OUT, INT_BOTH] }
    { 56 clone [CLONE_STACK, CLONE_FLAGS, CLONE_PARENT, CLONE_TLS, CLONE_CHILD] }
    { 57 fork [] }
    { 58 vfork [] }
    { 59 execve [Path, STRINGS, ENVIRONMENT] }
    { 60 exit [INT] }
    { 61 wait4 [INT, STATUS, Flags(&WAIT), RUSAGE] }
    { 62 kill [INT, SIGNAL] }
    { 63 uname [UTSNAME] }
    { 64 semget [HEX32, INT, HEX32] }
    { 65 semop [INT, ADDRESS, SIZE] }
    { 66 semctl [INT, INT, INT, HEX] }
    { 67 shmdt [ADDRESS] }
    { 68 msgget [HEX32, HEX32] }
    { 69 msgsnd [INT, ADDRESS, SIZE, HEX32] }
    { 70 msgrcv [INT, ADDRESS, SIZE, LONG, HEX32] }
    { 71 msgctl [INT, INT, ADDRESS] }
    { 72 fcntl [Fd, OneOf(&COMMAND), COMMAND_ARGUMENT] command_result }
    { 73 flock [Fd, Flags(&LOCK)] }
    { 74 fsync [Fd] }
    { 75 fdatasync [Fd] }
    { 76 truncate [Path, LONG] }
    { 77 ftruncate [Fd, LONG] }
    { 78 getdents [Fd, ENTRIES, SIZE] }
    { 79 getcwd [WRITTEN, SIZE] }
    { 80 chdir [Path] }
    { 81 fchdir [Fd] }
    { 82 rename [Path, Path] }
    { 83 mkdir [Path, MODE] }
    { 84 rmdir [Path] }
    { 85 creat [Path, MODE] FD }
    { 86 link [Path, Path] }
    { 87 unlink [Path] }
    { 88 symlink [Path, Path] }
    { 89 readlink [Path, FILLED, SIZE] }
    { 90 chmod [Path, MODE] }
    { 91 fchmod [Fd, MODE] }
    { 92 chown [Path, ID, ID] }
    { 93 fchown [Fd, ID, ID] }
    { 94 lchown [Path, ID, ID] }
    { 95 umask [MODE] OCTAL }
    { 96 gettimeofday [TIMEVAL_OUT, TIMEZONE] }
    { 97 getrlimit [OneOf(&LIMIT), RLIMIT_OUT] }
    { 98 getrusage [OneOf(&USAGE), RUSAGE] }
    { 99 sysinfo [SYSINFO] }
    { 100 times [TMS] }
    { 101 ptrace [LONG, INT, ADDRESS, ADDRESS] }
    { 102 getuid [] }
    { 103 syslog [INT, ADDRESS, INT] }
    { 104 getgid [] }
    { 105 setuid [ID] }
    { 106 setgid [ID] }
    { 107 geteuid [] }
    { 108 getegid [] }
    { 109 setpgid [INT, INT] }
    { 110 getppid [] }
    { 111 getpgrp [] }
    { 112 setsid [] }
    { 113 setreuid [ID, ID] }
    { 114 setregid [ID, ID] }
    { 115 getgroups [INT, GROUPS_OUT] }
    { 116 setgroups [INT, GROUPS] }
    { 117 setresuid [ID, ID, ID] }
    { 118 getresuid [ID_OUT, ID_OUT, ID_OUT] }
    { 119 setresgid [ID, ID, ID] }
    { 120 getresgid [ID_OUT, ID_OUT, ID_OUT] }
    { 121 getpgid [INT] }
    { 122 setfsuid [ID] }
    { 123 setfsgid [ID] }
    { 124 getsid [INT] }
    { 125 capget [CAPABILITY_HEADER, CAPABILITIES_OUT] }
    { 126 capset [CAPABILITY_HEADER, CAPABILITIES] }
    { 127 rt_sigpending [SET_OUT, SIZE] }
    { 128 rt_sigtimedwait [SET, INFO_OUT, TIMESPEC, SIZE] signal_result }
    { 129 rt_sigqueueinfo [INT, SIGNAL, INFO] }
    { 130 rt_sigsuspend [SET, SIZE] }
    { 131 sigaltstack [STACK, STACK_OUT] }
    { 132 utime [Path, UTIMBUF] }
    { 133 mknod [Path, FILE_MODE, NODE_DEVICE] }
    { 135 personality [OneOf(&PERSONALITY)] HEX }
    { 136 ustat [DEVICE, ADDRESS] }
    { 137 statfs [Path, STATFS] }
    { 138 fstatfs [Fd, STATFS] }
    { 139 sysfs [INT, HEX, HEX] }
    { 140 getpriority [OneOf(&PRIORITY), INT] }
    { 141 setpriority [OneOf(&PRIORITY), INT, INT] }
    { 142 sched_setparam [INT, PARAM] }
    { 143 sched_getparam [INT, PARAM_OUT] }
    { 144 sched_setscheduler [INT, Flags(&POLICY), PARAM] }
    { 145 sched_getscheduler [INT] policy_result }
    { 146 sched_get_priority_max [OneOf(&POLICY)] }
    { 147 sched_get_priority_min [OneOf(&POLICY)] }
    { 148 sched_rr_get_interval [INT, TIMESPEC_OUT] }
    { 149 mlock [ADDRESS, SIZE] }
    { 150 munlock [ADDRESS, SIZE] }
    { 151 mlockall [Flags(&LOCK_ALL)] }
    { 152 munlockall [] }
    { 153 vhangup [] }
    { 154 modify_ldt [INT, ADDRESS, SIZE] }
    { 155 pivot_root [Path, Path] }
    { 157 prctl [OneOf(&PRCTL), PRCTL_FIRST, PRCTL_REST, PRCTL_REST, PRCTL_LAST] }
    { 158 arch_prctl [OneOf(&ARCH), ARCH_ARGUMENT] }
    { 159 adjtimex [ADDRESS] }
    { 160 setrlimit [OneOf(&LIMIT), RLIMIT] }
    { 161 chroot [Path] }
    { 162 sync [] }
    { 163 acct [Path] }
    { 164 settimeofday [TIMEVAL, ADDRESS] }
    { 165 mount [Path, Path, STRING, HEX, ADDRESS] }
    { 166 umount2 [Path, HEX32] }
    { 167 swapon [Path, HEX32] }
    { 168 swapoff [Path] }
    { 169 reboot [HEX32, HEX32, HEX32, ADDRESS] }
    { 170 sethostname [BUFFER, INT] }
    { 171 setdomainname [BUFFER, INT] }
    { 172 iopl [INT] }
    { 173 ioperm [HEX, SIZE, INT] }
    { 175 init_module [ADDRESS, SIZE, STRING] }
    { 176 delete_module [STRING, HEX32] }
    { 179 quotactl [HEX32, Path, INT, ADDRESS] }
    { 186 gettid [] }
    { 187 readahead [Fd, LONG, SIZE] }
    { 188 setxattr [Path, STRING, BUFFER, SIZE, Flags(&XATTR)] }
    { 189 lsetxattr [Path, STRING, BUFFER, SIZE, Flags(&XATTR)] }
    { 190 fsetxattr [Fd, STRING, BUFFER, SIZE, Flags(&XATTR)] }
    { 191 getxattr [Path, STRING, VALUE, SIZE] }
    { 192 lgetxattr [Path, STRING, VALUE, SIZE] }
    { 193 fgetxattr [Fd, STRING, VALUE, SIZE] }
    { 194 listxattr [Path, VALUE, SIZE] }
    { 195 llistxattr [Path, VALUE, SIZE] }
    { 196 flistxattr [Fd, VALUE, SIZE] }
    { 197 removexattr [Path, STRING] }
    { 198 lremovexattr [Path, STRING] }
    { 199 fremovexattr [Fd, STRING] }
    { 200 tkill [INT, SIGNAL] }
    { 201 time [TIME] }
    { 202 futex [ADDRESS, FUTEX_OPERATION, FUTEX_VALUE, FUTEX_TIMEOUT, FUTEX_SECOND, FUTEX_THIRD] }
    { 203 sched_setaffinity [INT, SIZE, CPUS] }
    { 204 sched_getaffinity [INT, SIZE, CPUS_OUT] }
    { 205 set_thread_area [ADDRESS] }
    { 206 io_setup [UINT, ADDRESS] }
    { 207 io_destroy [HEX] }
    { 208 io_getevents [HEX, LONG, LONG, ADDRESS, TIMESPEC] }
    { 209 io_submit [HEX, LONG, ADDRESS] }
    { 210 io_cancel [HEX, ADDRESS, ADDRESS] }
    { 211 get_thread_area [ADDRESS] }
    { 213 epoll_create [INT] FD }
    { 216 remap_file_pages [ADDRESS, SIZE, Flags(&PROTECTION), SIZE, Flags(&MAP)] }
    { 217 getdents64 [Fd, ENTRIES, SIZE] }
    { 218 set_tid_address [ADDRESS] }
    { 219 restart_syscall [] }
    { 220 semtimedop [INT, ADDRESS, SIZE, TIMESPEC] }
    { 221 fadvise64 [Fd, LONG, SIZE, OneOf(&ADVICE)] }
    { 222 timer_create [CLOCK_ID, EVENT, TIMER_ID] }
    { 223 timer_settime [INT, Flags(&TIMER), ITIMERSPEC, ITIMERSPEC_OUT] }
    { 224 timer_gettime [INT, ITIMERSPEC_OUT] }
    { 225 timer_getoverrun [INT] }
    { 226 timer_delete [INT] }
    { 227 clock_settime [CLOCK_ID, TIMESPEC] }
    { 228 clock_gettime [CLOCK_ID, TIMESPEC_OUT] }
    { 229 clock_getres [CLOCK_ID, TIMESPEC_OUT] }
    { 230 clock_nanosleep [CLOCK_ID, Flags(&TIMER), TIMESPEC, REMAINING] }
    { 231 exit_group [INT] }
    { 232 epoll_wait [Fd, EPOLL_LIST, INT, INT] }
    { 233 epoll_ctl [Fd, OneOf(&EPOLL_OPERATION), Fd, EPOLL_EVENT] }
    { 234 tgkill [INT, INT, SIGNAL] }
    { 235 utimes [Path, TIMEVALS] }
    { 237 mbind [ADDRESS, SIZE, HEX32, ADDRESS, SIZE, HEX32] }
    { 238 set_mempolicy [HEX32, ADDRESS, SIZE] }
    { 239 get_mempolicy [ADDRESS, ADDRESS, SIZE, ADDRESS, HEX32] }
    { 240 mq_open [STRING, OPEN, OPEN_MODE, ADDRESS] FD }
    { 241 mq_unlink [STRING] }
    { 242 mq_timedsend [Fd, BUFFER, SIZE, UINT, TIMESPEC] }
    { 243 mq_timedreceive [Fd, FILLED, SIZE, ADDRESS, TIMESPEC] }
    { 244 mq_notify [Fd, EVENT] }
    { 245 mq_getsetattr [Fd, ADDRESS, ADDRESS] }
    { 246 kexec_load [HEX, SIZE, ADDRESS, HEX] }
    { 247 waitid [OneOf(&WAIT_ID), INT, INFO_OUT, Flags(&WAIT), RUSAGE] }
    { 248 add_key [STRING, STRING, BUFFER, SIZE, INT] }
    { 249 request_key [STRING, STRING, STRING, INT] }
    { 250 keyctl [INT, HEX, HEX, HEX, HEX] }
    { 251 ioprio_set [INT, INT, HEX32] }
    { 252 ioprio_get [INT, INT] HEX }
    { 253 inotify_init [] FD }
    { 254 inotify_add_watch [Fd, Path, Flags(&INOTIFY)] }
    { 255 inotify_rm_watch [Fd, INT] }
    { 256 migrate_pages [INT, SIZE, ADDRESS, ADDRESS] }
    { 257 openat [DirFd, Path, OPEN, OPEN_MODE] FD }
    { 258 mkdirat [DirFd, Path, MODE] }
    { 259 mknodat [DirFd, Path, FILE_MODE, NODE_DEVICE] }
    { 260 fchownat [DirFd, Path, ID, ID, Flags(&AT)] }
    { 261 futimesat [DirFd, Path, TIMEVALS] }
    { 262 newfstatat [DirFd, Path, STAT, Flags(&AT)] }
    { 263 unlinkat [DirFd, Path, Flags(&AT)] }
    { 264 renameat [DirFd, Path, DirFd, Path] }
    { 265 linkat [DirFd, Path, DirFd, Path, Flags(&AT)] }
    { 266 symlinkat [Path, DirFd, Path] }
    { 267 readlinkat [DirFd, Path, FILLED, SIZE] }
    { 268 fchmodat [DirFd, Path, MODE] }
    { 269 faccessat [DirFd, Path, Flags(&ACCESS)] }
    { 270 pselect6 [INT, FD_SET, FD_SET, FD_SET, TIMESPEC, SET_AND_SIZE] pselect_result }
    { 271 ppoll [POLL_LIST, UINT, TIMESPEC, SET, SIZE] ppoll_result }
    { 272 unshare [Flags(&CLONE)] }
    { 273 set_robust_list [ADDRESS, SIZE] }
    { 274 get_robust_list [INT, ADDRESS, ADDRESS] }
    { 275 splice [Fd, OFFSET, Fd, OFFSET, SIZE, Flags(&SPLICE)] }
    { 276 tee [Fd, Fd, SIZE, Flags(&SPLICE)] }
    { 277 sync_file_range [Fd, LONG, LONG, Flags(&SYNC_RANGE)] }
    { 278 vmsplice [Fd, VECTORS, SIZE, Flags(&SPLICE)] }
    { 279 move_pages [INT, SIZE, ADDRESS, ADDRESS, ADDRESS, HEX32] }
    { 280 utimensat [DirFd, Path, TIMESPECS, Flags(&AT)] }
    { 281 epoll_pwait [Fd, EPOLL_LIST, INT, INT, SET, SIZE] }
    { 282 signalfd [Fd, SET, SIZE] FD }
    { 283 timerfd_create [CLOCK_ID, Flags(&TIMER_FILE)] FD }
    { 284 eventfd [UINT] FD }
    { 285 fallocate [Fd, Flags(&FALLOCATE), LONG, LONG] }
    { 286 timerfd_settime [Fd, Flags(&TIMER_FILE_SET), ITIMERSPEC, ITIMERSPEC_OUT] }
    { 287 timerfd_gettime [Fd, ITIMERSPEC_OUT] }
    { 288 accept4 [Fd, SOCKADDR_OUT, SOCKADDR_BYTES, ACCEPT_FLAGS] FD }
    { 289 signalfd4 [Fd, SET, SIZE, Flags(&SIGNAL_FILE)] FD }
    { 290 eventfd2 [UINT, Flags(&EVENT_FLAGS)] FD }
    { 291 epoll_create1 [Flags(&EPOLL_CREATE)] FD }
    { 292 dup3 [Fd, Fd, Flags(&CLOSE_ON_EXEC)] FD }
    { 293 pipe2 [FD_PAIR, Flags(&PIPE)] }
    { 294 inotify_init1 [Flags(&INOTIFY_INIT)] FD }
    { 295 preadv [Fd, FILLED_VECTORS, SIZE, LONG, UNUSED] }
    { 296 pwritev [Fd, VECTORS, SIZE, LONG, UNUSED] }
    { 297 rt_tgsigqueueinfo [INT, INT, SIGNAL, INFO] }
    { 298 perf_event_open [ADDRESS, INT, INT, Fd, HEX] FD }
    { 299 recvmmsg [Fd, MESSAGES_OUT, UINT, Flags(&MESSAGE_FLAGS), TIMESPEC] }
    { 300 fanotify_init [HEX32, HEX32] FD }
    { 301 fanotify_mark [Fd, HEX32, HEX, DirFd, Path] }
    { 302 prlimit64 [INT, OneOf(&LIMIT), RLIMIT, RLIMIT_OUT] }
    { 303 name_to_handle_at [DirFd, Path, ADDRESS, ADDRESS, Flags(&AT)] }
    { 304 open_by_handle_at [Fd, ADDRESS, OPEN] FD }
    { 305 clock_adjtime [CLOCK_ID, ADDRESS] }
    { 306 syncfs [Fd] }
    { 307 sendmmsg [Fd, MESSAGES, UINT, Flags(&MESSAGE_FLAGS)] }
    { 308 setns [Fd, Flags(&CLONE)] }
    { 309 getcpu [INT_OUT, INT_OUT, ADDRESS] }
    { 310 process_vm_readv [INT, FILLED_VECTORS, SIZE, RANGES, SIZE, HEX] }
    { 311 process_vm_writev [INT, VECTORS, SIZE, RANGES, SIZE, HEX] }
    { 312 kcmp [INT, INT, INT, HEX, HEX] }
    { 313 finit_module [Fd, STRING, HEX32] }
    { 314 sched_setattr [INT, ATTRIBUTES, HEX32] }
    { 315 sched_getattr [INT, ATTRIBUTES_OUT, UINT, HEX32] }
    { 316 renameat2 [DirFd, Path, DirFd, Path, Flags(&RENAME)] }
    { 317 seccomp [INT, HEX32, ADDRESS] }
    { 318 getrandom [RANDOM, SIZE, Flags(&RANDOM_FLAGS)] }
    { 319 memfd_create [STRING, Flags(&MEMFD)] FD }
    { 321 bpf [INT, ADDRESS, UINT] }
    { 322 execveat [DirFd, Path, STRINGS, ENVIRONMENT, Flags(&AT)] }
    { 323 userfaultfd [HEX32] FD }
    { 324 membarrier [OneOf(&BARRIER), HEX32] }
    { 325 mlock2 [ADDRESS, SIZE, Flags(&MEMORY_LOCK)] }
    { 326 copy_file_range [Fd, OFFSET, Fd, OFFSET, SIZE, HEX32] }
    { 327 preadv2 [Fd, FILLED_VECTORS, SIZE, LONG, UNUSED, Flags(&READ_WRITE)] }
    { 328 pwritev2 [Fd, VECTORS, SIZE, LONG, UNUSED, Flags(&READ_WRITE)] }
    { 329 pkey_mprotect [ADDRESS, SIZE, Flags(&PROTECTION), INT] }
    { 330 pkey_alloc [HEX32, HEX32] }
    { 331 pkey_free [INT] }
    { 332 statx [DirFd, Path, STATX_FLAGS, Flags(&STATX_MASK), STATX] }
    { 333 io_pgetevents [HEX, LONG, LONG, ADDRESS, TIMESPEC, SET_AND_SIZE] }
    { 334 rseq [ADDRESS, HEX32, HEX32, HEX32] }
    { 424 pidfd_send_signal [Fd, SIGNAL, INFO, HEX32] }
    { 425 io_uring_setup [UINT, ADDRESS] FD }
    { 426 io_uring_enter [Fd, UINT, UINT, HEX32, SET, SIZE] }
    { 427 io_uring_register [Fd, UINT, ADDRESS, UINT] }
    { 428 open_tree [DirFd, Path, HEX32] FD }
    { 429 move_mount [DirFd, Path, DirFd, Path, HEX32] }
    { 430 fsopen [STRING, HEX32] FD }
    { 431 fsconfig [Fd, UINT, STRING, ADDRESS, INT] }
    { 432 fsmount [Fd, HEX32, HEX32] FD }
    { 433 fspick [DirFd, Path, HEX32] FD }
    { 434 pidfd_open [INT, HEX32] FD }
    { 435 clone3 [CLONE_ARGUMENTS, SIZE] }
    { 436 close_range [UINT, UINT, Flags(&CLOSE_RANGE)] }
    { 437 openat2 [DirFd, Path, OPEN_HOW, SIZE] FD }
    { 438 pidfd_getfd [Fd, INT, HEX32] FD }
    { 439 faccessat2 [DirFd, Path, Flags(&ACCESS), Flags(&AT_ACCESS)] }
    { 440 process_madvise [Fd, RANGES, SIZE, OneOf(&MEMORY_ADVICE), HEX32] }
    { 441 epoll_pwait2 [Fd, EPOLL_LIST, INT, TIMESPEC, SET, SIZE] }
    { 442 mount_setattr [DirFd, Path, HEX32, ADDRESS, SIZE] }
    { 444 landlock_create_ruleset [ADDRESS, SIZE, HEX32] }
    { 445 landlock_add_rule [Fd, UINT, ADDRESS, HEX32] }
    { 446 landlock_restrict_self [Fd, HEX32] }
    { 447 memfd_secret [HEX32] FD }
    { 448 process_mrelease [Fd, HEX32] }
    { 449 futex_waitv [ADDRESS, UINT, HEX32, TIMESPEC, CLOCK_ID] }
    { 450 set_mempolicy_home_node [ADDRESS, SIZE, SIZE, HEX] }
    { 451 cachestat [Fd, ADDRESS, ADDRESS, HEX32] }
    { 452 fchmodat2 [DirFd, Path, MODE, Flags(&AT)] }
    { 453 map_shadow_stack [ADDRESS, SIZE, HEX32] HEX }
    { 454 futex_wake [ADDRESS, HEX, INT, HEX32] }
    { 455 futex_wait [ADDRESS, HEX, HEX, HEX32, TIMESPEC, CLOCK_ID] }
    { 456 futex_requeue [ADDRESS, HEX32, INT, INT] }
    { 462 mseal [ADDRESS, SIZE, HEX] }
}
