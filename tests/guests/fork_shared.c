//! cpus: 1, 2
//! What processes share after fork: memory, mutexes and semaphores in it, file offsets, locks.
//! flags: -pthread
#include "check.h"
#include <pthread.h>
#include <semaphore.h>
#include <sys/file.h>
#include <sys/wait.h>

struct shared {
    pthread_mutex_t mutex, robust;
    pthread_cond_t changed;
    sem_t ping, pong;
    volatile int count, turn;
};

static struct shared *shared;

static void end_of(pid_t pid, int wanted) {
    int status = -1;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, wanted);
}

static void mutex_and_condition(void) {
    enum { ROUNDS = 200 };
    pid_t pid = fork();
    int me = pid == 0;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&shared->mutex);
        while (shared->turn != me) pthread_cond_wait(&shared->changed, &shared->mutex);
        shared->count++;
        shared->turn = !me;
        pthread_cond_broadcast(&shared->changed);
        pthread_mutex_unlock(&shared->mutex);
    }
    if (pid == 0) _exit(0);
    end_of(pid, 0);
    CHECK_EQ(shared->count, 2 * ROUNDS);
}

static void semaphores(void) {
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 100; i++) sem_wait(&shared->ping), sem_post(&shared->pong);
        _exit(0);
    }
    for (int i = 0; i < 100; i++) sem_post(&shared->ping), sem_wait(&shared->pong);
    end_of(pid, 0);
}

/// Who dies with a robust mutex leaves it to the next one.
static void a_holder_dies(void) {
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(&shared->robust);
        raise(SIGKILL);
    }
    end_of(pid, SIGKILL);
    CHECK_EQ(pthread_mutex_lock(&shared->robust), EOWNERDEAD);
    CHECK_EQ(pthread_mutex_consistent(&shared->robust), 0);
    CHECK_EQ(pthread_mutex_unlock(&shared->robust), 0);
}

/// Private futexes at the same address are two.
static void private_words_are_apart(void) {
    static pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&own);
    pid_t pid = fork();
    if (pid == 0) {
        // The copy is locked, and nobody in this process unlocks it.
        struct timespec soon;
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_nsec += 20000000;
        if (soon.tv_nsec >= 1000000000) soon.tv_sec++, soon.tv_nsec -= 1000000000;
        _exit(pthread_mutex_timedlock(&own, &soon) == ETIMEDOUT ? 0 : 1);
    }
    pthread_mutex_unlock(&own);
    end_of(pid, 0);
}

static void a_shared_file(void) {
    scratch();
    put_file("f", "0000000000000000");
    int fd = open("f", O_RDWR);
    char *map = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *copy = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    copy[1] = 'p';
    pid_t pid = fork();
    if (pid == 0) {
        map[0] = 'c';
        copy[2] = 'c';
        _exit(copy[1] != 'p');
    }
    end_of(pid, 0);
    CHECK_EQ(map[0], 'c');
    CHECK_EQ(copy[1], 'p');
    CHECK_EQ(copy[2], '0');
    char byte = 0;
    CHECK_EQ(pread(fd, &byte, 1, 0), 1);
    CHECK_EQ(byte, 'c');
    // A change by write is seen in both.
    pid = fork();
    if (pid == 0) {
        while (map[3] == '0') sched_yield();
        _exit(map[3] != 'w');
    }
    CHECK_EQ(pwrite(fd, "w", 1, 3), 1);
    end_of(pid, 0);
    // Cut, the rest of the mapping is gone in both; the private page that was written stays.
    CHECK_EQ(ftruncate(fd, 0), 0);
    pid = fork();
    if (pid == 0) {
        volatile char gone = map[0];
        _exit(gone);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WTERMSIG(status), SIGBUS);
    close(fd);
}

static void locks(void) {
    int fd = open("locked", O_RDWR | O_CREAT, 0600);
    struct flock own = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
    CHECK_EQ(fcntl(fd, F_SETLK, &own), 0);
    CHECK_EQ(flock(fd, LOCK_EX), 0);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        // A record lock is the process's and not inherited; flock is the open file's, and shared.
        struct flock asked = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
        int ok = fcntl(fd, F_GETLK, &asked) == 0 && asked.l_type == F_WRLCK && asked.l_pid == parent;
        ok &= flock(fd, LOCK_EX | LOCK_NB) == 0;
        struct flock later = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 20, .l_len = 1};
        ok &= fcntl(fd, F_SETLK, &later) == 0;
        _exit(!ok);
    }
    end_of(pid, 0);
    // The child's lock went with it.
    struct flock asked = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 20, .l_len = 1};
    CHECK_EQ(fcntl(fd, F_GETLK, &asked), 0);
    CHECK_EQ(asked.l_type, F_UNLCK);
    close(fd);
}

static void *sleeps(void *argument) {
    for (;;) pause();
    return argument;
}

/// Only the thread that calls fork is there in the child.
static void threads_stay_behind(void) {
    pthread_t id[3];
    for (int i = 0; i < 3; i++) CHECK_EQ(pthread_create(&id[i], NULL, sleeps, NULL), 0);
    pid_t pid = fork();
    if (pid == 0) {
        // One more of its own, and an end with it running.
        pthread_t other;
        _exit(pthread_create(&other, NULL, sleeps, NULL) ? 1 : 4);
    }
    end_of(pid, 4 << 8);
    for (int i = 0; i < 3; i++) pthread_cancel(id[i]), pthread_join(id[i], NULL);
}

int main(void) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->mutex, &attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&shared->robust, &attributes);
    pthread_condattr_t condition;
    pthread_condattr_init(&condition);
    pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&shared->changed, &condition);
    sem_init(&shared->ping, 1, 0), sem_init(&shared->pong, 1, 0);
    mutex_and_condition();
    semaphores();
    a_holder_dies();
    private_words_are_apart();
    a_shared_file();
    locks();
    threads_stay_behind();
    return done("fork_shared");
}
