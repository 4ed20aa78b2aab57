//! unix_poll: what poll and epoll tell of sockets, and what waits end with.
//! build: static, musl-static
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#define ALL (POLLIN | POLLOUT | POLLPRI | POLLRDHUP)

// An abstract name that nobody else on the host has.
static struct sockaddr_un own_name(const char *what) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    sprintf(a.sun_path + 1, "%s of guest %d", what, getpid());
    return a;
}

static int events(int fd) {
    struct pollfd p = {fd, ALL, 0};
    return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static void connected(int kind) {
    int s[2];
    char got[8];
    CHECK_EQ(socketpair(AF_UNIX, kind, 0, s), 0);
    CHECK_EQ(events(s[0]), POLLOUT);
    CHECK_EQ(write(s[0], "x", 1), 1);
    CHECK_EQ(events(s[1]), POLLIN | POLLOUT);
    CHECK_EQ(read(s[1], got, 8), 1);
    CHECK_EQ(shutdown(s[0], SHUT_WR), 0);
    CHECK_EQ(events(s[1]), POLLIN | POLLOUT | POLLRDHUP);
    CHECK_EQ(events(s[0]), POLLOUT);
    CHECK_EQ(shutdown(s[1], SHUT_WR), 0);
    CHECK_EQ(events(s[1]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
    close(s[1]);
    CHECK_EQ(events(s[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
    close(s[0]);
    CHECK_EQ(socketpair(AF_UNIX, kind, 0, s), 0);
    CHECK_EQ(write(s[0], "x", 1), 1);
    close(s[1]);
    CHECK_EQ(events(s[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
    CHECK_FAILS(read(s[0], got, 8), ECONNRESET);
    CHECK_EQ(events(s[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
    close(s[0]);
    int alone = socket(AF_UNIX, kind, 0);
    CHECK_EQ(events(alone), POLLOUT | POLLHUP);
    close(alone);
}

static void listening(void) {
    struct sockaddr_un a = own_name("poll");
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQ(bind(server, (void *)&a, sizeof a), 0);
    CHECK_EQ(listen(server, 3), 0);
    CHECK_EQ(events(server), 0);
    CHECK_EQ(connect(client, (void *)&a, sizeof a), 0);
    CHECK_EQ(events(server), POLLIN);
    CHECK_EQ(events(client), POLLOUT);
    int accepted = accept(server, NULL, NULL);
    CHECK_EQ(events(server), 0);
    CHECK_EQ(shutdown(server, SHUT_RD), 0);
    CHECK_EQ(events(server), POLLIN | POLLRDHUP);
    CHECK_FAILS(accept(server, NULL, NULL), EINVAL);
    int late = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_FAILS(connect(late, (void *)&a, sizeof a), ECONNREFUSED);
    close(late), close(accepted), close(client), close(server);
}

static void datagrams(void) {
    struct sockaddr_un a = own_name("poll datagrams");
    int server = socket(AF_UNIX, SOCK_DGRAM, 0), client = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    char got[8];
    CHECK_EQ(events(client), POLLOUT);
    CHECK_EQ(bind(server, (void *)&a, sizeof a), 0);
    CHECK_EQ(connect(client, (void *)&a, sizeof a), 0);
    int sent = 0;
    while (sent < 100000 && write(client, "x", 1) == 1) sent++;
    CHECK_EQ(events(client), 0);
    struct epoll_event e = {.events = EPOLLOUT | EPOLLET};
    int ep = epoll_create1(0);
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, client, &e), 0);
    CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
    for (int i = 0; i < sent; i++) CHECK_EQ(read(server, got, 8), 1);
    CHECK_EQ(epoll_wait(ep, &e, 1, 0), 1);
    CHECK_EQ(e.events, EPOLLOUT);
    CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
    CHECK_EQ(events(client), POLLOUT);
    close(ep), close(server), close(client);
}

static void edges(void) {
    static char big[1 << 20];
    int s[2], ep = epoll_create1(0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
    struct epoll_event in = {.events = EPOLLIN | EPOLLET | EPOLLRDHUP, .data.u64 = 1}, out = {.events = EPOLLOUT | EPOLLET, .data.u64 = 2}, got[2];
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, s[1], &in), 0);
    CHECK_EQ(epoll_wait(ep, got, 2, 0), 0);
    CHECK_EQ(write(s[0], "a", 1), 1);
    CHECK_EQ(epoll_wait(ep, got, 2, 0), 1);
    CHECK_EQ(epoll_wait(ep, got, 2, 0), 0); // the same byte is no news
    CHECK_EQ(write(s[0], "b", 1), 1);
    CHECK_EQ(epoll_wait(ep, got, 2, 0), 1); // more bytes are
    CHECK(got[0].events == EPOLLIN && got[0].data.u64 == 1);
    CHECK_EQ(read(s[1], big, 10), 2);
    CHECK_EQ(epoll_wait(ep, got, 2, 0), 0);
    // A full stream becomes writable again.
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_DEL, s[1], NULL), 0);
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &out), 0);
    CHECK_EQ(epoll_wait(ep, got, 2, 0), 1);
    while (write(s[0], big, sizeof big) > 0) {}
    CHECK_EQ(epoll_wait(ep, got, 2, 0), 0);
    CHECK_EQ(read(s[1], big, 10), 10);
    CHECK_EQ(epoll_wait(ep, got, 2, 0), 0); // not for ten bytes
    while (read(s[1], big, sizeof big) > 0) {}
    CHECK_EQ(epoll_wait(ep, got, 2, 0), 1);
    CHECK(got[0].events == EPOLLOUT && got[0].data.u64 == 2);
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, s[0], &in), 0);
    CHECK_EQ(shutdown(s[1], SHUT_WR), 0);
    CHECK_EQ(epoll_wait(ep, got, 2, 0), 1);
    CHECK_EQ(got[0].events, EPOLLIN | EPOLLRDHUP);
    close(s[1]);
    CHECK_EQ(epoll_wait(ep, got, 2, 0), 1);
    CHECK(got[0].events & EPOLLHUP);
    close(s[0]);
    CHECK_EQ(epoll_wait(ep, got, 2, 0), 0);
    close(ep);
}

static int alarms;
static void on_alarm(int signal) { alarms += signal == SIGALRM; }

static void alarm_in_30_ms(int flags) {
    struct sigaction act = {.sa_handler = on_alarm, .sa_flags = flags};
    struct itimerval soon = {.it_value = {0, 30000}};
    CHECK_EQ(sigaction(SIGALRM, &act, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &soon, NULL), 0);
}

static void waits_end(void) {
    struct sockaddr_un a = own_name("waits");
    static char big[1 << 20];
    int s[2], server = socket(AF_UNIX, SOCK_STREAM, 0);
    char byte;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    CHECK_EQ(bind(server, (void *)&a, sizeof a), 0);
    CHECK_EQ(listen(server, 0), 0);
    alarm_in_30_ms(0);
    CHECK_FAILS(read(s[0], &byte, 1), EINTR);
    alarm_in_30_ms(0);
    CHECK_FAILS(accept(server, NULL, NULL), EINTR);
    alarm_in_30_ms(0);
    CHECK(write(s[0], big, sizeof big) < (ssize_t)sizeof big); // what was sent counts
    alarm_in_30_ms(0);
    CHECK_FAILS(write(s[0], big, 1), EINTR);
    int d[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, d), 0);
    alarm_in_30_ms(0);
    CHECK_FAILS(recv(d[0], &byte, 1, 0), EINTR);
    CHECK_EQ(alarms, 5);

    // Timeouts of the socket.
    struct timeval soon = {0, 20000}, got;
    socklen_t len = sizeof got;
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon), 0);
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon), 0);
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &got, &len), 0);
    CHECK(len == sizeof got && got.tv_sec == 0 && got.tv_usec == 20000);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    CHECK_FAILS(read(s[0], &byte, 1), EAGAIN);
    clock_gettime(CLOCK_MONOTONIC, &after);
    CHECK((after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec >= 19000000L);
    CHECK_FAILS(write(s[0], big, 1), EAGAIN);
    CHECK_EQ(setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon), 0);
    CHECK_FAILS(accept(server, NULL, NULL), EAGAIN);
    int one = socket(AF_UNIX, SOCK_STREAM, 0), two = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQ(setsockopt(two, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon), 0);
    CHECK_EQ(connect(one, (void *)&a, sizeof a), 0);
    CHECK_FAILS(connect(two, (void *)&a, sizeof a), EAGAIN);
    // MSG_WAITALL gives what there is when the wait ends.
    CHECK_EQ(setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon), 0);
    while (recv(s[1], big, sizeof big, MSG_DONTWAIT) > 0) {}
    CHECK_EQ(write(s[0], "abc", 3), 3);
    CHECK_EQ(recv(s[1], big, 10, MSG_WAITALL), 3);
    int low = 3;
    CHECK_EQ(setsockopt(s[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low), 0);
    CHECK_EQ(write(s[0], "ab", 2), 2);
    CHECK_EQ(recv(s[1], big, 10, 0), 2);

    // poll wakes up for a timer, and finds nothing.
    struct pollfd p = {s[1], POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 20), 0);
    close(s[0]), close(s[1]), close(d[0]), close(d[1]), close(server), close(one), close(two);
}

static void starts_again(void) {
    // The handler brings what the read waits for.
    int s[2];
    char byte = 0;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    struct timeval later = {0, 200000};
    alarms = 0;
    alarm_in_30_ms(SA_RESTART);
    CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &later, sizeof later), 0);
    extern int feed;
    feed = s[1];
    struct sigaction act;
    CHECK_EQ(sigaction(SIGALRM, NULL, &act), 0);
    extern void on_alarm_feed(int);
    act.sa_handler = on_alarm_feed;
    CHECK_EQ(sigaction(SIGALRM, &act, NULL), 0);
    CHECK_EQ(recv(s[0], &byte, 1, 0), 1);
    CHECK_EQ(byte, 'f');
    CHECK_EQ(alarms, 1);
    close(s[0]), close(s[1]);
}

int feed;
void on_alarm_feed(int signal) {
    on_alarm(signal);
    if (write(feed, "f", 1) != 1) _exit(9);
}

int main(void) {
    connected(SOCK_STREAM);
    connected(SOCK_SEQPACKET);
    listening();
    datagrams();
    edges();
    waits_end();
    starts_again();
    return done("unix_poll");
}
