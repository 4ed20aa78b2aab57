//! What processes cost: `processes COUNT`. With the name of a figure instead it ends at once.

#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

extern char **environ;

static void ends(pid_t pid)
{
    int status;
    require(pid > 0, "a child");
    require(waitpid(pid, &status, 0) == pid && status == 0, "its end");
}

static void fork_and_exit(const char *name, long count)
{
    uint64_t start = now_ns();
    for (long i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        ends(pid);
    }
    report(name, start, (uint64_t)count);
}

static void fork_with(const char *name, size_t mebibytes, long count)
{
    char *memory = malloc(mebibytes << 20);
    require(memory != NULL, "memory");
    memset(memory, 1, mebibytes << 20);
    fork_and_exit(name, count);
    free(memory);
}

static void spawn(const char *name, const char *path, char **args, long count)
{
    uint64_t start = now_ns();
    for (long i = 0; i < count; i++) {
        pid_t pid;
        require(posix_spawn(&pid, path, NULL, NULL, args, environ) == 0, "posix_spawn");
        ends(pid);
    }
    report(name, start, (uint64_t)count);
}

int main(int argc, char **argv)
{
    require(argc == 2, "usage: processes COUNT");
    const long count = atol(argv[1]);
    if (count == 0)
        return 0;
    char *again[] = {argv[0], "0", NULL};

    fork_and_exit("fork_exit", count);

    uint64_t start = now_ns();
    for (long i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            execv("/proc/self/exe", again);
            _exit(1);
        }
        ends(pid);
    }
    report("fork_exec", start, (uint64_t)count);

    start = now_ns();
    for (long i = 0; i < count; i++) {
        pid_t pid = vfork();
        if (pid == 0) {
            execv("/proc/self/exe", again);
            _exit(1);
        }
        ends(pid);
    }
    report("vfork_exec", start, (uint64_t)count);

    spawn("spawn", "/proc/self/exe", again, count);
    spawn("spawn_dynamic", "/usr/bin/true", again, count);

    fork_with("fork_exit_10m", 10, count);
    fork_with("fork_exit_500m", 500, count / 10 + 1);

    // From one process to another, 64 KiB at a time.
    enum { PIECE = 64 << 10, PIECES = 2048 };
    static char piece[PIECE];
    int ends_of[2];
    require(pipe(ends_of) == 0, "pipe");
    start = now_ns();
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < PIECES; i++)
            require(write(ends_of[1], piece, PIECE) == PIECE, "write");
        _exit(0);
    }
    close(ends_of[1]);
    while (read(ends_of[0], piece, PIECE) > 0)
        ;
    ends(pid);
    report("pipe_mebibyte", start, (uint64_t)PIECE * PIECES >> 20);
    return 0;
}
