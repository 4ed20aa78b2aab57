//! mmap_fixed: fixed mappings replace, hints are taken, NOREPLACE refuses, parts can be unmapped.
//! build: static
#include "check.h"
#include <setjmp.h>

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

static sigjmp_buf back;
static void on_segv(int signal) { siglongjmp(back, signal); }

/// Whether a read of `p` faults.
static int faults(volatile char *p) {
    if (sigsetjmp(back, 1)) return 1;
    (void)*p;
    return 0;
}

int main(void) {
    signal(SIGSEGV, on_segv);
    char *p = mmap(NULL, 16 * 4096, RW, ANON, -1, 0);
    memset(p, 1, 16 * 4096);

    // Over the middle: the neighbours stay, the middle is new.
    CHECK(mmap(p + 4 * 4096, 4 * 4096, RW, ANON | MAP_FIXED, -1, 0) == p + 4 * 4096);
    CHECK(p[4 * 4096 - 1] == 1 && p[4 * 4096] == 0 && p[8 * 4096 - 1] == 0 && p[8 * 4096] == 1);

    // A hole in the middle, then both ends.
    CHECK_EQ(munmap(p + 2 * 4096, 4096), 0);
    CHECK(faults(p + 2 * 4096) && !faults(p + 4096) && !faults(p + 3 * 4096));
    CHECK_EQ(munmap(p, 4096), 0);
    CHECK_EQ(munmap(p + 15 * 4096, 4096), 0);
    CHECK(faults(p) && !faults(p + 4096) && faults(p + 15 * 4096) && p[14 * 4096] == 1);
    CHECK_EQ(munmap(p, 16 * 4096), 0); // with holes in it
    CHECK(faults(p + 4096) && faults(p + 8 * 4096));
    CHECK_EQ(munmap(p, 4096), 0); // nothing there is no error

    char *hint = (char *)0x200000000;
    CHECK(mmap(hint, 4096, RW, ANON, -1, 0) == hint);
    CHECK(mmap(hint, 4096, RW, ANON, -1, 0) != hint);
    CHECK_FAILS((long)mmap(hint, 4096, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    CHECK(mmap(hint + 4096, 4096, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == hint + 4096);

    CHECK_FAILS((long)mmap(hint + 1, 4096, RW, ANON | MAP_FIXED, -1, 0), EINVAL);
    CHECK_FAILS(munmap(hint + 1, 4096), EINVAL);
    CHECK_FAILS(munmap(hint, 0), EINVAL);
    CHECK_FAILS((long)mmap((void *)0x7ffffffff000, 4096, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
    return done("mmap_fixed");
}
