//! cpu_timers: setitimer with ITIMER_PROF and ITIMER_VIRTUAL counts CPU time, again and again or once;
//! so does timer_create with the CPU clocks of process and thread.
//! build: static
//! cpus: 1, 2
#include "check.h"
#include <pthread.h>
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

static void *spin(void *stop) {
    while (!*(volatile int *)stop) {}
    return stop;
}

// A timer of timer_create counts the clock that it names.
static void posix_timer(clockid_t clock, int number) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number};
    struct itimerspec often = {{0, 20000000}, {0, 20000000}}, once = {.it_value = {10, 0}}, off = {{0, 0}, {0, 0}}, left;
    timer_t timer;
    ends[number] = 0;
    signal(number, on_end);
    CHECK_EQ(timer_create(clock, &event, &timer), 0);
    CHECK_EQ(timer_settime(timer, 0, &once, NULL), 0);
    nanosleep(&(struct timespec){0, 300000000}, NULL);
    CHECK_EQ(timer_gettime(timer, &left), 0);
    CHECK(left.it_value.tv_sec * 1000000L + left.it_value.tv_nsec / 1000 > 9800000 && left.it_value.tv_sec < 10);
    long start = cpu_us();
    CHECK_EQ(timer_settime(timer, 0, &often, NULL), 0);
    work_until(number, 3);
    CHECK(cpu_us() - start >= 40000);
    CHECK_EQ(timer_settime(timer, 0, &off, NULL), 0);

    // Absolute times are of that clock; one that has passed ends at once.
    struct itimerspec at = {.it_value = {0, 1}};
    ends[number] = 0;
    CHECK_EQ(timer_settime(timer, TIMER_ABSTIME, &at, NULL), 0);
    work_until(number, 1);
    CHECK_EQ(timer_delete(timer), 0);
}

// Another thread's work is not this thread's time, but the process's.
static void of_one_thread(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    struct itimerspec once = {.it_value = {0, 50000000}};
    clockid_t clock;
    timer_t own, other;
    pthread_t thread;
    int stop = 0;
    signal(SIGRTMIN, on_end);
    CHECK_EQ(pthread_create(&thread, NULL, spin, &stop), 0);
    CHECK_EQ(pthread_getcpuclockid(thread, &clock), 0);
    CHECK_EQ(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &own), 0);
    event.sigev_signo = SIGRTMIN + 1;
    signal(SIGRTMIN + 1, on_end);
    CHECK_EQ(timer_create(clock, &event, &other), 0);
    ends[SIGRTMIN] = ends[SIGRTMIN + 1] = 0;
    CHECK_EQ(timer_settime(own, 0, &once, NULL), 0);
    CHECK_EQ(timer_settime(other, 0, &once, NULL), 0);
    for (int i = 0; i < 2000 && !ends[SIGRTMIN + 1]; i++) nanosleep(&(struct timespec){0, 10000000}, NULL);
    CHECK_EQ(ends[SIGRTMIN + 1], 1);
    CHECK_EQ(ends[SIGRTMIN], 0);
    stop = 1;
    CHECK_EQ(pthread_join(thread, NULL), 0);
    // Its number may live on for a moment after the join.
    for (int i = 0; i < 2000 && !timer_create(clock, &event, &other); i++) {
        CHECK_EQ(timer_delete(other), 0);
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    CHECK_FAILS(timer_create(clock, &event, &own), EINVAL);
}

int main(void) {
    struct itimerval off = {{0, 0}, {0, 0}};
    timer(ITIMER_PROF, SIGPROF);
    timer(ITIMER_VIRTUAL, SIGVTALRM);
    posix_timer(CLOCK_PROCESS_CPUTIME_ID, SIGUSR1);
    posix_timer(CLOCK_THREAD_CPUTIME_ID, SIGUSR2);
    of_one_thread();
    CHECK_FAILS(setitimer(3, &off, NULL), EINVAL);
    return done("cpu_timers");
}
