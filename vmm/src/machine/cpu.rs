//! The thread of one vCPU: exit, decide, act, until the guest ends.

use std::sync::Arc;

use unikiln_abi::PAGE_BYTES;
use unikiln_abi::call::CallPage;
use unikiln_abi::stats::GuestStats;

use super::{End, Shared};
use crate::error::Error;
use crate::events::Attachment;
use crate::exit::{Action, decide};
use crate::fault::GuestFault;
use crate::hypercall::{Cpu, GuestExit, Reply, dispatch, lock};
use crate::memory::MemoryError;
use crate::outcome::ExitReason;
use crate::record::crash_record;
use crate::vcpu::Vcpu;

/// A vCPU and what its thread needs. Made on the thread that runs it.
pub(super) struct CpuThread {
    /// First: no signal may touch a vCPU that is gone.
    pub(super) _attachment: Attachment,
    pub(super) vcpu: Vcpu,
    pub(super) cpu: Cpu,
    pub(super) shared: Arc<Shared>,
}

impl CpuThread {
    /// Runs guest code until the guest ends, here or on another thread.
    pub(super) fn run(mut self) {
        let index = self.cpu.index;
        self.shared.host.vcpus.attach(index);
        if self.shared.host.vcpus.is_called(index) {
            // A call that came before the thread was known sent it no signal.
            self.cpu.alarm.retry(self.shared.host.now_ns());
        }
        while !self.shared.host.vcpus.is_ending() {
            match self.turn() {
                Ok(None) => {}
                Ok(Some(end)) => self.shared.finish(Ok(end)),
                Err(error) => self.shared.finish(Err(error)),
            }
        }
        let Self {
            _attachment,
            vcpu,
            shared,
            ..
        } = self;
        drop((_attachment, vcpu));
        shared.host.vcpus.detach(index);
        shared.thread_ended.notify_all();
    }

    /// One entry into the guest and what follows from its exit; something is the end.
    fn turn(&mut self) -> Result<Option<(ExitReason, Option<GuestStats>)>, Error> {
        self.set_timer();
        let host = &self.shared.host;
        if host.vcpus.enter(self.cpu.index) {
            self.vcpu.flush_translations()?;
        }
        let exit = self.vcpu.run();
        host.vcpus.leave(self.cpu.index);
        let action = decide(exit);
        let was_interrupted = action == Action::Resume;
        let served = match action {
            Action::Call(number) => self.serve(number),
            Action::Resume => {
                lock(&self.shared.recorder).count_interrupted();
                host.net.check_rings().map(|()| None)
            }
            Action::Fault(fault) => Err(fault),
        };
        let served = served.and_then(|served| self.shared.host.renew_clock().map(|()| served));
        match served {
            Ok(Some((exit, stats))) => return Ok(Some((ExitReason::Guest(exit), stats))),
            Ok(None) => {}
            Err(fault) => return Ok(Some((self.fault(fault), None))),
        }
        self.deliver(was_interrupted)?;
        Ok(None)
    }

    fn set_timer(&mut self) {
        let now_ns = self.shared.host.now_ns();
        if let Some(left_ns) = self.cpu.alarm.changed_left_ns(now_ns) {
            self.cpu.events.kick_after(left_ns);
        }
    }

    /// Serves a hypercall; something is the end.
    fn serve(
        &mut self,
        number: u32,
    ) -> Result<Option<(GuestExit, Option<GuestStats>)>, GuestFault> {
        lock(&self.shared.recorder).count_call(number);
        let call_page = |error| match error {
            MemoryError::OutOfRange { gpa, len_bytes } => GuestFault::BadBuffer {
                call: "call page",
                gpa,
                len_bytes,
            },
            _ => GuestFault::UnknownCall { number },
        };
        let gpa = self.shared.call_pages_gpa + self.cpu.index as u64 * PAGE_BYTES;
        let host = &self.shared.host;
        let page: CallPage = host.memory.read_plain(gpa).map_err(call_page)?;
        match dispatch(host, &mut self.cpu, number, page.args)? {
            Reply::Status(status) => {
                let status_gpa = gpa + core::mem::offset_of!(CallPage, status) as u64;
                host.memory
                    .write(status_gpa, &status.to_le_bytes())
                    .map_err(call_page)?;
                Ok(None)
            }
            Reply::Exit(ended) => Ok(Some(*ended)),
        }
    }

    /// Records a fault.
    fn fault(&mut self, fault: GuestFault) -> ExitReason {
        lock(&self.shared.recorder).count_fault();
        let text = crash_record(
            &fault,
            &self.vcpu,
            self.shared.unikernel.libos_header(),
            &self.shared.host.memory,
        );
        // Where the log itself fails, the exit code still tells.
        let _ = lock(&self.shared.host.log).write_own_record(&text);
        ExitReason::Fault(fault)
    }
}

impl Shared {
    /// Keeps the first end, and makes all threads leave the guest.
    pub(super) fn finish(&self, end: End) {
        let mut slot = lock(&self.end);
        if slot.is_none() {
            *slot = Some(end);
        }
        drop(slot);
        self.host.vcpus.end();
    }
}
