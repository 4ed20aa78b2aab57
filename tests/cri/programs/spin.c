// Computes for ever, and holds "spin MIB" of memory.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    size_t bytes = (size_t)(argc > 1 ? atol(argv[1]) : 1) << 20;
    char *held = malloc(bytes);
    if (!held)
        return 1;
    memset(held, 1, bytes);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ready\n");
    for (volatile unsigned long rounds = 0;; rounds++)
        held[rounds % bytes]++;
}
