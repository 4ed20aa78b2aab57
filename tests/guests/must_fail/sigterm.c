//! sigterm: a signal that does not dump core ends the program without a crash record.
//! build: static
//! exit: 143
//! no-record: yes
#include <signal.h>
#include <stdio.h>

int main(void) {
    puts("good bye");
    fflush(stdout);
    raise(SIGTERM);
    return 0;
}
