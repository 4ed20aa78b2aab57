//! int_gate: a software interrupt through a gate that is not ours.
//! build: static
//! exit: 139
//! record: SIGSEGV (privileged instruction: int)|interrupt+0x0|main+
__attribute__((noinline)) static void interrupt(void) { __asm__ volatile("int $0x20"); }

int main(void) {
    interrupt();
    return 0;
}
