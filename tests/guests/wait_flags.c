//! wait_flags: which children __WALL, __WCLONE and __WNOTHREAD choose, and whose they are.
//! build: static
//! flags: -pthread
//! cpus: 1, 2
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

/// A child that ends with 3 and tells of it by `signal`.
static pid_t child(int flags) {
    pid_t pid = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
    if (pid == 0) _exit(3);
    CHECK(pid > 0);
    return pid;
}

/// It has ended.
static void await_end(pid_t pid) {
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, pid, &info, WEXITED | WNOWAIT | __WALL), 0);
    CHECK_EQ(info.si_status, 3);
}

static pid_t wait_for(pid_t pid, int options) {
    int status = 0;
    pid_t got = (pid_t)syscall(SYS_wait4, pid, &status, options, NULL);
    if (got > 0) CHECK_EQ(status, 3 << 8);
    return got;
}

static void kinds(void) {
    int others[] = {0, SIGUSR1, SIGRTMIN};
    signal(SIGUSR1, SIG_IGN);
    signal(SIGRTMIN, SIG_IGN);
    for (int i = 0; i < 3; i++) {
        pid_t clone = child(others[i]);
        await_end(clone);
        CHECK_FAILS(wait_for(clone, 0), ECHILD);
        CHECK_FAILS(wait_for(-1, WNOHANG), ECHILD);
        siginfo_t info = {0};
        CHECK_FAILS(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
        CHECK_EQ(waitid(P_PID, clone, &info, WEXITED | WNOWAIT | __WCLONE), 0);
        CHECK_EQ(info.si_pid, clone);
        pid_t plain = child(SIGCHLD);
        await_end(plain);
        CHECK_FAILS(wait_for(plain, __WCLONE), ECHILD);
        if (i == 0) {
            CHECK_EQ(wait_for(-1, __WCLONE), clone);
            CHECK_EQ(wait_for(-1, 0), plain);
        } else {
            CHECK_EQ(wait_for(plain, __WALL | __WCLONE), plain);
            CHECK_EQ(wait_for(clone, __WALL), clone);
        }
        CHECK_FAILS(wait_for(-1, __WALL), ECHILD);
    }
    // execve makes it like the others.
    pid_t pid = (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0) {
        execl("/proc/self/exe", "wait_flags", "three", NULL);
        _exit(1);
    }
    await_end(pid);
    CHECK_FAILS(wait_for(pid, __WCLONE), ECHILD);
    CHECK_EQ(wait_for(pid, 0), pid);
    CHECK_FAILS(syscall(SYS_wait4, -1, NULL, WEXITED, NULL), EINVAL);
    CHECK_FAILS(syscall(SYS_wait4, INT32_MIN, NULL, 0, NULL), ESRCH);
    CHECK_FAILS(waitid(P_ALL, 0, NULL, __WALL), EINVAL);
    CHECK_FAILS(waitid(P_ALL, 0, NULL, WEXITED | 0x10), EINVAL);
}

/// A sibling tells of its end as its maker would.
static void siblings(void) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    pid_t maker = child(SIGCHLD);
    await_end(maker);
    CHECK_EQ(wait_for(maker, 0), maker);
    maker = (pid_t)syscall(SYS_clone, SIGUSR1, 0, 0, 0, 0);
    if (maker == 0) {
        pid_t sibling = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
        if (sibling == 0) _exit(3);
        CHECK_EQ(write(ends[1], &sibling, sizeof sibling), sizeof sibling);
        _exit(3);
    }
    pid_t sibling = 0;
    CHECK_EQ(read(ends[0], &sibling, sizeof sibling), sizeof sibling);
    await_end(sibling);
    CHECK_FAILS(wait_for(sibling, 0), ECHILD);
    CHECK_EQ(wait_for(sibling, __WCLONE), sibling);
    CHECK_EQ(wait_for(maker, __WCLONE), maker);
    close(ends[0]);
    close(ends[1]);
}

static pid_t of_thread, of_first;
static pthread_barrier_t barrier;

static void *makes(void *unused) {
    of_thread = child(SIGCHLD);
    await_end(of_thread);
    pthread_barrier_wait(&barrier);
    CHECK_FAILS(wait_for(of_first, __WNOTHREAD), ECHILD);
    // Without the flag it may wait for all of the process.
    CHECK_EQ(wait_for(of_first, 0), of_first);
    pthread_barrier_wait(&barrier);
    return unused;
}

static void threads(void) {
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    of_first = child(SIGCHLD);
    await_end(of_first);
    CHECK_EQ(pthread_create(&thread, NULL, makes, NULL), 0);
    pthread_barrier_wait(&barrier);
    CHECK_FAILS(wait_for(of_thread, __WNOTHREAD | WNOHANG), ECHILD);
    siginfo_t info;
    CHECK_FAILS(waitid(P_PID, of_thread, &info, WEXITED | __WNOTHREAD), ECHILD);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    // The thread has ended: its child is the first one's, once it is gone.
    pid_t got = -1;
    for (int i = 0; i < 20000 && got < 0; i++, usleep(1000)) got = wait_for(of_thread, __WNOTHREAD);
    CHECK_EQ(got, of_thread);
}

int main(int count, char **arguments) {
    (void)arguments;
    if (count > 1) return 3;
    kinds();
    siblings();
    threads();
    return done("wait_flags");
}
