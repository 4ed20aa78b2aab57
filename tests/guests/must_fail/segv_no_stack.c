//! segv_no_stack: a handler whose stack is not there cannot run.
//! build: static
//! exit: 139
//! record: SIGSEGV (address not mapped) writing 0x38 in main+
#include <signal.h>
#include <unistd.h>

static void on_segv(int signal) { _exit(signal); }

int main(void) {
    signal(SIGSEGV, on_segv);
    __asm__ volatile("mov $64,%%rsp\n push %%rax" ::: "memory");
    return 0;
}
