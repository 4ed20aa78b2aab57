//! out_foreign: a port that is not the hypercall port is closed.
//! build: static
//! exit: 139
//! record: SIGSEGV (privileged instruction: out)|knock|main+
__attribute__((noinline)) static void knock(unsigned short port) { __asm__ volatile("outb %%al,%%dx" : : "a"(0), "d"(port)); }

int main(void) {
    knock(0x3f8);
    return 0;
}
