//! double_free: the C library notices a block that is freed twice and aborts.
//! build: static
//! exit: 134
//! record: SIGABRT (raised by the program itself)|main+
//! stderr: double free
#include <stdlib.h>

int main(void) {
    char *volatile p = malloc(24), *volatile q = malloc(2000);
    free(q);
    free(p);
    free(p);
    return 0;
}
