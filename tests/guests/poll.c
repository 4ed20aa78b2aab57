//! poll: poll, ppoll and select on pipes and files, timeouts among them.
//! build: static
#include "check.h"
#include <poll.h>
#include <sys/select.h>
#include <time.h>

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(void) {
    scratch();
    int p[2];
    CHECK_EQ(pipe(p), 0);
    struct pollfd fds[3] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {77, POLLIN, 0}};
    CHECK_EQ(poll(fds, 2, 0), 1);
    CHECK(fds[0].revents == 0 && fds[1].revents == POLLOUT);
    CHECK_EQ(poll(fds, 3, 0), 2);
    CHECK_EQ(fds[2].revents, POLLNVAL);
    double start = now_ms();
    CHECK_EQ(poll(fds, 1, 30), 0);
    double took = now_ms() - start;
    CHECK(took >= 29 && took < 1000);
    CHECK_EQ(poll(NULL, 0, 5), 0);

    CHECK_EQ(write(p[1], "x", 1), 1);
    CHECK_EQ(poll(fds, 1, -1), 1);
    CHECK_EQ(fds[0].revents, POLLIN);
    struct timespec second = {1, 0};
    CHECK_EQ(ppoll(fds, 1, &second, NULL), 1);

    int file = open("f", O_RDWR | O_CREAT, 0600);
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(p[0], &in);
    FD_SET(file, &in);
    FD_SET(file, &out);
    struct timeval zero = {0, 0};
    CHECK_EQ(select(file + 1, &in, &out, NULL, &zero), 3);
    CHECK(FD_ISSET(p[0], &in) && FD_ISSET(file, &in) && FD_ISSET(file, &out));
    char byte;
    CHECK_EQ(read(p[0], &byte, 1), 1);
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    struct timeval wait = {0, 20000};
    CHECK_EQ(select(p[0] + 1, &in, NULL, NULL, &wait), 0);
    CHECK(!FD_ISSET(p[0], &in));
    // Linux looks only as far as its table reaches, and how far that is without this is the parent's matter.
    CHECK_EQ(dup2(p[0], 100), 100);
    CHECK_EQ(close(100), 0);
    FD_SET(77, &in);
    CHECK_FAILS(select(78, &in, NULL, NULL, &zero), EBADF);
    CHECK_FAILS(select(-1, NULL, NULL, NULL, &zero), EINVAL);

    CHECK_EQ(close(p[1]), 0);
    CHECK_EQ(poll(fds, 1, -1), 1);
    CHECK(fds[0].revents & POLLHUP);
    return done("poll");
}
