//! What madvise says of children: MADV_DONTFORK leaves memory out, MADV_WIPEONFORK leaves zeros
//! (which programs know a fork by), and both are taken back.
#include "check.h"
#include <sys/wait.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#define MADV_KEEPONFORK 19
#endif

enum { PAGE = 4096 };

static int is_mapped(void *at) {
    unsigned char vector;
    return mincore(at, PAGE, &vector) == 0;
}

int main(void) {
    char *at = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    memset(at, 'x', 8 * PAGE);
    CHECK_EQ(madvise(at + PAGE, PAGE, MADV_WIPEONFORK), 0);
    CHECK_EQ(madvise(at + 3 * PAGE, PAGE, MADV_DONTFORK), 0);
    CHECK_EQ(madvise(at + 5 * PAGE, PAGE, MADV_WIPEONFORK), 0);
    CHECK_EQ(madvise(at + 5 * PAGE, PAGE, MADV_KEEPONFORK), 0);
    CHECK_EQ(madvise(at + 6 * PAGE, PAGE, MADV_DONTFORK), 0);
    CHECK_EQ(madvise(at + 6 * PAGE, PAGE, MADV_DOFORK), 0);
    for (int round = 0; round < 3; round++) {
        fflush(stdout);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            CHECK(at[0] == 'x' && at[2 * PAGE] == 'x' && at[4 * PAGE] == 'x');
            CHECK(at[PAGE] == 0 && at[2 * PAGE - 1] == 0);
            CHECK(!is_mapped(at + 3 * PAGE) && is_mapped(at + 4 * PAGE));
            CHECK(at[5 * PAGE] == 'x' && at[6 * PAGE] == 'x');
            // Its own children have zeros, too.
            memset(at + PAGE, 'y', PAGE);
            pid_t grandchild = fork();
            if (grandchild == 0) _exit(at[PAGE] != 0 || at[2 * PAGE - 1] != 0);
            int status = -1;
            CHECK_EQ(waitpid(grandchild, &status, 0), grandchild);
            CHECK_EQ(status, 0);
            _exit(wrong_count != 0);
        }
        int status = -1;
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
        CHECK(at[PAGE] == 'x' && at[3 * PAGE] == 'x');
        // Known to be written from here on.
        memset(at, 'x', 8 * PAGE);
    }
    return done("fork_advice");
}
