//! proc_family: what /proc tells of other processes: parents, groups, states, memory, files,
//! and whom it tells nothing.
//! build: static, pie
//! cpus: 1, 2
#include "check.h"
#include <dirent.h>
#include <elf.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char text[1 << 16], path[256];

/// The path of a file of a process.
static const char *of(pid_t pid, const char *file) {
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    return path;
}

/// Reads a file of a process into `text`.
static ssize_t get(pid_t pid, const char *file) { return get_file(of(pid, file), text, sizeof text); }

/// A field of stat, counted from 1 as in the manual; -1 where there is none.
static long long field(pid_t pid, int number) {
    if (get(pid, "stat") <= 0) return -1;
    if (number == 1) return atoll(text);
    char *at = strrchr(text, ')');
    for (int i = 2; at && i < number; i++) at = strchr(at + 1, ' ');
    return at ? number == 3 ? at[1] : atoll(at + 1) : -1;
}

/// A line of status, without its name.
static const char *line(pid_t pid, const char *name) {
    static char found[256];
    char label[64];
    snprintf(label, sizeof label, "\n%s:\t", name);
    found[0] = 0;
    const char *at = get(pid, "status") > 0 ? strstr(text, label) : NULL;
    if (at) sscanf(at + strlen(label), "%255[^\n]", found);
    return found;
}

static int is_listed(const char *directory, pid_t pid) {
    DIR *entries = opendir(directory);
    int found = 0;
    for (struct dirent *e; entries && (e = readdir(entries));) found += atoi(e->d_name) == pid;
    if (entries) closedir(entries);
    return found;
}

static int is_child_of(pid_t parent, pid_t child) {
    char file[64], *rest = text;
    snprintf(file, sizeof file, "task/%d/children", parent);
    if (get(parent, file) < 0) return -1;
    int found = 0;
    for (char *word; (word = strtok_r(rest, " ", &rest));) found += atoi(word) == child;
    return found;
}

/// A child that sleeps until it is killed, once it has done what it should.
static pid_t sleeper(void (*first)(void)) {
    int ready[2];
    CHECK_EQ(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ready[0]);
        if (first) first();
        if (write(ready[1], "r", 1) != 1) _exit(1);
        close(ready[1]);
        for (;;) pause();
    }
    close(ready[1]);
    char byte;
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void end(pid_t pid) {
    int status;
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void lead_a_session(void) {
    setsid();
    prctl(PR_SET_NAME, "the (leader)");
}

static void a_child_is_seen(void) {
    pid_t pid = sleeper(lead_a_session);
    CHECK_EQ(is_listed("/proc", pid), 1);
    CHECK_EQ(is_listed("/proc", getpid()), 1);
    for (int i = 0; i < 5000 && field(pid, 3) != 'S'; i++) usleep(1000);
    CHECK_EQ(field(pid, 1), pid);
    CHECK_EQ(field(pid, 3), 'S');
    CHECK_EQ(field(pid, 4), getpid());
    CHECK_EQ(field(pid, 5), pid);
    CHECK_EQ(field(pid, 6), pid);
    CHECK_EQ(field(pid, 7), 0);
    CHECK_EQ(field(pid, 8), -1);
    CHECK_EQ(field(pid, 9) & 0x40, 0x40); // forked, without execve
    CHECK_EQ(field(pid, 20), 1);
    CHECK(field(pid, 23) > 0 && field(pid, 24) > 0);
    CHECK_EQ(field(pid, 38), SIGCHLD);
    CHECK(field(pid, 22) >= field(getpid(), 22));
    CHECK(strstr((get(pid, "stat"), text), " (the (leader)) ") != NULL);
    CHECK(!strncmp((get(pid, "status"), text), "Name:\tthe (leader)\n", 19));
    CHECK(!strcmp(line(pid, "State"), "S (sleeping)"));
    CHECK_EQ(atoi(line(pid, "Tgid")), pid);
    CHECK_EQ(atoi(line(pid, "PPid")), getpid());
    CHECK_EQ(atoi(line(pid, "NSpgid")), pid);
    CHECK_EQ(atoi(line(pid, "NSsid")), pid);
    CHECK_EQ(atoi(line(pid, "Threads")), 1);
    CHECK(strstr(line(pid, "VmRSS"), " kB") != NULL);
    CHECK(get(pid, "comm") > 0 && !strcmp(text, "the (leader)\n"));
    CHECK(is_child_of(getpid(), pid) == 1);
    CHECK(is_child_of(pid, getpid()) == 0);
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    CHECK_EQ(is_listed(path, pid), 1);
    // Itself it is another one than the caller.
    int own = open(of(pid, "comm"), O_WRONLY);
    CHECK(own >= 0);
    CHECK_FAILS(write(own, "other", 5), EINVAL);
    close(own);
    long long pages[2];
    CHECK(get(pid, "statm") > 0 && sscanf(text, "%lld %lld", &pages[0], &pages[1]) == 2);
    CHECK(pages[0] > 0 && pages[1] > 0);
    end(pid);
    CHECK_EQ(is_listed("/proc", pid), 0);
    CHECK_FAILS(open(of(pid, "stat"), O_RDONLY), ENOENT);
    CHECK_FAILS(access(of(pid, ""), F_OK), ENOENT);
}

static char big[6 << 20];

static void move_and_touch(void) {
    if (chdir("/usr") || open("/dev/null", O_RDONLY) < 0) _exit(1);
    memset(big, 1, sizeof big);
}

static void memory_and_files_are_its_own(void) {
    int zero = open("/dev/zero", O_RDONLY);
    char command[4096];
    ssize_t len = get_file("/proc/self/cmdline", command, sizeof command);
    long long before = field(getpid(), 24);
    pid_t pid = sleeper(move_and_touch);
    CHECK(get(pid, "cmdline") == len && !memcmp(text, command, (size_t)len));
    CHECK(get(pid, "environ") > 0);
    CHECK(get(pid, "maps") > 0 && strstr(text, "[stack]") && strstr(text, "[heap]"));
    CHECK(get(pid, "smaps_rollup") > 0 && strstr(text, "[rollup]\nRss:"));
    CHECK((get(pid, "auxv") % (ssize_t)sizeof(Elf64_auxv_t)) == 0);
    CHECK((field(pid, 24) - before) * 4096 >= (5 << 20));
    CHECK((field(getpid(), 24) - before) * 4096 < (5 << 20));
    ssize_t n = readlink(of(pid, "cwd"), text, sizeof text - 1);
    CHECK(n == 4 && !memcmp(text, "/usr", 4));
    n = readlink(of(pid, "root"), text, sizeof text - 1);
    CHECK(n == 1 && text[0] == '/');
    char exe[256] = "", own[256] = "";
    CHECK(readlink(of(pid, "exe"), exe, sizeof exe - 1) > 0 && readlink("/proc/self/exe", own, sizeof own - 1) > 0);
    CHECK(!strcmp(exe, own));
    char file[64];
    snprintf(file, sizeof file, "fd/%d", zero);
    n = readlink(of(pid, file), text, sizeof text - 1);
    CHECK(n == 9 && !memcmp(text, "/dev/zero", 9));
    int again = open(of(pid, file), O_RDONLY);
    CHECK(again >= 0 && read(again, text, 4) == 4 && text[0] == 0);
    close(again);
    CHECK_EQ(is_listed(of(pid, "fd"), zero), 1);
    CHECK_FAILS(readlink(of(pid, "fd/777"), text, sizeof text), ENOENT);
    end(pid);
    close(zero);
}

static void the_dead_are_zombies(void) {
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, "late");
        _exit(3);
    }
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CHECK_EQ(field(pid, 3), 'Z');
    CHECK_EQ(field(pid, 4), getpid());
    CHECK_EQ(field(pid, 23), 0);
    CHECK_EQ(field(pid, 24), 0);
    CHECK_EQ(field(pid, 52), 3 << 8);
    CHECK(!strcmp(line(pid, "State"), "Z (zombie)"));
    CHECK_EQ(atoi(line(pid, "PPid")), getpid());
    CHECK(line(pid, "VmRSS")[0] == 0);
    CHECK(get(pid, "comm") > 0 && !strcmp(text, "late\n"));
    CHECK_EQ(get(pid, "cmdline"), 0);
    CHECK_EQ(get(pid, "maps"), 0);
    CHECK(get(pid, "statm") > 0 && !strcmp(text, "0 0 0 0 0 0 0\n"));
    CHECK_FAILS(readlink(of(pid, "exe"), text, sizeof text), ENOENT);
    CHECK_FAILS(readlink(of(pid, "cwd"), text, sizeof text), ENOENT);
    DIR *fds = opendir(of(pid, "fd"));
    int count = 0;
    for (struct dirent *e; fds && (e = readdir(fds));) count += e->d_name[0] != '.';
    if (fds) closedir(fds);
    CHECK_EQ(count, 0);
    CHECK_EQ(is_child_of(getpid(), pid), 1);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    CHECK_EQ(is_listed("/proc", pid), 0);
}

static void an_open_file_outlives_nobody(void) {
    pid_t pid = sleeper(NULL);
    int fd = open(of(pid, "stat"), O_RDONLY), directory = open(of(pid, ""), O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0 && directory >= 0);
    end(pid);
    CHECK_FAILS(read(fd, text, sizeof text), ESRCH);
    CHECK_FAILS(openat(directory, "stat", O_RDONLY), ESRCH);
    close(fd);
    close(directory);
}

static void times_of_children_are_told(void) {
    pid_t pid = fork();
    if (pid == 0) {
        struct rusage used;
        do getrusage(RUSAGE_SELF, &used);
        while (used.ru_utime.tv_sec * 1000000 + used.ru_utime.tv_usec + used.ru_stime.tv_usec < 60000);
        _exit(0);
    }
    long long before = field(getpid(), 16) + field(getpid(), 17);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    CHECK(field(getpid(), 16) + field(getpid(), 17) - before >= 4);
}

static void become_nobody(void) {
    if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)) _exit(1);
    prctl(PR_SET_DUMPABLE, 1);
}

static void others_see_little(void) {
    pid_t other = sleeper(become_nobody), same = sleeper(become_nobody);
    fflush(stdout);
    pid_t watcher = fork();
    if (watcher == 0) {
        wrong_count = 0;
        become_nobody();
        CHECK(field(getppid(), 4) >= 0 && get(getppid(), "status") > 0 && get(getppid(), "cmdline") > 0);
        CHECK_EQ(field(getppid(), 28), 0); // where its stack is
        const char *closed[] = {"environ", "maps", "smaps", "auxv", "fd/0", "exe", "cwd", "root", "ns/pid"};
        for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
            of(getppid(), closed[i]);
            errno = 0;
            int fd = open(path, O_RDONLY);
            if (fd != -1 || errno != EACCES) WRONG("%s opens as %d, errno %d", closed[i], fd, errno);
        }
        CHECK_FAILS(readlink(of(getppid(), "exe"), text, sizeof text), EACCES);
        CHECK_FAILS(readlink(of(getppid(), "cwd"), text, sizeof text), EACCES);
        CHECK(opendir(of(getppid(), "fd")) == NULL && errno == EACCES);
        CHECK_FAILS(kill(getppid(), 0), EPERM);
        CHECK(get(same, "environ") > 0 && get(same, "maps") > 0);
        CHECK(readlink(of(same, "exe"), text, sizeof text) > 0);
        fflush(stdout);
        _exit(wrong_count != 0);
    }
    int status;
    CHECK_EQ(waitpid(watcher, &status, 0), watcher);
    CHECK_EQ(status, 0);
    struct stat st;
    CHECK(stat(of(other, "environ"), &st) == 0 && st.st_uid == 65534 && st.st_gid == 65534);
    CHECK(!strcmp(line(other, "Uid"), "65534\t65534\t65534\t65534"));
    end(other);
    end(same);
}

static void the_machine_counts(void) {
    long long before = 0, after = 0;
    int last;
    CHECK(get_file("/proc/stat", text, sizeof text) > 0 && sscanf(strstr(text, "processes "), "processes %lld", &before) == 1);
    pid_t pid = sleeper(NULL);
    CHECK(get_file("/proc/stat", text, sizeof text) > 0 && sscanf(strstr(text, "processes "), "processes %lld", &after) == 1);
    CHECK(after > before);
    CHECK(get_file("/proc/loadavg", text, sizeof text) > 0 && sscanf(strrchr(text, ' '), "%d", &last) == 1 && last >= pid);
    CHECK(get_file("/proc/self/stat", text, sizeof text) > 0 && atoi(text) == getpid());
    char own[32];
    ssize_t n = readlink("/proc/self", own, sizeof own - 1);
    own[n > 0 ? n : 0] = 0;
    CHECK_EQ(atoi(own), getpid());
    end(pid);
}

int main(void) {
    a_child_is_seen();
    memory_and_files_are_its_own();
    the_dead_are_zombies();
    an_open_file_outlives_nobody();
    times_of_children_are_told();
    others_see_little();
    the_machine_counts();
    return done("proc_family");
}
