//! illegal: an instruction that does not exist is SIGILL.
//! build: static
//! exit: 132
//! record: SIGILL (illegal instruction)|undefined+0x0|main+
__attribute__((noinline)) static void undefined(void) { __asm__ volatile("ud2"); }

int main(void) {
    undefined();
    return 0;
}
