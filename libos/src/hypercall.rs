//! Calls to the monitor: arguments into the vCPU's call page, one `out`, the status back.
//!
//! Buffers go by guest-physical address, so they must lie in the direct map:
//! libOS heap and frames do, libOS statics and program memory do not. Log bytes
//! are copied to a bounce buffer first.
#![expect(unsafe_code, reason = "the call page is shared with the monitor")]

pub mod rings;
pub mod socket;

use core::sync::atomic::{AtomicU64, Ordering};

use spin::Mutex;
use unikiln_abi::VCPUS_MAX;
use unikiln_abi::call::{self, CallPage};
use unikiln_abi::layout::DIRECT_MAP_BASE;

use crate::arch;
use crate::errno::{Errno, SysResult};

/// Address of the first call page, set at boot; 0 where there is no monitor.
static CALL_PAGES: AtomicU64 = AtomicU64::new(0);

/// Bytes that one log call carries at most.
const BOUNCE_BYTES: usize = 64 << 10;

/// Bytes on their way to or from the monitor. A vCPU has one of its own: a write
/// to the log may have to wait for the log's reader.
static BOUNCE: [Mutex<alloc::vec::Vec<u8>>; VCPUS_MAX] =
    [const { Mutex::new(alloc::vec::Vec::new()) }; VCPUS_MAX];

/// Makes calls possible.
pub fn init(call_pages_gpa: u64) {
    CALL_PAGES.store(DIRECT_MAP_BASE + call_pages_gpa, Ordering::Relaxed);
}

/// One call; the monitor ends the guest when the arguments cannot be right.
fn call(number: u32, args: [u64; 6]) -> Result<u64, Errno> {
    let base = CALL_PAGES.load(Ordering::Relaxed);
    if base == 0 {
        return Err(Errno::ENOSYS);
    }
    let address = base + arch::vcpu_index() as u64 * unikiln_abi::PAGE_BYTES;
    let page = core::ptr::with_exposed_provenance_mut::<CallPage>(address as usize);
    // SAFETY: the monitor gave each vCPU a call page of its own, mapped in the
    // direct map; this vCPU alone writes it, and waits while the monitor does.
    let status = unsafe {
        (&raw mut (*page).args).write_volatile(args);
        arch::hypercall_out(number);
        (&raw const (*page).status).read_volatile()
    };
    if status < 0 {
        Err(Errno::from_status(status))
    } else {
        Ok(status as u64)
    }
}

/// Guest-physical address of libOS heap memory.
pub fn gpa_of(bytes: &[u8]) -> u64 {
    (bytes.as_ptr().expose_provenance() as u64).wrapping_sub(DIRECT_MAP_BASE)
}

/// Runs `with` on the bounce buffer.
fn bounce<R>(with: impl FnOnce(&mut [u8]) -> R) -> R {
    let index = arch::vcpu_index().min(VCPUS_MAX - 1);
    let mut buffer = BOUNCE[index].lock();
    if buffer.is_empty() {
        buffer.resize(BOUNCE_BYTES, 0);
    }
    with(&mut buffer)
}

/// Writes bytes to a log stream, all of them, in order.
///
/// # Errors
/// What writing the log gave on the host, such as EPIPE when its reader went
/// away or ENOSPC; a part may be written then.
pub fn log(stream: u64, bytes: &[u8]) -> Result<(), Errno> {
    for part in bytes.chunks(BOUNCE_BYTES) {
        bounce(|buffer| {
            buffer[..part.len()].copy_from_slice(part);
            call(
                call::LOG,
                [stream, gpa_of(buffer), part.len() as u64, 0, 0, 0],
            )
        })?;
    }
    Ok(())
}

/// Writes one line of the libOS itself. Where the log fails there is nobody to tell.
pub fn log_line(line: &str) {
    let _ = log(unikiln_abi::log::STREAM_LIBOS, line.as_bytes());
}

/// Writes a crash record. The text must lie in the libOS heap, and goes from
/// there: no lock is waited for, because the crash may have come while one was held.
pub fn record(text: &str) {
    let bytes = text.as_bytes();
    let len = bytes.len().min(unikiln_abi::call::LOG_MAX_BYTES as usize);
    let _ = call(call::RECORD, [gpa_of(bytes), len as u64, 0, 0, 0, 0]);
}

/// Ends the guest.
pub fn exit(reason: u64, code: u64) -> ! {
    let stats = crate::stats::snapshot();
    let (gpa, len) = match &stats {
        Some(bytes) => (gpa_of(bytes), bytes.len() as u64),
        None => (0, 0),
    };
    let _ = call(call::EXIT, [reason, code, gpa, len, 0, 0]);
    loop {
        arch::idle_hint();
    }
}

/// Tells the monitor that the program runs next, where it wants to know.
pub fn started() {
    if crate::boot::has_flag(unikiln_abi::boot::FLAG_TELL_START) {
        let _ = call(call::STARTED, [0; 6]);
    }
}

/// Adds an arena: its guest-physical address.
///
/// # Errors
/// ENOMEM past the limit.
pub fn memory_add(bytes: u64) -> Result<u64, Errno> {
    call(call::MEMORY_ADD, [bytes, 0, 0, 0, 0, 0])
}

/// Gives a range of an arena back.
///
/// # Errors
/// What the host's madvise says.
pub fn memory_release(gpa: u64, bytes: u64) -> Result<(), Errno> {
    call(call::MEMORY_RELEASE, [gpa, bytes, 0, 0, 0, 0]).map(drop)
}

/// Blocks this vCPU until an event or `deadline_ns` (CLOCK_MONOTONIC): `EVENT_*` bits.
pub fn wait(deadline_ns: Option<u64>, interest: u64) -> u64 {
    wait_then_tick(deadline_ns, interest, 0, u64::MAX)
}

/// The same; with WAIT_SETS_TIMER in `interest`, the vCPU ticks by `period_ns` afterwards, and
/// its timer is set to `timer_ns` unless the deadline came.
pub fn wait_then_tick(
    deadline_ns: Option<u64>,
    interest: u64,
    period_ns: u64,
    timer_ns: u64,
) -> u64 {
    let deadline_ns = deadline_ns.unwrap_or(u64::MAX);
    let arguments = [deadline_ns, interest, period_ns, timer_ns, 0, 0];
    call(call::WAIT, arguments).unwrap_or(0)
}

/// Fills a buffer with host randomness.
pub fn entropy(bytes: &mut [u8]) {
    for part in bytes.chunks_mut(4096) {
        bounce(|buffer| {
            let len = part.len();
            let _ = call(call::ENTROPY, [gpa_of(buffer), len as u64, 0, 0, 0, 0]);
            part.copy_from_slice(&buffer[..len]);
            buffer[..len].fill(0);
        });
    }
}

/// Maps one window of the unikernel file.
///
/// # Errors
/// EIO when the monitor cannot.
pub fn rootfs_map(index: u64) -> Result<(), Errno> {
    call(call::ROOTFS_MAP, [index, 0, 0, 0, 0, 0]).map(drop)
}

/// Starts a vCPU's idle loop on a stack.
///
/// # Errors
/// What the host said.
pub fn vcpu_start(index: usize, stack_top: u64) -> Result<(), Errno> {
    let entry = arch::context::idle_entry_address();
    call(call::VCPU_START, [index as u64, entry, stack_top, 0, 0, 0]).map(drop)
}

/// Calls the vCPUs of `mask`.
pub fn vcpu_kick(mask: u64) {
    let _ = call(call::VCPU_KICK, [mask, 0, 0, 0, 0, 0]);
}

/// Makes the vCPUs of `mask` forget their translations.
pub fn vcpu_flush(mask: u64) {
    let _ = call(call::VCPU_FLUSH, [mask, 0, 0, 0, 0, 0]);
}

/// Sets this vCPU's timer: a deadline (`u64::MAX` for none), a period (0 for none).
pub fn timer(deadline_ns: u64, period_ns: u64) {
    let _ = call(call::TIMER, [deadline_ns, period_ns, 0, 0, 0, 0]);
}

/// FUSE messages of a volume: bytes of the replies. Messages, replies and data lie in
/// the libOS heap or in a frame.
///
/// # Errors
/// ENOSYS where there is no monitor.
pub fn volume_call(volume: u64, messages: &[u8], replies: &mut [u8], data_gpa: u64) -> SysResult {
    let (request, reply) = (gpa_of(messages), gpa_of(replies));
    let (len, room) = (messages.len() as u64, replies.len() as u64);
    let args = [volume, request, len, reply, room, data_gpa];
    Ok(call(call::VOLUME_CALL, args)? as usize)
}

/// Watches a node of a volume, or no longer with an empty mask: the watch's number.
///
/// # Errors
/// What the host says.
pub fn volume_watch(volume: u64, node: u64, mask: u32) -> Result<u32, Errno> {
    let args = [volume, node, u64::from(mask), 0, 0, 0];
    Ok(call(call::VOLUME_WATCH, args)? as u32)
}

/// What happened to watched nodes, into a buffer of the libOS heap: bytes.
///
/// # Errors
/// ENOSYS where there is no monitor.
pub fn volume_events(buffer: &mut [u8]) -> SysResult {
    let args = [gpa_of(buffer), buffer.len() as u64, 0, 0, 0, 0];
    Ok(call(call::VOLUME_EVENTS, args)? as usize)
}

/// Reads what standard input has: bytes read, 0 at its end.
///
/// # Errors
/// EAGAIN when there is nothing.
pub fn stdin_read(bytes: &mut [u8]) -> SysResult {
    bounce(|buffer| {
        let len = bytes.len().min(buffer.len());
        let got = call(call::STDIN_READ, [gpa_of(buffer), len as u64, 1, 0, 0, 0])?;
        let got = (got as usize).min(len);
        bytes[..got].copy_from_slice(&buffer[..got]);
        Ok(got)
    })
}
