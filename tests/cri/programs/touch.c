// "touch FILE …": makes each and says how it went.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        int file = open(argv[i], O_CREAT | O_WRONLY, 0644);
        printf("%s: %s\n", argv[i], file < 0 ? strerror(errno) : "made");
        if (file >= 0) {
            dprintf(file, "touched\n");
            close(file);
        }
    }
    return 0;
}
