//! System V shared memory: keys, rights, attachments through fork and execve, removal.
#include "check.h"
#include <grp.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>

static long attached(int id) {
    struct shmid_ds status;
    CHECK_EQ(shmctl(id, IPC_STAT, &status), 0);
    return (long)status.shm_nattch;
}

static int wait_for(pid_t pid) {
    int status = -1;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

static void keys(void) {
    key_t key = 0x6b696c6e ^ getpid();
    CHECK_FAILS(shmget(key, 100, 0), ENOENT);
    CHECK_FAILS(shmget(key, 0, IPC_CREAT | 0600), EINVAL);
    CHECK_FAILS(shmget(key, SIZE_MAX, IPC_CREAT | 0600), EINVAL);
    int id = shmget(key, 5000, IPC_CREAT | IPC_EXCL | 0640);
    CHECK(id >= 0);
    CHECK_FAILS(shmget(key, 5000, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    CHECK_EQ(shmget(key, 0, 0), id);
    CHECK_EQ(shmget(key, 5000, IPC_CREAT | 0600), id);
    CHECK_FAILS(shmget(key, 5001, 0), EINVAL);
    struct shmid_ds status;
    memset(&status, 0xff, sizeof status);
    CHECK_EQ(shmctl(id, IPC_STAT, &status), 0);
    CHECK_EQ(status.shm_perm.__key, key);
    CHECK_EQ(status.shm_perm.mode, 0640);
    CHECK_EQ(status.shm_perm.uid, geteuid());
    CHECK_EQ(status.shm_perm.cgid, getegid());
    CHECK_EQ(status.shm_segsz, 5000);
    CHECK_EQ(status.shm_nattch, 0);
    CHECK_EQ(status.shm_cpid, getpid());
    CHECK_EQ(status.shm_lpid, 0);
    CHECK_EQ(status.shm_atime, 0);
    CHECK(status.shm_ctime > 1000000000);
    status.shm_perm.mode = 0604;
    CHECK_EQ(shmctl(id, IPC_SET, &status), 0);
    CHECK_EQ(shmctl(id, IPC_STAT, &status), 0);
    CHECK_EQ(status.shm_perm.mode, 0604);
    CHECK_FAILS(shmctl(id, IPC_STAT, (struct shmid_ds *)8), EFAULT);
    CHECK_FAILS(shmctl(id, 999, &status), EINVAL);
    CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
    CHECK_FAILS(shmctl(id, IPC_STAT, &status), EINVAL);
    CHECK_FAILS(shmctl(id, IPC_RMID, NULL), EINVAL);
    CHECK_FAILS(shmget(key, 5000, 0), ENOENT);
    CHECK_FAILS((long)shmat(id, NULL, 0), EINVAL);
    CHECK_FAILS((long)shmat(-1, NULL, 0), EINVAL);
}

static void attachments(void) {
    int id = shmget(IPC_PRIVATE, 3 * 4096 - 1, 0600);
    CHECK(id >= 0);
    char *first = shmat(id, NULL, 0), *second = shmat(id, NULL, SHM_RDONLY);
    CHECK(first != (void *)-1 && second != (void *)-1 && first != second);
    CHECK_EQ(attached(id), 2);
    strcpy(first + 8192, "kiln");
    CHECK(!strcmp(second + 8192, "kiln"));
    // Its last page is whole.
    first[3 * 4096 - 1] = 'x';
    CHECK_EQ(second[3 * 4096 - 1], 'x');
    // At an address: taken, odd, rounded, replaced.
    CHECK_FAILS((long)shmat(id, first, 0), EINVAL);
    CHECK_FAILS((long)shmat(id, first + 1, SHM_REMAP), EINVAL);
    CHECK_FAILS((long)shmat(id, NULL, SHM_REMAP), EINVAL);
    char *room = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(shmat(id, room + 4097, SHM_RND | SHM_REMAP) == room + 4096);
    CHECK(!strcmp(room + 4096 + 8192, "kiln"));
    CHECK_EQ(attached(id), 3);
    // A hole in it: both parts are one attachment for shmdt.
    CHECK_EQ(munmap(room + 8192, 4096), 0);
    CHECK_EQ(attached(id), 4);
    CHECK_FAILS(shmdt(room + 8192), EINVAL);
    CHECK_EQ(shmdt(room + 4096), 0);
    CHECK_EQ(attached(id), 2);
    CHECK_FAILS(shmdt(room + 4096), EINVAL);
    CHECK_FAILS(shmdt(first + 4096), EINVAL);
    CHECK_FAILS(shmdt(first + 1), EINVAL);
    CHECK_FAILS(shmdt(room + (512 << 10)), EINVAL);

    pid_t pid = fork();
    if (pid == 0) {
        int ok = attached(id) == 4 && !strcmp(second + 8192, "kiln");
        strcpy(first, "child");
        ok &= shmdt(second) == 0 && attached(id) == 3;
        _exit(!ok);
    }
    CHECK_EQ(wait_for(pid), 0);
    CHECK(!strcmp(second, "child"));
    CHECK_EQ(attached(id), 2);
    if ((pid = fork()) == 0) {
        execl("/proc/self/exe", "shared_segments", "program", (char *)NULL);
        _exit(9);
    }
    CHECK_EQ(WEXITSTATUS(wait_for(pid)), 42);
    CHECK_EQ(attached(id), 2);

    struct shmid_ds status;
    CHECK_EQ(shmctl(id, IPC_STAT, &status), 0);
    CHECK(status.shm_atime > 1000000000 && status.shm_dtime > 1000000000);
    // Removed, it lives as long as it is attached.
    CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
    CHECK_EQ(shmctl(id, IPC_STAT, &status), 0);
    CHECK_EQ(status.shm_perm.mode, SHM_DEST | 0600);
    CHECK_EQ(status.shm_perm.__key, IPC_PRIVATE);
    char *third = shmat(id, NULL, 0);
    CHECK(!strcmp(third, "child"));
    CHECK_EQ(shmdt(third), 0);
    CHECK_EQ(shmdt(first), 0);
    CHECK_EQ(attached(id), 1);
    CHECK_EQ(shmdt(second), 0);
    CHECK_FAILS(shmctl(id, IPC_STAT, &status), EINVAL);
}

static void rights(void) {
    int id = shmget(IPC_PRIVATE, 4096, 0604);
    pid_t pid = fork();
    if (pid == 0) {
        if (setgroups(0, NULL) || setgid(4000) || setuid(4000)) _exit(8);
        struct shmid_ds status;
        CHECK_FAILS((long)shmat(id, NULL, 0), EACCES);
        CHECK_FAILS((long)shmat(id, NULL, SHM_RDONLY | SHM_EXEC), EACCES);
        char *read_only = shmat(id, NULL, SHM_RDONLY);
        CHECK(read_only != (void *)-1);
        CHECK_EQ(attached(id), 1);
        CHECK_FAILS(shmctl(id, IPC_RMID, NULL), EPERM);
        CHECK_EQ(shmctl(id, IPC_STAT, &status), 0);
        CHECK_FAILS(shmctl(id, IPC_SET, &status), EPERM);
        fflush(stdout);
        _exit(wrong_count);
    }
    CHECK_EQ(wait_for(pid), 0);
    // Its end detached it.
    CHECK_EQ(attached(id), 0);
    CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
}

int main(int argc, char **argv) {
    if (argc > 1) return strcmp(argv[1], "program") ? 1 : 42;
    keys();
    attachments();
    rights();
    return done("shared_segments");
}
