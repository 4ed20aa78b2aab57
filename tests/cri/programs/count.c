// Counts: "count LINES PAUSE_US [WIDTH]". Each line has its number, and is WIDTH bytes long; line
// numbers go up by one whatever happens around it. Every third goes to stderr.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    long lines = argc > 1 ? atol(argv[1]) : 10;
    long pause = argc > 2 ? atol(argv[2]) : 0;
    size_t width = argc > 3 ? (size_t)atol(argv[3]) : 0;
    char *text = malloc(width + 64);
    for (long line = 0; lines == 0 || line < lines; line++) {
        int length = sprintf(text, "line %ld", line);
        for (; (size_t)length < width; length++)
            text[length] = (char)('a' + length % 26);
        text[length++] = '\n';
        size_t done = 0;
        while (done < (size_t)length) {
            ssize_t count = write(line % 3 == 2 ? 2 : 1, text + done, (size_t)length - done);
            if (count < 0)
                return 1;
            done += (size_t)count;
        }
        struct timespec time = { pause / 1000000, pause % 1000000 * 1000 };
        if (pause)
            nanosleep(&time, NULL);
    }
    return 0;
}
