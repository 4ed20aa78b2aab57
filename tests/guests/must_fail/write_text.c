//! write_text: the program's own code is not writable.
//! build: static, pie
//! exit: 139
//! record: SIGSEGV (access not allowed) writing|in overwrite+|r-xp, file offset|main+
#include <stdint.h>

__attribute__((noinline)) static void overwrite(volatile unsigned char *code) { *code = 0xc3; }

int main(void) {
    overwrite((unsigned char *)(uintptr_t)&main);
    return 0;
}
