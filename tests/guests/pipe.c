//! pipe: bytes keep their order, ends are noticed, full and empty pipes answer EAGAIN.
//! build: static, musl-static
#include "check.h"
#include <sys/ioctl.h>

static int broken;
static void on_pipe(int signal) { broken = signal; }

int main(void) {
    int p[2];
    char got[70000];
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(write(p[1], "abc", 3), 3);
    CHECK_EQ(write(p[1], "def", 3), 3);
    int waiting = 0;
    CHECK(ioctl(p[0], FIONREAD, &waiting) == 0 && waiting == 6);
    CHECK_EQ(read(p[0], got, 4), 4);
    CHECK(!memcmp(got, "abcd", 4));
    CHECK_EQ(read(p[0], got, 10), 2);
    CHECK_FAILS(lseek(p[0], 0, SEEK_SET), ESPIPE);
    CHECK_FAILS(pread(p[0], got, 1, 0), ESPIPE);
    CHECK_FAILS(write(p[0], "x", 1), EBADF);
    CHECK_FAILS(read(p[1], got, 1), EBADF);

    int q[2];
    CHECK_EQ(pipe2(q, O_NONBLOCK | O_CLOEXEC), 0);
    CHECK_FAILS(read(q[0], got, 1), EAGAIN);
    CHECK_EQ(fcntl(q[1], F_GETFD), FD_CLOEXEC);
    memset(got, 'x', sizeof got);
    CHECK_EQ(write(q[1], got, sizeof got), 65536); // Linux's default capacity
    CHECK_FAILS(write(q[1], got, 1), EAGAIN);
    CHECK_EQ(read(q[0], got, 4096), 4096);
    CHECK_EQ(write(q[1], got, 4096), 4096);
    CHECK_FAILS(pipe2(q, 0x40000001), EINVAL);

    // End of file once the writer is gone; its bytes come first.
    CHECK_EQ(write(p[1], "last", 4), 4);
    CHECK_EQ(close(p[1]), 0);
    CHECK_EQ(read(p[0], got, 10), 4);
    CHECK_EQ(read(p[0], got, 10), 0);

    signal(SIGPIPE, on_pipe);
    CHECK_EQ(close(q[0]), 0);
    CHECK_FAILS(write(q[1], "x", 1), EPIPE);
    CHECK_EQ(broken, SIGPIPE);
    struct stat st;
    CHECK(fstat(q[1], &st) == 0 && S_ISFIFO(st.st_mode));
    return done("pipe");
}
