//! options: --processes deny
//! native: no
//! No process makes another; threads are none.
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
    CHECK_EQ(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, again, environ), EPERM);
    pthread_t id;
    CHECK_EQ(pthread_create(&id, NULL, thread, NULL), 0);
    CHECK_EQ(pthread_join(id, NULL), 0);
    return done("processes_deny");
}
