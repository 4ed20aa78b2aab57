//! mmap_flags: every flag of mmap, what it asks for and what is refused.
//! build: static, pie
#include "check.h"
#include <sys/resource.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define PAGE 4096UL
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif

static long map(void *at, size_t bytes, int protection, int flags, int fd, long offset) {
    return syscall(SYS_mmap, at, bytes, protection, flags, (long)fd, offset);
}

/// The line of /proc/self/maps that begins at `at`.
static const char *line_of(const void *at) {
    static char text[1 << 16], want[32];
    get_file("/proc/self/maps", text, sizeof text);
    snprintf(want, sizeof want, "%08lx-", (unsigned long)at);
    char *found = strstr(text, want);
    if (!found) return "";
    found[strcspn(found, "\n")] = 0;
    return found;
}

int main(void) {
    scratch();
    int fd = open("data", O_RDWR | O_CREAT, 0600);
    CHECK_EQ(ftruncate(fd, 4 * PAGE), 0);
    int only = open("data", O_RDONLY), none = open("data", O_WRONLY), dir = open(".", O_RDONLY), path = open("data", O_PATH);

    // Sizes, addresses, offsets.
    CHECK_FAILS(map(0, 0, RW, ANON, -1, 0), EINVAL);
    CHECK_FAILS(map(0, -1UL, RW, ANON, -1, 0), ENOMEM);
    CHECK_FAILS(map(0, 1UL << 47, PROT_NONE, ANON, -1, 0), ENOMEM);
    CHECK_FAILS(map(0, PAGE, RW, ANON, -1, 1), EINVAL);
    CHECK_FAILS(map((void *)0x10000001, PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL);
    CHECK_FAILS(map((void *)-PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
    CHECK_FAILS(map((void *)0x7ffffffff000, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
    CHECK_FAILS(map(0, PAGE, RW, MAP_PRIVATE, fd, -PAGE), EOVERFLOW);
    CHECK_FAILS(map(0, PAGE, RW, MAP_PRIVATE, fd, 100), EINVAL);

    // Kinds.
    CHECK_FAILS(map(0, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_FAILS(map(0, PAGE, RW, MAP_ANONYMOUS | MAP_SHARED_VALIDATE, -1, 0), EINVAL);
    CHECK_FAILS(map(0, PAGE, RW, MAP_PRIVATE, -1, 0), EBADF);
    CHECK_FAILS(map(0, PAGE, RW, 0, fd, 0), EINVAL);
    CHECK_FAILS(map(0, PAGE, PROT_READ, MAP_PRIVATE, none, 0), EACCES);
    CHECK_FAILS(map(0, PAGE, RW, MAP_SHARED, only, 0), EACCES);
    CHECK_FAILS(map(0, PAGE, PROT_READ, MAP_SHARED, dir, 0), ENODEV);
    CHECK_FAILS(map(0, PAGE, PROT_READ, MAP_PRIVATE, path, 0), EBADF);
    CHECK(map(0, PAGE, RW | 0xf0, ANON, -1, 0) != -1); // unknown protection means nothing

    // SYNC and other unknown flags: noticed by SHARED_VALIDATE alone.
    CHECK_FAILS(map(0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0), EOPNOTSUPP);
    CHECK_FAILS(map(0, PAGE, RW, MAP_SHARED_VALIDATE | 0x2000000, fd, 0), EOPNOTSUPP);
    CHECK(map(0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_NORESERVE | MAP_POPULATE, fd, 0) != -1);
    CHECK(map(0, PAGE, RW, ANON | 0x2000000, -1, 0) != -1);

    // HUGETLB: no huge pages are reserved.
    CHECK_FAILS(map(0, 2 << 20, RW, MAP_PRIVATE | MAP_HUGETLB, fd, 0), EINVAL);
    CHECK_FAILS(map(0, 2 << 20, RW, ANON | MAP_HUGETLB | 5 << 26, -1, 0), EINVAL);

    // 32BIT, hints.
    long low = map(0, PAGE, RW, ANON | MAP_32BIT, -1, 0);
    CHECK(low > 0 && low < 1L << 31);
    CHECK_FAILS(map(0, 2UL << 30, PROT_NONE, ANON | MAP_32BIT, -1, 0), ENOMEM);
    char *hint = (char *)0x123456780000;
    CHECK_EQ(map(hint, PAGE, RW, ANON, -1, 0), (long)hint);
    CHECK(map(hint, PAGE, RW, ANON, -1, 0) != (long)hint);
    CHECK_EQ(map(hint + 3 * PAGE + 5, PAGE, RW, ANON, -1, 0), (long)hint + 3 * (long)PAGE);

    // FIXED, FIXED_NOREPLACE.
    hint[0] = 'x';
    CHECK_FAILS(map(hint, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    CHECK_FAILS(map(hint - PAGE, 2 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    CHECK_EQ(hint[0], 'x');
    CHECK_EQ(map(hint - PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), (long)(hint - PAGE));
    CHECK_EQ(map(hint, PAGE, RW, ANON | MAP_FIXED, -1, 0), (long)hint);
    CHECK_EQ(hint[0], 0);
    // A FIXED mapping that is refused leaves what was there.
    hint[0] = 'y';
    CHECK_FAILS(map(hint, PAGE, RW, MAP_SHARED | MAP_FIXED, only, 0), EACCES);
    CHECK_EQ(hint[0], 'y');

    // POPULATE brings pages, NONBLOCK takes that back, LOCKED brings them too.
    unsigned char there[16];
    char *populated = mmap(0, 16 * PAGE, RW, ANON | MAP_POPULATE, -1, 0);
    CHECK_EQ(mincore(populated, 16 * PAGE, there), 0);
    for (int i = 0; i < 16; i++) CHECK_EQ(there[i] & 1, 1);
    char *locked = mmap(0, 4 * PAGE, RW, ANON | MAP_LOCKED, -1, 0);
    CHECK(locked != MAP_FAILED);
    CHECK_EQ(mincore(locked, 4 * PAGE, there), 0);
    CHECK_EQ(there[3] & 1, 1);
    char *stack = mmap(0, 64 * PAGE, RW, ANON | MAP_STACK | MAP_NORESERVE | MAP_NONBLOCK | MAP_POPULATE, -1, 0);
    CHECK(stack != MAP_FAILED);
    stack[64 * PAGE - 1] = 1;

    // GROWSDOWN: a touch below the area makes it larger, as far as RLIMIT_STACK goes.
    CHECK_FAILS(map(0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0), EINVAL);
    char *top = mmap((void *)0x200000000000, 4 * PAGE, RW, ANON | MAP_GROWSDOWN, -1, 0);
    CHECK(top != MAP_FAILED);
    top[-1] = 1;
    top[-200 * (long)PAGE] = 2;
    CHECK(top[-1] == 1 && top[-200 * (long)PAGE] == 2);
    CHECK_EQ(munmap(top - 200 * PAGE, 204 * PAGE), 0);

    // SHARED anonymous memory is one object.
    char *shared = mmap(0, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    shared[PAGE] = 's';
    CHECK(strstr(line_of(shared), "rw-s") && strstr(line_of(shared), "/dev/zero (deleted)"));
    char *again = mremap(shared, 0, 4 * PAGE, MREMAP_MAYMOVE);
    CHECK(again != MAP_FAILED && again != shared);
    again[0] = 'a';
    CHECK(shared[0] == 'a' && again[PAGE] == 's');
    CHECK_EQ(munmap(shared, 4 * PAGE), 0);
    CHECK(again[0] == 'a' && again[PAGE] == 's');
    CHECK_EQ(madvise(again, 4 * PAGE, MADV_DONTNEED), 0); // shared contents stay
    CHECK(again[0] == 'a' && again[PAGE] == 's');
    CHECK_EQ(madvise(again, PAGE, MADV_REMOVE), 0); // until they are removed
    CHECK(again[0] == 0 && again[PAGE] == 's');

    // Two kinds of wrong ranges.
    CHECK_FAILS(munmap(hint + 1, PAGE), EINVAL);
    CHECK_FAILS(munmap(hint, 0), EINVAL);
    CHECK_FAILS(munmap((void *)0x7ffffffff000, PAGE), EINVAL);
    CHECK_EQ(munmap((void *)0x300000000000, 1UL << 44), 0); // nothing there

    // mprotect.
    CHECK_FAILS(mprotect(hint + 1, PAGE, RW), EINVAL);
    CHECK_FAILS(mprotect(hint, PAGE, 0x40), EINVAL);
    CHECK_FAILS(mprotect(hint, PAGE, PROT_GROWSDOWN | PROT_GROWSUP | RW), EINVAL);
    CHECK_FAILS(mprotect(hint, PAGE, PROT_GROWSDOWN | RW), EINVAL);
    CHECK_FAILS(mprotect((void *)0x300000000000, PAGE, RW), ENOMEM);
    CHECK_FAILS(mprotect(hint, -PAGE, RW), ENOMEM);
    CHECK_EQ(mprotect(hint, 0, RW), 0);
    char *read_only = mmap(0, PAGE, PROT_READ, MAP_SHARED, only, 0);
    CHECK_FAILS(mprotect(read_only, PAGE, RW), EACCES);
    CHECK_EQ(mprotect(read_only, PAGE, PROT_NONE), 0);
    return done("mmap_flags");
}
