//! stdin_empty: standard input is there and at its end.
//! build: static, pie
#include "check.h"
#include <poll.h>

int main(void) {
    char got[8];
    CHECK_EQ(read(0, got, sizeof got), 0);
    CHECK_EQ(read(0, got, sizeof got), 0);
    CHECK_EQ(fcntl(0, F_GETFL) & O_ACCMODE, O_RDONLY);
    CHECK_EQ(isatty(0), 0);
    CHECK_EQ(isatty(1), 0);
    struct pollfd fd = {0, POLLIN, 0};
    CHECK_EQ(poll(&fd, 1, 1000), 1);
    CHECK_EQ(getchar(), EOF);
    return done("stdin_empty");
}
