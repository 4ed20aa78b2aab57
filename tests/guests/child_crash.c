//! A crash in a child is a signal to its parent and a record in the log, not the guest's end.
//! stderr: unikiln: crash: SIGSEGV|unikiln: crash: SIGABRT|child_crash
#include "check.h"
#include <sys/wait.h>

int main(void) {
    pid_t pid = fork();
    if (pid == 0) {
        *(volatile int *)16 = 1;
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGSEGV);
    pid = fork();
    if (pid == 0) abort();
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WTERMSIG(status), SIGABRT);
    return done("child_crash");
}
