//! madvise: every advice, on every kind of mapping, with Linux's errors; mincore.
//! build: static
#include "check.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define PAGE 4096UL
enum { POPULATE_READ = 22, POPULATE_WRITE = 23, DONTNEED_LOCKED = 24 };

static int resident(void *at) {
    unsigned char there = 0;
    CHECK_EQ(mincore(at, PAGE, &there), 0);
    return there & 1;
}

int main(void) {
    scratch();
    int fd = open("data", O_RDWR | O_CREAT, 0600), only = open("data", O_RDONLY);
    CHECK_EQ(write(fd, "0123", 4), 4);
    CHECK_EQ(ftruncate(fd, 4 * PAGE), 0);
    int memory = (int)syscall(SYS_memfd_create, "m", 0);
    CHECK_EQ(ftruncate(memory, 8 * PAGE), 0);
    char *a = mmap(0, 8 * PAGE, RW, ANON, -1, 0);
    char *file = mmap(0, 8 * PAGE, RW, MAP_PRIVATE, fd, 0); // half of it past the end
    char *shared = mmap(0, 8 * PAGE, RW, MAP_SHARED, memory, 0);
    char *reading = mmap(0, PAGE, PROT_READ, MAP_SHARED, only, 0);
    char *none = mmap(0, PAGE, PROT_NONE, ANON, -1, 0);
    char *hole = (char *)0x300000000000;

    // Arguments.
    CHECK_FAILS(madvise(a + 1, PAGE, MADV_NORMAL), EINVAL);
    CHECK_FAILS(madvise(a, PAGE, 99), EINVAL);
    CHECK_FAILS(madvise(a, PAGE, 5), EINVAL);
    CHECK_FAILS(madvise(a, -1UL, MADV_NORMAL), EINVAL);
    CHECK_FAILS(madvise(a, -PAGE, MADV_NORMAL), EINVAL);
    CHECK_EQ(madvise(hole, 0, MADV_DONTNEED), 0);
    static const int HINTS[] = {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTFORK, MADV_DOFORK,
                                MADV_DONTDUMP, MADV_DODUMP, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLD, MADV_PAGEOUT};
    for (size_t i = 0; i < sizeof HINTS / sizeof *HINTS; i++) {
        CHECK_EQ(madvise(a, 3 * PAGE, HINTS[i]), 0);
        CHECK_FAILS(madvise(hole, PAGE, HINTS[i]), ENOMEM);
    }
    CHECK_EQ(madvise(a, PAGE, MADV_WIPEONFORK) | madvise(a, PAGE, MADV_KEEPONFORK), 0);
    CHECK_FAILS(madvise(file, PAGE, MADV_WIPEONFORK), EINVAL);

    // DONTNEED and FREE.
    memset(a, 'a', 8 * PAGE);
    CHECK_EQ(madvise(a, 2 * PAGE + 1, MADV_DONTNEED), 0);
    CHECK(a[0] == 0 && a[3 * PAGE - 1] == 0 && a[3 * PAGE] == 'a');
    CHECK_EQ(madvise(a + 3 * PAGE, PAGE, MADV_FREE), 0);
    CHECK(a[3 * PAGE] == 0 || a[3 * PAGE] == 'a');
    a[3 * PAGE] = 'n';
    CHECK_EQ(a[3 * PAGE], 'n');
    file[0] = 'F';
    CHECK_EQ(madvise(file, PAGE, MADV_DONTNEED), 0);
    CHECK_EQ(file[0], '0');
    CHECK_FAILS(madvise(file, PAGE, MADV_FREE), EINVAL);
    CHECK_FAILS(madvise(shared, PAGE, MADV_FREE), EINVAL);
    // Over a hole: what is there goes, the rest is told.
    memset(a, 'b', 8 * PAGE);
    munmap(a + 4 * PAGE, PAGE);
    CHECK_FAILS(madvise(a, 8 * PAGE, MADV_DONTNEED), ENOMEM);
    CHECK(a[0] == 0 && a[5 * PAGE] == 0);

    // REMOVE.
    memset(shared, 's', 8 * PAGE);
    CHECK_EQ(madvise(shared + PAGE, 2 * PAGE, MADV_REMOVE), 0);
    CHECK(shared[0] == 's' && shared[PAGE] == 0 && shared[3 * PAGE - 1] == 0 && shared[3 * PAGE] == 's');
    struct stat st;
    CHECK_EQ(fstat(memory, &st), 0);
    CHECK(st.st_size == (off_t)(8 * PAGE) && st.st_blocks <= 8 * 8);
    CHECK_FAILS(madvise(a, PAGE, MADV_REMOVE), EINVAL);
    CHECK_FAILS(madvise(file, PAGE, MADV_REMOVE), EACCES);
    CHECK_FAILS(madvise(reading, PAGE, MADV_REMOVE), EACCES);

    // POPULATE.
    char *fresh = mmap(0, 8 * PAGE, RW, ANON | MAP_NORESERVE, -1, 0);
    CHECK_EQ(madvise(fresh, PAGE, MADV_NOHUGEPAGE), 0);
    CHECK_EQ(madvise(fresh, 8 * PAGE, POPULATE_WRITE), 0);
    CHECK_EQ(resident(fresh) & resident(fresh + 7 * PAGE), 1);
    CHECK_EQ(madvise(file, 4 * PAGE, POPULATE_READ), 0);
    CHECK_FAILS(madvise(file, 8 * PAGE, POPULATE_READ), EFAULT);
    CHECK_FAILS(madvise(file + 4 * PAGE, PAGE, POPULATE_WRITE), EFAULT);
    CHECK_FAILS(madvise(none, PAGE, POPULATE_READ), EINVAL);
    CHECK_FAILS(madvise(reading, PAGE, POPULATE_WRITE), EINVAL);
    CHECK_FAILS(madvise(hole, PAGE, POPULATE_READ), ENOMEM);
    CHECK_EQ(madvise(hole, 0, POPULATE_READ), 0);

    // What is locked stays.
    CHECK_EQ(mlock(fresh, PAGE), 0);
    CHECK_FAILS(madvise(fresh, 2 * PAGE, MADV_DONTNEED), EINVAL);
    CHECK_FAILS(madvise(fresh, PAGE, MADV_FREE), EINVAL);
    CHECK_FAILS(madvise(fresh, PAGE, MADV_COLD), EINVAL);
    CHECK_FAILS(madvise(fresh, PAGE, MADV_PAGEOUT), EINVAL);
    fresh[0] = 1;
    CHECK_EQ(madvise(fresh, PAGE, DONTNEED_LOCKED), 0);
    CHECK_EQ(fresh[0], 0);
    CHECK_EQ(munlock(fresh, PAGE), 0);
    CHECK_EQ(madvise(fresh, PAGE, MADV_DONTNEED), 0);

    // mincore: what was touched is there, what was given back is not.
    CHECK_EQ(resident(fresh + PAGE), 1);
    CHECK_EQ(madvise(fresh, 8 * PAGE, MADV_DONTNEED), 0);
    CHECK_EQ(resident(fresh + PAGE), 0);
    CHECK_EQ(resident(shared), 1);
    char *sparse = mmap(0, 256 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sparse[128 * PAGE] = 1;
    CHECK_EQ(resident(sparse + 128 * PAGE), 1);
    CHECK_EQ(resident(sparse), 0);
    CHECK_EQ(resident(sparse + 255 * PAGE), 0);
    unsigned char vector[8];
    CHECK_FAILS(mincore(fresh + 1, PAGE, vector), EINVAL);
    CHECK_FAILS(mincore(hole, PAGE, vector), ENOMEM);
    CHECK_FAILS(mincore(fresh, -1UL, vector), ENOMEM);
    CHECK_FAILS(mincore(fresh, PAGE, (void *)8), EFAULT);
    CHECK_EQ(mincore(hole, 0, vector), 0);

    // msync.
    CHECK_EQ(msync(shared, 8 * PAGE, MS_SYNC), 0);
    CHECK_EQ(msync(shared, 8 * PAGE, 0), 0);
    CHECK_FAILS(msync(shared, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
    CHECK_FAILS(msync(shared, PAGE, 8), EINVAL);
    CHECK_FAILS(msync(shared + 1, PAGE, MS_SYNC), EINVAL);
    CHECK_FAILS(msync(hole, PAGE, MS_SYNC), ENOMEM);
    CHECK_FAILS(msync(shared, -PAGE, MS_SYNC), ENOMEM);
    CHECK_EQ(mlock(shared, PAGE), 0);
    CHECK_FAILS(msync(shared, PAGE, MS_INVALIDATE), EBUSY);
    return done("madvise");
}
