//! Several vCPUs of a hand-made guest: starts, calls, flushes, timers.

use crate::assembled::{Guest, Ran, guest};

/// `main` runs on vCPU 0 as the libOS, `second` on vCPU 1 as the program, behind the
/// libOS text: `START second` starts it with its call page in `r15`.
fn on_two(main: &str, second: &str) -> Guest {
    guest(&format!(
        "// START label: vCPU 1 begins there, outside the libOS; its call page in rdi
         .macro START label
                 movq $1, 0(%r15)
                 movabs $\\label, %rax
                 ARG 1, %rax
                 movabs $0x7000, %rax
                 ARG 2, %rax
                 lea 4096(%r15), %rax
                 ARG 3, %rax
                 DO VCPU_START
         .endm
         // TELL place, register: a word for the other vCPU
         .macro TELL place, value
                 movabs $\\place, %rax
                 mov \\value, (%rax)
         .endm
         // AWAIT place: until it is not 0; leaves it in rbx
         .macro AWAIT place
                 movabs $\\place, %rax
         9:      pause
                 mov (%rax), %rbx
                 test %rbx, %rbx
                 jz 9b
         .endm
         // TABLE offset, next: an entry in the scratch pages that names another of them
         .macro TABLE offset, next
                 lea \\next(%r12), %rax
                 or $7, %rax
                 mov %rax, \\offset(%r13)
         .endm
         main:   {main}
                 FINISH 0
         .section .program, \"ax\"
         second: mov %rdi, %r15
                 {second}
         stay:   pause
                 jmp stay
         .data
         a:      .quad 0
         b:      .quad 0
         c:      .quad 0
         d:      .quad 0
         .text
         .set VCPU_START, 10; .set VCPU_KICK, 11; .set VCPU_FLUSH, 12; .set TIMER, 13"
    ))
}

fn run(guest: &Guest) -> Ran {
    guest.run_with(|config| config.cpus = 2).exits(0)
}

const START_SECOND: &str = "START second
                 mov %rax, %rbp
                 PRINT_WORD %rbp";

#[test]
fn a_second_vcpu_starts_with_the_registers_it_was_given() {
    let guest = on_two(
        &format!(
            "rdtsc
             shl $32, %rdx
             lea (%rdx, %rax), %r8
             {START_SECOND}
             AWAIT d
             rdtsc
             shl $32, %rdx
             lea (%rdx, %rax), %r9
             movabs $b, %rax
             mov (%rax), %rbp
             cmp %r8, %rbp
             setb %bl
             cmp %rbp, %r9
             setb %cl
             or %cl, %bl
             movzx %bl, %rbp
             PRINT_WORD %rbp
             movabs $a, %rax
             mov (%rax), %rbp
             PRINT_WORD %rbp
             rdgsbase %rbx
             movabs $c, %rax
             mov (%rax), %rbp
             sub %rbx, %rbp
             PRINT_WORD %rbp
             movabs $d, %rax
             mov (%rax), %rbp
             PRINT_WORD %rbp"
        ),
        "TELL a, %rsp
         rdtsc
         shl $32, %rdx
         lea (%rdx, %rax), %rbx
         TELL b, %rbx
         mov %gs:0, %rbx
         TELL c, %rbx
         mov %gs:24, %rbx
         TELL d, %rbx",
    );
    // Started; its clock lies between two readings here; RSP; the next block; its index.
    assert_eq!(run(&guest).words(), [0, 0, 0x7000, 4096, 1]);
}

#[test]
fn a_second_vcpu_has_features_and_traps_of_its_own() {
    let guest = on_two(
        &format!(
            "{START_SECOND}
             AWAIT d
             mov 424(%r14), %rbp
             movabs $a, %rax
             sub (%rax), %rbp
             PRINT_WORD %rbp
             movabs $b, %rax
             mov (%rax), %rbp
             movabs $trapped, %rax
             sub %rax, %rbp
             PRINT_WORD %rbp
             mov %gs:0xfd8, %rbp
             PRINT_WORD %rbp
             jmp done
         on_trap:
             mov %gs:0xfd8, %rbx
             TELL b, %rbx
             mov %r11, %rbx
             TELL d, %rbx
         parked: pause
             jmp parked
         done: "
        ),
        "xor %ecx, %ecx
         xgetbv
         mov %eax, %ebx
         TELL a, %rbx
         movd %eax, %xmm0
         int3
         trapped: nop",
    );
    // Started; XCR0 as the boot information says; RIP after the `int3` in vCPU 1's
    // block and nothing in vCPU 0's.
    assert_eq!(run(&guest).words(), [0, 0, 0, 0]);
}

#[test]
fn a_call_ends_a_wait_and_is_told_once() {
    let guest = on_two(
        &format!(
            "{START_SECOND}
             AWAIT a
             CALL VCPU_KICK, 2
             AWAIT b
             mov %rbx, %rbp
             PRINT_WORD %rbp
             AWAIT c
             mov %rbx, %rbp
             PRINT_WORD %rbp"
        ),
        // The second wait, for a time that is over, finds nothing.
        "mov $1, %ebx
         TELL a, %rbx
         CALL WAIT, -1, 0
         mov %rax, %rbx
         TELL b, %rbx
         CALL WAIT, 1, 0
         lea 77(%rax), %rbx
         TELL c, %rbx",
    );
    assert_eq!(run(&guest).words(), [0, 4, 77]);
}

#[test]
fn calls_divert_a_vcpu_that_computes() {
    // Thirty calls one after another; each is answered from the upcall entry.
    let guest = on_two(
        &format!(
            "{START_SECOND}
             AWAIT a
             mov $30, %r9d
         again:
             movabs $b, %rax
             mov (%rax), %r10
             CALL VCPU_KICK, 2
             movabs $b, %rax
         wait: pause
             cmp (%rax), %r10
             je wait
             dec %r9d
             jnz again
             movabs $b, %rax
             mov (%rax), %rbp
             PRINT_WORD %rbp
             movabs $c, %rax
             mov (%rax), %rbp
             PRINT_WORD %rbp
             jmp done
         on_trap:
             mov %r11, c(%rip)
             incq b(%rip)
             mov %gs:0, %rsp
             add $0xfd8, %rsp
             iretq
         done: "
        ),
        "mov $1, %ebx
         TELL a, %rbx",
    );
    assert_eq!(run(&guest).words(), [0, 30, 32]);
}

#[test]
fn a_flush_makes_edits_seen_on_the_other_vcpu() {
    // vCPU 1 reads 0x400000 again and again. vCPU 0 points it at one page and then
    // at the other, and after each flush the old value must not be read any more. The
    // port is still open to vCPU 1 then.
    let guest = on_two(
        &format!(
            "movq $11, 0x4000(%r13)
             movq $22, 0x5000(%r13)
             TABLE 0x1000+0, 0x2000
             TABLE 0x2000+16, 0x3000
             TABLE 0x3000, 0x4000
             lea 0x1000(%r12), %rax
             or $7, %rax
             mov 56(%r14), %rbx
             movabs $DIRECT, %rcx
             mov %rax, (%rbx, %rcx)
             {START_SECOND}
             AWAIT a
             mov $50, %r9d
             xor %r10d, %r10d
         again:
             xorq $0x1000, 0x3000(%r13)
             CALL VCPU_FLUSH, 3
             add %rax, %r10
             movabs $b, %rax
             incq (%rax)
             mov (%rax), %rbx
             movabs $c, %rax
         wait: pause
             cmp (%rax), %rbx
             jne wait
             // What it read after the flush is what the page table says.
             movabs $d, %rax
             mov (%rax), %rbx
             mov 0x3000(%r13), %rcx
             movabs $DIRECT, %rax
             and $-4096, %rcx
             cmp (%rcx, %rax), %rbx
             je right
             inc %r10
         right: dec %r9d
             jnz again
             PRINT_WORD %r10
             PRINT_WORD %rbx"
        ),
        "movabs $b, %rcx
         movabs $c, %rsi
         movabs $d, %rdi
         mov $1, %ebx
         TELL a, %rbx
         read: mov (%rcx), %rbx
         mov 0x400000, %rdx
         cmp (%rsi), %rbx
         je read
         mov %rdx, (%rdi)
         CALL VCPU_KICK, 0
         mov %rbx, (%rsi)
         jmp read",
    );
    assert_eq!(run(&guest).words(), [0, 0, 11]);
}

#[test]
fn a_timer_ticks_where_the_vcpu_computes_and_where_it_waits() {
    let guest = on_two(
        &format!(
            "{START_SECOND}
             AWAIT a
             mov %rbx, %rbp
             PRINT_WORD %rbp
             AWAIT d
             mov %rbx, %rbp
             PRINT_WORD %rbp
             jmp done
         on_trap:
             incq b(%rip)
             mov %gs:0, %rsp
             add $0xfd8, %rsp
             iretq
         done: "
        ),
        // One deadline that has passed, three ticks, none after they are stopped.
        "CALL TIMER, 1, 0
         AWAIT b
         movq $0, (%rax)
         CALL TIMER, -1, 1000000
         movabs $b, %rax
     ticks: pause
         cmpq $3, (%rax)
         jb ticks
         mov (%rax), %rbx
         TELL a, %rbx
         CALL WAIT, -1, 0
         mov %rax, %r9
         CALL TIMER, -1, 0
         CALL WAIT, 1, 0
         CALL WAIT, 1, 0
         lea (%r9, %rax), %rbx
         TELL d, %rbx",
    );
    let ran = run(&guest);
    let [started, ticks, events] = ran.words()[..] else {
        panic!("three words: {:?}", ran.words());
    };
    assert_eq!((started, events), (0, 4));
    assert!(ticks >= 3, "{ticks}");
}

#[test]
fn an_index_is_started_once_and_must_exist() {
    let guest = on_two(
        "START second
         mov %rax, %rbp
         PRINT_WORD %rbp
         START second
         mov %rax, %rbp
         PRINT_WORD %rbp
         CALL VCPU_START, 0
         mov %rax, %rbp
         PRINT_WORD %rbp",
        "",
    );
    let again = (-i64::from(libc::EINVAL)) as u64;
    assert_eq!(run(&guest).words(), [0, again, again]);

    for index in ["2", "64", "-1"] {
        let ran = on_two(&format!("CALL VCPU_START, {index}"), "")
            .run_with(|config| config.cpus = 2)
            .exits(134);
        let said = "hypercall vcpu_start: index cannot be";
        assert!(ran.stderr.contains(said), "{index}: {}", ran.stderr);
    }
}
