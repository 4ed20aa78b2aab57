//! inet_datagram: UDP over the loopback: addresses, cut messages, many at once, connected sockets, packet information.
//! build: static, musl-static
//! cpus: 1, 2
#include "inet.h"
#include <pthread.h>

static int broken;
static void on_pipe(int signal) { broken += signal == SIGPIPE; }

static ssize_t send_to(int s, const char *text, int port) {
    struct sockaddr_storage at;
    socklen_t len = loopback(&at, AF_INET, port);
    return sendto(s, text, strlen(text), 0, (struct sockaddr *)&at, len);
}

static void messages_stay_apart(void) {
    int r = bound(AF_INET, SOCK_DGRAM), s = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    char got[64] = {0};
    CHECK_EQ(option_of(s, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    CHECK_EQ(option_of(s, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
    CHECK_FAILS(send(s, "x", 1, 0), EDESTADDRREQ);
    CHECK_FAILS(send(s, (void *)8, 1, 0), EDESTADDRREQ);
    CHECK_FAILS(sendto(s, "x", 1, 0, (struct sockaddr *)&from, 0), EINVAL);
    CHECK_FAILS(recv(s, got, 1, 0), EAGAIN);
    CHECK_EQ(send_to(s, "first", port_of(r)), 5);
    CHECK(port_of(s) > 0);
    CHECK_EQ(send_to(s, "", port_of(r)), 0);
    CHECK_EQ(send_to(s, "third one", port_of(r)), 9);
    CHECK_EQ(recvfrom(r, got, 64, 0, (struct sockaddr *)&from, &len), 5);
    CHECK(len == sizeof from && ntohs(from.sin_port) == port_of(s) && from.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    CHECK_EQ(recv(r, got, 64, 0), 0);
    int waiting = 0;
    CHECK(wait_for(r, POLLIN) == POLLIN);
    CHECK(ioctl(r, FIONREAD, &waiting) == 0 && waiting == 9);
    CHECK_EQ(recv(r, got, 5, MSG_PEEK | MSG_TRUNC), 9);
    struct iovec parts[2] = {{got, 2}, {got + 8, 3}};
    struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = parts, .msg_iovlen = 2};
    CHECK_EQ(recvmsg(r, &m, 0), 5);
    CHECK(m.msg_flags == MSG_TRUNC && m.msg_namelen == sizeof from && m.msg_controllen == 0);
    CHECK(!memcmp(got, "th", 2) && !memcmp(got + 8, "ird", 3));
    CHECK_FAILS(recv(r, got, 1, MSG_DONTWAIT), EAGAIN);
    // Back to where it came from, by sendmsg.
    m = (struct msghdr){.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = parts, .msg_iovlen = 2};
    CHECK_EQ(sendmsg(r, &m, 0), 5);
    CHECK(wait_for(s, POLLIN) == POLLIN);
    CHECK_EQ(read(s, got, 64), 5);
    CHECK(!memcmp(got, "third", 5));
    close(r);
    close(s);
}

static void large_ones(void) {
    static char big[65508], got[65536];
    int r = bound(AF_INET, SOCK_DGRAM), s = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(connect_to(s, AF_INET, port_of(r)), 0);
    for (size_t i = 0; i < sizeof big; i++) big[i] = (char)(i % 249);
    CHECK_EQ(send(s, big, 65507, 0), 65507);
    CHECK_EQ(recv(r, got, sizeof got, 0), 65507);
    CHECK(!memcmp(big, got, 65507));
    CHECK_FAILS(send(s, big, 65508, 0), EMSGSIZE);
    CHECK_FAILS(send(s, got, 65536, 0), EMSGSIZE);
    // One whose memory is bad is lost, as on Linux.
    CHECK_EQ(send(s, "abc", 3, 0), 3);
    CHECK(wait_for(r, POLLIN) & POLLIN);
    CHECK_FAILS(recv(r, (void *)8, 3, 0), EFAULT);
    CHECK_FAILS(recv(r, got, 3, MSG_DONTWAIT), EAGAIN);
    CHECK_FAILS(send(s, (void *)8, 3, 0), EFAULT);
    close(r);
    close(s);
}

static void connected_ones_have_a_peer(void) {
    int one = bound(AF_INET, SOCK_DGRAM), two = bound(AF_INET, SOCK_DGRAM), other = bound(AF_INET, SOCK_DGRAM);
    char got[16];
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    CHECK_FAILS(getpeername(one, (struct sockaddr *)&at, &len), ENOTCONN);
    CHECK_EQ(connect_to(one, AF_INET, port_of(two)), 0);
    CHECK_EQ(getpeername(one, (struct sockaddr *)&at, &len), 0);
    CHECK_EQ(ntohs(((struct sockaddr_in *)&at)->sin_port), port_of(two));
    CHECK_EQ(write(one, "hello", 5), 5);
    CHECK_EQ(read(two, got, 16), 5);
    // Others are not heard.
    CHECK_EQ(send_to(other, "spam", port_of(one)), 4);
    CHECK_EQ(send_to(two, "ham", port_of(one)), 3);
    CHECK_EQ(read(one, got, 16), 3);
    CHECK(!memcmp(got, "ham", 3));
    CHECK_FAILS(recv(one, got, 16, MSG_DONTWAIT), EAGAIN);
    // Nobody is there: the next call is told.
    int port = port_of(two);
    close(two);
    CHECK_EQ(send(one, "x", 1, 0), 1);
    CHECK(wait_for(one, POLLIN) & POLLERR);
    CHECK_FAILS(recv(one, got, 16, 0), ECONNREFUSED);
    CHECK_EQ(send(one, "x", 1, 0), 1);
    CHECK(wait_for(one, POLLIN) & POLLERR);
    CHECK_EQ(option_of(one, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    // AF_UNSPEC takes the peer away.
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    CHECK_EQ(connect(one, &none, sizeof none), 0);
    CHECK_FAILS(send(one, "x", 1, 0), EDESTADDRREQ);
    CHECK_FAILS(getpeername(one, (struct sockaddr *)&at, &len), ENOTCONN);
    CHECK_EQ(send_to(one, "x", port), 1);
    CHECK_EQ(connect_to(one, AF_INET, port_of(other)), 0);
    CHECK_EQ(shutdown(one, SHUT_RD), 0);
    CHECK_EQ(recv(one, got, 16, 0), 0);
    CHECK_EQ(shutdown(one, SHUT_WR), 0);
    CHECK_FAILS(send(one, "x", 1, 0), EPIPE);
    CHECK_EQ(broken, 0);
    close(one);
    close(other);
}

static void *sends_one(void *arg) {
    usleep(50000);
    CHECK_EQ(send(*(int *)arg, "one", 3, 0), 3);
    return 0;
}

static void many_at_once(void) {
    int r = bound(AF_INET, SOCK_DGRAM), s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_storage at;
    socklen_t len = loopback(&at, AF_INET, port_of(r));
    struct mmsghdr out[5] = {0}, in[8] = {0};
    struct iovec from[5], to[8];
    char got[8][16], texts[5][8] = {"a", "bb", "ccc", "dddd", "eeeee"};
    struct sockaddr_in names[8];
    for (int i = 0; i < 5; i++) {
        from[i] = (struct iovec){texts[i], (size_t)i + 1};
        out[i].msg_hdr = (struct msghdr){.msg_name = &at, .msg_namelen = len, .msg_iov = &from[i], .msg_iovlen = 1};
    }
    for (int i = 0; i < 8; i++) {
        to[i] = (struct iovec){got[i], 4};
        in[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &to[i], .msg_iovlen = 1};
    }
    CHECK_EQ(sendmmsg(s, out, 5, 0), 5);
    CHECK(out[0].msg_len == 1 && out[4].msg_len == 5);
    CHECK_EQ(recvmmsg(r, in, 3, 0, 0), 3);
    CHECK(in[2].msg_len == 3 && !memcmp(got[2], "ccc", 3));
    CHECK_EQ(ntohs(names[2].sin_port), port_of(s));
    CHECK_EQ(recvmmsg(r, in, 8, MSG_WAITFORONE, 0), 2);
    CHECK(in[0].msg_len == 4 && in[0].msg_hdr.msg_flags == 0);
    CHECK(in[1].msg_len == 4 && in[1].msg_hdr.msg_flags == MSG_TRUNC);
    CHECK_FAILS(recvmmsg(r, in, 8, MSG_DONTWAIT, 0), EAGAIN);
    // It waits for the first one.
    pthread_t thread;
    CHECK_EQ(connect(s, (struct sockaddr *)&at, len), 0);
    pthread_create(&thread, 0, sends_one, &s);
    CHECK_EQ(recvmmsg(r, in, 8, MSG_WAITFORONE, 0), 1);
    CHECK(in[0].msg_len == 3);
    pthread_join(thread, 0);
    close(r);
    close(s);
}

static void packets_say_where_they_went(void) {
    int r = bound(AF_INET, SOCK_DGRAM), s = bound(AF_INET, SOCK_DGRAM), on = 1, ttl = 33;
    CHECK_EQ(setsockopt(r, IPPROTO_IP, IP_PKTINFO, &on, sizeof on), 0);
    CHECK_EQ(setsockopt(r, IPPROTO_IP, IP_RECVTTL, &on, sizeof on), 0);
    CHECK_EQ(setsockopt(s, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl), 0);
    CHECK_EQ(option_of(s, IPPROTO_IP, IP_TTL), 33);
    CHECK_EQ(send_to(s, "x", port_of(r)), 1);
    char got[4], room[256];
    struct iovec v = {got, 4};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    CHECK_EQ(recvmsg(r, &m, 0), 1);
    int seen_info = 0, seen_ttl = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != IPPROTO_IP) continue;
        if (c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);
            seen_info = info->ipi_addr.s_addr == htonl(INADDR_LOOPBACK) && info->ipi_ifindex == 1;
        }
        if (c->cmsg_type == IP_TTL) memcpy(&seen_ttl, CMSG_DATA(c), sizeof seen_ttl);
    }
    CHECK_EQ(seen_info, 1);
    CHECK_EQ(seen_ttl, 33);
    // Too little room is told.
    CHECK_EQ(send_to(s, "x", port_of(r)), 1);
    m.msg_controllen = 20;
    CHECK_EQ(recvmsg(r, &m, 0), 1);
    CHECK(m.msg_flags & MSG_CTRUNC);
    // Sent from an address that the message names, with a lifetime of its own.
    char control[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(int))] = {0};
    struct sockaddr_storage at;
    socklen_t len = loopback(&at, AF_INET, port_of(r));
    int any = socket(AF_INET, SOCK_DGRAM, 0);
    v = (struct iovec){"hello", 5};
    m = (struct msghdr){.msg_name = &at, .msg_namelen = len, .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
    inet_pton(AF_INET, "127.0.0.9", &((struct in_pktinfo *)CMSG_DATA(c))->ipi_spec_dst);
    c = CMSG_NXTHDR(&m, c);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL};
    ttl = 7;
    memcpy(CMSG_DATA(c), &ttl, sizeof ttl);
    CHECK_EQ(sendmsg(any, &m, 0), 5);
    struct sockaddr_in from = {0};
    v = (struct iovec){got, 4};
    m = (struct msghdr){.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    CHECK_EQ(recvmsg(r, &m, MSG_TRUNC), 5);
    CHECK(m.msg_flags & MSG_TRUNC);
    CHECK_EQ(ntohl(from.sin_addr.s_addr), 0x7f000009);
    for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) memcpy(&seen_ttl, CMSG_DATA(c), sizeof seen_ttl);
    CHECK_EQ(seen_ttl, 7);
    close(any);
    close(r);
    close(s);
}

static void times_come_along(void) {
    int r = bound(AF_INET, SOCK_DGRAM), s = bound(AF_INET, SOCK_DGRAM), on = 1;
    char got[4], room[64];
    CHECK_EQ(setsockopt(r, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on), 0);
    CHECK_EQ(option_of(r, SOL_SOCKET, SO_TIMESTAMP), 1);
    CHECK_EQ(send_to(s, "x", port_of(r)), 1);
    struct iovec v = {got, 4};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    CHECK_EQ(recvmsg(r, &m, 0), 1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    CHECK(c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMP);
    close(r);
    close(s);
}

/// What Java sets for every socket: how far datagrams to groups of machines go.
static void groups_have_limits(void) {
    int four = socket(AF_INET, SOCK_DGRAM, 0), six = socket(AF_INET6, SOCK_DGRAM, 0);
    int options[][4] = {{four, IPPROTO_IP, IP_MULTICAST_TTL, 3},       {four, IPPROTO_IP, IP_MULTICAST_LOOP, 0},
                        {four, IPPROTO_IP, IP_MULTICAST_ALL, 0},       {six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 5},
                        {six, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0},   {six, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0},
                        {six, IPPROTO_IP, IP_MULTICAST_TTL, 7}};
    for (unsigned i = 0; i < sizeof options / sizeof options[0]; i++) {
        int *o = options[i];
        CHECK(option_of(o[0], o[1], o[2]) == 1 || o[2] == IPV6_MULTICAST_HOPS);
        CHECK_EQ(setsockopt(o[0], o[1], o[2], &o[3], sizeof o[3]), 0);
        CHECK_EQ(option_of(o[0], o[1], o[2]), o[3]);
    }
    int far = 256;
    unsigned char near = 2;
    CHECK_FAILS(setsockopt(four, IPPROTO_IP, IP_MULTICAST_TTL, &far, sizeof far), EINVAL);
    CHECK_FAILS(setsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &far, sizeof far), EINVAL);
    CHECK_EQ(setsockopt(four, IPPROTO_IP, IP_MULTICAST_TTL, &near, sizeof near), 0);
    CHECK_EQ(option_of(four, IPPROTO_IP, IP_MULTICAST_TTL), 2);
    close(four);
    close(six);
}

int main(void) {
    signal(SIGPIPE, on_pipe);
    messages_stay_apart();
    large_ones();
    connected_ones_have_a_peer();
    many_at_once();
    packets_say_where_they_went();
    times_come_along();
    groups_have_limits();
    return done("inet_datagram");
}
