//! exec_heap: memory from malloc does not run.
//! build: static
//! exit: 139
//! record: SIGSEGV (access not allowed) executing|called from main+|is in [heap]
#include <stdint.h>
#include <stdlib.h>

int main(void) {
    unsigned char *code = malloc(16);
    code[0] = 0xc3;
    ((void (*)(void))(uintptr_t)code)();
    return 0;
}
