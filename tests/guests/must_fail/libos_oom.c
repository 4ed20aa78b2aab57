//! libos_oom: memory that the libOS needs for the program's files counts as the program's;
//! the record is written although there is no more of it.
//! build: static
//! options: --memory 32M
//! native: no
//! exit: 137
//! record: out of memory in the libOS: memory allocation of|OOMKilled
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    static char bytes[64 << 10];
    int s[2];
    for (int i = 0; i < 480; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s)) return 3;
        while (write(s[0], bytes, sizeof bytes) > 0) {}
        while (write(s[1], bytes, sizeof bytes) > 0) {}
    }
    return 1;
}
