//! waiting_threads: threads that block in reads, polls, epoll and locks while others act.
//! build: static
//! options: --cpus 2
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

enum { THREADS = 8, ROUNDS = 2000 };

static pthread_t threads[THREADS];

static void *run(void *(*body)(void *), int count) {
    for (long i = 0; i < count; i++) pthread_create(&threads[i], NULL, body, (void *)i);
    return NULL;
}

static void join(int count) {
    for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

/// Long enough for a thread to be blocked, mostly.
static void pause_shortly(void) { nanosleep(&(struct timespec){0, 2000000}, NULL); }

static int there[2], back[2];

static void *echo(void *unused) {
    char byte;
    (void)unused;
    while (read(there[0], &byte, 1) == 1) CHECK_EQ(write(back[1], &byte, 1), 1);
    return NULL;
}

/// A byte goes back and forth: a lost wake-up hangs.
static void ping_pong(void) {
    CHECK_EQ(pipe(there) | pipe(back), 0);
    run(echo, 1);
    struct pollfd fd = {back[0], POLLIN, 0};
    for (int i = 0; i < ROUNDS; i++) {
        char out = (char)i, got = 0;
        CHECK_EQ(write(there[1], &out, 1), 1);
        if (i % 2) CHECK_EQ(poll(&fd, 1, -1), 1);
        CHECK(read(back[0], &got, 1) == 1 && got == out);
    }
    close(there[1]);
    join(1);
    close(there[0]);
    close(back[0]);
    close(back[1]);
}

struct line {
    int writer, number;
    char text[1000];
};

static void *write_lines(void *argument) {
    struct line line = {.writer = (int)(long)argument};
    memset(line.text, 'a' + line.writer, sizeof line.text);
    for (line.number = 0; line.number < 300; line.number++) CHECK_EQ(write(there[1], &line, sizeof line), sizeof line);
    return NULL;
}

/// Writes up to PIPE_BUF stay in one piece, in order for each writer.
static void many_writers(void) {
    CHECK_EQ(pipe(there), 0);
    run(write_lines, 4);
    int next[4] = {0};
    for (int i = 0; i < 4 * 300; i++) {
        struct line line;
        size_t have = 0;
        while (have < sizeof line) have += (size_t)read(there[0], (char *)&line + have, sizeof line - have);
        CHECK(line.writer >= 0 && line.writer < 4 && line.number == next[line.writer]++);
        for (size_t j = 0; j < sizeof line.text; j++)
            if (line.text[j] != 'a' + line.writer) {
                WRONG("writer %d was interrupted at %zu", line.writer, j);
                break;
            }
    }
    join(4);
    close(there[0]);
    close(there[1]);
}

static int counter, done_count;

static void *take_one(void *unused) {
    uint64_t value;
    (void)unused;
    for (int i = 0; i < ROUNDS / 10; i++) {
        CHECK(read(counter, &value, 8) == 8 && value == 1);
        __atomic_fetch_add(&done_count, 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

/// Each unit of a semaphore reaches one of many readers.
static void semaphore(void) {
    counter = eventfd(0, EFD_SEMAPHORE);
    run(take_one, THREADS);
    uint64_t two = 2;
    for (int i = 0; i < THREADS * ROUNDS / 20; i++) CHECK_EQ(write(counter, &two, 8), 8);
    join(THREADS);
    CHECK_EQ(done_count, THREADS * ROUNDS / 10);
    close(counter);
}

static int epolls[THREADS], stop;

static void *serve(void *argument) {
    int mine = epolls[(long)argument];
    struct epoll_event got;
    uint64_t value;
    for (;;) {
        CHECK_EQ(epoll_wait(mine, &got, 1, -1), 1);
        if (got.data.fd == stop) return NULL;
        // Edge-triggered: all there is, and another thread may have been faster.
        while (read(got.data.fd, &value, 8) == 8) __atomic_fetch_add(&done_count, (int)value, __ATOMIC_SEQ_CST);
    }
}

static void shared_epoll(int separate, uint32_t flags) {
    done_count = 0;
    stop = eventfd(0, 0);
    int events[16];
    for (int i = 0; i < THREADS; i++) {
        epolls[i] = i == 0 || separate ? epoll_create1(0) : epolls[0];
        struct epoll_event want = {EPOLLIN, {.fd = stop}};
        if (i == 0 || separate) CHECK_EQ(epoll_ctl(epolls[i], EPOLL_CTL_ADD, stop, &want), 0);
    }
    for (int e = 0; e < 16; e++) {
        events[e] = eventfd(0, EFD_NONBLOCK);
        struct epoll_event want = {EPOLLIN | EPOLLET | flags, {.fd = events[e]}};
        for (int i = 0; i < (separate ? THREADS : 1); i++) CHECK_EQ(epoll_ctl(epolls[i], EPOLL_CTL_ADD, events[e], &want), 0);
    }
    run(serve, THREADS);
    uint64_t one = 1;
    for (int i = 0; i < ROUNDS; i++) CHECK_EQ(write(events[i % 16], &one, 8), 8);
    while (__atomic_load_n(&done_count, __ATOMIC_SEQ_CST) < ROUNDS) pause_shortly();
    CHECK_EQ(write(stop, &one, 8), 8);
    join(THREADS);
    CHECK_EQ(done_count, ROUNDS);
    for (int e = 0; e < 16; e++) close(events[e]);
    for (int i = 0; i < (separate ? THREADS : 1); i++) close(epolls[i]);
    close(stop);
}

static int timer;

static void *read_timer(void *unused) {
    uint64_t value;
    (void)unused;
    CHECK(read(timer, &value, 8) == 8 && value == 1);
    return NULL;
}

static void *poll_timer(void *unused) {
    struct pollfd fd = {timer, POLLIN, 0};
    (void)unused;
    CHECK_EQ(poll(&fd, 1, -1), 1);
    return NULL;
}

static void *epoll_timer(void *unused) {
    struct epoll_event got;
    (void)unused;
    CHECK_EQ(epoll_wait(epolls[0], &got, 1, -1), 1);
    return NULL;
}

/// A timer that is set, or set to an earlier time, while others wait for it.
static void earlier_timer(void) {
    void *(*bodies[])(void *) = {read_timer, poll_timer, epoll_timer};
    for (int late = 0; late < 2; late++)
        for (int i = 0; i < 3; i++) {
            timer = timerfd_create(CLOCK_MONOTONIC, 0);
            epolls[0] = epoll_create1(0);
            struct epoll_event want = {EPOLLIN, {.fd = timer}};
            CHECK_EQ(epoll_ctl(epolls[0], EPOLL_CTL_ADD, timer, &want), 0);
            struct itimerspec hour = {{0, 0}, {3600, 0}}, soon = {{0, 0}, {0, 1000000}};
            if (late) CHECK_EQ(timerfd_settime(timer, 0, &hour, NULL), 0);
            run(bodies[i], 1);
            pause_shortly();
            CHECK_EQ(timerfd_settime(timer, 0, &soon, NULL), 0);
            join(1);
            close(timer);
            close(epolls[0]);
        }
}

static int file_a, file_b;

static void *lock_both_kinds(void *unused) {
    (void)unused;
    CHECK_EQ(flock(file_b, LOCK_EX), 0);
    CHECK_EQ(__atomic_load_n(&done_count, __ATOMIC_SEQ_CST), 1);
    struct flock want = {.l_type = F_WRLCK, .l_len = 10};
    CHECK_EQ(fcntl(file_b, F_OFD_SETLKW, &want), 0);
    CHECK_EQ(__atomic_load_n(&done_count, __ATOMIC_SEQ_CST), 2);
    return NULL;
}

static void locks(void) {
    done_count = 0;
    file_a = open("f", O_RDWR | O_CREAT, 0600);
    file_b = open("f", O_RDWR);
    struct flock want = {.l_type = F_RDLCK, .l_start = 5, .l_len = 1};
    CHECK_EQ(flock(file_a, LOCK_SH), 0);
    CHECK_EQ(fcntl(file_a, F_OFD_SETLK, &want), 0);
    run(lock_both_kinds, 1);
    pause_shortly();
    __atomic_store_n(&done_count, 1, __ATOMIC_SEQ_CST);
    CHECK_EQ(flock(file_a, LOCK_UN), 0);
    pause_shortly();
    __atomic_store_n(&done_count, 2, __ATOMIC_SEQ_CST);
    close(file_a);
    join(1);
    close(file_b);
}

static int signals, watches;

static void *read_signal(void *unused) {
    struct signalfd_siginfo got;
    (void)unused;
    CHECK(read(signals, &got, sizeof got) == sizeof got && got.ssi_signo == SIGUSR1);
    return NULL;
}

static void *poll_signal(void *unused) {
    struct pollfd fd = {signals, POLLIN, 0};
    (void)unused;
    CHECK_EQ(poll(&fd, 1, -1), 1);
    return read_signal(NULL);
}

static void *read_watches(void *unused) {
    char raw[100];
    (void)unused;
    CHECK_EQ(read(watches, raw, sizeof raw), 32);
    return NULL;
}

/// Signals and changes of files end the waits of others.
static void signals_and_watches(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signals = signalfd(-1, &set, 0);
    for (int i = 0; i < 2; i++) {
        run(i ? poll_signal : read_signal, 1);
        pause_shortly();
        kill(getpid(), SIGUSR1);
        join(1);
    }
    watches = inotify_init();
    CHECK_EQ(inotify_add_watch(watches, ".", IN_CREATE), 1);
    run(read_watches, 1);
    pause_shortly();
    CHECK_EQ(mkdir("new", 0700), 0);
    join(1);
    close(watches);
    close(signals);
}

int main(void) {
    scratch();
    ping_pong();
    many_writers();
    semaphore();
    shared_epoll(0, 0);
    shared_epoll(1, 0);
    shared_epoll(1, EPOLLEXCLUSIVE);
    earlier_timer();
    locks();
    signals_and_watches();
    return done("waiting_threads");
}
