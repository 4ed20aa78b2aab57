//! big_output: a mebibyte in one write and many small ones, both streams, nothing lost.
//! build: static
#include "check.h"

int main(void) {
    static char big[1 << 20];
    for (size_t i = 0; i < sizeof big; i++) big[i] = (char)(i % 64 == 63 ? '\n' : 'a' + i / 64 % 26);
    CHECK_EQ(write(1, big, sizeof big), sizeof big);
    for (int i = 0; i < 2000; i++) {
        char line[40];
        int n = snprintf(line, sizeof line, "line %d\n", i);
        CHECK_EQ(write(1, line, (size_t)n), n);
        if (i % 100 == 0) CHECK_EQ(write(2, line, (size_t)n), n);
    }
    printf("no newline at the end of this\n");
    fprintf(stderr, "the error stream\n");
    int code = done("big_output");
    fputs("unfinished line", stdout);
    return code;
}
