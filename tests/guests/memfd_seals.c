//! memfd_seals: memfd_create's flags, and seals against write, truncate and mappings.
//! build: static
#include "check.h"

#define RW (PROT_READ | PROT_WRITE)
#define PAGE 4096UL
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

static int make(void) {
    int fd = (int)syscall(SYS_memfd_create, "seals", 3);
    CHECK_EQ(ftruncate(fd, 2 * PAGE), 0);
    return fd;
}

int main(void) {
    char name[300];
    memset(name, 'n', sizeof name);
    name[249] = 0;
    int fd = (int)syscall(SYS_memfd_create, name, 0);
    CHECK(fd >= 0);
    name[249] = 'n', name[250] = 0;
    CHECK_FAILS(syscall(SYS_memfd_create, name, 0), EINVAL);
    CHECK_FAILS(syscall(SYS_memfd_create, "f", 0x20), EINVAL);
    CHECK_FAILS(syscall(SYS_memfd_create, "f", 1u << 26), EINVAL);
    CHECK_FAILS(syscall(SYS_memfd_create, NULL, 0), EFAULT);
    CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
    CHECK_FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);

    // Sizes.
    fd = make();
    CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
    CHECK_FAILS(fcntl(fd, F_ADD_SEALS, 0x1000), EINVAL);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
    CHECK_FAILS(ftruncate(fd, 3 * PAGE), EPERM);
    CHECK_FAILS(pwrite(fd, "x", 1, 2 * PAGE), EPERM);
    CHECK_FAILS(fallocate(fd, 0, 0, 3 * PAGE), EPERM);
    CHECK_EQ(ftruncate(fd, PAGE), 0);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    CHECK_FAILS(ftruncate(fd, 10), EPERM);
    CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_GROW | F_SEAL_SHRINK);

    // F_SEAL_WRITE waits for the last writable mapping.
    fd = make();
    char *shared = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
    char *private = mmap(0, PAGE, RW, MAP_PRIVATE, fd, 0);
    CHECK_FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
    CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
    CHECK_EQ(mprotect(shared, PAGE, PROT_READ), 0);
    CHECK_FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY); // it could become writable again
    CHECK_EQ(munmap(shared, PAGE), 0);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    private[0] = 'p';
    CHECK_FAILS(pwrite(fd, "x", 1, 0), EPERM);
    CHECK_FAILS((long)mmap(0, PAGE, RW, MAP_SHARED, fd, 0), EPERM);
    CHECK_FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EPERM);
    CHECK(mmap(0, PAGE, RW, MAP_PRIVATE, fd, 0) != MAP_FAILED);

    // F_SEAL_FUTURE_WRITE leaves what is mapped alone.
    fd = make();
    shared = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
    shared[0] = 's';
    CHECK_FAILS(pwrite(fd, "x", 1, 0), EPERM);
    CHECK_FAILS((long)mmap(0, PAGE, RW, MAP_SHARED, fd, 0), EPERM);
    char *reading = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(reading != MAP_FAILED && reading[0] == 's');
    CHECK_FAILS(mprotect(reading, PAGE, RW), EACCES);
    CHECK_EQ(mprotect(shared, PAGE, PROT_READ) | mprotect(shared, PAGE, RW), 0);
    shared[1] = 't';
    CHECK_EQ(reading[1], 't');

    // Through another descriptor that cannot write.
    fd = make();
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int only = open(path, O_RDONLY);
    CHECK_FAILS(fcntl(only, F_ADD_SEALS, F_SEAL_GROW), EPERM);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), 0);
    CHECK_FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
    return done("memfd_seals");
}
