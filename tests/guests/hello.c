//! hello: every kind of executable that Debian's compilers make starts and prints.
//! build: static, static-pie, pie, no-pie, musl-static, musl-dynamic
#include <stdio.h>

static int constructed;

__attribute__((constructor)) static void construct(void) { constructed = 1; }

int main(void) {
    if (!constructed) return puts("wrong: the constructor did not run"), 1;
    puts("ok hello");
    return 0;
}
