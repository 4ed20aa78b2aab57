//! mprotect: permissions are real, and a refused access tells its address and reason.
//! build: static, musl-static
#include "check.h"
#include <setjmp.h>

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf back;
static siginfo_t last;

static void on_segv(int signal, siginfo_t *info, void *context) {
    (void)context;
    last = *info;
    siglongjmp(back, signal);
}

enum access { READ, WRITE, CALL };

/// si_code of the fault that the access gives, 0 where it gives none.
static int attempt(enum access how, volatile unsigned char *p) {
    if (sigsetjmp(back, 1)) {
        CHECK(last.si_addr == p);
        return last.si_code;
    }
    if (how == READ) (void)*p;
    else if (how == WRITE) *p = 0xc3;
    else ((void (*)(void))(uintptr_t)p)();
    return 0;
}

int main(void) {
    struct sigaction act = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &act, NULL);
    unsigned char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, ANON, -1, 0);
    memset(p, 0xc3, 4 * 4096); // ret

    CHECK_EQ(attempt(CALL, p), SEGV_ACCERR);
    CHECK_EQ(mprotect(p + 4096, 4096, PROT_READ), 0);
    CHECK_EQ(attempt(READ, p + 4096), 0);
    CHECK_EQ(attempt(WRITE, p + 4096), SEGV_ACCERR);
    CHECK_EQ(attempt(WRITE, p + 4095), 0);
    CHECK_EQ(attempt(WRITE, p + 8192), 0);
    CHECK_EQ(mprotect(p + 4096, 4096, PROT_NONE), 0);
    CHECK_EQ(attempt(READ, p + 4097), SEGV_ACCERR);
    CHECK_EQ(mprotect(p + 4096, 4096, PROT_READ | PROT_WRITE), 0);
    CHECK_EQ(p[4097], 0xc3);

    static const unsigned char RETURN_42[] = {0xb8, 42, 0, 0, 0, 0xc3};
    memcpy(p, RETURN_42, sizeof RETURN_42);
    CHECK_EQ(mprotect(p, 4096, PROT_READ | PROT_EXEC), 0);
    CHECK_EQ(((int (*)(void))(uintptr_t)p)(), 42);
    CHECK_EQ(attempt(WRITE, p), SEGV_ACCERR);
    CHECK_EQ(attempt(CALL, p + 4096), SEGV_ACCERR);
    CHECK_EQ(mprotect(p, 4096, PROT_READ | PROT_WRITE), 0);
    p[1] = 43;
    CHECK_EQ(mprotect(p, 4096, PROT_READ | PROT_EXEC), 0);
    CHECK_EQ(((int (*)(void))(uintptr_t)p)(), 43);

    CHECK_EQ(munmap(p + 3 * 4096, 4096), 0);
    CHECK_EQ(attempt(READ, p + 3 * 4096), SEGV_MAPERR);
    CHECK_FAILS(mprotect(p + 3 * 4096, 4096, PROT_READ), ENOMEM);
    CHECK_FAILS(syscall(SYS_mprotect, p + 1, 4096L, PROT_READ), EINVAL); // musl would align it
    CHECK_EQ(mprotect(p, 0, PROT_READ), 0);
    CHECK_EQ(attempt(READ, (unsigned char *)0x10), SEGV_MAPERR);
    return done("mprotect");
}
