//! refused: what one process without a network cannot do fails with an errno, and the
//! program goes on.
//! build: static, musl-static
//! native: no
#include "check.h"
#include <sys/socket.h>
#include <sys/wait.h>


int main(void) {
    errno = 0;
    pid_t child = fork();
    if (child == 0) _exit(99);
    CHECK(child == -1 && errno == ENOSYS);
    child = vfork();
    if (child == 0) _exit(99);
    CHECK(child == -1 && errno == ENOSYS);
    CHECK(system("true") != 0);
    CHECK(popen("true", "r") == NULL);
    CHECK_FAILS(wait(NULL), ECHILD);

    CHECK_FAILS(socket(AF_INET, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK_FAILS(socket(AF_INET6, SOCK_DGRAM, 0), EAFNOSUPPORT);
    CHECK_FAILS(socket(AF_NETLINK, SOCK_RAW, 0), EAFNOSUPPORT);
    CHECK(execl("/absent", "absent", NULL) == -1);
    CHECK(syscall(SYS_init_module, NULL, 0, NULL) == -1);
    CHECK(syscall(SYS_ptrace, 0, 0, 0, 0) == -1);
    // After all of that the program is as healthy as before.
    char *p = malloc(1 << 20);
    memset(p, 1, 1 << 20);
    free(p);
    return done("refused");
}
