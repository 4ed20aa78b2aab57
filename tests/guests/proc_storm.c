//! proc_storm: processes come and go while others read all that /proc tells of them.
//! build: static
//! cpus: 1, 2
#include "check.h"
#include <dirent.h>
#include <sys/uio.h>
#include <sys/wait.h>

static const char *FILES[] = {"stat", "status", "statm", "cmdline", "environ", "maps", "smaps_rollup", "auxv", "comm", "limits", "fdinfo/0"};
static char text[1 << 16], memory[8 << 10];

/// Reads everything of every process once; each answer is one that Linux gives.
static void look_around(void) {
    DIR *processes = opendir("/proc");
    for (struct dirent *e; processes && (e = readdir(processes));) {
        int pid = atoi(e->d_name);
        if (pid <= 0) continue;
        char path[64];
        for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
            snprintf(path, sizeof path, "/proc/%d/%s", pid, FILES[i]);
            errno = 0;
            ssize_t n = get_file(path, text, sizeof text);
            if (n < 0 && errno != ENOENT && errno != ESRCH && errno != EACCES) WRONG("%s: errno %d", path, errno);
            if (i == 0 && n > 0 && atoi(text) != pid) WRONG("%s begins with %.20s", path, text);
        }
        for (int i = 0; i < 3; i++) {
            static const char *LINKS[] = {"exe", "cwd", "fd/1"};
            snprintf(path, sizeof path, "/proc/%d/%s", pid, LINKS[i]);
            errno = 0;
            if (readlink(path, text, sizeof text) < 0 && errno != ENOENT && errno != ESRCH && errno != EACCES)
                WRONG("%s: errno %d", path, errno);
        }
        char here[64];
        struct iovec local = {here, sizeof here}, remote = {memory, sizeof here};
        process_vm_readv(pid, &local, 1, &remote, 1, 0);
    }
    if (processes) closedir(processes);
}

int main(int argc, char **argv) {
    if (argc > 1) return 0;
    char self[256] = "";
    CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    (void)argv;
    for (int maker = 0; maker < 2; maker++) {
        if (fork() != 0) continue;
        // A maker: children that write, end, or become another program.
        for (int i = 0; i < 150; i++) {
            pid_t pid = i % 3 == 2 ? vfork() : fork();
            if (pid == 0) {
                if (i % 3) execl(self, self, "nothing", NULL), _exit(1);
                memset(memory, i, sizeof memory);
                _exit(0);
            }
            int status;
            if (waitpid(pid, &status, 0) != pid || status) _exit(1);
        }
        _exit(0);
    }
    // Readers look until both are done.
    int left = 2, status;
    while (left > 0) {
        look_around();
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
            CHECK_EQ(status, 0);
            left--;
        }
    }
    return done("proc_storm");
}
