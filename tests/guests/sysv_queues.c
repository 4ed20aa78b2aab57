//! System V message queues: types, sizes, waiting, limits, permissions; what is listed of
//! queues and segments, and segments that are locked.
//! cpus: 1, 2
#include "check.h"
#include <limits.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>

static struct message { long type; char text[8200]; } m;

static int put(int id, long type, const char *text, int flags) {
    struct message out = {.type = type};
    strcpy(out.text, text);
    return msgsnd(id, &out, strlen(text), flags);
}

/// Receives into m: the bytes, or -1.
static int get(int id, long type, int flags) {
    memset(&m, 0, sizeof m);
    return (int)msgrcv(id, &m, sizeof m.text, type, flags);
}

static int is(long type, const char *text) { return m.type == type && !strcmp(m.text, text); }

static struct msqid_ds status_of(int id) {
    struct msqid_ds status;
    memset(&status, 0xff, sizeof status);
    CHECK_EQ(msgctl(id, IPC_STAT, &status), 0);
    return status;
}

/// In the state of /proc's that says so of a process that sleeps.
static void wait_until_asleep(pid_t pid) {
    char path[64], text[512];
    struct timespec t = {0, 2000000};
    for (int i = 0, seen = 0; i < 5000 && seen < 3; i++) {
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        get_file(path, text, sizeof text);
        char *end = strrchr(text, ')');
        seen = end && end[2] == 'S' ? seen + 1 : 0;
        nanosleep(&t, NULL);
    }
}

static void ends_with(pid_t pid, int want) {
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, want);
}

static void handler(int signal) { (void)signal; }

static void types(void) {
    key_t key = 0x51000000 | (getpid() & 0xffffff);
    CHECK_FAILS(msgget(key, 0600), ENOENT);
    int id = msgget(key, IPC_CREAT | IPC_EXCL | 0640);
    CHECK(id >= 0);
    CHECK_FAILS(msgget(key, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    CHECK_EQ(msgget(key, IPC_CREAT | 0600), id);
    struct msqid_ds status = status_of(id);
    CHECK(status.msg_perm.__key == key && status.msg_perm.mode == 0640 && status.msg_perm.uid == geteuid());
    CHECK(status.msg_qnum == 0 && status.msg_cbytes == 0 && status.msg_qbytes == 16384);
    CHECK(status.msg_lspid == 0 && status.msg_lrpid == 0 && status.msg_stime == 0 && status.msg_rtime == 0);
    CHECK(status.msg_ctime > 1000000000);

    CHECK_FAILS(put(id, 0, "zero", 0), EINVAL);
    CHECK_FAILS(put(id, -1, "less", 0), EINVAL);
    CHECK_FAILS(msgsnd(id, &m, 8193, 0), EINVAL);
    CHECK_FAILS(msgsnd(-1, &m, 1, 0), EINVAL);
    CHECK_FAILS(msgsnd(id, (void *)8, 1, 0), EFAULT);
    CHECK_FAILS(msgrcv(id, &m, (size_t)-1, 0, IPC_NOWAIT), EINVAL);
    CHECK_FAILS(get(-1, 0, IPC_NOWAIT), EINVAL);
    CHECK_FAILS(get(id, 0, IPC_NOWAIT), ENOMSG);

    // In order, by type, the lowest, all but one, by place.
    for (int i = 0; i < 6; i++) CHECK_EQ(put(id, "375355"[i] - '0', &"abcdef"[i], 0), 0);
    status = status_of(id);
    CHECK(status.msg_qnum == 6 && status.msg_cbytes == 21 && status.msg_lspid == getpid() && status.msg_stime > 0);
    CHECK(get(id, 4, MSG_COPY | IPC_NOWAIT) == 2 && is(5, "ef"));
    CHECK_FAILS(get(id, 6, MSG_COPY | IPC_NOWAIT), ENOMSG);
    CHECK_FAILS(get(id, -1, MSG_COPY | IPC_NOWAIT), ENOMSG);
    CHECK_FAILS(get(id, 0, MSG_COPY), EINVAL);
    CHECK_FAILS(get(id, 0, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT), EINVAL);
    CHECK_FAILS(msgrcv(id, &m, 1, 0, MSG_COPY | IPC_NOWAIT), E2BIG);
    CHECK_FAILS(msgrcv(id, &m, 1, 0, MSG_COPY | IPC_NOWAIT | MSG_NOERROR), EINVAL);
    CHECK_EQ(status_of(id).msg_qnum, 6);
    CHECK_FAILS(get(id, 4, IPC_NOWAIT), ENOMSG);
    CHECK_FAILS(get(id, -2, IPC_NOWAIT), ENOMSG);
    CHECK(get(id, 5, 0) == 4 && is(5, "cdef"));
    CHECK(get(id, -6, 0) == 6 && is(3, "abcdef"));
    CHECK(get(id, 3, MSG_EXCEPT) == 5 && is(7, "bcdef"));
    CHECK(get(id, LONG_MIN, 0) == 3 && is(3, "def"));
    CHECK_FAILS(msgrcv(id, &m, 1, 0, 0), E2BIG);
    memset(&m, 0, sizeof m);
    CHECK(msgrcv(id, &m, 1, 0, MSG_NOERROR) == 1 && is(5, "e"));
    CHECK(get(id, 0, 0) == 1 && is(5, "f"));
    CHECK_EQ(put(id, 9, "", 0), 0);
    CHECK(get(id, 0, 0) == 0 && is(9, ""));
    status = status_of(id);
    CHECK(status.msg_qnum == 0 && status.msg_cbytes == 0 && status.msg_lrpid == getpid() && status.msg_rtime > 0);
    CHECK_EQ(put(id, 9, "lost", 0), 0);
    CHECK_FAILS(msgrcv(id, (void *)8, 4, 0, 0), EFAULT);
    CHECK_EQ(status_of(id).msg_qnum, 0);

    // Listing and removal.
    struct msginfo info;
    CHECK(msgctl(0, IPC_INFO, (void *)&info) >= 0);
    CHECK(info.msgmax == 8192 && info.msgmnb == 16384 && info.msgmni == 32000);
    CHECK(info.msgpool == 512000 && info.msgmap == 16384 && info.msgtql == 16384 && info.msgssz == 16 && info.msgseg == 0xffff);
    CHECK_EQ(put(id, 1, "four", 0), 0);
    int highest = msgctl(0, MSG_INFO, (void *)&info);
    CHECK(info.msgpool >= 1 && info.msgmap >= 1 && info.msgtql >= 4);
    int found = 0;
    for (int i = 0; i <= highest; i++) found += msgctl(i, MSG_STAT, &status) == id && status.msg_qnum == 1;
    CHECK_EQ(found, 1);
    CHECK_FAILS(msgctl(-1, MSG_STAT_ANY, &status), EINVAL);
    CHECK_FAILS(msgctl(-1, IPC_INFO, (void *)&info), EINVAL);
    CHECK_FAILS(msgctl(id, 77, &status), EINVAL);
    CHECK_FAILS(msgctl(id, IPC_SET, (void *)8), EFAULT);
    CHECK_FAILS(msgctl(id, IPC_STAT, (void *)8), EFAULT);
    char text[20000], line[80];
    CHECK(get_file("/proc/sysvipc/msg", text, sizeof text) > 0);
    CHECK(!strncmp(text, "       key      msqid perms      cbytes       qnum lspid", 56));
    snprintf(line, sizeof line, "\n%10d %10d   640           4          1 %5d %5d ", key, id, getpid(), getpid());
    CHECK(strstr(text, line));
    CHECK(get_file("/proc/sys/kernel/msgmax", text, sizeof text) > 0 && !strcmp(text, "8192\n"));
    CHECK(get_file("/proc/sys/kernel/msgmnb", text, sizeof text) > 0 && !strcmp(text, "16384\n"));
    CHECK(get_file("/proc/sys/kernel/msgmni", text, sizeof text) > 0 && !strcmp(text, "32000\n"));
    CHECK_EQ(msgctl(id, IPC_RMID, NULL), 0);
    CHECK_FAILS(msgctl(id, IPC_RMID, NULL), EINVAL);
    CHECK_FAILS(get(id, 0, IPC_NOWAIT), EINVAL);
    CHECK_FAILS(msgget(key, 0600), ENOENT);
}

/// What the forked one gets.
static pid_t receiver(int id, long type, size_t room, int flags) {
    pid_t pid = fork();
    if (pid == 0) {
        ssize_t n = msgrcv(id, &m, room, type, flags);
        _exit(n < 0 ? 100 + errno : (int)n);
    }
    wait_until_asleep(pid);
    return pid;
}

static void waiting(void) {
    int id = msgget(IPC_PRIVATE, 0600);
    // It is his at once, also when the queue goes right afterwards.
    pid_t any = receiver(id, 0, 100, 0), two = receiver(id, 2, 100, 0), small = receiver(id, -9, 1, 0);
    CHECK_EQ(put(id, 2, "ab", 0), 0);
    CHECK_EQ(status_of(id).msg_qnum, 0);
    ends_with(any, 2);
    CHECK_EQ(status_of(id).msg_lrpid, any);
    CHECK_EQ(put(id, 3, "abc", 0), 0);
    ends_with(small, 100 + E2BIG);
    CHECK_EQ(status_of(id).msg_qnum, 1);
    pid_t cut = receiver(id, 7, 1, MSG_NOERROR);
    CHECK_EQ(put(id, 7, "abcd", 0), 0);
    ends_with(cut, 1);
    any = receiver(id, 3, 100, MSG_EXCEPT);
    CHECK_EQ(put(id, 2, "abcd", 0), 0);
    ends_with(two, 4);
    two = receiver(id, 2, 100, 0);
    CHECK_EQ(put(id, 4, "abcde", 0), 0);
    CHECK_EQ(msgctl(id, IPC_RMID, NULL), 0);
    ends_with(any, 5);
    ends_with(two, 100 + EIDRM);

    // A full queue.
    id = msgget(IPC_PRIVATE, 0600);
    m.type = 1;
    CHECK_EQ(msgsnd(id, &m, 8192, 0), 0);
    CHECK_EQ(msgsnd(id, &m, 8190, IPC_NOWAIT), 0);
    CHECK_FAILS(put(id, 1, "abc", IPC_NOWAIT), EAGAIN);
    pid_t sender = fork();
    if (sender == 0) _exit(put(id, 2, "abc", 0));
    wait_until_asleep(sender);
    CHECK_EQ(put(id, 1, "ab", IPC_NOWAIT), 0);
    CHECK_EQ(get(id, 1, 0), 8192);
    ends_with(sender, 0);
    CHECK(get(id, 2, IPC_NOWAIT) == 3 && is(2, "abc"));
    // Its size is changed, and no message counts for nothing.
    struct msqid_ds status = status_of(id);
    status.msg_qbytes = 8194;
    CHECK_EQ(msgctl(id, IPC_SET, &status), 0);
    sender = fork();
    if (sender == 0) _exit(put(id, 2, "abc", 0));
    wait_until_asleep(sender);
    status.msg_qbytes = 8195;
    CHECK_EQ(msgctl(id, IPC_SET, &status), 0);
    ends_with(sender, 0);
    CHECK_EQ(status_of(id).msg_qbytes, 8195);
    while (get(id, 0, IPC_NOWAIT) > 0) {}
    status.msg_qbytes = 2;
    CHECK_EQ(msgctl(id, IPC_SET, &status), 0);
    CHECK(put(id, 1, "", 0) == 0 && put(id, 1, "", 0) == 0);
    CHECK_FAILS(put(id, 1, "", IPC_NOWAIT), EAGAIN);

    // A signal ends a wait; nothing begins again.
    for (int sends = 0; sends < 2; sends++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART};
            sigaction(SIGUSR1, &act, NULL);
            int got = sends ? put(id, 1, "ab", 0) : get(id, 5, 0);
            _exit(got == -1 && errno == EINTR ? 0 : 1);
        }
        wait_until_asleep(pid);
        kill(pid, SIGUSR1);
        ends_with(pid, 0);
    }
    sender = fork();
    if (sender == 0) _exit(put(id, 1, "ab", 0) == -1 ? 100 + errno : 0);
    wait_until_asleep(sender);
    two = receiver(id, 5, 100, 0);
    kill(two, SIGKILL);
    CHECK_EQ(waitpid(two, NULL, 0), two);
    CHECK_EQ(msgctl(id, IPC_RMID, NULL), 0);
    ends_with(sender, 100 + EIDRM);
    // So it is with semaphores: done is done.
    id = semget(IPC_PRIVATE, 1, 0600);
    two = fork();
    struct sembuf take = {0, -1, 0}, give = {0, 1, 0};
    if (two == 0) _exit(semop(id, &take, 1));
    wait_until_asleep(two);
    CHECK_EQ(semop(id, &give, 1), 0);
    CHECK_EQ(semctl(id, 0, IPC_RMID), 0);
    ends_with(two, 0);
}

static void permissions(void) {
    int id = msgget(IPC_PRIVATE, 0640);
    CHECK_EQ(put(id, 1, "a", 0), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && setuid(1234)) _exit(1);
        struct msqid_ds status;
        if (geteuid() == 1234) {
            CHECK_FAILS(put(id, 1, "b", 0), EACCES);
            CHECK_EQ(get(id, 0, 0), 1);
            CHECK_EQ(msgctl(id, IPC_STAT, &status), 0);
            CHECK_FAILS(msgctl(id, IPC_SET, &status), EPERM);
            CHECK_FAILS(msgctl(id, IPC_RMID, NULL), EPERM);
        } else CHECK_EQ(get(id, 0, 0), 1);
        int own = msgget(IPC_PRIVATE, 0200);
        CHECK_FAILS(msgctl(own, IPC_STAT, &status), EACCES);
        CHECK_FAILS(get(own, 0, IPC_NOWAIT), EACCES);
        memset(&status, 0, sizeof status);
        status.msg_perm.uid = geteuid();
        status.msg_qbytes = 16385;
        CHECK_FAILS(msgctl(own, IPC_SET, &status), EPERM);
        status.msg_qbytes = 16384;
        status.msg_perm.gid = (gid_t)-1;
        CHECK_FAILS(msgctl(own, IPC_SET, &status), EINVAL);
        CHECK_EQ(msgctl(own, IPC_RMID, NULL), 0);
        fflush(stdout);
        _exit(wrong_count);
    }
    ends_with(pid, 0);
    // Who waits and loses the right is told.
    pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && setuid(1234)) _exit(1);
        if (geteuid() != 1234) _exit(0);
        _exit(get(id, 0, 0) == -1 && errno == EACCES ? 0 : 2);
    }
    wait_until_asleep(pid);
    struct msqid_ds status = status_of(id);
    status.msg_perm.mode = 0600;
    CHECK_EQ(msgctl(id, IPC_SET, &status), 0);
    ends_with(pid, 0);
    CHECK_EQ(msgctl(id, IPC_RMID, NULL), 0);
}

static void segments(void) {
    int id = shmget(IPC_PRIVATE, 9000, 0600);
    char *memory = shmat(id, NULL, 0);
    CHECK(memory != (void *)-1);
    memory[0] = memory[8192] = 1;
    struct shmid_ds status;
    struct shminfo limits;
    CHECK(shmctl(0, IPC_INFO, (void *)&limits) >= 0);
    CHECK(limits.shmmin == 1 && limits.shmmni == 4096 && limits.shmseg == 4096 && limits.shmmax == limits.shmall);
    struct shm_info info;
    int highest = shmctl(0, SHM_INFO, (void *)&info);
    CHECK(info.used_ids >= 1 && info.shm_tot >= 3 && info.shm_rss >= 2 && info.shm_swp == 0);
    int found = 0;
    for (int i = 0; i <= highest; i++) found += shmctl(i, SHM_STAT, &status) == id && status.shm_nattch == 1 && status.shm_segsz == 9000;
    CHECK_EQ(found, 1);
    CHECK_FAILS(shmctl(-1, SHM_STAT, &status), EINVAL);
    CHECK_EQ(shmctl(id, SHM_LOCK, NULL), 0);
    CHECK_EQ(shmctl(id, IPC_STAT, &status), 0);
    CHECK_EQ(status.shm_perm.mode, 0600 | SHM_LOCKED);
    char text[40000], line[80];
    CHECK(get_file("/proc/sysvipc/shm", text, sizeof text) > 0);
    CHECK(!strncmp(text, "       key      shmid perms                  size  cpid  lpid nattch", 68));
    snprintf(line, sizeof line, "\n%10d %10d  2600                  9000 %5d %5d      1 ", 0, id, getpid(), getpid());
    CHECK(strstr(text, line));
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && setuid(1234)) _exit(1);
        if (geteuid() != 1234) _exit(0);
        _exit(shmctl(id, SHM_UNLOCK, NULL) == -1 && errno == EPERM ? 0 : 2);
    }
    ends_with(pid, 0);
    CHECK_EQ(shmctl(id, SHM_UNLOCK, NULL), 0);
    CHECK_EQ(shmctl(id, IPC_STAT, &status), 0);
    CHECK_EQ(status.shm_perm.mode, 0600);
    CHECK_FAILS(shmctl(id + 77, SHM_LOCK, NULL), EINVAL);
    CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
    CHECK_EQ(shmdt(memory), 0);
    CHECK_FAILS(shmctl(id, IPC_STAT, &status), EINVAL);
}

int main(void) {
    alarm(100);
    types();
    waiting();
    permissions();
    segments();
    return done("sysv_queues");
}
