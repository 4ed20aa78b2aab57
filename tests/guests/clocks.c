//! clocks: every clock runs, none goes backwards, and sleeping takes as long as asked.
//! build: static, pie, musl-static
#include "check.h"
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>

static double seconds(clockid_t clock) {
    struct timespec t = {-1, -1};
    CHECK_EQ(clock_gettime(clock, &t), 0);
    CHECK(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(void) {
    static const clockid_t ALL[] = {
        CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
        CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME,
    };
    struct timespec t;
    for (size_t i = 0; i < sizeof ALL / sizeof *ALL; i++) {
        CHECK(seconds(ALL[i]) >= 0);
        // The system call itself, beside the vDSO.
        CHECK_EQ(syscall(SYS_clock_gettime, ALL[i], &t), 0);
        CHECK_EQ(clock_getres(ALL[i], &t), 0);
        CHECK(t.tv_sec == 0 && t.tv_nsec > 0 && t.tv_nsec <= 10000000);
    }
    CHECK_FAILS(clock_gettime(77, &t), EINVAL);
    CHECK(seconds(CLOCK_REALTIME) > 1.7e9);
    struct timeval tv;
    CHECK_EQ(gettimeofday(&tv, NULL), 0);
    double apart = seconds(CLOCK_REALTIME) - (double)tv.tv_sec - (double)tv.tv_usec / 1e6;
    CHECK(apart >= -0.001 && apart < 1);
    CHECK(time(NULL) - tv.tv_sec <= 1);

    double last = seconds(CLOCK_MONOTONIC);
    int backwards = 0;
    for (int i = 0; i < 20000; i++) {
        double now = seconds(CLOCK_MONOTONIC);
        backwards += now < last;
        last = now;
    }
    CHECK_EQ(backwards, 0);

    double start = seconds(CLOCK_MONOTONIC), wall = seconds(CLOCK_REALTIME);
    struct timespec ask = {0, 40000000};
    CHECK_EQ(nanosleep(&ask, NULL), 0);
    double slept = seconds(CLOCK_MONOTONIC) - start, walled = seconds(CLOCK_REALTIME) - wall;
    CHECK(slept >= 0.0399 && slept < 1);
    CHECK(walled - slept > -0.01 && walled - slept < 0.05);
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += 20000000;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    start = seconds(CLOCK_MONOTONIC);
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
    CHECK(seconds(CLOCK_MONOTONIC) - start >= 0.0199);
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0); // in the past
    ask.tv_nsec = -1;
    CHECK_FAILS(nanosleep(&ask, NULL), EINVAL);
    CHECK_EQ(usleep(1000), 0);

    // Processor time moves while we compute, however little of it a busy machine gives.
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    start = seconds(CLOCK_MONOTONIC);
    while (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu < 0.05 && seconds(CLOCK_MONOTONIC) - start < 20) {}
    CHECK(seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu >= 0.05);
    struct rusage usage;
    CHECK_EQ(getrusage(RUSAGE_SELF, &usage), 0);
    CHECK(usage.ru_utime.tv_sec + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec > 0 && usage.ru_maxrss > 0);
    struct tms tms;
    CHECK(times(&tms) != (clock_t)-1 && tms.tms_utime + tms.tms_stime > 0);
    CHECK(clock() > 0);
    return done("clocks");
}
