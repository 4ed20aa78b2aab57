//! divide_by_zero: an integer division by zero is SIGFPE.
//! build: static
//! exit: 136
//! record: SIGFPE (integer division by zero)|divide+|main+
__attribute__((noinline)) static int divide(volatile int a, volatile int b) { return a / b; }

int main(void) { return divide(1, 0); }
