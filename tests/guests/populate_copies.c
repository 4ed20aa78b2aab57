//! A page that fork shared and that the kernel copies ahead (MADV_POPULATE_WRITE, and a write
//! by process_vm_writev) is the child's own at once, though the child had read it before: what
//! the parent writes afterwards is not seen.
//! cpus: 1, 2
#include "check.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum { PAGE = 4096, PAGES = 32 };

// Both sides keep their processors, so that no change of tables forgets for them.
static void wait_for(volatile int *turn, int wanted)
{
    while (*turn != wanted) sched_yield();
}

static int child(volatile char *memory, volatile int *turn)
{
    int wrong = 0;
    for (int i = 0; i < PAGES; i++) wrong += memory[i * PAGE] != 'a';
    const size_t half = PAGES / 2 * PAGE;
    wrong += madvise((void *)memory, half, MADV_POPULATE_WRITE) != 0;
    char value = 'a';
    for (size_t at = half; at < 2 * half; at += PAGE) {
        struct iovec from = {&value, 1}, to = {(char *)memory + at + 1, 1};
        wrong += process_vm_writev(getpid(), &from, 1, &to, 1, 0) != 1;
    }
    *turn = 1;
    wait_for(turn, 2);
    for (int i = 0; i < PAGES; i++) wrong += memory[i * PAGE] != 'a';
    return wrong;
}

int main(void)
{
    volatile int *turn = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *memory = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int round = 0; round < 20; round++) {
        memset(memory, 'a', PAGES * PAGE);
        *turn = 0;
        pid_t pid = fork();
        if (pid == 0)
            _exit(child(memory, turn));
        wait_for(turn, 1);
        memset(memory, 'p', PAGES * PAGE);
        *turn = 2;
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
    }
    return done("populate_copies");
}
