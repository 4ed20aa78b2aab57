//! fault_handlers: SIGSEGV, SIGFPE, SIGILL and SIGTRAP reach handlers with siginfo and
//! registers that can be changed, also on an alternate stack; longjmp leaves them.
//! build: static, pie
#include "check.h"
#include <setjmp.h>
#include <ucontext.h>

static sigjmp_buf back;
static siginfo_t info_seen;
static volatile uintptr_t rip_seen, stack_seen;

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)signal;
    info_seen = *info;
    rip_seen = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    stack_seen = (uintptr_t)&info;
    siglongjmp(back, 1);
}

/// Skips the instruction of two bytes and answers in RAX.
static void on_skip(int signal, siginfo_t *info, void *context) {
    (void)info;
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    r[REG_RIP] += 2;
    r[REG_RAX] = signal;
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction act = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    CHECK_EQ(sigaction(signal, &act, NULL), 0);
}

static char *unmapped(void) {
    char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(p, 4096);
    return p;
}

int main(void) {
    handle(SIGSEGV, on_fault, 0);
    handle(SIGFPE, on_fault, 0);
    handle(SIGILL, on_fault, 0);
    handle(SIGTRAP, on_fault, 0);
    volatile char *wild = unmapped() + 123;

    for (int i = 0; i < 50; i++) { // again and again: the mask is restored
        if (!sigsetjmp(back, 1)) *wild = 1;
        else CHECK(info_seen.si_signo == SIGSEGV && info_seen.si_addr == wild && info_seen.si_code == SEGV_MAPERR);
    }
    if (!sigsetjmp(back, 1)) ((void (*)(void))(uintptr_t)wild)();
    else CHECK(info_seen.si_addr == wild && rip_seen == (uintptr_t)wild);
    if (!sigsetjmp(back, 1)) *(volatile char *)0x1234567800000000 = 1; // not canonical: no address
    else CHECK(info_seen.si_signo == SIGSEGV && info_seen.si_addr == NULL && info_seen.si_code == SI_KERNEL);
    if (!sigsetjmp(back, 1)) __asm__ volatile("hlt");
    else CHECK(info_seen.si_signo == SIGSEGV && info_seen.si_code == SI_KERNEL);

    volatile int zero = 0;
    if (!sigsetjmp(back, 1)) zero = 1 / zero;
    else CHECK(info_seen.si_signo == SIGFPE && info_seen.si_code == FPE_INTDIV && (uintptr_t)info_seen.si_addr == rip_seen);
    if (!sigsetjmp(back, 1)) __asm__ volatile("ud2");
    else CHECK(info_seen.si_signo == SIGILL && info_seen.si_code == ILL_ILLOPN && (uintptr_t)info_seen.si_addr == rip_seen);
    if (!sigsetjmp(back, 1)) __asm__ volatile("int3");
    else CHECK(info_seen.si_signo == SIGTRAP);

    // Going on after the handler changed the registers.
    long answer = 0;
    handle(SIGILL, on_skip, 0);
    __asm__ volatile("ud2" : "+a"(answer) : : "memory");
    CHECK_EQ(answer, SIGILL);

    // An alternate stack is used when asked for, and says so.
    static char alternate[64 << 10];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate}, old;
    CHECK_EQ(sigaltstack(&stack, &old), 0);
    CHECK(old.ss_flags == SS_DISABLE);
    handle(SIGSEGV, on_fault, SA_ONSTACK);
    if (!sigsetjmp(back, 1)) *wild = 1;
    CHECK(stack_seen > (uintptr_t)alternate && stack_seen < (uintptr_t)alternate + sizeof alternate);
    if (!sigsetjmp(back, 1)) __asm__ volatile("mov $64, %%rsp\n push %%rax" ::: "memory"); // no stack at all
    else CHECK(info_seen.si_signo == SIGSEGV && stack_seen > (uintptr_t)alternate);
    CHECK(sigaltstack(NULL, &old) == 0 && old.ss_sp == alternate && old.ss_flags == 0);
    stack.ss_flags = SS_DISABLE;
    CHECK_EQ(sigaltstack(&stack, NULL), 0);
    stack = (stack_t){.ss_sp = alternate, .ss_size = 100};
    CHECK_FAILS(sigaltstack(&stack, NULL), ENOMEM);
    return done("fault_handlers");
}
