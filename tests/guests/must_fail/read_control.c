//! read_control: control registers are out of reach.
//! build: static
//! exit: 139
//! record: SIGSEGV (privileged instruction: mov of a control register)|read_cr0|main+
__attribute__((noinline)) static unsigned long read_cr0(void) {
    unsigned long value;
    __asm__ volatile("mov %%cr0,%0" : "=r"(value));
    return value;
}

int main(void) { return (int)read_cr0(); }
