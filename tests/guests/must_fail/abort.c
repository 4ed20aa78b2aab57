//! abort: abort() ends by SIGABRT.
//! build: static, pie, musl-static
//! exit: 134
//! record: SIGABRT (raised by the program itself)|main+
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    fputs("giving up\n", stderr);
    abort();
}
