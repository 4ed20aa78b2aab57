//! options: --processes spawn
//! native: no
//! Only processes that run another program at once are made.
#include "check.h"
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static void *thread(void *argument) {
    return argument;
}

int main(int count, char **arguments) {
    (void)arguments;
    if (count > 1) return 5;
    CHECK_FAILS(fork(), EPERM);
    char *again[] = {"again", "x", NULL};
    pid_t pid;
    CHECK_EQ(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, again, environ), 0);
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 5);
    pthread_t id;
    CHECK_EQ(pthread_create(&id, NULL, thread, NULL), 0);
    CHECK_EQ(pthread_join(id, NULL), 0);
    return done("processes_spawn");
}
