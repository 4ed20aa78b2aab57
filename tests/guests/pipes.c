//! pipes: capacity, packets, splice, tee, vmsplice, named pipes and what poll says of them.
//! build: static
#include "check.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

static char buffer[2 << 20], other[2 << 20];

static int ready(int fd) {
    struct pollfd poll_fd = {fd, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLRDHUP, 0};
    CHECK(poll(&poll_fd, 1, 0) >= 0);
    return poll_fd.revents;
}

static int waiting(int fd) {
    int bytes = -1;
    CHECK_EQ(ioctl(fd, FIONREAD, &bytes), 0);
    return bytes;
}

static void make(int p[2], int flags) { CHECK_EQ(pipe2(p, flags), 0); }

static void both_closed(int p[2]) {
    close(p[0]);
    close(p[1]);
}

static void pages(void) {
    int p[2];
    make(p, O_NONBLOCK);
    CHECK_EQ(fcntl(p[1], F_GETPIPE_SZ), 65536);
    CHECK_EQ(ready(p[1]), POLLOUT | POLLWRNORM);
    CHECK_EQ(ready(p[0]), 0);
    // Writes that do not fit the last page start another.
    for (int i = 0; i < 16; i++) CHECK_EQ(write(p[1], buffer, 3000), 3000);
    CHECK_FAILS(write(p[1], buffer, 3000), EAGAIN);
    CHECK_EQ(ready(p[1]), 0);
    CHECK_EQ(ready(p[0]), POLLIN | POLLRDNORM);
    CHECK_EQ(waiting(p[0]), 48000);
    CHECK_EQ(write(p[1], buffer, 1096), 1096); // joins the last page
    CHECK_FAILS(write(p[1], buffer, 1), EAGAIN);
    CHECK_EQ(read(p[0], buffer, 2999), 2999);
    CHECK_FAILS(write(p[1], buffer, 1), EAGAIN); // the page is not free yet
    CHECK_EQ(read(p[0], buffer, 1), 1);
    CHECK_EQ(ready(p[1]), POLLOUT | POLLWRNORM);
    CHECK_EQ(write(p[1], buffer, 5000), 4096);
    CHECK_EQ(waiting(p[1]), 45000 + 1096 + 4096);
    // More than PIPE_BUF may be cut, up to it not.
    while (read(p[0], buffer, sizeof buffer) > 0) {}
    CHECK_EQ(write(p[1], buffer, 15 * 4096), 15 * 4096);
    CHECK_EQ(write(p[1], buffer, 5000), 4096);
    CHECK_EQ(read(p[0], buffer, 70000), 65536);
    CHECK_EQ(write(p[1], buffer, 0), 0);
    CHECK_EQ(read(p[0], buffer, 0), 0);

    CHECK_FAILS(fcntl(p[1], F_SETPIPE_SZ, 0x80000001), EINVAL);
    CHECK_EQ(fcntl(p[1], F_SETPIPE_SZ, 1), 4096);
    CHECK_EQ(write(p[1], buffer, 10000), 4096);
    CHECK_EQ(fcntl(p[0], F_SETPIPE_SZ, 5000), 8192);
    CHECK_EQ(write(p[1], buffer, 10000), 4096);
    CHECK_FAILS(fcntl(p[0], F_SETPIPE_SZ, 4096), EBUSY);
    CHECK_EQ(fcntl(p[0], F_SETPIPE_SZ, 1 << 20), 1 << 20);
    CHECK_EQ(write(p[1], buffer, 2 << 20), (1 << 20) - 8192);
    CHECK_FAILS(fcntl(open("/dev/null", O_RDWR), F_GETPIPE_SZ), EBADF);
    both_closed(p);
    make(p, 0);
    CHECK_EQ(seteuid(1234), 0);
    CHECK_FAILS(fcntl(p[0], F_SETPIPE_SZ, (1 << 20) + 1), EPERM);
    CHECK_EQ(seteuid(0), 0);
    both_closed(p);
}

static void packets(void) {
    int p[2];
    make(p, O_DIRECT | O_NONBLOCK);
    CHECK(fcntl(p[1], F_GETFL) & O_DIRECT);
    CHECK_EQ(write(p[1], "first", 5), 5);
    CHECK_EQ(write(p[1], "second", 6), 6);
    CHECK_EQ(waiting(p[0]), 11);
    CHECK_EQ(read(p[0], buffer, 3), 3);
    CHECK_EQ(read(p[0], buffer, 100), 6);
    CHECK(!memcmp(buffer, "second", 6));
    CHECK_FAILS(read(p[0], buffer, 1), EAGAIN);
    CHECK_EQ(write(p[1], buffer, 5000), 5000);
    CHECK_EQ(read(p[0], buffer, 10000), 4096);
    CHECK_EQ(read(p[0], buffer, 10000), 904);
    int filled = 0;
    while (write(p[1], "x", 1) == 1) filled++;
    CHECK_EQ(filled, 16);
    while (read(p[0], buffer, 100) > 0) {}
    CHECK_EQ(fcntl(p[1], F_SETFL, O_NONBLOCK), 0); // a stream again
    CHECK_EQ(write(p[1], "ab", 2) + write(p[1], "cd", 2), 4);
    CHECK_EQ(read(p[0], buffer, 100), 4);
    both_closed(p);
}

static void bad_memory(void) {
    int p[2];
    make(p, O_NONBLOCK);
    char *volatile bad = (char *)8;
    char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_EQ(munmap(edge + 4096, 4096), 0);
    CHECK_FAILS(write(p[1], bad, 1), EFAULT);
    CHECK_EQ(write(p[1], "abcdef", 6), 6);
    CHECK_FAILS(read(p[0], bad, 6), EFAULT);
    CHECK_EQ(read(p[0], buffer, 10), 6); // nothing was lost
    CHECK(!memcmp(buffer, "abcdef", 6));
    CHECK_EQ(write(p[1], buffer, 8192), 8192);
    CHECK_EQ(read(p[0], edge, 8192), 4096);
    CHECK_EQ(waiting(p[0]), 4096);
    CHECK_EQ(write(p[1], edge, 8192), 4096);
    both_closed(p);
}

static void splices(void) {
    int p[2], q[2];
    make(p, O_NONBLOCK);
    make(q, 0);
    scratch();
    for (int i = 0; i < 300000; i++) buffer[i] = (char)(i * 7 % 251);
    int file = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK_EQ(write(file, buffer, 300000), 300000);
    CHECK_FAILS(splice(file, NULL, file, NULL, 10, 0), EINVAL);
    CHECK_FAILS(splice(p[0], NULL, p[1], NULL, 10, 0), EINVAL);
    CHECK_FAILS(splice(p[1], NULL, q[1], NULL, 10, 0), EBADF);
    CHECK_FAILS(splice(p[0], NULL, q[1], NULL, 10, 0x100), EINVAL);
    CHECK_EQ(splice(p[0], NULL, q[1], NULL, 0, 0), 0);
    loff_t at = 4096;
    CHECK_FAILS(splice(p[0], &at, q[1], NULL, 10, 0), ESPIPE);
    CHECK_FAILS(splice(q[0], NULL, file, NULL, 10, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK_FAILS(splice(p[0], NULL, q[1], NULL, 10, 0), EAGAIN);
    CHECK_FAILS(splice(q[0], NULL, p[1], NULL, 10, SPLICE_F_NONBLOCK), EAGAIN);

    // As much as fits the pipe in one go.
    CHECK_EQ(splice(file, &at, q[1], NULL, 300000, 0), 65536);
    CHECK_EQ(at, 69632);
    CHECK_FAILS(splice(file, &at, q[1], NULL, 10, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK_EQ(splice(q[0], NULL, p[1], NULL, 5000, 0), 5000);
    CHECK_EQ(waiting(q[0]), 65536 - 5000);
    CHECK_EQ(read(p[0], other, 10000), 5000);
    CHECK(!memcmp(other, buffer + 4096, 5000));
    CHECK_EQ(read(q[0], other, 100000), 65536 - 5000);
    CHECK(!memcmp(other, buffer + 9096, 65536 - 5000));
    CHECK_EQ(fcntl(q[0], F_SETPIPE_SZ, 1 << 20), 1 << 20);
    CHECK_EQ(lseek(file, 0, SEEK_SET), 0);
    CHECK_EQ(splice(file, NULL, q[1], NULL, 400000, 0), 300000);
    CHECK_EQ(lseek(file, 0, SEEK_CUR), 300000);
    CHECK_EQ(splice(file, NULL, q[1], NULL, 400000, 0), 0);
    int copy = open("g", O_RDWR | O_CREAT | O_TRUNC, 0600);
    at = 10;
    CHECK_EQ(splice(q[0], NULL, copy, &at, 400000, 0), 300000);
    CHECK_EQ(at, 300010);
    CHECK_EQ(pread(copy, other, 400000, 10), 300000);
    CHECK(!memcmp(other, buffer, 300000));
    int append = open("g", O_WRONLY | O_APPEND);
    CHECK_EQ(write(q[1], "x", 1), 1);
    CHECK_FAILS(splice(q[0], NULL, append, NULL, 1, 0), EINVAL);

    CHECK_EQ(write(q[1], "yz", 2), 2);
    CHECK_FAILS(tee(q[0], q[1], 10, 0), EINVAL);
    CHECK_FAILS(tee(q[0], file, 10, 0), EINVAL);
    CHECK_FAILS(tee(q[1], p[1], 10, 0), EBADF);
    CHECK_EQ(tee(q[0], p[1], 2, 0), 2);
    CHECK_EQ(tee(q[0], p[1], 10, 0), 3);
    CHECK_EQ(read(p[0], other, 10), 5);
    CHECK(!memcmp(other, "xyxyz", 5));
    CHECK_FAILS(tee(p[0], q[1], 10, 0), EAGAIN);
    CHECK_EQ(read(q[0], other, 10), 3);
    CHECK(!memcmp(other, "xyz", 3));
    CHECK_FAILS(tee(q[0], p[1], 10, SPLICE_F_NONBLOCK), EAGAIN);

    struct iovec parts[2] = {{buffer, 3}, {buffer + 10, 4}};
    CHECK_EQ(vmsplice(p[1], parts, 2, 0), 7);
    struct iovec room = {other, 100};
    CHECK_EQ(vmsplice(p[0], &room, 1, 0), 7);
    CHECK(!memcmp(other, buffer, 3) && !memcmp(other + 3, buffer + 10, 4));
    CHECK_FAILS(vmsplice(file, parts, 2, 0), EBADF);
    CHECK_FAILS(vmsplice(q[0], &room, 1, SPLICE_F_NONBLOCK), EAGAIN);

    close(q[1]);
    CHECK_EQ(splice(q[0], NULL, p[1], NULL, 10, 0), 0);
    CHECK_EQ(tee(q[0], p[1], 10, 0), 0);
    signal(SIGPIPE, SIG_IGN);
    CHECK_EQ(write(p[1], "x", 1), 1);
    int r[2];
    make(r, 0);
    close(r[0]);
    CHECK_FAILS(splice(p[0], NULL, r[1], NULL, 10, 0), EPIPE);
    CHECK_FAILS(tee(p[0], r[1], 10, 0), EPIPE);
    CHECK_EQ(read(p[0], other, 10), 1);
    close(r[1]);
    close(q[0]);
    both_closed(p);
}

static void named(void) {
    CHECK_EQ(mkfifo("fifo", 0600), 0);
    CHECK_FAILS(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
    int in = open("fifo", O_RDONLY | O_NONBLOCK);
    CHECK_EQ(ready(in), 0); // nobody has hung up: nobody was there
    CHECK_EQ(read(in, buffer, 1), 0);
    int out = open("fifo", O_WRONLY | O_NONBLOCK);
    CHECK(out >= 0);
    CHECK_EQ(ready(out), POLLOUT | POLLWRNORM);
    CHECK_FAILS(read(in, buffer, 1), EAGAIN);
    CHECK_EQ(write(out, "ab", 2), 2);
    close(out);
    CHECK_EQ(ready(in), POLLIN | POLLRDNORM | POLLHUP);
    CHECK_EQ(read(in, buffer, 10), 2);
    CHECK_EQ(ready(in), POLLHUP);
    out = open("fifo", O_WRONLY);
    CHECK_EQ(ready(in), 0);
    close(in);
    CHECK_EQ(ready(out), POLLOUT | POLLWRNORM | POLLERR);
    close(out);
    int both = open("fifo", O_RDWR);
    CHECK_EQ(write(both, "xyz", 3), 3);
    CHECK_EQ(ready(both), POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
    close(both);
    both = open("fifo", O_RDWR | O_NONBLOCK); // what was in it is gone
    CHECK_FAILS(read(both, buffer, 10), EAGAIN);
    close(both);
}

int main(void) {
    pages();
    packets();
    bad_memory();
    splices();
    named();
    return done("pipes");
}
