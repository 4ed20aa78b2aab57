//! What guests with internet sockets share: sockets on the loopback, pairs that are
//! connected to each other, and waiting for readiness.
#pragma once
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

/// More than any wait takes; a test that runs into it has failed.
#define PATIENCE_MS 20000

/// 127.0.0.1, or ::1 for AF_INET6, at a port in host order.
static inline socklen_t loopback(struct sockaddr_storage *at, int family, int port) {
    memset(at, 0, sizeof *at);
    at->ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)at;
        in->sin_port = htons((uint16_t)port);
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)at;
    in6->sin6_port = htons((uint16_t)port);
    in6->sin6_addr = in6addr_loopback;
    return sizeof *in6;
}

/// The port that a socket is bound to, in host order.
static inline int port_of(int s) {
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof at;
    if (getsockname(s, (struct sockaddr *)&at, &len)) return -1;
    return ntohs(at.ss_family == AF_INET ? ((struct sockaddr_in *)&at)->sin_port
                                         : ((struct sockaddr_in6 *)&at)->sin6_port);
}

/// A new socket bound to the loopback, at a port that was free.
static inline int bound(int family, int type) {
    struct sockaddr_storage at;
    socklen_t len = loopback(&at, family, 0);
    int s = socket(family, type, 0);
    CHECK(s >= 0);
    CHECK_EQ(bind(s, (struct sockaddr *)&at, len), 0);
    return s;
}

/// A new listener on the loopback.
static inline int listener(int family, int type_flags) {
    int s = bound(family, SOCK_STREAM | type_flags);
    CHECK_EQ(listen(s, 16), 0);
    return s;
}

/// connect(2) to a port of the loopback.
static inline int connect_to(int s, int family, int port) {
    struct sockaddr_storage at;
    socklen_t len = loopback(&at, family, port);
    return connect(s, (struct sockaddr *)&at, len);
}

/// Two stream sockets that are connected to each other over the loopback.
static inline void tcp_pair(int s[2], int family) {
    int l = listener(family, 0);
    s[0] = socket(family, SOCK_STREAM, 0);
    CHECK_EQ(connect_to(s[0], family, port_of(l)), 0);
    s[1] = accept(l, 0, 0);
    CHECK(s[1] >= 0);
    close(l);
}

/// Waits until one of `events` is ready and returns what is, or 0.
static inline int wait_for(int s, int events) {
    struct pollfd p = {s, (short)events, 0};
    int n = poll(&p, 1, PATIENCE_MS);
    return n == 1 ? p.revents : 0;
}

/// Waits until nothing is ready any more of `events`.
static inline int wait_until_not(int s, int events) {
    for (int i = 0; i < PATIENCE_MS; i++) {
        struct pollfd p = {s, (short)events, 0};
        if (poll(&p, 1, 0) == 0) return 1;
        usleep(1000);
    }
    return 0;
}

static inline int option_of(int s, int level, int name) {
    int value = -1;
    socklen_t len = sizeof value;
    if (getsockopt(s, level, name, &value, &len)) return -1;
    return value;
}
