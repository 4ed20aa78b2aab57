//! What system calls and a look at the clock cost: `calls COUNT`.

#include <fcntl.h>
#include <linux/futex.h>
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

    const int zero = open("/dev/zero", O_RDONLY);
    char byte;
    require(zero >= 0, "/dev/zero");
    start = now_ns();
    for (long i = 0; i < count; i++)
        require(read(zero, &byte, 1) == 1, "read");
    report("read_a_byte", start, count);

    static uint32_t word;
    start = now_ns();
    for (long i = 0; i < count; i++)
        require(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1) == 0, "futex");
    report("futex_wakes_nobody", start, count);

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
