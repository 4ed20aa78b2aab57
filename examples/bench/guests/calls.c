//! What a system call and a look at the clock cost: `calls COUNT`.

#include <sys/syscall.h>
#include <unistd.h>

#include "report.h"

int main(int argc, char **argv)
{
    require(argc == 2, "usage: calls COUNT");
    const long count = atol(argv[1]);

    uint64_t start = now_ns();
    for (long i = 0; i < count; i++)
        syscall(SYS_getppid);
    report("getppid", start, count);

    // Enough looks to outweigh the loop's own clock reads.
    const long looks = 20 * count;
    struct timespec now;
    start = now_ns();
    for (long i = 0; i < looks; i++)
        clock_gettime(CLOCK_MONOTONIC, &now);
    report("clock_gettime_monotonic", start, looks);

    start = now_ns();
    for (long i = 0; i < looks; i++)
        clock_gettime(CLOCK_REALTIME, &now);
    report("clock_gettime_realtime", start, looks);
    return 0;
}
