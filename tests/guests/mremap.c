//! mremap: mappings grow, shrink and move with what is in them.
//! build: static
#include "check.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

int main(void) {
    char *p = mmap(NULL, 8 * 4096, RW, ANON, -1, 0);
    for (int i = 0; i < 8; i++) p[i * 4096] = (char)(i + 1);

    char *grown = mremap(p, 8 * 4096, 64 << 20, MREMAP_MAYMOVE);
    CHECK(grown != MAP_FAILED);
    for (int i = 0; i < 8; i++) CHECK_EQ(grown[i * 4096], i + 1);
    CHECK_EQ(grown[9 * 4096], 0);
    grown[(64 << 20) - 1] = 5;

    char *shrunk = mremap(grown, 64 << 20, 2 * 4096, 0);
    CHECK(shrunk == grown && shrunk[4096] == 2);

    // Blocked by a neighbour: in place is refused, moving works.
    char *wall = mmap(NULL, 3 * 4096, RW, ANON, -1, 0);
    wall[0] = 11;
    CHECK_FAILS((long)mremap(wall, 4096, 2 * 4096, 0), ENOMEM);
    char *moved = mremap(wall, 4096, 2 * 4096, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved != wall && moved[0] == 11);

    char *target = mmap(NULL, 4 * 4096, RW, ANON, -1, 0);
    target[0] = 1;
    char *fixed = mremap(moved, 2 * 4096, 2 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, target + 4096);
    CHECK(fixed == target + 4096 && fixed[0] == 11 && target[0] == 1);

    CHECK_FAILS((long)mremap(fixed + 1, 4096, 4096, 0), EINVAL);
    CHECK_FAILS((long)mremap(fixed, 4096, 0, 0), EINVAL);
    CHECK_FAILS((long)mremap((void *)0x10000, 4096, 8192, MREMAP_MAYMOVE), EFAULT);

    // What realloc of a large block does.
    char *block = malloc(1 << 20);
    memset(block, 0x11, 1 << 20);
    block = realloc(block, 32 << 20);
    CHECK(block && block[0] == 0x11 && block[(1 << 20) - 1] == 0x11);
    memset(block, 0x22, 32 << 20);
    block = realloc(block, 300000);
    CHECK(block && block[299999] == 0x22);
    free(block);
    return done("mremap");
}
