//! unix_stream: bytes over a pair of stream sockets, their ends, and what is left unread.
//! build: static, musl-static
#include "check.h"
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int broken;
static void on_pipe(int signal) { broken += signal == SIGPIPE; }

static void pair(int s[2], int flags) { CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | flags, 0, s), 0); }

static void bytes_are_glued(void) {
    int s[2];
    char got[64] = {0};
    pair(s, SOCK_CLOEXEC);
    CHECK_EQ(fcntl(s[0], F_GETFD), FD_CLOEXEC);
    CHECK_EQ(write(s[0], "abc", 3), 3);
    CHECK_EQ(send(s[0], "def", 3, 0), 3);
    struct iovec out[2] = {{"gh", 2}, {"ij", 2}};
    CHECK_EQ(writev(s[0], out, 2), 4);
    int waiting = 0;
    CHECK(ioctl(s[1], FIONREAD, &waiting) == 0 && waiting == 10);
    CHECK(ioctl(s[0], TIOCOUTQ, &waiting) == 0 && waiting >= 10);
    CHECK_EQ(recv(s[1], got, 4, MSG_PEEK), 4);
    CHECK_EQ(recv(s[1], got, 64, MSG_PEEK | MSG_WAITALL), 10);
    CHECK(!memcmp(got, "abcdefghij", 10));
    memset(got, 0, sizeof got);
    struct iovec in[2] = {{got, 2}, {got + 32, 3}};
    CHECK_EQ(readv(s[1], in, 2), 5);
    CHECK(!memcmp(got, "ab", 2) && !memcmp(got + 32, "cde", 3));
    CHECK_EQ(recv(s[1], got, 5, MSG_WAITALL), 5);
    CHECK(!memcmp(got, "fghij", 5));
    CHECK(ioctl(s[0], TIOCOUTQ, &waiting) == 0 && waiting == 0);
    CHECK_FAILS(recv(s[1], got, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(read(s[1], got, 0), 0);
    CHECK_EQ(send(s[0], "", 0, 0), 0);
    CHECK_FAILS(recv(s[1], got, 1, MSG_DONTWAIT), EAGAIN);
    // Both ways at once.
    CHECK_EQ(write(s[1], "back", 4), 4);
    CHECK_EQ(read(s[0], got, 64), 4);
    CHECK_FAILS(lseek(s[0], 0, SEEK_SET), ESPIPE);
    CHECK_FAILS(pread(s[0], got, 1, 0), ESPIPE);
    CHECK_FAILS(ioctl(s[0], 0x54ff, got), ENOTTY);
    struct stat st;
    CHECK(fstat(s[0], &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == 0777);
    char link[64] = {0}, name[64];
    sprintf(name, "/proc/self/fd/%d", s[0]);
    CHECK(readlink(name, link, 63) > 0 && !strncmp(link, "socket:[", 8));
    CHECK_FAILS(open(name, O_RDWR), ENXIO);
    close(s[0]);
    close(s[1]);
}

static void a_full_stream_waits(void) {
    static char big[1 << 20], got[1 << 20];
    int s[2];
    pair(s, SOCK_NONBLOCK);
    CHECK(fcntl(s[1], F_GETFL) & O_NONBLOCK);
    for (size_t i = 0; i < sizeof big; i++) big[i] = (char)(i * 31 % 251);
    ssize_t sent = write(s[0], big, sizeof big);
    CHECK(sent > 65536 && sent < (ssize_t)sizeof big);
    CHECK_FAILS(write(s[0], big, 1), EAGAIN);
    ssize_t have = 0, n;
    while ((n = read(s[1], got + have, 7777)) > 0) have += n;
    CHECK_EQ(have, sent);
    CHECK(!memcmp(big, got, (size_t)sent));
    CHECK_EQ(write(s[0], big, 100), 100);
    close(s[0]);
    close(s[1]);
}

static void ends_are_noticed(void) {
    int s[2];
    char got[16];
    pair(s, 0);
    CHECK_EQ(write(s[0], "last", 4), 4);
    CHECK_EQ(shutdown(s[0], SHUT_WR), 0);
    CHECK_EQ(read(s[1], got, 16), 4);
    CHECK_EQ(read(s[1], got, 16), 0);
    CHECK_FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK_EQ(broken, 0);
    CHECK_FAILS(write(s[0], "x", 1), EPIPE);
    CHECK_EQ(broken, 1);
    CHECK_EQ(write(s[1], "still", 5), 5);
    CHECK_EQ(read(s[0], got, 16), 5);
    CHECK_EQ(shutdown(s[0], SHUT_RD), 0);
    CHECK_FAILS(write(s[1], "x", 1), EPIPE);
    CHECK_EQ(broken, 2);
    CHECK_EQ(read(s[0], got, 16), 0);
    CHECK_FAILS(shutdown(s[0], 3), EINVAL);
    CHECK_FAILS(shutdown(s[0], -1), EINVAL);
    close(s[0]);
    close(s[1]);

    // What was sent before the other end closed can be read.
    pair(s, 0);
    CHECK_EQ(write(s[1], "bye", 3), 3);
    close(s[1]);
    CHECK_FAILS(write(s[0], "x", 1), EPIPE);
    CHECK_EQ(broken, 3);
    CHECK_EQ(read(s[0], got, 16), 3);
    CHECK_EQ(read(s[0], got, 16), 0);
    close(s[0]);

    // What the other end did not read is a reset.
    pair(s, 0);
    CHECK_EQ(write(s[0], "lost", 4), 4);
    close(s[1]);
    CHECK_FAILS(read(s[0], got, 16), ECONNRESET);
    CHECK_EQ(read(s[0], got, 16), 0);
    close(s[0]);
    pair(s, 0);
    CHECK_EQ(write(s[0], "lost", 4), 4);
    close(s[1]);
    int error = 0;
    socklen_t len = sizeof error;
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_ERROR, &error, &len), 0);
    CHECK_EQ(error, ECONNRESET);
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_ERROR, &error, &len), 0);
    CHECK_EQ(error, 0);
    close(s[0]);
}

static void messages_too(void) {
    int s[2];
    char one[4] = {0}, two[16] = {0};
    pair(s, 0);
    struct iovec out[2] = {{"abcd", 4}, {"efgh", 4}}, in[2] = {{one, 4}, {two, 16}};
    struct msghdr m = {.msg_iov = out, .msg_iovlen = 2};
    CHECK_EQ(sendmsg(s[0], &m, 0), 8);
    m.msg_iov = in;
    CHECK_EQ(recvmsg(s[1], &m, MSG_TRUNC), 8);
    CHECK(!memcmp(one, "abcd", 4) && !memcmp(two, "efgh", 4));
    CHECK_EQ(m.msg_flags, 0);
    // A stream has one destination.
    struct sockaddr to = {.sa_family = AF_UNIX};
    CHECK_FAILS(sendto(s[0], "x", 1, 0, &to, sizeof to), EISCONN);
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    CHECK_EQ(write(s[0], "x", 1), 1);
    CHECK_EQ(recvfrom(s[1], two, 16, 0, (void *)&from, &len), 1);
    CHECK_EQ(len, 0); // the sender has no name
    close(s[0]);
    close(s[1]);
}

static void copies_inside(void) {
    int s[2], p[2], file = open("f", O_RDWR | O_CREAT, 0600);
    char got[16] = {0};
    pair(s, 0);
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(write(file, "0123456789", 10), 10);
    off_t at = 2;
    CHECK_EQ(sendfile(s[0], file, &at, 100), 8);
    CHECK_EQ(at, 10);
    CHECK_EQ(splice(s[1], NULL, p[1], NULL, 3, 0), 3);
    CHECK_EQ(read(p[0], got, 16), 3);
    CHECK(!memcmp(got, "234", 3));
    CHECK_EQ(read(s[1], got, 16), 5);
    CHECK_EQ(write(p[1], "piped", 5), 5);
    CHECK_EQ(splice(p[0], NULL, s[0], NULL, 5, 0), 5);
    CHECK_EQ(read(s[1], got, 16), 5);
    CHECK(!memcmp(got, "piped", 5));
    CHECK_FAILS(sendfile(file, s[1], NULL, 1), EINVAL);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, s[0], 0) == MAP_FAILED && errno == ENODEV);
    CHECK_FAILS(ftruncate(s[0], 0), EINVAL);
    CHECK_FAILS(fsync(s[0]), EINVAL);
    CHECK_FAILS(fchdir(s[0]), ENOTDIR);
    close(s[0]), close(s[1]), close(p[0]), close(p[1]), close(file);
}

int main(void) {
    scratch();
    signal(SIGPIPE, on_pipe);
    bytes_are_glued();
    a_full_stream_waits();
    ends_are_noticed();
    messages_too();
    copies_inside();
    return done("unix_stream");
}
