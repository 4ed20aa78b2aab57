//! breakpoint: int3 without a debugger is SIGTRAP.
//! build: static
//! exit: 133
//! record: SIGTRAP (breakpoint)|stop_here|main+
__attribute__((noinline)) static void stop_here(void) { __asm__ volatile("int3"); }

int main(void) {
    stop_here();
    return 0;
}
