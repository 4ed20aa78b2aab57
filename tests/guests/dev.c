//! dev: the device files that programs expect.
//! build: static
#include "check.h"

int main(void) {
    char got[4096];
    int fd = open("/dev/null", O_RDWR);
    CHECK_EQ(read(fd, got, sizeof got), 0);
    CHECK_EQ(write(fd, got, sizeof got), sizeof got);
    CHECK_EQ(lseek(fd, 100, SEEK_SET) >= 0, 1);

    memset(got, 1, sizeof got);
    fd = open("/dev/zero", O_RDWR);
    CHECK_EQ(read(fd, got, sizeof got), sizeof got);
    int nonzero = 0;
    for (size_t i = 0; i < sizeof got; i++) nonzero += got[i] != 0;
    CHECK_EQ(nonzero, 0);
    CHECK_EQ(write(fd, "x", 1), 1);
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(p != MAP_FAILED && p[8191] == 0);
    p[0] = 1;

    fd = open("/dev/full", O_RDWR);
    CHECK_FAILS(write(fd, "x", 1), ENOSPC);
    CHECK_EQ(read(fd, got, 1), 1);

    const char *RANDOM[] = {"/dev/random", "/dev/urandom"};
    for (int i = 0; i < 2; i++) {
        fd = open(RANDOM[i], O_RDONLY);
        memset(got, 0, sizeof got);
        CHECK_EQ(read(fd, got, 1000), 1000);
        int histogram[256] = {0}, most = 0;
        for (int b = 0; b < 1000; b++)
            if (++histogram[(unsigned char)got[b]] > most) most = histogram[(unsigned char)got[b]];
        CHECK(most < 40);
    }

    // /dev/stdout is the log itself.
    fd = open("/dev/stdout", O_WRONLY | O_APPEND);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, "through /dev/stdout\n", 20), 20);
    fd = open("/dev/fd/1", O_WRONLY | O_APPEND);
    CHECK_EQ(write(fd, "through /dev/fd/1\n", 18), 18);
    fd = open("/proc/self/fd/1", O_WRONLY | O_APPEND);
    CHECK_EQ(write(fd, "through /proc/self/fd/1\n", 24), 24);
    CHECK(access("/dev/stderr", W_OK) == 0 && access("/dev/stdin", F_OK) == 0);

    scratch();
    put_file("f", "via descriptor");
    int file = open("f", O_RDONLY);
    char name[32];
    snprintf(name, sizeof name, "/dev/fd/%d", file);
    CHECK_EQ(get_file(name, got, sizeof got), 14);

    CHECK_FAILS(open("/dev/tty", O_RDWR), ENXIO); // no controlling terminal
    CHECK_FAILS(open("/dev/absent", O_RDONLY), ENOENT);
    struct stat st;
    CHECK(stat("/dev/shm", &st) == 0 && S_ISDIR(st.st_mode));
    fd = open("/dev/shm/guest-segment", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && unlink("/dev/shm/guest-segment") == 0);
    fd = (int)syscall(SYS_memfd_create, "segment", 1u);
    CHECK(fd >= 0 && ftruncate(fd, 8192) == 0 && fstat(fd, &st) == 0 && st.st_size == 8192);
    return done("dev");
}
