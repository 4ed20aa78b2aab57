//! unix_errors: wrong arguments, wild pointers and options of sockets.
//! build: static, musl-static
#include "check.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static int option(int s, int name) {
    int value = -1;
    socklen_t len = sizeof value;
    CHECK_EQ(getsockopt(s, SOL_SOCKET, name, &value, &len), 0);
    CHECK_EQ(len, sizeof value);
    return value;
}

static void arguments(void) {
    int s[2];
    CHECK_FAILS(socket(-1, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK_FAILS(socket(77, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK_FAILS(socket(AF_UNIX, 0, 0), ESOCKTNOSUPPORT);
    CHECK_FAILS(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
    CHECK_FAILS(socket(AF_UNIX, 11, 0), EINVAL);
    CHECK_FAILS(socket(AF_UNIX, SOCK_STREAM | 0x40, 0), EINVAL);
    CHECK_FAILS(socket(AF_UNIX, SOCK_STREAM, 6), EPROTONOSUPPORT);
    CHECK_FAILS(socketpair(AF_UNIX, SOCK_STREAM | 0x40, 0, s), EINVAL);
    CHECK_FAILS(socketpair(AF_UNIX, SOCK_STREAM, 2, s), EPROTONOSUPPORT);
    int same = socket(AF_UNIX, SOCK_RAW, PF_UNIX);
    CHECK_EQ(option(same, SO_TYPE), SOCK_DGRAM);
    close(same);

    int file = open("plain", O_RDWR | O_CREAT, 0600), path = open("plain", O_PATH);
    char got[8];
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "name"};
    socklen_t len = sizeof a;
    struct iovec io = {got, 8};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    struct mmsghdr mm = {.msg_hdr = m};
    const struct {
        int fd, error;
    } WRONG_FD[] = {{file, ENOTSOCK}, {path, EBADF}, {-1, EBADF}, {999, EBADF}};
    for (size_t i = 0; i < 4; i++) {
        int fd = WRONG_FD[i].fd, error = WRONG_FD[i].error;
        CHECK_FAILS(bind(fd, (void *)&a, len), error);
        CHECK_FAILS(listen(fd, 1), error);
        CHECK_FAILS(accept(fd, NULL, NULL), error);
        CHECK_FAILS(connect(fd, (void *)&a, len), error);
        CHECK_FAILS(shutdown(fd, SHUT_RDWR), error);
        CHECK_FAILS(getsockname(fd, (void *)&a, &len), error);
        CHECK_FAILS(getpeername(fd, (void *)&a, &len), error);
        CHECK_FAILS(send(fd, got, 1, 0), error);
        CHECK_FAILS(recv(fd, got, 1, 0), error);
        CHECK_FAILS(sendmsg(fd, &m, 0), error);
        CHECK_FAILS(recvmsg(fd, &m, 0), error);
        CHECK_FAILS(sendmmsg(fd, &mm, 1, 0), error);
        CHECK_FAILS(recvmmsg(fd, &mm, 1, 0, NULL), error);
        CHECK_FAILS(getsockopt(fd, SOL_SOCKET, SO_TYPE, got, &len), error);
        CHECK_FAILS(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, got, 4), error);
    }
    close(file), close(path);

    int t = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_FAILS(bind(t, (void *)&a, 1), EINVAL);
    CHECK_FAILS(bind(t, (void *)&a, 0), EINVAL);
    CHECK_FAILS(bind(t, (void *)&a, 129), EINVAL);
    CHECK_FAILS(bind(t, (void *)&a, -1), EINVAL);
    CHECK_FAILS(connect(t, (void *)&a, 2), EINVAL);
    a.sun_family = AF_INET;
    CHECK_FAILS(bind(t, (void *)&a, sizeof a), EINVAL);
    CHECK_FAILS(connect(t, (void *)&a, sizeof a), EINVAL);
    a.sun_family = AF_UNSPEC;
    CHECK_FAILS(connect(t, (void *)&a, sizeof a), EINVAL);
    CHECK_FAILS(getpeername(t, (void *)&a, &len), ENOTCONN);
    CHECK_EQ(shutdown(t, SHUT_RDWR), 0); // unconnected, as Linux has it
    CHECK_FAILS(send(t, got, 1, MSG_NOSIGNAL), ENOTCONN);
    close(t);
    int d = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_FAILS(connect(d, (void *)&a, 1), EINVAL);
    CHECK_FAILS(sendto(d, got, 1, 0, (void *)&a, sizeof a), EINVAL);
    CHECK_EQ(connect(d, (void *)&a, 2), 0);
    close(d);
}

static void options(void) {
    int s[2], one = 1, zero = 0, value;
    socklen_t len;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0);
    CHECK_EQ(option(s[0], SO_TYPE), SOCK_SEQPACKET);
    CHECK_EQ(option(s[0], SO_DOMAIN), AF_UNIX);
    CHECK_EQ(option(s[0], SO_PROTOCOL), 0);
    CHECK_EQ(option(s[0], SO_ERROR), 0);
    CHECK_EQ(option(s[0], SO_ACCEPTCONN), 0);
    CHECK_EQ(option(s[0], SO_SNDLOWAT), 1);
    CHECK(option(s[0], SO_SNDBUF) > 4096 && option(s[0], SO_RCVBUF) > 4096);
    const int KEPT[] = {SO_REUSEADDR, SO_BROADCAST, SO_KEEPALIVE, SO_DONTROUTE, SO_OOBINLINE, SO_PASSCRED};
    for (size_t i = 0; i < sizeof KEPT / sizeof *KEPT; i++) {
        CHECK_EQ(option(s[0], KEPT[i]), 0);
        CHECK_EQ(setsockopt(s[0], SOL_SOCKET, KEPT[i], &one, sizeof one), 0);
        CHECK_EQ(option(s[0], KEPT[i]), 1);
        CHECK_EQ(setsockopt(s[0], SOL_SOCKET, KEPT[i], &zero, sizeof zero), 0);
        CHECK_EQ(option(s[0], KEPT[i]), 0);
    }
    value = 20000;
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value), 0);
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_RCVBUF, &value, sizeof value), 0);
    CHECK(option(s[0], SO_SNDBUF) == 40000 && option(s[0], SO_RCVBUF) == 40000);
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &zero, sizeof zero), 0);
    CHECK(option(s[0], SO_SNDBUF) > 2000 && option(s[0], SO_SNDBUF) < 20000);
    value = 5;
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_PRIORITY, &value, sizeof value), 0);
    CHECK_EQ(option(s[0], SO_PRIORITY), 5);
    value = 0;
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value), 0);
    CHECK_EQ(option(s[0], SO_RCVLOWAT), 1);
    struct linger linger = {1, 7}, back = {0};
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    len = sizeof back;
    CHECK(getsockopt(s[0], SOL_SOCKET, SO_LINGER, &back, &len) == 0 && back.l_onoff == 1 && back.l_linger == 7);
    CHECK_FAILS(setsockopt(s[0], SOL_SOCKET, SO_LINGER, &linger, 4), EINVAL);
    struct timeval time = {0, 1000000};
    CHECK_FAILS(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time), EDOM);
    CHECK_FAILS(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &time, 8), EINVAL);

    // What only tells, what does not exist, what belongs to other families.
    const int TOLD[] = {SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR, SO_ACCEPTCONN, SO_PEERCRED, SO_SNDLOWAT, 12345};
    for (size_t i = 0; i < sizeof TOLD / sizeof *TOLD; i++)
        CHECK_FAILS(setsockopt(s[0], SOL_SOCKET, TOLD[i], &one, sizeof one), ENOPROTOOPT);
    len = sizeof value;
    CHECK_FAILS(getsockopt(s[0], SOL_SOCKET, 12345, &value, &len), ENOPROTOOPT);
    CHECK_FAILS(getsockopt(s[0], 6, 1, &value, &len), EOPNOTSUPP);
    CHECK_FAILS(setsockopt(s[0], 6, 1, &value, sizeof value), EOPNOTSUPP);
    CHECK_FAILS(setsockopt(s[0], SOL_SOCKET, SO_REUSEADDR, &one, 3), EINVAL);
    CHECK_FAILS(setsockopt(s[0], SOL_SOCKET, SO_REUSEADDR, &one, -1), EINVAL);
    len = (socklen_t)-1;
    CHECK_FAILS(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &value, &len), EINVAL);
    // A short buffer gets what fits.
    char short_value[4] = {9, 9, 9, 9};
    len = 2;
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_TYPE, short_value, &len), 0);
    CHECK(len == 2 && short_value[0] == SOCK_SEQPACKET && short_value[1] == 0 && short_value[2] == 9);
    close(s[0]), close(s[1]);

    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQ(bind(server, (void *)&a, offsetof(struct sockaddr_un, sun_path)), 0);
    CHECK_EQ(listen(server, -1), 0);
    CHECK_EQ(option(server, SO_ACCEPTCONN), 1);
    close(server);
}

static void wild_pointers(void) {
    char *constant = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *hole = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(hole + 4096, 4096);
    void *const WILD[] = {NULL, (void *)8, hole + 4096, (void *)0x123456789a000, (void *)-4096L, (void *)-1L};
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "wild"};
    int s[2], value = 1, server = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t len = sizeof a;
    char got[16];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
    CHECK_EQ(bind(server, (void *)&a, sizeof a), 0);
    CHECK_EQ(listen(server, 10), 0);
    CHECK_EQ(write(s[0], "0123456789", 10), 10);
    // By number: a C library may read some of these itself.
    for (size_t i = 0; i < sizeof WILD / sizeof *WILD; i++) {
        void *w = WILD[i];
        CHECK_FAILS(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, w), EFAULT);
        CHECK_FAILS(syscall(SYS_bind, s[0], w, sizeof a), EFAULT);
        CHECK_FAILS(syscall(SYS_connect, s[0], w, sizeof a), EFAULT);
        CHECK_FAILS(syscall(SYS_getsockname, s[0], w, &len), EFAULT);
        CHECK_FAILS(syscall(SYS_getsockname, s[0], &a, w), EFAULT);
        CHECK_FAILS(syscall(SYS_getpeername, s[0], w, &len), EFAULT);
        CHECK_FAILS(syscall(SYS_getpeername, s[0], &a, w), EFAULT);
        CHECK_FAILS(syscall(SYS_sendto, s[0], w, 5L, MSG_NOSIGNAL, NULL, 0), EFAULT);
        CHECK_FAILS(syscall(SYS_recvfrom, s[1], w, 5L, 0, NULL, NULL), EFAULT);
        CHECK_FAILS(syscall(SYS_write, s[0], w, 5L), EFAULT);
        CHECK_FAILS(syscall(SYS_read, s[1], w, 5L), EFAULT);
        CHECK_FAILS(syscall(SYS_sendmsg, s[0], w, 0), EFAULT);
        CHECK_FAILS(syscall(SYS_recvmsg, s[1], w, 0), EFAULT);
        CHECK_FAILS(syscall(SYS_sendmmsg, s[0], w, 1, 0), EFAULT);
        CHECK_FAILS(syscall(SYS_recvmmsg, s[1], w, 1, 0, NULL), EFAULT);
        CHECK_FAILS(syscall(SYS_setsockopt, s[0], SOL_SOCKET, SO_REUSEADDR, w, 4), EFAULT);
        CHECK_FAILS(syscall(SYS_getsockopt, s[0], SOL_SOCKET, SO_TYPE, w, &len), EFAULT);
        CHECK_FAILS(syscall(SYS_getsockopt, s[0], SOL_SOCKET, SO_TYPE, &value, w), EFAULT);
        struct iovec io = {w, 4};
        struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
        CHECK_FAILS(syscall(SYS_sendmsg, s[0], &m, 0), EFAULT);
        CHECK_FAILS(syscall(SYS_recvmsg, s[1], &m, 0), EFAULT);
        m.msg_iov = w;
        CHECK_FAILS(syscall(SYS_sendmsg, s[0], &m, 0), EFAULT);
        CHECK_FAILS(syscall(SYS_recvmsg, s[1], &m, 0), EFAULT);
        if (!w) continue;
        CHECK_FAILS(syscall(SYS_sendto, s[0], got, 1L, 0, w, sizeof a), EFAULT);
        CHECK_FAILS(syscall(SYS_recvmmsg, s[1], &m, 1, 0, w), EFAULT);
        m = (struct msghdr){.msg_name = w, .msg_namelen = 8};
        CHECK_FAILS(syscall(SYS_sendmsg, s[0], &m, 0), EFAULT);
        // A connection whose address cannot be written is closed.
        int client = socket(AF_UNIX, SOCK_STREAM, 0);
        CHECK_EQ(connect(client, (void *)&a, sizeof a), 0);
        CHECK_FAILS(syscall(SYS_accept, server, w, &len), EFAULT);
        CHECK_EQ(read(client, got, 1), 0);
        close(client);
    }
    CHECK_FAILS(syscall(SYS_recvfrom, s[1], constant, 5L, 0, NULL, NULL), EFAULT);
    len = sizeof a;
    CHECK_FAILS(syscall(SYS_getsockname, s[0], constant, &len), EFAULT);
    struct msghdr m = {.msg_iov = (void *)got, .msg_iovlen = 1025};
    CHECK_FAILS(syscall(SYS_sendmsg, s[0], &m, 0), EMSGSIZE);
    CHECK_FAILS(syscall(SYS_recvmsg, s[1], &m, 0), EMSGSIZE);
    m = (struct msghdr){.msg_name = got, .msg_namelen = (socklen_t)-1};
    CHECK_FAILS(syscall(SYS_sendmsg, s[0], &m, 0), EINVAL);
    CHECK_FAILS(syscall(SYS_sendmsg, s[0], &m, 0x80000000), EINVAL);
    len = (socklen_t)-1;
    CHECK_FAILS(getsockname(s[0], (void *)&a, &len), EINVAL);
    // None of that took a byte, or let one through.
    CHECK_EQ(recv(s[1], got, 16, 0), 10);
    CHECK(!memcmp(got, "0123456789", 10));
    // A datagram that cannot be copied is lost.
    int d[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, d), 0);
    CHECK_EQ(write(d[0], "lost", 4), 4);
    CHECK_FAILS(recv(d[1], constant, 4, 0), EFAULT);
    CHECK_FAILS(recv(d[1], got, 4, 0), EAGAIN);
    close(s[0]), close(s[1]), close(d[0]), close(d[1]), close(server);
}

int main(void) {
    scratch();
    signal(SIGPIPE, SIG_IGN);
    arguments();
    options();
    wild_pointers();
    return done("unix_errors");
}
