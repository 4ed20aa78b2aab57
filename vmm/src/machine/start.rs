//! Starting vCPUs beyond the first, each on a thread of its own.

use std::sync::{Arc, OnceLock, Weak};

use kvm_bindings::CpuId;
use unikiln_abi::layout::DIRECT_MAP_BASE;

use super::Shared;
use super::cpu::CpuThread;
use crate::alarm::Alarm;
use crate::events::{Events, block_forwarded};
use crate::hypercall::{Cpu, StartVcpu, VcpuStart};
use crate::loader::vcpu_block_gpa;
use crate::vcpu::{StartState, Vcpu};
use crate::vm::Vm;

/// Makes vCPUs like the first.
pub(super) struct Starter {
    /// Set once the machine is whole.
    pub(super) shared: Arc<OnceLock<Weak<Shared>>>,
    pub(super) vm: Arc<Vm>,
    pub(super) cpuid: CpuId,
    /// The first vCPU's; entry, stack, argument and block differ.
    pub(super) state: StartState,
}

impl StartVcpu for Starter {
    fn start(&self, start: VcpuStart) -> Result<(), i32> {
        let shared = self.shared.get().and_then(Weak::upgrade);
        let shared = shared.ok_or(libc::ESRCH)?;
        let vcpu = self.vcpu(start)?;
        std::thread::Builder::new()
            .name(format!("vcpu{}", start.index))
            .spawn(move || run(vcpu, shared))
            .map(drop)
            .map_err(|error| error.raw_os_error().unwrap_or(libc::EAGAIN))
    }
}

impl Starter {
    fn vcpu(&self, start: VcpuStart) -> Result<Vcpu, i32> {
        let fd = (self.vm.create_vcpu(start.index)).map_err(|_| libc::ENOMEM)?;
        let mut vcpu = Vcpu::new(fd, start.index, &self.cpuid).map_err(|_| libc::EIO)?;
        let state = StartState {
            entry: start.rip,
            stack_top: start.rsp,
            boot_info_address: start.rdi,
            block_address: DIRECT_MAP_BASE + vcpu_block_gpa(start.index),
            ..self.state
        };
        vcpu.set_state(&state).map_err(|_| libc::EIO)?;
        Ok(vcpu)
    }
}

/// The body of a vCPU thread.
fn run(mut vcpu: Vcpu, shared: Arc<Shared>) {
    block_forwarded();
    let events = match Events::new(false) {
        Ok(events) => events,
        Err(error) => return shared.finish(Err(error.into())),
    };
    let thread = CpuThread {
        _attachment: events.attach(vcpu.immediate_exit()),
        cpu: Cpu {
            index: vcpu.index() as usize,
            events,
            alarm: Alarm::new(shared.host.now_ns()),
        },
        vcpu,
        shared,
    };
    thread.run();
}
