//! unix_rights: files and credentials that go along with bytes.
//! build: static, musl-static
#include "check.h"
#include <poll.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

union control {
    struct cmsghdr header;
    char bytes[1200];
};

// Sends `data` with `count` files; the result of sendmsg.
static ssize_t send_files(int s, const char *data, const int *fds, size_t count) {
    union control c = {0};
    struct iovec io = {(void *)(uintptr_t)data, strlen(data)};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    c.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&c.header), fds, count * sizeof(int));
    // By number: a C library may have its own idea of how many fit.
    return syscall(SYS_sendmsg, s, &m, MSG_NOSIGNAL);
}

// Receives into `data` and up to `room` files; how many came, or -1 without a control message.
static int receive_files(int s, char *data, size_t len, int *fds, size_t room, int flags, int *msg_flags) {
    union control c = {0};
    struct iovec io = {data, len};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_LEN(room * sizeof(int))};
    ssize_t n = recvmsg(s, &m, flags);
    if (n >= 0 && n < (ssize_t)len) data[n] = 0;
    if (msg_flags) *msg_flags = m.msg_flags;
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (n < 0 || !h) return -1;
    CHECK(h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS);
    size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(h), count * sizeof(int));
    return (int)count;
}

static void files_arrive(int kind) {
    int s[2], p[2], got[4], flags;
    char data[16];
    CHECK_EQ(socketpair(AF_UNIX, kind, 0, s), 0);
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(send_files(s[0], "two", p, 2), 3);
    CHECK_EQ(close(p[0]), 0);
    CHECK_EQ(close(p[1]), 0);
    CHECK_EQ(receive_files(s[1], data, 16, got, 4, MSG_CMSG_CLOEXEC, &flags), 2);
    CHECK_EQ(flags, MSG_CMSG_CLOEXEC);
    CHECK(!strcmp(data, "two") && fcntl(got[0], F_GETFD) == FD_CLOEXEC);
    CHECK_EQ(write(got[1], "through", 7), 7);
    CHECK_EQ(read(got[0], data, 16), 7);
    // The pipe has no other writer: it was not kept anywhere.
    CHECK_EQ(close(got[1]), 0);
    CHECK_EQ(read(got[0], data, 16), 0);

    // A peek gives other descriptors of the same file, and the message stays.
    CHECK_EQ(send_files(s[0], "again", got, 1), 5);
    int peeked[4];
    CHECK_EQ(receive_files(s[1], data, 16, peeked, 4, MSG_PEEK, NULL), 1);
    CHECK_EQ(fcntl(peeked[0], F_GETFD), 0);
    CHECK_EQ(close(peeked[0]), 0);
    CHECK_EQ(receive_files(s[1], data, 16, peeked, 4, 0, NULL), 1);
    CHECK_EQ(close(peeked[0]), 0);

    // Files without room for them are closed, and that shows.
    int three[3] = {got[0], got[0], got[0]};
    CHECK_EQ(send_files(s[0], "three", three, 3), 5);
    CHECK_EQ(receive_files(s[1], data, 16, peeked, 2, 0, &flags), 2);
    CHECK_EQ(flags, MSG_CTRUNC);
    close(peeked[0]);
    close(peeked[1]);
    CHECK_EQ(send_files(s[0], "none", three, 3), 4);
    struct iovec io = {data, 16};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    CHECK_EQ(recvmsg(s[1], &m, 0), 4);
    CHECK_EQ(m.msg_flags, MSG_CTRUNC);
    CHECK_EQ(send_files(s[0], "read", three, 3), 4);
    CHECK_EQ(read(s[1], data, 16), 4);
    // The same where the table of descriptors is full.
    struct rlimit old, tight;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    CHECK_EQ(send_files(s[0], "tight", three, 3), 5);
    tight = old;
    tight.rlim_cur = 3;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
    CHECK_EQ(receive_files(s[1], data, 16, peeked, 3, 0, &flags), -1);
    CHECK(flags == MSG_CTRUNC && !strcmp(data, "tight"));
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    close(got[0]);
    close(s[0]);
    close(s[1]);
}

static void files_end_a_read(void) {
    int s[2], got[4], zero = 0;
    char data[16];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
    CHECK_EQ(write(s[0], "before", 6), 6);
    CHECK_EQ(send_files(s[0], "with", &zero, 1), 4);
    CHECK_EQ(write(s[0], "after", 5), 5);
    // What comes before is glued to it, what comes after is not.
    CHECK_EQ(receive_files(s[1], data, 16, got, 4, 0, NULL), 1);
    CHECK(!memcmp(data, "beforewith", 10));
    close(got[0]);
    CHECK_EQ(receive_files(s[1], data, 16, got, 4, 0, NULL), -1);
    CHECK(!memcmp(data, "after", 5));
    // The first byte takes the files along.
    CHECK_EQ(send_files(s[0], "with", &zero, 1), 4);
    CHECK_EQ(receive_files(s[1], data, 1, got, 4, 0, NULL), 1);
    close(got[0]);
    CHECK_EQ(receive_files(s[1], data, 16, got, 4, 0, NULL), -1);
    // A write of nothing carries nothing on a stream.
    CHECK_EQ(send_files(s[0], "", &zero, 1), 0);
    CHECK_FAILS(read(s[1], data, 1), EAGAIN);
    close(s[0]);
    close(s[1]);
}

static void what_cannot_be_sent(void) {
    int s[2], fds[254], path = open("/", O_PATH), got[4];
    char data[4];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s), 0);
    for (int i = 0; i < 254; i++) fds[i] = 0;
    CHECK_FAILS(send_files(s[0], "x", fds, 254), EINVAL);
    CHECK_EQ(send_files(s[0], "x", fds, 253), 1);
    CHECK_EQ(read(s[1], data, 4), 1);
    fds[1] = 9999;
    CHECK_FAILS(send_files(s[0], "x", fds, 2), EBADF);
    fds[1] = -1;
    CHECK_FAILS(send_files(s[0], "x", fds, 2), EBADF);
    CHECK_FAILS(read(s[1], data, 4), EAGAIN);
    // A place is a file like others.
    CHECK_EQ(send_files(s[0], "x", &path, 1), 1);
    CHECK_EQ(receive_files(s[1], data, 4, got, 4, 0, NULL), 1);
    CHECK_FAILS(read(got[0], data, 1), EBADF);
    close(got[0]);
    close(path);

    union control c = {0};
    struct iovec io = {data, 1};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(4)};
    c.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(4) + 64, .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    CHECK_FAILS(syscall(SYS_sendmsg, s[0], &m, 0), EINVAL); // longer than the buffer
    c.header.cmsg_len = 3;
    CHECK_FAILS(syscall(SYS_sendmsg, s[0], &m, 0), EINVAL);
    c.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = 77};
    CHECK_FAILS(syscall(SYS_sendmsg, s[0], &m, 0), EINVAL);
    c.header.cmsg_level = 12345;
    CHECK_EQ(sendmsg(s[0], &m, 0), 1); // somebody else's
    m.msg_control = (void *)8;
    CHECK_FAILS(syscall(SYS_sendmsg, s[0], &m, 0), EFAULT);
    m.msg_controllen = 1 << 24;
    CHECK_FAILS(syscall(SYS_sendmsg, s[0], &m, 0), ENOBUFS);
    close(s[0]);
    close(s[1]);
}

// Receives a byte and its credentials.
static int receive_credentials(int s, struct ucred *who) {
    char byte;
    union control c = {0};
    struct iovec io = {&byte, 1};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    if (recvmsg(s, &m, 0) != 1 || !CMSG_FIRSTHDR(&m)) return 0;
    CHECK(c.header.cmsg_type == SCM_CREDENTIALS && c.header.cmsg_len == CMSG_LEN(sizeof *who));
    memcpy(who, CMSG_DATA(&c.header), sizeof *who);
    return 1;
}

static ssize_t send_credentials(int s, struct ucred who) {
    union control c = {0};
    struct iovec io = {"x", 1};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(sizeof who)};
    c.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof who), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS};
    memcpy(CMSG_DATA(&c.header), &who, sizeof who);
    return sendmsg(s, &m, 0);
}

static void credentials(int kind) {
    int s[2], one = 1;
    struct ucred who, own = {getpid(), getuid(), getgid()};
    socklen_t len = sizeof who;
    CHECK_EQ(socketpair(AF_UNIX, kind, 0, s), 0);
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &who, &len), 0);
    CHECK(len == sizeof who && who.pid == own.pid && who.uid == geteuid() && who.gid == getegid());
    CHECK_EQ(write(s[0], "x", 1), 1);
    CHECK(!receive_credentials(s[1], &who)); // nobody asked
    CHECK_EQ(write(s[0], "x", 1), 1);
    CHECK_EQ(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one), 0);
    CHECK(receive_credentials(s[1], &who)); // sent before: nobody
    CHECK(who.pid == 0 && who.uid == 65534 && who.gid == 65534);
    CHECK_EQ(write(s[0], "x", 1), 1);
    CHECK(receive_credentials(s[1], &who));
    CHECK(!memcmp(&who, &own, sizeof own));
    CHECK_EQ(send_credentials(s[0], own), 1);
    CHECK(receive_credentials(s[1], &who) && !memcmp(&who, &own, sizeof own));
    if (own.uid == 0) {
        struct ucred other = {own.pid, 1234, 1234}, dead = {4000000, 0, 0};
        CHECK_EQ(send_credentials(s[0], other), 1);
        CHECK(receive_credentials(s[1], &who) && who.uid == 1234);
        CHECK_FAILS(send_credentials(s[0], dead), ESRCH);
        CHECK_EQ(seteuid(1234), 0);
        CHECK_EQ(send_credentials(s[0], own), 1);
        other.uid = 99;
        CHECK_FAILS(send_credentials(s[0], other), EPERM);
        CHECK_EQ(seteuid(0), 0);
    }
    close(s[0]);
    close(s[1]);
    int alone = socket(AF_UNIX, kind, 0);
    CHECK_EQ(getsockopt(alone, SOL_SOCKET, SO_PEERCRED, &who, &len), 0);
    CHECK(who.pid == 0 && who.uid == (uid_t)-1 && who.gid == (gid_t)-1);
    close(alone);
}

static void both_at_once(void) {
    int s[2], one = 1, zero = 0;
    char data[4];
    union control c = {0};
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    CHECK_EQ(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one), 0);
    CHECK_EQ(send_files(s[0], "x", &zero, 1), 1);
    struct iovec io = {data, 4};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    CHECK_EQ(recvmsg(s[1], &m, 0), 1);
    CHECK_EQ(m.msg_controllen, CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int)));
    struct cmsghdr *first = CMSG_FIRSTHDR(&m), *second = first ? CMSG_NXTHDR(&m, first) : NULL;
    CHECK(first && first->cmsg_type == SCM_CREDENTIALS);
    CHECK(second && second->cmsg_type == SCM_RIGHTS && second->cmsg_len == CMSG_LEN(sizeof(int)));
    if (second) close(*(int *)(void *)CMSG_DATA(second));
    // Cut credentials.
    CHECK_EQ(write(s[0], "x", 1), 1);
    m = (struct msghdr){.msg_iov = &io, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = 20};
    CHECK_EQ(recvmsg(s[1], &m, 0), 1);
    CHECK(m.msg_flags == MSG_CTRUNC && m.msg_controllen == 20 && c.header.cmsg_len == 20);
    close(s[0]);
    close(s[1]);
    // A datagram socket that asks for credentials gets a name to answer to.
    struct sockaddr_un a;
    socklen_t len = sizeof a;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
    CHECK_EQ(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one), 0);
    CHECK_EQ(write(s[1], "x", 1), 1);
    CHECK_EQ(recvfrom(s[0], data, 4, 0, (void *)&a, &len), 1);
    CHECK_EQ(len, offsetof(struct sockaddr_un, sun_path) + 6);
    close(s[0]);
    close(s[1]);
}

// Sockets that hold each other, or themselves, in their queues.
static void in_each_other(void) {
    for (int i = 0; i < 20; i++) {
        int s[2], t[2];
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, t), 0);
        CHECK_EQ(send_files(s[0], "x", t, 2), 1);
        CHECK_EQ(send_files(t[0], "x", s, 2), 1);
        close(s[0]), close(s[1]), close(t[0]), close(t[1]);
    }
    // A long chain: each in the queue of the next. Closing the last closes all.
    int p[2], end[2], last = -1;
    CHECK_EQ(pipe(p), 0);
    int carried = p[1];
    for (int i = 0; i < 2000; i++) {
        CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, end), 0);
        if (send_files(end[0], "x", &carried, 1) != 1) {
            CHECK(errno == ETOOMANYREFS); // older Linux bounds the depth
            close(end[0]), close(end[1]);
            break;
        }
        close(carried);
        close(end[0]);
        carried = last = end[1];
    }
    close(last);
    char byte;
    CHECK_EQ(read(p[0], &byte, 1), 0); // hangs unless the writer is closed
    close(p[0]);
}

// A socket that only its own queue holds is closed, which its peer sees.
static void in_itself(void) {
    int s[2], other[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    CHECK_EQ(send_files(s[0], "x", &s[1], 1), 1);
    struct pollfd p = {s[0], 0, 0};
    close(s[1]);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    close(other[0]), close(other[1]); // sockets are looked at when one closes
    CHECK_EQ(poll(&p, 1, 20000), 1);
    CHECK(p.revents & POLLHUP);
    close(s[0]);

    // One that waits in a queue that can be read is none of those.
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    CHECK_EQ(send_files(other[0], "x", &other[1], 1), 1);
    CHECK_EQ(send_files(s[0], "x", &other[1], 1), 1);
    close(other[1]);
    CHECK_EQ(close(socket(AF_UNIX, SOCK_STREAM, 0)), 0);
    p.fd = other[0];
    CHECK_EQ(poll(&p, 1, 50), 0);
    int got[2];
    char data[4];
    CHECK_EQ(receive_files(s[1], data, 4, got, 2, 0, NULL), 1);
    CHECK_EQ(write(got[0], "back", 4), 4);
    CHECK_EQ(read(other[0], data, 4), 4);
    close(got[0]), close(other[0]), close(s[0]), close(s[1]);
}

int main(void) {
    files_arrive(SOCK_STREAM);
    files_arrive(SOCK_DGRAM);
    files_arrive(SOCK_SEQPACKET);
    files_end_a_read();
    what_cannot_be_sent();
    credentials(SOCK_STREAM);
    credentials(SOCK_DGRAM);
    both_at_once();
    in_each_other();
    in_itself();
    return done("unix_rights");
}
