// Says who and where it is, then shows the files that it is given.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    char text[4096];
    printf("uid %d gid %d\n", (int)getuid(), (int)getgid());
    gid_t groups[64];
    int count = getgroups(64, groups);
    printf("groups");
    for (int i = 0; i < count; i++)
        printf(" %d", (int)groups[i]);
    printf("\n");
    if (getcwd(text, sizeof text))
        printf("cwd %s\n", text);
    if (gethostname(text, sizeof text) == 0)
        printf("hostname %s\n", text);
    printf("processors %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
    for (char **variable = environ; *variable; variable++)
        printf("env %s\n", *variable);
    for (int i = 1; i < argc; i++) {
        struct stat status;
        FILE *file = fopen(argv[i], "r");
        if (!file || fstat(fileno(file), &status) != 0) {
            printf("%s: %s\n", argv[i], strerror(errno));
            continue;
        }
        printf("file %s mode %o\n", argv[i], (unsigned)status.st_mode & 07777);
        while (fgets(text, sizeof text, file))
            printf("%s: %s%s", argv[i], text, strchr(text, '\n') ? "" : "\n");
        fclose(file);
    }
    printf("done\n");
    return 0;
}
