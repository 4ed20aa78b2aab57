//! restarts: a call with a socket timeout does not start again; signals that nobody notices end no wait.
//! build: static
//! flags: -pthread
//! cpus: 1, 2
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

static __thread volatile int handled;
static volatile int ended;
static void on_signal(int number) { handled += number != 0; }

static void alarm_soon(void) {
    struct itimerval soon = {.it_value = {0, 50000}};
    setitimer(ITIMER_REAL, &soon, NULL);
}

/// SA_RESTART or not: EINTR, where there is a timeout.
static void socket_timeouts(void) {
    int s[2];
    char byte, full[4096] = {0};
    struct timeval long_time = {60, 0};
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &long_time, sizeof long_time), 0);
    alarm_soon();
    CHECK_FAILS(recv(s[0], &byte, 1, 0), EINTR);
    CHECK_EQ(handled, 1);
    alarm_soon();
    CHECK_FAILS(read(s[0], &byte, 1), EINTR);
    CHECK_EQ(handled, 2);
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &long_time, sizeof long_time), 0);
    while (send(s[0], full, sizeof full, MSG_DONTWAIT) > 0) {}
    alarm_soon();
    CHECK_FAILS(send(s[0], full, sizeof full, 0), EINTR);
    CHECK_EQ(handled, 3);
    close(s[0]);
    close(s[1]);
}

/// A pending signal that is ignored by default: the wait goes on to its end.
static void ignored(void) {
    sigset_t child, none;
    sigemptyset(&none);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    CHECK_EQ(sigprocmask(SIG_BLOCK, &child, NULL), 0);
    raise(SIGCHLD);
    struct timespec start, end, wait = {0, 50000000};
    clock_gettime(CLOCK_MONOTONIC, &start);
    CHECK_EQ(ppoll(NULL, 0, &wait, &none), 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK((end.tv_sec - start.tv_sec) * 1000000000L + end.tv_nsec - start.tv_nsec >= 50000000);
    CHECK_EQ(sigprocmask(SIG_UNBLOCK, &child, NULL), 0);
}

/// Only who ran the handler sees EINTR.
static void *sleep_on(void *unused) {
    (void)unused;
    while (!ended) {
        int before = handled;
        int result = nanosleep(&(struct timespec){0, 200000}, NULL);
        CHECK(result == 0 || (errno == EINTR && handled > before));
    }
    return NULL;
}

static void taken_by_another(void) {
    pthread_t sleepers[3];
    sigset_t user;
    sigemptyset(&user);
    sigaddset(&user, SIGUSR1);
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&sleepers[i], NULL, sleep_on, NULL), 0);
    pthread_sigmask(SIG_BLOCK, &user, NULL);
    for (int i = 0; i < 300; i++) {
        kill(getpid(), SIGUSR1);
        nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    ended = 1;
    for (int i = 0; i < 3; i++) pthread_join(sleepers[i], NULL);
}

int main(void) {
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &act, NULL);
    sigaction(SIGUSR1, &act, NULL);
    socket_timeouts();
    ignored();
    taken_by_another();
    return done("restarts");
}
