//! cpus: 2
//! What one process takes from a file, another one that maps it and runs at that time on another
//! processor no longer sees: it gets SIGBUS, and not a page that has become something else.
#include "check.h"
#include <sched.h>
#include <setjmp.h>
#include <sys/wait.h>

enum { PAGE = 4096, ROUNDS = 100 };

static sigjmp_buf away;

static void on_bus(int signal) {
    (void)signal;
    siglongjmp(away, 1);
}

int main(void) {
    int file = memfd_create("shrinks", 0);
    CHECK(file >= 0);
    volatile int *turn = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(turn != MAP_FAILED);
    CHECK_EQ(ftruncate(file, PAGE), 0);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        volatile char *seen = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
        signal(SIGBUS, on_bus);
        int wrong = seen == MAP_FAILED;
        for (int round = 0; round < ROUNDS && !wrong; round++) {
            while (*turn != 2 * round + 1) sched_yield();
            if (sigsetjmp(away, 1) == 0) {
                wrong |= *seen != 'a' + round % 26;
                *turn = 2 * round + 2;
                // Until it is gone; what comes in its place is not for this process.
                for (;;) if (*seen != 'a' + round % 26) { wrong = 1; break; }
            }
            turn[1] = round + 1;
        }
        *turn = -1;
        _exit(wrong);
    }
    for (int round = 0; round < ROUNDS && *turn >= 0; round++) {
        char letter = 'a' + round % 26;
        CHECK_EQ(ftruncate(file, PAGE), 0);
        CHECK_EQ(pwrite(file, &letter, 1, 0), 1);
        *turn = 2 * round + 1;
        while (*turn == 2 * round + 1) sched_yield();
        CHECK_EQ(ftruncate(file, 0), 0);
        // The frame becomes something else at once.
        char *other = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(other != MAP_FAILED);
        memset(other, '!', 64 * PAGE);
        while (turn[1] <= round && *turn >= 0) sched_yield();
        munmap(other, 64 * PAGE);
    }
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    return done("truncate_elsewhere");
}
