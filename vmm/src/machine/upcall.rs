//! Calls from outside the guest, on their way into it: signals, timers, other vCPUs.
//!
//! ```text
//! signal → SharedPage.signals |= bit (vCPU 0) ┐  vCPU in the program → CPU frame written,
//! timer, VCPU_KICK ───────────────────────────┤                        RIP = upcall entry
//!                                             └  vCPU in the libOS   → it looks before it returns
//!                                                to the program; tried again after 0.1, 0.2, … ms
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use unikiln_abi::PAGE_BYTES;
use unikiln_abi::layout::{UPCALL_VECTOR, USER_CODE_SELECTOR, USER_DATA_SELECTOR};
use unikiln_abi::shared::SharedPage;
use unikiln_abi::vcpu::{CPU_FRAME_OFFSET, CpuFrame};
use vm_memory::VolatileMemory;

use super::cpu::CpuThread;
use crate::descriptor::RFLAGS_RESERVED;
use crate::error::Error;
use crate::layout::{PRIVILEGED_BASE, PRIVILEGED_END_GPA, SHARED_PAGE_GPA};
use crate::loader::vcpu_block_gpa;

impl CpuThread {
    /// Hands over what came. Only an interruption left the vCPU in a state that
    /// can be diverted; after a hypercall it is inside the libOS.
    pub(super) fn deliver(&mut self, was_interrupted: bool) -> Result<(), Error> {
        let index = self.cpu.index;
        if was_interrupted {
            self.cpu.events.rearm();
            self.cpu.alarm.interrupted();
        }
        let host = &self.shared.host;
        if !was_interrupted && !self.cpu.events.is_pending() {
            // Calls and timers that came during a hypercall interrupt the next entry.
            return Ok(());
        }
        let now_ns = host.now_ns();
        let waiting = index == 0 && self.take_signals()?;
        let is_due = self.cpu.alarm.is_due(now_ns);
        if !waiting && !is_due && !self.shared.host.vcpus.is_called(index) {
            self.cpu.alarm.delivered();
        } else if was_interrupted && self.upcall()? {
            self.shared.host.vcpus.take_calls(index);
            self.cpu.alarm.delivered();
        } else {
            self.cpu.alarm.retry(now_ns);
        }
        Ok(())
    }

    /// Moves the signals that came to the shared page; whether any waits there.
    fn take_signals(&self) -> Result<bool, Error> {
        let offset = core::mem::offset_of!(SharedPage, signals);
        let shared = self.shared.host.memory.slice(SHARED_PAGE_GPA, PAGE_BYTES)?;
        let Ok(signals) = shared.get_atomic_ref::<AtomicU64>(offset) else {
            return Ok(false);
        };
        signals.fetch_or(self.cpu.events.take(), Ordering::SeqCst);
        Ok(signals.load(Ordering::SeqCst) != 0)
    }

    /// Diverts a vCPU that runs the program to the libOS's upcall entry;
    /// returns whether it did.
    fn upcall(&mut self) -> Result<bool, Error> {
        let mut regs = self.vcpu.regs()?;
        let header = self.shared.unikernel.libos_header();
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
        let frame_gpa = vcpu_block_gpa(self.vcpu.index()) + CPU_FRAME_OFFSET as u64;
        self.shared.host.memory.write_plain(frame_gpa, frame)?;
        regs.rip = entry;
        regs.rsp = 0;
        regs.rflags = RFLAGS_RESERVED;
        self.vcpu.set_regs(&regs)?;
        Ok(true)
    }
}
