//! timers: alarm and setitimer end a wait with EINTR and run their handler, once or again.
//! build: static, musl-static
#include "check.h"
#include <poll.h>
#include <sys/time.h>
#include <time.h>

static volatile int alarms;
static void on_alarm(int signal) { alarms += signal == SIGALRM; }

int main(void) {
    struct sigaction act = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &act, NULL);
    struct itimerval once = {{0, 0}, {0, 20000}}, left;
    CHECK_EQ(setitimer(ITIMER_REAL, &once, NULL), 0);
    struct timespec second = {1, 0}, rest = {0, 0};
    CHECK_FAILS(nanosleep(&second, &rest), EINTR);
    CHECK(alarms == 1 && rest.tv_sec == 0 && rest.tv_nsec > 500000000);

    struct itimerval often = {{0, 5000}, {0, 5000}};
    CHECK_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (int i = 0; i < 5; i++) CHECK_FAILS(poll(NULL, 0, 2000), EINTR);
    CHECK(alarms >= 5);
    struct itimerval off = {{0, 0}, {0, 0}};
    CHECK_EQ(setitimer(ITIMER_REAL, &off, &left), 0);
    CHECK_EQ(left.it_interval.tv_usec, 5000);

    CHECK_EQ(alarm(100), 0);
    CHECK_EQ(alarm(0), 100);
    int p[2];
    char byte;
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &once, NULL), 0);
    CHECK_FAILS(read(p[0], &byte, 1), EINTR); // without SA_RESTART

    alarms = 0;
    CHECK_EQ(setitimer(ITIMER_REAL, &once, NULL), 0);
    CHECK_EQ(pause(), -1);
    CHECK_EQ(alarms, 1);
    return done("timers");
}
