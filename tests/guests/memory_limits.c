//! memory_limits: RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK and what they refuse; VmLck.
//! build: static
#include "check.h"
#include <sys/resource.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define PAGE 4096UL

static void limit(int resource, rlim_t soft) {
    struct rlimit now;
    CHECK_EQ(getrlimit(resource, &now), 0);
    now.rlim_cur = soft;
    CHECK_EQ(setrlimit(resource, &now), 0);
}

/// A row of /proc/self/status, in KiB.
static long status(const char *name) {
    static char text[8192];
    get_file("/proc/self/status", text, sizeof text);
    char *row = strstr(text, name);
    return row ? strtol(row + strlen(name) + 1, NULL, 10) : -1;
}

int main(void) {
    char *kept = mmap(0, 64 * PAGE, RW, ANON, -1, 0);

    // Locks are counted once, by pages, however often they are made.
    CHECK_EQ(status("VmLck:"), 0);
    CHECK_EQ(mlock(kept + 10, 1), 0);
    CHECK_EQ(status("VmLck:"), 4);
    CHECK_EQ(mlock(kept, 4 * PAGE), 0);
    CHECK_EQ(syscall(SYS_mlock2, kept + 3 * PAGE, 2 * PAGE, 1), 0);
    CHECK_EQ(status("VmLck:"), 20);
    CHECK_EQ(munlock(kept, PAGE), 0);
    CHECK_EQ(status("VmLck:"), 16);
    CHECK_FAILS(syscall(SYS_mlock2, kept, PAGE, 2), EINVAL);
    CHECK_FAILS(mlock((void *)0x300000000000, PAGE), ENOMEM);
    CHECK_FAILS(munlock((void *)0x300000000000, PAGE), ENOMEM);
    CHECK_FAILS(mlock(kept, -1UL - PAGE), EINVAL);
    CHECK_EQ(mlock(kept, 0), 0);
    char *none = mmap(0, PAGE, PROT_NONE, ANON, -1, 0);
    CHECK_FAILS(mlock(none, PAGE), ENOMEM);
    CHECK_EQ(munlockall(), 0);
    CHECK_EQ(status("VmLck:"), 0);
    CHECK_FAILS(mlockall(0), EINVAL);
    CHECK_FAILS(mlockall(8), EINVAL);
    CHECK_FAILS(mlockall(MCL_ONFAULT), EINVAL);
    CHECK_EQ(mlockall(MCL_FUTURE), 0);
    char *future = mmap(0, 4 * PAGE, RW, ANON, -1, 0);
    CHECK_EQ(status("VmLck:"), 16);
    unsigned char there[4];
    CHECK_EQ(mincore(future, 4 * PAGE, there), 0);
    CHECK(there[0] & there[3] & 1);
    CHECK_EQ(munlockall(), 0);
    CHECK_EQ(munmap(future, 4 * PAGE), 0);

    // Whoever may lock without limit is not bound; others are.
    limit(RLIMIT_MEMLOCK, 8 * PAGE);
    if (getuid() == 0) CHECK_EQ(setresuid(1000, 1000, 1000), 0);
    CHECK_EQ(mlock(kept, 8 * PAGE), 0);
    CHECK_EQ(mlock(kept, 8 * PAGE), 0);
    CHECK_FAILS(mlock(kept + 8 * PAGE, 1), ENOMEM);
    CHECK_FAILS((long)mmap(0, PAGE, RW, ANON | MAP_LOCKED, -1, 0), EAGAIN);
    CHECK_FAILS((long)mremap(kept, 8 * PAGE, 9 * PAGE, MREMAP_MAYMOVE), EAGAIN);
    CHECK_FAILS(mlockall(MCL_CURRENT), ENOMEM);
    CHECK_EQ(munlock(kept, 8 * PAGE), 0);
    CHECK(mmap(0, PAGE, RW, ANON | MAP_LOCKED, -1, 0) != MAP_FAILED);
    limit(RLIMIT_MEMLOCK, 0);
    CHECK_FAILS(mlock(kept, PAGE), EPERM);
    CHECK_FAILS(mlockall(MCL_CURRENT), EPERM);
    CHECK_FAILS((long)mmap(0, PAGE, RW, ANON | MAP_LOCKED, -1, 0), EPERM);

    // RLIMIT_DATA: private and writable memory, and the heap.
    limit(RLIMIT_DATA, 1 << 20);
    CHECK_FAILS((long)mmap(0, 2 << 20, RW, ANON, -1, 0), ENOMEM);
    char *reserved = mmap(0, 2 << 20, PROT_NONE, ANON, -1, 0);
    CHECK(reserved != MAP_FAILED);
    CHECK_FAILS(mprotect(reserved, 2 << 20, RW), ENOMEM);
    CHECK_EQ(mprotect(reserved, 2 << 20, PROT_READ), 0);
    CHECK(mmap(0, 2 << 20, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    char *top = sbrk(0);
    CHECK_EQ(syscall(SYS_brk, top + (2 << 20)), (long)top);
    CHECK_EQ(syscall(SYS_brk, top + PAGE), (long)(top + PAGE));
    limit(RLIMIT_DATA, RLIM_INFINITY);

    // RLIMIT_AS: everything.
    limit(RLIMIT_AS, 512 << 20);
    CHECK_FAILS((long)mmap(0, 1 << 30, PROT_NONE, ANON | MAP_NORESERVE, -1, 0), ENOMEM);
    char *half = mmap(0, 256 << 20, PROT_NONE, ANON, -1, 0);
    CHECK(half != MAP_FAILED);
    CHECK_FAILS((long)mremap(half, 256 << 20, 768 << 20, MREMAP_MAYMOVE), ENOMEM);
    CHECK(mmap(half, 256 << 20, PROT_NONE, ANON | MAP_FIXED, -1, 0) == half); // takes the place of as much
    CHECK_FAILS(syscall(SYS_brk, top + (1 << 30)) == (long)(top + (1 << 30)) ? 0 : (errno = ENOMEM, -1), ENOMEM);
    return done("memory_limits");
}
