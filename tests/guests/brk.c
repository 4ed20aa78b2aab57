//! brk: the program break grows, shrinks, and gives zeroed memory again.
//! build: static, pie
#include "check.h"

int main(void) {
    // No stdio before the end: its buffer would come from the break.
    char *start = sbrk(0);
    char *base = sbrk(1 << 20);
    int grown = base == start && sbrk(0) == start + (1 << 20);
    int zero = 1, zero_again = 1;
    for (int i = 0; i < 1 << 20; i += 512) zero &= base[i] == 0;
    memset(base, 0x5a, 1 << 20);
    int shrunk = sbrk(-(1 << 20) + 100) == start + (1 << 20);
    int kept = base[99] == 0x5a;
    char *again = sbrk(1 << 20);
    for (int i = 8192; i < 1 << 20; i += 512) zero_again &= base[i] == 0;
    base[(1 << 20) + 99] = 1;
    long far = syscall(SYS_brk, 0x7ffffffff000L), below = syscall(SYS_brk, 4096L), now = syscall(SYS_brk, 0L);

    CHECK(grown && zero && shrunk && kept && zero_again);
    CHECK(again == start + 100);
    // The raw call answers a refusal with the break as it is.
    CHECK_EQ(far, now);
    CHECK_EQ(below, now);
    return done("brk");
}
