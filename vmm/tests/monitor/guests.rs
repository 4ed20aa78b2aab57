//! The monitor with hand-made guests: starts, traps, calls and every way to fail.
//! They run the same under a software KVM (PVM) and a hardware one.

use std::fs::File;
use std::io::Write;

use crate::assembled::guest;
use unikiln_vmm::fault::GuestFault;
use unikiln_vmm::{ExitReason, LogFormat, Stdin};

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

#[test]
fn segments_have_their_permissions_and_data() {
    // Data holds its bytes, the file behind the direct map is readable, text is not writable.
    let ran = guest(
        "main:   movabs $value, %rax
                 mov (%rax), %rbx
                 PRINT_WORD %rbx
                 movabs $DIRECT, %rax
                 add 88(%r14), %rax
                 mov (%rax), %ebx
                 PRINT_WORD %rbx
                 movabs $header, %rax
                 movq $0, (%rax)
                 FINISH 1
                 .data
         value:  .quad 0x1122334455667788",
    )
    .run()
    .exits(114);
    assert_eq!(ran.words(), [0x1122_3344_5566_7788, 0x464c_457f]);
}

#[test]
fn the_selectors_and_flags_are_linux() {
    let ran = guest(
        "main:   mov %cs, %ebx
                 PRINT_WORD %rbx
                 mov %ss, %ebx
                 PRINT_WORD %rbx
                 rdgsbase %rbx
                 mov (%rbx), %rcx
                 sub %rcx, %rbx
                 PRINT_WORD %rbx
                 FINISH 0",
    )
    .run()
    .exits(0);
    assert_eq!(ran.words(), [0x33, 0x2b, 0]);
}

#[test]
fn privileged_instructions_are_general_protection_faults() {
    for instruction in [
        "hlt",
        "out %al, $0x14",
        "out %al, $0xf0",
        "in $0x71, %al",
        "mov $0xc0000080, %ecx; rdmsr",
        "mov %cr3, %rax",
        "cli",
    ] {
        let source = format!("main: {instruction}\n FINISH 1");
        guest(&source).run().exits(113);
    }
}

#[test]
fn a_system_call_bounces_with_its_registers() {
    let ran = guest(
        "main:   movabs $0x7000, %rsp
                 mov $39, %eax
                 syscall
         after:  FINISH 1
         on_syscall:
                 mov %rax, %rbp
                 mov %rcx, %rbx
                 movabs $after, %rax
                 sub %rax, %rbx
                 PRINT_WORD %rbp
                 PRINT_WORD %rbx
                 mov %gs:0x10, %rbx
                 PRINT_WORD %rbx
                 FINISH 0",
    )
    .run()
    .exits(0);
    assert_eq!(ran.words(), [39, 0, 0x7000]);
}

#[test]
fn a_page_fault_leaves_address_error_code_and_frame() {
    let ran = guest(
        "main:   movabs $0x123456789000, %rax
                 movabs $0x8000, %rsp
         fault:  mov %al, (%rax)
                 FINISH 1
         on_trap:
                 mov %gs:0xfc8, %rbx
                 PRINT_WORD %rbx
                 mov %gs:0xfd0, %rbx
                 PRINT_WORD %rbx
                 mov %gs:0xfd8, %rbx
                 movabs $fault, %rax
                 sub %rax, %rbx
                 PRINT_WORD %rbx
                 mov %gs:0xff0, %rbx
                 PRINT_WORD %rbx
                 FINISH 0",
    )
    .run()
    .exits(0);
    assert_eq!(ran.words(), [0x1234_5678_9000, 6, 0, 0x8000]);
}

#[test]
fn breakpoints_resume_by_iretq_in_ring_3() {
    let ran = guest(
        "main:   mov $1000, %ebp
         again:  int3
                 dec %ebp
                 jnz again
                 PRINT_WORD %rbp
                 FINISH 0
         on_trap:
                 mov %gs:0, %rsp
                 add $0xfd8, %rsp
                 iretq",
    )
    .run()
    .exits(0);
    assert_eq!(ran.words(), [0]);
}

#[test]
fn flushes_make_page_table_edits_seen() {
    // Maps 0x400000 to the scratch page, then to the page behind it, flushing in each of three ways.
    let ran = guest(
        ".macro TABLE offset, next
                 lea \\next(%r12), %rax
                 or $7, %rax
                 mov %rax, \\offset(%r13)
         .endm
         .macro POINT page
                 lea \\page(%r12), %rax
                 or $7, %rax
                 mov %rax, 0x3000(%r13)
         .endm
         main:   movq $11, 0x4000(%r13)
                 movq $22, 0x5000(%r13)
                 TABLE 0x1000+0, 0x2000
                 TABLE 0x2000+16, 0x3000
                 lea 0x1000(%r12), %rax
                 or $7, %rax
                 mov 56(%r14), %rbx
                 movabs $DIRECT, %rcx
                 mov %rax, (%rbx, %rcx)
                 POINT 0x4000
                 mov 0x400000, %rbx
                 PRINT_WORD %rbx
                 POINT 0x5000
                 mov $0x400000, %eax
                 callq gate_flush_page
                 mov 0x400000, %rbx
                 PRINT_WORD %rbx
                 POINT 0x4000
                 mov 56(%r14), %rax
                 callq gate_load_root
                 mov 0x400000, %rbx
                 PRINT_WORD %rbx
                 FINISH 0",
    )
    .run()
    .exits(0);
    assert_eq!(ran.words(), [11, 22, 11]);
}

#[test]
fn vector_registers_hold_what_xcr0_says() {
    let ran = guest(
        "main:   xor %ecx, %ecx
                 xgetbv
                 mov %eax, %eax
                 lea boot_xcr0(%r14), %rbx
                 mov (%rbx), %rbx
                 sub %rax, %rbx
                 PRINT_WORD %rbx
                 movd %eax, %xmm0
                 FINISH 0
                 .set boot_xcr0, 424",
    )
    .run()
    .exits(0);
    assert_eq!(ran.words(), [0]);
}

#[test]
fn arenas_are_zero_and_can_be_given_back() {
    let ran = guest(
        "main:   CALL MEMORY_ADD, 0x400000
                 mov %rax, %rbp
                 PRINT_WORD %rbp
                 CALL MEMORY_ADD, 0x40000000
                 mov %rax, %rbp
                 PRINT_WORD %rbp
                 CALL MEMORY_RELEASE, 0x100000000, 0x200000
                 mov %rax, %rbp
                 PRINT_WORD %rbp
                 FINISH 0",
    )
    .run()
    .exits(0);
    let no_memory = (-i64::from(libc::ENOMEM)) as u64;
    assert_eq!(ran.words(), [4 << 30, no_memory, 0]);
    assert_eq!(ran.outcome.stats.arena_bytes, 8 << 20);
}

#[test]
fn windows_of_the_file_appear_on_request() {
    let window = 64 << 20;
    let ran = guest(
        "main:   CALL ROOTFS_MAP, 1
                 mov %rax, %rbp
                 PRINT_WORD %rbp
                 CALL ROOTFS_MAP, 1
                 mov %rax, %rbp
                 PRINT_WORD %rbp
                 CALL ROOTFS_MAP, 2
                 FINISH 1",
    )
    .with_rootfs_bytes(window)
    .run()
    .exits(134);
    assert_eq!(ran.words(), [0, 0]);
    assert!(
        ran.stderr
            .contains("hypercall rootfs_map: window cannot be 0x2")
    );
}

#[test]
fn wait_ends_at_its_deadline_and_the_clock_agrees() {
    // Reads the clock as the contract says, waits 20 ms, reads again.
    let ran = guest(
        ".macro NOW target
                 mov 80(%r14), %rbx
                 movabs $DIRECT, %rax
                 add %rax, %rbx
                 rdtsc
                 shl $32, %rdx
                 or %rdx, %rax
                 sub 8(%rbx), %rax
                 mov 4(%rbx), %ecx
                 mul %rcx
                 mov 40(%rbx), %ecx
                 shrd %cl, %rdx, %rax
                 add 16(%rbx), %rax
                 mov %rax, \\target
         .endm
         main:   NOW %rbp
                 lea 20000000(%rbp), %rax
                 ARG 0, %rax
                 movq $0, 8(%r15)
                 DO WAIT
                 mov %rax, %r10
                 NOW %r8
                 sub %rbp, %r8
                 PRINT_WORD %r10
                 PRINT_WORD %r8
                 PRINT_WORD %rbp
                 FINISH 0",
    )
    .run()
    .exits(0);
    let [status, slept_ns, started_ns] = ran.words()[..] else {
        panic!("three words");
    };
    assert_eq!(status, 0);
    assert!((20_000_000..200_000_000).contains(&slept_ns), "{slept_ns}");
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` lives until the call returns.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let now_ns = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
    let age_ns = now_ns - started_ns;
    assert!(age_ns < 10_000_000_000, "{age_ns}");
}

#[test]
fn the_clock_is_renewed_while_the_guest_computes() {
    // Spins until the monitor writes a new base.
    let ran = guest(
        "main:   mov 80(%r14), %rbx
                 movabs $DIRECT, %rax
                 add %rax, %rbx
                 mov 8(%rbx), %rcx
         spin:   cmp 8(%rbx), %rcx
                 je spin
                 FINISH 0",
    )
    .run()
    .exits(0);
    assert!(ran.outcome.stats.exits["interrupted"] >= 1);
}

#[test]
fn standard_input_is_empty_or_passed_on() {
    let source = "main:   ARG 0, %r12
                          movq $0, 0(%r15)
                          ARG 0, %r12
                          movq $100, 8(%r15)
                          movq $0, 16(%r15)
                          DO STDIN_READ
                          mov %rax, %rbp
                          movq $1, 0(%r15)
                          ARG 1, %r12
                          ARG 2, %rbp
                          DO LOG
                          FINISH 0";
    let guest = guest(source);
    assert_eq!(guest.run().exits(0).text(), "");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"typed").unwrap();
    let ran = guest.run_with(|config| {
        config.stdin = Stdin::File(File::open(file.path()).unwrap());
    });
    assert_eq!(ran.text(), "typed");
}

#[test]
fn entropy_differs() {
    let source = "main:   ARG 0, %r12
                          movq $64, 8(%r15)
                          DO ENTROPY
                          mov (%r13), %rbp
                          PRINT_WORD %rbp
                          mov 448(%r14), %rbp
                          PRINT_WORD %rbp
                          FINISH 0";
    let guest = guest(source);
    let (first, second) = (guest.run().words(), guest.run().words());
    assert_eq!(first.len(), 2);
    assert!(first.iter().zip(&second).all(|(a, b)| a != b && *a != 0));
}

#[test]
fn kubernetes_log_lines() {
    let ran = guest(
        "main:   PRINT text, 8
                 FINISH 0
         text:   .ascii \"one\\ntwo!\"",
    )
    .run_with(|config| config.log_format = LogFormat::Cri);
    let lines: Vec<&str> = ran.text().lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].ends_with("Z stdout F one"), "{}", lines[0]);
    assert!(lines[1].ends_with("Z stdout P two!"), "{}", lines[1]);
}

#[test]
fn a_triple_fault_is_recorded_with_registers() {
    // Without a page-table root nothing can be delivered.
    let ran = guest(
        "main:   movabs $0x1234, %rbx
                 mov 56(%r14), %rsi
                 movabs $DIRECT, %rdi
                 movq $0, 208*8(%rsi, %rdi)
                 movq $0, 209*8(%rsi, %rdi)
                 mov %rsi, %rax
                 callq gate_load_root
                 FINISH 1",
    )
    .run()
    .exits(134);
    let ExitReason::Fault(fault) = ran.outcome.reason else {
        panic!("{:?}", ran.outcome.reason);
    };
    // KVM's emulator reports it as its own failure where it runs the stub.
    assert!(
        matches!(
            fault,
            GuestFault::TripleFault | GuestFault::KvmInternal { .. }
        ),
        "{fault:?}"
    );
    assert!(
        ran.stderr.contains("unikiln: guest fault:"),
        "{}",
        ran.stderr
    );
    // SVM loses the registers.
    let shown = ["rbx 0000000000001234", "no registers"];
    assert!(
        shown.iter().any(|words| ran.stderr.contains(words)),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("last trap: rip"), "{}", ran.stderr);
}

#[test]
fn an_access_outside_all_slots_is_recorded() {
    // The direct map's second large page, pointed at a hole.
    let ran = guest(
        "main:   mov 56(%r14), %rsi
                 movabs $DIRECT, %rdi
                 lea 0x1000(%r12), %rax
                 or $7, %rax
                 mov %rax, (%rsi, %rdi)
                 lea 0x2000(%r12), %rax
                 or $7, %rax
                 mov %rax, 0x1000(%r13)
                 movabs $0x80000087, %rax
                 mov %rax, 0x2010(%r13)
                 mov 0x400000, %rax
                 FINISH 1",
    )
    .run()
    .exits(134);
    let ExitReason::Fault(GuestFault::NoMemory { gpa, is_write, .. }) = ran.outcome.reason else {
        panic!("{:?}", ran.outcome.reason);
    };
    assert_eq!((gpa, is_write), (0x8000_0000, false));
}

#[test]
fn wild_calls_end_the_guest() {
    for (call, words) in [
        ("CALL 77", "unknown hypercall 77"),
        ("CALL LOG, 9, 0x8000, 1", "stream cannot be 0x9"),
        ("CALL LOG, 1, 0x7fffffff0000, 16", "not inside one arena"),
        ("CALL LOG, 1, 0x8000, 0x100001", "length cannot be"),
        ("CALL EXIT, 0, 256", "code cannot be 0x100"),
        ("CALL EXIT, 42, 0", "reason cannot be 0x2a"),
        ("CALL EXIT, 0, 0, 0x8000, 5", "statistics length"),
        ("CALL MEMORY_ADD, 4096", "size cannot be 0x1000"),
        (
            "CALL MEMORY_RELEASE, 0x100000000, 0x1000",
            "not inside one arena",
        ),
        ("CALL WAIT, 0, 16", "interest cannot be 0x10"),
        ("CALL ENTROPY, 0x8000, 4097", "length cannot be 0x1001"),
        ("CALL STDIN_READ, 0xfff00000, 4", "not inside one arena"),
        ("mov $1, %al; out %al, $0x10", "out to port 0x10 (1 bytes"),
        ("in $0x10, %eax", "in from port 0x10"),
    ] {
        let ran = guest(&format!("main: {call}\n FINISH 1")).run().exits(134);
        assert!(ran.stderr.contains(words), "{call}: {}", ran.stderr);
    }
}

#[test]
fn a_damaged_file_is_not_run() {
    let guest = guest("main: ud2\n on_trap: CALL 77");
    guest.run().exits(134);
    let path = guest.write();
    let mut bytes = std::fs::read(&path).unwrap();
    // The last bytes of the libOS text are never executed.
    let data_at = 4096 + 0xfff0;
    bytes[data_at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = unikiln_vmm::run(unikiln_vmm::Config::new(&path)).unwrap_err();
    assert!(error.to_string().contains("corrupted"), "{error}");
}
