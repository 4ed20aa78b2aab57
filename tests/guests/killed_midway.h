//! Steps to be killed in, and what must be left afterwards: nothing.
#pragma once
#include "check.h"
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;
static char self[256];
static int is_guest;
static struct { pthread_mutex_t lock; volatile int inside; } *shared;
static int lock_file;

static void pause_us(long us) {
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

/// A child that does little, or lives on until it is killed.
static void child_end(int n) {
    if (n % 5 == 0) pause();
    if (n % 5 == 1) kill(getpid(), SIGKILL);
    if (n == 13) abort();
    if (n == 17) *(volatile int *)8 = 1;
    _exit(n % 5 == 2);
}

static void step_fork(int n) {
    pid_t pid = fork();
    if (pid == 0) {
        // A grandchild that outlives its parent.
        if (n % 3 == 0 && fork() == 0) child_end(n + 1);
        child_end(n);
    }
    if (pid > 0 && n % 5) waitpid(pid, NULL, 0);
}

static void step_vfork(int n) {
    // Not getppid(): where the parent was killed meanwhile that is the test itself.
    pid_t parent = getpid();
    pid_t pid = vfork();
    if (pid == 0) {
        if (n % 4 == 0) kill(getpid(), SIGKILL);
        if (n % 4 == 1) kill(parent, SIGKILL), pause_us(100);
        if (n % 4 == 2) pause_us(100);
        _exit(0);
    }
    if (pid > 0) waitpid(pid, NULL, 0);
}

static void step_exec(int n) {
    (void)n;
    execl(self, self, "exec", NULL);
    _exit(1);
}

static void step_script(int n) {
    (void)n;
    execl("script", "script", NULL);
    _exit(1);
}

static void step_failing(int n) {
    static const char *const bad[] = {"garbage", "/tmp", "absent", "headless", "torn"};
    execl(bad[n % 5], "bad", NULL);
    pid_t pid = vfork();
    if (pid == 0) execl(bad[n % 5], "bad", NULL), _exit(1);
    if (pid > 0) waitpid(pid, NULL, 0);
}

static void step_spawn(int n) {
    char *const args[] = {self, n % 2 ? "leave" : "stay", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 9, "garbage", O_RDONLY, 0);
    pid_t pid = 0;
    int error = posix_spawn(&pid, self, &actions, NULL, args, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error == 0 && n % 2) waitpid(pid, NULL, 0);
    if (n > 4) pause();
}

static void step_wait(int n) {
    pid_t pid = fork();
    if (pid == 0) pause_us(n % 7 * 20), _exit(n);
    siginfo_t info;
    if (pid > 0 && n % 2) waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
    while (wait(NULL) > 0) continue;
}

static void step_pipe(int n) {
    int ends[2];
    static char block[70000];
    if (pipe(ends)) return;
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        for (ssize_t got = 1; got > 0;) got = read(ends[0], block, n % 2 ? 100 : sizeof block);
        _exit(0);
    }
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 3; i++)
        if (write(ends[1], block, sizeof block) < 0) break;
    close(ends[1]);
    if (pid > 0) waitpid(pid, NULL, 0);
}

static void step_map(int n) {
    size_t bytes = n % 3 ? 200000 : 5 << 20;
    char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return;
    for (size_t i = 0; i < bytes; i += 40000) at[i] = 1;
    mprotect(at, 4096, PROT_READ);
    if (n % 2) at = mremap(at, bytes, bytes * 2, MREMAP_MAYMOVE);
    if (at != MAP_FAILED) munmap(at, n % 2 ? bytes * 2 : bytes);
}

static void *thread_end(void *n) {
    if (*(int *)n % 4 == 3) _exit(0);
    pause_us(20);
    return NULL;
}

static void step_exit(int n) {
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread[2];
        int made = 0;
        while (made < 2 && pthread_create(&thread[made], NULL, thread_end, &n) == 0) made++;
        if (n % 4 == 1) execl(self, self, "leave", NULL);
        if (n % 4 == 2 && made) pthread_join(thread[0], NULL);
        exit(0);
    }
    if (pid > 0) waitpid(pid, NULL, 0);
}

static void step_locks(int n) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 + n % 10};
    fcntl(lock_file, F_SETLKW, &lock);
    if (pthread_mutex_lock(&shared->lock) == EOWNERDEAD) pthread_mutex_consistent(&shared->lock);
    shared->inside = getpid();
    pid_t pid = n % 3 ? 0 : fork();
    if (pid == 0 && n % 3 == 0) child_end(n / 3);
    pthread_mutex_unlock(&shared->lock);
    lock.l_type = F_UNLCK;
    fcntl(lock_file, F_SETLK, &lock);
}

static void (*const steps[])(int) = {step_fork, step_vfork, step_exec, step_script, step_failing, step_spawn,
                                     step_wait, step_pipe, step_map, step_exit, step_locks};
#define KINDS (int)(sizeof steps / sizeof *steps)

/// What this program does when it is executed by one of the steps.
static int again(char **argv) {
    strcpy(self, argv[0]);
    if (!strcmp(argv[1], "exec")) step_exec(0);
    if (!strcmp(argv[1], "script")) step_script(0);
    if (!strcmp(argv[1], "stay")) pause();
    return 0;
}

static long total_kib(void) {
    struct sysinfo info;
    CHECK_EQ(sysinfo(&info), 0);
    return (long)(info.totalram * info.mem_unit / 1024);
}

static long free_kib(void) {
    struct sysinfo info;
    sysinfo(&info);
    return (long)(info.freeram * info.mem_unit >> 10);
}

static int processes(void) {
    int count = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(dir));) count += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
    closedir(dir);
    return count;
}

static void begin(const char *program) {
    scratch();
    CHECK(realpath(program, self) || realpath("/proc/self/exe", self));
    is_guest = getpid() == 1;
    CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    char line[300];
    snprintf(line, sizeof line, "#!%s script\n", self);
    put_file("script", line);
    put_file("headless", "#!/absent/interpreter\n");
    put_file("garbage", "no program\n");
    put_file("torn", "\177ELF\2\1\1");
    for (const char *const *name = (const char *const[]){"script", "headless", "garbage", "torn", NULL}; *name; name++)
        CHECK_EQ(chmod(*name, 0755), 0);
    lock_file = open("locked", O_RDWR | O_CREAT, 0600);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t how;
    pthread_mutexattr_init(&how);
    pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
    CHECK_EQ(pthread_mutex_init(&shared->lock, &how), 0);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    srand(7);
    alarm(60); // a hang is a failure
}

/// One process does `kind` again and again until it is killed `after_us`; then its group
/// is, at once: who is being made at that moment must not escape.
static void run_round(int kind, int round, long after_us) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        close(ends[0]);
        // Half of them by a timer of their own, which runs on through execve.
        struct itimerval timer = {.it_value.tv_usec = after_us + 1};
        if (round % 2) setitimer(ITIMER_REAL, &timer, NULL);
        for (int n = round; n < round + 40; n++) steps[kind](n);
        pause();
    }
    if (pid < 0) {
        WRONG("fork: %s", strerror(errno));
        return;
    }
    setpgid(pid, pid);
    close(ends[1]);
    if (round % 2 == 0) {
        pause_us(after_us);
        // First the parent alone, or all at once.
        if (round % 4) kill(pid, SIGKILL);
        else kill(-pid, SIGKILL);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    // In step_vfork a child may have been faster, in exec a failing one.
    CHECK(WIFSIGNALED(status));
    kill(-pid, SIGKILL);
    while (wait(NULL) > 0) continue;
    CHECK_EQ(errno, ECHILD);
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), 0); // nobody has the other end
    close(ends[0]);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CHECK_EQ(fcntl(lock_file, F_GETLK, &lock), 0);
    CHECK_EQ(lock.l_type, F_UNLCK);
    int error = pthread_mutex_trylock(&shared->lock);
    if (error == EOWNERDEAD) error = pthread_mutex_consistent(&shared->lock);
    CHECK_EQ(error, 0);
    CHECK_EQ(pthread_mutex_unlock(&shared->lock), 0);
}

static void finish(long before_kib) {
    if (!is_guest) return;
    CHECK_EQ(processes(), 1);
    long lost = before_kib - free_kib();
    // A little is the heap's, and of page tables that are kept for the next processes: up to
    // a 256th of the memory.
    if (lost > 1024 + total_kib() / 256) WRONG("%ld KiB are gone", lost);
}
