//! rdmsr: model-specific registers are out of reach.
//! build: static
//! exit: 139
//! record: SIGSEGV (privileged instruction: rdmsr)|read_register|main+
__attribute__((noinline)) static unsigned read_register(unsigned number) {
    unsigned low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
    return low + high;
}

int main(void) { return (int)read_register(0xc0000080); }
