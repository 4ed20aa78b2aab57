// "watch DIRECTORY": says the values of the files a and b of it whenever one is another one,
// and never may see one of this and one of that version.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int value(int directory, const char *name, char *text) {
    int file = openat(directory, name, O_RDONLY);
    if (file < 0)
        return -1;
    ssize_t count = read(file, text, 63);
    close(file);
    text[count > 0 ? count : 0] = 0;
    text[strcspn(text, "\n")] = 0;
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2 || chdir(argv[1]) != 0) {
        perror("no such directory");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    char last[64] = "", a[64], b[64];
    for (;;) {
        // Through one opened version, as a careful program reads it.
        int data = open("..data", O_RDONLY | O_DIRECTORY);
        if (data < 0 || value(data, "a", a) != 0 || value(data, "b", b) != 0) {
            printf("missing\n");
            return 1;
        }
        close(data);
        if (strcmp(a, b) != 0) {
            printf("torn: %s %s\n", a, b);
            return 1;
        }
        // By name, which is a link through `..data`.
        if (value(AT_FDCWD, "a", a) == 0 && strcmp(a, last) != 0) {
            printf("value %s\n", a);
            strcpy(last, a);
        }
        usleep(20000);
    }
}
