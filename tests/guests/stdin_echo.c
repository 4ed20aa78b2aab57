//! stdin_echo: standard input is passed on whole, and its end too.
//! build: static
//! stdin: yes
#include "check.h"
#include <poll.h>

int main(void) {
    static char got[4096];
    unsigned long bytes = 0, sum = 0;
    ssize_t n;
    struct pollfd fd = {0, POLLIN, 0};
    CHECK_EQ(poll(&fd, 1, 10000), 1);
    while ((n = read(0, got, sizeof got)) > 0) {
        for (ssize_t i = 0; i < n; i++) sum = sum * 31 + (unsigned char)got[i];
        bytes += (unsigned long)n;
    }
    CHECK_EQ(n, 0);
    CHECK_EQ(read(0, got, 1), 0);
    printf("%lu bytes, sum %lx\n", bytes, sum);
    return done("stdin_echo");
}
