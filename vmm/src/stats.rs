//! What a run cost: boot phases, exits, system calls, memory. Printed by
//! `--stats`, as text or JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use unikiln_abi::stats::GuestStats;

use crate::hypercall::CALL_NAMES;
use crate::net::SocketStats;

/// Shape of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatsFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// One step of a boot: when it was done.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// What was done.
    pub name: &'static str,
    /// Since the process started, in µs.
    pub at_us: f64,
}

/// A system call that the libOS does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UnsupportedSyscall {
    /// Linux x86-64 number.
    pub number: u32,
    /// Times called.
    pub count: u32,
}

/// What the libOS counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LibosStats {
    /// System calls that trapped.
    pub syscalls_trapped: u64,
    /// System calls that entered directly.
    pub syscalls_direct: u64,
    /// Page faults of the program.
    pub page_faults: u64,
    /// Other exceptions of the program.
    pub exceptions: u64,
    /// Most bytes in use at one time.
    pub memory_peak_bytes: u64,
    /// Calls that returned ENOSYS, by first use.
    pub unsupported: Vec<UnsupportedSyscall>,
}

/// See the module documentation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Boot phases and the end, by time.
    pub phases: Vec<Phase>,
    /// Exits by kind; hypercalls by name.
    pub exits: BTreeMap<&'static str, u64>,
    /// Bytes of all arenas at the end.
    pub arena_bytes: u64,
    /// Bytes that the guest wrote to the log.
    pub log_bytes: u64,
    /// What the sockets did, where the guest had any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sockets: Option<SocketStats>,
    /// The libOS's part, where it reported.
    pub libos: Option<LibosStats>,
}

/// Collects while a guest runs.
#[derive(Debug)]
pub struct Recorder {
    start_tsc: u64,
    marks: Vec<(&'static str, u64)>,
    calls: [u64; CALL_NAMES.len()],
    interrupted: u64,
    faults: u64,
}

impl Recorder {
    /// Counts time from this TSC.
    pub fn new(start_tsc: u64) -> Self {
        Self {
            start_tsc,
            marks: Vec::with_capacity(16),
            calls: [0; CALL_NAMES.len()],
            interrupted: 0,
            faults: 0,
        }
    }

    /// TSC that time counts from.
    pub fn start_tsc(&self) -> u64 {
        self.start_tsc
    }

    /// A phase is done now.
    pub fn mark(&mut self, name: &'static str) {
        self.mark_at(name, crate::clock::read_tsc());
    }

    /// A phase was done at this TSC; 0 is never.
    pub fn mark_at(&mut self, name: &'static str, tsc: u64) {
        if tsc != 0 {
            self.marks.push((name, tsc));
        }
    }

    /// Counts a hypercall.
    pub fn count_call(&mut self, number: u32) {
        // Unknown numbers count as "none".
        let index = usize::try_from(number).unwrap_or(0);
        let index = if index < self.calls.len() { index } else { 0 };
        if let Some(count) = self.calls.get_mut(index) {
            *count += 1;
        }
    }

    /// Counts an exit by signal or timer.
    pub fn count_interrupted(&mut self) {
        self.interrupted += 1;
    }

    /// Exits so far by kind, those that happened.
    pub fn exits(&self) -> BTreeMap<&'static str, u64> {
        let named = CALL_NAMES.iter().copied().zip(self.calls);
        named
            .chain([("interrupted", self.interrupted), ("fault", self.faults)])
            .filter(|&(_, count)| count > 0)
            .collect()
    }

    /// Counts a fault.
    pub fn count_fault(&mut self) {
        self.faults += 1;
    }

    /// Takes the libOS's times and counts in; its TSC is the host's plus `tsc_offset`.
    pub fn finish(&mut self, guest: Option<&GuestStats>, tsc_khz: u64, tsc_offset: u64) -> Stats {
        if let Some(guest) = guest {
            for (name, tsc) in [
                ("libos_entry", guest.entry_tsc),
                ("rootfs_mounted", guest.rootfs_tsc),
                ("program_start", guest.program_tsc),
            ] {
                if tsc != 0 {
                    self.mark_at(name, tsc.wrapping_sub(tsc_offset));
                }
            }
        }
        self.marks.sort_by_key(|&(_, tsc)| tsc);
        let at_us = |tsc: u64| {
            let ticks = tsc.wrapping_sub(self.start_tsc).cast_signed() as f64;
            (ticks * 1e4 / tsc_khz.max(1) as f64).round() / 10.0
        };
        Stats {
            phases: self
                .marks
                .iter()
                .map(|&(name, tsc)| Phase {
                    name,
                    at_us: at_us(tsc),
                })
                .collect(),
            exits: self.exits(),
            libos: guest.map(LibosStats::from),
            ..Stats::default()
        }
    }
}

impl From<&GuestStats> for LibosStats {
    fn from(guest: &GuestStats) -> Self {
        let count = usize::try_from(guest.unsupported_count).unwrap_or(usize::MAX);
        Self {
            syscalls_trapped: guest.syscalls_trapped,
            syscalls_direct: guest.syscalls_direct,
            page_faults: guest.page_faults,
            exceptions: guest.exceptions,
            memory_peak_bytes: guest.memory_peak_bytes,
            unsupported: guest
                .unsupported
                .iter()
                .take(count)
                .map(|call| UnsupportedSyscall {
                    number: call.number,
                    count: call.count,
                })
                .collect(),
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "boot phases (µs since start, µs taken)")?;
        let mut last_us = 0.0;
        for phase in &self.phases {
            let taken_us = phase.at_us - last_us;
            writeln!(
                f,
                "  {:<16} {:>10.1} {taken_us:>10.1}",
                phase.name, phase.at_us
            )?;
            last_us = phase.at_us;
        }
        writeln!(f, "exits")?;
        for (name, count) in &self.exits {
            writeln!(f, "  {name:<17} {count:>9}")?;
        }
        if let Some(libos) = &self.libos {
            writeln!(f, "system calls")?;
            writeln!(f, "  {:<16} {:>10}", "trapped", libos.syscalls_trapped)?;
            writeln!(f, "  {:<16} {:>10}", "direct", libos.syscalls_direct)?;
            for call in &libos.unsupported {
                writeln!(f, "  unsupported {:<4} {:>10}", call.number, call.count)?;
            }
            writeln!(f, "traps")?;
            writeln!(f, "  {:<16} {:>10}", "page faults", libos.page_faults)?;
            writeln!(f, "  {:<16} {:>10}", "exceptions", libos.exceptions)?;
        }
        writeln!(f, "memory (KiB)")?;
        if let Some(libos) = &self.libos {
            writeln!(f, "  {:<16} {:>10}", "peak", libos.memory_peak_bytes >> 10)?;
        }
        writeln!(f, "  {:<16} {:>10}", "arenas", self.arena_bytes >> 10)?;
        if let Some(sockets) = &self.sockets {
            writeln!(f, "sockets")?;
            for (name, count) in [
                ("opened", sockets.opened),
                ("bytes received", sockets.received_bytes),
                ("bytes sent", sockets.sent_bytes),
                ("received by ring", sockets.ring_received_bytes),
                ("sent by ring", sockets.ring_sent_bytes),
                ("calls of a vCPU", sockets.calls),
            ] {
                writeln!(f, "  {name:<16} {count:>10}")?;
            }
        }
        write!(f, "log\n  {:<16} {:>10}", "bytes", self.log_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_sorted_and_scaled() {
        let mut recorder = Recorder::new(1_000);
        recorder.mark_at("late", 21_000);
        recorder.mark_at("early", 3_000);
        recorder.mark_at("never", 0);
        recorder.count_call(1);
        recorder.count_call(77);
        let stats = recorder.finish(None, 2_000_000, 0);
        let phases: Vec<_> = stats.phases.iter().map(|p| (p.name, p.at_us)).collect();
        assert_eq!(phases, [("early", 1.0), ("late", 10.0)]);
        assert_eq!(stats.exits["log"], 1);
        assert_eq!(stats.exits["none"], 1);
        assert!(stats.to_string().contains("early"));
    }
}
