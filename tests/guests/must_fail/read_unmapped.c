//! read_unmapped: memory that was given back is gone.
//! build: static
//! exit: 139
//! record: SIGSEGV (address not mapped) reading 0x300000064 in read_byte|is not mapped|main+
#include <sys/mman.h>

__attribute__((noinline)) static int read_byte(volatile char *p) { return p[100]; }

int main(void) {
    char *p = mmap((void *)0x300000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    p[100] = 1;
    munmap(p, 4096);
    return read_byte(p);
}
