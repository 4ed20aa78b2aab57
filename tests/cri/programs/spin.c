// Computes for ever, and holds "spin MIB" of memory.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    size_t bytes = (size_t)(argc > 1 ? atol(argv[1]) : 1) << 20;
    // Volatile: what nobody reads would not be written either.
    volatile char *held = malloc(bytes);
    if (!held)
        return 1;
    for (size_t i = 0; i < bytes; i++)
        held[i] = 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ready\n");
    for (volatile unsigned long rounds = 0;; rounds++)
        held[rounds % bytes]++;
}
