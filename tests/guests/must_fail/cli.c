//! cli: interrupts are not the program's to mask.
//! build: static
//! exit: 139
//! record: SIGSEGV (privileged instruction: cli)|mask_interrupts|main+
__attribute__((noinline)) static void mask_interrupts(void) { __asm__ volatile("cli"); }

int main(void) {
    mask_interrupts();
    return 0;
}
