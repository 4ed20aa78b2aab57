//! fork: a copy of the memory, shared things stay shared, and how a child's end is told.
#include "check.h"
#include <sys/resource.h>
#include <sys/wait.h>

static int global = 1;

static pid_t child_that_exits(int code) {
    pid_t pid = fork();
    if (pid == 0) _exit(code);
    return pid;
}

static void memory_is_copied(void) {
    size_t bytes = 8 << 20;
    char *big = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(big, 'p', bytes);
    char *heap = strdup("parent");
    int local = 5;
    pid_t pid = fork();
    if (pid == 0) {
        int ok = global == 1 && local == 5 && !strcmp(heap, "parent");
        for (size_t at = 0; at < bytes; at += 4096) ok &= big[at] == 'p';
        global = 2, local = 6;
        strcpy(heap, "child");
        memset(big, 'c', bytes);
        *shared = 42;
        for (size_t at = 0; at < bytes; at += 4096) ok &= big[at] == 'c';
        _exit(ok ? 7 : 8);
    }
    CHECK(pid > 1);
    // The parent writes as well, while the child does.
    for (size_t at = 0; at < bytes; at += 8192) big[at] = 'q';
    int status = 0;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 7);
    CHECK_EQ(global, 1);
    CHECK_EQ(local, 5);
    CHECK(!strcmp(heap, "parent"));
    for (size_t at = 0; at < bytes; at += 4096) {
        if (big[at] != (at % 8192 ? 'p' : 'q')) {
            WRONG("byte %zu is %c", at, big[at]);
            break;
        }
    }
    CHECK_EQ(*shared, 42);
    munmap(big, bytes);
}

static void files_share_their_offset(void) {
    scratch();
    put_file("f", "0123456789");
    int fd = open("f", O_RDONLY);
    char byte;
    CHECK_EQ(read(fd, &byte, 1), 1);
    pid_t pid = fork();
    if (pid == 0) {
        char two[2];
        int ok = read(fd, two, 2) == 2 && two[0] == '1';
        close(fd);
        _exit(!ok);
    }
    int status;
    CHECK_EQ(wait(&status), pid);
    CHECK_EQ(status, 0);
    CHECK_EQ(read(fd, &byte, 1), 1);
    CHECK_EQ(byte, '3');
    close(fd);
}

static void a_pipe_connects(void) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        for (int i = 0; i < 1000; i++)
            if (write(ends[1], &i, sizeof i) != sizeof i) _exit(1);
        _exit(0);
    }
    close(ends[1]);
    int got, count = 0;
    while (read(ends[0], &got, sizeof got) == sizeof got) {
        if (got != count) WRONG("%d instead of %d", got, count);
        count++;
    }
    CHECK_EQ(count, 1000);
    close(ends[0]);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

static volatile sig_atomic_t told;
static siginfo_t told_of;
static void on_child(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    told++;
    told_of = *info;
}

static void the_parent_is_told(void) {
    struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGCHLD, &action, NULL);
    pid_t pid = child_that_exits(3);
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 3);
    CHECK_EQ(told, 1);
    CHECK_EQ(told_of.si_pid, pid);
    CHECK_EQ(told_of.si_code, CLD_EXITED);
    CHECK_EQ(told_of.si_status, 3);
    pid = fork();
    if (pid == 0)
        for (;;) pause();
    CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
    CHECK_EQ(kill(pid, SIGTERM), 0);
    siginfo_t info = {0};
    CHECK_EQ(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
    CHECK_EQ(info.si_code, CLD_KILLED);
    CHECK_EQ(info.si_status, SIGTERM);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGTERM);
    CHECK_FAILS(waitpid(pid, &status, 0), ECHILD);
    CHECK_FAILS(kill(pid, 0), ESRCH);
    signal(SIGCHLD, SIG_IGN);
    pid = child_that_exits(0);
    // Nobody waits for it: it goes by itself, and wait says so once all are gone.
    CHECK_FAILS(wait(NULL), ECHILD);
    signal(SIGCHLD, SIG_DFL);
}

static void children_of_children(void) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        pid_t before = getpid();
        pid_t grandchild = fork();
        if (grandchild == 0) {
            // Waits until its parent is gone.
            while (getppid() == before) usleep(1000);
            int has_other = getppid() != before;
            if (write(ends[1], &has_other, sizeof has_other) != sizeof has_other) _exit(1);
            _exit(0);
        }
        _exit(0);
    }
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    int has_other = 0;
    CHECK_EQ(read(ends[0], &has_other, sizeof has_other), sizeof has_other);
    CHECK_EQ(has_other, 1);
    close(ends[0]);
    close(ends[1]);
}

static void groups_and_sessions(void) {
    pid_t pid = fork();
    if (pid == 0) {
        int ok = getpgrp() != getpid() && setsid() == getpid() && getpgrp() == getpid() && getsid(0) == getpid();
        _exit(!ok);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    pid_t first = fork();
    if (first == 0)
        for (;;) pause();
    CHECK_EQ(setpgid(first, 0), 0);
    CHECK_EQ(getpgid(first), first);
    pid_t second = fork();
    if (second == 0)
        for (;;) pause();
    CHECK_EQ(setpgid(second, first), 0);
    CHECK_EQ(kill(-first, SIGKILL), 0);
    CHECK(waitpid(-first, &status, 0) > 0);
    CHECK_EQ(WTERMSIG(status), SIGKILL);
    CHECK(waitpid(-first, &status, 0) > 0);
    CHECK_FAILS(waitpid(-first, &status, 0), ECHILD);
}

static void many_at_once(void) {
    enum { COUNT = 50 };
    pid_t pids[COUNT];
    for (int i = 0; i < COUNT; i++) pids[i] = child_that_exits(i);
    for (int i = 0; i < COUNT; i++) {
        int status;
        CHECK_EQ(waitpid(pids[i], &status, 0), pids[i]);
        CHECK_EQ(WEXITSTATUS(status), i);
    }
}

int main(void) {
    memory_is_copied();
    files_share_their_offset();
    a_pipe_connects();
    the_parent_is_told();
    children_of_children();
    groups_and_sessions();
    many_at_once();
    struct rusage usage;
    CHECK_EQ(getrusage(RUSAGE_CHILDREN, &usage), 0);
    return done("fork");
}
