//! unix_datagram: datagram sockets, with a peer and without, cut messages, full queues.
//! build: static, musl-static
#include "check.h"
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static socklen_t name_of(struct sockaddr_un *a, const char *name) {
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    strcpy(a->sun_path, name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1);
}

static int bound(const char *name) {
    struct sockaddr_un a;
    socklen_t len = name_of(&a, name);
    int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    CHECK_EQ(bind(s, (void *)&a, len), 0);
    return s;
}

static void a_pair(void) {
    int s[2];
    char got[16];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s), 0);
    CHECK_EQ(write(s[0], "first", 5), 5);
    CHECK_EQ(write(s[0], "", 0), 0);
    CHECK_EQ(write(s[0], "third", 5), 5);
    int waiting = 0;
    CHECK(ioctl(s[1], FIONREAD, &waiting) == 0 && waiting == 5);
    CHECK_EQ(recv(s[1], got, 16, MSG_PEEK), 5);
    CHECK_EQ(recv(s[1], got, 3, 0), 3); // the rest of it is lost
    CHECK(!memcmp(got, "fir", 3));
    CHECK_EQ(read(s[1], got, 16), 0);
    CHECK_EQ(recv(s[1], got, 3, MSG_TRUNC), 5);
    CHECK_FAILS(read(s[1], got, 16), EAGAIN);

    struct iovec io = {"message", 7};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    CHECK_EQ(sendmsg(s[1], &m, 0), 7);
    io = (struct iovec){got, 4};
    CHECK_EQ(recvmsg(s[0], &m, 0), 4);
    CHECK_EQ(m.msg_flags, MSG_TRUNC);

    // A pair is bounded by the send buffer alone, not by the count of messages.
    int sent = 0;
    while (sent < 60 && write(s[0], "x", 1) == 1) sent++;
    CHECK_EQ(sent, 60);
    CHECK_EQ(close(s[1]), 0);
    CHECK_FAILS(write(s[0], "x", 1), ECONNREFUSED);
    CHECK_FAILS(write(s[0], "x", 1), ENOTCONN);
    close(s[0]);
}

static void names_and_peers(void) {
    char got[16];
    struct sockaddr_un a, from;
    socklen_t a_len = name_of(&a, "server"), len = sizeof from;
    int server = bound("server"), client = bound("client"), nobody = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_FAILS(write(client, "x", 1), ENOTCONN);
    CHECK_EQ(sendto(client, "hello", 5, 0, (void *)&a, a_len), 5);
    CHECK_EQ(recvfrom(server, got, 16, 0, (void *)&from, &len), 5);
    CHECK_EQ(len, offsetof(struct sockaddr_un, sun_path) + 7);
    CHECK(from.sun_family == AF_UNIX && !strcmp(from.sun_path, "client"));
    CHECK_EQ(sendto(server, "answer", 6, 0, (void *)&from, len), 6);
    CHECK_EQ(read(client, got, 16), 6);
    // A sender without a name has an empty address.
    CHECK_EQ(sendto(nobody, "?", 1, 0, (void *)&a, a_len), 1);
    len = sizeof from;
    CHECK_EQ(recvfrom(server, got, 16, 0, (void *)&from, &len), 1);
    CHECK_EQ(len, 0);

    CHECK_EQ(connect(client, (void *)&a, a_len), 0);
    CHECK_EQ(write(client, "more", 4), 4);
    CHECK_EQ(read(server, got, 16), 4);
    // With a peer of its own, the server takes from that one only.
    struct sockaddr_un c;
    socklen_t c_len = name_of(&c, "client");
    CHECK_EQ(connect(server, (void *)&c, c_len), 0);
    CHECK_EQ(write(client, "yes", 3), 3);
    CHECK_FAILS(sendto(nobody, "no", 2, 0, (void *)&a, a_len), EPERM);
    CHECK_FAILS(connect(nobody, (void *)&a, a_len), EPERM);
    CHECK_EQ(read(server, got, 16), 3);
    len = sizeof from;
    CHECK_EQ(getpeername(server, (void *)&from, &len), 0);
    CHECK(!strcmp(from.sun_path, "client"));

    // Leaving the peer: what came from it is lost, and it is told.
    CHECK_EQ(write(client, "lost", 4), 4);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    CHECK_EQ(connect(server, &none, sizeof none), 0);
    CHECK_FAILS(read(server, got, 16), EAGAIN);
    CHECK_FAILS(getpeername(server, (void *)&from, &len), ENOTCONN);
    CHECK_FAILS(read(client, got, 16), ECONNRESET);
    CHECK_FAILS(read(client, got, 16), EAGAIN);
    close(client);
    close(server);
    close(nobody);
    // The name is still there, but nobody is behind it.
    int late = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_FAILS(sendto(late, "x", 1, 0, (void *)&a, a_len), ECONNREFUSED);
    CHECK_EQ(unlink("server"), 0);
    CHECK_FAILS(sendto(late, "x", 1, 0, (void *)&a, a_len), ENOENT);
    close(late);
}

static void queues_fill(void) {
    char got[16];
    struct sockaddr_un a;
    socklen_t len = name_of(&a, "full");
    int server = bound("full"), client = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), sent = 0;
    CHECK_EQ(connect(client, (void *)&a, len), 0);
    while (sent < 100000 && write(client, "x", 1) == 1) sent++;
    CHECK(errno == EAGAIN && sent >= 10 && sent < 100000);
    CHECK_EQ(read(server, got, 16), 1);
    CHECK_EQ(write(client, "x", 1), 1);
    CHECK_FAILS(write(client, "x", 1), EAGAIN);
    CHECK_EQ(shutdown(server, SHUT_RD), 0);
    CHECK_FAILS(write(client, "x", 1), EPIPE);
    CHECK_EQ(shutdown(client, SHUT_WR), 0);
    CHECK_FAILS(write(client, "x", 1), EPIPE);
    close(server);
    close(client);

    static char big[300000];
    int small = 5000, s[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    CHECK_FAILS(write(s[0], big, 10000), EMSGSIZE);
    CHECK_EQ(write(s[0], big, 5000), 5000);
    CHECK_EQ(write(s[1], big, 100000), 100000);
    CHECK_EQ(read(s[0], big, sizeof big), 100000);
    close(s[0]);
    close(s[1]);
}

static void several_at_once(void) {
    int s[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
    struct iovec out[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}}, in[4];
    char got[4][8];
    struct mmsghdr m[4];
    memset(m, 0, sizeof m);
    for (int i = 0; i < 3; i++) m[i].msg_hdr = (struct msghdr){.msg_iov = &out[i], .msg_iovlen = 1};
    CHECK_EQ(sendmmsg(s[0], m, 3, 0), 3);
    CHECK(m[0].msg_len == 1 && m[1].msg_len == 2 && m[2].msg_len == 3);
    for (int i = 0; i < 4; i++) {
        in[i] = (struct iovec){got[i], 8};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &in[i], .msg_iovlen = 1};
    }
    CHECK_EQ(recvmmsg(s[1], m, 4, MSG_WAITFORONE, NULL), 3);
    CHECK(m[2].msg_len == 3 && !memcmp(got[2], "ccc", 3));
    CHECK_FAILS(recvmmsg(s[1], m, 4, MSG_DONTWAIT, NULL), EAGAIN);
    CHECK_EQ(sendmmsg(s[0], m, 0, 0), 0);
    struct timespec bad = {0, 2000000000};
    CHECK_FAILS(recvmmsg(s[1], m, 4, MSG_DONTWAIT, &bad), EINVAL);
    struct timespec second = {1, 0};
    CHECK_EQ(write(s[0], "d", 1), 1);
    CHECK_EQ(recvmmsg(s[1], m, 1, 0, &second), 1);
    CHECK_EQ(second.tv_sec, 0);
    // The first that fails ends it; only when there was none before is that an error.
    m[1].msg_hdr.msg_iov = (void *)8;
    m[0].msg_hdr.msg_iov = &out[0];
    CHECK_EQ(sendmmsg(s[0], m, 2, 0), 1);
    CHECK_FAILS(sendmmsg(s[0], m + 1, 1, 0), EFAULT);
    close(s[0]);
    close(s[1]);
}

int main(void) {
    scratch();
    signal(SIGPIPE, SIG_DFL); // datagrams never raise it
    a_pair();
    names_and_peers();
    queues_fill();
    several_at_once();
    return done("unix_datagram");
}
