//! inet6: AF_INET6 over ::1, sockets of both families, mapped addresses, packet information.
//! build: static, musl-static
//! cpus: 1, 2
#include "inet.h"

static void streams(void) {
    int s[2];
    char got[16];
    struct sockaddr_in6 at;
    socklen_t len = sizeof at;
    tcp_pair(s, AF_INET6);
    CHECK_EQ(option_of(s[0], SOL_SOCKET, SO_DOMAIN), AF_INET6);
    CHECK_EQ(write(s[0], "six", 3), 3);
    CHECK_EQ(recv(s[1], got, 3, MSG_WAITALL), 3);
    CHECK_EQ(getpeername(s[1], (struct sockaddr *)&at, &len), 0);
    CHECK(len == sizeof at && at.sin6_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&at.sin6_addr));
    CHECK_EQ(ntohs(at.sin6_port), port_of(s[0]));
    close(s[0]);
    close(s[1]);
}

static void both_families(void) {
    struct sockaddr_in6 any = {.sin6_family = AF_INET6}, from;
    socklen_t len = sizeof from;
    int l = socket(AF_INET6, SOCK_STREAM, 0), off = 0, on = 1;
    CHECK_EQ(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
    CHECK_EQ(option_of(l, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    CHECK_EQ(bind(l, (struct sockaddr *)&any, sizeof any), 0);
    CHECK_EQ(listen(l, 4), 0);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(connect_to(c, AF_INET, port_of(l)), 0);
    int a = accept(l, (struct sockaddr *)&from, &len);
    CHECK(a >= 0 && len == sizeof from && IN6_IS_ADDR_V4MAPPED(&from.sin6_addr));
    CHECK_EQ(from.sin6_addr.s6_addr[12], 127);
    close(a);
    close(c);
    close(l);
    l = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK_EQ(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
    any.sin6_port = 0;
    CHECK_EQ(bind(l, (struct sockaddr *)&any, sizeof any), 0);
    CHECK_EQ(listen(l, 4), 0);
    c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_FAILS(connect_to(c, AF_INET, port_of(l)), ECONNREFUSED);
    close(c);
    close(l);
}

static void datagrams(void) {
    int r = bound(AF_INET6, SOCK_DGRAM), s = bound(AF_INET6, SOCK_DGRAM), on = 1;
    struct sockaddr_storage at, from;
    socklen_t len = loopback(&at, AF_INET6, port_of(r)), from_len = sizeof from;
    char got[16], room[128];
    CHECK_EQ(setsockopt(r, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on), 0);
    CHECK_EQ(sendto(s, "hello", 5, 0, (struct sockaddr *)&at, len), 5);
    struct iovec v = {got, 16};
    struct msghdr m = {.msg_name = &from, .msg_namelen = from_len, .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    CHECK_EQ(recvmsg(r, &m, 0), 5);
    CHECK(m.msg_namelen == sizeof(struct sockaddr_in6));
    CHECK_EQ(ntohs(((struct sockaddr_in6 *)&from)->sin6_port), port_of(s));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    CHECK(c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO);
    if (c) CHECK(IN6_IS_ADDR_LOOPBACK(&((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_addr));
    // Answered from where it came in: what came is what goes.
    CHECK_EQ(sendmsg(r, &m, 0), 16);
    CHECK_EQ(recvfrom(s, got, 16, MSG_TRUNC, (struct sockaddr *)&from, &from_len), 16);
    CHECK_EQ(ntohs(((struct sockaddr_in6 *)&from)->sin6_port), port_of(r));
    close(r);
    close(s);
}

static void errors(void) {
    int s = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_storage at;
    struct sockaddr *a = (struct sockaddr *)&at;
    loopback(&at, AF_INET6, 0);
    CHECK_FAILS(bind(s, a, 16), EINVAL);
    CHECK_FAILS(bind(s, a, 23), EINVAL);
    CHECK_FAILS(connect(s, a, 16), EINVAL);
    loopback(&at, AF_INET, 0);
    CHECK_FAILS(bind(s, a, 28), EAFNOSUPPORT);
    // An address for documentation, nobody's.
    loopback(&at, AF_INET6, 0);
    inet_pton(AF_INET6, "2001:db8::1", &((struct sockaddr_in6 *)&at)->sin6_addr);
    CHECK_FAILS(bind(s, a, 28), EADDRNOTAVAIL);
    // A link-local one needs its link.
    inet_pton(AF_INET6, "fe80::1", &((struct sockaddr_in6 *)&at)->sin6_addr);
    CHECK_FAILS(bind(s, a, 28), EINVAL);
    int value = 9999;
    CHECK_FAILS(setsockopt(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &value, sizeof value), EINVAL);
    CHECK_EQ(socket(AF_INET6, SOCK_STREAM, IPPROTO_UDP), -1);
    CHECK_EQ(errno, EPROTONOSUPPORT);
    close(s);
}

int main(void) {
    streams();
    both_families();
    datagrams();
    errors();
    return done("inet6");
}
