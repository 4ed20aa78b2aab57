//! Processes and their threads.
//!
//! What belongs to a process is in [`Process`], what belongs to a thread in [`Thread`], and
//! those that run are reached through [`current`] and [`thread()`]. The first process is the
//! container's init: its end is the guest's.
//!
//! | file | what it owns |
//! |---|---|
//! | `trap.rs` | exceptions: page faults, signals for the others |
//! | `exec.rs` | execve and the first start: lookup, `#!`, errors |
//! | `elf.rs` | reading ELF headers |
//! | `load.rs` | mapping a program and its interpreter |
//! | `stack.rs` | the initial stack: strings, auxv |
//! | `thread.rs` | what a thread is, and the running one |
//! | `threads.rs` | all threads by id; making, ending and stopping them |
//! | `thread_limit.rs` | how many there may be |
//! | `table.rs` | all processes by id: parents, groups, sessions, who has ended |
//! | `fork.rs` | a process made from another |
//! | `end.rs` | how a process ends, and who is told |
//! | `wait.rs` | waiting for children |
//! | `stop.rs` | stopping a process, and letting it go on |
//! | `oom.rs` | who is ended when memory runs out |
//! | `settings.rs` | what prctl sets |
//! | `inspect.rs` | who may look into another process |
//! | `capabilities.rs` | what root may do, and what becomes of it |
//! | `recent.rs` | the last system calls of a thread |
//! | `roster.rs` | the list of threads |
//! | `user.rs` | users by name |

pub mod capabilities;
pub mod elf;
pub mod end;
pub mod fork;
pub mod inspect;
pub mod oom;
mod recent;
mod roster;
mod settings;
pub mod stop;
pub mod table;
mod thread;
pub mod thread_limit;
pub mod threads;
pub mod usage;
mod user;
pub mod wait;

pub mod exec;
mod load;
mod stack;
#[cfg(target_os = "none")]
pub mod trap;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use linux_raw_sys::general::{S_ISGID, S_ISUID, S_IXGRP};
use spin::{Mutex, Once};
use unikiln_abi::boot::{BootInfo, FLAG_NO_NEW_PRIVILEGES, FLAG_USER_GROUPS, FLAG_USER_HOME};

pub use capabilities::Capabilities;
pub use recent::{Call, Recent};
pub use roster::{COMM_BYTES, Listed, everybody, rename_thread, roster};
pub use settings::{Kept, Settings};
pub use thread::{State, Thread, thread, thread_at};

use crate::arch::Registers;
use crate::boot::{Start, has_flag};
use crate::fs::attributes::Attributes;
use crate::fs::{FdTable, FsContext, OpenFile};
use crate::mm::space::AddressSpace;
use crate::mm::spaces;
use crate::sched::WaitQueue;
use crate::signal::ProcessSignals;
use crate::strace;
use usage::Counts;

/// Limits by RLIMIT_* number.
pub const LIMITS: usize = 16;
/// RLIM_INFINITY.
pub const INFINITY: u64 = u64::MAX;

/// A process. The structures are never freed, only used again.
pub struct Process {
    pid: AtomicU32,
    /// Threads that it has.
    pub threads: AtomicUsize,
    /// What it ends with, once that is decided: [`end::Status`], or [`end::UNDECIDED`].
    pub status: AtomicU32,
    /// Woken when a child ends, stops or goes on.
    pub children: WaitQueue,
    /// It runs in its parent's memory, which waits for it.
    pub is_borrowing: AtomicBool,
    /// It was killed because memory ran out, and has some of it still.
    pub is_dying_for_memory: AtomicBool,
    /// TSC ticks of its threads that ended.
    pub ended_ticks: AtomicU64,
    /// What those counted.
    pub ended_counts: Counts,
    /// What the children that it waited for used.
    pub waited_for: usage::Sum,
    /// What prctl sets.
    pub settings: Settings,
    /// Open files.
    pub files: Mutex<FdTable>,
    /// Working directory, root, umask.
    pub fs: Mutex<FsContext>,
    /// Users and groups.
    pub credentials: Mutex<Credentials>,
    /// Resource limits.
    pub limits: Mutex<Limits>,
    space: AtomicPtr<AddressSpace>,
    /// The program that it runs.
    pub image: Mutex<Image>,
    /// Dispositions and pending signals.
    pub signals: Mutex<ProcessSignals>,
}

/// The host name, of all processes.
pub static HOSTNAME: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Users and groups of a process.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "names are POSIX's")]
pub struct Credentials {
    pub uid: u32,
    pub euid: u32,
    pub suid: u32,
    pub fsuid: u32,
    pub gid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub fsgid: u32,
    pub groups: Vec<u32>,
    pub capabilities: Capabilities,
}

impl Credentials {
    /// Everything of one user.
    pub fn new(uid: u32, gid: u32, groups: Vec<u32>) -> Credentials {
        Credentials {
            uid,
            euid: uid,
            suid: uid,
            fsuid: uid,
            gid,
            egid: gid,
            sgid: gid,
            fsgid: gid,
            groups,
            capabilities: Capabilities::of_user(uid),
        }
    }
}

impl Credentials {
    /// What execve makes of them for a program file: its owner's where its set-ID
    /// bits say so and `honours` them. Whether the program must trust nobody (AT_SECURE).
    pub fn program_changed(&mut self, file: &Attributes, honours: bool) -> bool {
        let (uid, gid) = (self.euid, self.egid);
        if honours && file.mode & S_ISUID != 0 {
            self.euid = file.uid;
        }
        // Without execution for the group the bit means something else.
        if honours && file.mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP {
            self.egid = file.gid;
        }
        (self.suid, self.fsuid) = (self.euid, self.euid);
        (self.sgid, self.fsgid) = (self.egid, self.egid);
        let set_id = self.euid != uid || self.egid != gid;
        self.capabilities
            .program_changed(self.uid, self.euid, set_id);
        self.euid != self.uid || self.egid != self.gid
    }
}

/// Soft and hard limit by RLIMIT_* number.
#[derive(Clone, Copy, Debug)]
pub struct Limits(pub [(u64, u64); LIMITS]);

impl Default for Limits {
    /// What Docker gives a container on a plain host.
    fn default() -> Limits {
        let mut limits = [(INFINITY, INFINITY); LIMITS];
        limits[3] = (8 << 20, INFINITY); // STACK
        limits[4] = (0, INFINITY); // CORE: there is no core file, but a record
        limits[7] = (1 << 20, 1 << 20); // NOFILE
        limits[8] = (INFINITY, INFINITY); // MEMLOCK
        limits[12] = (819_200, 819_200); // MSGQUEUE
        limits[13] = (0, 0); // NICE
        limits[14] = (0, 0); // RTPRIO
        Limits(limits)
    }
}

/// The program that a process runs.
#[derive(Clone, Default)]
pub struct Image {
    /// Path that the executable had when it was started, resolved.
    pub exe: Vec<u8>,
    /// The executable: it stays what it is under another name, and without one.
    pub file: Option<Arc<OpenFile>>,
    /// Device and inode number of the executable.
    pub exe_id: (u64, u64),
    /// Name of the program, cut to 15 bytes, NUL-padded.
    pub comm: [u8; 16],
    /// Where the argument strings are: start, end.
    pub arguments: (u64, u64),
    /// Where the environment strings are: start, end.
    pub environment: (u64, u64),
    /// The auxiliary vector as the program got it.
    pub auxv: Vec<u8>,
    /// CLOCK_BOOTTIME when the process was made; execve does not change it.
    pub start_ns: u64,
    /// Initial stack pointer.
    pub stack_start: u64,
}

/// A structure in memory of its own, for ever; nothing where memory ran out.
fn leak<T>(value: T) -> Option<&'static T> {
    let mut room = Vec::new();
    room.try_reserve_exact(1).ok()?;
    room.push(value);
    let slice: &'static [T] = alloc::boxed::Box::leak(room.into_boxed_slice());
    slice.first()
}

static FIRST: Once<Process> = Once::new();

/// The first process.
pub fn init() -> &'static Process {
    FIRST.call_once(|| {
        let first = Process::new(1);
        first.set_space(spaces::first());
        first.signals.lock().never_stops = true;
        first
    })
}

/// The process of the running thread.
#[inline]
pub fn current() -> &'static Process {
    thread().process()
}

impl Process {
    fn new(pid: u32) -> Process {
        Process {
            pid: AtomicU32::new(pid),
            threads: AtomicUsize::new(1),
            status: AtomicU32::new(end::UNDECIDED),
            children: WaitQueue::new(),
            is_borrowing: AtomicBool::new(false),
            is_dying_for_memory: AtomicBool::new(false),
            ended_ticks: AtomicU64::new(0),
            ended_counts: Counts::new(),
            waited_for: usage::Sum::new(),
            settings: Settings::new(),
            files: Mutex::new(FdTable::new()),
            fs: Mutex::new(FsContext::new()),
            credentials: Mutex::new(Credentials::default()),
            limits: Mutex::new(Limits::default()),
            space: AtomicPtr::new(core::ptr::null_mut()),
            image: Mutex::new(Image::default()),
            signals: Mutex::new(ProcessSignals::new()),
        }
    }

    /// Process id; the first is 1.
    #[inline]
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// Whether it is the first, whose end is the guest's.
    #[inline]
    pub fn is_init(&self) -> bool {
        self.pid() == 1
    }

    /// Its memory.
    #[inline]
    pub fn space(&self) -> &'static AddressSpace {
        space_at(self.space.load(Ordering::SeqCst))
    }

    /// Makes `space` its memory; a vCPU that runs it has to be told by itself.
    fn set_space(&self, space: &'static AddressSpace) {
        let address = core::ptr::from_ref(space).cast_mut();
        self.space.store(address, Ordering::SeqCst);
    }
}

#[expect(unsafe_code, reason = "a process keeps the address of its space")]
fn space_at(address: *mut AddressSpace) -> &'static AddressSpace {
    // SAFETY: `set_space` alone stores it, before anybody can ask, and spaces are never freed.
    unsafe { &*address }
}

/// Whether [`return_to_program`] has anything to do.
#[inline]
pub fn has_work() -> bool {
    thread().attention.load(Ordering::Relaxed) || crate::sched::needs_attention()
}

/// What is left to do before the program goes on at `regs`: signals, the turn of
/// other threads, the end of the thread. `restart` is the number of the system
/// call that ended with EINTR, if one did. True if `regs` changed in more than RAX.
pub fn return_to_program(regs: &mut Registers, mut restart: Option<u64>) -> bool {
    let mut changed = false;
    let me = thread();
    loop {
        if me.killed.load(Ordering::SeqCst) {
            threads::exit(0)
        }
        if crate::sched::needs_attention() {
            crate::sched::preempt();
        } else if restart.is_none() && !me.attention.load(Ordering::SeqCst) {
            return changed;
        }
        changed |= crate::signal::deliver_pending(regs, restart.take());
    }
}

/// Ends the running process; the first, and with it the guest.
pub fn exit_group(status: i32) -> ! {
    if !current().is_init() {
        end::end_current(end::Status::exited(status));
    }
    strace::exited(status);
    crate::fs::volume::write_back_all();
    crate::hypercall::exit(unikiln_abi::exit::EXITED, (status & 0xff) as u64)
}

/// Puts what the monitor tells of host names and resolvers where programs look.
fn put_host_files(start: &Start) {
    let hostname = [&start.hostname[..], b"\n"].concat();
    let hostname = if start.hostname.is_empty() {
        &[]
    } else {
        &hostname[..]
    };
    let files: [(&[u8], &[u8]); 3] = [
        (b"/etc/resolv.conf", &start.resolv_conf),
        (b"/etc/hosts", &start.hosts),
        (b"/etc/hostname", hostname),
    ];
    if let Err(errno) = crate::fs::host_files::put(&files) {
        let name = errno.name();
        let line = alloc::format!("unikiln: /etc/resolv.conf and /etc/hosts: {name}\n");
        crate::hypercall::log_line(&line);
    }
}

/// The user that the monitor named, with `groups` on top of the user's own.
#[inline(never)]
fn named_user(start: &mut Start, mut groups: Vec<u32>) -> Credentials {
    let found = match user::resolve(&start.user, has_flag(FLAG_USER_GROUPS)) {
        Ok(found) => found,
        Err(why) => {
            let name = alloc::string::String::from_utf8_lossy(&start.user);
            crate::hypercall::log_line(&alloc::format!("unikiln: cannot run as {name}: {why}\n"));
            crate::hypercall::exit(unikiln_abi::exit::EXEC_FAILED, 125);
        }
    };
    for group in found.groups {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    if has_flag(FLAG_USER_HOME) {
        start
            .environment
            .push([&b"HOME="[..], &found.home].concat());
    }
    Credentials::new(found.uid, found.gid, groups)
}

/// Makes the first process what the monitor said, and starts its program.
pub fn start_first(info: &BootInfo, mut start: Start) -> ! {
    threads::adopt_first();
    let process = current();
    // As user 0, before the program's user is known.
    put_host_files(&start);
    let count = (info.group_count as usize).min(info.groups.len());
    let groups = info.groups[..count].to_vec();
    *process.credentials.lock() = if start.user.is_empty() {
        Credentials::new(info.uid, info.gid, groups)
    } else {
        named_user(&mut start, groups)
    };
    if has_flag(FLAG_NO_NEW_PRIVILEGES) {
        process.settings.forbid_new_privileges();
    }
    *HOSTNAME.lock() = start.hostname;
    if let Err(why) = crate::fs::volume::mount_all(start.volumes) {
        let line = alloc::format!("unikiln: cannot mount the {why}\n");
        crate::hypercall::log_line(&line);
        crate::hypercall::exit(unikiln_abi::exit::EXEC_FAILED, 125);
    }
    exec::start(&start.directory, start.arguments, start.environment)
}
