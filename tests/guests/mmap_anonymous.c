//! mmap_anonymous: private memory is zero, aligned, apart, and can be reserved far beyond RAM.
//! build: static, musl-static
#include "check.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static int is_zero(const char *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (p[i]) return 0;
    return 1;
}

int main(void) {
    static const size_t SIZES[] = {1, 4096, 4097, 65536, 1 << 20, 3 << 20, 16 << 20};
    char *at[7];
    for (int i = 0; i < 7; i++) {
        at[i] = mmap(NULL, SIZES[i], PROT_READ | PROT_WRITE, ANON, -1, 0);
        if (at[i] == MAP_FAILED || (uintptr_t)at[i] % 4096) WRONG("mapping %zu bytes", SIZES[i]);
        if (!is_zero(at[i], SIZES[i])) WRONG("%zu bytes are not zero", SIZES[i]);
        memset(at[i], i + 1, SIZES[i]);
    }
    for (int i = 0; i < 7; i++) {
        if (at[i][0] != i + 1 || at[i][SIZES[i] - 1] != i + 1) WRONG("mapping %d was overwritten", i);
        CHECK_EQ(munmap(at[i], SIZES[i]), 0);
    }

    // What Go, Java and sanitizers do: reserve much, use little.
    size_t reserve = 64ul << 30;
    char *room = mmap(NULL, reserve, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    CHECK(room != MAP_FAILED);
    if (room != MAP_FAILED) {
        CHECK_EQ(mprotect(room + (reserve / 2), 8192, PROT_READ | PROT_WRITE), 0);
        room[reserve / 2 + 5] = 7;
        CHECK_EQ(room[reserve / 2 + 5], 7);
        CHECK_EQ(munmap(room, reserve), 0);
    }

    char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, ANON | MAP_POPULATE, -1, 0);
    memset(p, 9, 1 << 20);
    CHECK_EQ(madvise(p, 1 << 20, MADV_DONTNEED), 0);
    CHECK(is_zero(p, 1 << 20));
    CHECK_EQ(madvise(p, 1 << 20, MADV_HUGEPAGE) == 0 || errno == EINVAL, 1);

    char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED && is_zero(shared, 8192));

    CHECK_FAILS((long)mmap(NULL, 0, PROT_READ, ANON, -1, 0), EINVAL);
    CHECK_FAILS((long)mmap(NULL, 4096, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_FAILS((long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 99, 0), EBADF);
    CHECK_FAILS((long)mmap(NULL, 1ul << 48, PROT_NONE, ANON | MAP_NORESERVE, -1, 0), ENOMEM);
    return done("mmap_anonymous");
}
