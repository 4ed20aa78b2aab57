//! process_limit: RLIMIT_NPROC counts what a user has, processes and threads; root has no such limit.
#include "check.h"
#include <grp.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

// No process of the machine is this user's.
#define USER 54321

static void limit(rlim_t most) {
    struct rlimit both = {most, most};
    CHECK_EQ(setrlimit(RLIMIT_NPROC, &both), 0);
}

static int ended(pid_t pid) {
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Forks a child that stays until it is let go.
static pid_t stay(int from) {
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        _exit(read(from, &byte, 1) != 1);
    }
    return pid;
}

static void *nothing(void *argument) {
    return argument;
}

/// A user with three processes at most.
static void user(void) {
    int ends[2];
    pthread_t thread;
    CHECK_EQ(pipe(ends), 0);
    limit(3);
    CHECK_EQ(setgroups(0, NULL), 0);
    CHECK_EQ(setgid(USER), 0);
    CHECK_EQ(setuid(USER), 0);

    // Root's do not count, which are more than that.
    pid_t first = stay(ends[0]), second = stay(ends[0]);
    CHECK(first > 0 && second > 0);
    CHECK_EQ(fork(), -1);
    CHECK_EQ(errno, EAGAIN);
    CHECK_EQ(pthread_create(&thread, NULL, nothing, NULL), EAGAIN);

    // One that ended makes room for one more.
    CHECK_EQ(write(ends[1], "", 1), 1);
    int status;
    CHECK(wait(&status) > 0);
    CHECK_EQ(pthread_create(&thread, NULL, nothing, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(write(ends[1], "", 1), 1);
    CHECK(wait(&status) > 0);
    exit(wrong_count != 0);
}

int main(void) {
    int ends[2];
    pid_t kept[3];
    CHECK_EQ(pipe(ends), 0);
    for (int i = 0; i < 3; i++) kept[i] = stay(ends[0]);

    pid_t pid = fork();
    if (pid == 0) user();
    CHECK_EQ(ended(pid), 0);

    limit(0);
    pid = fork();
    if (pid == 0) _exit(7);
    CHECK(pid > 0);
    CHECK_EQ(ended(pid), 7);

    CHECK_EQ(write(ends[1], "abc", 3), 3);
    for (int i = 0; i < 3; i++) CHECK_EQ(ended(kept[i]), 0);
    return done("process_limit");
}
