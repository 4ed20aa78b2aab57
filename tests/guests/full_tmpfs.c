//! full_tmpfs: the writable layer is half of the memory; beyond it there is ENOSPC, SIGBUS in a
//! mapping, and a guest that goes on.
//! build: static
//! options: --memory 64M
//! native: no
#include "check.h"
#include <setjmp.h>
#include <sys/statvfs.h>

static sigjmp_buf back;
static void on_bus(int signal) { siglongjmp(back, signal); }

int main(void) {
    scratch();
    static char block[64 << 10];
    memset(block, 'b', sizeof block);
    int fd = open("fill", O_RDWR | O_CREAT, 0600);
    ssize_t n;
    long total = 0;
    while ((n = write(fd, block, sizeof block)) > 0) total += n;
    CHECK(n == -1 && errno == ENOSPC);
    CHECK(total >= 24 << 20 && total <= 33 << 20);
    CHECK_FAILS(pwrite(fd, block, sizeof block, 1L << 40), ENOSPC);
    CHECK_FAILS(fallocate(fd, 0, total, 1 << 20), ENOSPC);
    struct statvfs fs;
    CHECK_EQ(statvfs(".", &fs), 0);
    CHECK_EQ(fs.f_bavail, 0);
    // Names still fit, and a mapping of a hole has nothing to show.
    CHECK_EQ(mkdir("names", 0700), 0);
    int hole = open("hole", O_RDWR | O_CREAT, 0600);
    CHECK_EQ(ftruncate(hole, 1 << 20), 0);
    char *at = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, hole, 0);
    CHECK(at != MAP_FAILED);
    signal(SIGBUS, on_bus);
    int hit = sigsetjmp(back, 1);
    if (!hit) at[0] = 1;
    CHECK_EQ(hit, SIGBUS);
    // Memory without a name is bound by the memory limit alone.
    char *shared = mmap(0, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(shared, 1, 4 << 20);
    // Room comes back.
    CHECK_EQ(ftruncate(fd, 0), 0);
    at[0] = 1;
    CHECK_EQ(at[0], 1);
    CHECK_EQ(write(fd, block, sizeof block), (long)sizeof block);
    // Larger than the memory: refused at once, unless it is a mere reservation.
    CHECK_FAILS((long)mmap(0, 128 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
    CHECK(mmap(0, 128 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED);
    CHECK(mmap(0, 128 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    return done("full_tmpfs");
}
