//! exec_heap: memory from malloc does not run.
//! build: static
//! exit: 139
//! record: SIGSEGV|main
#include <stdint.h>
#include <stdlib.h>

int main(void) {
    unsigned char *code = malloc(16);
    code[0] = 0xc3;
    ((void (*)(void))(uintptr_t)code)();
    return 0;
}
