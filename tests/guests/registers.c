//! registers: SSE, AVX, x87 and general registers, flags and the red zone survive
//! system calls, page faults and signal handlers.
//! build: static
#include "check.h"

static volatile int handled;

__attribute__((target("avx"))) static void clobber_avx(void) {
    __asm__ volatile("vzeroall" ::: "memory");
}

static void clobber(int signal) {
    handled = signal;
    __asm__ volatile("pcmpeqd %%xmm0,%%xmm0\n pcmpeqd %%xmm7,%%xmm7\n pcmpeqd %%xmm15,%%xmm15" ::: "xmm0", "xmm7", "xmm15");
    if (__builtin_cpu_supports("avx")) clobber_avx();
    double x = 1.0;
    for (int i = 0; i < 10; i++) x *= 1.5;
    handled += x < 0;
}

/// Fills XMM0-15, runs one system call, and tells whether they are as before.
static int sse_survives(long number, long a, long b) {
    unsigned char before[256], after[256];
    for (int i = 0; i < 256; i++) before[i] = (unsigned char)(i * 7 + 1);
    long rax = number;
    __asm__ volatile(
        "movdqu 0(%[in]),%%xmm0\n movdqu 16(%[in]),%%xmm1\n movdqu 32(%[in]),%%xmm2\n movdqu 48(%[in]),%%xmm3\n"
        "movdqu 64(%[in]),%%xmm4\n movdqu 80(%[in]),%%xmm5\n movdqu 96(%[in]),%%xmm6\n movdqu 112(%[in]),%%xmm7\n"
        "movdqu 128(%[in]),%%xmm8\n movdqu 144(%[in]),%%xmm9\n movdqu 160(%[in]),%%xmm10\n movdqu 176(%[in]),%%xmm11\n"
        "movdqu 192(%[in]),%%xmm12\n movdqu 208(%[in]),%%xmm13\n movdqu 224(%[in]),%%xmm14\n movdqu 240(%[in]),%%xmm15\n"
        "syscall\n"
        "movdqu %%xmm0,0(%[out])\n movdqu %%xmm1,16(%[out])\n movdqu %%xmm2,32(%[out])\n movdqu %%xmm3,48(%[out])\n"
        "movdqu %%xmm4,64(%[out])\n movdqu %%xmm5,80(%[out])\n movdqu %%xmm6,96(%[out])\n movdqu %%xmm7,112(%[out])\n"
        "movdqu %%xmm8,128(%[out])\n movdqu %%xmm9,144(%[out])\n movdqu %%xmm10,160(%[out])\n movdqu %%xmm11,176(%[out])\n"
        "movdqu %%xmm12,192(%[out])\n movdqu %%xmm13,208(%[out])\n movdqu %%xmm14,224(%[out])\n movdqu %%xmm15,240(%[out])\n"
        : "+a"(rax)
        : [in] "r"(before), [out] "r"(after), "D"(a), "S"(b)
        : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
          "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    return !memcmp(before, after, sizeof before);
}

__attribute__((target("avx"))) static int avx_survives(long number, long a, long b, volatile char *touch) {
    unsigned char before[64], after[64];
    for (int i = 0; i < 64; i++) before[i] = (unsigned char)(200 - i);
    long rax = number;
    __asm__ volatile("vmovdqu 0(%[in]),%%ymm3\n vmovdqu 32(%[in]),%%ymm12\n syscall\n movb $1,(%[touch])\n"
                     "vmovdqu %%ymm3,0(%[out])\n vmovdqu %%ymm12,32(%[out])"
                     : "+a"(rax)
                     : [in] "r"(before), [out] "r"(after), [touch] "r"(touch), "D"(a), "S"(b)
                     : "rcx", "r11", "memory", "xmm3", "xmm12");
    return !memcmp(before, after, sizeof before);
}

/// General registers over a system call, and RCX and R11 as SYSCALL leaves them.
static int general_survive(long number, long a, long b) {
    long bad;
    __asm__ volatile(
        "push %%rbp\n push %%rbx\n"
        "mov $0x1111,%%rbx\n mov $0x2222,%%rbp\n mov $0x3333,%%r8\n mov $0x4444,%%r9\n mov $0x5555,%%r10\n"
        "mov $0x6666,%%r12\n mov $0x7777,%%r13\n mov $0x8888,%%r14\n mov $0x9999,%%r15\n mov $0xaaaa,%%rdx\n"
        "movq %%rsp,%%xmm0\n syscall\n 1: mov $0,%%eax\n"
        "cmp $0x1111,%%rbx\n setne %%al\n cmp $0x2222,%%rbp\n jne 2f\n cmp $0x3333,%%r8\n jne 2f\n cmp $0x4444,%%r9\n jne 2f\n"
        "cmp $0x5555,%%r10\n jne 2f\n cmp $0x6666,%%r12\n jne 2f\n cmp $0x7777,%%r13\n jne 2f\n cmp $0x8888,%%r14\n jne 2f\n"
        "cmp $0x9999,%%r15\n jne 2f\n cmp $0xaaaa,%%rdx\n jne 2f\n movq %%xmm0,%%r8\n cmp %%r8,%%rsp\n jne 2f\n"
        "lea 1b(%%rip),%%r8\n cmp %%r8,%%rcx\n jne 2f\n test $2,%%r11\n jz 2f\n jmp 3f\n"
        "2: or $2,%%eax\n 3: pop %%rbx\n pop %%rbp\n"
        : "=a"(bad)
        : "a"(number), "D"(a), "S"(b)
        : "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "memory");
    return (bad & 0xff) == 0;
}

/// A leaf function's data below RSP, while a signal arrives.
static int red_zone_survives(long pid) {
    long rax = SYS_kill, bad = 0;
    __asm__ volatile("movabs $0x1122334455667788,%%r8\n mov %%r8,-8(%%rsp)\n mov %%r8,-64(%%rsp)\n mov %%r8,-128(%%rsp)\n std\n"
                     "syscall\n cld\n cmp %%r8,-8(%%rsp)\n jne 1f\n cmp %%r8,-64(%%rsp)\n jne 1f\n cmp %%r8,-128(%%rsp)\n je 2f\n"
                     "1: mov $1,%[bad]\n 2:"
                     : "+a"(rax), [bad] "+r"(bad)
                     : "D"(pid), "S"((long)SIGUSR1)
                     : "rcx", "r8", "r11", "memory");
    return bad == 0;
}

int main(void) {
    unsigned mxcsr = __builtin_ia32_stmxcsr();
    unsigned short control;
    __asm__ volatile("fnstcw %0" : "=m"(control));
    CHECK_EQ(mxcsr & ~0x3fu, 0x1f80);
    CHECK_EQ(control, 0x37f);

    signal(SIGUSR1, clobber);
    long pid = getpid();
    char *pages = mmap(NULL, 64 << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 16; i++) {
        CHECK(sse_survives(SYS_getpid, 0, 0));
        CHECK(sse_survives(SYS_kill, pid, SIGUSR1));
        if (__builtin_cpu_supports("avx")) {
            CHECK(avx_survives(SYS_getuid, 0, 0, pages + i * 8192));
            CHECK(avx_survives(SYS_kill, pid, SIGUSR1, pages + i * 8192 + 4096));
        }
        CHECK(general_survive(SYS_getppid, 0, 0));
        CHECK(general_survive(SYS_kill, pid, SIGUSR1));
        CHECK(red_zone_survives(pid));
    }
    CHECK_EQ(handled, SIGUSR1);

    // A rounding mode set by the program stays until it is changed.
    __builtin_ia32_ldmxcsr(0x7f80);
    raise(SIGUSR1);
    getppid();
    CHECK_EQ(__builtin_ia32_stmxcsr() & ~0x3fu, 0x7f80);
    __builtin_ia32_ldmxcsr(mxcsr);
    return done("registers");
}
