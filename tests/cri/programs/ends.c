// Ends as it is told: "exit N", "signal N", "crash", "memory" (takes all that there is).
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *how = argc > 1 ? argv[1] : "exit";
    int number = argc > 2 ? atoi(argv[2]) : 0;
    printf("%s %d\n", how, number);
    if (strcmp(how, "signal") == 0) {
        signal(number, SIG_DFL);
        raise(number);
        pause();
    }
    if (strcmp(how, "crash") == 0)
        *(volatile int *)8 = 1;
    if (strcmp(how, "memory") == 0)
        for (;;) {
            char *piece = malloc(1 << 20);
            if (!piece)
                return 9;
            memset(piece, 1, 1 << 20);
        }
    return number;
}
