//! The run loop: exit, decide, act, until the guest ends.

use unikiln_abi::call::CallPage;
use unikiln_abi::stats::GuestStats;

use super::Machine;
use crate::error::Error;
use crate::exit::{Action, decide};
use crate::fault::GuestFault;
use crate::hypercall::{GuestExit, Reply, dispatch};
use crate::memory::MemoryError;
use crate::outcome::{ExitReason, Outcome};
use crate::record::crash_record;

impl Machine {
    /// Runs the guest to its end.
    pub fn run(mut self) -> Result<Outcome, Error> {
        self.recorder.mark("first_run");
        let (reason, guest_stats) = loop {
            let action = decide(self.vcpu.run());
            let was_interrupted = action == Action::Resume;
            let served = match action {
                Action::Call(number) => self.serve(number),
                Action::Resume => {
                    self.recorder.count_interrupted();
                    Ok(None)
                }
                Action::Fault(fault) => Err(fault),
            };
            match served {
                Ok(None) => {}
                Ok(Some((exit, stats))) => break (ExitReason::Guest(exit), stats),
                Err(fault) => break (self.fault(fault), None),
            }
            if let Err(fault) = self.host.renew_clock() {
                break (self.fault(fault), None);
            }
            if was_interrupted || self.host.events.is_pending() {
                self.deliver_signals(was_interrupted)?;
            }
        };
        self.explain(reason);
        Ok(self.finish(reason, guest_stats.as_ref()))
    }

    /// Serves a hypercall; something is the end.
    fn serve(
        &mut self,
        number: u32,
    ) -> Result<Option<(GuestExit, Option<GuestStats>)>, GuestFault> {
        self.recorder.count_call(number);
        let call_page = |error| match error {
            MemoryError::OutOfRange { gpa, len_bytes } => GuestFault::BadBuffer {
                call: "call page",
                gpa,
                len_bytes,
            },
            _ => GuestFault::UnknownCall { number },
        };
        let gpa = self.call_page_gpa;
        let page: CallPage = self.host.memory.read_plain(gpa).map_err(call_page)?;
        match dispatch(&mut self.host, number, page.args)? {
            Reply::Status(status) => {
                let status_gpa = gpa + core::mem::offset_of!(CallPage, status) as u64;
                self.host
                    .memory
                    .write(status_gpa, &status.to_le_bytes())
                    .map_err(call_page)?;
                Ok(None)
            }
            Reply::Exit(ended) => Ok(Some(*ended)),
        }
    }

    /// Records a fault.
    fn fault(&mut self, fault: GuestFault) -> ExitReason {
        self.recorder.count_fault();
        let text = crash_record(
            &fault,
            &self.vcpu,
            self.unikernel.libos_header(),
            &self.host.memory,
        );
        // Where the log itself fails, the exit code still tells.
        let _ = self.host.log.write_text(&text);
        ExitReason::Fault(fault)
    }

    /// Says in the log what the exit code alone would leave open.
    fn explain(&mut self, reason: ExitReason) {
        let text = match reason {
            ExitReason::Guest(GuestExit::MemoryTooSmall) => format!(
                "unikiln: {} MiB of memory are too little to start the program; give it more (--memory {}M)\n",
                self.memory_bytes >> 20,
                (self.memory_bytes * 2)
                    .max(self.needed_bytes)
                    .div_ceil(1 << 20),
            ),
            ExitReason::Guest(GuestExit::OomKilled) => format!(
                "unikiln: OOMKilled: the program needs more than its memory limit of {} MiB\n",
                self.memory_bytes >> 20,
            ),
            ExitReason::Guest(GuestExit::WrongAbi(version)) => format!(
                "unikiln: the libOS speaks ABI version {version}, this monitor {}; rebuild the file with `unikiln build`\n",
                unikiln_abi::ABI_VERSION,
            ),
            _ => return,
        };
        let _ = self.host.log.write_text(&text);
    }

    fn finish(self, reason: ExitReason, guest_stats: Option<&GuestStats>) -> Outcome {
        let mut recorder = self.recorder;
        recorder.mark_at("first_log", self.host.log.first_tsc().unwrap_or(0));
        recorder.mark("exit");
        let clock = &self.host.clock;
        let mut stats = recorder.finish(guest_stats, clock.tsc_khz(), clock.tsc_offset());
        stats.arena_bytes = self.host.memory.total_bytes();
        stats.log_bytes = self.host.log.len_bytes();
        Outcome {
            exit_code: reason.code(),
            reason,
            stats,
        }
    }
}
