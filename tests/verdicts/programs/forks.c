// Starts a process, some calls away from main.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) static int start(void)
{
    int status;
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        return 9;
    }
    if (child == 0)
        _exit(0);
    waitpid(child, &status, 0);
    return status;
}

int main(int argc, char **argv)
{
    if (argc > 5)
        return 1;
    printf("%s\n", argv[0]);
    return start();
}
