//! proc_threads: /proc/self/task lists each thread with a name and a state of its own.
//! build: static
//! options: --cpus 2
//! flags: -pthread
#include "check.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/prctl.h>

enum { THREADS = 3 };
static int tids[THREADS], go[2];
static pthread_barrier_t started;

static void *sleeper(void *argument) {
    long number = (long)argument;
    char name[16], text[64], want[64];
    snprintf(name, sizeof name, "sleeper-%ld", number);
    prctl(PR_SET_NAME, name);
    tids[number] = (int)syscall(SYS_gettid);
    ssize_t n = readlink("/proc/thread-self", text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    snprintf(want, sizeof want, "%d/task/%d", getpid(), tids[number]);
    CHECK(!strcmp(text, want));
    pthread_barrier_wait(&started);
    CHECK_EQ(read(go[0], text, 1), 1);
    return NULL;
}

/// A file of one thread.
static const char *of(int tid, const char *file) {
    static char path[64], text[8192];
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, file);
    if (get_file(path, text, sizeof text) < 0) WRONG("%s: errno %d", path, errno);
    return text;
}

static int listed(void) {
    DIR *task = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *e; task && (e = readdir(task));) count += e->d_name[0] != '.';
    closedir(task);
    return count;
}

int main(void) {
    pthread_t threads[THREADS];
    CHECK_EQ(pipe(go), 0);
    pthread_barrier_init(&started, NULL, THREADS + 1);
    for (long i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, sleeper, (void *)i), 0);
    pthread_barrier_wait(&started);
    CHECK_EQ(listed(), THREADS + 1);
    char want[64];
    for (int i = 0; i < THREADS; i++) {
        snprintf(want, sizeof want, "sleeper-%d\n", i);
        CHECK(!strcmp(of(tids[i], "comm"), want));
        // It sleeps before long.
        for (int tries = 0; tries < 10000 && !strstr(of(tids[i], "status"), "State:\tS (sleeping)"); tries++) usleep(1000);
        const char *status = of(tids[i], "status");
        snprintf(want, sizeof want, "\nTgid:\t%d\n", getpid());
        CHECK(strstr(status, "State:\tS (sleeping)\n") && strstr(status, want) && strstr(status, "\nThreads:\t4\n"));
        snprintf(want, sizeof want, "%d (sleeper-%d) S ", tids[i], i);
        CHECK(!strncmp(of(tids[i], "stat"), want, strlen(want)));
    }
    CHECK(strstr(of(getpid(), "status"), "State:\tR (running)\n"));

    // One thread names another; the process is called as before.
    snprintf(want, sizeof want, "/proc/self/task/%d/comm", tids[1]);
    put_file(want, "renamed");
    CHECK(!strcmp(of(tids[1], "comm"), "renamed\n") && !strcmp(of(tids[0], "comm"), "sleeper-0\n"));
    put_file("/proc/self/comm", "first");
    CHECK(!strcmp(of(getpid(), "comm"), "first\n") && !strcmp(of(tids[1], "comm"), "renamed\n"));

    CHECK_EQ(write(go[1], "xxx", 3), 3);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    // An ended thread may be listed for a moment after it was joined.
    for (int tries = 0; tries < 10000 && listed() > 1; tries++) usleep(1000);
    CHECK_EQ(listed(), 1);
    snprintf(want, sizeof want, "/proc/self/task/%d", tids[0]);
    CHECK_FAILS(access(want, F_OK), ENOENT);
    CHECK(strstr(of(getpid(), "status"), "\nThreads:\t1\n"));
    return done("proc_threads");
}
