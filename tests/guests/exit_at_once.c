//! exit_at_once: _exit and exit_group run nothing of the program any more.
//! build: static
//! exit: 7
#include "check.h"

static void never(void) { CHECK_EQ(write(1, "atexit ran\n", 11), 11); }

int main(void) {
    atexit(never);
    fputs("still buffered", stdout);
    CHECK_EQ(write(1, "out\n", 4), 4);
    syscall(SYS_exit_group, 7);
    return 1;
}
