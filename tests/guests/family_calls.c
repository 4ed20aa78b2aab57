//! family_calls: calls that reach another process: its memory, priority, powers and clocks;
//! locks and credentials name the right one.
//! build: static
//! cpus: 1, 2
#include "check.h"
#include <linux/capability.h>
#include <grp.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#define PAGE 4096

static char data[3 * PAGE] = "parent";
static char untouched[64 * PAGE];
static const char constant[] = "constant";

static void become_nobody(void) {
    if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)) _exit(1);
}

/// A child that sleeps, once it has done what it should.
static pid_t sleeper(void (*first)(void)) {
    int ready[2];
    CHECK_EQ(pipe(ready), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (first) first();
        if (write(ready[1], "r", 1) != 1) _exit(1);
        for (;;) pause();
    }
    char byte;
    close(ready[1]);
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void end(pid_t pid) {
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

/// The exit code of a child that runs `with`.
static int child(void (*with)(void)) {
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        wrong_count = 0;
        with();
        fflush(stdout);
        _exit(wrong_count != 0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

static void change_data(void) { strcpy(data, "child"), strcpy(data + PAGE - 2, "across"); }

static void memory(void) {
    pid_t pid = sleeper(change_data);
    char got[PAGE] = "";
    struct iovec here[2] = {{got, 3}, {got + 3, 20}}, there[2] = {{data, 6}, {data + PAGE - 2, 7}};
    CHECK_EQ(process_vm_readv(pid, here, 2, there, 2, 0), 13);
    CHECK(!memcmp(got, "child\0across", 13));
    CHECK(!strcmp(data, "parent"));
    // What nobody has touched is there as well.
    there[0] = (struct iovec){untouched + 40 * PAGE - 8, 16}, here[0] = (struct iovec){got, 16};
    memset(got, 1, sizeof got);
    CHECK_EQ(process_vm_readv(pid, here, 1, there, 1, 0), 16);
    CHECK(got[0] == 0 && got[15] == 0 && got[16] == 1);
    // Written in the child alone, where both still have the same page.
    strcpy(got, "written");
    here[0].iov_len = 8, there[0] = (struct iovec){data + 2 * PAGE, 8};
    CHECK_EQ(process_vm_writev(pid, here, 1, there, 1, 0), 8);
    CHECK_EQ(data[2 * PAGE], 0);
    memset(got, 0, sizeof got);
    CHECK_EQ(process_vm_readv(pid, here, 1, there, 1, 0), 8);
    CHECK(!strcmp(got, "written"));
    // What cannot be read or written.
    char *hole = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    there[0] = (struct iovec){(void *)8, 8};
    CHECK_FAILS(process_vm_readv(pid, here, 1, there, 1, 0), EFAULT);
    there[0] = (struct iovec){hole, 8}; // made after the fork
    CHECK_FAILS(process_vm_readv(pid, here, 1, there, 1, 0), EFAULT);
    there[0] = (struct iovec){(void *)(uintptr_t)constant, 8};
    CHECK_EQ(process_vm_readv(pid, here, 1, there, 1, 0), 8);
    CHECK_FAILS(process_vm_writev(pid, here, 1, there, 1, 0), EFAULT);
    CHECK_FAILS(process_vm_readv(pid, here, 1, there, 1, 1), EINVAL);
    CHECK_FAILS(process_vm_readv(pid, here, 2000, there, 1, 0), EINVAL);
    CHECK_FAILS(process_vm_readv(4000000, here, 1, there, 1, 0), ESRCH);
    CHECK_EQ(process_vm_readv(4000000, here, 0, there, 1, 0), 0);
    // Its own.
    there[0] = (struct iovec){data, 8};
    CHECK_EQ(process_vm_readv(getpid(), here, 1, there, 1, 0), 8);
    CHECK(!strcmp(got, "parent"));
    munmap(hole, 2 * PAGE);
    end(pid);
}

static void as_nobody(void) {
    become_nobody();
    char got[8];
    struct iovec here = {got, 8}, there = {data, 8};
    CHECK_FAILS(process_vm_readv(getppid(), &here, 1, &there, 1, 0), EPERM);
    CHECK_FAILS(process_vm_writev(getppid(), &here, 1, &there, 1, 0), EPERM);
    CHECK_FAILS(syscall(SYS_kcmp, getpid(), getppid(), 1, 0, 0), EPERM);
    void *list;
    size_t bytes;
    CHECK_FAILS(syscall(SYS_get_robust_list, getppid(), &list, &bytes), EPERM);
    cpu_set_t set;
    CHECK_EQ(sched_getaffinity(getppid(), sizeof set, &set), 0);
    CHECK_FAILS(sched_setaffinity(getppid(), sizeof set, &set), EPERM);
    CHECK_FAILS(setpriority(PRIO_PROCESS, (id_t)getppid(), 5), EPERM);
    CHECK_FAILS(setpriority(PRIO_PROCESS, 0, -5), EACCES);
    CHECK_EQ(sched_getscheduler(getppid()), SCHED_OTHER);
    struct sched_param param = {0};
    CHECK_FAILS(sched_setscheduler(getppid(), SCHED_OTHER, &param), EPERM);
}

static void lead_a_group(void) { setpgid(0, 0); }

static void scheduling(void) {
    pid_t pid = sleeper(lead_a_group);
    CHECK_EQ(setpriority(PRIO_PROCESS, (id_t)pid, 7), 0);
    CHECK_EQ(getpriority(PRIO_PROCESS, (id_t)pid), 7);
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), 0);
    CHECK_EQ(getpriority(PRIO_PGRP, (id_t)pid), 7);
    CHECK_EQ(setpriority(PRIO_PGRP, (id_t)pid, 9), 0);
    CHECK_EQ(getpriority(PRIO_PROCESS, (id_t)pid), 9);
    CHECK_FAILS(getpriority(PRIO_PGRP, 4000000), ESRCH);
    CHECK_FAILS(getpriority(PRIO_USER, 4000000), ESRCH);
    CHECK_FAILS(getpriority(7, 0), EINVAL);
    cpu_set_t one, got;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    CHECK_EQ(sched_setaffinity(pid, sizeof one, &one), 0);
    CHECK_EQ(sched_getaffinity(pid, sizeof got, &got), 0);
    CHECK_EQ(CPU_COUNT(&got), 1);
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, pid};
    struct __user_cap_data_struct own[2], theirs[2];
    CHECK_EQ(syscall(SYS_capget, &header, theirs), 0);
    CHECK_FAILS(syscall(SYS_capset, &header, theirs), EPERM);
    header.pid = 0;
    CHECK(syscall(SYS_capget, &header, own) == 0 && own[0].effective == theirs[0].effective);
    header.pid = 4000000;
    CHECK_FAILS(syscall(SYS_capget, &header, own), ESRCH);
    clockid_t clock;
    struct timespec used;
    CHECK_EQ(clock_getcpuclockid(pid, &clock), 0);
    CHECK_EQ(clock_gettime(clock, &used), 0);
    CHECK_EQ(clock_getcpuclockid(4000000, &clock), ESRCH);
    CHECK_EQ(syscall(SYS_kcmp, getpid(), pid, 0, 1, 1), 0);
    CHECK(syscall(SYS_kcmp, getpid(), pid, 1, 0, 0) > 0);
    CHECK_EQ(syscall(SYS_kcmp, pid, pid, 1, 0, 0), 0);
    CHECK_FAILS(syscall(SYS_kcmp, getpid(), pid, 0, 1, 999), EBADF);
    CHECK_FAILS(syscall(SYS_kcmp, getpid(), pid, 99, 1, 1), EINVAL);
    end(pid);
    CHECK_EQ(child(as_nobody), 0);
}

static int lock_fd;
static int lock(int command, short kind, off_t start) {
    struct flock range = {kind, SEEK_SET, start, 1, 0};
    int result = fcntl(lock_fd, command, &range);
    return command == F_GETLK ? (range.l_type == F_UNLCK ? 0 : range.l_pid) : result;
}

static void lock_first(void) { CHECK_EQ(lock(F_SETLK, F_WRLCK, 0), 0); }

static void locks(void) {
    scratch();
    lock_fd = open("locked", O_RDWR | O_CREAT, 0600);
    CHECK_EQ(lock(F_SETLK, F_WRLCK, 9), 0);
    pid_t pid = sleeper(lock_first);
    CHECK_EQ(lock(F_GETLK, F_WRLCK, 0), pid);
    CHECK_EQ(lock(F_GETLK, F_WRLCK, 9), 0); // its own
    CHECK_FAILS(lock(F_SETLK, F_WRLCK, 0), EAGAIN);
    end(pid);
    CHECK_EQ(lock(F_GETLK, F_WRLCK, 0), 0);
    CHECK_EQ(lock(F_SETLK, F_WRLCK, 0), 0);
    // A child has none, and its end takes none of the parent's away.
    fflush(stdout);
    pid = fork();
    if (pid == 0) _exit(lock(F_GETLK, F_RDLCK, 9) == getppid() && lock(F_SETLK, F_WRLCK, 5) == 0 ? 0 : 1);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK_EQ(lock(F_SETLK, F_WRLCK, 5), 0);
}

/// The sender of one byte, as its message says.
static struct ucred received(int fd) {
    struct ucred who = {0};
    char byte, control[CMSG_SPACE(sizeof who)];
    struct iovec one = {&byte, 1};
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_EQ(recvmsg(fd, &message, 0), 1);
    struct cmsghdr *first = CMSG_FIRSTHDR(&message);
    if (first && first->cmsg_type == SCM_CREDENTIALS) memcpy(&who, CMSG_DATA(first), sizeof who);
    return who;
}

static void credentials(void) {
    int pair[2], on = 1;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    CHECK_EQ(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        become_nobody();
        _exit(write(pair[1], "x", 1) != 1);
    }
    struct ucred who = received(pair[0]);
    CHECK_EQ(who.pid, pid);
    CHECK_EQ(who.uid, 65534);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un_ { sa_family_t family; char path[20]; } at = {AF_UNIX, "peer"};
    CHECK(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 1) == 0);
    pid = fork();
    if (pid == 0) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        socklen_t len = sizeof who;
        int ok = connect(fd, (struct sockaddr *)&at, sizeof at) == 0
            && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.pid == getppid();
        _exit(!ok);
    }
    int fd = accept(listener, NULL, NULL), status;
    socklen_t len = sizeof who;
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len), 0);
    CHECK_EQ(who.pid, pid);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(void) {
    memory();
    scheduling();
    locks();
    credentials();
    return done("family_calls");
}
