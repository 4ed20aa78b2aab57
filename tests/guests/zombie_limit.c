//! options: --pids-limit 40
//! native: no
//! A process that has ended keeps its place in the limit until its parent has waited for it.
#include "check.h"
#include <sys/wait.h>

static long number_of(const char *path, const char *name) {
    char text[64] = "";
    FILE *file = fopen(path, "r");
    CHECK(file && fgets(text, sizeof text, file));
    fclose(file);
    CHECK(!strncmp(text, name, strlen(name)));
    return atol(text + strlen(name));
}

int main(void) {
    CHECK_EQ(number_of("/sys/fs/cgroup/pids.max", ""), 40);
    CHECK_EQ(number_of("/sys/fs/cgroup/pids.events", "max "), 0);
    for (int round = 1; round <= 3; round++) {
        int made = 0;
        pid_t pid;
        while ((pid = fork()) > 0) {
            siginfo_t info;
            CHECK_EQ(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
            made++;
        }
        if (pid == 0) _exit(0);
        CHECK_EQ(errno, EAGAIN);
        CHECK_EQ(made, 39);
        CHECK_EQ(number_of("/sys/fs/cgroup/pids.current", ""), 40);
        CHECK_EQ(number_of("/sys/fs/cgroup/pids.events", "max "), round);
        while (wait(NULL) > 0) made--;
        CHECK_EQ(made, 0);
        CHECK_EQ(number_of("/sys/fs/cgroup/pids.current", ""), 1);
    }
    return done("zombie_limit");
}
