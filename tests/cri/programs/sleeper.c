// Sleeps until SIGTERM, which ends it with 0; "stubborn" does not hear it.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ready\n");
    for (;;) {
        int signal = 0;
        sigwait(&set, &signal);
        printf("signal %d\n", signal);
        if (argc < 2 || strcmp(argv[1], "stubborn") != 0)
            return signal == SIGTERM ? 0 : 3;
    }
}
