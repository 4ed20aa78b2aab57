//! inet_accept: connections that wait to be accepted: their order and addresses, readiness, several
//! that accept, listeners that end before; closing and taking the address again.
//! build: static, musl-static
//! cpus: 1, 2
#include "inet.h"
#include <pthread.h>
#include <sys/epoll.h>

enum { CLIENTS = 12 };

static int client_of(int port) {
    int s = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(s >= 0);
    CHECK_EQ(connect_to(s, AF_INET, port), 0);
    return s;
}

static void those_that_wait_come_in_their_order(void) {
    int l = listener(AF_INET, SOCK_NONBLOCK), c[CLIENTS], level = epoll_create1(0), edge = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN}, found;
    CHECK_EQ(epoll_ctl(level, EPOLL_CTL_ADD, l, &e), 0);
    e.events = EPOLLIN | EPOLLET;
    CHECK_EQ(epoll_ctl(edge, EPOLL_CTL_ADD, l, &e), 0);
    CHECK_FAILS(accept(l, 0, 0), EAGAIN);
    for (int i = 0; i < CLIENTS; i++) {
        char byte = (char)i;
        c[i] = client_of(port_of(l));
        CHECK_EQ(write(c[i], &byte, 1), 1);
    }
    CHECK_EQ(epoll_wait(edge, &found, 1, PATIENCE_MS), 1);
    for (int i = 0; i < CLIENTS; i++) {
        struct sockaddr_in from = {0};
        socklen_t len = sizeof from;
        char byte = -1;
        CHECK_EQ(epoll_wait(level, &found, 1, PATIENCE_MS), 1);
        CHECK(wait_for(l, POLLIN) & POLLIN);
        int s = accept4(l, (struct sockaddr *)&from, &len, SOCK_CLOEXEC);
        CHECK(s >= 0);
        CHECK_EQ(ntohs(from.sin_port), port_of(c[i]));
        CHECK_EQ(len, sizeof from);
        CHECK_EQ(read(s, &byte, 1), 1);
        CHECK_EQ(byte, i);
        CHECK_EQ(write(s, &byte, 1), 1);
        close(s);
        CHECK_EQ(read(c[i], &byte, 1), 1);
        CHECK_EQ(read(c[i], &byte, 1), 0);
        close(c[i]);
    }
    CHECK_FAILS(accept(l, 0, 0), EAGAIN);
    CHECK_EQ(epoll_wait(level, &found, 1, 0), 0);
    // Another one is another edge.
    while (epoll_wait(edge, &found, 1, 0) == 1) {}
    c[0] = client_of(port_of(l));
    CHECK_EQ(epoll_wait(edge, &found, 1, PATIENCE_MS), 1);
    close(accept(l, 0, 0));
    close(c[0]);
    close(level);
    close(edge);
    close(l);
}

static int shared, accepted_by[3];

/// Accepts until something is sent that says to stop.
static void *accepts(void *arg) {
    int *count = arg;
    for (;;) {
        int s = accept(shared, 0, 0);
        char byte = 0;
        CHECK(s >= 0);
        if (s < 0 || read(s, &byte, 1) != 1) return 0;
        CHECK_EQ(write(s, &byte, 1), 1);
        close(s);
        if (byte == 's') return 0;
        ++*count;
    }
}

static void several_accept_from_one(void) {
    enum { ROUNDS = 20 };
    pthread_t threads[3];
    shared = listener(AF_INET, 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], 0, accepts, &accepted_by[i]), 0);
    for (int round = 0; round < ROUNDS; round++) {
        int c[CLIENTS];
        char byte = 'x';
        for (int i = 0; i < CLIENTS; i++) c[i] = client_of(port_of(shared));
        for (int i = 0; i < CLIENTS; i++) CHECK_EQ(write(c[i], &byte, 1), 1);
        for (int i = 0; i < CLIENTS; i++) {
            CHECK_EQ(read(c[i], &byte, 1), 1);
            CHECK_EQ(read(c[i], &byte, 1), 0);
            close(c[i]);
        }
    }
    for (int i = 0; i < 3; i++) {
        char stop = 's';
        int c = client_of(port_of(shared));
        CHECK_EQ(write(c, &stop, 1), 1);
        CHECK_EQ(read(c, &stop, 1), 1);
        close(c);
    }
    for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
    CHECK_EQ(accepted_by[0] + accepted_by[1] + accepted_by[2], ROUNDS * CLIENTS);
    close(shared);
}

/// Three connections wait and the first is accepted; then the listener ends.
static void those_never_accepted_are_reset(int by_shutdown) {
    int l = listener(AF_INET, 0), c[3];
    char byte;
    for (int i = 0; i < 3; i++) c[i] = client_of(port_of(l));
    int s = accept(l, 0, 0);
    CHECK(s >= 0);
    if (by_shutdown) {
        CHECK_EQ(shutdown(l, SHUT_RD), 0);
        CHECK_FAILS(accept(l, 0, 0), EINVAL);
    } else {
        close(l);
    }
    for (int i = 1; i < 3; i++) CHECK_FAILS(read(c[i], &byte, 1), ECONNRESET);
    CHECK_EQ(write(s, "y", 1), 1);
    CHECK_EQ(read(c[0], &byte, 1), 1);
    if (by_shutdown) close(l);
    for (int i = 0; i < 3; i++) close(c[i]);
    close(s);
}

/// A server that ends and starts again, and a client with a port of its own.
static void an_address_is_free_once_its_socket_is_closed(void) {
    int yes = 1, port = 0;
    for (int round = 0; round < 20; round++) {
        struct sockaddr_storage at;
        socklen_t len = loopback(&at, AF_INET, port);
        int l = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_EQ(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), 0);
        CHECK_EQ(bind(l, (struct sockaddr *)&at, len), 0);
        CHECK_EQ(listen(l, 4), 0);
        port = port_of(l);
        int c = client_of(port), s = accept(l, 0, 0);
        char byte;
        CHECK_EQ(write(s, "z", 1), 1);
        close(s);
        close(l);
        CHECK_EQ(read(c, &byte, 1), 1);
        CHECK_EQ(read(c, &byte, 1), 0);
        close(c);
        // Nobody listens between two rounds.
        c = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_FAILS(connect_to(c, AF_INET, port), ECONNREFUSED);
        close(c);
    }
}

/// What was written before closing comes, and then the end, for many in a row.
static void closing_loses_nothing(void) {
    static char data[20000], got[20001];
    int l = listener(AF_INET, 0);
    for (size_t i = 0; i < sizeof data; i++) data[i] = (char)(i * 7);
    for (int round = 0; round < 200; round++) {
        size_t len = (size_t)(round * 97 % 20000) + 1;
        int c = client_of(port_of(l)), s = accept(l, 0, 0);
        CHECK_EQ(write(s, data, len), (ssize_t)len);
        close(s);
        CHECK_EQ(recv(c, got, sizeof got, MSG_WAITALL), (ssize_t)len);
        CHECK(!memcmp(got, data, len));
        close(c);
    }
    close(l);
}

int main(void) {
    those_that_wait_come_in_their_order();
    several_accept_from_one();
    those_never_accepted_are_reset(0);
    those_never_accepted_are_reset(1);
    an_address_is_free_once_its_socket_is_closed();
    closing_loses_nothing();
    return done("inet_accept");
}
