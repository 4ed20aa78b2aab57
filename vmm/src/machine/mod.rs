//! One guest: built by [`Machine::boot`], run to its end by [`Machine::run`].

mod boot;
mod run;
mod upcall;

use unikiln_unikernel::UnikernelFile;

use crate::events::Attachment;
use crate::hypercall::Host;
use crate::stats::Recorder;
use crate::vcpu::Vcpu;

use upcall::UpcallTimer;

/// A guest that is ready to run.
pub struct Machine {
    /// First: no signal may touch a vCPU that is gone.
    _attachment: Attachment,
    /// Next: the vCPU goes before the VM, and the VM before its memory.
    vcpu: Vcpu,
    host: Host,
    unikernel: UnikernelFile,
    call_page_gpa: u64,
    recorder: Recorder,
    upcall_timer: UpcallTimer,
    memory_bytes: u64,
    needed_bytes: u64,
}
