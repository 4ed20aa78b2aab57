//! enosys: a call that is not there answers ENOSYS, and the exit statistics name it.
//! build: static
//! options: --stats
//! stderr: 9999
#include "check.h"

int main(void) {
    CHECK_FAILS(syscall(9999), ENOSYS);
    CHECK_FAILS(syscall(9999, 1, 2, 3, 4, 5, 6), ENOSYS);
    CHECK_FAILS(syscall(-1), ENOSYS);
    CHECK_FAILS(syscall(1000000), ENOSYS);
    CHECK(getpid() > 0);
    return done("enosys");
}
