//! build: static, pie, musl-static
//! vfork and posix_spawn: the child runs in the parent's memory, the parent waits for it.
#include "check.h"
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static void the_child_writes_into_the_parent(void) {
    static volatile int word = 1;
    pid_t pid = vfork();
    if (pid == 0) {
        word = 2;
        _exit(9);
    }
    // It gave the memory back.
    CHECK_EQ(word, 2);
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 9);
}

static void spawn_runs_a_program(char *self) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    char *arguments[] = {self, "echo", "hello", NULL};
    pid_t pid;
    CHECK_EQ(posix_spawn(&pid, self, &actions, NULL, arguments, environ), 0);
    close(ends[1]);
    char text[16] = "";
    CHECK_EQ(read(ends[0], text, sizeof text), 6);
    CHECK(!strcmp(text, "hello\n"));
    close(ends[0]);
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    posix_spawn_file_actions_destroy(&actions);
    // A program that is not there: the error comes back from the child.
    CHECK_EQ(posix_spawn(&pid, "/no/such/program", NULL, NULL, arguments, environ), ENOENT);
    CHECK_FAILS(wait(NULL), ECHILD);
}

/// Field 22 of /proc/PID/stat.
static unsigned long long start_of(pid_t pid) {
    char path[64], text[1024] = "";
    sprintf(path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    CHECK(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    char *at = strrchr(text, ')');
    unsigned long long start = 0;
    for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
    if (at) start = strtoull(at, NULL, 10);
    return start;
}

/// A process is told from a later one of its number by its start, which execve does not change.
static void starts_once(char *self) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(ends[1]);
        // Until the parent has looked.
        if (read(ends[0], &byte, 1) != 0) _exit(1);
        char *arguments[] = {self, "sleep", NULL};
        execv(self, arguments);
        _exit(1);
    }
    close(ends[0]);
    unsigned long long before = start_of(pid), own = start_of(getpid());
    CHECK(before >= own);
    usleep(50000);
    close(ends[1]);
    usleep(100000);
    CHECK_EQ(start_of(pid), before);
    kill(pid, SIGKILL);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

static void closes_on_exec(char *self) {
    int kept = open("/dev/null", O_RDONLY), closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char first[16], second[16];
    sprintf(first, "%d", kept), sprintf(second, "%d", closed);
    char *arguments[] = {self, "open", first, second, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execv(self, arguments);
        _exit(99);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 1);
    // The parent's is open still.
    CHECK_EQ(fcntl(closed, F_GETFD), FD_CLOEXEC);
    close(kept), close(closed);
}

static void exec_fails_and_the_child_goes_on(void) {
    scratch();
    put_file("garbage", "\x7f" "ELF and no more");
    put_file("script", "#!/no/such/shell\n");
    chmod("garbage", 0755), chmod("script", 0755);
    char *arguments[] = {"x", NULL};
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_FAILS(execv("garbage", arguments), ENOEXEC);
        CHECK_FAILS(execv("script", arguments), ENOENT);
        CHECK_FAILS(execv(".", arguments), EACCES);
        static char long_one[200 << 10];
        memset(long_one, 'x', sizeof long_one - 1);
        char *too_long[] = {long_one, NULL};
        CHECK_FAILS(execv("/proc/self/exe", too_long), E2BIG);
        _exit(wrong_count ? 1 : 0);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
}

static void handlers_and_masks_after_exec(char *self) {
    signal(SIGUSR1, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    char *arguments[] = {self, "signals", NULL};
    pid_t pid;
    CHECK_EQ(posix_spawn(&pid, self, NULL, NULL, arguments, environ), 0);
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 0);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int child(int count, char **arguments) {
    if (!strcmp(arguments[1], "echo")) return puts(arguments[2]) < 0;
    if (!strcmp(arguments[1], "open")) {
        int kept = fcntl(atoi(arguments[2]), F_GETFD) == 0;
        int closed = fcntl(atoi(arguments[3]), F_GETFD) == -1 && errno == EBADF;
        return kept && closed;
    }
    if (!strcmp(arguments[1], "signals")) {
        struct sigaction action;
        sigaction(SIGUSR1, NULL, &action);
        sigset_t set;
        sigprocmask(SIG_BLOCK, NULL, &set);
        return !(action.sa_handler == SIG_IGN && sigismember(&set, SIGUSR2) && !sigismember(&set, SIGUSR1));
    }
    if (!strcmp(arguments[1], "sleep")) return sleep(100) > 0;
    return 50 + count;
}

int main(int count, char **arguments) {
    if (count > 1) return child(count, arguments);
    static char self[4096];
    CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    the_child_writes_into_the_parent();
    spawn_runs_a_program(self);
    starts_once(self);
    closes_on_exec(self);
    exec_fails_and_the_child_goes_on();
    handlers_and_masks_after_exec(self);
    return done("vfork");
}
