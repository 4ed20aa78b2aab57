//! exit_code: the status is passed on, buffers are flushed, atexit functions run backwards.
//! build: static, pie, musl-dynamic
//! exit: 42
#include "check.h"

static void first(void) { fputs("first registered, last run\n", stdout); }
static void second(void) { fputs("second registered\n", stdout); }

__attribute__((destructor)) static void destruct(void) { fputs("destructor\n", stdout); }

int main(void) {
    atexit(first);
    atexit(second);
    fputs("unflushed", stdout);
    putchar('\n');
    exit(42 | 0x100); // the status is eight bits
}
