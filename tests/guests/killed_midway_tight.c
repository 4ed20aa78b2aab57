//! flags: -pthread
//! cpus: 1, 2
//! native: no
//! options: --memory 64M --pids-limit 12
//! killed_midway where memory runs out and processes are refused.
#include "killed_midway.h"

/// Beside each step one process takes all memory, until it is killed for it.
static void hog(void) {
    if (fork() != 0) return;
    setpgid(0, 0);
    char *at = mmap(NULL, 128 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (size_t i = 0; i < 128 << 20; i += 4096) at[i] = 1;
    WRONG("128 MiB fitted into 64 MiB");
    _exit(0);
}

int main(int argc, char **argv) {
    if (argc > 1) return again(argv);
    begin(argv[0]);
    long before = 0;
    for (int round = 0; round < 6; round++) {
        for (int kind = 0; kind < KINDS; kind++) {
            if (round % 2) hog();
            run_round(kind, round, 50 + rand() % 900);
        }
        if (round == 1) before = free_kib();
    }
    finish(before);
    return done("killed_midway_tight");
}
