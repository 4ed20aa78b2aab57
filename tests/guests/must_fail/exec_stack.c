//! exec_stack: the stack does not run.
//! build: static, pie
//! exit: 139
//! record: SIGSEGV (access not allowed) executing|called from main+|is in [stack]
#include <stdint.h>

int main(void) {
    volatile unsigned char code[16] = {0xb8, 1, 0, 0, 0, 0xc3};
    return ((int (*)(void))(uintptr_t)code)() + 1;
}
