//! options: --pids-limit 40
//! native: no
//! A container has at most so many processes and threads: more are EAGAIN, until some end.
#include "check.h"
#include <sys/wait.h>

int main(void) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    for (int round = 0; round < 3; round++) {
        int made = 0;
        pid_t pid;
        while ((pid = fork()) > 0) made++;
        if (pid == 0) {
            char byte;
            close(ends[1]);
            // Until the parent lets all go.
            _exit(read(ends[0], &byte, 1) != 0 && 0);
        }
        CHECK_EQ(errno, EAGAIN);
        CHECK_EQ(made, 39);
        close(ends[1]);
        int status;
        while (wait(&status) > 0) made--;
        CHECK_EQ(made, 0);
        CHECK_EQ(errno, ECHILD);
        close(ends[0]);
        CHECK_EQ(pipe(ends), 0);
    }
    return done("fork_bomb");
}
