//! segv_sent: SIGSEGV sent by kill() is as deadly as a fault.
//! build: static
//! exit: 139
//! record: SIGSEGV (sent by kill)|main+
#include <signal.h>
#include <unistd.h>

int main(void) {
    kill(getpid(), SIGSEGV);
    return 0;
}
