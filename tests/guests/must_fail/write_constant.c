//! write_constant: a constant of the program is in a read-only page.
//! build: static
//! exit: 139
//! record: SIGSEGV (access not allowed) writing|in overwrite+|r--p, file offset|main+
static const char CONSTANT[] = "constant";

__attribute__((noinline)) static void overwrite(volatile char *p) { *p = 'x'; }

int main(void) {
    overwrite((char *)CONSTANT);
    return 0;
}
