//! A signal of a timer reaches a program of one thread that only computes.
#include "check.h"
#include <sys/time.h>
#include <time.h>

static volatile sig_atomic_t fired;

static void note(int number) {
    (void)number;
    fired++;
}

/// Computes until `wanted` signals came; makes no system call.
static void compute(sig_atomic_t wanted) {
    static volatile unsigned long work;
    while (fired < wanted) work++;
}

int main(void) {
    signal(SIGALRM, note);
    struct itimerval once = {.it_value = {.tv_usec = 20000}};
    CHECK(setitimer(ITIMER_REAL, &once, NULL) == 0);
    compute(1);
    CHECK_EQ(fired, 1);

    struct itimerval often = {.it_interval = {.tv_usec = 5000}, .it_value = {.tv_usec = 5000}};
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    compute(6);
    CHECK(fired >= 6);
    CHECK(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL) == 0);

    fired = 0;
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    signal(SIGUSR1, note);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    struct itimerspec soon = {.it_value = {.tv_nsec = 10000000}};
    CHECK(timer_settime(timer, 0, &soon, NULL) == 0);
    compute(1);
    CHECK_EQ(fired, 1);
    return done("timer_interrupts_loop");
}
