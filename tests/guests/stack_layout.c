//! stack_layout: argc, argv, envp, auxv and the strings lie on the stack as the
//! psABI and Linux put them, and 7 MiB below them are there when touched.
//! build: static, pie
#include "check.h"
#include <elf.h>

extern char **environ;

__attribute__((noinline)) static long deep(int levels) {
    volatile char page[64 << 10];
    page[0] = (char)levels;
    page[sizeof page - 1] = 1;
    return levels ? deep(levels - 1) + page[sizeof page - 1] : 0;
}

int main(int argc, char **argv) {
    uintptr_t top = (uintptr_t)(argv - 1);
    CHECK_EQ(top % 16, 0);
    CHECK_EQ(*(long *)top, argc);
    CHECK(environ == argv + argc + 1);
    CHECK_EQ((uintptr_t)__builtin_frame_address(0) % 16, 0);

    char **end = environ;
    while (*end) end++;
    const Elf64_auxv_t *aux = (const Elf64_auxv_t *)(end + 1);
    int entries = 0;
    const char *execfn = NULL;
    for (; aux->a_type != AT_NULL; aux++, entries++)
        if (aux->a_type == AT_EXECFN) execfn = (const char *)aux->a_un.a_val;
    CHECK(entries >= 15 && entries < 40);
    CHECK((uintptr_t)argv[0] > (uintptr_t)aux);
    CHECK(argc < 2 || argv[1] == argv[0] + strlen(argv[0]) + 1);
    CHECK(environ[0] == NULL || environ[0] > argv[0]);

    // The last thing on the stack: the program's name, then eight zero bytes.
    CHECK(execfn != NULL);
    if (execfn) {
        uintptr_t after = (uintptr_t)execfn + strlen(execfn) + 1;
        CHECK_EQ((after + 8) % 4096, 0);
        CHECK_EQ(*(uint64_t *)after, 0);
    }
    CHECK_EQ(deep(7 * 16), 7 * 16);
    return done("stack_layout");
}
