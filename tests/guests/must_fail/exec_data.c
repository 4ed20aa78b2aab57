//! exec_data: static data does not run.
//! build: static
//! exit: 139
//! record: SIGSEGV (access not allowed) executing|rw-p, file offset|main+
#include <stdint.h>

static unsigned char code[] = {0xb8, 1, 0, 0, 0, 0xc3};

int main(void) { return ((int (*)(void))(uintptr_t)code)() + 1; }
