//! How the guests report: `NAME NANOSECONDS` lines on standard output, timed by
//! the clock that the program itself sees.

#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/// A time for `count` things.
static inline void report_taken(const char *name, uint64_t taken_ns, uint64_t count)
{
    printf("%s %.3f\n", name, (double)taken_ns / (double)count);
}

/// Time since `start_ns` for `count` things.
static inline void report(const char *name, uint64_t start_ns, uint64_t count)
{
    report_taken(name, now_ns() - start_ns, count);
}

static inline void require(int condition, const char *what)
{
    if (!condition) {
        perror(what);
        exit(1);
    }
}
