//! native: no
//! cpus: 1, 2
//! A program that forks alike again and again has its pages copied by fork, not by a fault for
//! each; what parent, child and grandchild see stays their own, also of pages that are written
//! another time or never again.
#include "check.h"
#include <sys/resource.h>
#include <sys/wait.h>

enum { PAGE = 4096, PAGES = 300, ROUNDS = 200 };

static long faults_of(int who) {
    struct rusage usage;
    CHECK_EQ(getrusage(who, &usage), 0);
    return usage.ru_minflt;
}

/// Which pages a process of this generation writes in a round.
static int writes(int page, int generation, int round) {
    switch (page % 5) {
    case 0: return 1;
    case 1: return generation == 0;
    case 2: return generation == 1;
    case 3: return round < ROUNDS / 2;
    default: return page % ROUNDS == round;
    }
}

static int seen_wrong(volatile int *memory, const int *wanted) {
    int wrong = 0;
    for (int page = 0; page < PAGES; page++) wrong += memory[page * PAGE / sizeof(int)] != wanted[page];
    return wrong;
}

static void write_all(volatile int *memory, int *known, int generation, int round) {
    for (int page = 0; page < PAGES; page++) {
        if (!writes(page, generation, round)) continue;
        known[page] = round * 10 + generation + 1;
        memory[page * PAGE / sizeof(int)] = known[page];
    }
}

static pid_t fork_or_die(void) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    return pid;
}

static int end_of(pid_t pid) {
    int status = -1;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int main(void) {
    // Pages of their own, none of them large.
    char *area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(area != MAP_FAILED);
    volatile int *memory = (volatile int *)area;
    static int known[PAGES];
    for (int page = 0; page < PAGES; page++) memory[page * PAGE / sizeof(int)] = known[page] = 7;
    for (int round = 0; round < ROUNDS; round++) {
        pid_t child = fork_or_die();
        if (child == 0) {
            int wrong = seen_wrong(memory, known);
            write_all(memory, known, 1, round);
            pid_t grandchild = round % 10 == 0 ? fork() : -1;
            if (grandchild == 0) {
                wrong = seen_wrong(memory, known);
                write_all(memory, known, 2, round);
                _exit(wrong + seen_wrong(memory, known) != 0);
            }
            write_all(memory, known, 1, round + 1);
            if (grandchild > 0) wrong += end_of(grandchild);
            _exit(wrong + seen_wrong(memory, known) != 0);
        }
        if (round % 2) write_all(memory, known, 0, round);
        CHECK_EQ(end_of(child), 0);
        write_all(memory, known, 0, round);
        CHECK_EQ(seen_wrong(memory, known), 0);
    }
    // The same pages each time: what is learned from some is saved by others.
    long first = 0, late = 0, own = 0;
    for (int round = 0; round < 40; round++) {
        long before = faults_of(RUSAGE_CHILDREN), mine = faults_of(RUSAGE_SELF);
        pid_t child = fork_or_die();
        if (child == 0) {
            for (int page = 0; page < PAGES; page++) memory[page * PAGE / sizeof(int)] = -round;
            _exit(0);
        }
        CHECK_EQ(end_of(child), 0);
        for (int page = 0; page < PAGES; page++) memory[page * PAGE / sizeof(int)] = round;
        long took = faults_of(RUSAGE_CHILDREN) - before;
        if (round == 0) first = took;
        if (round >= 30) late += took, own += faults_of(RUSAGE_SELF) - mine;
    }
    CHECK(first >= 50);
    if (late / 10 > 30) wrong_count++, printf("a late child has %ld faults, the first %ld\n", late / 10, first);
    if (own / 10 > 30) wrong_count++, printf("a late parent has %ld faults\n", own / 10);
    return done("fork_learns");
}
