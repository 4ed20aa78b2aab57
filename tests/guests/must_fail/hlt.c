//! hlt: a privileged instruction is a general protection fault, so SIGSEGV.
//! build: static
//! exit: 139
//! record: SIGSEGV (privileged instruction: hlt)|halt+0x0|main+
__attribute__((noinline)) static void halt(void) { __asm__ volatile("hlt"); }

int main(void) {
    halt();
    return 0;
}
