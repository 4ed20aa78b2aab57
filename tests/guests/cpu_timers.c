//! cpu_timers: setitimer with ITIMER_PROF and ITIMER_VIRTUAL counts CPU time, again and again or once.
//! build: static
//! cpus: 1, 2
#include "check.h"
#include <sys/time.h>
#include <time.h>

static volatile int ends[65];
static void on_end(int number) { ends[number]++; }

static long cpu_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/// Works until the timer ended `count` times; gives up after 20 s of CPU time.
static void work_until(int number, int count) {
    long start = cpu_us();
    while (ends[number] < count && cpu_us() < start + 20000000) {}
    CHECK(ends[number] >= count);
}

static void timer(int which, int number) {
    struct itimerval often = {{0, 20000}, {0, 20000}}, long_time = {.it_value = {10, 0}}, off = {{0, 0}, {0, 0}}, left;
    signal(number, on_end);
    CHECK_EQ(getitimer(which, &left), 0);
    CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_usec == 0);
    long start = cpu_us();
    CHECK_EQ(setitimer(which, &often, NULL), 0);
    work_until(number, 3);
    // Linux looks at its ticks, which may be a little early on another clock.
    CHECK(cpu_us() - start >= 40000);
    CHECK_EQ(setitimer(which, &off, &left), 0);
    CHECK(left.it_interval.tv_sec == 0 && left.it_interval.tv_usec >= 20000 && left.it_interval.tv_usec < 25000);
    int before = ends[number];
    start = cpu_us();
    while (cpu_us() < start + 60000) {}
    CHECK_EQ(ends[number], before);

    // Sleeping takes none of its time.
    CHECK_EQ(setitimer(which, &long_time, NULL), 0);
    nanosleep(&(struct timespec){0, 300000000}, NULL);
    CHECK_EQ(getitimer(which, &left), 0);
    CHECK(left.it_value.tv_sec * 1000000L + left.it_value.tv_usec > 9800000);
    CHECK_EQ(setitimer(which, &off, NULL), 0);
    CHECK_EQ(ends[number], before);
}

int main(void) {
    struct itimerval off = {{0, 0}, {0, 0}};
    timer(ITIMER_PROF, SIGPROF);
    timer(ITIMER_VIRTUAL, SIGVTALRM);
    CHECK_FAILS(setitimer(3, &off, NULL), EINVAL);
    return done("cpu_timers");
}
