//! Records as a reader sees them.

use super::*;
use crate::crash::threads::tests::threads;
use crate::mm::vma::{Area, Backing, Traits};
use crate::signal::{SigInfo, Trap};
use alloc::string::ToString;

fn registers() -> Registers {
    Registers {
        rip: 0,
        rsp: 0x10,
        rax: 0x2a,
        rflags: 0x10246,
        cs: 0x33,
        ..Registers::default()
    }
}

fn record(fatal: &Fatal, calls: &[Call]) -> String {
    let map = Map::default();
    let registers = registers();
    let report = Report {
        reason: Reason::Signal(fatal),
        registers: &registers,
        fs_base: 0x1000,
        map: &map,
        executable: b"/bin/prog",
        calls,
        threads: &threads(1),
        memory: (1 << 20, 3 << 19, 256 << 20),
    };
    let mut text = Text::new(64 << 10);
    report.write(&mut text, |_| ()).unwrap();
    text.as_str().to_string()
}

fn page_fault(address: u64, error: u64) -> Fatal {
    Fatal {
        info: SigInfo::from_fault(11, 1, address),
        trap: Trap {
            vector: 14,
            error,
            address,
        },
        note: "",
    }
}

#[test]
fn a_record_reads_like_this() {
    let calls = [
        Call {
            number: 9,
            args: [0, 0x1000, 3, 0x22, u64::MAX, 0],
            result: Some(0x7000_0000),
        },
        Call {
            number: 11,
            args: [1, 2, 3, 4, 5, 6],
            result: Some(-22i64 as u64),
        },
        Call {
            number: 999,
            args: [1, 2, 3, 4, 5, 6],
            result: None,
        },
    ];
    let expected = "\
unikiln: crash: SIGSEGV (address not mapped) writing 0x8
program: /bin/prog
thread: 1 (work)
reason: signal 11, code 1; page fault, error code 0x6, writing, page not present
address: 0x8 is in the NULL page, which is never mapped
registers:
  rax 000000000000002a  rbx 0000000000000000  rcx 0000000000000000  rdx 0000000000000000
  rsi 0000000000000000  rdi 0000000000000000  rbp 0000000000000000  rsp 0000000000000010
  r8  0000000000000000  r9  0000000000000000  r10 0000000000000000  r11 0000000000000000
  r12 0000000000000000  r13 0000000000000000  r14 0000000000000000  r15 0000000000000000
  rip 0000000000000000  rfl 0000000000010246  cs  0000000000000033  fs  0000000000001000
code at rip: none can be read
stack at rsp:
  none can be read
backtrace:
  #0 0x0000000000000000 in the NULL page, which is never mapped
last system calls (3):
  mmap(0x0, 0x1000, 0x3, 0x22, 0xffffffffffffffff, 0x0) = 0x70000000
  munmap(0x1, 0x2) = -22 EINVAL
  syscall_999(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) did not return
memory: 1.0 MiB in use, 1.5 MiB at the peak, 256.0 MiB allowed
";
    assert_eq!(record(&page_fault(8, 6), &calls), expected);
}

#[test]
fn a_sent_signal_names_its_sender() {
    let fatal = Fatal {
        info: SigInfo::from_sender(6, -6, 1, 0),
        trap: Trap::default(),
        note: "",
    };
    let record = record(&fatal, &[]);
    let mut lines = record.lines();
    assert_eq!(
        lines.next(),
        Some("unikiln: crash: SIGABRT (raised by the program itself)")
    );
    assert_eq!(
        lines.nth(2),
        Some("reason: signal 6, code -6; sent by process 1")
    );
}

#[test]
fn a_jump_to_nowhere_is_called_executing() {
    let line = record(&page_fault(0, 0x14), &[]);
    assert!(line.starts_with("unikiln: crash: SIGSEGV (address not mapped) executing 0x0\n"));
}

#[test]
fn an_access_below_the_stack_is_an_overflow() {
    let stack = Area {
        start: 0x7fff_0000_0000,
        end: 0x7fff_0010_0000,
        protection: 3,
        shared: false,
        name: "[stack]",
        backing: Backing::Anonymous,
        traits: Traits::default(),
    };
    let map = Map::new([stack].iter());
    assert!(map.is_stack_guard(0x7ffe_ffff_fff8));
    assert!(!map.is_stack_guard(0x7fff_0000_0000));
    assert!(!map.is_stack_guard(0x7ffe_0000_0000));
}
