//! Hypercalls: one file per call, dispatched by number.
//!
//! Arguments were copied from the call page before they get here; nothing is
//! read from it again. A handler answers with a status, or with the fault that
//! ends the guest where an argument cannot be right.

mod entropy;
mod exit;
mod log;
mod memory;
mod record;
mod rootfs;
mod socket;
mod started;
mod stdin;
mod timer;
mod vcpu;
mod volume;
mod wait;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use unikiln_abi::call::{
    ENTROPY, EXIT, LOG, MEMORY_ADD, MEMORY_RELEASE, RECORD, ROOTFS_MAP, SOCKET_ACCEPT_STREAMS,
    SOCKET_SEND_PIECES, SOCKET_TABLE, STARTED, STDIN_READ, TIMER, VCPU_FLUSH, VCPU_KICK,
    VCPU_START, VOLUME_CALL, VOLUME_EVENTS, VOLUME_WATCH, WAIT,
};
use unikiln_abi::stats::GuestStats;

use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::events::Events;
use crate::fault::GuestFault;
use crate::layout::SHARED_PAGE_GPA;
use crate::log::Log;
use crate::memory::{GuestMemory, GuestSlice};
use crate::net::Network;
use crate::rootfs::Rootfs;
use crate::vcpus::Vcpus;
use crate::vm::SlotHost;
use crate::volume::Volumes;

pub use entropy::fill as fill_entropy;
pub use exit::GuestExit;
pub use memory::ArenaSpace;
pub use started::{OnStart, Started};
pub use stdin::Stdin;
pub use vcpu::{StartVcpu, VcpuStart};

/// Calls by number, for statistics and messages.
pub const CALL_NAMES: [&str; 37] = [
    "none",
    "log",
    "exit",
    "record",
    "memory_add",
    "memory_release",
    "wait",
    "entropy",
    "rootfs_map",
    "stdin_read",
    "vcpu_start",
    "vcpu_kick",
    "vcpu_flush",
    "timer",
    "socket_table",
    "socket_open",
    "socket_close",
    "socket_bind",
    "socket_listen",
    "socket_accept",
    "socket_connect",
    "socket_send",
    "socket_receive",
    "socket_shutdown",
    "socket_name",
    "socket_option_get",
    "socket_option_set",
    "socket_queued",
    "route_dump",
    "socket_stream",
    "socket_serve",
    "socket_accept_streams",
    "volume_call",
    "volume_watch",
    "volume_events",
    "socket_send_pieces",
    "started",
];

/// Everything that hypercalls act on, shared by all vCPU threads. A lock is held
/// for a short time only, but the log's, whose writers wait for its reader.
pub struct Host {
    /// Takes new memory slots. First, so that the VM goes before its memory.
    pub slots: Box<dyn SlotHost>,
    /// Starts vCPUs.
    pub starter: Box<dyn StartVcpu>,
    /// Arenas.
    pub memory: Arc<GuestMemory>,
    /// Where the next arena goes, and the unikernel file.
    pub growth: Mutex<Growth>,
    /// The log.
    pub log: Mutex<Log>,
    /// Standard input.
    pub stdin: Stdin,
    /// Clock.
    pub clock: Mutex<Clock>,
    /// Who runs.
    pub vcpus: Arc<Vcpus>,
    /// Sockets.
    pub net: Network,
    /// Files of the host.
    pub volumes: Volumes,
    /// Whether the program runs.
    pub started: Started,
}

/// What guest-physical space gains while the guest runs.
#[derive(Debug)]
pub struct Growth {
    /// Where the next arena goes.
    pub arenas: ArenaSpace,
    /// The unikernel file.
    pub rootfs: Rootfs,
}

/// What belongs to the thread of one vCPU.
#[derive(Debug)]
pub struct Cpu {
    /// Index of the vCPU.
    pub index: usize,
    /// Signals and the timer.
    pub events: Events,
    /// What the timer is set for.
    pub alarm: Alarm,
}

/// Locks; a thread that panicked left nothing half done that matters.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Host {
    /// The page that both sides write.
    pub fn shared_page(&self) -> Result<GuestSlice<'_>, GuestFault> {
        self.buffer("shared page", SHARED_PAGE_GPA, unikiln_abi::PAGE_BYTES)
    }

    /// Renews the clock where it is old and no other thread is at it.
    pub fn renew_clock(&self) -> Result<(), GuestFault> {
        if let Ok(mut clock) = self.clock.try_lock() {
            clock.refresh_if_stale(&self.shared_page()?);
        }
        Ok(())
    }

    /// The guest's CLOCK_MONOTONIC now.
    pub fn now_ns(&self) -> u64 {
        lock(&self.clock).guest_now_ns()
    }

    fn buffer(
        &self,
        call: &'static str,
        gpa: u64,
        len_bytes: u64,
    ) -> Result<GuestSlice<'_>, GuestFault> {
        self.memory
            .slice(gpa, len_bytes)
            .map_err(|_| GuestFault::BadBuffer {
                call,
                gpa,
                len_bytes,
            })
    }
}

/// What follows a hypercall.
#[derive(Debug)]
pub enum Reply {
    /// The guest goes on with this status.
    Status(i64),
    /// The guest has ended.
    Exit(Box<(GuestExit, Option<GuestStats>)>),
}

/// Serves one hypercall of the vCPU that `cpu` belongs to.
pub fn dispatch(
    host: &Host,
    cpu: &mut Cpu,
    number: u32,
    args: [u64; 6],
) -> Result<Reply, GuestFault> {
    let [first, second, third, fourth, ..] = args;
    let status = match number {
        LOG => log::handle(host, first, second, third)?,
        EXIT => {
            let ended = exit::handle(host, first, second, third, fourth)?;
            return Ok(Reply::Exit(Box::new(ended)));
        }
        RECORD => record::handle(host, first, second)?,
        MEMORY_ADD => memory::handle_add(host, first)?,
        MEMORY_RELEASE => memory::handle_release(host, first, second)?,
        WAIT => wait::handle(host, cpu, first, second, third, fourth)?,
        ENTROPY => entropy::handle(host, first, second)?,
        ROOTFS_MAP => rootfs::handle(host, first)?,
        STDIN_READ => stdin::handle(host, cpu, first, second, third)?,
        VCPU_START => vcpu::handle_start(host, first, second, third, fourth)?,
        VCPU_KICK => vcpu::handle_kick(host, first),
        VCPU_FLUSH => vcpu::handle_flush(host, cpu, first),
        TIMER => timer::handle(host, cpu, first, second),
        SOCKET_TABLE..=SOCKET_ACCEPT_STREAMS | SOCKET_SEND_PIECES => {
            socket::handle(host, number, args)?
        }
        VOLUME_CALL => volume::handle_call(host, args)?,
        VOLUME_WATCH => volume::handle_watch(host, first, second, third)?,
        VOLUME_EVENTS => volume::handle_events(host, first, second)?,
        STARTED => started::handle(host),
        _ => return Err(GuestFault::UnknownCall { number }),
    };
    host.net.check_rings()?;
    Ok(Reply::Status(status))
}

/// A host error as the guest sees it.
fn negated_errno(error: &std::io::Error) -> i64 {
    -i64::from(error.raw_os_error().unwrap_or(libc::EIO))
}
