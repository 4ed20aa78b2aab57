//! The monitor with hand-made guests: starts, traps, calls and every way to fail.
//! They run the same under a software KVM (PVM) and a hardware one.

mod common;

use common::guest;
use unikiln_vmm::ExitReason;
use unikiln_vmm::fault::GuestFault;

#[test]
fn hello_starts_in_ring_3_and_exits() {
    let ran = guest(
        "main:   PRINT text, 6
                 FINISH 7
         text:   .ascii \"hello\\n\"",
    )
    .run()
    .exits(7);
    assert_eq!(ran.text(), "hello\n");
    assert_eq!(ran.stderr, "");
    assert_eq!(ran.outcome.stats.exits["log"], 1);
}
