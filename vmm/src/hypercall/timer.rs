//! `TIMER [deadline_ns, period_ns]`: upcalls at a time, and at regular times.

use super::{Cpu, Host};

pub(super) fn handle(host: &Host, cpu: &mut Cpu, deadline_ns: u64, period_ns: u64) -> i64 {
    cpu.alarm.set_guest(host.now_ns(), deadline_ns, period_ns);
    0
}
