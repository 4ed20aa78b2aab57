//! wrmsr: nor can they be written.
//! build: static
//! exit: 139
//! record: SIGSEGV (privileged instruction: wrmsr)|write_register|main+
__attribute__((noinline)) static void write_register(unsigned number) {
    __asm__ volatile("wrmsr" : : "c"(number), "a"(0), "d"(0));
}

int main(void) {
    write_register(0xc0000082);
    return 0;
}
