//! Sends back what comes by TCP at port 7 (IPv4) and 8 (IPv6, both families), and by UDP at
//! port 7, until a client's bytes begin with "end".
//! build: static
#include "../check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define MOST 2048

static int serve(int family, int type, int port) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    void *at = family == AF_INET ? (void *)&v4 : (void *)&v6;
    socklen_t len = family == AF_INET ? sizeof v4 : sizeof v6;
    int s = socket(family, type | SOCK_NONBLOCK, 0), one = 1;
    CHECK_EQ(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
    CHECK_EQ(bind(s, at, len), 0);
    if (type == SOCK_STREAM) CHECK_EQ(listen(s, 1024), 0);
    CHECK_EQ(getsockname(s, at, &len), 0);
    CHECK_EQ(ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port), port);
    return s;
}

/// A new connection, which is at the listener's port, as the guest knows it.
static int taken(int listener, int port) {
    struct sockaddr_in6 at;
    socklen_t len = sizeof at;
    int s = accept4(listener, 0, 0, SOCK_NONBLOCK);
    if (s < 0) return -1;
    CHECK_EQ(getsockname(s, (struct sockaddr *)&at, &len), 0);
    CHECK_EQ(ntohs(at.sin6_port), port);
    return s;
}

int main(void) {
    static struct pollfd polls[MOST];
    static char bytes[65536];
    struct rlimit files = {MOST + 16, MOST + 16};
    setrlimit(RLIMIT_NOFILE, &files);
    int count = 3, running = 1;
    polls[0] = (struct pollfd){serve(AF_INET, SOCK_STREAM, 7), POLLIN, 0};
    polls[1] = (struct pollfd){serve(AF_INET6, SOCK_STREAM, 8), POLLIN, 0};
    polls[2] = (struct pollfd){serve(AF_INET, SOCK_DGRAM, 7), POLLIN, 0};
    puts("ready");
    fflush(stdout);
    while (running && poll(polls, (nfds_t)count, -1) > 0) {
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(polls[2].fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &len);
        if (n >= 0) CHECK_EQ(sendto(polls[2].fd, bytes, (size_t)n, 0, (struct sockaddr *)&from, len), n);
        for (int i = count - 1; i > 2; i--) {
            if (!polls[i].revents) continue;
            n = recv(polls[i].fd, bytes, sizeof bytes, 0);
            if (n < 0 && errno == EAGAIN) continue;
            if (n > 2 && !memcmp(bytes, "end", 3)) running = 0;
            if (n <= 0 || send(polls[i].fd, bytes, (size_t)n, MSG_NOSIGNAL) != n) {
                close(polls[i].fd);
                polls[i] = polls[--count];
            }
        }
        for (int i = 0; i < 2; i++) {
            int s;
            while (count < MOST && (s = taken(polls[i].fd, 7 + i)) >= 0) polls[count++] = (struct pollfd){s, POLLIN, 0};
        }
    }
    return done("echo");
}
