//! inet_nonblocking: connects that go on by themselves, poll, select and epoll by level and by edge, EAGAIN.
//! build: static, musl-static
//! cpus: 1, 2
#include "inet.h"
#include <sys/epoll.h>
#include <sys/select.h>

static int one(int ep, struct epoll_event *e, int ms) { return epoll_wait(ep, e, 1, ms); }

static void watch(int ep, int s, uint32_t events) {
    struct epoll_event e = {.events = events, .data.fd = s};
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, s, &e), 0);
}

static void a_connect_goes_on(void) {
    int l = listener(AF_INET, SOCK_NONBLOCK), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK_FAILS(accept(l, 0, 0), EAGAIN);
    CHECK_EQ(wait_for(c, POLLIN | POLLOUT), POLLOUT | POLLHUP);
    CHECK_FAILS(connect_to(c, AF_INET, port_of(l)), EINPROGRESS);
    CHECK_EQ(wait_for(c, POLLIN | POLLOUT), POLLOUT);
    CHECK_EQ(option_of(c, SOL_SOCKET, SO_ERROR), 0);
    // The first one after that says that it worked.
    CHECK_EQ(connect_to(c, AF_INET, port_of(l)), 0);
    CHECK_FAILS(connect_to(c, AF_INET, port_of(l)), EISCONN);
    CHECK_EQ(wait_for(l, POLLIN | POLLOUT), POLLIN);
    int a = accept4(l, 0, 0, SOCK_NONBLOCK);
    CHECK(a >= 0);
    CHECK_FAILS(accept(l, 0, 0), EAGAIN);
    char got[8];
    CHECK_FAILS(read(a, got, 8), EAGAIN);
    CHECK_EQ(write(c, "hi", 2), 2);
    CHECK_EQ(wait_for(a, POLLIN), POLLIN);
    CHECK_EQ(wait_for(a, POLLIN | POLLOUT), POLLIN | POLLOUT);
    CHECK_EQ(read(a, got, 8), 2);
    CHECK(wait_until_not(a, POLLIN));
    // FIONBIO does what O_NONBLOCK does.
    int off = 0, on = 1;
    CHECK_EQ(ioctl(a, FIONBIO, &off), 0);
    CHECK(!(fcntl(a, F_GETFL) & O_NONBLOCK));
    CHECK_EQ(ioctl(a, FIONBIO, &on), 0);
    CHECK_FAILS(read(a, got, 8), EAGAIN);
    close(a);
    close(c);
    close(l);
}

static void a_connect_is_refused(void) {
    int gone = bound(AF_INET, SOCK_STREAM), port = port_of(gone);
    close(gone);
    int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK_FAILS(connect_to(c, AF_INET, port), EINPROGRESS);
    CHECK(wait_for(c, POLLOUT) & POLLERR);
    CHECK_EQ(option_of(c, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    CHECK_EQ(option_of(c, SOL_SOCKET, SO_ERROR), 0);
    close(c);
    c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_FAILS(connect_to(c, AF_INET, port), ECONNREFUSED);
    // It can be tried again, elsewhere.
    int l = listener(AF_INET, 0);
    CHECK_EQ(connect_to(c, AF_INET, port_of(l)), 0);
    close(c);
    close(l);
}

static void a_full_stream_is_not_writable(void) {
    static char chunk[65536], got[262144];
    int s[2], small = 16384;
    tcp_pair(s, AF_INET);
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    CHECK_EQ(option_of(s[0], SOL_SOCKET, SO_SNDBUF), 2 * small);
    fcntl(s[0], F_SETFL, O_NONBLOCK);
    fcntl(s[1], F_SETFL, O_NONBLOCK);
    int ep = epoll_create1(0);
    struct epoll_event e;
    watch(ep, s[0], EPOLLOUT | EPOLLET);
    CHECK_EQ(one(ep, &e, PATIENCE_MS), 1);
    size_t sent = 0, have = 0;
    ssize_t n;
    for (int tries = 0; tries < 20; tries++) {
        while ((n = write(s[0], chunk, sizeof chunk)) > 0) sent += (size_t)n;
        CHECK_EQ(errno, EAGAIN);
        // Bytes that reach the other end make room for a moment.
        if (tries < 19) usleep(1000);
    }
    CHECK(sent > 16384);
    while (have < sent) {
        if ((n = read(s[1], got, sizeof got)) > 0) have += (size_t)n;
        else if (wait_for(s[1], POLLIN) != POLLIN) break;
    }
    CHECK_EQ(have, sent);
    CHECK_EQ(wait_for(s[0], POLLOUT), POLLOUT);
    CHECK_EQ(one(ep, &e, PATIENCE_MS), 1);
    CHECK_EQ(e.events, EPOLLOUT);
    close(ep);
    close(s[0]);
    close(s[1]);
}

static void levels_and_edges(void) {
    int s[2], level = epoll_create1(EPOLL_CLOEXEC), edge = epoll_create1(0), once = epoll_create1(0);
    struct epoll_event e;
    char got[16];
    tcp_pair(s, AF_INET);
    watch(level, s[1], EPOLLIN);
    watch(edge, s[1], EPOLLIN | EPOLLRDHUP | EPOLLET);
    watch(once, s[1], EPOLLIN | EPOLLONESHOT);
    CHECK_EQ(one(level, &e, 0) + one(edge, &e, 0) + one(once, &e, 0), 0);
    CHECK_EQ(write(s[0], "abcd", 4), 4);
    CHECK_EQ(one(level, &e, PATIENCE_MS), 1);
    CHECK(e.events == EPOLLIN && e.data.fd == s[1]);
    CHECK_EQ(one(edge, &e, PATIENCE_MS), 1);
    CHECK_EQ(one(once, &e, PATIENCE_MS), 1);
    CHECK_EQ(one(level, &e, PATIENCE_MS), 1);
    CHECK_EQ(one(edge, &e, 20), 0);
    CHECK_EQ(one(once, &e, 20), 0);
    // More bytes are another edge, although it was readable before.
    CHECK_EQ(write(s[0], "e", 1), 1);
    CHECK_EQ(one(edge, &e, PATIENCE_MS), 1);
    CHECK_EQ(one(edge, &e, 20), 0);
    CHECK_EQ(read(s[1], got, 16), 5);
    CHECK_EQ(one(level, &e, 20), 0);
    e = (struct epoll_event){.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 77};
    CHECK_EQ(epoll_ctl(once, EPOLL_CTL_MOD, s[1], &e), 0);
    CHECK_EQ(one(once, &e, 0), 0);
    shutdown(s[0], SHUT_WR);
    CHECK_EQ(one(edge, &e, PATIENCE_MS), 1);
    CHECK_EQ(e.events, EPOLLIN | EPOLLRDHUP);
    CHECK_EQ(one(once, &e, PATIENCE_MS), 1);
    CHECK(e.data.u64 == 77);
    // An event poll in another one tells of its sockets.
    int outer = epoll_create1(0), t[2];
    watch(outer, level, EPOLLIN);
    CHECK_EQ(one(outer, &e, PATIENCE_MS), 1);
    CHECK_EQ(epoll_ctl(level, EPOLL_CTL_DEL, s[1], 0), 0);
    CHECK_EQ(one(outer, &e, 0), 0);
    tcp_pair(t, AF_INET);
    watch(level, t[0], EPOLLIN);
    CHECK_EQ(one(outer, &e, 0), 0);
    CHECK_EQ(write(t[1], "x", 1), 1);
    CHECK_EQ(one(outer, &e, PATIENCE_MS), 1);
    struct pollfd p = {outer, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, PATIENCE_MS), 1);
    close(t[0]);
    CHECK_EQ(one(outer, &e, 0), 0);
    close(t[1]);
    close(outer);
    close(level);
    close(edge);
    close(once);
    close(s[0]);
    close(s[1]);
}

static void select_sees_them(void) {
    int s[2];
    fd_set in, out;
    tcp_pair(s, AF_INET);
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(s[0], &in);
    FD_SET(s[1], &in);
    FD_SET(s[0], &out);
    struct timeval t = {PATIENCE_MS / 1000, 0};
    CHECK_EQ(select(s[0] + s[1] + 1, &in, &out, 0, &t), 1);
    CHECK(FD_ISSET(s[0], &out) && !FD_ISSET(s[0], &in) && !FD_ISSET(s[1], &in));
    CHECK_EQ(write(s[0], "x", 1), 1);
    FD_ZERO(&in);
    FD_SET(s[1], &in);
    CHECK_EQ(select(s[1] + 1, &in, 0, 0, 0), 1);
    CHECK(FD_ISSET(s[1], &in));
    close(s[0]);
    close(s[1]);
}

/// Many connections in one event poll, all served from it.
static void a_server_in_one_loop(void) {
    enum { CLIENTS = 40, ROUNDS = 10 };
    int l = listener(AF_INET, SOCK_NONBLOCK), ep = epoll_create1(0), clients[CLIENTS], left = CLIENTS, served = 0;
    int rounds[CLIENTS] = {0};
    struct epoll_event events[16];
    watch(ep, l, EPOLLIN | EPOLLET);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        int outcome = connect_to(clients[i], AF_INET, port_of(l));
        CHECK(outcome == 0 || errno == EINPROGRESS);
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = 1000 + (unsigned)i};
        CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, clients[i], &e), 0);
        // The backlog is for 16.
        if (i % 8 == 7) usleep(10000);
        int a;
        while ((a = accept4(l, 0, 0, SOCK_NONBLOCK)) >= 0) watch(ep, a, EPOLLIN | EPOLLET);
    }
    while (left > 0) {
        int n = epoll_wait(ep, events, 16, PATIENCE_MS);
        if (n <= 0) break;
        for (int i = 0; i < n; i++) {
            int s = events[i].data.fd;
            char got[64];
            ssize_t len;
            if (s == l) {
                int a;
                while ((a = accept4(l, 0, 0, SOCK_NONBLOCK)) >= 0) watch(ep, a, EPOLLIN | EPOLLET);
            } else if (s < 1000) {
                while ((len = read(s, got, sizeof got)) > 0) served += write(s, got, (size_t)len) == len;
                if (len == 0) close(s);
            } else {
                int c = s - 1000;
                if (clients[c] < 0) continue;
                while (read(clients[c], got, sizeof got) > 0) rounds[c]++;
                if (rounds[c] >= ROUNDS) {
                    close(clients[c]);
                    clients[c] = -1;
                    left--;
                } else if (events[i].events & (EPOLLIN | EPOLLOUT)) {
                    // One at a time, each after the answer to the last.
                    static int asked[CLIENTS];
                    if (asked[c] == rounds[c]) asked[c] += write(clients[c], "ping", 4) == 4;
                }
            }
        }
    }
    CHECK_EQ(left, 0);
    CHECK_EQ(served, CLIENTS * ROUNDS);
    close(ep);
    close(l);
}

/// A socket that left its connection can be connected again, and knows nothing of before.
static void a_socket_is_connected_again(void) {
    struct linger at_once = {1, 0};
    for (int shut = 0; shut < 2; shut++) {
        int l = listener(AF_INET, 0), s = socket(AF_INET, SOCK_STREAM, 0);
        char byte = 0;
        CHECK_EQ(connect_to(s, AF_INET, port_of(l)), 0);
        int a = accept(l, 0, 0);
        CHECK_EQ(write(a, "1", 1), 1);
        CHECK_EQ(read(s, &byte, 1), 1);
        if (shut) CHECK_EQ(shutdown(s, SHUT_RDWR), 0);
        CHECK_EQ(setsockopt(a, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
        close(a);
        CHECK(wait_for(s, POLLHUP) & POLLHUP);
        CHECK_FAILS(read(s, &byte, 1), ECONNRESET);
        struct sockaddr none = {.sa_family = AF_UNSPEC};
        CHECK_EQ(connect(s, &none, shut ? sizeof none : sizeof none.sa_family), 0);
        CHECK_EQ(connect_to(s, AF_INET, port_of(l)), 0);
        a = accept(l, 0, 0);
        CHECK_FAILS(recv(s, &byte, 1, MSG_DONTWAIT), EAGAIN);
        CHECK_EQ(write(a, "2", 1), 1);
        CHECK_EQ(recv(s, &byte, 1, MSG_WAITALL), 1);
        CHECK_EQ(byte, '2');
        CHECK_EQ(write(s, "3", 1), 1);
        CHECK_EQ(recv(a, &byte, 1, MSG_WAITALL), 1);
        close(a);
        CHECK_EQ(read(s, &byte, 1), 0);
        close(s);
        close(l);
    }
}

/// A byte that is urgent is there for who asks for it, also where it is all that came.
static void an_urgent_byte_is_not_passed(void) {
    for (int before = 0; before < 2; before++) {
        int s[2], l = listener(AF_INET, 0);
        char byte = 0, rest[8];
        s[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        CHECK(connect_to(s[0], AF_INET, port_of(l)) == 0 || errno == EINPROGRESS);
        s[1] = accept(l, 0, 0);
        CHECK(s[1] >= 0);
        CHECK(wait_for(s[0], POLLOUT) & POLLOUT);
        if (before) {
            // The connection was used already.
            CHECK_EQ(write(s[0], "q", 1), 1);
            CHECK_EQ(read(s[1], &byte, 1), 1);
        }
        CHECK_EQ(send(s[1], "!", 1, MSG_OOB), 1);
        CHECK(wait_for(s[0], POLLPRI) & POLLPRI);
        CHECK_EQ(write(s[1], "after", 5), 5);
        CHECK(wait_for(s[0], POLLIN) & POLLIN);
        CHECK_EQ(recv(s[0], &byte, 1, MSG_OOB), 1);
        CHECK_EQ(byte, '!');
        CHECK_FAILS(recv(s[0], &byte, 1, MSG_OOB), EINVAL);
        CHECK_EQ(recv(s[0], rest, sizeof rest, 0), 5);
        CHECK(!memcmp(rest, "after", 5));
        close(s[0]);
        close(s[1]);
        close(l);
    }
}

int main(void) {
    a_connect_goes_on();
    a_connect_is_refused();
    a_full_stream_is_not_writable();
    levels_and_edges();
    select_sees_them();
    a_server_in_one_loop();
    an_urgent_byte_is_not_passed();
    a_socket_is_connected_again();
    return done("inet_nonblocking");
}
