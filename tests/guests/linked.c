//! linked: what a program can tell of a system call that entered by a jump:
//! nothing. Signals at any instruction, calls that start again, cancellation,
//! single steps, vfork, flags.
//! build: static, static-pie, musl-static, musl-dynamic
#include "check.h"
#include <pthread.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#ifdef __GLIBC__
#include <unwind.h>
#endif

static volatile long interrupts, steps;
static volatile int cleaned;
static int ends[2];

/// A call site with known bounds, as the C libraries have for cancellation.
long site_call(long number, long a, long b, long c);
extern char site_begin[], site_end[];
__asm__(
    ".text\n.balign 16\n.globl site_call\n.type site_call, @function\nsite_call:\n.cfi_startproc\n"
    "mov %rdi, %rax\nmov %rsi, %rdi\n.globl site_begin\nsite_begin:\nmov %rdx, %rsi\nmov %rcx, %rdx\nsyscall\n"
    ".globl site_end\nsite_end:\nret\n.cfi_endproc\n.size site_call, . - site_call\n");

/// Reads the carry flag after a call: it survives one.
static int carry_survives(void) {
    long rax = SYS_getppid;
    unsigned char carry = 0;
    __asm__ volatile("stc\n mov $110, %%eax\n syscall\n setc %1" : "+a"(rax), "=r"(carry)::"rcx", "r11", "memory", "cc");
    return carry;
}

#ifdef __GLIBC__
static _Unwind_Reason_Code frame(struct _Unwind_Context *context, void *count) {
    (void)context;
    ++*(int *)count;
    return _URC_NO_REASON;
}

static int frames_here(void) {
    int frames = 0;
    _Unwind_Backtrace(frame, &frames);
    return frames;
}
#else
// GCC's unwinder on this machine is for glibc.
static int frames_here(void) { return 1; }
#endif

/// Counts, and unwinds through whatever was interrupted.
static void count(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)info;
    (void)context;
    interrupts += frames_here() > 0;
}

/// A timer that interrupts loops of calls, each of which must still do its work once.
static void interrupted_calls(void) {
    struct sigaction action = {.sa_sigaction = count, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK(!sigaction(SIGALRM, &action, NULL));
    struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    int fds[2];
    CHECK(!pipe(fds));
    CHECK(!setitimer(ITIMER_REAL, &often, NULL));
    long rounds = 0;
    while (interrupts < 200) {
        long word = rounds, back = -1;
        CHECK_EQ(write(fds[1], &word, sizeof word), sizeof word);
        CHECK_EQ(read(fds[0], &back, sizeof back), sizeof back);
        CHECK_EQ(back, word);
        CHECK_EQ(site_call(SYS_getpid, 0, 0, 0), getpid());
        if (wrong_count) break;
        rounds++;
    }
    CHECK(!setitimer(ITIMER_REAL, &never, NULL));
    close(fds[0]);
    close(fds[1]);
}

static volatile long seen_rip;

static void look(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)info;
    seen_rip = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
}

static void *reader(void *argument) {
    char byte = 0;
    long got = site_call(SYS_read, ends[0], (long)&byte, 1);
    *(long *)argument = got;
    return NULL;
}

/// Where a blocked call is when a signal comes: at its own instruction if it
/// starts again, behind it if not.
static void seen_where_it_is(int flags) {
    struct sigaction action = {.sa_sigaction = look, .sa_flags = SA_SIGINFO | flags};
    CHECK(!sigaction(SIGUSR1, &action, NULL));
    CHECK(!pipe(ends));
    long got = -1000;
    pthread_t thread;
    seen_rip = 0;
    CHECK(!pthread_create(&thread, NULL, reader, &got));
    // Until it blocks, a signal only finds it somewhere else.
    long wanted = (long)(flags & SA_RESTART ? site_end - 2 : site_end);
    for (int i = 0; i < 2000 && seen_rip != wanted; i++) {
        usleep(1000);
        if (__atomic_load_n(&got, __ATOMIC_SEQ_CST) == -1000) pthread_kill(thread, SIGUSR1);
    }
    CHECK_EQ(seen_rip - (long)site_begin, wanted - (long)site_begin);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK(!pthread_join(thread, NULL));
    CHECK_EQ(got, flags & SA_RESTART ? 1 : -EINTR);
    close(ends[0]);
    close(ends[1]);
}

static void clean(void *argument) { cleaned += *(int *)argument; }

static void *cancelled(void *argument) {
    int one = 1;
    char byte;
    pthread_cleanup_push(clean, &one);
    (void)!read(ends[0], &byte, 1);
    pthread_cleanup_pop(0);
    return argument;
}

/// A thread that is cancelled in a blocked read runs its clean-up.
static void cancellation(void) {
    for (int i = 0; i < 20; i++) {
        CHECK(!pipe(ends));
        pthread_t thread;
        void *result = NULL;
        CHECK(!pthread_create(&thread, NULL, cancelled, NULL));
        if (i % 2) usleep(2000);
        CHECK(!pthread_cancel(thread));
        CHECK(!pthread_join(thread, &result));
        CHECK(result == PTHREAD_CANCELED);
        CHECK_EQ(cleaned, i + 1);
        close(ends[0]);
        close(ends[1]);
    }
}

static void step(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)info;
    ucontext_t *at = context;
    steps++;
    if (steps > 100) at->uc_mcontext.gregs[REG_EFL] &= ~0x100L;
}

/// A program that steps itself comes past its call and goes on stepping.
static void single_steps(void) {
    struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};
    CHECK(!sigaction(SIGTRAP, &action, NULL));
    __asm__ volatile("pushf\n orl $0x100, (%%rsp)\n popf" ::: "memory", "cc");
    long pid = site_call(SYS_getpid, 0, 0, 0);
    __asm__ volatile("pushf\n andl $0xfffffeff, (%%rsp)\n popf" ::: "memory", "cc");
    CHECK_EQ(pid, getpid());
    CHECK(steps > 5 && steps < 60);
}

int main(void) {
    for (int i = 0; i < 100; i++) CHECK(carry_survives());
    interrupted_calls();
    seen_where_it_is(SA_RESTART);
    seen_where_it_is(0);
    cancellation();
    single_steps();
    return done("linked");
}
