//! mseal: what is sealed is neither changed nor taken away nor moved nor emptied.
//! build: static
//! native: no
#include "check.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define PAGE 4096UL

static long seal(void *at, size_t bytes, long flags) { return syscall(462, at, bytes, flags); }

int main(void) {
    char *at = mmap(0, 8 * PAGE, RW, ANON, -1, 0);
    CHECK_FAILS(seal(at + 1, PAGE, 0), EINVAL);
    CHECK_FAILS(seal(at, PAGE, 1), EINVAL);
    CHECK_FAILS(seal(at, -1UL, 0), EINVAL);
    CHECK_FAILS(seal((void *)0x300000000000, PAGE, 0), ENOMEM);
    CHECK_EQ(seal(at, 0, 0), 0);
    memset(at, 's', 8 * PAGE);
    CHECK_EQ(mprotect(at + 2 * PAGE, 2 * PAGE, PROT_READ), 0);
    CHECK_EQ(seal(at + 2 * PAGE, 4 * PAGE, 0), 0); // two pages to read, two to write
    CHECK_EQ(seal(at + 2 * PAGE, PAGE, 0), 0);     // again
    CHECK_FAILS(mprotect(at + 3 * PAGE, PAGE, RW), EPERM);
    CHECK_FAILS(mprotect(at, 8 * PAGE, RW), EPERM);
    CHECK_FAILS(munmap(at + 5 * PAGE, PAGE), EPERM);
    CHECK_FAILS(munmap(at, 8 * PAGE), EPERM);
    CHECK_FAILS((long)mmap(at + 5 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0), EPERM);
    CHECK_FAILS((long)mremap(at + 4 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EPERM);
    CHECK_FAILS((long)mremap(at + 4 * PAGE, 2 * PAGE, PAGE, 0), EPERM);
    CHECK_FAILS((long)mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 4 * PAGE), EPERM);
    CHECK_FAILS(madvise(at + 2 * PAGE, PAGE, MADV_DONTNEED), EPERM); // could not be written either
    CHECK_EQ(madvise(at + 4 * PAGE, PAGE, MADV_DONTNEED), 0);
    CHECK(at[0] == 's' && at[2 * PAGE] == 's' && at[4 * PAGE] == 0 && at[7 * PAGE] == 's');
    at[4 * PAGE] = 'w';
    CHECK_EQ(munmap(at, 2 * PAGE) | munmap(at + 6 * PAGE, 2 * PAGE), 0);
    return done("mseal");
}
