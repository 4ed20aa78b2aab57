//! `VCPU_START [index, rip, rsp, rdi]`, `VCPU_KICK [mask]` and `VCPU_FLUSH [mask]`:
//! what vCPUs ask of each other.

use unikiln_abi::call::EVENT_KICK;

use super::{Cpu, Host};
use crate::fault::GuestFault;

const EINVAL: i64 = -(libc::EINVAL as i64);

/// Where another vCPU begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuStart {
    /// Index of the vCPU.
    pub index: u32,
    /// First instruction.
    pub rip: u64,
    /// Stack pointer there.
    pub rsp: u64,
    /// RDI there.
    pub rdi: u64,
}

/// Starts vCPUs on threads of their own. The machine does it; tests pretend.
pub trait StartVcpu: Send + Sync {
    /// Starts one; the errno of what failed.
    fn start(&self, start: VcpuStart) -> Result<(), i32>;
}

pub(super) fn handle_start(
    host: &Host,
    index: u64,
    rip: u64,
    rsp: u64,
    rdi: u64,
) -> Result<i64, GuestFault> {
    let number = usize::try_from(index).unwrap_or(usize::MAX);
    if !host.vcpus.has(number) {
        return Err(GuestFault::BadArgument {
            call: "vcpu_start",
            name: "index",
            value: index,
        });
    }
    if !host.vcpus.claim(number) {
        return Ok(EINVAL);
    }
    let start = VcpuStart {
        index: index as u32,
        rip,
        rsp,
        rdi,
    };
    match host.starter.start(start) {
        Ok(()) => Ok(0),
        Err(errno) => {
            host.vcpus.unclaim(number);
            Ok(-i64::from(errno))
        }
    }
}

pub(super) fn handle_kick(host: &Host, mask: u64) -> i64 {
    host.vcpus.call(mask, EVENT_KICK);
    0
}

pub(super) fn handle_flush(host: &Host, cpu: &Cpu, mask: u64) -> i64 {
    host.vcpus.flush(mask, cpu.index);
    0
}
