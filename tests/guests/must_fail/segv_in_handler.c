//! segv_in_handler: a fault inside the handler of the same fault is final.
//! build: static
//! exit: 139
//! record: SIGSEGV (address not mapped) writing 0x0 in in_handler|main+
#include <signal.h>

static void in_handler(int signal) { *(volatile int *)0 = signal; }

int main(void) {
    signal(SIGSEGV, in_handler);
    *(volatile int *)8 = 1;
    return 0;
}
