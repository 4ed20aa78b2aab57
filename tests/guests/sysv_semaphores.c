//! System V semaphores: values, operations all at once, waiting, undoing, permissions.
//! cpus: 1, 2
#include "check.h"
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>

union semun { int val; struct semid_ds *buf; unsigned short *array; struct seminfo *info; };

static int value(int id, int n) { return semctl(id, n, GETVAL); }

static int operate(int id, int n, int change, int flags) {
    struct sembuf op = {(unsigned short)n, (short)change, (short)flags};
    return semop(id, &op, 1);
}

static void ends_well(pid_t pid) {
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
}

/// Until so many wait.
static void wait_for(int id, int n, int command, int count) {
    struct timespec t = {0, 1000000};
    for (int i = 0; i < 10000 && semctl(id, n, command) != count; i++) nanosleep(&t, NULL);
    CHECK_EQ(semctl(id, n, command), count);
}

static void handler(int signal) { (void)signal; }

int main(void) {
    key_t key = 0x53000000 | (getpid() & 0xffffff);
    CHECK_FAILS(semget(key, 3, 0600), ENOENT);
    CHECK_FAILS(semget(key, 0, IPC_CREAT | 0600), EINVAL);
    CHECK_FAILS(semget(key, -1, IPC_CREAT | 0600), EINVAL);
    CHECK_FAILS(semget(key, 32001, IPC_CREAT | 0600), EINVAL);
    int id = semget(key, 3, IPC_CREAT | IPC_EXCL | 0640);
    CHECK(id >= 0);
    CHECK_FAILS(semget(key, 3, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    CHECK_FAILS(semget(key, 4, 0600), EINVAL);
    CHECK_EQ(semget(key, 0, 0600), id);

    // Values.
    struct semid_ds status;
    CHECK_EQ(semctl(id, 0, IPC_STAT, (union semun){.buf = &status}), 0);
    CHECK_EQ(status.sem_nsems, 3);
    CHECK_EQ(status.sem_otime, 0);
    CHECK(status.sem_ctime > 0 && status.sem_perm.mode == 0640 && status.sem_perm.__key == key);
    CHECK_EQ(status.sem_perm.uid, geteuid());
    CHECK_EQ(semctl(id, 1, SETVAL, (union semun){.val = 5}), 0);
    CHECK_EQ(value(id, 1), 5);
    CHECK_EQ(semctl(id, 1, GETPID), getpid());
    CHECK_EQ(semctl(id, 0, GETPID), 0);
    CHECK_FAILS(semctl(id, 1, SETVAL, (union semun){.val = 32768}), ERANGE);
    CHECK_FAILS(semctl(id, 1, SETVAL, (union semun){.val = -1}), ERANGE);
    CHECK_FAILS(semctl(id, 3, GETVAL), EINVAL);
    CHECK_FAILS(semctl(id, -1, GETVAL), EINVAL);
    CHECK_FAILS(semctl(id, 0, 77), EINVAL);
    CHECK_FAILS(semctl(-1, 0, GETVAL), EINVAL);
    unsigned short values[3] = {1, 2, 3}, got[3] = {0};
    CHECK_EQ(semctl(id, 0, SETALL, (union semun){.array = values}), 0);
    CHECK_EQ(semctl(id, 0, GETALL, (union semun){.array = got}), 0);
    CHECK(!memcmp(values, got, sizeof got));
    values[1] = 40000;
    CHECK_FAILS(semctl(id, 0, SETALL, (union semun){.array = values}), ERANGE);
    struct seminfo info;
    CHECK(semctl(0, 0, IPC_INFO, (union semun){.info = &info}) >= 0);
    CHECK_EQ(info.semmsl, 32000);
    CHECK_EQ(info.semopm, 500);
    CHECK_EQ(info.semvmx, 32767);
    CHECK(semctl(0, 0, SEM_INFO, (union semun){.info = &info}) >= 0 && info.semusz >= 1 && info.semaem >= 3);

    // All or none.
    struct sembuf both[2] = {{0, -1, 0}, {1, -3, IPC_NOWAIT}};
    CHECK_FAILS(semop(id, both, 2), EAGAIN);
    CHECK_EQ(value(id, 0), 1);
    both[1].sem_op = -2;
    CHECK_EQ(semop(id, both, 2), 0);
    CHECK_EQ(value(id, 0), 0);
    CHECK_EQ(value(id, 1), 0);
    CHECK_EQ(operate(id, 0, 0, 0), 0);
    CHECK_FAILS(operate(id, 2, 0, IPC_NOWAIT), EAGAIN);
    CHECK_FAILS(operate(id, 2, 32767, 0), ERANGE);
    CHECK_FAILS(operate(id, 3, 1, 0), EFBIG);
    CHECK_FAILS(semop(id, both, 0), EINVAL);
    CHECK_FAILS(semop(id, both, 501), E2BIG);
    CHECK_FAILS(semop(id, (void *)8, 1), EFAULT);
    CHECK_FAILS(operate(-1, 0, 1, 0), EINVAL);
    CHECK_EQ(semctl(id, 0, IPC_STAT, (union semun){.buf = &status}), 0);
    CHECK(status.sem_otime > 0);

    // In time.
    struct timespec soon = {0, 20000000}, bad = {0, -1};
    struct sembuf take = {0, -1, 0};
    CHECK_FAILS(semtimedop(id, &take, 1, &soon), EAGAIN);
    CHECK_FAILS(semtimedop(id, &take, 1, &bad), EINVAL);
    CHECK_EQ(semctl(id, 0, GETNCNT), 0);

    // Two that wait, for more and for zero; who comes first is served first.
    pid_t first = fork();
    if (first == 0) _exit(operate(id, 0, -2, 0));
    wait_for(id, 0, GETNCNT, 1);
    pid_t second = fork();
    if (second == 0) _exit(operate(id, 0, -1, 0));
    wait_for(id, 0, GETNCNT, 2);
    CHECK_EQ(operate(id, 0, 2, 0), 0);
    ends_well(first);
    CHECK_EQ(semctl(id, 0, GETNCNT), 1);
    CHECK_EQ(operate(id, 0, 1, 0), 0);
    ends_well(second);
    CHECK_EQ(value(id, 0), 0);
    CHECK_EQ(semctl(id, 0, SETVAL, (union semun){.val = 2}), 0);
    first = fork();
    if (first == 0) _exit(operate(id, 0, 0, 0));
    wait_for(id, 0, GETZCNT, 1);
    CHECK_EQ(semctl(id, 0, GETNCNT), 0);
    // Zero for a moment is enough.
    CHECK_EQ(operate(id, 0, -2, 0), 0);
    CHECK_EQ(operate(id, 0, 1, 0), 0);
    ends_well(first);

    // Undone at the end, and when killed; not by execve, not in a child.
    CHECK_EQ(semctl(id, 0, SETVAL, (union semun){.val = 3}), 0);
    first = fork();
    if (first == 0) {
        if (operate(id, 0, -2, SEM_UNDO) || value(id, 0) != 1) _exit(1);
        pid_t child = fork();
        if (child == 0) _exit(0);
        waitpid(child, NULL, 0);
        _exit(value(id, 0) == 1 ? 0 : 2);
    }
    ends_well(first);
    CHECK_EQ(value(id, 0), 3);
    CHECK_EQ(semctl(id, 0, GETPID), first);
    first = fork();
    if (first == 0) {
        operate(id, 0, -3, SEM_UNDO);
        for (;;) pause();
    }
    wait_for(id, 0, GETVAL, 0);
    second = fork();
    if (second == 0) _exit(operate(id, 0, -3, 0));
    wait_for(id, 0, GETNCNT, 1);
    kill(first, SIGKILL);
    ends_well(second); // by what the killed one gave back
    CHECK_EQ(waitpid(first, NULL, 0), first);
    CHECK_EQ(value(id, 0), 0);
    first = fork();
    if (first == 0) {
        operate(id, 0, 4, SEM_UNDO);
        _exit(0);
    }
    ends_well(first);
    CHECK_EQ(value(id, 0), 0);
    first = fork();
    if (first == 0) {
        operate(id, 1, 1, SEM_UNDO);
        // Set by hand: nothing is left to undo.
        _exit(semctl(id, 1, SETVAL, (union semun){.val = 9}));
    }
    ends_well(first);
    CHECK_EQ(value(id, 1), 9);

    // A signal ends a wait, and so does a kill; nobody waits afterwards.
    first = fork();
    if (first == 0) {
        struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART};
        sigaction(SIGUSR1, &act, NULL);
        _exit(operate(id, 0, -1, 0) == -1 && errno == EINTR ? 0 : 1);
    }
    wait_for(id, 0, GETNCNT, 1);
    kill(first, SIGUSR1);
    ends_well(first);
    first = fork();
    if (first == 0) _exit(operate(id, 0, -1, 0));
    wait_for(id, 0, GETNCNT, 1);
    kill(first, SIGKILL);
    CHECK_EQ(waitpid(first, NULL, 0), first);
    CHECK_EQ(semctl(id, 0, GETNCNT), 0);

    // Permissions, listing, the end.
    status.sem_perm.mode = 0400;
    CHECK_EQ(semctl(id, 0, IPC_SET, (union semun){.buf = &status}), 0);
    CHECK_EQ(semctl(id, 0, IPC_STAT, (union semun){.buf = &status}), 0);
    CHECK_EQ(status.sem_perm.mode, 0400);
    first = fork();
    if (first == 0) {
        if (geteuid() == 0 && setuid(1234)) _exit(1);
        if (geteuid() != 1234) _exit(0);
        if (value(id, 0) != -1 || errno != EACCES) _exit(2);
        if (operate(id, 0, 1, 0) != -1 || errno != EACCES) _exit(3);
        _exit(semctl(id, 0, IPC_RMID) == -1 && errno == EPERM ? 0 : 4);
    }
    ends_well(first);
    status.sem_perm.mode = 0600;
    CHECK_EQ(semctl(id, 0, IPC_SET, (union semun){.buf = &status}), 0);
    char text[20000], line[64];
    CHECK(get_file("/proc/sysvipc/sem", text, sizeof text) > 0);
    CHECK(!strncmp(text, "       key      semid perms      nsems   uid", 44));
    snprintf(line, sizeof line, "\n%10d %10d   600          3 ", key, id);
    CHECK(strstr(text, line));
    first = fork();
    if (first == 0) _exit(operate(id, 0, -1, SEM_UNDO) == -1 && errno == EIDRM ? 0 : 1);
    wait_for(id, 0, GETNCNT, 1);
    CHECK_EQ(semctl(id, 0, IPC_RMID), 0);
    ends_well(first);
    CHECK_FAILS(value(id, 0), EINVAL);
    CHECK_FAILS(semget(key, 3, 0600), ENOENT);
    int other = semget(IPC_PRIVATE, 1, 0600), another = semget(IPC_PRIVATE, 1, 0600);
    CHECK(other >= 0 && another >= 0 && other != another);
    CHECK_EQ(semctl(other, 0, IPC_RMID), 0);
    CHECK_EQ(semctl(another, 0, IPC_RMID), 0);
    return done("sysv_semaphores");
}
