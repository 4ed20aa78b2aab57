//! epoll: edges, one-shots, exclusive watches, event polls in event polls, closed files.
//! build: static
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static struct epoll_event got[2000];

static int ctl(int poll, int op, int fd, uint32_t events, uint64_t data) {
    struct epoll_event want = {events, {.u64 = data}};
    return epoll_ctl(poll, op, fd, &want);
}

static int look(int poll) { return epoll_wait(poll, got, 2000, 0); }

static void add_to(int event, uint64_t value) { CHECK_EQ(write(event, &value, 8), 8); }

static uint64_t take(int event) {
    uint64_t value = 0;
    CHECK_EQ(read(event, &value, 8), 8);
    return value;
}

static void edges(void) {
    int poll = epoll_create1(0), event = eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE);
    CHECK_EQ(ctl(poll, EPOLL_CTL_ADD, event, EPOLLIN | EPOLLET, 7), 0);
    CHECK_EQ(look(poll), 0);
    add_to(event, 2);
    CHECK_EQ(look(poll), 1);
    CHECK(got[0].events == EPOLLIN && got[0].data.u64 == 7);
    CHECK_EQ(look(poll), 0);
    add_to(event, 1); // a new event, though it was ready before
    CHECK_EQ(look(poll), 1);
    CHECK_EQ(take(event), 1); // tells writers only
    CHECK_EQ(look(poll), 0);
    CHECK_EQ(ctl(poll, EPOLL_CTL_MOD, event, EPOLLIN | EPOLLOUT | EPOLLET, 8), 0);
    CHECK_EQ(look(poll), 1); // looked at anew
    CHECK(got[0].events == (EPOLLIN | EPOLLOUT) && got[0].data.u64 == 8);
    add_to(event, 1);
    take(event);
    CHECK_EQ(look(poll), 1); // both at once

    int p[2];
    CHECK_EQ(pipe2(p, O_NONBLOCK), 0);
    CHECK_EQ(ctl(poll, EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLRDHUP | EPOLLET, 1), 0);
    CHECK_EQ(ctl(poll, EPOLL_CTL_ADD, p[1], EPOLLIN | EPOLLOUT | EPOLLET, 2), 0);
    CHECK_EQ(look(poll), 1);
    CHECK(got[0].events == EPOLLOUT && got[0].data.u64 == 2);
    CHECK_EQ(write(p[1], "abc", 3), 3);
    CHECK_EQ(look(poll), 1); // the writing end has no news
    CHECK(got[0].events == EPOLLIN && got[0].data.u64 == 1);
    char buffer[10];
    CHECK_EQ(read(p[0], buffer, 1), 1);
    CHECK_EQ(look(poll), 0);
    CHECK_EQ(write(p[1], "d", 1), 1);
    CHECK_EQ(look(poll), 1);
    close(p[1]);
    CHECK_EQ(look(poll), 1);
    CHECK(got[0].events == (EPOLLIN | EPOLLHUP) && got[0].data.u64 == 1);
    CHECK_EQ(look(poll), 0);
    close(p[0]);
    close(poll);
    close(event);
}

static void one_shot(void) {
    int poll = epoll_create1(0), event = eventfd(1, EFD_NONBLOCK);
    CHECK_EQ(ctl(poll, EPOLL_CTL_ADD, event, EPOLLIN | EPOLLONESHOT, 1), 0);
    CHECK_EQ(look(poll), 1);
    add_to(event, 1);
    CHECK_EQ(look(poll), 0);
    CHECK_EQ(ctl(poll, EPOLL_CTL_MOD, event, EPOLLIN | EPOLLONESHOT, 2), 0);
    CHECK_EQ(look(poll), 1);
    CHECK_EQ(got[0].data.u64, 2);
    CHECK_EQ(ctl(poll, EPOLL_CTL_MOD, event, EPOLLIN | EPOLLWAKEUP, 3), 0);
    CHECK_EQ(look(poll), 1);
    CHECK_EQ(look(poll), 1);
    CHECK_EQ(ctl(poll, EPOLL_CTL_DEL, event, 0, 0), 0);
    CHECK_EQ(look(poll), 0);
    CHECK_FAILS(ctl(poll, EPOLL_CTL_DEL, event, 0, 0), ENOENT);
    close(poll);
    close(event);
}

static void exclusive(void) {
    int poll = epoll_create1(0), inner = epoll_create1(0), event = eventfd(1, 0);
    CHECK_FAILS(ctl(poll, EPOLL_CTL_ADD, event, EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE, 1), EINVAL);
    CHECK_FAILS(ctl(poll, EPOLL_CTL_ADD, event, EPOLLPRI | EPOLLEXCLUSIVE, 1), EINVAL);
    CHECK_FAILS(ctl(poll, EPOLL_CTL_ADD, inner, EPOLLIN | EPOLLEXCLUSIVE, 1), EINVAL);
    CHECK_EQ(ctl(poll, EPOLL_CTL_ADD, event, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, 1), 0);
    CHECK_FAILS(ctl(poll, EPOLL_CTL_MOD, event, EPOLLIN, 1), EINVAL);
    CHECK_FAILS(ctl(poll, EPOLL_CTL_MOD, event, EPOLLIN | EPOLLEXCLUSIVE, 1), EINVAL);
    CHECK_EQ(look(poll), 1);
    close(poll);
    close(inner);
    close(event);
}

static void nested(void) {
    int outer = epoll_create1(0), inner = epoll_create1(0), event = eventfd(0, EFD_NONBLOCK);
    CHECK_EQ(ctl(inner, EPOLL_CTL_ADD, event, EPOLLIN, 1), 0);
    CHECK_EQ(ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN, 2), 0);
    CHECK_FAILS(ctl(inner, EPOLL_CTL_ADD, outer, EPOLLIN, 3), ELOOP);
    CHECK_FAILS(ctl(inner, EPOLL_CTL_ADD, inner, EPOLLIN, 3), EINVAL);
    int same = dup(inner);
    CHECK_FAILS(ctl(inner, EPOLL_CTL_ADD, same, EPOLLIN, 3), EINVAL);
    CHECK_EQ(look(outer), 0);
    add_to(event, 1);
    CHECK_EQ(look(outer), 1);
    CHECK(got[0].events == EPOLLIN && got[0].data.u64 == 2);
    struct pollfd fd = {outer, POLLIN, 0};
    CHECK_EQ(poll(&fd, 1, -1), 1);
    CHECK_EQ(fd.revents, POLLIN);
    take(event);
    CHECK_EQ(look(outer), 0);
    CHECK_EQ(poll(&fd, 1, 0), 0);

    // A timer below two event polls ends the wait of the outer one.
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec in_10_ms = {{0, 0}, {0, 10000000}};
    CHECK_EQ(ctl(inner, EPOLL_CTL_ADD, timer, EPOLLIN | EPOLLET, 4), 0);
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(timerfd_settime(timer, 0, &in_10_ms, NULL), 0);
        CHECK_EQ(look(outer), 0);
        CHECK_EQ(epoll_wait(outer, got, 10, -1), 1);
        CHECK_EQ(look(inner), 1);
        CHECK_EQ(got[0].data.u64, 4);
        CHECK_EQ(look(inner), 0);
        if (round != 1) take(timer);
    }
    int deep[12];
    for (int i = 0; i < 12; i++) deep[i] = epoll_create1(0);
    int refused = 0;
    for (int i = 0; i < 11; i++) refused += ctl(deep[i + 1], EPOLL_CTL_ADD, deep[i], EPOLLIN, 0) == -1 && errno == ELOOP;
    CHECK(refused > 0);
    for (int i = 0; i < 12; i++) close(deep[i]);
    close(timer);
    close(same);
    close(inner);
    CHECK_EQ(look(outer), 0);
    close(outer);
    close(event);
}

static void closed(void) {
    int poll = epoll_create1(0), event = eventfd(1, 0);
    CHECK_EQ(ctl(poll, EPOLL_CTL_ADD, event, EPOLLIN, 1), 0);
    int same = dup(event);
    close(event);
    CHECK_EQ(look(poll), 1); // another descriptor keeps it
    close(same);
    CHECK_EQ(look(poll), 0);
    int again = eventfd(1, 0);
    CHECK_EQ(ctl(poll, EPOLL_CTL_ADD, again, EPOLLIN, 2), 0);
    CHECK_EQ(look(poll), 1);
    CHECK_EQ(got[0].data.u64, 2);
    int null = open("/dev/null", O_RDWR);
    (void)null;
    close(again);
    close(null);
    close(poll);
}

static void many(void) {
    int poll = epoll_create1(0), events[1000];
    for (int i = 0; i < 1000; i++) {
        events[i] = eventfd(0, EFD_NONBLOCK);
        CHECK_EQ(ctl(poll, EPOLL_CTL_ADD, events[i], EPOLLIN, (uint64_t)i), 0);
    }
    CHECK_EQ(look(poll), 0);
    for (int i = 0; i < 1000; i += 10) add_to(events[i], 1);
    CHECK_EQ(look(poll), 100);
    int seen[1000] = {0};
    for (int round = 0; round < 10; round++) { // ten at a time, each gets its turn
        CHECK_EQ(epoll_wait(poll, got, 10, 0), 10);
        for (int i = 0; i < 10; i++) seen[got[i].data.u64]++;
    }
    for (int i = 0; i < 1000; i++) CHECK_EQ(seen[i], i % 10 == 0);
    for (int i = 0; i < 1000; i++) close(events[i]);
    CHECK_EQ(look(poll), 0);
    close(poll);
}

static void signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int poll = epoll_create1(0), file = signalfd(-1, &set, SFD_NONBLOCK);
    CHECK_EQ(ctl(poll, EPOLL_CTL_ADD, file, EPOLLIN | EPOLLET, 1), 0);
    CHECK_EQ(look(poll), 0);
    raise(SIGUSR1);
    CHECK_EQ(epoll_wait(poll, got, 10, -1), 1);
    CHECK_EQ(look(poll), 0);
    struct signalfd_siginfo info;
    CHECK_EQ(read(file, &info, sizeof info), sizeof info);
    CHECK_EQ(info.ssi_signo, SIGUSR1);
    CHECK_EQ(look(poll), 0);
    // A timer's signal comes while we sleep.
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    CHECK_EQ(signalfd(file, &set, 0), file);
    ualarm(10000, 0);
    CHECK_EQ(epoll_wait(poll, got, 10, -1), 1);
    CHECK_EQ(read(file, &info, sizeof info), sizeof info);
    CHECK_EQ(info.ssi_signo, SIGALRM);
    ualarm(10000, 0);
    struct pollfd fd = {file, POLLIN, 0};
    CHECK_EQ(poll >= 0 ? (int)syscall(SYS_poll, &fd, 1, -1) : 0, 1);
    close(file);
    close(poll);
}

int main(void) {
    edges();
    one_shot();
    exclusive();
    nested();
    closed();
    many();
    signals();
    return done("epoll");
}
