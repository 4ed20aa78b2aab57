//! Signals from outside, on their way into the guest.
//!
//! ```text
//! signal → SharedPage.signals |= bit
//!            ├─ vCPU in the program  → CPU frame written, RIP = upcall entry
//!            └─ vCPU in the libOS    → it looks before it returns to the program;
//!                                      looked at again after 2, 4, … 64 ms
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use unikiln_abi::PAGE_BYTES;
use unikiln_abi::layout::{UPCALL_VECTOR, USER_CODE_SELECTOR, USER_DATA_SELECTOR};
use unikiln_abi::shared::SharedPage;
use unikiln_abi::vcpu::{CPU_FRAME_OFFSET, CpuFrame};
use vm_memory::VolatileMemory;

use super::Machine;
use crate::clock::TIMER_NS;
use crate::descriptor::RFLAGS_RESERVED;
use crate::error::Error;
use crate::layout::{PRIVILEGED_BASE, PRIVILEGED_END_GPA, SHARED_PAGE_GPA, VCPU_BLOCKS_GPA};

const RETRY_FIRST_NS: u64 = 2_000_000;
const RETRY_MAX_NS: u64 = 64_000_000;

/// When to look again at a vCPU that was inside the libOS.
#[derive(Debug)]
pub(super) struct UpcallTimer {
    retry_ns: u64,
}

impl Default for UpcallTimer {
    fn default() -> Self {
        Self {
            retry_ns: RETRY_FIRST_NS,
        }
    }
}

impl Machine {
    /// Hands signals over; after an interruption, also sets the timer again.
    pub(super) fn deliver_signals(&mut self, was_interrupted: bool) -> Result<(), Error> {
        self.host.events.rearm();
        let offset = core::mem::offset_of!(SharedPage, signals);
        let shared = self.host.memory.slice(SHARED_PAGE_GPA, PAGE_BYTES)?;
        let Ok(signals) = shared.get_atomic_ref::<AtomicU64>(offset) else {
            return Ok(());
        };
        signals.fetch_or(self.host.events.take(), Ordering::SeqCst);
        let waiting = signals.load(Ordering::SeqCst) != 0;
        if waiting && !(was_interrupted && self.upcall()?) {
            self.host.events.kick_after(self.upcall_timer.retry_ns);
            self.upcall_timer.retry_ns = (self.upcall_timer.retry_ns * 2).min(RETRY_MAX_NS);
        } else {
            self.host.events.kick_after(TIMER_NS);
            self.upcall_timer = UpcallTimer::default();
        }
        Ok(())
    }

    /// Diverts a vCPU that runs the program to the libOS's upcall entry;
    /// returns whether it did.
    fn upcall(&mut self) -> Result<bool, Error> {
        let mut regs = self.vcpu.regs()?;
        let header = self.unikernel.libos_header();
        let libos = header.text_start..header.text_end;
        let stubs = PRIVILEGED_BASE..PRIVILEGED_BASE + PRIVILEGED_END_GPA;
        if libos.contains(&regs.rip) || stubs.contains(&regs.rip) || self.vcpu.is_delivering()? {
            return Ok(false);
        }
        let frame = CpuFrame {
            rip: regs.rip,
            cs: USER_CODE_SELECTOR.into(),
            rflags: regs.rflags,
            rsp: regs.rsp,
            ss: USER_DATA_SELECTOR.into(),
        };
        let Some(&entry) = header.trap_entries.get(UPCALL_VECTOR) else {
            return Ok(false);
        };
        self.host
            .memory
            .write_plain(VCPU_BLOCKS_GPA + CPU_FRAME_OFFSET as u64, frame)?;
        regs.rip = entry;
        regs.rsp = 0;
        regs.rflags = RFLAGS_RESERVED;
        self.vcpu.set_regs(&regs)?;
        Ok(true)
    }
}
