//! inet_threads: threads that serve, connect, wait and are interrupted at once; a close while another waits.
//! build: static, musl-static
//! cpus: 1, 2
#include "inet.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

enum { SERVERS = 4, CLIENTS = 6, ROUNDS = 25 };

static int port, listening;
static atomic_int echoed, interrupted;

static void on_signal(int signal) { interrupted += signal == SIGUSR1; }

static void *serve(void *arg) {
    (void)arg;
    for (;;) {
        int a = accept(listening, 0, 0);
        if (a < 0) return 0;
        char got[512];
        ssize_t n;
        while ((n = recv(a, got, sizeof got, 0)) > 0)
            if (send(a, got, (size_t)n, 0) != n) WRONG("short send");
        CHECK_EQ(n, 0);
        close(a);
    }
}

static void *ask(void *arg) {
    char text[256], got[256];
    for (int i = 0; i < ROUNDS; i++) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_EQ(connect_to(s, AF_INET, port), 0);
        for (int j = 0; j < 3; j++) {
            memset(text, 'a' + (i + j + (int)(long)arg) % 26, sizeof text);
            CHECK_EQ(send(s, text, sizeof text, 0), sizeof text);
            CHECK_EQ(recv(s, got, sizeof got, MSG_WAITALL), sizeof got);
            CHECK(!memcmp(text, got, sizeof got));
            echoed++;
        }
        close(s);
    }
    return 0;
}

static void many_serve_many(void) {
    pthread_t servers[SERVERS], clients[CLIENTS];
    listening = listener(AF_INET, 0);
    port = port_of(listening);
    for (int i = 0; i < SERVERS; i++) pthread_create(&servers[i], 0, serve, 0);
    for (long i = 0; i < CLIENTS; i++) pthread_create(&clients[i], 0, ask, (void *)i);
    for (int i = 0; i < CLIENTS; i++) pthread_join(clients[i], 0);
    CHECK_EQ(echoed, CLIENTS * ROUNDS * 3);
    // All who wait in accept are told that there is no more.
    CHECK_EQ(shutdown(listening, SHUT_RD), 0);
    for (int i = 0; i < SERVERS; i++) pthread_join(servers[i], 0);
    CHECK_FAILS(accept(listening, 0, 0), EINVAL);
    close(listening);
}

static void *receives(void *arg) {
    char got[8];
    return (void *)recv(*(int *)arg, got, sizeof got, 0);
}

static void a_close_does_not_end_a_wait(void) {
    int s[2];
    pthread_t thread;
    void *n = 0;
    tcp_pair(s, AF_INET);
    int other = s[0];
    pthread_create(&thread, 0, receives, &other);
    usleep(50000);
    // The call holds the socket: it gets what comes.
    close(s[0]);
    CHECK_EQ(write(s[1], "abc", 3), 3);
    pthread_join(thread, &n);
    CHECK_EQ((long)n, 3);
    close(s[1]);
    tcp_pair(s, AF_INET);
    pthread_create(&thread, 0, receives, &s[0]);
    usleep(50000);
    // But this ends it.
    CHECK_EQ(shutdown(s[0], SHUT_RDWR), 0);
    pthread_join(thread, &n);
    CHECK_EQ((long)n, 0);
    close(s[0]);
    close(s[1]);
}

struct call {
    int s;
    long outcome;
    int error;
    atomic_int is_over;
};

static void *receives_interrupted(void *arg) {
    struct call *call = arg;
    char got[8];
    call->outcome = recv(call->s, got, sizeof got, 0);
    call->error = errno;
    call->is_over = 1;
    return 0;
}

static void *accepts_interrupted(void *arg) {
    struct call *call = arg;
    call->outcome = accept(call->s, 0, 0);
    call->error = errno;
    call->is_over = 1;
    return 0;
}

static void kill_soon(pthread_t thread) {
    usleep(20000);
    pthread_kill(thread, SIGUSR1);
    usleep(1000);
}

static void interrupt(pthread_t thread, int wanted) {
    int before = interrupted;
    for (int i = 0; i < PATIENCE_MS && interrupted < before + wanted; i++) kill_soon(thread);
}

/// A signal that comes before the call interrupts nothing: there are more.
static void interrupt_call(pthread_t thread, struct call *call) {
    for (int i = 0; i < PATIENCE_MS && !call->is_over; i++) kill_soon(thread);
}

static void signals_interrupt(void) {
    int s[2], l = listener(AF_INET, 0);
    pthread_t thread;
    struct sigaction once = {.sa_handler = on_signal}, again = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    tcp_pair(s, AF_INET);
    struct call call = {.s = s[0]};
    sigaction(SIGUSR1, &once, 0);
    pthread_create(&thread, 0, receives_interrupted, &call);
    interrupt_call(thread, &call);
    pthread_join(thread, 0);
    CHECK(call.outcome == -1 && call.error == EINTR);
    call = (struct call){.s = l};
    pthread_create(&thread, 0, accepts_interrupted, &call);
    interrupt_call(thread, &call);
    pthread_join(thread, 0);
    CHECK(call.outcome == -1 && call.error == EINTR);
    // Started again, it ends with what comes.
    sigaction(SIGUSR1, &again, 0);
    call = (struct call){.s = s[0]};
    pthread_create(&thread, 0, receives_interrupted, &call);
    interrupt(thread, 3);
    CHECK_EQ(write(s[1], "ab", 2), 2);
    pthread_join(thread, 0);
    CHECK_EQ(call.outcome, 2);
    // With a timeout it is not.
    struct timeval t = {PATIENCE_MS / 1000, 0};
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
    call = (struct call){.s = s[0]};
    pthread_create(&thread, 0, receives_interrupted, &call);
    interrupt_call(thread, &call);
    pthread_join(thread, 0);
    CHECK(call.outcome == -1 && call.error == EINTR);
    close(s[0]);
    close(s[1]);
    close(l);
}

static int shared_poll;

static void *adds_late(void *arg) {
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = 5};
    usleep(50000);
    CHECK_EQ(epoll_ctl(shared_poll, EPOLL_CTL_ADD, *(int *)arg, &e), 0);
    usleep(50000);
    return 0;
}

static void *sends_later(void *arg) {
    usleep(200000);
    CHECK_EQ(write(*(int *)arg, "x", 1), 1);
    return 0;
}

/// A socket that is added while somebody waits already is waited for as well.
static void watched_while_waiting(void) {
    int s[2];
    pthread_t thread;
    struct epoll_event e = {0};
    tcp_pair(s, AF_INET);
    shared_poll = epoll_create1(0);
    pthread_create(&thread, 0, adds_late, &s[0]);
    // Sent much later than the watch began.
    pthread_t sender;
    int copy = s[1];
    pthread_create(&sender, 0, sends_later, &copy);
    CHECK_EQ(epoll_wait(shared_poll, &e, 1, PATIENCE_MS), 1);
    CHECK(e.events == EPOLLIN && e.data.u32 == 5);
    pthread_join(thread, 0);
    pthread_join(sender, 0);
    close(shared_poll);
    close(s[0]);
    close(s[1]);
}

static atomic_int stop;

static void *spins(void *arg) {
    (void)arg;
    for (volatile long i = 0; !stop; i++) continue;
    return 0;
}

static void *echoes(void *arg) {
    char c;
    int s = *(int *)arg;
    while (recv(s, &c, 1, 0) == 1) CHECK_EQ(send(s, &c, 1, 0), 1);
    return 0;
}

/// A thread that computes does not keep another from its bytes.
static void busy_threads_are_interrupted(void) {
    int s[2];
    char got[4];
    pthread_t busy[2], echo;
    tcp_pair(s, AF_INET);
    for (int i = 0; i < 2; i++) pthread_create(&busy[i], 0, spins, 0);
    pthread_create(&echo, 0, echoes, &s[1]);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(send(s[0], "a", 1, 0), 1);
        CHECK_EQ(recv(s[0], got, 1, 0), 1);
    }
    shutdown(s[0], SHUT_WR);
    pthread_join(echo, 0);
    stop = 1;
    for (int i = 0; i < 2; i++) pthread_join(busy[i], 0);
    close(s[0]);
    close(s[1]);
}

int main(void) {
    many_serve_many();
    a_close_does_not_end_a_wait();
    signals_interrupt();
    watched_while_waiting();
    busy_threads_are_interrupted();
    return done("inet_threads");
}
