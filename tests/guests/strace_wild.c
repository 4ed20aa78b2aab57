//! strace_wild: a trace survives whatever pointers a program passes, with every call.
//! options: --strace
//! native: no
//! stderr: openat(0, 0x680000001000, |+++ exited with 0 +++
#include "check.h"

/// Calls that end the program, take its memory away, wait for ever, make processes,
/// or never return here.
static int is_left_out(long number) {
    switch (number) {
        case SYS_munmap:
        case SYS_rt_sigreturn:
        case SYS_pause:
        case SYS_clone:
        case SYS_fork:
        case SYS_vfork:
        case SYS_exit:
        case SYS_rt_sigtimedwait:
        case SYS_rt_sigsuspend:
        case SYS_exit_group:
        case SYS_clone3:
            return 1;
        default:
            return 0;
    }
}

int main(void) {
    char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    char *zeros = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(zeros != MAP_FAILED);
    CHECK_EQ(munmap(pages + 2 * 4096, 4096), 0);
    unsigned long words[] = {
        0x680000001000,                        // the libOS's
        0x123456789000,                        // nobody's
        0x8000000000000000,                    // the kernel half
        -1UL,                                  // the end of everything
        (unsigned long)zeros,                  // readable, all zero
        (unsigned long)pages + 2 * 4096 - 3,   // ends within three bytes
        (unsigned long)pages,                  // readable, all ones
    };
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        unsigned long word = words[w];
        for (long number = 0; number < 470; number++) {
            if (is_left_out(number)) continue;
            memset(pages, 0xff, 2 * 4096);
            syscall(number, word, word, word, word, word, word);
            // A small first word, such as a descriptor or an operation.
            if (number != SYS_alarm && number != SYS_close && number != SYS_kill)
                syscall(number, 0UL, word, word, word, word, word);
        }
    }
    return done("strace_wild");
}
