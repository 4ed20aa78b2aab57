//! flags: -pthread
//! cpus: 1, 2
//! Processes that are killed in the middle of what they do, parents before children and
//! after them, leave nothing behind: no process, no open end of a pipe, no lock, no memory.
#include "killed_midway.h"

int main(int argc, char **argv) {
    if (argc > 1) return again(argv);
    begin(argv[0]);
    for (int kind = 0; kind < KINDS; kind++)
        for (int step = 0; step < 2; step++) run_round(kind, step, 50 + 400 * step);
    long before = free_kib();
    // By time, at moments that move through the step; then at random ones.
    for (int round = 0; round < 40; round++)
        for (int kind = 0; kind < KINDS; kind++) run_round(kind, round, round < 10 ? 5 + round * 40 : rand() % 900);
    finish(before);
    return done("killed_midway");
}
