//! events: epoll over pipes, eventfd and timerfd.
//! build: static
#include "check.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

int main(void) {
    uint64_t value = 5;
    int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK_FAILS(read(event, &value, 8), EAGAIN);
    CHECK_EQ(write(event, &value, 8), 8);
    CHECK_EQ(write(event, &value, 8), 8);
    CHECK(read(event, &value, 8) == 8 && value == 10);
    int counter = eventfd(3, EFD_SEMAPHORE);
    CHECK(read(counter, &value, 8) == 8 && value == 1);
    CHECK_FAILS(read(counter, &value, 4), EINVAL);

    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    CHECK_FAILS(read(timer, &value, 8), EAGAIN);
    struct itimerspec in_20_ms = {{0, 0}, {0, 20000000}}, left;
    CHECK_EQ(timerfd_settime(timer, 0, &in_20_ms, NULL), 0);
    CHECK(timerfd_gettime(timer, &left) == 0 && left.it_value.tv_nsec > 0 && left.it_value.tv_nsec <= 20000000);

    int p[2], poll = epoll_create1(EPOLL_CLOEXEC);
    CHECK_EQ(pipe(p), 0);
    struct epoll_event want = {EPOLLIN, {.u32 = 1}}, got[4];
    CHECK_EQ(epoll_ctl(poll, EPOLL_CTL_ADD, p[0], &want), 0);
    CHECK_FAILS(epoll_ctl(poll, EPOLL_CTL_ADD, p[0], &want), EEXIST);
    want.data.u32 = 2;
    CHECK_EQ(epoll_ctl(poll, EPOLL_CTL_ADD, timer, &want), 0);
    want.data.u32 = 3;
    want.events = EPOLLIN | EPOLLET;
    CHECK_EQ(epoll_ctl(poll, EPOLL_CTL_ADD, event, &want), 0);
    CHECK_EQ(epoll_wait(poll, got, 4, 0), 0);
    CHECK_EQ(epoll_wait(poll, got, 4, 5000), 1); // the timer wakes us
    CHECK(got[0].data.u32 == 2 && got[0].events == EPOLLIN);
    CHECK(read(timer, &value, 8) == 8 && value == 1);

    CHECK_EQ(write(p[1], "x", 1), 1);
    CHECK_EQ(epoll_wait(poll, got, 4, -1), 1);
    CHECK_EQ(epoll_wait(poll, got, 4, -1), 1); // level-triggered: still there
    CHECK_EQ(got[0].data.u32, 1);
    value = 1;
    CHECK_EQ(write(event, &value, 8), 8);
    CHECK_EQ(epoll_wait(poll, got, 4, 0), 2);
    CHECK_EQ(epoll_wait(poll, got, 4, 0), 1); // edge-triggered: told once
    want.events = EPOLLOUT;
    CHECK_FAILS(epoll_ctl(poll, EPOLL_CTL_MOD, p[1], &want), ENOENT);
    CHECK_EQ(epoll_ctl(poll, EPOLL_CTL_DEL, p[0], NULL), 0);
    CHECK_EQ(epoll_wait(poll, got, 4, 0), 0);
    CHECK_FAILS(epoll_ctl(poll, EPOLL_CTL_ADD, open("/", O_RDONLY), &want), EPERM);
    CHECK_FAILS(epoll_wait(poll, got, 0, 0), EINVAL);
    return done("events");
}
