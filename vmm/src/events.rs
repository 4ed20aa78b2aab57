//! Signals and timers: how the vCPU thread learns of the world outside.
//!
//! There is no thread for it. Handlers only set bits: which signals came, and
//! `immediate_exit` of the vCPU that runs on this thread, so that `KVM_RUN`
//! returns at once even if the signal came just before it. The timer's signal
//! is also how vCPU threads call each other ([`crate::vcpus`]).
//!
//! ```text
//! signal ─ handler ─┬─ PENDING |= bit          taken by the run loop, which puts it
//! timer  ─ handler ─┤                          into the shared page and upcalls
//!                   └─ kvm_run.immediate_exit = 1
//! ```
//!
//! Signals from outside belong to the process, so only one guest of a process
//! may forward them, and only vCPU 0's thread takes them; the timer belongs to
//! the thread.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

/// Signals that are passed on to the guest.
const FORWARDED: [i32; 9] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGCONT,
    libc::SIGWINCH,
];

/// Bytes of a signal mask as the kernel has it.
const KERNEL_MASK_BYTES: usize = 8;

/// Signals that came and were not taken yet, bit `n - 1` for signal `n`.
static PENDING: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// `immediate_exit` of the vCPU on this thread.
    static IMMEDIATE_EXIT: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
}

/// Errors of this module.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// No handler for a signal.
    #[error("cannot handle signal {signal}")]
    Handler {
        /// Signal number.
        signal: i32,
        /// What the system said.
        source: io::Error,
    },
    /// No timer.
    #[error("cannot create a timer")]
    Timer {
        /// What the system said.
        source: io::Error,
    },
}

/// What [`Events::wait`] waits for, besides signals and time.
#[derive(Debug)]
pub enum Source<'a> {
    /// Bytes of a descriptor or its end, where there is one.
    Input(Option<BorrowedFd<'a>>),
    /// What an epoll descriptor watches; taken into the events.
    Edges(BorrowedFd<'a>, &'a mut [libc::epoll_event]),
}

/// Why [`Events::wait`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// So many sources are ready: the descriptor, or events that were filled in.
    Ready(usize),
    /// A signal or the timer came.
    Signal,
    /// The time is over.
    Timeout,
}

/// Signals and the timer of one guest, on its vCPU thread.
#[derive(Debug)]
pub struct Events {
    timer: libc::timer_t,
    forwards: bool,
}

impl Events {
    /// Installs the handlers; `forward` passes signals from outside on.
    #[expect(unsafe_code, reason = "a POSIX timer is made by pointers")]
    pub fn new(forward: bool) -> Result<Self, EventsError> {
        install(kick_signal())?;
        if forward {
            FORWARDED.into_iter().try_for_each(install)?;
        }
        // SAFETY: all-zero is a valid value of this plain structure.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = kick_signal();
        event.sigev_notify_thread_id = thread_id();
        let mut timer = ptr::null_mut();
        // SAFETY: both structures live until the call returns.
        let result =
            unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) };
        if result != 0 {
            return Err(EventsError::Timer {
                source: io::Error::last_os_error(),
            });
        }
        Ok(Self {
            timer,
            forwards: forward,
        })
    }

    /// Names the byte that makes the vCPU on this thread return. It must stay
    /// valid until the attachment is dropped.
    pub fn attach(&self, immediate_exit: &mut u8) -> Attachment {
        IMMEDIATE_EXIT.set(immediate_exit);
        Attachment(PhantomData)
    }

    /// Lets the vCPU run again after an interruption. What came in between is
    /// still in [`Events::take`].
    #[expect(unsafe_code, reason = "the byte is shared with a signal handler")]
    pub fn rearm(&self) {
        let byte = IMMEDIATE_EXIT.get();
        if !byte.is_null() {
            // SAFETY: the byte outlives its attachment, which resets the
            // pointer (`Machine` drops it before the vCPU); the handler and KVM
            // are the only others that use it, and both copy single bytes.
            unsafe { byte.write_volatile(0) };
        }
        compiler_fence(Ordering::SeqCst);
    }

    /// Takes the signals that came.
    pub fn take(&self) -> u64 {
        if self.forwards && self.is_pending() {
            PENDING.swap(0, Ordering::SeqCst)
        } else {
            0
        }
    }

    /// Whether signals came.
    pub fn is_pending(&self) -> bool {
        self.forwards && PENDING.load(Ordering::SeqCst) != 0
    }

    /// Kicks the vCPU once, after this time. Replaces the last call.
    #[expect(unsafe_code, reason = "a POSIX timer is set by pointer")]
    pub fn kick_after(&self, delay_ns: u64) {
        let zero = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let value = libc::itimerspec {
            it_interval: zero,
            it_value: timespec(delay_ns),
        };
        // SAFETY: the timer is ours until drop, `value` lives through the call.
        unsafe { libc::timer_settime(self.timer, 0, &raw const value, ptr::null_mut()) };
    }

    /// Blocks until the source is ready, a signal comes, or the time is
    /// over. Signals are let in only while blocked, so none is missed; `is_called`
    /// is asked once they are kept out, and true counts as a signal.
    #[expect(unsafe_code, reason = "signal masks and waits take pointers")]
    pub fn wait(
        &self,
        source: Source<'_>,
        timeout_ns: Option<u64>,
        is_called: impl FnOnce() -> bool,
    ) -> Woken {
        let timeout = timeout_ns.map(timespec);
        let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: the masks and `timeout` live until the calls return, and all-zero
        // is a valid signal mask.
        let ready = unsafe {
            let (mut blocked, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigemptyset(&raw mut blocked);
            for signal in FORWARDED.into_iter().chain([kick_signal()]) {
                libc::sigaddset(&raw mut blocked, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const blocked, &raw mut before);
            let ready = if self.is_pending() || is_called() {
                -1
            } else {
                source.wait(timeout, &before)
            };
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
            ready
        };
        match usize::try_from(ready) {
            Ok(0) => Woken::Timeout,
            Ok(count) => Woken::Ready(count),
            Err(_) => Woken::Signal,
        }
    }
}

impl Source<'_> {
    #[expect(unsafe_code, reason = "ppoll and epoll_pwait2 take pointers")]
    fn wait(self, timeout: *const libc::timespec, mask: &libc::sigset_t) -> i64 {
        match self {
            Self::Input(fd) => {
                let mut poll = libc::pollfd {
                    fd: fd.map_or(-1, |fd| fd.as_raw_fd()),
                    events: libc::POLLIN,
                    revents: 0,
                };
                // SAFETY: `poll` lives until the call returns, and so do mask and timeout.
                i64::from(unsafe { libc::ppoll(&raw mut poll, 1, timeout, mask) })
            }
            // glibc has a function for it only since 2.35. SAFETY: the kernel fills in at most
            // `events.len()` events and reads the eight bytes of its own signal mask.
            Self::Edges(epoll, events) => unsafe {
                libc::syscall(
                    libc::SYS_epoll_pwait2,
                    epoll.as_raw_fd(),
                    events.as_mut_ptr(),
                    events.len() as libc::c_int,
                    timeout,
                    ptr::from_ref(mask),
                    KERNEL_MASK_BYTES,
                )
            },
        }
    }
}

/// While it lives, signals make this thread's vCPU return. Bound to the thread.
#[derive(Debug)]
pub struct Attachment(PhantomData<*mut u8>);

impl Drop for Attachment {
    fn drop(&mut self) {
        IMMEDIATE_EXIT.set(ptr::null_mut());
    }
}

impl Drop for Events {
    #[expect(unsafe_code, reason = "a POSIX timer is deleted by handle")]
    fn drop(&mut self) {
        // SAFETY: the timer was created by `new` and is not used again.
        unsafe { libc::timer_delete(self.timer) };
    }
}

/// The calling thread, as the kernel numbers it.
#[expect(unsafe_code, reason = "a system call")]
pub fn thread_id() -> i32 {
    // SAFETY: gettid has no conditions.
    unsafe { libc::gettid() }
}

/// Adds a signal to those that came from outside, as if this process had been sent it.
/// The thread of vCPU 0 has to be called.
pub fn post(signal: u32) {
    if (1..=64).contains(&signal) {
        PENDING.fetch_or(1 << (signal - 1), Ordering::SeqCst);
    }
}

/// Makes `KVM_RUN` or [`Events::wait`] of another vCPU thread return.
#[expect(unsafe_code, reason = "a system call")]
pub fn signal_thread(thread: i32) {
    // SAFETY: the signal has a handler since the first `Events::new`. A thread
    // that ended in between gives ESRCH, and needs no call any more.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, kick_signal()) };
}

/// Leaves signals from outside to the other threads of the process.
#[expect(unsafe_code, reason = "signal masks are filled by pointer")]
pub fn block_forwarded() {
    // SAFETY: the mask lives until the calls return; all-zero is a valid one.
    unsafe {
        let mut blocked = std::mem::zeroed();
        libc::sigemptyset(&raw mut blocked);
        for signal in FORWARDED {
            libc::sigaddset(&raw mut blocked, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const blocked, ptr::null_mut());
    }
}

/// The timer's signal: real-time, so that no program's own signal is taken.
fn kick_signal() -> i32 {
    libc::SIGRTMIN()
}

fn timespec(ns: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (ns / 1_000_000_000) as i64,
        tv_nsec: (ns % 1_000_000_000) as i64,
    }
}

#[expect(unsafe_code, reason = "sigaction takes a function's address")]
fn install(signal: i32) -> Result<(), EventsError> {
    let handler: extern "C" fn(i32) = on_signal;
    // SAFETY: all-zero is a valid value of this plain structure, and the
    // handler only uses atomics and a thread-local without destructor, which
    // is safe at any point of the program.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let mut before: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        // Log writes go on; KVM_RUN and ppoll come back all the same.
        action.sa_flags = libc::SA_RESTART;
        let result = libc::sigaction(signal, &raw const action, &raw mut before);
        // What `nohup` or a shell's `&` had ignored stays ignored.
        if result == 0 && before.sa_sigaction == libc::SIG_IGN {
            libc::sigaction(signal, &raw const before, ptr::null_mut())
        } else {
            result
        }
    };
    if result != 0 {
        return Err(EventsError::Handler {
            signal,
            source: io::Error::last_os_error(),
        });
    }
    Ok(())
}

#[expect(unsafe_code, reason = "the byte is shared with KVM")]
extern "C" fn on_signal(signal: i32) {
    if signal != kick_signal() {
        PENDING.fetch_or(1 << (signal - 1), Ordering::SeqCst);
    }
    let byte = IMMEDIATE_EXIT.get();
    if !byte.is_null() {
        // SAFETY: see `Events::rearm`.
        unsafe { byte.write_volatile(1) };
    }
}

/// Waits until a descriptor takes bytes again; gives up silently, as the
/// caller's next write tells more.
#[expect(unsafe_code, reason = "poll takes a pointer")]
pub fn wait_writable(fd: BorrowedFd<'_>) {
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: `poll` lives until the call returns.
    unsafe { libc::poll(&raw mut poll, 1, -1) };
}
