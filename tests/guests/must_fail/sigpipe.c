//! sigpipe: writing to a pipe that nobody reads ends the program quietly.
//! build: static
//! exit: 141
//! no-record: yes
#include <unistd.h>

int main(void) {
    int p[2];
    if (pipe(p)) return 1;
    close(p[0]);
    return (int)write(p[1], "x", 1);
}
