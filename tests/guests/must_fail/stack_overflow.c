//! stack_overflow: endless recursion ends at the guard below the stack.
//! build: static, pie
//! exit: 139
//! record: SIGSEGV (stack overflow) writing|in recurse+|stack guard
#pragma GCC diagnostic ignored "-Winfinite-recursion"

__attribute__((noinline)) static int recurse(volatile char *above) {
    volatile char frame[500];
    frame[0] = above[0];
    return recurse(frame) + frame[1];
}

int main(void) {
    volatile char first[1] = {1};
    return recurse(first);
}
