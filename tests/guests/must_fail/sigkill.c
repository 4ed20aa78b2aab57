//! sigkill: SIGKILL to oneself is exit code 137, but not out of memory.
//! build: static
//! exit: 137
//! no-record: yes
#include <signal.h>
#include <unistd.h>

int main(void) {
    kill(getpid(), SIGKILL);
    return 0;
}
