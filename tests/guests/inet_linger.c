//! inet_linger: SO_LINGER with a time: closing waits until all was received, until the time is over, or until a signal.
//! cpus: 1, 2
#include "inet.h"
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <time.h>

static char bytes[1 << 16];
/// Bytes that a writer was rid of before nothing went any more.
static size_t sent;
static volatile int reads;
static volatile sig_atomic_t rang;
static void on_alarm(int signal) { rang += signal == SIGALRM; }

static long long now_ms(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000LL + at.tv_nsec / 1000000;
}

static void linger(int s, int seconds) {
    struct linger on = {1, seconds};
    CHECK_EQ(setsockopt(s, SOL_SOCKET, SO_LINGER, &on, sizeof on), 0);
}

/// A pair whose s[0] has written more than fits on the way, and lingers.
static void stuffed_pair(int s[2], int seconds) {
    tcp_pair(s, AF_INET);
    linger(s[0], seconds);
    sent = 0;
    // Small pieces at the end, as far as they go.
    for (size_t len = sizeof bytes; len > 0; len /= 8) {
        ssize_t n;
        while ((n = send(s[0], bytes, len, MSG_DONTWAIT)) > 0) sent += (size_t)n;
        CHECK(n == -1 && errno == EAGAIN);
        usleep(20000);
    }
    CHECK(sent > 8192);
}

/// Reads to the end, which must be one without an error, behind all bytes.
static void all_comes(int s) {
    size_t came = 0;
    ssize_t n;
    while ((n = read(s, bytes, sizeof bytes)) > 0) came += (size_t)n;
    CHECK_EQ(n, 0);
    CHECK_EQ(came, sent);
    close(s);
}

static void *reads_later(void *arg) {
    usleep(300000);
    reads = 1;
    all_comes(*(int *)arg);
    return 0;
}

static void closing_waits_for_the_reader(int nonblocking) {
    int s[2];
    pthread_t thread;
    stuffed_pair(s, 600);
    if (nonblocking) CHECK_EQ(fcntl(s[0], F_SETFL, O_NONBLOCK), 0);
    reads = 0;
    CHECK_EQ(pthread_create(&thread, 0, reads_later, &s[1]), 0);
    CHECK_EQ(close(s[0]), 0);
    CHECK_EQ(reads, 1);
    pthread_join(thread, 0);
}

static volatile int closed;
static void *closes(void *arg) {
    CHECK_EQ(close(*(int *)arg), 0);
    closed = 1;
    return 0;
}

/// Its number may be another's by now.
static void nobody_watches_it_meanwhile(void) {
    int s[2], ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP};
    pthread_t thread;
    stuffed_pair(s, 600);
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &e), 0);
    closed = 0;
    CHECK_EQ(pthread_create(&thread, 0, closes, &s[0]), 0);
    while (fcntl(s[0], F_GETFD) != -1) usleep(1000);
    usleep(50000);
    CHECK_EQ(epoll_wait(ep, &e, 1, 100), 0);
    CHECK_EQ(closed, 0);
    all_comes(s[1]);
    pthread_join(thread, 0);
    CHECK_EQ(closed, 1);
    close(ep);
}

static void half_closed_waits_too(void) {
    int s[2];
    pthread_t thread;
    stuffed_pair(s, 600);
    reads = 0;
    CHECK_EQ(shutdown(s[0], SHUT_WR), 0);
    CHECK_EQ(reads, 0);
    CHECK_EQ(pthread_create(&thread, 0, reads_later, &s[1]), 0);
    CHECK_EQ(close(s[0]), 0);
    CHECK_EQ(reads, 1);
    pthread_join(thread, 0);
}

static void the_time_is_over(void) {
    int s[2];
    stuffed_pair(s, 1);
    long long before = now_ms();
    CHECK_EQ(close(s[0]), 0);
    CHECK(now_ms() - before >= 900);
    // It goes on by itself.
    all_comes(s[1]);
}

static void a_signal_ends_the_wait(void) {
    int s[2];
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval in = {{0, 100000}, {0, 100000}}, never = {{0, 0}, {0, 0}};
    CHECK_EQ(sigaction(SIGALRM, &action, 0), 0);
    stuffed_pair(s, 600);
    rang = 0;
    CHECK_EQ(setitimer(ITIMER_REAL, &in, 0), 0);
    CHECK_EQ(close(s[0]), 0);
    CHECK(rang > 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &never, 0), 0);
    CHECK_FAILS(fcntl(s[0], F_GETFD), EBADF);
    all_comes(s[1]);
}

/// These would wait for ten minutes otherwise.
static void what_has_gone_is_not_waited_for(void) {
    int s[2], c = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0);
    char got[8];
    tcp_pair(s, AF_INET);
    linger(s[0], 600);
    linger(c, 600);
    linger(u, 600);
    CHECK_EQ(write(s[0], "last", 4), 4);
    CHECK_EQ(close(s[0]), 0);
    CHECK_EQ(read(s[1], got, sizeof got), 4);
    CHECK_EQ(read(s[1], got, sizeof got), 0);
    CHECK_EQ(close(s[1]), 0);
    CHECK_EQ(close(c), 0);
    CHECK_EQ(close(u), 0);
    // The other end is gone.
    tcp_pair(s, AF_INET);
    linger(s[0], 600);
    close(s[1]);
    CHECK(wait_for(s[0], POLLRDHUP) & POLLRDHUP);
    CHECK_EQ(close(s[0]), 0);
}

static void one_of_two_descriptors_does_not_wait(void) {
    int s[2];
    pthread_t thread;
    stuffed_pair(s, 600);
    int other = dup(s[0]);
    reads = 0;
    CHECK_EQ(close(s[0]), 0);
    CHECK_EQ(reads, 0);
    CHECK_EQ(pthread_create(&thread, 0, reads_later, &s[1]), 0);
    // The last one is replaced.
    int zero = open("/dev/null", O_RDONLY);
    CHECK_EQ(dup2(zero, other), other);
    CHECK_EQ(reads, 1);
    close(other);
    close(zero);
    pthread_join(thread, 0);
}

/// A reset comes behind what was received already.
static void is_aborted(int s) {
    ssize_t n;
    CHECK(wait_for(s, POLLERR) & POLLERR);
    while ((n = read(s, bytes, sizeof bytes)) > 0) continue;
    CHECK(n == -1 && errno == ECONNRESET);
    close(s);
}

static void unread_bytes_make_an_abort(void) {
    int s[2];
    stuffed_pair(s, 600);
    CHECK_EQ(write(s[1], "unread", 6), 6);
    CHECK(wait_for(s[0], POLLIN) & POLLIN);
    CHECK_EQ(close(s[0]), 0);
    is_aborted(s[1]);
    // No time at all is one too, whatever is on its way.
    stuffed_pair(s, 0);
    CHECK_EQ(close(s[0]), 0);
    is_aborted(s[1]);
}

static void connections_have_it_of_their_listener(void) {
    int l = listener(AF_INET, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    struct linger shown = {0, 0};
    socklen_t len = sizeof shown;
    pthread_t thread;
    linger(l, 600);
    CHECK_EQ(connect_to(c, AF_INET, port_of(l)), 0);
    int a = accept(l, 0, 0);
    CHECK_EQ(getsockopt(a, SOL_SOCKET, SO_LINGER, &shown, &len), 0);
    CHECK(shown.l_onoff == 1 && shown.l_linger == 600);
    CHECK_EQ(close(l), 0);
    ssize_t n;
    sent = 0;
    while ((n = send(a, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) sent += (size_t)n;
    reads = 0;
    CHECK_EQ(pthread_create(&thread, 0, reads_later, &c), 0);
    CHECK_EQ(close(a), 0);
    CHECK_EQ(reads, 1);
    pthread_join(thread, 0);
}

int main(void) {
    closing_waits_for_the_reader(0);
    closing_waits_for_the_reader(1);
    nobody_watches_it_meanwhile();
    half_closed_waits_too();
    the_time_is_over();
    a_signal_ends_the_wait();
    what_has_gone_is_not_waited_for();
    one_of_two_descriptors_does_not_wait();
    unread_bytes_make_an_abort();
    connections_have_it_of_their_listener();
    // The end of the process waits for nobody.
    int s[2];
    stuffed_pair(s, 600);
    return done("inet_linger");
}
