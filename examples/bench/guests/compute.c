//! Nothing but the CPU: `compute ROUNDS` hashes, sieves and multiplies, with
//! integers, a working set above the second-level cache, and vectors.

#include <string.h>

#include "report.h"

static volatile uint64_t sink;

/// FNV-1a over a buffer: one dependent multiplication a byte.
static void hash(void)
{
    static unsigned char data[1 << 16];
    uint64_t state = 0xcbf29ce484222325;
    for (int pass = 0; pass < 200; pass++)
        for (size_t i = 0; i < sizeof data; i++)
            state = (state ^ (data[i] + (unsigned)pass)) * 0x100000001b3;
    sink = state;
}

static void sieve(void)
{
    enum { LIMIT = 4 << 20 };
    static unsigned char composite[LIMIT];
    memset(composite, 0, LIMIT);
    uint64_t primes = 0;
    for (size_t i = 2; i < LIMIT; i++) {
        if (composite[i])
            continue;
        primes++;
        for (size_t j = i * i; j < LIMIT; j += i)
            composite[j] = 1;
    }
    sink = primes;
}

static void multiply(void)
{
    enum { N = 256 };
    static double a[N][N], b[N][N], c[N][N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = i + j;
            b[i][j] = i - j;
            c[i][j] = 0;
        }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++)
                c[i][j] += a[i][k] * b[k][j];
    sink = (uint64_t)c[N - 1][N - 1];
}

int main(int argc, char **argv)
{
    require(argc == 2, "usage: compute ROUNDS");
    const int rounds = atoi(argv[1]);
    const struct {
        const char *name;
        void (*work)(void);
    } kernels[] = {{"hash", hash}, {"sieve", sieve}, {"multiply", multiply}};
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        const uint64_t start = now_ns();
        for (int round = 0; round < rounds; round++)
            kernels[i].work();
        report(kernels[i].name, start, rounds);
    }
    return 0;
}
