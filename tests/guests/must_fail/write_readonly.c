//! write_readonly: a mapping without PROT_WRITE.
//! build: static
//! exit: 139
//! record: SIGSEGV (access not allowed) writing|in overwrite+|anonymous memory|r--p|main+
#include <sys/mman.h>

__attribute__((noinline)) static void overwrite(volatile char *p) { p[5] = 'x'; }

int main(void) {
    overwrite(mmap(0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    return 0;
}
