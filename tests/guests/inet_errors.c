//! inet_errors: malformed addresses, lengths, types and options get the errno that Linux gives.
//! build: static, musl-static
#include "inet.h"
#include <net/if.h>

static int refused(int domain, int type, int protocol) {
    errno = 0;
    int s = socket(domain, type, protocol);
    if (s >= 0) close(s);
    return s >= 0 ? 0 : errno;
}

static void kinds_of_sockets(void) {
    CHECK_EQ(refused(AF_INET, SOCK_STREAM, 0), 0);
    CHECK_EQ(refused(AF_INET, SOCK_STREAM, IPPROTO_TCP), 0);
    CHECK_EQ(refused(AF_INET6, SOCK_DGRAM, IPPROTO_UDP), 0);
    CHECK_EQ(refused(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
    CHECK_EQ(refused(AF_INET, SOCK_DGRAM, IPPROTO_TCP), EPROTONOSUPPORT);
    CHECK_EQ(refused(AF_INET, SOCK_RAW, 0), EPROTONOSUPPORT);
    CHECK_EQ(refused(AF_INET, SOCK_STREAM, 263), EINVAL);
    CHECK_EQ(refused(AF_INET, SOCK_STREAM, -1), EINVAL);
    CHECK_EQ(refused(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
    CHECK_EQ(refused(AF_INET, SOCK_RDM, 0), ESOCKTNOSUPPORT);
    CHECK_EQ(refused(AF_INET, 11, 0), EINVAL);
    CHECK_EQ(refused(AF_INET, SOCK_STREAM | 0x100, 0), EINVAL);
    CHECK_EQ(refused(46, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK_EQ(refused(-1, SOCK_STREAM, 0), EAFNOSUPPORT);
    int s[2];
    CHECK_FAILS(socketpair(AF_INET, SOCK_STREAM, 0, s), EOPNOTSUPP);
    CHECK_FAILS(socketpair(AF_INET, SOCK_STREAM, IPPROTO_UDP, s), EPROTONOSUPPORT);
}

static void addresses(int type) {
    int s = socket(AF_INET, type, 0);
    struct sockaddr_storage at;
    loopback(&at, AF_INET, 0);
    struct sockaddr *a = (struct sockaddr *)&at;
    CHECK_FAILS(bind(s, a, 15), EINVAL);
    CHECK_FAILS(bind(s, a, 0), EINVAL);
    CHECK_FAILS(bind(s, a, 129), EINVAL);
    CHECK_FAILS(bind(s, a, (socklen_t)-1), EINVAL);
    CHECK_FAILS(bind(s, (void *)8, 16), EFAULT);
    at.ss_family = AF_INET6;
    CHECK_FAILS(bind(s, a, 28), EAFNOSUPPORT);
    at.ss_family = AF_UNIX;
    CHECK_FAILS(bind(s, a, 16), EAFNOSUPPORT);
    at.ss_family = AF_INET;
    // An address that is nobody's here (TEST-NET-1).
    inet_pton(AF_INET, "192.0.2.1", &((struct sockaddr_in *)&at)->sin_addr);
    CHECK_FAILS(bind(s, a, 16), EADDRNOTAVAIL);
    // AF_UNSPEC binds to any address alone.
    loopback(&at, AF_INET, 0);
    at.ss_family = AF_UNSPEC;
    CHECK_FAILS(bind(s, a, 16), EAFNOSUPPORT);
    // Longer than it has to be is fine.
    loopback(&at, AF_INET, 0);
    CHECK_EQ(bind(s, a, sizeof at), 0);
    CHECK_FAILS(bind(s, a, sizeof at), EINVAL);
    at.ss_family = 99;
    CHECK_FAILS(connect(s, a, 16), EAFNOSUPPORT);
    at.ss_family = AF_INET;
    CHECK_FAILS(connect(s, a, 1), EINVAL);
    CHECK_FAILS(connect(s, a, 15), EINVAL);
    CHECK_FAILS(connect(s, (void *)8, 16), EFAULT);
    socklen_t len = 16;
    CHECK_FAILS(getsockname(s, (void *)8, &len), EFAULT);
    CHECK_FAILS(getsockname(s, a, (void *)8), EFAULT);
    len = (socklen_t)-1;
    CHECK_FAILS(getsockname(s, a, &len), EINVAL);
    len = 16;
    CHECK_FAILS(getpeername(s, a, &len), ENOTCONN);
    close(s);
}

static void ports_in_use(void) {
    struct sockaddr_storage at;
    int l = listener(AF_INET, 0), s = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    socklen_t len = loopback(&at, AF_INET, port_of(l));
    CHECK_FAILS(bind(s, (struct sockaddr *)&at, len), EADDRINUSE);
    CHECK_EQ(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    CHECK_FAILS(bind(s, (struct sockaddr *)&at, len), EADDRINUSE);
    close(s);
    close(l);
    // With SO_REUSEPORT on both, several may.
    l = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(setsockopt(l, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    loopback(&at, AF_INET, 0);
    CHECK_EQ(bind(l, (struct sockaddr *)&at, len), 0);
    CHECK_EQ(listen(l, 1), 0);
    s = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    loopback(&at, AF_INET, port_of(l));
    CHECK_EQ(bind(s, (struct sockaddr *)&at, len), 0);
    CHECK_EQ(listen(s, 1), 0);
    close(s);
    close(l);
}

static void calls_on_the_wrong_socket(void) {
    int s[2], u = socket(AF_INET, SOCK_DGRAM, 0), t = socket(AF_INET, SOCK_STREAM, 0);
    char got[4];
    CHECK_FAILS(listen(u, 1), EOPNOTSUPP);
    CHECK_FAILS(accept(u, 0, 0), EOPNOTSUPP);
    CHECK_FAILS(accept(t, 0, 0), EINVAL);
    CHECK_FAILS(accept4(t, 0, 0, 1), EINVAL);
    CHECK_FAILS(shutdown(u, SHUT_RD), ENOTCONN);
    CHECK_EQ(listen(t, 1), 0);
    CHECK_FAILS(recv(t, got, 1, 0), ENOTCONN);
    CHECK_FAILS(send(t, got, 1, MSG_NOSIGNAL), EPIPE);
    CHECK_FAILS(connect_to(t, AF_INET, 9), EISCONN);
    CHECK_FAILS(bind(0, 0, 16), ENOTSOCK);
    CHECK_FAILS(bind(-1, 0, 16), EBADF);
    CHECK_FAILS(recv(u, got, 1, MSG_OOB | MSG_DONTWAIT), EAGAIN);
    CHECK_FAILS(recv(u, got, 1, MSG_ERRQUEUE), EAGAIN);
    CHECK_FAILS(send(u, got, 1, MSG_OOB), EOPNOTSUPP);
    tcp_pair(s, AF_INET);
    CHECK_FAILS(recv(s[0], got, 1, MSG_OOB), EINVAL);
    CHECK_FAILS(recv(s[0], got, 1, MSG_ERRQUEUE), EAGAIN);
    // Urgent bytes go beside the others.
    CHECK_EQ(send(s[0], "ab", 2, MSG_OOB), 2);
    CHECK(wait_for(s[1], POLLPRI) & POLLPRI);
    CHECK_EQ(recv(s[1], got, 1, MSG_OOB), 1);
    CHECK_EQ(got[0], 'b');
    CHECK_EQ(recv(s[1], got, 4, 0), 1);
    CHECK_EQ(got[0], 'a');
    close(s[0]);
    close(s[1]);
    close(u);
    close(t);
}

static void control_messages(void) {
    int u = bound(AF_INET, SOCK_DGRAM);
    struct sockaddr_storage at;
    socklen_t len = loopback(&at, AF_INET, port_of(u));
    union {
        struct cmsghdr head;
        char room[64];
    } c = {.head = {.cmsg_len = 8, .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_name = &at, .msg_namelen = len, .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = 24};
    CHECK_FAILS(sendmsg(u, &m, 0), EINVAL);
    c.head.cmsg_len = 1000;
    CHECK_FAILS(sendmsg(u, &m, 0), EINVAL);
    c.head.cmsg_len = 20;
    // Files mean nothing on a network.
    CHECK_EQ(sendmsg(u, &m, 0), 1);
    c.head.cmsg_type = 9999;
    CHECK_FAILS(sendmsg(u, &m, 0), EINVAL);
    c.head.cmsg_level = IPPROTO_IP;
    CHECK_FAILS(sendmsg(u, &m, 0), EINVAL);
    c.head.cmsg_level = 77;
    CHECK_EQ(sendmsg(u, &m, 0), 1);
    m.msg_iovlen = 1025;
    CHECK_FAILS(sendmsg(u, &m, 0), EMSGSIZE);
    close(u);
}

static void options(void) {
    int s = socket(AF_INET, SOCK_STREAM, 0), value = 1;
    char bytes[300] = {0};
    socklen_t len = sizeof value;
    CHECK_FAILS(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &value, 3), EINVAL);
    CHECK_FAILS(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, (void *)8, 4), EFAULT);
    CHECK_FAILS(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &value, (socklen_t)-1), EINVAL);
    CHECK_FAILS(setsockopt(s, SOL_SOCKET, 9999, &value, 4), ENOPROTOOPT);
    CHECK_FAILS(setsockopt(s, SOL_SOCKET, SO_TYPE, &value, 4), ENOPROTOOPT);
    CHECK_FAILS(setsockopt(s, SOL_SOCKET, SO_ERROR, &value, 4), ENOPROTOOPT);
    CHECK_FAILS(setsockopt(s, IPPROTO_TCP, 9999, &value, 4), ENOPROTOOPT);
    CHECK_FAILS(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, 3), EINVAL);
    CHECK_FAILS(setsockopt(s, IPPROTO_IP, 9999, &value, 4), ENOPROTOOPT);
    CHECK_FAILS(setsockopt(s, 9999, 1, &value, 4), ENOPROTOOPT);
    CHECK_FAILS(getsockopt(s, 9999, 1, &value, &len), EOPNOTSUPP);
    CHECK_FAILS(getsockopt(s, SOL_SOCKET, 9999, &value, &len), ENOPROTOOPT);
    CHECK_FAILS(getsockopt(s, SOL_SOCKET, SO_TYPE, &value, (void *)8), EFAULT);
    CHECK_FAILS(getsockopt(s, SOL_SOCKET, SO_TYPE, (void *)8, &len), EFAULT);
    len = (socklen_t)-1;
    CHECK_FAILS(getsockopt(s, SOL_SOCKET, SO_REUSEADDR, &value, &len), EINVAL);
    // A short place gets a part.
    len = 1;
    CHECK_EQ(getsockopt(s, SOL_SOCKET, SO_TYPE, bytes, &len), 0);
    CHECK(len == 1 && bytes[0] == SOCK_STREAM && bytes[1] == 0);
    len = sizeof bytes;
    CHECK_EQ(getsockopt(s, SOL_SOCKET, SO_REUSEADDR, bytes, &len), 0);
    CHECK_EQ(len, 4);
    for (unsigned i = 0; i < 4; i++) {
        int names[] = {SO_REUSEADDR, SO_KEEPALIVE, SO_REUSEPORT, SO_OOBINLINE};
        CHECK_EQ(setsockopt(s, SOL_SOCKET, names[i], &value, sizeof value), 0);
        CHECK_EQ(option_of(s, SOL_SOCKET, names[i]), 1);
    }
    int times[][2] = {{TCP_KEEPIDLE, 61}, {TCP_KEEPINTVL, 7}, {TCP_KEEPCNT, 3}, {TCP_USER_TIMEOUT, 4000},
                      {TCP_NODELAY, 1},   {TCP_SYNCNT, 4},    {TCP_DEFER_ACCEPT, 1}};
    for (unsigned i = 0; i < sizeof times / sizeof times[0]; i++) {
        CHECK_EQ(setsockopt(s, IPPROTO_TCP, times[i][0], &times[i][1], sizeof value), 0);
        CHECK_EQ(option_of(s, IPPROTO_TCP, times[i][0]), times[i][1]);
    }
    value = 0;
    CHECK_FAILS(setsockopt(s, IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof value), EINVAL);
    struct linger on = {1, 5}, shown;
    len = sizeof shown;
    CHECK_EQ(setsockopt(s, SOL_SOCKET, SO_LINGER, &on, sizeof on), 0);
    CHECK_EQ(getsockopt(s, SOL_SOCKET, SO_LINGER, &shown, &len), 0);
    CHECK(len == sizeof shown && shown.l_onoff == 1 && shown.l_linger == 5);
    CHECK_FAILS(setsockopt(s, SOL_SOCKET, SO_LINGER, &on, 4), EINVAL);
    struct tcp_info info;
    len = sizeof info;
    CHECK_EQ(getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    CHECK(len > 0 && info.tcpi_state == 7);
    struct timeval wrong = {0, 1000000};
    CHECK_FAILS(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wrong, sizeof wrong), EDOM);
    CHECK_FAILS(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wrong, 8), EINVAL);
    close(s);
}

int main(void) {
    kinds_of_sockets();
    addresses(SOCK_STREAM);
    addresses(SOCK_DGRAM);
    ports_in_use();
    calls_on_the_wrong_socket();
    control_messages();
    options();
    return done("inet_errors");
}
